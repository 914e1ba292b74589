//! The load profile: an index's settings while it is loaded, and back again.
//!
//! Refreshing makes what was just indexed searchable, at the price of many small segments; replicas index each document
//! once more. Neither is of use before a load is done: without both a node takes a third more, and copying finished
//! segments to a replica is cheaper than building them twice. The translog is never made asynchronous: a node that is
//! killed would lose documents that it has acknowledged.
//!
//! Everything here is values in, values out, but for the three requests at its end. Who remembers the original settings
//! and when they come back is the ledger's part ([`profiles`](crate::ledger)).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ask::{Unable, encoded};
use super::client::{Client, Method};

/// Index settings by their full name (`index.refresh_interval`), each value as text. `None`: not set, which is not the
/// same as set to the default: an index without a refresh interval refreshes only while somebody searches it.
pub type Settings = BTreeMap<String, Option<String>>;

const REFRESH: &str = "index.refresh_interval";
const REPLICAS: &str = "index.number_of_replicas";
const AUTO_EXPAND: &str = "index.auto_expand_replicas";

/// A concrete index as the cluster describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSettings {
    /// Tells it from one of the same name that was deleted.
    pub uuid: String,
    /// All settings that are set.
    pub set: BTreeMap<String, String>,
}

/// What is there under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// An index.
    Index(IndexSettings),
    /// An alias or a data stream: other indices are behind it.
    Other,
}

/// What became of the wish to make an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It was not there, and is now.
    Created,
    /// An index, alias or data stream of that name was there before us.
    WasThere,
}

/// The settings that an index has while it is loaded.
pub fn bulk(index: &IndexSettings) -> Settings {
    let mut settings = Settings::from([(REFRESH.to_owned(), Some("-1".to_owned()))]);
    // There the cluster counts replicas itself, and would count anew.
    if index.set.get(AUTO_EXPAND).is_none_or(|value| value == "false") {
        settings.insert(REPLICAS.to_owned(), Some("0".to_owned()));
    }
    settings
}

/// What an index has set of what `applied` will change: to be remembered before it does.
pub fn originals(index: &IndexSettings, applied: &Settings) -> Settings {
    applied.keys().map(|name| (name.clone(), index.set.get(name).cloned())).collect()
}

/// What must be set to get the original settings back, and the names of settings that somebody else has changed
/// meanwhile, which stay as they are.
pub fn back(index: &IndexSettings, original: &Settings, applied: &Settings) -> (Settings, Vec<String>) {
    let (mut changes, mut theirs) = (Settings::new(), Vec::new());
    for (name, before) in original {
        let now = index.set.get(name);
        if now == before.as_ref() {
            continue; // never applied, or restored already
        }
        if now == applied.get(name).and_then(Option::as_ref) {
            changes.insert(name.clone(), before.clone());
        } else {
            theirs.push(name.clone());
        }
    }
    (changes, theirs)
}

impl Client {
    /// What is there under `name`, with its settings.
    ///
    /// # Errors
    /// No answer, or one that says no: a user who may only write may not ask.
    pub fn index_settings(&self, name: &str) -> Result<Found, Unable> {
        let doing = format!("read the settings of index {name:?}");
        let path = format!("/{}/_settings?flat_settings=true", encoded(name));
        let found = match self.ask(&doing, Method::Get, &path, None) {
            Ok(found) => found,
            Err(unable) if unable.is_missing() => return Ok(Found::Nothing),
            Err(unable) => return Err(unable),
        };
        let Some(entry) = found.get(name) else { return Ok(Found::Other) };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let set = entry["settings"].as_object().into_iter().flatten();
        let set: BTreeMap<String, String> = set.map(|(name, value)| (name.clone(), text(value))).collect();
        Ok(Found::Index(IndexSettings { uuid: set.get("index.uuid").cloned().unwrap_or_default(), set }))
    }

    /// Makes an index; `body` as for `PUT /INDEX`, over what its template says.
    ///
    /// # Errors
    /// No answer, or one that says no: no right to, no room for more shards.
    pub fn create_index(&self, name: &str, body: &Value) -> Result<Creation, Unable> {
        match self.ask(&format!("create the index {name:?}"), Method::Put, &format!("/{}", encoded(name)), Some(body)) {
            Ok(_) => Ok(Creation::Created),
            Err(unable)
                if unable.is("resource_already_exists_exception")
                    || unable.is("index_already_exists_exception")
                    || unable.is("invalid_index_name_exception")
                        && unable.error.message.contains("already exists as alias") =>
            {
                Ok(Creation::WasThere)
            }
            Err(unable) => Err(unable),
        }
    }

    /// Changes settings of an index; `None` takes one away.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn put_settings(&self, name: &str, settings: &Settings) -> Result<(), Unable> {
        let body: Map<String, Value> = settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let path = format!("/{}/_settings", encoded(name));
        let doing = format!("change the settings of index {name:?}");
        self.ask(&doing, Method::Put, &path, Some(&Value::Object(body))).map(drop)
    }

    /// Makes what was indexed searchable now.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn refresh(&self, name: &str) -> Result<(), Unable> {
        let doing = format!("refresh the index {name:?}");
        self.ask(&doing, Method::Post, &format!("/{}/_refresh", encoded(name)), None).map(drop)
    }

    /// Whether all copies of an index are there (green), after at most `seconds`.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn is_green(&self, name: &str, seconds: u64) -> Result<bool, Unable> {
        let path = format!("/_cluster/health/{}?wait_for_status=green&timeout={seconds}s", encoded(name));
        match self.ask(&format!("wait for index {name:?}"), Method::Get, &path, None) {
            Ok(health) => Ok(health["status"] == "green"),
            Err(unable) if unable.status() == 408 => Ok(false),
            Err(unable) => Err(unable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(settings: &[(&str, &str)]) -> IndexSettings {
        let set = settings.iter().map(|(name, value)| (format!("index.{name}"), (*value).to_owned())).collect();
        IndexSettings { uuid: "u".into(), set }
    }

    #[test]
    fn what_was_set_comes_back_and_what_was_not_goes() {
        for (before, changes) in [
            (&[("refresh_interval", "30s"), ("number_of_replicas", "1")][..], [Some("30s"), Some("1")]),
            (&[("number_of_replicas", "2")], [None, Some("2")]),
        ] {
            let before = index(before);
            let applied = bulk(&before);
            let original = originals(&before, &applied);
            let loading = index(&[("refresh_interval", "-1"), ("number_of_replicas", "0")]);
            let (back_to, theirs) = back(&loading, &original, &applied);
            let changes: Vec<_> = changes.iter().map(|value| value.map(str::to_owned)).collect();
            assert_eq!([&back_to[REFRESH], &back_to[REPLICAS]], [&changes[0], &changes[1]]);
            assert!(theirs.is_empty());
            assert_eq!(back(&before, &original, &applied), (Settings::new(), vec![]), "killed before it was applied");
        }
    }

    #[test]
    fn what_somebody_changed_meanwhile_is_theirs() {
        let before = index(&[("refresh_interval", "30s"), ("number_of_replicas", "1")]);
        let applied = bulk(&before);
        let original = originals(&before, &applied);
        let now = index(&[("refresh_interval", "5s"), ("number_of_replicas", "0")]);
        let (changes, theirs) = back(&now, &original, &applied);
        assert_eq!(changes, Settings::from([(REPLICAS.to_owned(), Some("1".to_owned()))]));
        assert_eq!(theirs, [REFRESH]);
    }

    #[test]
    fn nothing_needs_to_change_where_refresh_was_off() {
        let before = index(&[("refresh_interval", "-1"), ("number_of_replicas", "0")]);
        let applied = bulk(&before);
        assert_eq!(back(&before, &originals(&before, &applied), &applied).0, Settings::new());
    }

    #[test]
    fn replicas_that_the_cluster_counts_stay() {
        assert!(!bulk(&index(&[("auto_expand_replicas", "0-1")])).contains_key(REPLICAS));
        assert!(bulk(&index(&[("auto_expand_replicas", "false")])).contains_key(REPLICAS));
    }
}
