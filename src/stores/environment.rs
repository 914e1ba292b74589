//! [`Environment`]: credentials, region and endpoint, found where AWS's own tools look for them: environment variables,
//! profiles (with SSO, roles and processes), web identity, container and instance roles.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::meta::region::RegionProviderChain;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use http::HeaderValue;
use tokio::sync::Mutex;

use crate::aws;

/// Where S3 has been from the start. Whoever names no region starts here, and is sent on.
const REGION_DEFAULT: &str = "us-east-1";
/// Credentials are asked for anew so long before they expire: a request may take that long.
const EXPIRES_SOON: Duration = Duration::from_secs(300);

/// What the surroundings say of AWS.
pub struct Environment {
    config: SdkConfig,
    /// The last credentials; each request needs some, and asking may be a request itself.
    known: Mutex<Option<Arc<Credentials>>>,
}

impl Environment {
    /// Looks around. Nothing is asked of the network.
    pub async fn load() -> Environment {
        let region = RegionProviderChain::first_try(aws_config::environment::EnvironmentVariableRegionProvider::new())
            .or_else(aws_config::profile::ProfileFileRegionProvider::new())
            .or_else(Region::new(REGION_DEFAULT));
        let config = aws::loader(&aws::Options::default()).region(region).load().await;
        Environment { config, known: Mutex::default() }
    }

    /// The region that was named, or the default.
    pub fn region(&self) -> &str {
        self.config.region().map_or(REGION_DEFAULT, |region| region.as_ref())
    }

    /// The endpoint in place of AWS's own, for one service: `AWS_ENDPOINT_URL_S3`, then that for all.
    pub fn endpoint_url(&self, service: &str) -> Option<String> {
        let of_service = std::env::var(format!("AWS_ENDPOINT_URL_{service}")).ok().filter(|url| !url.is_empty());
        let ignored = std::env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_ok_and(|text| text == "true");
        of_service.filter(|_| !ignored).or_else(|| self.config.endpoint_url().map(str::to_owned))
    }

    /// Credentials that do not expire soon.
    ///
    /// # Errors
    /// If there are none, or whoever gives them cannot be asked: a sentence without a final stop.
    pub async fn credentials(&self) -> Result<Arc<Credentials>, NoCredentials> {
        let mut known = self.known.lock().await;
        if let Some(credentials) = &*known
            && credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + EXPIRES_SOON)
        {
            return Ok(Arc::clone(credentials));
        }
        let provider = self.config.credentials_provider().ok_or_else(|| NoCredentials("none are configured".into()))?;
        let found = provider.provide_credentials().await.map_err(|error| NoCredentials(innermost(&error)))?;
        for (what, text) in
            [("access key ID", found.access_key_id()), ("session token", found.session_token().unwrap_or(""))]
        {
            // Such as the line end of a file that somebody read into a variable.
            if HeaderValue::from_str(text).is_err() {
                return Err(NoCredentials(format!("the {what} holds a line end or another control character")));
            }
        }
        let found = Arc::new(found);
        *known = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Those that were given are no longer taken: the next request asks anew.
    pub async fn forget(&self) {
        *self.known.lock().await = None;
    }
}

/// Why there are no credentials.
#[derive(Clone, Debug)]
pub struct NoCredentials(pub String);

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoCredentials {}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("region", &self.region()).finish_non_exhaustive()
    }
}

/// What is behind the general words that each layer adds.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
