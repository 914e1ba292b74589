//! [`Collector`]: events add up to a [`FileReport`] per file and the [`Report`] of the run.
//!
//! It runs in the caller's thread, so whoever called learns of each moved watermark before anybody else can build on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::coverage::{Coverage, Mark};
use super::dead_letters;
use super::event::{Close, Event, Opening};
use super::lines_file::LinesFile;
use super::progress::Counters;
use super::receipt::{DeadLetter, FileId, Receipt};
use super::totals::{FileReport, FileStatus, FormatUsed, Report};
use crate::error::{Error, Result};
use crate::escape;
use crate::pipeline::source::OpenFile;
use crate::pipeline::stop::{Reason, Stop};

/// What the caller is told while the run goes on. An error ends the run.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A file's watermark moved.
    Watermark(FileProgress<'a>),
    /// A file is done with, well or not.
    Done(FileProgress<'a>),
    /// A source that was never read is done with: left out, or not to be opened.
    NotOpened(&'a FileReport),
    /// Some time has passed: a good moment to tell how it goes.
    Tick(Counters),
}

/// How far a file has come.
#[derive(Clone, Copy, Debug)]
pub struct FileProgress<'a> {
    /// The file.
    pub file: &'a OpenFile,
    /// All lines before this place are settled.
    pub watermark: &'a Mark,
    /// The same without a half last line: where a later run goes on if the file has grown.
    pub whole_lines: &'a Mark,
    /// What this run made of it so far, lines beyond the watermark included.
    pub report: &'a FileReport,
    /// Indices that have documents of it, at most 1,000. One whose documents were all refused may not even be there.
    pub indices: &'a BTreeSet<Arc<str>>,
}

/// How often [`Progress::Tick`] comes while nothing else is due.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// When there are no more events, a nap lets others gather. Short against the time in which readers could use up all
/// tickets, which come back this way.
const NAP: Duration = Duration::from_micros(200);

/// Adds up events.
pub struct Collector<F> {
    report: Report,
    open: HashMap<FileId, Open>,
    keep: Keep,
    /// Bytes of lines to keep that wait for their file's watermark.
    waiting_bytes: usize,
    /// Documents rejected in this run, of so many.
    rejected: u64,
    documents: u64,
    on_progress: F,
    stored_bytes_done: u64,
    ticked: Instant,
}

/// What is kept of lines that became no document in the index, and how many of them are too many.
#[derive(Debug, Default)]
pub struct Keep {
    /// Takes lines that are no access-log lines.
    pub malformed: Option<LinesFile>,
    /// Takes documents that were refused for good.
    pub dead_letters: Option<LinesFile>,
    /// The ingest pipeline that documents are sent through, for the dead letters.
    pub pipeline: Option<String>,
    /// The run stops when more documents are rejected than this number *and* than this part (0 to 1) of all.
    pub rejected_max: Option<(u64, f64)>,
    /// Whether documents of streams that begin at their start are this run's own where they are there already: it was
    /// interrupted before anything of them was stored. Else it is known file by file, and by place.
    pub confirms_streams: bool,
    /// Whether nothing is ever confirmed: where ids are made of content, what is there may be anybody's equal line.
    pub never_confirms: bool,
}

/// Lines to keep wait for the watermark, so that a run that goes on later finds in the files exactly what lies before
/// it. Where one batch is stuck and thousands of others go by, memory comes first: beyond this many bytes they are
/// written at once, and a later part of the run may write them again.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How many of a file's indices are remembered. Beyond that a deleted index may go unnoticed.
const INDICES_MAX: usize = 1000;
/// How much of OpenSearch's reason a note tells, in characters.
const REASON_WIDTH_MAX: usize = 240;

/// Lines of one receipt that are to be kept.
#[derive(Debug, Default)]
struct Kept {
    malformed: Vec<u8>,
    dead_letters: Vec<u8>,
}

impl Keep {
    /// Takes out of a receipt what is to be kept.
    fn take(&self, receipt: &mut Receipt, uri: &str) -> Kept {
        let mut dead_letters = Vec::new();
        if self.dead_letters.is_some() && !receipt.dead_letters.is_empty() {
            let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            for letter in &receipt.dead_letters {
                dead_letters::write(&mut dead_letters, uri, letter, &time, self.pipeline.as_deref());
            }
        }
        Kept { malformed: std::mem::take(&mut receipt.malformed_ndjson), dead_letters }
    }

    fn write(&self, kept: &Kept) -> Result<()> {
        if let Some(file) = &self.malformed {
            file.write(&kept.malformed)?;
        }
        if let Some(file) = &self.dead_letters {
            file.write(&kept.dead_letters)?;
        }
        Ok(())
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.malformed.len() + self.dead_letters.len()
    }
}

/// A file on its way.
struct Open {
    file: Arc<OpenFile>,
    report: FileReport,
    coverage: Coverage,
    close: Option<Close>,
    stored_bytes_read: Arc<AtomicU64>,
    indices: BTreeSet<Arc<str>>,
    /// What is to be kept of lines beyond the watermark, by where their block starts.
    kept: BTreeMap<u64, Kept>,
}

impl Open {
    fn progress(&self) -> FileProgress<'_> {
        let (watermark, whole_lines) = (self.coverage.watermark(), self.coverage.whole_lines());
        FileProgress { file: &self.file, watermark, whole_lines, report: &self.report, indices: &self.indices }
    }
}

impl<F: FnMut(Progress<'_>) -> Result<()>> Collector<F> {
    /// Collects into `report`.
    pub fn new(report: Report, keep: Keep, on_progress: F) -> Collector<F> {
        Collector {
            report,
            open: HashMap::new(),
            keep,
            waiting_bytes: 0,
            rejected: 0,
            documents: 0,
            on_progress,
            stored_bytes_done: 0,
            ticked: Instant::now(),
        }
    }

    /// Takes events until nobody can send any more. An error (a full disk, a failed ledger) stops the run, but the
    /// events still on their way are taken: the report tells what happened to every line all the same.
    pub fn collect(&mut self, events: &Receiver<Event>, stop: &Stop) {
        let mut busy = false;
        loop {
            // Many events at a time are cheaper than one: who sends to somebody who waits must wake them up.
            let event = events.try_recv().or_else(|_| {
                if std::mem::take(&mut busy) {
                    thread::sleep(NAP);
                }
                events.recv_timeout(TICK_EVERY)
            });
            let taken = match event {
                Ok(event) => {
                    busy = true;
                    self.take(event)
                }
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = taken.and_then(|()| self.tick()) {
                stop.raise(Reason::Failed(error));
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Named => self.report.sources.named += 1,
            Event::NotOpened(file) => {
                let told = (self.on_progress)(Progress::NotOpened(&file));
                self.report.add_file(*file);
                told?;
            }
            Event::Opened(opening) => self.opened(opening),
            Event::Read { file, range, lines, end } => {
                let open = self.open.get_mut(&file).expect("a file is opened before it is read");
                open.report.counts.lines_read += lines;
                open.report.counts.bytes_read += range.end - range.start;
                open.coverage.read(range, lines, end);
            }
            Event::Settled(receipt, _ticket) => self.settled(*receipt)?,
            Event::Closed(close) => {
                let id = close.file;
                self.open.get_mut(&id).expect("a file is opened before it is closed").close = Some(close);
                self.done_if_complete(id)?;
            }
            Event::Several(events) => {
                // All are taken, whatever goes wrong with one of them.
                let mut all = Ok(());
                for event in events {
                    let taken = self.take(event);
                    all = all.and(taken);
                }
                return all;
            }
        }
        Ok(())
    }

    fn opened(&mut self, Opening { file, notes, stored_bytes_read, .. }: Opening) {
        let mut report = FileReport::new(&file.facts.uri);
        report.notes = notes;
        let coverage = match &file.start {
            Some(start) => {
                report.resumed_at = start.mark.offset;
                report.notes.extend(start.notes.iter().cloned());
                Coverage::from(start.mark)
            }
            None => Coverage::default(),
        };
        let (indices, kept) = (BTreeSet::new(), BTreeMap::new());
        self.open.insert(file.id, Open { file, report, coverage, close: None, stored_bytes_read, indices, kept });
    }

    fn settled(&mut self, mut receipt: Receipt) -> Result<()> {
        let open = self.open.get_mut(&receipt.file).expect("a file is opened before it is settled");
        if open.file.start.is_none() && self.keep.confirms_streams {
            receipt.outcomes.confirm_duplicates();
        }
        if self.keep.never_confirms {
            let confirmed = std::mem::take(&mut receipt.outcomes.confirmed);
            receipt.outcomes.indexed -= confirmed;
            receipt.outcomes.duplicate += confirmed;
        }
        if receipt.outcomes.indexed + receipt.outcomes.duplicate > 0 && open.indices.len() < INDICES_MAX {
            let took_some = |(index, documents): &&(Arc<str>, u64)| {
                if receipt.dead_letters.is_empty() {
                    return *documents > 0;
                }
                let action = format!("{{\"create\":{{\"_index\":\"{index}\"");
                let refused =
                    receipt.dead_letters.iter().filter(|letter| letter.document.starts_with(action.as_bytes()));
                refused.count() as u64 != *documents
            };
            open.indices.extend(receipt.indices.iter().filter(took_some).map(|(index, _)| Arc::clone(index)));
        }
        open.report.counts.add_receipt(&receipt);
        let moved = open.coverage.settle(&receipt);
        if self.rejected == 0
            && let Some(letter) = receipt.dead_letters.first()
        {
            self.report.note(first_rejected(letter, &open.report.uri));
        }
        self.rejected += receipt.outcomes.rejected;
        self.documents += receipt.outcomes.documents();
        let kept = self.keep.take(&mut receipt, &open.report.uri);
        if kept.bytes() > 0 {
            self.waiting_bytes += kept.bytes();
            open.kept.insert(receipt.range.start, kept);
        }
        let watermark = open.coverage.watermark().offset;
        self.write_kept(receipt.file, watermark)?;
        if self.waiting_bytes > WAITING_BYTES_MAX {
            let files: Vec<FileId> = self.open.keys().copied().collect();
            for file in files {
                self.write_kept(file, u64::MAX)?;
            }
        }
        if moved {
            (self.on_progress)(Progress::Watermark(self.open[&receipt.file].progress()))?;
        }
        self.done_if_complete(receipt.file)?;
        match self.keep.rejected_max {
            Some((most, share)) if self.rejected > most && self.rejected as f64 > share * self.documents as f64 => {
                Err(Error::stopped(format!("{} of {} documents were rejected", self.rejected, self.documents))
                    .hint("see why in the dead letters; --max-rejected sets the limit"))
            }
            _ => Ok(()),
        }
    }

    /// Writes what is to be kept of a file's lines before `watermark`.
    fn write_kept(&mut self, file: FileId, watermark: u64) -> Result<()> {
        let open = self.open.get_mut(&file).expect("a file with lines to keep is open");
        while let Some(first) = open.kept.first_entry()
            && *first.key() < watermark
        {
            let kept = first.remove();
            self.waiting_bytes -= kept.bytes();
            self.keep.write(&kept)?;
        }
        Ok(())
    }

    fn done_if_complete(&mut self, id: FileId) -> Result<()> {
        let open = &self.open[&id];
        match &open.close {
            Some(close) if open.coverage.is_complete(close.end) => {
                let mut open = self.open.remove(&id).expect("looked at just now");
                self.finish_file(&mut open);
                self.done(open)
            }
            _ => Ok(()),
        }
    }

    /// Ends a file's report once nothing more can come.
    fn finish_file(&mut self, open: &mut Open) {
        self.stored_bytes_done += open.stored_bytes_read.load(Ordering::Relaxed);
        let report = &mut open.report;
        report.format = Some(FormatUsed { name: open.file.facts.format().as_str(), guessed: open.file.facts.guessed });
        if let Some(close) = open.close.take() {
            report.status = close.status;
            report.unfinished = close.unfinished;
        }
    }

    fn done(&mut self, open: Open) -> Result<()> {
        let told = (self.on_progress)(Progress::Done(open.progress()));
        self.report.add_file(open.report);
        told
    }

    fn tick(&mut self) -> Result<()> {
        if self.ticked.elapsed() < TICK_EVERY {
            return Ok(());
        }
        self.ticked = Instant::now();
        let mut now = Counters {
            lines: self.report.counts.lines_settled(),
            bytes: self.report.counts.bytes_settled,
            stored_bytes: self.stored_bytes_done,
            files_done: self.report.sources.named - self.open.len() as u64,
            files_named: self.report.sources.named,
        };
        for open in self.open.values() {
            now.lines += open.report.counts.lines_settled();
            now.bytes += open.report.counts.bytes_settled;
            now.stored_bytes += open.stored_bytes_read.load(Ordering::Relaxed);
        }
        (self.on_progress)(Progress::Tick(now))
    }

    /// The report, once all events are taken. `stopped`: the run was told to end, so lines may have been given up;
    /// otherwise a line without a receipt breaks the law.
    pub fn finish(mut self, stopped: bool) -> Report {
        let mut left: Vec<FileId> = self.open.keys().copied().collect();
        left.sort_unstable();
        for id in left {
            let mut open = self.open.remove(&id).expect("listed just now");
            self.finish_file(&mut open);
            if stopped {
                open.report.counts.unsettled = open.coverage.unsettled_lines();
            }
            if matches!(open.report.status, FileStatus::Loaded | FileStatus::Damaged { .. }) {
                open.report.status = FileStatus::Stopped; // not all of its lines have their receipt
            }
            // Rejected is rejected, also beyond the watermark. A part of the run that goes on meets these lines again.
            let kept = std::mem::take(&mut open.kept);
            let written = kept.values().try_for_each(|kept| self.keep.write(kept));
            if let Err(error) = written.and(self.done(open)) {
                self.report.note(error.to_string());
            }
        }
        for file in [self.keep.malformed.take(), self.keep.dead_letters.take()].into_iter().flatten() {
            let path = file.path().to_owned();
            match file.finish() {
                Ok(0) => {}
                Ok(left_out) => {
                    self.report.note(format!("{left_out} lines were left out of {}: it is full", path.display()));
                }
                Err(error) => self.report.failed(error),
            }
        }
        self.report
    }
}

/// Why the first document was rejected: most others will have the same reason, and whoever sees it here need not open the
/// dead letters.
fn first_rejected(letter: &DeadLetter, uri: &str) -> String {
    let shown = |text: &str| escape::shown_within(text.as_bytes(), REASON_WIDTH_MAX);
    format!(
        "the first document rejected, from byte {} of {}: HTTP {}, {}: {}",
        letter.offset,
        escape::shown(uri.as_bytes()),
        letter.status,
        shown(&letter.error_type),
        shown(&letter.reason)
    )
}
