//! [`Tail`]: the last bytes before a place in a file. Its hash is how a later run knows the place again.
//!
//! A path or an inode says nothing about what a file holds: it is rotated, compressed, cut and written anew. If the
//! 4 KiB before a place are the same, and the first line is, too, then the file is the one that was read up to there.

use rapidhash::v3::rapidhash_v3;

/// How many bytes before a place are compared; all there are, if they are fewer.
pub const TAIL_BYTES: usize = 4 << 10;

/// The last [`TAIL_BYTES`] of what was pushed.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// The tail of `bytes`, which lead up to the place.
    pub fn of(bytes: &[u8]) -> Tail {
        Tail { bytes: last(bytes).to_vec() }
    }

    /// Moves the place behind `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        let new = last(bytes);
        let old = self.bytes.len().min(TAIL_BYTES - new.len());
        self.bytes.drain(..self.bytes.len() - old);
        self.bytes.extend_from_slice(new);
    }

    /// What a later run compares.
    pub fn end(&self) -> End {
        end_of(&self.bytes)
    }
}

/// What the bytes before a place say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// rapidhash v3 (stable by its specification) of the bytes before it, at most [`TAIL_BYTES`].
    pub hash: u64,
    /// Whether a line may start here. Not so behind a half last line: what is appended later belongs to that line.
    pub whole: bool,
}

/// The same for bytes that lie in memory.
pub fn end_of(bytes: &[u8]) -> End {
    let tail = last(bytes);
    End { hash: rapidhash_v3(tail), whole: tail.last().is_none_or(|&byte| byte == b'\n') }
}

fn last(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(TAIL_BYTES)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_in_pieces_it_is_the_tail_of_the_whole() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..random.usize(..20_000)).map(|_| random.u8(b'\n'..b'\r')).collect();
            let mut tail = Tail::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(9_000)));
                tail.push(piece);
                rest = after;
            }
            assert_eq!(tail.end(), end_of(&bytes));
            assert_eq!(tail.end(), Tail::of(&bytes).end());
            assert_eq!(tail.end().whole, bytes.is_empty() || bytes.ends_with(b"\n"));
        }
    }
}
