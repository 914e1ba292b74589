//! Under 429s, the pace that loghaul finds by itself is at least nine tenths of the best fixed one that a sweep finds.

use std::time::Duration;

use crate::load::report;
use crate::logs::{Shape, log, put_template};
use crate::own_node::OwnNode;
use crate::support::Folder;
use crate::turn;

/// Fixed settings of the sweep, in requests at a time.
const WRITERS: [u32; 5] = [1, 2, 3, 4, 8];
/// Loads with the best of them and with the pace found, to be compared.
const PAIRS: u32 = 8;

#[test]
#[ignore = "needs a real OpenSearch: scripts/test --full"]
fn the_pace_found_is_nearly_the_best() {
    let _turn = turn::take();
    let settings = ["node.processors=2", "thread_pool.write.size=2", "thread_pool.write.queue_size=1"];
    let node = OwnNode::start("pace", &settings);
    put_template(&node, "log", "keyword");
    let seconds = |flags: &str| {
        let folder = Folder::new();
        let typed = log().typed(Shape::Plain, &folder, &node.url, &node.name("log"));
        let ran = typed.with("--no-ledger").with(flags).run();
        let told = report(&ran, 0);
        log().assert_complete(&told);
        told.has("duplicate 0");
        node.get("DELETE", &format!("/{}*", node.name("log")), None);
        std::thread::sleep(Duration::from_secs(1)); // merges of what was deleted
        let seconds = told.0["seconds"].as_f64().expect("seconds");
        println!(
            "pace {flags:12} {seconds:6.2} s, {} resent, {} writers",
            told.0["documents_resent"], told.0["writers"]
        );
        seconds
    };
    seconds(""); // the node warms up
    // One load takes a tenth more or less than the next one for no reason of its own. So the sweep only finds out which
    // setting is the best, and pairs of loads, in turn, compare it with the pace found.
    let mut sweep = WRITERS.map(|_| 0.0);
    for _ in 0..2 {
        for (writers, sum) in WRITERS.iter().zip(&mut sweep) {
            *sum += seconds(&format!("--writers {writers}"));
        }
    }
    let best = (0..WRITERS.len()).min_by(|a, b| sweep[*a].total_cmp(&sweep[*b])).expect("several");
    let fixed = format!("--writers {}", WRITERS[best]);
    let (mut found, mut best) = (0.0, 0.0);
    for pair in 0..PAIRS {
        if pair % 2 == 0 {
            found += seconds("");
        }
        best += seconds(&fixed);
        if pair % 2 == 1 {
            found += seconds("");
        }
    }
    let refused = node.statistic("thread_pool", "thread_pool/write/rejected");
    println!("pace: {found:.1} s found, {best:.1} s with {fixed}; {refused} refused by the node");
    assert!(refused > 0, "there was pressure");
    assert!(best >= 0.9 * found, "{PAIRS} loads: {found:.1} s, but {best:.1} s with {fixed}");
}
