//! To the null bulk server on the loopback: the loader's own processor time, user and system.

use super::{Bench, in_turn, read};
use crate::figures::{Five, Goal, Part};
use crate::{Failure, child, null_server};

pub fn bulk(bench: &Bench) -> Result<Part, Failure> {
    let mut part = Part::new("bulk", "To a server that costs nothing: the loader's processor time");
    let plain = bench.logs.plain()?;
    let tls = bench.root.join("testdata/tls");
    let (ca, cert, key) = (tls.join("ca.pem"), tls.join("node.pem"), tls.join("node.key"));
    let server = bench.null_server(&[])?;
    let secure = bench.null_server(&["--cert", &cert.to_string_lossy(), "--key", &key.to_string_lossy()])?;
    let secure_url = secure.url.replace("127.0.0.1", "localhost");
    let runs = in_turn::<5>(bench.rounds(), |which| match which {
        0 => child::run(&mut bench.load(&plain, "null:")),
        1 => child::run(bench.load(&plain, &server.url).args(["--compress", "none"])),
        2 => child::run(bench.load(&plain, &server.url).args(["--compress", "gzip"])),
        3 => child::run(bench.load(&plain, &server.url).args(["--compress", "zstd"])),
        _ => child::run(bench.load(&plain, &secure_url).args(["--compress", "none", "--ca"]).arg(&ca)),
    })?;
    let (lines, _) = read(&runs[0][0].stdout)?;
    for (which, what, goal) in [
        (0, "to null:, no server", Goal::None),
        (1, "plain bodies", Goal::AtMost(0.3)),
        (2, "gzip bodies", Goal::None),
        (3, "zstd bodies", Goal::None),
        (4, "plain bodies over TLS", Goal::None),
    ] {
        let cpu = Five::of(runs[which].iter().map(|used| used.cpu / lines as f64 * 1e6));
        let wall = Five::of(runs[which].iter().map(|used| lines as f64 / used.wall / 1e6));
        part.add(what, "µs a line", cpu, goal, format!("{:.2} M lines/s", wall.median));
    }
    // Three kinds of runs met this server, and each counts one round more than is told.
    let expected = (runs[1].len() as u64 + 1) * 3 * documents(&runs[1][0].stdout)?;
    let came = null_server::documents_at(server.address())?;
    if came != expected {
        return Err(format!("{came} documents came to the null server, {expected} were sent").into());
    }
    Ok(part)
}

/// How many documents a report tells.
fn documents(report: &[u8]) -> Result<u64, Failure> {
    let report: serde_json::Value = serde_json::from_slice(report)?;
    report["indexed"].as_u64().ok_or_else(|| "the report tells no documents".into())
}
