//! [`Run`]: one load in the ledger, from its first source to its end. It takes what the pipeline tells of its progress
//! and stores it.
//!
//! Watermarks move thousands of times a second, and twenty thousand small files may be done within one; but a disk
//! makes some hundred commits. So progress is gathered and stored a few times a second, all in one transaction: the
//! watermarks, the counts of exactly the lines before them, and the run's sums. A process that is killed loses what it
//! gathered since; the ids make up for that. Before each transaction the dead letters and malformed lines are made
//! durable, and their lengths are stored with it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::params;

use super::choose::{UNTRACKED, encoding_name};
use super::records::{FileRecord, FileState, RunTotals, SELECT_FILES, json, path_bytes, rows};
use super::sent::Sent;
use super::store::{Safe, Store};
use crate::error::{Kind, Result};
use crate::pipeline::report::collect::{FileProgress, Progress};
use crate::pipeline::report::coverage::{Mark, PrefixCounts};
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::receipt::FileId;
use crate::pipeline::report::{Ended, FileStatus, Report};

/// How long progress is gathered, at least, before it is stored.
const STORE_EVERY: Duration = Duration::from_millis(200);
/// How much longer than the last transaction took: a slow disk gets at most a fifth of the time.
const STORE_EVERY_TIMES: u32 = 4;
/// How many files' progress is gathered, at most.
const GATHERED_MAX: usize = 4096;

/// Where a run may be killed by a test, to show that it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPoint {
    /// After the dead letters were made durable, before the watermarks that belong to them are stored.
    BeforeStored,
    /// After watermarks were stored.
    Stored,
}

/// A run in the ledger.
pub struct Run {
    pub(super) store: Store,
    pub(super) id: i64,
    pub(super) destination: i64,
    pub(super) naming: i64,
    /// Whether it was begun with `--again`.
    pub(super) again: bool,
    /// The sums of all parts.
    pub(super) totals: RunTotals,
    /// How many of the seconds are from earlier parts.
    pub(super) seconds_before: f64,
    /// Files on their way.
    pub(super) open: HashMap<FileId, Open>,
    /// What is to be stored next: the newest of each file.
    pub(super) gathered: BTreeMap<FileId, Gathered>,
    pub(super) malformed: Option<(LinesFile, u64)>,
    pub(super) dead_letters: Option<(LinesFile, u64)>,
    pub(super) stored: Instant,
    pub(super) store_every: Duration,
    /// The ledger has failed, which was told: nothing more is stored, so that the run ends soon.
    pub(super) failed: bool,
    /// The uuids of the indices that it writes to, as far as they are known.
    pub(super) index_uuids: HashMap<String, String>,
    pub(super) kill_at: Option<(KillPoint, u64)>,
    pub(super) transactions: u64,
}

/// What was told of a file so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    /// Its row; none yet for a stream.
    row: Option<i64>,
    /// What of it is in the run's sums.
    summed: PrefixCounts,
    summed_bytes: u64,
}

/// A file's progress, to be stored.
#[derive(Debug)]
pub(super) struct Gathered {
    row: Option<i64>,
    whole: Mark,
    reached: Mark,
    indices: Vec<String>,
    unfinished: u64,
    done: Option<(FileState, Option<String>)>,
    /// For a stream, which gets its row with its first progress.
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    identity: [u8; 8],
    first_line: Option<u64>,
    path: PathBuf,
    encoding: &'static str,
}

impl Run {
    /// Its number, to be told to the user: `--resume` takes it.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// What it has done so far, in all its parts.
    pub fn totals(&self) -> &RunTotals {
        &self.totals
    }

    /// A file of the run's own beside the ledger: `run-7.malformed.ndjson`.
    pub fn path_beside(&self, what: &str) -> PathBuf {
        self.store.path().with_file_name(format!("run-{}.{what}.ndjson", self.id))
    }

    /// Watermarks are stored only when what these files hold of malformed lines and rejected documents is safe on disk.
    /// Each comes with the length that it had when the run began; what follows is the run's own.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn keep(&mut self, malformed: Option<(LinesFile, u64)>, dead_letters: Option<(LinesFile, u64)>) -> Result<()> {
        (self.malformed, self.dead_letters) = (malformed, dead_letters);
        // Known before the first line is written, so that a kill before the first watermark leaves nothing behind.
        self.store_run(|_| Ok(()))
    }

    fn store_run(
        &self,
        and: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<(), super::store::Trouble>,
    ) -> Result<()> {
        let malformed_bytes = synced(&self.malformed)?;
        let dead_letters_bytes = synced(&self.dead_letters)?;
        self.store.write(Safe::OnDisk, |transaction| {
            self.update_run(transaction, malformed_bytes, dead_letters_bytes)?;
            and(transaction)
        })
    }

    /// What is to hear of documents before they are sent; see
    /// [`Destination::telling`](crate::pipeline::sink::Destination::telling).
    pub fn sent(&self) -> Sent {
        Sent { store: self.store.clone() }
    }

    /// A test aid: kills this process at the n-th passing (from 1) of a point.
    pub fn kill_at(&mut self, point: KillPoint, nth: u64) {
        self.kill_at = Some((point, nth));
    }

    /// Takes what the pipeline tells, and stores it from time to time.
    ///
    /// # Errors
    /// If the ledger or a file beside it cannot be written. It says so once.
    pub fn progress(&mut self, progress: &Progress<'_>) -> Result<()> {
        match progress {
            Progress::Watermark(file) => self.gather(file, None)?,
            Progress::Done(file) => {
                let done = match &file.report.status {
                    FileStatus::Loaded if file.report.law_holds() => (FileState::Complete, None),
                    FileStatus::Damaged { why, .. } if file.report.law_holds() => {
                        (FileState::Damaged, Some(why.clone()))
                    }
                    _ => (FileState::InProgress, None),
                };
                self.totals.loaded += u64::from(file.report.status == FileStatus::Loaded);
                self.gather(file, Some(done))?;
                self.open.remove(&file.file.id);
            }
            Progress::NotOpened(_) | Progress::Tick(_) => {}
        }
        let is_time = self.stored.elapsed() >= self.store_every || self.gathered.len() >= GATHERED_MAX;
        if is_time { self.store() } else { Ok(()) }
    }

    fn gather(&mut self, progress: &FileProgress<'_>, done: Option<(FileState, Option<String>)>) -> Result<()> {
        let FileProgress { file, watermark, whole_lines, report, indices } = progress;
        let start = file.start.as_ref();
        let open =
            self.open.entry(file.id).or_insert_with(|| Open { row: start.map(|start| start.tag), ..Open::default() });
        let began = start.map_or_else(Mark::default, |start| start.mark);
        let finished = done.as_ref().is_some_and(|(state, _)| *state != FileState::InProgress);
        // A half last line is settled for this run; the file's own counts leave it out until the file has grown.
        let (counts, bytes) = match finished {
            true => (PrefixCounts::of_settled(&report.counts), watermark.offset - began.offset),
            false => (whole_lines.counts.since(&began.counts), whole_lines.offset - began.offset),
        };
        self.totals.counts.add(&counts.since(&open.summed));
        self.totals.bytes_read += bytes - open.summed_bytes;
        (open.summed, open.summed_bytes) = (counts, bytes);

        match open.row {
            Some(UNTRACKED) => return Ok(()),
            Some(part) if part < UNTRACKED => {
                return match done {
                    Some((FileState::Damaged, Some(why))) => self.part_is_damaged(-part, watermark.offset, &why),
                    _ => Ok(()),
                };
            }
            _ => {}
        }
        let stream = open.row.is_none().then(|| Stream {
            identity: file.identity,
            first_line: file.first_line,
            path: PathBuf::from(&report.uri),
            encoding: encoding_name(file.encoding),
        });
        let indices = indices.iter().map(ToString::to_string).collect();
        let unfinished = report.unfinished.map_or(0, |line| line.bytes);
        let (whole, reached) = (**whole_lines, **watermark);
        self.gathered.insert(file.id, Gathered { row: open.row, whole, reached, indices, unfinished, done, stream });
        Ok(())
    }

    /// Remembers where a file is damaged that holds nothing new, so that it is not read and reported every night.
    fn part_is_damaged(&mut self, part: i64, offset: u64, why: &str) -> Result<()> {
        if self.failed {
            return Ok(());
        }
        let stored = self.store.write(Safe::OnDisk, |transaction| {
            let sql = "UPDATE parts SET damage = ?, why = ? WHERE id = ?";
            transaction.execute(sql, params![offset as i64, why, part])?;
            Ok(())
        });
        self.failed = stored.is_err();
        stored
    }

    /// Stores what was gathered, and comes back when it is safe. For whoever has to promise something: that a message
    /// may be deleted, say.
    ///
    /// # Errors
    /// As [`Run::progress`].
    pub fn store(&mut self) -> Result<()> {
        if self.gathered.is_empty() || self.failed {
            return Ok(());
        }
        let began = Instant::now();
        let stored = self.store_gathered();
        self.failed = stored.is_err();
        self.stored = Instant::now();
        self.store_every = STORE_EVERY.max((self.stored - began) * STORE_EVERY_TIMES);
        stored
    }

    fn store_gathered(&mut self) -> Result<()> {
        let malformed_bytes = synced(&self.malformed)?;
        let dead_letters_bytes = synced(&self.dead_letters)?;
        self.transactions += 1;
        self.may_be_killed(KillPoint::BeforeStored);
        let made = self.store.write(Safe::OnDisk, |transaction| {
            let mut made = Vec::new();
            for (id, gathered) in &self.gathered {
                let Gathered { row, whole, reached, indices, unfinished, done, stream } = gathered;
                let row = match (row, stream) {
                    (Some(row), _) => *row,
                    (None, Some(stream)) => {
                        let row = self.insert_stream(transaction, stream)?;
                        made.push((*id, row));
                        row
                    }
                    (None, None) => unreachable!("what is no stream has its row"),
                };
                let (state, why) = match done {
                    Some((state, why)) => (*state, why.as_deref()),
                    None => (FileState::InProgress, None),
                };
                // What an earlier part sent to other indices counts as well.
                let known: Option<(String, String)> = transaction
                    .prepare_cached("SELECT indices, index_uuids FROM files WHERE id = ?")?
                    .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
                    .ok();
                let (known, known_uuids) = known.unwrap_or_default();
                let mut all: Vec<String> = serde_json::from_str(&known).unwrap_or_default();
                all.extend(indices.iter().cloned());
                all.sort_unstable();
                all.dedup();
                let mut uuids: BTreeMap<&str, &str> = serde_json::from_str(&known_uuids).unwrap_or_default();
                uuids.extend(
                    all.iter().filter_map(|index| Some((index.as_str(), self.index_uuids.get(index)?.as_str()))),
                );
                transaction
                    .prepare_cached(
                        "UPDATE files SET watermark = ?, tail = ?, counts = ?, reached = ?, reached_tail = ?,
                            unfinished = ?, indices = ?, index_uuids = ?, state = ?, why = ?, run = ?,
                            claim = CASE WHEN ? THEN NULL ELSE claim END
                         WHERE id = ?",
                    )?
                    .execute(params![
                        whole.offset as i64,
                        whole.tail as i64,
                        json(&whole.counts),
                        reached.offset as i64,
                        reached.tail as i64,
                        *unfinished as i64,
                        json(&all),
                        json(&uuids),
                        state.name(),
                        why,
                        self.id,
                        done.is_some(),
                        row,
                    ])?;
            }
            self.update_run(transaction, malformed_bytes, dead_letters_bytes)?;
            Ok(made)
        })?;
        for (id, row) in made {
            if let Some(open) = self.open.get_mut(&id) {
                open.row = Some(row);
            }
        }
        self.gathered.clear();
        self.may_be_killed(KillPoint::Stored);
        Ok(())
    }

    fn update_run(
        &self,
        transaction: &rusqlite::Transaction<'_>,
        malformed_bytes: u64,
        dead_letters_bytes: u64,
    ) -> Result<(), super::store::Trouble> {
        let path = |kept: &Option<(LinesFile, u64)>| kept.as_ref().map(|(file, _)| path_bytes(file.path()).to_vec());
        let from = |kept: &Option<(LinesFile, u64)>| kept.as_ref().map_or(0, |(_, from)| *from) as i64;
        transaction
            .prepare_cached(
                "UPDATE runs SET totals = ?, malformed_path = ?, malformed_from = ?, malformed_bytes = ?,
                    dead_letters_path = ?, dead_letters_from = ?, dead_letters_bytes = ? WHERE id = ?",
            )?
            .execute(params![
                json(&self.totals),
                path(&self.malformed),
                from(&self.malformed),
                malformed_bytes as i64,
                path(&self.dead_letters),
                from(&self.dead_letters),
                dead_letters_bytes as i64,
                self.id,
            ])?;
        Ok(())
    }

    fn insert_stream(
        &self,
        transaction: &rusqlite::Transaction<'_>,
        stream: &Stream,
    ) -> Result<i64, super::store::Trouble> {
        transaction.execute(
            "INSERT INTO files (destination, naming, identity, first_line, path, dev, ino, size, mtime_ns, encoding,
                watermark, tail, counts, reached, reached_tail, unfinished, indices, state, run, first_run,
                sent)
             VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, ?, 0, 0, '{}', 0, 0, 0, '[]', 'in_progress', ?, ?, ?)",
            params![
                self.destination,
                self.naming,
                stream.identity,
                stream.first_line.map(|hash| hash as i64),
                path_bytes(&stream.path),
                stream.encoding,
                self.id,
                self.id,
                // It gets its row too late to be told what was sent before.
                i64::MAX,
            ],
        )?;
        Ok(transaction.last_insert_rowid())
    }

    /// Learns which index it is that has this name now: files that go there are loaded only as long as it is that one.
    pub fn index_is(&mut self, name: &str, uuid: &str) {
        self.index_uuids.insert(name.to_owned(), uuid.to_owned());
    }

    /// Indices were deleted while the run wrote to them: whatever went there from any file counts as not loaded.
    ///
    /// # Errors
    /// As [`Run::progress`].
    pub fn forget_files_of(&mut self, indices: &[String]) -> Result<()> {
        self.store()?;
        self.store.write(Safe::OnDisk, |transaction| {
            for index in indices {
                transaction.execute(
                    "DELETE FROM files
                     WHERE EXISTS (SELECT 1 FROM json_each(files.indices) WHERE value = ?)
                       AND destination IN (SELECT id FROM destinations WHERE cluster =
                           (SELECT cluster FROM destinations WHERE id = ?))",
                    params![index, self.destination],
                )?;
            }
            Ok(())
        })
    }

    /// Ends the run in the ledger: stores what is left and how it ended, and lets go of its files.
    ///
    /// # Errors
    /// As [`Run::progress`].
    pub fn finish(mut self, report: &Report) -> Result<()> {
        self.totals.seconds = self.seconds_before + report.seconds;
        self.totals.skipped = report.sources.skipped;
        self.totals.failed = report.sources.failed;
        self.totals.gone = report.sources.gone;
        self.failed = false; // one more try: the disk may have room by now
        self.store()?;
        let state = match &report.ended {
            Ended::Complete => "complete",
            Ended::Interrupted(_) => "interrupted",
            Ended::OutputClosed => "stopped",
            Ended::Failed(error) if error.kind == Kind::Stopped => "stopped",
            Ended::Failed(_) => "failed",
        };
        self.store_run(|transaction| {
            transaction.execute(
                "UPDATE runs SET state = ?, exit_code = ?, ended_ms = ? WHERE id = ?",
                params![state, report.exit_code(), Timestamp::now().as_millisecond(), self.id],
            )?;
            self.complete_uuids(transaction)?;
            // What was claimed and turned out to be no log. A run that may go on still has to know what it began.
            transaction.execute("DELETE FROM parts WHERE run = ? AND why IS NULL", [self.id])?;
            if state == "complete" {
                transaction.execute(
                    "DELETE FROM files WHERE claim = ? AND watermark = 0 AND reached = 0 AND state = 'in_progress'",
                    [self.id],
                )?;
                // All sources were gone through, but one that an earlier part began was not to be read to its end.
                let sql = format!("{SELECT_FILES} WHERE files.run = ? AND files.state = 'in_progress'");
                let begun = rows(transaction, &sql, [self.id], FileRecord::from_row)?;
                if begun.iter().any(|row| row.path.is_relative() || row.path.exists()) {
                    transaction.execute("UPDATE runs SET state = 'stopped' WHERE id = ?", [self.id])?;
                }
            }
            transaction.execute("UPDATE files SET claim = NULL WHERE claim = ?", [self.id])?;
            Ok(())
        })
    }

    /// Files that were done before it was known which index it is that they went to.
    fn complete_uuids(&self, transaction: &rusqlite::Transaction<'_>) -> Result<(), super::store::Trouble> {
        if self.index_uuids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "{SELECT_FILES} WHERE files.run = ?
             AND json_array_length(indices) > (SELECT count(*) FROM json_each(index_uuids))"
        );
        for mut row in rows(transaction, &sql, [self.id], FileRecord::from_row)? {
            for index in &row.indices {
                if let Some(uuid) = self.index_uuids.get(index) {
                    row.index_uuids.entry(index.clone()).or_insert_with(|| uuid.clone());
                }
            }
            transaction
                .prepare_cached("UPDATE files SET index_uuids = ? WHERE id = ?")?
                .execute(params![json(&row.index_uuids), row.id])?;
        }
        Ok(())
    }

    fn may_be_killed(&self, point: KillPoint) {
        if self.kill_at == Some((point, self.transactions)) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

/// The length of a file, all of it safe.
fn synced(kept: &Option<(LinesFile, u64)>) -> Result<u64> {
    kept.as_ref().map_or(Ok(0), |(file, _)| file.sync())
}
