//! Generations: whole copies of the same data, one behind the other, of which an alias shows one.
//!
//! A generation of `web` is the index `web-20261123t020000z`, or several with event-time parts behind that. Each carries
//! a mark in its mapping (`_meta.loghaul`), put there when it is made: nothing without one is ever deleted. `complete`
//! is added once everything in it was counted, so that nobody goes back to one that was left half loaded, and
//! `rolled_back` once somebody left it for the one before, so that no `--resume` goes forward to it again. The alias moves
//! in one `_aliases` request, which the cluster applies as a whole or not at all.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ask::{Unable, encoded};
use super::client::{Client, Method};
use super::profile::Found;
use crate::error::Error;

/// The time in the name of a generation, as strftime writes it; UTC.
pub const STAMP: &str = "%Y%m%dt%H%M%Sz";

/// Which generation an index belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The alias.
    pub alias: String,
    /// When it was begun: `20261123t020000z`. Sorts by time.
    pub stamp: String,
}

/// How far an index of a generation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being loaded, or was left half loaded.
    Loading,
    /// All of it was loaded and counted.
    Complete,
    /// The same; it was in use, and somebody went back to the one before.
    RolledBack,
}

/// One generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// When it was begun.
    pub stamp: String,
    /// Whether all of it was loaded and counted.
    pub complete: bool,
    /// Whether it was in use, and somebody went back to the one before.
    pub rolled_back: bool,
    /// Its indices, by name.
    pub indices: Vec<String>,
}

/// What an alias's name stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing.
    Nothing,
    /// An index of that very name.
    Index,
    /// A data stream.
    DataStream,
    /// These indices, each with what the alias says of it (filter, routing).
    Alias(BTreeMap<String, Value>),
}

impl Mark {
    /// The body that makes an index of this generation, over what its template says.
    pub fn index_body(&self) -> Value {
        json!({"mappings": {"_meta": {"loghaul": self.meta(Stage::Loading)}}})
    }

    fn meta(&self, stage: Stage) -> Value {
        let complete = stage != Stage::Loading;
        let mut meta = json!({"generation_of": self.alias, "generation": self.stamp, "complete": complete});
        if stage == Stage::RolledBack {
            meta["rolled_back"] = json!(true);
        }
        meta
    }

    fn read(meta: &Value) -> Option<(Mark, Stage)> {
        let meta = &meta["loghaul"];
        let text = |key: &str| meta[key].as_str().map(str::to_owned);
        let mark = Mark { alias: text("generation_of")?, stamp: text("generation")? };
        let stage = match (meta["complete"] == true, meta["rolled_back"] == true) {
            (false, _) => Stage::Loading,
            (true, false) => Stage::Complete,
            (true, true) => Stage::RolledBack,
        };
        Some((mark, stage))
    }

    /// The pattern of the generation's indices: `parts` is what follows the stamp (`-%Y-%m`), or empty.
    pub fn index_pattern(&self, parts: &str) -> String {
        format!("{}-{}{parts}", self.alias, self.stamp)
    }

    /// The mark of the generation of `alias` that an index pattern is of, if it is of one.
    pub fn of_pattern(alias: &str, pattern: &str) -> Option<Mark> {
        let stamp = pattern.strip_prefix(alias)?.strip_prefix('-')?.get(..16)?;
        let shape = stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b't',
            15 => byte == b'z',
            _ => byte.is_ascii_digit(),
        });
        shape.then(|| Mark { alias: alias.to_owned(), stamp: stamp.to_owned() })
    }
}

impl Client {
    /// What `name` stands for.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn alias_target(&self, name: &str) -> Result<Target, Unable> {
        let doing = format!("see what the alias {name:?} stands for");
        match self.ask(&doing, Method::Get, &format!("/_alias/{}", encoded(name)), None) {
            Ok(found) => {
                let indices = found.as_object().into_iter().flatten();
                let indices = indices.map(|(index, entry)| (index.clone(), entry["aliases"][name].clone()));
                return Ok(Target::Alias(indices.collect()));
            }
            Err(unable) if unable.is_missing() => {}
            Err(unable) => return Err(unable),
        }
        Ok(match self.index_settings(name)? {
            Found::Nothing => Target::Nothing,
            Found::Index(_) => Target::Index,
            Found::Other => Target::DataStream,
        })
    }

    /// All generations of an alias, the oldest first.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn generations(&self, alias: &str) -> Result<Vec<Generation>, Unable> {
        let path = format!("/{}-*/_mapping?expand_wildcards=all&filter_path=*.mappings._meta.loghaul", encoded(alias));
        let found = self.ask(&format!("list the generations of {alias:?}"), Method::Get, &path, None)?;
        let mut generations: BTreeMap<String, Generation> = BTreeMap::new();
        for (index, entry) in found.as_object().into_iter().flatten() {
            let Some((mark, stage)) = Mark::read(&entry["mappings"]["_meta"]) else { continue };
            // A copy of one (a clone, a restored snapshot) carries its mark, under a name of its own: it is not ours.
            let name = format!("{alias}-{}", mark.stamp);
            let is_named_so =
                index.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']));
            if mark.alias != alias || !is_named_so {
                continue;
            }
            let new = || Generation { stamp: mark.stamp.clone(), complete: true, ..Generation::default() };
            let generation = generations.entry(mark.stamp.clone()).or_insert_with(new);
            generation.complete &= stage != Stage::Loading;
            generation.rolled_back |= stage == Stage::RolledBack;
            generation.indices.push(index.clone());
        }
        let mut generations: Vec<Generation> = generations.into_values().collect();
        generations.iter_mut().for_each(|generation| generation.indices.sort_unstable());
        Ok(generations)
    }

    /// The mark of an index. `None`: there is no such index; `Some(None)`: it has none.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn mark_of(&self, index: &str) -> Result<Option<Option<Mark>>, Unable> {
        match self.ask(&format!("read the mapping of index {index:?}"), Method::Get, &mapping_path(index), None) {
            Ok(found) => Ok(Some(Mark::read(&found[index]["mappings"]["_meta"]).map(|(mark, _)| mark))),
            Err(unable) if unable.is_missing() => Ok(None),
            Err(unable) => Err(unable),
        }
    }

    /// Says of all indices of a generation how far they have come.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn mark_stage(&self, mark: &Mark, indices: &[String], stage: Stage) -> Result<(), Unable> {
        for index in indices {
            let doing = match stage {
                Stage::Loading => format!("mark the index {index:?} as one that is loaded"),
                Stage::Complete => format!("mark the index {index:?} as complete"),
                Stage::RolledBack => format!("mark the index {index:?} as rolled back"),
            };
            let found = self.ask(&doing, Method::Get, &mapping_path(index), None)?;
            // What else stands there stays: the request takes the place of all of it.
            let mut meta = found[index]["mappings"]["_meta"].as_object().cloned().unwrap_or_else(Map::new);
            meta.insert("loghaul".into(), mark.meta(stage));
            self.ask(&doing, Method::Put, &mapping_path(index), Some(&json!({ "_meta": meta })))?;
        }
        Ok(())
    }

    /// Takes an index out of an alias that its template has put it into.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn hide_from_alias(&self, alias: &str, index: &str) -> Result<(), Unable> {
        let Target::Alias(indices) = self.alias_target(alias)? else { return Ok(()) };
        if !indices.contains_key(index) {
            return Ok(());
        }
        let body = json!({"actions": [{"remove": {"index": index, "alias": alias}}]});
        let doing = format!("take the index {index:?} out of the alias {alias:?}");
        self.ask(&doing, Method::Post, "/_aliases", Some(&body)).map(drop)
    }

    /// Documents that a search of an index or alias sees.
    ///
    /// # Errors
    /// No answer, one that says no, or one without some of the shards.
    pub fn count(&self, name: &str) -> Result<u64, Unable> {
        let doing = format!("count the documents of {name:?}");
        let answer = self.ask(&doing, Method::Get, &format!("/{}/_count", encoded(name)), None)?;
        let whole = answer["_shards"]["total"] == answer["_shards"]["successful"];
        match answer["count"].as_u64() {
            Some(count) if whole => Ok(count),
            _ => Err(Unable {
                error: Error::failed(format!("cannot {doing}: some of its shards do not answer")),
                passes: true,
                refusal: None,
            }),
        }
    }

    /// Lets the alias stand for `indices` instead of `from`, in one request. An index that bears the alias's name is
    /// deleted by the same request.
    ///
    /// # Errors
    /// No answer (then it may have been done), or one that says no.
    pub fn swap_alias(&self, alias: &str, from: &Target, indices: &[String]) -> Result<(), Unable> {
        let body = json!({"actions": swap_actions(alias, from, indices)});
        self.ask(&format!("move the alias {alias:?}"), Method::Post, "/_aliases", Some(&body)).map(drop)
    }

    /// Deletes an index.
    ///
    /// # Errors
    /// No answer, or one that says no. That it is gone already is none.
    pub fn delete_index(&self, index: &str) -> Result<(), Unable> {
        let path = format!("/{}", encoded(index));
        match self.ask(&format!("delete the index {index:?}"), Method::Delete, &path, None) {
            Err(unable) if !unable.is_missing() => Err(unable),
            _ => Ok(()),
        }
    }
}

fn mapping_path(index: &str) -> String {
    format!("/{}/_mapping", encoded(index))
}

fn swap_actions(alias: &str, from: &Target, indices: &[String]) -> Vec<Value> {
    let mut actions = Vec::new();
    let mut how = Map::new();
    match from {
        Target::Alias(old) => {
            for (index, says) in old {
                if !indices.contains(index) {
                    actions.push(json!({"remove": {"index": index, "alias": alias}}));
                }
                for key in ["filter", "index_routing", "search_routing", "is_hidden"] {
                    if let Some(value) = says.get(key) {
                        how.insert(key.to_owned(), value.clone());
                    }
                }
            }
        }
        Target::Index => actions.push(json!({"remove_index": {"index": alias}})),
        Target::Nothing | Target::DataStream => {}
    }
    for index in indices {
        let mut add = how.clone();
        add.insert("index".into(), json!(index));
        add.insert("alias".into(), json!(alias));
        actions.push(json!({ "add": add }));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_generations() {
        for (alias, pattern, stamp) in [
            ("web", "web-20261123t020000z", Some("20261123t020000z")),
            ("web", "web-20261123t020000z-%Y-%m", Some("20261123t020000z")),
            ("web", "web-shop-20261123t020000z", None),
            ("web", "web-%Y-%m", None),
            ("web", "web-2026", None),
            ("web", "web-2026é123t020000z", None),
        ] {
            assert_eq!(Mark::of_pattern(alias, pattern).map(|mark| mark.stamp).as_deref(), stamp, "{pattern}");
        }
        let mark = Mark { alias: "web".into(), stamp: "20261123t020000z".into() };
        assert_eq!(Mark::of_pattern("web", &mark.index_pattern("-%Y")), Some(mark));
    }

    #[test]
    fn a_swap_is_one_list_of_actions() {
        let old = Target::Alias(BTreeMap::from([
            ("a".to_owned(), json!({"filter": {"term": {"x": 1}}})),
            ("b".to_owned(), json!({"is_write_index": true})),
        ]));
        assert_eq!(
            swap_actions("web", &old, &["b".to_owned(), "c".to_owned()]),
            [
                json!({"remove": {"index": "a", "alias": "web"}}),
                json!({"add": {"index": "b", "alias": "web", "filter": {"term": {"x": 1}}}}),
                json!({"add": {"index": "c", "alias": "web", "filter": {"term": {"x": 1}}}}),
            ]
        );
        assert_eq!(
            swap_actions("web", &Target::Index, &["c".to_owned()]),
            [json!({"remove_index": {"index": "web"}}), json!({"add": {"index": "c", "alias": "web"}})]
        );
    }

    #[test]
    fn marks_are_read_as_written() {
        let mark = Mark { alias: "web".into(), stamp: "20261123t020000z".into() };
        let body = mark.index_body();
        assert_eq!(Mark::read(&body["mappings"]["_meta"]), Some((mark.clone(), Stage::Loading)));
        for stage in [Stage::Loading, Stage::Complete, Stage::RolledBack] {
            assert_eq!(Mark::read(&json!({"loghaul": mark.meta(stage)})), Some((mark.clone(), stage)));
        }
        assert_eq!(Mark::read(&json!({"managed_by": "loghaul"})), None);
    }
}
