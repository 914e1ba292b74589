//! Amazon Web Services: who we are there ([`Chain`]), and requests to OpenSearch signed with that ([`Signer`]).
//!
//! Keys come from wherever AWS's own tools take them; `aws-config` knows all those places. It is async, and this is the
//! only place that shows it: [`Chain::keys`] blocks like any other call. Behind the cargo feature `aws`; without it the
//! types are there, and making one fails with a sentence.

#[cfg(feature = "aws")]
mod blocking; // the border to async code
#[cfg(feature = "aws")]
mod chain; // keys, from environment to instance metadata, kept fresh
#[cfg(not(feature = "aws"))]
mod lacking; // the same names without anything behind them
#[cfg(feature = "aws")]
mod sigv4; // one signature
pub mod complaint; // what AWS says of keys and signatures that it does not take

use std::fmt;
use std::time::SystemTime;

#[cfg(feature = "aws")]
pub use chain::Chain;
#[cfg(feature = "aws")]
pub(crate) use chain::loader;
pub use complaint::Complaint;
#[cfg(not(feature = "aws"))]
pub use lacking::{Chain, Signer};
#[cfg(feature = "aws")]
pub use sigv4::Signer;

use crate::secret::Secret;

/// Which of AWS's settings are not those that its own tools would take here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The profile of `~/.aws/config`; none: `AWS_PROFILE`, then `default`.
    pub profile: Option<String>,
    /// The region; none: `AWS_REGION`, `AWS_DEFAULT_REGION`, then the profile's, then the machine's own.
    pub region: Option<String>,
}

/// What proves who we are. Two of them are equal if AWS takes them for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The public part, such as `AKIA…`.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: Secret,
    /// Comes with keys that are lent for some hours.
    pub session_token: Option<Secret>,
    /// When they end.
    pub expires: Option<SystemTime>,
}

/// Whose signature a request bears: the service's name in its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon OpenSearch Service: a domain.
    Es,
    /// Amazon OpenSearch Serverless: a collection.
    Aoss,
}

impl Service {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::Es => "es",
            Service::Aoss => "aoss",
        }
    }

    /// What a host's name says of itself: `search-x.eu-west-1.es.amazonaws.com`, `x.eu-west-1.aoss.amazonaws.com`. And
    /// the region.
    pub fn of_host(host: &str) -> Option<(Service, &str)> {
        let host = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
        let (host, service) = host.rsplit_once('.')?;
        let service = match service {
            "es" => Service::Es,
            "aoss" => Service::Aoss,
            _ => return None,
        };
        Some((service, host.rsplit_once('.')?.1))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request as it will leave.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The whole URL, encoded as it will be sent.
    pub url: &'a str,
    /// The `Host` header as it will be sent.
    pub host: &'a str,
    /// The `Content-Type` header, if it will be sent.
    pub content_type: Option<&'a str>,
    /// SHA-256 of the body as it travels, in lower-case hex.
    pub body_sha256: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_by_host() {
        for (host, expected) in [
            ("search-logs-abc.eu-west-1.es.amazonaws.com", Some((Service::Es, "eu-west-1"))),
            ("vpc-logs-abc.us-gov-east-1.es.amazonaws.com", Some((Service::Es, "us-gov-east-1"))),
            ("abc123.us-east-1.aoss.amazonaws.com", Some((Service::Aoss, "us-east-1"))),
            ("search-x.cn-north-1.es.amazonaws.com.cn", Some((Service::Es, "cn-north-1"))),
            ("s3.eu-west-1.amazonaws.com", None),
            ("es.amazonaws.com", None),
            ("localhost", None),
        ] {
            assert_eq!(Service::of_host(host), expected, "{host}");
        }
    }
}
