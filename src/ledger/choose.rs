//! [`Chooser`]: what is to be done with a source, asked before it is read.
//!
//! Logs are appended to, renamed, compressed, cut and written anew, and none of that may lose a line or load one twice.
//! So a path proves nothing. A file is one that the ledger knows if stat(2) says that nobody touched it, or if its first
//! line *and* the 4 KiB before the watermark are the same. Then it keeps its identity under any name, unless the old
//! path still holds that content: then it is a copy, and a copy is a new source.
//!
//! What was written anew under the same path and the same first line has, by the definition of identities, the identity
//! of its predecessor. It is read from its start all the same. Its lines' ids also hold their offset and their hash, so
//! whatever differs is a document of its own, and what is the same at the same place is there already.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rapidhash::v3::rapidhash_v3;
use rusqlite::{OptionalExtension, Transaction, params};

use super::look::{Look, Places};
use super::owner::Owner;
use super::records::{self, FileRecord, FileState, SELECT_FILES, Stat, json, path_bytes};
use super::store::{Safe, Store, Trouble};
use crate::error::Result;
use crate::opensearch::IndexNow;
use crate::pipeline::decode::Encoding;
use crate::pipeline::report::coverage::Mark;
use crate::pipeline::source::{Place, Source, Start, unpacked};
use crate::pipeline::stop::Stop;

/// Tells what an index is now: its name, as documents were addressed to it.
pub type AskIndex = Box<dyn FnMut(&str) -> Result<IndexNow> + Send>;

/// Decides for one source after the other, and claims those that are to be read.
pub struct Chooser {
    pub(super) store: Store,
    pub(super) run: i64,
    pub(super) destination: i64,
    /// Loads what is loaded already.
    pub(super) again: bool,
    pub(super) namespace: String,
    /// Whether the run goes on where an earlier part of it ended.
    pub(super) resumes: bool,
    /// Whether what is there already may be this run's own. Ids made of content alone say nothing of it.
    pub(super) may_confirm: bool,
    pub(super) ask_index: AskIndex,
    /// What it said, so that each index is asked for once.
    pub(super) indices_known: HashMap<String, IndexNow>,
    pub(super) stop: Arc<Stop>,
    /// The last row that was there when this part of the run began. Files behind it are being read by somebody now, so
    /// they are no predecessors of others.
    pub(super) rows_before: i64,
    /// Rows and identities that this part of the run reads or has read.
    pub(super) mine: HashSet<i64>,
    pub(super) identities: HashSet<[u8; 8]>,
}

/// How many files with the same first line are looked at as predecessors.
const PREDECESSORS_MAX: usize = 256;

/// Rows that might be the file's, by what makes them so.
struct Candidates {
    /// Of this identity, or last seen under this path.
    own: Vec<FileRecord>,
    /// With the same first line, the likeliest first.
    others: Vec<FileRecord>,
}

/// What a source is to the ledger.
enum Known {
    /// Nothing: it is read from the start under this identity. A row that it replaces, if it is loaded again.
    New { identity: [u8; 8], replaces: Option<i64> },
    /// This row, and how long it is by now.
    Row(Box<FileRecord>, Places),
    /// The beginning of what this row tells of: somebody is packing it, or the packed file is damaged.
    Part(Box<FileRecord>),
}

impl Chooser {
    /// The same source with what is to be done with it: `start` to begin in it, [`Place::Skipped`] and
    /// [`Place::Missing`] with the reason where it is not to be read.
    ///
    /// # Errors
    /// If the ledger cannot be read or written. What is wrong with the file itself is left for the reader to find.
    pub fn choose(&mut self, source: Source) -> Result<Source> {
        match &source.place {
            Place::File(path) => match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => self.file(path.clone(), source, Stat::of(&metadata)),
                Ok(_) => self.stream(source),
                Err(_) => Ok(source),
            },
            Place::Stdin => self.stream(source),
            Place::Missing(..) | Place::Skipped(..) => Ok(source),
        }
    }

    /// Standard input and pipes: they are what they are, so they are never left out, unless this very run is gone on
    /// with.
    fn stream(&self, mut source: Source) -> Result<Source> {
        if !self.resumes {
            return Ok(source);
        }
        let (naming, path) = (self.naming(&source), stream_path(&source));
        let known = self.store.read(|connection| {
            let sql = format!(
                "{SELECT_FILES} WHERE files.destination = ? AND files.naming = ? AND files.run = ? AND path = ?
                               ORDER BY files.id DESC LIMIT 1"
            );
            let key = params![self.destination, naming, self.run, path_bytes(&path)];
            Ok(connection.query_row(&sql, key, FileRecord::from_row).optional()?)
        })?;
        match known {
            Some(row) if row.state == FileState::Complete => {
                source.place = Place::Skipped(path, format!("run {} has loaded it to its end", self.run));
            }
            Some(row) if row.mark.offset > 0 => {
                let first_line = self.first_line_of(row.id)?;
                source.start = Some(start(&row, first_line, self.may_confirm));
            }
            _ => {}
        }
        Ok(source)
    }

    fn file(&mut self, path: PathBuf, source: Source, stat: Stat) -> Result<Source> {
        let naming = self.naming(&source);
        let canonical = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let untouched = self.rows("dev = ? AND ino = ?", naming, (stat.dev, stat.ino))?;
        let untouched = untouched.into_iter().find(|row| row.stat == stat);
        if let Some(row) = &untouched
            && row.needs_nothing()
            && !self.again
            && self.indices_exist(row)?
        {
            self.seen_again(row, &canonical, &stat)?;
            return Ok(skipped(source, path, row));
        }

        // Whatever is wrong with the file, the reader will meet it, too, and tell.
        let stop = Arc::clone(&self.stop);
        let Ok(Some(look)) = Look::open(&path, &stop) else { return Ok(source) };
        let (stat, encoding, first_line) = (look.stat, look.encoding, look.first_line);
        let own_identity = look.head.identity(&self.namespace, &source);
        let known = match (first_line, untouched) {
            (None, _) => Known::New { identity: own_identity, replaces: None },
            // Nobody touched it, and the reader compares once more, so there is no need to unpack it twice.
            (Some(_), Some(row)) if row.stat == stat && row.mark.offset > 0 => {
                Known::Row(Box::new(row), Places::default())
            }
            (Some(first_line), _) => self.known(&canonical, look, own_identity, first_line, naming)?,
        };
        if self.stop.is_raised() {
            return Ok(source); // whoever stopped looking did not find out: it is neither known nor new
        }
        let file = Seen { path: canonical, stat, encoding, first_line, naming };
        match known {
            Known::New { identity, replaces } => self.read_from_start(source, path, &file, identity, replaces),
            Known::Part(row) if !self.indices_exist(&row)? => {
                self.read_from_start(source, path, &file, row.identity, Some(row.id))
            }
            Known::Row(row, _) if self.again || !self.indices_exist(&row)? => {
                self.read_from_start(source, path, &file, row.identity, Some(row.id))
            }
            // No line in it is new, so there is no progress to be stored.
            Known::Part(row) => Ok(self.untracked(source, row.identity, &file)),
            Known::Row(row, places) => {
                let at_end = places.length == Some(row.mark.offset)
                    || (places.length == Some(row.reached.0) && places.agree(row.reached));
                if row.state == FileState::Complete && at_end {
                    if !self.is_claimed(&row) {
                        self.seen_again(&row, &file.path, &stat)?;
                    }
                    return Ok(skipped(source, path, &row));
                }
                self.go_on(source, path, &file, &row)
            }
        }
    }

    /// Finds the row that a file belongs to.
    fn known(&self, path: &Path, look: Look, own_identity: [u8; 8], first_line: u64, naming: i64) -> Result<Known> {
        let (stat, packed) = (look.stat, look.encoding != Encoding::Plain);
        let mut own = self.rows("identity = ? AND first_line = ?", naming, (own_identity, first_line as i64))?;
        let others = self.rows("first_line = ? AND files.id <= ?", naming, (first_line as i64, self.rows_before))?;
        // `access.log.1` and `access.log.1.gz`, while logrotate has both, are one log under one name.
        let is_own = |row: &FileRecord| unpacked(&row.path) == unpacked(path) || row.stat.same_file(&stat);
        let (same_file, mut others): (Vec<_>, Vec<_>) =
            others.into_iter().filter(|row| row.identity != own_identity).partition(is_own);
        own.extend(same_file);
        // What this run reads is where it is. Of several predecessors the one from the same folder comes first.
        others.retain(|row| !self.mine.contains(&row.id));
        others.sort_by_key(|row| (row.path.parent() != path.parent(), std::cmp::Reverse(row.mark.offset)));
        others.truncate(PREDECESSORS_MAX);
        let candidates = Candidates { own, others };
        let offsets = candidates.own.iter().chain(&candidates.others).flat_map(|row| [row.mark.offset, row.reached.0]);
        let offsets: Vec<u64> = offsets.collect();
        // A file that cannot be read to there holds none of it; the reader will tell what is wrong.
        let places = match offsets.is_empty() {
            true => Places::default(),
            false => look.at(offsets, &self.stop).unwrap_or_default(),
        };
        // A packed file that ends before all of a row was seen: gzip(1) is at work on it, or it is damaged.
        let part = |row: &&FileRecord| {
            packed
                && row.identity != own_identity
                && !places.reach(&row.mark)
                && (is_own(row) || !self.still_there(row, &stat))
        };
        let part = candidates.own.iter().chain(&candidates.others).find(part).cloned();
        let found = choose_row(candidates, &places, |row| self.still_there(row, &stat));
        Ok(match (found, part) {
            (found, Some(part)) if found.as_ref().is_none_or(|row| row.mark.offset == 0) => Known::Part(Box::new(part)),
            (Some(row), _) => Known::Row(Box::new(row), places),
            (None, _) => Known::New { identity: own_identity, replaces: None },
        })
    }

    /// Whether the content that `row` tells of is still at its own path, so that `stat`, a file at another path, can
    /// only be a copy of it.
    fn still_there(&self, row: &FileRecord, stat: &Stat) -> bool {
        let Ok(metadata) = std::fs::metadata(&row.path) else { return false };
        let there = Stat::of(&metadata);
        if there.same_file(stat) {
            return false; // the same file under two names
        }
        if there == row.stat {
            return true;
        }
        let Ok(Some(look)) = Look::open(&row.path, &self.stop) else { return false };
        if look.first_line.is_none() || look.first_line != self.first_line_of(row.id).ok().flatten() {
            return false;
        }
        look.at(vec![row.mark.offset], &self.stop).is_ok_and(|places| places.holds(&row.mark))
    }

    fn read_from_start(
        &mut self,
        source: Source,
        path: PathBuf,
        file: &Seen,
        identity: [u8; 8],
        replaces: Option<i64>,
    ) -> Result<Source> {
        if replaces.is_some_and(|row| self.mine.contains(&row)) || self.identities.contains(&identity) {
            return Ok(self.untracked(source, identity, file));
        }
        let claimed = self.store.write(Safe::FromKill, |transaction| {
            if let Some(owner) = self.other_reader(transaction, file, identity)? {
                return Ok(Err(owner));
            }
            if let Some(row) = replaces {
                transaction.execute("DELETE FROM files WHERE id = ?", [row])?;
            }
            let nothing = Mark::default();
            transaction.prepare_cached(
                "INSERT INTO files (destination, naming, identity, first_line, path, dev, ino, size, mtime_ns, encoding,
                    watermark, tail, counts, reached, reached_tail, unfinished, indices, state, run, claim, first_sent)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, ?, 0, '[]', 'in_progress', ?, ?, ?)",
            )?
            .execute(params![
                self.destination,
                file.naming,
                identity,
                file.first_line.map(|hash| hash as i64),
                path_bytes(&file.path),
                file.stat.dev,
                file.stat.ino,
                file.stat.size,
                file.stat.mtime_ns,
                encoding_name(file.encoding),
                nothing.tail as i64,
                json(&nothing.counts),
                nothing.tail as i64,
                self.run,
                self.run,
                !self.again,
            ])?;
            Ok(Ok(transaction.last_insert_rowid()))
        })?;
        match claimed {
            Err(owner) => Ok(refused(source, path, &owner)),
            Ok(tag) => {
                self.mine.insert(tag);
                self.identities.insert(identity);
                let first_line = file.first_line.unwrap_or_default();
                let mark = Mark::default();
                let start = Start { tag, identity, first_line, mark, confirms: false, notes: Vec::new() };
                Ok(Source { start: Some(start), ..source })
            }
        }
    }

    fn go_on(&mut self, source: Source, path: PathBuf, file: &Seen, row: &FileRecord) -> Result<Source> {
        if self.mine.contains(&row.id) || self.identities.contains(&row.identity) {
            return Ok(self.untracked(source, row.identity, file));
        }
        // Only what this run itself has sent before it was interrupted is its own when it turns out to be there.
        let own = row.run == self.run && row.state == FileState::InProgress && row.first_sent;
        let confirms = self.resumes && self.may_confirm && own;
        let claimed = self.store.write(Safe::FromKill, |transaction| {
            if let Some(owner) = self.other_reader(transaction, file, row.identity)? {
                return Ok(Err(owner));
            }
            transaction
                .prepare_cached(
                    "UPDATE files SET path = ?, dev = ?, ino = ?, size = ?, mtime_ns = ?, encoding = ?,
                    first_sent = CASE state WHEN 'in_progress' THEN first_sent ELSE 1 END, state = 'in_progress', why = NULL, unfinished = 0, run = ?, claim = ? WHERE id = ?",
                )?
                .execute(params![
                    path_bytes(&file.path),
                    file.stat.dev,
                    file.stat.ino,
                    file.stat.size,
                    file.stat.mtime_ns,
                    encoding_name(file.encoding),
                    self.run,
                    self.run,
                    row.id,
                ])?;
            Ok(Ok(()))
        })?;
        if let Err(owner) = claimed {
            return Ok(refused(source, path, &owner));
        }
        self.mine.insert(row.id);
        self.identities.insert(row.identity);
        Ok(Source { start: Some(start(row, file.first_line, confirms)), ..source })
    }

    /// A source whose lines another source of this run has: a log and its compressed twin. It is read, for it may hold
    /// more, and the ids see to it that nothing is loaded twice; but two cannot move one watermark.
    fn untracked(&self, source: Source, identity: [u8; 8], file: &Seen) -> Source {
        let first_line = file.first_line.unwrap_or_default();
        let (tag, mark) = (UNTRACKED, Mark::default());
        let start = Start { tag, identity, first_line, mark, confirms: false, notes: Vec::new() };
        Source { start: Some(start), ..source }
    }

    /// The process of another run that reads this file right now, to the same destination.
    fn other_reader(
        &self,
        transaction: &Transaction<'_>,
        file: &Seen,
        identity: [u8; 8],
    ) -> Result<Option<Owner>, Trouble> {
        let sql = format!(
            "{SELECT_FILES} WHERE files.destination = ? AND files.naming = ? AND claim IS NOT NULL AND claim <> ?
             AND (identity = ? OR (dev = ? AND ino = ?))"
        );
        let key = params![self.destination, file.naming, self.run, identity, file.stat.dev, file.stat.ino];
        let claimed = records::rows(transaction, &sql, key, FileRecord::from_row)?;
        Ok(claimed.into_iter().filter_map(|row| row.claim).map(|(_, owner)| owner).find(Owner::is_alive))
    }

    /// Whether another run reads the file of this row right now.
    fn is_claimed(&self, row: &FileRecord) -> bool {
        row.claim.as_ref().is_some_and(|(run, owner)| *run != self.run && owner.is_alive())
    }

    /// A file that needs nothing: remembers where and how it was seen, so that the next run need not look into it.
    fn seen_again(&self, row: &FileRecord, path: &Path, stat: &Stat) -> Result<()> {
        if row.path == path && row.stat == *stat {
            return Ok(());
        }
        self.store.write(Safe::FromKill, |transaction| {
            transaction
                .prepare_cached("UPDATE files SET path = ?, dev = ?, ino = ?, size = ?, mtime_ns = ? WHERE id = ?")?
                .execute(params![path_bytes(path), stat.dev, stat.ino, stat.size, stat.mtime_ns, row.id])?;
            Ok(())
        })
    }

    /// Whether all indices that the file's documents went to are still there, and still the same. If not, it counts as
    /// not loaded.
    fn indices_exist(&mut self, row: &FileRecord) -> Result<bool> {
        for index in &row.indices {
            if !self.indices_known.contains_key(index) {
                let now = (self.ask_index)(index)?;
                self.indices_known.insert(index.clone(), now);
            }
            if self.indices_known[index].has_lost(row.index_uuids.get(index).map(String::as_str)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn rows(
        &self,
        condition: &str,
        naming: i64,
        key: (impl rusqlite::ToSql, impl rusqlite::ToSql),
    ) -> Result<Vec<FileRecord>> {
        let sql = format!(
            "{SELECT_FILES} WHERE {condition} AND files.destination = ? AND files.naming = ? ORDER BY files.id DESC"
        );
        let key = params![key.0, key.1, self.destination, naming];
        self.store.read(|connection| records::rows(connection, &sql, key, FileRecord::from_row))
    }

    fn first_line_of(&self, row: i64) -> Result<Option<u64>> {
        self.store.read(|connection| {
            let first_line: Option<i64> =
                connection.query_row("SELECT first_line FROM files WHERE id = ?", [row], |row| row.get(0))?;
            Ok(first_line.map(|hash| hash as u64))
        })
    }

    fn naming(&self, source: &Source) -> i64 {
        naming(&self.namespace, source.source_name.as_deref())
    }
}

/// Marks a source that is read without its progress being stored.
pub(super) const UNTRACKED: i64 = 0;

/// What names a source besides its path and its first line. Other names make other ids, and so other sources.
pub(super) fn naming(namespace: &str, source_name: Option<&str>) -> i64 {
    let mut bytes = namespace.as_bytes().to_vec();
    if let Some(name) = source_name {
        bytes.push(0);
        bytes.extend_from_slice(name.as_bytes());
    }
    rapidhash_v3(&bytes) as i64
}

/// A file as it is to be remembered.
struct Seen {
    path: PathBuf,
    stat: Stat,
    encoding: Encoding,
    first_line: Option<u64>,
    naming: i64,
}

/// The row whose content is here. Rows of the file's own identity, path or inode come first, the one that reaches
/// furthest; then others in their order, if their content is no longer where it was. Rows of which nothing is settled
/// agree with whatever begins so; they come last.
fn choose_row(
    candidates: Candidates,
    places: &Places,
    mut still_there: impl FnMut(&FileRecord) -> bool,
) -> Option<FileRecord> {
    let Candidates { mut own, mut others } = candidates;
    own.retain(|row| places.holds(&row.mark));
    others.retain(|row| places.holds(&row.mark));
    others.sort_by_key(|row| row.mark.offset == 0);
    let own = own.into_iter().max_by_key(|row| row.mark.offset);
    if own.as_ref().is_some_and(|row| row.mark.offset > 0) {
        return own;
    }
    match own {
        Some(own) => others.into_iter().find(|row| row.mark.offset > 0 && !still_there(row)).or(Some(own)),
        None => others.into_iter().find(|row| !still_there(row)),
    }
}

fn start(row: &FileRecord, first_line: Option<u64>, confirms: bool) -> Start {
    let mut notes = Vec::new();
    if row.reached.0 > row.mark.offset {
        notes.push(format!(
            "its last line was loaded at byte {} before it was finished, and is loaded again as it is now",
            row.mark.offset
        ));
    }
    let first_line = first_line.unwrap_or_default();
    Start { tag: row.id, identity: row.identity, first_line, mark: row.mark, confirms, notes }
}

fn skipped(source: Source, path: PathBuf, row: &FileRecord) -> Source {
    let why = match (&row.state, &row.why) {
        (FileState::Damaged, Some(why)) => {
            format!("run {} has loaded it up to byte {}: {why}; it has not changed since", row.run, row.mark.offset)
        }
        _ => format!("run {} has loaded it, and it has not changed since", row.run),
    };
    Source { place: Place::Skipped(path, why), ..source }
}

fn refused(source: Source, path: PathBuf, owner: &Owner) -> Source {
    let why = format!("process {} is loading it to the same place right now", owner.pid);
    Source { place: Place::Missing(path, why), ..source }
}

pub(super) fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Plain => "plain",
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
    }
}

/// What stands for the path of a stream.
pub(super) fn stream_path(source: &Source) -> PathBuf {
    // As its report calls it, under which its first watermark is stored.
    PathBuf::from(source.source_name.clone().unwrap_or_else(|| source.uri()))
}
