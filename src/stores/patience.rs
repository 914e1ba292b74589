//! [`Patience`]: how often and how long something is tried again. Used up by failures in a row; whatever comes through
//! renews it, so a connection that breaks every few megabytes ends no download.

use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::failure::Failure;
use super::verdict::{Task, Trouble, Verdict, decide};

/// Failures in a row.
const TRIES_MAX: u32 = 10;
/// How long they may last together.
const LONGEST: Duration = Duration::from_secs(180);
/// The first wait; each is twice as long as the one before, at most, up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What is left of it.
#[derive(Debug)]
pub struct Patience {
    tries: u32,
    since: Instant,
    renewed: bool,
}

impl Patience {
    /// All of it.
    pub fn new() -> Patience {
        Patience { tries: 0, since: Instant::now(), renewed: false }
    }

    /// Something came through.
    pub fn renew(&mut self) {
        *self = Patience::new();
    }

    /// Does what is to be done about `trouble`, and waits as long as it takes: then the same may be tried again.
    ///
    /// # Errors
    /// If it is not to be tried again.
    pub async fn with(&mut self, trouble: Trouble, task: Task, bucket: &Bucket) -> Result<(), Failure> {
        let (why, after) = match decide(&trouble, task) {
            Verdict::GiveUp(failure) => return Err(failure),
            Verdict::Elsewhere(region) => return bucket.go_to(&region).await,
            Verdict::Renew(why) if self.renewed => return Err(Failure::new(why)),
            Verdict::Renew(_) => {
                self.renewed = true;
                bucket.forget_credentials().await;
                return Ok(());
            }
            Verdict::Again(why, after) => (why, after),
        };
        self.tries += 1;
        let waited = self.since.elapsed();
        if self.tries >= TRIES_MAX || waited >= LONGEST {
            return Err(Failure::new(format!(
                "tried {} times in {:.0} s, the last time: {why}; load again when the store is well",
                self.tries,
                waited.as_secs_f64()
            )));
        }
        let longest = WAIT_FIRST.saturating_mul(1 << (self.tries - 1).min(10)).min(WAIT_MAX);
        let wait = after.map_or(longest.mul_f64(fastrand::f64()), |after| after.min(WAIT_MAX * 3));
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
