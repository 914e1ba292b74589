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

mod job; // documents that go into one request
mod items; // what an answer says of each of them, and what is left to be sent again
mod results; // their outcomes, added up
mod sentences; // what is said when they do not get through

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use job::Job;
pub use results::Delivery;
use results::Results;
pub(crate) use sentences::{OTHER_INDEX, RESUME};
use sentences::{given_up, stopped_if, told};

use super::answer::{self, Items, Reading};
use super::batch::{Batch, Selection};
use super::breaker::Permit;
use super::destination::{Destination, Notice, count};
use super::retry::{self, Again, Attempt, Came, Decision};
use crate::error::Error;
use crate::opensearch::{BulkHow, Client, Fault, Refusal, Scratch};

/// Sends batches, one at a time. Its buffers are used again.
pub struct BulkWriter<'d> {
    to: &'d Destination<'d>,
    scratch: Scratch,
    answer: Vec<u8>,
    items: Items,
    random: fastrand::Rng,
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
            unanswered: job.unanswered,
            broken: job.broken,
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
                    to.pace.was_busy(&turn);
                }
                self.after_items(batch, job, left, jobs, host)
            }
            Decision::Again { unsure, busy, after } => {
                if busy {
                    if probes {
                        to.breaker.busy();
                    }
                    count(&to.stats.busy, 1);
                    to.pace.was_busy(&turn);
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
        let how = BulkHow { expect_continue: job.broken > 0, plain: self.is_plain(job) };
        let came = to.client.bulk(&to.path, &body, how, &mut self.scratch, &mut self.answer, to.answer_bytes_max());
        count(&to.stats.bytes_sent, self.scratch.travelled() as u64);
        match came {
            Ok(head) if head.status == 200 => {
                let reading = answer::read(&self.answer, documents, &mut self.items);
                let lost = matches!(reading, Reading::Unreadable(_));
                count(&to.stats.lost, u64::from(lost));
                job.unanswered = if lost { job.unanswered + 1 } else { 0 };
                (Came::Read(reading), head.host)
            }
            Ok(head) => {
                job.unanswered = 0;
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
                job.unanswered += 1;
                let broke = matches!(failure.fault, Fault::ResetWhileSending | Fault::ClosedWithoutAnswer);
                job.broken += u32::from(broke);
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
