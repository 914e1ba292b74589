//! [`Indices`]: what a load does with each of its indices before the first document goes there, and after the last.
//!
//! Names are not known beforehand: they follow the time of the events. So a writer that holds the first documents of an
//! index comes here and waits; the index is made explicitly, as its template has it, and while it is empty its settings
//! are read, written to the ledger, and only then changed. A kill between any two of these steps leaves an index with
//! its own settings, or an entry in the ledger that says what they are.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::commands::restore::{self, Back};
use crate::config::ProfileConfig;
use crate::error::{Error, Result};
use crate::ledger::{Hold, Ledger, Owner};
use crate::opensearch::generations::Mark;
use crate::opensearch::profile::{Creation, Found, IndexSettings, bulk, originals};
use crate::opensearch::{Client, Unable};
use crate::pipeline::report::figures::counted_indices;
use crate::pipeline::report::{Ended, Report};
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
    profile: Option<ProfileConfig>,
    /// Where all indices are to be of one generation, and how long the cluster is asked for that.
    generation: Option<(Mark, Duration)>,
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
    /// Nothing made, nothing changed.
    pub fn new(
        client: &Arc<Client>,
        ledger: &Ledger,
        cluster: &str,
        run: i64,
        profile: Option<ProfileConfig>,
        stop: &Arc<Stop>,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Indices {
        Indices {
            client: Arc::clone(client),
            ledger: ledger.clone(),
            cluster: cluster.to_owned(),
            run,
            profile,
            generation: None,
            stop: Arc::clone(stop),
            say: Box::new(say),
            state: Mutex::default(),
        }
    }

    /// All indices are to be of one generation, and no others: without that the load ends. The cluster is asked for
    /// `give_up_after` to make one.
    #[must_use]
    pub fn marked(mut self, mark: Option<Mark>, give_up_after: Duration) -> Indices {
        self.generation = mark.map(|mark| (mark, give_up_after));
        self
    }

    /// Takes over the settings that a killed load left on indices which `is_ours`: they are put back at the end of this
    /// load.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub fn take_over(&self, is_ours: impl Fn(&str) -> bool) -> Result<()> {
        for (left, owner) in self.ledger.profiles()? {
            if owner.is_none()
                && left.cluster == self.cluster
                && is_ours(&left.index)
                && let Hold::Joined(taken) = self.ledger.hold_profile(&self.cluster, &left.url, &left.index, false)?
            {
                self.lock().held.insert(taken.id, taken.index);
            }
        }
        Ok(())
    }

    /// Makes an index ready for its first document. Where the cluster does not let us, the load goes on without the
    /// profile; without the mark of its generation it does not.
    ///
    /// # Errors
    /// If the ledger cannot be written, or the index cannot be one of the generation.
    pub fn prepare(&self, index: &str) -> Result<()> {
        if let Some((mark, give_up_after)) = &self.generation {
            self.make_marked(index, mark, *give_up_after)?;
        }
        match self.profile {
            Some(profile) => self.set_up(index, profile),
            None => Ok(()),
        }
    }

    /// Makes an index of a generation, or sees that it is one.
    fn make_marked(&self, index: &str, mark: &Mark, give_up_after: Duration) -> Result<()> {
        let began = Instant::now();
        let make = || {
            let found = match self.client.mark_of(index)? {
                Some(found) => found,
                None => {
                    if self.make(index, &mark.index_body())? {
                        let found = self.client.index_settings(index)?;
                        if let Found::Index(made) = found {
                            self.ledger.made_index(self.run, &made.uuid)?;
                        }
                    }
                    self.client.mark_of(index)?.flatten()
                }
            };
            if found.as_ref() != Some(mark) {
                let doing = format!("load generation {} into the index {index}", mark.stamp);
                return Err(Unready::Ledger(
                    Error::failed(format!("cannot {doing}: it is there, and not of this generation"))
                        .hint("reload under another NAME, or delete that index"),
                ));
            }
            // Before its first document, so that the alias's readers never see one too many.
            Ok(self.client.hide_from_alias(&mark.alias, index)?)
        };
        loop {
            match make() {
                Ok(()) => return Ok(()),
                Err(Unready::Ledger(error)) => return Err(error),
                Err(Unready::Busy(_)) => {}
                Err(Unready::Cluster(unable)) if !unable.passes => return Err(unable.error),
                Err(Unready::Cluster(unable)) if began.elapsed() >= give_up_after || self.stop.is_raised() => {
                    return Err(Error::stopped(unable.error.message));
                }
                Err(Unready::Cluster(_)) => {}
            }
            self.stop.wait(ASK_EVERY);
        }
    }

    fn set_up(&self, index: &str, profile: ProfileConfig) -> Result<()> {
        let began = Instant::now();
        let mut told = false;
        loop {
            if self.lock().given_up.is_some() {
                return Ok(());
            }
            let (why, passes) = match self.apply(index, profile) {
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

    fn apply(&self, index: &str, profile: ProfileConfig) -> Result<(), Unready> {
        let made = match self.client.index_settings(index)? {
            Found::Other => false,
            Found::Index(_) => self.lock().asked_for.remove(index),
            Found::Nothing => self.make(index, &json!({}))?,
        };
        let Found::Index(now) = self.client.index_settings(index)? else {
            self.lock().left_alone += 1; // an alias, or gone again
            return Ok(());
        };
        if made {
            self.ledger.made_index(self.run, &now.uuid)?;
        }
        let may_begin = made || profile.existing || self.ledger.has_made_index(self.run, &now.uuid)?;
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
    fn make(&self, index: &str, body: &Value) -> Result<bool, Unready> {
        let made = self.client.create_index(index, body);
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
        self.put(index, &now)
    }

    fn put(&self, index: &str, now: &IndexSettings) -> Result<(), Unready> {
        match self.client.put_settings(index, &bulk(now)) {
            // Refused for good, perhaps; but a load that was killed may have changed them before. It stays in `held`: at
            // the end what is there is compared, and only what is as it was is forgotten.
            Err(unable) => Err(unable.into()),
            Ok(()) => Ok(()),
        }
    }

    /// Puts all settings back, or leaves that to loads that are still at work, and waits for the copies if that was
    /// asked for. What somebody should know goes into the report.
    pub fn finish(self, report: &mut Report) -> Arc<Client> {
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
            let indices = counted_indices(restored.len() as u64);
            let their = if restored.len() == 1 { "its own settings are" } else { "their own settings are" };
            report.note(format!("{indices} loaded without refresh and replicas; {their} back"));
        }
        if shared > 0 {
            let indices = counted_indices(shared);
            report.note(format!("{indices} still loaded by others, the last of which puts the settings back"));
        }
        if state.left_alone > 0 {
            let indices = counted_indices(state.left_alone);
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
        if let Some(longest) = self.profile.and_then(|profile| profile.wait)
            && report.ended == Ended::Complete
            && let Err(error) = restore::wait_until_green(&self.client, &restored, longest, &self.stop)
        {
            report.failed(error);
        }
        self.client
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
