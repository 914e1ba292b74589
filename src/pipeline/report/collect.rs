//! [`Collector`]: events add up to a [`FileReport`] per file and the [`Report`] of the run.
//!
//! It runs in the caller's thread, so whoever called learns of each moved watermark before anybody else can build on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::coverage::{Coverage, Mark};
use super::event::{Close, Event, Opening};
use super::lines_file::LinesFile;
use super::progress::Counters;
use super::receipt::{FileId, Receipt};
use super::totals::{FileReport, FileStatus, FormatUsed, Report};
use crate::error::{Error, Result};
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
}

/// How often [`Progress::Tick`] comes while nothing else is due.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// Adds up events.
pub struct Collector<F> {
    report: Report,
    open: HashMap<FileId, Open>,
    malformed_file: Option<LinesFile>,
    on_progress: F,
    stored_bytes_done: u64,
    ticked: Instant,
}

/// A file on its way.
struct Open {
    file: Arc<OpenFile>,
    report: FileReport,
    coverage: Coverage,
    close: Option<Close>,
    stored_bytes_read: Arc<AtomicU64>,
}

impl Open {
    fn progress(&self) -> FileProgress<'_> {
        let (watermark, whole_lines) = (self.coverage.watermark(), self.coverage.whole_lines());
        FileProgress { file: &self.file, watermark, whole_lines, report: &self.report }
    }
}

impl<F: FnMut(Progress<'_>) -> Result<()>> Collector<F> {
    /// Collects into `report`; malformed lines go to `malformed_file`.
    pub fn new(report: Report, malformed_file: Option<LinesFile>, on_progress: F) -> Collector<F> {
        Collector {
            report,
            open: HashMap::new(),
            malformed_file,
            on_progress,
            stored_bytes_done: 0,
            ticked: Instant::now(),
        }
    }

    /// Takes events until nobody can send any more. An error (a full disk, a failed ledger) stops the run, but the
    /// events still on their way are taken: the report tells what happened to every line all the same.
    pub fn collect(&mut self, events: &Receiver<Event>, stop: &Stop) {
        loop {
            let taken = match events.recv_timeout(TICK_EVERY) {
                Ok(event) => self.take(event),
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
            Event::Settled(receipt) => self.settled(*receipt)?,
            Event::Closed(close) => {
                let id = close.file;
                self.open.get_mut(&id).expect("a file is opened before it is closed").close = Some(close);
                self.done_if_complete(id)?;
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
        self.open.insert(file.id, Open { file, report, coverage, close: None, stored_bytes_read });
    }

    fn settled(&mut self, mut receipt: Receipt) -> Result<()> {
        if let Some(malformed_file) = &self.malformed_file {
            malformed_file.write(&receipt.malformed_ndjson)?;
        }
        let open = self.open.get_mut(&receipt.file).expect("a file is opened before it is settled");
        if open.file.start.as_ref().is_some_and(|start| start.confirms) {
            receipt.outcomes.confirm_duplicates();
        }
        open.report.counts.add_receipt(&receipt);
        if open.coverage.settle(&receipt) {
            (self.on_progress)(Progress::Watermark(open.progress()))?;
        }
        self.done_if_complete(receipt.file)
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
            if open.report.status == FileStatus::Loaded {
                open.report.status = FileStatus::Stopped; // not all of its lines have their receipt
            }
            if let Err(error) = self.done(open) {
                self.report.note(error.to_string());
            }
        }
        if let Some(malformed_file) = self.malformed_file.take()
            && let Err(error) = malformed_file.finish()
        {
            self.failed(error);
        }
        self.report
    }

    fn failed(&mut self, error: Error) {
        if matches!(self.report.ended, super::totals::Ended::Complete) {
            self.report.ended = super::totals::Ended::Failed(error);
        }
    }
}
