//! Flags that change where documents go, and under which id.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::logs;
use crate::support::{Folder, Node};

fn line(time: &str) -> String {
    format!("192.0.2.1 - - [{time}] \"GET / HTTP/1.1\" 200 1 \"-\" \"a\"\n")
}

/// Two lines of each side of a year's end, as two zones wrote them.
fn year_s_end() -> String {
    [
        line("31/Dec/2020:23:59:59 +0000"),
        line("01/Jan/2021:00:00:00 +0000"),
        line("01/Jan/2021:00:30:00 +0100"), // 2020-12-31 23:30 UTC
        line("31/Dec/2020:23:30:00 -0100"), // 2021-01-01 00:30 UTC
        line("04/Jan/2021:00:00:00 +0000"),
        line("29/Feb/2020:12:00:00 +0000"),
    ]
    .concat()
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn index_names_are_of_event_time_in_utc() {
    let node = Node::shared("year");
    let folder = Folder::new();
    folder.write_settled("access.log", year_s_end());
    let cases: [(&str, &[(&str, u64)]); 5] = [
        ("m-%Y-%m", &[("m-2020-02", 1), ("m-2020-12", 2), ("m-2021-01", 3)]),
        ("d-%Y.%m.%d", &[("d-2020.02.29", 1), ("d-2020.12.31", 2), ("d-2021.01.01", 2), ("d-2021.01.04", 1)]),
        ("j-%Y-%j", &[("j-2020-060", 1), ("j-2020-366", 2), ("j-2021-001", 2), ("j-2021-004", 1)]),
        (
            "h-%Y-%m-%d-%H",
            &[("h-2020-02-29-12", 1), ("h-2020-12-31-23", 2), ("h-2021-01-01-00", 2), ("h-2021-01-04-00", 1)],
        ),
        ("fixed", &[("fixed", 6)]),
    ];
    for (pattern, expected) in cases {
        let expected: BTreeMap<String, u64> = expected.iter().map(|(name, n)| (node.name(name), *n)).collect();
        let index = node.name(pattern);
        let load = ["load", "access.log", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
        let report = folder.run(&load).ends_with(0).report();
        report.has("lines_read 6, indexed 6");
        assert_eq!(report.0["indices"], json!(expected), "{pattern}");
        let wildcard = node.name(&pattern[..pattern.find('%').unwrap_or(pattern.len())]) + "*";
        assert_eq!(node.counts_by(&wildcard, "_index"), expected, "{pattern}");
    }
}

#[test]
fn index_patterns_that_do_not_go() {
    let folder = Folder::new();
    for (index, says) in [
        ("Web-%Y", "case"),
        ("web-%q", "%"),
        ("web/%Y", "--index"),
        ("_web", "--index"),
        ("%Y-%m", "--index"),
        ("", "--index"),
        ("a,b", "--index"),
    ] {
        folder.run(&["load", "x.log", "--to", "http://127.0.0.1:1", "--index", index]).ends_with(2).says(&[says]);
    }
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn equal_lines_are_one_document_by_content_and_many_without_ids() {
    let node = Node::shared("ids");
    let folder = Folder::new();
    // 300 lines, 100 different.
    let log = logs::lines(100).repeat(3);
    folder.write_settled("access.log", &log);
    folder.write_settled("elsewhere/copy.log", &log);
    let load = |source: &str, index: &str, id: &str| {
        let index = node.name(index);
        let to = ["--to", &node.url, "--index", &index, "--no-ledger", "--json", "--id", id];
        folder.run(&[&["load", source], &to[..]].concat()).ends_with(0)
    };
    load("access.log", "content", "content").report().has("lines_read 300, indexed 100, duplicate 200");
    load("elsewhere/copy.log", "content", "content").report().has("lines_read 300, indexed 0, duplicate 300");
    load("access.log", "source", "source").report().has("lines_read 300, indexed 300, duplicate 0");
    load("access.log", "source", "source").report().has("lines_read 300, indexed 0, duplicate 300");
    load("elsewhere/copy.log", "source", "source").report().has("lines_read 300, indexed 300, duplicate 0");
    for _ in 0..2 {
        let ran = load("access.log", "none", "none");
        ran.report().has("lines_read 300, indexed 300, duplicate 0");
        ran.tells(&["at least once"]);
    }
    assert_eq!(node.count(&node.name("content")), 100);
    assert_eq!(node.count(&node.name("source")), 600);
    assert_eq!(node.count(&node.name("none")), 600);
}

/// A document that an ingest pipeline drops is rejected, with a reason; it never counts as indexed.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_pipeline_s_drops_are_rejected() {
    let node = Node::shared("pipeline");
    if !node.has_processor("drop") {
        return crate::support::not_tested("--pipeline: this OpenSearch has no module ingest-common");
    }
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(100));
    let pipeline = node.name("drop");
    let drops = json!({"processors": [{"drop": {"if": "ctx.bytes != null && ctx.bytes < 10"}}]});
    node.get("PUT", &format!("/_ingest/pipeline/{pipeline}"), Some(&drops));
    let index = node.name("%Y-%m");
    let load = ["load", "access.log", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let ran = folder.run(&[&load[..], &["--pipeline", &pipeline]].concat()).ends_with(3);
    ran.report().has("lines_read 100, indexed 90, rejected 10, duplicate 0");
    assert_eq!(node.count(&node.name("*")), 90);
}

/// Documents that a mapping cannot take are rejected with OpenSearch's own reason, and the others are indexed.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn what_the_mapping_cannot_take_is_rejected() {
    let node = Node::shared("mapping");
    let folder = Folder::new();
    let index = node.name("fixed");
    let mapping = json!({"mappings": {"properties": {"bytes": {"type": "byte"}, "@timestamp": {"type": "date"}}}});
    node.get("PUT", &format!("/{index}"), Some(&mapping));
    folder.write_settled("access.log", logs::lines(500)); // bytes are the line's number: 0 to 127 fit
    let load = ["load", "access.log", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let ran = folder.run(&[&load[..], &["--dead-letters", "dead.ndjson"]].concat()).ends_with(3);
    let report = ran.report();
    report.has("lines_read 500, indexed 128, rejected 372");
    // Why the first one was is told without opening a file.
    let notes = report.0["notes"].to_string();
    assert!(notes.contains("the first document rejected, from byte ") && notes.contains("of type [byte]"), "{notes}");
    assert_eq!(node.count(&index), 128);

    let letters = folder.read("dead.ndjson");
    assert_eq!(letters.lines().count(), 372);
    for letter in letters.lines() {
        let letter: serde_json::Value = serde_json::from_str(letter).expect("NDJSON");
        assert!(letter.to_string().contains("mapper_parsing_exception"), "{letter:#}");
    }
}
