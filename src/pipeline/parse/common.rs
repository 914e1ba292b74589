//! The common path: what nearly all lines look like, 32 bytes a step.
//!
//! Only the fields whose length nobody knows are searched for their end (client, user, target, referrer, agent); all
//! else follows from text that must be there and is compared at once, in a register. A field with a byte that JSON
//! cannot take as it is ("dirty") is walked by a cold function and comes back here. Whatever is not as expected gives
//! none, and the general path looks at the line again from its start.
//!
//! Before you change this: a line taken here must give the record that the general path gives. The tests compare both
//! on every line they know, and they also check that more than 99.9 % of a real log comes this way: a wrong constant
//! here costs speed, not truth.

use super::format::Format;
use super::grammar::is_token_byte;
use super::lanes::Lanes;
use super::record::{Dirty, Record, Request, Span, WINDOW_BYTES};
use super::timestamp::{Days, TIME_BYTES};

/// A line, and what comes behind it.
type Window = [u8; WINDOW_BYTES];

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
    let mut dirty = Dirty::default();
    let mut at = 0;
    let mut vhost = Span::NONE;
    if format.has_vhost() {
        vhost = word(lanes, text, at)?;
        at = vhost.end as usize + 1;
    }

    let mut client = word(lanes, text, at)?;
    let mut after_client = client.end as usize;
    let mut forwarded = Span::NONE;
    if text[after_client - 1] == b',' {
        forwarded = list(lanes, text, client)?;
        client = Span { start: client.start, end: client.end - 1 };
        after_client = forwarded.end as usize;
    }

    // Nobody has an ident, and few have a user.
    let ident;
    let user;
    let bracket;
    if eight(text, after_client)? << 16 == u64::from_le_bytes(*b" - - [\0\0") << 16 {
        ident = Span::new(after_client + 1, after_client + 2);
        user = Span::new(after_client + 3, after_client + 4);
        bracket = after_client + 5;
    } else {
        ident = word(lanes, text, after_client + 1)?;
        let user_start = ident.end as usize + 1;
        let user_end = word_end(lanes, text, user_start)?;
        if text[user_end] != b' ' {
            return None;
        }
        user = Span::new(user_start, user_end);
        bracket = user_end + 1;
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
        dirty.0 |= Dirty::TARGET.0;
    }
    if target_end == target_start {
        return None;
    }
    let target = Span::new(target_start, target_end);

    // ` HTTP/1.1" 200 `
    if !matches(eight(text, target_end)?, *b" HTTP/0.", [0, 0, 0, 0, 0, 0, 9, 0])
        || !matches(eight(text, target_end + 8)? & (!0 >> 8), *b"0\" 000 \0", [9, 0, 0, 9, 9, 9, 0, 0])
        || text[target_end + 11] == b'0'
    {
        return None;
    }
    let version = Span::new(target_end + 6, target_end + 9);
    let status = Span::new(target_end + 11, target_end + 14);

    let bytes_start = target_end + 15;
    let (bytes, after_bytes) = number(text, bytes_start)?;
    at = after_bytes;

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
            dirty.0 |= Dirty::REFERRER.0;
        }
        referrer = Span::new(referrer_start, referrer_end);
        if *load(text, referrer_end)? != *b"\" \"" {
            return None;
        }
        let agent_start = referrer_end + 3;
        let mut agent_end = quoted_end(lanes, text, agent_start)?;
        if text[agent_end] != b'"' {
            agent_end = dirty_quoted_end(text, agent_end)?;
            dirty.0 |= Dirty::AGENT.0;
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

    // The end: most lines have nothing more, or what a proxy's absent header leaves.
    let line_end;
    let next;
    let mut extra = Span::NONE;
    let five: &[u8; 5] = load(text, at)?;
    if five[0] == b'\n' {
        (line_end, next) = (at, at + 1);
    } else if five == b" \"-\"\n" {
        extra = Span::new(at + 1, at + 4);
        (line_end, next) = (at + 4, at + 5);
    } else if five.starts_with(b"\r\n") {
        (line_end, next) = (at, at + 2);
    } else {
        let newline = at + memchr::memchr(b'\n', text.get(at..)?)?;
        line_end = if text[newline - 1] == b'\r' { newline - 1 } else { newline };
        next = newline + 1;
        let spaced = five[0] == b' ';
        if !spaced && line_end != at && (format.has_bytes_in_out() || !format.has_referrer()) {
            return None; // a number ends at a space or at the line's end
        }
        extra = Span::new(at + usize::from(spaced), line_end);
        if memchr::memchr(b'\r', &text[extra.start as usize..line_end]).is_some() {
            return None;
        }
    }

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
        dirty,
        common_path: true,
    };
    Some((record, next))
}

/// `N` bytes from `at` on.
#[inline(always)]
fn load<const N: usize>(text: &Window, at: usize) -> Option<&[u8; N]> {
    if at > WINDOW_BYTES - N {
        return None;
    }
    text[at..].first_chunk()
}

#[inline(always)]
fn eight(text: &Window, at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*load(text, at)?))
}

/// Where the first byte stands that is no part of a clean word. There is one within the text.
#[inline(always)]
fn word_end<L: Lanes>(lanes: L, text: &Window, mut at: usize) -> Option<usize> {
    loop {
        let stops = lanes.word_stops(load(text, at)?);
        if stops != 0 {
            return Some(at + stops.trailing_zeros() as usize);
        }
        at += 32; // a constant: the next load does not wait for this one
    }
}

/// The same for a quoted field.
#[inline(always)]
fn quoted_end<L: Lanes>(lanes: L, text: &Window, mut at: usize) -> Option<usize> {
    loop {
        let stops = lanes.quoted_stops(load(text, at)?);
        if stops != 0 {
            return Some(at + stops.trailing_zeros() as usize);
        }
        at += 32;
    }
}

/// A clean word of at least one byte with a space behind it.
#[inline(always)]
fn word<L: Lanes>(lanes: L, text: &Window, at: usize) -> Option<Span> {
    let end = word_end(lanes, text, at)?;
    (end > at && text[end] == b' ').then(|| Span::new(at, end))
}

/// The X-Forwarded-For list that begins with `first`, which ends in a comma: words up to the first without one.
#[inline(never)]
fn list<L: Lanes>(lanes: L, text: &Window, first: Span) -> Option<Span> {
    let mut last = first;
    while text[last.end as usize - 1] == b',' {
        last = word(lanes, text, last.end as usize + 1)?;
    }
    (first.len() > 1).then_some(Span { start: first.start, end: last.end })
}

/// Where the target ends that holds `at`, which is the first byte that is not clean: at a space in the same line.
#[cold]
#[inline(never)]
fn dirty_target_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *text.get(at)? {
            b' ' => return Some(at),
            b'"' | b'\n' => return None,
            // What it takes with it must not be looked at again, but neither may it be something that ends a line,
            // or, in the eyes of the general path, a target.
            b'\\' if matches!(text.get(at + 1), Some(b'\n' | b' ')) => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the quoted field ends that holds `at`, which is the first byte that is not clean.
#[cold]
#[inline(never)]
fn dirty_quoted_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr3(b'"', b'\\', b'\n', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at),
            b'\n' => return None,
            _ if text.get(at + 1) == Some(&b'\n') => return None,
            _ => at += 2,
        }
    }
}

/// Whether each byte of `word` lies between the byte of `least` and that byte plus the one of `span`. The span must
/// not reach out of the bits that `least` has as zeros, as it does not for digits, nor for 0.
#[inline(always)]
fn matches(word: u64, least: [u8; 8], span: [u8; 8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let above = word ^ u64::from_le_bytes(least);
    let bias = u64::from_le_bytes([0x7f; 8]) - u64::from_le_bytes(span);
    (above | (above & !HIGH).wrapping_add(bias)) & HIGH == 0
}

/// Whether the `bytes` bytes at `at` are a method of at most 16 bytes with a space behind it.
#[inline(always)]
fn is_verb(text: &Window, at: usize, bytes: usize) -> Option<bool> {
    let word = eight(text, at)?;
    // Nearly all are one to seven letters A-Z: the high bits of their bytes, and of the space's.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let reach_a = word.wrapping_add(ONES * (0x80 - b'A' as u64));
    let beyond_z = word.wrapping_add(ONES * (0x7f - b'Z' as u64));
    let others = !(reach_a & !beyond_z & !word) & HIGH;
    let first_other = others.trailing_zeros() as usize / 8;
    let is_common = first_other == bytes && (1..8).contains(&bytes) && (word >> (bytes * 8)) as u8 == b' ';
    Some(is_common || is_other_verb(text, at, bytes))
}

/// Whether they are any other method: `PROPFIND`, `M-SEARCH`, `get`.
#[cold]
#[inline(never)]
fn is_other_verb(text: &Window, at: usize, bytes: usize) -> bool {
    let verb = text.get(at..at + bytes).unwrap_or_default();
    (1..=16).contains(&bytes) && verb.iter().all(is_token_byte) && text.get(at + bytes) == Some(&b' ')
}

/// A number as JSON has it, or `-`, with at most 15 digits, and where it ends. What stands there is not looked at.
#[inline(always)]
fn number(text: &Window, at: usize) -> Option<(Span, usize)> {
    let first = eight(text, at)?;
    let mut digits = digits(first);
    if digits == 8 {
        digits += self::digits(eight(text, at + 8)?);
    }
    if digits == 0 {
        return (first as u8 == b'-').then_some((Span::NONE, at + 1));
    }
    if digits == 16 || (first as u8 == b'0' && digits > 1) {
        return None;
    }
    Some((Span::new(at, at + digits), at + digits))
}

/// How many digits `word` begins with.
#[inline(always)]
fn digits(word: u64) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let above = word ^ u64::from_le_bytes([b'0'; 8]);
    let others = (above | (above & !HIGH).wrapping_add(u64::from_le_bytes([0x76; 8]))) & HIGH;
    others.trailing_zeros() as usize / 8
}
