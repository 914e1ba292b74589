//! [`Bucket`]: a client for one bucket. It knows where the bucket is, and learns it where it was told wrong.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::{ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

use super::door::Doors;
use super::environment::Environment;
use super::failure::Failure;
use super::keys;
use super::location::{Location, Scheme};
use super::options::Options;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may stand still. What is begun and waits for its reader stands still on our side, and is asked for
/// again where it was cut for that.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// One bucket, or one file of a web server.
pub struct Bucket {
    /// Where it is; the key is empty, but for a web server's file.
    location: Location,
    options: Arc<Options>,
    environment: Option<Arc<Environment>>,
    state: RwLock<State>,
    notices: Arc<Mutex<Vec<String>>>,
}

struct State {
    client: Arc<Client>,
    region: String,
    /// Where it was asked for and is not.
    left: Vec<String>,
}

/// object_store's clients. They share one interface but for their pages.
pub enum Client {
    /// S3.
    S3(AmazonS3),
    /// Google Cloud Storage.
    Gs(GoogleCloudStorage),
    /// Azure.
    Az(MicrosoftAzure),
    /// A web server.
    Web(HttpStore),
}

impl Client {
    /// What all have in common.
    pub fn objects(&self) -> &dyn ObjectStore {
        match self {
            Client::S3(store) => store,
            Client::Gs(store) => store,
            Client::Az(store) => store,
            Client::Web(store) => store,
        }
    }

    /// What lists in pages.
    pub fn pages(&self) -> Option<&dyn PaginatedListStore> {
        match self {
            Client::S3(store) => Some(store),
            Client::Gs(store) => Some(store),
            Client::Az(store) => Some(store),
            Client::Web(_) => None,
        }
    }
}

impl Bucket {
    /// The bucket of `location`. Nothing is asked of it.
    ///
    /// # Errors
    /// If the options do not fit together: a sentence.
    pub fn new(
        location: &Location,
        options: &Arc<Options>,
        environment: Option<Arc<Environment>>,
        notices: Arc<Mutex<Vec<String>>>,
    ) -> Result<Bucket, Failure> {
        let location = if location.scheme.is_web() { location.clone() } else { location.with_key("") };
        let region = environment.as_ref().map_or("", |environment| environment.region()).to_owned();
        let client = Arc::new(client(&location, options, environment.as_ref(), &region)?);
        let state = RwLock::new(State { client, region, left: Vec::new() });
        Ok(Bucket { location, options: Arc::clone(options), environment, state, notices })
    }

    /// The client, as it is by now.
    pub fn client(&self) -> Arc<Client> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).client)
    }

    /// The path of `key` in object_store's words.
    ///
    /// # Errors
    /// If it has none.
    pub fn path(&self, key: &str) -> Result<Path, Failure> {
        if self.location.scheme.is_web() {
            return Ok(Path::ROOT); // the client's URL is the file's
        }
        if keys::has_steps(key) {
            return Err(Failure::new(
                "its key has . or .. as a part, which is no part of a URL, and cannot be asked for",
            ));
        }
        Path::parse(keys::path_of(key)).map_err(|error| Failure::new(format!("its key cannot be asked for: {error}")))
    }

    /// Goes on in another region, for good, and says so once.
    ///
    /// # Errors
    /// If that is where it was asked for.
    pub async fn go_to(&self, region: &str) -> Result<(), Failure> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.region == region || state.left.iter().any(|left| left == region) {
            return Err(Failure::new(format!(
                "{} is said to be in {region}, and there it is said to be elsewhere; see --endpoint-url",
                self.location
            )));
        }
        let client = client(&self.location, &self.options, self.environment.as_ref(), region)?;
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(format!(
            "{} is in {region}, not in {}: asked there; AWS_REGION={region} saves a request",
            self.location, state.region
        ));
        state.client = Arc::new(client);
        let left = std::mem::replace(&mut state.region, region.to_owned());
        state.left.push(left);
        Ok(())
    }

    /// The next request has credentials that are asked for anew.
    pub async fn forget_credentials(&self) {
        if let Some(environment) = &self.environment {
            environment.forget().await;
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.location)
    }
}

fn client(
    location: &Location,
    options: &Options,
    environment: Option<&Arc<Environment>>,
    region: &str,
) -> Result<Client, Failure> {
    // What object_store says may hold the URL, and that a password or a signature.
    let failed = |error: object_store::Error| match location.scheme.is_web() {
        true => Failure::new(format!("cannot ask {location}: its URL is not well-formed")),
        false => Failure::new(format!("cannot ask {location}: {error}")),
    };
    // Whether to try again is decided where it is known what was wanted, and how far it came.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let name = &location.bucket;
    match location.scheme {
        Scheme::S3 => {
            let environment = environment.expect("S3 has its environment");
            let endpoint = options.endpoint_url.clone().or_else(|| environment.endpoint_url("S3"));
            endpoint.as_deref().map_or(Ok(()), endpoint_is_good)?;
            if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(Failure::new(format!("{region:?} is no name of a region; see AWS_REGION")));
            }
            let signer = signer(environment);
            let signs = options.sign.then(|| (Arc::clone(&signer), region.to_owned()));
            let doors = Doors { client: dial(location.scheme, HeaderMap::new())?, signer: signs };
            let builder = AmazonS3Builder::new()
                .with_bucket_name(name)
                .with_region(region)
                .with_skip_signature(!options.sign)
                .with_credentials(signer)
                .with_disable_bulk_delete(true)
                .with_allow_http(true)
                .with_http_connector(doors)
                .with_retry(retry);
            let by_host = std::env::var("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").is_ok_and(|text| text == "true");
            let builder = match endpoint {
                // Whoever is no AWS seldom has a name for each bucket.
                Some(endpoint) => builder.with_virtual_hosted_style_request(by_host).with_endpoint(endpoint),
                // Of a name with a dot the certificate would be for another.
                None => {
                    let tail = if region.starts_with("cn-") { ".cn" } else { "" };
                    match name.contains('.') {
                        true => builder.with_endpoint(format!("https://s3.{region}.amazonaws.com{tail}")),
                        false => builder
                            .with_virtual_hosted_style_request(true)
                            .with_endpoint(format!("https://{name}.s3.{region}.amazonaws.com{tail}")),
                    }
                }
            };
            builder.build().map(Client::S3).map_err(failed)
        }
        Scheme::Gs => {
            options.endpoint_url.as_deref().map_or(Ok(()), endpoint_is_good)?;
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(name)
                .with_skip_signature(!options.sign)
                .with_client_options(ClientOptions::new().with_allow_http(true))
                .with_http_connector(Doors { client: dial(location.scheme, HeaderMap::new())?, signer: None })
                .with_retry(retry);
            if let Some(url) = &options.endpoint_url {
                builder = builder.with_base_url(url);
            }
            builder.build().map(Client::Gs).map_err(failed)
        }
        Scheme::Az => {
            options.endpoint_url.as_deref().map_or(Ok(()), endpoint_is_good)?;
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(name)
                .with_skip_signature(!options.sign)
                .with_client_options(ClientOptions::new().with_allow_http(true))
                .with_http_connector(Doors { client: dial(location.scheme, HeaderMap::new())?, signer: None })
                .with_retry(retry);
            if let Some(url) = &options.endpoint_url {
                builder = builder.with_endpoint(url.clone());
            }
            builder.build().map(Client::Az).map_err(failed)
        }
        Scheme::Https | Scheme::Http => {
            let (mut url, mut headers) = (location.url(), HeaderMap::new());
            // Who we are belongs into a header, where no server's log holds it.
            if let Some((user, host)) = name.rsplit_once('@') {
                use base64::Engine as _;
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                let user = format!("{}:{}", decoded(user), decoded(password));
                let basic = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(user));
                let mut basic = HeaderValue::from_str(&basic).expect("base64 is fit for a header");
                basic.set_sensitive(true);
                headers.insert(AUTHORIZATION, basic);
                url = Location { bucket: host.to_owned(), ..location.clone() }.url();
            }
            let malformed = |why| Failure::new(format!("cannot ask {location}: its URL is not well-formed: {why}"));
            reqwest::Url::parse(&url).map_err(malformed)?;
            HttpBuilder::new()
                .with_url(url)
                .with_client_options(ClientOptions::new().with_allow_http(true))
                .with_http_connector(Doors { client: dial(location.scheme, headers)?, signer: None })
                .with_retry(retry)
                .build()
                .map(Client::Web)
                .map_err(failed)
        }
    }
}

/// `%41` becomes `A`, as in the user info of a URL.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether an endpoint is the URL of a server. What is wrong is told without it, for it may hold a password.
fn endpoint_is_good(url: &str) -> Result<(), Failure> {
    let is_http = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let why = match reqwest::Url::parse(url) {
        Ok(url) if is_http(&url) => return Ok(()),
        Ok(_) => "it names no server".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(format!(
        "its endpoint (--endpoint-url or AWS_ENDPOINT_URL) is no URL such as http://localhost:9000: {why}"
    )))
}

/// What makes connections. Requests that are signed are not sent on to where an answer points: a session token would go
/// along.
fn dial(scheme: Scheme, headers: HeaderMap) -> Result<reqwest::Client, Failure> {
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("loghaul/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .https_only(scheme == Scheme::Https)
        // Many connections carry more than one with many streams.
        .http1_only()
        // What is packed in a store stays packed on the way: its length and its parts are those of what lies there.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_MAX); // an object may take hours; it is silence that is limited
    if !scheme.is_web() {
        client = client.redirect(reqwest::redirect::Policy::none());
    }
    // As AWS's own tools have it.
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let shown = std::path::Path::new(&path).display().to_string();
        let unusable = |why: String| Failure::new(format!("AWS_CA_BUNDLE {shown} cannot be used: {why}"));
        let pem = std::fs::read(&path).map_err(|error| unusable(crate::error::io_reason(&error)))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        client = client.tls_certs_merge(certificates);
    }
    client.build().map_err(|error| Failure::new(format!("its store cannot be asked: {error}")))
}

/// AWS's credentials in object_store's words.
#[derive(Debug)]
struct Signer(Arc<Environment>);

fn signer(environment: &Arc<Environment>) -> AwsCredentialProvider {
    Arc::new(Signer(Arc::clone(environment)))
}

#[async_trait]
impl CredentialProvider for Signer {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self
            .0
            .credentials()
            .await
            .map_err(|none| object_store::Error::Generic { store: "S3", source: Box::new(none) })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_decoded() {
        for (text, expected) in
            [("joe", "joe"), ("a%40b%3a", "a@b:"), ("50%", "50%"), ("%zz%4", "%zz%4"), ("%c3%a9", "é")]
        {
            assert_eq!(decoded(text), expected);
        }
    }
}
