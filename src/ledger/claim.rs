//! A source that is to be read is claimed: stored with the run that reads it, so that no other reads it meanwhile, and a
//! later one knows what this one may have sent.
//!
//! A claim is made under the lock of what this run has [taken](super::choose::Taken), and only if what was found out
//! about the file still holds.

use std::path::Path;

use rusqlite::{OptionalExtension, Transaction, params};

use super::choose::{Chooser, Decided, Found, Seen, Taken, UNTRACKED, encoding_name, refused, start};
use super::owner::Owner;
use super::records::{self, FileRecord, FileState, SELECT_FILES, Stat, json, path_bytes};
use super::store::{Safe, Trouble};
use crate::error::Result;
use crate::pipeline::decode::Encoding;
use crate::pipeline::report::coverage::Mark;
use crate::pipeline::source::{Source, Start};

impl Chooser {
    /// Claims a file that is read from its start. `replaces`: a row that is no longer true; `deleted`: because documents
    /// that it tells of are gone.
    pub(super) fn read_from_start(
        &self,
        source: &Source,
        path: &Path,
        file: &Seen,
        identity: [u8; 8],
        replaces: Option<&Found>,
        deleted: bool,
    ) -> Result<Decided> {
        let mut taken = self.taken();
        if let Some(found) = replaces
            && self.no_longer_holds(found, &taken)?
        {
            return Ok(None);
        }
        if replaces.is_some_and(|found| taken.rows.contains(&found.row.id)) || taken.identities.contains(&identity) {
            return Ok(Some(from_start(source, UNTRACKED, identity, file)));
        }
        let claimed = self.store.write(Safe::FromKill, |transaction| {
            if let Some(owner) = self.other_reader(transaction, file, identity)? {
                return Ok(Err(owner));
            }
            // What was loaded under this identity before, lines at the same places had the same ids.
            let sent_before: i64 = transaction
                .prepare_cached(
                    "SELECT coalesce(max(max(sent_from, sent, reached)), 0) FROM files
                     WHERE destination = ? AND naming = ? AND identity = ?",
                )?
                .query_row(params![self.destination, file.naming, identity], |row| row.get(0))?;
            if let Some(found) = replaces {
                transaction.execute("DELETE FROM files WHERE id = ?", [found.row.id])?;
            }
            let nothing = Mark::default();
            transaction
                .prepare_cached(
                    "INSERT INTO files (destination, naming, identity, first_line, path, dev, ino, size, mtime_ns,
                        encoding, watermark, tail, counts, reached, reached_tail, unfinished, indices, state, run,
                        first_run, claim, sent_from, tag)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, ?, 0, '[]', 'in_progress', ?, ?, ?, ?, ?)",
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
                    encoding_name(file.encoding.unwrap_or(Encoding::Plain)),
                    nothing.tail as i64,
                    json(&nothing.counts),
                    nothing.tail as i64,
                    self.run,
                    self.run,
                    self.run,
                    if deleted { 0 } else { sent_before },
                    file.tag,
                ])?;
            Ok(Ok(transaction.last_insert_rowid()))
        })?;
        match claimed {
            Err(owner) => Ok(Some(refused(source, path, &owner))),
            Ok(tag) => {
                taken.rows.insert(tag);
                taken.identities.insert(identity);
                Ok(Some(from_start(source, tag, identity, file)))
            }
        }
    }

    /// Claims a file that is gone on with.
    pub(super) fn go_on(&self, source: &Source, path: &Path, file: &Seen, found: &Found) -> Result<Decided> {
        let row = &found.row;
        let mut taken = self.taken();
        if self.no_longer_holds(found, &taken)? {
            return Ok(None);
        }
        if taken.rows.contains(&row.id) || taken.identities.contains(&row.identity) {
            return Ok(Some(from_start(source, UNTRACKED, row.identity, file)));
        }
        // Only what this run itself has sent before it was interrupted is its own when it turns out to be there.
        let own = self.resumes && row.run == self.run && row.state == FileState::InProgress;
        let mut row = row.clone();
        if !own {
            row.sent_from = row.sent_from.max(row.sent).max(row.reached.0);
        }
        let claimed = self.store.write(Safe::FromKill, |transaction| {
            if let Some(owner) = self.other_reader(transaction, file, row.identity)? {
                return Ok(Err(owner));
            }
            transaction
                .prepare_cached(
                    "UPDATE files SET path = ?, dev = ?, ino = ?, size = ?, mtime_ns = ?, encoding = coalesce(?, encoding), sent_from = ?,
                        state = 'in_progress', why = NULL, unfinished = 0, run = ?, claim = ? WHERE id = ?",
                )?
                .execute(params![
                    path_bytes(&file.path),
                    file.stat.dev,
                    file.stat.ino,
                    file.stat.size,
                    file.stat.mtime_ns,
                    file.encoding.map(encoding_name),
                    row.sent_from as i64,
                    self.run,
                    self.run,
                    row.id,
                ])?;
            Ok(Ok(()))
        })?;
        if let Err(owner) = claimed {
            return Ok(Some(refused(source, path, &owner)));
        }
        taken.rows.insert(row.id);
        taken.identities.insert(row.identity);
        let start = start(&row, file.first_line, own && self.may_confirm);
        Ok(Some(Source { start: Some(start), ..source.clone() }))
    }

    /// A file that holds nothing but the beginning of `whole`: no line in it is new, so there is no progress to be
    /// stored, only that it is damaged, if it is.
    pub(super) fn part(&self, source: &Source, file: &Seen, whole: &FileRecord) -> Result<Source> {
        let Stat { dev, ino, size, mtime_ns } = file.stat;
        let part = self.store.write(Safe::FromKill, |transaction| {
            transaction.execute("DELETE FROM parts WHERE whole = ? AND dev = ? AND ino = ?", [whole.id, dev, ino])?;
            transaction.execute(
                "INSERT INTO parts (whole, dev, ino, size, mtime_ns, run) VALUES (?, ?, ?, ?, ?, ?)",
                [whole.id, dev, ino, size, mtime_ns, self.run],
            )?;
            Ok(transaction.last_insert_rowid())
        })?;
        Ok(from_start(source, -part, whole.identity, file))
    }

    /// Whether what was found out about a file has to be found out once more.
    pub(super) fn no_longer_holds(&self, found: &Found, taken: &Taken) -> Result<bool> {
        // What another run reads is refused; it changes all the time.
        if found.was_taken || self.is_claimed(&found.row) {
            return Ok(false);
        }
        Ok(taken.rows.contains(&found.row.id) || self.has_changed(&found.row)?)
    }

    /// Whether a row is no longer what it was when its file was looked at.
    fn has_changed(&self, row: &FileRecord) -> Result<bool> {
        let now = self.store.read(|connection| {
            let sql = format!("{SELECT_FILES} WHERE files.id = ?");
            Ok(connection.prepare_cached(&sql)?.query_row([row.id], FileRecord::from_row).optional()?)
        })?;
        Ok(now.is_none_or(|now| {
            let key = |row: &FileRecord| (row.run, row.state, row.mark.offset, row.reached.0, row.stat);
            key(&now) != key(row) || now.path != row.path
        }))
    }

    /// The process of another run that reads this file right now, to the same destination.
    fn other_reader(
        &self,
        transaction: &Transaction<'_>,
        file: &Seen,
        identity: [u8; 8],
    ) -> Result<Option<Owner>, Trouble> {
        let sql = other_readers();
        let key = params![self.destination, file.naming, self.run, identity, file.stat.dev, file.stat.ino];
        let claimed = records::rows(transaction, &sql, key, FileRecord::from_row)?;
        Ok(claimed.into_iter().filter_map(|row| row.claim).map(|(_, owner)| owner).find(Owner::is_alive))
    }

    /// Whether another run reads the file of this row right now.
    pub(super) fn is_claimed(&self, row: &FileRecord) -> bool {
        row.claim.as_ref().is_some_and(|(run, owner)| *run != self.run && owner.is_alive())
    }

    /// A file that needs nothing: remembers where and how it was seen, so that the next run need not look into it.
    pub(super) fn seen_again(&self, row: &FileRecord, path: &Path, stat: &Stat) -> Result<()> {
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

    pub(super) fn forget_row(&self, row: i64) -> Result<()> {
        self.store.write(Safe::FromKill, |transaction| {
            transaction.execute("DELETE FROM files WHERE id = ?", [row])?;
            Ok(())
        })
    }
}

/// Finds the rows of a file, by its identity or its inode, that other runs read: ?1 is the destination, ?2 naming, ?3 this
/// run, ?4 the identity, ?5 and ?6 the inode. Asked for each file, so it must not look at all others: left to itself,
/// SQLite takes one index for an OR of two, the one that tells the destination alone.
fn other_readers() -> String {
    format!(
        "{SELECT_FILES} WHERE files.id IN (
             SELECT id FROM files WHERE destination = ?1 AND identity = ?4
             UNION ALL SELECT id FROM files WHERE destination = ?1 AND dev = ?5 AND ino = ?6)
         AND files.naming = ?2 AND files.claim IS NOT NULL AND files.claim <> ?3"
    )
}

/// A source that is read from its start, as `tag`. [`UNTRACKED`]: another source of this run has its lines, as a log has
/// those of its compressed twin. It is read, for it may hold more, and the ids see to it that nothing is loaded twice; but
/// two cannot move one watermark.
fn from_start(source: &Source, tag: i64, identity: [u8; 8], file: &Seen) -> Source {
    let first_line = file.first_line.unwrap_or_default();
    let start = Start { tag, identity, first_line, mark: Mark::default(), confirms: 0..0, notes: Vec::new() };
    Source { start: Some(start), ..source.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    #[test]
    fn a_claim_does_not_look_at_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", other_readers());
        let plan = ledger.store.read(|connection| {
            let key = params![1, 2, 3, [0_u8; 8], 5, 6];
            records::rows(connection, &sql, key, |row| row.get::<_, String>("detail"))
        });
        let plan = plan.unwrap().join("\n");
        for index in
            ["files_by_identity (destination=? AND identity=?)", "files_by_inode (destination=? AND dev=? AND ino=?)"]
        {
            assert!(plan.contains(index), "{plan}");
        }
        assert!(!plan.contains("SCAN files") && !plan.contains("(destination=?)"), "{plan}");
    }
}
