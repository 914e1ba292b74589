//! Letters become batches, and batches become outcomes.
//!
//! One thread reads and fills batches; a few writers deliver them. A batch's blocks carry on their ticket where each of
//! their letters came from, so that one that is rejected again keeps its place in the log. Meanwhile, where a load has
//! lines' offsets in their log, a block has numbers: that of its first letter's line in its file, and from there on the
//! letters' places in the block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::again::Again;
use super::lines::{End, Lines};
use super::totals::{Counts, FileTotals};
use crate::config::{Chosen, ReplayConfig};
use crate::error::{Error, io_reason};
use crate::pipeline::parcel::{Earlier, Parcel};
use crate::pipeline::report::dead_letters::{self, Letter};
use crate::pipeline::report::progress::{Counters, Progress};
use crate::pipeline::report::{DeadLetter, Receipt};
use crate::pipeline::serialize::{Block, Document, Tally};
use crate::pipeline::sink::Destination;
use crate::pipeline::sink::batch::Batch;
use crate::pipeline::sink::bulk_writer::Delivery;
use crate::pipeline::stop::{Reason, Stop};

/// How large a block may become before the next one is begun, in bytes; so many letters share one receipt.
const BLOCK_BYTES: usize = 256 << 10;
/// Lines that are no letters, of which the report tells, for each file.
const UNREADABLE_TOLD: usize = 5;

/// Where a letter came from.
struct Origin {
    source: Arc<str>,
    offset: u64,
    line_bytes: u32,
    /// How often it had been sent before.
    attempts: u32,
}

/// The letters of one block.
struct Letters {
    file: usize,
    /// The number of the first one's line in its file, by which block and receipt know each other.
    first: u64,
    origins: Vec<Origin>,
}

/// Outcomes, as they come from all writers.
struct Outcome<'a> {
    /// For each file: what became of its letters. `read`, `filtered` and `unreadable` stay 0.
    counts: Vec<Counts>,
    again: &'a mut Again,
    /// The pipeline of all requests, where the user named one.
    pipeline: Option<&'a str>,
}

/// Reads all files, sends what is chosen, and adds up what became of it. An error that ends the run is on `stop`.
pub fn send(
    config: &ReplayConfig,
    destination: &Destination<'_>,
    writers: usize,
    again: &mut Again,
    progress: &Progress,
    stop: &Stop,
) -> Vec<FileTotals> {
    let outcome = Mutex::new(Outcome {
        counts: vec![Counts::default(); config.files.len()],
        again,
        pipeline: config.pipeline.as_deref(),
    });
    let mut files = thread::scope(|scope| {
        // Without room of its own: a batch waits where it is filled.
        let (batches_out, batches) = bounded(0);
        for _ in 0..writers {
            let (batches, outcome) = (batches.clone(), &outcome);
            scope.spawn(move || deliver(destination, &batches, outcome, stop));
        }
        drop(batches);
        let mut reader = Reader {
            chosen: &config.chosen,
            keeps_pipelines: config.pipeline.is_none(),
            destination,
            batches: batches_out,
            filling: Filling::default(),
            source: "".into(),
            sent: Counters { files_named: config.files.len() as u64, ..Counters::default() },
            progress,
            stop,
        };
        let files: Vec<FileTotals> =
            (config.files.iter().enumerate()).map(|(number, path)| reader.file(number, path)).collect();
        reader.let_go();
        files
    });
    let counts = outcome.into_inner().unwrap_or_else(PoisonError::into_inner).counts;
    for (file, sent) in files.iter_mut().zip(counts) {
        file.counts.outcomes = sent.outcomes;
        file.counts.unsettled = sent.unsettled;
    }
    files
}

/// Reads files and fills batches.
struct Reader<'a> {
    chosen: &'a Chosen,
    /// Whether each letter goes through the pipeline that it names.
    keeps_pipelines: bool,
    destination: &'a Destination<'a>,
    batches: Sender<Batch<Letters>>,
    filling: Filling,
    /// The last letter's source: the next one is mostly the same.
    source: Arc<str>,
    sent: Counters,
    progress: &'a Progress,
    stop: &'a Stop,
}

/// The batch that is being filled.
#[derive(Default)]
struct Filling {
    batch: Batch<Letters>,
    block: Block,
    letters: Option<Letters>,
    /// A letter on its way into the block.
    line: Vec<u8>,
}

impl Reader<'_> {
    /// Reads one file to its end, or until the run is told to end.
    fn file(&mut self, number: usize, path: &std::path::Path) -> FileTotals {
        let mut totals = FileTotals { path: path.to_owned(), ..FileTotals::default() };
        if self.stop.is_raised() {
            return totals;
        }
        match self.lines(number, path, &mut totals) {
            Ok(complete) => totals.complete = complete,
            Err(error) => totals.failed = Some(io_reason(&error)),
        }
        self.filling.end_block();
        self.sent.files_done += 1;
        totals
    }

    /// Tells whether it came to the end.
    fn lines(&mut self, number: usize, path: &std::path::Path, totals: &mut FileTotals) -> std::io::Result<bool> {
        let mut lines = Lines::open(path)?;
        let mut line = Vec::new();
        let counts = &mut totals.counts;
        while let Some(end) = lines.next(&mut line)? {
            if self.stop.is_raised() {
                return Ok(false);
            }
            if end != End::TooLong && line.trim_ascii().is_empty() {
                continue;
            }
            counts.read += 1;
            let why = match (end, dead_letters::read(&line)) {
                (End::TooLong, _) => "it is too long for a dead letter".to_owned(),
                (_, Ok(letter)) => {
                    if self.chosen.takes(&letter.error_type, &letter.index, &letter.source) {
                        counts.without_id += u64::from(letter.id.is_none());
                        self.push(number, lines.number(), &letter);
                    } else {
                        counts.filtered += 1;
                    }
                    continue;
                }
                (End::File, Err(why)) => format!("{why}; the file ends in the middle of it (a full disk, a kill?)"),
                (End::Newline, Err(why)) => why.to_string(),
            };
            counts.unreadable += 1;
            if totals.unreadable.len() < UNREADABLE_TOLD {
                totals.unreadable.push((lines.number(), why));
            }
        }
        Ok(true)
    }

    /// Adds a letter to the batch, and lets go of the batch once it is full.
    fn push(&mut self, file: usize, number: u64, letter: &Letter<'_>) {
        if *self.source != *letter.source {
            self.source = (&*letter.source).into();
        }
        let origin = Origin {
            source: Arc::clone(&self.source),
            offset: letter.offset,
            line_bytes: letter.line_bytes,
            attempts: letter.attempts,
        };
        let bytes_max = self.destination.body_bytes();
        self.filling.line.clear();
        letter.write_action(self.keeps_pipelines, &mut self.filling.line);
        if self.filling.bytes() + self.filling.line.len() > bytes_max {
            self.let_go();
        }
        self.sent.lines += 1;
        self.sent.bytes += self.filling.line.len() as u64;
        self.filling.push(file, number, origin);
        if self.filling.bytes() >= bytes_max {
            self.let_go();
        }
    }

    /// Hands the batch to the next writer that is free.
    fn let_go(&mut self) {
        self.filling.end_block();
        let batch = std::mem::take(&mut self.filling.batch);
        if !batch.is_empty() {
            self.batches.send(batch).expect("writers work as long as there are batches");
        }
        self.progress.update(&self.sent);
    }
}

impl Filling {
    fn bytes(&self) -> usize {
        self.batch.bytes() + self.block.bytes.len()
    }

    /// Adds the letter in `line` to the block.
    fn push(&mut self, file: usize, number: u64, origin: Origin) {
        let letters = self.letters.get_or_insert_with(|| Letters { file, first: number, origins: Vec::new() });
        assert_eq!(letters.file, file, "a block is ended with its file");
        let place = u32::try_from(letters.origins.len()).expect("a block's bytes are numbered in 32 bits");
        self.block.documents.push(Document {
            start: u32::try_from(self.block.bytes.len()).expect("a block's bytes are numbered in 32 bits"),
            line_start: place, // not a line's, but the letter's
            line_bytes: origin.line_bytes,
        });
        letters.origins.push(origin);
        self.block.bytes.extend_from_slice(&self.line);
        if self.block.bytes.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    /// Puts the block into the batch.
    fn end_block(&mut self) {
        let Some(letters) = self.letters.take() else { return };
        let mut block = std::mem::take(&mut self.block);
        block.tally = Tally { documents: letters.origins.len() as u64, ..Tally::default() };
        self.batch.push(Parcel {
            sequence: 0,
            log: None,
            file: u32::try_from(letters.file).expect("a command line holds no such number of files"),
            range: letters.first..letters.first + letters.origins.len() as u64,
            earlier: Earlier::default(),
            block,
            ticket: letters,
        });
    }
}

/// A writer thread: delivers batches until there are no more.
fn deliver(
    destination: &Destination<'_>,
    batches: &Receiver<Batch<Letters>>,
    outcome: &Mutex<Outcome<'_>>,
    stop: &Stop,
) {
    let mut writer = destination.writer();
    for batch in batches {
        let delivery = writer.deliver(batch);
        let settled = outcome.lock().unwrap_or_else(PoisonError::into_inner).settle(delivery);
        if let Err(error) = settled {
            let error =
                error.hint("make room, or name another file with --dead-letters; the letters stay in their FILE");
            stop.raise(Reason::Failed(error));
        }
    }
}

impl Outcome<'_> {
    /// Counts what became of a batch, and keeps what was rejected again.
    fn settle(&mut self, delivery: Delivery<Letters>) -> Result<(), Error> {
        let mut receipts: HashMap<(u32, u64), Receipt> =
            delivery.receipts.into_iter().map(|receipt| ((receipt.file, receipt.range.start), receipt)).collect();
        let mut kept = Ok(());
        for (_, letters) in delivery.parts {
            let counts = &mut self.counts[letters.file];
            match receipts.remove(&(letters.file as u32, letters.first)) {
                None => counts.unsettled += letters.origins.len() as u64,
                Some(receipt) => {
                    counts.outcomes.add(&receipt.outcomes);
                    let lines = letters.rejected(receipt.dead_letters, self.pipeline);
                    kept = kept.and_then(|()| self.again.write(letters.file, &lines));
                }
            }
        }
        assert!(receipts.is_empty(), "each receipt is for letters that were sent");
        kept
    }
}

impl Letters {
    /// Letters for what was rejected again: with their old places and the new reasons.
    fn rejected(&self, dead: Vec<DeadLetter>, pipeline: Option<&str>) -> Vec<u8> {
        let mut lines = Vec::new();
        if dead.is_empty() {
            return lines;
        }
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        for mut dead in dead {
            let origin = &self.origins[(dead.offset - self.first) as usize];
            dead.offset = origin.offset;
            dead.attempts = dead.attempts.saturating_add(origin.attempts);
            dead_letters::write(&mut lines, &origin.source, &dead, &time, pipeline);
        }
        lines
    }
}
