//! [`Room`]: how much of all objects may be here before it is read. One object alone may use all of it; several share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A number of bytes, lent out first come, first served.
#[derive(Debug)]
pub struct Room {
    free: Semaphore,
    bytes: usize,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Room {
        let bytes = bytes.max(1);
        Room { free: Semaphore::new(bytes), bytes }
    }

    /// How many bytes there is room for in all.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What one object has of it. The rest comes back when it is dropped.
#[derive(Debug)]
pub struct Share {
    room: Arc<Room>,
    held: AtomicUsize,
}

impl Share {
    /// Nothing yet.
    pub fn of(room: &Arc<Room>) -> Share {
        Share { room: Arc::clone(room), held: AtomicUsize::new(0) }
    }

    /// Waits until `bytes` more may be here, or as many as may be here at all.
    pub async fn take(&self, bytes: usize) {
        let permits = self.room.free.acquire_many(self.permits(bytes)).await;
        permits.expect("nobody closes it").forget();
        self.held.fetch_add(self.permits(bytes) as usize, Ordering::Relaxed);
    }

    /// The same without waiting. Says whether there was room.
    pub fn take_now(&self, bytes: usize) -> bool {
        let Ok(permits) = self.room.free.try_acquire_many(self.permits(bytes)) else { return false };
        permits.forget();
        self.held.fetch_add(self.permits(bytes) as usize, Ordering::Relaxed);
        true
    }

    /// So many bytes were read.
    pub fn give_back(&self, bytes: usize) {
        let before =
            self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some(held.saturating_sub(bytes)));
        let held = before.expect("never refused");
        self.room.free.add_permits(held.min(bytes));
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.room.bytes)).unwrap_or(u32::MAX)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_have_all_of_it_and_all_of_it_comes_back() {
        let room = Arc::new(Room::new(100));
        let (one, other) = (Share::of(&room), Share::of(&room));
        assert!(one.take_now(60) && one.take_now(40) && !other.take_now(1));
        one.give_back(30);
        assert!(other.take_now(30) && !other.take_now(1));
        drop(one); // with 70 bytes that nobody read
        assert!(other.take_now(70));
        other.give_back(1_000);
        assert!(other.take_now(1_000), "a wish beyond all of it gets all of it");
        drop(other);
        assert_eq!(room.free.available_permits(), 100);
    }
}
