//! `loghaul load --to dir:PATH` and `loghaul ship`, as a user runs them: killed and gone on with, damaged on the way, on a
//! full disk, against a scripted server, and once against a real one.

#[path = "support/scripted_server.rs"]
mod scripted_server;
#[path = "support/mod.rs"]
#[allow(dead_code, unused_imports)] // other test programs use other parts of it
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use scripted_server::{Act, ScriptedServer};
use serde_json::{Value, json};
use support::{Folder, Node, Ran, Running, SmallDisk, logs, not_tested};

/// A server that greets, lets nobody see its templates, and then does this, the last of it again and again.
fn server(acts: impl IntoIterator<Item = Act>) -> ScriptedServer {
    ScriptedServer::new(greeting(false).into_iter().chain(acts))
}

/// What comes before the first body; `knows`: it is asked for the index of bodies that were shipped to it before.
fn greeting(knows: bool) -> Vec<Act> {
    let hello = r#"{"version":{"number":"3.8.0","distribution":"opensearch"},"cluster_uuid":"u"}"#;
    let mut acts = vec![Act::Answer(200, hello.to_owned())];
    acts.extend(knows.then(|| Act::Answer(200, String::new())));
    acts.push(Act::Answer(403, "{}".to_owned()));
    acts
}

/// The same server for one more ship.
fn once_more(cluster: &ScriptedServer, knows: bool) {
    cluster.script(greeting(knows).into_iter().chain([Act::Index]));
}

/// The report, with the law asserted, and the exit code the one of the process.
#[track_caller]
fn report(ran: &Ran) -> Value {
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.told()));
    let terms = ["indexed", "duplicate", "rejected", "damaged", "unsettled"];
    let sum: u64 = terms.iter().map(|term| report[*term].as_u64().expect("a count")).sum();
    assert_eq!(report["documents"], sum, "{report:#}");
    assert_eq!(report["law_holds"], true, "{report:#}");
    assert_eq!(report["exit_code"].as_i64(), ran.status.code().map(i64::from), "{report:#}");
    report
}

#[track_caller]
fn has(counts: &Value, expected: &str) {
    support::law::has(counts, expected);
}

fn ship(folder: &Folder, url: &str, arguments: &str) -> Ran {
    let mut all = vec!["ship"];
    all.extend(arguments.split_whitespace());
    all.extend(["--json", "--to", url]);
    folder.run(&all)
}

/// A log of so many lines, loaded into the directory `spool` in bodies of 64 KiB.
fn spool(folder: &Folder, lines: usize) {
    folder.write_settled("access.log", logs::lines(lines));
    let load = ["load", "access.log", "--to", "dir:spool", "--bulk-bytes", "64KiB", "--ledger", "l.db", "--quiet"];
    folder.run(&load).ends_with(0);
}

/// What the manifest says: its bodies, and its last line.
fn manifest(folder: &Path) -> (Vec<Value>, Value) {
    let text = fs::read_to_string(folder.join("manifest.ndjson")).expect("a manifest");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let bodies = lines.iter().filter_map(|line| line.get("body")).cloned().collect();
    (bodies, lines.last().expect("a line").clone())
}

/// Ids in all bodies, each as often as it is there.
fn ids(folder: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    for body in manifest(folder).0 {
        let packed = fs::File::open(folder.join(body["file"].as_str().expect("a name"))).expect("a body");
        let text = String::from_utf8(zstd::decode_all(packed).expect("zstd")).expect("UTF-8");
        assert_eq!(text.lines().count() as u64, body["documents"].as_u64().expect("a count") * 2);
        ids.extend(text.lines().step_by(2).map(str::to_owned));
    }
    ids
}

#[test]
fn a_load_that_is_killed_again_and_again_holds_each_line_once() {
    let folder = Folder::new();
    let lines = 200_000;
    folder.write_settled("access.log", logs::lines(lines));
    let load = ["load", "access.log", "--to", "dir:spool", "--bulk-bytes", "64KiB", "--ledger", "l.db", "--quiet"];
    let resume = [&load[..], &["--resume"]].concat();
    let there = folder.path().join("spool");
    let mut killed = 0;
    for n in 0..3 {
        let before = if n == 0 { 0 } else { manifest(&there).0.len() };
        let mut running = Running::start(folder.command(if n == 0 { &load[..] } else { &resume }));
        let enough = || {
            fs::read_to_string(there.join("manifest.ndjson"))
                .is_ok_and(|text| text.matches("{\"body\"").count() >= before + 7)
        };
        running.wait_for("some bodies", enough);
        running.signal(Signal::KILL);
        running.end();
        killed += usize::from(manifest(&there).1.get("end").is_none());
        if n == 0 && killed == 1 {
            folder.run(&load).ends_with(2).says(&["spool is incomplete", "was killed", "--resume"]);
            let url = "http://127.0.0.1:9";
            ship(&folder, url, "spool").ends_with(1).says(&["spool is incomplete", "--partial"]);
            let cluster = server([Act::Index]);
            let told = report(&ship(&folder, &cluster.url(), "spool --partial --state s.ndjson").ends_with(0));
            assert!(told["indexed"].as_u64().expect("a count") > 0 && told["complete"] == false, "{told:#}");
        }
    }
    assert!(killed > 0, "the machine is too quick for this test");
    folder.run(&resume).ends_with(0);
    let ids = ids(&there);
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (lines, lines));
    let (bodies, end) = manifest(&there);
    let end = &end["end"];
    assert_eq!(
        (&end["ended"], &end["lines_read"], &end["documents"]),
        (&json!("complete"), &json!(lines), &json!(lines))
    );
    // Nothing is left beside what the manifest names.
    assert_eq!(fs::read_dir(&there).expect("a folder").count(), bodies.len() + 1);
}

#[test]
fn a_full_disk_is_a_clean_end_and_with_room_it_goes_on() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "256k") else {
        return not_tested("a full disk under dir: mounting a tmpfs is for root");
    };
    let lines = 60_000;
    folder.write_settled("access.log", logs::lines(lines));
    let load = ["load", "access.log", "--to", "dir:disk/spool", "--bulk-bytes", "64KiB", "--ledger", "l.db", "--json"];
    let ran = folder.run(&load).ends_with(4);
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.told()));
    let said = told["why"].to_string() + &told["hint"].to_string();
    for words in ["no space left", "disk/spool", "--resume"] {
        assert!(said.contains(words), "it says {words:?}: {said}");
    }
    // What the manifest names is whole, and there is nothing else.
    let there = disk.0.join("spool");
    let before = ids(&there);
    assert!(!before.is_empty() && before.len() < lines, "{}", before.len());
    assert_eq!(fs::read_dir(&there).expect("a folder").count(), manifest(&there).0.len() + 1);
    ship(&folder, "http://127.0.0.1:9", "disk/spool").ends_with(1).says(&["disk/spool is incomplete", "--partial"]);
    // As long as nobody makes room it is the same again.
    folder.run(&[&load[..], &["--resume"]].concat()).ends_with(4);
    disk.grow("64m");
    folder.run(&[&load[..], &["--resume"]].concat()).ends_with(0);
    let ids = ids(&there);
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (lines, lines));
}

#[test]
fn what_is_shipped_is_what_a_direct_load_sends_and_only_once() {
    let folder = Folder::new();
    spool(&folder, 20_000);
    let direct = server([Act::Index]);
    let load = ["load", "access.log", "--no-ledger", "--json", "--to", &direct.url()];
    folder.run(&load).ends_with(0).report().has("indexed 20000");
    fs::rename(folder.path().join("spool"), folder.path().join("elsewhere")).expect("moved");

    let cluster = server([Act::Index]);
    has(&report(&ship(&folder, &cluster.url(), "elsewhere").ends_with(0)), "documents 20000, indexed 20000");
    assert_eq!(cluster.ids(), direct.ids());
    // What was shipped is not sent again, unless somebody wants it.
    once_more(&cluster, true);
    let again = report(&ship(&folder, &cluster.url(), "elsewhere").ends_with(0));
    has(&again, "documents 20000, indexed 20000, requests 0");
    once_more(&cluster, false);
    has(&report(&ship(&folder, &cluster.url(), "elsewhere --again").ends_with(0)), "indexed 0, duplicate 20000");
    // Anybody else's cluster has none of it.
    let other = server([Act::Index]);
    let state = "elsewhere --state other.ndjson --pipeline p";
    has(&report(&ship(&folder, &other.url(), state).ends_with(0)), "indexed 20000");
    assert!(other.seen().iter().any(|seen| seen.line.contains("&pipeline=p")));

    // More lines are more bodies; only those are sent.
    fs::rename(folder.path().join("elsewhere"), folder.path().join("spool")).expect("moved");
    spool(&folder, 25_000);
    once_more(&cluster, true);
    let told = report(&ship(&folder, &cluster.url(), "spool").ends_with(0));
    has(&told, "documents 25000, indexed 5000, duplicate 20000"); // as the last ship found them
    has(&told["shipped_before"], "documents 20000");
}

#[test]
fn a_body_that_is_damaged_on_the_way_is_named_and_nothing_of_it_is_sent() {
    let folder = Folder::new();
    spool(&folder, 30_000);
    let there = folder.path().join("spool");
    let bodies = manifest(&there).0;
    assert!(bodies.len() > 6, "{}", bodies.len());
    let name = |n: usize| bodies[n]["file"].as_str().expect("a name").to_owned();
    let whole: Vec<Vec<u8>> = (0..5).map(|n| fs::read(there.join(name(n))).expect("a body")).collect();
    let mut flipped = whole[0].clone();
    flipped[1000] ^= 4;
    fs::write(there.join(name(0)), flipped).expect("written");
    fs::write(there.join(name(1)), &whole[1][..1000]).expect("written");
    fs::remove_file(there.join(name(2))).expect("gone");
    fs::rename(there.join(name(3)), there.join("copy.zst")).expect("renamed");
    fs::write(there.join("999999.ndjson.zst"), &whole[4]).expect("written");

    folder.run(&["ship", "spool", "--check"]).ends_with(1).tells(&[
        "4 bodies are not whole",
        &format!("{}: its checksum is not the manifest's", name(0)),
        &format!("{}: it is cut: 1000 of", name(1)),
        &format!("{}: it is missing", name(2)),
        &format!("{}: it is missing, but copy.zst has its content", name(3)),
        "999999.ndjson.zst: the manifest does not name it",
    ]);
    let cluster = server([Act::Index]);
    let told = report(&ship(&folder, &cluster.url(), "spool").ends_with(1));
    let named: Vec<_> = told["damaged_bodies"].as_array().expect("bodies").iter().map(|body| &body["file"]).collect();
    assert_eq!(named, [&bodies[0]["file"], &bodies[1]["file"], &bodies[2]["file"], &bodies[3]["file"]]);
    let lost: u64 = bodies[..4].iter().map(|body| body["documents"].as_u64().expect("a count")).sum();
    has(&told, &format!("documents 30000, indexed {}, damaged {lost}", 30000 - lost));
    assert_eq!(cluster.ids().len() as u64, 30000 - lost);

    // Copied again, only they are sent.
    once_more(&cluster, true);
    for (n, bytes) in whole.iter().enumerate().take(4) {
        fs::write(there.join(name(n)), bytes).expect("written");
    }
    let told = report(&ship(&folder, &cluster.url(), "spool").ends_with(0));
    has(&told, "documents 30000, indexed 30000, damaged 0");
    has(&told["shipped_before"], &format!("documents {}", 30000 - lost));

    // A manifest that came damaged is not believed at all.
    let path = there.join("manifest.ndjson");
    let text = fs::read_to_string(&path).expect("a manifest");
    fs::write(&path, text.replacen("\"documents\":", "\"documents\":1", 1)).expect("written");
    ship(&folder, &cluster.url(), "spool").ends_with(1).says(&["manifest.ndjson is damaged", "do not add up"]);
    folder.run(&["ship", "nowhere", "--check"]).ends_with(1).says(&["there is no such directory"]);
    folder.run(&["ship", "state", "--check"]).ends_with(1);
}

/// Documents of one client are refused.
fn refuses_some(_action: &str, document: &str, known: bool) -> (u16, &'static str) {
    match (document.contains("192.0.2.7\""), known) {
        (true, _) => (400, r#"{"type":"mapper_parsing_exception","reason":"no"}"#),
        (_, true) => (409, r#"{"type":"version_conflict_engine_exception","reason":"there"}"#),
        _ => (201, ""),
    }
}

#[test]
fn what_is_rejected_is_kept_with_its_place_in_its_log() {
    let folder = Folder::new();
    spool(&folder, 1_000);
    let cluster = server([Act::Items(refuses_some)]);
    let told = report(&ship(&folder, &cluster.url(), "spool").ends_with(3));
    let rejected = told["rejected"].as_u64().expect("a count");
    assert!(rejected > 0, "the log has no such client");
    let letters = folder.read("spool/dead-letters.ndjson");
    assert_eq!(letters.lines().count() as u64, rejected);
    let log = folder.read("access.log");
    for letter in letters.lines() {
        let letter: Value = serde_json::from_str(letter).expect("JSON");
        let offset = letter["offset"].as_u64().expect("an offset") as usize;
        assert!(log[offset..].starts_with("192.0.2.7 "), "{letter}");
        assert!(letter["source"].as_str().expect("a source").ends_with("access.log"));
    }
    // Mended, replayed.
    let mended = ScriptedServer::new(greeting(false).into_iter().take(1).chain([Act::Index]));
    folder.run(&["replay", "spool/dead-letters.ndjson", "--to", &mended.url()]).ends_with(0);
    assert_eq!(mended.ids().len() as u64, rejected);
}

#[test]
fn a_ship_that_is_interrupted_goes_on() {
    let folder = Folder::new();
    spool(&folder, 30_000);
    let cluster = server([Act::Index, Act::Index, Act::Index, Act::Hang(std::time::Duration::from_secs(60))]);
    let command = folder.command(["ship", "spool", "--json", "--writers", "1", "--to", &cluster.url()]);
    let mut running = Running::start(command);
    // After the first body its index is asked for.
    running.wait_for("the third body", || cluster.seen().len() >= 6);
    running.signal(Signal::KILL);
    running.end();
    drop(cluster);
    let cluster = server([]);
    once_more(&cluster, true);
    let told = report(&ship(&folder, &cluster.url(), "spool").ends_with(0));
    has(&told, "documents 30000, indexed 30000");
    has(&told["shipped_before"], "bodies 2");
}

#[test]
fn what_does_not_go() {
    let folder = Folder::new();
    folder.write("full/of/things", "x");
    folder.write("a.log", "x\n");
    let load = |more: &[&str]| folder.run(&[&["load", "a.log"], more].concat());
    load(&["--to", "dir:full"]).ends_with(2).says(&["full is not empty, and no load's directory"]);
    load(&["--to", "dir:a.log"]).ends_with(1).says(&["cannot make the directory a.log"]);
    load(&["--to", "dir:"]).ends_with(2).says(&["--to dir: names no folder"]);
    load(&["--to", "dir:new", "--resume"]).ends_with(2).says(&["new is complete"]);
    folder.run(&["ship", "full"]).ends_with(2).says(&["--to"]);
    folder.run(&["ship", "full", "--to", "dir:x"]).ends_with(2).says(&["is no OpenSearch"]);
    folder.run(&["ship", "full", "--check"]).ends_with(1).says(&["it has no manifest.ndjson"]);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn the_same_ids_and_counts_as_by_direct_load() {
    let (folder, node) = (Folder::new(), Node::shared("ship"));
    let index = node.name("log");
    folder.write_settled("access.log", logs::lines(5_000));
    let load = |to: &str| folder.run(&["load", "access.log", "--index", &index, "--no-ledger", "--json", "--to", to]);
    load("dir:spool").ends_with(0).report().has("lines_read 5000, indexed 5000");
    has(&report(&ship(&folder, &node.url, "spool").ends_with(0)), "documents 5000, indexed 5000");
    assert_eq!(node.count(&index), 5_000);
    load(&node.url).ends_with(0).report().has("indexed 0, duplicate 5000");
    // An index that is gone is filled again.
    node.get("DELETE", &format!("/{index}"), None);
    let told = report(&ship(&folder, &node.url, "spool").ends_with(0));
    has(&told, "documents 5000, indexed 5000");
    assert_eq!(node.count(&index), 5_000);
}

/// Also where some of its documents had been refused.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn an_index_that_refused_some_and_is_gone_is_filled_again() {
    let (folder, node) = (Folder::new(), Node::shared("ship-refused"));
    let index = node.name("log");
    let template = json!({"index_patterns": [&index], "priority": 500, "template": {"mappings": {
        "dynamic": false, "properties": {"clientip": {"type": "ip"}}}}});
    node.get("PUT", &format!("/_index_template/{}", node.name("ip")), Some(&template));
    folder.write_settled(
        "access.log",
        logs::lines(999) + &logs::line(999).replacen(|_: char| true, "host.example-", 1) + "\n",
    );
    folder.run(&["load", "access.log", "--index", &index, "--no-ledger", "--to", "dir:spool"]).ends_with(0);
    for _ in 0..2 {
        let told = report(&ship(&folder, &node.url, "spool").ends_with(3));
        has(&told, "documents 1000, indexed 999, rejected 1");
        assert_eq!(node.count(&index), 999);
        node.get("DELETE", &format!("/{index}"), None);
    }
}
