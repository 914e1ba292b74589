//! All stages together to `null:`, each source beside what bounds it.

use super::{Bench, in_turn, read};
use crate::figures::{Five, Goal, Part};
use crate::logs::pipe_from;
use crate::{Failure, child};

pub fn null(bench: &Bench) -> Result<Part, Failure> {
    let mut part = Part::new("null", "The whole way to `null:`, started as a process, all cores");
    let (plain, gzip, zstd) = (bench.logs.plain()?, bench.logs.gzip()?, bench.logs.zstd()?);
    let stdin = std::path::Path::new("-");
    let runs = in_turn::<6>(bench.rounds(), |which| match which {
        0 => child::run(&mut bench.load(&plain, "null:")),
        1 => {
            let mut cat = pipe_from(&plain)?;
            let pipe = cat.stdout.take().ok_or("standard output is piped")?;
            let used = child::run(bench.load(stdin, "null:").stdin(pipe));
            cat.wait()?;
            used
        }
        2 => child::run(&mut bench.unpack(&gzip)),
        3 => child::run(&mut bench.load(&gzip, "null:")),
        4 => child::run(&mut bench.unpack(&zstd)),
        _ => child::run(&mut bench.load(&zstd, "null:")),
    })?;
    let (lines, bytes) = read(&runs[0][0].stdout)?;
    for (which, what) in
        ["plain", "standard input", "inflate alone", "gzip", "unpack zstd alone", "zstd"].iter().enumerate()
    {
        let speeds = Five::of(runs[which].iter().map(|used| bytes as f64 / used.wall / 1e9));
        let cpu = Five::of(runs[which].iter().map(|used| used.cpu / lines as f64 * 1e6));
        let beside = format!(
            "{:.1} M lines/s, {:.3} µs of processor a line",
            lines as f64 / (bytes as f64 / speeds.median) * 1e3,
            cpu.median
        );
        part.add(*what, "GB/s", speeds, Goal::None, beside);
    }
    for (alone, loaded, what, goal) in [
        (2, 3, "gzip: time, inflating alone = 1", Goal::AtMost(1.1)),
        (4, 5, "zstd: time, unpacking alone = 1", Goal::None),
    ] {
        let ratios = runs[loaded].iter().zip(&runs[alone]).map(|(loaded, alone)| loaded.wall / alone.wall);
        part.add(what, "", Five::of(ratios), goal, String::new());
    }
    Ok(part)
}
