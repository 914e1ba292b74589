//! Many small files against one file with the same lines.

use super::{Bench, in_turn};
use crate::figures::{Five, Goal, Part};
use crate::{Failure, child};

const FILES: usize = 20_000;
const LINES: usize = 50;

pub fn files(bench: &Bench) -> Result<Part, Failure> {
    let mut part =
        Part::new("files", format!("{FILES} files of {LINES} lines against one with the same lines, to `null:`"));
    let (folder, one) = bench.logs.small_files(FILES, LINES)?;
    let runs = in_turn::<2>(bench.rounds(), |which| {
        child::run(&mut bench.load(if which == 0 { &one } else { &folder }, "null:"))
    })?;
    for (which, what) in ["one file", "many files"].iter().enumerate() {
        let cpu = Five::of(runs[which].iter().map(|used| used.cpu));
        let beside = format!("{:.3} s of processor", cpu.median);
        part.add(*what, "s", Five::of(runs[which].iter().map(|used| used.wall)), Goal::None, beside);
    }
    let ratios = runs[1].iter().zip(&runs[0]).map(|(many, one)| many.wall / one.wall);
    part.add("many files, one = 1", "x", Five::of(ratios), Goal::AtMost(1.5), String::new());
    Ok(part)
}
