//! `loghaul restore`: the settings of indices that a killed load has left without refresh and replicas. And how they
//! are put back, for loads as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli;
use crate::commands::load::client_options;
use crate::commands::output;
use crate::config::{self, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::ledger::{Ledger, Owner, Profile, Release};
use crate::opensearch::profile::{Found, back};
use crate::opensearch::{Client, Unable};
use crate::pipeline::stop::Stop;

/// Between two tries to put settings back.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// How long `restore` tries with each index.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a load tries with all that others have left, before it begins.
const PATIENCE_FOR_OTHERS: Duration = Duration::from_secs(10);

/// What became of settings that were to be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// They are back. What somebody should know of it.
    Restored(Vec<String>),
    /// The index, or the entry, is not there any more.
    Gone,
    /// That process still loads into the index.
    Shared(Owner),
}

/// Puts settings back, or tells which would be, and gives the exit code.
///
/// # Errors
/// The ledger or the cluster cannot be used.
pub fn restore(args: &cli::RestoreArgs) -> Result<u8> {
    let config = config::profile::restore(args, &Surroundings::of_this_process())?;
    let there = config.ledger.try_exists().map_err(|error| {
        Error::failed(format!("cannot look for the ledger {}: {}", config.ledger.display(), io_reason(&error)))
    })?;
    let ledger = if there { Some(Ledger::open(&config.ledger)?) } else { None };
    let profiles = ledger.as_ref().map_or(Ok(Vec::new()), Ledger::profiles)?;
    let client = config.server.as_ref().map(|server| Client::new(client_options(server)?)).transpose()?;
    let cluster = match (&ledger, &client, &config.server) {
        (Some(ledger), Some(client), Some(server)) if !profiles.is_empty() => {
            Some(cluster_of(client, ledger, &server.urls)?)
        }
        _ => None,
    };
    let (mut rows, mut failed) = (Vec::new(), 0);
    for (profile, owner) in profiles {
        let elsewhere = cluster.as_ref().is_some_and(|cluster| *cluster != profile.cluster);
        let (outcome, why) = match (&ledger, &client, owner) {
            _ if elsewhere => ("elsewhere", format!("in the cluster at {}", profile.url)),
            (_, _, Some(owner)) => ("in_use", format!("process {} still loads into it", owner.pid)),
            (Some(ledger), Some(client), None) if !config.dry_run => {
                match claim(client, ledger, profile.id, Instant::now() + PATIENCE) {
                    Ok(Some(notes)) => ("restored", notes.join("; ")),
                    Ok(None) => ("gone", "the index is not there any more, or somebody else was faster".to_owned()),
                    Err(error) => {
                        failed += 1;
                        ("failed", error.to_string())
                    }
                }
            }
            _ => ("would_restore", format!("at {}", profile.url)),
        };
        rows.push((profile, outcome, why));
    }
    told(&rows, config.json)?;
    Ok(u8::from(failed > 0))
}

/// How a cluster is called in the ledger: see [`Ledger::cluster`].
///
/// # Errors
/// It cannot be reached, or the ledger cannot be used.
pub fn cluster_of(client: &Client, ledger: &Ledger, urls: &[String]) -> Result<String> {
    let info = client.info()?;
    let uuid = info.map(|info| info.cluster_uuid).filter(|uuid| !uuid.is_empty() && uuid != "_na_");
    ledger.cluster(uuid.as_deref(), urls)
}

fn told(rows: &[(Profile, &str, String)], as_json: bool) -> Result<()> {
    let mut text = String::new();
    if as_json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(profile, outcome, why)| {
                json!({"index": profile.index, "outcome": outcome, "why": why, "settings": profile.original,
                       "url": profile.url})
            })
            .collect();
        text.push_str(&format!("{}\n", json!({ "indices": rows })));
    } else if rows.is_empty() {
        text.push_str("nothing to restore: no index has a load's settings\n");
    }
    for (profile, outcome, why) in rows.iter().filter(|_| !as_json) {
        let settings: Vec<String> = profile
            .original
            .iter()
            .map(|(name, value)| {
                let name = name.strip_prefix("index.").unwrap_or(name);
                format!("{name} {}", value.as_deref().unwrap_or("not set"))
            })
            .collect();
        let outcome = outcome.replace('_', " ");
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        text.push_str(&format!("{outcome:<13} {}  ({}){why}\n", profile.index, settings.join(", ")));
    }
    if as_json { output::json(text) } else { output::text(text) }
}

/// Puts back what killed loads have left on a cluster's indices, those left out that `is_ours`. One sentence for each
/// thing that somebody should know. That it did not work is no reason not to load.
///
/// # Errors
/// The ledger cannot be used.
pub fn put_back_leftovers(
    client: &Client,
    ledger: &Ledger,
    cluster: &str,
    is_ours: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let deadline = Instant::now() + PATIENCE_FOR_OTHERS;
    for (profile, owner) in ledger.profiles()? {
        if owner.is_some() || profile.cluster != cluster || is_ours(&profile.index) {
            continue;
        }
        match claim(client, ledger, profile.id, deadline) {
            Ok(Some(more)) => {
                notes.push(format!("{}: the settings that a killed load had left are put back", profile.index));
                notes.extend(more);
            }
            Ok(None) => {}
            Err(error) => notes.push(format!(
                "{} still has the settings of a load that was killed: {}; `loghaul restore --to {}` tries again",
                profile.index, error.message, profile.url
            )),
        }
    }
    Ok(notes)
}

/// Puts back the settings of a profile that nobody holds any more. `None`: somebody does, or the index is gone.
fn claim(client: &Client, ledger: &Ledger, id: i64, deadline: Instant) -> Result<Option<Vec<String>>> {
    let Some(profile) = ledger.claim_profile(id)? else { return Ok(None) };
    match restored(client, ledger, &profile, deadline)? {
        Back::Restored(notes) => Ok(Some(notes)),
        Back::Gone | Back::Shared(_) => Ok(None),
    }
}

/// Lets go of a profile that this process holds; if nobody else does, puts the settings back before the deadline.
///
/// # Errors
/// It could not be done by then. The entry stays in the ledger.
pub fn release(client: &Client, ledger: &Ledger, id: i64, deadline: Instant) -> Result<Back> {
    match ledger.release_profile(id)? {
        Release::Shared(owner) => Ok(Back::Shared(owner)),
        Release::Gone => Ok(Back::Gone),
        Release::Last(profile) => restored(client, ledger, &profile, deadline),
    }
}

fn restored(client: &Client, ledger: &Ledger, profile: &Profile, deadline: Instant) -> Result<Back> {
    let back = loop {
        match put_back(client, profile) {
            Ok(back) => break back,
            Err(unable) if !unable.passes || Instant::now() >= deadline => return Err(unable.error),
            Err(_) => std::thread::sleep(TRY_EVERY),
        }
    };
    ledger.forget_profile(profile.id)?;
    Ok(back)
}

fn put_back(client: &Client, profile: &Profile) -> Result<Back, Unable> {
    let Found::Index(now) = client.index_settings(&profile.index)? else { return Ok(Back::Gone) };
    if now.uuid != profile.uuid {
        return Ok(Back::Gone); // nothing was changed as yet, or it is another index of the same name
    }
    let (changes, theirs) = back(&now, &profile.original, &profile.applied);
    if !changes.is_empty() {
        client.put_settings(&profile.index, &changes)?;
    }
    let mut notes: Vec<String> = theirs
        .iter()
        .map(|name| format!("{}: {name} was changed by somebody else while it was loaded, and stays", profile.index))
        .collect();
    // Else what was loaded shows when the interval next ends. Not to be allowed to is no harm.
    if let Err(unable) = client.refresh(&profile.index)
        && !unable.passes
    {
        notes.push(unable.error.message);
    }
    Ok(Back::Restored(notes))
}

/// Waits until all copies of these indices are there.
///
/// # Errors
/// They are not after `longest`; or the run was told to end.
pub fn wait_until_green(client: &Client, indices: &[String], longest: Duration, stop: &Arc<Stop>) -> Result<()> {
    let deadline = Instant::now() + longest;
    for index in indices {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs().clamp(1, 5);
            match client.is_green(index, left) {
                Ok(true) => break,
                Ok(false) => {}
                Err(unable) if !unable.passes => return Err(unable.error),
                Err(_) => {
                    stop.wait(TRY_EVERY);
                }
            }
            if Instant::now() >= deadline || stop.is_raised() {
                return Err(Error::failed(format!(
                    "the index {index} is not green after {} s: copies of its documents are missing",
                    longest.as_secs()
                ))
                .hint("all documents are in; does the cluster have a node for each copy?"));
            }
        }
    }
    Ok(())
}
