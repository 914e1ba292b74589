//! What `reload` and `rollback` need: a load into a new generation, and when the alias may move there.

use super::sink::{self, Server, Sink};
use super::{LedgerConfig, LoadConfig, Surroundings, load_as, serverless};
use crate::cli::{Profile, ReloadArgs, RollbackArgs};
use crate::error::Error;
use crate::pipeline::serialize::IndexPattern;

/// All that `reload` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ReloadConfig {
    /// The load. Its index pattern is that of the generation, once it is known which.
    pub load: LoadConfig,
    /// The cluster.
    pub server: Server,
    /// What readers call it.
    pub name: Name,
    /// The part of the old documents that the new ones must reach: 0 to 1.
    pub min_ratio: f64,
    /// Generations to keep, the new one included: at least 1.
    pub keep: usize,
    /// Take the place of what is not ours.
    pub adopt: bool,
    /// Delete what was interrupted.
    pub abort: bool,
    /// Change nothing.
    pub dry_run: bool,
}

/// All that `rollback` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RollbackConfig {
    /// The cluster.
    pub server: Server,
    /// The alias.
    pub alias: String,
    /// Change nothing.
    pub dry_run: bool,
}

/// NAME taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The alias: `web`.
    pub alias: String,
    /// What follows the stamp in the name of an index: `-%Y-%m`, or nothing.
    pub parts: String,
}

impl Name {
    /// Takes NAME apart: the alias is what stands before the first event-time part.
    ///
    /// # Errors
    /// It is no name for an index.
    pub fn new(name: &str) -> Result<Name, Error> {
        let bad = |why: &str| {
            Error::usage(format!("NAME {name:?}: {why}")).hint("such as web, or 'web-%Y-%m' for an index each month")
        };
        let text = name.find('%').map_or(name, |at| &name[..at]);
        let alias = text.trim_end_matches(['-', '_', '.']);
        let alias = if text.len() == name.len() { name } else { alias };
        if alias.is_empty() {
            return Err(bad("an alias needs a name"));
        }
        let made = Name { alias: alias.to_owned(), parts: name[alias.len()..].to_owned() };
        if !made.parts.is_empty() && !made.parts.starts_with(['-', '_', '.']) {
            return Err(bad("before the first % there is a -, _ or . that ends the alias"));
        }
        if made.parts.contains("%%") {
            return Err(bad("a percent sign cannot be part of it"));
        }
        // As long as a generation's name will be.
        let whole = IndexPattern::new(&format!("{alias}-00000000t000000z{}", made.parts));
        whole
            .map_err(|error| bad(error.message.split_once(": ").map_or("no index can be called so", |(_, why)| why)))?;
        Ok(made)
    }
}

/// Completes what was typed after `reload`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn reload(args: &ReloadArgs, around: &Surroundings) -> Result<ReloadConfig, Error> {
    let name = Name::new(&args.name)?;
    if args.load.server.index != crate::cli::INDEX_DEFAULT {
        return Err(Error::usage("--index is not for reload: the indices are NAME with a stamp")
            .hint("event-time parts are part of NAME: loghaul reload 'web-%Y-%m' …"));
    }
    if args.load.ledger.again {
        return Err(Error::usage("--again is not for reload: a new generation is loaded in full"));
    }
    let mut load = load_as(&args.load, Profile::Bulk, around)?;
    let Sink::OpenSearch(server) = load.sink.clone() else {
        return Err(Error::usage("a reload goes to a cluster").hint("such as --to http://localhost:9200"));
    };
    serverless::not_for("reload", &server)?;
    if load.ledger == LedgerConfig::Off {
        return Err(Error::usage("--no-ledger is not for reload: whether all was loaded is told by the ledger"));
    }
    load.dry_run = false;
    load.writing.index_wildcard = format!("{}-*", name.alias);
    Ok(ReloadConfig {
        load,
        server,
        name,
        min_ratio: args.min_ratio,
        keep: args.keep as usize,
        adopt: args.adopt,
        abort: args.abort,
        dry_run: args.load.dry_run,
    })
}

/// Completes what was typed after `rollback`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn rollback(args: &RollbackArgs, around: &Surroundings) -> Result<RollbackConfig, Error> {
    let alias = Name::new(&args.name)?.alias;
    Ok(RollbackConfig { server: sink::cluster(&args.to, &args.login, around)?, alias, dry_run: args.dry_run })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_aliases() {
        for (name, alias, parts) in [
            ("web", "web", ""),
            ("web-", "web-", ""),
            ("web-%Y-%m", "web", "-%Y-%m"),
            ("a.b_%Y.%m.%d", "a.b", "_%Y.%m.%d"),
        ] {
            let made = Name::new(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((made.alias.as_str(), made.parts.as_str()), (alias, parts), "{name}");
        }
        for bad in ["", "%Y", "-%Y", "Web", "web%Y", "web-%q", "web-%%", "a b", "_web", &"a".repeat(240)] {
            let error = Name::new(bad).expect_err(bad);
            assert!(error.message.starts_with("NAME"), "{error}");
        }
    }
}
