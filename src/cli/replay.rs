//! The flags of `loghaul replay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::LoginFlags;
use super::values;

pub(super) const EXAMPLES: &str = "\
Examples:
  loghaul replay dead-letters.ndjson --to http://localhost:9200
  loghaul replay dead-letters.ndjson --type strict_dynamic_mapping_exception --to URL
  loghaul replay dead-letters.ndjson --index 'apache-access-log-2024-*' --source '*/web1/*' --to URL
  loghaul replay dead-letters.ndjson --pipeline none --to URL         (past the index's own pipeline)
  loghaul replay *.ndjson.gz --dead-letters again.ndjson --json --to URL
  jq -c '.document.agent |= .[:8000]' dead-letters.ndjson | loghaul replay - --dead-letters again.ndjson --to URL

Exit codes, the first that fits:
  2    wrong usage
  130  interrupted (Ctrl-C, SIGTERM, SIGHUP)
  4    stopped early; the same replay goes on later
  1    something could not be done: a missing file, a line that is no dead letter, no server
  3    done, but letters were rejected again
  0    all letters accounted for:
       letters read = indexed + duplicate + rejected + filtered + unreadable";

/// `loghaul replay FILE... --to URL`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Files of dead letters, as load keeps them (NDJSON, plain, gzip or zstd), or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// The OpenSearch to send them to: http(s)://HOST:PORT. Several are hosts of one cluster
    #[arg(long, value_name = "URL", required = true)]
    pub to: Vec<String>,

    /// Only letters that were rejected with this error type; * stands for any text (repeatable)
    ///
    /// The type field of a letter: OpenSearch's error type, or dropped_by_pipeline, or too_large. Default: all.
    #[arg(long = "type", value_name = "TYPE", help_heading = "Which letters")]
    pub types: Vec<String>,

    /// Only letters for this index; * stands for any text (repeatable)
    #[arg(long = "index", value_name = "INDEX", help_heading = "Which letters")]
    pub indices: Vec<String>,

    /// Only letters of this log; * stands for any text, slashes too (repeatable)
    ///
    /// The source field of a letter: the whole path as load was told it, so '*access.log' where the folder is not known.
    #[arg(long = "source", value_name = "SOURCE", help_heading = "Which letters")]
    pub sources: Vec<String>,

    /// Send documents through this ingest pipeline of the cluster; none: through none at all
    ///
    /// Letters hold documents as they were before any pipeline. Default: the one that each letter names, which is that of
    /// the load; else the index's own default pipeline, if it has one, which none switches off.
    #[arg(long, value_name = "NAME", help_heading = "OpenSearch")]
    pub pipeline: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginFlags,

    /// How long to wait for a cluster that refuses before the replay stops (exit code 4): 1s to 7d
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "Pace",
          value_parser = values::duration_within(Duration::from_secs(1), Duration::from_secs(7 * 86_400)))]
    pub give_up_after: Duration,

    /// Keep letters that are rejected again in this file. Default: FILE.again.ndjson beside each FILE
    ///
    /// FILE itself is never changed. A file that is there is overwritten only if it is named here.
    #[arg(long, value_name = "FILE", help_heading = "Trouble")]
    pub dead_letters: Option<PathBuf>,

    /// Print the report as one JSON object
    #[arg(long, help_heading = "Report")]
    pub json: bool,

    /// No progress, and no summary when all went well
    #[arg(short, long, help_heading = "Report")]
    pub quiet: bool,
}
