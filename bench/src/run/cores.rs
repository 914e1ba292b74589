//! Two cores against one, beside two parser loops that share nothing.

use std::process::Command;

use super::{Bench, in_turn, speed};
use crate::figures::{Five, Goal, Part};
use crate::{Failure, child};

/// How often the sample is in the log: long enough for a process's start not to count.
const TIMES: usize = 40;

pub fn cores(bench: &Bench) -> Result<Part, Failure> {
    let mut part = Part::new("cores", "A plain file to `null:`: two cores against one");
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return Err("there is one core".into());
    }
    let log = bench.logs.combined(TIMES)?;
    let runs = in_turn::<2>(bench.rounds(), |which| {
        let load = bench.load(&log, "null:");
        let mut command = Command::new("taskset");
        command.args(["-c", if which == 0 { "0" } else { "0,1" }]).arg(load.get_program()).args(load.get_args());
        child::run(command.args(["--threads", "2"]))
    })?;
    let (_, bytes) = super::read(&runs[0][0].stdout)?;
    for (which, what) in ["one core", "two cores"].iter().enumerate() {
        let speeds = runs[which].iter().map(|used| bytes as f64 / used.wall / 1e9);
        part.add(*what, "GB/s", Five::of(speeds), Goal::None, String::new());
    }
    let ratios = runs[0].iter().zip(&runs[1]).map(|(one, two)| one.wall / two.wall);
    part.add("two cores, one = 1", "x", Five::of(ratios), Goal::AtLeast(1.85), String::new());
    let told = bench.rows(&bench.logs.plain()?, 2, "parse_serialize,parse_serialize_apart")?;
    let (one, two) = (speed(&told, "parse_serialize")?, speed(&told, "parse_serialize_apart")?);
    let beside = format!("{:.2} and {:.2} GB/s", one.median, two.median);
    part.add("two bare parser loops, one = 1", "x", Five::one(two.median / one.median), Goal::None, beside);
    Ok(part)
}
