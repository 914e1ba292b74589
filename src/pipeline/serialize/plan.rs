//! [`Options`] and what is made of them once per run, [`Plan`]: all constant text of a document, ready to be stored.

use super::id::IdMode;
use super::index::IndexPattern;
use super::json;
use super::mask::Mask;
use crate::error::Result;
use crate::schema::{self, Field, Schema};

/// What documents look like.
#[derive(Clone, Debug)]
pub struct Options {
    /// What fields are called.
    pub schema: Schema,
    /// No action lines: documents alone, as `loghaul parse` and `--to -` give them.
    pub documents_only: bool,
    /// Which index a document goes to.
    pub index: IndexPattern,
    /// Where ids come from.
    pub ids: IdMode,
    /// `message`: the whole line.
    pub with_message: bool,
    /// `log.file.path` and `log.offset`.
    pub with_source: bool,
    /// `extra`: what follows the last field.
    pub with_extra: bool,
    /// `timestamp`: the time as written.
    pub with_timestamp: bool,
    /// What may not be stored.
    pub mask: Mask,
    /// Constant fields: name and value.
    pub fields: Vec<(String, String)>,
    /// `@log_type`.
    pub log_type: String,
    /// `@ingestion_timestamp`.
    pub ingestion_timestamp: String,
    /// Lines of events before this are left out; in seconds since 1970-01-01T00:00:00Z.
    pub since: Option<i64>,
    /// Lines of events at or after this are left out; in seconds since 1970-01-01T00:00:00Z.
    pub until: Option<i64>,
    /// Whether malformed lines are written down, in [`Block::malformed_ndjson`](super::Block::malformed_ndjson).
    pub keep_malformed: bool,
}

impl Default for Options {
    /// What `loghaul load` does without flags, but for the time of ingestion.
    fn default() -> Options {
        Options {
            schema: Schema::Grok,
            documents_only: false,
            index: IndexPattern::new("apache-access-log-%Y-%m").expect("a good pattern"),
            ids: IdMode::Source,
            with_message: false,
            with_source: false,
            with_extra: false,
            with_timestamp: false,
            mask: Mask::default(),
            fields: Vec::new(),
            log_type: "apache-access-log".to_owned(),
            ingestion_timestamp: "1970-01-01T00:00:00Z".to_owned(),
            since: None,
            until: None,
            keep_malformed: false,
        }
    }
}

/// The longest piece, in bytes.
const PIECE_BYTES: usize = 128;

/// A piece of constant text, stored 32 or 64 bytes wide whatever its length, and wider where it is longer.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) bytes: [u8; PIECE_BYTES],
    pub(super) len: usize,
}

impl Piece {
    /// A piece for one 32-byte store.
    fn short(text: &str) -> Piece {
        assert!(text.len() <= 32, "{text} is stored 32 bytes wide");
        Piece::new(text)
    }

    fn new(text: &str) -> Piece {
        let mut bytes = [0; PIECE_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Piece { bytes, len: text.len() }
    }

    /// The text itself.
    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What is the same for all documents of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) options: Options,
    /// Whether documents have only the fields that most want.
    pub(super) plain: bool,
    /// Events that are wanted: from (included), until (not included).
    wanted: (i64, i64),
    /// `","ident":"-","auth":"-","verb":"`
    pub(super) nobody: Piece,
    /// `","ident":"`
    pub(super) ident: Piece,
    /// `","auth":"`
    pub(super) auth: Piece,
    /// `","verb":"`
    pub(super) verb: Piece,
    /// `","request":"`
    pub(super) request: Piece,
    /// `","httpversion":"0.0","response":000,"bytes":`
    pub(super) numbers: Piece,
    /// Where in `numbers` the version stands.
    pub(super) version_at: usize,
    /// Where in `numbers` the status stands.
    pub(super) status_at: usize,
    /// `,"referrer":"`
    pub(super) referrer: Piece,
    /// `","agent":"`
    pub(super) agent: Piece,
    /// `,"vhost":"`
    pub(super) vhost: Piece,
    /// `,"x_forwarded_for":"`
    pub(super) forwarded: Piece,
    /// `,"bytes_in":`
    pub(super) bytes_in: Piece,
    /// `,"bytes_out":`
    pub(super) bytes_out: Piece,
    /// The end of every document of a source of which nothing is told there.
    plain_tail: Vec<u8>,
}

impl Plan {
    /// Checks the options and prepares the text.
    ///
    /// # Errors
    /// A usage error if a constant field has a name that cannot be used.
    pub fn new(options: Options) -> Result<Plan> {
        let schema = options.schema;
        schema::check_field_names(schema, options.fields.iter().map(|(name, _)| name.as_str()))?;
        let first_text = |field: Field| format!(",\"{}\":\"", field.name(schema));
        let after_text = |field: Field| format!("\"{}", first_text(field));
        let number = |field: Field| format!(",\"{}\":", field.name(schema));
        let nobody = [after_text(schema::IDENT), after_text(schema::AUTH), after_text(schema::VERB)].join("-");
        let version = after_text(schema::HTTPVERSION);
        let status = format!("{version}0.0\"{}", number(schema::RESPONSE));
        let Options { with_message, with_source, with_extra, with_timestamp, .. } = options;
        let mut plan = Plan {
            plain: !(with_message || with_source || with_extra || with_timestamp),
            wanted: (options.since.unwrap_or(i64::MIN), options.until.unwrap_or(i64::MAX)),
            nobody: Piece::new(&nobody),
            ident: Piece::short(&after_text(schema::IDENT)),
            auth: Piece::short(&after_text(schema::AUTH)),
            verb: Piece::short(&after_text(schema::VERB)),
            request: Piece::short(&after_text(schema::REQUEST)),
            numbers: Piece::new(&format!("{status}000{}", number(schema::BYTES))),
            version_at: version.len(),
            status_at: status.len(),
            referrer: Piece::short(&first_text(schema::REFERRER)),
            agent: Piece::short(&after_text(schema::AGENT)),
            vhost: Piece::short(&first_text(schema::VHOST)),
            forwarded: Piece::new(&first_text(schema::X_FORWARDED_FOR)),
            bytes_in: Piece::short(&number(schema::BYTES_IN)),
            bytes_out: Piece::short(&number(schema::BYTES_OUT)),
            plain_tail: Vec::new(),
            options,
        };
        plan.plain_tail = plan.make_tail(None, None);
        Ok(plan)
    }

    /// What the plan was made of.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether an event of that time, in seconds since 1970-01-01T00:00:00Z, is wanted.
    #[inline(always)]
    pub(super) fn wants(&self, unix: i64) -> bool {
        (self.wanted.0..self.wanted.1).contains(&unix)
    }

    /// The end of every document of a source: `,"@ingestion_timestamp":"…",…}` and the newline.
    pub(super) fn tail(&self, uri: &str, s3: Option<(&str, &str)>) -> Vec<u8> {
        let uri = self.options.with_source.then_some(uri);
        if uri.is_none() && s3.is_none() { self.plain_tail.clone() } else { self.make_tail(uri, s3) }
    }

    fn make_tail(&self, uri: Option<&str>, s3: Option<(&str, &str)>) -> Vec<u8> {
        let mut tail = Vec::new();
        let mut add = |name: &str, value: &str| {
            tail.push(b',');
            tail.extend_from_slice(&json::string(name));
            tail.push(b':');
            tail.extend_from_slice(&json::string(value));
        };
        let ours = |field: Field| field.name(self.options.schema);
        add(ours(schema::INGESTION_TIMESTAMP), &self.options.ingestion_timestamp);
        add(ours(schema::LOG_TYPE), &self.options.log_type);
        if let Some((bucket, key)) = s3 {
            add(ours(schema::S3_BUCKET), bucket);
            add(ours(schema::S3_KEY), key);
        }
        if let Some(uri) = uri {
            add(ours(schema::LOG_FILE_PATH), uri);
        }
        for (name, value) in &self.options.fields {
            add(name, value);
        }
        tail.extend_from_slice(b"}\n");
        tail
    }
}
