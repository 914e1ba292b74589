//! The flags of `loghaul runs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::values;

pub(super) const EXAMPLES: &str = "\
Examples:
  loghaul runs                            the newest first
  loghaul runs --json | jq '.runs[0]'
  loghaul runs show 17                    one run, file by file
  loghaul runs forget 17                  its files count as not loaded
  loghaul runs forget --older-than 30d";

/// `loghaul runs`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = false, disable_help_subcommand = true)]
pub struct RunsArgs {
    /// None: all runs, as a table.
    #[command(subcommand)]
    pub command: Option<RunsCommand>,

    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// Where the record of loads is kept. Default: loghaul/ledger.db in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "FILE", global = true)]
    pub ledger: Option<PathBuf>,
}

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Show one run and each of its files
    Show {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
    },

    /// Forget runs: their files count as not loaded, and a load reads them again
    ///
    /// Nothing is deleted in the cluster, and nothing is doubled: lines that are there count as duplicate (but for those
    /// loaded with --id none). Files of dead letters stay where they are.
    Forget {
        /// Its number
        #[arg(value_name = "ID", required_unless_present = "older_than", conflicts_with = "older_than")]
        id: Option<i64>,

        /// All runs that began longer ago than this, such as 30d; a day has 24 hours
        #[arg(long, value_name = "DURATION", value_parser = values::duration)]
        older_than: Option<Duration>,
    },
}
