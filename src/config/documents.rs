//! What a document holds, which lines become one, and which index it goes to.

use jiff::Timestamp;

use super::Surroundings;
use crate::cli::{DocumentFlags, Extra, Format, Mask};
use crate::error::Error;
use crate::escape::shown_within;
use crate::pipeline::serialize::IndexPattern;
use crate::schema::{self, Schema};
use crate::secret::Secret;

/// What becomes a document, and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentsConfig {
    /// How lines are written.
    pub format: Format,
    /// What fields are called.
    pub schema: Schema,
    /// Lines before this event time are left out (inclusive).
    pub since: Option<Timestamp>,
    /// Lines at or after this event time are left out (exclusive).
    pub until: Option<Timestamp>,
    /// Fields on demand.
    pub with: With,
    /// Constant string fields, by name; each name once and none of ours.
    pub fields: Vec<(String, String)>,
    /// What may not be stored.
    pub mask: MaskConfig,
    /// The value of `@log_type`.
    pub log_type: String,
    /// The value of `@ingestion_timestamp`.
    pub ingestion_timestamp: Timestamp,
}

/// Fields on demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct With {
    /// `message`: the line.
    pub message: bool,
    /// `log.file.path` and `log.offset`.
    pub source: bool,
    /// `extra`: what follows the last field.
    pub extra: bool,
    /// `timestamp`: the time as written.
    pub timestamp: bool,
}

/// What of a line may not be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskConfig {
    /// Clients' addresses.
    pub client: bool,
    /// Values in queries.
    pub query: bool,
    /// The key under which addresses are hashed; none: they are cut.
    pub key: Option<Secret>,
}

fn mask(flags: &DocumentFlags) -> Result<MaskConfig, Error> {
    let client = flags.mask.contains(&Mask::Clientip);
    let key = match &flags.mask_key_file {
        Some(_) if !client => return Err(Error::usage("--mask-key-file is for --mask clientip")),
        Some(file) => Some(Secret::from_file(file)?),
        None => None,
    };
    Ok(MaskConfig { client, query: flags.mask.contains(&Mask::Query), key })
}

/// Longest constant: beyond it OpenSearch would not index the keyword anyway (Lucene's limit is 32,766 bytes).
const FIELD_BYTES_MAX: usize = 8_191;

/// Checks the document flags together.
///
/// # Errors
/// If no line could pass, or if a field's name is taken.
pub fn documents(flags: &DocumentFlags, around: &Surroundings) -> Result<DocumentsConfig, Error> {
    let resolve = |flag: &str, when: Option<crate::cli::values::When>| {
        when.map(|when| when.resolve(around.now)).transpose().map_err(|why| Error::usage(format!("{flag}: {why}")))
    };
    let since = resolve("--since", flags.since)?;
    let until = resolve("--until", flags.until)?;
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err(Error::usage(format!("--since {since} is not before --until {until}: no line could pass")));
    }
    let schema = flags.schema.into();
    schema::check_field_names(schema, flags.fields.iter().map(|(name, _)| name.as_str()))?;
    if let Some((name, _)) = flags.fields.iter().find(|(name, value)| name.len().max(value.len()) > FIELD_BYTES_MAX) {
        let name = shown_within(name.as_bytes(), 40);
        return Err(Error::usage(format!("--field {name}: a name or value has at most {FIELD_BYTES_MAX} bytes")));
    }
    let with = |extra| flags.with.contains(&extra);
    let mask = mask(flags)?;
    if let (true, Some(kept)) = (
        mask.client || mask.query,
        [(Extra::Message, "message"), (Extra::Extra, "extra")].into_iter().find(|(extra, _)| with(*extra)),
    ) {
        return Err(Error::usage(format!(
            "--with {} keeps text in which anything may stand, and --mask is there",
            kept.1
        ))
        .hint("leave one of both away"));
    }
    Ok(DocumentsConfig {
        format: flags.format,
        schema,
        since,
        until,
        with: With {
            message: with(Extra::Message),
            source: with(Extra::Source),
            extra: with(Extra::Extra),
            timestamp: with(Extra::Timestamp),
        },
        mask,
        fields: flags.fields.clone(),
        log_type: flags.log_type.clone().unwrap_or_else(|| {
            match schema {
                Schema::Grok => "apache-access-log",
                // The module's name and the kind of log, as `event.dataset` is written.
                Schema::Ecs => "apache.access",
            }
            .to_owned()
        }),
        // Milliseconds are what OpenSearch's dates keep.
        ingestion_timestamp: flags.ingestion_timestamp.unwrap_or_else(|| {
            Timestamp::from_millisecond(around.now.as_millisecond()).expect("a part of a time is a time")
        }),
    })
}

/// Checks an index pattern, and gives a wildcard that matches every index it can name (`web-%Y-%m` gives `web-*`).
///
/// # Errors
/// If an index could not have such a name, or if nothing in it is fixed: then every index would match.
pub fn index_wildcard(pattern: &str) -> Result<String, Error> {
    let mut wildcard = IndexPattern::new(pattern)?.wildcard();
    // What stands between two wildcards is mostly a dash; one wildcard for all keeps the template readable.
    if let (Some(first), Some(last)) = (wildcard.find('*'), wildcard.rfind('*'))
        && wildcard[first..=last].chars().all(|c| matches!(c, '*' | '-' | '.' | '_'))
    {
        wildcard.replace_range(first..=last, "*");
    }
    if !wildcard.contains(char::is_alphanumeric) {
        return Err(Error::usage(format!(
            "--index {pattern:?}: a name needs letters of its own, or every index would match"
        ))
        .hint("for example: --index apache-access-log-%Y-%m"));
    }
    Ok(wildcard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)]) -> Result<DocumentsConfig, String> {
        let flags = DocumentFlags {
            format: Format::Auto,
            schema: crate::cli::Schema::Grok,
            since: None,
            until: None,
            with: vec![Extra::Source, Extra::Source],
            fields: fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            mask: Vec::new(),
            mask_key_file: None,
            log_type: None,
            ingestion_timestamp: None,
        };
        documents(&flags, &Surroundings::bare()).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_that_go() {
        let config = check(&[("site", "shop"), ("service.name", ""), ("bytesized", "x")]);
        assert_eq!(config.unwrap().with, With { source: true, ..With::default() });
    }

    #[test]
    fn fields_that_do_not_go() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("agent", "x")], "documents have this field already"),
            (&[("log", "x")], "is a field too, and one would be inside"),
            (&[("a", "1"), ("a.b", "2")], "`a` is a field too"),
        ];
        for (fields, says) in cases {
            let error = check(fields).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(check(&[("a", &"x".repeat(8_192))]).unwrap_err().ends_with("at most 8191 bytes"));
    }

    #[test]
    fn index_patterns() {
        let cases: &[(&str, Result<&str, &str>)] = &[
            ("apache-access-log-%Y-%m", Ok("apache-access-log-*")),
            ("web-%Y.%m.%d", Ok("web-*")),
            ("web", Ok("web")),
            ("web-%Y-w%d-x", Ok("web-*-w*-x")),
            ("%Y-web", Ok("*-web")),
            ("%Y-%m", Err("needs letters")),
            ("Web-%Y", Err("upper-case")),
            ("web-%q", Err("%q is not known")),
        ];
        for (pattern, expected) in cases {
            match (index_wildcard(pattern), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, *expected),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{pattern}: {error}"),
                (got, _) => panic!("{pattern}: {got:?}"),
            }
        }
    }
}
