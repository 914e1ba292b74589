//! The load profile: whether there is one, on which indices, and what is waited for.

use std::path::PathBuf;
use std::time::Duration;

use super::sink::{self, Server, Sink};
use super::{LedgerConfig, Surroundings, ledger_default, serverless};
use crate::cli::{Profile, ProfileFlags, RestoreArgs};
use crate::error::Error;

/// Settings of indices while they are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileConfig {
    /// Also on indices that were there before.
    pub existing: bool,
    /// How long to wait, at the end, for all copies.
    pub wait: Option<Duration>,
}

/// All that `restore` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreConfig {
    /// The cluster. None with `--dry-run` alone.
    pub server: Option<Server>,
    /// Change nothing.
    pub dry_run: bool,
    /// Print JSON.
    pub json: bool,
    /// The ledger; it need not be there.
    pub ledger: PathBuf,
}

/// The profile that was typed, or `default` where none was.
///
/// # Errors
/// Flags of a profile without one; a profile without a ledger that keeps the indices' own settings.
pub fn profile(
    flags: &ProfileFlags,
    default: Profile,
    sink: &Sink,
    ledger: &LedgerConfig,
) -> Result<Option<ProfileConfig>, Error> {
    if flags.profile.unwrap_or(default) == Profile::None {
        let flag = match (flags.profile_existing, flags.wait) {
            (true, _) => "--profile-existing",
            (_, Some(_)) => "--wait",
            _ => return Ok(None),
        };
        return Err(Error::usage(format!("{flag} says how a profile is applied, and there is none"))
            .hint("give --profile bulk as well"));
    }
    if !matches!(sink, Sink::OpenSearch(_)) {
        return Ok(None); // there are no indices
    }
    if serverless::is_target(sink) {
        return Ok(None); // there are no such settings
    }
    if *ledger == LedgerConfig::Off {
        return Err(Error::usage(
            "--profile bulk keeps the indices' own settings in the ledger, and --no-ledger has none",
        )
        .hint("leave one of both away"));
    }
    Ok(Some(ProfileConfig { existing: flags.profile_existing, wait: flags.wait }))
}

/// Completes what was typed after `restore`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn restore(args: &RestoreArgs, around: &Surroundings) -> Result<RestoreConfig, Error> {
    let ledger = match &args.ledger {
        Some(path) => path.clone(),
        None => ledger_default(around)?,
    };
    let server = if args.to.is_empty() { None } else { Some(sink::cluster(&args.to, &args.login, around)?) };
    Ok(RestoreConfig { server, dry_run: args.dry_run, json: args.json, ledger })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_profile_needs_a_ledger_and_its_flags_a_profile() {
        let ledger = LedgerConfig::On { path: PathBuf::from("l.db"), resume: None, again: false };
        let flags = |profile, profile_existing, wait| ProfileFlags { profile, profile_existing, wait };
        let server = Sink::OpenSearch(Server::bare("http://h"));
        let of = |flags: ProfileFlags, ledger: &LedgerConfig| profile(&flags, Profile::None, &server, ledger);
        let bulk = Some(Profile::Bulk);
        let second = Some(Duration::from_secs(1));
        assert_eq!(of(flags(None, false, None), &ledger), Ok(None));
        let on = ProfileConfig { existing: true, wait: second };
        assert_eq!(of(flags(bulk, true, second), &ledger), Ok(Some(on)));
        for (flags, ledger, part) in [
            (flags(None, true, None), &ledger, "--profile-existing"),
            (flags(Some(Profile::None), false, second), &ledger, "--wait"),
            (flags(bulk, false, None), &LedgerConfig::Off, "--no-ledger"),
        ] {
            assert!(of(flags, ledger).unwrap_err().to_string().contains(part), "{part}");
        }
    }
}
