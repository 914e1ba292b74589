//! [`Info`]: who answers there. Good to know, never needed: a user who may only write may not ask.

use super::client::{Client, Method};
use crate::error::{Error, Result};

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
    /// Asks who is there. `None`: a server that will not say (a write-only user gets 403, some
    /// Elasticsearch builds 405).
    ///
    /// # Errors
    /// Nobody there, 401, a redirect, or something that is no OpenSearch: a sentence.
    pub fn info(&self) -> Result<Option<Info>> {
        let doing = "reach OpenSearch";
        let reply = self.json(Method::Get, "/", None).map_err(|failure| self.failed(&failure, doing))?;
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
            // These come from OpenSearch itself, in its words; whether it lets us write is for the bulk to find out.
            (403 | 405 | 429 | 503, Some(refusal)) if refusal.is_opensearch => Ok(None),
            // The security plugin while it starts, in plain text.
            (503, Some(_)) => Ok(None),
            (_, Some(refusal)) => Err(self.refused(refusal, &reply.head, doing)),
            (status, None) => Err(Error::failed(format!(
                "what answers at {} is not OpenSearch: HTTP {status} to GET /",
                self.address(reply.head.host)
            ))),
        }
    }
}
