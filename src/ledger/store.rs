//! The ledger's file: SQLite, opened carefully. A ledger that cannot be trusted is an error before the first byte is
//! read, and never a run without one.
//!
//! The file is in write-ahead mode, so that one writer and any number of readers do not wait for each other. What was
//! reported as settled is committed with `synchronous=FULL` and survives a power cut; a claim (this process reads that
//! file) need only survive the process, so it is committed without waiting for the disk.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::error::{Error, Kind, Result, io_reason};

/// The version of the tables that this program reads and writes, kept in `user_version`.
const VERSION: i64 = 7;

/// Marks the file as ours (`application_id`): "lhlg".
const APPLICATION: i64 = 0x6c68_6c67;

/// On an ext4 disk a commit takes 1.5 ms with it and 0.06 ms without. Unit tests make thousands, and cut no power.
const ON_DISK: &str = if cfg!(test) { "NORMAL" } else { "FULL" };

/// How long a transaction waits for those of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks where SQLite does not wait by itself.
const BUSY_LOOK: Duration = Duration::from_millis(20);

const TABLES: &str = "
CREATE TABLE destinations (
    id            INTEGER PRIMARY KEY,
    cluster       TEXT NOT NULL, -- its uuid
    index_pattern TEXT NOT NULL,
    id_mode       TEXT NOT NULL,
    schema        TEXT NOT NULL,
    pipeline      TEXT NOT NULL,
    UNIQUE (cluster, index_pattern, id_mode, schema, pipeline)
);
CREATE TABLE runs (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    parts              INTEGER NOT NULL, -- 1, and 1 more for each --resume
    started_ms         INTEGER NOT NULL, -- since 1970-01-01T00:00:00Z
    ended_ms           INTEGER,
    pid                INTEGER NOT NULL,
    pid_started        TEXT NOT NULL,
    command            TEXT NOT NULL,    -- without secrets
    sources            TEXT NOT NULL,    -- as the user named them; JSON
    naming             INTEGER NOT NULL, -- hash of --namespace and --source-name
    destination        INTEGER NOT NULL REFERENCES destinations (id),
    state              TEXT NOT NULL,    -- running, complete, stopped, interrupted, failed
    exit_code          INTEGER,
    totals             TEXT NOT NULL,    -- of all parts; JSON
    malformed_path     BLOB,
    malformed_bytes    INTEGER NOT NULL DEFAULT 0, -- the length that belongs to the stored watermarks
    dead_letters_path  BLOB,
    dead_letters_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE files (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    destination  INTEGER NOT NULL REFERENCES destinations (id),
    naming       INTEGER NOT NULL, -- as in runs
    identity     BLOB NOT NULL,    -- 8 bytes
    first_line   INTEGER,          -- hash of the first line
    path         BLOB NOT NULL,    -- canonical, or - for standard input
    dev          INTEGER NOT NULL, -- these four as stat(2) told them before the file was read
    ino          INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL,
    encoding     TEXT NOT NULL,    -- plain, gzip, zstd
    watermark    INTEGER NOT NULL, -- plain bytes whose lines all have an outcome, a half last line left out
    tail         INTEGER NOT NULL, -- hash of the 4 KiB before it
    counts       TEXT NOT NULL,    -- of exactly the lines before it; JSON
    reached      INTEGER NOT NULL, -- the same with a half last line that was taken
    reached_tail INTEGER NOT NULL,
    unfinished   INTEGER NOT NULL, -- bytes of a half last line that was left
    indices      TEXT NOT NULL,    -- where its documents went; JSON
    state        TEXT NOT NULL,    -- in_progress, complete, damaged
    why          TEXT,             -- what is damaged
    run          INTEGER NOT NULL, -- the last that read it
    claim        INTEGER           -- the run that reads it now
);
CREATE INDEX files_by_inode ON files (destination, dev, ino);
CREATE INDEX files_by_identity ON files (destination, identity);
CREATE INDEX files_by_first_line ON files (destination, first_line);
CREATE INDEX files_by_run ON files (run);
CREATE INDEX files_by_claim ON files (claim) WHERE claim IS NOT NULL;
";

/// What version 2 added.
const TABLES_2: &str = "
-- Whether the run that reads the file may be the first that sends its lines; what is there already is its own then.
ALTER TABLE files ADD COLUMN first_sent INTEGER NOT NULL DEFAULT 0;
-- The working directories of a run's parts, against which their relative names are to be understood; JSON.
ALTER TABLE runs ADD COLUMN folders TEXT NOT NULL DEFAULT '[]';
-- The length that the files beside a run had when it began: other runs' lines, which stay.
ALTER TABLE runs ADD COLUMN malformed_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN dead_letters_from INTEGER NOT NULL DEFAULT 0;
";

/// What version 3 added.
const TABLES_3: &str = "
-- The uuids of `indices`, as far as they are known; JSON. One that was deleted and made anew has another.
ALTER TABLE files ADD COLUMN index_uuids TEXT NOT NULL DEFAULT '{}';
";

/// What version 4 added.
const TABLES_4: &str = "
-- Indices whose settings are changed for the time of a load.
CREATE TABLE profiles (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster    TEXT NOT NULL, -- its uuid
    url        TEXT NOT NULL, -- where it was reached, without secrets
    index_name TEXT NOT NULL,
    index_uuid TEXT NOT NULL, -- empty: nothing was changed as yet
    original   TEXT NOT NULL, -- the index's own settings; JSON, null for one that is not set
    applied    TEXT NOT NULL, -- the load's; JSON
    UNIQUE (cluster, index_name)
);
-- The processes that load into them.
CREATE TABLE profile_holders (
    profile     INTEGER NOT NULL REFERENCES profiles (id),
    pid         INTEGER NOT NULL,
    pid_started TEXT NOT NULL,
    restores    INTEGER NOT NULL, -- whether it is putting the settings back
    PRIMARY KEY (profile, pid, pid_started)
);
-- Indices that a run made under a profile: they are still its own when it is gone on with.
CREATE TABLE made_indices (
    run        INTEGER NOT NULL,
    index_uuid TEXT NOT NULL,
    PRIMARY KEY (run, index_uuid)
);
";

/// What version 5 added.
const TABLES_5: &str = "
-- Whether the run was begun with --again; then it goes on so.
ALTER TABLE runs ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
-- Documents of lines before `sent` may have been written; those from `sent_from` on by the run that reads the file, and
-- by nobody before it. Both in plain bytes.
ALTER TABLE files ADD COLUMN sent_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
UPDATE files SET sent_from = CASE first_sent WHEN 0 THEN 9223372036854775807 ELSE 0 END,
                 sent = CASE state WHEN 'in_progress' THEN 9223372036854775807 ELSE reached END;
ALTER TABLE files DROP COLUMN first_sent;
-- Where clusters were reached: who may not ask for a cluster's uuid knows it by its URLs.
CREATE TABLE urls (
    url     TEXT PRIMARY KEY,
    cluster TEXT NOT NULL -- as in destinations
) WITHOUT ROWID;
-- Packed files that hold only the beginning of what `whole` tells of.
CREATE TABLE parts (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    whole    INTEGER NOT NULL, -- of files
    dev      INTEGER NOT NULL, -- these four as in files
    ino      INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    damage   INTEGER,          -- where in the plain bytes it is damaged, once that is known
    why      TEXT,             -- and how
    run      INTEGER NOT NULL  -- the last that read it
);
CREATE INDEX parts_by_inode ON parts (dev, ino);
CREATE INDEX runs_by_malformed ON runs (malformed_path);
CREATE INDEX runs_by_dead_letters ON runs (dead_letters_path);
";

/// What version 6 added.
const TABLES_6: &str = "
-- Of an object in a store: its ETag, or its version, or when it was written. (dev is -1 then, ino stands for the URI that
-- is its path, and mtime_ns for this.)
ALTER TABLE files ADD COLUMN tag TEXT;
";

/// What version 7 added.
const TABLES_7: &str = "
-- The run that read it first; 0 where that is not known. `run` is the last.
ALTER TABLE files ADD COLUMN first_run INTEGER NOT NULL DEFAULT 0;
";

/// A ledger of up to this many bytes is looked through whenever it is opened, which takes 0.1 s at most where the file
/// is cached. Of a larger one (some hundred thousand files) only the runs are; whatever else is damaged is told when it
/// is met.
const CHECKED_BYTES_MAX: i64 = if cfg!(test) { 1 << 20 } else { 32 << 20 }; // tests do not fill disks

/// The open file. Handles of it share one connection.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<Path>,
    connection: Arc<Mutex<Connection>>,
}

/// How safe a transaction is when it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safe {
    /// From a power cut.
    OnDisk,
    /// From the end of this process.
    FromKill,
}

impl Store {
    /// Opens the ledger at `path`; makes it, and its folder, where there is none.
    ///
    /// # Errors
    /// If it is damaged, of a newer version, locked, or cannot be written to (read-only, full disk).
    pub fn open(path: &Path) -> Result<Store> {
        make_private(path)?;
        let connection = Connection::open(path).map_err(|error| failed(path, Kind::Failed, &error))?;
        let store = Store { path: path.into(), connection: Arc::new(Mutex::new(connection)) };
        let began = Instant::now();
        loop {
            return match store.prepare() {
                Ok(()) => Ok(store),
                // Whoever changes the journal's mode or recovers it is not waited for by SQLite itself.
                Err(Opening::Sqlite(error)) if is_busy(&error) && began.elapsed() < BUSY_TIMEOUT => {
                    std::thread::sleep(BUSY_LOOK);
                    continue;
                }
                Err(Opening::Sqlite(error)) => Err(failed(path, Kind::Failed, &error)),
                Err(Opening::Other(error)) => Err(error),
            };
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn prepare(&self) -> Result<(), Opening> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Else plans depend on what is bound, and a statement is prepared anew for each file: half of the time of a night in
        // which no file has changed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        let ask = |connection: &Connection, what: &str| connection.query_row(what, [], |row| row.get::<_, i64>(0));
        let tables = ask(&connection, "SELECT count(*) FROM sqlite_schema")?;
        if tables > 0 && ask(&connection, "PRAGMA application_id")? != APPLICATION {
            let message = format!("{} is another program's database, not a ledger", self.path.display());
            return Err(Opening::Other(Error::failed(message).hint(OTHERWISE)));
        }
        if ask(&connection, "PRAGMA user_version")? > VERSION {
            let message = format!("the ledger {} was written by a newer loghaul", self.path.display());
            return Err(Opening::Other(
                Error::failed(message).hint("use that one, or name another with --ledger FILE"),
            ));
        }
        let bytes = ask(&connection, "PRAGMA page_count")? * ask(&connection, "PRAGMA page_size")?;
        let checks: &[&str] = match (tables, bytes <= CHECKED_BYTES_MAX) {
            (0, _) => &[], // to be made
            (_, true) => &["PRAGMA quick_check(1)"],
            // That the file is shorter than it says shows without being looked for.
            (_, false) => &["PRAGMA quick_check(destinations)", "PRAGMA quick_check(runs)"],
        };
        for check in checks {
            let checked: String = connection.query_row(check, [], |row| row.get(0))?;
            if checked != "ok" {
                return Err(Opening::Other(damaged(&self.path, &checked)));
            }
        }
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            let message = format!("the ledger {} cannot be kept there: no write-ahead log", self.path.display());
            return Err(Opening::Other(Error::failed(message).hint(OTHERWISE)));
        }
        connection.set_prepared_statement_cache_capacity(32);
        // Another process may have made the tables just now, so the version is read again under the lock.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = ask(&transaction, "PRAGMA user_version")?;
        if version < 1 {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
        }
        if version < 2 {
            transaction.execute_batch(TABLES_2)?;
        }
        if version < 3 {
            transaction.execute_batch(TABLES_3)?;
        }
        if version < 4 {
            transaction.execute_batch(TABLES_4)?;
        }
        if version < 5 {
            transaction.execute_batch(TABLES_5)?;
        }
        if version < 6 {
            transaction.execute_batch(TABLES_6)?;
        }
        if version < 7 {
            transaction.execute_batch(TABLES_7)?;
        }
        // Written each time: it shows now, and not at the first watermark, that there is no room or no permission.
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        Ok(())
    }

    /// Runs `body` in a transaction that has the right to write from its start.
    ///
    /// # Errors
    /// What the body or SQLite says; nothing is changed then.
    pub fn write<T>(&self, safe: Safe, body: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble>) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let written = (|| {
            connection.pragma_update(None, "synchronous", if safe == Safe::OnDisk { ON_DISK } else { "NORMAL" })?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let made = body(&transaction)?;
            transaction.commit()?;
            Ok(made)
        })();
        written.map_err(|trouble| self.told(trouble))
    }

    /// Runs `body` on the connection, to read.
    ///
    /// # Errors
    /// What the body or SQLite says.
    pub fn read<T>(&self, body: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        body(&connection).map_err(|trouble| self.told(trouble))
    }

    fn told(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Sqlite(error) => failed(&self.path, Kind::Stopped, &error),
            Trouble::Ours(error) => error,
        }
    }
}

/// Whether another connection is in the way, for the moment.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// What can go wrong inside a transaction.
#[derive(Debug)]
pub enum Trouble {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// What was asked for is refused.
    Ours(Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        Trouble::Sqlite(error)
    }
}

enum Opening {
    Sqlite(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for Opening {
    fn from(error: rusqlite::Error) -> Opening {
        Opening::Sqlite(error)
    }
}

const OTHERWISE: &str = "name another place with --ledger FILE, or load without one with --no-ledger";

/// The ledger's usual place: `$XDG_STATE_HOME/loghaul/ledger.db`, or below `~/.local/state`.
///
/// # Errors
/// If neither variable says where that is.
pub fn default_path() -> Result<PathBuf> {
    // Relative paths are invalid there and to be ignored, says the XDG base directory specification.
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    match state {
        Some(state) => Ok(state.join("loghaul/ledger.db")),
        None => {
            Err(Error::failed("there is no place for the ledger: neither XDG_STATE_HOME nor HOME is set")
                .hint(OTHERWISE))
        }
    }
}

/// Makes the file and its folder for this user alone: paths and command lines are in it.
fn make_private(path: &Path) -> Result<()> {
    let refused = |error: &std::io::Error| {
        Error::failed(format!("cannot make the ledger {}: {}", path.display(), io_reason(error))).hint(OTHERWISE)
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| refused(&error))?;
    }
    match OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::failed(format!("the ledger {} is damaged: {why}", path.display())).hint(
        "move it away to begin a new one (ids keep documents from being loaded twice), or use --ledger FILE or \
         --no-ledger",
    )
}

/// What SQLite says, in our words. `kind`: what it means for the run.
fn failed(path: &Path, kind: Kind, error: &rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let (path_shown, again) = (path.display(), kind == Kind::Stopped);
    let (message, hint) = match code {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return Error { kind, ..damaged(path, &error.to_string()) };
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            format!("the ledger {path_shown} has been locked by another program for {} s", BUSY_TIMEOUT.as_secs()),
            "wait for that program to end, or use --ledger FILE or --no-ledger",
        ),
        Some(ErrorCode::DiskFull) => (
            format!("cannot write to the ledger {path_shown}: the disk is full"),
            match again {
                true => "make room, then go on with --resume",
                false => "make room and run the same again, or name another place with --ledger FILE",
            },
        ),
        Some(ErrorCode::SystemIoFailure) => (
            format!("cannot use the ledger {path_shown}: {error}"),
            "see whether its disk is full or failing, or use --ledger FILE or --no-ledger",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (format!("cannot write to the ledger {path_shown}: it is read-only"), OTHERWISE)
        }
        _ => (format!("cannot use the ledger {path_shown}: {error}"), OTHERWISE),
    };
    Error { kind, message, hint: Some(hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_for_this_user_alone_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/loghaul/ledger.db");
        drop(Store::open(&path).unwrap());
        Store::open(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn one_of_the_first_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        drop(connection);
        let store = Store::open(&path).unwrap();
        store
            .read(|connection| {
                Ok(connection.execute_batch("SELECT sent_from, first_run FROM files; SELECT url FROM profiles")?)
            })
            .unwrap();
        Store::open(&path).unwrap();
    }

    #[test]
    fn many_may_make_it_at_once() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state/ledger.db");
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| Store::open(&path).unwrap());
                }
            });
        }
    }

    #[test]
    fn one_that_cannot_be_trusted_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, make: &dyn Fn(&Path)| {
            let path = folder.path().join(name);
            make(&path);
            let error = Store::open(&path).expect_err(name);
            assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("--ledger")), "{name}: {error}");
            error.message
        };
        assert!(
            refused("junk.db", &|path| std::fs::write(path, "not a database ".repeat(999)).unwrap())
                .contains("damaged")
        );
        assert!(
            refused("newer.db", &|path| {
                drop(Store::open(path).unwrap());
                Connection::open(path).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
            })
            .contains("newer")
        );
        assert!(
            refused("other.db", &|path| {
                Connection::open(path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
            })
            .contains("another program")
        );
        assert!(
            refused("torn.db", &|path| {
                drop(Store::open(path).unwrap());
                let mut bytes = std::fs::read(path).unwrap();
                for byte in &mut bytes[8192..12288] {
                    *byte = 0xff;
                }
                std::fs::write(path, bytes).unwrap();
            })
            .contains("damaged")
        );
        assert!(refused("folder.db", &|path| std::fs::create_dir(path).unwrap()).contains("cannot make"));
        assert!(refused("/proc/loghaul/ledger.db", &|_| {}).contains("cannot make"));
        assert!(
            refused("file.txt/ledger.db", &|path| std::fs::write(path.parent().unwrap(), "").unwrap())
                .contains("cannot make")
        );
    }

    /// A ledger of more than [`CHECKED_BYTES_MAX`].
    fn make_large(path: &Path) {
        let store = Store::open(path).unwrap();
        store
            .write(Safe::FromKill, |transaction| {
                transaction.execute_batch(
                    "INSERT INTO destinations VALUES (1, 'c', 'i', 'source', '1', '');
                     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
                     INSERT INTO files (destination, naming, identity, path, dev, ino, size, mtime_ns, encoding,
                        watermark, tail, counts, reached, reached_tail, unfinished, indices, state, run)
                     SELECT 1, 0, randomblob(8), hex(randomblob(1500)), 1, i, 1, 1, 'plain', 1, 1, '{}', 1, 1, 0, '[]',
                        'complete', 1 FROM n",
                )?;
                Ok(())
            })
            .unwrap();
        drop(store);
        assert!(std::fs::metadata(path).unwrap().len() as i64 > CHECKED_BYTES_MAX);
    }

    #[test]
    fn a_large_one_is_opened_quickly_and_its_damages_are_told_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.db");
        make_large(&path);
        let whole = std::fs::read(&path).unwrap();
        Store::open(&path).unwrap();
        // Cut.
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(Store::open(&path).unwrap_err().message.contains("damaged"));
        // Its first pages overwritten: schema and runs.
        let mut torn = whole.clone();
        torn[4096..10 * 4096].fill(0xff);
        std::fs::write(&path, torn).unwrap();
        assert!(Store::open(&path).unwrap_err().message.contains("damaged"));
        // Somewhere among the files: told by whoever comes upon it.
        let mut torn = whole.clone();
        let middle = whole.len() / 2 / 4096 * 4096;
        torn[middle..middle + 40 * 4096].fill(0xff);
        std::fs::write(&path, torn).unwrap();
        let store = Store::open(&path).unwrap();
        let error = store
            .read(|connection| {
                Ok(connection
                    .query_row("SELECT sum(length(path) + tail) FROM files", [], |row| row.get::<_, i64>(0))?)
            })
            .unwrap_err();
        assert!(error.message.contains("damaged") && error.hint.is_some(), "{error}");
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger.db")).unwrap();
        // SQLite's own limit gives the same answer as a disk without room.
        store.read(|connection| Ok(connection.pragma_update(None, "max_page_count", 1)?)).unwrap();
        let error = store
            .write(Safe::OnDisk, |transaction| {
                transaction.execute_batch("CREATE TABLE more (a BLOB); INSERT INTO more VALUES (zeroblob(100000))")?;
                Ok(())
            })
            .unwrap_err();
        assert_eq!((error.kind, error.message.contains("the disk is full")), (Kind::Stopped, true), "{error}");
    }
}
