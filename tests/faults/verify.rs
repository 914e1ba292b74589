//! `verify`: what the ledger says of a run against what is in the cluster.

use serde_json::{Value, json};

use crate::support::logs::{gzip, lines};
use crate::support::{Folder, Node, Ran};
use crate::turn;

fn verify(folder: &Folder, node: &Node) -> Ran {
    folder.run(&["verify", "1", "--to", &node.url, "--json"])
}

fn told(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.told()))
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_document_that_somebody_deleted_is_missed() {
    let _turn = turn::take();
    let (node, folder) = (Node::shared("verify"), Folder::new());
    folder.write_settled("a.log", lines(3_000));
    folder.write_settled("b.log.gz", gzip(lines(500).as_bytes(), 2));
    let index = node.name("%Y-%m-%d");
    let load = ["load", "a.log", "b.log.gz", "--to", &node.url, "--index", &index, "--since", "2024-03-05T10:01:00Z"];
    folder.run(&load).ends_with(0);
    let all = told(&verify(&folder, &node).ends_with(0));
    assert_eq!((&all["agrees"], &all["ids_asked_for"]), (&json!(true), &json!(1_000)), "{all:#}");
    let day = node.name("2024-03-05");
    assert_eq!(all["indices"], json!([{"index": day, "expected": 3_380, "count": 3_380}]));

    // Half an hour is gone.
    let query = json!({"query": {"range": {"@timestamp": {"lt": "2024-03-05T10:30:00Z"}}}});
    node.get("POST", &format!("/{day}/_delete_by_query?refresh=true"), Some(&query));
    let few = told(&verify(&folder, &node).ends_with(1));
    assert!(few["wrong"].to_string().contains("fewer than"), "{few:#}");
    assert!(few["ids_missing"].as_array().is_some_and(|ids| !ids.is_empty()), "{few:#}");

    // A source that was written anew says nothing any more; the counts still do.
    folder.write_settled("a.log", "other lines\n");
    folder.write_settled("b.log.gz", "");
    let unread = told(&verify(&folder, &node).ends_with(1));
    assert_eq!((&unread["ids_asked_for"], &unread["indices"][0]["expected"]), (&json!(0), &json!(null)), "{unread:#}");

    node.get("DELETE", &format!("/{day}"), None);
    let gone = verify(&folder, &node).ends_with(1);
    assert!(told(&gone)["wrong"].to_string().contains("is not there"), "{}", gone.told());
    folder.run(&["verify", "2", "--to", &node.url]).ends_with(2).says(&["there is no run 2"]);
}
