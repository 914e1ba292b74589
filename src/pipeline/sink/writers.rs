//! [`Writers`]: how many requests may be in flight, found out by trying. Pure: the clock is [`Pace`](super::pace)'s.
//!
//! One more while all goes well, three tenths fewer when the cluster says that it is busy (additive increase,
//! multiplicative decrease, as TCP does, and for the same reason: nobody tells us the right number, and others use the
//! cluster too). What TCP need not care about is how few we are: from two to one is half of the throughput. So a refusal
//! now and then is forgiven: it costs less than one writer fewer. A single one must not hold us down for long, and yet
//! a number that *is* too many must not be tried again and again, for each try is a body sent in vain. Both by
//! *patience*: how long to stay below the number that was refused doubles each time that it is refused again.

/// What is left of the number, in tenths, after the cluster said that it is busy.
const DECREASE_TENTHS: usize = 7;
/// A refusal after so many rounds without one is forgiven. A round is as many requests as may be in flight.
const FORGIVEN_AFTER: usize = 4;
/// The least patience, in rounds.
const PATIENCE_MIN: usize = 2;
/// The most. A cluster that has room for two and no more refuses one request in 64.
const PATIENCE_MAX: usize = 32;

/// How many requests may be in flight, from 1 to a maximum.
#[derive(Debug)]
pub struct Writers {
    now: usize,
    max: usize,
    /// Requests that went well since there are so many, and since the last refusal.
    held: usize,
    /// How many were refused the last time. None as long as none were.
    too_many: Option<usize>,
    /// Rounds to stay below `too_many` before it is tried again, and to stay there before it counts as enough.
    patience: usize,
}

impl Writers {
    /// So many to start with, and at most so many.
    pub fn new(now: usize, max: usize) -> Writers {
        Writers { now, max, held: 0, too_many: None, patience: PATIENCE_MIN }
    }

    pub fn now(&self) -> usize {
        self.now
    }

    /// A request went well while all that are allowed were in use.
    pub fn went_well(&mut self) {
        self.held += 1;
        let rounds = match self.too_many {
            Some(too_many) if self.now + 1 >= too_many => self.patience,
            _ => 1,
        };
        if self.now == self.max || self.held < rounds * self.now {
            return;
        }
        if self.too_many.is_some_and(|too_many| self.now >= too_many) {
            // It no longer is. The next one may be.
            self.too_many = Some(self.now + 1);
            self.patience = (self.patience / 2).max(PATIENCE_MIN);
        }
        self.now += 1;
        self.held = 0;
    }

    /// A request was refused for lack of room. Returns whether there are fewer now.
    pub fn was_busy(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        if held >= FORGIVEN_AFTER * self.now {
            return false;
        }
        let again = self.too_many == Some(self.now);
        self.patience = if again { (self.patience * 2).min(PATIENCE_MAX) } else { PATIENCE_MIN };
        self.too_many = Some(self.now);
        self.now = fewer(self.now);
        true
    }
}

/// Seven tenths, to the nearest, but at least one fewer, and at least one.
fn fewer(writers: usize) -> usize {
    ((writers * DECREASE_TENTHS + 5) / 10).min(writers - 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests to a cluster that has room for so many: how many were sent at each number, and how many in vain.
    fn run(writers: &mut Writers, room: usize, requests: usize) -> (Vec<usize>, usize) {
        let (mut sent, mut refused) = (vec![0; writers.max + 1], 0);
        for _request in 0..requests {
            sent[writers.now()] += 1;
            if writers.now() > room {
                refused += 1;
                writers.was_busy();
            } else {
                writers.went_well();
            }
        }
        (sent, refused)
    }

    #[test]
    fn three_tenths_fewer() {
        let expected = [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 4), (8, 6), (16, 11), (64, 45)];
        for (writers, left) in expected {
            assert_eq!(fewer(writers), left, "of {writers}");
        }
    }

    #[test]
    fn grows_by_one_a_round_while_nothing_is_refused() {
        let mut writers = Writers::new(2, 8);
        let (sent, _) = run(&mut writers, 8, 2 + 3 + 4 + 5 + 6 + 7);
        assert_eq!(sent, [0, 0, 2, 3, 4, 5, 6, 7, 0]);
        run(&mut writers, 8, 100);
        assert_eq!(writers.now(), 8, "and no further");
    }

    #[test]
    fn one_refusal_does_not_hold_down() {
        let mut writers = Writers::new(2, 2);
        writers.was_busy();
        let (sent, _) = run(&mut writers, 2, 30);
        assert_eq!(sent, [0, PATIENCE_MIN, 30 - PATIENCE_MIN]);
    }

    #[test]
    fn a_refusal_now_and_then_is_forgiven_but_not_two_at_once() {
        let mut writers = Writers::new(3, 3);
        for _refusal in 0..10 {
            run(&mut writers, 3, FORGIVEN_AFTER * 3);
            assert!(!writers.was_busy());
        }
        assert!(writers.was_busy());
        assert_eq!(writers.now(), 2);
    }

    #[test]
    fn what_is_too_many_is_tried_ever_more_rarely() {
        for room in 1..8 {
            let mut writers = Writers::new(2, 8);
            run(&mut writers, room, 1000);
            let (sent, refused) = run(&mut writers, room, 10_000);
            assert!(refused <= 10_000 / (PATIENCE_MAX * room) + 1, "room for {room}: {refused} refused, {sent:?}");
            assert!(sent[room] >= 9_000, "room for {room}: {sent:?}");
        }
    }

    #[test]
    fn what_was_too_many_once_is_found_again_when_there_is_room() {
        for busy in 1..8 {
            let mut writers = Writers::new(2, 8);
            run(&mut writers, busy, 10_000);
            run(&mut writers, 8, 2 * PATIENCE_MAX * 8 + PATIENCE_MIN * 3 * 8 * 8);
            assert_eq!(writers.now(), 8, "after there was room for {busy}");
        }
    }

    #[test]
    fn a_cluster_that_refuses_all_gets_one_at_a_time() {
        let mut writers = Writers::new(8, 8);
        run(&mut writers, 0, 20);
        assert_eq!(writers.now(), 1);
    }
}
