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
//!
//! Several readers ask at once, and one may have to unpack a large file to find out what it is; so nothing is locked
//! while a file is looked at. What was found out holds when the source is claimed if nobody changed the row or took it
//! since; else it is looked at once more.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rapidhash::v3::rapidhash_v3;
use rusqlite::{OptionalExtension, params};

use super::look::{Look, Places};
use super::owner::Owner;
use super::records::{self, FileRecord, FileState, SELECT_FILES, Stat, path_bytes};
use super::store::Store;
use crate::error::Result;
use crate::opensearch::IndexNow;
use crate::pipeline::decode::Encoding;
use crate::pipeline::source::{Place, Source, Start};
use crate::pipeline::stop::Stop;
use crate::stores::Object;

/// Tells what an index is now: its name, as documents were addressed to it.
pub type AskIndex = Box<dyn FnMut(&str) -> Result<IndexNow> + Send>;

/// Decides for one source after the other, and claims those that are to be read.
pub struct Chooser {
    pub(super) store: Store,
    pub(super) run: i64,
    pub(super) destination: i64,
    /// Loads what was loaded before this run.
    pub(super) again: bool,
    pub(super) namespace: String,
    /// Whether the run goes on where an earlier part of it ended.
    pub(super) resumes: bool,
    /// Whether what is there already may be this run's own. Ids made of content alone say nothing of it.
    pub(super) may_confirm: bool,
    pub(super) indices: Mutex<Indices>,
    pub(super) stop: Arc<Stop>,
    /// The last row that was there when this part of the run began. Files behind it are being read by somebody now, so
    /// they are no predecessors of others.
    pub(super) rows_before: i64,
    pub(super) taken: Mutex<Taken>,
    /// Hears of each object that is left out because all of it is loaded.
    pub on_settled: Option<OnSettled>,
}

/// Hears of an object that is loaded.
pub type OnSettled = Box<dyn Fn(&Arc<Object>) + Send + Sync>;

/// Rows and identities that this part of the run reads or has read.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) rows: HashSet<i64>,
    pub(super) identities: HashSet<[u8; 8]>,
}

/// What the indices are.
pub(super) struct Indices {
    ask: AskIndex,
    /// What it said, so that each index is asked for once.
    known: HashMap<String, IndexNow>,
}

impl Indices {
    pub(super) fn new(ask: AskIndex) -> Indices {
        Indices { ask, known: HashMap::new() }
    }
}

/// What a source is to the ledger.
pub(super) enum Known {
    /// Nothing: it is read from the start under this identity.
    New([u8; 8]),
    /// One that the ledger has, and how long it is by now.
    Row(Found, Places),
    /// The beginning of what this row tells of: somebody is packing it, or the packed file is damaged.
    Part(Found),
}

/// A row as it was when a file was looked at.
pub(super) struct Found {
    pub(super) row: FileRecord,
    /// Whether another source of this run had it already.
    pub(super) was_taken: bool,
}

/// A file as it is to be remembered.
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    /// `None`: as it is remembered already.
    pub(super) encoding: Option<Encoding>,
    /// What tells an object from all others that ever were at its place.
    pub(super) tag: Option<String>,
    pub(super) first_line: Option<u64>,
    pub(super) naming: i64,
}

/// What is to be done with a source: `None` if what was found out about it no longer holds.
pub(super) type Decided = Option<Source>;

impl Chooser {
    /// The same source with what is to be done with it: `start` to begin in it, [`Place::Skipped`] and
    /// [`Place::Missing`] with the reason where it is not to be read.
    ///
    /// # Errors
    /// If the ledger cannot be read or written. What is wrong with the file itself is left for the reader to find.
    pub fn choose(&self, source: Source) -> Result<Source> {
        match &source.place {
            Place::File(path) => loop {
                match std::fs::metadata(path) {
                    // Not for ever: whatever changes under it is taken by another source, or by another run.
                    Ok(metadata) if metadata.is_file() => {
                        if let Some(decided) = self.file(path, &source, Stat::of(&metadata))? {
                            return Ok(decided);
                        }
                    }
                    Ok(_) => return self.stream(source),
                    Err(_) => return Ok(source),
                }
            },
            Place::Object(object) => loop {
                if let Some(decided) = self.object(object, &source)? {
                    return Ok(decided);
                }
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
            // It begins anew, and gets a row of its own.
            Some(row) => self.forget_row(row.id)?,
            None => {}
        }
        Ok(source)
    }

    fn file(&self, path: &Path, source: &Source, stat: Stat) -> Result<Decided> {
        let naming = self.naming(source);
        let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let untouched = self.rows("dev = ? AND ino = ?", naming, (stat.dev, stat.ino))?;
        let untouched = untouched.into_iter().find(|row| row.stat == stat);
        if let Some(row) = &untouched
            && row.needs_nothing()
            && !self.reads_again(row.run)
            && self.indices_exist(row)?
        {
            self.seen_again(row, &canonical, &stat)?;
            return Ok(Some(skipped(source, path, row)));
        }
        if untouched.is_none()
            && let Some(decided) = self.damaged_part(path, source, naming, &stat)?
        {
            return Ok(Some(decided));
        }

        // Whatever is wrong with the file, the reader will meet it, too, and tell.
        let Ok(Some(look)) = Look::open(path, &self.stop) else { return Ok(Some(source.clone())) };
        let (stat, encoding, first_line) = (look.stat, look.encoding, look.first_line);
        let own_identity = look.head.identity(&self.namespace, &source.identity_name());
        let known = match (first_line, untouched) {
            (None, _) => Known::New(own_identity),
            // Nobody touched it, and the reader compares once more, so there is no need to unpack it twice.
            (Some(_), Some(row)) if row.stat == stat && row.mark.offset > 0 => {
                let was_taken = self.taken().rows.contains(&row.id);
                Known::Row(Found { row, was_taken }, Places::default())
            }
            (Some(first_line), _) => self.known(&canonical, look, own_identity, first_line, naming)?,
        };
        if self.stop.is_raised() {
            return Ok(Some(source.clone())); // whoever stopped looking did not find out: it is neither known nor new
        }
        let file = Seen { path: canonical, stat, encoding: Some(encoding), tag: None, first_line, naming };
        match known {
            Known::New(identity) => self.read_from_start(source, path, &file, identity, None, false),
            Known::Part(found) | Known::Row(found, _) if !self.indices_exist(&found.row)? => {
                self.read_from_start(source, path, &file, found.row.identity, Some(&found), true)
            }
            Known::Row(found, _) if self.reads_again(found.row.run) => {
                self.read_from_start(source, path, &file, found.row.identity, Some(&found), false)
            }
            Known::Part(found) => self.part(source, &file, &found.row).map(Some),
            Known::Row(found, places) => {
                let row = &found.row;
                let at_end = places.length == Some(row.mark.offset)
                    || (places.length == Some(row.reached.0) && places.agree(row.reached));
                if row.state != FileState::Complete || !at_end {
                    return self.go_on(source, path, &file, &found);
                }
                let taken = self.taken();
                if self.no_longer_holds(&found, &taken)? {
                    return Ok(None);
                }
                if !self.is_claimed(row) {
                    self.seen_again(row, &file.path, &stat)?;
                }
                Ok(Some(skipped(source, path, row)))
            }
        }
    }

    /// A packed file that holds no more than the beginning of what was loaded, found damaged by an earlier run and not
    /// touched since.
    fn damaged_part(&self, path: &Path, source: &Source, naming: i64, stat: &Stat) -> Result<Decided> {
        let found = self.store.read(|connection| {
            let sql = "SELECT parts.whole, parts.damage, parts.why, parts.run FROM parts
                       JOIN files ON files.id = parts.whole
                       WHERE parts.dev = ? AND parts.ino = ? AND parts.size = ? AND parts.mtime_ns = ?
                         AND parts.why IS NOT NULL AND files.destination = ? AND files.naming = ?
                       ORDER BY parts.id DESC LIMIT 1";
            let key = params![stat.dev, stat.ino, stat.size, stat.mtime_ns, self.destination, naming];
            let row = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
            };
            let Some((whole, damage, why, run)) = connection.query_row(sql, key, row).optional()? else {
                return Ok(None);
            };
            let sql = format!("{SELECT_FILES} WHERE files.id = ?");
            let whole = connection.query_row(&sql, [whole], FileRecord::from_row)?;
            Ok(Some((whole, damage, why, run)))
        })?;
        let Some((whole, damage, why, run)) = found else { return Ok(None) };
        if self.reads_again(run) || !self.indices_exist(&whole)? {
            return Ok(None);
        }
        let why = format!(
            "run {run} has found it damaged at byte {damage}: {why}; it has not changed since, and run {} has loaded what \
             it holds",
            whole.run
        );
        Ok(Some(Source { place: Place::Skipped(path.to_owned(), why), ..source.clone() }))
    }

    /// Whether what run `run` has loaded is to be loaded again. What this run itself has loaded before it was
    /// interrupted is not.
    pub(super) fn reads_again(&self, run: i64) -> bool {
        self.again && !(self.resumes && run == self.run)
    }

    /// Whether all indices that the file's documents went to are still there, and still the same. If not, it counts as
    /// not loaded.
    pub(super) fn indices_exist(&self, row: &FileRecord) -> Result<bool> {
        let mut indices = self.indices.lock().unwrap_or_else(PoisonError::into_inner);
        let Indices { ask, known } = &mut *indices;
        for index in &row.indices {
            if !known.contains_key(index) {
                let now = ask(index)?;
                known.insert(index.clone(), now);
            }
            if known[index].has_lost(row.index_uuids.get(index).map(String::as_str)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn rows(
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

    /// The hash of the first line of a row's file; none where the row is gone.
    pub(super) fn first_line_of(&self, row: i64) -> Result<Option<u64>> {
        self.store.read(|connection| {
            let first_line: Option<Option<i64>> = connection
                .query_row("SELECT first_line FROM files WHERE id = ?", [row], |row| row.get(0))
                .optional()?;
            Ok(first_line.flatten().map(|hash| hash as u64))
        })
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn naming(&self, source: &Source) -> i64 {
        naming(&self.namespace, source.source_name.as_deref())
    }
}

/// Marks a source that is read without its progress being stored. Below it are the numbers of parts, negated.
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

/// Where a known source is gone on with. `confirms`: what is there already behind its mark, as far as it was sent, is the
/// run's own.
pub(super) fn start(row: &FileRecord, first_line: Option<u64>, confirms: bool) -> Start {
    let mut notes = Vec::new();
    if row.reached.0 > row.mark.offset {
        notes.push(format!(
            "its last line was loaded at byte {} before it was finished, and is loaded again as it is now",
            row.mark.offset
        ));
    }
    let first_line = first_line.unwrap_or_default();
    let confirms = if confirms { row.sent_from..row.sent } else { 0..0 };
    Start { tag: row.id, identity: row.identity, first_line, mark: row.mark, confirms, notes }
}

pub(super) fn skipped(source: &Source, path: &Path, row: &FileRecord) -> Source {
    let why = match (&row.state, &row.why) {
        (FileState::Damaged, Some(why)) => {
            format!("run {} has loaded it up to byte {}: {why}; it has not changed since", row.run, row.mark.offset)
        }
        _ => format!("run {} has loaded it, and it has not changed since", row.run),
    };
    Source { place: Place::Skipped(path.to_owned(), why), ..source.clone() }
}

pub(super) fn refused(source: &Source, path: &Path, owner: &Owner) -> Source {
    let why = format!("process {} is loading it to the same place right now", owner.pid);
    Source { place: Place::Missing(path.to_owned(), why), ..source.clone() }
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
