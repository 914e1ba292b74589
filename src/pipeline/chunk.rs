//! Bytes become [`Chunk`]s of whole lines.
//!
//! Two cutters, one for what is mapped and one for what is streamed, make the same cuts into the same lines:
//! a chunk starts at a line's start and ends behind a newline, or at the input's certain end. A line longer than the
//! limit is no part of any chunk: it is stepped over without being held, and told as [`Cut::TooLong`].
//!
//! Neither does any input or output. The streamed one is a push-in, pull-out machine: fill [`StreamCutter::space`],
//! say how much with [`StreamCutter::filled`], and take what [`StreamCutter::cut`] gives.

use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use crate::pipeline::serialize::Buffer;
use crate::pipeline::source::{Map, OpenFile};
use crate::pipeline::tail::{End, Tail, end_of};
use crate::pipeline::ticket::Ticket;

/// How much of a line over the limit is kept, in bytes.
pub const TOO_LONG_HEAD_BYTES: usize = 4 << 10;

/// Whole lines of one file, on their way to a parser.
#[derive(Debug)]
pub struct Chunk {
    /// Whose lines.
    pub file: Arc<OpenFile>,
    /// Where the lines start in the file's decompressed bytes.
    pub offset: u64,
    /// The chunk's place among all chunks of the run, in input order.
    pub sequence: u64,
    /// The lines.
    pub lines: Lines,
    /// What the bytes before the lines' end say of it, so that a later run knows it again.
    pub end: End,
    /// The place in memory for it and for the block it becomes.
    pub ticket: Ticket,
}

impl Chunk {
    /// Which of the file's plain bytes its lines cover.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.lines.covers()
    }
}

/// What a chunk holds.
#[derive(Debug)]
pub enum Lines {
    /// A range of a mapped file.
    Mapped(Arc<Map>, Range<usize>),
    /// Bytes of our own.
    Owned(Buffer),
    /// A range of bytes of our own, between those of other small files.
    Shared(Arc<Buffer>, Range<usize>),
    /// One line over the limit: its length without the line end, its bytes with it, its first 4 KiB.
    TooLong {
        /// Bytes of the line without its newline.
        line_bytes: u64,
        /// Bytes that it covers in the file, newline included.
        covers: u64,
        /// The start of it.
        head: Vec<u8>,
    },
}

impl Lines {
    /// How many lines these are, counted from newlines alone: one side of the law.
    pub fn count(&self) -> u64 {
        match self {
            Lines::Mapped(map, range) => count_lines(&map.bytes()[range.clone()]),
            Lines::Owned(bytes) => count_lines(bytes),
            Lines::Shared(bytes, range) => count_lines(&bytes[range.clone()]),
            Lines::TooLong { .. } => 1,
        }
    }

    /// How many bytes of memory they hold.
    pub fn held_bytes(&self) -> usize {
        match self {
            Lines::Mapped(_, range) | Lines::Shared(_, range) => range.len(),
            Lines::Owned(bytes) => bytes.len(),
            Lines::TooLong { head, .. } => head.len(),
        }
    }

    /// How many of the file's bytes they cover.
    pub fn covers(&self) -> u64 {
        match self {
            Lines::Mapped(_, range) | Lines::Shared(_, range) => range.len() as u64,
            Lines::Owned(bytes) => bytes.len() as u64,
            Lines::TooLong { covers, .. } => *covers,
        }
    }
}

/// Lines in `bytes`: newlines, and one more for what follows the last.
pub fn count_lines(bytes: &[u8]) -> u64 {
    let unfinished = bytes.last().is_some_and(|&last| last != b'\n');
    memchr_iter(b'\n', bytes).count() as u64 + u64::from(unfinished)
}

/// What a cutter found at its place in the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<B> {
    /// Whole lines.
    Lines(B),
    /// A line over the limit, stepped over.
    TooLong {
        /// Bytes of the line without its newline.
        line_bytes: u64,
        /// Bytes that it covers, newline included.
        covers: u64,
        /// Its first bytes.
        head: Vec<u8>,
    },
    /// Not decided yet: push more bytes, or call again.
    More,
    /// Nothing is left but, perhaps, a last line without a newline.
    End {
        /// Bytes of that last line; 0 if there is none.
        unfinished: u64,
    },
}

/// Cuts what lies in memory as a whole.
#[derive(Debug)]
pub struct MapCutter {
    at: usize,
    line_bytes_max: usize,
    take_last_line: bool,
    /// Inside a line over the limit that starts at `at`: no newline before here.
    stepping: Option<usize>,
}

impl MapCutter {
    /// Starts at `at`, which must be the start of a line. `take_last_line`: a last line without newline is a line.
    pub fn new(at: usize, line_bytes_max: usize, take_last_line: bool) -> MapCutter {
        MapCutter { at, line_bytes_max, take_last_line, stepping: None }
    }

    /// Where the next cut starts.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next cut of about `chunk_bytes` bytes; longer only for one line that is longer itself.
    ///
    /// [`Cut::More`] says that a line over the limit goes on and wants another call; what lies before
    /// [`MapCutter::looked_at`] is not needed any more.
    pub fn cut(&mut self, bytes: &[u8], chunk_bytes: usize) -> Cut<Range<usize>> {
        let rest = &bytes[self.at..];
        if let Some(searched) = self.stepping {
            return self.step_over(bytes, searched);
        }
        if rest.len() <= chunk_bytes {
            // A half last line is a cut of its own, so that a later run can begin before it.
            let whole = match memrchr(b'\n', rest) {
                Some(newline) => newline + 1,
                None if self.take_last_line => rest.len(),
                None => 0,
            };
            return self.last(rest, whole);
        }
        if let Some(newline) = memrchr(b'\n', &rest[..chunk_bytes]) {
            return self.lines(rest, newline + 1);
        }
        let near = rest.len().min(self.line_bytes_max.saturating_add(1)).max(chunk_bytes);
        match memchr(b'\n', &rest[chunk_bytes..near]) {
            Some(newline) => self.lines(rest, chunk_bytes + newline + 1),
            None if near < rest.len() => {
                self.stepping = Some(self.at + near);
                Cut::More
            }
            None => self.last(rest, if self.take_last_line { rest.len() } else { 0 }),
        }
    }

    /// What the bytes before the next cut say of that place.
    pub fn end(&self, bytes: &[u8]) -> End {
        end_of(&bytes[..self.at])
    }

    /// How far the bytes were searched: `at`, or a place inside the line over the limit that starts there.
    pub fn looked_at(&self) -> usize {
        self.stepping.unwrap_or(self.at)
    }

    /// Goes on inside a line over the limit, a window at a time, so that nobody has to hold it.
    fn step_over(&mut self, bytes: &[u8], searched: usize) -> Cut<Range<usize>> {
        let window = &bytes[searched..bytes.len().min(searched + STEP_BYTES)];
        let (end, covers) = match memchr(b'\n', window) {
            Some(newline) => (searched + newline, searched + newline + 1 - self.at),
            None if searched + window.len() < bytes.len() => {
                self.stepping = Some(searched + window.len());
                return Cut::More;
            }
            None if self.take_last_line => (bytes.len(), bytes.len() - self.at),
            None => return Cut::End { unfinished: (bytes.len() - self.at) as u64 },
        };
        let line = &bytes[self.at..end];
        let head = line[..line.len().min(TOO_LONG_HEAD_BYTES)].to_vec();
        let line_bytes = line.len() as u64;
        self.at += covers;
        self.stepping = None;
        Cut::TooLong { line_bytes, covers: covers as u64, head }
    }

    /// Everything that is left, of which `whole` bytes are whole lines.
    fn last(&mut self, rest: &[u8], whole: usize) -> Cut<Range<usize>> {
        if whole == 0 { Cut::End { unfinished: rest.len() as u64 } } else { self.lines(rest, whole) }
    }

    /// Takes `whole` bytes of whole lines, or what precedes the first line over the limit, or that line.
    fn lines(&mut self, rest: &[u8], whole: usize) -> Cut<Range<usize>> {
        let start = self.at;
        match first_too_long(&rest[..whole], self.line_bytes_max) {
            None => {
                self.at += whole;
                Cut::Lines(start..self.at)
            }
            Some(line) if line.start > 0 => {
                self.at += line.start;
                Cut::Lines(start..self.at)
            }
            Some(line) => {
                let newline = rest[..whole].get(line.end) == Some(&b'\n');
                let covers = line.len() + usize::from(newline);
                self.at += covers;
                Cut::TooLong {
                    line_bytes: line.len() as u64,
                    covers: covers as u64,
                    head: rest[..line.len().min(TOO_LONG_HEAD_BYTES)].to_vec(),
                }
            }
        }
    }
}

/// The first line of `bytes` that is longer than `max`, without its newline.
///
/// Looks at one byte in `max`: a line over the limit cannot hide between two newlines that are close enough.
fn first_too_long(bytes: &[u8], max: usize) -> Option<Range<usize>> {
    let mut start = 0;
    while bytes.len() - start > max {
        // A line that starts here is fine if a newline follows within max bytes; the last such newline saves most steps.
        match memrchr(b'\n', &bytes[start..=start + max]) {
            Some(newline) => start += newline + 1,
            None => {
                let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |n| start + n);
                return Some(start..end);
            }
        }
    }
    None
}

/// Cuts what comes in pieces. It keeps the bytes behind its last cut, the carry, for the next one.
#[derive(Debug)]
pub struct StreamCutter {
    /// Bytes not cut yet.
    buffer: Buffer,
    /// `buffer[..searched]` holds no newline, so that a long line is not searched again with each read.
    searched: usize,
    line_bytes_max: usize,
    /// A line over the limit that is being stepped over.
    skipped: Option<Skipped>,
    /// What was cut or stepped over last.
    tail: Tail,
}

#[derive(Debug)]
struct Skipped {
    line_bytes: u64,
    head: Vec<u8>,
}

impl StreamCutter {
    /// An empty one, which goes on behind `tail`. `buffer` is used again.
    pub fn new(line_bytes_max: usize, tail: Tail, mut buffer: Buffer) -> StreamCutter {
        buffer.clear();
        StreamCutter { buffer, searched: 0, line_bytes_max, skipped: None, tail }
    }

    /// The buffer back, for the next one.
    pub fn into_buffer(self) -> Buffer {
        self.buffer
    }

    /// What the bytes before the next cut say of that place. Of use only behind a cut, not after [`Cut::More`].
    pub fn end(&self) -> End {
        self.tail.end()
    }

    /// Room for the next read: what is missing to `chunk_bytes`, and never nothing.
    pub fn space(&mut self, chunk_bytes: usize) -> &mut [u8] {
        let filled = self.buffer.len();
        let room = if filled < chunk_bytes { chunk_bytes - filled } else { READ_BYTES_MIN };
        &mut self.buffer.room(room)[..room]
    }

    /// Says that `bytes` bytes of the space were filled.
    pub fn filled(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
    }

    /// Whether any bytes wait to be cut.
    pub fn has_bytes(&self) -> bool {
        self.buffer.len() > self.searched
    }

    /// Whether at least `chunk_bytes` bytes wait to be cut.
    pub fn is_full(&self, chunk_bytes: usize) -> bool {
        self.buffer.len() >= chunk_bytes
    }

    /// The whole lines that are here, in `empty` (whose capacity is used again); [`Cut::More`] if there are none yet.
    pub fn cut(&mut self, empty: &mut Buffer) -> Cut<Buffer> {
        if self.skipped.is_some() {
            return self.step_over();
        }
        match memrchr(b'\n', &self.buffer[self.searched..]) {
            Some(newline) => self.lines(self.searched + newline + 1, empty),
            None if self.buffer.len() > self.line_bytes_max => {
                let head = self.buffer[..self.buffer.len().min(TOO_LONG_HEAD_BYTES)].to_vec();
                self.skipped = Some(Skipped { line_bytes: self.buffer.len() as u64, head });
                self.tail.push(&self.buffer[..]);
                self.buffer.clear();
                self.searched = 0;
                Cut::More
            }
            None => {
                self.searched = self.buffer.len();
                Cut::More
            }
        }
    }

    /// The same at the input's end: what is left without a newline is a line if `take_last_line`.
    /// To be called until it says [`Cut::End`].
    pub fn cut_end(&mut self, take_last_line: bool, empty: &mut Buffer) -> Cut<Buffer> {
        match self.cut(empty) {
            Cut::More => {}
            cut => return cut,
        }
        if let Some(Skipped { line_bytes, head }) = self.skipped.take() {
            return if take_last_line {
                Cut::TooLong { line_bytes, covers: line_bytes, head }
            } else {
                Cut::End { unfinished: line_bytes }
            };
        }
        let left = self.buffer.len();
        self.searched = 0;
        if left > 0 && take_last_line {
            let lines = std::mem::take(&mut self.buffer);
            self.tail.push(&lines);
            return Cut::Lines(lines);
        }
        self.buffer.clear();
        Cut::End { unfinished: left as u64 }
    }

    /// Takes `whole` bytes of whole lines (or what precedes a line over the limit, or that line); the rest is carried.
    fn lines(&mut self, whole: usize, empty: &mut Buffer) -> Cut<Buffer> {
        match first_too_long(&self.buffer[..whole], self.line_bytes_max) {
            Some(line) if line.start == 0 => {
                let head = self.buffer[..line.len().min(TOO_LONG_HEAD_BYTES)].to_vec();
                self.tail.push(&self.buffer[..=line.end]);
                self.carry_from(line.end + 1);
                Cut::TooLong { line_bytes: line.len() as u64, covers: line.len() as u64 + 1, head }
            }
            too_long => {
                let whole = too_long.map_or(whole, |line| line.start);
                // The carry is short, so it moves to the empty buffer and the full one goes on as it is.
                let mut carry = std::mem::take(empty);
                carry.clear();
                carry.extend_from_slice(&self.buffer[whole..]);
                let mut lines = std::mem::replace(&mut self.buffer, carry);
                lines.truncate(whole);
                self.tail.push(&lines);
                self.searched = 0;
                Cut::Lines(lines)
            }
        }
    }

    /// Goes on inside a line over the limit.
    fn step_over(&mut self) -> Cut<Buffer> {
        let skipped = self.skipped.as_mut().expect("inside a line over the limit");
        let newline = memchr(b'\n', &self.buffer[..]);
        let head_rest = newline.unwrap_or(self.buffer.len()).min(TOO_LONG_HEAD_BYTES - skipped.head.len());
        skipped.head.extend_from_slice(&self.buffer[..head_rest]);
        match newline {
            None => {
                skipped.line_bytes += self.buffer.len() as u64;
                self.tail.push(&self.buffer[..]);
                self.buffer.clear();
                Cut::More
            }
            Some(newline) => {
                let Skipped { line_bytes, head } = self.skipped.take().expect("as above");
                self.tail.push(&self.buffer[..=newline]);
                self.carry_from(newline + 1);
                let line_bytes = line_bytes + newline as u64;
                Cut::TooLong { line_bytes, covers: line_bytes + 1, head }
            }
        }
    }

    fn carry_from(&mut self, start: usize) {
        self.buffer.drop_front(start);
        self.searched = 0;
    }
}

/// How far a mapped line over the limit is searched with one call, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// The least room given to a read when a line is longer than a chunk, in bytes.
const READ_BYTES_MIN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_newlines() {
        for (bytes, lines) in [("", 0), ("\n", 1), ("a", 1), ("a\n", 1), ("a\nb", 2), ("\n\n", 2), ("a\r\n\r\n", 2)] {
            assert_eq!(count_lines(bytes.as_bytes()), lines, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_not_held() {
        let mut cutter = StreamCutter::new(1 << 20, Tail::default(), Buffer::default());
        for _ in 0..4_000 {
            let n = cutter.space(256 << 10).len();
            cutter.space(256 << 10).fill(b'x');
            cutter.filled(n);
            assert_eq!(cutter.cut(&mut Buffer::default()), Cut::More);
            assert!(cutter.buffer.capacity() <= 3 << 20);
        }
    }
}
