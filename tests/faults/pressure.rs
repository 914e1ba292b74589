//! Under 429s, the pace that loghaul finds by itself is at least nine tenths of the best fixed one that a sweep finds.

use std::time::Duration;

use crate::load::report;
use crate::logs::{Shape, log, put_template};
use crate::own_node::OwnNode;
use crate::support::Folder;
use crate::turn;

/// Fixed settings of the sweep, in requests at a time.
const WRITERS: [u32; 5] = [1, 2, 3, 4, 8];

#[test]
#[ignore = "needs a real OpenSearch: scripts/test --full"]
fn the_pace_found_is_nearly_the_best() {
    let _turn = turn::take();
    let settings = ["node.processors=2", "thread_pool.write.size=2", "thread_pool.write.queue_size=1"];
    let node = OwnNode::start("pace", &settings);
    put_template(&node, "log", "keyword");
    let lines_a_second = |flags: &str| {
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
        told.count("lines_read") as f64 / seconds
    };
    lines_a_second(""); // the node warms up
    // Each setting twice, in turn, and the better of both: the machine has other things to do, too.
    let mut best = [0.0_f64; WRITERS.len()];
    let mut found = 0.0_f64;
    for _ in 0..2 {
        for (writers, best) in WRITERS.iter().zip(&mut best) {
            *best = best.max(lines_a_second(&format!("--writers {writers}")));
        }
        found = found.max(lines_a_second(""));
    }
    let refused = node.statistic("thread_pool", "thread_pool/write/rejected");
    let best = best.into_iter().fold(0.0, f64::max);
    println!("pace: {found:.0} lines/s found, {best:.0} the best of {WRITERS:?}; {refused} refused by the node");
    assert!(refused > 0, "there was pressure");
    assert!(found >= 0.9 * best, "{found:.0} lines/s, but {best:.0} are possible");
}
