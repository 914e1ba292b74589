//! The flags of `loghaul ship`.

use std::path::PathBuf;

use clap::Args;

use super::LoginFlags;
use super::flags::PaceFlags;
use super::values::MaxRejected;

pub(super) const EXAMPLES: &str = "\
Examples:
  loghaul load access.log --to dir:/var/spool/loghaul         (here, without a cluster)
  rsync -a /var/spool/loghaul relay:spool/                    (or a disk that is carried)
  loghaul ship spool --check                                  (all of it arrived, and whole?)
  loghaul ship spool --to http://localhost:9200
  loghaul ship spool --to http://localhost:9200               (again: what is new, what was left)

By hand, without loghaul: zstd -dc 000001.ndjson.zst |
  curl -H 'Content-Type: application/x-ndjson' --data-binary @- http://localhost:9200/_bulk

Exit codes, the first that fits:
  2    wrong usage
  130  interrupted (Ctrl-C, SIGTERM, SIGHUP)
  4    stopped early; run the same again, and it goes on
  1    something could not be done: a damaged or missing body, an incomplete directory, no server
  3    done, but documents were rejected
  0    all accounted for: documents in the manifest = indexed + duplicate + rejected";

/// `loghaul ship PATH --to URL`
#[derive(Debug, Args)]
pub struct ShipArgs {
    /// The directory that load --to dir:PATH has written, or a copy of it
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// The OpenSearch that its documents go to: http(s)://HOST:PORT; several hosts of one cluster share the work
    #[arg(long, value_name = "URL", required_unless_present = "check")]
    pub to: Vec<String>,

    /// Read all bodies, compare their checksums, send nothing; needs no server
    #[arg(long, help_heading = "Which bodies")]
    pub check: bool,

    /// Send what is whole of a directory whose load has not come to its end
    #[arg(long, help_heading = "Which bodies")]
    pub partial: bool,

    /// Send also what was sent to this cluster before; its documents are then found there (duplicate)
    #[arg(long, help_heading = "Which bodies")]
    pub again: bool,

    /// Remember in this file which bodies were sent. Default: shipped.ndjson in PATH
    ///
    /// For a PATH that cannot be written to, such as a disk that is mounted read-only.
    #[arg(long, value_name = "FILE", help_heading = "Which bodies")]
    pub state: Option<PathBuf>,

    /// Send documents through this ingest pipeline; none: through none. Default: what load --pipeline said
    #[arg(long, value_name = "NAME", help_heading = "OpenSearch")]
    pub pipeline: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginFlags,

    /// Send this many bulk requests at a time, at most: 1 to 64
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64),
          help_heading = "Pace")]
    pub writers: u32,

    /// Send at most this many documents a second. Default: no limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Pace")]
    pub max_docs_per_second: Option<u32>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub pace: PaceFlags,

    /// Keep rejected documents in this file. Default: dead-letters.ndjson beside the state
    #[arg(long, value_name = "FILE", help_heading = "Trouble")]
    pub dead_letters: Option<PathBuf>,

    /// Stop (exit code 4) when more documents are rejected: 10000, 1%, or both, which must both be passed
    #[arg(long, value_name = "LIMIT", default_value = "10000,1%", help_heading = "Trouble")]
    pub max_rejected: MaxRejected,

    /// Print the report as one JSON object
    #[arg(long, help_heading = "Report")]
    pub json: bool,

    /// No progress, and no summary when all went well
    #[arg(short, long, help_heading = "Report")]
    pub quiet: bool,
}
