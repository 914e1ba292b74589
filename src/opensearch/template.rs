//! The index template: put where none of somebody else's stands, found where one matches.
//!
//! Ours carries `_meta: {"managed_by": "loghaul", "version": N}`. What carries another mark, or none, is never
//! overwritten.

use serde_json::Value;

use super::client::{Client, Method};
use super::standing::{Standing, in_path};
use crate::error::Result;

/// Which template will shape an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateMatch {
    /// None: fields will be guessed from the first document.
    None,
    /// One of ours, by name.
    Ours(String),
    /// Somebody else's, by name.
    Foreign(String),
}

/// Where an alias comes from that our template gives to new indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasOrigin {
    /// From nowhere that we know of: there is no template of ours, or it does not name it.
    NotNamed,
    /// It was there before our template named it.
    ByHand,
    /// From the template.
    Ours,
}

/// In the template's `_meta`: an alias that was there before the template named it.
const ALIAS_BY_HAND: &str = "alias_made_by_hand";

impl Client {
    /// The template of this name, as it was put.
    ///
    /// # Errors
    /// The server says no.
    fn template(&self, name: &str) -> Result<Option<Value>> {
        let doing = format!("read the index template {name:?}");
        let path = path(name);
        let mut reply = self.json(Method::Get, &path, None).map_err(|failure| self.failed(&failure, &doing))?;
        match &reply.refusal {
            None => Ok(reply.body.pointer_mut("/index_templates/0/index_template").map(Value::take)),
            Some(refusal) if refusal.status == 404 && refusal.is_opensearch => Ok(None),
            Some(refusal) => Err(self.refused(refusal, &reply.head, &doing)),
        }
    }

    /// What our template of this name has to do with an alias.
    ///
    /// # Errors
    /// The server says no.
    pub fn alias_in_template(&self, name: &str, alias: &str) -> Result<AliasOrigin> {
        let present =
            self.template(name)?.filter(is_ours).filter(|found| !found["template"]["aliases"][alias].is_null());
        Ok(match present {
            None => AliasOrigin::NotNamed,
            Some(found) if found["_meta"][ALIAS_BY_HAND] == alias => AliasOrigin::ByHand,
            Some(_) => AliasOrigin::Ours,
        })
    }

    /// Lets a template that is to be put remember that its alias was there before, made by somebody else.
    ///
    /// # Errors
    /// The server says no.
    pub fn remember_alias(&self, name: &str, alias: &str, wanted: &mut Value) -> Result<()> {
        let by_hand = match self.alias_in_template(name, alias)? {
            AliasOrigin::Ours => false,
            AliasOrigin::ByHand => true,
            AliasOrigin::NotNamed => !self.behind(alias)?.is_empty(),
        };
        if by_hand {
            wanted["_meta"][ALIAS_BY_HAND] = alias.into();
        }
        Ok(())
    }

    /// What is there of a template of this name, beside `wanted` (the body of `PUT _index_template/NAME`, with our
    /// `_meta`).
    ///
    /// # Errors
    /// The server says no.
    pub fn find_template(&self, name: &str, wanted: &Value) -> Result<Standing> {
        let Some(present) = self.template(name)? else { return Ok(Standing::Absent) };
        let version = |template: &Value| template["_meta"]["version"].as_i64().unwrap_or(0);
        Ok(if !is_ours(&present) {
            Standing::Foreign
        } else if version(&present) > version(wanted) {
            Standing::Newer(version(&present), version(wanted))
        } else if is_same(wanted, &present) {
            Standing::Same
        } else {
            Standing::Different
        })
    }

    /// Puts a template, whatever is there.
    ///
    /// # Errors
    /// The server says no.
    pub fn put_template(&self, name: &str, template: &Value) -> Result<()> {
        self.json_ok(&format!("put the index template {name:?}"), Method::Put, &path(name), Some(template)).map(|_| ())
    }

    /// Deletes a template.
    ///
    /// # Errors
    /// The server says no.
    pub fn delete_template(&self, name: &str) -> Result<()> {
        self.json_ok(&format!("delete the index template {name:?}"), Method::Delete, &path(name), None).map(|_| ())
    }

    /// Which template will shape an index of this name when it is created.
    ///
    /// # Errors
    /// The server says no: a user who may only write may not ask.
    pub fn template_for(&self, index: &str) -> Result<TemplateMatch> {
        let doing = "list the index templates";
        let found = self.json_ok(
            doing,
            Method::Get,
            "/_index_template?filter_path=index_templates.name,index_templates.index_template.index_patterns,\
             index_templates.index_template.priority,index_templates.index_template._meta",
            None,
        )?;
        let matching = found["index_templates"].as_array().into_iter().flatten().filter_map(|entry| {
            let template = &entry["index_template"];
            let name = entry["name"].as_str()?;
            matches_any(&template["index_patterns"], index)
                .then(|| (template["priority"].as_i64().unwrap_or(0), name, is_ours(template)))
        });
        if let Some((_, name, ours)) = matching.max_by_key(|(priority, ..)| *priority) {
            let name = name.to_owned();
            return Ok(if ours { TemplateMatch::Ours(name) } else { TemplateMatch::Foreign(name) });
        }
        // Templates of the old kind count only where none of the new kind matches.
        let old = self.json_ok(doing, Method::Get, "/_template?filter_path=*.index_patterns", None)?;
        let matching = old.as_object().into_iter().flatten().find(|(_, template)| {
            let patterns = &template["index_patterns"];
            matches_any(patterns, index) && patterns != &serde_json::json!(["*"])
        });
        Ok(match matching {
            Some((name, _)) => TemplateMatch::Foreign(name.clone()),
            None => TemplateMatch::None,
        })
    }
}

fn path(name: &str) -> String {
    format!("/_index_template/{}", in_path(name))
}

/// Whether a template carries our mark.
fn is_ours(template: &Value) -> bool {
    template["_meta"]["managed_by"] == "loghaul"
}

fn matches_any(patterns: &Value, index: &str) -> bool {
    patterns.as_array().into_iter().flatten().filter_map(Value::as_str).any(|pattern| matches(pattern, index))
}

/// Whether an index name matches a pattern in which `*` stands for any run of characters.
pub fn matches(pattern: &str, index: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == index,
        Some((head, tail)) => match index.strip_prefix(head) {
            None => false,
            Some(rest) => rest.char_indices().map(|(n, _)| n).chain([rest.len()]).any(|n| matches(tail, &rest[n..])),
        },
    }
}

/// Whether what we would put is what is there. The server adds keys of its own (`composed_of`) and writes settings
/// as strings below `index`; what counts is that everything we ask for is there, and that mappings are equal.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    let settings = |template: &Value| {
        let mut flat = Vec::new();
        flatten("", &template["template"]["settings"], &mut flat);
        flat.sort();
        flat
    };
    let rest = |template: &Value| {
        let keys = ["index_patterns", "priority", "version", "_meta", "data_stream"];
        keys.map(|key| template[key].clone())
    };
    settings(ours) == settings(theirs)
        && ours["template"]["mappings"] == theirs["template"]["mappings"]
        && ours["template"]["aliases"] == theirs["template"]["aliases"]
        && rest(ours) == rest(theirs)
}

/// Settings as the server sees them: dotted names below `index.`, every value a string.
fn flatten(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, into);
            }
        }
        Value::Null => {}
        other => {
            let name = if name.starts_with("index.") { name.to_owned() } else { format!("index.{name}") };
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            into.push((name, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn index_patterns() {
        for (pattern, index, fits) in [
            ("a-*", "a-2020", true),
            ("a-*", "a-", true),
            ("a-*", "b-a-", false),
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*-log-*", "x-log-y", true),
            ("*-log-*", "x-lag-y", false),
            ("a*b*c", "abbbc", true),
        ] {
            assert_eq!(matches(pattern, index), fits, "{pattern} {index}");
        }
    }

    #[test]
    fn the_same_template_in_the_servers_spelling() {
        let ours = json!({"index_patterns": ["a-*"], "priority": 10, "_meta": {"managed_by": "loghaul", "version": 1},
            "template": {"settings": {"number_of_shards": 1, "index": {"codec": "best_compression"}},
                         "mappings": {"properties": {"bytes": {"type": "long"}}}}});
        let mut theirs = json!({"index_patterns": ["a-*"], "priority": 10, "composed_of": [],
            "_meta": {"version": 1, "managed_by": "loghaul"},
            "template": {"settings": {"index": {"number_of_shards": "1", "codec": "best_compression"}},
                         "mappings": {"properties": {"bytes": {"type": "long"}}}}});
        assert!(is_same(&ours, &theirs));
        theirs["template"]["mappings"]["properties"]["bytes"]["type"] = json!("integer");
        assert!(!is_same(&ours, &theirs));
    }
}
