//! [`Record`]: the fields of one line, as places in the text they came from.
//!
//! Places, not slices: they are counted from the start of the line, so that they stay small.

use super::timestamp::Timestamp;

/// How much of the text the common path looks at from a line's start: the longest line that it takes, and what wide
/// loads read beyond. With a size that is known, the check of each load is one compare.
pub const WINDOW_BYTES: usize = 4096;

/// A place in the text a record came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

impl Span {
    /// No place at all.
    pub const NONE: Span = Span { start: 0, end: 0 };

    /// From `start` to `end`, which is not before it and less than 4 GiB.
    #[inline(always)]
    pub fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end);
        Span { start: start as u32, end: end as u32 }
    }

    /// Whether it is [`Span::NONE`]: an empty field has a place in its line, and none stands at its very start.
    #[inline(always)]
    pub fn is_none(self) -> bool {
        self.end == 0
    }

    /// Whether there is nothing in it.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Its length in bytes.
    #[inline(always)]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Its bytes in the text it was made from.
    #[inline(always)]
    pub fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// A request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Method, target and, where there is one, the number after `HTTP/` (else empty).
    Line {
        /// grok's `verb`: an RFC 9110 token.
        verb: Span,
        /// grok's `request`: no spaces in it.
        target: Span,
        /// grok's `httpversion`.
        version: Span,
    },
    /// Anything else: grok's `rawrequest`.
    Raw(Span),
}

/// The fields of one access-log line as they are written: quotes around them left out, escapes still in them.
#[derive(Clone, Copy, Debug)]
pub struct Record<'c> {
    /// What the spans point into: from the line's first byte on, perhaps with what comes behind the line.
    pub text: &'c [u8],
    /// The whole line without its end and without NULs or a byte-order mark before it.
    pub line: Span,
    /// `%v` or `%v:%p`. Empty in formats without.
    pub vhost: Span,
    /// `%h`.
    pub client: Span,
    /// The X-Forwarded-For list that stands in the client's place (`client` is its first). Empty where there is none.
    pub forwarded: Span,
    /// `%l`.
    pub ident: Span,
    /// `%u`; `""` for an empty one.
    pub user: Span,
    /// `%t` without brackets.
    pub time: Span,
    /// `%t`, understood.
    pub timestamp: Timestamp,
    /// `%r`.
    pub request: Request,
    /// `%>s`: digits without leading zeros; empty for `-`.
    pub status: Span,
    /// `%b`: digits without leading zeros; empty for `-`.
    pub bytes: Span,
    /// `%{Referer}i`. Empty in formats without, too.
    pub referrer: Span,
    /// `%{User-Agent}i`. Empty in formats without, too.
    pub agent: Span,
    /// `%I`, like `bytes`.
    pub bytes_in: Span,
    /// `%O`, like `bytes`.
    pub bytes_out: Span,
    /// What follows the last field and one space. Empty where nothing does.
    pub extra: Span,
}
