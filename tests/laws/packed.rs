//! What is packed comes out the same in reads of any size, from an input that comes in pieces of any size; damage
//! takes nothing that lies before it.

use std::io::{self, Cursor, Read, Write};

use loghaul::pipeline::decode::{Encoding, decoder, encoding};

use super::choice::Choices;

/// How much is unpacked of what a fuzzer made, in bytes: a few packed ones can stand for gigabytes.
const UNPACKED_MAX: usize = 1 << 20;

/// A byte: how the rest is used. Two numbers: read size, and where the archive is cut or changed. The rest: a text to
/// be packed, or an archive.
pub fn law(data: &[u8]) {
    let mut choices = Choices::new(data);
    let flags = choices.byte();
    let (step, place) = (choices.number().max(1), choices.number());
    let rest = choices.rest;
    let zstandard = flags & 1 == 1;
    match flags >> 1 & 3 {
        0 | 1 => {
            // Two members or frames, and perhaps padding.
            let split = rest.len() * usize::from(flags >> 4) / 16;
            let (a, b) = rest.split_at(split);
            let level = i32::from(flags >> 3 & 1) * 5 + 1;
            let mut archive = pack(a, zstandard, level);
            archive.extend(pack(b, zstandard, level));
            let whole = archive.len();
            if flags >> 1 & 1 == 1 {
                archive.resize(whole + place % 1000, 0);
                assert_same(&archive, step, Some((rest, true)));
            } else {
                archive.truncate(place % whole);
                let first = pack(a, zstandard, level).len();
                if encoding(&archive) == Encoding::Plain {
                    return;
                }
                let came = assert_same(&archive, step, None);
                assert!(rest.starts_with(&came), "only what was packed");
                assert!(came.len() >= if archive.len() >= first { a.len() } else { 0 }, "whole members are not lost");
                let by_library = by_library(&archive, zstandard);
                assert!(came.len() >= by_library.len(), "{} of {}", came.len(), by_library.len());
            }
        }
        2 => {
            let mut archive = pack(rest, zstandard, 1);
            let place = place % archive.len();
            archive[place] ^= step as u8 | 1;
            if encoding(&archive) != Encoding::Plain {
                let came = assert_same(&archive, step, None);
                assert!(came.len() >= by_library(&archive, zstandard).len());
            }
        }
        _ => {
            let magic: &[u8] = if zstandard { &[0x28, 0xb5, 0x2f, 0xfd] } else { &[0x1f, 0x8b, 0x08] };
            assert_same(&[magic, rest].concat(), step, None);
        }
    }
}

fn pack(text: &[u8], zstandard: bool, level: i32) -> Vec<u8> {
    if zstandard {
        let mut encoder = zstd::Encoder::new(Vec::new(), level).expect("an encoder");
        encoder.include_checksum(level > 1).expect("a known parameter");
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    } else {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level as u32));
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }
}

/// What the libraries' own readers make of it, a byte at a time, up to the damage.
fn by_library(archive: &[u8], zstandard: bool) -> Vec<u8> {
    let mut reader: Box<dyn Read> = if zstandard {
        Box::new(zstd::Decoder::new(Cursor::new(archive)).expect("a decoder"))
    } else {
        Box::new(flate2::bufread::MultiGzDecoder::new(Cursor::new(archive)))
    };
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while let (Ok(1), true) = (reader.read(&mut byte), bytes.len() < UNPACKED_MAX) {
        bytes.push(byte[0]);
    }
    bytes
}

/// Unpacks whole, in reads of `step` bytes, byte for byte, and from an input in pieces that hesitates: always the
/// same, and `expected` if it is given. Gives the bytes.
fn assert_same(archive: &[u8], step: usize, expected: Option<(&[u8], bool)>) -> Vec<u8> {
    let kind = encoding(archive);
    assert_ne!(kind, Encoding::Plain, "{}", archive[..4.min(archive.len())].escape_ascii());
    let open = |pieces: usize| {
        decoder(kind, Hesitant { input: Cursor::new(archive.to_vec()), pieces, ready: pieces == 0 })
            .expect("enough memory for a decoder")
    };
    let (bytes, intact) = unpack(&mut open(0), UNPACKED_MAX);
    if let Some(expected) = expected {
        assert!(bytes == expected.0 && intact == expected.1, "intact: {intact}");
    }
    for (pieces, step) in [(0, step), (0, 1), (step, UNPACKED_MAX), (1, step), (step, 7)] {
        let (others, others_intact) = unpack(&mut open(pieces), step);
        let length = if intact { others.len().max(bytes.len()) } else { others.len() };
        assert!(
            others == bytes && intact == others_intact,
            "{kind:?}: {length} of {} bytes, intact {others_intact} instead of {intact}, input by {pieces}, reads of {step}",
            bytes.len()
        );
    }
    bytes
}

/// Reads to the end, the damage, or [`UNPACKED_MAX`]; tells whether it was not damage. Who asks again after the end
/// is told the same again.
fn unpack(reader: &mut dyn Read, step: usize) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; step.min(UNPACKED_MAX)];
    while bytes.len() < UNPACKED_MAX {
        let wanted = buffer.len().min(UNPACKED_MAX - bytes.len());
        match reader.read(&mut buffer[..wanted]) {
            Ok(0) => return (bytes, true),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                let again = reader.read(&mut buffer).expect_err("damage stays damage");
                assert_eq!(again.kind(), error.kind());
                return (bytes, false);
            }
        }
    }
    (bytes, true)
}

/// Gives at most `pieces` bytes at a time (any number if 0), and has nothing before each of them, as a slow pipe.
struct Hesitant {
    input: Cursor<Vec<u8>>,
    pieces: usize,
    ready: bool,
}

impl Read for Hesitant {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pieces == 0 {
            return self.input.read(buffer);
        }
        self.ready = !self.ready;
        if self.ready {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = buffer.len().min(self.pieces);
        self.input.read(&mut buffer[..most])
    }
}
