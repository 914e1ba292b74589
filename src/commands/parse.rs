//! `loghaul parse`: access logs to documents on standard output.

use crate::cli;
use crate::commands::haul::{self, Haul};
use crate::config::{self, Surroundings};
use crate::error::Result;
use crate::pipeline::report::collect::Keep;
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::progress::Progress;
use crate::pipeline::report::summary::{Context, Destination};
use crate::pipeline::sink::Sink;

/// Parses, tells how it went, and gives the exit code.
///
/// # Errors
/// What is wrong before the first byte is read.
pub fn parse(args: &cli::ParseArgs) -> Result<u8> {
    let config = config::parse(args, &Surroundings::of_this_process())?;
    let begun = haul::begin(true)?;
    let haul = Haul {
        sources: &config.sources,
        documents: &config.documents,
        index: cli::INDEX_DEFAULT,
        id: cli::Id::None,
        documents_only: true,
        threads: config.threads,
        memory: &config.memory,
        report: &config.report,
    };
    let progress = Progress::new(config.report.progress, config.sources.stored_bytes());
    let malformed = config.report.malformed.as_deref().map(|path| LinesFile::create(path, u64::MAX)).transpose()?;
    let keep = Keep { malformed, ..Keep::default() };
    let mut report = haul.run(&Sink::Stdout(haul::stdout()?), &begun, &progress, None, None, keep)?;
    Ok(haul.tell(
        &mut report,
        &Context {
            destination: Destination::Stdout,
            malformed_file: config.report.malformed.as_deref(),
            dead_letters: None,
            keeps_extra: config.documents.with.extra,
            repeatable: true,
            resumable: false,
        },
    ))
}
