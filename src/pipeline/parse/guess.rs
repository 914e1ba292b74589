//! Which format a file has, or what else it holds, told from many of its lines: one line, or one field, says little
//! (`www.example.com 1.2.3.4 - joe [` is a good `combined` line too).

use std::fmt;
use std::net::IpAddr;

use memchr::memchr_iter;

use super::lanes::{self, Lanes, Portable};
use super::record::WINDOW_BYTES;
use super::timestamp::Days;
use super::{Format, Line, Record, parse_commonly, parse_generally};

/// How many lines that are not blank are looked at.
const LINES_MAX: usize = 100;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Access-log lines, most of them in this format.
    AccessLog(Format),
    /// Lines as httpd's `ap_log_error` writes them.
    ApacheErrorLog,
    /// JSON objects or arrays.
    Json,
    /// Packed in a way that we do not unpack; what does, and writes to standard output.
    Packed(&'static str),
    /// Not text.
    Binary,
    /// Nothing, or nothing but blank lines.
    Empty,
    /// Some other text.
    Unknown,
}

impl fmt::Display for Kind {
    /// Fits behind "looks like".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::AccessLog(format) => write!(f, "an access log in the format {format}"),
            Kind::ApacheErrorLog => f.write_str("an Apache error log"),
            Kind::Json => f.write_str("JSON"),
            Kind::Packed(unpack) => {
                write!(f, "packed data that is not unpacked here (`{unpack} FILE | loghaul load -` does)")
            }
            Kind::Binary => f.write_str("binary data"),
            Kind::Empty => f.write_str("an empty file"),
            Kind::Unknown => f.write_str("text that is no access log"),
        }
    }
}

/// Where so many lines with a format are `combined`, and all before them, the rest need not be asked.
const UNANIMOUS_LINES: usize = 16;

/// The format that most of the first 100 lines of `text` have; none if no line has any. The last line may be cut. Of the
/// usual log, all of whose lines are `combined`, a few are enough: of a small file this looks at most lines otherwise.
pub fn guess(text: &[u8]) -> Option<Format> {
    let mut teller = Teller::new();
    let mut formats = first_lines(text).filter_map(|line| teller.format_of(line));
    let mut combined = 0;
    let other = formats.by_ref().take(UNANIMOUS_LINES).find(|format| {
        combined += usize::from(*format == Format::Combined);
        *format != Format::Combined
    });
    if combined == UNANIMOUS_LINES {
        return Some(Format::Combined);
    }
    most_voted(std::iter::repeat_n(Format::Combined, combined).chain(other).chain(formats), LINES_MAX)
}

/// The same of the first 100 lines that have a format, however many without one lie before and between them. What
/// [`guess`] says tells a log from something else; this finds the log in something that is read as one anyhow.
pub fn anywhere(text: &[u8]) -> Option<Format> {
    let mut teller = Teller::new();
    let lines_max = if text.len() <= SHORT_BYTES_MAX { memchr_iter(b'\n', text).count() + 1 } else { LINES_MAX };
    let formats = filled_lines(text).filter_map(|line| teller.format_of(line)).take(LINES_MAX);
    most_voted(formats, lines_max.min(LINES_MAX))
}

/// Texts up to this size may be a few dozen lines, which are worth being counted, in bytes.
const SHORT_BYTES_MAX: usize = 16 << 10;

/// The format with most of at most `votes_max` votes. Once nothing else can win, the others are not asked.
fn most_voted(formats: impl Iterator<Item = Format>, votes_max: usize) -> Option<Format> {
    let mut votes = [0; Format::ALL.len()];
    for format in formats {
        votes[format as usize] += 1;
        if 2 * votes[format as usize] > votes_max {
            return Some(format);
        }
    }
    // Among equals the one that asks for more.
    let richest = [Format::VhostCombined, Format::CombinedIo, Format::Combined, Format::VhostCommon, Format::Common];
    let most = *votes.iter().max().expect("there are formats");
    richest.into_iter().find(|format| most > 0 && votes[*format as usize] == most)
}

/// What the file that starts with `bytes` holds.
pub fn looks_like(bytes: &[u8]) -> Kind {
    let mut lines = first_lines(bytes).peekable();
    let Some(&TextLine { line: first, .. }) = lines.peek() else { return Kind::Empty };
    if let Some(unpack) = unpacked_by(bytes) {
        return Kind::Packed(unpack);
    }
    if let Some(format) = guess(bytes) {
        return Kind::AccessLog(format);
    }
    if matches!(first.trim_ascii_start().first(), Some(b'{' | b'[')) && is_json(first) {
        return Kind::Json;
    }
    let (mut all, mut errors) = (0, 0);
    for TextLine { line, .. } in lines {
        all += 1;
        errors += usize::from(is_error_log(line));
    }
    // Startup messages and what CGI programs print come without a prefix.
    if errors * 2 >= all {
        return Kind::ApacheErrorLog;
    }
    let head = &bytes[..bytes.len().min(4096)];
    let odd = head.iter().filter(|byte| **byte < 0x20 && !b"\t\n\x0b\x0c\r\x1b".contains(byte)).count();
    if odd > head.len() / 50 {
        return Kind::Binary;
    }
    Kind::Unknown
}

/// What unpacks the file that starts with `bytes`, if it is packed. A tar archive holds its files' lines as they are, but
/// the first of each behind a header: it could be read as a log, and would give wrong lines.
pub fn unpacked_by(bytes: &[u8]) -> Option<&'static str> {
    // gzip and zstd: here only inside another.
    let packed: [(usize, &[u8], &str); 8] = [
        (0, b"\x1f\x8b", "gzip -dc"),
        (0, b"\x28\xb5\x2f\xfd", "zstd -dc"),
        (0, b"\xfd7zXZ\0", "xz -dc"),
        (4, b"1AY&SY", "bzip2 -dc"), // behind BZh and a digit, which a host's name could begin with
        (0, b"\x04\x22\x4d\x18", "lz4 -dc"),
        (0, b"PK\x03\x04", "unzip -p"),
        (0, b"\x1f\x9d", "gzip -dc"), // compress(1)
        (257, b"ustar", "tar -xOf"),
    ];
    let found = packed.iter().find(|(at, magic, _)| bytes.get(*at..).is_some_and(|bytes| bytes.starts_with(magic)));
    found.map(|(.., unpack)| *unpack)
}

/// Up to 100 lines that are not blank.
fn first_lines(text: &[u8]) -> impl Iterator<Item = TextLine<'_>> {
    filled_lines(text).take(LINES_MAX)
}

/// The lines that are not blank.
fn filled_lines(text: &[u8]) -> impl Iterator<Item = TextLine<'_>> {
    let mut start = 0;
    let ends = memchr_iter(b'\n', text).chain([text.len()]);
    let lines = ends.map(move |end| {
        let from = &text[std::mem::replace(&mut start, end + 1)..];
        TextLine { line: &from[..from.len() - (text.len() - end)], from }
    });
    lines.filter(|TextLine { line, .. }| line.iter().any(|byte| !matches!(byte, b'\r' | 0)))
}

/// A line, and all that follows it.
#[derive(Clone, Copy)]
struct TextLine<'t> {
    /// Without its newline.
    line: &'t [u8],
    /// From its start on, as far as there is text.
    from: &'t [u8],
}

/// Tells the formats of lines.
struct Teller {
    days: Days,
    #[cfg(target_arch = "x86_64")]
    avx2: Option<lanes::Avx2>,
    /// Room for lines that have too little text behind them to be looked at where they are.
    window: [u8; WINDOW_BYTES],
}

impl Teller {
    fn new() -> Teller {
        Teller {
            days: Days::new(),
            #[cfg(target_arch = "x86_64")]
            avx2: lanes::Avx2::detect().filter(|_| !lanes::portable_is_forced()),
            window: [0; WINDOW_BYTES],
        }
    }

    /// The format that asks most of what a line has.
    fn format_of(&mut self, line: TextLine<'_>) -> Option<Format> {
        if self.is_plainly_combined(line) {
            return Some(Format::Combined);
        }
        format_of_any(&mut self.days, line.line)
    }

    /// Whether a line is as nearly all are, told by the common path. Of others this says nothing.
    fn is_plainly_combined(&mut self, TextLine { line, from }: TextLine<'_>) -> bool {
        let window = match from.first_chunk() {
            Some(window) if line.len() < WINDOW_BYTES => window,
            _ => {
                // What a line before it has left behind it changes nothing.
                let Some(room) = self.window.get_mut(..=line.len()) else { return false };
                room[..line.len()].copy_from_slice(line);
                room[line.len()] = b'\n';
                &self.window
            }
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.avx2 {
            let days = &mut self.days;
            return lanes::with_avx2(
                avx2,
                #[inline(always)]
                |avx2| is_plainly_combined(avx2, days, window),
            );
        }
        is_plainly_combined(Portable, &mut self.days, window)
    }
}

/// Whether the line at the start of `window` is `combined`, without a virtual host (the ident is `-`) and without
/// numbers behind the agent, and takes the common path.
#[inline(always)]
fn is_plainly_combined<L: Lanes>(lanes: L, days: &mut Days, window: &[u8; WINDOW_BYTES]) -> bool {
    let Some((record, _)) = parse_commonly(lanes, days, Format::Combined, window) else { return false };
    record.ident.of(window) == b"-" && matches!(record.extra.of(window).first(), None | Some(b'"'))
}

/// The same by the general path.
fn format_of_any(days: &mut Days, line: &[u8]) -> Option<Format> {
    let (referrer, plain) = match record(days, Format::VhostCommon, line) {
        Some(vhost) if is_vhost(&vhost) => (Format::VhostCombined, Format::VhostCommon),
        _ => (Format::Combined, Format::Common),
    };
    let wanted: &[Format] =
        if referrer == Format::Combined { &[Format::CombinedIo, referrer, plain] } else { &[referrer, plain] };
    wanted.iter().copied().find(|format| record(days, *format, line).is_some())
}

fn record<'c>(days: &mut Days, format: Format, line: &'c [u8]) -> Option<Record<'c>> {
    match parse_generally(days, format, line).0 {
        Line::Record(record) => Some(record),
        Line::Blank | Line::Malformed(_) => None,
    }
}

/// Whether a line that can be read with and without a virtual host has one: its second word is an address, or looks
/// like a host name, or its first ends in a port. Without a virtual host the second word is the ident, `-` for most.
fn is_vhost(record: &Record) -> bool {
    let (vhost, client, ident) =
        (record.vhost.of(record.text), record.client.of(record.text), record.ident.of(record.text));
    if client == b"-" || vhost.ends_with(b",") {
        return false; // no client, or a list of them
    }
    let address = client.split(|byte| *byte == b'%').next().and_then(|address| std::str::from_utf8(address).ok());
    if address.is_some_and(|address| address.parse::<IpAddr>().is_ok()) {
        return true;
    }
    ident == b"-" && (client.contains(&b'.') || has_port(vhost))
}

/// `name:80`
fn has_port(vhost: &[u8]) -> bool {
    let Some(colon) = memchr::memrchr(b':', vhost) else { return false };
    let (name, port) = (&vhost[..colon], &vhost[colon + 1..]);
    let bare_ipv6 = name.contains(&b':') && !name.ends_with(b"]");
    !name.is_empty() && !bare_ipv6 && (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
}

/// `[Fri Sep 09 10:42:29` with or without microseconds.
fn is_error_log(line: &[u8]) -> bool {
    let Some(head) = line.first_chunk::<20>() else { return false };
    let shape = b"[Fri Sep 09 10:42:29";
    std::iter::zip(head, shape).all(|(byte, model)| match model {
        b'0'..=b'9' => byte.is_ascii_digit() || *byte == b' ',
        b'A'..=b'Z' => byte.is_ascii_uppercase(),
        b'a'..=b'z' => byte.is_ascii_lowercase(),
        _ => byte == model,
    })
}

/// Whether a line is JSON, or the start of JSON that spans lines.
fn is_json(line: &[u8]) -> bool {
    match serde_json::from_slice::<serde::de::IgnoredAny>(line.trim_ascii()) {
        Ok(_) => true,
        Err(error) => error.is_eof(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = r#" [19/Dec/2020:13:57:26 +0100] "GET / HTTP/1.1" 200 5"#;
    const AGENT: &str = r#" "-" "curl/8""#;

    #[test]
    fn formats() {
        let cases = [
            (format!("1.2.3.4 - -{TAIL}"), Format::Common),
            (format!("1.2.3.4 - -{TAIL}{AGENT}"), Format::Combined),
            (format!("1.2.3.4 - -{TAIL}{AGENT} \"-\""), Format::Combined),
            (format!("1.2.3.4 - -{TAIL}{AGENT} 1234"), Format::Combined),
            (format!("1.2.3.4 - -{TAIL}{AGENT} 1234 567"), Format::CombinedIo),
            (format!("host.example.com - joe smith{TAIL}{AGENT}"), Format::Combined),
            (format!("1.2.3.4 john.doe joe smith{TAIL}{AGENT}"), Format::Combined),
            (format!("www.example.com 1.2.3.4 - -{TAIL}"), Format::VhostCommon),
            (format!("www.example.com 1.2.3.4 - joe{TAIL}{AGENT}"), Format::VhostCombined),
            (format!("www.example.com:80 ::1 - -{TAIL}{AGENT}"), Format::VhostCombined),
            (format!("www:80 fe80::1%eth0 - -{TAIL}{AGENT}"), Format::VhostCombined),
            (format!("www:443 host - -{TAIL}{AGENT}"), Format::VhostCombined),
            (format!("1.2.3.4, 10.0.0.1 - -{TAIL}{AGENT}"), Format::Combined),
        ];
        for (line, expected) in cases {
            assert_eq!(guess(line.as_bytes()), Some(expected), "{line}");
            let junk = format!("\r\n\njunk\n{line}\n{line}\r\n1.2.3.4 - -{TAIL}\n");
            assert_eq!(guess(junk.as_bytes()), Some(expected), "{line}");
        }
    }

    #[test]
    fn the_shortcut_changes_no_guess() {
        let (mut random, mut days, mut combined) = (loghaul_testdata::Rng::new(7), Days::new(), 0);
        let mut fast = Teller::new();
        let mut portable = Teller::new();
        #[cfg(target_arch = "x86_64")]
        {
            portable.avx2 = None;
        }
        for format in [Format::Combined, Format::VhostCombined, Format::CombinedIo, Format::Common] {
            let shape = loghaul_testdata::Format::ALL.into_iter().find(|shape| shape.to_string() == format.as_str());
            let options = loghaul_testdata::Options {
                format: shape.expect("a format of both"),
                ..loghaul_testdata::Options::odd()
            };
            let mut generator = loghaul_testdata::Generator::new(options);
            let (mut line, mut mutated) = (Vec::new(), Vec::new());
            for _ in 0..5_000 {
                line.clear();
                generator.next_line(&mut line);
                mutated.clone_from(&line);
                loghaul_testdata::mutate(&mut random, &mut mutated);
                // By itself, and with other lines behind it that are none of its business.
                let behind = [&mutated[..], b"\n", &line.repeat(WINDOW_BYTES / line.len() + 1)].concat();
                for text in [&line, &mutated, &behind] {
                    for line in filled_lines(text) {
                        let plain = fast.is_plainly_combined(line);
                        assert_eq!(portable.is_plainly_combined(line), plain, "{}", line.line.escape_ascii());
                        let alone = TextLine { from: line.line, ..line };
                        assert_eq!(fast.is_plainly_combined(alone), plain, "{}", line.line.escape_ascii());
                        if plain {
                            combined += 1;
                            let format = format_of_any(&mut days, line.line);
                            assert_eq!(format, Some(Format::Combined), "{}", line.line.escape_ascii());
                        }
                    }
                }
            }
        }
        assert!(combined > 3_000, "{combined}");
    }

    #[test]
    fn a_log_behind_a_long_preamble() {
        let vhost = format!("www.example.com:80 1.2.3.4 - -{TAIL}{AGENT}\n");
        let text = "Dear Sir,\n".repeat(LINES_MAX) + &vhost;
        assert_eq!(guess(text.as_bytes()), None);
        assert_eq!(anywhere(text.as_bytes()), Some(Format::VhostCombined));
        assert_eq!(anywhere(b"Dear Sir,\n\n"), None);
        // No more votes than those of the first 100 lines.
        let text = vhost.repeat(LINES_MAX) + &format!("1.2.3.4 - -{TAIL}\n").repeat(LINES_MAX + 1);
        assert_eq!(anywhere(text.as_bytes()), Some(Format::VhostCombined));
    }

    #[test]
    fn kinds() {
        let error = "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708] AH00035: message\n";
        let startup = "AH00558: httpd: Could not reliably determine the server's name\n";
        let combined = format!("\n1.2.3.4 - -{TAIL}{AGENT}\n");
        let tar = format!("access.log{:\0<247}ustar  {:\0<248}{}", "", "", &combined[1..]);
        let cases: &[(&[u8], Kind)] = &[
            (b"", Kind::Empty),
            (b"\n\r\n\0\0\n", Kind::Empty),
            (combined.as_bytes(), Kind::AccessLog(Format::Combined)),
            (error.as_bytes(), Kind::ApacheErrorLog),
            (b"[Fri Sep  9 10:42:29 2011] [error] [client 10.1.2.3] message", Kind::ApacheErrorLog),
            (b"{\"a\": 1}\n{\"a\": 2}\n", Kind::Json),
            (b"{\n  \"a\": 1\n}\n", Kind::Json),
            (b"\x1f\x8b\x08\0", Kind::Packed("gzip -dc")),
            (b"\xfd7zXZ\0\0\x04", Kind::Packed("xz -dc")),
            (b"BZh91AY&SY", Kind::Packed("bzip2 -dc")),
            (tar.as_bytes(), Kind::Packed("tar -xOf")),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0", Kind::Binary),
            (b"Dear Sir,\n", Kind::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(looks_like(bytes), *expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(looks_like(format!("{startup}{error}{error}").as_bytes()), Kind::ApacheErrorLog);
    }
}
