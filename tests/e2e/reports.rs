//! Summaries, JSON, exit codes, help.

use clap::Parser;

use crate::support::logs;
use crate::support::{Folder, assert_law};

#[test]
fn the_summary_has_each_term_of_the_law() {
    let folder = Folder::new();
    let (log, summary) = logs::odd(2_000, 51);
    folder.write_settled("access.log", &log);
    for arguments in [&["load", "access.log", "--to", "null:"][..], &["parse", "access.log"]] {
        let ran = folder.run(&[arguments, &["--max-malformed", "100%"]].concat()).ends_with(0);
        let told =
            if arguments[0] == "parse" { ran.stderr.clone() } else { String::from_utf8(ran.stdout.clone()).unwrap() };
        for term in ["read", "indexed", "duplicate", "rejected", "malformed", "blank"] {
            assert!(told.contains(term), "{term} is missing: {}", ran.told());
        }
        for number in [summary.good, summary.malformed, summary.blank] {
            let grouped = grouped(number);
            assert!(told.contains(&grouped), "{grouped} is missing: {}", ran.told());
        }
    }
}

/// `12,345`
fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

/// Documents on standard output stay alone there: whatever else is said goes to standard error.
#[test]
fn the_report_keeps_off_the_documents() {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(50));
    for arguments in [&["parse", "access.log"][..], &["load", "access.log", "--to", "-"]] {
        for flags in [&[][..], &["--json"], &["--quiet"], &["--verbose"], &["-vv"]] {
            let ran = folder.run(&[arguments, flags].concat()).ends_with(0);
            assert_eq!(ran.documents().len(), 50, "{}", ran.told());
            if flags == ["--json"] {
                ran.report().has("lines_read 50, indexed 50");
                assert!(ran.stderr.starts_with('{') && ran.stderr.ends_with("}\n"), "JSON alone: {}", ran.told());
                let whole: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one object");
                assert_eq!(whole["files"].as_array().map(Vec::len), Some(1));
            }
        }
    }
    let ran = folder.run(&["load", "access.log", "--to", "null:", "--json"]).ends_with(0);
    serde_json::from_slice::<serde_json::Value>(&ran.stdout).expect("JSON alone on standard output");
}

#[test]
fn quiet_says_nothing_when_all_went_well() {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(50));
    folder.write_settled("bad.log", "junk\n".repeat(50));
    for flag in ["--quiet", "-q"] {
        let ran = folder.run(&["load", "access.log", "--to", "null:", flag]).ends_with(0);
        assert_eq!((ran.stdout.as_slice(), ran.stderr.as_str()), (&b""[..], ""), "{}", ran.told());
        let ran = folder.parse(&["access.log", flag]).ends_with(0);
        assert_eq!((ran.lines().len(), ran.stderr.as_str()), (50, ""), "{}", ran.told());
        folder.run(&["load", "bad.log", "--to", "null:", flag]).ends_with(3).tells(&["bad.log"]);
    }
}

#[test]
fn the_json_has_what_scripts_rely_on() {
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(3) + "\njunk\n");
    folder.write_settled("b.log", logs::lines(2));
    let ran = folder.run(&["load", "a.log", "b.log", "missing.log", "--to", "null:", "--json"]).ends_with(1);
    let report = ran.report();
    report.has("lines_read 7, indexed 5, duplicate 0, rejected 0, malformed 1, blank 1, retries 0");
    let run = &report.0;
    assert!(run["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 60.0), "{run:#}");
    assert!(run["documents_bytes"].as_u64() > run["bytes_read"].as_u64(), "{run:#}");
    assert_eq!(run["bytes_read"], logs::lines(3).len() + logs::lines(2).len() + "\njunk\n".len());
    assert_eq!(run["indices"]["apache-access-log-2024-03"], 5);
    assert_eq!(report.files().len(), 3);
    crate::support::law::has(report.file("a.log"), "lines_read 5, indexed 3, malformed 1, blank 1");
    crate::support::law::has(report.file("b.log"), "lines_read 2, indexed 2, malformed 0, blank 0");
    assert_eq!(report.file("a.log")["status"], "loaded");
    assert_eq!(report.file("missing.log")["status"], "failed");
}

/// A report in which something is missing must not pass the check that all tests here rely on.
#[test]
#[should_panic(expected = "lines read = all outcomes")]
fn the_law_notices() {
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(3));
    let mut report = folder.run(&["load", "a.log", "--to", "null:", "--json"]).ends_with(0).report();
    report.0["files"][0]["indexed"] = 2.into();
    assert_law(&report, Some(0));
}

#[test]
fn too_many_malformed_lines_are_exit_code_3() {
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(90) + &"junk\n".repeat(10));
    folder.write_settled("good.log", logs::lines(1_000));
    for (flags, code) in [
        (&[][..], 0), // 10 % is the limit, not beyond
        (&["--max-malformed", "9.9%"], 3),
        (&["--max-malformed", "0.2"], 0),
        (&["--max-malformed", "0"], 3),
        (&["--max-malformed", "100%"], 0),
        // Each file by itself: a good one does not make up for a bad one.
        (&["good.log", "--max-malformed", "9%"], 3),
    ] {
        let arguments = [&["load", "a.log", "--to", "null:", "--json"], flags].concat();
        folder.run(&arguments).ends_with(code).report().has("malformed 10");
    }
    folder.run(&["load", "a.log", "--to", "null:", "--max-malformed", "10"]).ends_with(2).says(&["10%"]);
}

#[test]
fn wrong_usage_is_exit_code_2_with_a_hint() {
    let folder = Folder::new();
    let cases: [(&[&str], &[&str]); 12] = [
        (&["load", "a.log"], &["--to"]),
        (&["load", "--to", "null:"], &["SOURCE"]),
        (&["load", "a.log", "--to", "localhost:9200"], &["http://localhost:9200"]),
        (&["load", "a.log", "--to", "ftp://host"], &["http://"]),
        (&["load", "a.log", "--to", "documents.ndjson"], &["--to - >"]),
        (&["load", "a.log", "--to", "http://host:port"], &["port"]),
        (&["load", "-", "-", "--to", "null:"], &["twice"]),
        (&["load", "a.log", "--to", "null:", "--format", "nginx"], &["combined", "vhost_combined"]),
        (&["load", "a.log", "--to", "null:", "--memory", "1MiB"], &["MiB"]),
        (&["load", "a.log", "--to", "null:", "--bogus"], &["--bogus"]),
        (&["load", "a.log", "b.log", "--to", "null:", "--source-name", "x"], &["--source-name"]),
        (&["parse", "a.log", "--malformed", "a.log"], &[]),
    ];
    folder.write_settled("a.log", logs::lines(3));
    folder.write_settled("b.log", logs::lines(3));
    for (arguments, says) in cases {
        let ran = folder.run(arguments).ends_with(2).says(says);
        assert!(ran.stdout.is_empty(), "nothing on standard output: {}", ran.told());
    }
    assert_eq!(folder.read("a.log"), logs::lines(3), "a source is never written to");
}

#[test]
fn version_and_help() {
    let folder = Folder::new();
    let version = folder.run(&["--version"]).ends_with(0);
    assert_eq!(version.lines(), [concat!("loghaul ", env!("CARGO_PKG_VERSION"), "\n")]);
    for command in ["load", "parse", "setup"] {
        folder.run(&[command, "--help"]).ends_with(0).tells(&["Examples:", &format!("loghaul {command}")]);
        folder.run(&[command, "-h"]).ends_with(0).tells(&[&format!("loghaul {command}")]);
    }
    folder.run(&["--help"]).ends_with(0).tells(&["load", "parse", "setup", "Exit codes", "130"]);
    folder.run(&[]).ends_with(2).says(&["loghaul load", "--help"]);
}

/// An example that the program itself refuses is worse than none.
#[test]
fn every_example_in_help_is_taken() {
    let folder = Folder::new();
    let mut examples = 0;
    for arguments in [&[][..], &["load", "--help"], &["parse", "--help"], &["setup", "--help"]] {
        let ran = folder.run(arguments);
        let text = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
        let lines = text.lines().filter(|line| line.starts_with("  ") && line.contains("loghaul "));
        // What stands beside an example in a table says what it does.
        examples += lines.filter(|line| is_taken(line.trim_start().split("   ").next().unwrap_or(line))).count();
    }
    assert!(examples >= 12, "only {examples} examples were found");
}

#[test]
fn every_example_in_the_readme_is_taken() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap_or_default().replace("\\\n", " ").replace("\\|", "|");
    // Between fences, and between backticks, every second piece is code.
    let (text, code): (Vec<_>, Vec<_>) = readme.split("```").enumerate().partition(|(n, _)| n % 2 == 0);
    let spans = text.iter().flat_map(|(_, text)| text.split('`').skip(1).step_by(2));
    for line in code.iter().flat_map(|(_, code)| code.lines()).chain(spans).filter(|line| !line.contains('…')) {
        is_taken(line.trim_start_matches("$ "));
    }
}

/// Whether there is a command in a line of an example.
///
/// # Panics
/// If there is one, and it is wrong usage.
fn is_taken(line: &str) -> bool {
    let start = if line.starts_with("loghaul ") { Some(0) } else { line.find("| loghaul ").map(|at| at + 2) };
    let Some(command) = start.map(|start| &line[start..]) else { return false };
    let words: Vec<String> =
        words(command).into_iter().take_while(|word| !matches!(&**word, "|" | ">" | "2>" | "<" | "#" | "&&")).collect();
    // Prose, or the usage line.
    if words.len() < 3 || words.iter().any(|word| word.starts_with('[') || word == "COMMAND") {
        return false;
    }
    let typed: Vec<&str> = words.iter().map(|word| if word == "URL" { "http://h:9200" } else { word }).collect();
    loghaul::cli::Cli::try_parse_from(&typed).unwrap_or_else(|error| panic!("{line}\n{error}"));
    true
}

/// A command line as a shell splits it, as far as the examples need: blanks, single and double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => (quote, any) = (Some(c), true),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (_, c) => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}
