//! What is in the node is what `parse` prints: nothing more, nothing less, nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::logs::{self, Options};
use crate::support::{Folder, Node};

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn the_documents_of_an_odd_log() {
    let node = Node::shared("documents");
    let folder = Folder::new();
    let (log, summary) = logs::generate(Options { lines: Some(5_000), seed: 31, share_long: 500, ..Options::odd() });
    folder.write_settled("access.log", &log);
    let flags = ["--ingestion-timestamp", "2024-06-01T00:00:00Z", "--with", "message,source,extra,timestamp"];
    let flags =
        [&flags[..], &["--field", "site=shop \"é\"", "--field", "service.name=web", "--log-type", "odd"]].concat();
    let index = node.name("%Y-%m");
    let to = ["--to", &node.url, "--index", &index, "--no-ledger", "--json"];

    let printed = folder.parse(&[&["access.log"], &flags[..]].concat()).documents();
    folder
        .run(&[&["load", "access.log"], &flags[..], &to].concat())
        .report()
        .has(&format!("lines_read {}, indexed {}, rejected 0", summary.lines, summary.good));

    let stored = node.documents(&node.name("*"));
    assert_eq!(stored.len() as u64, summary.good);
    let mut expected: BTreeMap<u64, &Value> = BTreeMap::new();
    for document in &printed {
        let offset = document["log.offset"].as_u64().expect("an offset");
        assert!(expected.insert(offset, document).is_none(), "two documents at {offset}");
    }
    for (id, (index, document)) in &stored {
        let offset = document["log.offset"].as_u64().expect("an offset");
        let printed = expected.remove(&offset).unwrap_or_else(|| panic!("no such line: {document:#}"));
        // As text, so that a number that was written otherwise shows, and the order of the fields.
        assert_eq!(document.to_string(), printed.to_string(), "{id}");
        assert_eq!(*index, node.name(&utc_month(&document["@timestamp"])), "{document:#}");
        assert_eq!((id.len(), base64_url(id)), (24, true), "{id} is 18 bytes as base64url");
    }
    assert!(expected.is_empty(), "not in the node: {expected:#?}");
}

fn utc_month(timestamp: &Value) -> String {
    let timestamp: jiff::Timestamp = timestamp.as_str().expect("a time").parse().expect("RFC 3339");
    timestamp.strftime("%Y-%m").to_string()
}

fn base64_url(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// 100 kB is more than Lucene takes as one term and less than any log's limit: the document is there, whole, and found
/// by its other fields.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn fields_of_100_kb_are_indexed_and_found() {
    let node = Node::shared("long-fields");
    let folder = Folder::new();
    let long = "x".repeat(100_000);
    // 25,000 characters of four bytes are also one; and as httpd escapes them the line is four times as long.
    let escaped = r"\xf0\x9f\x9a\x9a".repeat(10_000);
    let time = "[05/Mar/2024:10:00:00 +0000]";
    let log = [
        format!("192.0.2.1 - - {time} \"GET /{long} HTTP/1.1\" 200 1 \"-\" \"a\"\n"),
        format!("192.0.2.2 - - {time} \"GET / HTTP/1.1\" 200 1 \"http://h/{long}\" \"a\"\n"),
        format!("192.0.2.3 - - {time} \"GET / HTTP/1.1\" 200 1 \"-\" \"{long}\"\n"),
        format!("192.0.2.4 - {long} {time} \"GET / HTTP/1.1\" 200 1 \"-\" \"a\"\n"),
        format!("192.0.2.5 - - {time} \"{long}\" 400 1 \"-\" \"-\"\n"),
        format!("192.0.2.6 - - {time} \"GET / HTTP/1.1\" 200 1 \"-\" \"{escaped}\"\n"),
        format!("192.0.2.7 - - {time} \"GET / HTTP/1.1\" 200 1 \"-\" \"a\" \"{long}\"\n"),
    ];
    folder.write_settled("access.log", log.concat());
    let index = node.name("%Y-%m");
    let with = ["--with", "message,extra", "--no-ledger", "--json"];
    folder
        .run(&[&["load", "access.log", "--to", &node.url, "--index", &index], &with[..]].concat())
        .ends_with(0)
        .report()
        .has("lines_read 7, indexed 7, rejected 0, malformed 0");
    assert_eq!(node.count(&node.name("2024-03")), 7);
    let documents = node.documents(&node.name("*"));
    let length = |client: &str, field: &str| {
        let mut documents = documents.values().map(|(_, document)| document);
        let found = documents.find(|document| document["clientip"] == client).expect("each client has its document");
        found[field].as_str().unwrap_or_else(|| panic!("{client} has no {field}")).chars().count()
    };
    assert_eq!(length("192.0.2.1", "request"), 100_001);
    assert_eq!(length("192.0.2.2", "referrer"), 100_009);
    assert_eq!(length("192.0.2.3", "agent"), 100_000);
    assert_eq!(length("192.0.2.4", "auth"), 100_000);
    assert_eq!(length("192.0.2.5", "rawrequest"), 100_000);
    assert_eq!(length("192.0.2.6", "agent"), 10_000);
    assert_eq!(length("192.0.2.7", "extra"), 100_002);
    assert_eq!(node.counts_by(&node.name("*"), "clientip").len(), 7, "each is found by its client");
}
