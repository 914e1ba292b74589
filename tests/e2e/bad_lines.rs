//! Lines that are too long, cut, or no access lines.

use serde_json::Value;

use crate::support::{Folder, logs};

/// Each malformed line is kept where it was asked for: where it was, why, and itself.
#[test]
fn malformed_lines_are_kept() {
    let folder = Folder::new();
    let good = logs::lines(3);
    let junk = [
        "not an access line",
        "\u{1b}[31mred \"quoted\" \\ é",
        "192.0.2.1 - - [99/Foo/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"a\"",
    ];
    let cut = &logs::line(4)[..40];
    folder.write_settled("a.log", format!("{}\n{good}{}\n\n{}\n", junk[0], junk[1], junk[2]));
    folder.write("b.log.gz", logs::gzip(format!("{good}{good}{cut}").as_bytes(), 1));
    let ran = folder.run(&[
        "load",
        "a.log",
        "b.log.gz",
        "--to",
        "null:",
        "--json",
        "--malformed",
        "bad.ndjson",
        "--max-malformed",
        "100%",
    ]);
    ran.ends_with(0).report().has("lines_read 14, indexed 9, malformed 4, blank 1");

    let kept = folder.read("bad.ndjson");
    assert!(kept.ends_with('\n'));
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect();
    let at = |source: &str, offset: usize| {
        let mut found = kept.iter().filter(|kept| {
            kept["source"].as_str().is_some_and(|uri| uri.ends_with(source)) && kept["offset"] == offset
        });
        let line = found.next().unwrap_or_else(|| panic!("nothing of {source} at {offset}: {kept:#?}"));
        assert_eq!(line.as_object().expect("an object").len(), 4, "source, offset, reason, line: {line:#}");
        assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line:#}");
        &line["line"]
    };
    assert_eq!(kept.len(), 4);
    let after_first = junk[0].len() + 1 + good.len();
    assert_eq!(at("a.log", 0), junk[0]);
    assert_eq!(at("a.log", after_first), junk[1]);
    assert_eq!(at("a.log", after_first + junk[1].len() + 2), junk[2]);
    assert_eq!(at("b.log.gz", 2 * good.len()), cut);

    // A second run begins the file anew.
    folder.run(&["parse", "a.log", "--malformed", "bad.ndjson", "--max-malformed", "100%"]).ends_with(0);
    assert_eq!(folder.read("bad.ndjson").lines().count(), 3);
    // Where all is well there is a file, and nothing in it.
    folder.write_settled("good.log", &good);
    folder.run(&["parse", "good.log", "--malformed", "none.ndjson"]).ends_with(0);
    assert_eq!(folder.read("none.ndjson"), "");
}

/// Log content on a terminal is escaped: a line must not be able to command it.
#[test]
fn samples_are_shown_escaped() {
    let folder = Folder::new();
    folder.write_settled("a.log", "\x1b]0;owned\x07\x1b[2J junk\n".repeat(20));
    let ran = folder.run(&["load", "a.log", "--to", "null:"]).ends_with(3);
    assert!(!ran.stdout.contains(&0x1b) && !ran.stdout.contains(&0x07), "{}", ran.told());
    ran.tells(&["owned"]);
}

#[test]
fn lines_over_the_limit_are_malformed_and_skipped() {
    let folder = Folder::new();
    let long = |bytes: usize| {
        let line = logs::line(1);
        format!("{}{}{}\n", &line[..line.len() - 5], "x".repeat(bytes - line.len()), &line[line.len() - 5..])
    };
    // At the limit, one beyond it, and far beyond any buffer; good ones between.
    let text = [logs::lines(2), long(10_000), logs::lines(1), long(10_001), long(9_000_000), logs::lines(3)].concat();
    for (name, bytes) in [("mapped.log", text.clone().into_bytes()), ("packed.gz", logs::gzip(text.as_bytes(), 2))] {
        folder.write_settled(name, &bytes);
        let flags = ["--max-line-bytes", "10000", "--malformed", "bad.ndjson", "--max-malformed", "50%", "--json"];
        let ran = folder.run(&[&["load", name, "--to", "null:"], &flags[..]].concat()).ends_with(0);
        ran.report().has("lines_read 9, indexed 7, malformed 2, blank 0");
        let kept = folder.read("bad.ndjson");
        let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect();
        assert_eq!(kept.len(), 2, "{name}");
        for kept in kept {
            assert_eq!(kept["reason"], "too_long", "{name}");
            assert_eq!(kept["line"].as_str().map(str::len), Some(4_096), "{name}: the first 4 KiB are kept");
        }
        let piped = folder.run_with_stdin(&[&["load", "-", "--to", "null:"], &flags[..]].concat(), &bytes).ends_with(0);
        piped.report().has("lines_read 9, indexed 7, malformed 2");
    }
    // By default a line may have 1 MiB.
    folder.write_settled("default.log", [long(1 << 20), long((1 << 20) + 1)].concat());
    let ran = folder.run(&["load", "default.log", "--to", "null:", "--json", "--max-malformed", "50%"]).ends_with(0);
    ran.report().has("lines_read 2, indexed 1, malformed 1");
    folder
        .run(&["load", "default.log", "--to", "null:", "--json", "--max-line-bytes", "16MiB"])
        .ends_with(0)
        .report()
        .has("indexed 2");
}

/// A last line without line end is a line where nobody will write more of it, and else left and told.
#[test]
fn the_last_line_without_line_end() {
    let folder = Folder::new();
    let text = logs::lines(3) + &logs::line(3);
    folder.write("growing.log", &text);
    let report = folder.run(&["load", "growing.log", "--to", "null:", "--json"]).ends_with(0).report();
    report.has(&format!("lines_read 3, indexed 3, bytes_read {}", logs::lines(3).len()));
    folder.run(&["load", "growing.log", "--to", "null:"]).ends_with(0).tells(&["growing.log", "--take-last-line"]);

    folder.write_settled("settled.log", &text);
    folder.write("intact.gz", logs::gzip(text.as_bytes(), 2));
    folder.write("intact.zst", logs::zstd(text.as_bytes(), 2));
    for arguments in [&["settled.log"][..], &["intact.gz"], &["intact.zst"], &["growing.log", "--take-last-line"]] {
        let ran = folder.run(&[&["load", "--to", "null:", "--json"], arguments].concat()).ends_with(0);
        ran.report().has(&format!("lines_read 4, indexed 4, bytes_read {}", text.len()));
    }
    let ran = folder.run_with_stdin(&["load", "-", "--to", "null:", "--json"], text.as_bytes()).ends_with(0);
    ran.report().has("lines_read 4, indexed 4");
}

/// Traps that lie before the first line, or between lines.
#[test]
fn byte_order_marks_nuls_and_line_ends() {
    let folder = Folder::new();
    let (one, two) = (logs::line(1), logs::line(2));
    for (name, text) in [
        ("plain", format!("{one}\n{two}\n")),
        ("byte-order mark", format!("\u{feff}{one}\n{two}\n")),
        ("NULs before the first line, as copytruncate leaves them", format!("{}{one}\n{two}\n", "\0".repeat(100_000))),
        ("CR LF", format!("{one}\r\n{two}\r\n")),
        ("mixed", format!("{one}\r\n{two}\n")),
    ] {
        folder.write_settled("a.log", &text);
        let ran = folder.parse(&["a.log", "--ingestion-timestamp", "2024-06-01T00:00:00Z"]).ends_with(0);
        let documents = ran.documents();
        assert_eq!(documents.len(), 2, "{name}: {}", ran.told());
        assert_eq!((&documents[0]["bytes"], &documents[1]["bytes"]), (&1.into(), &2.into()), "{name}");
        assert_eq!(documents[0]["agent"], "test/1.0", "{name}");
        folder.run(&["load", "a.log", "--to", "null:", "--json"]).ends_with(0).report().has("malformed 0, indexed 2");
    }
}

/// Whatever comes out is JSON, whatever came in.
#[test]
fn mutated_lines_give_json_or_are_malformed() {
    let folder = Folder::new();
    let (log, _) = logs::odd(3_000, 71);
    let mut random = loghaul_testdata::Rng::new(72);
    let mut text = Vec::new();
    for line in log.split(|byte| *byte == b'\n') {
        let mut line = line.to_vec();
        loghaul_testdata::mutate(&mut random, &mut line);
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    folder.write_settled("a.log", &text);
    let flags =
        ["--json", "--max-malformed", "100%", "--malformed", "bad.ndjson", "--with", "message,source,extra,timestamp"];
    let ran = folder.parse(&[&["a.log"], &flags[..]].concat()).ends_with(0);
    let report = ran.report();
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    report.has(&format!("lines_read {lines}, indexed {}, bytes_read {}", ran.documents().len(), text.len()));
    let kept = folder.read("bad.ndjson");
    assert_eq!(kept.lines().count() as u64, report.count("malformed"));
    assert!(kept.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "NDJSON");
}
