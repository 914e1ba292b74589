//! [`Head`]: the first bytes of a source, from which it gets its identity and its format.

use std::borrow::Cow;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter};
use rapidhash::v3::rapidhash_v3;

use crate::pipeline::parse::{self, Format, Kind};
use crate::pipeline::serialize;
use crate::pipeline::source::Input;

/// How much of a source is looked at, in bytes. A first line that is longer names the source by this much of it.
pub const HEAD_BYTES: usize = 64 << 10;

/// How much is looked at where the first [`HEAD_BYTES`] are too few lines to tell that it is no access log, in bytes.
const LOOK_BYTES_MAX: usize = 2 << 20;

/// So many lines tell what a source is; [`parse::guess`] looks at no more.
const LINES_ENOUGH: usize = 100;

/// The first bytes of a source's plain bytes.
#[derive(Debug)]
pub struct Head<'b> {
    /// What was read, to be put back in front of a stream; empty for a mapped file, whose bytes stay where they are.
    pub bytes: Vec<u8>,
    /// The same for looking at, up to [`HEAD_BYTES`]: ids depend on it, so it does not grow with the longer look.
    looked_at: Cow<'b, [u8]>,
    /// What a longer look came to, where one was needed.
    longer_look: Option<LongerLook>,
}

/// What more than [`HEAD_BYTES`] of a source came to.
#[derive(Clone, Copy, Debug)]
struct LongerLook {
    kind: Kind,
    /// Whether even this was neither everything nor enough lines: there may be access lines behind it.
    in_doubt: bool,
}

/// Where filling a buffer stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// It is full.
    Full,
    /// The source is at its end.
    Whole,
    /// The source fell silent, or what follows cannot be read.
    Halted,
}

/// What a source holds.
#[derive(Debug)]
pub enum Content {
    /// Lines to load.
    Log {
        /// How to read them.
        format: Format,
        /// What the user should know.
        notes: Vec<String>,
    },
    /// Nothing that should be loaded unasked.
    Other {
        /// Why not, without a final stop.
        why: String,
    },
    /// Lines, perhaps, but not to be had by reading it as text. What was asked for all the same has failed.
    Refused {
        /// Why, without a final stop.
        why: String,
    },
}

impl<'b> Head<'b> {
    /// Reads the head: 64 KiB, or up to the end, or up to where a pipe falls silent after its first whole line. Where
    /// that holds no access line but is not 100 lines either (they are long, or NULs lie before them), up to 2 MiB.
    ///
    /// # Errors
    /// Nothing could be read at all. Damage after the first bytes will be met again by whoever reads on.
    pub fn read(input: &mut Input, stop: impl Fn() -> bool) -> io::Result<Head<'static>> {
        let mut bytes = Vec::new();
        let mut looked_at = None;
        let mut limit = HEAD_BYTES;
        loop {
            let (seen, filled) = match input {
                Input::Mapped(map) => {
                    let all = map.bytes();
                    let filled = if all.len() > limit { Filled::Full } else { Filled::Whole };
                    (&all[..all.len().min(limit)], filled)
                }
                Input::Stream(stream) => {
                    let filled = fill(stream, &mut bytes, limit, &stop)?;
                    (&bytes[..], filled)
                }
            };
            let looked_at = looked_at.get_or_insert_with(|| seen.to_vec());
            let enough = holds_lines(seen, LINES_ENOUGH);
            let on = filled == Filled::Full && !enough && parse::guess(seen).is_none();
            if on && limit < LOOK_BYTES_MAX {
                limit *= 2;
                continue;
            }
            let in_doubt = filled != Filled::Whole && !enough;
            let longer_look = (limit > HEAD_BYTES).then(|| LongerLook { kind: kind(seen), in_doubt });
            let looked_at = Cow::Owned(std::mem::take(looked_at));
            return Ok(Head { bytes, looked_at, longer_look });
        }
    }

    /// The head of a source of which `bytes` are everything: at most [`HEAD_BYTES`].
    pub fn whole(bytes: &'b [u8]) -> Head<'b> {
        assert!(bytes.len() <= HEAD_BYTES, "no more than a head is looked at");
        Head { bytes: Vec::new(), looked_at: Cow::Borrowed(bytes), longer_look: None }
    }

    /// What the source holds, and how it is to be read. `format` is what the user said, `named` whether it was this
    /// source that was asked for.
    pub fn content(&self, format: Option<Format>, named: bool) -> Content {
        let (kind, in_doubt) = match self.longer_look {
            Some(look) => (look.kind, look.in_doubt),
            None => (kind(&self.looked_at), false),
        };
        let blank = first_line(&self.looked_at).is_none();
        let note = match kind {
            Kind::AccessLog(guess) => return Content::Log { format: format.unwrap_or(guess), notes: Vec::new() },
            Kind::Packed(_) if named => return Content::Refused { why: format!("it is {kind}") },
            _ if blank => None,
            Kind::Unknown => Some("no access-log line among its first lines".to_owned()),
            kind => Some(format!("looks like {kind}")),
        };
        // Behind the hole that copytruncate leaves there may be a log.
        let in_doubt = in_doubt && kind == Kind::Empty;
        if named || blank || in_doubt {
            Content::Log { format: format.unwrap_or(Format::Combined), notes: note.into_iter().collect() }
        } else {
            Content::Other { why: format!("no access log: it looks like {kind}") }
        }
    }

    /// The hash of the first line with something in it, by which a renamed source is known again. Of a line longer than
    /// the head only its start counts, and of one that is not finished what is there by now.
    pub fn first_line(&self) -> Option<u64> {
        first_line(&self.looked_at).map(|line| rapidhash_v3(line.bytes))
    }

    /// What names the source's lines, so that they keep their ids wherever and whenever they are loaded again. `name` is
    /// the source's [`identity_name`](crate::pipeline::source::Source::identity_name).
    pub fn identity(&self, namespace: &str, name: &str) -> [u8; 8] {
        let line = first_line(&self.looked_at).map_or(&b""[..], |line| line.bytes);
        serialize::identity(namespace, name, line)
    }
}

/// How long lines that are here may wait for more to come.
pub const COMPANY_WAIT: Duration = Duration::from_millis(200);

/// Reads on until `bytes` are `limit` bytes.
///
/// # Errors
/// What reading says, if there are no bytes at all.
fn fill(stream: &mut impl Read, bytes: &mut Vec<u8>, limit: usize, stop: impl Fn() -> bool) -> io::Result<Filled> {
    let mut filled = bytes.len();
    let mut since = None;
    bytes.resize(limit, 0);
    let how = loop {
        if filled == limit {
            break Filled::Full;
        }
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => break Filled::Whole,
            Ok(read) => {
                filled += read;
                // A pipe that drips is never silent, and its first lines should not wait for 64 KiB of company.
                let waited = since.get_or_insert_with(Instant::now).elapsed() >= COMPANY_WAIT;
                if waited && first_line(&bytes[..filled]).is_some_and(|line| line.ended) {
                    break Filled::Halted;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if stop() || first_line(&bytes[..filled]).is_some_and(|line| line.ended) {
                    break Filled::Halted;
                }
            }
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break Filled::Halted,
        }
    };
    bytes.truncate(filled);
    Ok(how)
}

/// Whether so many whole lines with something in them are there.
fn holds_lines(bytes: &[u8], lines: usize) -> bool {
    let mut start = 0;
    let ended = memchr_iter(b'\n', bytes).map(|end| &bytes[std::mem::replace(&mut start, end + 1)..end]);
    ended.filter(|line| line.iter().any(|byte| !matches!(byte, b'\r' | 0))).take(lines).count() == lines
}

/// What `bytes` hold. NULs before them are what copytruncate leaves of a log whose writer does not append.
fn kind(bytes: &[u8]) -> Kind {
    if let Some(unpack) = parse::unpacked_by(bytes) {
        return Kind::Packed(unpack);
    }
    let nuls = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[nuls..];
    parse::guess(bytes).map_or_else(|| parse::looks_like(bytes), Kind::AccessLog)
}

struct FirstLine<'h> {
    bytes: &'h [u8],
    ended: bool,
}

/// The first line with something in it, without its line end.
fn first_line(head: &[u8]) -> Option<FirstLine<'_>> {
    let start = head.iter().position(|byte| !matches!(byte, b'\n' | b'\r'))?;
    let rest = &head[start..];
    let newline = memchr(b'\n', rest);
    let line = &rest[..newline.unwrap_or(rest.len())];
    Some(FirstLine { bytes: line.strip_suffix(b"\r").unwrap_or(line), ended: newline.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_first_with_something_in_it() {
        for (head, line, ended) in [
            ("a\nb\n", Some("a"), true),
            ("\n\r\n\na b\r\nc", Some("a b"), true),
            ("a", Some("a"), false),
            ("\n\n", None, false),
            ("", None, false),
        ] {
            let found = first_line(head.as_bytes());
            assert_eq!(found.as_ref().map(|found| found.bytes), line.map(str::as_bytes), "{head:?}");
            assert_eq!(found.is_some_and(|found| found.ended), ended, "{head:?}");
        }
    }

    fn read(bytes: &[u8]) -> Head<'static> {
        Head::read(&mut Input::Stream(Box::new(io::Cursor::new(bytes.to_vec()))), || false).unwrap()
    }

    fn good(lines: usize) -> Vec<u8> {
        br#"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] "GET / HTTP/1.1" 200 5"#.iter().chain(b"\n").copied().collect::<Vec<_>>().repeat(lines)
    }

    #[test]
    fn what_is_loaded_unasked() {
        let url = format!("1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] \"GET /{} HTTP/1.1\" 200 5\n", "a".repeat(100_000));
        let junk = |bytes: usize| [vec![b'x'; bytes], vec![b'\n']].concat();
        let loaded: &[(&str, Vec<u8>)] = &[
            ("good", good(5)),
            ("a long good line", url.clone().into_bytes()),
            ("a long good line, cut", url.as_bytes()[..90_000].iter().chain(b"\n").chain(&good(1)).copied().collect()),
            ("a long junk line", [junk(100_000), good(1)].concat()),
            ("long junk lines", [junk(10_000).repeat(8), good(500)].concat()),
            ("99 junk lines", [junk(10_000).repeat(99), good(1)].concat()),
            ("NULs", [vec![0; 70_000], good(1)].concat()),
            ("few NULs", [vec![0; 10], good(1)].concat()),
            ("more NULs than are looked at", [vec![0; 3 << 20], good(1)].concat()),
            ("empty", Vec::new()),
            ("blank", b"\n\r\n\n".to_vec()),
        ];
        for (what, bytes) in loaded {
            let head = read(bytes);
            assert!(bytes.starts_with(&head.bytes) && head.bytes.len() <= LOOK_BYTES_MAX, "{what}");
            for format in [None, Some(Format::Common)] {
                let content = head.content(format, false);
                assert!(matches!(content, Content::Log { .. }), "{what} {format:?}: {content:?}");
            }
        }
        let skipped: &[(&str, Vec<u8>)] = &[
            ("junk", junk(10)),
            ("junk of 100 kB", junk(100_000)),
            ("a line of junk that is longer than what is looked at", [junk(3 << 20), good(1)].concat()),
            ("fewer than 100 lines in 2 MiB, none of them good", junk(100_000).repeat(30)),
            ("100 long junk lines", [junk(10_000).repeat(100), good(100)].concat()),
            ("100 short junk lines", [junk(10).repeat(100), good(10_000)].concat()),
            ("JSON without an end", [b"[".to_vec(), b"1,".repeat(3 << 20)].concat()),
            ("binary without lines", [1, 2, 3, 4].repeat(1 << 20)),
        ];
        for (what, bytes) in skipped {
            let head = read(bytes);
            for format in [None, Some(Format::Common)] {
                assert!(matches!(head.content(format, false), Content::Other { .. }), "{what} {format:?}");
                assert!(matches!(head.content(format, true), Content::Log { .. }), "{what} {format:?}");
            }
        }
    }

    /// Ids come of the first 64 KiB, however far was looked; and nobody looks far without need.
    #[test]
    fn a_longer_look_changes_no_id() {
        let long = [vec![b'x'; 100_000], vec![b'\n'], good(2_000)].concat();
        let head = read(&long);
        assert_eq!(head.first_line(), Some(rapidhash_v3(&long[..HEAD_BYTES])));
        assert_eq!(head.bytes.len(), 2 * HEAD_BYTES);
        assert_eq!(read(&good(2_000)).bytes.len(), HEAD_BYTES);
        assert_eq!(read(&b"junk\n".repeat(20_000)).bytes.len(), HEAD_BYTES);
    }
}
