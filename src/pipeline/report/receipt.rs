//! [`Receipt`]: what became of each line of one block. The only way by which outcomes reach the report.

use std::ops::Range;
use std::sync::Arc;

use crate::pipeline::parse::Malformed;
use crate::pipeline::serialize::Tally;

/// A file's number in its run, given when it is opened.
pub type FileId = u32;

/// What became of the lines of one block.
#[derive(Debug)]
pub struct Receipt {
    /// Whose lines.
    pub file: FileId,
    /// Which of the file's decompressed bytes the block's lines cover.
    pub range: Range<u64>,
    /// What became of the documents.
    pub outcomes: Outcomes,
    /// What the parser made of the lines. `tally.documents = outcomes.documents()`.
    pub tally: Tally,
    /// Bytes of the documents (action lines included where there are any).
    pub document_bytes: u64,
    /// Documents in each index they were addressed to.
    pub indices: Vec<(Arc<str>, u64)>,
    /// Samples of malformed lines.
    pub samples: Vec<(Malformed, Vec<u8>)>,
    /// The malformed lines themselves, as NDJSON, where they are kept.
    pub malformed_ndjson: Vec<u8>,
    /// The rejected documents. `dead_letters.len() = outcomes.rejected`.
    pub dead_letters: Vec<DeadLetter>,
}

/// What became of documents. Each one is exactly one of the first three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Created by this run (201), or `confirmed`.
    pub indexed: u64,
    /// Was already there under the same id (409).
    pub duplicate: u64,
    /// Refused for good, or dropped by an ingest pipeline.
    pub rejected: u64,
    /// Part of `indexed`: met as 409 after this run itself had sent it with unknown outcome.
    pub confirmed: u64,
}

impl Outcomes {
    /// All documents with an outcome.
    pub fn documents(&self) -> u64 {
        self.indexed + self.duplicate + self.rejected
    }

    /// Counts duplicates as documents of our own, sent before with an unknown outcome.
    pub fn confirm_duplicates(&mut self) {
        self.confirmed += self.duplicate;
        self.indexed += std::mem::take(&mut self.duplicate);
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Outcomes) {
        self.indexed += other.indexed;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.confirmed += other.confirmed;
    }
}

/// A document that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The action line and the document as they were sent, a newline after each.
    pub document: Vec<u8>,
    /// Where its line starts in the file's decompressed bytes.
    pub offset: u64,
    /// The line's length in bytes.
    pub line_bytes: u32,
    /// The item's HTTP status; 200 where an ingest pipeline dropped the document.
    pub status: u16,
    /// OpenSearch's error type, or one of ours (`dropped_by_pipeline`, `too_large`).
    pub error_type: String,
    /// OpenSearch's reason.
    pub reason: String,
    /// How often it was sent.
    pub attempts: u32,
}
