//! A log whose figures are known is loaded, and the figures are found again by search. The same log loaded again
//! doubles nothing.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::logs::{self, Options, Summary};
use crate::support::{Folder, Node, not_tested};

/// The same figures that a summary of generated lines has, found by search.
fn assert_figures(node: &Node, index: &str, expected: &Summary) {
    let answer = node.aggregate(
        index,
        &json!({
            "bytes": {"sum": {"field": "bytes"}},
            "without_bytes": {"missing": {"field": "bytes"}},
        }),
    );
    assert_eq!(answer["hits"]["total"]["value"], expected.good);
    assert_eq!(answer["aggregations"]["bytes"]["value"].as_f64(), Some(expected.response_bytes as f64));
    assert_eq!(answer["aggregations"]["without_bytes"]["doc_count"], expected.without_bytes);
    let response = expected.response.iter().map(|(status, lines)| (status.to_string(), *lines));
    assert_eq!(node.counts_by(index, "response"), response.collect());
    let months: BTreeMap<String, u64> = node.counts_by(index, "_index");
    let expected_months = expected.months.iter().map(|(month, lines)| (node.name(month), *lines));
    assert_eq!(months, expected_months.collect(), "each month's documents are in its index");
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_generated_log_by_its_figures_and_again() {
    let node = Node::shared("figures");
    let folder = Folder::new();
    let (log, summary) = logs::odd(20_000, 11);
    folder.write_settled("access.log", &log);
    let index = node.name("%Y-%m");
    let load = ["load", "access.log", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let load = [&load[..], &["--max-malformed", "100%"]].concat();

    let first = folder.run(&load).ends_with(0).report();
    first.has(&format!(
        "lines_read {}, indexed {}, duplicate 0, rejected 0, malformed {}, blank {}, bytes_read {}",
        summary.lines, summary.good, summary.malformed, summary.blank, summary.bytes
    ));
    assert_figures(&node, &node.name("*"), &summary);

    let again = folder.run(&load).ends_with(0).report();
    again.has(&format!(
        "lines_read {}, indexed 0, duplicate {}, rejected 0, malformed {}, blank {}",
        summary.lines, summary.good, summary.malformed, summary.blank
    ));
    assert_figures(&node, &node.name("*"), &summary);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_pipe_loaded_twice_doubles_nothing() {
    let node = Node::shared("pipe-twice");
    let folder = Folder::new();
    let (log, summary) = logs::usual(5_000, 12);
    let index = node.name("%Y-%m");
    let load = ["load", "-", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let first = folder.run_with_stdin(&load, &log).ends_with(0).report();
    first.has(&format!("lines_read {}, indexed {}, duplicate 0", summary.lines, summary.good));
    let again = folder.run_with_stdin(&load, &log).ends_with(0).report();
    again.has(&format!("lines_read {}, indexed 0, duplicate {}", summary.lines, summary.good));
    assert_figures(&node, &node.name("*"), &summary);
}

/// Each document is addressed by what the generator says, also where nobody looks it up: no server is needed.
#[test]
fn the_report_has_a_generated_log_s_figures() {
    let folder = Folder::new();
    for format in logs::Format::ALL {
        let (log, summary) = logs::generate(Options { lines: Some(3_000), format, seed: 3, ..Options::odd() });
        folder.write_settled("access.log", &log);
        for guess in [&["--format", format.name()][..], &[]] {
            let ran = folder.run(&[&["load", "access.log", "--to", "null:", "--json"], guess].concat());
            ran.report().has(&format!(
                "lines_read {}, indexed {}, malformed {}, blank {}, bytes_read {}",
                summary.lines, summary.good, summary.malformed, summary.blank, summary.bytes
            ));
        }
    }
}

/// The figures of a real log of 102,233 lines.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn the_sample_log_by_its_figures_and_again() {
    let Some(sample) = sample() else { return };
    let node = Node::shared("sample");
    let folder = Folder::new();
    let index = node.name("%Y-%m");
    let load = ["load", &sample, "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let first = folder.run(&load).ends_with(0).report();
    first.has("lines_read 102233, indexed 102231, duplicate 0, rejected 0, malformed 1, blank 1");

    let all = node.name("*");
    let answer = node.aggregate(
        &all,
        &json!({
            "bytes": {"sum": {"field": "bytes"}},
            "without_bytes": {"missing": {"field": "bytes"}},
            "clients": {"cardinality": {"field": "clientip", "precision_threshold": 40_000}},
            "from": {"min": {"field": "@timestamp", "format": "date_time_no_millis"}},
            "to": {"max": {"field": "@timestamp", "format": "date_time_no_millis"}},
            "quoted": {"filter": {"bool": {"should": [
                {"prefix": {"agent": "\""}}, {"wildcard": {"agent": "*\""}},
                {"prefix": {"referrer": "\""}}, {"wildcard": {"referrer": "*\""}},
            ]}}},
        }),
    );
    let found = &answer["aggregations"];
    assert_eq!(answer["hits"]["total"]["value"], 102_231);
    assert_eq!(found["bytes"]["value"].as_f64(), Some(64_308_351_113.0));
    assert_eq!(found["without_bytes"]["doc_count"], 137);
    assert_eq!(found["clients"]["value"], 2_375);
    assert_eq!(found["from"]["value_as_string"], "2020-12-19T12:57:26Z");
    assert_eq!(found["to"]["value_as_string"], "2021-01-22T14:26:09Z");
    // Some clients put quotes into their own names, which httpd escapes; those are part of the value.
    assert_eq!(found["quoted"]["doc_count"], 21, "the log's own quotes are not part of any value");
    let responses = [
        ("200", 90_478),
        ("404", 5_627),
        ("206", 3_102),
        ("303", 1_858),
        ("301", 965),
        ("304", 136),
        ("403", 63),
        ("400", 1),
        ("405", 1),
    ];
    assert_eq!(node.counts_by(&all, "response"), responses.map(|(status, lines)| (status.to_owned(), lines)).into());
    assert_eq!((node.count(&node.name("2020-12")), node.count(&node.name("2021-01"))), (44_876, 57_355));

    let again = folder.run(&load).ends_with(0).report();
    again.has("lines_read 102233, indexed 0, duplicate 102231, rejected 0, malformed 1, blank 1");

    // A pipe is another source than the file; loaded twice, the second time nothing is new.
    let mut log = Vec::new();
    let packed = std::fs::File::open(&sample).expect("the sample can be read");
    std::io::copy(&mut flate2::read::MultiGzDecoder::new(packed), &mut log).expect("the sample is intact");
    let index = node.name("pipe-%Y-%m");
    let load = ["load", "-", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let first = folder.run_with_stdin(&load, &log).ends_with(0).report();
    first.has("lines_read 102233, indexed 102231, duplicate 0, malformed 1, blank 1");
    let again = folder.run_with_stdin(&load, &log).ends_with(0).report();
    again.has("lines_read 102233, indexed 0, duplicate 102231, malformed 1, blank 1");
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn equal_lines_of_the_sample_become_one_document_by_content() {
    let Some(sample) = sample() else { return };
    let node = Node::shared("sample-content");
    let folder = Folder::new();
    let index = node.name("%Y-%m");
    let ran = folder.run(&[
        "load",
        &sample,
        "--to",
        &node.url,
        "--index",
        &index,
        "--id",
        "content",
        "--no-ledger",
        "--json",
    ]);
    ran.ends_with(0).report().has("lines_read 102233, indexed 62023, duplicate 40208, malformed 1, blank 1");
}

fn sample() -> Option<String> {
    let sample = std::env::var("LOGHAUL_SAMPLE_LOG").ok();
    if sample.is_none() {
        not_tested("the figures of the sample log: LOGHAUL_SAMPLE_LOG is not set to its file");
    }
    sample
}

/// Two at a time on the same log: each line is there once, and each of the two can tell what it did.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn two_loads_of_one_log_at_a_time() {
    let node = Node::shared("two-loads");
    let folder = Folder::new();
    let (log, summary) = logs::usual(6_000, 13);
    folder.write_settled("access.log", &log);
    let index = node.name("%Y-%m");
    let load = ["load", "access.log", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let load = [&load[..], &["--bulk-bytes", "256KiB"]].concat();
    let reports = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| folder.run(&load).ends_with(0).report()));
        runs.map(|run| run.join().expect("both ended"))
    });
    let sum = |name: &str| reports.iter().map(|report| report.count(name)).sum::<u64>();
    assert_eq!((sum("indexed"), sum("duplicate"), sum("rejected")), (summary.good, summary.good, 0));
    assert_figures(&node, &node.name("*"), &summary);
}
