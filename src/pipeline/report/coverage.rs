//! [`Coverage`]: which bytes of a file were read and which are settled, and how far the settled ones reach without a gap.
//!
//! Chunks are parsed and acknowledged in any order. A file may only be said to be loaded up to its *watermark*, the end
//! of the longest prefix whose lines all have an outcome; what is stored with a watermark are the counts of exactly
//! that prefix.

use std::collections::BTreeMap;
use std::ops::Range;

use super::receipt::Receipt;
use super::totals::Counts;
use crate::pipeline::tail::{End, end_of};

/// The counts of a prefix of a file, all of its lines settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
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

    /// The same of a file, or a run, whose lines are all settled.
    pub fn of_settled(counts: &Counts) -> PrefixCounts {
        PrefixCounts {
            lines_read: counts.lines_read,
            indexed: counts.outcomes.indexed,
            confirmed: counts.outcomes.confirmed,
            duplicate: counts.outcomes.duplicate,
            rejected: counts.outcomes.rejected,
            malformed: counts.malformed(),
            blank: counts.tally.blank,
            outside: counts.tally.outside,
            documents_bytes: counts.documents_bytes,
        }
    }

    /// The counts of what follows `before`, the counts of a prefix of the same.
    pub fn since(&self, before: &PrefixCounts) -> PrefixCounts {
        PrefixCounts {
            lines_read: self.lines_read - before.lines_read,
            indexed: self.indexed - before.indexed,
            confirmed: self.confirmed - before.confirmed,
            duplicate: self.duplicate - before.duplicate,
            rejected: self.rejected - before.rejected,
            malformed: self.malformed - before.malformed,
            blank: self.blank - before.blank,
            outside: self.outside - before.outside,
            documents_bytes: self.documents_bytes - before.documents_bytes,
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

/// A place in a file's plain bytes before which every line has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The place, in bytes from the start.
    pub offset: u64,
    /// The hash of the bytes before it; see [`tail`](crate::pipeline::tail).
    pub tail: u64,
    /// What became of exactly the lines before it.
    pub counts: PrefixCounts,
}

impl Default for Mark {
    /// The start of a file.
    fn default() -> Mark {
        Mark { offset: 0, tail: end_of(b"").hash, counts: PrefixCounts::default() }
    }
}

/// One file's reads and receipts.
#[derive(Debug, Default)]
pub struct Coverage {
    /// The watermark.
    reached: Mark,
    /// The last place at or before the watermark where a line starts. Only a half last line lies between the two.
    whole: Mark,
    /// Read and not settled: start to end, lines, and what the end's bytes say.
    read: BTreeMap<u64, (u64, u64, End)>,
    /// Settled beyond the watermark: start to end, what its bytes say, and counts.
    ahead: BTreeMap<u64, (u64, End, PrefixCounts)>,
}

impl Coverage {
    /// A file whose lines before `mark`, where a line starts, are settled already.
    pub fn from(mark: Mark) -> Coverage {
        Coverage { reached: mark, whole: mark, ..Coverage::default() }
    }

    /// The end of the longest prefix whose lines all have an outcome.
    pub fn watermark(&self) -> &Mark {
        &self.reached
    }

    /// The same without a half last line: where a later run goes on if the file has grown.
    pub fn whole_lines(&self) -> &Mark {
        &self.whole
    }

    /// The chunker says that `range` holds so many lines, and `end` what lies before its end.
    pub fn read(&mut self, range: Range<u64>, lines: u64, end: End) {
        let twice = self.read.insert(range.start, (range.end, lines, end));
        assert!(twice.is_none(), "no bytes are read twice");
    }

    /// A receipt came for `range`. Says whether the watermark moved.
    ///
    /// # Panics
    /// If nobody read these bytes, or they were settled before: then counts could not be believed any more.
    pub fn settle(&mut self, receipt: &Receipt) -> bool {
        let Range { start, end } = receipt.range;
        let (read_end, lines, seen) = self.read.remove(&start).expect("what is settled was read, once");
        assert_eq!(read_end, end, "a receipt covers its chunk");
        let counts = PrefixCounts { lines_read: lines, ..PrefixCounts::of(receipt) };
        self.ahead.insert(start, (end, seen, counts));
        let before = self.reached.offset;
        while let Some((end, seen, counts)) = self.ahead.remove(&self.reached.offset) {
            self.reached.offset = end;
            self.reached.tail = seen.hash;
            self.reached.counts.add(&counts);
            if seen.whole {
                self.whole = self.reached;
            }
        }
        self.reached.offset != before
    }

    /// Lines that were read and have no receipt.
    pub fn unsettled_lines(&self) -> u64 {
        self.read.values().map(|(_, lines, _)| lines).sum()
    }

    /// Whether receipts cover everything up to `end`.
    pub fn is_complete(&self, end: u64) -> bool {
        self.reached.offset == end && self.read.is_empty() && self.ahead.is_empty()
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
            coverage.read(range.clone(), lines, End { hash: range.end, whole: range.end != 60 });
        }
        assert!(!coverage.settle(&receipt(10..30, 2)));
        assert_eq!(*coverage.watermark(), Mark::default());
        assert!(coverage.settle(&receipt(0..10, 1)));
        let mark = *coverage.watermark();
        assert_eq!((mark.offset, mark.tail, mark.counts.lines_read, mark.counts.indexed), (30, 30, 3, 3));
        assert_eq!(mark, *coverage.whole_lines());
        assert_eq!(coverage.unsettled_lines(), 3);
        assert!(!coverage.is_complete(60));
        assert!(coverage.settle(&receipt(30..60, 3)));
        assert!(coverage.is_complete(60));
        assert_eq!(coverage.watermark().counts.lines_read, 6);
        assert_eq!(*coverage.whole_lines(), mark, "the half last line may grow");
    }

    #[test]
    #[should_panic(expected = "settled was read, once")]
    fn the_same_receipt_twice_is_our_mistake() {
        let mut coverage = Coverage::default();
        coverage.read(0..10, 1, end_of(b"\n"));
        coverage.settle(&receipt(0..10, 1));
        coverage.settle(&receipt(0..10, 1));
    }
}
