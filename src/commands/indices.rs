//! [`Indices`]: what a load does with each of its indices before the first document goes there, and after the last.
//!
//! Names are not known beforehand: they follow the time of the events. So a writer that holds the first documents of an
//! index comes here and waits; the index is made explicitly, as its template has it, and while it is empty its settings
//! are read, written to the ledger, and only then changed. A kill between any two of these steps leaves an index with
//! its own settings, or an entry in the ledger that says what they are.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::commands::restore::{self, Back};
use crate::config::ProfileConfig;
use crate::error::{Error, Result};
use crate::ledger::{Hold, Ledger, Owner, Release};
use crate::opensearch::profile::{Creation, Found, IndexSettings, bulk, originals};
use crate::opensearch::{Client, Unable};
use crate::pipeline::report::{Ended, Report, figures};
use crate::pipeline::stop::Stop;

/// How long the cluster is asked again before a load goes on without the profile.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The indices of one load.
pub struct Indices {
    client: Arc<Client>,
    ledger: Ledger,
    cluster: String,
    run: i64,
    profile: ProfileConfig,
    stop: Arc<Stop>,
    /// Tells a person, while the load goes on.
    say: Box<dyn Fn(&str) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Profiles that this process holds: number and index.
    held: BTreeMap<i64, String>,
    /// Indices that we asked for and had no answer about: if they are there, they are ours.
    asked_for: HashSet<String>,
    /// Indices that were there before and stay as they are.
    left_alone: u64,
    /// Why no more indices get the profile.
    given_up: Option<String>,
}

/// Why an index is not ready.
enum Unready {
    /// The cluster did not do it.
    Cluster(Unable),
    /// Another load is in between.
    Busy(Owner),
    /// The ledger failed: nothing was changed.
    Ledger(Error),
}

impl From<Unable> for Unready {
    fn from(unable: Unable) -> Unready {
        Unready::Cluster(unable)
    }
}

impl From<Error> for Unready {
    fn from(error: Error) -> Unready {
        Unready::Ledger(error)
    }
}

impl Indices {
    /// Nothing made, nothing changed. Settings that a killed load left on indices which `is_ours` are taken over: they
    /// are put back at the end of this load.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    #[allow(clippy::too_many_arguments)] // each is of another kind, and there is one caller
    pub fn new(
        client: &Arc<Client>,
        ledger: &Ledger,
        cluster: &str,
        run: i64,
        profile: ProfileConfig,
        is_ours: impl Fn(&str) -> bool,
        stop: &Arc<Stop>,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Indices> {
        let indices = Indices {
            client: Arc::clone(client),
            ledger: ledger.clone(),
            cluster: cluster.to_owned(),
            run,
            profile,
            stop: Arc::clone(stop),
            say: Box::new(say),
            state: Mutex::default(),
        };
        for (left, owner) in ledger.profiles()? {
            if owner.is_none()
                && left.cluster == cluster
                && is_ours(&left.index)
                && let Hold::Joined(taken) = ledger.hold_profile(cluster, &left.url, &left.index, false)?
            {
                indices.lock().held.insert(taken.id, taken.index);
            }
        }
        Ok(indices)
    }

    /// Makes an index ready for its first document. Where the cluster does not let us, the load goes on without the
    /// profile.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn prepare(&self, index: &str) -> Result<()> {
        let began = Instant::now();
        let mut told = false;
        loop {
            if self.lock().given_up.is_some() {
                return Ok(());
            }
            let (why, passes) = match self.apply(index) {
                Ok(()) => return Ok(()),
                Err(Unready::Ledger(error)) => return Err(error),
                Err(Unready::Cluster(unable)) => (unable.error.to_string(), unable.passes),
                Err(Unready::Busy(owner)) => {
                    (format!("process {} is changing the settings of {index}", owner.pid), true)
                }
            };
            // Told to end, it sends what it has; the index makes itself.
            if passes && self.stop.is_raised() {
                return Ok(());
            }
            if !passes || began.elapsed() >= PATIENCE {
                let why = format!("the load profile is not applied from {index} on: {why}");
                (self.say)(&why);
                self.lock().given_up = Some(why);
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                (self.say)(&format!("waiting to prepare the index {index}: {why}"));
            }
            self.stop.wait(ASK_EVERY);
        }
    }

    fn apply(&self, index: &str) -> Result<(), Unready> {
        let made = match self.client.index_settings(index)? {
            Found::Other => false,
            Found::Index(_) => self.lock().asked_for.remove(index),
            Found::Nothing => self.make(index)?,
        };
        let Found::Index(now) = self.client.index_settings(index)? else {
            self.lock().left_alone += 1; // an alias, or gone again
            return Ok(());
        };
        if made {
            self.ledger.made_index(self.run, &now.uuid)?;
        }
        let may_begin = made || self.profile.existing || self.ledger.has_made_index(self.run, &now.uuid)?;
        let url = self.client.address(0).url("");
        match self.ledger.hold_profile(&self.cluster, &url, index, may_begin)? {
            Hold::Busy(owner) => Err(Unready::Busy(owner)),
            Hold::No => {
                self.lock().left_alone += 1;
                Ok(())
            }
            Hold::New(id) => self.change(id, index, None),
            Hold::Joined(profile) => self.change(profile.id, index, Some(&profile.uuid)),
        }
    }

    /// Whether the index was made by us.
    fn make(&self, index: &str) -> Result<bool, Unready> {
        let made = self.client.create_index(index, &json!({}));
        let mut state = self.lock();
        match made {
            Ok(Creation::Created) => Ok(true),
            Ok(Creation::WasThere) => Ok(state.asked_for.remove(index)),
            Err(unable) => {
                if unable.refusal.is_none() {
                    state.asked_for.insert(index.to_owned());
                }
                Err(unable.into())
            }
        }
    }

    /// Writes the index's own settings down, unless those of this index (`journaled`: its uuid) are, and changes them.
    fn change(&self, id: i64, index: &str, journaled: Option<&str>) -> Result<(), Unready> {
        self.lock().held.insert(id, index.to_owned());
        // Read while nobody else can be changing them: others would have joined, or wait.
        let Found::Index(now) = self.client.index_settings(index)? else { return Ok(()) };
        let applied = bulk(&now);
        if journaled != Some(&now.uuid) {
            self.ledger.journal_profile(id, &now.uuid, &originals(&now, &applied), &applied)?;
        }
        self.put(id, index, &now)
    }

    fn put(&self, id: i64, index: &str, now: &IndexSettings) -> Result<(), Unready> {
        match self.client.put_settings(index, &bulk(now)) {
            Err(unable) if !unable.passes => {
                // Refused for good: there is nothing to be put back.
                if let Release::Last(_) = self.ledger.release_profile(id)? {
                    self.ledger.forget_profile(id)?;
                }
                self.lock().held.remove(&id);
                Err(unable.into())
            }
            result => Ok(result?),
        }
    }

    /// Puts all settings back, or leaves that to loads that are still at work, and waits for the copies if that was
    /// asked for. What somebody should know goes into the report.
    pub fn finish(self, report: &mut Report) {
        let patience = match report.ended {
            Ended::Interrupted(_) => PATIENCE / 3,
            _ => PATIENCE,
        };
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + patience;
        let (mut restored, mut shared, mut failed) = (Vec::new(), 0_u64, Vec::new());
        for (id, index) in &state.held {
            match restore::release(&self.client, &self.ledger, *id, deadline) {
                Ok(Back::Shared(_)) => shared += 1,
                Ok(Back::Gone) => {}
                Ok(Back::Restored(notes)) => {
                    restored.push(index.clone());
                    notes.into_iter().for_each(|note| report.note(note));
                }
                Err(error) => failed.push((index, error)),
            }
        }
        if !restored.is_empty() {
            let indices = counted(restored.len() as u64);
            let their = if restored.len() == 1 { "its own settings are" } else { "their own settings are" };
            report.note(format!("{indices} loaded without refresh and replicas; {their} back"));
        }
        if shared > 0 {
            let indices = counted(shared);
            report.note(format!("{indices} still loaded by others, the last of which puts the settings back"));
        }
        if state.left_alone > 0 {
            let indices = counted(state.left_alone);
            report.note(format!(
                "{indices} kept their settings while loaded: not made by this load (--profile-existing takes them, too)"
            ));
        }
        if let Some(why) = state.given_up {
            report.note(format!("{why}; loaded with the settings that are there"));
        }
        if let Some((index, error)) = failed.first() {
            let more = failed.len() - 1;
            let others = if more > 0 { format!(" and {more} more") } else { String::new() };
            let to = self.client.address(0).url("");
            report.failed(
                Error::failed(format!("cannot put back the settings of {index}{others}: {}", error.message))
                    .hint(format!("they have no refresh and no replicas until `loghaul restore --to {to}`")),
            );
        }
        if let Some(longest) = self.profile.wait
            && report.ended == Ended::Complete
            && let Err(error) = restore::wait_until_green(&self.client, &restored, longest, &self.stop)
        {
            report.failed(error);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counted(indices: u64) -> String {
    format!("{} {}", figures::grouped(indices), if indices == 1 { "index" } else { "indices" })
}
