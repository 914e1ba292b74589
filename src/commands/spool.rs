//! A load into a directory (`--to dir:PATH`): how it stands to the loads before it, and how it ends.

use std::collections::HashMap;
use std::path::Path;

use crate::cli;
use crate::config::{LedgerConfig, LoadConfig, Resume};
use crate::error::{Error, Result};
use crate::ledger::{FileState, Ledger, RunState};
use crate::pipeline::report::coverage::PrefixCounts;
use crate::pipeline::report::figures::{counted, size};
use crate::pipeline::report::{Ended, Report};
use crate::pipeline::sink::Directory;
use crate::pipeline::sink::directory::Standing;
use crate::pipeline::sink::directory::manifest::RunLine;

/// Opens the directory, if a load may write to it as this one wants to.
///
/// # Errors
/// It cannot be used, or an earlier load into it has not come to its end and this one does not go on with it.
pub fn open(path: &Path, config: &LoadConfig) -> Result<Directory> {
    let body_bytes = usize::try_from(config.memory.body_bytes).unwrap_or(usize::MAX);
    let directory = Directory::open(path, body_bytes)?;
    let resume = match &config.ledger {
        LedgerConfig::On { resume, .. } => resume.as_ref(),
        LedgerConfig::Off => None,
    };
    end_where_the_ledger_did(&directory, config)?;
    let shown = path.display();
    match (directory.standing(), resume) {
        (Standing::Ready, None) => {}
        (Standing::Ready, Some(_)) => {
            return Err(Error::usage(format!("{shown} is complete: there is no load into it to go on with"))
                .hint("load without --resume; what is new is added"));
        }
        (Standing::Unfinished(None, how), _) => {
            return Err(Error::usage(format!(
                "{shown} is incomplete: the last load into it was {how}, without a ledger"
            ))
            .hint("remove it and load anew, or name another directory"));
        }
        (Standing::Unfinished(Some(run), how), None) => {
            return Err(Error::usage(format!("{shown} is incomplete: the last load into it, run {run}, was {how}"))
                .hint("the same command with --resume goes on with it"));
        }
        (Standing::Unfinished(Some(run), how), Some(Resume::Run(named))) if *named != run.to_string() => {
            return Err(Error::usage(format!(
                "{shown} is incomplete by run {run}, which was {how}, not by run {named}"
            ))
            .hint(format!("go on with --resume {run}")));
        }
        (Standing::Unfinished(Some(_), _), Some(_)) => {}
    }
    Ok(directory)
}

/// A load that came to its end in the ledger, and was killed (or found the disk full) before it could say so in the
/// manifest, is complete all the same.
fn end_where_the_ledger_did(directory: &Directory, config: &LoadConfig) -> Result<()> {
    let (LedgerConfig::On { path, .. }, Standing::Unfinished(Some(run), _)) = (&config.ledger, directory.standing())
    else {
        return Ok(());
    };
    match Ledger::open(path)?.run(run) {
        Ok(run) if run.state == RunState::Complete && run.destination.cluster == destination(directory) => {
            directory.end(&Ended::Complete, &run.totals.counts)
        }
        // Another ledger's, perhaps: whoever wants to go on will be told.
        _ => Ok(()),
    }
}

/// What names the directory in the ledger, wherever it is moved.
pub fn destination(directory: &Directory) -> String {
    format!("dir:{}", directory.id())
}

/// Begins the load in the manifest, or goes on with it: then what lies beyond the ledger's watermarks is taken out.
///
/// # Errors
/// If the directory or the ledger cannot be read or written.
pub fn begin(directory: &Directory, config: &LoadConfig, ledger_run: Option<i64>) -> Result<()> {
    let id = match config.writing.id {
        cli::Id::Source => "source",
        cli::Id::Content => "content",
        cli::Id::None => "none",
    };
    let (LedgerConfig::On { path, .. }, Some(run), Standing::Unfinished(Some(before), _)) =
        (&config.ledger, ledger_run, directory.standing())
    else {
        return directory.begin(RunLine {
            ledger_run,
            index: config.writing.index.clone(),
            id: id.to_owned(),
            schema: config.documents.schema.as_str().to_owned(),
            pipeline: config.writing.pipeline.clone(),
            ..RunLine::default()
        });
    };
    if run != before {
        return Err(Error::usage(format!("the directory waits for run {before}, and this would be run {run}"))
            .hint(format!("go on with --resume {before}")));
    }
    // Identity and watermark of each file that is to be read on. Those that are done with keep all they have.
    let mut marks = HashMap::new();
    Ledger::open(path)?.files(run, |file| {
        let identity: String = file.identity.iter().map(|byte| format!("{byte:02x}")).collect();
        let mark = if file.state == FileState::InProgress { file.mark.offset } else { u64::MAX };
        let known = marks.entry(identity).or_insert(mark);
        *known = mark.max(*known);
        Ok(())
    })?;
    directory.go_on(|source, identity| match marks.get(identity) {
        Some(mark) => *mark,
        // Standard input gets its row with its first watermark; without one it is read from its start.
        None if source == "-" => 0,
        // What the ledger does not follow is read again, and may be there twice.
        None => u64::MAX,
    })
}

/// Ends the load in the manifest, and notes what was written.
pub fn end(directory: &Directory, config: &LoadConfig, report: &mut Report) {
    let settled = match (&config.ledger, report.run) {
        (LedgerConfig::On { path, .. }, Some(run)) => {
            Ledger::open(path).and_then(|ledger| ledger.run(run)).map(|run| run.totals.counts)
        }
        _ => Ok(PrefixCounts::of_settled(&report.counts)),
    };
    if let Err(error) = settled.and_then(|settled| directory.end(&report.ended, &settled)) {
        report.failed(error);
    }
    let (bodies, stored_bytes) = directory.written();
    let shown = directory.path().display();
    if bodies == 0 {
        return report.note(format!("{shown}: nothing new was written"));
    }
    let what = match bodies {
        1 => "1 body".to_owned(),
        _ => counted(bodies, "body").replace("bodys", "bodies"),
    };
    report.note(format!("{shown}: {what} of {} written; send with: loghaul ship {shown} --to URL", size(stored_bytes)));
}
