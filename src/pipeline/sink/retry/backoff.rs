//! How long to wait before documents are sent again, and when to give up.

use std::time::{Duration, Instant};

/// How long to wait between tries, and how long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The first wait is a random time up to this; each further one up to twice the one before.
    pub wait_first: Duration,
    /// No wait is longer, but for a `Retry-After`.
    pub wait_max: Duration,
    /// Tries of the same documents without any of them getting through.
    pub tries_max: u32,
    /// The same in time; also how long the cluster may refuse before the run stops.
    pub give_up_after: Duration,
    /// How often a document may fail while its neighbours succeed.
    pub strikes_max: u32,
    /// The same where the server blames the request, in words of no list.
    pub odd_strikes_max: u32,
    /// How long after such a failure the document is sent again.
    pub strikes_apart: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wait_first: Duration::from_millis(200),
            wait_max: Duration::from_secs(10),
            tries_max: 50,
            give_up_after: Duration::from_secs(300),
            strikes_max: 6,
            odd_strikes_max: 6,
            strikes_apart: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Limits that go on for so long.
    pub fn patient(give_up_after: Duration) -> Limits {
        let default = Limits::default();
        // Whoever asks for more patience should not run out of tries first.
        let tries = u32::try_from(give_up_after.as_secs() / 2).unwrap_or(u32::MAX);
        Limits { give_up_after, tries_max: default.tries_max.max(tries), ..default }
    }

    /// The time between two strikes, longer for many at once (`crowd`); less where the run would give up before the last
    /// one.
    pub fn strikes_apart(&self, crowd: bool) -> Duration {
        let apart = if crowd { self.strikes_apart * CROWD_TIMES } else { self.strikes_apart };
        apart.min(self.give_up_after / (2 * self.strikes_max.max(self.odd_strikes_max).max(1)))
    }
}

/// How much longer many documents of one body are suspected than a few: one minute instead of twelve seconds. That some
/// documents of a body fail and their neighbours do not may also be a shard's bad moment. A shard that fails for longer
/// than that cannot be told from documents at fault: `--max-rejected` ends the run before it gives up many.
const CROWD_TIMES: u32 = 5;

/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// The tries of one selection of documents since one of them last got through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    /// All tries.
    tries: u32,
    /// Tries in a row during which nobody else got through either.
    in_vain: u32,
    /// The first failure. Not the first try: before that one, others may have had to go first.
    since: Option<Instant>,
}

/// What is known when a request has to be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Now.
    pub now: Instant,
    /// How long somebody asked us to wait.
    pub asked: Option<Duration>,
    /// Whether other documents of the run got through since these were tried last. Then the cluster works, and these
    /// were in each other's way: they need not wait long, for the pace has made room already.
    pub others_got_through: bool,
}

impl Backoff {
    /// How long to wait before the next try; `None` when the limits are used up. Full jitter: writers that failed
    /// together do not come back together (Marc Brooker, "Exponential Backoff And Jitter", AWS 2015).
    pub fn next(&mut self, limits: &Limits, again: Again, random: &mut fastrand::Rng) -> Option<Duration> {
        self.tries += 1;
        self.in_vain = if again.others_got_through { 1 } else { self.in_vain + 1 };
        let failed_for = again.now.duration_since(*self.since.get_or_insert(again.now));
        if self.in_vain >= limits.tries_max || failed_for >= limits.give_up_after {
            return None;
        }
        let ceiling = limits.wait_first.saturating_mul(1 << (self.in_vain - 1).min(20)).min(limits.wait_max);
        let jittered = ceiling.mul_f64(random.f64());
        let wait = match again.asked {
            // Not all at the same moment, either.
            Some(asked) => asked.min(RETRY_AFTER_MAX) + jittered.min(limits.wait_first),
            None => jittered,
        };
        // Whatever somebody asks, one last try when the time is over.
        Some(wait.min(limits.give_up_after - failed_for))
    }

    /// Time in which nothing was tried does not count: the run paused.
    pub fn forget_time(&mut self) {
        self.since = None;
    }

    /// How often it was tried, and how long ago that first failed.
    pub fn story(&self, now: Instant) -> (u32, Duration) {
        (self.tries, self.since.map_or(Duration::ZERO, |since| now.duration_since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_full_jitter_and_end() {
        let again = |others_got_through, asked| Again { now: Instant::now(), asked, others_got_through };
        let (limits, mut random) = (Limits { tries_max: 6, ..Limits::default() }, fastrand::Rng::with_seed(1));
        let mut longest = [Duration::ZERO; 5];
        for _round in 0..500 {
            let mut backoff = Backoff::default();
            for longest in &mut longest {
                let wait = backoff.next(&limits, again(false, None), &mut random).expect("within the limits");
                *longest = wait.max(*longest);
            }
            assert_eq!(backoff.next(&limits, again(false, None), &mut random), None, "the sixth try was the last");
        }
        for (n, longest) in longest.iter().enumerate() {
            let ceiling = limits.wait_first * (1 << n);
            assert!(*longest <= ceiling && *longest > ceiling / 2, "{n}: {longest:?}");
        }
        let mut backoff = Backoff::default();
        let asked = backoff.next(&limits, again(false, Some(Duration::from_secs(7))), &mut random);
        assert!(asked.is_some_and(|wait| wait >= Duration::from_secs(7)));
        // While others get through, tries are many and waits short; but time is a limit too.
        for _try in 0..100 {
            let wait = backoff.next(&limits, again(true, None), &mut random);
            assert!(wait.is_some_and(|wait| wait <= limits.wait_first));
        }
        let late = Again { now: Instant::now() + limits.give_up_after, ..again(true, None) };
        assert_eq!(backoff.next(&limits, late, &mut random), None);
        let mut backoff = Backoff::default();
        let impatient = Limits { give_up_after: Duration::from_secs(5), ..limits };
        let asked = backoff.next(&impatient, again(false, Some(Duration::from_secs(60))), &mut random);
        assert_eq!(asked, Some(Duration::from_secs(5)));
        // Time counts from the first failure, and a pause is not counted.
        let mut backoff = Backoff::default();
        assert!(backoff.next(&limits, late, &mut random).is_some());
        let later = Again { now: late.now + limits.give_up_after, ..late };
        backoff.forget_time();
        assert!(backoff.next(&limits, later, &mut random).is_some());
        let latest = Again { now: later.now + limits.give_up_after, ..late };
        assert_eq!(backoff.next(&limits, latest, &mut random), None);
    }
}
