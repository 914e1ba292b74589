//! Load profiles in the ledger: which index has other settings than its own for the time of a load, what its own are,
//! and which processes still load into it.
//!
//! The original settings are written down once, before anything is changed, by the first load. Loads that come while it
//! is at work hold the same entry; the last one to leave puts the settings back. A process that was killed is seen to be
//! dead ([`Owner`]), so its entry is left to the next load or to `loghaul restore`.
//!
//! ```text
//!  hold ▸ New    ─ the settings are read ─ journal ─ the settings are changed
//!       ▸ Joined ─ they are changed already, or the one who wanted to was killed: changed again, which harms nothing
//!       ▸ Busy   ─ a living process writes them down or puts them back right now: ask again
//!  release ▸ Shared | Last ─ the settings are put back ─ forget
//! ```

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::Ledger;
use super::owner::Owner;
use super::records::{from_json, json, rows};
use super::store::{Safe, Trouble};
use crate::error::Result;
use crate::opensearch::profile::Settings;

/// An index whose settings are, or may be, a load's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its number.
    pub id: i64,
    /// The cluster's uuid.
    pub cluster: String,
    /// Where the cluster was reached, without secrets.
    pub url: String,
    /// The index's name.
    pub index: String,
    /// Which index of that name. Empty while nothing was journaled, and then nothing was changed.
    pub uuid: String,
    /// Its own settings.
    pub original: Settings,
    /// The load's.
    pub applied: Settings,
}

/// What [`Ledger::hold_profile`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody has changed this index's settings, and this process may not be the first.
    No,
    /// This process is the first: read the settings, journal them, then change them.
    New(i64),
    /// The settings are written down already.
    Joined(Profile),
    /// Another process is in between. It will not be long.
    Busy(Owner),
}

/// What [`Ledger::release_profile`] left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Others still load into the index; the last of them puts the settings back.
    Shared(Owner),
    /// Nobody does: put them back, then [`Ledger::forget_profile`].
    Last(Profile),
    /// There is no such entry any more.
    Gone,
}

/// A process that has to do with a profile.
struct Holder {
    owner: Owner,
    restores: bool,
}

impl Ledger {
    /// Holds the profile of an index for this process. `may_begin`: whether it may be the first to change it.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn hold_profile(&self, cluster: &str, url: &str, index: &str, may_begin: bool) -> Result<Hold> {
        self.store.write(Safe::OnDisk, |transaction| {
            let sql = format!("{SELECT} WHERE cluster = ? AND index_name = ?");
            let known = transaction.query_row(&sql, params![cluster, index], Profile::from_row).optional()?;
            let Some(profile) = known else {
                if !may_begin {
                    return Ok(Hold::No);
                }
                transaction.execute(
                    "INSERT INTO profiles (cluster, url, index_name, index_uuid, original, applied)
                     VALUES (?, ?, ?, '', '{}', '{}')",
                    params![cluster, url, index],
                )?;
                let id = transaction.last_insert_rowid();
                self.add_holder(transaction, id, false)?;
                return Ok(Hold::New(id));
            };
            let others = self.living_others(transaction, profile.id)?;
            let in_between = others.iter().find(|holder| holder.restores || profile.uuid.is_empty());
            if let Some(holder) = in_between {
                return Ok(Hold::Busy(holder.owner.clone()));
            }
            if profile.uuid.is_empty() && !may_begin {
                return Ok(Hold::No); // of somebody who was killed before he changed anything
            }
            self.add_holder(transaction, profile.id, false)?;
            Ok(if profile.uuid.is_empty() { Hold::New(profile.id) } else { Hold::Joined(profile) })
        })
    }

    /// Writes down the settings of an index, safe on disk, before they are changed; over those of a deleted one.
    ///
    /// # Errors
    /// If the ledger cannot be written. Then nothing must be changed.
    pub fn journal_profile(&self, id: i64, uuid: &str, original: &Settings, applied: &Settings) -> Result<()> {
        self.store.write(Safe::OnDisk, |transaction| {
            transaction.execute(
                "UPDATE profiles SET index_uuid = ?, original = ?, applied = ? WHERE id = ?",
                params![uuid, json(original), json(applied), id],
            )?;
            Ok(())
        })
    }

    /// Lets go of a profile.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn release_profile(&self, id: i64) -> Result<Release> {
        self.store.write(Safe::OnDisk, |transaction| {
            let Some(profile) = by_id(transaction, id)? else { return Ok(Release::Gone) };
            if let Some(other) = self.living_others(transaction, id)?.into_iter().next() {
                transaction.execute(
                    "DELETE FROM profile_holders WHERE profile = ? AND pid = ? AND pid_started = ?",
                    params![id, self.owner.pid, self.owner.started],
                )?;
                return Ok(Release::Shared(other.owner));
            }
            self.add_holder(transaction, id, true)?;
            Ok(Release::Last(profile))
        })
    }

    /// Takes over a profile whose processes are all dead, to put the settings back. `None` if one of them lives, or if
    /// somebody else has done it.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn claim_profile(&self, id: i64) -> Result<Option<Profile>> {
        self.store.write(Safe::OnDisk, |transaction| {
            let Some(profile) = by_id(transaction, id)? else { return Ok(None) };
            if !self.living_others(transaction, id)?.is_empty() {
                return Ok(None);
            }
            self.add_holder(transaction, id, true)?;
            Ok(Some(profile))
        })
    }

    /// The settings are back.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn forget_profile(&self, id: i64) -> Result<()> {
        self.store.write(Safe::OnDisk, |transaction| {
            transaction.execute("DELETE FROM profile_holders WHERE profile = ?", [id])?;
            transaction.execute("DELETE FROM profiles WHERE id = ?", [id])?;
            Ok(())
        })
    }

    /// All profiles, each with a living process that holds it, if there is one besides this.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn profiles(&self) -> Result<Vec<(Profile, Option<Owner>)>> {
        self.store.write(Safe::FromKill, |transaction| {
            let profiles = rows(transaction, &format!("{SELECT} ORDER BY index_name"), [], Profile::from_row)?;
            let with_owner = profiles.into_iter().map(|profile| {
                let others = self.living_others(transaction, profile.id)?;
                Ok((profile, others.into_iter().next().map(|holder| holder.owner)))
            });
            with_owner.collect()
        })
    }

    /// Remembers that a run made an index, so that it is still its own when the run is gone on with.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn made_index(&self, run: i64, uuid: &str) -> Result<()> {
        self.store.write(Safe::OnDisk, |transaction| {
            transaction
                .execute("INSERT OR IGNORE INTO made_indices (run, index_uuid) VALUES (?, ?)", params![run, uuid])?;
            Ok(())
        })
    }

    /// Whether the run made that index.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn has_made_index(&self, run: i64, uuid: &str) -> Result<bool> {
        self.store.read(|connection| {
            let sql = "SELECT count(*) FROM made_indices WHERE run = ? AND index_uuid = ?";
            Ok(connection.query_row(sql, params![run, uuid], |row| row.get::<_, i64>(0))? > 0)
        })
    }

    /// Other processes that hold a profile and are alive. Those that are dead are forgotten.
    fn living_others(&self, transaction: &Transaction<'_>, id: i64) -> Result<Vec<Holder>, Trouble> {
        let sql = "SELECT pid, pid_started, restores FROM profile_holders WHERE profile = ?";
        let holders = rows(transaction, sql, [id], |row| {
            let owner = Owner { pid: row.get("pid")?, started: row.get("pid_started")? };
            Ok(Holder { owner, restores: row.get("restores")? })
        })?;
        let mut living = Vec::new();
        for holder in holders {
            if holder.owner == self.owner {
                continue;
            }
            if holder.owner.is_alive() {
                living.push(holder);
            } else {
                transaction.execute(
                    "DELETE FROM profile_holders WHERE profile = ? AND pid = ? AND pid_started = ?",
                    params![id, holder.owner.pid, holder.owner.started],
                )?;
            }
        }
        Ok(living)
    }

    fn add_holder(&self, transaction: &Transaction<'_>, id: i64, restores: bool) -> Result<(), Trouble> {
        transaction.execute(
            "INSERT OR REPLACE INTO profile_holders (profile, pid, pid_started, restores) VALUES (?, ?, ?, ?)",
            params![id, self.owner.pid, self.owner.started, restores],
        )?;
        Ok(())
    }
}

const SELECT: &str = "SELECT id, cluster, url, index_name, index_uuid, original, applied FROM profiles";

impl Profile {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Profile> {
        Ok(Profile {
            id: row.get("id")?,
            cluster: row.get("cluster")?,
            url: row.get("url")?,
            index: row.get("index_name")?,
            uuid: row.get("index_uuid")?,
            original: from_json(row, "original")?,
            applied: from_json(row, "applied")?,
        })
    }
}

fn by_id(transaction: &Transaction<'_>, id: i64) -> Result<Option<Profile>, Trouble> {
    Ok(transaction.query_row(&format!("{SELECT} WHERE id = ?"), [id], Profile::from_row).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two processes, of which the second can be said to be dead.
    struct Two {
        _folder: tempfile::TempDir,
        one: Ledger,
        other: Ledger,
        child: std::process::Child,
    }

    impl Two {
        fn new() -> Two {
            let folder = tempfile::tempdir().unwrap();
            let one = Ledger::open(&folder.path().join("ledger.db")).unwrap();
            let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            let other = Ledger { owner: Owner::of(child.id()), ..one.clone() };
            Two { _folder: folder, one, other, child }
        }

        fn kill_other(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    impl Drop for Two {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn settings(value: &str) -> Settings {
        Settings::from([("index.refresh_interval".to_owned(), Some(value.to_owned()))])
    }

    fn hold(ledger: &Ledger, may_begin: bool) -> Hold {
        ledger.hold_profile("c", "http://h", "i", may_begin).unwrap()
    }

    fn begin(ledger: &Ledger) -> i64 {
        let Hold::New(id) = hold(ledger, true) else { panic!("it is the first") };
        ledger.journal_profile(id, "u", &settings("30s"), &settings("-1")).unwrap();
        id
    }

    #[test]
    fn the_last_of_two_restores_what_the_first_found() {
        let two = Two::new();
        assert_eq!(hold(&two.other, false), Hold::No);
        let id = begin(&two.one);
        let Hold::Joined(profile) = hold(&two.other, false) else { panic!("it joins") };
        assert_eq!((profile.id, &profile.original), (id, &settings("30s")));
        assert!(matches!(two.one.release_profile(id).unwrap(), Release::Shared(owner) if owner == two.other.owner));
        assert_eq!(two.one.claim_profile(id).unwrap(), None, "the other one is at work");
        assert_eq!(two.other.release_profile(id).unwrap(), Release::Last(profile));
        assert!(matches!(hold(&two.one, true), Hold::Busy(_)), "while it is put back");
        two.other.forget_profile(id).unwrap();
        assert_eq!(two.one.release_profile(id).unwrap(), Release::Gone);
        assert!(matches!(hold(&two.one, true), Hold::New(_)));
    }

    #[test]
    fn the_dead_hold_nothing() {
        let mut two = Two::new();
        let id = begin(&two.other);
        assert!(matches!(two.one.profiles().unwrap()[..], [(_, Some(_))]));
        assert!(matches!(hold(&two.one, false), Hold::Joined(_)));
        two.kill_other();
        assert!(matches!(two.one.release_profile(id).unwrap(), Release::Last(_)), "the first of two was killed");
        two.one.forget_profile(id).unwrap();

        let mut two = Two::new();
        let id = begin(&two.other);
        assert_eq!(two.one.claim_profile(id).unwrap(), None);
        two.kill_other();
        assert!(matches!(two.one.profiles().unwrap()[..], [(_, None)]));
        assert_eq!(two.one.claim_profile(id).unwrap().unwrap().original, settings("30s"));
    }

    #[test]
    fn who_is_killed_before_the_journal_has_changed_nothing() {
        let mut two = Two::new();
        let Hold::New(id) = hold(&two.other, true) else { panic!("it is the first") };
        assert!(matches!(hold(&two.one, true), Hold::Busy(_)));
        two.kill_other();
        assert_eq!(hold(&two.one, false), Hold::No);
        assert_eq!(hold(&two.one, true), Hold::New(id));
    }
}
