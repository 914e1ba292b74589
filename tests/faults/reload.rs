//! `reload` and `rollback`: readers of the alias see the old documents or the new ones, and never anything between.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::left_behind;
use crate::support::logs::{gzip, line, lines};
use crate::support::{Folder, Node, Ran};
use crate::turn;

/// An alias of the node, and logs of so many lines.
struct Scene {
    node: Node,
    folder: Folder,
    alias: String,
}

impl Scene {
    /// `behind`: a template puts each new index behind the alias. It must not show while it is loaded.
    fn new(test: &str, behind: bool) -> Scene {
        let node = Node::shared(test);
        let (alias, folder) = (node.name("web"), Folder::new());
        let aliases = if behind { json!({&alias: {}}) } else { json!({}) };
        let template = json!({
            "index_patterns": [format!("{alias}-*")],
            "priority": 500,
            "template": {
                "settings": {"number_of_replicas": 0},
                "aliases": aliases,
                "mappings": {"dynamic": false, "properties": {"@timestamp": {"type": "date"}}},
            },
        });
        node.get("PUT", &format!("/_index_template/{}", node.name("template")), Some(&template));
        Scene { node, folder, alias }
    }

    fn log(&self, count: usize) -> PathBuf {
        self.folder.write_settled(&format!("{count}.log"), lines(count))
    }

    /// `reload ALIAS LOG`, or with event-time parts.
    fn words<'a>(&'a self, name: &'a str, log: &'a Path, more: &'a str) -> Vec<&'a str> {
        let mut words = vec!["reload", name, log.to_str().expect("UTF-8"), "--to", &self.node.url, "--json"];
        words.extend(more.split_whitespace());
        words
    }

    fn reload(&self, log: &Path, more: &str) -> Ran {
        self.folder.run(&self.words(&self.alias, log, more))
    }

    /// One that takes a while.
    fn start(&self, log: &Path) -> Child {
        let more = "--max-docs-per-second 5000 --bulk-bytes 256KiB --writers 1";
        let mut command = self.folder.command(self.words(&self.alias, log, more));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    }

    /// What a reader sees, without a refresh of ours.
    fn seen(&self) -> (u16, Option<u64>) {
        let (status, answer) = self.node.ask("GET", &format!("/{}/_count", self.alias), None);
        (status, answer["count"].as_u64())
    }

    #[track_caller]
    fn assert_seen(&self, count: u64) {
        assert_eq!(self.seen(), (200, Some(count)));
    }

    fn indices(&self) -> Vec<String> {
        let (_, found) =
            self.node.ask("GET", &format!("/{}*/_settings?filter_path=*.settings.index.uuid", self.alias), None);
        found.as_object().into_iter().flatten().map(|(index, _)| index.clone()).collect()
    }

    fn rollback(&self) -> Ran {
        self.folder.run(&["rollback", &self.alias, "--to", &self.node.url])
    }
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn readers_see_the_old_or_the_new() {
    let _turn = turn::take();
    let scene = Scene::new("reload-readers", true);
    let (old, new) = (scene.log(20_000), scene.log(25_000));
    scene.reload(&old, "").ends_with(0).report().has("indexed 20000");
    scene.assert_seen(20_000);

    let ended = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                seen.push(scene.seen());
                thread::sleep(Duration::from_millis(50));
            }
            seen.push(scene.seen());
            seen
        });
        let status = scene.start(&new).wait().expect("it ends");
        ended.store(true, Ordering::Relaxed);
        assert!(status.success(), "{status}");
        reader.join().expect("a reader")
    });
    type Seen = (u16, Option<u64>);
    let (before, after): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|seen| **seen == (200, Some(20_000)));
    assert!(before.len() > 20, "it looked on: {}", before.len());
    assert!(after.iter().all(|seen| **seen == (200, Some(25_000))), "{after:?}");
    assert_eq!(seen.last(), Some(&(200, Some(25_000))));

    scene.rollback().ends_with(0);
    scene.assert_seen(20_000);
    scene.rollback().ends_with(1).says(&["no generation", "before"]);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn killed_in_the_middle_it_is_resumed_or_aborted() {
    let _turn = turn::take();
    let scene = Scene::new("reload-killed", true);
    let (old, new) = (scene.log(20_000), scene.log(25_000));
    scene.reload(&old, "").ends_with(0);
    for aborted in [true, false] {
        let mut child = scene.start(&new);
        let since = Instant::now();
        // Some of the new documents are there, by the node's own count of what it indexed.
        while scene.indices().len() < 2 || since.elapsed() < Duration::from_secs(2) {
            assert!(since.elapsed() < Duration::from_secs(60), "no second index: {:?}", scene.indices());
            thread::sleep(Duration::from_millis(20));
        }
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        scene.assert_seen(20_000);
        if aborted {
            let ran = scene.folder.run(&["reload", &scene.alias, "--abort", "--to", &scene.node.url]).ends_with(0);
            assert!(String::from_utf8_lossy(&ran.stdout).contains("deleted"), "{}", ran.told());
            assert_eq!(scene.indices().len(), 1);
            scene.assert_seen(20_000);
        }
    }
    scene.reload(&new, "--resume").ends_with(0);
    scene.assert_seen(25_000);
    scene.reload(&new, "--resume").ends_with(2).says(&["no reload of"]);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn what_does_not_add_up_does_not_move_the_alias() {
    let _turn = turn::take();
    let scene = Scene::new("reload-refused", false);
    let (old, shrunken, empty) = (scene.log(1_000), scene.log(899), scene.log(0));
    // An index that bears the alias's name.
    let document = json!({"@timestamp": "2024-03-05T10:00:00Z"});
    scene.node.get("PUT", &format!("/{}/_doc/1?refresh=true", scene.alias), Some(&document));
    scene.reload(&old, "").ends_with(1).says(&["--adopt"]);
    scene.assert_seen(1);
    scene.reload(&old, "--adopt").ends_with(0);
    scene.assert_seen(1_000);

    scene.reload(&empty, "").ends_with(1);
    scene.reload(&shrunken, "").ends_with(1).tells(&["min-ratio"]);
    scene.reload(&scene.folder.path().join("missing.log"), "").ends_with(1);
    scene.assert_seen(1_000);
    // What was counted already need not be loaded again.
    scene.reload(&shrunken, "--resume --dry-run").ends_with(0);
    scene.assert_seen(1_000);

    // Ours are deleted when they are too many; what is not marked stays.
    let foreign = format!("{}-other", scene.alias);
    scene.node.get("PUT", &format!("/{foreign}"), None);
    let behind = |verb: &str| {
        let action = json!({"actions": [{verb: {"index": &foreign, "alias": &scene.alias}}]});
        scene.node.get("POST", "/_aliases", Some(&action));
    };
    behind("add");
    scene.reload(&old, "").ends_with(1).says(&["which no reload has made"]);
    behind("remove");
    scene.folder.run(&["reload", &scene.alias, "--abort", "--to", &scene.node.url]).ends_with(0);
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1_100)); // generations differ by the second
        scene.reload(&old, "").ends_with(0);
    }
    let indices = scene.indices();
    assert!(indices.len() == 3 && indices.contains(&foreign), "two generations, and what is not ours: {indices:?}");

    // Event-time parts: one generation of several indices.
    let by_hour = format!("{}-%Y-%m-%d-%H", scene.alias);
    let log = scene.log(5_000);
    scene.folder.run(&scene.words(&by_hour, &log, "--keep 1")).ends_with(0);
    scene.assert_seen(5_000);
    let indices = scene.indices();
    assert_eq!(indices.len(), 3, "an hour and 23 minutes in two indices, and what is not ours: {indices:?}");
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn what_was_rolled_back_is_not_gone_on_with() {
    let _turn = turn::take();
    let scene = Scene::new("reload-rollback", true);
    let (old, bad) = (scene.log(1_000), scene.log(1_100));
    scene.reload(&old, "").ends_with(0);
    scene.reload(&bad, "").ends_with(0);
    scene.assert_seen(1_100);
    scene.rollback().ends_with(0);
    scene.assert_seen(1_000);
    scene.reload(&bad, "--resume").ends_with(2).says(&["was rolled back from generation", "--resume 2"]);
    scene.assert_seen(1_000);
    // Whoever names it means it.
    scene.reload(&bad, "--resume 2").ends_with(0);
    scene.assert_seen(1_100);
    scene.rollback().ends_with(0);
    scene.reload(&bad, "").ends_with(0);
    scene.assert_seen(1_100);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn rejected_documents_and_damaged_files_keep_the_alias_where_it_is() {
    let _turn = turn::take();
    let scene = Scene::new("reload-rejected", false);
    scene.reload(&scene.log(1_000), "").ends_with(0);
    let template = format!("/_index_template/{}", scene.node.name("template"));
    let mut strict = scene.node.get("GET", &template, None)["index_templates"][0]["index_template"].clone();
    strict["template"]["mappings"]["properties"]["clientip"] = json!({"type": "ip"});
    scene.node.get("PUT", &template, Some(&strict));
    let host = lines(2_000) + &line(2_000).replacen(|_: char| true, "host.example-", 1) + "\n";
    let host = scene.folder.write_settled("host.log", host);
    scene.reload(&host, "").ends_with(3).report().has("indexed 2000, rejected 1");
    scene.assert_seen(1_000);
    scene.reload(&host, "--resume").ends_with(1).says(&["did not end well (exit code 3)", "--abort"]);
    scene.assert_seen(1_000);

    let mut cut = gzip(lines(3_000).as_bytes(), 1);
    cut.truncate(cut.len() / 2);
    let cut = scene.folder.write_settled("cut.log.gz", cut);
    scene.reload(&cut, "--min-ratio 0.1").ends_with(1);
    scene.assert_seen(1_000);
    scene.reload(&cut, "--min-ratio 0.1 --resume").ends_with(1).says(&["the alias", "was left as it is"]);
    scene.assert_seen(1_000);
    scene.folder.run(&["reload", &scene.alias, "--abort", "--to", &scene.node.url]).ends_with(0);
    assert_eq!(scene.indices().len(), 1);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_copy_of_a_generation_is_nobodys() {
    let _turn = turn::take();
    let scene = Scene::new("reload-copy", false);
    let log = scene.log(1_000);
    scene.reload(&log, "").ends_with(0);
    let generation = scene.indices().remove(0);
    let copy = format!("{}-copy", scene.alias);
    let block = |on: bool| {
        let settings = json!({"index.blocks.write": on});
        scene.node.get("PUT", &format!("/{generation}/_settings"), Some(&settings));
    };
    block(true);
    scene.node.get("PUT", &format!("/{generation}/_clone/{copy}?wait_for_active_shards=1"), Some(&json!({})));
    block(false);
    for _ in 0..2 {
        scene.reload(&log, "--keep 1").ends_with(0);
    }
    scene.folder.run(&["reload", &scene.alias, "--abort", "--to", &scene.node.url]).ends_with(0);
    let indices = scene.indices();
    assert!(indices.len() == 2 && indices.contains(&copy), "{indices:?}");
    assert!(!indices.contains(&generation), "{indices:?}");
    scene.assert_seen(1_000);
}

/// Killed between its last document and its end, it has left an index without refresh and replicas. Nobody gets to see that.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn an_index_has_its_own_settings_before_the_alias_moves() {
    let _turn = turn::take();
    let scene = Scene::new("reload-bare", false);
    let (old, new) = (scene.log(1_000), scene.log(500));
    scene.reload(&old, "").ends_with(0);
    let before = scene.indices();
    scene.reload(&new, "").ends_with(1).tells(&["min-ratio"]);
    let generation = scene.indices().into_iter().find(|index| !before.contains(index)).expect("a second one");
    let settings = || {
        let path = format!("/{generation}/_settings?flat_settings=true");
        scene.node.get("GET", &path, None)[&generation]["settings"].clone()
    };
    let uuid = settings()["index.uuid"].as_str().expect("a uuid").to_owned();
    scene.node.get("PUT", &format!("/{generation}/_settings"), Some(&left_behind::bare()));
    let ledger = scene.folder.path().join("state/loghaul/ledger.db");
    left_behind::entry(&ledger, &scene.node.url, &generation, &uuid);
    let ran = scene.reload(&new, "--resume --min-ratio 0.1").ends_with(0);
    ran.tells(&["are put back"]);
    scene.assert_seen(500);
    let now = settings();
    assert_eq!((&now["index.refresh_interval"], &now["index.number_of_replicas"]), (&json!(null), &json!("1")));
    assert_eq!(left_behind::entries(&ledger), 0);
}
