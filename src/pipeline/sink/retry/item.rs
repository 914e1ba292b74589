//! What became of one document of a bulk request that was answered 200.
//!
//! Only what is listed here as the document's own fault ([`is_of_the_document`]) is ever given up.

use crate::pipeline::sink::answer::Item;

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
pub(super) fn is_alone_too_large(reason: &str) -> bool {
    reason.contains("all_bytes=0,") || reason.contains("all_bytes=0]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::sink::answer::{self, Items, Reading};

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
}
