//! [`Breaker`]: while the cluster refuses, one probe a second, of all writers together.
//!
//! A full disk, a block, a restart: nothing that more requests would help. The first writer that is refused opens
//! the breaker; from then on writers wait. Only those that hold refused documents send them again, one of them a
//! second, so a probe always asks the question that was answered with no. When one passes, all go on.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::pipeline::stop::Stop;

/// Between two probes of all writers together.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Closed: all send. Open: one probes.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
    give_up_after: Duration,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// When it was last open, for [`Breaker::paused`].
    paused: Duration,
    times: u64,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    next_probe: Instant,
    probes: u64,
    /// The cluster's latest words.
    cause: String,
    /// Whether the latest probe was told that the cluster is busy: then there is no end before the next one's answer.
    busy: bool,
}

/// What a writer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Send.
    Send,
    /// Send what was refused, to see whether that has passed.
    Probe,
    /// The run is told to end.
    Stopped,
    /// The cluster has refused for too long: its latest words, for how long, and how often it was asked.
    GivenUp {
        /// The cluster's latest words.
        cause: String,
        /// How long it has refused.
        refused_for: Duration,
        /// How often it was asked meanwhile.
        probes: u64,
    },
}

impl Breaker {
    /// Closed.
    pub fn new(give_up_after: Duration) -> Breaker {
        Breaker { state: Mutex::new(State::default()), give_up_after }
    }

    /// Waits until this writer may send. `was_refused`: whether what it holds was refused; then it may probe.
    pub fn permit(&self, was_refused: bool, stop: &Stop) -> Permit {
        loop {
            let now = Instant::now();
            let wait = {
                let mut state = self.lock();
                let Some(open) = &mut state.open else {
                    return if stop.gives_up() { Permit::Stopped } else { Permit::Send };
                };
                // While it is open an interrupted run has nothing that it could finish.
                if stop.is_raised() {
                    return Permit::Stopped;
                }
                let refused_for = now.duration_since(open.since);
                if refused_for >= self.give_up_after && !open.busy {
                    return Permit::GivenUp { cause: open.cause.clone(), refused_for, probes: open.probes };
                }
                if was_refused && now >= open.next_probe {
                    open.next_probe = now + PROBE_EVERY;
                    open.probes += 1;
                    return Permit::Probe;
                }
                match was_refused {
                    true => open.next_probe - now,
                    false => PROBE_EVERY / 20,
                }
            };
            // Another writer's probe may close it at any moment.
            stop.wait(wait.clamp(Duration::from_millis(1), PROBE_EVERY / 20));
        }
    }

    /// The cluster refused. Returns true if that is news.
    pub fn open(&self, cause: &str) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        match &mut state.open {
            Some(open) => {
                open.busy = false;
                if open.cause != cause {
                    cause.clone_into(&mut open.cause);
                }
                false
            }
            None => {
                state.times += 1;
                state.open = Some(Open {
                    since: now,
                    next_probe: now + PROBE_EVERY,
                    probes: 0,
                    cause: cause.to_owned(),
                    busy: false,
                });
                true
            }
        }
    }

    /// A probe was told that the cluster is busy, which says neither that it still refuses nor that it does not.
    pub fn busy(&self) {
        if let Some(open) = &mut self.lock().open {
            open.busy = true;
        }
    }

    /// A probe passed. Returns for how long the cluster had refused, if that is news.
    pub fn close(&self) -> Option<Duration> {
        let mut state = self.lock();
        let refused_for = state.open.take()?.since.elapsed();
        state.paused += refused_for;
        Some(refused_for)
    }

    /// Whether the cluster refuses, as far as is known.
    pub fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    /// How often and how long the run paused so far.
    pub fn paused(&self) -> (u64, Duration) {
        let state = self.lock();
        let now = state.open.as_ref().map_or(Duration::ZERO, |open| open.since.elapsed());
        (state.times, state.paused + now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::stop::Reason;

    #[test]
    fn one_probe_a_second_of_all_writers_together() {
        let (breaker, stop) = (Breaker::new(Duration::from_secs(60)), Stop::new());
        assert_eq!(breaker.permit(false, &stop), Permit::Send);
        assert!(breaker.open("disk full"));
        assert!(!breaker.open("disk full"), "that is no news");
        let started = Instant::now();
        let probes: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut probes = 0;
                        while started.elapsed() < Duration::from_millis(2500) {
                            match breaker.permit(true, &stop) {
                                Permit::Probe => probes += 1,
                                Permit::Send => break,
                                other => panic!("{other:?}"),
                            }
                            if started.elapsed() > Duration::from_millis(2100) {
                                breaker.close();
                            }
                        }
                        probes
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
        });
        assert!((2..=3).contains(&probes), "{probes} probes in two and a half seconds");
        assert_eq!(breaker.paused().0, 1);
    }

    #[test]
    fn whoever_holds_nothing_refused_waits() {
        let (breaker, stop) = (Breaker::new(Duration::from_secs(60)), Stop::new());
        breaker.open("blocked");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| breaker.permit(false, &stop));
            assert_eq!(breaker.permit(true, &stop), Permit::Probe);
            assert!(!waits.is_finished());
            assert!(breaker.close().is_some());
            assert_eq!(waits.join().expect("no panic"), Permit::Send);
        });
        assert_eq!(breaker.close(), None);
    }

    #[test]
    fn it_gives_up_and_it_stops() {
        let (breaker, stop) = (Breaker::new(Duration::ZERO), Stop::new());
        breaker.open("blocked");
        assert!(matches!(breaker.permit(true, &stop), Permit::GivenUp { .. }));
        let breaker = Breaker::new(Duration::from_secs(60));
        breaker.open("blocked");
        stop.raise(Reason::Interrupted("test"));
        assert_eq!(breaker.permit(true, &stop), Permit::Stopped);
    }
}
