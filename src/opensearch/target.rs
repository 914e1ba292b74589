//! What stands behind a name that documents are to go to, and what would stop them: asked before a load, changing
//! nothing. Who may only write may ask none of it; then there is no answer, which is no reason not to load.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::body::{Body, Scratch};
use super::client::{BulkHow, Client, Head, Method};
use super::indices::path_segment;
use super::refusal::Refusal;
use crate::error::{Error, Result};

/// The longest answer about one document that is no document.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An answer to a question, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<T> {
    /// What the cluster says.
    Known(T),
    /// There is no such thing.
    Missing,
    /// We may not ask (401, 403, 405), nobody there understands the question (400, 501), or it cannot be answered now
    /// (429, 5xx).
    Untold,
}

impl<T> Asked<T> {
    /// What is known.
    pub fn known(self) -> Option<T> {
        match self {
            Asked::Known(value) => Some(value),
            Asked::Missing | Asked::Untold => None,
        }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An index.
    Index {
        /// It was closed, and takes nothing.
        closed: bool,
    },
    /// Another name of one index or several.
    Alias {
        /// The index that takes documents; none if none was chosen among several.
        write_index: Option<String>,
        /// How many it stands for.
        indices: usize,
    },
    /// A data stream.
    DataStream {
        /// How many indices it has so far.
        backing_indices: usize,
    },
}

/// How full the disks are, in bytes: of the data node that has the least room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its name.
    pub node: String,
    /// All of it.
    pub total: u64,
    /// What is left.
    pub available: u64,
    /// With less than this left, no new index gets a place there.
    pub low: u64,
    /// With less than this left, all indices there become read-only.
    pub flood_stage: u64,
}

/// How many shards there are and may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// `green`, `yellow` or `red`.
    pub status: String,
    /// Open shards.
    pub now: u64,
    /// `cluster.max_shards_per_node` times data nodes.
    pub most: u64,
}

impl Client {
    /// What a name stands for.
    ///
    /// # Errors
    /// No answer at all: a sentence.
    pub fn target(&self, name: &str) -> Result<Asked<Target>> {
        let doing = format!("see what {name:?} is");
        let found =
            match self.question(&doing, Method::Get, &format!("/_resolve/index/{}", path_segment(name)), None)? {
                Asked::Known(found) => found,
                Asked::Missing => return Ok(Asked::Missing),
                Asked::Untold => return Ok(Asked::Untold),
            };
        let named =
            |list: &str| found[list].as_array().into_iter().flatten().find(|entry| entry["name"] == name).cloned();
        if let Some(stream) = named("data_streams") {
            let backing_indices = stream["backing_indices"].as_array().map_or(0, Vec::len);
            return Ok(Asked::Known(Target::DataStream { backing_indices }));
        }
        if let Some(alias) = named("aliases") {
            let indices = alias["indices"].as_array().map_or(0, Vec::len);
            let write_index = match indices {
                1 => alias["indices"][0].as_str().map(str::to_owned),
                // Who may not read aliases may still write to them.
                _ => match self.write_index(name)? {
                    Asked::Known(index) => index,
                    Asked::Missing | Asked::Untold => return Ok(Asked::Untold),
                },
            };
            return Ok(Asked::Known(Target::Alias { write_index, indices }));
        }
        Ok(match named("indices") {
            Some(index) => {
                let closed = index["attributes"].as_array().is_some_and(|words| words.contains(&json!("closed")));
                Asked::Known(Target::Index { closed })
            }
            None => Asked::Missing,
        })
    }

    /// Which index of an alias for several takes documents.
    fn write_index(&self, alias: &str) -> Result<Asked<Option<String>>> {
        let path = format!("/_alias/{}", path_segment(alias));
        Ok(match self.question("read an alias", Method::Get, &path, None)? {
            Asked::Known(found) => {
                let writes = |entry: &Value| entry["aliases"][alias]["is_write_index"] == true;
                let mut indices = found.as_object().into_iter().flatten();
                Asked::Known(indices.find(|(_, entry)| writes(entry)).map(|(index, _)| index.clone()))
            }
            Asked::Missing => Asked::Missing,
            Asked::Untold => Asked::Untold,
        })
    }

    /// The mappings of an index, alias or data stream (of its newest index).
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn mappings(&self, name: &str) -> Result<Asked<Value>> {
        let path = format!("/{}/_mapping", path_segment(name));
        Ok(match self.question(&format!("read the mapping of {name:?}"), Method::Get, &path, None)? {
            Asked::Known(found) => {
                let newest = found.as_object().into_iter().flatten().max_by_key(|(index, _)| (*index).clone());
                newest.map_or(Asked::Missing, |(_, entry)| Asked::Known(entry["mappings"].clone()))
            }
            Asked::Missing => Asked::Missing,
            Asked::Untold => Asked::Untold,
        })
    }

    /// What settings and mappings an index of this name would have if it were created now:
    /// `{"settings": …, "mappings": …}`.
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn simulated(&self, name: &str) -> Result<Asked<Value>> {
        let path = format!("/_index_template/_simulate_index/{}", path_segment(name));
        let found = self.question("simulate the index template", Method::Post, &path, None)?;
        Ok(match found {
            Asked::Known(found) => Asked::Known(found["template"].clone()),
            other => other,
        })
    }

    /// Whether an index template makes data streams of the names that it matches.
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn makes_data_stream(&self, template: &str) -> Result<bool> {
        let path = format!("/_index_template/{}", path_segment(template));
        let found = self.question("read an index template", Method::Get, &path, None)?.known().unwrap_or_default();
        Ok(found["index_templates"][0]["index_template"]["data_stream"].is_object())
    }

    /// Which blocks keep documents out of an index: `index.blocks.write`, and the like.
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn blocks(&self, name: &str) -> Result<Vec<String>> {
        let path = format!("/{}/_settings?flat_settings=true&filter_path=*.settings", path_segment(name));
        let found = self.question("read the index's settings", Method::Get, &path, None)?.known().unwrap_or_default();
        let keeps_out = |key: &str, value: &Value| {
            ["index.blocks.write", "index.blocks.read_only", "index.blocks.read_only_allow_delete"].contains(&key)
                && (value == "true" || value == true)
        };
        let settings = found.as_object().into_iter().flatten().flat_map(|(_, entry)| entry["settings"].as_object());
        let mut blocks: Vec<String> =
            settings.flatten().filter(|(key, value)| keeps_out(key, value)).map(|(key, _)| key.clone()).collect();
        blocks.sort();
        blocks.dedup();
        Ok(blocks)
    }

    /// The data node with the least room. `Missing` where the thresholds are switched off.
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn disk(&self) -> Result<Asked<Disk>> {
        let Some(settings) = self.cluster_settings()? else { return Ok(Asked::Untold) };
        let setting = |name: &str| settings.get(&format!("cluster.routing.allocation.disk.{name}"));
        if setting("threshold_enabled").is_some_and(|value| value == "false") {
            return Ok(Asked::Missing);
        }
        let path = "/_nodes/stats/fs?filter_path=nodes.*.name,nodes.*.roles,nodes.*.fs.total";
        let Some(stats) = self.question("read the disks' sizes", Method::Get, path, None)?.known() else {
            return Ok(Asked::Untold);
        };
        let is_data = |node: &&Value| {
            node["roles"].as_array().is_none_or(|roles| {
                roles.iter().filter_map(Value::as_str).any(|role| role == "data" || role.starts_with("data_"))
            })
        };
        let fullest = stats["nodes"].as_object().into_iter().flatten().map(|(_, node)| node).filter(is_data);
        let fullest = fullest.filter_map(|node| {
            let total = node["fs"]["total"]["total_in_bytes"].as_u64()?;
            let available = node["fs"]["total"]["available_in_bytes"].as_u64()?;
            let free_wanted = |name: &str, default: &str| {
                let text = setting(&format!("watermark.{name}")).map_or(default, String::as_str);
                free_wanted(text, total).unwrap_or(0)
            };
            Some(Disk {
                node: node["name"].as_str().unwrap_or_default().to_owned(),
                total,
                available,
                low: free_wanted("low", "85%"),
                flood_stage: free_wanted("flood_stage", "95%"),
            })
        });
        let fullest = fullest.min_by_key(|disk| disk.available.saturating_sub(disk.flood_stage));
        Ok(fullest.map_or(Asked::Untold, Asked::Known))
    }

    /// How many shards there are and may be.
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn shards(&self) -> Result<Asked<Shards>> {
        let path = "/_cluster/health?filter_path=status,active_shards,unassigned_shards,number_of_data_nodes";
        let Some(health) = self.question("read the cluster's health", Method::Get, path, None)?.known() else {
            return Ok(Asked::Untold);
        };
        let per_node = match self.cluster_settings()? {
            Some(settings) => settings.get("cluster.max_shards_per_node").and_then(|most| most.parse::<u64>().ok()),
            None => None,
        };
        let number = |name: &str| health[name].as_u64().unwrap_or(0);
        Ok(Asked::Known(Shards {
            status: health["status"].as_str().unwrap_or_default().to_owned(),
            now: number("active_shards") + number("unassigned_shards"),
            most: per_node.unwrap_or(1000) * number("number_of_data_nodes").max(1),
        }))
    }

    /// Whether we may write documents to an index or alias that is there. A document that is no JSON is sent: who may
    /// write hears that it cannot be parsed, who may not hears that; it is never indexed. What the server says to the latter comes back.
    ///
    /// # Errors
    /// As [`Client::target`].
    pub fn may_write(&self, name: &str) -> Result<Option<Error>> {
        let doing = format!("write to {name:?}");
        let body = format!("{}\n{{\"loghaul asks whether it may write here\n", json!({"create": {"_index": name}}));
        let mut answer = Vec::new();
        let head = self
            .bulk(
                "/_bulk?timeout=1s&filter_path=items.*.status,items.*.error,error",
                &Body::of(body.as_bytes()),
                BulkHow { plain: true, ..BulkHow::default() },
                &mut Scratch::default(),
                &mut answer,
                ANSWER_BYTES_MAX,
            )
            .map_err(|failure| self.failed(&failure, &doing))?;
        let found: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let item = &found["items"][0]["create"];
        let refusal = Refusal::read(&head, &answer);
        // A block is a 403 as well, and may be lifted.
        if head.status == 401 || (head.status == 403 && refusal.error_type == "security_exception") {
            return Ok(Some(self.refused(&refusal, &head, &doing)));
        }
        if item["status"] == 403 && item["error"]["type"] == "security_exception" {
            let head = Head { status: 403, ..head };
            let text = json!({"error": item["error"]}).to_string();
            return Ok(Some(self.refused(&Refusal::read(&head, text.as_bytes()), &head, &doing)));
        }
        // Trouble of another kind is for the load to meet.
        Ok(None)
    }

    /// All settings of the cluster with their defaults, by their full names.
    fn cluster_settings(&self) -> Result<Option<BTreeMap<String, String>>> {
        let path = "/_cluster/settings?include_defaults=true&filter_path=\
                    *.cluster.routing.allocation.disk,*.cluster.max_shards_per_node";
        let Some(found) = self.question("read the cluster's settings", Method::Get, path, None)?.known() else {
            return Ok(None);
        };
        // What is set for now wins over what is set for good, and that over defaults.
        let mut settings = BTreeMap::new();
        for part in ["defaults", "persistent", "transient"] {
            flatten(String::new(), &found[part], &mut settings);
        }
        Ok(Some(settings))
    }

    fn question(&self, doing: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Asked<Value>> {
        let reply = self.json(method, path, body).map_err(|failure| self.failed(&failure, doing))?;
        Ok(match (&reply.refusal, reply.head.status) {
            (None, _) => Asked::Known(reply.body),
            // Where nobody knows the path, it is taken for an index of another name.
            (Some(refusal), 404) if path.starts_with("/_resolve/") && refusal.reason.contains("_resolve") => {
                Asked::Untold
            }
            (Some(_), 404) => Asked::Missing,
            // A cluster in trouble (429, 5xx) is one to wait for, which is the load's business.
            (Some(_), _) => Asked::Untold,
        })
    }
}

/// Settings within settings, by their full names.
fn flatten(name: String, value: &Value, settings: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(name, value, settings);
            }
        }
        Value::String(text) => drop(settings.insert(name, text.clone())),
        Value::Null => {}
        other => drop(settings.insert(name, other.to_string())),
    }
}

/// How much must be free for a watermark such as `85%`, `0.85` or `500mb` (of free space), in bytes.
fn free_wanted(watermark: &str, total: u64) -> Option<u64> {
    let text = watermark.trim().to_ascii_lowercase();
    let used_share = match text.strip_suffix('%') {
        Some(percent) => Some(percent.trim().parse::<f64>().ok()? / 100.0),
        None => text.parse::<f64>().ok().filter(|share| *share <= 1.0),
    };
    if let Some(share) = used_share {
        return Some(((1.0 - share).clamp(0.0, 1.0) * total as f64) as u64);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "b" => 1u64,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1 << 40,
        "p" | "pb" => 1 << 50,
        _ => return None,
    };
    Some((number * unit as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks() {
        for (text, free) in [
            ("85%", Some(150)),
            ("0.95", Some(50)),
            ("100%", Some(0)),
            ("500b", Some(500)),
            ("1kb", Some(1024)),
            ("2gb", Some(2 << 30)),
            ("1.5mb", Some(3 << 19)),
            ("most", None),
            ("", None),
        ] {
            let found = free_wanted(text, 1000);
            // Shares are not exact in binary.
            assert!(found == free || found.zip(free).is_some_and(|(a, b)| a.abs_diff(b) <= 1), "{text}: {found:?}");
        }
    }
}
