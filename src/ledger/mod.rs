//! The ledger: which files went where, how far, and in which run. Resume and "only what is new" come from here.
//!
//! Progress belongs to a source *and* its destination: the same files are loaded in full into another cluster or under
//! another index pattern. What is stored with a watermark are the counts of exactly the lines before it, in one
//! transaction, so a run that was killed at any moment goes on with sums that are right.
//!
//! ```text
//!  Ledger::open ▸ begin | resume ▸ Run ─ chooser() ▸ asked about each source, before it is read
//!                                   ├─ progress() ▸ told of each watermark, while the run goes on
//!                                   └─ finish()   ▸ told how it ended
//! ```

mod choose; // what is to be done with a source
mod object; // the same with an object of a store
mod recognise; // which of the files that were loaded before it is
mod claim; // this run reads it, and nobody else
mod cut_back; // the files beside a run, before it goes on
mod look; // whether a file holds what was loaded before
mod owner; // the process of a run
mod profiles; // settings that an index has only while it is loaded
mod records; // what the tables hold
mod run; // progress, gathered and stored
mod sent; // how far documents were handed out for sending
mod store; // SQLite, opened carefully

#[cfg(test)]
mod tests; // logrotate's nights, kills, two at once

use choose::Indices;
pub use choose::{AskIndex, Chooser, OnSettled};
pub use owner::Owner;
pub use profiles::{Hold, Profile, Release};
pub use records::{Beside, Destination, FileRecord, FileState, Kept, RunRecord, RunState, RunTotals};
pub use run::{KillPoint, Run};
pub use sent::Sent;
pub use store::default_path;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::error::{Error, Result};
use crate::pipeline::stop::Stop;
use crate::stores::Location;
use records::{SELECT_FILES, SELECT_RUNS, json, rows};
use store::{Safe, Store, Trouble};

/// The ledger of this user, or of `--ledger`.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    owner: Owner,
}

/// Who goes on with a run whose files are cut back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    /// It does itself, and adds to the file's end.
    This,
    /// A run of its own.
    Another,
}

/// What a run is, as far as the ledger has to know.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The command line, without secrets.
    pub command: String,
    /// The sources as the user named them, made absolute: `logs` in another folder is another source.
    pub sources: Vec<String>,
    /// The working directory: reports name sources as the user did.
    pub folder: PathBuf,
    /// Where documents go.
    pub destination: Destination,
    /// `--namespace`.
    pub namespace: String,
    /// `--source-name`.
    pub source_name: Option<String>,
    /// `--again`: loads what is loaded already. A run that is gone on with is what it was begun as.
    pub again: bool,
}

impl Ledger {
    /// Opens the ledger at `path`; makes it where there is none.
    ///
    /// # Errors
    /// If it is damaged, of a newer version, locked, or cannot be written to. Each says what can be done.
    pub fn open(path: &Path) -> Result<Ledger> {
        Ok(Ledger { store: Store::open(path)?, owner: Owner::me() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// Begins a new run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(&self, spec: &RunSpec) -> Result<Run> {
        self.store.write(Safe::OnDisk, |transaction| {
            let destination = spec.destination.number(transaction)?;
            transaction.execute(
                "INSERT INTO runs (parts, started_ms, pid, pid_started, command, sources, folders, naming, destination,
                    state, totals, again)
                 VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, 'running', ?, ?)",
                params![
                    Timestamp::now().as_millisecond(),
                    self.owner.pid,
                    self.owner.started,
                    spec.command,
                    json(&spec.sources),
                    json(&[spec.folder.to_string_lossy()]),
                    spec.naming(),
                    destination,
                    json(&RunTotals::default()),
                    spec.again,
                ],
            )?;
            let id = transaction.last_insert_rowid();
            Ok(self.run_of(id, destination, spec, RunTotals::default(), spec.again))
        })
    }

    /// Goes on with a run that has not come to its end: with `id`, or else with the last of the same sources and
    /// destination. Its number and its sums go on, too. The files of malformed lines and dead letters that it kept are
    /// cut back to what belongs to its watermarks, so that they can be appended to.
    ///
    /// # Errors
    /// If there is no such run, it is complete or still at work, or it went to another place or made other documents;
    /// or the ledger cannot be written.
    pub fn resume(&self, spec: &RunSpec, id: Option<i64>) -> Result<Run> {
        let (run, record) = self.store.write(Safe::OnDisk, |transaction| {
            let record = match id {
                Some(id) => records::run(transaction, id)?.ok_or_else(|| no_such_run(id))?,
                None => last_unfinished(transaction, spec)?,
            };
            may_go_on(&record, spec).map_err(Trouble::Ours)?;
            let destination = spec.destination.number(transaction)?;
            let mut folders = record.folders.clone();
            let here = spec.folder.to_string_lossy().into_owned();
            if !folders.contains(&here) {
                folders.push(here);
            }
            transaction.execute(
                "UPDATE runs SET parts = parts + 1, pid = ?, pid_started = ?, state = 'running', ended_ms = NULL,
                    exit_code = NULL, folders = ? WHERE id = ?",
                params![self.owner.pid, self.owner.started, json(&folders), record.id],
            )?;
            Ok((self.run_of(record.id, destination, spec, record.totals, record.again), record))
        })?;
        for which in [Beside::Malformed, Beside::DeadLetters] {
            self.cut_back(&record, which, GoesOn::This)?;
        }
        Ok(run)
    }

    /// Cuts the file at `path`, to which a new run is about to add lines, back to what belongs to the watermarks of
    /// earlier runs of the same load that did not come to their end: the new run goes on at these, meets the lines behind
    /// them again, and would keep them twice.
    ///
    /// # Errors
    /// If the file cannot be cut, or the ledger cannot be used.
    pub fn cut_back_others(&self, spec: &RunSpec, which: Beside, path: &Path) -> Result<()> {
        let sharing = self.sharing(which, path)?;
        for record in sharing.iter().filter(|run| run.sources == spec.sources && run.destination == spec.destination) {
            // An earlier one may have been shortened or moved by the one before.
            let record = self.run(record.id)?;
            // What the new run does not meet again (another stream, a file that is gone) must not be lost here.
            let met_again = !record.sources.iter().any(|source| source == "-")
                && self.watermarks(record.id)?.keys().all(|path| is_uri(path) || path.is_file());
            if met_again && !matches!(record.state, RunState::Running | RunState::Complete) {
                self.cut_back(&record, which, GoesOn::Another)?;
            }
        }
        Ok(())
    }

    /// The runs that keep lines in the file at `path`, in the order in which they began.
    fn sharing(&self, which: Beside, path: &Path) -> Result<Vec<RunRecord>> {
        let sql = format!("{SELECT_RUNS} WHERE {}_path = ? ORDER BY runs.id", which.column());
        self.store.read(|connection| rows(connection, &sql, [records::path_bytes(path)], RunRecord::from_row))
    }

    /// Cuts a file beside a run that did not come to its end back to what belongs to its watermarks, and remembers the
    /// file's new length.
    fn cut_back(&self, record: &RunRecord, which: Beside, goes_on: GoesOn) -> Result<()> {
        let Some(kept) = record.kept(which) else { return Ok(()) };
        let mut others = self.sharing(which, &kept.path)?;
        others.retain(|run| run.id != record.id);
        let behind = |run: &RunRecord| run.kept(which).map(|kept| kept.from).filter(|&from| from >= kept.bytes);
        // What later runs have added stays. (One that began in an empty file began there, too, and is no later one.)
        let until = others.iter().filter(|run| run.id > record.id).filter_map(behind).min();
        let bytes = if others.iter().any(|run| run.state == RunState::Running) {
            // Somebody writes to it. A line that is there twice is better than one that is lost.
            std::fs::metadata(&kept.path).map_or(kept.bytes, |metadata| metadata.len())
        } else {
            let watermarks = self.watermarks(record.id)?;
            let cut = cut_back::cut_back(kept, until, &record.folders, &watermarks)?;
            if cut.removed > 0
                && let Some(until) = until
            {
                self.moved(which, &kept.path, until, cut.removed)?;
            }
            match (goes_on, until) {
                (GoesOn::Another, Some(until)) => until - cut.removed,
                _ => cut.bytes,
            }
        };
        let sql = format!("UPDATE runs SET {}_bytes = ? WHERE id = ?", which.column());
        self.store.write(Safe::OnDisk, |transaction| {
            transaction.execute(&sql, params![bytes as i64, record.id])?;
            Ok(())
        })
    }

    /// The lines that runs added to a file behind `until` have moved up.
    fn moved(&self, which: Beside, path: &Path, until: u64, by: u64) -> Result<()> {
        let column = which.column();
        let sql = format!(
            "UPDATE runs SET {column}_from = {column}_from - ?1, {column}_bytes = {column}_bytes - ?1
             WHERE {column}_path = ?2 AND {column}_from >= ?3"
        );
        self.store.write(Safe::OnDisk, |transaction| {
            transaction.execute(&sql, params![by as i64, records::path_bytes(path), until as i64])?;
            Ok(())
        })
    }

    /// The files that a run is the last to have read and not to their end, with their watermarks.
    fn watermarks(&self, run: i64) -> Result<HashMap<PathBuf, u64>> {
        let sql = format!("{SELECT_FILES} WHERE files.run = ? AND files.state = 'in_progress'");
        let rows = self.store.read(|connection| rows(connection, &sql, [run], FileRecord::from_row))?;
        Ok(rows.into_iter().map(|row| (row.path, row.mark.offset)).collect())
    }

    /// What a cluster is called in destinations: by its uuid. Where nobody may ask for that, it is known by the URLs under
    /// which it was reached before, with or without a uuid; and a new one by the smallest of its URLs.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub fn cluster(&self, uuid: Option<&str>, urls: &[String]) -> Result<String> {
        self.store.write(Safe::OnDisk, |transaction| {
            let known = |sql: &str| -> Result<Option<String>, Trouble> {
                for url in urls {
                    if let Some(cluster) = transaction.query_row(sql, [url], |row| row.get(0)).optional()? {
                        return Ok(Some(cluster));
                    }
                }
                Ok(None)
            };
            let cluster = match uuid {
                Some(uuid) => uuid.to_owned(),
                None => match known("SELECT cluster FROM urls WHERE url = ?")? {
                    Some(cluster) => cluster,
                    None => known("SELECT cluster FROM destinations WHERE cluster = ? LIMIT 1")?
                        .or_else(|| urls.iter().min().cloned())
                        .unwrap_or_default(),
                },
            };
            // Another cluster may be at a URL by now: who knows the uuid knows better.
            let conflict = if uuid.is_some() { "REPLACE" } else { "IGNORE" };
            for url in urls {
                let sql = format!("INSERT OR {conflict} INTO urls (url, cluster) VALUES (?, ?)");
                transaction.execute(&sql, [url, &cluster])?;
            }
            Ok(cluster)
        })
    }

    fn run_of(&self, id: i64, destination: i64, spec: &RunSpec, totals: RunTotals, again: bool) -> Run {
        Run {
            store: self.store.clone(),
            id,
            destination,
            naming: spec.naming(),
            again,
            totals,
            seconds_before: totals.seconds,
            open: HashMap::new(),
            gathered: BTreeMap::new(),
            malformed: None,
            dead_letters: None,
            stored: Instant::now(),
            store_every: Duration::ZERO, // the first watermark is stored at once
            failed: false,
            index_uuids: HashMap::new(),
            kill_at: None,
            transactions: 0,
        }
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRecord>> {
        let sql = format!("{SELECT_RUNS} ORDER BY runs.id DESC");
        self.store.read(|connection| rows(connection, &sql, [], RunRecord::from_row))
    }

    /// The run of that number.
    ///
    /// # Errors
    /// If there is none, or the ledger cannot be read.
    pub fn run(&self, id: i64) -> Result<RunRecord> {
        self.store.read(|connection| records::run(connection, id)?.ok_or_else(|| no_such_run(id)))
    }

    /// Calls `each` with the files that run `id` was the last to read, in the order in which it took them.
    ///
    /// # Errors
    /// If the ledger cannot be read, or what `each` says.
    pub fn files(&self, id: i64, mut each: impl FnMut(FileRecord) -> Result<()>) -> Result<()> {
        self.store.read(|connection| {
            let mut statement = connection.prepare(&format!("{SELECT_FILES} WHERE files.run = ? ORDER BY files.id"))?;
            for file in statement.query_map([id], FileRecord::from_row)? {
                each(file?).map_err(Trouble::Ours)?;
            }
            Ok(())
        })
    }

    /// The files of which run `id` may have read something: those that it was the last to read, and those that were there
    /// for it and that later runs have gone on with. Of these, the ledger knows only how far they have come since.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn files_met(&self, id: i64) -> Result<Vec<FileRecord>> {
        self.store.read(|connection| {
            let sql = format!(
                "{SELECT_FILES} WHERE files.run = ?1 OR (files.run > ?1 AND files.first_run <= ?1
                     AND (files.destination, files.naming) = (SELECT destination, naming FROM runs WHERE id = ?1))
                 ORDER BY files.id"
            );
            rows(connection, &sql, [id], FileRecord::from_row)
        })
    }

    /// Forgets a run and the files that it was the last to read: they count as not loaded.
    ///
    /// # Errors
    /// If there is no such run, it is still at work, or the ledger cannot be written.
    pub fn forget(&self, id: i64) -> Result<()> {
        self.store.write(Safe::OnDisk, |transaction| {
            let record = records::run(transaction, id)?.ok_or_else(|| no_such_run(id))?;
            if record.state == RunState::Running {
                return Err(Trouble::Ours(still_running(&record)));
            }
            forget(transaction, id)
        })
    }

    /// Forgets all runs that began more than `age` ago and are not at work. Gives their number.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn forget_older_than(&self, age: Duration) -> Result<usize> {
        let limit =
            Timestamp::now().as_millisecond().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        self.store.write(Safe::OnDisk, |transaction| {
            let sql = format!("{SELECT_RUNS} WHERE started_ms < ?");
            let mut old = rows(transaction, &sql, [limit], RunRecord::from_row)?;
            old.retain(|run| run.state != RunState::Running);
            for run in &old {
                forget(transaction, run.id)?;
            }
            Ok(old.len())
        })
    }
}

impl Run {
    /// What decides about the run's sources. `resumes`: it was made by [`Ledger::resume`]; `ask_index` is asked once for
    /// each index that files to be left out went to.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn chooser(&self, spec: &RunSpec, resumes: bool, ask_index: AskIndex, stop: &Arc<Stop>) -> Result<Chooser> {
        let rows_before = self.store.read(|connection| {
            Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM files", [], |row| row.get(0))?)
        })?;
        Ok(Chooser {
            store: self.store.clone(),
            run: self.id,
            destination: self.destination,
            again: self.again,
            namespace: spec.namespace.clone(),
            resumes,
            may_confirm: spec.may_confirm(),
            indices: Mutex::new(Indices::new(ask_index)),
            stop: Arc::clone(stop),
            rows_before,
            taken: Mutex::default(),
            on_settled: None,
        })
    }
}

impl RunSpec {
    /// Whether a document that is there already, when a run is gone on with, is one that an earlier part of it sent.
    pub fn may_confirm(&self) -> bool {
        // An equal line anywhere has the same id where ids are made of content alone.
        self.destination.id_mode == "source"
    }

    fn naming(&self) -> i64 {
        choose::naming(&self.namespace, self.source_name.as_deref())
    }
}

/// The last run of these sources that has not come to its end.
fn last_unfinished(transaction: &Transaction<'_>, spec: &RunSpec) -> Result<RunRecord, Trouble> {
    let sql = format!("{SELECT_RUNS} WHERE sources = ? AND state <> 'complete' ORDER BY runs.id DESC");
    let unfinished = rows(transaction, &sql, [json(&spec.sources)], RunRecord::from_row)?;
    let here = unfinished.iter().position(|run| run.destination == spec.destination);
    unfinished.into_iter().nth(here.unwrap_or(0)).ok_or_else(|| {
        Trouble::Ours(
            Error::usage("no run of these sources waits to go on")
                .hint("see them with `loghaul runs`, name one with --resume RUN, or load without --resume"),
        )
    })
}

/// Refuses to go on with a run as something that it is not.
fn may_go_on(record: &RunRecord, spec: &RunSpec) -> Result<()> {
    let id = record.id;
    match record.state {
        RunState::Running => return Err(still_running(record)),
        RunState::Complete => {
            return Err(Error::usage(format!("run {id} is complete: there is nothing to go on with"))
                .hint("load without --resume; files that have not changed are left out"));
        }
        RunState::Stopped | RunState::Interrupted | RunState::Failed | RunState::Killed => {}
    }
    if let Some((what, there, here)) = record.destination.difference(&spec.destination) {
        let message = match what {
            "cluster" => format!("run {id} went to another cluster ({there}) than this ({here})"),
            "schema" => format!("run {id} made other documents (--with, --field and the like differ)"),
            flag => format!("run {id} was begun with {flag} {there:?}, not {here:?}"),
        };
        return Err(Error::usage(message).hint("give it the same again, or load without --resume"));
    }
    let sorted = |sources: &[String]| sources.iter().cloned().collect::<BTreeSet<_>>();
    if sorted(&record.sources) != sorted(&spec.sources) {
        let (there, here) = (record.sources.join(" "), spec.sources.join(" "));
        return Err(Error::usage(format!("run {id} loads other sources ({there}) than these ({here})"))
            .hint("name the same again, or load without --resume: what is loaded already is left out"));
    }
    if record.naming != spec.naming() {
        return Err(Error::usage(format!("run {id} was begun under another --namespace or --source-name"))
            .hint("give it the same again, or load without --resume"));
    }
    Ok(())
}

fn forget(transaction: &Transaction<'_>, id: i64) -> Result<(), Trouble> {
    transaction
        .execute("DELETE FROM parts WHERE run = ? OR whole IN (SELECT id FROM files WHERE run = ?)", [id, id])?;
    transaction.execute("DELETE FROM files WHERE run = ?", [id])?;
    transaction.execute("DELETE FROM made_indices WHERE run = ?", [id])?;
    transaction.execute("DELETE FROM runs WHERE id = ?", [id])?;
    Ok(())
}

/// Whether what is remembered as a path is an object's URI.
fn is_uri(path: &Path) -> bool {
    path.to_str().is_some_and(|text| Location::of(text).is_some())
}

fn no_such_run(id: i64) -> Trouble {
    Trouble::Ours(Error::usage(format!("there is no run {id}")).hint("see them with `loghaul runs`"))
}

fn still_running(record: &RunRecord) -> Error {
    Error::failed(format!("run {} is at work as process {}", record.id, record.pid)).hint("wait for its end")
}
