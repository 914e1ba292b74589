//! The data plane. OPEN FIRST: the stages in data order, and [`run`], which wires them.
//!
//! It moves bytes and knows neither queues, nor a ledger, nor the command line. Data only moves forward and changes its
//! noun at each step; every channel is bounded, by its capacity or by the tickets of what is in it; and the end is a
//! dropped sender, passed on from stage to stage.
//!
//! ```text
//!  [ readers ............... ]══Chunk══▶[ parsers ]══Parcel══▶[ sink: batcher ▶ writers ]══Receipt══▶[ collector ]
//!  source ▸ decode ▸ head ▸ chunk        parse ▸ serialize                                            report
//!       ▲                                                                                    │
//!       └──────────────────────────── ticket: a place in memory, given back ◀────────────────┘
//! ```

pub mod chunk; // Input -> Chunks of whole lines
pub mod decode; // gzip and zstd by their first bytes
pub mod head; // the first bytes: identity and format
mod map; // the mapped file; all unsafe of reading is there
pub mod parse; // a line -> Record: fields borrowed from the chunk
pub mod report; // Receipts add up: the law
pub mod serialize; // a chunk's lines -> Block: documents and where they came from
pub mod sink; // Blocks go out, Receipts come back
pub mod skip; // to the place where an earlier run ended
pub mod source; // Source (what is asked for) -> Input: mapped or streamed
pub mod tail; // the bytes before a place, by which a later run knows it again

pub mod memory; // how large chunks and tickets are
pub mod parcel; // a Block on its way, with what its Receipt needs
pub mod parsers; // the threads of parse and serialize
pub mod pool; // used buffers
pub mod reader; // the threads of source, decode and chunk
pub mod small; // small files, read whole and handed on together
pub mod stop; // how a run is told to end
pub mod ticket; // the memory ceiling

pub use map::end_on_sigbus;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crossbeam_channel::bounded;

use crate::error::{Error, Result};
use parsers::Parsers;
use pool::Pool;
use reader::{Outlets, Readers};
use report::collect::{Collector, Keep, Progress};
use report::{Ended, Report};
use serialize::{Block, Buffer, Plan};
use sink::Sink;
use source::Undecided;
use stop::{Reason, Stop};

/// What a run needs besides sources and sink.
#[derive(Debug)]
pub struct Options {
    /// How sources are read.
    pub read: reader::Options,
    /// What documents look like.
    pub plan: Plan,
    /// Parser threads: 1 or more.
    pub parsers: usize,
    /// Reader threads: 1 or more. An ordered sink gets one whatever is said here.
    pub readers: usize,
    /// How large a chunk may be, in bytes; less where documents are much larger than their lines.
    pub chunk_bytes: usize,
    /// What chunks, blocks and bodies may hold together, in bytes.
    pub tickets_bytes: usize,
    /// A test aid: this stage panics at its first work, to show that the run ends in order.
    pub panic_in: Option<Stage>,
}

/// The stages that are threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Source, decode, chunk.
    Reader,
    /// Parse, serialize.
    Parser,
    /// The batcher, or a sink without one.
    Sink,
    /// A bulk writer.
    Writer,
}

/// Events on their way to the collector, at most. What is heavy about them has its ticket.
const EVENTS_MAX: usize = 256;

/// Hauls the lines of `sources` into `sink` and tells what became of each.
///
/// `sources` is pulled by the readers, one at a time, and decided side by side. `report` is the empty report to fill, `keep` takes the
/// lines that became no document, and `on_progress` is called in this thread; its error ends the run. There always
/// is a report, whatever happens: its `ended` says how it came to its end.
pub fn run(
    sources: impl Iterator<Item: Undecided> + Send,
    sink: &Sink<'_>,
    options: &Options,
    stop: &Arc<Stop>,
    report: Report,
    keep: Keep,
    on_progress: impl FnMut(Progress<'_>) -> Result<()>,
) -> Report {
    let started = Instant::now();
    let readers = if sink.is_ordered() { 1 } else { options.readers };
    let (tickets, pressure) = ticket::Tickets::new(options.tickets_bytes, stop);
    let sizes = memory::Sizes::new(options.chunk_bytes);
    // As many chunks as are on their way at a time, and as many blocks as there can be tickets for: a body that is done
    // with gives back a dozen at once, and fresh memory costs more than filling it. Whoever needs one takes a used one
    // first, so there never are more than once had their tickets.
    let buffers: Pool<Buffer> = Pool::new(readers + options.parsers * 3, Buffer::capacity, sizes.buffer_bytes_max());
    let blocks_max = options.parsers * 2 + options.tickets_bytes / (options.chunk_bytes * 2).max(1);
    let blocks: Pool<Block> = Pool::new(blocks_max, Block::held_bytes, memory::KEPT_BLOCK_BYTES_MAX);
    let parsers = Parsers {
        plan: &options.plan,
        count: options.parsers,
        stop,
        sizes: &sizes,
        buffers: &buffers,
        blocks: &blocks,
    };
    let readers_share = Readers {
        sources: Mutex::new((sources.fuse(), 0)),
        options: &options.read,
        plan: &options.plan,
        stop,
        tickets: &tickets,
        sizes: &sizes,
        buffers: &buffers,
        sequence: AtomicU64::new(0),
    };
    let mut collector = Collector::new(report, keep, on_progress);

    thread::scope(|scope| {
        let (chunk_sender, chunks) = bounded(options.parsers * 2);
        // Where the sink is slower than the parsers, blocks that wait for it cost: each is memory that is touched anew and
        // gone from the cache before it is sent.
        let (parcel_sender, parcels) = bounded(options.parsers * 2);
        let (events, events_taken) = bounded(EVENTS_MAX);
        for _ in 0..readers {
            let outlets = Outlets { chunks: chunk_sender.clone(), events: events.clone() };
            let readers = &readers_share;
            scope.spawn(move || stage(Stage::Reader, options, stop, || readers.work(&outlets)));
        }
        drop(chunk_sender);
        for _ in 0..options.parsers {
            let (chunks, events) = (chunks.clone(), events.clone());
            let (parsers, outlet) = (&parsers, sink.outlet(&parcel_sender, &events, &blocks));
            let give = move |parcels| outlet.give(parcels);
            scope.spawn(move || stage(Stage::Parser, options, stop, || parsers.work(&chunks, &events, give)));
        }
        drop((chunks, parcel_sender));
        sink.spawn(scope, options, stop, sink::Inlets { parcels, pressure, events, blocks: &blocks });
        collector.collect(&events_taken, stop);
    });

    let reason = stop.reason();
    let mut report = collector.finish(reason.is_some());
    report.traffic = sink.traffic();
    report.seconds = started.elapsed().as_secs_f64();
    for error in stop.failed_later() {
        report.note(error.to_string());
    }
    match reason {
        Some(Reason::Interrupted(signal)) => report.ended = Ended::Interrupted(signal),
        Some(Reason::OutputClosed) => report.ended = Ended::OutputClosed,
        Some(Reason::Failed(error)) => report.ended = Ended::Failed(error),
        None => {}
    }
    report
}

/// Runs the body of a thread. A panic there is our own mistake: it ends the run in order, with everything that has its
/// receipt told, instead of leaving the other threads to wait for ever.
fn stage(stage: Stage, options: &Options, stop: &Stop, body: impl FnOnce()) {
    let body = AssertUnwindSafe(|| {
        assert!(options.panic_in != Some(stage), "asked to panic in {stage:?}");
        body();
    });
    if let Err(panic) = catch_unwind(body) {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        stop.raise(Reason::Failed(
            Error::failed(format!("a bug in loghaul: {stage:?} stage panicked: {what}"))
                .hint("lines with a receipt are safe; please report this, with the message above"),
        ));
    }
}
