//! Manners of Amazon OpenSearch Serverless (`--aws-service aoss`): a collection takes documents as a cluster does, but no
//! ids of ours, no larger bodies, and no questions about itself.

use super::sink::{Server, Sink};
use crate::cli::Id;
use crate::error::Error;

/// The largest body that a collection takes.
const BODY_BYTES_MAX: u64 = 10 << 20;

/// What the summary says of a load into a collection.
pub const NOTE: &str = "Amazon OpenSearch Serverless is not asked who it is, gets no load profile, and its indices are not \
                        watched";

/// Whether documents go to a collection.
pub fn is_target(sink: &Sink) -> bool {
    matches!(sink, Sink::OpenSearch(server) if server.is_serverless())
}

/// How ids are made where nobody said it. Collections for time series and vectors refuse documents with an id; one for
/// searches takes them, and `--id source` with it.
pub fn id_by_default(sink: &Sink) -> Id {
    match is_target(sink) {
        true => Id::None,
        false => Id::Source,
    }
}

/// Checks `--bulk-bytes`.
///
/// # Errors
/// It is larger than what a collection takes.
pub fn check_body(sink: &Sink, body_bytes: Option<u64>) -> Result<(), Error> {
    match body_bytes {
        Some(bytes) if bytes > BODY_BYTES_MAX && is_target(sink) => {
            Err(Error::usage("--bulk-bytes is larger than what Amazon OpenSearch Serverless takes: 10MiB"))
        }
        _ => Ok(()),
    }
}

/// Refuses what compares counts: a collection shows documents when it likes, and cannot be told to refresh.
///
/// # Errors
/// The server is a collection.
pub fn not_for(command: &str, server: &Server) -> Result<(), Error> {
    match server.is_serverless() {
        true => Err(Error::usage(format!(
            "{command} counts documents, and Amazon OpenSearch Serverless shows them only some time after they are written"
        ))
        .hint("loghaul load takes it; its own counts are exact")),
        false => Ok(()),
    }
}
