//! `loghaul verify RUN`: whether what the ledger says of a run is in the cluster. For nights when someone doubts.
//!
//! The ledger says how many lines of each source became documents. The sources, where they are still what was loaded,
//! say in which indices and under which ids. The cluster is asked for its counts and for some of those ids. More than
//! expected is no fault: other runs may write to the same indices.
//!
//! The ledger has one row for each source, which says how far all runs together have come with it. So a source that later
//! runs went on with is compared up to there, and what any of them had to leave among its dead letters is left out.
//! What cannot be compared is told, and a run of which nothing can be is no run that agrees.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli;
use crate::commands::load::client_options;
use crate::commands::output;
use crate::commands::recount::{Sample, recount};
use crate::commands::restore::cluster_of;
use crate::config::verify::VerifyConfig;
use crate::config::{self, Surroundings};
use crate::error::{Error, Result};
use crate::ledger::{FileRecord, Ledger, RunRecord, RunState};
use crate::opensearch::{Client, Method};
use crate::pipeline::parse::Format;
use crate::pipeline::report::figures::{counted, grouped};
use crate::pipeline::serialize::{self, IdMode, IndexPattern, Plan, id};
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
    /// What was not compared, one sentence each.
    untold: Vec<String>,
    /// Whether anything was compared.
    compared: bool,
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
    let files = ledger.files_met(run.id)?;
    let letters = dead_letters(&ledger, &run, &files)?;
    let mut found = compare(&client, &run, &files, &letters, &config)?;
    limits(&run, &files, &mut found);
    tell(&run, &found, config.json)?;
    Ok(u8::from(!found.agrees()))
}

impl Found {
    fn agrees(&self) -> bool {
        self.compared && self.wrong.is_empty()
    }
}

type Letters = HashSet<(String, String)>;

fn compare(
    client: &Client,
    run: &RunRecord,
    files: &[FileRecord],
    letters: &Letters,
    config: &VerifyConfig,
) -> Result<Found> {
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
    for (index, _) in letters {
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
    found.compared = !found.indices.is_empty() && !by_content || !sample.ids.is_empty();
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

/// What could not be compared.
fn limits(run: &RunRecord, files: &[FileRecord], found: &mut Found) {
    let later: BTreeSet<i64> = files.iter().map(|file| file.run).filter(|last| *last > run.id).collect();
    if !later.is_empty() {
        let sources = files.iter().filter(|file| file.run > run.id).count() as u64;
        let runs = later.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        found.untold.push(format!(
            "what this run alone loaded of {}: run {runs} went on with it, and all of it up to now was compared",
            counted(sources, "source")
        ));
    }
    let lost = run.totals.loaded.saturating_sub(files.len() as u64);
    if lost > 0 {
        found.untold.push(format!(
            "{} that the ledger does not know any more: loaded anew since, forgotten, or gone with an index",
            counted(lost, "source")
        ));
    }
    let unread = found.sources.iter().filter(|(.., outcome)| *outcome != "read again").count() as u64;
    if unread > 0 {
        found.untold.push(format!("by index and by id: {}, which cannot be read as loaded", counted(unread, "source")));
    }
    let counts = &run.totals.counts;
    // A night without news has nothing to lose.
    if files.is_empty() && lost == 0 && counts.indexed + counts.duplicate == 0 {
        found.compared = true;
    }
    if !found.compared {
        found.wrong.push(format!(
            "nothing could be compared with the {} that it loaded: `loghaul load --again` with the same sources tells, \
             and doubles nothing",
            counted(counts.indexed + counts.duplicate, "document")
        ));
    }
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

/// Index and id of each document of these files that was refused, whichever run it was that met it. Only those whose ids
/// tell their source: of others it is not known which lines they count for.
fn dead_letters(ledger: &Ledger, run: &RunRecord, files: &[FileRecord]) -> Result<Letters> {
    let sources: HashSet<[u8; 8]> = files.iter().map(|file| file.identity).collect();
    let by_source = run.destination.id_mode == "source";
    let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
    for other in ledger.runs()? {
        if other.destination == run.destination {
            paths.extend(other.dead_letters.map(|kept| kept.path));
        }
    }
    let mut letters = Letters::new();
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for letter in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if let (Some(index), Some(id)) = (letter["index"].as_str(), letter["_id"].as_str())
                && (!by_source || id::place(id).is_some_and(|(source, _)| sources.contains(&source)))
            {
                letters.insert((index.to_owned(), id.to_owned()));
            }
        }
    }
    Ok(letters)
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
        let told = json!({"run": run.id, "agrees": found.agrees(), "wrong": found.wrong, "not_compared": found.untold,
            "indices": indices,
            "sources": sources, "ids_asked_for": found.sampled, "ids_missing": missing});
        format!("{told}\n")
    } else {
        table(run, found)
    };
    if as_json { output::json(text) } else { output::text(text) }
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
    for untold in &found.untold {
        text.push_str(&format!("not compared: {untold}\n"));
    }
    match found.agrees() {
        true => text.push_str(&format!("run {}: ledger and cluster agree\n", run.id)),
        false => found.wrong.iter().for_each(|wrong| text.push_str(&format!("run {}: {wrong}\n", run.id))),
    }
    text
}
