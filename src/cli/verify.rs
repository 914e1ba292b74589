//! The flags of `loghaul verify`.

use std::path::PathBuf;

use clap::Args;

use super::flags::StoreFlags;
use super::login::LoginFlags;

pub(super) const EXAMPLES: &str = "\
Examples:
  loghaul runs                                              which runs there are
  loghaul verify 17 --to http://localhost:9200
  loghaul verify 17 --sample 100000 --json --to http://localhost:9200

A source that later runs went on with is compared as far as these have come. What cannot be compared is told.

Exit codes: 0 ledger and cluster agree, 1 they do not, nothing could be compared, or something could not be asked,
2 wrong usage.";

/// `loghaul verify RUN --to URL`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run's number
    #[arg(value_name = "RUN")]
    pub run: i64,

    /// The OpenSearch that it went to: http(s)://HOST:PORT. Several are hosts of one cluster
    #[arg(long, value_name = "URL", required = true)]
    pub to: Vec<String>,

    /// Ask for so many documents by their ids, drawn from all lines of the sources: 0 to 1000000
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub sample: u32,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Where the record of loads is kept. Default: loghaul/ledger.db in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub stores: StoreFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginFlags,
}
