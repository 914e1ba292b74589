//! What a document holds, which lines become one, and which index it goes to.

use jiff::Timestamp;

use super::Surroundings;
use crate::cli::{DocumentFlags, Extra, Format};
use crate::error::Error;

/// What becomes a document, and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentsConfig {
    /// How lines are written.
    pub format: Format,
    /// Lines before this event time are left out (inclusive).
    pub since: Option<Timestamp>,
    /// Lines at or after this event time are left out (exclusive).
    pub until: Option<Timestamp>,
    /// Fields on demand.
    pub with: With,
    /// Constant string fields, by name; each name once and none of ours.
    pub fields: Vec<(String, String)>,
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

/// Every name that a document of ours can have.
const NAMES: &[&str] = &[
    "@timestamp",
    "@ingestion_timestamp",
    "@log_type",
    "clientip",
    "x_forwarded_for",
    "ident",
    "auth",
    "timestamp",
    "verb",
    "request",
    "httpversion",
    "rawrequest",
    "response",
    "bytes",
    "referrer",
    "agent",
    "vhost",
    "bytes_in",
    "bytes_out",
    "extra",
    "message",
    "log.file.path",
    "log.offset",
    "s3.bucket",
    "s3.key",
];

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
    for (n, (name, value)) in flags.fields.iter().enumerate() {
        field(name, value)?;
        if let Some((other, _)) = flags.fields[..n].iter().find(|(other, _)| clash(name, other)) {
            return Err(match other == name {
                true => Error::usage(format!("--field {name} is there twice")),
                false => Error::usage(format!("--field {name} and --field {other}: one would be a part of the other")),
            });
        }
    }
    let with = |extra| flags.with.contains(&extra);
    Ok(DocumentsConfig {
        format: flags.format,
        since,
        until,
        with: With {
            message: with(Extra::Message),
            source: with(Extra::Source),
            extra: with(Extra::Extra),
            timestamp: with(Extra::Timestamp),
        },
        fields: flags.fields.clone(),
        log_type: flags.log_type.clone(),
        ingestion_timestamp: flags.ingestion_timestamp.unwrap_or(around.now),
    })
}

fn field(name: &str, value: &str) -> Result<(), Error> {
    let wrong = |why: &str| Error::usage(format!("--field {name}: {why}"));
    if let Some(taken) = NAMES.iter().find(|taken| clash(name, taken)) {
        return Err(match *taken == name {
            true => wrong("documents have a field of this name already").hint("choose another name"),
            false => wrong(&format!("this does not go together with the field {taken}")).hint("choose another name"),
        });
    }
    if name.starts_with('_') {
        return Err(wrong("names that begin with _ are OpenSearch's own"));
    }
    if name.split('.').any(|part| part.trim() != part || part.is_empty()) || name.contains(char::is_control) {
        return Err(wrong("a name has no empty parts, no blanks at the ends and no control characters"));
    }
    if value.len() > FIELD_BYTES_MAX || name.len() > FIELD_BYTES_MAX {
        return Err(wrong(&format!("a name or value has at most {FIELD_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Whether two names cannot be in one document: equal, or one an object that holds the other (`a` and `a.b`).
fn clash(a: &str, b: &str) -> bool {
    let holds = |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    a == b || holds(a, b) || holds(b, a)
}

/// What an index pattern may fill in, each with a value of the greatest length.
const SPECIFIERS: &[(char, &str)] =
    &[('Y', "2024"), ('m', "12"), ('d', "31"), ('H', "23"), ('j', "366"), ('G', "2024"), ('V', "52")];

/// Checks an index pattern, and gives the wildcard that matches every index it can name
/// (`web-%Y-%m` gives `web-*`).
///
/// # Errors
/// If an index could not have such a name (the rules are OpenSearch's, `MetadataCreateIndexService.validateIndexName`),
/// or if nothing in it is fixed.
pub fn index_wildcard(pattern: &str) -> Result<String, Error> {
    let wrong = |why: &str| {
        Error::usage(format!("--index '{}': {why}", pattern.escape_debug())).hint("such as apache-access-log-%Y-%m")
    };
    let (mut name, mut wildcard, mut fixed) = (String::new(), String::new(), false);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            name.push(c);
            wildcard.push(c);
            fixed |= c.is_alphanumeric();
            continue;
        }
        let specifier = chars.next().and_then(|c| SPECIFIERS.iter().find(|(known, _)| *known == c));
        let (_, sample) = specifier.ok_or_else(|| {
            wrong("after % comes one of Y (year) m (month) d (day) H (hour) j (day of year) G and V (ISO week)")
        })?;
        name.push_str(sample);
        wildcard.push('*');
    }
    // What stands between two wildcards is mostly a dash; one wildcard for all keeps the template's pattern readable.
    if let (Some(first), Some(last)) = (wildcard.find('*'), wildcard.rfind('*'))
        && wildcard[first..=last].chars().all(|c| matches!(c, '*' | '-' | '.' | '_'))
    {
        wildcard.replace_range(first..=last, "*");
    }
    if !fixed {
        return Err(wrong("a name needs letters of its own, or every index would match"));
    }
    if name.starts_with(['-', '_', '+']) {
        return Err(wrong("an index name does not begin with - _ or +"));
    }
    if name.chars().any(char::is_uppercase) {
        return Err(wrong("an index name is all lower case"));
    }
    if name.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':']) || name.contains(char::is_control) {
        return Err(wrong("an index name has none of \\ / * ? \" < > | , # : and no blanks"));
    }
    if name.len() > 255 {
        return Err(wrong("an index name has at most 255 bytes"));
    }
    Ok(wildcard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)]) -> Result<DocumentsConfig, String> {
        let flags = DocumentFlags {
            format: Format::Auto,
            since: None,
            until: None,
            with: vec![Extra::Source, Extra::Source],
            fields: fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            log_type: "apache".into(),
            ingestion_timestamp: None,
        };
        documents(&flags, &Surroundings::bare()).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_that_go() {
        let config = check(&[("site", "shop"), ("service.name", ""), ("service.version", "1"), ("bytesized", "x")]);
        assert_eq!(config.unwrap().with, With { source: true, ..With::default() });
    }

    #[test]
    fn fields_that_do_not_go() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("agent", "x")], "--field agent: documents have a field of this name already (choose another name)"),
            (&[("log", "x")], "--field log: this does not go together with the field log.file.path"),
            (&[("bytes.total", "x")], "--field bytes.total: this does not go together with the field bytes"),
            (&[("_id", "x")], "--field _id: names that begin with _ are OpenSearch's own"),
            (&[("a..b", "x")], "--field a..b: a name has no empty parts"),
            (&[("a", "1"), ("a", "2")], "--field a is there twice"),
            (&[("a", "1"), ("a.b", "2")], "--field a.b and --field a: one would be a part of the other"),
        ];
        for (fields, says) in cases {
            let error = check(fields).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn index_patterns() {
        let cases: &[(&str, Result<&str, &str>)] = &[
            ("apache-access-log-%Y-%m", Ok("apache-access-log-*")),
            ("web-%Y.%m.%d", Ok("web-*")),
            ("web", Ok("web")),
            ("web-%Y-w%V-x", Ok("web-*-w*-x")),
            ("%Y-web", Ok("*-web")),
            ("größe-%Y", Ok("größe-*")),
            ("", Err("needs letters")),
            ("%Y-%m", Err("needs letters")),
            ("Web-%Y", Err("lower case")),
            ("-web", Err("does not begin with")),
            ("web-%q", Err("after % comes one of")),
            ("web-%", Err("after % comes one of")),
            ("web*", Err("none of")),
            ("web log", Err("none of")),
            ("a\u{1b}b", Err("none of")),
        ];
        for (pattern, expected) in cases {
            match (index_wildcard(pattern), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, *expected),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{pattern}: {error}"),
                (got, _) => panic!("{pattern}: {got:?}"),
            }
        }
        assert!(index_wildcard(&"a".repeat(255)).is_ok());
        assert!(index_wildcard(&"a".repeat(256)).is_err());
    }
}
