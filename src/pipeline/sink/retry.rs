//! What an answer means. Pure: answers in, decisions out; somebody else sleeps and sends.
//!
//! Two matches hold every rule. [`decide_item`]: what became of one document. [`decide`]: what to do with a whole
//! request. Only documents that OpenSearch refuses for what is in them are given up, and those refusals are listed
//! ([`is_of_the_document`]); whatever is not listed is a state of the cluster, which passes, or which a person must
//! look at. So a mistake in this file costs time, never lines.
//!
//! The answers behind each rule were provoked on real servers; the tests quote them.

use std::time::{Duration, Instant};

use super::answer::{Item, Reading, Unreadable};
use crate::opensearch::{Fault, Refusal};

/// What became of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Created.
    Indexed,
    /// There is a document of this id already.
    Duplicate,
    /// An ingest pipeline dropped it.
    Dropped,
    /// Refused for what is in it.
    Rejected,
    /// It alone is larger than the server takes at once: send less at a time; if it was alone, it is rejected.
    TooLarge,
    /// The server is busy: nothing was written, send it again a little later and with fewer writers.
    Busy,
    /// The server failed at it; it may or may not be written.
    Unsure,
    /// The cluster is in a state in which it cannot be written: wait for that to pass.
    Blocked,
    /// We may not, or cannot ever: stop the run.
    Hopeless,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Look at each item.
    Items,
    /// Send all of it again after a while.
    Again {
        /// Whether its documents may have been written.
        unsure: bool,
        /// Whether the server said that it is busy: then with fewer writers.
        busy: bool,
        /// How long somebody asks us to wait.
        after: Option<Duration>,
    },
    /// Too large at once: send it in halves.
    Halve {
        /// Whether the body's size was the reason: then bodies are kept smaller for a while.
        shrink: bool,
        /// Whether its documents may have been written.
        unsure: bool,
    },
    /// A single document that is too large: rejected.
    RejectTooLarge,
    /// A document of the request breaks all of it (seen twice): halve to the culprit.
    HalveToTheCulprit,
    /// The same, and there is only one left: it is the culprit, if others fare better.
    Culprit,
    /// The server may not have understood the compression: send all of it again as it is.
    Uncompressed,
    /// The cluster is in a state in which it takes nothing: wait for that to pass.
    Pause,
    /// Stop the run; it can be resumed.
    Stop,
}

/// What is known about a request besides its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Documents in the request.
    pub documents: u32,
    /// Bytes of its body, uncompressed.
    pub body_bytes: usize,
    /// How often these documents were sent, this time included.
    pub sent: u32,
    /// How often the connection broke while exactly these documents were being sent, this time included.
    pub resets: u32,
    /// How often the request was answered 400, this time included.
    pub bad_requests: u32,
    /// Whether the body was compressed.
    pub compressed: bool,
    /// Whether this run ever had a bulk answered as a bulk. Before that, the way we were told to go may be wrong.
    pub accepted_before: bool,
    /// Whether this run ever had any answer from the cluster.
    pub reached_before: bool,
}

/// How often a request without a sensible answer is sent before the first that has one.
pub const FIRST_TRIES_MAX: u32 = 3;
/// After how many connections broken while sending the same body it is taken to be too large for somebody.
pub const RESETS_MAX: u32 = 2;
/// After how many 400s for the same body the culprit is looked for.
pub const BAD_REQUESTS_MAX: u32 = 2;

/// What became of one document of a request that was answered 200.
pub fn decide_item(item: &Item<'_>) -> Fate {
    let reason = item.reason.as_ref();
    match (item.status, item.error_type.as_ref()) {
        (201, _) => Fate::Indexed,
        // We send `create` only: nothing was created, and nothing was wrong.
        (200, _) => Fate::Dropped,
        (409, "version_conflict_engine_exception" | "") => Fate::Duplicate,
        // One operation above the limit of indexing pressure: no patience helps.
        (429, "rejected_execution_exception" | "es_rejected_execution_exception") if is_alone_too_large(reason) => {
            Fate::TooLarge
        }
        (429, "rejected_execution_exception" | "es_rejected_execution_exception") => Fate::Busy,
        (403, "security_exception") => Fate::Hopeless,
        // A pattern that gives such names gives them for ever.
        (400, "invalid_index_name_exception") => Fate::Hopeless,
        (_, error_type) if is_of_the_document(item.status, error_type, reason) => Fate::Rejected,
        // No primary shard: the server has waited for it already.
        (503, "unavailable_shards_exception" | "cluster_block_exception" | "no_shard_available_action_exception") => {
            Fate::Blocked
        }
        (500..=599, "circuit_breaking_exception") => Fate::Blocked,
        (500..=599, _) | (0, _) => Fate::Unsure,
        // 429 cluster_block (disk full) and breakers, 403 blocks, 404 no such index, 400 closed index, missing
        // pipeline, shard limit, and whatever else there may be.
        _ => Fate::Blocked,
    }
}

/// Whether a document was refused for what is in it. The list, and where it comes from (OpenSearch's sources, below
/// `server/src/main/java/org/opensearch/`, and real answers).
fn is_of_the_document(status: u16, error_type: &str, reason: &str) -> bool {
    match (status, error_type) {
        // index/mapper/MapperParsingException: a value that does not fit its field, JSON that is none.
        (400, "mapper_parsing_exception") => true,
        // The same in Elasticsearch 8.
        (400, "document_parsing_exception" | "parsing_exception" | "json_parse_exception") => true,
        // index/mapper/StrictDynamicMappingException: a field that the mapping does not know and does not want.
        (400, "strict_dynamic_mapping_exception") => true,
        // A keyword above Lucene's 32,766 bytes.
        (400, "max_bytes_length_exceeded_exception") => true,
        (400, "illegal_argument_exception") => [
            // The same, wrapped: index/engine/InternalEngine.
            "immense term",
            // index/mapper/MapperService: a field more than the mapping may have; a field of another type.
            "Limit of total fields",
            "Limit of mapping depth",
            "cannot be changed from type",
            "can't merge a non",
            "Could not dynamically add mapping",
            // index/mapper/DataStreamFieldMapper.
            "documents must contain a single-valued timestamp field",
            "data stream timestamp field",
            // A processor of an ingest pipeline that misses a field: ingest/IngestDocument.
            "not present as part of path",
            "cannot be cast to",
            "unable to convert",
            "unable to parse date",
            "Provided Grok expressions do not match field value",
        ]
        .iter()
        .any(|words| reason.contains(words)),
        // modules/ingest-common FailProcessor: a pipeline that says no in so many words.
        (_, "fail_processor_exception") => true,
        // Some proxies and forks answer for a single item so.
        (413, _) => true,
        _ => false,
    }
}

/// `rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0,
/// coordinating_operation_bytes=228864, max_…=65536]`: nothing else is going on, and it is still too much.
fn is_alone_too_large(reason: &str) -> bool {
    reason.contains("all_bytes=0,") || reason.contains("all_bytes=0]")
}

/// What to do with a request that got an answer other than 200.
fn decide_refusal(refusal: &Refusal, after: Option<Duration>, attempt: &Attempt) -> Decision {
    let alone = attempt.documents <= 1;
    let error_type = refusal.error_type.as_str();
    match (refusal.status, error_type) {
        // From OpenSearch, or from a proxy with a limit of its own.
        (413, _) if alone => Decision::RejectTooLarge,
        (413, _) => Decision::Halve { shrink: true, unsure: false },
        (429, "rejected_execution_exception" | "es_rejected_execution_exception")
            if is_alone_too_large(&refusal.reason) =>
        {
            if alone {
                Decision::RejectTooLarge
            } else {
                Decision::Halve { shrink: true, unsure: false }
            }
        }
        // The breaker counts a body about twice. If ours alone is above its limit, only halves will pass.
        (429, "circuit_breaking_exception")
            if refusal.reason.contains("[in_flight_requests]")
                && !alone
                && refusal.bytes_limit.is_none_or(|limit| 2 * attempt.body_bytes as u64 >= limit) =>
        {
            Decision::Halve { shrink: true, unsure: false }
        }
        (429, "circuit_breaking_exception") if refusal.reason.contains("[in_flight_requests]") && !alone => {
            Decision::Again { unsure: false, busy: true, after }
        }
        (429, "circuit_breaking_exception" | "cluster_block_exception") => Decision::Pause,
        // A queue that is full, indexing pressure, or a proxy that throttles.
        (429, _) => Decision::Again { unsure: false, busy: true, after },
        // Not recovered, no manager, security not initialized: the cluster's own words, nothing was written.
        (503, _) if refusal.is_opensearch || refusal.reason.starts_with("OpenSearch Security") => Decision::Pause,
        // A proxy's words: what is behind it may have written everything.
        (408 | 500 | 502 | 503 | 504, _) => Decision::Again { unsure: true, busy: false, after },
        // Elasticsearch passes zstd on as if it were text; some proxies know no encoding.
        (400 | 406 | 415, _) if attempt.compressed => Decision::Uncompressed,
        (401 | 405 | 406 | 407 | 411 | 415, _) | (300..=399, _) => Decision::Stop,
        (403, "cluster_block_exception" | "index_create_block_exception") => Decision::Pause,
        (403, _) => Decision::Stop,
        // A path that no server has, a parameter it does not know: no document is at fault.
        (400, _) if is_of_the_request(refusal) => Decision::Stop,
        (400, _) if attempt.bad_requests < BAD_REQUESTS_MAX => Decision::Again { unsure: false, busy: false, after },
        (400, _) if alone => Decision::Culprit,
        (400, _) => Decision::HalveToTheCulprit,
        // What answers is not what we were promised; later it may be a proxy's bad hour.
        (_, _) if !attempt.accepted_before => Decision::Stop,
        (500..=599, _) => Decision::Again { unsure: true, busy: false, after },
        _ => Decision::Pause,
    }
}

fn is_of_the_request(refusal: &Refusal) -> bool {
    refusal.error_type == "content_type_header_exception"
        || ["no handler found for uri", "unrecognized parameter", "request [/", "failed to parse setting [timeout]"]
            .iter()
            .any(|words| refusal.reason.contains(words))
}

/// What to do with a request that got no answer, or no whole one.
fn decide_fault(fault: &Fault, attempt: &Attempt) -> Decision {
    let alone = attempt.documents <= 1;
    match fault {
        // Before anything ever answered, the URL is wrong or nobody is there; later, a node restarts.
        Fault::Refused | Fault::UnknownHost | Fault::Unreachable(_) | Fault::ConnectTimedOut | Fault::Tls(_) => {
            if attempt.reached_before {
                Decision::Pause
            } else {
                Decision::Stop
            }
        }
        // Somebody before the server has a limit, answers early and closes: the answer is lost on the way.
        Fault::ResetWhileSending if attempt.resets >= RESETS_MAX && !alone => {
            Decision::Halve { shrink: true, unsure: false }
        }
        Fault::ResetWhileSending => Decision::Again { unsure: false, busy: false, after: None },
        Fault::AnswerTooLong if !alone => Decision::Halve { shrink: false, unsure: true },
        Fault::TimedOutSending
        | Fault::TimedOutWaiting
        | Fault::ClosedWithoutAnswer
        | Fault::CutAnswer
        | Fault::AnswerTooLong
        | Fault::NotHttp
        | Fault::Other(_) => {
            if !attempt.accepted_before && attempt.sent >= FIRST_TRIES_MAX {
                Decision::Stop
            } else {
                Decision::Again { unsure: fault.may_have_arrived(), busy: false, after: None }
            }
        }
    }
}

/// What came back from a bulk request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// HTTP 200, read.
    Read(Reading),
    /// Another status, and its `Retry-After`.
    Refused(Refusal, Option<Duration>),
    /// No answer.
    Failed(Fault),
}

/// What to do with a request.
pub fn decide(came: &Came, attempt: &Attempt) -> Decision {
    match came {
        Came::Read(Reading::AllCreated | Reading::Items) => Decision::Items,
        Came::Read(Reading::Unreadable(Unreadable::NotBulk | Unreadable::Miscounted)) => {
            if !attempt.accepted_before && attempt.sent >= FIRST_TRIES_MAX {
                Decision::Stop
            } else {
                Decision::Again { unsure: true, busy: false, after: None }
            }
        }
        Came::Refused(refusal, after) => decide_refusal(refusal, *after, attempt),
        Came::Failed(fault) => decide_fault(fault, attempt),
    }
}

/// How long to wait between tries, and how long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The first wait is a random time up to this; each further one up to twice the one before.
    pub wait_first: Duration,
    /// No wait is longer, but for a `Retry-After`.
    pub wait_max: Duration,
    /// Tries of the same documents without any of them getting through.
    pub tries_max: u32,
    /// The same in time; also how long the cluster may refuse before the run stops.
    pub give_up_after: Duration,
    /// How often a single document may fail while its neighbours succeed.
    pub strikes_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wait_first: Duration::from_millis(200),
            wait_max: Duration::from_secs(10),
            tries_max: 50,
            give_up_after: Duration::from_secs(300),
            strikes_max: 6,
        }
    }
}

/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// The tries of one selection of documents since one of them last got through.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    tries: u32,
    since: Instant,
}

impl Backoff {
    /// Before the first try.
    pub fn new(now: Instant) -> Backoff {
        Backoff { tries: 0, since: now }
    }

    /// How long to wait before the next try; `None` when the limits are used up. Full jitter: writers that failed
    /// together do not come back together (Marc Brooker, "Exponential Backoff And Jitter", AWS 2015).
    pub fn next(
        &mut self,
        limits: &Limits,
        now: Instant,
        asked: Option<Duration>,
        random: &mut fastrand::Rng,
    ) -> Option<Duration> {
        self.tries += 1;
        if self.tries >= limits.tries_max || now.duration_since(self.since) >= limits.give_up_after {
            return None;
        }
        let ceiling = limits.wait_first.saturating_mul(1 << (self.tries - 1).min(20)).min(limits.wait_max);
        let jittered = ceiling.mul_f64(random.f64());
        Some(match asked {
            // Not all at the same moment, either.
            Some(asked) => asked.min(RETRY_AFTER_MAX) + jittered.min(limits.wait_first),
            None => jittered,
        })
    }

    /// How often it was tried, and for how long.
    pub fn story(&self, now: Instant) -> (u32, Duration) {
        (self.tries, now.duration_since(self.since))
    }
}
