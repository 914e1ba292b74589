//! [`Buffer`]: bytes that grow at the end, and may be written a little beyond it.
//!
//! A `Vec<u8>` that is cleared and filled again has to be zeroed again before it can be written in wide steps. This one
//! stays initialised over its whole capacity, and keeps apart how much of it counts.

use std::fmt;
use std::ops::Deref;

/// Memory is taken in steps of so many bytes.
const PAGES_BYTES: usize = 16 << 10;

/// Bytes that grow at the end. Derefs to those that count.
#[derive(Default)]
pub struct Buffer {
    /// Initialised throughout.
    storage: Vec<u8>,
    /// How many bytes count. Never more than there are.
    len: usize,
}

impl Buffer {
    /// A copy of `bytes`, as small as can be.
    pub fn of(bytes: &[u8]) -> Buffer {
        Buffer { storage: bytes.to_vec(), len: bytes.len() }
    }

    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// Forgets the bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Forgets the bytes and makes room for about `bytes` at once, if there is clearly less: without copying and zeroing
    /// again and again on the way there. A little less will do: fresh memory costs more than the growing that may
    /// become necessary, and what is expected changes from chunk to chunk.
    pub fn expect(&mut self, bytes: usize) {
        self.len = 0;
        if self.storage.len() + self.storage.len() / 8 < bytes {
            self.storage = Vec::new(); // both at a time would be held twice
            self.storage = vec![0; bytes.next_multiple_of(PAGES_BYTES)];
        }
    }

    /// Forgets all but the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets the first `bytes` bytes.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn drop_front(&mut self, bytes: usize) {
        self.storage.copy_within(bytes..self.len, 0);
        self.len -= bytes;
    }

    /// Adds `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Writes `bytes` over those from `at` on.
    ///
    /// # Panics
    /// If they reach beyond the bytes that count.
    pub fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        self.storage[..self.len][at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// What lies behind the bytes that count: at least `wanted` bytes of whatever content.
    #[inline(always)]
    pub fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.storage.len() - self.len < wanted {
            self.grow(wanted);
        }
        &mut self.storage[self.len..]
    }

    /// Lets `written` bytes of what [`room`](Buffer::room) gave count.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline(always)]
    pub fn advance(&mut self, written: usize) {
        assert!(written <= self.storage.len() - self.len, "only what was written counts");
        self.len += written;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, wanted: usize) {
        let needed = self.len + wanted;
        // An eighth more than before at least, so that growing stays cheap without doubling what a pool holds.
        let size = needed.max(self.storage.len() + self.storage.len() / 8).next_multiple_of(PAGES_BYTES);
        self.storage.reserve_exact(size - self.storage.len());
        self.storage.resize(size, 0);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.storage[..self.len]
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Buffer) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.len, self.storage.capacity())
    }
}
