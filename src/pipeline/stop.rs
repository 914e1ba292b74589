//! [`Stop`]: how a run is told to end before its sources do. Set once, seen by every wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Why a run ends before its sources do.
#[derive(Clone, Debug)]
pub enum Reason {
    /// Ctrl-C, SIGTERM, SIGHUP: stop reading, finish what is in flight.
    Interrupted(&'static str),
    /// Whoever reads our standard output has gone: a clean end.
    OutputClosed,
    /// The sink, a ledger or a stage cannot go on.
    Failed(Error),
}

/// How many later failures are kept.
const LATER_MAX: usize = 5;

/// The one flag that every reader, parser and writer looks at. The first reason stays.
#[derive(Debug)]
pub struct Stop {
    reason: Mutex<Option<Reason>>,
    /// What failed after that: not why the run ends, but what somebody should know.
    later: Mutex<Vec<Error>>,
    raised: Condvar,
    /// The same flag without the lock, for hot loops.
    flag: std::sync::atomic::AtomicBool,
    /// Readable once stopped, for poll(2) beside standard input.
    pipe_read: OwnedFd,
    pipe_write: OwnedFd,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::new()
    }
}

impl Stop {
    /// A run that goes on.
    ///
    /// # Panics
    /// If the process has no file descriptor left for a pipe.
    pub fn new() -> Stop {
        let (pipe_read, pipe_write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe for the stop signal");
        Stop {
            reason: Mutex::new(None),
            later: Mutex::default(),
            raised: Condvar::new(),
            flag: std::sync::atomic::AtomicBool::new(false),
            pipe_read,
            pipe_write,
        }
    }

    /// Tells the run to end. The first reason stays; what fails later is kept beside it.
    pub fn raise(&self, reason: Reason) {
        let mut slot = self.lock();
        if slot.is_some() {
            if let Reason::Failed(error) = reason {
                let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
                if later.len() < LATER_MAX && !later.contains(&error) {
                    later.push(error);
                }
            }
            return;
        }
        *slot = Some(reason);
        self.flag.store(true, std::sync::atomic::Ordering::Release);
        // One byte makes the pipe readable for good; nobody ever reads it.
        let _ = rustix::io::write(&self.pipe_write, b"!");
        self.raised.notify_all();
    }

    /// Whether the run was told to end.
    pub fn is_raised(&self) -> bool {
        self.flag.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Whether even what is in flight should be let go: a stage has failed, or nobody reads our output. An
    /// interrupted run finishes what it has begun.
    pub fn gives_up(&self) -> bool {
        self.is_raised() && !matches!(self.reason(), Some(Reason::Interrupted(_)))
    }

    /// Why, if it was.
    pub fn reason(&self) -> Option<Reason> {
        self.lock().clone()
    }

    /// What failed after the run was told to end.
    pub fn failed_later(&self) -> Vec<Error> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sleeps, at most for `duration`; returns true at once when the run is told to end.
    pub fn wait(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut slot = self.lock();
        while slot.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            slot = self.raised.wait_timeout(slot, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        true
    }

    /// Readable once the run was told to end.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pipe_read.as_fd()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Reason>> {
        // A panic elsewhere must not keep the run from ending.
        self.reason.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
