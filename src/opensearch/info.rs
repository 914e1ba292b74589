//! [`Info`]: who answers there. Good to know, never needed: a user who may only write may not ask.

use std::time::{Duration, Instant};

use super::client::{Client, Reply};
use super::fault::Fault;
use crate::error::{Error, Result};

const DOING: &str = "reach OpenSearch";
/// Between two questions to a server that is not ready.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a proxy may say that nobody is behind it (502, 504): it, or what it stands before, is just starting.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(15);
/// How often a connection may be closed instead of an answer.
const HICCUPS_MAX: u32 = 3;

/// What `GET /` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `opensearch`, or `elasticsearch` where the server names none.
    pub distribution: String,
    /// `3.8.0`.
    pub version: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// Tells one cluster from another; empty or `_na_` while it has not formed.
    pub cluster_uuid: String,
}

impl Client {
    /// Asks who is there; a server that is not ready to say, once a second for as long as
    /// [`Options::info_patience`](super::Options::info_patience); through a proxy without anybody behind it (502, 504)
    /// 15 s of that, and three times where the connection is closed instead. `None`: one that will not say (a write-only user
    /// gets 403, as do all from a proxy that lets only `/_bulk` through; some Elasticsearch builds say 405).
    ///
    /// # Errors
    /// Nobody there, 401, a redirect, or something that is no OpenSearch: a sentence.
    pub fn info(&self) -> Result<Option<Info>> {
        self.info_while(|| true)
    }

    /// The same, but it does not ask again once `goes_on` says no, which is asked only while the server is not ready.
    ///
    /// # Errors
    /// As [`Client::info`].
    pub fn info_while(&self, goes_on: impl Fn() -> bool) -> Result<Option<Info>> {
        if self.is_serverless() {
            return Ok(None);
        }
        let (started, mut times) = (Instant::now(), 0);
        loop {
            let asked = self.root();
            times += 1;
            let patience = match &asked {
                Ok(reply) => match reply.head.status {
                    200 if reply.body["cluster_uuid"] != "_na_" => Duration::ZERO,
                    200 | 429 | 503 => self.info_patience,
                    502 | 504 => self.info_patience.min(GATEWAY_PATIENCE),
                    _ => Duration::ZERO,
                },
                // A server that expects TLS does the same, for ever.
                Err(failure) if is_hiccup(&failure.fault) && times < HICCUPS_MAX => self.info_patience,
                Err(_) => Duration::ZERO,
            };
            let is_ready = patience.is_zero();
            let ask_at = Instant::now() + ASK_EVERY;
            while !is_ready && goes_on() && started.elapsed() < patience && Instant::now() < ask_at {
                std::thread::sleep(ASK_EVERY / 20);
            }
            if is_ready || !goes_on() || started.elapsed() >= patience {
                return self.read_info(&asked.map_err(|failure| self.failed(&failure, DOING))?);
            }
        }
    }

    fn read_info(&self, reply: &Reply) -> Result<Option<Info>> {
        match (reply.head.status, &reply.refusal) {
            (200, _) => {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                let version = &reply.body["version"];
                if !version["number"].is_string() {
                    let address = self.address(reply.head.host);
                    return Err(Error::failed(format!("what answers at {address} is not OpenSearch"))
                        .hint("is the URL right? Its GET / should show a version number"));
                }
                let distribution = version["distribution"].as_str().unwrap_or("elasticsearch").to_owned();
                Ok(Some(Info {
                    distribution,
                    version: text(&version["number"]),
                    cluster_name: text(&reply.body["cluster_name"]),
                    cluster_uuid: text(&reply.body["cluster_uuid"]),
                }))
            }
            // From OpenSearch itself, or from a proxy that lets only some paths through. Whether we may write is for the
            // bulk to find out.
            (403, Some(refusal)) if refusal.complaint().is_some() => Err(self.refused(refusal, &reply.head, DOING)),
            (403 | 405 | 429 | 503, _) => Ok(None),
            // OpenSearch's own 404 is about an index that was taken for a path.
            (404, Some(refusal)) if !refusal.is_opensearch => Ok(None),
            (_, Some(refusal)) => Err(self.refused(refusal, &reply.head, DOING)),
            (status, None) => Err(Error::failed(format!(
                "what answers at {} is not OpenSearch: HTTP {status} to GET /",
                self.address(reply.head.host)
            ))),
        }
    }
}

/// A connection that was there and broke.
fn is_hiccup(fault: &Fault) -> bool {
    matches!(fault, Fault::ClosedWithoutAnswer | Fault::CutAnswer | Fault::ResetWhileSending)
}
