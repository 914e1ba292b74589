//! [`Worker`]: the loop over the lines of a chunk, one per parser thread.

use super::block::{Block, Document, SAMPLE_BYTES_MAX, SAMPLES_MAX, Tally};
use super::common::{self, COMMON_TAIL_MAX, ROOM_BYTES};
use super::document::{self, Origin, Scratch};
use super::file::FileFacts;
use super::head::Heads;
use super::id::Ids;
use super::json;
use super::plan::Plan;
use crate::pipeline::parse::lanes::{Lanes, Portable};
use crate::pipeline::parse::record::WINDOW_BYTES;
use crate::pipeline::parse::timestamp::Days;
use crate::pipeline::parse::{self, Format, Line, Malformed};

/// Readable bytes that must follow a line's start before the common path looks at it where it lies. The lines at the
/// end of a chunk are parsed in a copy with so much behind them.
const SLACK: usize = WINDOW_BYTES;

/// The most that is kept of the copy of a chunk's last lines, in bytes.
const PADDED_BYTES_MAX: usize = 1 << 20;

/// So many lines that fail, and that another format would take, in one chunk or in several, change a file's format.
const MISREAD_LINES_MIN: u64 = 20;

/// Which of the ways that all give the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// What is fastest on this machine; or the portable form, if [`PORTABLE_VARIABLE`](parse::lanes::PORTABLE_VARIABLE) asks for it.
    Fastest,
    /// Without instructions that not every machine has.
    Portable,
    /// Each line by the general path. For tests.
    General,
}

/// What one parser thread keeps from chunk to chunk: memories of days, and room.
#[derive(Debug)]
pub struct Worker {
    path: Path,
    #[cfg(target_arch = "x86_64")]
    avx2: Option<parse::lanes::Avx2>,
    state: State,
    /// The last lines of a chunk, with slack behind them.
    padded: Vec<u8>,
}

#[derive(Debug)]
struct State {
    days: Days,
    heads: Heads,
    scratch: Scratch,
}

impl Default for Worker {
    fn default() -> Worker {
        Worker::new()
    }
}

impl Worker {
    /// A worker that takes the fastest way.
    pub fn new() -> Worker {
        Worker::by(Path::Fastest)
    }

    /// A worker that takes a certain way.
    pub fn by(path: Path) -> Worker {
        let path = if path == Path::Fastest && parse::lanes::portable_is_forced() { Path::Portable } else { path };
        Worker {
            path,
            #[cfg(target_arch = "x86_64")]
            avx2: parse::lanes::Avx2::detect().filter(|_| path == Path::Fastest),
            state: State { days: Days::new(), heads: Heads::new(), scratch: Scratch::default() },
            padded: Vec::new(),
        }
    }

    /// Turns the lines of `chunk` into documents and counts in `block`, which must be empty.
    ///
    /// `chunk` holds whole lines, the last one with or without its newline, and starts at `chunk_offset` of the file's
    /// decompressed bytes. A format that is still open is settled by the first chunk with an access line. Where the
    /// format was guessed and most of the chunk's lines fail, it is guessed again from them, and changed for the file
    /// when 20 lines, of this chunk or of this and those before, want another; likewise where most lines have text that
    /// the format does not explain and a richer one does. One worker serves one plan.
    ///
    /// # Panics
    /// If `block` is not empty, or `chunk` is longer than 1 GiB.
    pub fn fill(&mut self, plan: &Plan, file: &FileFacts, chunk: &[u8], chunk_offset: u64, block: &mut Block) {
        assert!(block.documents.is_empty() && block.bytes.is_empty(), "a block is filled once");
        assert!(chunk.len() <= 1 << 30, "a chunk has at most 1 GiB");
        let open = file.is_format_open();
        let format = if open { settle_format(file, chunk) } else { file.format() };
        self.fill_as(format, plan, file, chunk, chunk_offset, block);
        if open || !file.guessed {
            return; // guessed from these very lines, or by nobody
        }
        let (failed, good) = (block.tally.malformed_lines(), block.tally.documents + block.tally.outside);
        if failed > good {
            self.guess_again(format, plan, file, chunk, chunk_offset, block);
        } else if good > 0 {
            // A virtual host read as the client's name leaves no extra, but is nothing common.
            let tally = &block.tally;
            let odd = 2 * tally.with_extra > tally.documents || 2 * tally.common_path < tally.documents;
            if odd && !file.is_format_proved() {
                self.guess_richer(format, plan, file, chunk, chunk_offset, block);
            } else {
                file.forget_misread();
            }
        }
    }

    /// Tries a format with more fields on a chunk whose lines have more text than their format has fields. A poorer
    /// format takes the lines of all richer ones, so it never fails, and one odd line at the head of a pipe would
    /// decide for all that follow. One such look per file is enough where it confirms the format: the rest of most
    /// files goes by without.
    #[cold]
    fn guess_richer(
        &mut self,
        format: Format,
        plan: &Plan,
        file: &FileFacts,
        chunk: &[u8],
        chunk_offset: u64,
        block: &mut Block,
    ) {
        let documents = block.tally.documents;
        let other = parse::guess::anywhere(chunk).filter(|other| other.is_richer_than(format));
        let Some(other) = other else {
            if documents >= MISREAD_LINES_MIN {
                file.prove_format();
            }
            return;
        };
        block.clear();
        self.fill_as(other, plan, file, chunk, chunk_offset, block);
        if 2 * block.tally.documents < documents {
            // So it is only of the first lines.
            block.clear();
            self.fill_as(format, plan, file, chunk, chunk_offset, block);
        } else if file.count_misread(block.tally.documents) >= MISREAD_LINES_MIN {
            file.set_format(other);
        }
    }

    /// Tries another format on a chunk most of whose lines fail.
    #[cold]
    fn guess_again(
        &mut self,
        format: Format,
        plan: &Plan,
        file: &FileFacts,
        chunk: &[u8],
        chunk_offset: u64,
        block: &mut Block,
    ) {
        let failed = block.tally.malformed_lines();
        let Some(other) = parse::guess::anywhere(chunk) else { return };
        if other == format {
            return file.forget_misread();
        }
        block.clear();
        self.fill_as(other, plan, file, chunk, chunk_offset, block);
        // Lines that no format takes say nothing about the format: a burst of them and one odd line must not change
        // it, for the poorest format takes the lines of all others, and would never be found wrong.
        let taken = failed.saturating_sub(block.tally.malformed_lines());
        if taken > 0 && file.count_misread(taken) >= MISREAD_LINES_MIN {
            file.set_format(other);
        } else if taken == 0 || failed < MISREAD_LINES_MIN {
            block.clear();
            self.fill_as(format, plan, file, chunk, chunk_offset, block);
        }
    }

    fn fill_as(
        &mut self,
        format: Format,
        plan: &Plan,
        file: &FileFacts,
        chunk: &[u8],
        chunk_offset: u64,
        block: &mut Block,
    ) {
        // Lines that have slack behind them, and lines that get it in a copy.
        let last_start = chunk.len().saturating_sub(SLACK);
        let split = memchr::memrchr(b'\n', &chunk[..last_start]).map_or(0, |newline| newline + 1);
        self.padded.clear();
        self.padded.extend_from_slice(&chunk[split..]);
        if self.padded.last().is_some_and(|last| *last != b'\n') {
            self.padded.push(b'\n');
        }
        let padded_end = self.padded.len();
        self.padded.resize(padded_end + SLACK, 0);

        let body = Lines { plan, file, format, text: chunk, end: split, base: 0, chunk_offset };
        let tail = Lines { text: &self.padded, end: padded_end, base: split, ..body };
        for lines in [body, tail] {
            // Constant fields of kilobytes, and masks, are left to the general path.
            let is_odd = file.tail_len > COMMON_TAIL_MAX || plan.options.mask.is_on();
            let path = if is_odd { Path::General } else { self.path };
            match path {
                Path::General => lines.fill::<_, true>(Portable, &mut self.state, block),
                #[cfg(target_arch = "x86_64")]
                Path::Fastest if self.avx2.is_some() => {
                    let avx2 = self.avx2.expect("just seen");
                    // Inlined, so that the loop itself is compiled for AVX2: else each step would be a call.
                    parse::lanes::with_avx2(
                        avx2,
                        #[inline(always)]
                        |avx2| lines.fill::<_, false>(avx2, &mut self.state, block),
                    );
                }
                Path::Fastest | Path::Portable => lines.fill::<_, false>(Portable, &mut self.state, block),
            }
        }
        block.indices = self.state.heads.take_indices();
        // The copy of a line of megabytes is not kept for the rest of the run.
        if self.padded.capacity() > PADDED_BYTES_MAX {
            self.padded = Vec::new();
        }
    }
}

/// The format of a chunk of a file whose format is open. It stays open if the chunk holds no access line.
#[cold]
fn settle_format(file: &FileFacts, chunk: &[u8]) -> Format {
    let Some(format) = parse::guess::anywhere(chunk) else { return file.format() };
    file.settle_format(format);
    format
}

/// Lines that are parsed in one go.
#[derive(Clone, Copy)]
struct Lines<'c> {
    plan: &'c Plan,
    file: &'c FileFacts,
    format: Format,
    /// Where they are, and whatever comes behind.
    text: &'c [u8],
    /// Where the last of them ends.
    end: usize,
    /// Where `text` starts in the chunk.
    base: usize,
    /// Where the chunk starts in the file.
    chunk_offset: u64,
}

impl Lines<'_> {
    /// The loop. `GENERAL` leaves the common path out.
    #[inline(always)]
    fn fill<L: Lanes, const GENERAL: bool>(self, lanes: L, state: &mut State, block: &mut Block) {
        let Lines { plan, file, format, text, end, base, chunk_offset } = self;
        let mut counts = Counts::default();
        let mut ids = Ids::new(plan.options.ids, file.identity);
        let mut at = 0;
        while at < end {
            let State { days, heads, scratch } = &mut *state;
            let written = if GENERAL {
                None
            } else {
                let origin = Origin { plan, file, offset: chunk_offset + (base + at) as u64 };
                let room = block.bytes.room(ROOM_BYTES).first_chunk_mut().expect("there is as much as wanted");
                common::write(lanes, format, origin, days, heads, &mut ids, scratch, &text[at..], room)
            };
            let Some(written) = written else {
                at += self.line_generally(at, state, &mut ids, &mut counts, block);
                continue;
            };
            if counts.see(plan, written.unix) {
                block.documents.push(Document {
                    start: block.bytes.len() as u32,
                    line_start: (base + at) as u32,
                    line_bytes: written.line as u32,
                });
                block.bytes.advance(written.bytes);
                heads.count(written.index);
                counts.common_path += 1;
                counts.with_extra += u64::from(written.extra);
                counts.not_utf8 += u64::from(written.replaced);
            }
            at += written.next;
        }
        assert!(u32::try_from(block.bytes.len()).is_ok(), "a block has less than 4 GiB");
        counts.add_to(block);
    }

    /// The line at `at` by the general path. Gives its length.
    #[cold]
    #[inline(never)]
    fn line_generally(
        &self,
        at: usize,
        state: &mut State,
        ids: &mut Ids,
        counts: &mut Counts,
        block: &mut Block,
    ) -> usize {
        let Lines { plan, file, format, text, base, chunk_offset, .. } = *self;
        let (line, len) = parse::parse_generally(&mut state.days, format, &text[at..]);
        let offset = chunk_offset + (base + at) as u64;
        match line {
            Line::Record(record) => {
                let time = record.timestamp;
                if counts.see(plan, time.unix) {
                    let head = state.heads.of(plan, state.days.get(time.day), &time);
                    let index = head.index;
                    let id = ids.of(offset, record.line.of(record.text));
                    block.documents.push(Document {
                        start: block.bytes.len() as u32,
                        line_start: (base + at) as u32,
                        line_bytes: record.line.end,
                    });
                    let origin = Origin { plan, file, offset };
                    let replaced = document::write(&record, origin, head, id, &mut state.scratch, &mut block.bytes);
                    state.heads.count(index);
                    counts.with_extra += u64::from(!record.extra.is_empty());
                    counts.not_utf8 += u64::from(replaced);
                }
            }
            Line::Blank => block.tally.blank += 1,
            // Each line here has its newline: the last one got one in the padded copy.
            Line::Malformed(reason) => malformed(plan, file, offset, reason, &text[at..at + len - 1], block),
        }
        len
    }
}

/// Counts that change with nearly each line, kept out of the block while the lines are run through.
struct Counts {
    documents: u64,
    common_path: u64,
    with_extra: u64,
    not_utf8: u64,
    outside: u64,
    first: i64,
    last: i64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { documents: 0, common_path: 0, with_extra: 0, not_utf8: 0, outside: 0, first: i64::MAX, last: i64::MIN }
    }
}

impl Counts {
    /// Counts an event as a document, or as outside of what is wanted; tells whether it is wanted.
    #[inline(always)]
    fn see(&mut self, plan: &Plan, unix: i64) -> bool {
        if !plan.wants(unix) {
            self.outside += 1;
            return false;
        }
        self.documents += 1;
        self.first = self.first.min(unix);
        self.last = self.last.max(unix);
        true
    }

    fn add_to(&self, block: &mut Block) {
        block.tally.add(&Tally {
            documents: self.documents,
            common_path: self.common_path,
            with_extra: self.with_extra,
            not_utf8: self.not_utf8,
            outside: self.outside,
            event_time: (self.documents > 0).then_some((self.first, self.last)),
            ..Tally::default()
        });
    }
}

/// Records a line that was skipped for its length: `length` bytes from `offset` on, of which `head` are the first.
/// Written down, it has a fifth member, `length`, for `line` is not all of it.
pub fn too_long(plan: &Plan, file: &FileFacts, offset: u64, length: u64, head: &[u8], block: &mut Block) {
    debug_assert!(length >= head.len() as u64);
    let written = block.malformed_ndjson.len();
    malformed(plan, file, offset, Malformed::TooLong, head, block);
    if block.malformed_ndjson.len() > written {
        block.malformed_ndjson.truncate(block.malformed_ndjson.len() - 2);
        block.malformed_ndjson.extend_from_slice(format!(",\"length\":{length}}}\n").as_bytes());
    }
}

/// Counts a line that is none, keeps a sample, and writes it down where that is wanted.
#[cold]
#[inline(never)]
fn malformed(plan: &Plan, file: &FileFacts, offset: u64, reason: Malformed, line: &[u8], block: &mut Block) {
    let line = plan.options.mask.line(line.strip_suffix(b"\r").unwrap_or(line));
    *block.tally.malformed.entry(reason).or_default() += 1;
    if block.samples.iter().filter(|(known, _)| *known == reason).count() < SAMPLES_MAX {
        block.samples.push((reason, line[..line.len().min(SAMPLE_BYTES_MAX)].to_vec()));
    }
    if plan.options.keep_malformed {
        let out = &mut block.malformed_ndjson;
        out.extend_from_slice(b"{\"source\":");
        out.extend_from_slice(&json::string(&file.uri));
        out.extend_from_slice(format!(",\"offset\":{offset},\"reason\":\"{reason}\",\"line\":\"").as_bytes());
        json::escape(&line, |piece| out.extend_from_slice(piece));
        out.extend_from_slice(b"\"}\n");
    }
}
