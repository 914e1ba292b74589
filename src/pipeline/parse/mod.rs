//! A line becomes a [`Record`]: its fields, borrowed from the chunk. Nothing is copied, nothing is decoded.
//!
//! There are two ways through a line, and one result. The *common path* ([`common`]) takes the lines that nearly all
//! logs consist of, 32 bytes a step; whatever it does not know it leaves untouched to the *general path*
//! ([`grammar`]), which reads like the format and takes everything. They are tested against each other and against
//! a twin outside of this crate. The facts about the format come from httpd's source: `server/util.c`
//! (`ap_escape_logitem`) and `modules/loggers/mod_log_config.c`.

mod common; // the common path: wide steps, constant text compared at once
pub mod escape; // undo Apache's escapes
pub mod format; // which LogFormat a file has
mod grammar; // the general path: one function per production
pub mod guess; // which format, or what else, a file holds
pub mod lanes; // 32 bytes at once: AVX2, or portable
pub mod malformed; // why a line is no access-log line
pub mod record; // what a line becomes
pub mod timestamp; // [19/Dec/2020:13:57:26 +0100]

pub use format::Format;
pub use guess::{Kind, guess, looks_like};
pub use malformed::Malformed;
pub use record::{Record, Request, Span};

use lanes::Lanes;
use timestamp::Days;

/// What one line is.
#[derive(Clone, Copy, Debug)]
pub enum Line<'c> {
    /// An access-log line.
    Record(Record<'c>),
    /// Nothing in it, or only NULs, a byte-order mark, a carriage return.
    Blank,
    /// Not an access-log line of this format.
    Malformed(Malformed),
}

/// Parses the line that starts at `start` and tells where the next one starts.
///
/// `text` must hold the line's newline, unless the line is the last and ends with `text`. Bytes of `text` behind the
/// line may be read, but never change the result.
///
/// # Panics
/// If `text` is longer than 4 GiB, or `start` lies behind its end.
#[inline(always)]
pub fn parse<'c, L: Lanes>(
    lanes: L,
    days: &mut Days,
    format: Format,
    text: &'c [u8],
    start: usize,
) -> (Line<'c>, usize) {
    match common::parse(lanes, days, format, text, start) {
        Some((record, next)) => (Line::Record(record), next),
        None => parse_generally(days, format, text, start),
    }
}

/// The same by the general path alone.
///
/// # Panics
/// As [`parse`].
#[cold]
#[inline(never)]
pub fn parse_generally<'c>(days: &mut Days, format: Format, text: &'c [u8], start: usize) -> (Line<'c>, usize) {
    assert!(u32::try_from(text.len()).is_ok(), "a chunk is shorter than 4 GiB");
    let newline = memchr::memchr(b'\n', &text[start..]).map(|n| start + n);
    let next = newline.map_or(text.len(), |newline| newline + 1);
    let line = grammar::trim(text, start, newline.unwrap_or(text.len()));
    if line.is_empty() {
        return (Line::Blank, next);
    }
    match grammar::line(days, format, text, line) {
        Ok(record) => (Line::Record(record), next),
        Err(reason) => (Line::Malformed(reason), next),
    }
}
