//! [`Body`]: byte ranges that lie elsewhere, sent as one request body without being put together first.
//!
//! A bulk body of five MiB is a handful of slices of the parsers' blocks. The HTTP client pulls it through its
//! send buffer, so each byte is copied once, into a buffer that stays in the cache. Where bodies are compressed,
//! that copy is the compressor's.

use std::io::{self, Read, Write};

/// How request bodies travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are on loopback and private addresses, else gzip.
    #[default]
    Auto,
    /// As they are.
    None,
    /// Every server of the family reads it.
    Gzip,
    /// OpenSearch 2.19 and 3 read it; Elasticsearch ignores the header and then refuses the body.
    Zstd,
}

impl Compression {
    /// The value of the `Content-Encoding` header; none where bodies travel as they are.
    pub(super) fn content_encoding(self) -> Option<&'static str> {
        match self {
            Compression::Auto | Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }
}

/// A request body in slices.
#[derive(Clone, Debug, Default)]
pub struct Body<'a> {
    slices: Vec<&'a [u8]>,
    /// The sum of the slices' lengths.
    bytes: usize,
}

impl<'a> Body<'a> {
    /// A body of one slice.
    pub fn of(slice: &'a [u8]) -> Body<'a> {
        let mut body = Body::default();
        body.push(slice);
        body
    }

    /// Adds a slice at the end.
    pub fn push(&mut self, slice: &'a [u8]) {
        self.bytes += slice.len();
        self.slices.push(slice);
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its parts, from front to back.
    pub(super) fn slices(&self) -> impl Iterator<Item = &'a [u8]> {
        self.slices.iter().copied()
    }

    /// Reads it from front to back.
    pub fn reader(&self) -> BodyReader<'_> {
        BodyReader { slices: &self.slices, within: 0, read: 0 }
    }
}

/// Memory for compressed copies, used again from request to request.
#[derive(Default)]
pub struct Scratch {
    compressed: Vec<u8>,
    /// Bytes of the last body that was sent, as it travelled.
    pub(super) travelled: usize,
}

impl Scratch {
    /// Bytes held.
    pub fn capacity(&self) -> usize {
        self.compressed.capacity()
    }

    /// Bytes of the last body that was sent, as it travelled: compressed if it was.
    pub fn travelled(&self) -> usize {
        self.travelled
    }

    /// Compresses `body`; the result lives until the next call. Both at their fastest level: logs shrink eightfold
    /// even so, and more effort would make us slower than the network.
    pub(super) fn compress(&mut self, body: &Body<'_>, compression: Compression) -> io::Result<&[u8]> {
        self.compressed.clear();
        match compression {
            Compression::Auto | Compression::None => unreachable!("asked to compress without a compression"),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut self.compressed, flate2::Compression::fast());
                for slice in &body.slices {
                    encoder.write_all(slice)?;
                }
                encoder.finish()?;
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(&mut self.compressed, 1)?;
                encoder.set_pledged_src_size(Some(body.bytes as u64))?;
                for slice in &body.slices {
                    encoder.write_all(slice)?;
                }
                encoder.finish()?;
            }
        }
        self.travelled = self.compressed.len();
        Ok(&self.compressed)
    }
}

/// Reads a body from front to back and knows how far it has come.
pub struct BodyReader<'b> {
    /// What is left, the first slice from `within` on.
    slices: &'b [&'b [u8]],
    within: usize,
    /// Bytes handed out so far: what the HTTP client has, or has had, in hand.
    pub(super) read: usize,
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let [first, rest @ ..] = self.slices {
            let left = &first[self.within..];
            let n = left.len().min(buf.len() - filled);
            buf[filled..filled + n].copy_from_slice(&left[..n]);
            filled += n;
            if n == left.len() {
                self.slices = rest;
                self.within = 0;
            } else {
                self.within += n;
                break;
            }
        }
        self.read += filled;
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_read_as_one_in_any_piece_size() {
        let slices: [&[u8]; 6] = [b"", b"abc", b"", b"d", b"efghij", b""];
        let mut body = Body::default();
        slices.iter().for_each(|slice| body.push(slice));
        assert_eq!(body.bytes(), 10);
        for piece in 1..12 {
            let (mut reader, mut whole, mut buf) = (body.reader(), Vec::new(), vec![0; piece]);
            loop {
                let n = reader.read(&mut buf).expect("slices never fail");
                if n == 0 {
                    break;
                }
                whole.extend_from_slice(&buf[..n]);
                assert_eq!(reader.read, whole.len());
            }
            assert_eq!(whole, b"abcdefghij", "in pieces of {piece}");
        }
    }

    #[test]
    fn compressed_copies_unpack_to_the_same() {
        let (one, two) = (b"line one\n".repeat(1000), b"line two\n".repeat(1000));
        let mut body = Body::of(&one);
        body.push(&two);
        let mut scratch = Scratch::default();
        for _again in 0..2 {
            let mut unpacked = Vec::new();
            let packed = scratch.compress(&body, Compression::Gzip).expect("into memory");
            flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).expect("our own gzip");
            assert_eq!(unpacked, [one.as_slice(), &two].concat());
            let packed = scratch.compress(&body, Compression::Zstd).expect("into memory");
            assert_eq!(zstd::decode_all(packed).expect("our own zstd"), unpacked);
        }
    }
}
