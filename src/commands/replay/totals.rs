//! [`Totals`]: what became of the letters. The law: letters read = indexed + duplicate + rejected + filtered + unreadable.

use std::path::PathBuf;

use crate::pipeline::report::{Ended, Outcomes};
use crate::pipeline::sink::destination::Stats;

/// Letters of one file, or of all. Those read are counted by the reader, the others by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that are not blank.
    pub read: u64,
    /// What became of those that were sent.
    pub outcomes: Outcomes,
    /// Left out by `--type`, `--index`, `--source`.
    pub filtered: u64,
    /// Lines that are no dead letter.
    pub unreadable: u64,
    /// Chosen, but without an outcome, because the replay was told to end.
    pub unsettled: u64,
    /// Of those chosen: letters without an id, of which nothing can tell whether they are there already.
    pub without_id: u64,
}

impl Counts {
    /// Whether each letter that was read has become exactly one thing.
    pub fn law_holds(&self) -> bool {
        self.read == self.outcomes.documents() + self.filtered + self.unreadable + self.unsettled
    }

    fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.outcomes.add(&other.outcomes);
        self.filtered += other.filtered;
        self.unreadable += other.unreadable;
        self.unsettled += other.unsettled;
        self.without_id += other.without_id;
    }
}

/// What became of one file.
#[derive(Clone, Debug, Default)]
pub struct FileTotals {
    /// As it was typed.
    pub path: PathBuf,
    /// Its letters.
    pub counts: Counts,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Why it could not be opened or read on.
    pub failed: Option<String>,
    /// The first lines that are no letters: their number, from 1, and why.
    pub unreadable: Vec<(u64, String)>,
}

/// What became of all.
#[derive(Debug)]
pub struct Totals {
    /// In the order typed.
    pub files: Vec<FileTotals>,
    /// How it came to its end.
    pub ended: Ended,
    /// How long it took.
    pub seconds: f64,
    /// What it took to get the documents there.
    pub stats: Stats,
    /// Where the letters are that were rejected again.
    pub again: Vec<PathBuf>,
}

impl Totals {
    /// Of all files.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for file in &self.files {
            sum.add(&file.counts);
        }
        sum
    }

    /// Whether the law holds, for each file.
    pub fn law_holds(&self) -> bool {
        let complete = self.ended == Ended::Complete;
        self.files.iter().all(|file| file.counts.law_holds() && (!complete || file.counts.unsettled == 0))
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        let counts = self.counts();
        match &self.ended {
            Ended::Interrupted(_) => 130,
            Ended::Failed(error) => error.exit_code(),
            _ if !self.law_holds() => 1,
            _ if counts.unreadable > 0 || self.files.iter().any(|file| file.failed.is_some()) => 1,
            _ if counts.outcomes.rejected > 0 => 3,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_worst_decides_the_exit_code() {
        let file = |read, rejected, unreadable, unsettled| {
            let outcomes = Outcomes { rejected, indexed: 5, ..Outcomes::default() };
            let counts = Counts { read, outcomes, unreadable, unsettled, filtered: 2, without_id: 1 };
            FileTotals { counts, complete: true, ..FileTotals::default() }
        };
        let failed = FileTotals { failed: Some("no such file".into()), ..FileTotals::default() };
        for (files, ended, code) in [
            (vec![], Ended::Complete, 0),
            (vec![file(7, 0, 0, 0)], Ended::Complete, 0),
            (vec![file(7, 0, 0, 0), file(8, 1, 0, 0)], Ended::Complete, 3),
            (vec![file(9, 1, 1, 0)], Ended::Complete, 1),
            (vec![file(8, 1, 0, 0), failed], Ended::Complete, 1),
            (vec![file(8, 0, 0, 1)], Ended::Interrupted("SIGINT"), 130),
            (vec![file(8, 0, 0, 1)], Ended::Failed(Error::stopped("disk")), 4),
            (vec![file(8, 0, 0, 1)], Ended::Failed(Error::failed("no server")), 1),
            // Our own mistakes.
            (vec![file(8, 0, 0, 0)], Ended::Complete, 1),
            (vec![file(8, 0, 0, 1)], Ended::Complete, 1),
        ] {
            let totals = Totals { files, ended, seconds: 0.0, stats: Stats::default(), again: Vec::new() };
            assert_eq!(totals.exit_code(), code, "{totals:?}");
        }
    }
}
