//! Documents of a batch that go into one request, and what is remembered of them until they are through.

use crate::pipeline::sink::batch::{Batch, Selection};
use crate::pipeline::sink::retry::Backoff;

/// Documents that go into one request.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) documents: Selection,
    /// How often they were sent.
    pub(super) sent: u32,
    /// The tries since one of them got through.
    pub(super) backoff: Backoff,
    /// Whether they may have been written by an attempt of ours whose answer we do not have.
    pub(super) unsure: bool,
    /// Whether the cluster refused them for its state: then they are what a probe asks with.
    pub(super) blocked: bool,
    /// Send them uncompressed.
    pub(super) plain: bool,
    /// How often in a row exactly these got no sensible answer.
    pub(super) unanswered: u32,
    /// How often the connection broke while exactly these were being sent or their answer was awaited.
    pub(super) broken: u32,
    /// How often exactly these were answered 400.
    pub(super) bad_requests: u32,
    /// How often they failed after their neighbours got through.
    pub(super) strikes: u32,
    /// Whether they were many when they were first suspected: then they get more time, for it may be the server.
    pub(super) crowd: bool,
    /// One document of each index of theirs that got through when these were first suspected.
    pub(super) neighbours: Selection,
    /// The run's count of requests with documents that got through, when these were tried last.
    pub(super) through_before: u64,
}

impl Job {
    pub(super) fn first(documents: Selection) -> Job {
        Job {
            documents,
            sent: 0,
            backoff: Backoff::default(),
            unsure: false,
            blocked: false,
            plain: false,
            unanswered: 0,
            broken: 0,
            bad_requests: 0,
            strikes: 0,
            crowd: false,
            neighbours: Selection::default(),
            through_before: 0,
        }
    }

    /// The same history, of other documents.
    pub(super) fn with(&self, documents: Selection) -> Job {
        let same = documents == self.documents;
        let mut job = Job { documents, ..self.clone() };
        if !same {
            // These count for exactly the same body.
            job.unanswered = 0;
            job.broken = 0;
            job.bad_requests = 0;
        }
        job
    }

    /// Two jobs instead of one.
    pub(super) fn halve<T>(self, batch: &Batch<T>, jobs: &mut Vec<Job>) {
        let (front, back) = batch.halves(&self.documents).expect("a single document is not halved");
        jobs.push(self.with(back));
        jobs.push(self.with(front));
    }
}
