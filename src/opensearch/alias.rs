//! Aliases: one name over many indices. And what indices there are.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Client, Method};
use super::standing::in_path;
use crate::error::Result;

/// An index as `_cat/indices` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexFigures {
    /// Its name.
    pub name: String,
    /// Documents in it; 0 where the server does not say (a closed index).
    pub documents: u64,
    /// Bytes on disk, copies included.
    pub bytes: u64,
}

/// How many bytes of names one request may hold: a request line has 4 KiB on the server's side.
const NAMES_BYTES_MAX: usize = 3_000;

impl Client {
    /// The indices that a wildcard names, by name.
    ///
    /// # Errors
    /// The server says no.
    pub fn indices(&self, wildcard: &str) -> Result<Vec<IndexFigures>> {
        let path = format!(
            "/_cat/indices/{}?format=json&h=index,docs.count,store.size&bytes=b&expand_wildcards=open,closed",
            in_path(wildcard)
        );
        let doing = format!("list the indices {wildcard}");
        let reply = self.json(Method::Get, &path, None).map_err(|failure| self.failed(&failure, &doing))?;
        let found = match &reply.refusal {
            None => reply.body,
            // A name without a star that is not there.
            Some(refusal) if refusal.status == 404 && refusal.is_opensearch => json!([]),
            Some(refusal) => return Err(self.refused(refusal, &reply.head, &doing)),
        };
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut indices: Vec<IndexFigures> = found
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| IndexFigures {
                name: row["index"].as_str().unwrap_or_default().to_owned(),
                documents: number(&row["docs.count"]),
                bytes: number(&row["store.size"]),
            })
            .collect();
        indices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(indices)
    }

    /// The indices that a name leads to: those of an alias, or the index itself. Empty where there is no such name.
    ///
    /// # Errors
    /// The server says no.
    pub fn behind(&self, name: &str) -> Result<Vec<String>> {
        let doing = format!("see what {name:?} stands for");
        let path = format!("/{}/_alias", in_path(name));
        let reply = self.json(Method::Get, &path, None).map_err(|failure| self.failed(&failure, &doing))?;
        match &reply.refusal {
            None => {
                let by_index: BTreeMap<String, Value> = serde_json::from_value(reply.body).unwrap_or_default();
                Ok(by_index.into_keys().collect())
            }
            Some(refusal) if refusal.status == 404 && refusal.is_opensearch => Ok(Vec::new()),
            Some(refusal) => Err(self.refused(refusal, &reply.head, &doing)),
        }
    }

    /// Adds indices to an alias and takes others from it, all at once.
    ///
    /// # Errors
    /// The server says no; then nothing has changed.
    pub fn move_alias(&self, alias: &str, add: &[String], remove: &[String]) -> Result<()> {
        let actions: Vec<Value> = [("add", add), ("remove", remove)]
            .into_iter()
            .filter(|(_, indices)| !indices.is_empty())
            .map(|(action, indices)| json!({ action: { "indices": indices, "alias": alias } }))
            .collect();
        if !actions.is_empty() {
            let doing = format!("change the alias {alias:?}");
            self.json_ok(&doing, Method::Post, "/_aliases", Some(&json!({ "actions": actions })))?;
        }
        Ok(())
    }

    /// Deletes indices, each by its whole name: clusters may forbid wildcards.
    ///
    /// # Errors
    /// The server says no; what was deleted before is gone.
    pub fn delete_indices(&self, names: &[String]) -> Result<()> {
        for names in batches(names) {
            self.json_ok(
                &format!("delete the indices {names}"),
                Method::Delete,
                &format!("/{}", in_path(&names)),
                None,
            )?;
        }
        Ok(())
    }
}

/// Names joined by commas, so many at a time as one request takes.
pub(super) fn batches(names: &[String]) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    for name in names {
        match batches.last_mut() {
            Some(batch) if in_path(batch).len() + in_path(name).len() < NAMES_BYTES_MAX => {
                batch.push(',');
                batch.push_str(name);
            }
            _ => batches.push(name.clone()),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_in_batches() {
        let names: Vec<String> = (0..500).map(|n| format!("apache-access-log-{n:04}")).collect();
        let batches = batches(&names);
        assert!(batches.len() > 2 && batches.iter().all(|batch| batch.len() < NAMES_BYTES_MAX));
        assert_eq!(batches.join(","), names.join(","));
    }
}
