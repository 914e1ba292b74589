//! [`Pool`]: buffers that are used again, because fresh memory costs page faults.

use std::sync::{Mutex, PoisonError};

/// Used buffers, bounded in number and in size: what one line of megabytes has made large is not kept.
#[derive(Debug)]
pub struct Pool<T> {
    kept: Mutex<Vec<T>>,
    kept_max: usize,
    /// How many bytes a buffer holds.
    held_bytes: fn(&T) -> usize,
    held_bytes_max: usize,
}

impl<T: Default> Pool<T> {
    /// A pool that keeps at most `kept_max` buffers, each of at most `held_bytes_max` bytes by `held_bytes`.
    pub fn new(kept_max: usize, held_bytes: fn(&T) -> usize, held_bytes_max: usize) -> Pool<T> {
        Pool { kept: Mutex::default(), kept_max, held_bytes, held_bytes_max }
    }

    /// A used buffer, or a new one.
    pub fn take(&self) -> T {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a buffer back, unless it is too large or there are enough.
    pub fn give_back(&self, buffer: T) {
        self.give_back_if_fewer(self.kept_max, buffer);
    }

    /// Takes a buffer back only if there are fewer than `few`: one that turned out larger than what is needed now.
    pub fn give_back_if_fewer(&self, few: usize, buffer: T) {
        if (self.held_bytes)(&buffer) > self.held_bytes_max {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < few.min(self.kept_max) {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_not_kept() {
        let pool = Pool::new(2, Vec::capacity, 100);
        for bytes in [101, 100, 1] {
            pool.give_back(Vec::<u8>::with_capacity(bytes));
        }
        assert_eq!([pool.take(), pool.take(), pool.take()].map(|buffer| buffer.capacity()), [1, 100, 0]);
    }
}
