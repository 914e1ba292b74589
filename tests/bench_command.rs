//! `loghaul bench`, as it is typed: the figures it tells, and what it says where there is nothing to measure.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// So many lines of a log, one of them malformed and one blank.
fn log(lines: usize) -> Vec<u8> {
    let line = "1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"\n";
    ["no access line\n", "\n", &line.repeat(lines - 2)].concat().into_bytes()
}

fn bench(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_loghaul"))
        .arg("bench")
        .args(arguments)
        .args(["--seconds", "1s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("loghaul starts");
    // It may end without reading this.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    child.wait_with_output().expect("loghaul ends")
}

#[test]
fn each_row_counts_all_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("access.log");
    std::fs::write(&plain, log(5_000)).expect("room");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&log(3_000)).expect("memory");
    let packed = folder.path().join("access.log.1.gz");
    std::fs::write(&packed, gzip.finish().expect("memory")).expect("room");
    let words = [plain.to_str().expect("UTF-8"), packed.to_str().expect("UTF-8"), "-"];
    let output = bench(&[&words[..], &["--json", "--threads", "2"]].concat(), &log(2_000));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["lines"], &found["malformed"], &found["blank"]), (&10_000.into(), &3.into(), &3.into()));
    assert_eq!((&found["documents"], &found["cut"]), (&9_994.into(), &false.into()));
    assert!(found["common_path_share"].as_f64().expect("a number") > 0.99);
    let rows = found["rows"].as_array().expect("rows");
    let lines = |name: &str| rows.iter().find(|row| row["name"] == name).map(|row| row["lines"].as_u64().unwrap());
    for (name, expected) in [
        ("memory_copy", 10_000),
        ("newline_count", 10_000),
        ("inflate", 3_000),
        ("read", 7_000),
        ("decode", 3_000),
        ("chunk", 10_000),
        ("parse", 10_000),
        ("parse_serialize", 10_000),
        ("parse_serialize_apart", 20_000),
        ("whole_1", 10_000),
        ("whole_n", 10_000),
    ] {
        assert_eq!(lines(name), Some(expected), "{name}");
    }
    assert!(rows.iter().all(|row| row["gb_per_second"].as_f64().is_some_and(|speed| speed > 0.0)));
}

#[test]
fn a_large_source_is_measured_by_its_start() {
    let output = bench(&["-", "--bytes", "64KiB", "--rows", "parse_serialize,whole_1"], &log(5_000));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("the first of more"), "{told}");
    assert!(told.contains("parse and serialize") && !told.contains("memory copy"), "{told}");
}

#[test]
fn where_there_is_nothing_to_measure_it_says_so() {
    for (arguments, code, says) in [
        (&["/nonexistent.log"][..], 1, "cannot read /nonexistent.log: no such file"),
        (&["-"], 1, "nothing to measure with"),
        (&["-", "--rows", "parze"], 1, "nothing to measure with"),
    ] {
        let output = bench(arguments, b"");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(says), "{arguments:?} should say {says:?}: {told}");
    }
    let output = bench(&["-", "--rows", "parze"], &log(10));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("these are: memory_copy"), "{told}");
}
