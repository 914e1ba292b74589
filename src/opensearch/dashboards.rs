//! A server of OpenSearch Dashboards: its saved objects. It is another server than the cluster, with the same users.

use serde_json::{Value, json};

use super::client::{Client, Method, Reply};
use super::standing::in_path;
use crate::error::{Error, Result};

/// Between the parts of an upload. JSON has no line that begins so.
const BOUNDARY: &str = "loghaul-saved-objects";
const UPLOAD: &str = "multipart/form-data; boundary=loghaul-saved-objects";

impl Client {
    /// Makes sure that OpenSearch Dashboards answers, and is ready. Gives its version.
    ///
    /// # Errors
    /// It does not.
    pub fn dashboards_version(&self) -> Result<String> {
        let reply = self.dashboards("reach OpenSearch Dashboards", Method::Get, "/api/status", None)?;
        match reply.body["version"]["number"].as_str() {
            Some(version) => Ok(version.to_owned()),
            None => {
                let address = self.address(reply.head.host);
                Err(Error::failed(format!("what answers at {address} is not OpenSearch Dashboards"))
                    .hint("its URL is often the cluster's with port 5601; a base path belongs to it"))
            }
        }
    }

    /// The objects of these types and ids, in their order; `None` where there is none.
    ///
    /// # Errors
    /// The server says no.
    pub fn saved_objects(&self, wanted: &[(&str, &str)]) -> Result<Vec<Option<Value>>> {
        let doing = "read saved objects";
        let body: Value = wanted.iter().map(|(kind, id)| json!({ "type": kind, "id": id })).collect();
        let reply = self.dashboards(doing, Method::Post, "/api/saved_objects/_bulk_get", Some(&body))?;
        let found = reply.body["saved_objects"].as_array().cloned().unwrap_or_default();
        if found.len() != wanted.len() {
            let (address, many) = (self.address(reply.head.host), found.len());
            return Err(Error::failed(format!(
                "cannot {doing} at {address}: asked for {}, and {many} were told",
                wanted.len()
            )));
        }
        let mut objects = Vec::new();
        for object in found {
            objects.push(match object["error"]["statusCode"].as_u64() {
                None => Some(object),
                Some(404) => None,
                Some(status) => {
                    let why = super::refusal::shown(object["error"]["message"].as_str().unwrap_or_default());
                    let address = self.address(reply.head.host);
                    return Err(Error::failed(format!("cannot {doing} at {address}: {status} {why}")));
                }
            });
        }
        Ok(objects)
    }

    /// Imports objects, one a line, in place of those that are there.
    ///
    /// # Errors
    /// The server says no, or to one of them.
    pub fn import_saved_objects(&self, ndjson: &str) -> Result<()> {
        assert!(!ndjson.contains(BOUNDARY), "no object holds the boundary");
        let doing = "import saved objects";
        // The server looks at the file's name: it must end so.
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"loghaul.ndjson\"\r\n\
             Content-Type: application/ndjson\r\n\r\n{ndjson}\r\n--{BOUNDARY}--\r\n"
        );
        let reply = self
            .to_dashboards(Method::Post, "/api/saved_objects/_import?overwrite=true", UPLOAD, body.as_bytes())
            .map_err(|failure| self.failed(&failure, doing))?;
        if let Some(refusal) = &reply.refusal {
            return Err(self.refused(refusal, &reply.head, doing));
        }
        let wanted = ndjson.lines().count() as u64;
        let (imported, address) = (reply.body["successCount"].as_u64(), self.address(reply.head.host));
        match reply.body["errors"].get(0) {
            _ if reply.body["success"] == true && imported == Some(wanted) => Ok(()),
            Some(error) => {
                let text = |value: &Value| super::refusal::shown(value.as_str().unwrap_or_default());
                let (kind, id, why) = (text(&error["type"]), text(&error["id"]), text(&error["error"]["type"]));
                Err(Error::failed(format!("cannot {doing} at {address}: {kind} {id:?}: {why}")))
            }
            None => Err(Error::failed(format!(
                "cannot {doing} at {address}: of {wanted}, {} went in",
                imported.unwrap_or(0)
            ))),
        }
    }

    /// Changes some attributes of an object, and leaves the others.
    ///
    /// # Errors
    /// The server says no.
    pub fn update_saved_object(&self, kind: &str, id: &str, attributes: &Value) -> Result<()> {
        let body = json!({ "attributes": attributes });
        let doing = format!("change the {kind} {id:?}");
        self.dashboards(&doing, Method::Put, &path(kind, id), Some(&body)).map(|_| ())
    }

    /// Deletes an object; one that is gone is all right.
    ///
    /// # Errors
    /// The server says no.
    pub fn delete_saved_object(&self, kind: &str, id: &str) -> Result<()> {
        let doing = format!("delete the {kind} {id:?}");
        let reply = self
            .to_dashboards(Method::Delete, &path(kind, id), "application/json", b"")
            .map_err(|failure| self.failed(&failure, &doing))?;
        match &reply.refusal {
            Some(refusal) if refusal.status != 404 => Err(self.refused(refusal, &reply.head, &doing)),
            _ => Ok(()),
        }
    }

    fn dashboards(&self, doing: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let reply = self
            .to_dashboards(method, path, "application/json", text.as_bytes())
            .map_err(|failure| self.failed(&failure, doing))?;
        match &reply.refusal {
            None => Ok(reply),
            Some(refusal) => Err(self.refused(refusal, &reply.head, doing)),
        }
    }
}

fn path(kind: &str, id: &str) -> String {
    format!("/api/saved_objects/{kind}/{}", in_path(id))
}
