//! What the ledger's tables hold, as values: [`Destination`], [`RunRecord`], [`FileRecord`], and the SQL to get them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rapidhash::v3::rapidhash_v3;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::store::Trouble;
use crate::pipeline::report::coverage::{Mark, PrefixCounts};
use crate::stores::Object;

/// Where documents go, as far as it decides whether a line is there already. The same file is loaded once to each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// The cluster's uuid, not its URL: a cluster has many.
    pub cluster: String,
    /// The index pattern as given, or the generation.
    pub index_pattern: String,
    /// `source`, `content` or `none`.
    pub id_mode: String,
    /// Whatever decides what a document looks like.
    pub schema: String,
    /// The ingest pipeline; empty for none.
    pub pipeline: String,
}

impl Destination {
    /// In which of its parts it differs from `other`: the flag, what it is here, and what it is there.
    pub(super) fn difference<'a>(&'a self, other: &'a Destination) -> Option<(&'static str, &'a str, &'a str)> {
        [
            ("cluster", &self.cluster, &other.cluster),
            ("--index", &self.index_pattern, &other.index_pattern),
            ("--id", &self.id_mode, &other.id_mode),
            ("schema", &self.schema, &other.schema),
            ("--pipeline", &self.pipeline, &other.pipeline),
        ]
        .into_iter()
        .find(|(_, here, there)| here != there)
        .map(|(what, here, there)| (what, here.as_str(), there.as_str()))
    }

    /// Its number, given when it is first seen.
    pub(super) fn number(&self, connection: &Connection) -> Result<i64, Trouble> {
        let Destination { cluster, index_pattern, id_mode, schema, pipeline } = self;
        let key = params![cluster, index_pattern, id_mode, schema, pipeline];
        connection.execute(
            "INSERT OR IGNORE INTO destinations (cluster, index_pattern, id_mode, schema, pipeline)
             VALUES (?, ?, ?, ?, ?)",
            key,
        )?;
        Ok(connection.query_row(
            "SELECT id FROM destinations
             WHERE cluster = ? AND index_pattern = ? AND id_mode = ? AND schema = ? AND pipeline = ?",
            key,
            |row| row.get(0),
        )?)
    }
}

/// How a run came to its end, or that it did not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its process is at work.
    Running,
    /// All sources were gone through.
    Complete,
    /// It ended early and can go on.
    Stopped,
    /// It was ended by a signal and can go on.
    Interrupted,
    /// It could not do its work.
    Failed,
    /// Its process is gone without a word: killed, or the machine went down. It can go on.
    Killed,
}

impl RunState {
    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Complete => "complete",
            RunState::Stopped => "stopped",
            RunState::Interrupted => "interrupted",
            RunState::Failed => "failed",
            RunState::Killed => "killed",
        }
    }

    fn of(name: &str, owner: &Owner) -> RunState {
        match name {
            "complete" => RunState::Complete,
            "stopped" => RunState::Stopped,
            "interrupted" => RunState::Interrupted,
            "failed" => RunState::Failed,
            _ if owner.is_alive() => RunState::Running,
            _ => RunState::Killed,
        }
    }
}

/// What a run has done in all its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunTotals {
    /// Its settled lines up to the watermarks.
    #[serde(flatten)]
    pub counts: PrefixCounts,
    /// Their bytes, unpacked.
    pub bytes_read: u64,
    /// How long its parts took, those that were not killed.
    pub seconds: f64,
    /// Sources loaded, in all parts.
    pub loaded: u64,
    /// Sources left out in its last part, as are the following.
    pub skipped: u64,
    /// Sources that could not be read, or not to the end.
    pub failed: u64,
    /// Sources that were no longer there.
    pub gone: u64,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// Its number.
    pub id: i64,
    /// How many times it was begun or gone on with.
    pub parts: u32,
    /// How it ended.
    pub state: RunState,
    /// The process's exit code, once it has ended.
    pub exit_code: Option<u8>,
    /// When its first part began, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: i64,
    /// When its last part ended.
    pub ended_ms: Option<i64>,
    /// The process of its last part.
    pub pid: u32,
    /// The command line, without secrets.
    pub command: String,
    /// The sources as the user named them.
    pub sources: Vec<String>,
    /// Where it went.
    pub destination: Destination,
    /// What it has done.
    pub totals: RunTotals,
    /// Where its malformed lines are kept, and how many bytes of that file belong to the stored watermarks.
    pub malformed: Option<Kept>,
    /// The same for rejected documents.
    pub dead_letters: Option<Kept>,
    /// The working directories of its parts.
    #[serde(skip)]
    pub(super) folders: Vec<String>,
    /// The hash of `--namespace` and `--source-name`.
    #[serde(skip)]
    pub(super) naming: i64,
    /// Whether it loads what was loaded before it.
    pub again: bool,
}

/// Which file beside a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// That of malformed lines.
    Malformed,
    /// That of rejected documents.
    DeadLetters,
}

impl Beside {
    /// How its columns begin.
    pub(super) fn column(self) -> &'static str {
        match self {
            Beside::Malformed => "malformed",
            Beside::DeadLetters => "dead_letters",
        }
    }
}

/// A file beside the run, and the length of it that belongs to the stored watermarks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    /// The length that it had when the run began: lines of other runs, which stay.
    #[serde(skip)]
    pub from: u64,
    /// Bytes. What lies behind was written by a run that was killed before it could store a watermark.
    pub bytes: u64,
}

/// Selects runs; to be followed by a WHERE clause on `runs` or an ORDER.
pub(super) const SELECT_RUNS: &str = "
    SELECT runs.id, parts, state, exit_code, started_ms, ended_ms, pid, pid_started, command, sources, folders, naming, totals, again,
           malformed_path, malformed_from, malformed_bytes, dead_letters_path, dead_letters_from, dead_letters_bytes,
           cluster, index_pattern, id_mode, schema, pipeline
    FROM runs JOIN destinations ON destinations.id = runs.destination ";

impl RunRecord {
    pub(super) fn kept(&self, which: Beside) -> Option<&Kept> {
        match which {
            Beside::Malformed => self.malformed.as_ref(),
            Beside::DeadLetters => self.dead_letters.as_ref(),
        }
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
        let owner = Owner { pid: row.get("pid")?, started: row.get("pid_started")? };
        let kept = |what: &str| -> rusqlite::Result<Option<Kept>> {
            let path: Option<Vec<u8>> = row.get(format!("{what}_path").as_str())?;
            let from: i64 = row.get(format!("{what}_from").as_str())?;
            let bytes: i64 = row.get(format!("{what}_bytes").as_str())?;
            Ok(path.map(|path| Kept { path: path_of(path), from: from as u64, bytes: bytes as u64 }))
        };
        Ok(RunRecord {
            id: row.get("id")?,
            parts: row.get("parts")?,
            state: RunState::of(&row.get::<_, String>("state")?, &owner),
            exit_code: row.get("exit_code")?,
            started_ms: row.get("started_ms")?,
            ended_ms: row.get("ended_ms")?,
            pid: owner.pid,
            command: row.get("command")?,
            sources: from_json(row, "sources")?,
            destination: Destination {
                cluster: row.get("cluster")?,
                index_pattern: row.get("index_pattern")?,
                id_mode: row.get("id_mode")?,
                schema: row.get("schema")?,
                pipeline: row.get("pipeline")?,
            },
            totals: from_json(row, "totals")?,
            malformed: kept("malformed")?,
            dead_letters: kept("dead_letters")?,
            folders: from_json(row, "folders")?,
            naming: row.get("naming")?,
            again: row.get("again")?,
        })
    }
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// There are lines without an outcome.
    InProgress,
    /// It was read to its end, and every line has an outcome.
    Complete,
    /// The same up to a damage.
    Damaged,
}

impl FileState {
    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            FileState::InProgress => "in_progress",
            FileState::Complete => "complete",
            FileState::Damaged => "damaged",
        }
    }
}

/// The device that all objects of stores are on. Those of files are not negative.
const OBJECTS_DEV: i64 = -1;

/// What stat(2) says of a file, as far as it shows that the file was not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub dev: i64,
    pub ino: i64,
    pub size: i64,
    pub mtime_ns: i64,
}

impl Stat {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Stat {
        use std::os::unix::fs::MetadataExt;
        Stat {
            dev: metadata.dev() as i64,
            ino: metadata.ino() as i64,
            size: metadata.size() as i64,
            mtime_ns: metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec()),
        }
    }

    /// What stands for them where an object lies in a store: its URI for the inode, and for the time what tells it from
    /// all others that ever were there.
    pub(super) fn of_object(uri: &str, object: &Object) -> Stat {
        Stat {
            dev: OBJECTS_DEV,
            ino: rapidhash_v3(uri.as_bytes()) as i64,
            size: object.bytes() as i64,
            mtime_ns: rapidhash_v3(object.tag().as_bytes()) as i64,
        }
    }

    pub(super) fn same_file(&self, other: &Stat) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

/// One source at one destination.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// Its number.
    pub id: i64,
    /// Where it was seen last.
    pub path: PathBuf,
    /// What names its lines.
    pub identity: [u8; 8],
    /// How far it has come.
    pub state: FileState,
    /// What is damaged.
    pub why: Option<String>,
    /// Up to here its whole lines are settled: where the next run goes on.
    pub mark: Mark,
    /// Its size on disk when it was read last, in bytes.
    pub stored_bytes: u64,
    /// The indices that its documents went to.
    pub indices: Vec<String>,
    /// The uuids of those that could be asked for it: what is deleted and made anew has another.
    pub(super) index_uuids: HashMap<String, String>,
    /// The run that read it last.
    pub run: i64,
    pub(super) stat: Stat,
    /// End and tail of what was read, a half last line that was taken included.
    pub(super) reached: (u64, u64),
    pub(super) unfinished: u64,
    /// Lines that start before this place may have been sent by others than the run that read it last.
    pub(super) sent_from: u64,
    /// Lines that start at or behind this place were never sent.
    pub(super) sent: u64,
    /// A run that says it is reading it, and the process of that run.
    pub(super) claim: Option<(i64, Owner)>,
}

/// Selects files; to be followed by a WHERE clause on `files`.
pub(super) const SELECT_FILES: &str = "
    SELECT files.*, runs.pid, runs.pid_started
    FROM files LEFT JOIN runs ON runs.id = files.claim AND runs.state = 'running' ";

impl FileRecord {
    /// Whether it was read to its end, so that there is nothing to do while nobody touches it.
    pub(super) fn needs_nothing(&self) -> bool {
        self.state != FileState::InProgress && self.unfinished == 0
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<FileRecord> {
        let offset = row.get::<_, i64>("watermark")? as u64;
        let tail = row.get::<_, i64>("tail")? as u64;
        let pid: Option<u32> = row.get("pid")?;
        let claim = match (row.get::<_, Option<i64>>("claim")?, pid) {
            (Some(run), Some(pid)) => Some((run, Owner { pid, started: row.get("pid_started")? })),
            _ => None,
        };
        Ok(FileRecord {
            id: row.get("id")?,
            path: path_of(row.get("path")?),
            identity: row.get("identity")?,
            state: match row.get::<_, String>("state")?.as_str() {
                "complete" => FileState::Complete,
                "damaged" => FileState::Damaged,
                _ => FileState::InProgress,
            },
            why: row.get("why")?,
            mark: Mark { offset, tail, counts: from_json(row, "counts")? },
            stored_bytes: row.get::<_, i64>("size")? as u64,
            indices: from_json(row, "indices")?,
            index_uuids: from_json(row, "index_uuids")?,
            run: row.get("run")?,
            stat: Stat {
                dev: row.get("dev")?,
                ino: row.get("ino")?,
                size: row.get("size")?,
                mtime_ns: row.get("mtime_ns")?,
            },
            reached: (row.get::<_, i64>("reached")? as u64, row.get::<_, i64>("reached_tail")? as u64),
            unfinished: row.get::<_, i64>("unfinished")? as u64,
            sent_from: row.get::<_, i64>("sent_from")? as u64,
            sent: row.get::<_, i64>("sent")? as u64,
            claim,
        })
    }
}

/// All rows of a query.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    from_row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(parameters, from_row)?.collect::<rusqlite::Result<Vec<T>>>()?;
    Ok(found)
}

/// The run of that number.
pub(super) fn run(connection: &Connection, id: i64) -> Result<Option<RunRecord>, Trouble> {
    let sql = format!("{SELECT_RUNS} WHERE runs.id = ?");
    Ok(connection.query_row(&sql, [id], RunRecord::from_row).optional()?)
}

/// As stored.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values have their JSON")
}

pub(super) fn from_json<T: for<'de> Deserialize<'de>>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

/// Paths are bytes.
pub(super) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
