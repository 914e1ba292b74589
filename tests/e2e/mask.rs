//! `--mask`: what may not be stored is nowhere.

use serde_json::json;

use crate::support::{Folder, Node};

/// Good lines and bad ones, all with the same secrets in them.
const LOG: &str = "\
192.0.2.77 - joe [05/Mar/2024:10:00:00 +0000] \"GET /find?q=h1dden&page=2 HTTP/1.1\" 200 5 \"http://h/?from=h1dden\" \"a/1\"
198.51.100.77, 10.11.12.77 - - [05/Mar/2024:10:00:01 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"a/1\"
2001:db8:1:77::77 - - [05/Mar/2024:10:00:02 +0000] \"GET /x HTTP/1.1\" 304 - \"-\" \"a/1\"
dsl-77.example.com - - [05/Mar/2024:10:00:03 +0000] \"h1dden?h1dden h1dden\" 400 5 \"-\" \"a/1\"
192.0.2.77 - - [05/Mar/2024:10:00:04 +0000] \"GET /?q=h1dden HTTP/1.1\" two hundred
192.0.2.77 - - no time at all ?q=h1dden
";

const BOTH: [&str; 2] = ["--mask", "clientip,query"];

#[track_caller]
fn assert_hidden(text: &str) {
    for secret in ["192.0.2.77", "100.77", "12.77,", "12.77\"", "77::77", "dsl-77", "=h1dden", "?h1dden"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn documents_malformed_lines_and_samples_hold_no_secret() {
    let folder = Folder::new();
    folder.write_settled("access.log", LOG);
    let line = ["access.log", "--format", "combined", "--malformed", "m.ndjson", "--max-malformed", "100%"];
    let ran = folder.parse(&[&line[..], &BOTH].concat()).ends_with(0);
    assert_hidden(&String::from_utf8_lossy(&ran.stdout));
    assert_hidden(&ran.stderr);
    assert_hidden(&folder.read("m.ndjson"));
    assert_eq!(folder.read("m.ndjson").lines().count(), 2);
    let documents = ran.documents();
    let values = |name: &str| documents.iter().map(|document| document[name].clone()).collect::<Vec<_>>();
    assert_eq!(values("clientip"), ["192.0.2.0", "198.51.100.0", "2001:db8:1::", "masked"]);
    assert_eq!(documents[1]["x_forwarded_for"], "198.51.100.0, 10.11.12.0");
    assert_eq!(documents[0]["request"], "/find?q=&page=");
    assert_eq!(documents[0]["referrer"], "http://h/?from=");
    assert_eq!(documents[3]["rawrequest"], "h1dden?");
    // Whatever is not masked is as without.
    let plain = folder.parse(&line).ends_with(0).documents();
    for (masked, plain) in documents.iter().zip(&plain) {
        for name in ["auth", "verb", "response", "bytes", "agent", "@timestamp", "httpversion"] {
            assert_eq!(masked[name], plain[name]);
        }
    }
}

#[test]
fn a_key_tells_clients_apart() {
    let folder = Folder::new();
    folder.write_settled("access.log", LOG.lines().next().unwrap().to_owned() + "\n");
    folder.write("key", "one\n");
    folder.write("other", "two\n");
    let client = |key: &str| {
        let ran = folder.parse(&["access.log", "--mask", "clientip", "--mask-key-file", key]).ends_with(0);
        assert!(!String::from_utf8_lossy(&ran.stdout).contains("192.0.2.77"));
        ran.documents()[0]["clientip"].as_str().unwrap().to_owned()
    };
    assert_eq!(client("key"), client("key"));
    assert_ne!(client("key"), client("other"));
}

#[test]
fn what_cannot_be_masked_is_refused() {
    let folder = Folder::new();
    folder.write_settled("access.log", LOG);
    for with in ["message", "extra"] {
        folder.parse(&["access.log", "--with", with, "--mask", "query"]).ends_with(2).says(&["--with", with, "--mask"]);
    }
    folder.parse(&["access.log", "--mask", "query", "--mask-key-file", "k"]).ends_with(2).says(&["--mask-key-file"]);
}

#[test]
#[ignore = "needs a real OpenSearch"]
fn dead_letters_hold_no_secret() {
    let (folder, node) = (Folder::new(), Node::shared("mask"));
    folder.write_settled("access.log", LOG);
    let index = node.name("x");
    let mapping = json!({"mappings": {"properties": {"clientip": {"type": "integer"}}}});
    node.get("PUT", &format!("/{index}"), Some(&mapping));
    let line = [
        "load",
        "access.log",
        "--to",
        &node.url,
        "--index",
        &index,
        "--format",
        "combined",
        "--max-malformed",
        "100%",
        "--dead-letters",
        "d.ndjson",
        "--malformed",
        "m.ndjson",
    ];
    let ran = folder.run(&[&line[..], &BOTH].concat()).ends_with(3).tells(&["4 rejected"]);
    assert_hidden(&ran.stderr);
    for name in ["d.ndjson", "m.ndjson"] {
        assert_hidden(&folder.read(name));
    }
    // Masked or not, a line is there once.
    let other = node.name("y");
    let line =
        ["load", "access.log", "--no-ledger", "--to", &node.url, "--index", &other, "--format", "combined", "--json"];
    let line = [&line[..], &["--max-malformed", "100%"]].concat();
    assert_eq!(folder.run(&[&line[..], &BOTH].concat()).report().count("indexed"), 4);
    assert_eq!(folder.run(&line).report().count("duplicate"), 4);
}
