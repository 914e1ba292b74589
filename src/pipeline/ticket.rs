//! [`Tickets`]: the memory ceiling. Whoever wants to put bytes into the pipeline takes a ticket for them first.
//!
//! A ticket is a place, in bytes, for one chunk and the block it becomes. The reader takes it before it cuts the
//! chunk; the parser gives back what the block does not need; the rest is free again when the block has its receipt.
//! Nobody but a reader ever waits for one, so whoever holds a ticket can always go on.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::pipeline::stop::Stop;

/// How often a wait looks whether the run was told to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A fixed number of bytes, lent out first come, first served.
#[derive(Debug)]
pub struct Tickets {
    state: Mutex<State>,
    freed: Condvar,
    bytes_max: usize,
    pressure: Sender<()>,
    stop: Arc<Stop>,
}

#[derive(Debug)]
struct State {
    bytes_free: usize,
    /// Who waits, in order of arrival: only the first may take, so a large wish is not starved by small ones.
    waiting: VecDeque<u64>,
    arrivals: u64,
}

/// A place for so many bytes. Given back when dropped.
#[derive(Debug)]
pub struct Ticket {
    tickets: Arc<Tickets>,
    bytes: usize,
}

impl Tickets {
    /// A budget of `bytes_max` bytes, and a channel that holds a message whenever a reader has to wait: whoever
    /// collects blocks should then let go of them. Waits end with `stop`.
    pub fn new(bytes_max: usize, stop: &Arc<Stop>) -> (Arc<Tickets>, Receiver<()>) {
        let (pressure, felt) = bounded(1);
        let state = State { bytes_free: bytes_max, waiting: VecDeque::new(), arrivals: 0 };
        let state = Mutex::new(state);
        (Arc::new(Tickets { state, freed: Condvar::new(), bytes_max, pressure, stop: Arc::clone(stop) }), felt)
    }

    /// Waits for a place of `bytes` bytes; a wish larger than the whole budget waits for all of it.
    /// `None` once the run is told to end.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Ticket> {
        let bytes = bytes.min(self.bytes_max);
        let mut state = self.lock();
        let me = state.arrivals;
        state.arrivals += 1;
        state.waiting.push_back(me);
        let mut stopped = self.stop.is_raised();
        while !stopped && (state.waiting.front() != Some(&me) || state.bytes_free < bytes) {
            let _ = self.pressure.try_send(()); // full means that it is known
            state = self.freed.wait_timeout(state, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
            stopped = self.stop.is_raised();
        }
        state.waiting.retain(|&other| other != me);
        if !state.waiting.is_empty() {
            self.freed.notify_all(); // the next in the queue may find room, too
        }
        if stopped {
            return None;
        }
        state.bytes_free -= bytes;
        Some(Ticket { tickets: Arc::clone(self), bytes })
    }

    /// A place of `bytes` bytes if there is one right now and nobody waits. For whoever holds others that are needed
    /// to make room: it must not wait.
    pub fn take_now(self: &Arc<Self>, bytes: usize) -> Option<Ticket> {
        let bytes = bytes.min(self.bytes_max);
        let mut state = self.lock();
        if !state.waiting.is_empty() || state.bytes_free < bytes || self.stop.is_raised() {
            return None;
        }
        state.bytes_free -= bytes;
        Some(Ticket { tickets: Arc::clone(self), bytes })
    }

    /// Whether at least half of the places are free.
    pub fn are_plenty(&self) -> bool {
        self.lock().bytes_free >= self.bytes_max / 2
    }

    /// Whether a reader waits for a place right now.
    pub fn wanted(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    fn give_back(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes_free += bytes;
        debug_assert!(state.bytes_free <= self.bytes_max, "more bytes given back than lent");
        if !state.waiting.is_empty() {
            self.freed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in one stage must not keep the others from ending in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// How many bytes it stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A ticket of its own for `bytes` of its bytes, or for all that it has.
    pub fn split(&mut self, bytes: usize) -> Ticket {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Ticket { tickets: Arc::clone(&self.tickets), bytes }
    }

    /// Keeps `bytes` of its bytes and gives the rest back. A ticket never grows: what needs more than was taken is
    /// an excess of one block per parser, which the plan of memory counts as such.
    pub fn keep(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.tickets.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tickets.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::stop::Reason;

    #[test]
    fn bytes_come_back_when_kept_less_or_dropped() {
        let (tickets, _pressure) = Tickets::new(100, &Arc::new(Stop::new()));
        let mut first = tickets.take(80).unwrap();
        assert!(tickets.take_now(21).is_none());
        drop(tickets.take_now(20).unwrap());
        drop(first.split(10));
        drop(tickets.take_now(30).unwrap());
        first.keep(30);
        let second = tickets.take(70).unwrap();
        drop(first);
        drop(second);
        assert!(tickets.take(1_000).is_some(), "a wish beyond the budget gets all of it");
    }

    #[test]
    fn a_waiting_reader_is_felt_served_and_released_by_the_end() {
        let stop = Arc::new(Stop::new());
        let (tickets, pressure) = Tickets::new(10, &stop);
        let held = tickets.take(10).unwrap();
        std::thread::scope(|scope| {
            let large = scope.spawn(|| tickets.take(10).is_some());
            pressure.recv_timeout(Duration::from_secs(10)).expect("the wait is felt");
            assert!(tickets.wanted());
            drop(held);
            assert!(large.join().unwrap());
            let held = tickets.take(10).unwrap();
            let never = scope.spawn(|| tickets.take(1).is_none());
            while !tickets.wanted() {
                std::thread::yield_now();
            }
            stop.raise(Reason::OutputClosed);
            assert!(never.join().unwrap());
            drop(held);
        });
    }
}
