//! The flags of `loghaul reload` and `loghaul rollback`.

use clap::Args;

use super::LoadArgs;
use super::login::LoginFlags;
use super::values;

pub(super) const RELOAD_EXAMPLES: &str = "\
Examples:
  loghaul reload web 'logs/*.gz' --to http://localhost:9200             into web-20261123t020000z, then the alias web
  loghaul reload 'web-%Y-%m' 'logs/*.gz' --to http://localhost:9200     an index for each month, all behind the alias web
  loghaul reload web 'logs/*.gz' --dry-run --to http://localhost:9200   what would be done
  loghaul reload web 'logs/*.gz' --to http://localhost:9200 --resume    go on where it was interrupted
  loghaul reload web --abort --to http://localhost:9200                 delete what it had loaded
  loghaul rollback web --to http://localhost:9200                       the generation before

The alias moves, in one request, only if the load ended with exit code 0, no document was rejected, the cluster counts
as many documents as were loaded, and they are not far fewer than before (--min-ratio). Else it stays where it is.

Exit codes: those of load; 1 where the alias was not moved though the load ended well.";

pub(super) const ROLLBACK_EXAMPLES: &str = "\
Examples:
  loghaul rollback web --dry-run --to http://localhost:9200
  loghaul rollback web --to http://localhost:9200";

/// `loghaul reload NAME SOURCE... --to URL`
#[derive(Debug, Args)]
#[command(
    mut_arg("index", |arg| arg.hide(true)),
    mut_arg("sources", |arg| arg.required(false).required_unless_present("abort")),
    mut_arg("no_ledger", |arg| arg.hide(true)),
    mut_arg("again", |arg| arg.hide(true)),
    mut_arg("profile_existing", |arg| arg.hide(true)),
)]
pub struct ReloadArgs {
    /// The alias that readers use, such as web; web-%Y-%m makes an index for each month of event time
    ///
    /// A generation is the index NAME-STAMP, or NAME-STAMP-%Y-%m.
    #[arg(value_name = "NAME")]
    pub name: String,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub load: LoadArgs,

    /// Leave the alias where it is if the new generation has less than this part of the old one's documents: 0 to 1, or 90%
    #[arg(long, value_name = "SHARE", default_value = "0.9", value_parser = values::share,
          help_heading = "Generations")]
    pub min_ratio: f64,

    /// Generations to keep, the new one included: 1 to 100. Older ones of our own are deleted
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100),
          help_heading = "Generations")]
    pub keep: u32,

    /// Replace an index that bears the alias's name (it is deleted), or indices behind it that are not ours (they stay)
    ///
    /// In the same request that moves the alias, so that readers see no gap.
    #[arg(long, help_heading = "Generations")]
    pub adopt: bool,

    /// Delete what an interrupted reload of NAME has loaded, and load nothing
    #[arg(long, conflicts_with_all = ["sources", "adopt", "resume"], help_heading = "Generations")]
    pub abort: bool,
}

/// `loghaul rollback NAME --to URL`
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The alias that reload was given
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The OpenSearch: http(s)://HOST:PORT. Several are hosts of one cluster
    #[arg(long, value_name = "URL", required = true)]
    pub to: Vec<String>,

    /// Tell what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginFlags,
}
