//! The load profile: an index has its own settings again after each way in which a load can end, with two loads on one
//! index, whichever of them is killed. An interval that was set comes back as it was, and one that was not set is not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::load::{Load, Typed, report};
use crate::logs::MONTHS;
use crate::support::logs::{Options, generate};
use crate::support::{Folder, Node};
use crate::turn;

const LINES: u64 = 30_000;

/// Refresh interval, if one is set, and replicas.
type Own = (Option<String>, String);

/// A node with a template that sets an interval for the first month only, and two small logs of both months.
struct Scene {
    node: Node,
    folder: Folder,
    logs: [PathBuf; 2],
}

impl Scene {
    fn new(test: &str) -> Scene {
        let node = Node::shared(test);
        for (name, index, settings) in [
            ("with", MONTHS[0], json!({"number_of_replicas": 1, "refresh_interval": "30s"})),
            ("without", MONTHS[1], json!({"number_of_replicas": 1})),
        ] {
            let mappings = json!({"dynamic": false, "properties": {"@timestamp": {"type": "date"}}});
            let template = json!({
                "index_patterns": [node.name(&format!("log{index}"))],
                "priority": 500,
                "template": {"settings": settings, "mappings": mappings},
            });
            node.get("PUT", &format!("/_index_template/{}", node.name(name)), Some(&template));
        }
        let folder = Folder::new();
        let logs = [1, 2].map(|seed| {
            let options = Options { lines: Some(LINES), seed, months: 2, ..Options::default() };
            folder.write_settled(&format!("{seed}.log"), generate(options).0)
        });
        Scene { node, folder, logs }
    }

    /// A load of one of the logs under the profile, in a folder of its own, with the one ledger.
    fn typed<'a>(&self, which: usize, folder: &'a Folder) -> Typed<'a> {
        let typed = Typed::new(folder, &self.logs[which], &self.node.url, &self.node.name("log"));
        typed.placed("ledger", &self.folder.path().join("ledger.db")).with("--profile bulk --bulk-bytes 256KiB")
    }

    /// One that takes ten seconds, once the profile is on the first index.
    fn started<'a>(&self, which: usize, folder: &'a Folder) -> (Typed<'a>, Load) {
        let typed = self.typed(which, folder);
        let mut load = typed.clone().with("--max-docs-per-second 3000 --writers 1").start();
        load.until("the profile", || {
            self.settings().get(MONTHS[0]).is_some_and(|own| *own == (Some("-1".into()), "0".into()))
        });
        (typed, load)
    }

    /// A second one beside the first: until it has sent documents.
    fn beside(&self, which: usize, folder: &Folder) -> Load {
        let connection = rusqlite::Connection::open(self.folder.path().join("ledger.db")).expect("the ledger");
        let holders = || connection.query_row("SELECT count(*) FROM profile_holders", [], |row| row.get::<_, i64>(0));
        let mut load = self.started(which, folder).1;
        load.until("both to hold it", || holders().expect("a number") == 2);
        load
    }

    fn settings(&self) -> BTreeMap<String, Own> {
        let name = self.node.name("log");
        let (_, answer) = self.node.ask("GET", &format!("/{name}*/_settings?flat_settings=true"), None);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let indices = answer.as_object().into_iter().flatten().filter(|(index, _)| index.starts_with(&name));
        indices
            .map(|(index, entry)| {
                let get = |setting: &str| text(&entry["settings"][setting]);
                let own = (get("index.refresh_interval"), get("index.number_of_replicas").expect("always set"));
                (index[name.len()..].to_owned(), own)
            })
            .collect()
    }

    /// As the templates have it, for the months that are there: so many at least.
    #[track_caller]
    fn assert_own(&self, months: usize) {
        let settings = self.settings();
        assert!(settings.len() >= months, "{settings:?}");
        let own = [(Some("30s".to_owned()), "1".to_owned()), (None, "1".to_owned())];
        for (month, own) in MONTHS.iter().zip(own).take(settings.len()) {
            assert_eq!(settings[*month], own, "{month}");
        }
    }

    fn restore(&self) -> String {
        let ledger = self.folder.path().join("ledger.db");
        let ledger = ledger.to_str().expect("UTF-8");
        let ran = self.folder.run(&["restore", "--to", &self.node.url, "--ledger", ledger]).ends_with(0);
        String::from_utf8(ran.stdout).expect("UTF-8")
    }
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn after_the_end_an_interrupt_and_a_kill() {
    let _turn = turn::take();
    let scene = Scene::new("profile");
    let folder = Folder::new();

    let (typed, load) = scene.started(0, &folder);
    load.signal(Signal::INT);
    report(&load.wait(), 130);
    scene.assert_own(1);

    // The resumed part holds the same index again: the run made it.
    let mut load = typed.clone().with("--resume --max-docs-per-second 3000 --writers 1").start();
    load.until("the profile again", || scene.settings()[MONTHS[0]].1 == "0");
    load.signal(Signal::KILL);
    load.wait();
    assert_eq!(scene.settings()[MONTHS[0]], (Some("-1".into()), "0".into()), "nobody could put it back");
    assert!(scene.restore().contains("restored"), "it tells");
    scene.assert_own(1);
    assert!(scene.restore().contains("nothing to restore"));

    let ran = typed.clone().with("--resume").run();
    assert!(report(&ran, 0).0["notes"].to_string().contains("own settings are back"), "{}", ran.told());
    scene.assert_own(2);
    // Refreshed at once, though one of the intervals is half a minute.
    let count = scene.node.get("GET", &format!("/{}*/_count", scene.node.name("log")), None);
    assert_eq!(count["count"].as_u64(), Some(LINES));
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn the_next_load_restores_what_a_killed_one_left() {
    let _turn = turn::take();
    let scene = Scene::new("profile-next");
    let folder = Folder::new();
    let (_, load) = scene.started(0, &folder);
    load.signal(Signal::KILL);
    load.wait();
    // Another index, no profile of its own, the same ledger.
    let other = Typed::new(&folder, &scene.logs[1], &scene.node.url, &scene.node.name("other"));
    let ran = other.placed("ledger", &scene.folder.path().join("ledger.db")).run();
    assert!(report(&ran, 0).0["notes"].to_string().contains("put back"), "{}", ran.told());
    scene.assert_own(1);
}

/// Two loads on the same indices: the first or the second is killed, and the other one restores what the first found.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn two_at_once_one_killed() {
    let _turn = turn::take();
    for killed in 0..2 {
        let scene = Scene::new(&format!("profile-two-{killed}"));
        let folders = [Folder::new(), Folder::new()];
        let mut loads = vec![scene.started(0, &folders[0]).1];
        loads.push(scene.beside(1, &folders[1]));
        let victim = loads.remove(killed);
        victim.signal(Signal::KILL);
        victim.wait();
        let other = loads.remove(0);
        assert_eq!(scene.settings()[MONTHS[0]].1, "0", "the other one is at work");
        other.signal(Signal::TERM);
        report(&other.wait(), 130);
        scene.assert_own(1);
        assert!(scene.restore().contains("nothing to restore"));
    }
}

/// An index that was there before keeps its settings, unless that is asked for.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn an_index_that_was_there_before() {
    let _turn = turn::take();
    let scene = Scene::new("profile-before");
    let folder = Folder::new();
    for month in MONTHS {
        scene.node.get("PUT", &format!("/{}{month}", scene.node.name("log")), None);
    }
    let told = report(&scene.typed(0, &folder).run(), 0);
    assert!(told.0["notes"].to_string().contains("--profile-existing"), "{}", told.0);
    let typed = scene.typed(1, &folder).with("--profile-existing");
    let mut load = typed.clone().with("--max-docs-per-second 3000 --writers 1").start();
    load.until("the profile", || scene.settings()[MONTHS[0]].1 == "0");
    // What somebody changes meanwhile is theirs.
    let index = format!("{}{}", scene.node.name("log"), MONTHS[0]);
    scene.node.get("PUT", &format!("/{index}/_settings"), Some(&json!({"index.refresh_interval": "7s"})));
    load.signal(Signal::INT);
    let told = report(&load.wait(), 130);
    assert!(told.0["notes"].to_string().contains("changed by somebody else"), "{}", told.0);
    assert_eq!(scene.settings()[MONTHS[0]], (Some("7s".into()), "1".into()));
    assert_eq!(scene.settings()[MONTHS[1]], (None, "1".into()));
}
