//! [`Chain`]: our keys to AWS, from wherever its own tools take them, renewed before they end.
//!
//! Environment, profiles (with roles, SSO, `credential_process`), web identity, container, instance: in this order, as
//! `aws-config` has it. Each renewal builds the chain anew, so that a profile which somebody changes in mid-load is read
//! again.

use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

use super::blocking::wait_for;
use super::{Keys, Options};
use crate::error::{Error, Result};
use crate::escape;
use crate::secret::Secret;

/// How long all places together may take to give us keys.
const PATIENCE: Duration = Duration::from_secs(30);
/// Keys with less time than this left are renewed, as AWS's own tools do it.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Between two questions, where the first brought nothing new.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// The same where keys were refused.
const REFUSED_EVERY: Duration = Duration::from_secs(1);
const DOING: &str = "get AWS credentials";
const HINT: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE, --aws-profile), or the role \
                    of this machine, as for the aws command";

/// Where keys come from, and the ones that are in use. Shared by all writers.
#[derive(Debug)]
pub struct Chain {
    options: Options,
    region: Option<String>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    keys: Keys,
    /// When the chain was asked last.
    asked: Instant,
    /// When it was asked last because the keys were refused.
    asked_refused: Option<Instant>,
}

impl Chain {
    /// Gets keys for the first time.
    ///
    /// # Errors
    /// There are none, or somebody on the way to them does not answer.
    pub fn new(options: Options) -> Result<Chain> {
        let (region, keys) = ask(&options)?;
        Ok(Chain { options, region, held: Mutex::new(Held { keys, asked: Instant::now(), asked_refused: None }) })
    }

    /// The region, if anybody named one.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Keys that hold for the next minutes. Blocks where they have to be renewed.
    ///
    /// # Errors
    /// Those that we have are over, and there are no others.
    pub fn keys(&self) -> Result<Keys> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let left = held.keys.expires.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let is_over = left == Some(Duration::ZERO);
        if left.is_some_and(|left| left < RENEW_BEFORE) && (is_over || held.asked.elapsed() >= ASK_EVERY) {
            held.asked = Instant::now();
            match ask(&self.options) {
                Ok((_, keys)) => held.keys = keys,
                // As long as they hold, there is time to ask again.
                Err(error) if is_over => return Err(error),
                Err(_) => {}
            }
        }
        Ok(held.keys.clone())
    }

    /// After AWS did not take `shown`: whether there are others by now.
    pub fn renew(&self, shown: &Keys) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.keys != *shown {
            return true; // another writer was here first
        }
        // All writers are refused at once; one question serves them.
        if held.asked_refused.is_some_and(|asked| asked.elapsed() < REFUSED_EVERY) {
            return false;
        }
        held.asked_refused = Some(Instant::now());
        match ask(&self.options) {
            Ok((_, keys)) if keys != *shown => {
                held.keys = keys;
                true
            }
            _ => false,
        }
    }
}

/// Asks all places in their order.
fn ask(options: &Options) -> Result<(Option<String>, Keys)> {
    wait_for(DOING, PATIENCE, async {
        let config = loader(options).load().await;
        let region = config.region().map(|region| region.as_ref().to_owned());
        let provider = config.credentials_provider().expect("the default chain is there unless it is taken away");
        match provider.provide_credentials().await {
            Ok(credentials) => Ok((region, Keys::from(&credentials))),
            Err(error) => Err(failed(&error)),
        }
    })?
}

/// The search itself, over our TLS and through the proxies that the environment names.
pub(crate) fn loader(options: &Options) -> ConfigLoader {
    let client = Builder::new().build_with_connector_fn(|settings, components| {
        let tls = tls::Provider::Rustls(CryptoMode::Ring);
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        if let Some(settings) = settings {
            connector = connector.connector_settings(settings.clone());
        }
        connector.tls_provider(tls).build()
    });
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader
}

impl From<&Credentials> for Keys {
    fn from(credentials: &Credentials) -> Keys {
        Keys {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: Secret::new(credentials.secret_access_key()),
            session_token: credentials.session_token().map(Secret::new),
            expires: credentials.expiry(),
        }
    }
}

/// The sentence. What lies behind an error is told in the words of whoever said it, once each.
fn failed(error: &CredentialsError) -> Error {
    if let CredentialsError::CredentialsNotLoaded(_) = error {
        return Error::failed(format!("cannot {DOING}: there are none")).hint(HINT);
    }
    let mut words: Vec<String> = Vec::new();
    let mut next: Option<&dyn StdError> = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if words.last().is_none_or(|last| !last.contains(&said)) {
            words.push(said);
        }
        next = error.source();
    }
    Error::failed(format!("cannot {DOING}: {}", escape::shown_within(words.join(": ").as_bytes(), 400))).hint(HINT)
}
