//! [`Sizes`]: how large chunks and tickets are, learnt from how much larger their blocks turn out.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pipeline::serialize::ROOM_BYTES;

/// The block that a chunk should become at most, in bytes. Short lines, `--with message` and many `--field`s make
/// documents many times larger than their lines; then chunks get smaller.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// The largest block that is kept for use again, in bytes: before a run has learnt how large blocks become, some are
/// larger than they should be; beyond this it was a line of megabytes.
pub const KEPT_BLOCK_BYTES_MAX: usize = 4 * BLOCK_BYTES_MAX;
/// The smallest chunk worth its overhead, in bytes.
const CHUNK_BYTES_MIN: usize = 16 << 10;

/// Bytes of block per sixteen bytes of chunk, as most logs have them.
const USUAL_GROWTH: usize = 39;

/// Chunk and ticket sizes for the run, adapted as it goes.
#[derive(Debug)]
pub struct Sizes {
    chunk_bytes_max: usize,
    /// Bytes of block per sixteen bytes of chunk: the most seen, forgotten slowly.
    growth: AtomicUsize,
    /// The same of the last chunk of some size; 0 before the first.
    lately: AtomicUsize,
}

impl Sizes {
    /// Chunks of at most `chunk_bytes_max` bytes. Starts with the usual growth: 1.9 times, and room to spare.
    pub fn new(chunk_bytes_max: usize) -> Sizes {
        Sizes { chunk_bytes_max, growth: AtomicUsize::new(4 * 16), lately: AtomicUsize::new(0) }
    }

    /// How large the next chunk should be, in bytes.
    pub fn chunk_bytes(&self) -> usize {
        let fits = BLOCK_BYTES_MAX * 16 / self.growth.load(Ordering::Relaxed).max(16);
        // `chunk_bytes_max` may be set below the minimum, by tests that want one line per chunk.
        self.chunk_bytes_max.min(fits.max(CHUNK_BYTES_MIN))
    }

    /// The largest chunk buffer that is kept for use again, in bytes: one of whole lines, which may be a chunk and the
    /// part of a line more than a chunk. Lines longer than that have buffers of their own.
    pub fn buffer_bytes_max(&self) -> usize {
        2 * self.chunk_bytes_max.max(CHUNK_BYTES_MIN)
    }

    /// The ticket for a chunk of that size and its block, in bytes.
    pub fn ticket_bytes(&self) -> usize {
        self.ticket_bytes_for(self.chunk_bytes())
    }

    /// The ticket for a chunk of `chunk_bytes` bytes and its block, in bytes.
    pub fn ticket_bytes_for(&self, chunk_bytes: usize) -> usize {
        chunk_bytes + chunk_bytes * self.growth.load(Ordering::Relaxed) / 16
    }

    /// What a chunk of `chunk_bytes` bytes will become if it is like the last one, or of the usual kind, in bytes.
    pub fn block_bytes_for(&self, chunk_bytes: usize) -> usize {
        let lately = match self.lately.load(Ordering::Relaxed) {
            0 => USUAL_GROWTH,
            lately => lately,
        };
        // A sixteenth more, so that most need not grow.
        chunk_bytes * (lately + 1) / 16 + ROOM_BYTES
    }

    /// A chunk of `chunk_bytes` bytes became a block of `block_bytes` bytes.
    pub fn learn(&self, chunk_bytes: usize, block_bytes: usize) {
        let seen = (block_bytes * 16).div_ceil(chunk_bytes.max(1)).clamp(16, 64 * 16);
        if chunk_bytes >= CHUNK_BYTES_MIN {
            self.lately.store(seen, Ordering::Relaxed);
        }
        let known = self.growth.load(Ordering::Relaxed);
        // Up at once, down by a sixty-fourth: parsers race here, and any of their answers will do.
        let next = if seen >= known { seen } else { known - (known - seen).div_ceil(64) };
        if next != known {
            self.growth.store(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_shrink_when_blocks_grow_and_recover() {
        let sizes = Sizes::new(256 << 10);
        assert_eq!(sizes.chunk_bytes(), 256 << 10);
        sizes.learn(1000, 16_000);
        assert_eq!(sizes.chunk_bytes(), 64 << 10);
        assert_eq!(sizes.ticket_bytes(), (64 << 10) * 17);
        for _ in 0..1_000 {
            sizes.learn(1000, 1_900);
        }
        assert_eq!(sizes.chunk_bytes(), 256 << 10);
        sizes.learn(1, 1 << 30);
        assert_eq!(sizes.chunk_bytes(), 16 << 10);
    }
}
