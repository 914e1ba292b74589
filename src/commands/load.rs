//! `loghaul load`: access logs into OpenSearch.

use std::io::Write;
use std::sync::Arc;

use crate::cli;
use crate::commands::haul::{self, Haul};
use crate::commands::index_watch::IndexWatch;
use crate::commands::indices::Indices;
use crate::commands::record::{Cluster, Record};
use crate::commands::{lifecycle, preflight, restore, setup, spool};
use crate::config::{self, LoadConfig, Surroundings};
use crate::error::Result;
use crate::escape::Safe;
use crate::opensearch::generations::Mark;
use crate::opensearch::template::matches;
use crate::opensearch::{self, Address, Client, IndexNow, TemplateMatch};
use crate::pipeline::report::collect::Keep;
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::progress::Progress;
use crate::pipeline::report::summary::{Context, Destination as Told};
use crate::pipeline::report::{Ended, Report};
use crate::pipeline::serialize::IndexPattern;
use crate::pipeline::sink::destination::{self, Destination, Notice};
use crate::pipeline::sink::retry::Limits;
use crate::pipeline::sink::{Sink, pace};
use crate::schema::Schema;

/// Loads, tells how it went, and gives the exit code.
///
/// # Errors
/// What is wrong before the first byte is read.
pub fn load(args: &cli::LoadArgs) -> Result<u8> {
    run(&config::load(args, &Surroundings::of_this_process())?, None)
}

/// What comes after a load, before it is told of.
type Settle<'a> = Box<dyn FnOnce(&Client, &mut Report) + 'a>;

/// What makes a load one of a new generation.
pub struct Generation<'a> {
    /// What all its indices carry.
    pub mark: Mark,
    /// What comes after the load, before it is told of.
    pub settle: Settle<'a>,
}

/// Loads as configured, tells how it went, and gives the exit code.
///
/// # Errors
/// What is wrong before the first byte is read.
pub fn run(config: &LoadConfig, generation: Option<Generation<'_>>) -> Result<u8> {
    let begun = haul::begin(config.sink == config::Sink::Stdout)?;
    let stop = Arc::clone(&begun.stop);
    let progress = Arc::new(Progress::new(config.report.progress, config.sources.stored_bytes()));
    let haul = Haul {
        sources: &config.sources,
        documents: &config.documents,
        index: &config.writing.index,
        id: config.writing.id,
        documents_only: config.sink == config::Sink::Stdout,
        threads: config.threads,
        memory: &config.memory,
        report: &config.report,
    };
    if config.dry_run {
        let client = match &config.sink {
            config::Sink::OpenSearch(server) => Some(Arc::new(connect(server, config)?)),
            config::Sink::Discard | config::Sink::Stdout | config::Sink::Directory(_) => None,
        };
        return preflight::dry_run(config, &haul, &begun, client.as_ref());
    }
    let mut notes = Vec::new();
    let client: Arc<Client>; // outlives the sink
    let (mark, settle) = generation.map(|generation| (generation.mark, generation.settle)).unzip();
    let (mut record, mut watch, mut keep) = (None, None, Keep::default());
    let mut indices: Option<Arc<Indices>> = None;
    let mut cluster: Option<Arc<Client>> = None;
    let sink = match &config.sink {
        config::Sink::Discard | config::Sink::Stdout => {
            keep.malformed =
                config.report.malformed.as_deref().map(|path| LinesFile::create(path, u64::MAX)).transpose()?;
            if config.sink == config::Sink::Stdout { Sink::Stdout(haul::stdout()?) } else { Sink::Discard }
        }
        config::Sink::Directory(path) => {
            let directory = spool::open(path, config)?;
            // What was written there is there, as far as we know: shipping finds out.
            let ask_index = Box::new(|_: &str| Ok(IndexNow::There(None)));
            let known_by = Cluster { uuid: Some(spool::destination(&directory)), urls: &[] };
            (record, keep) = Record::begin(config, &known_by, ask_index, &stop)?;
            spool::begin(&directory, config, record.as_ref().map(|record| record.run.id()))?;
            Sink::Directory {
                directory: Box::new(directory),
                writers: config.memory.writers_max.clamp(1, config.threads.max(2)) as usize,
            }
        }
        config::Sink::OpenSearch(server) => {
            client = Arc::new(connect(server, config)?);
            cluster = Some(Arc::clone(&client));
            let waits = std::cell::Cell::new(false);
            let info = client.info_while(|| {
                if !waits.replace(true) {
                    progress.message("the server is not ready yet; asking once a second who it is");
                }
                !stop.is_raised()
            })?;
            for warning in preflight::before_load(&client, info.as_ref(), config, &haul, &begun)? {
                // Whoever stays to watch should hear of it before the load, and whoever reads the report after it.
                progress.message(&format!("warning: {warning}"));
                notes.push(warning);
            }
            let uuid = info.map(|info| info.cluster_uuid).filter(|uuid| !uuid.is_empty() && uuid != "_na_");
            let asked = Arc::clone(&client);
            let ask_index = Box::new(move |index: &str| asked.index_now(index));
            (record, keep) = Record::begin(config, &Cluster { uuid, urls: &server.urls }, ask_index, &stop)?;
            if let Some(record) = &record {
                let wildcard = config.writing.index_wildcard.clone();
                let is_ours = |index: &str| config.profile.is_some() && matches(&wildcard, index);
                notes.extend(restore::put_back_leftovers(&client, &record.ledger, &record.cluster, is_ours)?);
                if config.profile.is_some() || mark.is_some() {
                    let (told, run) = (Arc::clone(&progress), record.run.id());
                    let say = move |sentence: &str| told.message(sentence);
                    let (ledger, cluster) = (&record.ledger, &record.cluster);
                    let made = Indices::new(&client, ledger, cluster, run, config.profile, &stop, say);
                    let made = made.marked(mark, config.writing.give_up_after);
                    made.take_over(is_ours)?;
                    indices = Some(Arc::new(made));
                }
            }
            notes.extend(put_template_where_none(
                &client,
                &config.writing.index,
                &config.writing.index_wildcard,
                config.documents.schema,
            )?);
            let asked = Arc::clone(&client);
            let watching = IndexWatch::new(Box::new(move |index| asked.index_now(index)), &stop);
            let (first_written, pauses) = (watching.first_written(), watching.pauses());
            match server.is_serverless() {
                true => notes.push(config::serverless::NOTE.to_owned()),
                false => watch = Some(watching),
            }
            if config.writing.id == cli::Id::None {
                notes.push(
                    "documents have no ids of ours: after trouble a line may be there twice (at least once)".into(),
                );
            }
            let told = Arc::clone(&progress);
            let notify = move |notice: Notice| {
                match &notice {
                    Notice::Paused(_) => {
                        pauses(true);
                        told.waiting(Some("paused"));
                    }
                    Notice::Resumed(_) => {
                        pauses(false);
                        told.waiting(None);
                    }
                    Notice::MayDouble | Notice::Uncompressed => {}
                }
                told.message(&notice.to_string());
            };
            let mut destination = Destination::new(&client, &options(config), &stop, notify)
                // Equal lines share a content id: a duplicate tells nothing of who wrote it.
                .confirming(config.writing.id == cli::Id::Source)
                .telling_first_written(first_written);
            if let Some(record) = &record {
                let sent = record.run.sent();
                destination = destination.telling(move |ends| sent.raise(ends));
            }
            if let Some(indices) = &indices {
                let indices = Arc::clone(indices);
                destination = destination.preparing(move |index| indices.prepare(index));
            }
            Sink::OpenSearch { destination: Box::new(destination), writers: config.memory.writers_max.max(1) as usize }
        }
    };
    let dead_letters = keep.dead_letters.as_ref().map(|file| file.path().to_owned());
    let malformed = keep.malformed.as_ref().map(|file| file.path().to_owned());
    let resumable = record.is_some();
    let mut report = haul.run(&sink, &begun, &progress, record, watch, keep)?;
    if let Sink::Directory { directory, .. } = &sink {
        spool::end(directory, config, &mut report);
    }
    drop(sink);
    if let (Some(cluster), None, Ended::Complete) = (&cluster, &settle, &report.ended) {
        notes.extend(lifecycle::put_policy_on_new(cluster, &config.writing.index, &config.writing.index_wildcard));
    }
    if let Some(indices) = indices {
        let indices = Arc::into_inner(indices).expect("the sink has let go of it");
        let client = indices.finish(&mut report);
        if let Some(settle) = settle {
            settle(&client, &mut report);
        }
    }
    for note in notes {
        report.note(note);
    }
    Ok(haul.tell(
        &mut report,
        &Context {
            destination: match config.sink {
                config::Sink::Discard => Told::Discard,
                config::Sink::Stdout => Told::Stdout,
                config::Sink::Directory(_) => Told::Directory,
                config::Sink::OpenSearch(_) => Told::OpenSearch,
            },
            malformed_file: malformed.as_deref(),
            dead_letters: dead_letters.as_deref(),
            keeps_extra: config.documents.with.extra,
            repeatable: config.writing.id != cli::Id::None,
            resumable,
        },
    ))
}

fn connect(server: &config::Server, config: &LoadConfig) -> Result<Client> {
    let mut options = client_options(server)?;
    options.compression = config.writing.compress.into();
    options.request_timeout = config.writing.request_timeout;
    options.connections = config.memory.writers_max as usize + 1;
    Client::new(options)
}

/// A client of the hosts that the user named.
///
/// # Errors
/// If one of them is no URL.
pub fn client_options(server: &config::Server) -> Result<opensearch::Options> {
    let addresses = server.urls.iter().map(|url| Address::parse(url)).collect::<Result<Vec<_>>>()?;
    for warning in &server.warnings {
        say(&format!("warning: {warning}"));
    }
    let mut options = opensearch::Options::new(addresses);
    options.login = server.login.clone();
    options.tls = server.tls.clone();
    Ok(options)
}

/// Puts our index template where none matches, if it may. What the user should know of it comes back.
///
/// # Errors
/// If `pattern` is no pattern of indices.
pub fn put_template_where_none(
    client: &Client,
    pattern: &str,
    wildcard: &str,
    schema: Schema,
) -> Result<Option<String>> {
    let index = IndexPattern::new(pattern)?.name(jiff::Timestamp::now().as_second());
    let trouble = match client.template_for(&index) {
        Ok(TemplateMatch::Ours(_) | TemplateMatch::Foreign(_)) => return Ok(None),
        Ok(TemplateMatch::None) => match setup::put_template(client, wildcard, schema) {
            Ok(()) => return Ok(None),
            Err(error) => error,
        },
        Err(error) => error,
    };
    // A user who may only write can still load, into an index whose fields OpenSearch guesses.
    Ok(Some(format!("no index template was put: {trouble}; somebody with the right to should run loghaul setup")))
}

fn options(config: &LoadConfig) -> destination::Options {
    let writing = &config.writing;
    destination::Options {
        pace: pace::Options {
            writers_max: config.memory.writers_max.max(1) as usize,
            writers_fixed: writing.writers.is_some(),
            body_bytes_max: usize::try_from(config.memory.body_bytes).unwrap_or(usize::MAX),
            documents_per_second_max: writing.docs_per_second_max.map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        },
        limits: Limits::patient(writing.give_up_after),
        pipeline: writing.pipeline.clone(),
        require_alias: false,
        with_ids: writing.id != cli::Id::None,
    }
}

/// Writes a sentence to standard error, where somebody may or may not read it.
pub fn say(sentence: &str) {
    let _ = writeln!(Safe::text(std::io::stderr()), "loghaul: {sentence}");
}
