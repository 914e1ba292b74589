//! Nodes that are set up to refuse, each in its own way. Real refusals are seen (the node counts them), all lines
//! arrive, no document is rejected, and while the cluster is blocked there is one request a second at most.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::blocked::Block;
use crate::census::Census;
use crate::fault_proxy::FaultProxy;
use crate::load::{brief, report};
use crate::logs::{Shape, log, put_template};
use crate::own_node::{OwnNode, set};
use crate::support::{Folder, Node, Report};
use crate::{seed, turn};

/// Loads everything into a node that is busy, and asserts that all is there.
fn load_all(node: &OwnNode, flags: &str) -> Report {
    let undisturbed = log().undisturbed(Shape::Plain, &Node::shared("refusals"));
    put_template(node, "log", "keyword");
    let folder = Folder::new();
    let ran = log().typed(Shape::Plain, &folder, &node.url, &node.name("log")).with(flags).run();
    let told = report(&ran, 0);
    println!("refusals: {:?}, {}", ran.took, brief(&told));
    log().assert_complete(&told);
    told.has("duplicate 0");
    Census::of(node, &node.name("log")).assert_equals(&undisturbed);
    told
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_tiny_write_queue() {
    let _turn = turn::take();
    let settings = ["node.processors=1", "thread_pool.write.size=1", "thread_pool.write.queue_size=1"];
    let node = OwnNode::start("queue", &settings);
    // Twelve at a time, whatever the node says to that: the queue holds one.
    let told = load_all(&node, "--writers 12 --bulk-bytes 256KiB");
    let refused = node.statistic("thread_pool", "thread_pool/write/rejected");
    println!("queue: {refused} refused by the node");
    assert!(refused > 0, "the queue was full at times");
    assert!(told.count("documents_resent") > 0, "{}", told.0);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn indexing_pressure() {
    let _turn = turn::take();
    let node = OwnNode::start("pressure", &["indexing_pressure.memory.limit=1mb"]);
    // Bodies of five megabytes never pass, and smaller ones do not all pass at once.
    let told = load_all(&node, "");
    let path = "indexing_pressure/memory/total/coordinating_rejections";
    let refused = node.statistic("indexing_pressure", path);
    println!("pressure: {refused} refused by the node, bodies at last {}", told.count("body_bytes"));
    assert!(refused > 0, "there was pressure");
    assert!(told.count("body_bytes") < 1 << 20, "bodies have shrunk: {}", told.0);
}

/// The breakers and the watermarks can be set on a node that runs: one node for three tests of what comes and goes.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn breakers_and_disk() {
    let _turn = turn::take();
    let mut random = seed::random("breakers");
    let undisturbed = log().undisturbed(Shape::Plain, &Node::shared("breakers"));
    let node = OwnNode::start("breakers", &[]);

    // A breaker that a body of five megabytes, which counts twice, always trips.
    set(&node, &json!({"network.breaker.inflight_requests.limit": "2mb"}));
    let told = load_all(&node, "");
    let refused = node.statistic("breaker", "breakers/in_flight_requests/tripped");
    println!("in-flight breaker: tripped {refused} times, bodies at last {}", told.count("body_bytes"));
    assert!(refused > 0, "the breaker was tripped");
    set(&node, &json!({"network.breaker.inflight_requests.limit": null}));
    node.get("DELETE", &format!("/{}*", node.name("log")), None);

    // A heap that is full for whoever asks, and a disk that is full, each for a while.
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let (first, second) = (random.u64(4..12), random.u64(4..12));
    let to_all = |settings: Value| {
        let url = node.url.clone();
        move || set(&Node::at(&url, "breakers-settings"), &settings)
    };
    // Written back by a request that no breaker stops.
    let full_heap = Block::at(&proxy, first, to_all(json!({"indices.breaker.total.limit": "1%"})));
    let mut load = typed.with("--bulk-bytes 1MiB").start();
    full_heap.lift_after(4, &mut load, &proxy, to_all(json!({"indices.breaker.total.limit": null})));
    let refused = node.statistic("breaker", "breakers/parent/tripped");
    println!("parent breaker: tripped {refused} times, at batch {first}");
    assert!(refused >= 4, "the parent breaker was tripped");

    let full = json!({
        "cluster.info.update.interval": "10s",
        "cluster.routing.allocation.disk.threshold_enabled": true,
        "cluster.routing.allocation.disk.watermark.low": "99999gb",
        "cluster.routing.allocation.disk.watermark.high": "99999gb",
        "cluster.routing.allocation.disk.watermark.flood_stage": "99999gb",
    });
    // It must go on looking at its disk, else it does not see that there is room again.
    let watermarks = full.as_object().expect("an object").keys().filter(|key| key.contains("watermark"));
    let empty: Value = watermarks.map(|key| (key.clone(), Value::Null)).collect();
    let (url, index) = (node.url.clone(), format!("{}*", node.name("log")));
    let full_disk = Block::at(&proxy, second, move || {
        let node = Node::at(&url, "breakers-disk");
        set(&node, &full);
        // The node looks at its disk every ten seconds; this batch waits for that.
        let since = Instant::now();
        while !is_blocked(&node, &index) {
            assert!(since.elapsed() < Duration::from_secs(60), "the watermark does not bite");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    full_disk.lift_after(4, &mut load, &proxy, || set(&node, &empty));
    let told = report(&load.wait(), 0);
    println!("full heap, then full disk at batch {second}: {}", brief(&told));
    log().assert_complete(&told);
    told.has("duplicate 0");
    assert!(told.0["paused_seconds"].as_f64().is_some_and(|seconds| seconds > 6.0), "{}", told.0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}

fn is_blocked(node: &Node, index: &str) -> bool {
    let name = "index.blocks.read_only_allow_delete";
    let settings = node.get("GET", &format!("/{index}/_settings/{name}?flat_settings=true"), None);
    settings.as_object().is_some_and(|all| !all.is_empty() && all.values().all(|one| one["settings"][name] == "true"))
}
