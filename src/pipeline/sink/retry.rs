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
    /// Refused for a reason that is in no list: the document's, if its neighbours in the index get through again
    /// and again; else a state of the cluster.
    Odd,
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
        // A new field waits for the cluster manager, whatever becomes of documents that bring none.
        (
            500..=599,
            "process_cluster_event_timeout_exception"
            | "master_not_discovered_exception"
            | "cluster_manager_not_discovered_exception"
            | "not_master_exception"
            | "not_cluster_manager_exception",
        ) => Fate::Blocked,
        (500..=599, "circuit_breaking_exception") => Fate::Blocked,
        (400 | 500, _) if reason.contains("pipeline with id") || reason.contains("non-existent pipeline") => {
            Fate::Blocked
        }
        (500..=599, _) | (0, _) => Fate::Unsure,
        // `validation_exception`: no more shards allowed.
        (400, "index_closed_exception" | "validation_exception" | "cluster_block_exception") => Fate::Blocked,
        (400, _) => Fate::Odd,
        // 429 cluster_block (disk full) and breakers, 403 blocks, 404 no such index, and whatever else there may be.
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
            // A processor of an ingest pipeline that cannot read a field: ingest/IngestDocument and the processors
            // of modules/ingest-common and ingest-geoip.
            "not present as part of path",
            "doesn't exist",
            "cannot be cast to",
            "unable to convert",
            "unable to parse date",
            "Provided Grok expressions do not match field value",
            "does not contain value_split",
            "is not an IP string literal",
            "JsonParseException",
        ]
        .iter()
        .any(|words| reason.contains(words)),
        // A script of an ingest pipeline that stumbles over this document (one that does not compile is never kept).
        (400, "script_exception") => reason.contains("runtime error"),
        // modules/ingest-common FailProcessor, a pipeline that says no in so many words; and dissect.
        (_, "fail_processor_exception" | "find_match") => true,
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
        // Not recovered, no manager, security not initialized: the cluster's own words. Others say 503 in JSON too, but
        // do not have its types of errors.
        (503, _) if error_type.ends_with("_exception") || refusal.reason.starts_with("OpenSearch Security") => {
            Decision::Pause
        }
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
    /// How often a document may fail while its neighbours succeed.
    pub strikes_max: u32,
    /// The same where the server blames the request, in words of no list.
    pub odd_strikes_max: u32,
    /// How long after such a failure the document is sent again.
    pub strikes_apart: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wait_first: Duration::from_millis(200),
            wait_max: Duration::from_secs(10),
            tries_max: 50,
            give_up_after: Duration::from_secs(300),
            strikes_max: 6,
            odd_strikes_max: 6,
            strikes_apart: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Limits that go on for so long.
    pub fn patient(give_up_after: Duration) -> Limits {
        let default = Limits::default();
        // Whoever asks for more patience should not run out of tries first.
        let tries = u32::try_from(give_up_after.as_secs() / 2).unwrap_or(u32::MAX);
        Limits { give_up_after, tries_max: default.tries_max.max(tries), ..default }
    }

    /// The time between two strikes, longer for many at once (`crowd`); less where the run would give up before the last
    /// one.
    pub fn strikes_apart(&self, crowd: bool) -> Duration {
        let apart = if crowd { self.strikes_apart * CROWD_TIMES } else { self.strikes_apart };
        apart.min(self.give_up_after / (2 * self.strikes_max.max(self.odd_strikes_max).max(1)))
    }
}

/// How much longer many documents of one body are suspected than a few: one minute instead of twelve seconds. That some
/// documents of a body fail and their neighbours do not may also be a shard's bad moment. A shard that fails for longer
/// than that cannot be told from documents at fault: `--max-rejected` ends the run before it gives up many.
const CROWD_TIMES: u32 = 5;

/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// The tries of one selection of documents since one of them last got through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    /// All tries.
    tries: u32,
    /// Tries in a row during which nobody else got through either.
    in_vain: u32,
    /// The first failure. Not the first try: before that one, others may have had to go first.
    since: Option<Instant>,
}

/// What is known when a request has to be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Now.
    pub now: Instant,
    /// How long somebody asked us to wait.
    pub asked: Option<Duration>,
    /// Whether other documents of the run got through since these were tried last. Then the cluster works, and these
    /// were in each other's way: they need not wait long, for the pace has made room already.
    pub others_got_through: bool,
}

impl Backoff {
    /// How long to wait before the next try; `None` when the limits are used up. Full jitter: writers that failed
    /// together do not come back together (Marc Brooker, "Exponential Backoff And Jitter", AWS 2015).
    pub fn next(&mut self, limits: &Limits, again: Again, random: &mut fastrand::Rng) -> Option<Duration> {
        self.tries += 1;
        self.in_vain = if again.others_got_through { 1 } else { self.in_vain + 1 };
        let failed_for = again.now.duration_since(*self.since.get_or_insert(again.now));
        if self.in_vain >= limits.tries_max || failed_for >= limits.give_up_after {
            return None;
        }
        let ceiling = limits.wait_first.saturating_mul(1 << (self.in_vain - 1).min(20)).min(limits.wait_max);
        let jittered = ceiling.mul_f64(random.f64());
        let wait = match again.asked {
            // Not all at the same moment, either.
            Some(asked) => asked.min(RETRY_AFTER_MAX) + jittered.min(limits.wait_first),
            None => jittered,
        };
        // Whatever somebody asks, one last try when the time is over.
        Some(wait.min(limits.give_up_after - failed_for))
    }

    /// Time in which nothing was tried does not count: the run paused.
    pub fn forget_time(&mut self) {
        self.since = None;
    }

    /// How often it was tried, and how long ago that first failed.
    pub fn story(&self, now: Instant) -> (u32, Duration) {
        (self.tries, self.since.map_or(Duration::ZERO, |since| now.duration_since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opensearch::Head;
    use crate::pipeline::sink::answer::{self, Items};

    /// An item as OpenSearch 3.8.0 or 2.19 (or, where said, Elasticsearch) wrote it, and what becomes of its document.
    fn check_item(item: &str, expected: Fate) {
        let body = format!(r#"{{"errors":true,"items":[{{"create":{item}}}]}}"#);
        let mut items = Items::default();
        assert_eq!(answer::read(body.as_bytes(), 1, &mut items), Reading::Items, "{item}");
        let mut copy = body.into_bytes();
        assert_eq!(decide_item(&items.item(&mut copy, 0)), expected, "{item}");
    }

    fn check_error(status: u16, error_type: &str, reason: &str, expected: Fate) {
        let error = serde_json::json!({"status": status, "error": {"type": error_type, "reason": reason}});
        check_item(&error.to_string(), expected);
    }

    #[test]
    fn every_item() {
        check_item(r#"{"status":201}"#, Fate::Indexed);
        check_item(r#"{"status":200}"#, Fate::Dropped);
        check_item(
            r#"{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a]: version conflict, document already exists (current version [1])"}}"#,
            Fate::Duplicate,
        );
        check_item(r#"{"error":{"type":"x"}}"#, Fate::Unsure);
        // Refused for what is in them.
        for (error_type, reason) in [
            (
                "mapper_parsing_exception",
                "failed to parse field [n] of type [integer] in document with id 'c'. Preview of field's value: 'not-a-number'",
            ),
            (
                "mapper_parsing_exception",
                "failed to parse field [@timestamp] of type [date] in document with id 'd'. Preview of field's value: '06/May/2024:07:08:09 +0000'",
            ),
            (
                "mapper_parsing_exception",
                "object mapping for [o] tried to parse field [o] as object, but found a concrete value",
            ),
            ("mapper_parsing_exception", "failed to parse, document is empty"),
            ("document_parsing_exception", "[1:6] failed to parse field [n] of type [integer] (Elasticsearch 8)"),
            (
                "illegal_argument_exception",
                "Document contains at least one immense term in field=\"k\" (whose UTF8 encoding is longer than the max length 32766), all of which were skipped.",
            ),
            (
                "strict_dynamic_mapping_exception",
                "mapping set to strict, dynamic introduction of [zz] within [_doc] is not allowed",
            ),
            ("illegal_argument_exception", "Limit of total fields [2] has been exceeded"),
            ("illegal_argument_exception", "mapper [n] cannot be changed from type [long] to [text]"),
            (
                "illegal_argument_exception",
                "documents must contain a single-valued timestamp field '@timestamp' of date type",
            ),
            ("illegal_argument_exception", "field [agent] not present as part of path [agent]"),
        ] {
            check_error(400, error_type, reason, Fate::Rejected);
        }
        // Out of ingest pipelines.
        for (error_type, reason) in [
            ("illegal_argument_exception", "field [nope] doesn't exist"),
            ("illegal_argument_exception", "unable to convert [x] to integer"),
            ("illegal_argument_exception", "unable to parse date [x]"),
            ("illegal_argument_exception", "Provided Grok expressions do not match field value: [x]"),
            (
                "illegal_argument_exception",
                "org.opensearch.tools.jackson.core.JsonParseException: Unrecognized token 'x'",
            ),
            (
                "illegal_argument_exception",
                "field [response] of type [java.lang.Integer] cannot be cast to [java.lang.String]",
            ),
            ("illegal_argument_exception", "'x' is not an IP string literal."),
            ("illegal_argument_exception", "field [agent] does not contain value_split [=]"),
            ("script_exception", "runtime error"),
        ] {
            check_error(400, error_type, reason, Fate::Rejected);
        }
        check_error(500, "fail_processor_exception", "no 405 405", Fate::Rejected);
        check_error(
            500,
            "find_match",
            "Unable to find match for dissect pattern: %{a} %{b} against source: x",
            Fate::Rejected,
        );
        // Busy.
        check_error(
            429,
            "rejected_execution_exception",
            "rejected execution of org.opensearch.action.support.replication.TransportWriteAction$1@7930f02 on OpenSearchThreadPoolExecutor[name = n1/write, queue capacity = 1, pool size = 1, active threads = 1, queued tasks = 1, completed tasks = 25]",
            Fate::Busy,
        );
        check_error(
            429,
            "es_rejected_execution_exception",
            "rejected execution of primary operation [coordinating_and_primary_bytes=500, replica_bytes=0, all_bytes=500, primary_operation_bytes=70, max=1]",
            Fate::Busy,
        );
        check_error(
            429,
            "rejected_execution_exception",
            "rejected execution of primary operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, primary_operation_bytes=228864, max_coordinating_and_primary_bytes=65536]",
            Fate::TooLarge,
        );
        // States.
        for (status, error_type, reason) in [
            (
                429,
                "cluster_block_exception",
                "index [apache-1] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];",
            ),
            (429, "circuit_breaking_exception", "[parent] Data too large"),
            (403, "cluster_block_exception", "index [apache-1] blocked by: [FORBIDDEN/8/index write (api)];"),
            (403, "cluster_block_exception", "index [apache-1] blocked by: [FORBIDDEN/5/index read-only (api)];"),
            (
                404,
                "index_not_found_exception",
                "no such index [other-1] and [action.auto_create_index] ([apache-*]) doesn't match",
            ),
            (
                404,
                "index_not_found_exception",
                "no such index [m1] and [require_alias] request flag is [true] and [m1] is not an alias",
            ),
            (400, "index_closed_exception", "closed"),
            (400, "illegal_argument_exception", "pipeline with id [nope] does not exist"),
            (500, "illegal_state_exception", "Pipeline processor configured for non-existent pipeline [nopipe]"),
            (
                400,
                "validation_exception",
                "Validation Failed: 1: this action would add [2] total LOCAL_ONLY shards, but this cluster currently has [19]/[1] maximum LOCAL_ONLY shards open;",
            ),
            (503, "unavailable_shards_exception", "[apache-3][0] primary shard is not active Timeout: [1s]"),
            (
                503,
                "process_cluster_event_timeout_exception",
                "failed to process cluster event (put-mapping) within 30s",
            ),
            (503, "cluster_manager_not_discovered_exception", ""),
            (403, "index_create_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];"),
            (418, "never_heard_of", "?"),
        ] {
            check_error(status, error_type, reason, Fate::Blocked);
        }
        // Not in the list: the neighbours tell.
        check_error(
            400,
            "illegal_argument_exception",
            "only write ops with an op_type of create are allowed in data streams",
            Fate::Odd,
        );
        check_error(400, "never_heard_of", "?", Fate::Odd);
        // The server's own failures.
        check_error(500, "null_pointer_exception", "oops", Fate::Unsure);
        check_error(502, "x", "y", Fate::Unsure);
        // Never.
        check_error(
            403,
            "security_exception",
            "no permissions for [indices:admin/create] and User [name=writer, backend_roles=[], requestedTenant=null]",
            Fate::Hopeless,
        );
        check_error(
            400,
            "invalid_index_name_exception",
            "Invalid index name [BAD_Upper], must be lowercase",
            Fate::Hopeless,
        );
    }

    fn many() -> Attempt {
        Attempt {
            documents: 10,
            body_bytes: 5000,
            sent: 1,
            accepted_before: true,
            reached_before: true,
            ..Attempt::default()
        }
    }

    fn check(status: u16, body: &str, attempt: Attempt, expected: Decision) {
        let head = Head { status, ..Head::default() };
        let came = match status {
            200 => Came::Read(answer::read(body.as_bytes(), attempt.documents, &mut Items::default())),
            _ => Came::Refused(Refusal::read(&head, body.as_bytes()), None),
        };
        assert_eq!(decide(&came, &attempt), expected, "HTTP {status} {body} {attempt:?}");
    }

    #[test]
    fn every_answer() {
        let again = |unsure, busy| Decision::Again { unsure, busy, after: None };
        let halve = Decision::Halve { shrink: true, unsure: false };
        let one = || Attempt { documents: 1, ..many() };
        let first = || Attempt { accepted_before: false, reached_before: false, ..many() };
        let error = |error_type: &str, reason: &str| {
            serde_json::json!({"error": {"root_cause": [], "type": error_type, "reason": reason}}).to_string()
        };
        // 200
        check(200, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#, one(), Decision::Items);
        check(200, r#"{"errors":true,"items":[{"create":{"status":500}}]}"#, one(), Decision::Items);
        check(200, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#, many(), again(true, false));
        check(200, r#"{"errors":false}"#, many(), again(true, false));
        check(200, "<html>", many(), again(true, false));
        check(200, "<html>", first(), again(true, false));
        check(200, "<html>", Attempt { sent: 3, ..first() }, Decision::Stop);
        // 413: no body, no content type.
        check(413, "", many(), halve);
        check(413, "<html>nginx</html>", many(), halve);
        check(413, "", one(), Decision::RejectTooLarge);
        // 429
        let pressure = |others| {
            error(
                "rejected_execution_exception",
                &format!(
                    "rejected execution of coordinating operation [coordinating_and_primary_bytes={others}, replica_bytes=0, all_bytes={others}, coordinating_operation_bytes=228864, max_coordinating_and_primary_bytes=65536]"
                ),
            )
        };
        check(429, &pressure(0), many(), halve);
        check(429, &pressure(0), one(), Decision::RejectTooLarge);
        check(429, &pressure(60_000), many(), again(false, true));
        check(429, &pressure(60_000), one(), again(false, true));
        check(429, &error("es_rejected_execution_exception", "queue"), many(), again(false, true));
        check(429, "slow down", many(), again(false, true));
        let breaker = |limit| {
            serde_json::json!({"error": {"type": "circuit_breaking_exception", "bytes_wanted": 40096, "bytes_limit": limit,
                "reason": "[in_flight_requests] Data too large, data for [<http_request>] would be [40096/39.1kb], which is larger than the limit"}}).to_string()
        };
        check(429, &breaker(10_000), many(), halve);
        check(429, &breaker(1_000_000), many(), again(false, true));
        check(429, &breaker(10), one(), Decision::Pause);
        check(429, &error("circuit_breaking_exception", "[parent] Data too large"), many(), Decision::Pause);
        check(429, &error("cluster_block_exception", "disk"), many(), Decision::Pause);
        // Unknown outcome.
        check(408, "", many(), again(true, false));
        check(500, &error("null_pointer_exception", ""), many(), again(true, false));
        check(502, "<html>", many(), again(true, false));
        check(503, "<html>", many(), again(true, false));
        check(503, r#"{"error":"upstream unavailable"}"#, many(), again(true, false));
        check(503, r#"{"error":{"code":7,"message":"upstream unavailable"}}"#, many(), again(true, false));
        check(504, "", many(), again(true, false));
        check(520, "", many(), again(true, false));
        // States.
        check(
            503,
            &error("cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"),
            many(),
            Decision::Pause,
        );
        check(503, "OpenSearch Security not initialized.", many(), Decision::Pause);
        check(503, "OpenSearch Security not initialized.", first(), Decision::Pause);
        check(
            403,
            &error("cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"),
            many(),
            Decision::Pause,
        );
        check(404, "", many(), Decision::Pause);
        check(418, "", many(), Decision::Pause);
        // Never.
        check(401, "Unauthorized", many(), Decision::Stop);
        check(
            403,
            &error("security_exception", "no permissions for [indices:data/write/bulk]"),
            many(),
            Decision::Stop,
        );
        check(403, "<html>", many(), Decision::Stop);
        check(405, r#"{"error":"Incorrect HTTP method for uri [/_bulk]","status":405}"#, many(), Decision::Stop);
        check(406, r#"{"error":"Content-Type header [] is not supported","status":406}"#, many(), Decision::Stop);
        check(301, "", many(), Decision::Stop);
        check(302, "", first(), Decision::Stop);
        check(404, "<html>", first(), Decision::Stop);
        // 400
        let malformed = error(
            "illegal_argument_exception",
            "Malformed action/metadata line [1], expected one of [create, delete, index, update] but found [creat]",
        );
        check(400, &malformed, Attempt { bad_requests: 1, ..many() }, again(false, false));
        check(400, &malformed, Attempt { bad_requests: 2, ..many() }, Decision::HalveToTheCulprit);
        check(400, &malformed, Attempt { bad_requests: 2, ..one() }, Decision::Culprit);
        check(400, &malformed, Attempt { compressed: true, ..many() }, Decision::Uncompressed);
        check(415, "", Attempt { compressed: true, ..many() }, Decision::Uncompressed);
        check(400, r#"{"error":"no handler found for uri [/nope] and method [POST]"}"#, many(), Decision::Stop);
        check(
            400,
            &error("illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [foo]"),
            many(),
            Decision::Stop,
        );
    }

    #[test]
    fn every_fault() {
        let again = |unsure| Decision::Again { unsure, busy: false, after: None };
        let first = || Attempt { accepted_before: false, reached_before: false, ..many() };
        let check = |fault: Fault, attempt: Attempt, expected: Decision| {
            assert_eq!(decide(&Came::Failed(fault.clone()), &attempt), expected, "{fault:?} {attempt:?}");
        };
        for fault in [Fault::Refused, Fault::UnknownHost, Fault::ConnectTimedOut, Fault::Unreachable(String::new())] {
            check(fault.clone(), first(), Decision::Stop);
            check(fault, many(), Decision::Pause);
        }
        check(Fault::ResetWhileSending, Attempt { resets: 1, ..many() }, again(false));
        check(
            Fault::ResetWhileSending,
            Attempt { resets: 2, ..many() },
            Decision::Halve { shrink: true, unsure: false },
        );
        check(Fault::ResetWhileSending, Attempt { resets: 2, documents: 1, ..many() }, again(false));
        check(Fault::AnswerTooLong, many(), Decision::Halve { shrink: false, unsure: true });
        for fault in [
            Fault::TimedOutSending,
            Fault::TimedOutWaiting,
            Fault::ClosedWithoutAnswer,
            Fault::CutAnswer,
            Fault::NotHttp,
            Fault::Other(String::new()),
        ] {
            check(fault.clone(), many(), again(true));
            check(fault.clone(), first(), again(true));
            check(fault, Attempt { sent: FIRST_TRIES_MAX, ..first() }, Decision::Stop);
        }
    }

    #[test]
    fn waits_grow_with_full_jitter_and_end() {
        let again = |others_got_through, asked| Again { now: Instant::now(), asked, others_got_through };
        let (limits, mut random) = (Limits { tries_max: 6, ..Limits::default() }, fastrand::Rng::with_seed(1));
        let mut longest = [Duration::ZERO; 5];
        for _round in 0..500 {
            let mut backoff = Backoff::default();
            for longest in &mut longest {
                let wait = backoff.next(&limits, again(false, None), &mut random).expect("within the limits");
                *longest = wait.max(*longest);
            }
            assert_eq!(backoff.next(&limits, again(false, None), &mut random), None, "the sixth try was the last");
        }
        for (n, longest) in longest.iter().enumerate() {
            let ceiling = limits.wait_first * (1 << n);
            assert!(*longest <= ceiling && *longest > ceiling / 2, "{n}: {longest:?}");
        }
        let mut backoff = Backoff::default();
        let asked = backoff.next(&limits, again(false, Some(Duration::from_secs(7))), &mut random);
        assert!(asked.is_some_and(|wait| wait >= Duration::from_secs(7)));
        // While others get through, tries are many and waits short; but time is a limit too.
        for _try in 0..100 {
            let wait = backoff.next(&limits, again(true, None), &mut random);
            assert!(wait.is_some_and(|wait| wait <= limits.wait_first));
        }
        let late = Again { now: Instant::now() + limits.give_up_after, ..again(true, None) };
        assert_eq!(backoff.next(&limits, late, &mut random), None);
        let mut backoff = Backoff::default();
        let impatient = Limits { give_up_after: Duration::from_secs(5), ..limits };
        let asked = backoff.next(&impatient, again(false, Some(Duration::from_secs(60))), &mut random);
        assert_eq!(asked, Some(Duration::from_secs(5)));
        // Time counts from the first failure, and a pause is not counted.
        let mut backoff = Backoff::default();
        assert!(backoff.next(&limits, late, &mut random).is_some());
        let later = Again { now: late.now + limits.give_up_after, ..late };
        backoff.forget_time();
        assert!(backoff.next(&limits, later, &mut random).is_some());
        let latest = Again { now: later.now + limits.give_up_after, ..late };
        assert_eq!(backoff.next(&limits, latest, &mut random), None);
    }
}
