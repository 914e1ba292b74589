//! [`Coverage`]: which bytes of a file were read and which are settled, and how far the settled ones reach without a gap.
//!
//! Chunks are parsed and acknowledged in any order. A file may only be said to be loaded up to its *watermark*, the end
//! of the longest prefix whose lines all have an outcome; what is stored with a watermark are the counts of exactly
//! that prefix.

use std::collections::BTreeMap;
use std::ops::Range;

use super::receipt::Receipt;

/// The counts of a prefix of a file, all of its lines settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixCounts {
    /// Lines, counted from newlines.
    pub lines_read: u64,
    /// Documents created.
    pub indexed: u64,
    /// Part of `indexed`: met again after an unknown outcome.
    pub confirmed: u64,
    /// Documents that were there before.
    pub duplicate: u64,
    /// Documents refused for good.
    pub rejected: u64,
    /// Lines that are not access-log lines.
    pub malformed: u64,
    /// Empty lines.
    pub blank: u64,
    /// Lines outside `--since` and `--until`.
    pub outside: u64,
    /// Bytes of documents.
    pub documents_bytes: u64,
}

impl PrefixCounts {
    fn of(receipt: &Receipt) -> PrefixCounts {
        PrefixCounts {
            lines_read: 0, // comes from the chunker, not from the receipt
            indexed: receipt.outcomes.indexed,
            confirmed: receipt.outcomes.confirmed,
            duplicate: receipt.outcomes.duplicate,
            rejected: receipt.outcomes.rejected,
            malformed: receipt.tally.malformed_lines(),
            blank: receipt.tally.blank,
            outside: receipt.tally.outside,
            documents_bytes: receipt.document_bytes,
        }
    }

    /// Adds the counts of what follows.
    pub fn add(&mut self, other: &PrefixCounts) {
        self.lines_read += other.lines_read;
        self.indexed += other.indexed;
        self.confirmed += other.confirmed;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.malformed += other.malformed;
        self.blank += other.blank;
        self.outside += other.outside;
        self.documents_bytes += other.documents_bytes;
    }
}

/// One file's reads and receipts.
#[derive(Debug, Default)]
pub struct Coverage {
    watermark: u64,
    prefix: PrefixCounts,
    /// Read and not settled: start to end and lines.
    read: BTreeMap<u64, (u64, u64)>,
    /// Settled beyond the watermark: start to end and counts.
    ahead: BTreeMap<u64, (u64, PrefixCounts)>,
}

impl Coverage {
    /// A file of which `watermark` bytes are settled already, with these counts.
    pub fn from(watermark: u64, prefix: PrefixCounts) -> Coverage {
        Coverage { watermark, prefix, ..Coverage::default() }
    }

    /// The end of the longest prefix whose lines all have an outcome.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// The counts of that prefix.
    pub fn prefix(&self) -> &PrefixCounts {
        &self.prefix
    }

    /// The chunker says that `range` holds so many lines.
    pub fn read(&mut self, range: Range<u64>, lines: u64) {
        let twice = self.read.insert(range.start, (range.end, lines));
        assert!(twice.is_none(), "no bytes are read twice");
    }

    /// A receipt came for `range`. Says whether the watermark moved.
    ///
    /// # Panics
    /// If nobody read these bytes, or they were settled before: then counts could not be believed any more.
    pub fn settle(&mut self, receipt: &Receipt) -> bool {
        let Range { start, end } = receipt.range;
        let (read_end, lines) = self.read.remove(&start).expect("what is settled was read, once");
        assert_eq!(read_end, end, "a receipt covers its chunk");
        let counts = PrefixCounts { lines_read: lines, ..PrefixCounts::of(receipt) };
        self.ahead.insert(start, (end, counts));
        let before = self.watermark;
        while let Some((end, counts)) = self.ahead.remove(&self.watermark) {
            self.watermark = end;
            self.prefix.add(&counts);
        }
        self.watermark != before
    }

    /// Lines that were read and have no receipt.
    pub fn unsettled_lines(&self) -> u64 {
        self.read.values().map(|(_, lines)| lines).sum()
    }

    /// Whether receipts cover everything up to `end`.
    pub fn is_complete(&self, end: u64) -> bool {
        self.watermark == end && self.read.is_empty() && self.ahead.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::report::receipt::Outcomes;
    use crate::pipeline::serialize::Tally;

    fn receipt(range: Range<u64>, indexed: u64) -> Receipt {
        Receipt {
            file: 0,
            range,
            outcomes: Outcomes { indexed, ..Outcomes::default() },
            tally: Tally { documents: indexed, ..Tally::default() },
            document_bytes: 0,
            indices: Vec::new(),
            samples: Vec::new(),
            malformed_ndjson: Vec::new(),
            dead_letters: Vec::new(),
        }
    }

    #[test]
    fn the_watermark_moves_over_what_is_settled_without_a_gap() {
        let mut coverage = Coverage::default();
        for (range, lines) in [(0..10, 1), (10..30, 2), (30..60, 3)] {
            coverage.read(range, lines);
        }
        assert!(!coverage.settle(&receipt(10..30, 2)));
        assert_eq!((coverage.watermark(), coverage.prefix().lines_read), (0, 0));
        assert!(coverage.settle(&receipt(0..10, 1)));
        assert_eq!((coverage.watermark(), coverage.prefix().lines_read, coverage.prefix().indexed), (30, 3, 3));
        assert_eq!(coverage.unsettled_lines(), 3);
        assert!(!coverage.is_complete(60));
        assert!(coverage.settle(&receipt(30..60, 3)));
        assert!(coverage.is_complete(60));
    }

    #[test]
    #[should_panic(expected = "settled was read, once")]
    fn the_same_receipt_twice_is_our_mistake() {
        let mut coverage = Coverage::default();
        coverage.read(0..10, 1);
        coverage.settle(&receipt(0..10, 1));
        coverage.settle(&receipt(0..10, 1));
    }
}
