//! `kill -9` of the node in the middle of a load, and a restart: the load goes on by itself.

use std::time::Duration;

use crate::census::Census;
use crate::load::{brief, report};
use crate::logs::{Shape, log, put_template};
use crate::own_node::OwnNode;
use crate::support::{Folder, Node};
use crate::{seed, turn};

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn in_the_middle_of_a_load() {
    node_killed("");
}

/// Without refresh and replicas, but with a translog that is on disk before a document is acknowledged.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn in_the_middle_of_a_load_under_the_profile() {
    node_killed("--profile bulk");
}

fn node_killed(profile: &str) {
    let _turn = turn::take();
    let mut random = seed::random("node-killed");
    let undisturbed = log().undisturbed(Shape::Plain, &Node::shared("node-killed"));
    let node = OwnNode::start("node-killed", &[]);
    put_template(&node, "log", "keyword");
    let folder = Folder::new();
    // Straight, so that it meets what it would meet: connections reset, then refused, then a node that is not ready.
    let typed = log().typed(Shape::Plain, &folder, &node.url, &node.name("log")).with(profile);
    let mut load = typed.start();
    // Not by the clock: when the node has as many documents as were drawn.
    let documents = random.u64(60_000..200_000);
    load.until("documents", || {
        std::thread::sleep(Duration::from_millis(20));
        node.statistic("indices/indexing", "indices/indexing/index_total") >= documents
    });
    node.crash();
    println!("node-killed: at {documents} documents, by our own count");
    // It knocks for a while at a closed door.
    std::thread::sleep(Duration::from_secs(3));
    assert!(!load.has_ended(), "it waits: {}", load.stderr());
    node.restart();
    let ran = load.wait();
    let told = report(&ran, 0);
    println!("node-killed: {:?}, {}", ran.took, brief(&told));
    log().assert_complete(&told);
    told.has("duplicate 0");
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
    let settings = node.get("GET", &format!("/{}*/_settings?flat_settings=true", node.name("log")), None);
    for entry in settings.as_object().expect("indices").values() {
        assert_eq!(entry["settings"]["index.refresh_interval"], "30s", "as the template has it: {settings:#}");
    }
}
