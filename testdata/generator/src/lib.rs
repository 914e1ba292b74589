//! Apache access logs out of a seed: **the same options give the same bytes**, on every platform and in every version
//! of this crate that keeps the checksums in `tests/pinned.rs`.
//!
//! Tests, benches and the quickstart all take their large logs from here, so none is kept in the repository. The logs
//! look like real ones where that matters for what reads them: Zipf-distributed pages and clients, agents that a
//! client keeps, sizes with a long tail (some beyond 2^32), times over several months, busier by day and not quite in
//! order, IPv6, host names, users, hostile request lines, escapes, fields behind the last. Everything unusual has a
//! share of its own in [`Options`], down to 0.
//!
//! ```
//! use loghaul_testdata::{Format, Generator, LineKind, Options};
//!
//! // A file of 1,000 lines, one in ten of them malformed, and what is in it:
//! let options = Options { lines: Some(1_000), share_malformed: 10_000, ..Options::default() };
//! let mut log = Vec::new();
//! let summary = Generator::new(options).write_all(&mut log)?;
//! assert_eq!(summary.lines, log.iter().filter(|&&byte| byte == b'\n').count() as u64);
//! assert_eq!(summary.lines, summary.good + summary.malformed + summary.blank);
//!
//! // Or line by line, as many as are wanted:
//! let mut generator = Generator::new(Options { format: Format::Common, ..Options::clean() });
//! let mut line = Vec::new();
//! assert_eq!(generator.next_line(&mut line), LineKind::Good);
//! assert!(line.ends_with(b"\n"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Reading order: `options` (what can be asked), `line` (one good line), `malformed` (what is none), `words` (the
//! vocabulary, plain tables), `vocabulary` (the tables made from it), `clock` (times), `rng` (random numbers and why
//! they are our own), `summary` (what was written), `mutate` (damage for property tests).

#![deny(unsafe_code)]

mod options;

mod line;
mod malformed;

mod clock;
mod vocabulary;
mod words;

mod mutate;
mod rng;
mod summary;

use std::io::{self, Write};

use clock::Clock;
use line::LineWriter;
use summary::Tally;
use vocabulary::Vocabulary;

pub use mutate::{MUTATED_BYTES_MAX, mutate, mutate_with};
pub use options::{Format, LINES_DEFAULT, Options, Zone};
pub use rng::{Rng, SHARE_ALL};
pub use summary::Summary;

/// What a line is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A line of the format asked for, however odd.
    Good,
    /// Not a line of the format asked for.
    Malformed,
    /// Nothing but the line end.
    Blank,
}

/// Writes one log, line after line. Memory: the vocabulary, about 1 MiB with default options, and one buffer.
#[derive(Debug)]
pub struct Generator {
    options: Options,
    rng: Rng,
    vocabulary: Vocabulary,
    clock: Clock,
    tally: Tally,
}

/// [`Generator::write_all`] hands over blocks of this size, and the line that passes it.
const BLOCK_BYTES: usize = 256 * 1024;

/// About the length of a line, to spread the first lines over time when only bytes are limited.
const LINE_BYTES: u64 = 200;

impl Generator {
    /// Makes the vocabulary, which takes about a millisecond.
    ///
    /// # Panics
    /// If [`Options::check`] has something to say; call it first where options come from a person.
    pub fn new(options: Options) -> Self {
        if let Err(wrong) = options.check() {
            panic!("{wrong}");
        }
        let mut rng = Rng::new(options.seed);
        Self {
            vocabulary: Vocabulary::new(&options, &mut rng),
            clock: Clock::new(&options),
            tally: Tally::new(),
            options,
            rng,
        }
    }

    /// Appends the next line, with its line end, and says what it is meant to be.
    ///
    /// There is always a next line: the limits in the options spread the lines over time, but only [`is_done`] and
    /// [`write_all`] tell when they are reached. Lines beyond them all bear the last moments of the time asked for.
    ///
    /// [`is_done`]: Self::is_done
    /// [`write_all`]: Self::write_all
    pub fn next_line(&mut self, out: &mut Vec<u8>) -> LineKind {
        let line_at = out.len();
        let elapsed_s = self.elapsed_s();
        let blank_end = u64::from(self.options.share_blank);
        let malformed_end = blank_end + u64::from(self.options.share_malformed);
        let kind = match self.rng.below(u64::from(SHARE_ALL)) {
            kind if kind < blank_end => LineKind::Blank,
            kind if kind < malformed_end => LineKind::Malformed,
            _ => LineKind::Good,
        };
        let mut writer = LineWriter {
            options: &self.options,
            vocabulary: &self.vocabulary,
            clock: &mut self.clock,
            rng: &mut self.rng,
        };
        match kind {
            LineKind::Blank => self.tally.blank += 1,
            LineKind::Malformed => {
                writer.write_malformed(elapsed_s, out);
                self.tally.malformed += 1;
            }
            LineKind::Good => {
                let facts = writer.write(elapsed_s, out);
                self.tally.good(&facts);
            }
        }
        out.extend_from_slice(if self.options.crlf { b"\r\n" } else { b"\n" });
        self.tally.bytes += (out.len() - line_at) as u64;
        kind
    }

    /// Whether the lines or bytes asked for are written ([`LINES_DEFAULT`] lines if neither was asked for).
    pub fn is_done(&self) -> bool {
        let (lines, bytes) = self.limits();
        self.tally.lines() >= lines || self.tally.bytes >= bytes
    }

    /// Writes the rest of the log, in blocks of whole lines of about 256 KiB; does not flush. The summary is of all
    /// lines, those taken by [`next_line`](Self::next_line) before included.
    ///
    /// # Errors
    /// Those of `to`, at once and as they are; the generator is of no more use then.
    pub fn write_all(&mut self, to: &mut impl Write) -> io::Result<Summary> {
        let mut block = Vec::with_capacity(BLOCK_BYTES + 16 * 1024);
        while !self.is_done() {
            self.next_line(&mut block);
            if block.len() >= BLOCK_BYTES {
                to.write_all(&block)?;
                block.clear();
            }
        }
        to.write_all(&block)?;
        Ok(self.summary())
    }

    /// What was written so far.
    pub fn summary(&mut self) -> Summary {
        self.tally.summary()
    }

    fn limits(&self) -> (u64, u64) {
        match (self.options.lines, self.options.bytes) {
            (None, None) => (LINES_DEFAULT, u64::MAX),
            (lines, bytes) => (lines.unwrap_or(u64::MAX), bytes.unwrap_or(u64::MAX)),
        }
    }

    /// Where in the span of time the next line lies: as far as the log is written, and somewhere in the step to the
    /// line after it.
    fn elapsed_s(&mut self) -> u64 {
        let (lines, bytes) = self.limits();
        let span_s = self.clock.span_s();
        let by_lines = scaled(span_s, self.tally.lines(), lines);
        let by_bytes = scaled(span_s, self.tally.bytes, bytes);
        let step_s = scaled(span_s, 1, lines).max(scaled(span_s, LINE_BYTES, bytes));
        by_lines.max(by_bytes).saturating_add(self.rng.below(step_s.saturating_add(1)))
    }
}

/// `span * done / all`; no limit at all is 0. In 64 bits where they are enough, as the wide division is slow.
fn scaled(span: u64, done: u64, all: u64) -> u64 {
    match span.checked_mul(done) {
        Some(product) => product / all.max(1),
        None => {
            let wide = u128::from(span) * u128::from(done) / u128::from(all.max(1));
            u64::try_from(wide).unwrap_or(u64::MAX)
        }
    }
}
