//! [`Finding`]: what a look at the cluster came to. Pure: facts in, sentences out.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Error;
use crate::opensearch::{Asked, Disk, Info, Shards, Target};
use crate::pipeline::report::figures;
use crate::schema::{self, Schema};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was seen, without a final stop.
    pub says: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Nobody would tell us.
    Unknown,
    /// The load will work, but not as somebody may expect.
    Warning,
    /// The load would fail.
    Refusal,
}

impl Level {
    /// The word in front of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Level::Good => "ok",
            Level::Unknown => "unknown",
            Level::Warning => "warning",
            Level::Refusal => "refused",
        }
    }
}

impl Finding {
    fn new(level: Level, says: impl Into<String>) -> Finding {
        Finding { level, says: says.into(), hint: None }
    }

    /// Sentence and hint in one.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({hint})", self.says),
            None => self.says.clone(),
        }
    }

    fn hint(self, hint: impl Into<String>) -> Finding {
        Finding { hint: Some(hint.into()), ..self }
    }
}

/// What nobody would tell us.
pub fn untold(what: String) -> Finding {
    Finding::new(Level::Unknown, format!("{what}: the server does not tell, or this user may not ask"))
}

/// What the cluster said no to.
pub fn refused(error: &Error) -> Finding {
    Finding::new(Level::Refusal, error.to_string())
}

/// Who answers, and whether we know the kind.
pub fn server(info: Option<&Info>) -> Finding {
    let Some(info) = info else {
        return Finding::new(
            Level::Unknown,
            "the server does not say what it is: the server does not tell, or this user may not ask",
        );
    };
    let says = format!("{} {}, cluster {:?}", info.distribution, info.version, info.cluster_name);
    let major = info.version.split('.').next().unwrap_or_default();
    match (info.distribution.as_str(), major) {
        ("opensearch", "2" | "3") => Finding::new(Level::Good, says),
        ("elasticsearch", "7" | "8") => Finding::new(Level::Good, format!("{says}: answers as OpenSearch does")),
        _ => Finding::new(Level::Warning, format!("{says}: loghaul is tested with OpenSearch 2 and 3"))
            .hint("try a small load first"),
    }
}

/// What the target is, and whether documents can go there.
pub fn target(name: &str, target: &Asked<Target>, has_ids: bool) -> Finding {
    let at_least_once = "ids are unique per index, so a line that is loaded again after the next rollover is there \
                         twice (at least once)";
    match target {
        Asked::Untold => Finding::new(
            Level::Unknown,
            format!("what {name:?} is: the server does not tell, or this user may not ask"),
        ),
        Asked::Missing => {
            Finding::new(Level::Good, format!("the index {name:?} is not there yet; the load creates it"))
        }
        Asked::Known(Target::Index { closed: true }) => {
            Finding::new(Level::Refusal, format!("the index {name:?} is closed")).hint(format!("POST /{name}/_open"))
        }
        Asked::Known(Target::Index { closed: false }) => {
            Finding::new(Level::Good, format!("the index {name:?} is there, and is added to"))
        }
        Asked::Known(Target::Alias { write_index: None, indices }) => Finding::new(
            Level::Refusal,
            format!("the alias {name:?} stands for {indices} indices, none of which is chosen to take documents"),
        )
        .hint("set is_write_index on one of them, or name the index itself with --index"),
        Asked::Known(Target::Alias { write_index: Some(index), .. }) => {
            let says = format!("{name:?} is an alias; documents go to {index:?}");
            match has_ids {
                true => Finding::new(Level::Warning, format!("{says}; {at_least_once}")),
                false => Finding::new(Level::Good, says),
            }
        }
        Asked::Known(Target::DataStream { backing_indices }) => {
            let says = match backing_indices {
                0 => format!("{name:?} will be a data stream, as its index template has it"),
                n => format!("{name:?} is a data stream of {}", indices_counted(*n)),
            };
            match has_ids {
                true => Finding::new(Level::Warning, format!("{says}; {at_least_once}")),
                false => Finding::new(Level::Good, says),
            }
        }
    }
}

fn indices_counted(indices: usize) -> String {
    match indices {
        1 => "1 index".to_owned(),
        n => format!("{n} indices"),
    }
}

/// Which fields will not be kept as documents need it. `whose`: the index that is there, or the template that makes it.
pub fn mapping(schema: Schema, whose: &str, mappings: &Value, is_there: bool) -> Vec<Finding> {
    if let Some(other) = schema::made_for_another(schema, mappings) {
        let (ours, other) = (schema.as_str(), other.as_str());
        let says = format!("{whose} is made for --schema {other}, and these documents are --schema {ours}");
        return vec![match is_there {
            // Documents of two kinds in one index are of no use to anybody.
            true => {
                Finding::new(Level::Refusal, says).hint(format!("load with --schema {other}, or into another index"))
            }
            false => Finding::new(Level::Warning, says)
                .hint(format!("load with --schema {other}, or run loghaul setup --schema {ours}")),
        }];
    }
    let mut found = Vec::new();
    let (mut unknown, mut otherwise) = (Vec::new(), BTreeMap::<_, Vec<&str>>::new());
    for difference in schema::differences(schema, mappings) {
        match difference.found {
            None => unknown.push(difference.name),
            Some(is) => otherwise.entry((is, difference.wanted)).or_default().push(difference.name),
        }
    }
    for ((is, wanted), names) in otherwise {
        let names = listed(&names);
        let why = match (is.as_str(), wanted) {
            ("integer", "long") => "documents with more than 2147483647 will be rejected",
            ("short", "long") => "documents with more than 32767 will be rejected",
            ("byte", "long") => "documents with more than 127 will be rejected",
            ("text" | "match_only_text", "keyword") => "it can be searched, but not counted or sorted by",
            ("ip", "keyword") => "documents whose client is a host name will be rejected",
            ("keyword" | "wildcard" | "constant_keyword", "long" | "date") => {
                "it is kept, but neither summed nor compared as what it is"
            }
            ("float" | "double" | "half_float" | "scaled_float", "long") => "large numbers lose their last digits",
            ("wildcard" | "flat_object", "keyword") => "it can be searched",
            _ => "documents may be rejected",
        };
        let says = format!("{whose} has {names} as {is}, where {wanted} is needed: {why}");
        let hint = "loghaul setup --print shows the template that fits; a mapping changes only for new indices";
        found.push(Finding::new(Level::Warning, says).hint(hint));
    }
    let knows_any = mappings["properties"].as_object().is_some_and(|fields| !fields.is_empty());
    if knows_any && !unknown.is_empty() {
        let strict = match mappings["dynamic"]
            .as_str()
            .or(mappings["dynamic"].as_bool().map(|on| if on { "true" } else { "false" }))
        {
            Some("strict") => Some((Level::Warning, "documents that have them will be rejected (dynamic: strict)")),
            Some("false") => Some((Level::Warning, "they are kept but cannot be searched (dynamic: false)")),
            _ => None,
        };
        let names = listed(&unknown);
        found.push(match strict {
            Some((level, why)) => Finding::new(level, format!("{whose} does not know {names}: {why}"))
                .hint("loghaul setup --print shows the template that fits"),
            None => Finding::new(
                Level::Good,
                format!("{whose} does not know {names}: OpenSearch adds them as it meets them"),
            ),
        });
    } else if !knows_any {
        found.push(
            Finding::new(
                Level::Warning,
                format!("{whose} names no fields: OpenSearch guesses them from the first document"),
            )
            .hint("loghaul setup puts a template that fits"),
        );
    }
    if found.is_empty() {
        found.push(Finding::new(Level::Good, format!("{whose} fits the documents")));
    }
    found
}

fn listed(names: &[&str]) -> String {
    match names.len() {
        0..=6 => names.join(", "),
        n => format!("{} and {} more fields", names[..5].join(", "), n - 5),
    }
}

/// A template that makes a data stream of what is not there yet.
pub fn data_stream_to_be(name: &str, has_ids: bool) -> Finding {
    target(name, &Asked::Known(Target::DataStream { backing_indices: 0 }), has_ids)
}

/// Blocks that keep documents out.
pub fn blocks(name: &str, blocks: &[String]) -> Option<Finding> {
    let first = blocks.first()?;
    Some(
        Finding::new(Level::Warning, format!("{name:?} takes no documents now: {}", blocks.join(", ")))
            .hint(format!("the load would wait for it: PUT /{name}/_settings {{\"{first}\": null}} lifts it")),
    )
}

/// Whether there is room for what comes: `wanted` bytes of index, where that is known.
pub fn disk(disk: &Asked<Disk>, wanted: Option<f64>) -> Finding {
    let disk = match disk {
        Asked::Untold => {
            return Finding::new(
                Level::Unknown,
                "how full the disks are: the server does not tell, or this user may not ask",
            );
        }
        Asked::Missing => return Finding::new(Level::Good, "disk watermarks are switched off"),
        Asked::Known(disk) => disk,
    };
    let free = figures::size(disk.available);
    let says = format!("the node {:?} has {free} of {} free", disk.node, figures::size(disk.total));
    let wanted = wanted.unwrap_or(0.0);
    let after = disk.available as f64 - wanted;
    if disk.available <= disk.flood_stage {
        return Finding::new(Level::Warning, format!("{says}: all its indices are read-only (flood stage)"))
            .hint("make room on that disk; the load would wait for it");
    }
    if after <= disk.flood_stage as f64 {
        return Finding::new(
            Level::Warning,
            format!(
                "{says}, and the load needs about {}: indices would become read-only",
                figures::size(wanted as u64)
            ),
        )
        .hint("make room first; the load would stop, and go on with --resume");
    }
    if disk.available <= disk.low {
        return Finding::new(Level::Warning, format!("{says}: no new index gets a place there (low watermark)"))
            .hint("make room on that disk");
    }
    Finding::new(Level::Good, says)
}

/// Whether the indices that will be created can have their shards.
pub fn shards(shards: &Asked<Shards>, new_shards: u64) -> Finding {
    let shards = match shards {
        Asked::Known(shards) => shards,
        _ => {
            return Finding::new(
                Level::Unknown,
                "how many shards there are: the server does not tell, or this user may not ask",
            );
        }
    };
    let says = format!("{} of {} shards are in use, the cluster is {}", shards.now, shards.most, shards.status);
    if shards.now + new_shards > shards.most {
        return Finding::new(Level::Warning, format!("{says}, and the load needs {new_shards} more"))
            .hint("delete old indices, raise cluster.max_shards_per_node, or use fewer indices (--index)");
    }
    match shards.status.as_str() {
        "red" => Finding::new(Level::Warning, says).hint("some shards are lost; documents for them would wait"),
        _ => Finding::new(Level::Good, says),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn only(found: Vec<Finding>) -> (Level, String) {
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].level, found[0].says.clone())
    }

    #[test]
    fn mappings() {
        let ours = schema::mappings(Schema::Grok, false);
        assert_eq!(
            only(mapping(Schema::Grok, "the template", &ours, false)),
            (Level::Good, "the template fits the documents".into())
        );
        let mut narrow = ours.clone();
        narrow["properties"]["bytes"] = json!({"type": "integer"});
        let (level, says) = only(mapping(Schema::Grok, "the template \"t\"", &narrow, false));
        assert_eq!(level, Level::Warning);
        assert_eq!(
            says,
            "the template \"t\" has bytes as integer, where long is needed: documents with more than \
             2147483647 will be rejected"
        );
        let (level, says) = only(mapping(Schema::Grok, "it", &json!({}), true));
        assert!(level == Level::Warning && says.contains("guesses"), "{says}");
        let (level, says) = only(mapping(Schema::Grok, "it", &schema::mappings(Schema::Ecs, false), true));
        assert!(level == Level::Refusal && says.contains("--schema ecs"), "{says}");
        let mut strict = ours.clone();
        strict["properties"].as_object_mut().unwrap().remove("agent");
        assert_eq!(only(mapping(Schema::Grok, "it", &strict, true)).0, Level::Good);
        strict["dynamic"] = json!("strict");
        let (level, says) = only(mapping(Schema::Grok, "it", &strict, true));
        assert!(level == Level::Warning && says.contains("agent") && says.contains("rejected"), "{says}");
    }

    #[test]
    fn targets() {
        let level = |found: Asked<Target>, ids| target("t", &found, ids).level;
        assert_eq!(level(Asked::Missing, true), Level::Good);
        assert_eq!(level(Asked::Untold, true), Level::Unknown);
        assert_eq!(level(Asked::Known(Target::Index { closed: false }), true), Level::Good);
        assert_eq!(level(Asked::Known(Target::Index { closed: true }), true), Level::Refusal);
        assert_eq!(level(Asked::Known(Target::Alias { write_index: None, indices: 2 }), true), Level::Refusal);
        let alias = || Asked::Known(Target::Alias { write_index: Some("i".into()), indices: 1 });
        assert_eq!((level(alias(), true), level(alias(), false)), (Level::Warning, Level::Good));
        assert_eq!(level(Asked::Known(Target::DataStream { backing_indices: 1 }), true), Level::Warning);
    }

    #[test]
    fn room() {
        let node =
            |available| Asked::Known(Disk { node: "n".into(), total: 1000, available, low: 150, flood_stage: 50 });
        for (available, wanted, level, part) in [
            (900, None, Level::Good, "free"),
            (900, Some(100.0), Level::Good, "free"),
            (900, Some(860.0), Level::Warning, "needs about"),
            (100, None, Level::Warning, "low watermark"),
            (50, None, Level::Warning, "flood stage"),
        ] {
            let found = disk(&node(available), wanted);
            assert!(found.level == level && found.says.contains(part), "{available} {wanted:?}: {found:?}");
        }
        let full = Asked::Known(Shards { status: "green".into(), now: 999, most: 1000 });
        assert_eq!((shards(&full, 1).level, shards(&full, 2).level), (Level::Good, Level::Warning));
    }

    #[test]
    fn servers() {
        let info = |distribution: &str, version: &str| Info {
            distribution: distribution.into(),
            version: version.into(),
            ..Info::default()
        };
        assert_eq!(server(None).level, Level::Unknown);
        assert_eq!(server(Some(&info("opensearch", "3.8.0"))).level, Level::Good);
        assert_eq!(server(Some(&info("elasticsearch", "8.17.0"))).level, Level::Good);
        assert_eq!(server(Some(&info("opensearch", "1.3.0"))).level, Level::Warning);
    }
}
