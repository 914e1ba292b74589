//! Where documents go: parcels in, receipts out.

pub mod discard; // nowhere: for measuring
pub mod stdout; // to standard output, in input order
pub mod directory; // into a folder, to be shipped from elsewhere
pub mod batcher; // parcels become batches for the Bulk API
pub mod batch; // blocks that are sent together, and any subset of their documents
pub mod bulk_writer; // sends a batch until each of its documents has an outcome
pub mod answer; // what a bulk answer says about each document
pub mod retry; // what an answer means: one match, no I/O
pub mod pace; // how much at once: writers, bytes, documents a second
mod writers; // how many requests may be in flight, found out by trying
pub mod breaker; // while the cluster refuses: one probe a second, of all writers together
pub mod destination; // what all writers share: client, pace, breaker, counts

use std::fs::File;
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded};

pub use destination::Destination;
pub use directory::Directory;

use crate::pipeline::parcel::Parcel;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::report::totals::Traffic;
use crate::pipeline::serialize::Block;
use crate::pipeline::stop::Stop;
use crate::pipeline::ticket::Ticket;
use crate::pipeline::{Options, Stage, stage};
use batch::Batch;
use batcher::Batcher;
use bulk_writer::Delivery;

/// Where documents go.
pub enum Sink<'s> {
    /// Nowhere.
    Discard,
    /// Standard output, in input order.
    Stdout(File),
    /// A folder of bodies, packed by so many threads.
    Directory {
        /// The folder.
        directory: Box<Directory>,
        /// 1 or more.
        writers: usize,
    },
    /// OpenSearch, by so many writers at most.
    OpenSearch {
        /// The cluster.
        destination: Box<Destination<'s>>,
        /// Writer threads: 1 or more. How many of them send at a time is the pace's decision.
        writers: usize,
    },
}

/// What a sink is given.
pub struct Inlets<'a> {
    /// What to send.
    pub parcels: Receiver<Vec<Parcel>>,
    /// A message whenever a reader has to wait for a ticket.
    pub pressure: Receiver<()>,
    /// Where receipts go.
    pub events: Sender<Event>,
    /// Used blocks.
    pub blocks: &'a Pool<Block>,
}

/// Where a parser puts its parcels.
pub enum Outlet<'a> {
    /// On the way to the sink's threads.
    Threads(Sender<Vec<Parcel>>),
    /// Nowhere; the receipts go to the report at once.
    Discard(Sender<Event>, &'a Pool<Block>),
}

impl Outlet<'_> {
    /// Lets go of parcels. Says whether the sink is still there.
    pub fn give(&self, parcels: Vec<Parcel>) -> bool {
        match self {
            Outlet::Threads(sender) => sender.send(parcels).is_ok(),
            Outlet::Discard(events, blocks) => discard::settle(parcels, events, blocks),
        }
    }
}

impl Sink<'_> {
    /// Whether documents leave in the order of the input.
    pub fn is_ordered(&self) -> bool {
        matches!(self, Sink::Stdout(_))
    }

    /// A parser's way to the sink; `parcels` is that of its threads.
    pub fn outlet<'a>(
        &self,
        parcels: &Sender<Vec<Parcel>>,
        events: &Sender<Event>,
        blocks: &'a Pool<Block>,
    ) -> Outlet<'a> {
        match self {
            Sink::Discard => Outlet::Discard(events.clone(), blocks),
            Sink::Stdout(_) | Sink::Directory { .. } | Sink::OpenSearch { .. } => Outlet::Threads(parcels.clone()),
        }
    }

    /// Starts the sink's threads.
    pub fn spawn<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        options: &'env Options,
        stop: &'env Stop,
        inlets: Inlets<'env>,
    ) {
        let Inlets { parcels, pressure, events, blocks } = inlets;
        let spawn = move |work: Box<dyn FnOnce() + Send + 'env>| {
            scope.spawn(move || stage(Stage::Sink, options, stop, work));
        };
        match self {
            Sink::Discard => {} // see Outlet
            Sink::Stdout(output) => {
                spawn(Box::new(move || stdout::work(&parcels, &events, blocks, stop, output)));
            }
            Sink::Directory { directory, writers } => {
                let (batches_out, batches) = bounded(0);
                for _ in 0..*writers {
                    let (batches, events) = (batches.clone(), events.clone());
                    scope.spawn(move || {
                        stage(Stage::Writer, options, stop, || {
                            let mut writer = directory.writer(stop);
                            settle(&batches, &events, blocks, |batch| writer.deliver(batch));
                        });
                    });
                }
                spawn(Box::new(move || {
                    let batcher = Batcher {
                        parcels: &parcels,
                        pressure: &pressure,
                        batches: &batches_out,
                        events: &events,
                        stop,
                        wait_max: directory::WAIT_MAX,
                    };
                    batcher.work(|| directory.body_bytes());
                }));
            }
            Sink::OpenSearch { destination, writers } => {
                // Without room of its own: a batch waits where it can still grow.
                let (batches_out, batches) = bounded(0);
                for _ in 0..*writers {
                    let (batches, events) = (batches.clone(), events.clone());
                    scope.spawn(move || {
                        stage(Stage::Writer, options, stop, || {
                            let mut writer = destination.writer();
                            settle(&batches, &events, blocks, |batch| {
                                // If that fails the run has failed, and nothing is sent any more.
                                destination.tell_of(&batch);
                                writer.deliver(batch)
                            });
                        });
                    });
                }
                spawn(Box::new(move || {
                    let batcher = Batcher {
                        parcels: &parcels,
                        pressure: &pressure,
                        batches: &batches_out,
                        events: &events,
                        stop,
                        wait_max: batcher::WAIT_MAX,
                    };
                    batcher.work(|| destination.body_bytes());
                }));
            }
        }
    }

    /// What was done to get the documents there.
    pub fn traffic(&self) -> Traffic {
        match self {
            Sink::Discard | Sink::Stdout(_) | Sink::Directory { .. } => Traffic::default(),
            Sink::OpenSearch { destination, .. } => {
                let stats = destination.stats();
                Traffic {
                    requests: stats.requests,
                    retries: stats.retries,
                    documents_resent: stats.documents_resent,
                    bytes_sent: stats.bytes_sent,
                    paused_seconds: stats.paused.as_secs_f64(),
                    writers: u32::try_from(stats.writers).unwrap_or(u32::MAX),
                    body_bytes: stats.body_bytes as u64,
                }
            }
        }
    }
}

/// A writer thread: delivers batches until there are no more.
fn settle(
    batches: &Receiver<Batch<Ticket>>,
    events: &Sender<Event>,
    blocks: &Pool<Block>,
    mut deliver: impl FnMut(Batch<Ticket>) -> Delivery<Ticket>,
) {
    for batch in batches {
        let delivery = deliver(batch);
        let all = delivery.receipts.len() == delivery.parts.len();
        let mut tickets = Vec::with_capacity(delivery.parts.len());
        for (block, ticket) in delivery.parts {
            blocks.give_back(block);
            tickets.push(ticket);
        }
        // Where some parts have no receipt the run ends, and nobody waits for a ticket any more.
        let mut tickets = tickets.into_iter().filter(|_| all);
        for receipt in delivery.receipts {
            if events.send(Event::Settled(Box::new(receipt), tickets.next())).is_err() {
                return;
            }
        }
    }
}
