//! What is said when documents do not get through: for a pause, or for the error that ends the run.

use std::time::Duration;

use super::BulkWriter;
use crate::error::Error;
use crate::opensearch::{Client, refusal};
use crate::pipeline::sink::answer::Item;
use crate::pipeline::sink::destination::Destination;
use crate::pipeline::sink::retry::Came;

/// What to do where an index cannot ever be.
pub(crate) const OTHER_INDEX: &str = "choose another --index";

/// What to do after an error that ended the run early.
pub(crate) const RESUME: &str = "what was written stays; load again with --resume to go on";

impl BulkWriter<'_> {
    /// The sentence for a request that ends the run.
    pub(super) fn stopping(&self, came: Came, index: &str, host: usize, accepted_before: bool) -> Error {
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
pub(super) fn hopeless(to: &Destination<'_>, item: &Item<'_>, index: &str) -> Error {
    let who = to.client.who().unwrap_or("an anonymous user");
    let reason = refusal::shown(&item.reason);
    let (what, hint) = match item.status {
        403 => (
            format!("{who} may not write to index {index:?}: {reason}"),
            "give the user the right that the server names, for this index",
        ),
        _ => (format!("documents cannot be written to index {index:?}: {reason}"), OTHER_INDEX),
    };
    Error::failed(what).hint(hint)
}

/// An error before anything was written is a failure; later it ends a run that can be resumed.
pub(super) fn stopped_if(something_was_written: bool, error: Error) -> Error {
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

pub(super) fn given_up(cause: &str, refused_for: Duration, probes: u64) -> Error {
    Error::stopped(format!(
        "the cluster has refused for {:.0} s, asked {probes} times; at last {cause}",
        refused_for.as_secs_f64()
    ))
    .hint(RESUME)
}

/// What came, in words, for a pause or an error.
pub(super) fn told(came: &Came, client: &Client, host: usize) -> String {
    let address = client.address(host);
    match came {
        Came::Refused(refusal, _) => format!("{address} said: {}", refusal.words()),
        Came::Failed(fault) => format!("{address}: {fault}"),
        Came::Read(_) => format!("{address}: the answer is not the one to this request"),
    }
}
