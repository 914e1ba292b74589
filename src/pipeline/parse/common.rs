//! The common path of parsing alone: the [`Record`] of a line that looks as nearly all lines do.
//!
//! The answers of [`scan`](super::scan), put together. Loading a log needs no record of such a line: there
//! `serialize::common` makes a document of the same answers at once. This is for those who want fields and no document.
//! A line taken here gives the record that the general path gives; the tests compare both.

use super::format::Format;
use super::lanes::Lanes;
use super::record::{Record, Request, Span};
use super::scan::{
    BYTES_AT, STATUS_AT, VERSION_AT, Who, Window, dirty_quoted_end, dirty_target_end, is_verb, is_version_and_status,
    line_end, load, number, quoted_end, who, word_end,
};
use super::timestamp::{Days, TIME_BYTES};

/// The record of the line at the start of `text` and the length of the line with its newline, or none if the line, or
/// what stands where a line is wanted, is not of the common kind.
#[inline(always)]
pub(super) fn parse<'c, L: Lanes>(
    lanes: L,
    days: &mut Days,
    format: Format,
    text: &'c [u8],
) -> Option<(Record<'c>, usize)> {
    let text: &Window = text.first_chunk()?;
    let Who { vhost, client, forwarded, mut ident, mut user, bracket } = who(lanes, format, text)?;
    if ident.is_none() {
        ident = Span::new(bracket - 4, bracket - 3);
        user = Span::new(bracket - 2, bracket - 1);
    }

    let timestamp = days.bracketed(lanes, load(text, bracket)?)?;
    let time = Span::new(bracket + 1, bracket + 1 + TIME_BYTES);

    let verb_start = bracket + TIME_BYTES + 4;
    // The verb ends at the first stop, the target at the second: one load finds both for most lines.
    let stops = lanes.word_stops(load(text, verb_start)?);
    let verb_bytes = stops.trailing_zeros() as usize;
    if !is_verb(text, verb_start, verb_bytes)? {
        return None;
    }
    let verb = Span::new(verb_start, verb_start + verb_bytes);

    let target_start = verb_start + verb_bytes + 1;
    let stops = stops & stops.wrapping_sub(1);
    let mut target_end = match stops {
        0 => word_end(lanes, text, verb_start + 32)?,
        _ => verb_start + stops.trailing_zeros() as usize,
    };
    if text[target_end] != b' ' {
        target_end = dirty_target_end(text, target_end)?;
    }
    if target_end == target_start {
        return None;
    }
    let target = Span::new(target_start, target_end);

    if !is_version_and_status(text, target_end)? {
        return None;
    }
    let version = Span::new(target_end + VERSION_AT, target_end + VERSION_AT + 3);
    let status = Span::new(target_end + STATUS_AT, target_end + STATUS_AT + 3);

    let bytes_start = target_end + BYTES_AT;
    let (bytes, after_bytes) = number(text, bytes_start)?;
    let mut at = after_bytes;

    let (mut referrer, mut agent) = (Span::NONE, Span::NONE);
    if format.has_referrer() {
        // The referrer begins behind the first stop and ends at the second: as above, and found without waiting for
        // the number, which is only checked.
        let stops = lanes.quoted_stops(load(text, bytes_start)?);
        let referrer_start = bytes_start + stops.trailing_zeros() as usize + 1;
        if *load(text, after_bytes)? != *b" \"" {
            return None;
        }
        debug_assert_eq!(after_bytes + 2, referrer_start, "digits and a space are clean");
        let stops = stops & stops.wrapping_sub(1);
        let mut referrer_end = match stops {
            0 => quoted_end(lanes, text, bytes_start + 32)?,
            _ => bytes_start + stops.trailing_zeros() as usize,
        };
        if text[referrer_end] != b'"' {
            referrer_end = dirty_quoted_end(text, referrer_end)?;
        }
        referrer = Span::new(referrer_start, referrer_end);
        if *load(text, referrer_end)? != *b"\" \"" {
            return None;
        }
        let agent_start = referrer_end + 3;
        let mut agent_end = quoted_end(lanes, text, agent_start)?;
        if text[agent_end] != b'"' {
            agent_end = dirty_quoted_end(text, agent_end)?;
        }
        agent = Span::new(agent_start, agent_end);
        at = agent_end + 1;
    }

    let (mut bytes_in, mut bytes_out) = (Span::NONE, Span::NONE);
    if format.has_bytes_in_out() {
        if *text.get(at)? != b' ' {
            return None;
        }
        (bytes_in, at) = number(text, at + 1)?;
        if *text.get(at)? != b' ' {
            return None;
        }
        (bytes_out, at) = number(text, at + 1)?;
    }

    let (line_end, next, extra) = line_end(text, at, format)?;

    let record = Record {
        text,
        line: Span::new(0, line_end),
        vhost,
        client,
        forwarded,
        ident,
        user,
        time,
        timestamp,
        request: Request::Line { verb, target, version },
        status,
        bytes,
        referrer,
        agent,
        bytes_in,
        bytes_out,
        extra,
    };
    Some((record, next))
}
