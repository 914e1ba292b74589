//! `verify`: what the ledger says of a run against what is in the cluster.

use serde_json::{Value, json};

use crate::support::logs::{gzip, line, lines};
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

/// Nights that go on with a log: the ledger knows only how far all of them together have come.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_run_whose_log_later_runs_went_on_with_is_compared_as_far_as_can_be() {
    let _turn = turn::take();
    let (node, folder) = (Node::shared("verify-nights"), Folder::new());
    let index = node.name("log");
    let template = json!({"index_patterns": [&index], "priority": 500, "template": {"mappings": {
        "dynamic": false, "properties": {"clientip": {"type": "ip"}}}}});
    node.get("PUT", &format!("/_index_template/{}", node.name("ip")), Some(&template));
    let load = ["load", "a.log", "--to", &node.url, "--index", &index];
    // One line in each night is refused.
    let refused = |n: usize| line(n).replacen(|_: char| true, "host.example-", 1) + "\n";
    let first = lines(499) + &refused(499);
    folder.write_settled("a.log", &first);
    folder.run(&load).ends_with(3);
    let second: String = (500..999).map(|n| line(n) + "\n").collect::<String>() + &refused(999);
    folder.write_settled("a.log", first + &second);
    folder.run(&load).ends_with(3);
    // A night with nothing new.
    folder.run(&load).ends_with(0);
    let verify =
        |run: &str, code: i32| told(&folder.run(&["verify", run, "--to", &node.url, "--json"]).ends_with(code));
    for (run, goes_on) in [("1", true), ("2", false)] {
        let all = verify(run, 0);
        assert_eq!((&all["agrees"], &all["ids_asked_for"]), (&json!(true), &json!(1_000)), "{all:#}");
        assert_eq!(all["indices"], json!([{"index": index, "expected": 998, "count": 998}]));
        assert_eq!(all["not_compared"].to_string().contains("run 2 went on with it"), goes_on, "{all:#}");
    }
    assert_eq!(verify("3", 0)["agrees"], json!(true));

    // Loaded anew by another run, nothing is left to compare the first ones with.
    folder.run(&["load", "a.log", "--to", &node.url, "--index", &index, "--again"]).ends_with(3);
    for run in ["1", "2"] {
        let nothing = verify(run, 1);
        assert!(nothing["wrong"].to_string().contains("nothing could be compared"), "{nothing:#}");
    }
    node.get("DELETE", &format!("/{index}"), None);
    assert!(verify("4", 1)["wrong"].to_string().contains("is not there"));
}
