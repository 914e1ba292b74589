//! A line becomes a [`Record`]: its fields, borrowed from the chunk. Nothing is copied, nothing is decoded.
//!
//! There are two ways through a line, and one result. The *common path* (`scan.rs`, `common.rs`) takes the lines that
//! nearly all logs consist of, 32 bytes a step; whatever it does not know it leaves untouched to the *general path*
//! (`grammar.rs`), which reads like the format and takes everything. They are tested against each other and against
//! a twin outside of this crate. The facts about the format come from httpd's source: `server/util.c`
//! (`ap_escape_logitem`) and `modules/loggers/mod_log_config.c`.

mod common; // the common path to a Record
pub mod escape; // undo Apache's escapes
pub mod format; // which LogFormat a file has
mod grammar; // the general path: one function per production
pub mod guess; // which format, or what else, a file holds
pub mod lanes; // 32 bytes at once: AVX2, or portable
pub mod malformed; // why a line is no access-log line
pub mod record; // what a line becomes
pub(super) mod scan; // the common path's questions: wide steps, constant text compared at once
pub mod timestamp; // [19/Dec/2020:13:57:26 +0100]

pub use format::Format;
pub use guess::{Kind, guess, looks_like, unpacked_by};
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

/// The record of the line that `text` starts with, and the length of the line with its newline, if the common path
/// takes it: if it is like nearly all lines are, and [`WINDOW_BYTES`](record::WINDOW_BYTES) of text are there.
///
/// What comes behind the line is read too, but never changes the result. For all other lines there is
/// [`parse_generally`].
#[inline(always)]
pub fn parse_commonly<'c, L: Lanes>(
    lanes: L,
    days: &mut Days,
    format: Format,
    text: &'c [u8],
) -> Option<(Record<'c>, usize)> {
    common::parse(lanes, days, format, text)
}

/// Parses the line that `text` starts with and tells its length, newline included.
///
/// The line must have its newline, unless it is the last and ends with `text`.
///
/// # Panics
/// If `text` is empty, or the line longer than 4 GiB.
#[cold]
#[inline(never)]
pub fn parse_generally<'c>(days: &mut Days, format: Format, text: &'c [u8]) -> (Line<'c>, usize) {
    let newline = memchr::memchr(b'\n', text);
    let len = newline.map_or(text.len(), |newline| newline + 1);
    assert!(len > 0 && u32::try_from(len).is_ok(), "a line has a byte at least and less than 4 GiB");
    let text = &text[..newline.unwrap_or(len)];
    let line = grammar::trim(text);
    if line.is_empty() {
        return (Line::Blank, len);
    }
    match grammar::line(days, format, text, line) {
        Ok(record) => (Line::Record(record), len),
        Err(reason) => (Line::Malformed(reason), len),
    }
}
