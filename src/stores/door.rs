//! [`Door`]: every request to a store and every answer pass here. A refusal keeps what its body and headers say, which
//! object_store would drop or fold into one text.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::StreamExt;
use http::header::{AUTHORIZATION, DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Uri};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use super::after::add_condition;
use super::failure::Failure;
use super::keys;

/// A body that explains a refusal is short; a page for people need not be read to its end, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A page holds a thousand keys, each of a kilobyte at most, in bytes.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// A store's refusal, with what it says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The store's own word for it (`NoSuchKey`), empty where there is none.
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// The region where the bucket is, if it says so.
    pub region: Option<String>,
    /// How far its clock is ahead of ours, in seconds.
    pub clock_ahead: Option<i64>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn of(status: StatusCode, headers: &HeaderMap, body: &str) -> Refusal {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let named = |name: &str| element(body, name).or_else(|| json_text(body, &name.to_lowercase()));
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        Refusal {
            status: status.as_u16(),
            code: named("Code").or_else(|| header("x-ms-error-code")).unwrap_or_default(),
            message: named("Message").unwrap_or_default(),
            region: header("x-amz-bucket-region").or_else(|| element(body, "Region")),
            clock_ahead: date.map(|date| date.timestamp().as_second() - now),
            retry_after: header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).map(Duration::from_secs),
        }
    }
}

/// The text of an element of a small XML document: those of stores are flat.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, after) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once("</")?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A text of Google's refusals: `{"error":{"code":404,"message":"…"}}`.
fn json_text(body: &str, name: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body["error"][name].as_str().map(str::to_owned)
}

/// Makes [`Door`]s.
#[derive(Clone, Debug)]
pub struct Doors {
    /// What makes the connections.
    pub client: reqwest::Client,
    /// Who signs requests to S3, and for which region. `None` where they are not signed so.
    pub signer: Option<(AwsCredentialProvider, String)>,
}

impl HttpConnector for Doors {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = HttpClient::new(self.client.clone());
        Ok(HttpClient::new(Door { client, signer: self.signer.clone() }))
    }
}

/// A client whose refusals are errors that tell.
#[derive(Debug)]
struct Door {
    client: HttpClient,
    signer: Option<(AwsCredentialProvider, String)>,
}

impl Door {
    /// The request with its key as it is, where that is no path.
    async fn restore_key(&self, request: &mut HttpRequest) -> Result<(), HttpError> {
        let Some(path) = keys::url_path(request.uri().path()) else { return Ok(()) };
        let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
        let mut parts = request.uri().clone().into_parts();
        let failed = |why: &dyn fmt::Display| HttpError::new_boxed(HttpErrorKind::Unknown, why.to_string().into());
        parts.path_and_query = Some(format!("{path}{query}").parse().map_err(|error| failed(&error))?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|error| failed(&error))?;
        if let Some((signer, region)) = &self.signer
            && request.headers_mut().remove(AUTHORIZATION).is_some()
        {
            let credential = signer.get_credential().await.map_err(|error| failed(&error))?;
            let authorizer = AwsAuthorizer::new(&credential, "s3", region);
            authorizer.try_authorize(request, None).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

/// A page of a listing, looked at. What is none would be taken for an empty one.
async fn listing(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let failed = |why: String| HttpError::new(HttpErrorKind::Decode, Failure::new(why));
    let (mut page, mut body) = (Vec::new(), body.bytes_stream());
    while let Some(bytes) = body.next().await {
        page.extend_from_slice(&bytes?);
        if page.len() > PAGE_BYTES_MAX {
            return Err(failed(format!("a page of its listing is larger than {} MiB", PAGE_BYTES_MAX >> 20)));
        }
    }
    let Ok(text) = std::str::from_utf8(&page) else { return Ok(HttpResponse::from_parts(parts, page.into())) };
    if !text.contains("<ListBucketResult") && !text.contains("<EnumerationResults") {
        return Err(HttpError::new_boxed(HttpErrorKind::Decode, "the answer is no listing".into()));
    }
    if text.contains("<IsTruncated>true<") && element(text, "NextContinuationToken").is_none() {
        return Err(failed(
            "its store says that there are more objects, and not how to go on: it has to know ListObjectsV2; name the \
             objects one by one, or shorter prefixes"
                .to_owned(),
        ));
    }
    Ok(HttpResponse::from_parts(parts, keys::listing(text).into()))
}

#[async_trait]
impl HttpService for Door {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        add_condition(&mut request);
        self.restore_key(&mut request).await?;
        let query = request.uri().query().unwrap_or_default();
        let lists = query.contains("list-type=2") || query.contains("comp=list");
        let response = self.client.execute(request).await?;
        let status = response.status();
        if lists && status.is_success() {
            return listing(response).await;
        }
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let (mut told, mut body) = (Vec::new(), body.bytes_stream());
        while let Some(Ok(bytes)) = body.next().await
            && told.len() < REFUSAL_BYTES_MAX
        {
            told.extend_from_slice(&bytes);
        }
        let body = String::from_utf8_lossy(&told);
        // Nobody below tries again: what it means is decided by whoever asked.
        Err(HttpError::new(HttpErrorKind::Unknown, Refusal::of(parts.status, &parts.headers, &body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_says() {
        let mut headers = HeaderMap::new();
        let body = "<?xml version=\"1.0\"?><Error><Code>PermanentRedirect</Code><Message>not here</Message></Error>";
        headers.insert("x-amz-bucket-region", "eu-west-1".parse().unwrap());
        headers.insert(RETRY_AFTER, "3".parse().unwrap());
        let refusal = Refusal::of(StatusCode::MOVED_PERMANENTLY, &headers, body);
        assert_eq!(
            refusal,
            Refusal {
                status: 301,
                code: "PermanentRedirect".into(),
                message: "not here".into(),
                region: Some("eu-west-1".into()),
                clock_ahead: None,
                retry_after: Some(Duration::from_secs(3)),
            }
        );
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region></Error>";
        let refusal = Refusal::of(StatusCode::BAD_REQUEST, &HeaderMap::new(), malformed);
        assert_eq!((refusal.region.as_deref(), refusal.message.as_str()), (Some("eu-north-1"), ""));
        let google = Refusal::of(StatusCode::NOT_FOUND, &HeaderMap::new(), r#"{"error":{"code":404,"message":"no"}}"#);
        assert_eq!((google.code.as_str(), google.message.as_str()), ("", "no"));
        assert_eq!(Refusal::of(StatusCode::BAD_GATEWAY, &HeaderMap::new(), "<html><h1>").code, "");
    }

    #[test]
    fn the_store_s_clock() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sat, 01 Jan 2000 00:00:00 GMT".parse().unwrap());
        let behind = Refusal::of(StatusCode::FORBIDDEN, &headers, "").clock_ahead.unwrap();
        assert!(behind < -800_000_000, "{behind}");
    }
}
