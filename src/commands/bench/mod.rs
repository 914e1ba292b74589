//! `loghaul bench`: how fast each stage is on this machine, beside what the machine can do at all.
//!
//! A part of the sources is read into memory once, the [`sample`]. Each row of the table runs one stage, or one of the
//! machine's limits, over it. The stages are those of the data plane; only the loops around them are here.

mod sample; // what is measured with
mod rows; // what is measured: limits, stages, all together
mod measure; // round by round, until the time is up
mod tell; // a table, or JSON

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cli;
use crate::commands::haul::{self, Haul};
use crate::commands::sources::{Listing, Seen};
use crate::config::{self, BenchConfig, Form, ReportConfig, Stream, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::escape::Safe;
use crate::pipeline::report::progress;
use sample::Sample;

/// Measures, tells the figures, and gives the exit code.
///
/// # Errors
/// Wrong usage, and sources without anything to measure with.
pub fn bench(args: &cli::BenchArgs) -> Result<u8> {
    let mut config = config::bench(args, &Surroundings::of_this_process())?;
    // Nothing is in flight that would have to be finished: the first signal ends the process.
    let begun = haul::begin(false)?;
    let _spool = spool_stdin(&mut config)?;
    let report = ReportConfig {
        form: config.form,
        stream: Stream::Stdout,
        quiet: false,
        progress: progress::Mode::None,
        verbose: 0,
        malformed: None,
        max_malformed: 1.0,
    };
    let haul = Haul {
        sources: &config.sources,
        documents: &config.documents,
        index: cli::INDEX_DEFAULT,
        id: config.id,
        documents_only: false,
        threads: config.threads,
        memory: &config.memory,
        report: &report,
    };
    let options = haul.options(false)?;
    let listing = Listing::of(&config.sources, &Arc::new(Seen::default()), &begun.stop)?;
    let sample = Sample::read(listing, &options, config.bytes_max, &begun.stop)?;

    let mut rows = rows::rows(&sample, &options, &begun.stop, config.duration);
    choose(&mut rows, &config.rows)?;
    let measured = measure::measure(&mut rows, config.duration);
    let facts = tell::Facts::new(&sample, &options, measured.rounds, measured.seconds);
    let text = match config.form {
        Form::Text => tell::table(&facts, &measured.rows),
        Form::Json => tell::json(&facts, &measured.rows),
    };
    let mut out = match config.form {
        Form::Text => Safe::text(io::stdout().lock()),
        Form::Json => Safe::json(io::stdout().lock()),
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write the figures: {}", io_reason(&error))))
        }
        _ => Ok(0),
    }
}

/// Leaves the rows that were asked for.
fn choose(rows: &mut Vec<measure::Row<'_>>, wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|name| rows.iter().all(|row| row.name != **name)) {
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        return Err(Error::usage(format!("--rows {unknown}: there is no such row here"))
            .hint(format!("these are: {}", names.join(", "))));
    }
    rows.retain(|row| wanted.is_empty() || wanted.iter().any(|name| name == row.name));
    Ok(())
}

/// Standard input can be read once, and is measured many times: its first bytes, packed or not, go to a temporary file
/// that takes its place. The file has no name, so nothing is left behind however the process ends.
fn spool_stdin(config: &mut BenchConfig) -> Result<Option<File>> {
    use std::os::fd::AsRawFd;
    let Some(place) = config.sources.sources.iter().position(|source| source.as_os_str() == "-") else {
        return Ok(None);
    };
    let failed = |error| {
        Error::failed(format!("cannot keep standard input in a temporary file: {}", io_reason(&error)))
            .hint("TMPDIR names the folder for it")
    };
    let mut file = tempfile::tempfile().map_err(failed)?;
    // One byte more than is wanted tells that there is more.
    io::copy(&mut io::stdin().lock().take(config.bytes_max + 1), &mut file).map_err(failed)?;
    file.rewind().map_err(failed)?;
    // As a log that is complete, which nobody writes to any more.
    let _ = file.set_modified(SystemTime::now() - Duration::from_secs(86_400));
    config.sources.sources[place] = PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()));
    Ok(Some(file))
}
