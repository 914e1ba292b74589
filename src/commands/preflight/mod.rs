//! Before a load: whether the cluster will take the documents, and, with `--dry-run`, how much it will be.
//!
//! Nothing is changed. What a user may not ask is told as unknown and keeps nobody from loading.

mod estimate; // how much it will be, from a sample of each source
mod findings; // facts become sentences
mod tell; // a table, or JSON

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::cli;
use crate::commands::haul::{Begun, Haul};
use crate::commands::only_new::OnlyNew;
use crate::commands::record;
use crate::commands::restore::cluster_of;
use crate::commands::sources::{Listing, Seen};
use crate::config::{self, LedgerConfig, LoadConfig};
use crate::error::{Error, Result, io_reason};
use crate::ledger::{Ledger, RunState};
use crate::opensearch::{Asked, Client, Info, Target, TemplateMatch};
use crate::pipeline::serialize::IndexPattern;
use crate::pipeline::source::{Source, Undecided};
use crate::schema;
use estimate::Estimate;
use findings::{Finding, Level};

/// Looks at where documents go. `index` is the first index that they will go to, `bytes` what they will take there,
/// `indices` how many there will be.
///
/// # Errors
/// The cluster gives no answer: a sentence.
fn look(
    client: &Client,
    info: Option<&Info>,
    config: &LoadConfig,
    index: &str,
    bytes: Option<f64>,
    indices: u64,
) -> Result<Vec<Finding>> {
    let mut found = vec![findings::server(info)];
    let target = client.target(index)?;
    found.push(findings::target(index, &target, config.writing.id != cli::Id::None));
    let schema = config.documents.schema;
    let mut shards_wanted = 0;
    match &target {
        Asked::Known(Target::Index { closed: true }) => {}
        Asked::Known(there) => {
            let name = match there {
                Target::Alias { write_index: Some(index), .. } => index,
                _ => index,
            };
            match client.mappings(name)? {
                Asked::Known(mappings) => {
                    found.extend(findings::mapping(schema, &format!("the index {name:?}"), &mappings, true));
                }
                _ => found.push(findings::untold(format!("the mapping of {name:?}"))),
            }
            found.extend(findings::blocks(name, &client.blocks(name)?));
            // Of an index that is not there this cannot be asked without making it.
            if let Some(refused) = client.may_write(index)? {
                found.push(findings::refused(&refused));
            }
        }
        Asked::Missing => {
            let (whose, shaped) = match client.template_for(index) {
                Ok(TemplateMatch::None) => (None, None),
                Ok(TemplateMatch::Ours(name) | TemplateMatch::Foreign(name)) => {
                    if client.makes_data_stream(&name)? {
                        found.pop();
                        found.push(findings::data_stream_to_be(index, config.writing.id != cli::Id::None));
                    }
                    (Some(format!("the index template {name:?}")), client.simulated(index)?.known())
                }
                // Who may write is not always one who may ask.
                Err(_) => {
                    found.push(findings::untold("which index template there is".to_owned()));
                    (None, None)
                }
            };
            match (whose, shaped) {
                (Some(whose), Some(shaped)) => {
                    found.extend(findings::mapping(schema, &whose, &shaped["mappings"], false))
                }
                (Some(whose), None) => found.push(findings::untold(format!("what {whose} makes of an index"))),
                (None, _) => {}
            }
            shards_wanted = indices * 2; // a primary and a replica, OpenSearch's default
        }
        Asked::Untold => {}
    }
    if !client.is_serverless() {
        found.push(findings::disk(&client.disk()?, bytes));
        found.push(findings::shards(&client.shards()?, shards_wanted));
    }
    Ok(found)
}

/// The look before every load: what is worth a warning, as sentences.
///
/// # Errors
/// The load would fail, and why.
pub fn before_load(
    client: &Client,
    info: Option<&Info>,
    config: &LoadConfig,
    haul: &Haul<'_>,
    begun: &Begun,
) -> Result<Vec<String>> {
    let (index, is_certain) = match IndexPattern::new(&config.writing.index)?.fixed() {
        Some(name) => (name, true),
        // The first file may be one that the ledger has as loaded: then its index is none of ours any more.
        None => match first_index(haul, begun)? {
            Some(name) => (name, config.ledger == LedgerConfig::Off),
            // Standard input and pipes are not read ahead; what they hold may be of any time.
            None => return Ok(Vec::new()),
        },
    };
    // A server that does not answer any more is one to wait for: the load does that.
    let Ok(found) = look(client, info, config, &index, None, 1) else { return Ok(Vec::new()) };
    if let Some(refusal) = found.iter().find(|finding| is_certain && finding.level == Level::Refusal) {
        let error = Error::failed(format!("the load would fail: {}", refusal.says));
        return Err(match &refusal.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        });
    }
    Ok(found.iter().filter(|finding| finding.level >= Level::Warning).map(Finding::sentence).collect())
}

/// The index of the first documents of the first file that has any.
fn first_index(haul: &Haul<'_>, begun: &Begun) -> Result<Option<String>> {
    if haul.sources.has_objects() {
        return Ok(None); // each look is a request, and the load will ask for the same
    }
    let options = haul.options(false)?;
    let found = estimate::first_index(listing(haul, begun)?.take(FILES_LOOKED_INTO), &options, &begun.stop);
    Ok(found)
}

/// How many files are opened to find the first document, before a load.
const FILES_LOOKED_INTO: usize = 3;

fn listing(haul: &Haul<'_>, begun: &Begun) -> Result<Listing> {
    Listing::of(haul.sources, &Arc::new(Seen::default()), &begun.stop)
}

/// `load --dry-run`: everything is looked at, nothing is sent, and the exit code is that of what was found: 1 where the
/// load would fail.
///
/// # Errors
/// What keeps us from looking.
pub fn dry_run(config: &LoadConfig, haul: &Haul<'_>, begun: &Begun, client: Option<&Arc<Client>>) -> Result<u8> {
    let options = haul.options(false)?;
    let mut rate = None;
    let server = match (&config.sink, client) {
        (config::Sink::OpenSearch(server), Some(client)) => {
            let info = client.info_while(|| !begun.stop.is_raised())?;
            Some((client, server, info))
        }
        _ => None,
    };
    let mut sources: Box<dyn Iterator<Item = Source> + Send> = Box::new(listing(haul, begun)?);
    let _copy; // outlives what is chosen by it
    if let (Some((client, server, _)), LedgerConfig::On { path, .. }) = (&server, &config.ledger)
        && path.exists()
    {
        let copy = copy_of(path)?;
        let ledger = Ledger::open(&copy.path().join("ledger.db"))?;
        let LedgerConfig::On { again, .. } = &config.ledger else { unreachable!("it is on") };
        let spec = record::spec(config, cluster_of(client, &ledger, &server.urls)?, *again);
        rate = rate_of(&ledger, &spec)?;
        // A run that goes on would cut back the files beside it; a new one goes on from the same watermarks.
        let run = ledger.begin(&spec)?;
        let asked = Arc::clone(client);
        let ask_index = Box::new(move |index: &str| asked.index_now(index));
        let chooser = run.chooser(&spec, false, ask_index, &begun.stop)?;
        sources = Box::new(OnlyNew::new(sources, chooser, Arc::clone(&begun.stop)).filter_map(Undecided::decide));
        _copy = copy;
    }
    let estimate = estimate::estimate(sources, &options, &begun.stop);
    let index = IndexPattern::new(&config.writing.index)?.fixed();
    let index = index.or_else(|| estimate.indices.keys().next().cloned());
    let mut found = Vec::new();
    if let Some((client, _, info)) = &server {
        match &index {
            Some(index) => {
                let indices = estimate.indices.len().max(1) as u64;
                found = look(client, info.as_ref(), config, index, Some(estimate.index_bytes()), indices)?;
            }
            None => found.push(findings::server(info.as_ref())),
        }
    }
    let fails = found.iter().any(|finding| finding.level == Level::Refusal) || !estimate.troubles.is_empty();
    tell::tell(&estimate, &found, rate, config)?;
    Ok(u8::from(fails))
}

/// A copy of the ledger, in which a run can be begun that nobody hears of.
fn copy_of(path: &Path) -> Result<tempfile::TempDir> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("cannot copy the ledger {}: {}", path.display(), io_reason(&error)))
            .hint("TMPDIR names the folder for it; --no-ledger does without")
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    // What is not yet in the database lies in its journal.
    for end in ["", "-wal"] {
        let from = Path::new(&format!("{}{end}", path.display())).to_owned();
        if from.exists() {
            fs::copy(&from, folder.path().join(format!("ledger.db{end}"))).map_err(failed)?;
        }
    }
    Ok(folder)
}

/// Documents a second of the last load to the same place that was long enough to tell.
fn rate_of(ledger: &Ledger, spec: &crate::ledger::RunSpec) -> Result<Option<f64>> {
    let runs = ledger.runs()?;
    let same = runs.iter().filter(|run| run.destination.cluster == spec.destination.cluster);
    let told = same.filter(|run| run.totals.seconds >= 2.0 && run.state != RunState::Killed);
    let newest = told.max_by_key(|run| run.started_ms);
    Ok(newest.map(|run| run.totals.counts.indexed as f64 / run.totals.seconds).filter(|rate| *rate >= 1.0))
}

impl Estimate {
    /// What the documents will take on disk, in bytes, without replicas.
    fn index_bytes(&self) -> f64 {
        self.body_bytes * schema::INDEX_SHARE
    }
}
