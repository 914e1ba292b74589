//! [`Body`]: byte ranges that lie elsewhere, sent as one request body without being put together first.
//!
//! A bulk body of five MiB is a handful of slices of the parsers' blocks. The HTTP client pulls it through its
//! send buffer, so each byte is copied once, into a buffer that stays in the cache. Where bodies are compressed,
//! that copy is the compressor's.

use std::io::{self, Read};

use flate2::{Compress, FlushCompress, Status};
use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

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

/// Memory for compressed copies, used again from request to request; so are the compressors. Made anew for each body,
/// their megabyte would come and go from all writers at a time, and the allocator would keep several times as much.
#[derive(Default)]
pub struct Scratch {
    compressed: Vec<u8>,
    gzip: Option<Compress>,
    zstd: Option<Encoder<'static>>,
    /// Bytes of the last body that was sent, as it travelled.
    pub(super) travelled: usize,
}

/// Compressors are given room for so many bytes at least.
const ROOM_BYTES: usize = 32 << 10;
/// The window of gzip, as a power of two.
const GZIP_WINDOW_BITS: u8 = 15;

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
            Compression::Gzip => self.gzip(body)?,
            Compression::Zstd => self.zstd(body)?,
        }
        self.travelled = self.compressed.len();
        Ok(&self.compressed)
    }

    fn gzip(&mut self, body: &Body<'_>) -> io::Result<()> {
        let fast = flate2::Compression::fast();
        let gzip = self.gzip.get_or_insert_with(|| Compress::new_gzip(fast, GZIP_WINDOW_BITS));
        gzip.reset();
        for slice in &body.slices {
            let mut rest = *slice;
            while !rest.is_empty() {
                make_room(&mut self.compressed);
                let before = gzip.total_in();
                gzip.compress_vec(rest, &mut self.compressed, FlushCompress::None)?;
                rest = &rest[(gzip.total_in() - before) as usize..];
            }
        }
        loop {
            make_room(&mut self.compressed);
            if gzip.compress_vec(&[], &mut self.compressed, FlushCompress::Finish)? == Status::StreamEnd {
                return Ok(());
            }
        }
    }

    fn zstd(&mut self, body: &Body<'_>) -> io::Result<()> {
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Encoder::new(1)?),
        };
        zstd.reinit()?;
        zstd.set_pledged_src_size(Some(body.bytes as u64))?;
        for slice in &body.slices {
            let mut rest = InBuffer::around(slice);
            while rest.pos() < slice.len() {
                make_room(&mut self.compressed);
                let filled = self.compressed.len();
                zstd.run(&mut rest, &mut OutBuffer::around_pos(&mut self.compressed, filled))?;
            }
        }
        loop {
            make_room(&mut self.compressed);
            let filled = self.compressed.len();
            if zstd.finish(&mut OutBuffer::around_pos(&mut self.compressed, filled), true)? == 0 {
                return Ok(());
            }
        }
    }
}

/// Makes room behind `compressed`, a quarter more than it has: doubling would hold twice what is needed.
fn make_room(compressed: &mut Vec<u8>) {
    if compressed.capacity() - compressed.len() < ROOM_BYTES {
        compressed.reserve_exact(ROOM_BYTES.max(compressed.len() / 4));
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
        for _again in 0..3 {
            let mut unpacked = Vec::new();
            let packed = scratch.compress(&body, Compression::Gzip).expect("into memory");
            flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).expect("our own gzip");
            assert_eq!(unpacked, [one.as_slice(), &two].concat());
            let packed = scratch.compress(&body, Compression::Zstd).expect("into memory");
            assert_eq!(zstd::decode_all(packed).expect("our own zstd"), unpacked);
        }
    }
}
