//! Answers that are late, cut, lost or wrong, over a load: all lines once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::census::Census;
use crate::fault_proxy::{Answer, Fault, FaultProxy, Moment, Step};
use crate::load::{brief, report};
use crate::logs::{LINES, Shape, log, put_template};
use crate::support::{Folder, Node};
use crate::toxiproxy::Toxiproxy;
use crate::{seed, turn};

/// How long loghaul waits for an answer in these tests, and how much later than that an answer comes.
const TIME_OUT: Duration = Duration::from_secs(5);

/// Every fault that the proxy knows, several times over one load.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn every_fault_of_an_answer() {
    let _turn = turn::take();
    let seed = seed::seed("answers");
    let node = Node::shared("answers");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let faults = vec![
        Fault::AppliedThen(Answer::bad_gateway()),
        Fault::AppliedThen(Answer::gateway_timeout()),
        Fault::AppliedThen(Answer::unavailable(1)),
        Fault::AppliedThen(Answer::page("500 Internal Server Error")),
        Fault::AppliedThen(Answer::html()),
        Fault::AppliedThenCut,
        Fault::AppliedThenClosed,
        Fault::AppliedThenReset,
        Fault::AppliedFewerItems(1),
        Fault::AppliedFewerItems(usize::MAX),
        Fault::NotApplied(Answer::indexing_pressure()),
        Fault::NotApplied(Answer::parent_breaker()),
        Fault::NotApplied(Answer::unavailable(1)),
        Fault::NotApplied(Answer::too_large()),
        Fault::NotAppliedReset,
    ];
    // Each of them twice, in an order and at batches that are drawn.
    let mut random = fastrand::Rng::with_seed(seed);
    let mut left = [faults.clone(), faults.clone()].concat();
    random.shuffle(&mut left);
    let mut due = 2;
    proxy.plan(move |bulk| {
        if bulk.number < due {
            return Fault::Pass.into();
        }
        // Nobody who has taken a megabyte refuses a few kilobytes for their size.
        let fits = |fault: &Fault| *fault != Fault::NotApplied(Answer::too_large()) || bulk.body.len() > 600_000;
        let Some(place) = left.iter().rposition(fits) else { return Fault::Pass.into() };
        due = bulk.number + random.u64(2..=4);
        left.remove(place).into()
    });
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let ran = typed.with("--bulk-bytes 1MiB --writers 2").run();
    let told = report(&ran, 0);
    log().assert_complete(&told);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
    // What we had sent ourselves, and met again, is no duplicate.
    told.has(&format!("lines_read {LINES}, duplicate 0"));
    assert!(told.count("confirmed") > 0, "some answers were lost after the batch was applied: {}", told.0);

    let log = proxy.seen();
    let counts: BTreeMap<&str, usize> = faults.iter().map(|fault| (fault.name(), log.faults(fault.name()))).collect();
    println!("answers: {counts:?}, of {} bulks; {}", log.bulks().count(), brief(&told));
    assert!(counts.values().all(|count| *count > 0), "each fault was met: {counts:?}");
}

/// An answer that comes after we have stopped waiting for it: the batch is applied, later or sooner.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn answers_beyond_the_time_out() {
    let _turn = turn::take();
    let mut random = seed::random("late");
    let node = Node::shared("late");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let late = Fault::AppliedLate(TIME_OUT + Duration::from_secs(2));
    proxy.script(vec![(random.u64(2..6), late.clone()), (random.u64(6..12), late)]);
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let ran = typed.with(&format!("--request-timeout {}s", TIME_OUT.as_secs())).run();
    let told = report(&ran, 0);
    log().assert_complete(&told);
    told.has("duplicate 0");
    assert!(told.count("confirmed") > 0, "{}", told.0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}

/// A network that breaks connections: while requests are under way, and while answers are.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_bad_network() {
    let _turn = turn::take();
    let seed = seed::seed("network");
    let node = Node::shared("network");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let folder = Folder::new();
    let toxiproxy = Toxiproxy::before(&node.url, seed);
    // Each connection carries some megabytes of requests, or some kilobytes of answers, and is then closed in the
    // middle of one. The answers of a connection are shorter than its requests, so that both kinds are met.
    toxiproxy.add("limit_data", "upstream", 0.5, json!({"bytes": 7_500_000}));
    toxiproxy.add("limit_data", "downstream", 0.5, json!({"bytes": 150_000}));
    toxiproxy.add("latency", "downstream", 1.0, json!({"latency": 20, "jitter": 20}));
    toxiproxy.add("slicer", "downstream", 0.2, json!({"average_size": 2_000, "size_variation": 1_000, "delay": 1_000}));
    let typed = log().typed(Shape::Plain, &folder, &toxiproxy.url, &node.name("log"));
    let ran = typed.with("--bulk-bytes 1MiB --writers 3").run();
    let told = report(&ran, 0);
    println!("network: {}", brief(&told));
    log().assert_complete(&told);
    told.has("duplicate 0");
    assert!(told.count("retries") > 0, "connections broke: {}", told.0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);

    // And once more, when connections are reset under us from the third batch on: everything is there already.
    toxiproxy.reset();
    let proxy = FaultProxy::before(&node.url);
    let toxiproxy = Arc::new(Toxiproxy::before(&proxy.url(), seed));
    let hand = Arc::clone(&toxiproxy);
    proxy.plan(move |bulk| {
        if bulk.number != 3 {
            return Fault::Pass.into();
        }
        let hand = Arc::clone(&hand);
        let add = move || hand.add("reset_peer", "downstream", 0.3, json!({"timeout": 700}));
        Step::from(Fault::Pass).and(Moment::Arrived, Arc::new(add))
    });
    let typed = log().typed(Shape::Plain, &folder, &toxiproxy.url, &node.name("log"));
    let told = report(&typed.with("--no-ledger").run(), 0);
    println!("network, resets: {}", brief(&told));
    log().assert_complete(&told);
    // What was met again after its answer was lost counts as ours.
    assert_eq!(told.count("indexed"), told.count("confirmed"), "nothing was created: {}", told.0);
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}
