//! The one table of a document's fields: what each is called in each [`Schema`], and how it is mapped. The serializer
//! takes its names from here, the index template its mappings ([`template()`]), the dashboards their fields, `--field` what
//! it may not use.
//!
//! Documents have flat keys; a key with dots is an object to OpenSearch, and the template says so.

pub mod compare; // how a mapping differs from what documents need
pub mod template; // the index template

pub use compare::{Difference, differences, made_for_another};
pub use template::{INDEX_SHARE, Template, mappings, template};

use crate::error::{Error, Result};

/// What fields are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// As grok's COMBINEDAPACHELOG has them, and so Logstash and Data Prepper.
    #[default]
    Grok,
    /// Elastic's Common Schema, as Filebeat's apache module uses it.
    Ecs,
}

impl Schema {
    /// As it is typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Schema::Grok => "grok",
            Schema::Ecs => "ecs",
        }
    }
}

/// How OpenSearch keeps a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// `date`
    Date,
    /// `long`: counts of bytes pass 2 GiB
    Long,
    /// `keyword` that indexes no more than Lucene's longest term
    Keyword,
    /// `keyword`, and its address once more as `ip`. Few clients are host names, and those are no reason to refuse a
    /// document.
    Client,
    /// `text`
    Text,
}

/// A field that documents may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its key in a document under [`Schema::Grok`].
    pub grok: &'static str,
    /// Its key under [`Schema::Ecs`]: what Filebeat's apache module calls it, or a name below `apache.access`, which is
    /// the module's own, where the Common Schema has none.
    pub ecs: &'static str,
    /// How it is kept.
    pub mapping: Mapping,
}

impl Field {
    /// Its key in a document.
    pub const fn name(&self, schema: Schema) -> &'static str {
        match schema {
            Schema::Grok => self.grok,
            Schema::Ecs => self.ecs,
        }
    }
}

const fn field(grok: &'static str, ecs: &'static str, mapping: Mapping) -> Field {
    Field { grok, ecs, mapping }
}

/// When the request began: local time and offset.
pub const TIMESTAMP: Field = field("@timestamp", "@timestamp", Mapping::Date);
/// `%h`
pub const CLIENTIP: Field = field("clientip", "source.address", Mapping::Client);
/// `%l`
pub const IDENT: Field = field("ident", "apache.access.identity", Mapping::Keyword);
/// `%u`
pub const AUTH: Field = field("auth", "user.name", Mapping::Keyword);
/// The method of `%r`.
pub const VERB: Field = field("verb", "http.request.method", Mapping::Keyword);
/// The target of `%r`.
pub const REQUEST: Field = field("request", "url.original", Mapping::Keyword);
/// The number after `HTTP/` in `%r`.
pub const HTTPVERSION: Field = field("httpversion", "http.version", Mapping::Keyword);
/// `%r`, where it is not method, target and protocol.
pub const RAWREQUEST: Field = field("rawrequest", "apache.access.rawrequest", Mapping::Keyword);
/// `%>s`
pub const RESPONSE: Field = field("response", "http.response.status_code", Mapping::Long);
/// `%b` or `%O`
pub const BYTES: Field = field("bytes", "http.response.body.bytes", Mapping::Long);
/// `%{Referer}i`
pub const REFERRER: Field = field("referrer", "http.request.referrer", Mapping::Keyword);
/// `%{User-Agent}i`
pub const AGENT: Field = field("agent", "user_agent.original", Mapping::Keyword);
/// `%v` or `%v:%p`
pub const VHOST: Field = field("vhost", "destination.domain", Mapping::Keyword);
/// The whole list where the client is one.
pub const X_FORWARDED_FOR: Field = field("x_forwarded_for", "apache.access.x_forwarded_for", Mapping::Keyword);
/// `%I`
pub const BYTES_IN: Field = field("bytes_in", "http.request.bytes", Mapping::Long);
/// `%O`, where it comes after the agent.
pub const BYTES_OUT: Field = field("bytes_out", "http.response.bytes", Mapping::Long);
/// What follows the last field and one space.
pub const EXTRA: Field = field("extra", "apache.access.extra", Mapping::Keyword);
/// `%t` as written, without brackets.
pub const TIME_AS_WRITTEN: Field = field("timestamp", "apache.access.timestamp", Mapping::Keyword);
/// The whole line.
pub const MESSAGE: Field = field("message", "event.original", Mapping::Text);
/// Where the line starts in the file's decompressed bytes.
pub const LOG_OFFSET: Field = field("log.offset", "log.offset", Mapping::Long);
/// When the run began that loaded the document.
pub const INGESTION_TIMESTAMP: Field = field("@ingestion_timestamp", "event.ingested", Mapping::Date);
/// What kind of log it is.
pub const LOG_TYPE: Field = field("@log_type", "event.dataset", Mapping::Keyword);
/// The bucket of an S3 source.
pub const S3_BUCKET: Field = field("s3.bucket", "aws.s3.bucket.name", Mapping::Keyword);
/// The key of an S3 source.
pub const S3_KEY: Field = field("s3.key", "aws.s3.object.key", Mapping::Keyword);
/// Where the line comes from.
pub const LOG_FILE_PATH: Field = field("log.file.path", "log.file.path", Mapping::Keyword);

/// All fields, in the order that documents have them.
#[rustfmt::skip]
pub const FIELDS: [Field; 25] = [
    TIMESTAMP, CLIENTIP, IDENT, AUTH, VERB, REQUEST, HTTPVERSION, RAWREQUEST, RESPONSE, BYTES, REFERRER, AGENT, VHOST,
    X_FORWARDED_FOR, BYTES_IN, BYTES_OUT, EXTRA, TIME_AS_WRITTEN, MESSAGE, LOG_OFFSET, INGESTION_TIMESTAMP, LOG_TYPE,
    S3_BUCKET, S3_KEY, LOG_FILE_PATH,
];

/// Checks the names of constant fields (`--field NAME=VALUE`).
///
/// # Errors
/// A usage error for a name that a document has already, that would be a value and an object at once (`log`, or both
/// `a` and `a.b`), that is given twice, or that OpenSearch does not take.
pub fn check_field_names<'a>(schema: Schema, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut taken: Vec<&str> = FIELDS.iter().map(|field| field.name(schema)).collect();
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
    fn no_field_is_inside_another() {
        for schema in [Schema::Grok, Schema::Ecs] {
            let names = FIELDS.map(|field| field.name(schema));
            for (n, name) in names.iter().enumerate() {
                assert!(check_field_names(schema, [*name]).is_err());
                for other in &names[n + 1..] {
                    assert!(name != other && !name.starts_with(&format!("{other}.")), "{name} {other}");
                    assert!(!other.starts_with(&format!("{name}.")), "{name} {other}");
                }
            }
        }
    }

    #[test]
    fn field_names() {
        for good in [&["env", "team"][..], &["log.level", "s3.region"], &["a.b", "a.c"], &["bytesx"]] {
            assert!(check_field_names(Schema::Grok, good.iter().copied()).is_ok(), "{good:?}");
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
            assert!(check_field_names(Schema::Grok, bad.iter().copied()).is_err(), "{bad:?}");
        }
    }
}
