//! [`Destination`]: what all writers to one cluster share. The client, the pace, the breaker, the counts, and the way
//! to tell a person what goes on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::answer;
use super::batch::{Batch, Selection};
use super::breaker::Breaker;
use super::bulk_writer::BulkWriter;
use super::pace::{self, Pace};
use super::retry::Limits;
use crate::error::{Error, Result};
use crate::opensearch::Client;
use crate::opensearch::indices::path_segment;
use crate::pipeline::stop::{Reason, Stop};

/// How bulk requests are made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much at once.
    pub pace: pace::Options,
    /// How long to try.
    pub limits: Limits,
    /// The ingest pipeline to send documents through (`?pipeline=`).
    pub pipeline: Option<String>,
    /// Write only if the index is an alias (`?require_alias=true`).
    pub require_alias: bool,
    /// Whether documents carry ids of ours. Without, a request whose outcome is unknown may write twice.
    pub with_ids: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            pace: pace::Options::default(),
            limits: Limits::default(),
            pipeline: None,
            require_alias: false,
            with_ids: true,
        }
    }
}

/// Something that a person should hear of while the run goes on. `Display` is the line to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The cluster refuses; the run waits. Its words.
    Paused(String),
    /// It went on after so long.
    Resumed(Duration),
    /// The first time that documents without ids are sent again although they may have been written.
    MayDouble,
    /// The server does not understand compressed bodies; they are sent as they are from now on.
    Uncompressed,
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Notice::Paused(cause) => write!(f, "paused, asking once a second: {cause}"),
            Notice::Resumed(after) => write!(f, "going on after {:.0} s", after.as_secs_f64()),
            Notice::MayDouble => f.write_str(
                "an answer was lost: its documents are sent again, and without ids some may now be there twice",
            ),
            Notice::Uncompressed => f.write_str("the server does not take compressed bodies; sending them as they are"),
        }
    }
}

/// Makes an index of that name ready for its first document.
type Prepare<'s> = Box<dyn Fn(&str) -> Result<()> + Send + Sync + 's>;

/// Hears the name of an index that has just taken its first document.
type FirstWritten<'s> = Box<dyn Fn(&Arc<str>) + Send + Sync + 's>;

/// Hears what is about to be sent; see [`Destination::telling`].
type BeforeSending<'s> = Box<dyn Fn(&[(i64, u64)]) -> Result<()> + Send + Sync + 's>;

/// What all writers to one cluster share.
pub struct Destination<'s> {
    pub(super) client: &'s Client,
    pub(super) stop: &'s Stop,
    pub(super) notify: Box<dyn Fn(Notice) + Send + Sync + 's>,
    /// `/_bulk` with its query.
    pub(super) path: String,
    pub(super) limits: Limits,
    pub(super) with_ids: bool,
    /// Whether a duplicate of what we may have written is ours.
    pub(super) confirms: bool,
    before_sending: Option<BeforeSending<'s>>,
    pub(super) pace: Pace,
    pub(super) breaker: Breaker,
    pub(super) stats: Counters,
    /// Bodies go uncompressed, for the server did not understand them otherwise.
    pub(super) plain: AtomicBool,
    body_bytes_max: usize,
    prepare: Option<Prepare<'s>>,
    /// The indices that are ready.
    prepared: Mutex<HashSet<Arc<str>>>,
    first_written: Option<FirstWritten<'s>>,
    /// The indices that have taken a document.
    written: Mutex<HashSet<Arc<str>>>,
}

/// What happened, for the summary. A snapshot; see [`Destination::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent.
    pub requests: u64,
    /// Of these, requests with documents that had been sent before.
    pub retries: u64,
    /// Documents in those.
    pub documents_resent: u64,
    /// Bytes of all bodies as they travelled: compressed where they were.
    pub bytes_sent: u64,
    /// Bulk answers that were read.
    pub accepted: u64,
    /// Documents sent again although they may have been written, without ids to tell.
    pub uncertain: u64,
    /// Requests with documents refused because the cluster was busy (429).
    pub busy: u64,
    /// Requests refused, or with documents refused, because of a state of the cluster.
    pub blocked: u64,
    /// Requests that were too large.
    pub too_large: u64,
    /// Requests without an answer, or with one that could not be believed.
    pub lost: u64,
    /// Requests that the server failed at (5xx).
    pub failed: u64,
    /// Requests refused as malformed (400).
    pub bad_requests: u64,
    /// How often the run paused.
    pub pauses: u64,
    /// How long the run paused.
    pub paused: Duration,
    /// How many writers it settled on.
    pub writers: usize,
    /// What body size it settled on, in bytes.
    pub body_bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) documents_resent: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
    pub(super) accepted: AtomicU64,
    /// Requests of which documents got through.
    pub(super) through: AtomicU64,
    /// Requests that failed, though none of their documents was suspected, since one got through.
    pub(super) vain: AtomicU64,
    pub(super) uncertain: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) blocked: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) bad_requests: AtomicU64,
}

impl<'s> Destination<'s> {
    /// Nothing sent yet. `notify` hears what a person should hear, from any writer's thread.
    pub fn new(
        client: &'s Client,
        options: &Options,
        stop: &'s Stop,
        notify: impl Fn(Notice) + Send + Sync + 's,
    ) -> Destination<'s> {
        let mut path =
            format!("/_bulk?filter_path={}&timeout={}ms", answer::FILTER_PATH, client.server_timeout().as_millis());
        if let Some(pipeline) = &options.pipeline {
            path.push_str("&pipeline=");
            path.push_str(&path_segment(pipeline));
        }
        if options.require_alias {
            path.push_str("&require_alias=true");
        }
        Destination {
            client,
            stop,
            notify: Box::new(notify),
            path,
            limits: options.limits,
            with_ids: options.with_ids,
            confirms: options.with_ids,
            before_sending: None,
            pace: Pace::new(options.pace),
            breaker: Breaker::new(options.limits.give_up_after),
            stats: Counters::default(),
            plain: AtomicBool::new(false),
            body_bytes_max: options.pace.body_bytes_max,
            prepare: None,
            prepared: Mutex::default(),
            first_written: None,
            written: Mutex::default(),
        }
    }

    /// Calls `prepare` with the name of each index before the first document goes there. All writers wait meanwhile; an
    /// error ends the run.
    #[must_use]
    pub fn preparing(mut self, prepare: impl Fn(&str) -> Result<()> + Send + Sync + 's) -> Destination<'s> {
        self.prepare = Some(Box::new(prepare));
        self
    }

    /// Calls `first_written` with the name of each index as soon as the first request in which it took documents is
    /// answered, from a writer's thread.
    #[must_use]
    pub fn telling_first_written(mut self, first_written: impl Fn(&Arc<str>) + Send + Sync + 's) -> Destination<'s> {
        self.first_written = Some(Box::new(first_written));
        self
    }

    /// These documents of a batch are in their indices.
    pub(super) fn wrote<T>(&self, batch: &Batch<T>, documents: &Selection) {
        let Some(first_written) = &self.first_written else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let names = batch.parts().iter().flat_map(|part| &part.block.indices).map(|(index, _)| index);
        let news: Vec<&Arc<str>> = names.filter(|index| !written.contains(*index)).collect();
        // Mostly nothing; else it has to be seen which of the batch's indices these documents are of.
        for index in news {
            let took =
                documents.documents() == batch.documents() || documents.iter().any(|n| batch.index_of(n) == &**index);
            if took && written.insert(Arc::clone(index)) {
                first_written(index);
            }
        }
    }

    /// Sees to it that all indices of a batch are ready; false if the run is told to end instead.
    pub(super) fn is_ready_for<T>(&self, batch: &Batch<T>) -> bool {
        let Some(prepare) = &self.prepare else { return true };
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, _) in batch.parts().iter().flat_map(|part| &part.block.indices) {
            if prepared.contains(index) {
                continue;
            }
            if self.stop.gives_up() {
                return false;
            }
            if let Err(error) = prepare(index) {
                self.fail(error);
                return false;
            }
            prepared.insert(Arc::clone(index));
        }
        true
    }

    /// Whether documents that were sent, but whose answer was lost, count as indexed by us when they are found to be
    /// there. So it is where no other line can have the same id; give false where ids are made of the content alone.
    #[must_use]
    pub fn confirming(mut self, confirms: bool) -> Destination<'s> {
        self.confirms = confirms;
        self
    }

    /// Has `tell` hear of each file of which documents are about to be sent: its tag, and where in its plain bytes the
    /// lines of these documents end. Whoever remembers that knows after a kill what may have been written. An error ends
    /// the run before they are sent.
    #[must_use]
    pub fn telling(mut self, tell: impl Fn(&[(i64, u64)]) -> Result<()> + Send + Sync + 's) -> Destination<'s> {
        self.before_sending = Some(Box::new(tell));
        self
    }

    /// Tells of a batch that it is about to be sent.
    pub(super) fn tell_of<T>(&self, batch: &Batch<T>) {
        let Some(tell) = &self.before_sending else { return };
        let with_documents = batch.parts().iter().filter(|part| !part.block.documents.is_empty());
        let mut ends: Vec<(i64, u64)> = with_documents.map(|part| (part.earlier.tag, part.range.end)).collect();
        ends.retain(|(tag, _)| *tag != 0);
        // Of each file the last.
        ends.sort_unstable_by_key(|&(tag, end)| (tag, std::cmp::Reverse(end)));
        ends.dedup_by_key(|(tag, _)| *tag);
        if !ends.is_empty()
            && let Err(error) = tell(&ends)
        {
            self.fail(error);
        }
    }

    /// One thread's hands.
    pub fn writer(&self) -> BulkWriter<'_> {
        BulkWriter::new(self)
    }

    /// The body size that batches should have now, in bytes.
    pub fn body_bytes(&self) -> usize {
        self.pace.body_bytes()
    }

    /// The most bytes an answer may have: as much as a body. Longer ones are asked for in halves.
    pub fn answer_bytes_max(&self) -> usize {
        self.body_bytes_max.max(1 << 20)
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (pauses, paused) = self.breaker.paused();
        Stats {
            requests: read(&self.stats.requests),
            retries: read(&self.stats.retries),
            documents_resent: read(&self.stats.documents_resent),
            bytes_sent: read(&self.stats.bytes_sent),
            accepted: read(&self.stats.accepted),
            uncertain: read(&self.stats.uncertain),
            busy: read(&self.stats.busy),
            blocked: read(&self.stats.blocked),
            too_large: read(&self.stats.too_large),
            lost: read(&self.stats.lost),
            failed: read(&self.stats.failed),
            bad_requests: read(&self.stats.bad_requests),
            pauses,
            paused,
            writers: self.pace.writers(),
            body_bytes: self.pace.body_bytes(),
        }
    }

    /// The cluster refuses for its state. Its words.
    pub(super) fn blocked(&self, cause: &str) {
        count(&self.stats.blocked, 1);
        if self.breaker.open(cause) {
            (self.notify)(Notice::Paused(cause.to_owned()));
        }
    }

    /// A probe passed.
    pub(super) fn passed(&self) {
        if let Some(after) = self.breaker.close() {
            (self.notify)(Notice::Resumed(after));
        }
    }

    /// Ends the run.
    pub(super) fn fail(&self, error: Error) {
        self.stop.raise(Reason::Failed(error));
    }
}

/// Adds to a counter; returns what it was.
pub(super) fn count(counter: &AtomicU64, n: u64) -> u64 {
    counter.fetch_add(n, Ordering::Relaxed)
}
