//! The stages on one core, for each format, and for what makes lines hard.

use std::process::{Command, Stdio};

use super::{Bench, speed};
use crate::Failure;
use crate::figures::{Five, Goal, Part};
use crate::logs::Kind;

pub fn stages(bench: &Bench) -> Result<Part, Failure> {
    let mut part = Part::new("stages", "Stages on one core, from memory to memory, ids and all fields as by default");
    let plain = bench.logs.plain()?;
    let told = bench.rows(&plain, 1, "memory_copy,newline_count,inflate,parse,parse_serialize")?;
    for (row, what) in [
        ("memory_copy", "limit: memory copy"),
        ("newline_count", "limit: newline count"),
        ("inflate", "limit: inflate alone"),
    ] {
        part.add(what, "GB/s", speed(&told, row)?, Goal::None, String::new());
    }
    let ns = |told: &serde_json::Value| {
        let row = told["rows"].as_array().into_iter().flatten().find(|row| row["name"] == "parse_serialize");
        format!("{:.0} ns a line", row.and_then(|row| row["ns_per_line"].as_f64()).unwrap_or(0.0))
    };
    part.add("parse to records, combined", "GB/s", speed(&told, "parse")?, Goal::None, String::new());
    part.add("parse and serialize, combined", "GB/s", speed(&told, "parse_serialize")?, Goal::AtLeast(2.5), ns(&told));
    let share = told["common_path_share"].as_f64().unwrap_or(0.0) * 100.0;
    for kind in Kind::ALL {
        let goal = match kind {
            Kind::VhostCombined | Kind::Common | Kind::CombinedIo => 2.0,
            Kind::Users | Kind::Escapes | Kind::Utf8 | Kind::Forwarded | Kind::CrLf => 1.5,
        };
        let told = bench.rows(&bench.logs.rewritten(kind)?, 1, "parse_serialize")?;
        let what = format!("parse and serialize, {}", kind.name());
        part.add(what, "GB/s", speed(&told, "parse_serialize")?, Goal::AtLeast(goal), ns(&told));
    }
    part.add("lines on the common path", "%", Five::one(share), Goal::AtLeast(99.9), String::new());
    match instructions(bench) {
        Ok(count) => part.add(
            "instructions a line, parse and serialize",
            "",
            Five::one(count),
            Goal::None,
            "callgrind".to_owned(),
        ),
        Err(failure) => part.absent.push(format!("instructions a line: {failure}")),
    }
    Ok(part)
}

/// Instructions that callgrind counts inside of the worker that parses and serializes, for each line.
fn instructions(bench: &Bench) -> Result<f64, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*worker::Worker::fill"]);
    command.arg(&bench.loghaul).arg("bench").arg(bench.logs.once());
    command.args(["--rows", "parse_serialize", "--seconds", "1s", "--threads", "1", "--json"]).stdin(Stdio::null());
    let output = command.output().map_err(|_| "there is no valgrind on the PATH")?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let collected = errors.lines().find_map(|line| line.split("Collected :").nth(1));
    let collected: f64 = collected.and_then(|count| count.trim().parse().ok()).ok_or("callgrind tells no count")?;
    // The rounds, the one before them, and the one that counts.
    let passes = told["rounds"].as_u64().unwrap_or(0) + 2;
    let lines = told["lines"].as_u64().unwrap_or(0) * passes;
    if collected < lines as f64 {
        Err("the worker was not found by its name".into())
    } else {
        Ok(collected / lines as f64)
    }
}
