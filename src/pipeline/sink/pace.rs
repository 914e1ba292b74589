//! [`Pace`]: how much is sent at once. Shared by all writers.
//!
//! Three quantities, each with its own signal. *[`Writers`]*: more while all goes well, fewer when the cluster says that
//! it is busy. *Body bytes*: smaller only when an answer says that a body was too large, and larger again after a while,
//! for limits change and proxies move. *Documents a second*: a user's wish.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::writers::Writers;
use crate::pipeline::stop::Stop;

/// What the user, or `config`, allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Requests in flight at most: as many as there are writers. At least 1.
    pub writers_max: usize,
    /// Keep to that number, whatever the cluster says.
    pub writers_fixed: bool,
    /// The largest body, uncompressed. At least 1.
    pub body_bytes_max: usize,
    /// Documents a second, of all writers together.
    pub documents_per_second_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options { writers_max: 4, writers_fixed: false, body_bytes_max: 5 << 20, documents_per_second_max: None }
    }
}

/// Bodies are never kept smaller than this because of an answer: about one document.
const BODY_BYTES_MIN: usize = 1 << 10;
/// How long a smaller body size is kept before a larger one is tried.
const CEILING_KEPT: Duration = Duration::from_secs(300);
/// How long a writer looks away between two looks at whether it may send.
const LOOK: Duration = Duration::from_millis(5);
/// A refusal says nothing of the number of writers if its request began before the last decrease, or so soon after it
/// that those before were still being worked off.
const DECREASE_SHOWS: Duration = Duration::from_millis(250);

/// How much is sent at once.
#[derive(Debug)]
pub struct Pace {
    options: Options,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests in flight.
    in_flight: usize,
    writers: Writers,
    decreased_at: Option<Instant>,
    body_bytes: usize,
    /// When to try larger bodies again; none while they are at their largest.
    ceiling_until: Option<Instant>,
    /// The largest body that was taken lately.
    taken_bytes: usize,
    /// When the next documents may go.
    next_documents: Option<Instant>,
}

/// A request in flight. Ends when dropped.
#[derive(Debug)]
pub struct Turn<'p> {
    pace: &'p Pace,
    began: Instant,
}

impl Pace {
    /// Starts with two writers and full bodies.
    pub fn new(options: Options) -> Pace {
        assert!(options.writers_max > 0 && options.body_bytes_max > 0, "nothing can be sent at this pace");
        let writers = if options.writers_fixed { options.writers_max } else { options.writers_max.min(2) };
        Pace {
            options,
            state: Mutex::new(State {
                in_flight: 0,
                writers: Writers::new(writers, options.writers_max),
                decreased_at: None,
                body_bytes: options.body_bytes_max,
                ceiling_until: None,
                taken_bytes: 0,
                next_documents: None,
            }),
        }
    }

    /// Waits until one more request may be in flight. `None` when the run failed meanwhile. An interrupted run
    /// finishes what it holds: then nobody waits.
    pub fn enter(&self, stop: &Stop) -> Option<Turn<'_>> {
        loop {
            {
                let mut state = self.lock();
                if state.in_flight < state.writers.now() || stop.is_raised() {
                    if stop.gives_up() {
                        return None;
                    }
                    state.in_flight += 1;
                    return Some(Turn { pace: self, began: Instant::now() });
                }
            }
            stop.wait(LOOK);
        }
    }

    /// Waits until so many documents may go. Returns false when the run is told to end meanwhile.
    pub fn wait_for_documents(&self, documents: u32, stop: &Stop) -> bool {
        let Some(rate) = self.options.documents_per_second_max else { return true };
        let now = Instant::now();
        let go_at = {
            let mut state = self.lock();
            // Each request pays for itself afterwards; time in which nothing was sent is not saved up.
            let go_at = state.next_documents.map_or(now, |next| next.max(now));
            state.next_documents = Some(go_at + Duration::from_secs_f64(f64::from(documents) / f64::from(rate.max(1))));
            go_at
        };
        let wait = go_at.saturating_duration_since(now);
        wait.is_zero() || !stop.wait(wait)
    }

    /// The most documents to send in one request: no more than a second's worth.
    pub fn documents_max(&self) -> u32 {
        self.options.documents_per_second_max.map_or(u32::MAX, |rate| rate.max(1))
    }

    /// The largest body to send now, in bytes. The batcher asks too, so that batches are rarely cut.
    pub fn body_bytes(&self) -> usize {
        let mut state = self.lock();
        if let Some(until) = state.ceiling_until
            && Instant::now() >= until
        {
            state.body_bytes = (state.body_bytes * 2).min(self.options.body_bytes_max);
            state.taken_bytes = 0;
            state.ceiling_until =
                (state.body_bytes < self.options.body_bytes_max).then(|| Instant::now() + CEILING_KEPT);
        }
        state.body_bytes
    }

    /// How many writers may send now.
    pub fn writers(&self) -> usize {
        self.lock().writers.now()
    }

    /// A body of several documents was too large.
    pub fn too_large(&self, body_bytes: usize) {
        let mut state = self.lock();
        // What was taken lately is not too large, whatever half of this one is.
        let half = body_bytes / 2;
        let next = if state.taken_bytes < body_bytes { half.max(state.taken_bytes) } else { half };
        if next < state.body_bytes {
            state.body_bytes = next.max(BODY_BYTES_MIN.min(self.options.body_bytes_max));
        }
        state.ceiling_until = Some(Instant::now() + CEILING_KEPT);
    }

    /// A body was taken, and no document of it was refused for lack of room.
    pub fn went_well(&self, body_bytes: usize, turn: &Turn<'_>) {
        let mut state = self.lock();
        state.taken_bytes = state.taken_bytes.max(body_bytes);
        // It says something of the number of writers only if all that are allowed were in use, and no more.
        let counts = state.decreased_at.is_none_or(|at| turn.began > at) && state.in_flight >= state.writers.now();
        if !self.options.writers_fixed && counts {
            state.writers.went_well();
        }
    }

    /// The cluster said that it is busy.
    pub fn was_busy(&self, turn: &Turn<'_>) {
        let mut state = self.lock();
        if self.options.writers_fixed || state.decreased_at.is_some_and(|at| turn.began < at + DECREASE_SHOWS) {
            return;
        }
        if state.writers.was_busy() {
            state.decreased_at = Some(Instant::now());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Counters: as good after a panic elsewhere as before.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.lock().in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::stop::Reason;

    fn options(writers_max: usize) -> Options {
        Options { writers_max, ..Options::default() }
    }

    #[test]
    fn writers_grow_while_all_goes_well_and_shrink_once_for_a_burst_of_refusals() {
        let (pace, stop) = (Pace::new(options(8)), Stop::new());
        assert_eq!(pace.writers(), 2);
        for _request in 0..200 {
            let turns: Vec<_> = (0..pace.writers()).map(|_| pace.enter(&stop).expect("the run goes on")).collect();
            pace.went_well(1000, &turns[0]);
        }
        assert_eq!(pace.writers(), 8);
        let turns: Vec<_> = (0..8).map(|_| pace.enter(&stop).expect("the run goes on")).collect();
        for refused in turns {
            pace.was_busy(&refused);
        }
        assert_eq!(pace.writers(), 6);
    }

    #[test]
    fn writers_that_are_not_used_do_not_grow() {
        let (pace, stop) = (Pace::new(options(8)), Stop::new());
        for _request in 0..200 {
            let turn = pace.enter(&stop).expect("the run goes on");
            pace.went_well(1000, &turn);
        }
        assert_eq!(pace.writers(), 2);
    }

    #[test]
    fn fixed_is_fixed() {
        let (pace, stop) = (Pace::new(Options { writers_fixed: true, ..options(3) }), Stop::new());
        pace.was_busy(&pace.enter(&stop).expect("the run goes on"));
        assert_eq!(pace.writers(), 3);
    }

    #[test]
    fn bodies_shrink_by_what_answers_say_but_not_below_what_was_taken() {
        let (pace, stop) = (Pace::new(Options { body_bytes_max: 1000 << 10, ..options(1) }), Stop::new());
        pace.too_large(1000 << 10);
        assert_eq!(pace.body_bytes(), 500 << 10);
        let turn = pace.enter(&stop).expect("the run goes on");
        pace.went_well(400 << 10, &turn);
        pace.too_large(500 << 10);
        assert_eq!(pace.body_bytes(), 400 << 10);
        // A large document within a smaller body: the ceiling is lower already.
        pace.too_large(900 << 10);
        assert_eq!(pace.body_bytes(), 400 << 10);
        for _answer in 0..20 {
            let now = pace.body_bytes();
            pace.lock().taken_bytes = 0;
            pace.too_large(now);
        }
        assert_eq!(pace.body_bytes(), BODY_BYTES_MIN);
    }

    #[test]
    fn documents_a_second() {
        let stop = Stop::new();
        let pace = Pace::new(Options { documents_per_second_max: Some(1000), ..options(1) });
        let started = Instant::now();
        for _request in 0..4 {
            assert!(pace.wait_for_documents(50, &stop));
        }
        // The first goes at once, the others 50 ms apart.
        assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());
        assert!(pace.wait_for_documents(1_000_000, &stop));
        stop.raise(Reason::Interrupted("test"));
        assert!(!pace.wait_for_documents(1, &stop), "a wait ends with the run");
    }

    #[test]
    fn an_interrupted_run_waits_for_no_turn_and_a_failed_one_gets_none() {
        let (pace, stop) = (Pace::new(options(1)), Stop::new());
        let _turn = pace.enter(&stop).expect("the run goes on");
        stop.raise(Reason::Interrupted("test"));
        assert!(pace.enter(&stop).is_some());
        let failed = Stop::new();
        failed.raise(Reason::OutputClosed);
        assert!(pace.enter(&failed).is_none());
    }
}
