//! [`Pool`]: buffers that are used again, because fresh memory costs page faults.

use std::sync::{Mutex, PoisonError};

/// Used buffers, bounded in number; how large each may be is for its user to see to.
#[derive(Debug)]
pub struct Pool<T> {
    kept: Mutex<Vec<T>>,
    kept_max: usize,
}

impl<T: Default> Pool<T> {
    /// A pool that keeps at most `kept_max` buffers.
    pub fn new(kept_max: usize) -> Pool<T> {
        Pool { kept: Mutex::default(), kept_max }
    }

    /// A used buffer, or a new one.
    pub fn take(&self) -> T {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn give_back(&self, buffer: T) {
        self.give_back_if_fewer(self.kept_max, buffer);
    }

    /// Takes a buffer back only if there are fewer than `few`: one that turned out larger than what is needed now.
    pub fn give_back_if_fewer(&self, few: usize, buffer: T) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < few.min(self.kept_max) {
            kept.push(buffer);
        }
    }
}
