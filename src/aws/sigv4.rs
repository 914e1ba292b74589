//! [`Signer`]: one request's signature (AWS Signature Version 4), by the `aws-sigv4` crate.
//!
//! Signed are the host, the body as it travels (compressed, where it is), the content type and AWS's own headers; nothing
//! that somebody in between may change. `Content-Length` must not be: OpenSearch Serverless refuses that.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningParams, SigningSettings, sign,
};
use aws_sigv4::sign::v4;

use super::{Chain, Keys, Options, Service, Signable};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Signs requests to one service in one region, with keys that are kept fresh.
#[derive(Clone, Debug)]
pub struct Signer {
    chain: Arc<Chain>,
    service: Service,
    region: String,
}

impl Signer {
    /// Gets keys. `of_host` is the region that the host's name gives, for those who name none.
    ///
    /// # Errors
    /// No keys, or no region.
    pub fn new(service: Service, options: Options, of_host: Option<&str>) -> Result<Signer> {
        let given = options.region.clone().or_else(|| of_host.map(str::to_owned));
        let chain = Chain::new(options)?;
        let region = given.or_else(|| chain.region().map(str::to_owned)).ok_or_else(|| {
            Error::usage("--aws-sigv4 needs a region, and nobody names one")
                .hint("--aws-region, AWS_REGION, or the region of the profile")
        })?;
        Ok(Signer { chain: Arc::new(chain), service, region })
    }

    /// Whose signatures these are.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Keys for one request.
    ///
    /// # Errors
    /// Those that we have are over, and there are no others.
    pub fn keys(&self) -> Result<Keys> {
        self.chain.keys()
    }

    /// After the server did not take `shown`: whether there are other keys by now.
    pub fn renew(&self, shown: &Keys) -> bool {
        self.chain.renew(shown)
    }

    /// The headers that make `request` one of ours, made now.
    ///
    /// # Errors
    /// Keys that cannot stand in a header.
    pub fn headers(&self, request: &Signable<'_>, keys: &Keys) -> Result<Vec<(&'static str, Secret)>> {
        headers(self.service.as_str(), &self.region, request, keys, SystemTime::now())
    }
}

impl PartialEq for Signer {
    fn eq(&self, other: &Signer) -> bool {
        Arc::ptr_eq(&self.chain, &other.chain) && self.service == other.service && self.region == other.region
    }
}

impl Eq for Signer {}

fn headers(
    service: &str,
    region: &str,
    request: &Signable<'_>,
    keys: &Keys,
    now: SystemTime,
) -> Result<Vec<(&'static str, Secret)>> {
    let failed = |error: &dyn std::error::Error| Error::failed(format!("cannot sign a request: {error}"));
    let identity = Credentials::new(
        &keys.access_key_id,
        keys.secret_access_key.reveal(),
        keys.session_token.as_ref().map(|token| token.reveal().to_owned()),
        None,
        "loghaul",
    )
    .into();
    let mut settings = SigningSettings::default();
    if service == Service::Aoss.as_str() {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let content_type = request.content_type.map(|value| ("content-type", value));
    let signed = [("host", request.host)].into_iter().chain(content_type);
    let body = SignableBody::Precomputed(request.body_sha256.to_owned());
    let signable = SignableRequest::new(request.method, request.url, signed, body).map_err(|error| failed(&error))?;
    let (instructions, _) = sign(signable, &params).map_err(|error| failed(&error))?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.iter().map(|header| (header.name(), Secret::new(header.value()))).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The keys of AWS's own test suite.
    fn keys() -> Keys {
        Keys {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
            expires: None,
        }
    }

    fn signed(service: &str, method: &str, url: &str, keys: &Keys) -> Vec<(&'static str, String)> {
        let request = Signable { method, url, host: "example.amazonaws.com", content_type: None, body_sha256: EMPTY };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160); // 20150830T123600Z, as in the test suite
        let headers = headers(service, "us-east-1", &request, keys, now).expect("a signature");
        headers.into_iter().map(|(name, value)| (name, value.reveal().to_owned())).collect()
    }

    /// Cases of AWS's own test suite, by their signatures.
    #[test]
    fn signatures_of_aws_own_test_suite() {
        let check = |method: &str, path: &str, signature: &str| {
            let headers = signed("service", method, &format!("https://example.amazonaws.com{path}"), &keys());
            assert_eq!(
                headers,
                [
                    ("x-amz-date", "20150830T123600Z".to_owned()),
                    (
                        "authorization",
                        format!(
                            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                             SignedHeaders=host;x-amz-date, Signature={signature}"
                        )
                    ),
                ],
                "{method} {path}"
            );
        };
        check("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        check("GET", "/?%E1%88%B4=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04");
        check(
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        );
        check("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    }

    #[test]
    fn what_a_collection_asks_for_besides() {
        let lent = Keys { session_token: Some(Secret::new("tok/en==")), ..keys() };
        let headers = signed("aoss", "POST", "https://example.amazonaws.com/_bulk", &lent);
        let value = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("x-amz-content-sha256"), Some(EMPTY));
        assert_eq!(value("x-amz-security-token"), Some("tok/en=="));
        let authorization = value("authorization").expect("a signature");
        assert!(
            authorization.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"),
            "{authorization}"
        );
    }
}
