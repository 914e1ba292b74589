//! Bodies become batches, and batches become outcomes.
//!
//! One thread reads and compares bodies, a few writers deliver them: one batch each, so that a body is settled as a whole.
//! What is rejected is made safe before the body counts as shipped.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, bounded};

use super::check;
use super::state::{Shipped, State};
use super::totals::Totals;
use crate::config::ship::ShipConfig;
use crate::error::{Error, Result};
use crate::opensearch::{Client, IndexNow};
use crate::pipeline::parcel::{Earlier, Parcel};
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::progress::{Counters, Progress};
use crate::pipeline::report::{DeadLetter, Receipt, dead_letters};
use crate::pipeline::serialize::{Block, id};
use crate::pipeline::sink::Destination;
use crate::pipeline::sink::batch::Batch;
use crate::pipeline::sink::directory::manifest::{BodyLine, Manifest};
use crate::pipeline::stop::{Reason, Stop};

/// Where outcomes come together.
struct Settled<'a> {
    totals: &'a mut Totals,
    state: State,
    client: &'a Client,
    /// Of the indices that documents went to; none where nobody may ask.
    uuids: HashMap<String, Option<String>>,
    letters: &'a LinesFile,
    letters_path: PathBuf,
    sent: Counters,
    /// Of this ship, for `--max-rejected`.
    rejected: u64,
    documents: u64,
}

/// Sends all bodies that have no outcome yet. An error that ends it is on `stop`.
#[allow(clippy::too_many_arguments)] // each is a part of its own
pub fn send(
    config: &ShipConfig,
    manifest: &Manifest,
    client: &Client,
    destination: &Destination<'_>,
    totals: &mut Totals,
    state: State,
    letters: &LinesFile,
    progress: &Progress,
    stop: &Stop,
) {
    let waiting: Vec<usize> = (0..totals.bodies.len())
        .filter(|n| totals.bodies[*n].outcomes.is_none() && totals.bodies[*n].trouble.is_none())
        .collect();
    let settled = Mutex::new(Settled {
        sent: Counters { files_named: waiting.len() as u64, ..Counters::default() },
        letters_path: std::path::absolute(&config.dead_letters).unwrap_or_else(|_| config.dead_letters.clone()),
        totals,
        state,
        client,
        uuids: HashMap::new(),
        letters,
        rejected: 0,
        documents: 0,
    });
    thread::scope(|scope| {
        // Without room of its own: what is read waits at the door, and no more is read meanwhile.
        let (batches_out, batches) = bounded::<Batch<usize>>(0);
        for _ in 0..config.writers {
            let (batches, settled) = (batches.clone(), &settled);
            scope.spawn(move || deliver(config, manifest, destination, &batches, settled, progress, stop));
        }
        drop(batches);
        for n in waiting {
            if stop.is_raised() {
                break;
            }
            match check::read(&config.path, &manifest.bodies[n].line) {
                Ok(block) => batches_out.send(batch(n, block)).expect("writers work as long as there are batches"),
                Err(why) => {
                    progress.message(&format!("{}: {why}", manifest.bodies[n].line.file));
                    lock(&settled).totals.bodies[n].trouble = Some(why);
                }
            }
        }
    });
}

/// Compares all bodies, and sends nothing.
pub fn check_all(folder: &Path, manifest: &Manifest, totals: &mut Totals, stop: &Stop) {
    let mut checked = 0;
    for (body, told) in manifest.bodies.iter().zip(&mut totals.bodies) {
        if stop.is_raised() {
            break;
        }
        if told.trouble.is_none() {
            match check::read(folder, &body.line) {
                Ok(block) => checked += block.documents.len() as u64,
                Err(why) => told.trouble = Some(why),
            }
        }
    }
    totals.checked = Some(checked);
}

/// A body is a batch of one block, whose lines are its documents.
fn batch(n: usize, block: Block) -> Batch<usize> {
    let mut batch = Batch::new();
    let range = 0..block.documents.len() as u64;
    batch.push(Parcel { sequence: 0, file: 0, log: None, range, earlier: Earlier::default(), block, ticket: n });
    batch
}

/// A writer thread: delivers bodies until there are no more.
fn deliver(
    config: &ShipConfig,
    manifest: &Manifest,
    destination: &Destination<'_>,
    batches: &Receiver<Batch<usize>>,
    settled: &Mutex<Settled<'_>>,
    progress: &Progress,
    stop: &Stop,
) {
    let mut writer = destination.writer();
    for batch in batches {
        let mut delivery = writer.deliver(batch);
        let (_, n) = delivery.parts.pop().expect("a body is a batch of one block");
        // Without a receipt some of its documents have no outcome: the next ship sends it again.
        let Some(receipt) = delivery.receipts.pop() else { continue };
        let mut settled = lock(settled);
        let kept = settled.settle(n, &manifest.bodies[n].line, receipt);
        if let Err(error) = kept {
            stop.raise(Reason::Failed(error));
        }
        if config.max_rejected.is_exceeded(settled.rejected, settled.documents) {
            let (rejected, documents) = (settled.rejected, settled.documents);
            stop.raise(Reason::Failed(
                Error::stopped(format!("{rejected} of {documents} documents were rejected, more than --max-rejected"))
                    .hint("see why in the dead letters, mend it, and run the same again"),
            ));
        }
        progress.update(&settled.sent);
    }
}

fn lock<'m, 's>(settled: &'m Mutex<Settled<'s>>) -> std::sync::MutexGuard<'m, Settled<'s>> {
    settled.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Settled<'_> {
    /// By which a later ship finds out that an index was deleted, even if one of that name is there again.
    fn uuids_of(&mut self, line: &BodyLine) -> BTreeMap<String, String> {
        let mut known = BTreeMap::new();
        for index in line.indices.keys() {
            let uuid = self.uuids.entry(index.clone()).or_insert_with(|| match self.client.index_now(index) {
                Ok(IndexNow::There(uuid)) => uuid,
                Ok(IndexNow::Gone) | Err(_) => None,
            });
            known.extend(uuid.clone().map(|uuid| (index.clone(), uuid)));
        }
        known
    }

    /// Keeps what was rejected, remembers the body, and counts it; in this order.
    fn settle(&mut self, n: usize, line: &BodyLine, receipt: Receipt) -> Result<()> {
        let mut lines = Vec::new();
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        for dead in receipt.dead_letters {
            let (source, dead) = in_its_log(line, dead);
            dead_letters::write(&mut lines, source, &dead, &time, self.state.pipeline());
        }
        self.letters.write(&lines)?;
        let outcomes = receipt.outcomes;
        let indices = self.uuids_of(line);
        self.state.add(Shipped {
            time,
            file: line.file.clone(),
            sha256: line.sha256.clone(),
            indexed: outcomes.indexed,
            confirmed: outcomes.confirmed,
            duplicate: outcomes.duplicate,
            rejected: outcomes.rejected,
            dead_letters_bytes: self.letters.sync()?,
            dead_letters: self.letters_path.clone(),
            indices,
            ..Shipped::default()
        })?;
        self.totals.bodies[n].outcomes = Some(outcomes.into());
        self.rejected += outcomes.rejected;
        self.documents += outcomes.documents();
        self.sent.lines += outcomes.documents();
        self.sent.bytes += line.bytes;
        self.sent.stored_bytes += line.stored_bytes;
        self.sent.files_done += 1;
        Ok(())
    }
}

/// A dead letter of a body, which knows only the document's number in it, with the place of its line in its log. Ids that
/// are made of the place tell it; of others it is known only where their block of lines starts.
fn in_its_log(line: &BodyLine, mut dead: DeadLetter) -> (&str, DeadLetter) {
    let Some((source, from)) = line.origin(dead.offset) else { return ("", dead) };
    dead.offset = offset_of(&dead.document, &source.identity).unwrap_or(from);
    (&source.source, dead)
}

/// The offset that an id made of its line's place holds, if it is of this source.
fn offset_of(document: &[u8], identity: &str) -> Option<u64> {
    let action = document.split(|byte| *byte == b'\n').next()?;
    let action: serde_json::Value = serde_json::from_slice(action).ok()?;
    let (source, offset) = id::place(action["create"]["_id"].as_str()?)?;
    let of_place = source.iter().map(|byte| format!("{byte:02x}")).collect::<String>() == identity;
    of_place.then_some(offset)
}
