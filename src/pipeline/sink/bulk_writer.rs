//! Ships batches through the Bulk API until each document has an outcome, or the run ends.
//!
//! A [`BulkWriter`] is one thread's hands. What an answer means is decided in [`retry`](super::retry); this file does
//! what was decided, and counts.
//!
//! A batch becomes [`Job`]s: selections of its documents that go into one request each. At first there is one, of
//! all. An answer ends some documents and leaves the others as a job again; "send again", "halve", "wait" are all
//! jobs over the same bytes. Nobody is asked for memory meanwhile, so nobody can wait for each other.
//!
//! `unsure` is the one bit that keeps the counts honest: documents whose answer was lost may have been written. When
//! they meet themselves as duplicates later, they are `confirmed`, a part of `indexed`; and without ids they may be
//! there twice, which is counted and said.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::answer::{self, Item, Items, Reading};
use super::batch::{Batch, Selection};
use super::breaker::Permit;
use super::destination::{Destination, Notice, count};
use super::retry::{self, Again, Attempt, Backoff, Came, Decision, Fate};
use crate::error::Error;
use crate::opensearch::{BulkHow, Client, Fault, Refusal, Scratch};
use crate::pipeline::report::{DeadLetter, Outcomes, Receipt};
use crate::pipeline::serialize::Block;

/// Sends batches, one at a time. Its buffers are used again.
pub struct BulkWriter<'d> {
    to: &'d Destination<'d>,
    scratch: Scratch,
    answer: Vec<u8>,
    items: Items,
    random: fastrand::Rng,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Delivery<T> {
    /// One for each block of which every document has an outcome, in the batch's order.
    pub receipts: Vec<Receipt>,
    /// All blocks and tickets, for use again.
    pub parts: Vec<(Block, T)>,
    /// Whether documents were left without an outcome because the run is told to end.
    pub stopped: bool,
}

/// Documents that go into one request.
#[derive(Clone, Debug)]
struct Job {
    documents: Selection,
    /// How often they were sent.
    sent: u32,
    /// The tries since one of them got through.
    backoff: Backoff,
    /// Whether they may have been written by an attempt of ours whose answer we do not have.
    unsure: bool,
    /// Whether the cluster refused them for its state: then they are what a probe asks with.
    blocked: bool,
    /// Send them uncompressed.
    plain: bool,
    /// How often the connection broke while exactly these were being sent.
    resets: u32,
    /// How often exactly these were answered 400.
    bad_requests: u32,
    /// How often they failed after their neighbours got through.
    strikes: u32,
    /// Whether they were many when they were first suspected: then they get more time, for it may be the server.
    crowd: bool,
    /// One document of each index of theirs that got through when these were first suspected.
    neighbours: Selection,
    /// The run's count of requests with documents that got through, when these were tried last.
    through_before: u64,
}

/// The outcomes of one batch, as they come.
struct Results {
    /// For each part.
    outcomes: Vec<Outcomes>,
    /// For each part.
    dead_letters: Vec<Vec<DeadLetter>>,
    /// Single documents that break their request, and how often they were sent. What becomes of them hangs on
    /// whether the others fare better.
    culprits: Vec<(u32, Refusal, u32)>,
}

/// How many documents of a small body may be suspected at once. In a large one it is one of a hundred.
const SUSPECTS_OF_SMALL_BODIES_MAX: u32 = 5;

/// What an answer left of a job.
#[derive(Default)]
struct Left {
    /// Documents with an outcome.
    through: Selection,
    /// Of these, those that are in their index.
    written: Selection,
    too_large: Selection,
    busy: Selection,
    unsure: Selection,
    odd: Selection,
    /// Of the odd ones, those that may be at fault themselves.
    suspects: Selection,
    /// Of the unsure ones, likewise.
    suspects_unsure: Selection,
    /// Whether these are many.
    crowd: bool,
    /// One document of each of their indices that got through.
    neighbours: Selection,
    blocked: Selection,
    /// Why: the first that is neither through nor busy.
    cause: Option<String>,
    /// What ends the run.
    hopeless: Option<Error>,
}

/// What to do after a request.
enum Next {
    /// The next job.
    GoOn,
    /// The next job, after a while.
    Wait(Duration),
    /// Nothing more: the run is told to end.
    End,
}

impl<'d> BulkWriter<'d> {
    pub(super) fn new(to: &'d Destination<'d>) -> BulkWriter<'d> {
        BulkWriter {
            to,
            scratch: Scratch::default(),
            answer: Vec::new(),
            items: Items::default(),
            random: fastrand::Rng::new(),
        }
    }

    /// Sends the documents of a batch until each has an outcome, or the run is told to end. An error that ends the
    /// run is raised on the run's [`Stop`](crate::pipeline::stop::Stop).
    ///
    /// Once the run is interrupted, each document is sent once at most, and nothing is waited for; once it has
    /// failed, nothing is sent.
    pub fn deliver<T>(&mut self, batch: Batch<T>) -> Delivery<T> {
        let mut results = Results::new(batch.parts().len());
        let mut jobs = Vec::new();
        if batch.documents() > 0 {
            jobs.push(Job::first(Selection::all(batch.documents())));
        }
        let mut goes_on = self.to.is_ready_for(&batch);
        while goes_on && let Some(job) = self.next_job(&mut jobs) {
            goes_on = match self.send(&batch, job, &mut jobs, &mut results) {
                Next::GoOn => true,
                Next::Wait(wait) => !self.to.stop.wait(wait),
                Next::End => false,
            };
        }
        let stopped = !goes_on || !self.judge(&batch, &mut results);
        results.deliver(batch, stopped)
    }

    /// The job on top. While the cluster refuses, one of those that were refused, wherever it lies: only such a job may
    /// ask whether that has passed, and the others wait for its answer.
    fn next_job(&self, jobs: &mut Vec<Job>) -> Option<Job> {
        if self.to.breaker.is_open()
            && let Some(place) = jobs.iter().rposition(|job| job.blocked)
        {
            return Some(jobs.remove(place));
        }
        jobs.pop()
    }

    /// Sends one job, notes what became of its documents, and puts what is left of it back onto `jobs`.
    fn send<T>(&mut self, batch: &Batch<T>, job: Job, jobs: &mut Vec<Job>, results: &mut Results) -> Next {
        let to = self.to;
        let mut job = self.cut_to_size(batch, job, jobs);
        let count_of_documents = job.documents.documents();
        if to.stop.is_raised() && (job.sent > 0 || to.stop.gives_up()) {
            return Next::End;
        }
        if !to.pace.wait_for_documents(count_of_documents, to.stop) {
            return Next::End;
        }
        let pauses = to.breaker.is_open();
        let probes = match to.breaker.permit(job.blocked, to.stop) {
            Permit::Send => {
                if pauses {
                    job.backoff.forget_time();
                }
                false
            }
            Permit::Probe => true,
            Permit::Stopped => return Next::End,
            Permit::GivenUp { cause, refused_for, probes } => {
                to.fail(given_up(&cause, refused_for, probes));
                return Next::End;
            }
        };
        let Some(turn) = to.pace.enter(to.stop) else { return Next::End };
        // The cluster may have been found closed while we waited for our turn.
        if !probes && to.breaker.is_open() {
            jobs.push(job);
            return Next::GoOn;
        }
        let body_bytes = batch.body(&job.documents).bytes();
        let (came, host) = self.request(batch, &mut job);
        let attempt = Attempt {
            documents: count_of_documents,
            body_bytes,
            sent: job.sent,
            resets: job.resets,
            bad_requests: job.bad_requests,
            compressed: to.client.compresses(host) && !self.is_plain(&job),
            accepted_before: to.stats.accepted.load(Ordering::Relaxed) > 0,
            reached_before: to.client.reached(),
        };
        let decision = retry::decide(&came, &attempt);
        if probes && !matches!(decision, Decision::Items | Decision::Pause | Decision::Again { .. }) {
            // Whatever it wants now, it is not what it refused us for.
            to.passed();
        }
        match decision {
            Decision::Items => {
                count(&to.stats.accepted, 1);
                self.learn_from(&job);
                if came == Came::Read(Reading::AllCreated) {
                    count(&to.stats.through, 1);
                    to.stats.vain.store(0, Ordering::Relaxed);
                    results.all_indexed(batch, &job.documents);
                    to.wrote(batch, &job.documents);
                    to.pace.went_well(body_bytes, &turn);
                    if probes {
                        to.passed();
                    }
                    return Next::GoOn;
                }
                let left = self.sort(batch, &job, results).judged(batch, &job);
                to.wrote(batch, &left.written);
                if probes && left.blocked.is_empty() {
                    // Busy is no answer to whether it still refuses.
                    match left.through.is_empty() && !left.busy.is_empty() {
                        true => to.breaker.busy(),
                        false => to.passed(),
                    }
                }
                if left.busy.is_empty() {
                    to.pace.went_well(body_bytes, &turn);
                } else {
                    count(&to.stats.busy, 1);
                    to.pace.was_busy();
                }
                self.after_items(batch, job, left, jobs, host)
            }
            Decision::Again { unsure, busy, after } => {
                if busy {
                    if probes {
                        to.breaker.busy();
                    }
                    count(&to.stats.busy, 1);
                    to.pace.was_busy();
                }
                count(&to.stats.vain, u64::from(!busy && job.strikes == 0));
                job.unsure |= unsure;
                let story = |client: &Client| told(&came, client, host);
                self.again(job, after, batch, jobs, story)
            }
            Decision::Halve { shrink, unsure } => {
                count(&to.stats.too_large, 1);
                if shrink {
                    to.pace.too_large(body_bytes);
                }
                job.unsure |= unsure;
                job.halve(batch, jobs);
                Next::GoOn
            }
            Decision::HalveToTheCulprit => {
                job.halve(batch, jobs);
                Next::GoOn
            }
            Decision::RejectTooLarge | Decision::Culprit => {
                let Came::Refused(refusal, _) = came else { unreachable!("only a refusal names a culprit") };
                let n = job.documents.iter().next().expect("a job has documents");
                if decision == Decision::Culprit {
                    results.culprits.push((n, refusal, job.sent));
                } else {
                    count(&to.stats.too_large, 1);
                    results.reject(batch, n, refusal.status, "too_large", &refusal.words(), job.sent);
                }
                Next::GoOn
            }
            Decision::Uncompressed => {
                job.plain = true;
                jobs.push(job);
                Next::GoOn
            }
            Decision::Pause => {
                to.blocked(&told(&came, to.client, host));
                job.blocked = true;
                // Whoever said so may stand before what wrote them. Without ids they would be called doubtful, and are
                // not: the words are the cluster's.
                job.unsure |= to.with_ids && matches!(&came, Came::Refused(refusal, _) if refusal.status == 503);
                // The breaker has a clock of its own.
                job.backoff.forget_time();
                jobs.push(job);
                Next::GoOn
            }
            Decision::Stop => {
                let index = job.documents.iter().next().map_or("", |n| batch.index_of(n));
                to.fail(self.stopping(came, index, host, attempt.accepted_before));
                Next::End
            }
        }
    }

    /// Takes as much of a job as may be sent at once now; the rest goes back onto `jobs`.
    fn cut_to_size<T>(&self, batch: &Batch<T>, mut job: Job, jobs: &mut Vec<Job>) -> Job {
        let (bytes_max, documents_max) = (self.to.pace.body_bytes(), self.to.pace.documents_max());
        let documents = job.documents.documents();
        if documents > 1 && (documents > documents_max || batch.body(&job.documents).bytes() > bytes_max) {
            let mut pieces = batch.pieces(&job.documents, bytes_max, documents_max).into_iter();
            let front = pieces.next().expect("a job has documents");
            jobs.extend(pieces.rev().map(|piece| job.with(piece)));
            job = job.with(front);
        }
        job
    }

    /// One request: what came, and from which host.
    fn request<T>(&mut self, batch: &Batch<T>, job: &mut Job) -> (Came, usize) {
        let to = self.to;
        let body = batch.body(&job.documents);
        let documents = job.documents.documents();
        count(&to.stats.requests, 1);
        count(&to.stats.retries, u64::from(job.sent > 0));
        count(&to.stats.documents_resent, if job.sent > 0 { documents.into() } else { 0 });
        if job.unsure && !to.with_ids && count(&to.stats.uncertain, documents.into()) == 0 {
            (to.notify)(Notice::MayDouble);
        }
        job.sent += 1;
        // After a connection that broke under our hands: ask first, and hear why.
        let how = BulkHow { expect_continue: job.resets > 0, plain: self.is_plain(job) };
        let came = to.client.bulk(&to.path, &body, how, &mut self.scratch, &mut self.answer, to.answer_bytes_max());
        count(&to.stats.bytes_sent, self.scratch.travelled() as u64);
        match came {
            Ok(head) if head.status == 200 => {
                let reading = answer::read(&self.answer, documents, &mut self.items);
                count(&to.stats.lost, u64::from(matches!(reading, Reading::Unreadable(_))));
                (Came::Read(reading), head.host)
            }
            Ok(head) => {
                let refusal = Refusal::read(&head, &self.answer);
                count(&to.stats.failed, u64::from(refusal.status >= 500));
                let compressed = to.client.compresses(head.host) && !self.is_plain(job);
                if refusal.status == 400 && !compressed {
                    job.bad_requests += 1;
                    count(&to.stats.bad_requests, 1);
                }
                (Came::Refused(refusal, head.retry_after), head.host)
            }
            Err(failure) => {
                count(&to.stats.lost, 1);
                job.resets += u32::from(failure.fault == Fault::ResetWhileSending);
                (Came::Failed(failure.fault), failure.host)
            }
        }
    }

    fn is_plain(&self, job: &Job) -> bool {
        job.plain || self.to.plain.load(Ordering::Relaxed)
    }

    /// A body that was refused compressed and taken as it is: then so are all others.
    fn learn_from(&self, job: &Job) {
        if job.plain && job.bad_requests == 0 && !self.to.plain.swap(true, Ordering::Relaxed) {
            (self.to.notify)(Notice::Uncompressed);
        }
    }

    /// Looks at each item of an answer.
    fn sort<T>(&mut self, batch: &Batch<T>, job: &Job, results: &mut Results) -> Left {
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
    fn after_items<T>(&mut self, batch: &Batch<T>, job: Job, left: Left, jobs: &mut Vec<Job>, host: usize) -> Next {
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

    /// Puts a job back for after a while; if its tries are used up, ends the run.
    fn again<T>(
        &mut self,
        mut job: Job,
        asked: Option<Duration>,
        batch: &Batch<T>,
        jobs: &mut Vec<Job>,
        last: impl FnOnce(&Client) -> String,
    ) -> Next {
        let now = Instant::now();
        let through = self.to.stats.through.load(Ordering::Relaxed);
        let others_got_through = through > job.through_before;
        job.through_before = through;
        match job.backoff.next(&self.to.limits, Again { now, asked, others_got_through }, &mut self.random) {
            Some(wait) => {
                jobs.push(job);
                Next::Wait(wait)
            }
            None => {
                let (tries, time) = job.backoff.story(now);
                let index = job.documents.iter().next().map_or("", |n| batch.index_of(n));
                self.to.fail(
                    Error::stopped(format!(
                        "{} documents for index {index:?} did not get through, tried {tries} times in {:.0} s; at last {}",
                        job.documents.documents(),
                        time.as_secs_f64(),
                        last(self.to.client)
                    ))
                    .hint(RESUME),
                );
                Next::End
            }
        }
    }

    /// What becomes of documents that alone are answered 400. They are at fault only if others were taken: else it
    /// is the request. Returns false if that ends the run.
    fn judge<T>(&self, batch: &Batch<T>, results: &mut Results) -> bool {
        let others_were_taken = results.outcomes.iter().any(|outcomes| outcomes.documents() > 0)
            || batch.documents() == 1 && self.to.stats.accepted.load(Ordering::Relaxed) > 0;
        if !others_were_taken && let Some((n, refusal, _)) = results.culprits.first() {
            let doing = format!("write to index {:?}", batch.index_of(*n));
            let error = refusal.error(&doing, self.to.client.address(0), self.to.client.who());
            self.to.fail(stopped_if(self.to.stats.accepted.load(Ordering::Relaxed) > 0, error));
            return false;
        }
        for (n, refusal, sent) in std::mem::take(&mut results.culprits) {
            let error_type = if refusal.error_type.is_empty() { "bad_request" } else { &refusal.error_type };
            results.reject(batch, n, refusal.status, error_type, &refusal.reason, sent);
        }
        true
    }

    /// The sentence for a request that ends the run.
    fn stopping(&self, came: Came, index: &str, host: usize, accepted_before: bool) -> Error {
        let client = self.to.client;
        let doing = format!("write to index {index:?}");
        let address = client.address(host);
        let error = match came {
            Came::Refused(refusal, _) => refusal.error(&doing, address, client.who()),
            Came::Failed(fault) => fault.error(&doing, address),
            Came::Read(_) => Error::failed(format!("cannot {doing} at {address}: its answers are not OpenSearch's"))
                .hint("is this the URL of an OpenSearch server, or of something before it?"),
        };
        stopped_if(accepted_before, error)
    }
}

/// The sentence for an item that ends the run.
#[cold]
fn hopeless(to: &Destination<'_>, item: &Item<'_>, index: &str) -> Error {
    let who = to.client.who().unwrap_or("an anonymous user");
    let reason = crate::opensearch::refusal::shown(&item.reason);
    let (what, hint) = match item.status {
        403 => (
            format!("{who} may not write to index {index:?}: {reason}"),
            "give the user the right that the server names, for this index",
        ),
        _ => (format!("documents cannot be written to index {index:?}: {reason}"), OTHER_INDEX),
    };
    Error::failed(what).hint(hint)
}

/// What to do where an index cannot ever be.
pub(crate) const OTHER_INDEX: &str = "choose another --index";

/// What to do after an error that ended the run early.
pub(crate) const RESUME: &str = "what was written stays; load again with --resume to go on";

/// An error before anything was written is a failure; later it ends a run that can be resumed.
fn stopped_if(something_was_written: bool, error: Error) -> Error {
    match something_was_written {
        false => error,
        true => {
            let hint = match &error.hint {
                Some(hint) => format!("{hint}; {RESUME}"),
                None => RESUME.to_owned(),
            };
            Error::stopped(error.message).hint(hint)
        }
    }
}

fn given_up(cause: &str, refused_for: Duration, probes: u64) -> Error {
    Error::stopped(format!(
        "the cluster has refused for {:.0} s, asked {probes} times; at last {cause}",
        refused_for.as_secs_f64()
    ))
    .hint(RESUME)
}

/// What came, in words, for a pause or an error.
fn told(came: &Came, client: &Client, host: usize) -> String {
    let address = client.address(host);
    match came {
        Came::Refused(refusal, _) => format!("{address} said: {}", refusal.words()),
        Came::Failed(fault) => format!("{address}: {fault}"),
        Came::Read(_) => format!("{address}: the answer is not the one to this request"),
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

impl Next {
    /// Both: the end if one is, else the longer wait.
    fn and(self, other: Next) -> Next {
        match (self, other) {
            (Next::End, _) | (_, Next::End) => Next::End,
            (Next::Wait(one), Next::Wait(other)) => Next::Wait(one.max(other)),
            (Next::Wait(wait), Next::GoOn) | (Next::GoOn, Next::Wait(wait)) => Next::Wait(wait),
            (Next::GoOn, Next::GoOn) => Next::GoOn,
        }
    }
}

impl Left {
    /// Tells documents that may be at fault themselves from those that suffer with all others. Suspects are few, and
    /// others of the same index got through in the same answer; once suspected, they are sent apart and stay so.
    fn judged<T>(mut self, batch: &Batch<T>, job: &Job) -> Left {
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
            let reason = crate::opensearch::refusal::shown(&item.reason);
            self.cause = Some(format!("index {index:?}: HTTP {} {}: {reason}", item.status, item.error_type));
        }
    }
}

impl Job {
    fn first(documents: Selection) -> Job {
        Job {
            documents,
            sent: 0,
            backoff: Backoff::default(),
            unsure: false,
            blocked: false,
            plain: false,
            resets: 0,
            bad_requests: 0,
            strikes: 0,
            crowd: false,
            neighbours: Selection::default(),
            through_before: 0,
        }
    }

    /// The same history, of other documents.
    fn with(&self, documents: Selection) -> Job {
        let same = documents == self.documents;
        let mut job = Job { documents, ..self.clone() };
        if !same {
            // These count for exactly the same body.
            job.resets = 0;
            job.bad_requests = 0;
        }
        job
    }

    /// Two jobs instead of one.
    fn halve<T>(self, batch: &Batch<T>, jobs: &mut Vec<Job>) {
        let (front, back) = batch.halves(&self.documents).expect("a single document is not halved");
        jobs.push(self.with(back));
        jobs.push(self.with(front));
    }
}

impl Results {
    fn new(parts: usize) -> Results {
        Results {
            outcomes: vec![Outcomes::default(); parts],
            dead_letters: std::iter::repeat_with(Vec::new).take(parts).collect(),
            culprits: Vec::new(),
        }
    }

    fn of<T>(&mut self, batch: &Batch<T>, n: u32) -> &mut Outcomes {
        &mut self.outcomes[batch.locate(n).0]
    }

    fn all_indexed<T>(&mut self, batch: &Batch<T>, documents: &Selection) {
        batch.for_each_stretch(documents, |part, documents| self.outcomes[part].indexed += documents.len() as u64);
    }

    fn reject<T>(&mut self, batch: &Batch<T>, n: u32, status: u16, error_type: &str, reason: &str, sent: u32) {
        let (part, _) = batch.locate(n);
        self.outcomes[part].rejected += 1;
        self.dead_letters[part].push(batch.dead_letter(n, status, error_type, reason, sent));
    }

    /// Receipts for the blocks that are done; blocks and tickets back.
    fn deliver<T>(self, batch: Batch<T>, stopped: bool) -> Delivery<T> {
        let mut delivery = Delivery { receipts: Vec::new(), parts: Vec::new(), stopped };
        let results = self.outcomes.into_iter().zip(self.dead_letters);
        for (mut part, (outcomes, mut dead_letters)) in batch.into_parts().into_iter().zip(results) {
            let documents = part.block.documents.len() as u64;
            assert!(outcomes.documents() <= documents, "a document has two outcomes");
            if outcomes.documents() == documents {
                dead_letters.sort_by_key(|letter| letter.offset);
                delivery.receipts.push(part.receipt(outcomes, dead_letters));
            } else {
                assert!(stopped, "a document was left without an outcome");
            }
            delivery.parts.push((part.block, part.ticket));
        }
        delivery
    }
}
