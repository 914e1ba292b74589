//! [`Head`]: the first bytes of a source, from which it gets its identity and its format.

use std::io::{self, Read};

use memchr::memchr;
use rapidhash::v3::rapidhash_v3;

use crate::pipeline::parse::{self, Format, Kind};
use crate::pipeline::serialize;
use crate::pipeline::source::{Input, Source};

/// How much of a source is looked at, in bytes. A first line that is longer names the source by this much of it.
pub const HEAD_BYTES: usize = 64 << 10;

/// The first bytes of a source's plain bytes.
#[derive(Debug)]
pub struct Head {
    /// What was read, to be put back in front of a stream; empty for a mapped file, whose bytes stay where they are.
    pub bytes: Vec<u8>,
    /// The same for looking at.
    looked_at: Vec<u8>,
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
}

impl Head {
    /// Reads the head: 64 KiB, or up to the end, or up to where a pipe falls silent after its first whole line.
    ///
    /// # Errors
    /// Nothing could be read at all. Damage after the first bytes will be met again by whoever reads on.
    pub fn read(input: &mut Input, stop: impl Fn() -> bool) -> io::Result<Head> {
        let stream = match input {
            Input::Mapped(map) => {
                let bytes = map.bytes();
                return Ok(Head { bytes: Vec::new(), looked_at: bytes[..bytes.len().min(HEAD_BYTES)].to_vec() });
            }
            Input::Stream(stream) => stream,
        };
        let mut bytes = vec![0; HEAD_BYTES];
        let mut filled = 0;
        while filled < HEAD_BYTES {
            match stream.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stop() || first_line(&bytes[..filled]).is_some_and(|line| line.ended) {
                        break;
                    }
                }
                Err(error) if filled == 0 => return Err(error),
                Err(_) => break,
            }
        }
        bytes.truncate(filled);
        Ok(Head { looked_at: bytes.clone(), bytes })
    }

    /// What the source holds, and how it is to be read. `format` is what the user said, `named` whether it was this
    /// source that was asked for.
    pub fn content(&self, format: Option<Format>, named: bool) -> Content {
        let bytes = &self.looked_at;
        let guess = parse::guess(bytes);
        match (format, guess) {
            (Some(format), _) if named => Content::Log { format, notes: self.note(guess) },
            (Some(format), Some(_)) => Content::Log { format, notes: Vec::new() },
            (None, Some(format)) => Content::Log { format, notes: Vec::new() },
            (None, None) if named || first_line(bytes).is_none() => {
                Content::Log { format: Format::Combined, notes: self.note(guess) }
            }
            (_, None) => Content::Other { why: format!("no access log: it looks like {}", parse::looks_like(bytes)) },
        }
    }

    /// A sentence for what was asked for by name and holds no access-log line.
    fn note(&self, guess: Option<Format>) -> Vec<String> {
        if guess.is_some() || first_line(&self.looked_at).is_none() {
            return Vec::new();
        }
        match parse::looks_like(&self.looked_at) {
            Kind::Unknown => vec!["no access-log line among its first lines".to_owned()],
            kind => vec![format!("looks like {kind}")],
        }
    }

    /// The hash of the first line with something in it, by which a renamed source is known again. Of a line longer than
    /// the head only its start counts, and of one that is not finished what is there by now.
    pub fn first_line(&self) -> Option<u64> {
        first_line(&self.looked_at).map(|line| rapidhash_v3(line.bytes))
    }

    /// What names the source's lines, so that they keep their ids wherever and whenever they are loaded again.
    pub fn identity(&self, namespace: &str, source: &Source) -> [u8; 8] {
        let line = first_line(&self.looked_at).map_or(&b""[..], |line| line.bytes);
        serialize::identity(namespace, &source.identity_name(), line)
    }
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
}
