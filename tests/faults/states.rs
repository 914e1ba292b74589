//! Indices that are blocked, closed, deleted, and pipelines that are missing, from the middle of a load on. Lifted
//! after some probes, the load goes on by itself. Not lifted, it stops with exit code 4, and `--resume` finishes it.

use serde_json::{Value, json};

use crate::blocked::Block;
use crate::census::Census;
use crate::fault_proxy::FaultProxy;
use crate::load::{brief, report};
use crate::logs::{LINES, Shape, log, put_template};
use crate::own_node::set;
use crate::support::{Folder, Node};
use crate::{seed, turn};

/// A state in which nothing can be written to the indices of a load.
#[derive(Clone, Copy, Debug)]
enum State {
    WriteBlock,
    ReadOnly,
    ClosedIndex,
    MissingPipeline,
}

/// Names of the node: for a thread of the proxy, which cannot borrow it.
#[derive(Clone)]
struct Target {
    url: String,
    indices: String,
    pipeline: String,
}

impl Target {
    fn of(node: &Node) -> Target {
        let indices = format!("{}*", node.name("log"));
        Target { url: node.url.clone(), indices, pipeline: node.name("pipeline") }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) {
        Node::at(&self.url, "states-hand").get(method, path, body);
    }

    fn put_pipeline(&self) {
        let pipeline = json!({"processors": []});
        self.ask("PUT", &format!("/_ingest/pipeline/{}", self.pipeline), Some(&pipeline));
    }

    fn begin(&self, state: State) {
        let settings = format!("/{}/_settings", self.indices);
        match state {
            State::WriteBlock => self.ask("PUT", &settings, Some(&json!({"index.blocks.write": true}))),
            State::ReadOnly => self.ask("PUT", &settings, Some(&json!({"index.blocks.read_only": true}))),
            State::ClosedIndex => self.ask("POST", &format!("/{}/_close", self.indices), None),
            State::MissingPipeline => self.ask("DELETE", &format!("/_ingest/pipeline/{}", self.pipeline), None),
        }
    }

    fn end(&self, state: State) {
        let settings = format!("/{}/_settings", self.indices);
        match state {
            State::WriteBlock => self.ask("PUT", &settings, Some(&json!({"index.blocks.write": null}))),
            State::ReadOnly => self.ask("PUT", &settings, Some(&json!({"index.blocks.read_only": null}))),
            State::ClosedIndex => self.ask("POST", &format!("/{}/_open", self.indices), None),
            State::MissingPipeline => self.put_pipeline(),
        }
    }
}

const STATES: [State; 4] = [State::WriteBlock, State::ClosedIndex, State::MissingPipeline, State::ReadOnly];

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn lifted_after_some_probes() {
    let _turn = turn::take();
    let mut random = seed::random("lifted");
    let node = Node::shared("lifted");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let target = Target::of(&node);
    target.put_pipeline();
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let typed = typed.with("--bulk-bytes 1MiB --pipeline").with(&target.pipeline);

    let mut load = None;
    for state in STATES {
        let number = random.u64(5..20);
        println!("{state:?} from batch {number} on");
        let hand = target.clone();
        let block = Block::at(&proxy, number, move || hand.begin(state));
        let load = load.get_or_insert_with(|| typed.start());
        block.lift_after(3, load, &proxy, || target.end(state));
    }
    let told = report(&load.expect("it was started").wait(), 0);
    println!("{}", brief(&told));
    log().assert_complete(&told);
    told.has("duplicate 0");
    assert!(told.0["paused_seconds"].as_f64().is_some_and(|seconds| seconds > 10.0), "{}", told.0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn not_lifted() {
    let _turn = turn::take();
    let mut random = seed::random("not-lifted");
    let node = Node::shared("not-lifted");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let target = Target::of(&node);
    target.put_pipeline();
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let typed = typed.with("--bulk-bytes 1MiB --give-up-after 2s --pipeline").with(&target.pipeline);

    let mut next = typed.clone();
    for state in STATES {
        let number = random.u64(5..20);
        println!("{state:?} from batch {number} on");
        let hand = target.clone();
        let _block = Block::at(&proxy, number, move || hand.begin(state));
        let ran = next.run();
        let told = report(&ran, 4);
        told.has("rejected 0, duplicate 0");
        assert_eq!(told.0["ended"], "stopped", "{}", ran.told());
        assert!(told.0["hint"].as_str().is_some_and(|hint| hint.contains("--resume")), "{}", ran.told());
        target.end(state);
        next = typed.clone().with("--resume");
    }
    proxy.pass();
    let told = report(&next.run(), 0);
    println!("{}", brief(&told));
    // Of the whole run, all five parts together.
    let whole = typed.whole_run();
    log().assert_complete(&whole);
    whole.has(&format!("lines_read {LINES}, duplicate 0"));
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}

/// What was in a deleted index is gone: the file counts as not loaded, and is loaded in full.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn deleted() {
    let _turn = turn::take();
    let mut random = seed::random("deleted");
    let node = Node::shared("deleted");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let target = Target::of(&node);
    let hand = target.clone();
    let _block = Block::at(&proxy, random.u64(20..40), move || {
        // Else the next batch would make it anew.
        set(&Node::at(&hand.url, "deleted-hand"), &json!({"action.auto_create_index": "false"}));
        hand.ask("DELETE", &format!("/{}", hand.indices), None);
    });
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let typed = typed.with("--bulk-bytes 1MiB --give-up-after 2s");
    let ran = typed.run();
    set(&node, &json!({"action.auto_create_index": null}));
    report(&ran, 4).has("rejected 0");
    proxy.pass();
    let ran = typed.with("--resume").run();
    let told = report(&ran, 0);
    println!("{}", brief(&told));
    assert_eq!(told.count("rejected"), 0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}

/// With auto-create on, the next document makes a deleted index anew, and every request goes on succeeding: the run
/// must not claim what is gone, and the next one loads it.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn deleted_and_made_anew() {
    let _turn = turn::take();
    let mut random = seed::random("made-anew");
    let node = Node::shared("made-anew");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let target = Target::of(&node);
    let hand = target.clone();
    let _block = Block::at(&proxy, random.u64(60..90), move || {
        // Long enough for somebody to look at it before.
        std::thread::sleep(std::time::Duration::from_secs(1));
        hand.ask("DELETE", &format!("/{}", hand.indices), None);
    });
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log")).with("--bulk-bytes 1MiB");
    let ran = typed.run();
    report(&ran, 1);
    assert!(ran.told().contains("deleted while documents were being written"), "{}", ran.told());
    proxy.pass();
    let told = report(&typed.run(), 0);
    println!("{}", brief(&told));
    assert_eq!(told.count("rejected"), 0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}
