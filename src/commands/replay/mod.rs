//! `loghaul replay`: sends dead letters again, once what was wrong is mended.
//!
//! Each document goes to the same index under the same id, so whatever is there already is a duplicate, and a replay
//! that was stopped is simply run again. Letters read = indexed + duplicate + rejected + filtered + unreadable.

mod lines; // lines of a file, plain or packed
mod sending; // letters become batches, and batches become outcomes
mod again; // new files for what is rejected again
mod totals; // the counts, the law, the exit code
mod tell; // the report, for people and for machines

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::cli;
use crate::commands::haul;
use crate::commands::kept::{self, Hints};
use crate::commands::load::client_options;
use crate::config::{self, ReplayConfig, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::opensearch::Client;
use crate::pipeline::report::progress::Progress;
use crate::pipeline::sink::destination::{self, Destination};
use crate::pipeline::sink::pace;
use crate::pipeline::sink::retry::Limits;
use again::Again;
use totals::Totals;

/// Requests in flight at most, each of up to 5 MiB. Dead letters are few, and a cluster that has just been mended may be
/// busy otherwise.
const WRITERS_MAX: usize = 4;

/// The sink speaks of loads; this is simply run again.
const HINTS: Hints = Hints {
    resume: "what was written stays; run the same replay again",
    other_index: "leave these letters out: --index, --type or --source choose others",
    no_room: "make room, or name another file with --dead-letters; the letters stay in their FILE",
};

/// Sends, tells how it went, and gives the exit code.
///
/// # Errors
/// What is wrong before the first letter is read.
pub fn replay(args: &cli::ReplayArgs) -> Result<u8> {
    let config = config::replay::replay(args, &Surroundings::of_this_process())?;
    one_can_be_read(&config.files)?;
    let begun = haul::begin(false)?;
    let stop = std::sync::Arc::clone(&begun.stop);
    let mut options = client_options(&config.server)?;
    options.connections = WRITERS_MAX + 1;
    let client = Client::new(options)?;
    client.info()?;
    let mut again = Again::prepare(&config.files, config.dead_letters.as_deref())?;

    let started = Instant::now();
    let progress = Arc::new(Progress::new(config.progress, None));
    let destination = Destination::new(&client, &bulk_options(&config), &stop, kept::notifier(&progress));
    begun.hauls();
    let files = sending::send(&config, &destination, WRITERS_MAX, &mut again, &progress, &stop);
    let (kept, again) = match again.finish() {
        Ok(again) => (Ok(()), again),
        Err(error) => (Err(error), Vec::new()),
    };
    progress.finish();
    let totals = Totals {
        files,
        ended: kept::ended(&stop, kept, &HINTS),
        seconds: started.elapsed().as_secs_f64(),
        stats: destination.stats(),
        again,
    };
    Ok(tell::tell(&totals, config.form, config.quiet))
}

/// Whoever mistyped the only name should hear of that, and not be asked to start a server first.
fn one_can_be_read(files: &[PathBuf]) -> Result<()> {
    let readable = |file: &Path| match file == Path::new("-") {
        true => Ok(()),
        false => std::fs::metadata(file).map(|_| ()),
    };
    match files {
        [one] => readable(one).map_err(|error| {
            Error::failed(format!("cannot read {}: {}", one.display(), io_reason(&error)))
                .hint("load --dead-letters names the file that load keeps; loghaul runs show ID tells where it was")
        }),
        _ => Ok(()),
    }
}

fn bulk_options(config: &ReplayConfig) -> destination::Options {
    destination::Options {
        pace: pace::Options { writers_max: WRITERS_MAX, ..pace::Options::default() },
        limits: Limits::patient(config.give_up_after),
        pipeline: config.pipeline.clone(),
        require_alias: false,
        // Letters without ids are told apart in the report.
        with_ids: true,
    }
}
