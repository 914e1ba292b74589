//! The composable index template: how OpenSearch is to keep our documents.

use serde_json::{Map, Value, json};

use super::{CLIENTIP, FIELDS, Field, Mapping, Schema};

/// The longest keyword that is indexed, in characters. Lucene's longest term is 32,766 bytes, a character has up to
/// four; a longer value, such as a URL of 100 kB, stays in the document and is not searchable by this field.
pub const IGNORE_ABOVE: u32 = 8191;

/// What an index takes on disk, as a share of the bytes of its documents' bulk bodies, without replicas. Measured; it
/// depends on how much documents differ, and on how far segments are merged.
pub const INDEX_SHARE: f64 = 0.2;

/// Goes up by one whenever the template changes: an older loghaul leaves a newer one's template alone.
const TEMPLATE_VERSION: u32 = 2;

/// Which template wins where several match. Above OpenSearch's default 0; other people's may go above ours.
pub const PRIORITY: u32 = 100;

/// What an index template is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    /// The indices: a wildcard such as `apache-access-log-*`.
    pub wildcard: &'a str,
    /// What fields are called.
    pub schema: Schema,
    /// Keywords only: no second form of the client as `ip`, no full text. Loads faster.
    pub lean: bool,
    /// Primary shards; OpenSearch's own default where none is given.
    pub shards: Option<u32>,
    /// Copies of each; OpenSearch's own default where none is given.
    pub replicas: Option<u32>,
    /// An alias that each new index gets.
    pub alias: Option<&'a str>,
}

/// The body of `PUT _index_template/NAME`. `_meta` says that it is ours, and of which version.
pub fn template(template: &Template) -> Value {
    let mut settings = Map::new();
    if let Some(shards) = template.shards {
        settings.insert("number_of_shards".into(), shards.into());
    }
    if let Some(replicas) = template.replicas {
        settings.insert("number_of_replicas".into(), replicas.into());
    }
    let mut inner = json!({
        "settings": { "index": settings },
        "mappings": mappings(template.schema, template.lean),
    });
    if let Some(alias) = template.alias {
        inner["aliases"] = json!({ alias: {} });
    }
    json!({
        "index_patterns": [template.wildcard],
        "priority": PRIORITY,
        "_meta": {
            "description": "Apache access logs, one document per line, loaded by loghaul",
            "managed_by": "loghaul",
            "version": TEMPLATE_VERSION,
            "schema": template.schema.as_str(),
            "lean": template.lean,
        },
        "template": inner,
    })
}

/// The mappings of an index for our documents.
pub fn mappings(schema: Schema, lean: bool) -> Value {
    json!({
        // What --field adds is a keyword too.
        "dynamic_templates": [{
            "strings_are_keywords": { "match_mapping_type": "string", "mapping": keyword() },
        }],
        "properties": properties(schema, lean),
    })
}

/// Mappings of all fields, a dotted name as objects in each other.
fn properties(schema: Schema, lean: bool) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in FIELDS {
        insert(&mut properties, field.name(schema), mapping(field, schema, lean));
    }
    if schema == Schema::Ecs && !lean {
        // The Common Schema's place for the address, filled by `copy_to`: documents need not say it twice.
        insert(&mut properties, SOURCE_IP, ip());
    }
    properties
}

fn insert(properties: &mut Map<String, Value>, name: &str, mapping: Value) {
    match name.split_once('.') {
        None => _ = properties.insert(name.into(), mapping),
        Some((object, rest)) => {
            let object = properties.entry(object).or_insert_with(|| json!({ "properties": {} }));
            let inner = object["properties"].as_object_mut().expect("no field is both a value and an object");
            insert(inner, rest, mapping);
        }
    }
}

const SOURCE_IP: &str = "source.ip";

fn mapping(field: Field, schema: Schema, lean: bool) -> Value {
    match field.mapping {
        Mapping::Date => json!({ "type": "date" }),
        Mapping::Long => json!({ "type": "long" }),
        Mapping::Keyword => keyword(),
        Mapping::Client if lean => keyword(),
        Mapping::Client => {
            debug_assert_eq!(field, CLIENTIP);
            let mut client = keyword();
            match schema {
                Schema::Grok => client["fields"] = json!({ "ip": ip() }),
                Schema::Ecs => client["copy_to"] = json!([SOURCE_IP]),
            }
            client
        }
        // Kept in the document alone: whole lines are all different, and cost more as terms than all else together.
        Mapping::Text if lean => json!({ "type": "keyword", "index": false, "doc_values": false }),
        Mapping::Text => json!({ "type": "text" }),
    }
}

fn keyword() -> Value {
    json!({ "type": "keyword", "ignore_above": IGNORE_ABOVE })
}

fn ip() -> Value {
    json!({ "type": "ip", "ignore_malformed": true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(schema: Schema, lean: bool) -> Value {
        template(&Template {
            wildcard: "apache-access-log-*",
            schema,
            lean,
            shards: Some(1),
            replicas: None,
            alias: Some("apache-access-log"),
        })
    }

    #[test]
    fn template_agrees_with_documents() {
        for (schema, lean) in [(Schema::Grok, false), (Schema::Grok, true), (Schema::Ecs, false), (Schema::Ecs, true)] {
            let body = body(schema, lean);
            let properties = &body["template"]["mappings"]["properties"];
            for field in FIELDS {
                let pointer = format!("/{}/type", field.name(schema).replace('.', "/properties/"));
                assert!(properties.pointer(&pointer).is_some(), "{} is mapped", field.name(schema));
            }
        }
    }

    #[test]
    fn what_stands_in_it() {
        let grok = body(Schema::Grok, false);
        let properties = &grok["template"]["mappings"]["properties"];
        assert_eq!(grok["index_patterns"], json!(["apache-access-log-*"]));
        assert_eq!(grok["template"]["settings"], json!({ "index": { "number_of_shards": 1 } }));
        assert_eq!(grok["template"]["aliases"], json!({ "apache-access-log": {} }));
        assert_eq!(properties["bytes"], json!({ "type": "long" }));
        assert_eq!(properties["clientip"]["fields"]["ip"], json!({ "type": "ip", "ignore_malformed": true }));
        assert_eq!(properties["log"]["properties"]["file"]["properties"]["path"]["type"], "keyword");
        assert_eq!(properties["s3"]["properties"]["key"]["ignore_above"], 8191);
        let ecs = body(Schema::Ecs, false);
        let source = &ecs["template"]["mappings"]["properties"]["source"]["properties"];
        assert_eq!((&source["address"]["copy_to"], &source["ip"]["type"]), (&json!(["source.ip"]), &json!("ip")));
    }

    #[test]
    fn lean_is_keywords_only() {
        for schema in [Schema::Grok, Schema::Ecs] {
            let text = body(schema, true).to_string();
            assert!(!text.contains(r#""ip""#) && !text.contains(r#""text""#), "{text}");
        }
    }
}
