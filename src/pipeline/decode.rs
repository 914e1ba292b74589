//! Packed bytes become plain bytes, known by their first bytes and never by a name.
//!
//! All members of a gzip file and all frames of a zstd file are read, as `zcat` and `zstdcat` do. An archive that is
//! cut or corrupt gives *every* byte before the damage and only then an error. The ready-made readers of both libraries
//! drop what the failing call had unpacked so far, so the two loops over their decoders are our own.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

/// How a source is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// How much is read from a packed source at once, in bytes.
const READ_BYTES: usize = 128 << 10;

/// The largest zstd window we unpack, as a power of two of bytes: 128 MiB, what `zstd` itself takes without `--long`.
/// Only archives made with `--ultra` or `--long` come near it; the window is memory beyond `--memory`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What the first bytes say. Four are enough; an input with fewer is plain.
pub fn encoding(first_bytes: &[u8]) -> Encoding {
    match first_bytes {
        [0x1f, 0x8b, 0x08, ..] => Encoding::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Encoding::Zstd,
        // Skippable frames may come first; pzstd and the seekable format write them.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Encoding::Zstd,
        _ => Encoding::Plain,
    }
}

/// Whether more first bytes could still make it a packed input.
fn may_be_packed(first_bytes: &[u8]) -> bool {
    matches!(
        first_bytes,
        [] | [0x1f]
            | [0x1f, 0x8b]
            | [0x28]
            | [0x28, 0xb5]
            | [0x28, 0xb5, 0x2f]
            | [0x50..=0x5f, 0x2a]
            | [0x50..=0x5f, 0x2a, 0x4d]
    )
}

/// A reader of the plain bytes.
///
/// # Errors
/// If no decoder could be made (memory).
pub fn decoder<R: Read + Send + 'static>(encoding: Encoding, input: R) -> io::Result<Box<dyn Read + Send>> {
    let buffered = |input| BufReader::with_capacity(READ_BYTES, input);
    Ok(match encoding {
        Encoding::Plain => Box::new(input),
        Encoding::Gzip => Box::new(Unpack::new(buffered(input), Gzip(Decompress::new_gzip(15)))),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::raw::Decoder::new()?;
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
            Box::new(Unpack::new(buffered(input), Zstd { decoder, wanted: ZSTD_FRAME_START_BYTES, filled: false }))
        }
    })
}

/// One step of a decoder: takes some of `input`, fills some of `output`.
trait Unpacker {
    /// Tells the bytes taken and given, which are true even when the step failed.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step;

    /// Gets ready for the next member or frame.
    ///
    /// # Errors
    /// If `input`, which follows the end of one, cannot be the start of another.
    fn restart(&mut self, input: &[u8]) -> io::Result<()>;
}

struct Step {
    taken: usize,
    given: usize,
    end: io::Result<bool>,
}

struct Unpack<R, U> {
    input: R,
    unpacker: U,
    /// Between two members or frames: here the archive may end.
    between: bool,
    /// The damage, told after the bytes before it were given.
    damage: Option<io::Error>,
}

impl<R: BufRead, U: Unpacker> Unpack<R, U> {
    fn new(input: R, unpacker: U) -> Self {
        Unpack { input, unpacker, between: false, damage: None }
    }

    /// The end of the archive, if the rest of the input is nothing but zeros (tapes and block devices pad with them).
    fn is_padding(&mut self) -> io::Result<bool> {
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Ok(true);
            }
            let zeros = input.iter().take_while(|&&byte| byte == 0).count();
            let other = zeros < input.len();
            self.input.consume(zeros);
            if other {
                return Ok(false);
            }
        }
    }
}

impl<R: BufRead, U: Unpacker> Read for Unpack<R, U> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if let Some(damage) = self.damage.take() {
            // Whoever asks again after the damage is told again.
            self.damage = Some(io::Error::new(damage.kind(), damage.to_string()));
            return Err(damage);
        }
        if output.is_empty() {
            return Ok(0);
        }
        let mut given = 0;
        while given < output.len() {
            if self.between {
                match self.is_padding() {
                    Ok(true) => return Ok(given),
                    Ok(false) => {}
                    // A pipe that is silent here: what is unpacked need not wait, and must not be lost.
                    Err(_) if given > 0 => return Ok(given),
                    Err(error) => return Err(error),
                }
                let input = self.input.fill_buf()?;
                match self.unpacker.restart(input) {
                    Ok(()) => self.between = false,
                    Err(damage) => self.damage = Some(damage),
                }
            }
            let input = match self.input.fill_buf() {
                // What is unpacked need not wait for what is not here.
                Err(_) if given > 0 => return Ok(given),
                input => input?,
            };
            let at_end = input.is_empty();
            let step = match &self.damage {
                Some(_) => Step { taken: 0, given: 0, end: Ok(false) },
                None => self.unpacker.step(input, &mut output[given..]),
            };
            self.input.consume(step.taken);
            given += step.given;
            match step.end {
                Ok(end) => self.between = end,
                Err(damage) => self.damage = Some(damage),
            }
            if self.damage.is_none() && at_end && !self.between && step.given == 0 {
                self.damage =
                    Some(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut: it ends too early"));
            }
            if self.damage.is_some() {
                return if given > 0 { Ok(given) } else { self.read(output) };
            }
        }
        Ok(given)
    }
}

struct Gzip(Decompress);

impl Unpacker for Gzip {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (taken, given) = (self.0.total_in(), self.0.total_out());
        let end = match self.0.decompress(input, output, FlushDecompress::None) {
            Ok(Status::StreamEnd) => Ok(true),
            Ok(Status::Ok | Status::BufError) => Ok(false),
            Err(error) => {
                let why = error.message().map_or_else(|| error.to_string(), str::to_owned);
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("the gzip data is corrupt: {why}")))
            }
        };
        Step { taken: (self.0.total_in() - taken) as usize, given: (self.0.total_out() - given) as usize, end }
    }

    fn restart(&mut self, input: &[u8]) -> io::Result<()> {
        if input.first() != Some(&0x1f) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "garbage follows the end of the gzip data"));
        }
        // Keeps the gzip wrapper; see flate2's test `reset_preserves_gzip_configuration`.
        self.0.reset(true);
        Ok(())
    }
}

struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    /// How many bytes the decoder is given next: one block, without the header of the next that it asks for, too. Then
    /// a step that fails has unpacked nothing else, and nothing is lost with it.
    wanted: usize,
    /// The output was filled, so more of the last block may be on its way. It comes before the decoder is given
    /// anything: what it hands out in a step that fails is lost.
    filled: bool,
}

/// Enough for the decoder to tell how long the frame's header is (ZSTD_startingInputLength).
const ZSTD_FRAME_START_BYTES: usize = 5;
/// RFC 8878, 3.1.1.2.
const ZSTD_BLOCK_HEADER_BYTES: usize = 3;

impl Unpacker for Zstd {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let fed = if self.filled { 0 } else { input.len().min(self.wanted) };
        let room = output.len();
        let mut source = InBuffer::around(&input[..fed]);
        let mut target = OutBuffer::around(output);
        let end = match self.decoder.run(&mut source, &mut target) {
            Ok(0) => Ok(true),
            Ok(wanted) => {
                self.wanted = if wanted > ZSTD_BLOCK_HEADER_BYTES { wanted - ZSTD_BLOCK_HEADER_BYTES } else { wanted };
                Ok(false)
            }
            Err(error) => Err(zstd_error(&error.to_string())),
        };
        self.filled = matches!(end, Ok(false)) && target.pos() == room;
        Step { taken: source.pos(), given: target.pos(), end }
    }

    fn restart(&mut self, _input: &[u8]) -> io::Result<()> {
        self.wanted = ZSTD_FRAME_START_BYTES;
        self.filled = false;
        self.decoder.reinit()
    }
}

/// What is wrong with a frame, from what the library says of it.
fn zstd_error(why: &str) -> io::Error {
    // ZSTD_error_frameParameter_windowTooLarge: the data are well, but not for us.
    if why.contains("too much memory") {
        let mib = 1 << (ZSTD_WINDOW_LOG_MAX - 20);
        let more = ZSTD_WINDOW_LOG_MAX + 1;
        let why = format!(
            "to unpack it takes a window of more than {mib} MiB of memory, for it was made with --long={more} or more; \
             if there is so much: zstd -dc --long=31 FILE | loghaul load -"
        );
        return io::Error::new(io::ErrorKind::Unsupported, why);
    }
    io::Error::new(io::ErrorKind::InvalidData, format!("the zstd data is corrupt: {why}"))
}

/// The first bytes of a stream, and the stream with them put back.
pub struct Peeked<R> {
    start: Cursor<Vec<u8>>,
    rest: R,
}

/// Reads up to four bytes without losing them; waits for them as long as they can still decide something and
/// `give_up` does not say otherwise.
///
/// # Errors
/// What the stream says, except that a silent one is waited for.
pub fn peek<R: Read>(mut stream: R, give_up: impl Fn() -> bool) -> io::Result<Peeked<R>> {
    let mut start = Vec::with_capacity(4);
    while start.len() < 4 {
        let mut byte = [0; 1];
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => start.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if give_up() || !may_be_packed(&start) {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Peeked { start: Cursor::new(start), rest: stream })
}

impl<R> Peeked<R> {
    /// The bytes that were read ahead.
    pub fn start(&self) -> &[u8] {
        self.start.get_ref()
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.start.read(buffer)? {
            0 => self.rest.read(buffer),
            read => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text() -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(11);
        (0..20_000).flat_map(|n| format!("line {n} {}\n", random.u64(..)).into_bytes()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstandard(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads to the end or the damage, `step` bytes at a time.
    fn unpack(packed: Vec<u8>, step: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut reader = decoder(encoding(&packed), Cursor::new(packed)).unwrap();
        let (mut plain, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (plain, None),
                Ok(read) => plain.extend_from_slice(&buffer[..read]),
                Err(error) => return (plain, Some(error.kind())),
            }
        }
    }

    #[test]
    fn a_window_that_is_too_large_is_no_damage() {
        // A frame of one raw block of one byte, whose window descriptor asks for 2^10 to 2^41 bytes.
        let frame = |window_log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3, 9, 0, 0, b'a'].to_vec();
        assert_eq!(unpack(frame(27), 100), (b"a".to_vec(), None));
        for window_log in [28, 31, 41] {
            assert_eq!(unpack(frame(window_log), 100), (Vec::new(), Some(io::ErrorKind::Unsupported)), "{window_log}");
        }
    }

    #[test]
    fn every_member_and_frame_and_padding_is_read() {
        let text = text();
        let (a, b) = text.split_at(text.len() / 3);
        for pack in [gzip, zstandard] {
            for step in [1_000, 7_777, 1 << 20] {
                assert!(unpack(pack(&text), step) == (text.clone(), None));
                assert!(unpack([pack(a), pack(b""), pack(b)].concat(), step) == (text.clone(), None));
                assert!(unpack([pack(a), pack(b), vec![0; 999]].concat(), step) == (text.clone(), None));
            }
            assert_eq!(unpack(pack(b""), 10), (Vec::new(), None));
        }
    }

    /// Says `WouldBlock` before each piece and before the end, as a pipe does whose writer takes its time.
    struct Hesitant(std::vec::IntoIter<Vec<u8>>, bool);

    impl Read for Hesitant {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let Some(piece) = self.0.next() else { return Ok(0) };
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn nothing_is_lost_when_a_pipe_hesitates() {
        let text = text();
        let (a, b) = text.split_at(text.len() / 3);
        for pack in [gzip, zstandard] {
            let (a, b) = (pack(a), pack(b));
            let kind = encoding(&a);
            for pieces in [vec![a.clone(), b.clone()], [a, b].concat().chunks(997).map(<[u8]>::to_vec).collect()] {
                let mut pieces: Vec<Vec<u8>> = pieces;
                pieces = pieces
                    .into_iter()
                    .flat_map(|piece| piece.chunks(READ_BYTES).map(<[u8]>::to_vec).collect::<Vec<_>>())
                    .collect();
                let mut reader = decoder(kind, Hesitant(pieces.into_iter(), false)).unwrap();
                let (mut plain, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
                loop {
                    match reader.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(read) => plain.extend_from_slice(&buffer[..read]),
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                    }
                }
                assert!(plain == text, "{kind:?}");
            }
        }
    }

    #[test]
    fn every_byte_before_the_damage_is_given() {
        let text = text();
        for pack in [gzip, zstandard] {
            let packed = pack(&text);
            // The slow twin: one byte at a time can lose nothing but the failing step.
            for at in [packed.len() / 2, packed.len() - 3, 40] {
                let cut = packed[..at].to_vec();
                let (plain, error) = unpack(cut.clone(), 1 << 20);
                assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "cut at {at}");
                assert!(text.starts_with(&plain));
                assert!(plain == unpack(cut, 1).0, "cut at {at}");
            }
            for seed in 0..20 {
                let at = fastrand::Rng::with_seed(seed).usize(20..packed.len() - 20);
                let mut broken = packed.clone();
                broken[at] ^= 0x55;
                let (large, error) = unpack(broken.clone(), 1 << 20);
                assert!(large == unpack(broken, 1).0, "broken at {at}");
                assert!(error.is_some(), "broken at {at}");
            }
            let (plain, error) = unpack([packed, b"garbage".to_vec()].concat(), 1 << 16);
            assert!(plain == text && error.is_some());
        }
    }
}
