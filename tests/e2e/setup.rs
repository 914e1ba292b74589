//! `loghaul setup` on a real node: twice, with data, and away again; each panel's query; documents under ECS.

use serde_json::{Value, json};

use crate::support::logs;
use crate::support::{Folder, Node, not_tested};

/// What the node has of ours under this test's prefix: templates, aliases, indices.
fn state(node: &Node) -> (Vec<Value>, Value, Vec<String>) {
    let templates = node.get("GET", "/_index_template", None)["index_templates"].as_array().expect("a list").clone();
    let ours = format!("loghaul-{}", node.prefix.trim_end_matches('-'));
    let templates = templates.into_iter().filter(|template| template["name"].as_str().is_some_and(|name| name == ours));
    let aliases = node.get("GET", &format!("/{}*/_alias", node.prefix), None);
    let indices = aliases.as_object().expect("indices").keys().cloned().collect();
    (templates.collect(), aliases, indices)
}

/// The search that Dashboards makes of a visualization: its query, the dashboard's time, its aggregations, each
/// bucket inside the one before it and all metrics in the innermost.
fn search_of(visualization: &Value, dashboard: &Value) -> Value {
    let attributes = &visualization["attributes"];
    let parsed = |text: &Value| serde_json::from_str::<Value>(text.as_str().expect("a text")).expect("JSON in JSON");
    let source = parsed(&attributes["kibanaSavedObjectMeta"]["searchSourceJSON"]);
    let state = parsed(&attributes["visState"]);
    let lucene = |query: &Value| match query["query"].as_str().expect("a query") {
        "" => json!({"match_all": {}}),
        text => json!({"query_string": {"query": text, "analyze_wildcard": true, "time_zone": "UTC"}}),
    };
    assert_eq!(source["query"]["language"], "lucene");
    let aggregations = state["aggs"].as_array().expect("aggregations");
    let of = |wanted: bool| aggregations.iter().filter(move |agg| (agg["schema"] == "metric") == wanted);
    let mut inner = serde_json::Map::new();
    // A count is what each bucket has by itself.
    for metric in of(true).filter(|metric| metric["type"] != "count") {
        let kind = metric["type"].as_str().expect("a type");
        let metric_of = json!({kind: {"field": metric["params"]["field"]}});
        inner.insert(metric["id"].as_str().expect("an id").to_owned(), metric_of);
    }
    for bucket in of(false).collect::<Vec<_>>().into_iter().rev() {
        let params = &bucket["params"];
        let body = match bucket["type"].as_str().expect("a type") {
            // What `auto` becomes for a month or so.
            "date_histogram" => json!({"date_histogram": {
                "field": params["field"], "fixed_interval": "12h", "time_zone": "UTC", "min_doc_count": 1}}),
            "terms" => {
                let by = if params["orderBy"] == "1" { "_count" } else { panic!("{params}") };
                json!({"terms": {"field": params["field"], "size": params["size"], "order": {by: params["order"]}}})
            }
            "filters" => {
                let filters = params["filters"].as_array().expect("filters").iter();
                let named = filters.map(|f| (f["label"].as_str().expect("a label").to_owned(), lucene(&f["input"])));
                json!({"filters": {"filters": named.collect::<serde_json::Map<_, _>>()}})
            }
            other => panic!("{other}"),
        };
        let mut body = body;
        if !inner.is_empty() {
            body["aggs"] = Value::Object(std::mem::take(&mut inner));
        }
        inner.insert(bucket["id"].as_str().expect("an id").to_owned(), body);
    }
    let time = |key: &str| dashboard["attributes"][key].clone();
    json!({
        "size": 0,
        "track_total_hits": true,
        "query": {"bool": {"filter": [
            lucene(&source["query"]),
            {"range": {"@timestamp": {"gte": time("timeFrom"), "lte": time("timeTo"),
                                      "format": "strict_date_optional_time"}}},
        ]}},
        "aggs": inner,
    })
}

/// Runs each panel's query; gives how many documents each found.
fn check_panels(node: &Node, ndjson: &[u8], documents: u64) {
    let lines = std::str::from_utf8(ndjson).expect("UTF-8").lines();
    let objects: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let (dashboard, objects) = objects.split_last().expect("objects");
    let index = objects[0]["attributes"]["title"].as_str().expect("an index pattern");
    assert_eq!(objects[0]["attributes"]["timeFieldName"], "@timestamp");
    node.refresh();
    let mut panels = 0;
    for visualization in &objects[1..] {
        let title = visualization["attributes"]["title"].as_str().expect("a title");
        let search = search_of(visualization, dashboard);
        let found = node.get("POST", &format!("/{index}/_search"), Some(&search));
        let hits = found["hits"]["total"]["value"].as_u64().expect("hits");
        assert!(hits > 0 && hits <= documents, "{title}: {hits} of {documents}");
        let everything = visualization["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]
            .as_str()
            .is_some_and(|source| source.contains(r#""query":"""#));
        assert!(!everything || hits == documents, "{title}: the time is not that of the data, {hits} of {documents}");
        // Each aggregation gives something: a value above nothing, or buckets with documents.
        for (id, result) in found["aggregations"].as_object().into_iter().flatten() {
            let buckets: Vec<&Value> = match &result["buckets"] {
                Value::Array(list) => list.iter().collect(),
                Value::Object(named) => named.values().collect(),
                _ => {
                    assert!(result["value"].as_f64().is_some_and(|value| value > 0.0), "{title} {id}: {result}");
                    continue;
                }
            };
            let sum: u64 = buckets.iter().map(|bucket| bucket["doc_count"].as_u64().expect("a count")).sum();
            assert!(sum > 0, "{title} {id}: {result}");
            // Classes are a partition: no answer is in two of them, and none is left out.
            if matches!(&result["buckets"], Value::Object(named) if named.len() == 6) {
                assert_eq!(sum, documents, "{title}");
            }
        }
        panels += 1;
    }
    assert_eq!(panels, 12);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn setup_load_look_and_away_again() {
    for schema in ["grok", "ecs"] {
        let node = Node::shared(&format!("setup-{schema}"));
        let folder = Folder::new();
        let pattern = node.name("%Y-%m");
        let common = ["--to", &node.url, "--index", &pattern, "--schema", schema];
        let setup = |more: &[&str]| folder.run(&[&["setup"], &common[..], more].concat());
        let said = |ran: &crate::support::Ran| String::from_utf8_lossy(&ran.stdout).into_owned();

        let dry = setup(&["--dry-run"]).ends_with(0);
        assert!(said(&dry).contains("would put: index template"), "{}", said(&dry));
        assert_eq!(state(&node).0.len(), 0, "a rehearsal changes nothing");
        setup(&["--lean"]).ends_with(0);
        let updated = setup(&[]).ends_with(0);
        assert!(said(&updated).contains("updated: index template"), "{}", said(&updated));

        let (log, _) = logs::usual(20_000, 11);
        folder.write_settled("access.log", log);
        let load = [&["load", "access.log", "--no-ledger", "--json"], &common[..]].concat();
        let report = folder.run(&load).ends_with(0).report();
        report.has("rejected 0");
        let alias = node.prefix.trim_end_matches('-').to_owned();
        let documents = node.count(&alias);
        assert!(documents > 19_000, "{documents} behind {alias}");

        let printed = setup(&["--print", "dashboards"]).ends_with(0);
        check_panels(&node, &printed.stdout, documents);

        let before = state(&node);
        let again = setup(&[]).ends_with(0);
        let lines = said(&again);
        assert!(lines.lines().count() == 2 && lines.lines().all(|line| line.starts_with("unchanged")), "{lines}");
        assert_eq!(state(&node), before);

        // An index that was made without the template gets the alias.
        let bare = node.name("2031-01");
        node.get("PUT", &format!("/{bare}"), Some(&json!({})));
        node.get("DELETE", &format!("/{bare}/_alias/{alias}"), None);
        let mended = setup(&[]).ends_with(0);
        assert!(said(&mended).contains("updated: alias"), "{}", said(&mended));
        // One that is not of the pattern does not.
        let generation = node.name("20310101t000000z");
        node.get("PUT", &format!("/{generation}"), Some(&json!({})));
        node.get("DELETE", &format!("/{generation}/_alias/{alias}"), None);
        assert_eq!(said(&setup(&[]).ends_with(0)).matches("unchanged").count(), 2);
        node.get("DELETE", &format!("/{generation}"), None);
        node.get("DELETE", &format!("/{bare}"), None);

        setup(&["--remove"]).ends_with(2).says(&["nobody to be asked"]);
        let removed = setup(&["--remove", "--yes"]).ends_with(0);
        assert!(said(&removed).contains("--indices would delete them"), "{}", said(&removed));
        let (templates, aliases, indices) = state(&node);
        assert!(templates.is_empty() && indices == before.2, "{templates:?} {indices:?}");
        assert!(aliases.as_object().unwrap().values().all(|index| index["aliases"] == json!({})), "{aliases:#}");
        assert_eq!(node.count(&format!("{}*", node.prefix)), documents, "the data are all there");
        assert!(!said(&setup(&["--remove", "--yes"]).ends_with(0)).contains("removed"));
        setup(&["--remove", "--indices", "--yes"]).ends_with(0);
        assert_eq!(state(&node).2, [""; 0]);
    }
}

/// The same with a real log: from an empty node to a dashboard that shows it, twice, and away again.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn each_panel_shows_the_sample() {
    let Ok(sample) = std::env::var("LOGHAUL_SAMPLE_LOG") else {
        return not_tested("the panels over the sample log: LOGHAUL_SAMPLE_LOG is not set to its file");
    };
    let (node, folder) = (Node::shared("setup-sample"), Folder::new());
    let pattern = node.name("%Y-%m");
    let common = ["--to", &node.url, "--index", &pattern];
    let setup = |more: &[&str]| folder.run(&[&["setup"], &common[..], more].concat()).ends_with(0);
    setup(&[]);
    let load = [&["load", &sample, "--no-ledger", "--json"], &common[..]].concat();
    let report = folder.run(&load).ends_with(0).report();
    report.has("rejected 0");
    let alias = node.prefix.trim_end_matches('-').to_owned();
    let documents = node.count(&alias);
    assert!(documents > 0 && documents == report.count("indexed"), "{documents}");
    check_panels(&node, &setup(&["--print", "dashboards"]).stdout, documents);
    let before = state(&node);
    let again = setup(&[]);
    let again = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.lines().all(|line| line.starts_with("unchanged")), "{again}");
    assert_eq!(state(&node), before);
    setup(&["--remove", "--yes"]);
    let (templates, aliases, indices) = state(&node);
    assert!(templates.is_empty() && indices == before.2, "{templates:?} {indices:?}");
    assert!(aliases.as_object().expect("indices").values().all(|index| index["aliases"] == json!({})), "{aliases:#}");
    assert_eq!(node.count(&format!("{}*", node.prefix)), documents);
}

/// Under a mapping that takes no field it does not know, each document goes in.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn documents_fit_a_strict_mapping() {
    for schema in ["ecs", "grok"] {
        let node = Node::shared(&format!("strict-{schema}"));
        let folder = Folder::new();
        let pattern = node.name("%Y");
        let print = ["setup", "--print", "--schema", schema, "--index", &pattern];
        let mut template: Value = serde_json::from_slice(&folder.run(&print).ends_with(0).stdout).expect("JSON");
        template["template"]["mappings"]["dynamic"] = json!("strict");
        template["_meta"] = json!({});
        node.get("PUT", &format!("/_index_template/{}", node.name("strict")), Some(&template));
        for (n, format) in ["combined", "vhost_combined", "combinedio", "common"].into_iter().enumerate() {
            let shape = logs::Options {
                lines: Some(5_000),
                seed: 7 + n as u64,
                format: match format {
                    "combined" => logs::Format::Combined,
                    "vhost_combined" => logs::Format::VhostCombined,
                    "combinedio" => logs::Format::Combinedio,
                    _ => logs::Format::Common,
                },
                ..logs::Options::odd()
            };
            let name = format!("{format}.log");
            folder.write_settled(&name, logs::generate(shape).0);
            let load = ["load", &name, "--to", &node.url, "--index", &pattern, "--schema", schema, "--format", format];
            let more = ["--with", "message,source,extra,timestamp", "--no-ledger", "--json", "--max-malformed", "100%"];
            let report = folder.run(&[&load[..], &more].concat()).ends_with(0).report();
            report.has("rejected 0");
        }
        assert!(node.count(&format!("{}*", node.prefix)) > 10_000);
        if schema == "ecs" {
            // The address is searchable where the Common Schema has it.
            let network = json!({"by": {"ip_range": {"field": "source.ip", "ranges": [{"mask": "0.0.0.0/0"}]}}});
            let found = node.aggregate(&format!("{}*", node.prefix), &network);
            assert!(found["aggregations"]["by"]["buckets"][0]["doc_count"].as_u64() > Some(1_000), "{found:#}");
        }
    }
}

/// What others have made stays, until `--force`.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn what_is_not_ours_is_left_alone() {
    let node = Node::shared("setup-foreign");
    let folder = Folder::new();
    let pattern = node.name("%Y-%m");
    let setup = |more: &[&str]| folder.run(&[&["setup", "--to", &node.url, "--index", &pattern], more].concat());
    let ours = format!("/_index_template/loghaul-{}", node.prefix.trim_end_matches('-'));
    let theirs = json!({"index_patterns": [node.name("*")], "priority": 7, "template": {"settings": {}}});
    node.get("PUT", &ours, Some(&theirs));
    let alias = node.prefix.trim_end_matches('-').to_owned();
    node.get("PUT", &format!("/{}", node.name("other")), Some(&json!({"aliases": {&alias: {}}})));
    let before = state(&node);
    setup(&[]).ends_with(1).says(&["nothing was changed", "it was not made by loghaul", "--force"]);
    setup(&["--dry-run"]).ends_with(1);
    setup(&["--remove", "--yes"]).ends_with(0);
    assert_eq!(state(&node), before);
    setup(&["--force"]).ends_with(0);
    assert_eq!(state(&node).0[0]["index_template"]["_meta"]["managed_by"], "loghaul");

    // A newer loghaul's is left alone as well.
    let mut newer = node.get("GET", &ours, None)["index_templates"][0]["index_template"].clone();
    newer["_meta"]["version"] = json!(99);
    node.get("PUT", &ours, Some(&newer));
    setup(&[]).ends_with(1).says(&["it was made by a newer loghaul (version 99"]);
    node.get("DELETE", &ours, None);

    // And the load says what does not fit.
    setup(&["--schema", "ecs", "--no-alias"]).ends_with(0);
    folder.write_settled("access.log", logs::lines(3));
    let load = ["load", "access.log", "--to", &node.url, "--index", &pattern, "--no-ledger"];
    let ran = folder.run(&load).ends_with(0);
    let told = String::from_utf8_lossy(&ran.stdout).into_owned() + &ran.stderr;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("is made for --schema ecs, and these documents are --schema grok"), "{told}");
}

/// An alias that somebody made before `setup` came stays when `setup` goes.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn an_alias_that_was_made_by_hand_stays() {
    let node = Node::shared("setup-alias");
    let folder = Folder::new();
    let (pattern, month) = (node.name("%Y-%m"), node.name("2024-03"));
    let alias = node.prefix.trim_end_matches('-').to_owned();
    let setup = |more: &[&str]| {
        let ran = folder.run(&[&["setup", "--to", &node.url, "--index", &pattern], more].concat()).ends_with(0);
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    node.get("PUT", &format!("/{month}"), Some(&json!({"aliases": {&alias: {}}})));
    let there = || node.get("GET", &format!("/{month}/_alias"), None)[&month]["aliases"].get(&alias).is_some();
    // Without a template of ours there is nothing of ours.
    assert!(setup(&["--remove", "--yes"]).contains("no template of ours gives it") && there());
    setup(&[]);
    let again = setup(&[]);
    assert!(again.lines().all(|line| line.starts_with("unchanged")), "{again}");
    let removed = setup(&["--remove", "--yes"]);
    assert!(removed.contains("removed: index template") && removed.contains("it was there before setup"), "{removed}");
    assert!(there());
    setup(&["--remove", "--yes", "--force"]);
    assert!(!there());
}

/// A node of plain modules cannot delete by age: that is said, and the rest is done.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn deletion_by_age_needs_the_plugin() {
    let node = Node::shared("setup-age");
    if node.ask("GET", "/_plugins/_ism/policies", None).0 == 200 {
        return not_tested("setup --delete-after where no plugin is: this node has it");
    }
    let folder = Folder::new();
    let pattern = node.name("%Y-%m");
    let ran = folder.run(&["setup", "--to", &node.url, "--index", &pattern, "--delete-after", "90d"]).ends_with(0);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("no Index State Management") && said.contains("put: index template"), "{said}");
}
