//! `loghaul verify RUN`: whether what the ledger says of a run is in the cluster. For nights when someone doubts.
//!
//! The ledger says how many lines of each source became documents. The sources, where they are still what was loaded,
//! say in which indices and under which ids. The cluster is asked for its counts and for some of those ids. More than
//! expected is no fault: other runs may write to the same indices.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli;
use crate::commands::load::client_options;
use crate::commands::recount::{Sample, recount};
use crate::commands::restore::cluster_of;
use crate::config::verify::VerifyConfig;
use crate::config::{self, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::escape::Safe;
use crate::ledger::{FileRecord, Ledger, RunRecord, RunState};
use crate::opensearch::{Client, Method};
use crate::pipeline::parse::Format;
use crate::pipeline::report::figures::{counted, grouped};
use crate::pipeline::serialize::{self, IdMode, IndexPattern, Plan};
use crate::stores::{Location, Stores, failure};

/// How many ids are asked for at a time.
const IDS_AT_ONCE: usize = 1_000;

/// What was found.
#[derive(Default)]
struct Found {
    /// For each index: documents expected, and counted by the cluster (`None`: there is no such index).
    indices: BTreeMap<String, (u64, Option<u64>)>,
    /// For each source: documents expected, and what became of the attempt to read it again.
    sources: Vec<(String, u64, &'static str)>,
    /// Whether the sources were all read again, so that the expected counts of indices are whole.
    all_read: bool,
    /// Ids asked for.
    sampled: usize,
    /// Of these, not there and no dead letters.
    missing: Vec<(String, String)>,
    /// What does not agree, one sentence each.
    wrong: Vec<String>,
}

/// Compares, tells, and gives the exit code: 0 if all agrees, 1 if not.
///
/// # Errors
/// There is no such run, or the cluster cannot be asked.
pub fn verify(args: &cli::VerifyArgs) -> Result<u8> {
    let config = config::verify::verify(args, &Surroundings::of_this_process())?;
    if !config.ledger.exists() {
        return Err(Error::usage(format!(
            "there is no run {}: there is no ledger at {}",
            args.run,
            config.ledger.display()
        )));
    }
    let ledger = Ledger::open(&config.ledger)?;
    let run = ledger.run(args.run)?;
    if run.state == RunState::Running {
        return Err(Error::failed(format!("run {} is at work as process {}", run.id, run.pid)).hint("wait for its end"));
    }
    let client = Client::new(client_options(&config.server)?)?;
    let cluster = cluster_of(&client, &ledger, &config.server.urls)?;
    if cluster != run.destination.cluster {
        return Err(Error::usage(format!("run {} went to another cluster ({})", run.id, run.destination.cluster)));
    }
    let mut files = Vec::new();
    ledger.files(run.id, |file| {
        files.push(file);
        Ok(())
    })?;
    let found = compare(&client, &run, &files, &config)?;
    tell(&run, &found, config.json)?;
    Ok(u8::from(!found.wrong.is_empty()))
}

fn compare(client: &Client, run: &RunRecord, files: &[FileRecord], config: &VerifyConfig) -> Result<Found> {
    let wanted = config.sample;
    let stores: OnceCell<Result<Stores>> = OnceCell::new(); // most runs need none
    let ask_store = |location: &Location| {
        let stores = stores.get_or_init(|| Stores::new(config.stores.clone(), Arc::new(|| false)));
        let stores = stores.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        stores.look(location).map_err(|failure| match failure.kind {
            failure::Kind::Gone => io::ErrorKind::NotFound.into(),
            _ => failure.into(),
        })
    };
    let mut found = Found { all_read: true, ..Found::default() };
    let letters = dead_letters(run);
    let plan = plan(run)?;
    let mut sample = Sample::new(wanted);
    let (mut expected, mut rejected) = (0, 0);
    for file in files {
        let counts = &file.mark.counts;
        expected += counts.indexed + counts.duplicate;
        rejected += counts.rejected;
        let mut own = Sample::new(wanted);
        let outcome = match &plan {
            None => Ok(None),
            Some((plan, format)) => recount(file, &ask_store, plan, *format, &mut own),
        };
        let outcome = match outcome {
            Ok(Some(indices)) => {
                for (index, documents) in indices {
                    found.indices.entry(index.to_string()).or_default().0 += documents;
                }
                sample.join(own);
                "read again"
            }
            Ok(None) => "not what was loaded any more",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "gone",
            Err(_) => "cannot be read",
        };
        found.all_read &= outcome == "read again";
        found.sources.push((file.path.display().to_string(), counts.indexed + counts.duplicate, outcome));
        for index in &file.indices {
            found.indices.entry(index.clone()).or_default();
        }
    }
    for (index, _) in &letters {
        if let Some((documents, _)) = found.indices.get_mut(index) {
            *documents = documents.saturating_sub(1);
        }
    }
    let mut counted_in_all = 0;
    for (index, (_, there)) in &mut found.indices {
        *there = count(client, index)?;
        counted_in_all += there.unwrap_or(0);
    }
    let by_content = run.destination.id_mode == "content";
    for (index, (documents, there)) in &found.indices {
        match there {
            None => found.wrong.push(format!("the index {index} is not there")),
            // Equal lines are one document there; and where letters were lost, which index refused what is not known.
            Some(there) if !by_content && letters.len() as u64 == rejected && there < documents => {
                found.wrong.push(format!(
                    "{index} has {}, {} fewer than were loaded",
                    counted(*there, "document"),
                    grouped(documents - there)
                ));
            }
            Some(_) => {}
        }
    }
    if !by_content && counted_in_all < expected {
        found.wrong.push(format!(
            "all indices together have {}, {} fewer than the ledger says were loaded",
            counted(counted_in_all, "document"),
            grouped(expected - counted_in_all)
        ));
    }
    found.sampled = sample.ids.len();
    for ids in sample.ids.chunks(IDS_AT_ONCE) {
        found.missing.extend(missing(client, ids)?.into_iter().filter(|id| !letters.contains(id)));
    }
    if let Some((index, id)) = found.missing.first() {
        let of = grouped(found.sampled as u64);
        let ids = counted(found.missing.len() as u64, "id");
        found.wrong.push(format!("{ids} of {of} asked for are not there, such as {id} in {index}"));
    }
    Ok(found)
}

/// What the run's lines became, as far as it decides which became documents and under which ids. `None` where ids are
/// OpenSearch's own.
fn plan(run: &RunRecord) -> Result<Option<(Plan, Option<Format>)>> {
    let ids = match run.destination.id_mode.as_str() {
        "source" => IdMode::Source,
        "content" => IdMode::Content,
        _ => IdMode::None,
    };
    let schema = &run.destination.schema;
    // As `commands/record.rs` writes it: names, format, fields on demand, constants, and these two last.
    let time = |flag: &str| {
        let at = schema.rfind(&format!(" {flag} "))? + flag.len() + 2;
        let time: jiff::Timestamp = schema[at..].split(' ').next()?.parse().ok()?;
        Some(time.as_second() + i64::from(time.subsec_nanosecond() > 0))
    };
    let format = match schema.split(' ').nth(1) {
        Some("Auto") => None,
        Some("Common") => Some(Format::Common),
        Some("Combined") => Some(Format::Combined),
        Some("VhostCombined") => Some(Format::VhostCombined),
        Some("VhostCommon") => Some(Format::VhostCommon),
        Some("CombinedIo") => Some(Format::CombinedIo),
        _ => return Ok(None), // of another version
    };
    let options = serialize::Options {
        index: IndexPattern::new(&run.destination.index_pattern)?,
        ids,
        since: time("since"),
        until: time("until"),
        ..serialize::Options::default()
    };
    Ok(Some((Plan::new(options)?, format)))
}

/// Index and id of each document that was refused.
fn dead_letters(run: &RunRecord) -> HashSet<(String, String)> {
    let Some(kept) = &run.dead_letters else { return HashSet::new() };
    let text = std::fs::read_to_string(&kept.path).unwrap_or_default();
    let letters = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    letters
        .filter_map(|letter| Some((letter["index"].as_str()?.to_owned(), letter["_id"].as_str()?.to_owned())))
        .collect()
}

fn count(client: &Client, index: &str) -> Result<Option<u64>> {
    // What was indexed and not refreshed is there, and not counted. Who may not refresh counts what is seen.
    let _ = client.refresh(index);
    match client.count(index) {
        Ok(count) => Ok(Some(count)),
        Err(unable) if unable.is_missing() => Ok(None),
        Err(unable) => Err(unable.error),
    }
}

/// Those that are not there.
fn missing(client: &Client, ids: &[(String, String)]) -> Result<Vec<(String, String)>> {
    let docs: Vec<Value> =
        ids.iter().map(|(index, id)| json!({"_index": index, "_id": id, "_source": false})).collect();
    let answer = client.json_ok("ask for documents by id", Method::Post, "/_mget", Some(&json!({ "docs": docs })))?;
    let answers = answer["docs"].as_array().map_or(&[][..], Vec::as_slice);
    if answers.len() != ids.len() {
        return Err(Error::failed(format!("asked for {} documents by id, and heard of {}", ids.len(), answers.len())));
    }
    let absent = ids.iter().zip(answers).filter(|(_, answer)| answer["found"] != true);
    Ok(absent.map(|(id, _)| id.clone()).collect())
}

fn tell(run: &RunRecord, found: &Found, as_json: bool) -> Result<()> {
    let text = if as_json {
        let indices: Vec<Value> = found
            .indices
            .iter()
            .map(|(index, (expected, there))| {
                json!({"index": index, "expected": found.all_read.then_some(expected), "count": there})
            })
            .collect();
        let sources: Vec<Value> = found
            .sources
            .iter()
            .map(|(source, documents, outcome)| json!({"source": source, "documents": documents, "outcome": outcome}))
            .collect();
        let missing: Vec<Value> = found.missing.iter().map(|(index, id)| json!({"index": index, "_id": id})).collect();
        let agrees = found.wrong.is_empty();
        let told = json!({"run": run.id, "agrees": agrees, "wrong": found.wrong, "indices": indices,
            "sources": sources, "ids_asked_for": found.sampled, "ids_missing": missing});
        format!("{told}\n")
    } else {
        table(run, found)
    };
    let mut out = if as_json { Safe::json(io::stdout()) } else { Safe::text(io::stdout()) };
    match out.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write to standard output: {}", io_reason(&error))))
        }
        _ => Ok(()),
    }
}

fn table(run: &RunRecord, found: &Found) -> String {
    let mut text = format!("{:>15} {:>15}  index\n", "loaded", "in the cluster");
    for (index, (expected, there)) in &found.indices {
        let expected = if found.all_read { grouped(*expected) } else { "?".to_owned() };
        let there = there.map_or("missing".to_owned(), grouped);
        text.push_str(&format!("{expected:>15} {there:>15}  {index}\n"));
    }
    text.push_str(&format!("\n{:>15} {:>15}  source\n", "loaded", ""));
    for (source, documents, outcome) in &found.sources {
        let source = source.escape_debug();
        text.push_str(&format!("{:>15} {:>15}  {source} ({outcome})\n", grouped(*documents), ""));
    }
    text.push('\n');
    if found.sampled > 0 {
        let there = found.sampled - found.missing.len();
        let (asked, there) = (grouped(found.sampled as u64), grouped(there as u64));
        text.push_str(&format!("{asked} ids asked for, {there} are there or among the dead letters\n"));
    } else {
        text.push_str("no ids asked for: no source is what was loaded, or ids are OpenSearch's own\n");
    }
    match found.wrong.is_empty() {
        true => text.push_str(&format!("run {}: ledger and cluster agree\n", run.id)),
        false => found.wrong.iter().for_each(|wrong| text.push_str(&format!("run {}: {wrong}\n", run.id))),
    }
    text
}
