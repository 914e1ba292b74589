//! [`Refusal`]: an answer that says no. Its type and reason taken out of whatever body it has, and the sentence
//! that tells a person what to do.
//!
//! Bodies come in every shape (real answers are in the tests): `error` as an object or as a string, plain text
//! from the security plugin, HTML from a proxy, nothing at all.

use serde_json::Value;

use super::address::{Address, masked};
use super::client::Head;
use crate::aws::Complaint;
use crate::error::Error;
use crate::escape;

/// How much of an unknown body is shown.
const SHOWN_MAX: usize = 200;

/// An HTTP answer other than 200.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// OpenSearch's error type; empty where the body is not OpenSearch's.
    pub error_type: String,
    /// OpenSearch's reason, or the beginning of the body, escaped and cut.
    pub reason: String,
    /// Whether the body is JSON with an `error`, as OpenSearch writes it (and others do, too); else somebody before it
    /// answered.
    pub is_opensearch: bool,
    /// `bytes_limit` of a circuit breaker.
    pub bytes_limit: Option<u64>,
    /// Where a redirect points to.
    pub location: Option<String>,
    /// How many seconds the server's clock is ahead of ours (behind, if negative).
    pub clock_ahead: Option<i64>,
}

impl Refusal {
    /// Takes an answer apart.
    pub fn read(head: &Head, body: &[u8]) -> Refusal {
        let mut refusal = Refusal {
            status: head.status,
            location: head.location.clone(),
            clock_ahead: head.clock_ahead,
            ..Refusal::default()
        };
        let body_json = serde_json::from_slice::<Value>(body).ok();
        let member = |name| body_json.as_ref().and_then(|value| value.get(name));
        // AWS writes it both ways.
        match (member("error"), member("message").or_else(|| member("Message"))) {
            // OpenSearch Dashboards repeats the status in words as its error.
            (Some(Value::String(_)), Some(Value::String(message))) => refusal.reason = shown(message),
            (Some(Value::String(words)), _) => {
                refusal.is_opensearch = true;
                refusal.reason = shown(words);
            }
            (Some(error @ Value::Object(_)), _) => {
                // Some wrap the cause once more; the outer type and reason are the ones that OpenSearch documents.
                let text = |key: &str| error[key].as_str().or_else(|| error["root_cause"][0][key].as_str());
                refusal.is_opensearch = true;
                refusal.error_type = shown(text("type").unwrap_or_default());
                refusal.reason = shown(text("reason").unwrap_or_default());
                refusal.bytes_limit =
                    error["bytes_limit"].as_u64().or_else(|| error["root_cause"][0]["bytes_limit"].as_u64());
            }
            (None, Some(Value::String(message))) => refusal.reason = shown(message),
            _ => refusal.reason = shown(String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_MAX)]).trim()),
        }
        refusal
    }

    /// Type and reason in one line, or the status alone.
    pub fn words(&self) -> String {
        match (self.error_type.as_str(), self.reason.as_str()) {
            ("", "") => format!("HTTP {}", self.status),
            ("", reason) => format!("HTTP {}: {reason}", self.status),
            (error_type, reason) => format!("HTTP {} {error_type}: {reason}", self.status),
        }
    }

    /// The sentence: `doing` is what was tried, `who` how we showed up (none: without a user).
    pub fn error(&self, doing: &str, address: &Address, who: Option<&str>) -> Error {
        let words = self.words();
        let cannot = format!("cannot {doing} at {address}");
        if let Some(complaint) = self.complaint() {
            return self.complained(complaint, &cannot);
        }
        match self.status {
            300..=399 => {
                let to = match &self.location {
                    // Its query may hold a token.
                    Some(location) => format!(" to {}", shown(&masked(location.split('?').next().unwrap_or_default()))),
                    None => String::new(),
                };
                Error::failed(format!("{cannot}: the server redirects{to} (HTTP {})", self.status))
                    .hint("redirects are not followed; name the server itself")
            }
            401 => match who {
                Some(who) if who.starts_with("user ") => {
                    Error::failed(format!("{cannot}: {who} or its password is not accepted (HTTP 401)"))
                        .hint("check --user and the password")
                }
                Some(who) => Error::failed(format!("{cannot}: {who} is not accepted (HTTP 401)"))
                    .hint("is it this server's, and has its time run out?"),
                None => Error::failed(format!("{cannot}: the server asks who we are (HTTP 401)"))
                    .hint("give --user and a password"),
            },
            403 => {
                let who = who.unwrap_or("an anonymous user");
                Error::failed(format!("{cannot}: {who} may not: {words}"))
                    .hint("give the user the right that the server names")
            }
            404 | 405 | 406 | 410 | 415 => {
                Error::failed(format!("{cannot}: {words}")).hint("is this the URL of an OpenSearch server?")
            }
            407 => Error::failed(format!("{cannot}: a proxy in between asks who we are (HTTP 407)")),
            // What nginx and Go's servers say.
            400 if self.reason.contains("HTTP request was sent to HTTPS")
                || self.reason.contains("HTTP request to an HTTPS server") =>
            {
                Error::failed(format!("{cannot}: the server speaks TLS, not plain HTTP"))
                    .hint("write https:// instead of http://")
            }
            _ => Error::failed(format!("{cannot}: {words}")),
        }
    }
}

impl Refusal {
    /// Whether AWS does not take our keys or our signature, which says nothing of rights.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        Complaint::read(self.status, &self.reason)
    }

    /// The sentence for keys and signatures that AWS does not take. Its own words stand where they say more than we do:
    /// those about a wrong signature repeat the whole request.
    fn complained(&self, complaint: Complaint, cannot: &str) -> Error {
        let status = self.status;
        match complaint {
            Complaint::TokenExpired => {
                Error::failed(format!("{cannot}: the AWS session token has expired (HTTP {status})"))
                    .hint("renew it where it came from: aws sso login, the role, or the environment")
            }
            Complaint::UnknownKeys => Error::failed(format!(
                "{cannot}: AWS does not know the access key, or the session token is not its own (HTTP {status})"
            ))
            .hint("see which keys hold with: aws sts get-caller-identity"),
            Complaint::WrongSignature => Error::failed(format!(
                "{cannot}: AWS computes another signature than we did (HTTP {status})"
            ))
            .hint(
                "the secret access key, --aws-region or --aws-service is wrong, or a proxy in between changes requests",
            ),
            Complaint::ClockSkew => {
                let skew = match self.clock_ahead {
                    Some(ahead) => format!("this machine's clock is {} the server's", apart(ahead)),
                    None => "this machine's clock and the server's do not agree".to_owned(),
                };
                Error::failed(format!("{cannot}: the time of the signature is refused: {skew} (HTTP {status})"))
                    .hint("set this machine's clock")
            }
        }
    }
}

/// `17 min behind`, for a server that is so many seconds ahead.
fn apart(ahead: i64) -> String {
    let way = if ahead > 0 { "behind" } else { "ahead of" };
    match ahead.unsigned_abs() {
        seconds @ 0..120 => format!("{seconds} s {way}"),
        seconds @ 120..7_200 => format!("{} min {way}", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h {way}", seconds / 3_600),
        seconds => format!("{} days {way}", seconds / 86_400),
    }
}

/// Server text for a terminal: one line, escaped, cut.
pub(crate) fn shown(text: &str) -> String {
    let end = text.char_indices().nth(2 * SHOWN_MAX).map_or(text.len(), |(at, _)| at);
    let mut line = escape::shown(&text.as_bytes()[..end]).into_owned();
    if end < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_every_shape() {
        let check = |body: &str, error_type: &str, reason: &str, is_opensearch: bool| {
            let refusal = Refusal::read(&Head { status: 400, ..Head::default() }, body.as_bytes());
            let found = (refusal.error_type.as_str(), refusal.reason.as_str(), refusal.is_opensearch);
            assert_eq!(found, (error_type, reason, is_opensearch), "{body}");
        };
        check(
            r#"{"error":{"root_cause":[{"type":"a","reason":"b"}],"type":"c","reason":"d"},"status":400}"#,
            "c",
            "d",
            true,
        );
        check(r#"{"error":{"root_cause":[{"type":"a","reason":"b"}]},"status":400}"#, "a", "b", true);
        check(r#"{"error":"no handler found for uri [/x]"}"#, "", "no handler found for uri [/x]", true);
        check(r#"{"error":7}"#, "", r#"{"error":7}"#, false);
        check(r#"{"statusCode":400,"error":"Bad Request","message":"no"}"#, "", "no", false);
        check(r#"{"message":"The security token is expired"}"#, "", "The security token is expired", false);
        check(r#"{"Message":"User: x is not authorized"}"#, "", "User: x is not authorized", false);
        check("Unauthorized", "", "Unauthorized", false);
        check("<html>\r\n<b>502</b>\u{1b}[31m", "", "<html>\\r\\n<b>502</b>\\x1b[31m", false);
        check("", "", "", false);
        let breaker = r#"{"error":{"root_cause":[{"bytes_limit":7}],"type":"x","reason":"y","bytes_limit":10240}}"#;
        assert_eq!(Refusal::read(&Head::default(), breaker.as_bytes()).bytes_limit, Some(10240));
    }

    #[test]
    fn clocks_apart() {
        let skewed = |clock_ahead| {
            let head = Head { status: 403, clock_ahead, ..Head::default() };
            let body = br#"{"message":"Signature expired: 20190101T000000Z is now earlier than 20190101T001000Z"}"#;
            let address = Address::parse("https://h").unwrap();
            Refusal::read(&head, body).error("reach OpenSearch", &address, None).to_string()
        };
        assert_eq!(
            skewed(Some(1_020)),
            "cannot reach OpenSearch at https://h: the time of the signature is refused: this machine's clock is \
             17 min behind the server's (HTTP 403) (set this machine's clock)"
        );
        assert!(skewed(Some(-86_400 * 3)).contains("is 3 days ahead of the server's"));
        assert!(skewed(None).contains("do not agree"));
    }

    #[test]
    fn long_text_is_cut() {
        let long = shown(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), 2 * SHOWN_MAX + 1);
    }
}
