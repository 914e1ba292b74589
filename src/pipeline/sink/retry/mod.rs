//! What an answer means. Pure: answers in, decisions out; somebody else sleeps and sends.
//!
//! Two matches hold every rule. [`decide_item`]: what became of one document. [`decide`]: what to do with a whole
//! request. Only documents that OpenSearch refuses for what is in them are given up, and those refusals are listed
//! in `item.rs`; whatever is not listed is a state of the cluster, which passes, or which a person must look at. So a
//! mistake here costs time, never lines.
//!
//! The answers behind each rule were provoked on real servers; the tests quote them.

mod item; // what became of one document
mod backoff; // how long to wait between tries, and when to give up

use std::time::Duration;

pub use backoff::{Again, Backoff, Limits};
use item::is_alone_too_large;
pub use item::{Fate, decide_item};

use super::answer::{Reading, Unreadable};
use crate::opensearch::{Fault, Refusal};

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
    /// How often in a row exactly these documents got no sensible answer, this time included.
    pub unanswered: u32,
    /// How often the connection broke while exactly these documents were being sent or their answer was awaited, this
    /// time included.
    pub broken: u32,
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
/// After how many connections broken over the same body it is taken to be too large for somebody.
pub const BROKEN_MAX: u32 = 2;
/// A body of this size is too large for nobody (bytes): if the connection is closed without an answer, that is not why.
/// nginx and its kin begin to refuse at 1 MiB.
pub const SURELY_SMALL_BYTES: usize = 128 << 10;
/// After how many 400s for the same body the culprit is looked for.
pub const BAD_REQUESTS_MAX: u32 = 2;

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
        // Whoever lends us keys may be away for a while.
        Fault::NoKeys(_) => Decision::Pause,
        // Somebody before the server has a limit, answers early and closes: the answer is lost on the way.
        Fault::ResetWhileSending if attempt.broken >= BROKEN_MAX && !alone => {
            Decision::Halve { shrink: true, unsure: false }
        }
        Fault::ResetWhileSending => Decision::Again { unsure: false, busy: false, after: None },
        // The same; but a megabyte or two fits into the buffers on the way, and then all of it seems to have been sent.
        Fault::ClosedWithoutAnswer
            if attempt.broken >= BROKEN_MAX && !alone && attempt.body_bytes > SURELY_SMALL_BYTES =>
        {
            Decision::Halve { shrink: true, unsure: true }
        }
        Fault::AnswerTooLong if !alone => Decision::Halve { shrink: false, unsure: true },
        Fault::TimedOutSending
        | Fault::TimedOutWaiting
        | Fault::ClosedWithoutAnswer
        | Fault::CutAnswer
        | Fault::AnswerTooLong
        | Fault::NotHttp
        | Fault::SpeaksTls
        | Fault::Other(_) => {
            if !attempt.accepted_before && attempt.unanswered >= FIRST_TRIES_MAX {
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
            if !attempt.accepted_before && attempt.unanswered >= FIRST_TRIES_MAX {
                Decision::Stop
            } else {
                Decision::Again { unsure: true, busy: false, after: None }
            }
        }
        Came::Refused(refusal, after) => decide_refusal(refusal, *after, attempt),
        Came::Failed(fault) => decide_fault(fault, attempt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opensearch::Head;
    use crate::pipeline::sink::answer::{self, Items};

    fn many() -> Attempt {
        Attempt {
            documents: 10,
            body_bytes: 5000,
            unanswered: 1,
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
        check(200, "<html>", Attempt { unanswered: 3, ..first() }, Decision::Stop);
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
        check(Fault::NoKeys(String::new()), many(), Decision::Pause);
        check(Fault::ResetWhileSending, Attempt { broken: 1, ..many() }, again(false));
        check(
            Fault::ResetWhileSending,
            Attempt { broken: 2, ..many() },
            Decision::Halve { shrink: true, unsure: false },
        );
        check(Fault::ResetWhileSending, Attempt { broken: 2, documents: 1, ..many() }, again(false));
        let large = |broken| Attempt { broken, body_bytes: 1 << 20, ..many() };
        check(Fault::ClosedWithoutAnswer, large(1), again(true));
        check(Fault::ClosedWithoutAnswer, large(2), Decision::Halve { shrink: true, unsure: true });
        check(Fault::ClosedWithoutAnswer, Attempt { documents: 1, ..large(2) }, again(true));
        check(Fault::ClosedWithoutAnswer, Attempt { broken: 2, ..many() }, again(true));
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
            check(fault, Attempt { unanswered: FIRST_TRIES_MAX, ..first() }, Decision::Stop);
        }
    }
}
