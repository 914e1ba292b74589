//! The flags of `loghaul bench`.

use std::time::Duration;

use clap::Args;

use super::flags::{DocumentFlags, Id, MachineFlags, SourceFlags};
use super::values;

pub(super) const EXAMPLES: &str = "\
Examples:
  loghaul bench access.log
  loghaul bench access.log.gz --seconds 20s
  loghaul bench 'logs/*.gz' --bytes 64MiB --threads 1
  loghaul bench access.log --json | jq '.rows[] | {name, gb_per_second}'
  zcat access.log.gz | head -n 1000000 | loghaul bench -

Reads no more than --bytes of the sources (decompressed), keeps them in memory, and needs no server. What is measured
is the code that load runs. Times include whatever else this machine does meanwhile: compare rows of one table.
Exit codes: 0 measured, 1 a source could not be read or holds no log, 2 wrong usage, 130 interrupted.";

/// `loghaul bench SOURCE...`
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sources: SourceFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub documents: DocumentFlags,

    /// How documents are told apart; an id costs its hash of the line
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Id::Source, help_heading = "Documents")]
    pub id: Id,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineFlags,

    /// Measure for about this long in all: 1s to 1h. Each row is measured 3 times at least
    #[arg(long, value_name = "DURATION", default_value = "5s", help_heading = "Measuring",
          value_parser = values::duration_within(Duration::from_secs(1), Duration::from_secs(3_600)))]
    pub seconds: Duration,

    /// Measure with this much of the sources, decompressed and held in memory: 64KiB to 64GiB
    #[arg(long, value_name = "SIZE", default_value = "128MiB", help_heading = "Measuring",
          value_parser = values::bytes_within(64 << 10, 64 << 30))]
    pub bytes: u64,

    /// Measure only these rows, separated by commas, by their names in --json: memory_copy, parse_serialize, whole_n, ...
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Measuring")]
    pub rows: Vec<String>,

    /// Print the figures as one JSON object
    #[arg(long, help_heading = "Report")]
    pub json: bool,
}
