//! [`Block`]: what one chunk becomes. Documents ready to send, where each came from, and every line that
//! became no document.
//!
//! A block is the unit that moves from the parser to the sink, and that the sink answers with one
//! [`Receipt`](crate::pipeline::report::Receipt). Its buffers are used again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::buffer::Buffer;
use crate::pipeline::parse::Malformed;

/// The documents of one chunk, and the fate of its other lines.
#[derive(Debug, Default)]
pub struct Block {
    /// Documents one after the other, each ending in a newline; with an action line before each where the sink is
    /// a Bulk API.
    pub bytes: Buffer,
    /// Where each document of `bytes` came from, in order. Empty `bytes` and empty `documents` go together.
    pub documents: Vec<Document>,
    /// Lines that became no document, in NDJSON as the malformed file holds them, one per line:
    /// `{"source","offset","reason","line"}`. Empty unless somebody wants to keep them.
    pub malformed_ndjson: Vec<u8>,
    /// Up to [`SAMPLES_MAX`] samples per reason, raw bytes of the line's start, at most [`SAMPLE_BYTES_MAX`] each.
    pub samples: Vec<(Malformed, Vec<u8>)>,
    /// What the parser saw, counted.
    pub tally: Tally,
    /// Documents in each index they are addressed to. Names are few (a month each), so a block holds one or two.
    pub indices: Vec<(Arc<str>, u64)>,
}

/// How many samples of malformed lines are kept for each reason, in a block and in a report.
pub const SAMPLES_MAX: usize = 3;
/// How much of a malformed line a sample keeps, in bytes.
pub const SAMPLE_BYTES_MAX: usize = 400;

/// One document's place in its block and its line's place in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where its action line (or itself, where there are none) starts in [`Block::bytes`].
    /// It ends where the next one starts.
    pub start: u32,
    /// Where its line starts, in bytes from the start of the chunk.
    pub line_start: u32,
    /// The line's length in bytes without its line end.
    pub line_bytes: u32,
}

/// Lines by what the parser made of them. `lines = documents + malformed + blank + outside`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that became documents.
    pub documents: u64,
    /// Lines that are not access-log lines, by reason.
    pub malformed: BTreeMap<Malformed, u64>,
    /// Lines with nothing in them, or with only a carriage return.
    pub blank: u64,
    /// Good lines outside `--since` and `--until`.
    pub outside: u64,
    /// Documents whose line had text after its last field.
    pub with_extra: u64,
    /// Documents in which bytes that are not UTF-8 became U+FFFD.
    pub not_utf8: u64,
    /// Documents that took the common path (a measure of speed, not of truth).
    pub common_path: u64,
    /// Earliest and latest event time of the documents, in seconds since 1970-01-01T00:00:00Z.
    pub event_time: Option<(i64, i64)>,
}

impl Tally {
    /// All malformed lines, whatever the reason.
    pub fn malformed_lines(&self) -> u64 {
        self.malformed.values().sum()
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Tally) {
        self.documents += other.documents;
        for (reason, lines) in &other.malformed {
            *self.malformed.entry(*reason).or_default() += lines;
        }
        self.blank += other.blank;
        self.outside += other.outside;
        self.with_extra += other.with_extra;
        self.not_utf8 += other.not_utf8;
        self.common_path += other.common_path;
        self.event_time = match (self.event_time, other.event_time) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
    }
}

impl Block {
    /// Forgets everything but the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.documents.clear();
        self.malformed_ndjson.clear();
        self.samples.clear();
        self.tally = Tally::default();
        self.indices.clear();
    }

    /// The same in buffers that are as small as can be; the large ones stay here, empty.
    pub fn take_fitting(&mut self) -> Block {
        let fitting = Block {
            bytes: Buffer::of(&self.bytes),
            documents: self.documents.as_slice().to_vec(),
            malformed_ndjson: self.malformed_ndjson.as_slice().to_vec(),
            samples: std::mem::take(&mut self.samples),
            tally: std::mem::take(&mut self.tally),
            indices: std::mem::take(&mut self.indices),
        };
        self.clear();
        fitting
    }

    /// How many bytes of memory it holds, used or not.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.documents.capacity() * size_of::<Document>()
            + self.malformed_ndjson.capacity()
            + self.samples.iter().map(|(_, line)| line.capacity()).sum::<usize>()
    }

    /// The bytes of document `n`, its action line included.
    pub fn document_range(&self, n: usize) -> Range<usize> {
        let end = self.documents.get(n + 1).map_or(self.bytes.len(), |next| next.start as usize);
        self.documents[n].start as usize..end
    }
}
