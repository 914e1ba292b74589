//! `loghaul setup`: its flags and examples.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::flags::{INDEX_DEFAULT, Schema};
use super::login::LoginFlags;
use super::values;

pub(super) const EXAMPLES: &str = "\
Examples:
  loghaul setup --to http://localhost:9200
  loghaul setup --to http://localhost:9200 --dashboards http://localhost:5601
  loghaul setup --to http://localhost:9200 --schema ecs --shards 2 --replicas 0 --dry-run
  loghaul setup --index 'web-%Y-%m-%d' --delete-after 90d --to https://joe@search.example.com:9200
  loghaul setup --print                                          (the template, no server needed)
  loghaul setup --print dashboards --to URL > dashboards.ndjson  (to import by hand)
  loghaul setup --remove --to http://localhost:9200 --dashboards http://localhost:5601

What is typed is what holds: without a flag that was given before, what it did is undone in the template. Indices that
are there already keep their mapping; the alias and the policy come to them too. A policy is only touched with
--delete-after and by --remove. It is put on indices by name: here on those that are there, by load on those that it makes,
where its user may; not by a wildcard, which would take along indices of others.

Exit codes: 0 done, 1 something stands in the way (then nothing was changed) or could not be done, 2 wrong usage.";

const DAY: Duration = Duration::from_secs(86_400);

/// `loghaul setup --to URL`
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// The OpenSearch to set up: http(s)://HOST:PORT
    #[arg(long, value_name = "URL", required_unless_present = "print")]
    pub to: Option<String>,

    /// Tell what would be done, and change nothing
    #[arg(long, conflicts_with = "print")]
    pub dry_run: bool,

    /// Print what would be put, and change nothing; needs no server
    ///
    /// Dashboards are printed as NDJSON, as Dashboards imports it (Management, Saved objects, Import); with --to they
    /// open on the time of the data that is there.
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, default_missing_value = "template")]
    pub print: Option<Print>,

    /// Index names to set up for, as load --index takes them
    #[arg(long, value_name = "PATTERN", default_value = INDEX_DEFAULT)]
    pub index: String,

    /// What fields are called, as load --schema says it
    #[arg(long, value_name = "SCHEMA", value_enum, default_value_t = Schema::Grok)]
    pub schema: Schema,

    /// Keywords only: no form of the client as an address (searches by network), no full text. Loads somewhat faster
    #[arg(long)]
    pub lean: bool,

    /// Primary shards of each new index: 1 to 1024. Default: the cluster's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub shards: Option<u32>,

    /// Copies of each shard of a new index: 0 to 100. Default: the cluster's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub replicas: Option<u32>,

    /// One name over all indices, to search. Default: what is fixed in --index, such as apache-access-log
    #[arg(long, value_name = "NAME", conflicts_with = "no_alias")]
    pub alias: Option<String>,

    /// No such name
    #[arg(long)]
    pub no_alias: bool,

    /// Delete indices whose events are all older: 1d to 36500d. Needs the plugin Index State Management
    ///
    /// Age counts from when an index was created, as the plugin has it, and the time that one index spans is added: with
    /// monthly indices 90d becomes 121d, and no event goes sooner than 90 days after it was loaded. A backfill lives as
    /// long from the day it was loaded.
    #[arg(long, value_name = "AGE", value_parser = values::duration_within(DAY, 36_500 * DAY))]
    pub delete_after: Option<Duration>,

    /// Put a dashboard into this OpenSearch Dashboards: http(s)://HOST:PORT, often port 5601
    ///
    /// It opens on the time of the data that is there: run setup again after a load. The login is that of --to, unless
    /// this URL has its own.
    #[arg(long, value_name = "URL")]
    pub dashboards: Option<String>,

    /// Replace what loghaul has not made, or a newer one has
    #[arg(long)]
    pub force: bool,

    /// Take away what setup has put: template, alias, policy, and with --dashboards the dashboard. Asks first
    #[arg(long, conflicts_with = "print")]
    pub remove: bool,

    /// With --remove: the indices too, with all documents
    #[arg(long, requires = "remove")]
    pub indices: bool,

    /// With --remove: do not ask
    #[arg(long, requires = "remove")]
    pub yes: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginFlags,

    /// Tell more about what is done
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What `--print` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Print {
    /// The body of PUT _index_template/NAME
    Template,
    /// The body of PUT _plugins/_ism/policies/NAME; needs --delete-after
    Policy,
    /// Saved objects of OpenSearch Dashboards
    Dashboards,
}
