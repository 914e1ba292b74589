//! The one table of a document's fields: what each is called, what Elastic's Common Schema calls it, and how it is
//! mapped. The serializer takes its names from here, the index template its mappings, `--field` what it may not use.
//!
//! Names are those of grok's COMBINEDAPACHELOG, as Logstash and Data Prepper have them. Documents have flat keys; a key
//! with dots is an object to OpenSearch, and the template says so.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// How OpenSearch keeps a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// `date`
    Date,
    /// `long`: counts of bytes pass 2 GiB
    Long,
    /// `keyword` that indexes no more than Lucene's longest term
    Keyword,
    /// `keyword` with a sub-field `ip`. Few clients are host names, and those are no reason to refuse a document.
    Client,
    /// `text`
    Text,
}

/// A field that documents may have.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key in a document.
    pub name: &'static str,
    /// Its name in Elastic's Common Schema, as Filebeat's apache module uses it. Empty where there is none.
    pub ecs: &'static str,
    /// How it is kept.
    pub mapping: Mapping,
}

/// When the request began: local time and offset.
pub const TIMESTAMP: &str = "@timestamp";
/// When the run began that loaded the document.
pub const INGESTION_TIMESTAMP: &str = "@ingestion_timestamp";
/// What kind of log it is.
pub const LOG_TYPE: &str = "@log_type";
/// `%h`
pub const CLIENTIP: &str = "clientip";
/// `%l`
pub const IDENT: &str = "ident";
/// `%u`
pub const AUTH: &str = "auth";
/// The method of `%r`.
pub const VERB: &str = "verb";
/// The target of `%r`.
pub const REQUEST: &str = "request";
/// The number after `HTTP/` in `%r`.
pub const HTTPVERSION: &str = "httpversion";
/// `%r`, where it is not method, target and protocol.
pub const RAWREQUEST: &str = "rawrequest";
/// `%>s`
pub const RESPONSE: &str = "response";
/// `%b` or `%O`
pub const BYTES: &str = "bytes";
/// `%{Referer}i`
pub const REFERRER: &str = "referrer";
/// `%{User-Agent}i`
pub const AGENT: &str = "agent";
/// `%v` or `%v:%p`
pub const VHOST: &str = "vhost";
/// The whole list where the client is one.
pub const X_FORWARDED_FOR: &str = "x_forwarded_for";
/// `%I`
pub const BYTES_IN: &str = "bytes_in";
/// `%O`, where it comes after the agent
pub const BYTES_OUT: &str = "bytes_out";
/// What follows the last field and one space.
pub const EXTRA: &str = "extra";
/// `%t` as written, without brackets.
pub const TIME_AS_WRITTEN: &str = "timestamp";
/// The whole line.
pub const MESSAGE: &str = "message";
/// Where the line comes from.
pub const LOG_FILE_PATH: &str = "log.file.path";
/// Where the line starts in the file's decompressed bytes.
pub const LOG_OFFSET: &str = "log.offset";
/// The bucket of an S3 source.
pub const S3_BUCKET: &str = "s3.bucket";
/// The key of an S3 source.
pub const S3_KEY: &str = "s3.key";

/// All fields, in the order that documents have them.
#[rustfmt::skip]
pub const FIELDS: [Field; 25] = [
    Field { name: TIMESTAMP,           ecs: "@timestamp",                mapping: Mapping::Date },
    Field { name: CLIENTIP,            ecs: "source.address",            mapping: Mapping::Client },
    Field { name: IDENT,               ecs: "apache.access.identity",    mapping: Mapping::Keyword },
    Field { name: AUTH,                ecs: "user.name",                 mapping: Mapping::Keyword },
    Field { name: VERB,                ecs: "http.request.method",       mapping: Mapping::Keyword },
    Field { name: REQUEST,             ecs: "url.original",              mapping: Mapping::Keyword },
    Field { name: HTTPVERSION,         ecs: "http.version",              mapping: Mapping::Keyword },
    Field { name: RAWREQUEST,          ecs: "",                          mapping: Mapping::Keyword },
    Field { name: RESPONSE,            ecs: "http.response.status_code", mapping: Mapping::Long },
    Field { name: BYTES,               ecs: "http.response.body.bytes",  mapping: Mapping::Long },
    Field { name: REFERRER,            ecs: "http.request.referrer",     mapping: Mapping::Keyword },
    Field { name: AGENT,               ecs: "user_agent.original",       mapping: Mapping::Keyword },
    Field { name: VHOST,               ecs: "destination.domain",        mapping: Mapping::Keyword },
    Field { name: X_FORWARDED_FOR,     ecs: "",                          mapping: Mapping::Keyword },
    Field { name: BYTES_IN,            ecs: "http.request.bytes",        mapping: Mapping::Long },
    Field { name: BYTES_OUT,           ecs: "http.response.bytes",       mapping: Mapping::Long },
    Field { name: EXTRA,               ecs: "",                          mapping: Mapping::Keyword },
    Field { name: TIME_AS_WRITTEN,     ecs: "",                          mapping: Mapping::Keyword },
    Field { name: MESSAGE,             ecs: "event.original",            mapping: Mapping::Text },
    Field { name: LOG_OFFSET,          ecs: "log.offset",                mapping: Mapping::Long },
    Field { name: INGESTION_TIMESTAMP, ecs: "event.ingested",            mapping: Mapping::Date },
    Field { name: LOG_TYPE,            ecs: "event.dataset",             mapping: Mapping::Keyword },
    Field { name: S3_BUCKET,           ecs: "aws.s3.bucket.name",        mapping: Mapping::Keyword },
    Field { name: S3_KEY,              ecs: "aws.s3.object.key",         mapping: Mapping::Keyword },
    Field { name: LOG_FILE_PATH,       ecs: "log.file.path",             mapping: Mapping::Keyword },
];

/// The longest keyword that is indexed, in characters. Lucene's longest term is 32,766 bytes, a character has up to
/// four; a longer value, such as a URL of 100 kB, stays in the document and is not searchable by this field.
pub const IGNORE_ABOVE: u32 = 8191;

/// What an index template is made for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Template<'a> {
    /// Index name patterns, such as `apache-access-log-*`.
    pub patterns: &'a [String],
    /// Primary shards; OpenSearch's own default where none is given.
    pub shards: Option<u32>,
    /// Copies of each; OpenSearch's own default where none is given.
    pub replicas: Option<u32>,
    /// Which template wins where several match.
    pub priority: u32,
}

/// Goes up by one whenever the template changes: an older loghaul leaves a newer one's template alone.
const TEMPLATE_VERSION: u32 = 1;

/// The body of `PUT _index_template/NAME`.
pub fn template(template: Template) -> Value {
    let mut settings = Map::new();
    if let Some(shards) = template.shards {
        settings.insert("number_of_shards".into(), shards.into());
    }
    if let Some(replicas) = template.replicas {
        settings.insert("number_of_replicas".into(), replicas.into());
    }
    json!({
        "index_patterns": template.patterns,
        "priority": template.priority,
        "_meta": {
            "description": "Apache access logs, one document per line, loaded by loghaul",
            "managed_by": "loghaul",
            "version": TEMPLATE_VERSION,
        },
        "template": {
            "settings": { "index": settings },
            "mappings": {
                // What --field adds is a keyword too.
                "dynamic_templates": [{
                    "strings_are_keywords": { "match_mapping_type": "string", "mapping": keyword() },
                }],
                "properties": properties(),
            },
        },
    })
}

/// Mappings of all fields, a dotted name as objects in each other.
fn properties() -> Map<String, Value> {
    let mut properties = Map::new();
    for field in FIELDS {
        let mut parts = field.name.split('.').peekable();
        let mut level = &mut properties;
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                level.insert(part.into(), mapping(field.mapping));
                break;
            }
            let object = level.entry(part).or_insert_with(|| json!({ "properties": {} }));
            level = object["properties"].as_object_mut().expect("no field is both a value and an object");
        }
    }
    properties
}

fn mapping(mapping: Mapping) -> Value {
    match mapping {
        Mapping::Date => json!({ "type": "date" }),
        Mapping::Long => json!({ "type": "long" }),
        Mapping::Keyword => keyword(),
        Mapping::Client => {
            let mut client = keyword();
            client["fields"] = json!({ "ip": { "type": "ip", "ignore_malformed": true } });
            client
        }
        Mapping::Text => json!({ "type": "text" }),
    }
}

fn keyword() -> Value {
    json!({ "type": "keyword", "ignore_above": IGNORE_ABOVE })
}

/// Checks the names of constant fields (`--field NAME=VALUE`).
///
/// # Errors
/// A usage error for a name that a document has already, that would be a value and an object at once (`log`, or both
/// `a` and `a.b`), that is given twice, or that OpenSearch does not take.
pub fn check_field_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut taken: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
    for name in names {
        let bad = |why: &str| Error::usage(format!("--field {name:?}: {why}"));
        if name.is_empty() || name.split('.').any(|part| part.trim().is_empty()) {
            return Err(bad("a field needs a name, and so does each part between dots"));
        }
        if name.starts_with('_') || name.chars().any(char::is_control) {
            return Err(bad("names that start with `_` are OpenSearch's own, and control characters cannot be used"));
        }
        for other in &taken {
            if name == *other {
                return Err(bad("documents have this field already"));
            }
            let inside = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'));
            if inside(name, other) || inside(other, name) {
                return Err(bad(&format!("`{other}` is a field too, and one would be inside the other")));
            }
        }
        taken.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_agrees_with_documents() {
        let patterns = ["apache-access-log-*".to_owned()];
        let body = template(Template { patterns: &patterns, shards: Some(1), replicas: None, priority: 100 });
        let properties = &body["template"]["mappings"]["properties"];
        assert_eq!(body["index_patterns"], json!(["apache-access-log-*"]));
        assert_eq!(body["template"]["settings"], json!({ "index": { "number_of_shards": 1 } }));
        assert_eq!(properties["bytes"], json!({ "type": "long" }));
        assert_eq!(properties["@timestamp"], json!({ "type": "date" }));
        assert_eq!(properties["clientip"]["fields"]["ip"], json!({ "type": "ip", "ignore_malformed": true }));
        assert_eq!(properties["log"]["properties"]["file"]["properties"]["path"]["type"], "keyword");
        assert_eq!(properties["log"]["properties"]["offset"]["type"], "long");
        assert_eq!(properties["s3"]["properties"]["key"]["ignore_above"], 8191);
        for field in FIELDS {
            let pointer = format!("/{}/type", field.name.replace('.', "/properties/"));
            assert!(properties.pointer(&pointer).is_some(), "{} is mapped", field.name);
        }
    }

    #[test]
    fn field_names() {
        for good in [&["env", "team"][..], &["log.level", "s3.region"], &["a.b", "a.c"], &["bytesx"]] {
            assert!(check_field_names(good.iter().copied()).is_ok(), "{good:?}");
        }
        let bad: &[&[&str]] = &[
            &[""],
            &["bytes"],
            &["message"],
            &["log"],
            &["log.file"],
            &["bytes.x"],
            &["a", "a"],
            &["a", "a.b"],
            &["a.b", "a"],
            &["_id"],
            &[".a"],
            &["a."],
            &["a..b"],
            &["@timestamp"],
        ];
        for bad in bad {
            assert!(check_field_names(bad.iter().copied()).is_err(), "{bad:?}");
        }
    }
}
