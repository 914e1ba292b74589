//! The general path: the whole format, one function per production, one byte after the other.
//!
//! ```text
//! line     = [vhost SP] client SP ident SP user SP "[" time "]" SP quoted-request SP status SP bytes
//!            [SP quoted-referrer SP quoted-agent [SP bytes-in SP bytes-out]] [extra]
//! ```

use super::format::Format;
use super::malformed::Malformed;
use super::record::{Record, Request, Span};
use super::timestamp::{Days, TIME_BYTES};

/// The line without a carriage return at its end, and without what else is no part of it: NULs, which copytruncate
/// leaves before the first line written after it, and a byte-order mark.
pub(super) fn trim(line: &[u8]) -> Span {
    let end = line.strip_suffix(b"\r").unwrap_or(line).len();
    let mut start = 0;
    loop {
        start += match &line[start..end] {
            [0, ..] => 1,
            [0xef, 0xbb, 0xbf, ..] => 3,
            _ => return Span::new(start, end),
        };
    }
}

/// `line = …`, see above. `line` must not be empty.
pub(super) fn line<'c>(days: &mut Days, format: Format, text: &'c [u8], line: Span) -> Result<Record<'c>, Malformed> {
    let mut rest = Rest { text: &text[..line.end as usize], at: line.start as usize };
    let vhost = if format.has_vhost() { printable_word(&mut rest).ok_or(Malformed::NoClient)? } else { Span::NONE };
    let (client, forwarded) = client(&mut rest).ok_or(Malformed::NoClient)?;
    let ident = word(&mut rest).ok_or(Malformed::NoClient)?;
    let (user, time) = user_and_time(&mut rest)?;
    let timestamp = TryInto::<&[u8; TIME_BYTES]>::try_into(time.of(text))
        .ok()
        .and_then(|time| days.written(time))
        .ok_or(Malformed::BadTime)?;
    let request = request(text, quoted(&mut rest).ok_or(Malformed::BadRequest)?);
    let status = number(&mut rest).ok_or(Malformed::BadStatus)?;
    let bytes = number(&mut rest).ok_or(Malformed::BadBytes)?;
    let (mut referrer, mut agent) = (Span::NONE, Span::NONE);
    if format.has_referrer() {
        if matches!(rest.bytes(), b"" | b" ") {
            return Err(Malformed::NoReferrer);
        }
        referrer = space(&mut rest).and_then(quoted).ok_or(Malformed::BadReferrer)?;
        agent = space(&mut rest).and_then(quoted).ok_or(Malformed::BadAgent)?;
    }
    let (mut bytes_in, mut bytes_out) = (Span::NONE, Span::NONE);
    if format.has_bytes_in_out() {
        bytes_in = number(&mut rest).ok_or(Malformed::BadBytesInOut)?;
        bytes_out = number(&mut rest).ok_or(Malformed::BadBytesInOut)?;
    }
    space(&mut rest);
    let extra = extra(&rest).ok_or(Malformed::BareCr)?;
    Ok(Record {
        text,
        line,
        vhost,
        client,
        forwarded,
        ident,
        user,
        time,
        timestamp,
        request,
        status,
        bytes,
        referrer,
        agent,
        bytes_in,
        bytes_out,
        extra,
    })
}

/// `extra = *any`, whatever a site has added. But httpd writes no carriage return as it is: where one stands before
/// other text, lines end in CR alone or two of them were run together, and it is not one line that is left.
fn extra(rest: &Rest) -> Option<Span> {
    let carriage_returns_at_the_end = rest.bytes().iter().rev().take_while(|byte| **byte == b'\r').count();
    let text = &rest.bytes()[..rest.bytes().len() - carriage_returns_at_the_end];
    memchr::memchr(b'\r', text).is_none().then(|| Span::new(rest.at, rest.text.len()))
}

/// What is left of the line.
struct Rest<'c> {
    /// The text up to the line's end.
    text: &'c [u8],
    at: usize,
}

impl<'c> Rest<'c> {
    fn bytes(&self) -> &'c [u8] {
        &self.text[self.at..]
    }

    /// Takes `len` bytes.
    fn take(&mut self, len: usize) -> Span {
        self.at += len;
        Span::new(self.at - len, self.at)
    }
}

/// `SP`
fn space<'r, 'c>(rest: &'r mut Rest<'c>) -> Option<&'r mut Rest<'c>> {
    (rest.bytes().first() == Some(&b' ')).then(|| rest.take(1))?;
    Some(rest)
}

/// A word without control characters: httpd escapes those that a name or address brings. With them it is the header of
/// an archive's member, or some other binary data before a line.
fn printable_word(rest: &mut Rest) -> Option<Span> {
    word(rest).filter(|word| !word.of(rest.text).iter().any(|byte| *byte < b' '))
}

/// `word SP`: all up to the next space, and that space. At least one byte.
fn word(rest: &mut Rest) -> Option<Span> {
    let len = memchr::memchr(b' ', rest.bytes()).filter(|len| *len > 0)?;
    let word = rest.take(len);
    rest.take(1);
    Some(word)
}

/// `client SP = word SP / word "," SP *(word "," SP) word SP`: one client, or a list that X-Forwarded-For brought.
/// Gives the first client and the list.
fn client(rest: &mut Rest) -> Option<(Span, Span)> {
    let first = printable_word(rest)?;
    let mut last = first;
    while rest.text[last.end as usize - 1] == b',' {
        last = word(rest)?;
    }
    if last == first {
        return Some((first, Span::NONE));
    }
    let client = Span { start: first.start, end: first.end - 1 };
    (!client.is_empty()).then_some((client, Span { start: first.start, end: last.end }))
}

/// `user SP "[" time "]" SP <">`
///
/// The user is the only free text before the time: it may hold spaces, brackets, and even `[01/Jan/2000:00:00:00
/// +0000] \"GET`. But its quotes are escaped. So the time is the bracket directly before the first quote that has
/// one, and the user is all that stands before.
fn user_and_time(rest: &mut Rest) -> Result<(Span, Span), Malformed> {
    let (text, start) = (rest.text, rest.at);
    // ` [` before the time, and `] ` behind it.
    const AROUND: usize = TIME_BYTES + 4;
    for quote in memchr::memchr_iter(b'"', rest.bytes()).map(|n| start + n) {
        let Some(end) = quote.checked_sub(AROUND).filter(|end| *end >= start) else { continue };
        if text[end..].starts_with(b" [") && text[..quote].ends_with(b"] ") {
            rest.at = quote;
            return Ok((Span::new(start, end), Span::new(end + 2, quote - 2)));
        }
    }
    Err(match rest.bytes() {
        [b'[', time_and_more @ ..] if time_and_more[TIME_BYTES.min(time_and_more.len())..].starts_with(b"] \"") => {
            Malformed::NoClient
        }
        no_time if memchr::memmem::find(no_time, b"] \"").is_some() => Malformed::BadTime,
        _ => Malformed::NoTime,
    })
}

/// `<"> *(any / "\" any) <">`: a backslash takes the next byte with it.
fn quoted(rest: &mut Rest) -> Option<Span> {
    let bytes = rest.bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            break;
        }
        at += 2;
    }
    rest.take(1);
    let field = rest.take(at - 1);
    rest.take(1);
    Some(field)
}

/// `request = method SP target [SP "HTTP/" 1*DIGIT ["." 1*DIGIT]]`, or anything else.
fn request(text: &[u8], field: Span) -> Request {
    let mut words = field.of(text).split(|byte| *byte == b' ');
    let (method, target, protocol) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), None) = (method, target, words.next()) else { return Request::Raw(field) };
    if method.is_empty() || target.is_empty() || !method.iter().all(is_token_byte) {
        return Request::Raw(field);
    }
    let version = match protocol {
        None => b"",
        Some(protocol) => match protocol.strip_prefix(b"HTTP/").filter(|version| is_version(version)) {
            Some(version) => version,
            None => return Request::Raw(field),
        },
    };
    let start = field.start as usize;
    let target_start = start + method.len() + 1;
    Request::Line {
        verb: Span::new(start, start + method.len()),
        target: Span::new(target_start, target_start + target.len()),
        version: Span::new(field.end as usize - version.len(), field.end as usize),
    }
}

/// `1*DIGIT ["." 1*DIGIT]`
fn is_version(version: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    match memchr::memchr(b'.', version) {
        Some(point) => digits(&version[..point]) && digits(&version[point + 1..]),
        None => digits(version),
    }
}

/// `tchar` of RFC 9110, 5.6.2.
pub(super) fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// `SP ("-" / 1*DIGIT)`, up to a space or the line's end. JSON numbers have no leading zeros and OpenSearch's long
/// ends at 2^63 - 1. Gives an empty span for `-`.
fn number(rest: &mut Rest) -> Option<Span> {
    let rest = space(rest)?;
    let len = memchr::memchr(b' ', rest.bytes()).unwrap_or(rest.bytes().len());
    let written = &rest.bytes()[..len];
    if written == b"-" {
        rest.take(1);
        return Some(Span::NONE);
    }
    if written.is_empty() || !written.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = written.iter().take_while(|digit| **digit == b'0').count().min(len - 1);
    let digits = std::str::from_utf8(&written[zeros..]).ok()?;
    digits.parse::<i64>().ok()?;
    rest.take(zeros);
    Some(rest.take(len - zeros))
}
