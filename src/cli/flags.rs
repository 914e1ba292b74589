//! Groups of flags that several commands share, in the order in which help shows them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use jiff::Timestamp;

use super::values::{self, MaxRejected, When};
use crate::opensearch::Compression;
use crate::schema;

/// The index pattern where none is typed: one index per month of event time.
pub const INDEX_DEFAULT: &str = "apache-access-log-%Y-%m";

/// Where lines come from.
#[derive(Debug, Args)]
pub struct SourceFlags {
    /// Logs: files, directories, globs in quotes, - for standard input, or objects: s3://BUCKET/KEY
    ///
    /// s3://BUCKET/PREFIX/ takes all objects below it, and globs in keys those that match; gs:// and az:// likewise.
    /// https:// takes one file. Keys are written as they are, never percent-encoded. Credentials, region and endpoint come
    /// from where AWS's own tools take them (Google's and Azure's from their environment variables).
    /// Plain, gzip and zstd are told apart by their first bytes, never by name. Directories are searched all the way
    /// down. Files found in a directory or by a glob that hold no access lines (error logs, binaries) are skipped and
    /// named; a file given by name is always read. What is packed by anything else (tar, xz, bzip2, zip) fails with the
    /// command that unpacks it.
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,

    /// Of the files in directories and globs, take only those that match (repeatable)
    ///
    /// A pattern without a slash is compared with the file's name, one with a slash with its whole path; ** stands
    /// for any folders. Default: all.
    #[arg(long, value_name = "GLOB", help_heading = "Which files")]
    pub include: Vec<String>,

    /// Of the files in directories and globs, leave out those that match (repeatable); wins over --include
    #[arg(long, value_name = "GLOB", help_heading = "Which files")]
    pub exclude: Vec<String>,

    /// Of the files in directories and globs, take only those modified since then: 2d, 2024-01-31, RFC 3339
    ///
    /// Without an offset the time is UTC. Default: all.
    #[arg(long, value_name = "WHEN", value_parser = values::when, help_heading = "Which files")]
    pub newer_than: Option<When>,

    /// Of the files in directories and globs, take only those modified before then: 1h, 2024-01-31, RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = values::when, help_heading = "Which files")]
    pub older_than: Option<When>,

    /// Exit code 1 where a directory, a prefix or a glob comes to nothing; else it is a warning
    #[arg(long, help_heading = "Which files")]
    pub require_match: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub stores: StoreFlags,

    /// Lines longer than this are malformed (too_long) and skipped: 1KiB to 16MiB
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = values::bytes_within(1 << 10, 16 << 20),
          help_heading = "Which lines")]
    pub max_line_bytes: u64,

    /// Take a last line without line end, even where more of it may come
    ///
    /// By default such a line is taken where the end is certain (standard input, an intact archive, a file not touched
    /// for ten minutes) and else left for the next load, and told in the summary.
    #[arg(long, help_heading = "Which lines")]
    pub take_last_line: bool,

    /// Go by this name in ids and in log.file.path, in place of the source's own path
    ///
    /// For one SOURCE that is known elsewhere by another name: a pipe, a copy, a mount. Part of the ids: the same log
    /// under another name is loaded as another log.
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub source_name: Option<String>,

    /// Keep ids apart from those of other hosts with the same paths, for example "$(hostname)"
    ///
    /// Part of the ids: the same log under another namespace is loaded as another log. Default: empty.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, help_heading = "Identity")]
    pub namespace: String,
}

/// How object stores are asked.
#[derive(Debug, Args)]
pub struct StoreFlags {
    /// Ask this server in place of the store's own: for what speaks like S3. Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL", help_heading = "Object stores")]
    pub endpoint_url: Option<String>,

    /// Do not sign requests to object stores: what is public needs no credentials
    #[arg(long, help_heading = "Object stores")]
    pub no_sign_request: bool,
}

/// What a document looks like, and which lines become one.
#[derive(Debug, Args)]
pub struct DocumentFlags {
    /// The log's format; auto guesses it for each file from its first lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Auto, help_heading = "Which lines")]
    pub format: Format,

    /// Take only lines whose event time is not before this: 2024-01-31, RFC 3339, or 2d (ago)
    ///
    /// Without an offset the time is UTC. Lines left out are counted as outside.
    #[arg(long, value_name = "WHEN", value_parser = values::when, help_heading = "Which lines")]
    pub since: Option<When>,

    /// Take only lines whose event time is before this (not at it): 2024-01-31, RFC 3339, or 2d (ago)
    #[arg(long, value_name = "WHEN", value_parser = values::when, help_heading = "Which lines")]
    pub until: Option<When>,

    /// What fields are called: as grok's COMBINEDAPACHELOG has them, or as Elastic's Common Schema
    #[arg(long, value_name = "SCHEMA", value_enum, default_value_t = Schema::Grok, help_heading = "Documents")]
    pub schema: Schema,

    /// Add fields to each document, separated by commas
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', help_heading = "Documents")]
    pub with: Vec<Extra>,

    /// Add a constant field to each document (repeatable), such as site=shop
    ///
    /// Always a string. A name that documents have already is refused.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = values::field, help_heading = "Documents")]
    pub fields: Vec<(String, String)>,

    /// Leave out of documents, dead letters and malformed lines what may not be stored, separated by commas
    ///
    /// Slower than without. Not together with --with message or extra, which hold anything. Ids stay those of the lines as
    /// they are: masked or not, a line is there once. They hold four bytes of a hash of the line, by which somebody who
    /// has the rest of it could try out addresses; --id none has nothing of the kind.
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', help_heading = "Documents")]
    pub mask: Vec<Mask>,

    /// Under --mask clientip, take in place of a shortened address its hash under this key: the first line of a file
    ///
    /// Clients can still be told apart and counted, by nobody without the key can they be found again. Change the key, and
    /// the same client is another.
    #[arg(long, value_name = "FILE", requires = "mask", help_heading = "Documents")]
    pub mask_key_file: Option<PathBuf>,

    /// The value of @log_type in each document. Default: apache-access-log; apache.access under --schema ecs
    #[arg(long, value_name = "TEXT", help_heading = "Documents")]
    pub log_type: Option<String>,

    /// The value of @ingestion_timestamp in each document: RFC 3339. Default: when the run began
    ///
    /// Fix it to get the same bytes from two runs.
    #[arg(long, value_name = "TIME", value_parser = values::timestamp, help_heading = "Documents")]
    pub ingestion_timestamp: Option<Timestamp>,
}

/// Where documents go in OpenSearch, and how fast.
#[derive(Debug, Args)]
pub struct ServerFlags {
    /// Index name, with the event time (UTC) filled in: %Y %m %d %H, %j (day of year)
    #[arg(long, value_name = "PATTERN", default_value = INDEX_DEFAULT, help_heading = "OpenSearch")]
    pub index: String,

    /// How documents are told apart. Default: source; none for a collection of Amazon OpenSearch Serverless
    #[arg(long, value_name = "MODE", value_enum, help_heading = "OpenSearch")]
    pub id: Option<Id>,

    /// Send documents through this ingest pipeline of the cluster. Documents that it drops count as rejected
    #[arg(long, value_name = "NAME", help_heading = "OpenSearch")]
    pub pipeline: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: super::LoginFlags,

    /// Upper limit of a bulk request's body: 64KiB to 100MiB. Default: 5MiB, less where --memory is small
    ///
    /// It shrinks by itself when the cluster answers that requests are too large.
    #[arg(long, value_name = "SIZE", value_parser = values::bytes_within(64 << 10, 100 << 20), help_heading = "Pace")]
    pub bulk_bytes: Option<u64>,

    /// Send this many bulk requests at a time: 1 to 64. Default: found while loading, within --memory
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Pace")]
    pub writers: Option<u32>,

    /// Send at most this many documents a second, for clusters that also serve. Default: no limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Pace")]
    pub max_docs_per_second: Option<u64>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub pace: PaceFlags,

    /// Keep rejected documents in this file (NDJSON), each with its line's place and OpenSearch's reason
    ///
    /// With a ledger the file is added to, since what an earlier load has settled is not read again; with --no-ledger it
    /// is replaced. Default: run-N.dead-letters.ndjson beside the ledger.
    #[arg(long, value_name = "FILE", help_heading = "Trouble")]
    pub dead_letters: Option<PathBuf>,

    /// Stop (exit code 4) when more documents are rejected: 10000, 1%, or both, which must both be passed
    #[arg(long, value_name = "LIMIT", default_value = "10000,1%", help_heading = "Trouble")]
    pub max_rejected: MaxRejected,
}

/// How requests are sent, and how long it takes until one is given up.
#[derive(Debug, Args)]
pub struct PaceFlags {
    /// Compress request bodies; auto does not on loopback and private addresses
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Compress::Auto, help_heading = "Pace")]
    pub compress: Compress,

    /// How long to wait for the answer to a request before it is sent again: 2s to 1h
    ///
    /// The server itself is told to give up sooner, so that it is the one to say which documents it could not write.
    #[arg(long, value_name = "DURATION", default_value = "90s", help_heading = "Pace",
          value_parser = values::duration_within(Duration::from_secs(2), Duration::from_secs(3_600)))]
    pub request_timeout: Duration,

    /// How long to wait for a cluster that refuses before it stops (exit code 4): 1s to 7d
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "Pace",
          value_parser = values::duration_within(Duration::from_secs(1), Duration::from_secs(7 * 86_400)))]
    pub give_up_after: Duration,
}

/// What is remembered between loads.
#[derive(Debug, Args)]
pub struct LedgerFlags {
    /// Keep no record of this load, and look into none: each file is read in full
    ///
    /// Nothing is doubled: lines that are there already are counted as duplicate.
    #[arg(long, help_heading = "Ledger")]
    pub no_ledger: bool,

    /// Where the record of loads is kept. Default: loghaul/ledger.db in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "FILE", conflicts_with = "no_ledger", help_heading = "Ledger")]
    pub ledger: Option<PathBuf>,

    /// Go on where a run stopped: the last one of the same sources, or the one named
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["no_ledger", "again"],
          help_heading = "Ledger")]
    pub resume: Option<Option<String>>,

    /// Load files again that the ledger has as loaded; --resume of such a run goes on so
    #[arg(long, help_heading = "Ledger")]
    pub again: bool,
}

/// How much of this machine may be used.
#[derive(Debug, Args)]
pub struct MachineFlags {
    /// Threads that parse: 1 to 256. Default: one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "This machine")]
    pub threads: Option<u32>,

    /// Memory that may be used in all: about 20MiB or more. Default: 64MiB on two cores, 16MiB more per core above
    #[arg(long, value_name = "SIZE", value_parser = values::bytes_within(1 << 20, 1 << 44), help_heading = "This machine")]
    pub memory: Option<u64>,
}

/// What is told, and how.
#[derive(Debug, Args)]
pub struct ReportFlags {
    /// Keep malformed lines in this file (NDJSON): {"source","offset","reason","line"}
    ///
    /// With a ledger the file is added to, without one it is replaced. Default: run-N.malformed.ndjson beside the ledger.
    #[arg(long, value_name = "FILE", help_heading = "Trouble")]
    pub malformed: Option<PathBuf>,

    /// Exit code 3 when more of a file's lines are malformed: 10%, 0.5% or 0.1
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = values::share, help_heading = "Trouble")]
    pub max_malformed: f64,

    /// Print the report as one JSON object, on standard error where documents go to standard output
    #[arg(long, help_heading = "Report")]
    pub json: bool,

    /// No progress, and no summary when all went well
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Report")]
    pub quiet: bool,

    /// Tell more: how memory is shared out, and of each file its format and identity
    #[arg(short, long, action = ArgAction::Count, help_heading = "Report")]
    pub verbose: u8,
}

/// How lines are written (httpd's LogFormat nicknames).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Format {
    /// Guess for each file
    Auto,
    /// %h %l %u %t "%r" %>s %b
    Common,
    /// common, then "%{Referer}i" "%{User-Agent}i"
    Combined,
    /// combined, with %v:%p before it
    VhostCombined,
    /// common, with %v before it
    VhostCommon,
    /// combined, then %I %O
    #[value(name = "combinedio")]
    CombinedIo,
}

/// What fields are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// clientip, verb, request, response, bytes, agent …
    Grok,
    /// source.address, http.request.method, url.original, http.response.status_code …
    Ecs,
}

impl From<Schema> for schema::Schema {
    fn from(typed: Schema) -> schema::Schema {
        match typed {
            Schema::Grok => schema::Schema::Grok,
            Schema::Ecs => schema::Schema::Ecs,
        }
    }
}

/// How a document's id is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Id {
    /// From the log's identity and the line's place in it: a line is there once, however often it is loaded
    Source,
    /// From the line alone: equal lines become one document
    Content,
    /// OpenSearch chooses: a line may be there twice after trouble
    None,
}

/// Fields that are added on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Extra {
    /// message: the whole line
    Message,
    /// log.file.path and log.offset: the file, and the line's first byte in it (decompressed)
    Source,
    /// extra: what follows the last field of the format
    Extra,
    /// timestamp: the time as the log wrote it
    Timestamp,
}

/// What of a line is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mask {
    /// Client addresses are cut to /24 (IPv4) or /48 (IPv6), or hashed (--mask-key-file); names become "masked"
    Clientip,
    /// Values in the query of request and referrer are cut: /find?q=cat&page=2 becomes /find?q=&page=
    Query,
}

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// gzip, but none on loopback and private addresses
    Auto,
    /// Not at all
    None,
    /// gzip, understood by each cluster
    Gzip,
    /// zstd, OpenSearch 2.19 or later
    Zstd,
}

impl From<Compress> for Compression {
    fn from(typed: Compress) -> Compression {
        match typed {
            Compress::Auto => Compression::Auto,
            Compress::None => Compression::None,
            Compress::Gzip => Compression::Gzip,
            Compress::Zstd => Compression::Zstd,
        }
    }
}
