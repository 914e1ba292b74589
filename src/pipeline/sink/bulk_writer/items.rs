//! An answer that speaks of each document: what became of it, and what is left to be sent again.
//!
//! Documents that fail where their neighbours get through are *suspects*: they are sent apart, over a while, and beside
//! them a neighbour that must get through again, so that a document is given up for what is in it and never for a bad
//! moment of the server.

use std::sync::atomic::Ordering;

use super::job::Job;
use super::results::Results;
use super::sentences::{hopeless, stopped_if};
use super::{BulkWriter, Next};
use crate::error::Error;
use crate::opensearch::{Client, refusal};
use crate::pipeline::sink::answer::{Item, Reading};
use crate::pipeline::sink::batch::{Batch, Selection};
use crate::pipeline::sink::destination::count;
use crate::pipeline::sink::retry::{self, Backoff, Came, Fate};

/// How many documents of a small body may be suspected at once. In a large one it is one of a hundred.
const SUSPECTS_OF_SMALL_BODIES_MAX: u32 = 5;

/// What an answer left of a job.
#[derive(Default)]
pub(super) struct Left {
    /// Documents with an outcome.
    pub(super) through: Selection,
    /// Of these, those that are in their index.
    pub(super) written: Selection,
    pub(super) too_large: Selection,
    pub(super) busy: Selection,
    pub(super) unsure: Selection,
    pub(super) odd: Selection,
    /// Of the odd ones, those that may be at fault themselves.
    pub(super) suspects: Selection,
    /// Of the unsure ones, likewise.
    pub(super) suspects_unsure: Selection,
    /// Whether these are many.
    pub(super) crowd: bool,
    /// One document of each of their indices that got through.
    pub(super) neighbours: Selection,
    pub(super) blocked: Selection,
    /// Why: the first that is neither through nor busy.
    pub(super) cause: Option<String>,
    /// What ends the run.
    pub(super) hopeless: Option<Error>,
}

impl BulkWriter<'_> {
    /// Looks at each item of an answer.
    pub(super) fn sort<T>(&mut self, batch: &Batch<T>, job: &Job, results: &mut Results) -> Left {
        let (to, items, answer) = (self.to, &self.items, &mut self.answer);
        let mut left = Left::default();
        for (place, n) in job.documents.iter().enumerate() {
            let item = items.item(answer, place);
            let mut fate = retry::decide_item(&item);
            if fate == Fate::Unsure && job.strikes >= to.limits.strikes_max
                || fate == Fate::Odd && job.strikes >= to.limits.odd_strikes_max
                || fate == Fate::TooLarge && job.documents.documents() == 1
            {
                fate = Fate::Rejected;
            }
            match fate {
                Fate::Indexed => results.of(batch, n).indexed += 1,
                // Ours is the only hand that writes this id: what we may have written, we have.
                Fate::Duplicate if to.confirms && (job.unsure || batch.may_be_sent_before(n)) => {
                    let outcomes = results.of(batch, n);
                    outcomes.indexed += 1;
                    outcomes.confirmed += 1;
                }
                Fate::Duplicate => results.of(batch, n).duplicate += 1,
                Fate::Dropped => {
                    let reason = "an ingest pipeline dropped the document";
                    results.reject(batch, n, item.status, "dropped_by_pipeline", reason, job.sent);
                }
                Fate::Rejected => {
                    let error_type = if item.error_type.is_empty() { "unknown" } else { &item.error_type };
                    let error_type = if fate_is_too_large(&item) { "too_large" } else { error_type };
                    results.reject(batch, n, item.status, error_type, &reason_of(&item), job.sent);
                }
                Fate::TooLarge => left.too_large.push(n),
                Fate::Busy => left.busy.push(n),
                Fate::Unsure => {
                    left.unsure.push(n);
                    left.because(&item, batch.index_of(n));
                }
                Fate::Odd => {
                    left.odd.push(n);
                    left.because(&item, batch.index_of(n));
                }
                Fate::Blocked => {
                    left.blocked.push(n);
                    left.because(&item, batch.index_of(n));
                }
                Fate::Hopeless => {
                    if left.hopeless.is_none() {
                        left.hopeless = Some(hopeless(to, &item, batch.index_of(n)));
                    }
                }
            }
            if matches!(fate, Fate::Indexed | Fate::Duplicate | Fate::Dropped | Fate::Rejected) {
                left.through.push(n);
                if matches!(fate, Fate::Indexed | Fate::Duplicate) {
                    left.written.push(n);
                }
            }
        }
        left
    }

    /// Puts the documents that an answer left without an outcome back as jobs.
    pub(super) fn after_items<T>(
        &mut self,
        batch: &Batch<T>,
        job: Job,
        left: Left,
        jobs: &mut Vec<Job>,
        host: usize,
    ) -> Next {
        let to = self.to;
        if let Some(error) = left.hopeless {
            // This answer itself is counted as accepted already.
            let written_before = to.stats.accepted.load(Ordering::Relaxed) > 1;
            to.fail(stopped_if(written_before || !left.through.is_empty(), error));
            return Next::End;
        }
        let words = left.cause.unwrap_or_default();
        let said = |client: &Client| format!("{} said: {words}", client.address(host));
        let is_busy = |client: &Client| format!("{} is busy (HTTP 429)", client.address(host));
        count(&to.stats.failed, u64::from(!left.unsure.is_empty() || !left.suspects_unsure.is_empty()));
        let progress = !left.through.is_empty();
        // What got through of these is said by `progress`; the count is about others.
        let through_before = count(&to.stats.through, u64::from(progress)) + u64::from(progress);
        let rest = |documents: Selection| {
            let mut rest = job.with(documents);
            rest.blocked = false;
            if progress {
                rest.backoff = Backoff::default();
                rest.through_before = through_before;
            }
            rest
        };
        if !left.blocked.is_empty() {
            to.blocked(&words);
            jobs.push(Job { blocked: true, ..rest(left.blocked) });
        }
        if !left.too_large.is_empty() {
            count(&to.stats.too_large, 1);
            let too_large = rest(left.too_large);
            match too_large.documents.documents() {
                1 => jobs.push(too_large),
                _ => too_large.halve(batch, jobs),
            }
        }
        if progress {
            to.stats.vain.store(0, Ordering::Relaxed);
        } else if job.strikes == 0 && !left.unsure.is_empty() {
            count(&to.stats.vain, 1);
        }
        let suspected = !left.suspects.is_empty() || !left.suspects_unsure.is_empty();
        let server_works = suspected && (job.strikes == 0 || self.neighbours_get_through(batch, &job));
        let strike = job.strikes + u32::from(server_works);
        let mut next = Next::GoOn;
        for (documents, strikes, unsure, crowd) in [
            (left.unsure, 0, true, false),
            (left.suspects_unsure, strike, true, left.crowd),
            (left.suspects, strike, job.unsure, job.crowd),
        ] {
            if !documents.is_empty() {
                let neighbours = left.neighbours.clone();
                let job = Job { unsure, strikes, crowd, neighbours, ..rest(documents) };
                let mut again = self.again(job, None, batch, jobs, said);
                // A suspect gets its tries over a while, so that a hiccup of the server is over by the last one.
                if strikes > 0 && server_works && matches!(again, Next::Wait(_)) {
                    again = Next::Wait(to.limits.strikes_apart(crowd));
                }
                next = next.and(again);
            }
        }
        if !left.busy.is_empty() {
            let busy = Job { blocked: job.blocked && !progress, ..rest(left.busy) };
            next = next.and(self.again(busy, None, batch, jobs, is_busy));
        }
        next
    }

    /// Whether what is suspected still fails for what is in it: its neighbours of the same indices, which got through
    /// before, are sent once more, and do so again. They come back as duplicates and are not counted. Success elsewhere
    /// would say nothing: one index may fail while others work.
    ///
    /// Without ids a neighbour would be there twice. Then the run's other requests tell: while some fail in which nothing
    /// is suspected, and none gets through, it is the server.
    fn neighbours_get_through<T>(&mut self, batch: &Batch<T>, job: &Job) -> bool {
        let to = self.to;
        // A replay may hold letters without ids among others.
        let has_id = |n| {
            let action = batch.document(n).split(|byte| *byte == b'\n').next().unwrap_or_default();
            memchr::memmem::find(action, b"\"_id\":").is_some()
        };
        if !to.with_ids || !job.neighbours.iter().all(has_id) {
            return to.stats.through.load(Ordering::Relaxed) > job.through_before
                || to.stats.vain.load(Ordering::Relaxed) == 0;
        }
        if to.stop.is_raised() {
            return false;
        }
        let mut asking = Job { plain: job.plain, ..Job::first(job.neighbours.clone()) };
        match self.request(batch, &mut asking).0 {
            Came::Read(Reading::AllCreated) => true,
            Came::Read(Reading::Items) => (0..asking.documents.documents() as usize).all(|place| {
                let fate = retry::decide_item(&self.items.item(&mut self.answer, place));
                matches!(fate, Fate::Indexed | Fate::Duplicate)
            }),
            _ => false,
        }
    }
}

impl Left {
    /// Tells documents that may be at fault themselves from those that suffer with all others. Suspects are few, and
    /// others of the same index got through in the same answer; once suspected, they are sent apart and stay so.
    pub(super) fn judged<T>(mut self, batch: &Batch<T>, job: &Job) -> Left {
        if self.odd.is_empty() && self.unsure.is_empty() {
            return self;
        }
        // One of each index that is in it now. What a pipeline dropped or the mapping refused proves nothing of the index.
        let mut taken: Vec<(&str, u32)> = Vec::new();
        for n in self.written.iter() {
            let index = batch.index_of(n);
            if taken.iter().all(|(known, _)| *known != index) {
                taken.push((index, n));
            }
        }
        let is_suspect = |n: u32| job.strikes > 0 || taken.iter().any(|(index, _)| *index == batch.index_of(n));
        let documents = job.documents.documents();
        // A server that fails at more than one in a hundred may have a trouble of its own; of small bodies, at more than
        // a few. Then what it failed at gets more time, and what it refused in words of no list is a state.
        let few_max = (documents / 100).max((documents / 5).clamp(1, SUSPECTS_OF_SMALL_BODIES_MAX));
        self.crowd = job.crowd || self.unsure.documents() > few_max && job.strikes == 0;
        for n in std::mem::take(&mut self.unsure).iter() {
            if is_suspect(n) { self.suspects_unsure.push(n) } else { self.unsure.push(n) }
        }
        let few = self.odd.documents() <= few_max || job.strikes > 0;
        let mut blocked: Vec<u32> = self.blocked.iter().collect();
        for n in std::mem::take(&mut self.odd).iter() {
            if few && is_suspect(n) { self.suspects.push(n) } else { blocked.push(n) }
        }
        self.neighbours = job.neighbours.clone();
        if job.strikes == 0 {
            let suspected =
                |index| self.suspects.iter().chain(self.suspects_unsure.iter()).any(|n| batch.index_of(n) == index);
            let neighbours: Vec<u32> = taken.iter().filter(|(index, _)| suspected(*index)).map(|(_, n)| *n).collect();
            neighbours.into_iter().for_each(|n| self.neighbours.push(n));
        }
        blocked.sort_unstable();
        self.blocked = Selection::default();
        blocked.into_iter().for_each(|n| self.blocked.push(n));
        self
    }

    fn because(&mut self, item: &Item<'_>, index: &str) {
        if self.cause.is_none() {
            let reason = refusal::shown(&item.reason);
            self.cause = Some(format!("index {index:?}: HTTP {} {}: {reason}", item.status, item.error_type));
        }
    }
}

fn fate_is_too_large(item: &Item<'_>) -> bool {
    retry::decide_item(item) == Fate::TooLarge || item.status == 413
}

fn reason_of(item: &Item<'_>) -> String {
    match item.caused_by.as_ref() {
        "" => item.reason.clone().into_owned(),
        cause => format!("{}; caused by {cause}", item.reason),
    }
}
