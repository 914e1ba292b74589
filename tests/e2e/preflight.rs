//! The look before a load, and the rehearsal: what would go wrong is told before anything is sent.

use serde_json::{Value, json};

use crate::support::{Folder, Node, Ran, logs};

const DRY: &str = "nothing was sent (--dry-run)";

fn json_of(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.told()))
}

#[test]
fn the_estimate_is_near_what_a_load_finds() {
    let folder = Folder::new();
    // Three logs that have little in common, each large enough to be sampled only here and there.
    let short: String = (0..400_000)
        .map(|n| {
            format!(
                "10.0.{}.{} - - [05/Mar/2024:10:00:{:02} +0000] \"GET / HTTP/1.1\" 304 -\n",
                n / 256 % 256,
                n % 256,
                n / 7000
            )
        })
        .collect();
    folder.write_settled("short.log", short);
    // The longer a log runs the longer its lines: no place stands for all.
    let growing: String = (0..40_000)
        .map(|n| {
            let path = "x".repeat(20 + n / 100);
            format!(
                "192.0.2.1 - joe [05/Mar/2024:10:00:{:02} +0000] \"GET /{path} HTTP/1.1\" 200 {n} \"-\" \"curl/8\"\n",
                n % 60
            )
        })
        .collect();
    folder.write_settled("growing.log", growing);
    let lines = logs::lines(30_000);
    let odd: String = lines
        .split_inclusive('\n')
        .enumerate()
        .map(|(n, line)| match n % 3 {
            0 => "[Tue Mar 05 10:00:00 2024] [error] no access line\n",
            _ => line,
        })
        .collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, odd.as_bytes()).unwrap();
    folder.write_settled("odd.log.gz", packed.finish().unwrap());
    for log in ["short.log", "growing.log", "odd.log.gz"] {
        let dry = json_of(&folder.run(&["load", log, "--to", "null:", "--dry-run", "--json"]).ends_with(0));
        let real = json_of(
            &folder.run(&["load", log, "--to", "null:", "--json", "--quiet", "--max-malformed", "100%"]).ends_with(0),
        );
        let near = |estimated: &str, found: &str| {
            let (estimated, found) = (dry["estimate"][estimated].as_f64().unwrap(), real[found].as_f64().unwrap());
            assert!((estimated / found - 1.0).abs() < 0.15, "{log}: {estimated} estimated, {found} found");
        };
        near("lines", "lines_read");
        near("bytes", "bytes_read");
        near("documents", "indexed");
        near("body_bytes", "documents_bytes");
    }
}

#[test]
fn a_rehearsal_names_what_it_cannot_measure() {
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(100));
    folder.write_settled("logs/error.log", "[Tue Mar 05 10:00:00 2024] [error] no access log\n".repeat(200));
    let ran = folder.run(&["load", "a.log", "missing.log", "logs", "--to", "null:", "--dry-run"]).ends_with(1);
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
    for part in ["missing.log: no such file", "error.log: no access log", "100 lines parsed", DRY] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let ran = folder.run_with_stdin(&["load", "-", "--to", "null:", "--dry-run"], b"").ends_with(0);
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
    assert!(told.contains("can be read only once"), "{told}");
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_mapping_that_does_not_fit_is_named() {
    let node = Node::shared("preflight-mapping");
    let (folder, index) = (Folder::new(), node.name("narrow"));
    folder.write_settled("a.log", logs::lines(100));
    let template = json!({"index_patterns": [index], "priority": 1000,
        "template": {"mappings": {"properties": {"bytes": {"type": "integer"}}}}});
    node.get("PUT", &format!("/_index_template/{index}"), Some(&template));
    let load = |more: &[&str]| folder.run(&[&["load", "a.log", "--to", &node.url, "--index", &index], more].concat());
    for more in [&["--dry-run"][..], &[]] {
        let ran = load(more).ends_with(0);
        let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["bytes as integer, where long is needed", "more than 2147483647 will be rejected", "setup --print"]
        {
            assert!(told.contains(part), "{more:?} {part}: {told}");
        }
    }
    // A second rehearsal leaves out what the ledger has, and leaves the ledger as it was.
    for _ in 0..2 {
        let dry = json_of(&load(&["--dry-run", "--json"]).ends_with(0));
        assert_eq!((&dry["sources"]["skipped"], &dry["estimate"]["lines"]), (&json!(1), &json!(0.0)), "{dry:#}");
    }
    let runs = folder.run(&["runs", "--json"]).ends_with(0);
    assert_eq!(String::from_utf8_lossy(&runs.stdout).matches("\"command\"").count(), 1, "{}", runs.told());
    node.get("DELETE", &format!("/_index_template/{index}"), None);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn targets_that_take_no_documents_are_refused_before_the_first() {
    let node = Node::shared("preflight-targets");
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(100));
    let load = |index: &str| folder.run(&["load", "a.log", "--to", &node.url, "--index", index, "--no-ledger"]);
    let (one, two, alias) = (node.name("one"), node.name("two"), node.name("both"));
    for index in [&one, &two] {
        node.get("PUT", &format!("/{index}"), None);
        node.get("PUT", &format!("/{index}/_alias/{alias}"), None);
    }
    load(&alias).ends_with(1).tells(&["the alias", "2 indices", "is_write_index"]);
    node.get("POST", &format!("/{one}/_close"), None);
    load(&one).ends_with(1).tells(&["is closed", "_open"]);
    let ecs = folder.run(&["setup", "--print", "--schema", "ecs"]);
    let ecs: Value = serde_json::from_slice(&ecs.stdout).expect("a template");
    let other = node.name("ecs");
    node.get("PUT", &format!("/{other}"), Some(&json!({"mappings": ecs["template"]["mappings"]})));
    load(&other).ends_with(1).tells(&["--schema ecs"]);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_data_stream_takes_documents_at_least_once() {
    let node = Node::shared("preflight-stream");
    let (folder, stream) = (Folder::new(), node.name("stream"));
    folder.write_settled("a.log", logs::lines(100));
    let template = json!({"index_patterns": [stream], "priority": 1000, "data_stream": {}});
    node.get("PUT", &format!("/_index_template/{stream}"), Some(&template));
    let load = || folder.run(&["load", "a.log", "--to", &node.url, "--index", &stream, "--again"]);
    load().ends_with(0).tells(&["will be a data stream", "at least once"]);
    node.get("POST", &format!("/{stream}/_refresh"), None);
    assert_eq!(node.get("GET", &format!("/{stream}/_count"), None)["count"], 100);
    // In the same backing index nothing is doubled; in the next one ids begin anew, as was told.
    load().ends_with(0).tells(&["100 duplicate"]);
    node.get("POST", &format!("/{stream}/_rollover"), None);
    load().ends_with(0).tells(&["is a data stream of 2 indices", "at least once", "100 indexed"]);
    node.get("DELETE", &format!("/_data_stream/{stream}"), None);
    node.get("DELETE", &format!("/_index_template/{stream}"), None);
}
