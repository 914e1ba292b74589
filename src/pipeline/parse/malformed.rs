//! [`Malformed`]: why a line is no access-log line of its format. Counted and set aside, never an error.

use std::fmt;

/// The first thing in a line that is not as the format has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// Longer than the limit.
    TooLong,
    /// No client, ident and user before a bracket.
    NoClient,
    /// No `[time]` directly before a quoted request.
    NoTime,
    /// The bracket holds no time that exists.
    BadTime,
    /// The request has no closing quote.
    BadRequest,
    /// The status is no number.
    BadStatus,
    /// The size is no number.
    BadBytes,
    /// The line ends before referrer and agent.
    NoReferrer,
    /// The referrer is not a quoted text.
    BadReferrer,
    /// The agent is not a quoted text.
    BadAgent,
    /// Bytes in and out are not two numbers.
    BadBytesInOut,
    /// A carriage return stands in the text after the last field.
    BareCr,
}

impl Malformed {
    /// All reasons, in the order of the line.
    pub const ALL: [Malformed; 12] = [
        Malformed::TooLong,
        Malformed::NoClient,
        Malformed::NoTime,
        Malformed::BadTime,
        Malformed::BadRequest,
        Malformed::BadStatus,
        Malformed::BadBytes,
        Malformed::NoReferrer,
        Malformed::BadReferrer,
        Malformed::BadAgent,
        Malformed::BadBytesInOut,
        Malformed::BareCr,
    ];

    /// The reason's name in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Malformed::TooLong => "too_long",
            Malformed::NoClient => "no_client",
            Malformed::NoTime => "no_time",
            Malformed::BadTime => "bad_time",
            Malformed::BadRequest => "bad_request",
            Malformed::BadStatus => "bad_status",
            Malformed::BadBytes => "bad_bytes",
            Malformed::NoReferrer => "no_referrer",
            Malformed::BadReferrer => "bad_referrer",
            Malformed::BadAgent => "bad_agent",
            Malformed::BadBytesInOut => "bad_bytes_in_out",
            Malformed::BareCr => "bare_cr",
        }
    }

    /// The reason for people: a sentence without a final stop.
    pub fn describe(self) -> &'static str {
        match self {
            Malformed::TooLong => "the line is longer than --max-line-bytes",
            Malformed::NoClient => "the line does not begin with client, ident and user",
            Malformed::NoTime => {
                "there is no [day/Month/year:hour:minute:second zone] directly before a quoted request"
            }
            Malformed::BadTime => "the time in brackets does not exist",
            Malformed::BadRequest => "the quote after the request line is missing",
            Malformed::BadStatus => "the status after the request is not a number",
            Malformed::BadBytes => "the size after the status is not a number",
            Malformed::NoReferrer => "the line ends before referrer and agent: cut, or in the format `common`",
            Malformed::BadReferrer => "something else stands where the quoted referrer should be",
            Malformed::BadAgent => "something else stands where the quoted agent should be",
            Malformed::BadBytesInOut => "the two numbers for bytes in and out after the agent are missing",
            Malformed::BareCr => {
                "a carriage return stands behind the last field: do lines end in CR alone? `tr '\\r' '\\n'` mends that"
            }
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
