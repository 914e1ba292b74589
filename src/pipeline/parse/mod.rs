//! A line becomes a [`Record`] of fields borrowed from the chunk.

/// Why a line is no access-log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// Longer than the limit.
    TooLong,
}
#[derive(Clone, Copy, Debug)]
pub enum Format {
    Combined,
}
impl Format {
    pub fn name(self) -> &'static str {
        "combined"
    }
}
pub enum LooksLike {
    Unknown,
}
impl LooksLike {
    pub fn describe(&self) -> &'static str {
        ""
    }
}
pub fn guess(_b: &[u8]) -> Option<Format> {
    None
}
pub fn looks_like(_b: &[u8]) -> LooksLike {
    LooksLike::Unknown
}
