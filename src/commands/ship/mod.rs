//! `loghaul ship`: sends what `load --to dir:PATH` has written, from here or from where the directory was moved to.
//!
//! A body is compared with its checksum right before it is sent, and is remembered once each of its documents has an
//! outcome; so a ship that was stopped is simply run again, and bodies that came damaged are named and left for when
//! they are whole. The law: documents in the manifest = indexed + duplicate + rejected + damaged + unsettled.

mod check; // whether bodies are what their manifest says
mod send; // bodies become batches, and batches become outcomes
mod state; // what was shipped before
mod tell; // the report, for people and for machines
mod totals; // the counts, the law, the exit code

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};

use crate::cli;
use crate::commands::haul;
use crate::commands::kept::{self, Hints};
use crate::commands::load::{client_options, put_template_where_none};
use crate::config::ship::ShipConfig;
use crate::config::{self, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::opensearch::{Client, IndexNow};
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::progress::Progress;
use crate::pipeline::sink::destination::{self, Destination};
use crate::pipeline::sink::directory::manifest::{self, Manifest};
use crate::pipeline::sink::pace;
use crate::pipeline::sink::retry::Limits;
use crate::schema::Schema;
use state::{Shipped, State};
use totals::Totals;

/// The sink speaks of loads; this is simply run again.
const HINTS: Hints = Hints {
    resume: "what was written stays; run the same ship again, and it goes on",
    other_index: "load into a directory again under another --index",
    no_room: "make room, or name another file with --dead-letters",
};

/// Sends, tells how it went, and gives the exit code.
///
/// # Errors
/// What is wrong before the first body is sent.
pub fn ship(args: &cli::ShipArgs) -> Result<u8> {
    let config = config::ship::ship(args, &Surroundings::of_this_process())?;
    let (manifest, _lock) = open(&config)?;
    let mut totals = Totals::of(&config.path, &manifest);
    let strangers = check::strangers(&config.path, &manifest)?;
    for (body, troubled) in manifest.bodies.iter().zip(&mut totals.bodies) {
        troubled.trouble = check::at_first_sight(&config.path, &body.line, &strangers);
    }
    totals.strangers = strangers;
    let begun = haul::begin(false)?;
    let stop = Arc::clone(&begun.stop);
    let Some(server) = &config.server else {
        begun.hauls();
        send::check_all(&config.path, &manifest, &mut totals, &stop);
        totals.ended = kept::ended(&stop, Ok(()), &HINTS);
        return Ok(tell::tell(&totals, config.form, config.quiet));
    };

    let mut options = client_options(server)?;
    options.compression = config.compress.into();
    options.request_timeout = config.request_timeout;
    options.connections = config.writers as usize + 1;
    let client = Client::new(options)?;
    let info = client.info_while(|| !stop.is_raised())?;
    let cluster = info.map(|info| info.cluster_uuid).filter(|uuid| !uuid.is_empty() && uuid != "_na_");
    let cluster = cluster.unwrap_or_else(|| server.urls.iter().min().cloned().unwrap_or_default());
    let pipeline = pipeline(&config, &manifest)?;
    let mut state = State::open(&config.state, &cluster, pipeline.as_deref().unwrap_or_default())?;
    let letters = match state.dead_letters_bytes(&config.dead_letters) {
        Some(bytes) => LinesFile::open_cut_back(&config.dead_letters, u64::MAX, bytes)?,
        None => LinesFile::open_behind(&config.dead_letters, u64::MAX)?,
    };
    totals.without_ids = manifest.runs.values().any(|run| run.id == "none");
    if !config.again {
        take_as_shipped(&mut totals, &manifest, &mut state, &client)?;
    }
    for (pattern, wildcard, schema) in indices(&manifest) {
        totals.notes.extend(put_template_where_none(&client, &pattern, &wildcard, schema)?);
    }

    let started = Instant::now();
    let progress = Arc::new(Progress::new(config.progress, Some(totals.stored_bytes_to_send())));
    let destination = Destination::new(&client, &bulk_options(&config, pipeline), &stop, kept::notifier(&progress))
        // Equal lines share a content id: a duplicate tells nothing of who wrote it.
        .confirming(manifest.runs.values().all(|run| run.id == "source"));
    begun.hauls();
    send::send(&config, &manifest, &client, &destination, &mut totals, state, &letters, &progress, &stop);
    let kept = letters.sync();
    progress.finish();
    totals.ended = kept::ended(&stop, kept.as_ref().map(|_| ()).map_err(Clone::clone), &HINTS);
    totals.dead_letters = Some(config.dead_letters.clone()).filter(|_| kept.is_ok_and(|bytes| bytes > 0));
    if totals.dead_letters.is_none()
        && config.dead_letters.metadata().is_ok_and(|file| file.is_file() && file.len() == 0)
    {
        let _ = std::fs::remove_file(&config.dead_letters); // nobody wants empty files
    }
    totals.seconds = started.elapsed().as_secs_f64();
    totals.stats = destination.stats();
    Ok(tell::tell(&totals, config.form, config.quiet))
}

/// Reads the manifest, and sees that nobody writes to the directory meanwhile.
fn open(config: &ShipConfig) -> Result<(Manifest, File)> {
    let shown = config.path.display();
    let manifest = Manifest::read(&config.path)?.ok_or_else(|| {
        let error = match config.path.is_dir() {
            true => Error::failed(format!("{shown} is no directory of bodies: it has no {}", manifest::FILE)),
            false => Error::failed(format!("cannot read {shown}: there is no such directory")),
        };
        error.hint("load --to dir:PATH writes one")
    })?;
    let name = config.path.join(manifest::FILE);
    let file = File::open(&name)
        .map_err(|error| Error::failed(format!("cannot read {}: {}", name.display(), io_reason(&error))))?;
    // A file system that knows no locks has nobody else on it, as far as we can tell.
    if flock(&file, FlockOperation::NonBlockingLockShared).is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK) {
        return Err(Error::failed(format!("a load writes to {shown} just now")).hint("wait for its end"));
    }
    if let (Some((run, end)), false) = (manifest.unfinished(), config.partial) {
        let how = end.map_or("killed", |end| end.ended.as_str());
        let run = run.ledger_run.map_or(String::new(), |run| format!(", run {run},"));
        return Err(Error::failed(format!("{shown} is incomplete: the last load into it{run} was {how}"))
            .hint("go on with it there (load … --resume), or send what is there with --partial"));
    }
    // Under the lock once more: a load may have gone on in between.
    Ok((Manifest::read(&config.path)?.unwrap_or(manifest), file))
}

/// The pipeline that documents go through: the one that is typed, or else the one that the loads named.
fn pipeline(config: &ShipConfig, manifest: &Manifest) -> Result<Option<String>> {
    match config.pipeline.as_deref() {
        Some("none") => return Ok(Some("_none".to_owned())),
        Some(typed) => return Ok(Some(typed.to_owned())),
        None => {}
    }
    let named: BTreeSet<_> = manifest.runs.values().map(|run| run.pipeline.clone()).collect();
    match named.len() {
        0 | 1 => Ok(named.into_iter().next().flatten()),
        _ => {
            Err(Error::usage("the loads into this directory named different pipelines").hint("choose with --pipeline"))
        }
    }
}

/// Where the documents of all loads go: pattern and wildcard of their indices, and the names of their fields.
fn indices(manifest: &Manifest) -> Vec<(String, String, Schema)> {
    let mut found: Vec<(String, String, Schema)> = Vec::new();
    for run in manifest.runs.values() {
        if found.iter().any(|(index, ..)| *index == run.index) {
            continue;
        }
        let schema = if run.schema == Schema::Ecs.as_str() { Schema::Ecs } else { Schema::Grok };
        if let Ok(wildcard) = config::documents::index_wildcard(&run.index) {
            found.push((run.index.clone(), wildcard, schema));
        }
    }
    found
}

/// Bodies that were shipped to this cluster keep the outcome that they had, if the indices are still there.
fn take_as_shipped(totals: &mut Totals, manifest: &Manifest, state: &mut State, client: &Client) -> Result<()> {
    let mut there: HashMap<String, IndexNow> = HashMap::new();
    let mut lost: BTreeSet<String> = BTreeSet::new();
    for (body, told) in manifest.bodies.iter().zip(&mut totals.bodies) {
        let Some(shipped) = state.of(&body.line.file, &body.line.sha256).cloned() else { continue };
        let mut gone = false;
        // An index whose documents were all refused may never have been there.
        let was_there = |index: &&String| shipped.rejected == 0 || shipped.indices.contains_key(*index);
        for index in body.line.indices.keys().filter(was_there) {
            let now = match there.get(index) {
                Some(now) => now,
                None => there.entry(index.clone()).or_insert(client.index_now(index)?),
            };
            if now.has_lost(shipped.indices.get(index).map(String::as_str)) {
                gone = true;
                lost.insert(index.clone());
            }
        }
        if gone {
            // Now, and not when it is sent: by then the index may be there again by other bodies, and this ship killed.
            state.add(Shipped { gone: true, ..shipped.clone() })?;
        }
        if !gone {
            told.earlier = true;
            told.trouble = None; // all of it has arrived; whether it is still here does not matter
            told.outcomes = Some(totals::Outcome {
                indexed: shipped.indexed,
                confirmed: shipped.confirmed,
                duplicate: shipped.duplicate,
                rejected: shipped.rejected,
            });
        }
    }
    if !lost.is_empty() {
        let names = lost.into_iter().collect::<Vec<_>>().join(", ");
        totals.notes.push(format!("what was shipped before is not there any more ({names}): it was sent again"));
    }
    Ok(())
}

fn bulk_options(config: &ShipConfig, pipeline: Option<String>) -> destination::Options {
    destination::Options {
        pace: pace::Options {
            writers_max: config.writers as usize,
            documents_per_second_max: config.docs_per_second_max,
            ..pace::Options::default()
        },
        limits: Limits::patient(config.give_up_after),
        pipeline,
        require_alias: false,
        with_ids: true,
    }
}
