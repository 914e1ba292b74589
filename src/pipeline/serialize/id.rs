//! Document ids that are the same whenever the same line of the same file is loaded.
//!
//! An id is 18 bytes as 24 characters of base64url, which OpenSearch keeps as raw bytes (its `Uid.encodeId`). From the
//! source: identity (8) ‖ offset of the line in the decompressed bytes (6) ‖ hash of the line (4), all big-endian, so
//! that ids grow with the offset. From the content: two hashes of the line (16) ‖ its length modulo 65,536 (2).
//! The hash is rapidhash v3, whose output its specification fixes: ids of two versions of this program agree.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rapidhash::v3::{RapidSecrets, rapidhash_v3, rapidhash_v3_seeded};

/// Where a document's id comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdMode {
    /// From the line's place: equal lines of a file are different documents.
    #[default]
    Source,
    /// From the line alone: equal lines are one document.
    Content,
    /// OpenSearch chooses: loading twice makes twice the documents.
    None,
}

/// Characters of an id.
pub const ID_CHARS: usize = 24;

/// An id's characters as three little-endian words: they stay in registers until they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id([u64; 3]);

impl Id {
    /// The characters.
    #[inline(always)]
    pub fn characters(self) -> [u8; ID_CHARS] {
        let mut characters = [0; ID_CHARS];
        for (eight, word) in characters.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *eight = word.to_le_bytes();
        }
        characters
    }

    /// Two halves, of which each is the low 96 bits.
    #[inline(always)]
    fn new(first: Half, second: Half) -> Id {
        Id([first.0, u64::from(first.1) | second.0 << 32, second.0 >> 32 | u64::from(second.1) << 32])
    }
}

/// Twelve characters: eight and four.
#[derive(Clone, Copy, Debug)]
struct Half(u64, u32);

/// The longest first line that an identity looks at, in bytes.
pub const FIRST_LINE_MAX: usize = 64 * 1024;

/// What tells one source from another: a hash of the namespace, the source's name (canonical path or object URI
/// without compression suffix, or what `--source-name` says) and its first line that is not blank, without line end.
/// Of a line longer than [`FIRST_LINE_MAX`] only so much is looked at.
pub fn identity(namespace: &str, name: &str, first_line: &[u8]) -> [u8; 8] {
    let first_line = &first_line[..first_line.len().min(FIRST_LINE_MAX)];
    let first_line = first_line.strip_suffix(b"\n").unwrap_or(first_line);
    let first_line = first_line.strip_suffix(b"\r").unwrap_or(first_line);
    let mut all = Vec::with_capacity(namespace.len() + name.len() + first_line.len() + 16);
    for part in [namespace.as_bytes(), name.as_bytes()] {
        // With its length, so that no part can be taken for the end of the one before.
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    all.extend_from_slice(first_line);
    rapidhash_v3(&all).to_be_bytes()
}

/// The identity and the offset in an id that was made of a line's place. `None`: it is no id of ours.
pub fn place(id: &str) -> Option<([u8; 8], u64)> {
    let bytes: [u8; 18] = URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?;
    let offset = bytes[8..14].iter().fold(0, |offset, byte| offset << 8 | u64::from(*byte));
    bytes.first_chunk::<8>().map(|identity| (*identity, offset))
}

/// Makes the ids of one source's documents.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    mode: IdMode,
    identity: [u8; 8],
    /// Bits of the offset that are in the first half of an id, and that half. They change once in 2^40 bytes.
    high: u64,
    first: Half,
}

impl Ids {
    /// Ids for lines of the source `identity`.
    pub fn new(mode: IdMode, identity: [u8; 8]) -> Ids {
        Ids { mode, identity, high: 0, first: half(u128::from(u64::from_be_bytes(identity)) << 8) }
    }

    /// The id of the line `line` that starts at `offset`, less than 2^48; none where OpenSearch chooses.
    #[inline(always)]
    pub fn of(&mut self, offset: u64, line: &[u8]) -> Option<Id> {
        match self.mode {
            IdMode::Source => Some(self.by_source(offset, line)),
            IdMode::Content => Some(by_content(line)),
            IdMode::None => None,
        }
    }

    #[inline(always)]
    fn by_source(&mut self, offset: u64, line: &[u8]) -> Id {
        if offset >> 40 != self.high {
            self.high = offset >> 40;
            let first = u128::from(u64::from_be_bytes(self.identity)) << 8 | u128::from(self.high as u8);
            self.first = half(first);
        }
        let low = u128::from(offset & ((1 << 40) - 1));
        Id::new(self.first, half(low << 32 | u128::from(rapidhash_v3(line) as u32)))
    }
}

/// The id of any line that reads `line`.
#[inline(never)]
fn by_content(line: &[u8]) -> Id {
    const OTHER: RapidSecrets = RapidSecrets::seed_cpp(1);
    let one = u128::from(rapidhash_v3(line));
    let other = u128::from(rapidhash_v3_seeded(line, &OTHER));
    let second = (other & (!0 >> 72)) << 16 | u128::from(line.len() as u16);
    Id::new(half(one << 8 | other >> 56), half(second))
}

/// 9 bytes as 12 characters.
#[inline(always)]
fn half(bytes: u128) -> Half {
    let pair = |n: u32| u64::from(PAIRS[(bytes >> (60 - n * 12)) as usize & 0xfff]);
    Half(pair(0) | pair(1) << 16 | pair(2) << 32 | pair(3) << 48, (pair(4) | pair(5) << 16) as u32)
}

/// Base64url of each twelve bits: two characters, the first in the low byte.
static PAIRS: [u16; 4096] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut pairs = [0; 4096];
    let mut n = 0;
    while n < 4096 {
        pairs[n] = u16::from_le_bytes([alphabet[n >> 6], alphabet[n & 63]]);
        n += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_ids() {
        let identity = [0xff, 0, 1, 2, 3, 0x80, 0xfe, 0x7f];
        let mut ids = Ids::new(IdMode::Source, identity);
        for offset in [0u64, 1, 255, 1 << 24, (1 << 40) - 1, 1 << 40, (1 << 48) - 1, 0x1234_5678_9abc, 7] {
            let mut bytes = identity.to_vec();
            bytes.extend_from_slice(&offset.to_be_bytes()[2..]);
            bytes.extend_from_slice(&rapidhash_v3(b"line").to_be_bytes()[4..]);
            let expected = URL_SAFE_NO_PAD.encode(bytes);
            let id = ids.of(offset, b"line").expect("an id").characters();
            assert_eq!(std::str::from_utf8(&id), Ok(expected.as_str()));
            assert_eq!(place(&expected), Some((identity, offset)));
        }
    }

    #[test]
    fn ids_of_others_have_no_place() {
        for id in ["", "1", "aWRlbnRpdHkAAAAABNI-Bc5!", "aWRlbnRpdHkAAAAABNI-Bc5VA"] {
            assert_eq!(place(id), None, "{id}");
        }
    }

    #[test]
    fn stable() {
        // These must never change: they are in people's indices.
        assert_eq!(
            identity("", "/var/log/access.log", b"first line").escape_ascii().to_string(),
            r"\xa6\x19\x8e\xa3\\\xed\xc5v"
        );
        assert_eq!(
            Ids::new(IdMode::Source, *b"identity")
                .of(1234, b"a line")
                .expect("an id")
                .characters()
                .escape_ascii()
                .to_string(),
            r"aWRlbnRpdHkAAAAABNI-Bc5V"
        );
        assert_eq!(by_content(b"a line").characters().escape_ascii().to_string(), r"_7xzXz4FzlWNw1OmArRLcgAG");
        assert_eq!(identity("", "a", b"b\r\n"), identity("", "a", b"b"));
        assert_ne!(identity("a", "b", b""), identity("", "ab", b""));
        assert_ne!(identity("", "ab", b"c"), identity("", "a", b"bc"));
    }
}
