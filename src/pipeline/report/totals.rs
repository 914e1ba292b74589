//! What a run has to answer for: [`Counts`] of lines, a [`FileReport`] per file, and the [`Report`] of the run.
//!
//! The law is checked here, not made true here: `lines_read` is counted by the chunker from newlines, outcomes by
//! receipts, and lines that were given up by whoever gave them up. Nothing is computed as the difference of two others,
//! so a lost receipt shows.
//!
//! A run may have a million files, so the report keeps sums and the first [`PROBLEMS_MAX`] files with trouble, slimmed;
//! every file's own report leaves through [`FilesSpool`] as soon as the file is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::json::FilesSpool;
use super::receipt::{Outcomes, Receipt};
use crate::error::Error;
use crate::pipeline::parse::Malformed;
use crate::pipeline::serialize::Tally;
use crate::pipeline::serialize::block::{SAMPLE_BYTES_MAX, SAMPLES_MAX};

/// How many files with trouble a report keeps to show. All are counted.
pub const PROBLEMS_MAX: usize = 1_000;
/// How many index names a report counts apart. A log with hostile dates can address any number of them.
pub const INDICES_MAX: usize = 10_000;
/// How many notes a report, and a file's report, keeps.
pub const NOTES_MAX: usize = 20;

/// The counts of a file, or of a run. The law:
/// `lines_read = indexed + duplicate + rejected + malformed + blank + outside + unsettled`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines, as the chunker counted them from newlines. A half last line that was left is not among them.
    pub lines_read: u64,
    /// Decompressed bytes that these lines take, line ends included.
    pub bytes_read: u64,
    /// Decompressed bytes for which receipts came back. `bytes_settled = bytes_read` unless lines are unsettled.
    pub bytes_settled: u64,
    /// What the parser made of the lines that have an outcome.
    pub tally: Tally,
    /// What became of the documents.
    pub outcomes: Outcomes,
    /// Lines that were read but have no outcome, because the run ended before them. Zero in a complete run.
    /// Counted by whoever gives them up.
    pub unsettled: u64,
    /// Bytes of the documents with an outcome (action lines included where there are any).
    pub documents_bytes: u64,
    /// Documents in each index they were addressed to; at most [`INDICES_MAX`] names.
    pub indices: BTreeMap<Arc<str>, u64>,
    /// Documents in indices beyond [`INDICES_MAX`].
    pub indices_other: u64,
    /// Up to [`SAMPLES_MAX`] malformed lines for each reason, raw, at most [`SAMPLE_BYTES_MAX`] bytes each.
    pub samples: BTreeMap<Malformed, Vec<Vec<u8>>>,
}

impl Counts {
    /// Adds what became of the lines of one block.
    ///
    /// # Panics
    /// If the receipt forgets a document: as many must have an outcome as the parser made.
    pub fn add_receipt(&mut self, receipt: &Receipt) {
        assert_eq!(receipt.tally.documents, receipt.outcomes.documents(), "each document has one outcome");
        self.bytes_settled += receipt.range.end - receipt.range.start;
        self.tally.add(&receipt.tally);
        self.outcomes.add(&receipt.outcomes);
        self.documents_bytes += receipt.document_bytes;
        for (index, documents) in &receipt.indices {
            self.add_index(index, *documents);
        }
        for (reason, line) in &receipt.samples {
            self.add_sample(*reason, line);
        }
    }

    /// Adds the counts of a file to those of a run.
    pub fn add(&mut self, other: &Counts) {
        self.lines_read += other.lines_read;
        self.bytes_read += other.bytes_read;
        self.bytes_settled += other.bytes_settled;
        self.tally.add(&other.tally);
        self.outcomes.add(&other.outcomes);
        self.unsettled += other.unsettled;
        self.documents_bytes += other.documents_bytes;
        for (index, documents) in &other.indices {
            self.add_index(index, *documents);
        }
        self.indices_other += other.indices_other;
        for (reason, lines) in &other.samples {
            for line in lines {
                self.add_sample(*reason, line);
            }
        }
    }

    /// Lines that are not access-log lines, whatever the reason.
    pub fn malformed(&self) -> u64 {
        self.tally.malformed_lines()
    }

    /// All lines with an outcome. The other side of [`Counts::lines_read`].
    pub fn lines_settled(&self) -> u64 {
        self.outcomes.documents() + self.malformed() + self.tally.blank + self.tally.outside
    }

    /// Whether both sides agree: in lines, in documents, and (where all lines are settled) in bytes.
    pub fn law_holds(&self) -> bool {
        self.lines_read == self.lines_settled() + self.unsettled
            && self.tally.documents == self.outcomes.documents()
            && (self.unsettled > 0 || self.bytes_read == self.bytes_settled)
    }

    /// Which part of the lines that are not blank is malformed: 0 to 1, 0 where there are none.
    pub fn malformed_share(&self) -> f64 {
        let lines = self.lines_read.saturating_sub(self.tally.blank);
        if lines == 0 { 0.0 } else { self.malformed() as f64 / lines as f64 }
    }

    fn add_index(&mut self, index: &Arc<str>, documents: u64) {
        if let Some(sum) = self.indices.get_mut(index) {
            *sum += documents;
        } else if self.indices.len() < INDICES_MAX {
            self.indices.insert(Arc::clone(index), documents);
        } else {
            self.indices_other += documents;
        }
    }

    fn add_sample(&mut self, reason: Malformed, line: &[u8]) {
        let samples = self.samples.entry(reason).or_default();
        // Equal lines teach nothing new.
        if samples.len() < SAMPLES_MAX && !samples.iter().any(|sample| sample == line) {
            samples.push(line[..line.len().min(SAMPLE_BYTES_MAX)].to_vec());
        }
    }
}

/// What became of a source as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// All its lines have an outcome.
    Loaded,
    /// Cut or corrupt: every whole line before the damage has an outcome, what comes after is not read.
    Damaged {
        /// Where the last whole line ends, in decompressed bytes.
        offset: u64,
        /// What is wrong, without a final stop.
        why: String,
    },
    /// Left out on purpose: no access log, or loaded before.
    Skipped {
        /// The reason, without a final stop.
        why: String,
    },
    /// Could not be opened or read on.
    Failed {
        /// The reason, without a final stop.
        why: String,
    },
    /// Was there when it was listed, and no longer when its turn came.
    Gone {
        /// What was seen, without a final stop.
        why: String,
    },
    /// The run ended before it was done.
    Stopped,
}

impl FileStatus {
    /// The word used in the summary and in JSON: `loaded`, `damaged`, `skipped`, `failed`, `gone`, `stopped`.
    pub fn name(&self) -> &'static str {
        match self {
            FileStatus::Loaded => "loaded",
            FileStatus::Damaged { .. } => "damaged",
            FileStatus::Skipped { .. } => "skipped",
            FileStatus::Failed { .. } => "failed",
            FileStatus::Gone { .. } => "gone",
            FileStatus::Stopped => "stopped",
        }
    }

    /// Why it is so, where there is more to say than its name.
    pub fn why(&self) -> Option<&str> {
        match self {
            FileStatus::Loaded | FileStatus::Stopped => None,
            FileStatus::Damaged { why, .. }
            | FileStatus::Skipped { why }
            | FileStatus::Failed { why }
            | FileStatus::Gone { why } => Some(why),
        }
    }
}

/// Which format a file was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatUsed {
    /// Its name, as `--format` takes it.
    pub name: &'static str,
    /// Whether it was guessed from the file's lines.
    pub guessed: bool,
}

/// A last line without line end, left in place because more of it may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedLine {
    /// Where it starts, in decompressed bytes.
    pub offset: u64,
    /// How many bytes of it are there.
    pub bytes: u64,
}

/// What a file was, and what became of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its path or URI as the user would write it; `-` for standard input. Not escaped.
    pub uri: String,
    /// What became of it as a whole.
    pub status: FileStatus,
    /// How it was read. None if nothing was.
    pub format: Option<FormatUsed>,
    /// Where this run began to read it, in decompressed bytes: what comes before was loaded by an earlier run.
    pub resumed_at: u64,
    /// The lines that this run read.
    pub counts: Counts,
    /// A half last line that was left, if there was one.
    pub unfinished: Option<UnfinishedLine>,
    /// What the user should know besides, one sentence each without a final stop ("looks like an Apache error log").
    pub notes: Vec<String>,
}

impl FileReport {
    /// A file of which nothing was read yet; `Stopped` until somebody knows better.
    pub fn new(uri: impl Into<String>) -> FileReport {
        FileReport {
            uri: uri.into(),
            status: FileStatus::Stopped,
            format: None,
            resumed_at: 0,
            counts: Counts::default(),
            unfinished: None,
            notes: Vec::new(),
        }
    }

    /// Whether the file's counts agree. Only a file that was stopped or failed may have unsettled lines.
    pub fn law_holds(&self) -> bool {
        let complete = matches!(self.status, FileStatus::Loaded | FileStatus::Damaged { .. });
        self.counts.law_holds() && !(complete && self.counts.unsettled > 0)
    }
}

/// Sources by what became of them. `named = loaded + skipped + failed + gone + stopped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Sources that the user's words came to, as whoever lists them counted.
    pub named: u64,
    /// All lines have an outcome.
    pub loaded: u64,
    /// Left out on purpose.
    pub skipped: u64,
    /// Could not be read, or not to the end.
    pub failed: u64,
    /// Part of `failed`: damaged files, loaded up to the damage.
    pub damaged: u64,
    /// No longer there when their turn came.
    pub gone: u64,
    /// The run ended before them, or in the middle of them.
    pub stopped: u64,
}

impl SourceCounts {
    /// Whether each source named has become something.
    pub fn law_holds(&self) -> bool {
        self.named == self.loaded + self.skipped + self.failed + self.gone + self.stopped
    }

    fn count(&mut self, status: &FileStatus) {
        match status {
            FileStatus::Loaded => self.loaded += 1,
            FileStatus::Damaged { .. } => {
                self.failed += 1;
                self.damaged += 1;
            }
            FileStatus::Skipped { .. } => self.skipped += 1,
            FileStatus::Failed { .. } => self.failed += 1,
            FileStatus::Gone { .. } => self.gone += 1,
            FileStatus::Stopped => self.stopped += 1,
        }
    }
}

/// How a run came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All sources were gone through.
    Complete,
    /// By a signal, named here (`SIGINT`).
    Interrupted(&'static str),
    /// Whoever read our standard output has gone: a clean end.
    OutputClosed,
    /// The sink, a limit, a ledger or a stage ended it. The error's kind tells whether it can go on later.
    Failed(Error),
}

impl Ended {
    /// The word used in JSON: `complete`, `interrupted`, `output_closed`, `stopped` (can go on later), `failed`.
    pub fn name(&self) -> &'static str {
        match self {
            Ended::Complete => "complete",
            Ended::Interrupted(_) => "interrupted",
            Ended::OutputClosed => "output_closed",
            Ended::Failed(error) if error.kind == crate::error::Kind::Stopped => "stopped",
            Ended::Failed(_) => "failed",
        }
    }
}

/// What the sink did to get the documents there. All zero where there is no server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Requests that carried documents, retries included.
    pub requests: u64,
    /// Requests that were sent again, whole or in part.
    pub retries: u64,
    /// Documents that were sent again.
    pub documents_resent: u64,
    /// Bytes of request bodies sent, compressed where they were, retries included.
    pub bytes_sent: u64,
    /// Seconds in which the cluster made the whole run wait.
    pub paused_seconds: f64,
    /// Writers at work when the run ended.
    pub writers: u32,
    /// Upper limit of a body's bytes when the run ended.
    pub body_bytes: u64,
}

/// Files read as one format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatFiles {
    /// How many.
    pub files: u64,
    /// How many of them by guess.
    pub guessed: u64,
}

/// The report of a run: complete or not, there always is one.
#[derive(Debug)]
pub struct Report {
    /// How the run came to its end.
    pub ended: Ended,
    /// The run's number in the ledger, if one is kept.
    pub run: Option<i64>,
    /// Sources by what became of them. `named` is set by whoever lists them, the others by [`Report::add_file`].
    pub sources: SourceCounts,
    /// The sums of all files.
    pub counts: Counts,
    /// Files by the format they were read as.
    pub formats: BTreeMap<&'static str, FormatFiles>,
    /// How long the run took.
    pub seconds: f64,
    /// What the sink did.
    pub traffic: Traffic,
    /// The first [`PROBLEMS_MAX`] files with something to tell, without their samples and indices.
    pub problems: Vec<FileReport>,
    /// How many files have something to tell.
    pub problems_total: u64,
    /// The first [`PROBLEMS_MAX`] files that were left out on purpose; apart, so that a night in which a thousand old
    /// files are skipped does not hide the one that is damaged. `sources.skipped` counts all.
    pub skipped: Vec<FileReport>,
    /// Files with a half last line that was left.
    pub unfinished_files: u64,
    /// Files in which more than `max_malformed` of the lines are malformed.
    pub malformed_files: u64,
    /// Files whose own law is broken: our mistake, and then nothing is promised.
    pub law_broken_files: u64,
    /// What the user should know besides, one sentence each without a final stop ("each line is sent at least once").
    pub notes: Vec<String>,
    /// Which part of a file's lines may be malformed without exit code 3: 0 to 1.
    pub max_malformed: f64,
    /// All files' reports for `--json`. None where nobody wants them.
    pub files: Option<FilesSpool>,
}

impl Report {
    /// A run that has done nothing yet. `max_malformed` (0 to 1) is the part of a file's lines that may be malformed
    /// without exit code 3; `files` keeps every file's report for `--json`.
    pub fn new(max_malformed: f64, files: Option<FilesSpool>) -> Report {
        Report {
            ended: Ended::Complete,
            run: None,
            sources: SourceCounts::default(),
            counts: Counts::default(),
            formats: BTreeMap::new(),
            seconds: 0.0,
            traffic: Traffic::default(),
            problems: Vec::new(),
            problems_total: 0,
            skipped: Vec::new(),
            unfinished_files: 0,
            malformed_files: 0,
            law_broken_files: 0,
            notes: Vec::new(),
            max_malformed,
            files,
        }
    }

    /// Adds a file that is done with, well or not. Each source named comes here once.
    pub fn add_file(&mut self, mut file: FileReport) {
        self.sources.count(&file.status);
        self.counts.add(&file.counts);
        if let Some(format) = file.format {
            let files = self.formats.entry(format.name).or_default();
            files.files += 1;
            files.guessed += u64::from(format.guessed);
        }
        if let Some(spool) = &mut self.files {
            spool.push(&file);
        }

        let too_malformed = file.counts.malformed_share() > self.max_malformed;
        let law_broken = !file.law_holds();
        self.malformed_files += u64::from(too_malformed);
        self.law_broken_files += u64::from(law_broken);
        self.unfinished_files += u64::from(file.unfinished.is_some());

        let to_tell = match &file.status {
            FileStatus::Skipped { .. } => false,
            // Of a run that ended early there may be many that it never came to; their number tells enough.
            FileStatus::Stopped => file.counts.lines_read > 0,
            FileStatus::Damaged { .. } | FileStatus::Failed { .. } | FileStatus::Gone { .. } => true,
            FileStatus::Loaded => too_malformed || law_broken || file.unfinished.is_some() || !file.notes.is_empty(),
        };
        // A thousand times all samples would be most of the memory that a run may take.
        file.counts.samples = BTreeMap::new();
        file.counts.indices = BTreeMap::new();
        file.notes.truncate(NOTES_MAX);
        if let FileStatus::Skipped { .. } = file.status {
            if self.skipped.len() < PROBLEMS_MAX {
                self.skipped.push(file);
            }
        } else if to_tell {
            self.problems_total += 1;
            if self.problems.len() < PROBLEMS_MAX {
                self.problems.push(file);
            }
        }
    }

    /// Something could not be done at the end. The first failure stays.
    pub fn failed(&mut self, error: Error) {
        match self.ended {
            Ended::Complete | Ended::OutputClosed => self.ended = Ended::Failed(error),
            Ended::Interrupted(_) | Ended::Failed(_) => self.note(error.to_string()),
        }
    }

    /// Adds something the user should know. Beyond [`NOTES_MAX`] no more are kept, nor is one told twice.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Both laws, for the run and for each of its files.
    pub fn law_holds(&self) -> bool {
        self.counts.law_holds()
            && self.law_broken_files == 0
            && self.sources.law_holds()
            && (self.counts.unsettled == 0 || self.ended != Ended::Complete || self.sources.failed > 0)
    }

    /// The process's exit code, by precedence: 2 wrong usage, 130 interrupted, 4 stopped early and can go on,
    /// 1 something could not be done (or a law is broken), 3 lines were rejected or a file is malformed beyond the
    /// limit, 0 all accounted for.
    pub fn exit_code(&self) -> u8 {
        use crate::error::Kind;
        match &self.ended {
            Ended::Failed(error) if error.kind == Kind::Usage => return 2,
            Ended::Interrupted(_) => return 130,
            Ended::Failed(error) if error.kind == Kind::Stopped => return 4,
            Ended::Failed(_) => return 1,
            Ended::Complete | Ended::OutputClosed => {}
        }
        let spool_failed = self.files.as_ref().is_some_and(|files| files.error().is_some());
        if self.sources.failed > 0 || self.sources.gone > 0 || !self.law_holds() || spool_failed {
            1
        } else if self.counts.outcomes.rejected > 0 || self.malformed_files > 0 {
            3
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one thousand lines of one hundred bytes, all indexed.
    fn loaded() -> FileReport {
        let mut file = FileReport::new("a.log");
        file.status = FileStatus::Loaded;
        file.counts.lines_read = 1000;
        file.counts.bytes_read = 100_000;
        file.counts.bytes_settled = 100_000;
        file.counts.tally.documents = 1000;
        file.counts.outcomes.indexed = 1000;
        file
    }

    fn report(files: impl IntoIterator<Item = FileReport>) -> Report {
        let mut report = Report::new(0.1, None);
        for file in files {
            report.sources.named += 1;
            report.add_file(file);
        }
        report
    }

    fn with(change: impl FnOnce(&mut FileReport)) -> FileReport {
        let mut file = loaded();
        change(&mut file);
        file
    }

    #[test]
    fn a_lost_line_breaks_the_law() {
        assert!(loaded().law_holds());
        type Change = fn(&mut FileReport);
        let broken: &[(&str, Change)] = &[
            ("a line without outcome", |file| file.counts.lines_read += 1),
            ("an outcome without line", |file| file.counts.outcomes.rejected += 1),
            ("a document without outcome", |file| file.counts.tally.documents += 1),
            ("bytes without receipt", |file| file.counts.bytes_settled -= 1),
            ("a loaded file with unsettled lines", |file| {
                file.counts.lines_read += 1;
                file.counts.unsettled += 1;
            }),
        ];
        for (what, change) in broken {
            let file = with(change);
            assert!(!file.law_holds(), "{what}");
            let report = report([loaded(), file]);
            assert!(!report.law_holds(), "{what}");
            assert_eq!(report.exit_code(), 1, "{what}");
        }
        let mut report = report([loaded()]);
        report.sources.named += 1;
        assert!(!report.law_holds(), "a source that became nothing");
    }

    #[test]
    fn two_mistakes_that_cancel_out_still_show() {
        let more = with(|file| file.counts.lines_read += 1);
        let less = with(|file| file.counts.lines_read -= 1);
        assert!(!report([more, less]).law_holds());
    }

    #[test]
    fn exit_codes_by_precedence() {
        fn stopped(file: &mut FileReport) {
            file.status = FileStatus::Stopped;
            file.counts.lines_read += 5;
            file.counts.unsettled = 5;
        }
        fn failed(file: &mut FileReport) {
            *file = FileReport::new("missing.log");
            file.status = FileStatus::Failed { why: "no such file".into() };
        }
        fn rejected(file: &mut FileReport) {
            file.counts.outcomes.indexed -= 1;
            file.counts.outcomes.rejected += 1;
        }
        fn malformed(file: &mut FileReport) {
            file.counts.tally.documents -= 101;
            file.counts.outcomes.indexed -= 101;
            file.counts.tally.malformed.insert(Malformed::TooLong, 101);
        }
        let ends = [
            (Ended::Failed(Error::usage("wrong")), 2),
            (Ended::Interrupted("SIGINT"), 130),
            (Ended::Failed(Error::stopped("disk full")), 4),
            (Ended::Failed(Error::failed("no server")), 1),
        ];
        for (ended, code) in ends {
            let mut report = report([with(stopped), with(failed), with(rejected), with(malformed)]);
            report.ended = ended;
            assert!(report.law_holds());
            assert_eq!(report.exit_code(), code);
        }
        assert_eq!(report([with(failed), with(rejected), with(malformed)]).exit_code(), 1);
        assert_eq!(report([with(|file| file.status = FileStatus::Gone { why: "gone".into() })]).exit_code(), 1);
        assert_eq!(
            report([with(|file| file.status = FileStatus::Damaged { offset: 7, why: "cut".into() })]).exit_code(),
            1
        );
        assert_eq!(report([with(rejected)]).exit_code(), 3);
        assert_eq!(report([loaded(), with(malformed)]).exit_code(), 3);
        assert_eq!(report([loaded()]).exit_code(), 0);
        assert_eq!(report([]).exit_code(), 0);
        let mut closed = report([with(stopped)]);
        closed.ended = Ended::OutputClosed;
        assert_eq!(closed.exit_code(), 0);
    }

    #[test]
    fn the_limit_of_malformed_lines_is_a_file_s_own_and_leaves_out_blanks() {
        let file = |malformed, blank| {
            with(|file| {
                file.counts.tally.malformed.insert(Malformed::TooLong, malformed);
                file.counts.tally.blank = blank;
                file.counts.tally.documents = 1000 - malformed - blank;
                file.counts.outcomes.indexed = 1000 - malformed - blank;
            })
        };
        assert_eq!(report([file(100, 0)]).exit_code(), 0);
        assert_eq!(report([file(101, 0)]).exit_code(), 3);
        assert_eq!(report([file(60, 500)]).exit_code(), 3);
        assert_eq!(report([file(0, 1000)]).exit_code(), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut report = Report::new(0.1, None);
        for n in 0..PROBLEMS_MAX as u64 + 5 {
            let mut file = with(|file| file.notes.push("looks odd".into()));
            file.counts.indices.extend((0..8).map(|m| (Arc::from(format!("index-{}", n * 8 + m)), 125)));
            file.counts.samples.insert(Malformed::TooLong, vec![n.to_string().into_bytes(); 9]);
            report.add_file(file);
        }
        assert_eq!((report.problems.len(), report.problems_total), (PROBLEMS_MAX, PROBLEMS_MAX as u64 + 5));
        assert!(report.problems.iter().all(|file| file.counts.samples.is_empty() && file.counts.indices.is_empty()));
        assert_eq!(report.counts.samples[&Malformed::TooLong], [b"0", b"1", b"2"]);
        let by_index: u64 = report.counts.indices.values().sum();
        assert_eq!(by_index + report.counts.indices_other, report.counts.outcomes.indexed);
    }
}
