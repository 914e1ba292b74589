//! [`Record`]: a load's side of the ledger. Which run it is, which sources are new to it, and the files beside it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli;
use crate::commands::only_new::OnlyNew;
use crate::config::{LedgerConfig, LoadConfig, Resume};
use crate::error::{Error, Result};
use crate::ledger::{AskIndex, Beside, Chooser, Destination, Kept, Ledger, OnSettled, Run, RunSpec};
use crate::opensearch::Address;
use crate::pipeline::report::collect::Keep;
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::source::Source;
use crate::pipeline::stop::Stop;
use crate::stores::Location;

/// How large a file beside the ledger may become, in bytes. A file that the user names has no limit.
const BESIDE_BYTES_MAX: u64 = 1 << 30;

/// The cluster that documents go to.
pub struct Cluster<'a> {
    /// Its uuid, if it tells.
    pub uuid: Option<String>,
    /// Its hosts, as the user named them.
    pub urls: &'a [String],
}

/// A load in the ledger.
pub struct Record {
    /// The run.
    pub run: Run,
    /// The ledger that it is in.
    pub ledger: Ledger,
    /// What it calls the cluster.
    pub cluster: String,
    chooser: Chooser,
}

impl Record {
    /// Begins a run, or goes on with one. `None` where no ledger is kept; then `keep` has what the user named.
    ///
    /// # Errors
    /// The ledger cannot be used, or there is nothing to go on with.
    pub fn begin(
        config: &LoadConfig,
        cluster: &Cluster<'_>,
        ask_index: AskIndex,
        stop: &Arc<Stop>,
    ) -> Result<(Option<Record>, Keep)> {
        let mut keep = Keep {
            rejected_max: Some((config.writing.max_rejected.documents, config.writing.max_rejected.share)),
            pipeline: config.writing.pipeline.clone(),
            never_confirms: config.writing.id == cli::Id::Content,
            ..Keep::default()
        };
        // Remembered beyond this process's own folder.
        let named = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
        };
        let (malformed, dead_letters) = (named(&config.report.malformed), named(&config.writing.dead_letters));
        let LedgerConfig::On { path, resume, again } = &config.ledger else {
            keep.malformed = malformed.map(|path| LinesFile::create(&path, u64::MAX)).transpose()?;
            keep.dead_letters = dead_letters.map(|path| LinesFile::create(&path, u64::MAX)).transpose()?;
            return Ok((None, keep));
        };
        let ledger = Ledger::open(path)?;
        let cluster = ledger.cluster(cluster.uuid.as_deref(), cluster.urls)?;
        let spec = spec(config, cluster, *again);
        if resume.is_none() {
            for (which, path) in [(Beside::Malformed, &malformed), (Beside::DeadLetters, &dead_letters)] {
                if let Some(path) = path {
                    ledger.cut_back_others(&spec, which, path)?;
                }
            }
        }
        let (mut run, before) = match resume {
            None => (ledger.begin(&spec)?, None),
            Some(which) => {
                let run = ledger.resume(&spec, number(which)?)?;
                let before = ledger.run(run.id())?;
                (run, Some(before))
            }
        };
        let (kept_malformed, kept_letters) = match before {
            Some(before) => (before.malformed, before.dead_letters),
            None => (None, None),
        };
        keep.confirms_streams = resume.is_some() && spec.may_confirm();
        let malformed = open(&run, "malformed", malformed.as_deref(), kept_malformed)?;
        let dead_letters = open(&run, "dead-letters", dead_letters.as_deref(), kept_letters)?;
        run.keep(Some(malformed.clone()), Some(dead_letters.clone()))?;
        (keep.malformed, keep.dead_letters) = (Some(malformed.0), Some(dead_letters.0));
        let chooser = run.chooser(&spec, resume.is_some(), ask_index, stop)?;
        Ok((Some(Record { run, ledger, cluster: spec.destination.cluster, chooser }), keep))
    }

    /// `hear` is told of each object that is left out because an earlier run has loaded all of it.
    pub fn on_settled(&mut self, hear: OnSettled) {
        self.chooser.on_settled = Some(hear);
    }

    /// The sources with what the ledger says of each, and the run to be told of their progress.
    pub fn sources<I>(self, sources: I, stop: &Arc<Stop>) -> (OnlyNew<I>, Run)
    where
        I: Iterator<Item = Source>,
    {
        (OnlyNew::new(sources, self.chooser, Arc::clone(stop)), self.run)
    }
}

fn number(which: &Resume) -> Result<Option<i64>> {
    match which {
        Resume::Latest => Ok(None),
        Resume::Run(text) => text.parse().map(Some).map_err(|_| {
            Error::usage(format!("--resume {text:?} is no run's number"))
                .hint("see them with `loghaul runs`; a SOURCE that follows --resume is taken for its value")
        }),
    }
}

/// The file that keeps lines of a run, and the length that it had when the run began: the one that the user names, to
/// which lines are added, or one beside the ledger. A run that goes on cuts it back to what belongs to its watermarks.
fn open(run: &Run, what: &str, named: Option<&Path>, before: Option<Kept>) -> Result<(LinesFile, u64)> {
    let path = match named {
        // As a later part finds it from another folder.
        Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        None => run.path_beside(what),
    };
    match (before, named) {
        (Some(kept), _) if kept.path == path => {
            let bytes_max = if named.is_some() { u64::MAX } else { BESIDE_BYTES_MAX };
            Ok((LinesFile::open_cut_back(&path, bytes_max, kept.bytes)?, kept.from))
        }
        (_, Some(_)) => {
            let file = LinesFile::open_behind(&path, u64::MAX)?;
            let from = file.sync()?;
            Ok((file, from))
        }
        (_, None) => Ok((LinesFile::create(&path, BESIDE_BYTES_MAX)?, 0)),
    }
}

/// What the ledger is told of a load.
pub fn spec(config: &LoadConfig, cluster: String, again: bool) -> RunSpec {
    let writing = &config.writing;
    RunSpec {
        command: command(std::env::args_os()),
        sources: config.sources.sources.iter().map(|source| absolute(source)).collect(),
        folder: std::env::current_dir().unwrap_or_default(),
        destination: Destination {
            cluster,
            index_pattern: writing.index.clone(),
            id_mode: match writing.id {
                cli::Id::Source => "source",
                cli::Id::Content => "content",
                cli::Id::None => "none",
            }
            .to_owned(),
            schema: schema(config),
            pipeline: writing.pipeline.clone().unwrap_or_default(),
        },
        namespace: config.sources.namespace.clone(),
        source_name: config.sources.source_name.clone(),
        again,
    }
}

/// A source as it is called from anywhere: `--resume` in another folder must not take equal words for equal files.
fn absolute(source: &Path) -> String {
    let text = source.to_string_lossy();
    if text == "-" {
        return "-".to_owned();
    }
    if let Some(Ok(location)) = Location::of(&text) {
        return location.to_string();
    }
    std::path::absolute(source).unwrap_or_else(|_| source.to_owned()).display().to_string()
}

/// Whatever decides which lines become documents, and what these hold.
fn schema(config: &LoadConfig) -> String {
    let documents = &config.documents;
    let mut schema = format!("{} {:?} {:?}", documents.schema.as_str(), documents.format, documents.with);
    for (name, value) in &documents.fields {
        schema.push_str(&format!(" {name}={value:?}"));
    }
    for (flag, when) in [("since", documents.since), ("until", documents.until)] {
        if let Some(when) = when {
            schema.push_str(&format!(" {flag} {when}"));
        }
    }
    schema
}

/// The command line as it was typed, without passwords: neither those of URLs nor that of --password.
fn command(words: impl Iterator<Item = OsString>) -> String {
    let mut shown = String::new();
    let mut is_secret = false; // the word before said so
    for word in words {
        let word = word.to_string_lossy();
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (&word[..flag.len() + 1], value),
            _ => ("", &*word),
        };
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(flag);
        match Address::parse(value) {
            _ if is_secret || flag == "--password=" => shown.push_str("***"),
            Ok(address) if value.contains("://") => shown.push_str(&address.to_string()),
            // A signed link is a secret in its query.
            _ if let Some(Ok(location)) = Location::of(value) => shown.push_str(&location.to_string()),
            _ => shown.push_str(value),
        }
        is_secret = value == "--password";
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_kept_without_secrets() {
        let line = "loghaul load a=b.log --to http://joe:secret@host:9200 --to=https://a:secret@c/d --password secret \
                    --password=secret --user=joe";
        assert_eq!(
            command(line.split_whitespace().map(OsString::from)),
            "loghaul load a=b.log --to http://joe:***@host:9200 --to=https://a:***@c/d --password *** --password=*** \
             --user=joe"
        );
    }
}
