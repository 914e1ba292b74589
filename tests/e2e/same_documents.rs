//! However a log is packed and brought, and however small the program is kept: the same documents.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::support::logs;
use crate::support::{Folder, Node, Ran};

/// Flags that make two runs comparable to the byte: everything in a document, and nothing that differs by run or path.
const ALIKE: [&str; 6] = [
    "--ingestion-timestamp",
    "2024-06-01T00:00:00Z",
    "--with",
    "message,source,extra,timestamp",
    "--source-name",
    "access.log",
];

/// Writes in pieces of 1 to 3,000 bytes, the first five of one byte each with pauses: whatever looks at the beginning
/// gets it in the smallest pieces.
fn in_odd_sizes(bytes: &[u8]) -> impl FnOnce(std::process::ChildStdin) + Send + use<'_> {
    move |mut stdin| {
        let mut random = fastrand::Rng::with_seed(7);
        let mut rest = bytes;
        for n in 0.. {
            let size = if n < 5 { 1 } else { random.usize(1..=3_000) };
            let (piece, after) = rest.split_at(size.min(rest.len()));
            if piece.is_empty() || stdin.write_all(piece).is_err() {
                return;
            }
            rest = after;
            if n < 5 {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The least memory that the program takes, as it says itself.
fn memory_min(folder: &Folder, arguments: &[&str]) -> String {
    let ran = folder.run(&[arguments, &["--memory", "1MiB"]].concat()).ends_with(2);
    let words: Vec<&str> = ran.stderr.split_whitespace().collect();
    let least = words.windows(2).find_map(|pair| {
        let unit = pair[1].trim_matches(|c: char| !c.is_alphabetic());
        (pair[0].parse::<u64>().is_ok_and(|number| number > 1) && unit.ends_with("iB"))
            .then(|| pair[0].to_owned() + unit)
    });
    least.unwrap_or_else(|| panic!("a refused --memory should say how much is needed: {}", ran.told()))
}

#[test]
fn plain_packed_and_piped() {
    let folder = Folder::new();
    let (log, summary) = logs::odd(6_000, 21);
    folder.write_settled("access.log", &log);
    let expected = folder.parse(&[&["access.log"], &ALIKE[..]].concat());
    assert_eq!(expected.lines().len() as u64, summary.good);

    let files = [
        ("read-not-mapped.log", log.clone()),
        ("one.gz", logs::gzip(&log, 1)),
        ("three-members.gz", logs::gzip(&log, 3)),
        ("many-members.gz", logs::gzip(&log, 400)),
        ("padded.gz", [logs::gzip(&log, 1), vec![0; 1_000]].concat()),
        ("one.zst", logs::zstd(&log, 1)),
        ("three-frames.zst", logs::zstd(&log, 3)),
        ("gzip-by-another-name.txt", logs::gzip(&log, 1)),
        ("plain-by-another-name.gz", log.clone()),
    ];
    for (name, bytes) in &files {
        folder.write(name, bytes);
        assert_same(&folder.parse(&[&[*name], &ALIKE[..]].concat()), &expected);
    }

    for bytes in [&log, &files[2].1, &files[6].1] {
        let command = folder.command([&["parse", "-"], &ALIKE[..]].concat());
        assert_same(&Ran::fed(command, in_odd_sizes(bytes)), &expected);
    }
    // A file on standard input is no pipe.
    let mut command = folder.command([&["parse", "-"], &ALIKE[..]].concat());
    command.stdin(std::fs::File::open(folder.path().join("access.log")).unwrap());
    let output = command.output().unwrap();
    assert!(output.stdout == expected.stdout, "a file as standard input gives the same documents");
}

#[test]
fn small_and_large() {
    let folder = Folder::new();
    let (log, summary) = logs::odd(6_000, 22);
    folder.write_settled("access.log", &log);
    folder.write("access.log.gz", logs::gzip(&log, 2));
    let parse = [&["parse", "access.log"], &ALIKE[..]].concat();
    let expected = folder.run(&parse);
    assert_eq!(expected.lines().len() as u64, summary.good);
    let least = memory_min(&folder, &parse);
    for flags in [
        &["--threads", "1"][..],
        &["--threads", "7"],
        &["--memory", &least],
        &["--memory", &least, "--threads", "1"],
        &["--memory", "1GiB"],
        &["--take-last-line"],
    ] {
        for source in ["access.log", "access.log.gz"] {
            assert_same(&folder.run(&[&["parse", source], &ALIKE[..], flags].concat()), &expected);
        }
    }
}

#[test]
fn cr_lf_is_a_line_end() {
    let folder = Folder::new();
    let options = logs::Options { lines: Some(4_000), seed: 23, ..logs::Options::odd() };
    let (log, summary) = logs::generate(options.clone());
    let (log_crlf, summary_crlf) = logs::generate(logs::Options { crlf: true, ..options });
    assert_eq!(summary.good, summary_crlf.good);
    folder.write_settled("access.log", &log);
    folder.write_settled("windows.log", &log_crlf);
    // Offsets differ, of course.
    let flags = ["--ingestion-timestamp", "2024-06-01T00:00:00Z", "--with", "message,extra,timestamp"];
    let expected = folder.parse(&[&["access.log"], &flags[..]].concat());
    assert_same(&folder.parse(&[&["windows.log"], &flags[..]].concat()), &expected);
    let piped = Ran::fed(folder.command([&["parse", "-"], &flags[..]].concat()), in_odd_sizes(&log_crlf));
    assert_same(&piped, &expected);
}

/// A hundred chunks of one file, parsed by many threads: all of them, in the order of the lines.
#[test]
fn one_large_file_on_all_cores() {
    let folder = Folder::new();
    let (log, summary) = logs::generate(logs::Options { bytes: Some(24 << 20), seed: 24, ..logs::Options::default() });
    folder.write_settled("access.log", &log);
    let one = folder.parse(&[&["access.log", "--threads", "1"], &ALIKE[..]].concat());
    let many = folder.parse(&[&["access.log", "--threads", "8"], &ALIKE[..]].concat());
    assert_same(&many, &one);
    assert_eq!(one.stdout.iter().filter(|byte| **byte == b'\n').count() as u64, summary.good);
    folder
        .run(&["load", "access.log", "--to", "null:", "--json"])
        .ends_with(0)
        .report()
        .has(&format!("lines_read {}, indexed {}, bytes_read {}", summary.lines, summary.good, summary.bytes));
}

/// The same ids, too: whatever is loaded after the first is there already.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn the_same_ids() {
    let node = Node::shared("same-ids");
    let folder = Folder::new();
    let (log, summary) = logs::odd(4_000, 25);
    folder.write_settled("access.log", &log);
    folder.write("three.gz", logs::gzip(&log, 3));
    folder.write("one.zst", logs::zstd(&log, 1));
    let index = node.name("%Y-%m");
    let to = ["--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let load = |source: &str, flags: &[&str]| [&["load", source], &ALIKE[..], &to, flags].concat().join("\n");
    let run = |line: String| folder.run_with_stdin(&line.split('\n').collect::<Vec<_>>(), &log).report();

    run(load("access.log", &[])).has(&format!("indexed {}, duplicate 0, rejected 0", summary.good));
    let plain = [&["load", "access.log"], &ALIKE[..], &to].concat();
    let least = memory_min(&folder, &plain);
    for (source, flags) in [
        ("three.gz", &[][..]),
        ("one.zst", &[]),
        ("-", &[]),
        ("access.log", &["--threads", "1", "--writers", "1", "--bulk-bytes", "64KiB"]),
        ("access.log", &["--memory", &least]),
        ("access.log", &["--compress", "gzip"]),
        ("access.log", &["--writers", "4"]),
    ] {
        let report = run(load(source, flags));
        report.has(&format!("lines_read {}, indexed 0, duplicate {}, rejected 0", summary.lines, summary.good));
    }
    assert_eq!(node.count(&node.name("*")), summary.good);
    // Another name, another namespace: another log.
    let mut other = load("access.log", &["--namespace", "web2"]);
    run(other).has(&format!("indexed {}, duplicate 0", summary.good));
    other = load("access.log", &[]).replace("--source-name\naccess.log", "--source-name\nother.log");
    run(other).has(&format!("indexed {}, duplicate 0", summary.good));
}

/// A file keeps its ids when it is packed in place: the suffix is no part of its name.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_file_that_was_packed_since_is_the_same() {
    let node = Node::shared("packed");
    let folder = Folder::new();
    let log = logs::lines(500);
    folder.write_settled("logs/access.log", &log);
    let index = node.name("%Y-%m");
    let load = |source: &str| {
        folder
            .run(&["load", source, "--to", &node.url, "--index", &index, "--no-ledger", "--json"])
            .ends_with(0)
            .report()
    };
    load("logs/access.log").has("lines_read 500, indexed 500, duplicate 0");
    folder.write("logs/access.log.gz", logs::gzip(log.as_bytes(), 1));
    folder.write("logs/access.log.zst", logs::zstd(log.as_bytes(), 1));
    load("logs/access.log.gz").has("lines_read 500, indexed 0, duplicate 500");
    load("logs/../logs/access.log.zst").has("lines_read 500, indexed 0, duplicate 500");
}

#[track_caller]
fn assert_same(ran: &Ran, expected: &Ran) {
    if ran.stdout == expected.stdout {
        return;
    }
    let (lines, expected_lines) = (ran.lines(), expected.lines());
    let first = std::iter::zip(&lines, &expected_lines).position(|(line, expected)| line != expected);
    let at = first.unwrap_or(lines.len().min(expected_lines.len()));
    panic!(
        "{}: {} documents instead of {}, the first difference is at {at}:\n{}\ninstead of\n{}\n{}",
        ran.line,
        lines.len(),
        expected_lines.len(),
        lines.get(at).unwrap_or(&"nothing"),
        expected_lines.get(at).unwrap_or(&"nothing"),
        ran.stderr
    );
}
