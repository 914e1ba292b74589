//! A line becomes a [`Record`] of fields borrowed from the chunk.

/// Why a line is no access-log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// Longer than the limit.
    TooLong,
}
