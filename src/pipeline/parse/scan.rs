//! What the common path asks of a line, one question a function: where a word or a quoted field ends, whether the text
//! that must be there is there. 32 bytes a step; none is the answer for whatever is not of the common kind.
//!
//! Only the fields whose length nobody knows are searched for their end (words, target, referrer, agent); all else
//! follows from text that must be there and is compared at once, in a register. A field with a byte that JSON
//! cannot take as it is ("dirty") is walked by a cold function.
//!
//! The questions are put together twice: by `common` to a [`Record`](super::Record), by the serializer to a document.

use super::format::Format;
use super::grammar::is_token_byte;
use super::lanes::Lanes;
use super::record::{Span, WINDOW_BYTES};

/// A line, and what comes behind it.
pub type Window = [u8; WINDOW_BYTES];

/// From the end of the target to the version, the status and the number of bytes: ` HTTP/1.1" 200 1234`.
pub const VERSION_AT: usize = 6;
pub const STATUS_AT: usize = 11;
pub const BYTES_AT: usize = 15;

/// `N` bytes from `at` on.
#[inline(always)]
pub fn load<const N: usize>(text: &Window, at: usize) -> Option<&[u8; N]> {
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
pub fn word_end<L: Lanes>(lanes: L, text: &Window, mut at: usize) -> Option<usize> {
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
pub fn quoted_end<L: Lanes>(lanes: L, text: &Window, mut at: usize) -> Option<usize> {
    loop {
        let stops = lanes.quoted_stops(load(text, at)?);
        if stops != 0 {
            return Some(at + stops.trailing_zeros() as usize);
        }
        at += 32;
    }
}

/// What stands before the time.
pub struct Who {
    /// Empty in formats without.
    pub vhost: Span,
    pub client: Span,
    /// The list that `client` is the first of.
    pub forwarded: Span,
    /// None where ident and user are both `-`.
    pub ident: Span,
    /// None where `ident` is.
    pub user: Span,
    /// Where the time's bracket stands, if this is a line of the common kind.
    pub bracket: usize,
}

/// Virtual host, client, ident and user of the line that starts with `text`, all clean.
#[inline(always)]
pub fn who<L: Lanes>(lanes: L, format: Format, text: &Window) -> Option<Who> {
    let mut vhost = Span::NONE;
    let mut client_start = 0;
    if format.has_vhost() {
        vhost = word(lanes, text, 0)?;
        client_start = vhost.end as usize + 1;
    }
    let mut client = word(lanes, text, client_start)?;
    let mut after_client = client.end as usize;
    let mut forwarded = Span::NONE;
    if text[after_client - 1] == b',' {
        forwarded = list(lanes, text, client)?;
        client.end -= 1;
        after_client = forwarded.end as usize;
    }
    // Nobody has an ident, and few have a user.
    if eight(text, after_client)? << 16 == u64::from_le_bytes(*b" - - [\0\0") << 16 {
        let bracket = after_client + 5;
        return Some(Who { vhost, client, forwarded, ident: Span::NONE, user: Span::NONE, bracket });
    }
    let ident = word(lanes, text, after_client + 1)?;
    let user_start = ident.end as usize + 1;
    let user_end = word_end(lanes, text, user_start)?;
    let user = Span::new(user_start, user_end);
    (text[user_end] == b' ').then_some(Who { vhost, client, forwarded, ident, user, bracket: user_end + 1 })
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
pub fn dirty_target_end(text: &[u8], mut at: usize) -> Option<usize> {
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
pub fn dirty_quoted_end(text: &[u8], mut at: usize) -> Option<usize> {
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

/// Whether version and status follow a target that ends there: ` HTTP/1.1" 200 `.
#[inline(always)]
pub fn is_version_and_status(text: &Window, target_end: usize) -> Option<bool> {
    let version = matches(eight(text, target_end)?, *b" HTTP/0.", [0, 0, 0, 0, 0, 0, 9, 0]);
    let status = eight(text, target_end + 8)? & (!0 >> 8);
    let status = matches(status, *b"0\" 000 \0", [9, 0, 0, 9, 9, 9, 0, 0]) && text[target_end + STATUS_AT] != b'0';
    Some(version && status)
}

/// The end of a line whose last field ends at `at`: where its text ends, where the next line starts, and what is left
/// over. Most lines have nothing more, or what a proxy's absent header leaves.
#[inline(always)]
pub fn line_end(text: &Window, at: usize, format: Format) -> Option<(usize, usize, Span)> {
    let five: &[u8; 5] = load(text, at)?;
    if five[0] == b'\n' {
        return Some((at, at + 1, Span::NONE));
    }
    if five == b" \"-\"\n" {
        return Some((at + 4, at + 5, Span::new(at + 1, at + 4)));
    }
    if five.starts_with(b"\r\n") {
        return Some((at, at + 2, Span::NONE));
    }
    let newline = at + memchr::memchr(b'\n', text.get(at..)?)?;
    let end = if text[newline - 1] == b'\r' { newline - 1 } else { newline };
    let spaced = five[0] == b' ';
    if !spaced && end != at && (format.has_bytes_in_out() || !format.has_referrer()) {
        return None; // a number ends at a space or at the line's end
    }
    let extra = Span::new(at + usize::from(spaced), end);
    if memchr::memchr(b'\r', extra.of(text)).is_some() {
        return None;
    }
    Some((end, newline + 1, extra))
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
pub fn is_verb(text: &Window, at: usize, bytes: usize) -> Option<bool> {
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
pub fn number(text: &Window, at: usize) -> Option<(Span, usize)> {
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
