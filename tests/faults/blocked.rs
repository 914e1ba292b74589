//! [`Block`]: a state of the cluster that begins in the middle of a load, and how often loghaul knocks while it lasts.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::fault_proxy::{Fault, FaultProxy, Moment, Step};
use crate::load::Load;

/// Since when it has been so; none before the N-th batch.
#[derive(Clone, Default)]
pub struct Block(Arc<Mutex<Option<Instant>>>);

impl Block {
    /// Does `begin` when the N-th batch from now has arrived, before the node sees it.
    pub fn at(proxy: &FaultProxy, number: u64, begin: impl Fn() + Send + Sync + 'static) -> Block {
        let block = Block::default();
        let (begin, since) = (Arc::new(begin), Arc::clone(&block.0));
        proxy.forget();
        proxy.plan(move |bulk| {
            if bulk.number != number {
                return Fault::Pass.into();
            }
            let (begin, since) = (Arc::clone(&begin), Arc::clone(&since));
            let hook = move || {
                begin();
                *since.lock().unwrap() = Some(Instant::now());
            };
            Step::from(Fault::Pass).and(Moment::Arrived, Arc::new(hook))
        });
        block
    }

    /// Waits until loghaul has knocked so often in vain, ends the state, and asserts that it knocked once a second at
    /// most. What was under way when the state began is not counted: there were several writers.
    #[track_caller]
    pub fn lift_after(&self, probes: usize, load: &mut Load, proxy: &FaultProxy, lift: impl FnOnce()) {
        let settled = Duration::from_millis(1_500);
        load.until("the state to begin", || self.since().is_some());
        let from = self.since().expect("it has begun") + settled;
        load.until("probes", || proxy.seen().between(from, Instant::now()) >= probes);
        let (log, until) = (proxy.seen(), Instant::now());
        lift();
        // A thread of the proxy may look at its clock a little late.
        assert_eq!(log.most_within(Duration::from_millis(900), from, until), 1, "one request a second at most");
        let seconds = until.duration_since(from).as_secs_f64();
        assert!(log.between(from, until) as f64 <= seconds + 1.0, "one request a second at most, over {seconds} s");
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap()
    }
}
