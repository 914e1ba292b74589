//! What `setup` needs: names made of the index pattern, checked, and who is talked to.

use super::{Surroundings, documents, sink};
use crate::cli::{Print, SetupArgs};
use crate::error::Error;
use crate::opensearch::{Address, Login, Tls};
use crate::pipeline::serialize::IndexPattern;
use crate::schema::Schema;

/// All that `setup` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SetupConfig {
    /// The cluster to set up. None where something is printed that needs none.
    pub server: Option<sink::Server>,
    /// OpenSearch Dashboards.
    pub dashboards: Option<DashboardsServer>,
    /// Print this and change nothing.
    pub print: Option<Print>,
    /// Tell what would be done and change nothing.
    pub dry_run: bool,
    /// Which indices.
    pub pattern: IndexPattern,
    /// The wildcard that matches every index of that pattern.
    pub wildcard: String,
    /// What fields are called.
    pub schema: Schema,
    /// Keywords only.
    pub lean: bool,
    /// Primary shards, if typed.
    pub shards: Option<u32>,
    /// Copies, if typed.
    pub replicas: Option<u32>,
    /// One name over all indices.
    pub alias: Option<String>,
    /// The age at which an index is deleted, in hours from its creation.
    pub delete_after_hours: Option<u64>,
    /// Replace what is not ours.
    pub force: bool,
    /// Take away instead.
    pub remove: Option<Remove>,
    /// How much is told.
    pub verbose: u8,
}

/// What is taken away, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remove {
    /// The indices too.
    pub indices: bool,
    /// Ask a person first.
    pub ask: bool,
}

/// A server of OpenSearch Dashboards.
#[derive(Clone, Debug, PartialEq)]
pub struct DashboardsServer {
    /// Where it is; a user in the URL is its login.
    pub address: Address,
    /// The cluster's login, where the URL has none.
    pub login: Option<Login>,
    /// As for the cluster.
    pub tls: Tls,
}

impl SetupConfig {
    /// The name of template and policy, and the beginning of the dashboard's ids.
    pub fn name(&self) -> String {
        resource_name(&self.wildcard)
    }
}

/// `apache-access-log-*` has the template `loghaul-apache-access-log`. Other wildcards have other names: a star, which a
/// name may not have, becomes `+` in any other place.
pub fn resource_name(wildcard: &str) -> String {
    format!("loghaul-{}", wildcard.strip_suffix("-*").unwrap_or(wildcard).replace('*', "+"))
}

/// What is fixed in a wildcard: `apache-access-log` of `apache-access-log-*`, `a-b` of `a-*-b`. `None` without a star:
/// then there is one index, which has a name.
pub fn alias_of(wildcard: &str) -> Option<String> {
    wildcard.contains('*').then(|| {
        let parts = wildcard.split('*').map(|part| part.trim_matches(['-', '.', '_']));
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    })
}

/// Completes what was typed after `setup`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn setup(args: &SetupArgs, around: &Surroundings) -> Result<SetupConfig, Error> {
    let wildcard = documents::index_wildcard(&args.index)?;
    let pattern = IndexPattern::new(&args.index)?;
    let alias = match &args.alias {
        Some(typed) => {
            IndexPattern::plain_name(typed).map_err(|why| Error::usage(format!("--alias {typed:?}: {why}")))?;
            if pattern.gives(typed) {
                return Err(Error::usage(format!("--alias {typed:?} is the name of an index that load makes")));
            }
            Some(typed.clone())
        }
        None if args.no_alias => None,
        None => alias_of(&wildcard),
    };
    let delete_after_hours = match (args.delete_after, pattern.span_hours_max()) {
        (None, _) => None,
        (Some(age), Some(span)) => Some(age.as_secs().div_ceil(3_600) + u64::from(span)),
        (Some(_), None) => {
            return Err(Error::usage(format!("--delete-after would delete all of {} at once", args.index))
                .hint("indices by time make it useful, such as --index web-%Y-%m"));
        }
    };
    if args.print == Some(Print::Policy) && delete_after_hours.is_none() {
        return Err(Error::usage("--print policy needs --delete-after").hint("such as --delete-after 90d"));
    }
    let server = match args.to.as_deref() {
        None => None,
        // What is only printed needs no password, but for the time of the data.
        Some(_) if args.print.is_some_and(|print| print != Print::Dashboards) => None,
        Some(to) => Some(sink::cluster(&[to.to_string()], &args.login, around)?),
    };
    let dashboards = match &args.dashboards {
        None => None,
        Some(url) => {
            let address = Address::parse(url)
                .map_err(|error| Error { message: format!("--dashboards: {}", error.message), ..error })?;
            let (login, tls) =
                server.as_ref().map(|server| (server.login.clone(), server.tls.clone())).unwrap_or_default();
            Some(DashboardsServer { login: login.filter(|_| address.user_info.is_none()), address, tls })
        }
    };
    let remove = args.remove.then_some(Remove { indices: args.indices, ask: !args.yes });
    if remove.is_some_and(|remove| remove.ask) && !args.dry_run && !around.can_ask {
        return Err(Error::usage("--remove asks first, and there is nobody to be asked")
            .hint("--dry-run tells what would go, --yes does not ask"));
    }
    Ok(SetupConfig {
        server,
        dashboards,
        print: args.print,
        dry_run: args.dry_run,
        pattern,
        wildcard,
        schema: args.schema.into(),
        lean: args.lean,
        shards: args.shards,
        replicas: args.replicas,
        alias,
        delete_after_hours,
        force: args.force,
        remove,
        verbose: args.verbose,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn check(line: &str) -> Result<SetupConfig, String> {
        let words = ["loghaul", "setup"].into_iter().chain(line.split_whitespace());
        let Ok(Cli { command: Some(Command::Setup(args)), .. }) = Cli::try_parse_from(words) else { panic!("{line}") };
        setup(&args, &Surroundings::bare()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_wildcard_has_names_of_its_own() {
        for (wildcard, name, alias) in [
            ("apache-access-log-*", "loghaul-apache-access-log", Some("apache-access-log")),
            ("web*", "loghaul-web+", Some("web")),
            ("web", "loghaul-web", None),
            ("a-*-b", "loghaul-a-+-b", Some("a-b")),
            ("*-web", "loghaul-+-web", Some("web")),
        ] {
            assert_eq!((resource_name(wildcard).as_str(), alias_of(wildcard).as_deref()), (name, alias));
        }
    }

    #[test]
    fn what_is_typed_and_what_is_needed() {
        let config =
            check("--to http://h --dashboards http://joe:pw@d:5601/base --delete-after 90d --shards 3").unwrap();
        assert_eq!(config.alias.as_deref(), Some("apache-access-log"));
        assert_eq!((config.delete_after_hours, config.shards), (Some((90 + 31) * 24), Some(3)));
        assert_eq!(config.dashboards.unwrap().address.url("/x"), "http://d:5601/base/x");
        assert_eq!(
            check("--to http://h --index web-%Y.%m.%d --delete-after 90d").unwrap().delete_after_hours,
            Some(91 * 24)
        );
        assert_eq!(check("--to http://h --no-alias").unwrap().alias, None);
        let printed = check("--print --index web-%Y --to http://joe@h").unwrap();
        assert_eq!((printed.server, printed.wildcard.as_str(), printed.print), (None, "web-*", Some(Print::Template)));
    }

    #[test]
    fn wrong_usage_is_named() {
        let cases = [
            ("--to null:", "--to null: is no cluster"),
            ("--to http://h --index web --delete-after 90d", "--delete-after would delete all of web at once"),
            ("--print policy", "--print policy needs --delete-after"),
            ("--to http://h --dashboards d:5601", "--dashboards: "),
            ("--to http://h --remove", "--remove asks first, and there is nobody to be asked"),
            ("--to http://h --alias Web", "--alias \"Web\": an index name has no upper-case letters"),
            ("--to http://h --alias apache-access-log-2024-01", "is the name of an index that load makes"),
        ];
        for (line, says) in cases {
            let said = check(line).expect_err(line);
            assert!(said.contains(says), "{line}: {said}");
        }
        assert!(check("--to http://h --remove --yes").is_ok() && check("--to http://h --remove --dry-run").is_ok());
    }
}
