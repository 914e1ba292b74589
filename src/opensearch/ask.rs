//! [`Client::ask`]: a request about the cluster itself, whose failure says whether it is worth asking again.
//!
//! Creating an index, changing its settings or moving an alias are small requests beside a long load. What the cluster
//! says no to for good is told; what will pass (nobody there for the moment, busy, no master) is asked again by whoever
//! has the patience.

use std::fmt::Write;

use serde_json::Value;

use super::client::{Client, Method};
use super::refusal::Refusal;
use crate::error::Error;

/// Why a request did not do.
#[derive(Clone, Debug)]
pub struct Unable {
    /// The sentence.
    pub error: Error,
    /// Whether it may do later: there was no answer, or one that speaks of a passing state.
    pub passes: bool,
    /// The answer, if there was one.
    pub refusal: Option<Box<Refusal>>,
}

impl Unable {
    /// The HTTP status of the answer; 0 if there was none.
    pub fn status(&self) -> u16 {
        self.refusal.as_ref().map_or(0, |refusal| refusal.status)
    }

    /// Whether the answer is OpenSearch's own and of this error type.
    pub fn is(&self, error_type: &str) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.error_type == error_type)
    }

    /// Whether OpenSearch itself says that there is no such thing. A proxy's 404 says nothing.
    pub fn is_missing(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.status == 404 && refusal.is_opensearch)
    }
}

impl From<Unable> for Error {
    fn from(unable: Unable) -> Error {
        unable.error
    }
}

impl Client {
    /// One request with a JSON body, or none; the answer's JSON if its status is 2xx. `doing` goes into the sentence.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn ask(&self, doing: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Unable> {
        let reply = self.json(method, path, body).map_err(|failure| Unable {
            error: self.failed(&failure, doing),
            passes: true,
            refusal: None,
        })?;
        match reply.refusal {
            None => Ok(reply.body),
            Some(refusal) => Err(Unable {
                error: self.refused(&refusal, &reply.head, doing),
                passes: matches!(refusal.status, 408 | 429 | 500..=599)
                    || refusal.error_type == "cluster_block_exception"
                    || refusal.error_type == "process_cluster_event_timeout_exception",
                refusal: Some(Box::new(refusal)),
            }),
        }
    }
}

/// A name as one part of a URL's path.
pub fn encoded(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            other => write!(path, "%{other:02X}").expect("a string takes all"),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths() {
        for (name, path) in [("web-2024.01", "web-2024.01"), ("a%b", "a%25b"), ("é/", "%C3%A9%2F")] {
            assert_eq!(encoded(name), path);
        }
    }
}
