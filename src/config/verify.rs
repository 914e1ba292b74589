//! What `verify` needs.

use std::path::PathBuf;

use super::sink::{self, Server};
use super::{Surroundings, ledger_default, serverless};
use crate::cli::VerifyArgs;
use crate::error::Error;

/// All that `verify` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyConfig {
    /// The cluster.
    pub server: Server,
    /// How many ids are asked for.
    pub sample: usize,
    /// Print JSON.
    pub json: bool,
    /// The ledger; it need not be there.
    pub ledger: PathBuf,
    /// How object stores are asked.
    pub stores: crate::stores::Options,
}

/// Completes what was typed after `verify`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn verify(args: &VerifyArgs, around: &Surroundings) -> Result<VerifyConfig, Error> {
    let ledger = match &args.ledger {
        Some(path) => path.clone(),
        None => ledger_default(around)?,
    };
    let server = sink::cluster(&args.to, &args.login, around)?;
    serverless::not_for("verify", &server)?;
    let stores = super::stores(&args.stores)?;
    Ok(VerifyConfig { server, sample: args.sample as usize, json: args.json, ledger, stores })
}
