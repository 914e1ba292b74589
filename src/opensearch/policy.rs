//! A policy of Index State Management that deletes indices by age. A plugin has it, which is not on each cluster.
//!
//! It has no `ism_template`. That would put it on each new index which a wildcard matches, and `web-*` matches the
//! `web-orders` of another team, whose data would go with ours; patterns that exclude (`-web-orders`) are new in 3.4, match
//! nothing before, and must name every stranger. So the policy is put on indices by name: by `setup` on those that are
//! there, by `load` on those that it has made.
//!
//! Policies have no `_meta`: ours say in their description who made them, and in which version. An index keeps a copy of
//! its policy: a changed one must be handed to it again, and one that goes must be taken from it first.

use serde_json::{Value, json};

use super::alias::batches;
use super::client::{Client, Method, Reply};
use super::standing::{Standing, has_all, in_path};
use crate::error::{Error, Result};

/// Goes up by one whenever the policy changes.
const VERSION: i64 = 2;
const MARK: &str = " (loghaul setup, version ";

/// A policy as it is on the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFound {
    /// What it is to ours.
    pub standing: Standing,
    /// Sequence number and primary term, which a change must name.
    revision: Option<(i64, i64)>,
}

/// The body of `PUT _plugins/_ism/policies/NAME`: indices that have it are deleted `age_hours` after they were created.
/// `pattern` says to people which ones these are.
pub fn policy(pattern: &str, age_hours: u64) -> Value {
    let age = if age_hours.is_multiple_of(24) { format!("{}d", age_hours / 24) } else { format!("{age_hours}h") };
    json!({
        "policy": {
            "description": format!("Deletes indices of {pattern} {age} after they were created{MARK}{VERSION})"),
            "default_state": "keep",
            "states": [
                {
                    "name": "keep",
                    "actions": [],
                    "transitions": [{ "state_name": "delete", "conditions": { "min_index_age": age } }],
                },
                { "name": "delete", "actions": [{ "delete": {} }], "transitions": [] },
            ],
        },
    })
}

impl Client {
    /// What is there of a policy of this name. `None`: the cluster has no Index State Management.
    ///
    /// # Errors
    /// The server says no.
    pub fn find_policy(&self, name: &str, wanted: &Value) -> Result<Option<PolicyFound>> {
        let doing = format!("read the ISM policy {name:?}");
        let reply = self.json(Method::Get, &path(name), None).map_err(|failure| self.failed(&failure, &doing))?;
        let found = |standing| Ok(Some(PolicyFound { standing, revision: None }));
        match &reply.refusal {
            None => {}
            Some(refusal) if refusal.status == 404 && !refusal.error_type.is_empty() => return found(Standing::Absent),
            // What knows no such path: 400 `no handler found for uri`, in words alone. Of a proxy, a 404 or 405.
            Some(refusal) if matches!(refusal.status, 400 | 404 | 405) && refusal.error_type.is_empty() => {
                return Ok(None);
            }
            Some(refusal) => return Err(self.refused(refusal, &reply.head, &doing)),
        }
        let policy = &reply.body["policy"];
        let version = policy["description"].as_str().and_then(|description| {
            let (_, version) = description.rsplit_once(MARK)?;
            version.strip_suffix(')')?.parse::<i64>().ok()
        });
        let standing = match version {
            None => Standing::Foreign,
            Some(version) if version > VERSION => Standing::Newer(version, VERSION),
            Some(VERSION) if has_all(policy, &wanted["policy"]) => Standing::Same,
            Some(_) => Standing::Different,
        };
        let revision = reply.body["_seq_no"].as_i64().zip(reply.body["_primary_term"].as_i64());
        Ok(Some(PolicyFound { standing, revision }))
    }

    /// Whether there is a policy of this name, and it is ours.
    ///
    /// # Errors
    /// The server says no.
    pub fn has_policy(&self, name: &str) -> Result<bool> {
        let found = self.find_policy(name, &Value::Null)?.map(|found| found.standing);
        Ok(matches!(found, Some(Standing::Same | Standing::Different | Standing::Newer(..))))
    }

    /// Puts a policy in place of what was found.
    ///
    /// # Errors
    /// The server says no: somebody else may have changed it meanwhile.
    pub fn put_policy(&self, name: &str, policy: &Value, found: &PolicyFound) -> Result<()> {
        let mut path = path(name);
        if let Some((number, term)) = found.revision {
            path.push_str(&format!("?if_seq_no={number}&if_primary_term={term}"));
        }
        self.json_ok(&format!("put the ISM policy {name:?}"), Method::Put, &path, Some(policy)).map(|_| ())
    }

    /// Of these indices, those without any policy, and those with the one of this name.
    ///
    /// # Errors
    /// The server says no.
    pub fn managed(&self, policy: &str, indices: &[String]) -> Result<(Vec<String>, Vec<String>)> {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for names in batches(indices) {
            let path = format!("/_plugins/_ism/explain/{}", in_path(&names));
            let told = self.json_ok("see which indices have an ISM policy", Method::Get, &path, None)?;
            for name in names.split(',') {
                match told[name]["index.plugins.index_state_management.policy_id"].as_str() {
                    None => without.push(name.to_owned()),
                    Some(id) if id == policy => with.push(name.to_owned()),
                    Some(_) => {}
                }
            }
        }
        Ok((without, with))
    }

    /// Gives a policy to indices that have none.
    ///
    /// # Errors
    /// The server says no, or some of them did not take it.
    pub fn add_policy(&self, name: &str, indices: &[String]) -> Result<()> {
        self.on_managed("add", "give the ISM policy to", indices, Some(&json!({ "policy_id": name })))
    }

    /// Hands a changed policy to indices that have its older form.
    ///
    /// # Errors
    /// The server says no, or some of them did not take it.
    pub fn change_policy(&self, name: &str, indices: &[String]) -> Result<()> {
        self.on_managed("change_policy", "change the ISM policy of", indices, Some(&json!({ "policy_id": name })))
    }

    /// Takes a policy from its indices, and deletes it.
    ///
    /// # Errors
    /// The server says no.
    pub fn delete_policy(&self, name: &str, indices: &[String]) -> Result<()> {
        self.on_managed("remove", "take the ISM policy from", indices, None)?;
        self.json_ok(&format!("delete the ISM policy {name:?}"), Method::Delete, &path(name), None).map(|_| ())
    }

    fn on_managed(&self, verb: &str, doing: &str, indices: &[String], body: Option<&Value>) -> Result<()> {
        for names in batches(indices) {
            let doing = format!("{doing} {names}");
            let path = format!("/_plugins/_ism/{verb}/{}", in_path(&names));
            let reply = self.json(Method::Post, &path, body).map_err(|failure| self.failed(&failure, &doing))?;
            if let Some(refusal) = &reply.refusal {
                return Err(self.refused(refusal, &reply.head, &doing));
            }
            self.all_took_it(&reply, &doing)?;
        }
        Ok(())
    }

    fn all_took_it(&self, reply: &Reply, doing: &str) -> Result<()> {
        let Some(first) = reply.body["failed_indices"].get(0) else { return Ok(()) };
        let text = |key: &str| first[key].as_str().unwrap_or_default().to_owned();
        let address = self.address(reply.head.host);
        let (index, reason) = (text("index_name"), text("reason"));
        Err(Error::failed(format!("cannot {doing} at {address}: index {index:?}: {reason}")))
    }
}

fn path(name: &str) -> String {
    format!("/_plugins/_ism/policies/{}", in_path(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let age = |hours| {
            policy("a-*", hours)["policy"]["states"][0]["transitions"][0]["conditions"]["min_index_age"].clone()
        };
        assert_eq!((age(2_904), age(25)), (json!("121d"), json!("25h")));
        let text = policy("a-*", 24).to_string();
        assert!(!text.contains("rollover") && !text.contains("ism_template"), "{text}");
    }
}
