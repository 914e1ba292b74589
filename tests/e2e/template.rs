//! The index template: put by `setup` and by `load`, and the mapping that an index gets from it.

use serde_json::{Value, json};

use crate::support::logs;
use crate::support::{Folder, Node};

/// What issue and design ask of an index's mapping.
fn assert_mapping(node: &Node, index: &str) {
    let answer = node.get("GET", &format!("/{index}/_mapping"), None);
    let fields = &answer[index]["mappings"]["properties"];
    let keyword = json!({"type": "keyword", "ignore_above": 8191});
    assert_eq!(fields["@timestamp"]["type"], "date", "{fields:#}");
    assert_eq!(fields["@ingestion_timestamp"]["type"], "date");
    assert_eq!(fields["bytes"]["type"], "long", "2 GiB are more than an integer holds");
    for name in ["ident", "auth", "verb", "request", "httpversion", "rawrequest", "referrer", "agent", "@log_type"] {
        assert_eq!(fields[name], keyword, "{name}");
    }
    assert_eq!((&fields["clientip"]["type"], &fields["clientip"]["ignore_above"]), (&json!("keyword"), &json!(8191)));
    let ip = &fields["clientip"]["fields"]["ip"];
    assert_eq!((&ip["type"], &ip["ignore_malformed"]), (&json!("ip"), &json!(true)));
}

fn templates(node: &Node) -> Vec<Value> {
    let answer = node.get("GET", "/_index_template", None);
    let all = answer["index_templates"].as_array().expect("a list").clone();
    all.into_iter()
        .filter(|template| {
            let patterns = template["index_template"]["index_patterns"].as_array().expect("patterns");
            patterns.iter().any(|pattern| pattern.as_str().is_some_and(|pattern| pattern.starts_with(&node.prefix)))
        })
        .collect()
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn setup_puts_the_template_once() {
    let node = Node::shared("setup");
    let folder = Folder::new();
    let index = node.name("%Y-%m");
    let setup = ["setup", "--to", &node.url, "--index", &index];
    folder.run(&setup).ends_with(0);
    let first = templates(&node);
    assert_eq!(first.len(), 1, "{first:#?}");
    folder.run(&setup).ends_with(0);
    assert_eq!(templates(&node), first, "the second time nothing changes");

    node.get("PUT", &format!("/{}", node.name("2024-03")), None);
    assert_mapping(&node, &node.name("2024-03"));
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn load_puts_the_template_where_none_is() {
    let node = Node::shared("load-template");
    let folder = Folder::new();
    let time = "[05/Mar/2024:10:00:00 +0000]";
    let log = [
        format!("192.0.2.1 - - {time} \"GET /big.iso HTTP/1.1\" 200 9876543210 \"-\" \"curl/8.5.0\"\n"),
        format!("host_1.example.com - - {time} \"GET / HTTP/1.1\" 304 - \"http://h/\" \"a\"\n"),
        format!("2001:db8::1 - - {time} \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n"),
        format!("fe80::1%eth0 - - {time} \"GET / HTTP/1.1\" 200 0 \"-\" \"-\"\n"),
    ];
    folder.write_settled("access.log", log.concat());
    let pattern = node.name("%Y-%m");
    let load = ["load", "access.log", "--to", &node.url, "--index", &pattern, "--no-ledger", "--json"];
    folder.run(&load).ends_with(0).report().has("lines_read 4, indexed 4, rejected 0");
    assert_eq!(templates(&node).len(), 1);
    let index = node.name("2024-03");
    assert_mapping(&node, &index);

    // What the mapping is for: large sums, and clients by address although some are host names.
    let networks =
        json!({"ip_range": {"field": "clientip.ip", "ranges": [{"mask": "192.0.2.0/24"}, {"mask": "2001:db8::/32"}]}});
    let found = node.aggregate(&index, &json!({"bytes": {"sum": {"field": "bytes"}}, "networks": networks}));
    assert_eq!(found["aggregations"]["bytes"]["value"].as_f64(), Some(9_876_543_211.0));
    let buckets = found["aggregations"]["networks"]["buckets"].as_array().expect("buckets");
    assert!(buckets.iter().all(|bucket| bucket["doc_count"] == 1), "{buckets:#?}");
    assert_eq!(
        node.counts_by(&index, "agent"),
        [("-", 2), ("a", 1), ("curl/8.5.0", 1)].map(|(k, n)| (k.into(), n)).into()
    );
}

/// A template that somebody else made is theirs: found, used, and left as it is.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_foreign_template_is_left_alone() {
    let node = Node::shared("foreign-template");
    let folder = Folder::new();
    let theirs = json!({
        "index_patterns": [node.name("*")],
        "priority": 500,
        "template": {"mappings": {"properties": {"bytes": {"type": "double"}, "@timestamp": {"type": "date"}}}},
    });
    node.get("PUT", &format!("/_index_template/{}", node.name("theirs")), Some(&theirs));
    folder.write_settled("access.log", logs::lines(3));
    let pattern = node.name("%Y-%m");
    let load = ["load", "access.log", "--to", &node.url, "--index", &pattern, "--no-ledger", "--json"];
    folder.run(&load).ends_with(0).report().has("lines_read 3, indexed 3");
    assert_eq!(templates(&node).len(), 1, "only theirs");
    let index = node.name("2024-03");
    let mapping = node.get("GET", &format!("/{index}/_mapping"), None);
    assert_eq!(mapping[&index]["mappings"]["properties"]["bytes"]["type"], "double");
}

#[test]
fn setup_prints_the_template() {
    let folder = Folder::new();
    let ran = folder.run(&["setup", "--print", "--index", "web-%Y-%m-%d"]).ends_with(0);
    let template: Value = serde_json::from_slice(&ran.stdout).expect("JSON alone on standard output");
    assert_eq!(template["index_patterns"], json!(["web-*"]));
    let fields = &template["template"]["mappings"]["properties"];
    assert_eq!(fields["bytes"], json!({"type": "long"}));
    assert_eq!(fields["clientip"]["fields"]["ip"], json!({"type": "ip", "ignore_malformed": true}));
}
