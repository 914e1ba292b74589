//! The flags of the load profile, and those of `loghaul restore`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::login::LoginFlags;
use super::values;

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  loghaul restore --dry-run                            what would be restored, and where
  loghaul restore --to http://localhost:9200
  loghaul restore --to https://joe@search.example.com:9200 --json";

/// Settings of indices while they are loaded.
#[derive(Debug, Args)]
pub struct ProfileFlags {
    /// Settings of new indices while they are loaded: bulk switches refresh and replicas off, none leaves all as it is
    ///
    /// Only on indices that this load itself creates (see --profile-existing); searches see documents once it is done.
    /// An index's own settings are written to the ledger first and restored at the end, however it comes: after a kill -9
    /// by the next load, or by loghaul restore. Where several loads overlap, the last one restores. Default: none.
    #[arg(long, value_name = "PROFILE", value_enum, help_heading = "OpenSearch")]
    pub profile: Option<Profile>,

    /// Apply the profile to indices that were there before, too
    ///
    /// While it lasts they have no replicas: a node that is lost for good takes their documents with it.
    #[arg(long, help_heading = "OpenSearch")]
    pub profile_existing: bool,

    /// After the profile, wait until all copies of its indices are there (green): --wait, or --wait=DURATION, 1s to 7d
    ///
    /// Without a duration: 10m. Not green by then is exit code 1; the documents are in all the same.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "10m",
          help_heading = "OpenSearch",
          value_parser = values::duration_within(Duration::from_secs(1), Duration::from_secs(7 * 86_400)))]
    pub wait: Option<Duration>,
}

/// Which settings an index has while it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Its own
    None,
    /// No refresh, no replicas
    Bulk,
}

/// `loghaul restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The OpenSearch whose indices get their settings back: http(s)://HOST:PORT. Several are hosts of one cluster
    #[arg(long, value_name = "URL", required_unless_present = "dry_run")]
    pub to: Vec<String>,

    /// Tell what would be done and change nothing; without --to for all clusters in the ledger
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Where the record of loads is kept. Default: loghaul/ledger.db in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginFlags,
}
