//! `loghaul replay` and `loghaul runs`, as a user runs them: against a scripted server, and once against a real one.

#[path = "support/scripted_server.rs"]
mod scripted_server;
#[path = "support/mod.rs"]
#[allow(dead_code, unused_imports)] // other test programs use other parts of it
mod support;

use std::collections::BTreeMap;

use rustix::process::Signal;
use scripted_server::{Act, ScriptedServer};
use serde_json::{Value, json};
use support::{Folder, Node, Ran, Running, logs};

/// What a server says of itself.
fn hello() -> Act {
    Act::Answer(200, r#"{"version":{"number":"3.8.0","distribution":"opensearch"}}"#.to_owned())
}

/// One that greets, then does this, the last of it again and again.
fn server(acts: impl IntoIterator<Item = Act>) -> ScriptedServer {
    ScriptedServer::new(std::iter::once(hello()).chain(acts))
}

/// A letter, as `load` writes it.
fn letter(id: &str, document: &str) -> String {
    format!(
        concat!(
            r#"{{"time":"2024-03-05T10:00:00Z","source":"/var/log/web1/access.log","offset":12345678901,"line_bytes":99,"#,
            r#""index":"logs-2024-03","_id":"{}","status":400,"type":"mapper_parsing_exception","reason":"old","#,
            r#""attempts":2,"document":{}}}"#,
            "\n"
        ),
        id, document
    )
}

/// The report, with the law asserted for each file and for all, and the exit code the one of the process.
#[track_caller]
fn report(ran: &Ran) -> Value {
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.told()));
    let terms = ["indexed", "duplicate", "rejected", "filtered", "unreadable", "unsettled"];
    let files = report["files"].as_array().expect("files");
    for counts in files.iter().chain([&report]) {
        let sum: u64 = terms.iter().map(|term| counts[*term].as_u64().expect("a count")).sum();
        assert_eq!(counts["letters_read"], sum, "{counts:#}");
    }
    for term in terms.iter().chain(&["letters_read"]) {
        let sum: u64 = files.iter().map(|file| file[*term].as_u64().expect("a count")).sum();
        assert_eq!(report[*term], sum, "{term} of {report:#}");
    }
    assert_eq!(report["law_holds"], true, "{report:#}");
    assert_eq!(report["exit_code"].as_i64(), ran.status.code().map(i64::from), "{report:#}");
    report
}

#[track_caller]
fn has(counts: &Value, expected: &str) {
    support::law::has(counts, expected);
}

fn replay(folder: &Folder, server: &ScriptedServer, arguments: &str) -> Ran {
    let url = server.url();
    let mut all = vec!["replay"];
    all.extend(arguments.split_whitespace());
    all.extend(["--json", "--to", &url]);
    folder.run(&all)
}

/// Documents with `bad` in them are refused, known ids are conflicts, all others are created.
fn refuses_bad(_action: &str, document: &str, known: bool) -> (u16, &'static str) {
    match (document.contains("bad"), known) {
        (true, _) => (400, r#"{"type":"strict_dynamic_mapping_exception","reason":"new"}"#),
        (_, true) => (409, r#"{"type":"version_conflict_engine_exception","reason":"there"}"#),
        _ => (201, ""),
    }
}

#[test]
fn each_letter_has_its_outcome_and_nothing_is_changed() {
    let folder = Folder::new();
    // Odd ways to write JSON must survive.
    let odd = r#"{"b" : 1.50,"a":[ ],"s":"\u00e9\/"}"#;
    let letters = [
        letter("1", odd),
        letter("1", odd),
        letter("2", r#"{"x":"bad"}"#),
        "\n  \r\n".to_owned(),
        "no letter\n".to_owned(),
        letter("3", "{}").replace("mapper_parsing_exception", "dropped_by_pipeline"),
        letter("4", r#"{"last":1}"#).trim_end().to_owned(),
    ]
    .concat();
    folder.write("d.ndjson", &letters);
    let cluster = server([Act::Items(refuses_bad)]);
    let ran = replay(&folder, &cluster, "d.ndjson --type mapper_*").ends_with(1);
    let told = report(&ran);
    has(&told, "letters_read 6, indexed 2, duplicate 1, rejected 1, filtered 1, unreadable 1, unsettled 0");
    assert_eq!(told["files"][0]["unreadable_lines"][0]["line"], 6);
    assert_eq!(told["dead_letters"], json!(["d.again.ndjson"]));
    assert_eq!(folder.read("d.ndjson"), letters, "the letters are left alone");

    let sent: Vec<_> = cluster.seen().iter().flat_map(scripted_server::Seen::documents).collect();
    assert_eq!(sent[0].0, r#"{"create":{"_index":"logs-2024-03","_id":"1"}}"#);
    assert_eq!(sent[0].1, odd);
    assert_eq!(sent.len(), 4);

    let again: Value = serde_json::from_str(&folder.read("d.again.ndjson")).expect("one letter");
    let time = again["time"].as_str().expect("a time");
    assert!(time > "2024-03-05T10:00:00Z", "{time}");
    let expected = json!({
        "time": time, "source": "/var/log/web1/access.log", "offset": 12_345_678_901_u64, "line_bytes": 99,
        "index": "logs-2024-03", "_id": "2", "status": 400, "type": "strict_dynamic_mapping_exception", "reason": "new",
        "attempts": 3, "document": {"x": "bad"},
    });
    assert_eq!(again, expected);

    // The same again: what was rejected is not overwritten unasked.
    let cluster = server([Act::Index]);
    let ran = replay(&folder, &cluster, "d.ndjson").ends_with(2);
    ran.says(&["d.again.ndjson is there already"]);
    assert_eq!(cluster.ids().len(), 0, "nothing was sent");
    let cluster = server([Act::Items(refuses_bad)]);
    let told = report(&replay(&folder, &cluster, "d.ndjson --dead-letters d.again.ndjson").ends_with(1));
    has(&told, "letters_read 6, indexed 3, duplicate 1, rejected 1, filtered 0, unreadable 1");
    assert_eq!(folder.read("d.again.ndjson").lines().count(), 1);

    // Mended: what was rejected again gets in, and leaves no third file.
    let cluster = server([Act::Index]);
    let told = report(&replay(&folder, &cluster, "d.again.ndjson").ends_with(0));
    has(&told, "letters_read 1, indexed 1");
    assert!(!folder.path().join("d.again.again.ndjson").exists());
}

#[test]
fn only_chosen_letters_are_sent() {
    let folder = Folder::new();
    let all = [
        letter("1", "{}"),
        letter("2", "{}").replace("web1", "web2"),
        letter("3", "{}").replace("2024-03\"", "2024-04\""),
        letter("4", "{}").replace("mapper_parsing_exception", "too_large"),
    ];
    folder.write("d.ndjson", all.concat());
    for (flags, chosen) in [
        ("", "1 2 3 4"),
        ("--type too_large", "4"),
        ("--type too_large --type mapper*", "1 2 3 4"),
        ("--type mapper", ""),
        ("--index logs-2024-03", "1 2 4"),
        ("--index *-04", "3"),
        ("--source */web2/*", "2"),
        ("--source access.log", ""),
        ("--source *access.log --index logs-*-03 --type mapper*", "1 2"),
    ] {
        let cluster = server([Act::Index]);
        let told = report(&replay(&folder, &cluster, &format!("d.ndjson {flags}")).ends_with(0));
        let ids = cluster.ids().into_keys().collect::<Vec<_>>();
        assert_eq!(ids.join(" "), chosen, "{flags}");
        has(&told, &format!("letters_read 4, indexed {}, filtered {}", ids.len(), 4 - ids.len()));
    }
}

#[test]
fn many_letters_of_many_files_go_in_batches() {
    let folder = Folder::new();
    let letters = |name: &str, count: usize| -> String {
        (0..count)
            .map(|n| letter(&format!("{name}{n}"), &format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(700))))
            .collect()
    };
    folder.write("a.ndjson", letters("a", 20_000));
    folder.write("b.ndjson.gz", logs::gzip(letters("b", 3_000).as_bytes(), 3));
    folder.write("c", "");
    // Answers are lost on the way: documents that were written meet themselves.
    let cluster = server([Act::Apply(Box::new(Act::Close)), Act::Answer(503, "{}".to_owned()), Act::Index]);
    let told = report(&replay(&folder, &cluster, "a.ndjson b.ndjson.gz c").ends_with(0));
    has(&told, "letters_read 23000, indexed 23000, duplicate 0, rejected 0");
    assert!(told["confirmed"].as_u64() > Some(0), "{told:#}");
    assert_eq!(cluster.ids().len(), 23_000);
    assert!(cluster.ids().values().all(|times| *times == 1));
    assert!(told["requests"].as_u64() >= Some(5), "{told:#}");
    let largest = cluster.seen().iter().map(|seen| seen.body.len()).max();
    assert!(largest <= Some(5 << 20), "{largest:?}");
    let statuses: Vec<_> = told["files"].as_array().unwrap().iter().map(|file| &file["status"]).collect();
    assert_eq!(statuses, ["replayed"; 3]);
    for again in ["a.again.ndjson", "b.again.ndjson", "c.again.ndjson"] {
        assert!(!folder.path().join(again).exists(), "{again}");
    }
}

#[test]
fn what_is_missing_cut_or_nothing_is_told() {
    let folder = Folder::new();
    let two = [letter("1", "{}"), letter("2", "{}")].concat();
    folder.write("cut.ndjson", &two[..two.len() - 20]);
    folder.write("empty.ndjson", "");
    folder.write("malformed.ndjson", "{\"source\":\"a\",\"offset\":1,\"reason\":\"no_time\",\"line\":\"x\"}\n");
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let cluster = server([Act::Index]);
    let url = cluster.url();
    let run = |file: &str| folder.run(&["replay", file, "--to", &url]);
    let check = |file: &str, code: i32, says: &[&str]| {
        cluster.script([hello(), Act::Index]);
        run(file).ends_with(code).tells(says);
    };
    check(
        "cut.ndjson",
        1,
        &[
            "1 line is no dead letter",
            "cut.ndjson, line 2: no dead letter: EOF",
            "ends in the middle",
            "+ 1 unreadable",
        ],
    );
    check("empty.ndjson", 0, &["no letters to send again"]);
    check("malformed.ndjson", 1, &["missing field `index`"]);
    check("missing.ndjson", 1, &["cannot read missing.ndjson: no such file"]);
    check("folder", 1, &["folder: it is a directory"]);

    cluster.script([hello(), Act::Index]);
    let told = report(&replay(&folder, &cluster, "missing.ndjson empty.ndjson cut.ndjson").ends_with(1));
    has(&told, "letters_read 2, unreadable 1, duplicate 1");
    assert_eq!(told["files"][0]["status"], "failed");
    assert!(!folder.path().join("missing.again.ndjson").exists());
}

#[test]
fn letters_without_ids_are_announced() {
    let folder = Folder::new();
    folder.write("d.ndjson", letter("1", "{}").replace(r#""_id":"1","#, "") + &letter("2", "{}"));
    let cluster = server([Act::Index]);
    let ran = folder.run(&["replay", "d.ndjson", "--to", &cluster.url()]).ends_with(0);
    ran.tells(&["1 letter without _id", "All 2 letters accounted for"]);
    let sent = cluster.seen().pop().unwrap().documents();
    assert_eq!(sent[0].0, r#"{"create":{"_index":"logs-2024-03"}}"#);
}

#[test]
fn standard_input_and_pipelines() {
    let folder = Folder::new();
    for (flags, query) in
        [("", None), ("--pipeline none", Some("pipeline=_none")), ("--pipeline p", Some("pipeline=p"))]
    {
        let cluster = server([Act::Index]);
        let url = cluster.url();
        let mut arguments = vec!["replay", "-", "--dead-letters", "again.ndjson", "--json", "--to", &url];
        arguments.extend(flags.split_whitespace());
        let told = report(&folder.run_with_stdin(&arguments, letter("1", "{}").as_bytes()).ends_with(0));
        has(&told, "letters_read 1, indexed 1");
        let path = cluster.seen().pop().unwrap().path().to_owned();
        assert_eq!(path.split('&').find(|part| part.starts_with("pipeline")), query, "{path}");
    }
}

#[test]
fn a_cluster_that_refuses_stops_it_and_the_same_replay_goes_on() {
    let folder = Folder::new();
    let letters: String = (0..10).map(|n| letter(&n.to_string(), "{}")).collect();
    folder.write("d.ndjson", &letters);
    const BLOCK: &str =
        r#"{"error":{"type":"cluster_block_exception","reason":"blocked by: [FORBIDDEN/6/read-only];"}}"#;
    let cluster = server([Act::Answer(403, BLOCK.to_owned())]);
    let told = report(&replay(&folder, &cluster, "d.ndjson --give-up-after 1s").ends_with(4));
    has(&told, "letters_read 10, indexed 0, unsettled 10");
    assert_eq!((&told["ended"], &told["files"][0]["status"]), (&json!("stopped"), &json!("replayed")));
    let hint = told["hint"].as_str().expect("a hint");
    assert!(hint.contains("run the same replay again") && !hint.contains("--resume"), "{hint}");
    cluster.script([hello(), Act::Index]);
    has(&report(&replay(&folder, &cluster, "d.ndjson").ends_with(0)), "letters_read 10, indexed 10");

    // An index that cannot ever be.
    const NAME: &str = r#"{"errors":true,"items":[{"create":{"status":400,"error":
        {"type":"invalid_index_name_exception","reason":"Invalid index name [X], must be lowercase"}}}]}"#;
    folder.write("x.ndjson", letter("1", "{}"));
    cluster.script([hello(), Act::Answer(200, NAME.replace('\n', ""))]);
    let told = report(&replay(&folder, &cluster, "x.ndjson").ends_with(1));
    assert_eq!(told["hint"], "leave these letters out: --index, --type or --source choose others");

    // No server, and one that wants to know us.
    let ran = folder.run(&["replay", "d.ndjson", "--to", "http://127.0.0.1:1"]).ends_with(1);
    ran.says(&["127.0.0.1:1"]);
    cluster.script([hello(), Act::Answer(401, "Unauthorized".to_owned())]);
    has(&report(&replay(&folder, &cluster, "d.ndjson").ends_with(1)), "letters_read 10, unsettled 10");
    assert_eq!(folder.read("d.ndjson"), letters);
}

#[test]
fn interrupted_it_ends_in_order() {
    let folder = Folder::new();
    folder.write("d.ndjson", letter("1", "{}"));
    const BLOCK: &str =
        r#"{"error":{"type":"cluster_block_exception","reason":"blocked by: [FORBIDDEN/6/read-only];"}}"#;
    let cluster = server([Act::Answer(403, BLOCK.to_owned())]);
    let url = cluster.url();
    let mut running = Running::start(folder.command(["replay", "d.ndjson", "--json", "--to", &url]));
    running.wait_for("a first refusal", || cluster.seen().iter().any(|seen| seen.line.contains("_bulk")));
    running.signal(Signal::INT);
    let told = report(&running.end().ends_with(130));
    has(&told, "letters_read 1, unsettled 1");
    assert!(!folder.path().join("d.again.ndjson").exists());
}

#[test]
fn runs_without_a_ledger_makes_none() {
    let folder = Folder::new();
    folder.run(&["runs"]).ends_with(0).tells(&["no runs yet", "state/loghaul/ledger.db"]);
    let ran = folder.run(&["runs", "--json"]).ends_with(0);
    assert_eq!(serde_json::from_slice::<Value>(&ran.stdout).unwrap(), json!({"runs": []}));
    folder.run(&["runs", "--ledger", "l.db", "show", "7"]).ends_with(2).says(&["there is no run 7", "l.db"]);
    folder.run(&["runs", "forget", "7"]).ends_with(2).says(&["there is no run 7"]);
    folder.run(&["runs", "forget", "--older-than", "30d"]).ends_with(0).tells(&["no runs yet"]);
    assert!(!folder.path().join("state").exists() && !folder.path().join("l.db").exists());
    folder.write("l.db", "this is no database, it only lies where one is expected to lie, and is long enough for that");
    folder.run(&["runs", "--ledger", "l.db"]).ends_with(1).says(&["l.db"]);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn one_of_a_thousand_is_rejected_mended_and_replayed() {
    let (folder, node) = (Folder::new(), Node::shared("replay"));
    let index = node.name("log");
    // One client has come through a proxy: a field that no other document has.
    let log: String = (0..1_000)
        .map(|n| match n {
            617 => logs::line(n).replacen(" - - [", ", 10.0.0.1 - - [", 1) + "\n",
            _ => logs::line(n) + "\n",
        })
        .collect();
    folder.write_settled("access.log", log);
    let template = folder.run(&["setup", "--print"]).ends_with(0);
    let template: Value = serde_json::from_slice(&template.stdout).expect("JSON");
    let mut properties = template["template"]["mappings"]["properties"].clone();
    let forwarded = properties.as_object_mut().expect("properties").remove("x_forwarded_for").expect("a field");
    let strict = json!({"mappings": {"dynamic": "strict", "properties": properties}});
    node.get("PUT", &format!("/{index}"), Some(&strict));

    let load = ["load", "access.log", "--to", &node.url, "--index", &index, "--json", "--dead-letters", "d.ndjson"];
    let told = folder.run(&load).ends_with(3).report();
    told.has("lines_read 1000, indexed 999, rejected 1");
    let kept: Value = serde_json::from_str(&folder.read("d.ndjson")).expect("exactly one letter");
    assert_eq!((&kept["type"], &kept["status"]), (&json!("strict_dynamic_mapping_exception"), &json!(400)));
    assert_eq!(kept["document"]["x_forwarded_for"], "192.0.2.118, 10.0.0.1");
    assert!(kept["reason"].as_str().unwrap().contains("x_forwarded_for"), "{kept}");
    assert_eq!(node.count(&index), 999);

    // Too early: it is rejected again. A pipeline that is not there is a state that may pass.
    let replay = |more: &[&str]| folder.run(&[&["replay", "d.ndjson", "--to", &node.url, "--json"], more].concat());
    has(&report(&replay(&["--dead-letters", "early.ndjson"]).ends_with(3)), "letters_read 1, rejected 1");
    let early: Value = serde_json::from_str(&folder.read("early.ndjson")).expect("exactly one letter");
    let mut expected = kept.clone();
    (expected["time"], expected["attempts"]) = (early["time"].clone(), json!(2));
    assert_eq!(early, expected);

    let mapping = json!({"properties": {"x_forwarded_for": forwarded}});
    node.get("PUT", &format!("/{index}/_mapping"), Some(&mapping));
    has(&report(&replay(&[]).ends_with(0)), "letters_read 1, indexed 1");
    assert_eq!(node.count(&index), 1_000);
    let there: BTreeMap<_, _> = node.documents(&index);
    assert_eq!(there[kept["_id"].as_str().unwrap()].1, kept["document"]);
    // And once more: none is doubled.
    has(&report(&replay(&[]).ends_with(0)), "letters_read 1, duplicate 1");
    assert_eq!(node.count(&index), 1_000);

    // A default pipeline that drops everything, and the way past it.
    let pipeline = node.name("drop");
    node.get("PUT", &format!("/_ingest/pipeline/{pipeline}"), Some(&json!({"processors": [{"drop": {}}]})));
    let default = json!({"index.default_pipeline": pipeline});
    node.get("PUT", &format!("/{index}/_settings"), Some(&default));
    node.get("DELETE", &format!("/{index}/_doc/{}", kept["_id"].as_str().unwrap()), None);
    let told = report(&replay(&["--dead-letters", "dropped.ndjson"]).ends_with(3));
    has(&told, "letters_read 1, rejected 1");
    assert!(folder.read("dropped.ndjson").contains("dropped_by_pipeline"));
    has(&report(&replay(&["--pipeline", "none"]).ends_with(0)), "letters_read 1, indexed 1");
    assert_eq!(node.count(&index), 1_000);

    // What the ledger knows of it.
    folder.run(&["runs"]).ends_with(0).tells(&["access.log", "1,000", "999"]);
    let runs = folder.run(&["runs", "--json"]).ends_with(0);
    let runs: Value = serde_json::from_slice(&runs.stdout).expect("JSON");
    let id = runs["runs"][0]["id"].as_i64().expect("a number").to_string();
    folder.run(&["runs", "show", &id]).ends_with(0).tells(&["1,000 read = 999 indexed", "d.ndjson"]);
    folder.run(&["runs", "forget", "--older-than", "1h"]).ends_with(0).tells(&["forgot 0 runs"]);
    folder.run(&["runs", "forget", &id]).ends_with(0).tells(&["forgot run"]);
    folder.run(&["runs", "show", &id]).ends_with(2);
}
