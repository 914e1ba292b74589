//! [`Refusal`]: an answer that says no. Its type and reason taken out of whatever body it has, and the sentence
//! that tells a person what to do.
//!
//! Bodies come in every shape (real answers are in the tests): `error` as an object or as a string, plain text
//! from the security plugin, HTML from a proxy, nothing at all.

use serde_json::Value;

use super::address::Address;
use super::client::Head;
use crate::error::Error;

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
}

impl Refusal {
    /// Takes an answer apart.
    pub fn read(head: &Head, body: &[u8]) -> Refusal {
        let mut refusal = Refusal { status: head.status, location: head.location.clone(), ..Refusal::default() };
        let body_json = serde_json::from_slice::<Value>(body).ok();
        let member = |name| body_json.as_ref().and_then(|value| value.get(name));
        match (member("error"), member("message")) {
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
        match self.status {
            300..=399 => {
                let to = match &self.location {
                    Some(location) => format!(" to {}", shown(location)),
                    None => String::new(),
                };
                Error::failed(format!("{cannot}: the server redirects{to} (HTTP {})", self.status))
                    .hint("redirects are not followed; name the server itself")
            }
            401 => match who {
                Some(who) => Error::failed(format!("{cannot}: {who} or its password is not accepted (HTTP 401)"))
                    .hint("check --user and the password"),
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
            _ => Error::failed(format!("{cannot}: {words}")),
        }
    }
}

/// Server text for a terminal: one line, control characters escaped, cut.
pub(crate) fn shown(text: &str) -> String {
    let mut line = String::new();
    for (n, char) in text.chars().enumerate() {
        if n == 2 * SHOWN_MAX {
            line.push('…');
            break;
        }
        match char {
            // Debug's escapes, but for those that only string literals need.
            '"' | '\'' | '\\' => line.push(char),
            other => line.extend(other.escape_debug()),
        }
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
        check("Unauthorized", "", "Unauthorized", false);
        check("<html>\r\n<b>502</b>\u{1b}[31m", "", "<html>\\r\\n<b>502</b>\\u{1b}[31m", false);
        check("", "", "", false);
        let breaker = r#"{"error":{"root_cause":[{"bytes_limit":7}],"type":"x","reason":"y","bytes_limit":10240}}"#;
        assert_eq!(Refusal::read(&Head::default(), breaker.as_bytes()).bytes_limit, Some(10240));
    }

    #[test]
    fn long_text_is_cut() {
        let long = shown(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), 2 * SHOWN_MAX + 1);
    }
}
