//! How values are written on the command line: sizes, durations, times, shares, pairs. Each function takes the text of
//! one value and gives what it stands for, or a sentence that says what was expected.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::pipeline::report::figures::exact_size;

/// What a unit stands for, in bytes. One letter alone is binary, as in `dd` and `java -Xmx`.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// A size in bytes: `65536`, `256KiB`, `1.5GB`, `64M`. Upper or lower case, a blank before the unit is fine.
pub fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| format!("'{text}' is not a size such as 256KiB, 5MiB, 1GB or 65536 (bytes)"))
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
    let (_, factor) = *UNITS.iter().find(|(name, _)| *name == unit)?;
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        // No float: 1.1GB is 1100000000 exactly. A unit must follow, there are no halves of a byte.
        Some((whole, decimals)) if factor > 1 && !decimals.is_empty() && decimals.len() <= 6 => {
            let part = decimals.parse::<u64>().ok()?.checked_mul(factor)? / 10u64.pow(decimals.len() as u32);
            whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(part)
        }
        Some(_) => None,
    }
}

/// A parser for sizes within a range.
pub fn bytes_within(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let bytes = bytes(text)?;
        if bytes < least {
            Err(format!("'{text}' is too small, it takes at least {}", exact_size(least)))
        } else if bytes > most {
            Err(format!("'{text}' is too large, it takes at most {}", exact_size(most)))
        } else {
            Ok(bytes)
        }
    }
}

/// A duration: `30s`, `10m`, `1h30m`, `2d`. A day has 24 hours.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span = span(text).ok_or_else(|| expected_duration(text))?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected_duration(text))?;
    Duration::try_from(duration).map_err(|_| expected_duration(text))
}

fn expected_duration(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(number) => format!("'{text}' has no unit; did you mean {number}s or {number}m?"),
        Err(_) => format!("'{text}' is not a duration such as 30s, 10m, 1h30m or 2d"),
    }
}

/// Only what begins with a digit: jiff would also take `-2d` and `P2D`.
fn span(text: &str) -> Option<Span> {
    static PARSER: SpanParser = SpanParser::new();
    let span = text.starts_with(|c: char| c.is_ascii_digit()).then(|| PARSER.parse_span(text).ok()).flatten()?;
    (!span.is_negative()).then_some(span)
}

/// A parser for durations within a range.
pub fn duration_within(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let value = duration(text)?;
        if value < least || value > most {
            Err(format!("'{text}' is not between {}s and {}s", least.as_secs(), most.as_secs()))
        } else {
            Ok(value)
        }
    }
}

/// A point in time as it was typed.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// `2024-01-31`, `2024-01-31T12:00`, `2024-01-31T12:00:00+01:00`; UTC where no offset is written.
    At(Timestamp),
    /// `2d`: so long ago.
    Ago(Span),
}

impl When {
    /// The point in time meant, seen from `now`.
    ///
    /// # Errors
    /// If it lies before all time that can be told (year -9999).
    pub fn resolve(&self, now: Timestamp) -> Result<Timestamp, String> {
        match self {
            When::At(timestamp) => Ok(*timestamp),
            When::Ago(span) => now
                .to_zoned_datetime(TimeZone::UTC)
                .checked_sub(*span)
                .map(|zoned| zoned.timestamp())
                .map_err(|_| format!("{span} ago is before all time")),
        }
    }
}

/// A point in time: RFC 3339, a date or a date with time (UTC), or a duration (so long ago).
pub fn when(text: &str) -> Result<When, String> {
    if let Some(span) = span(text) {
        return Ok(When::Ago(span));
    }
    timestamp(text).map(When::At).map_err(|error| format!("{error}, or 2d for two days ago"))
}

/// A fixed point in time: RFC 3339, a date, or a date with time (UTC).
pub fn timestamp(text: &str) -> Result<Timestamp, String> {
    let civil = |datetime: DateTime| datetime.to_zoned_datetime(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    // In this order: jiff would read the date of any longer text and leave out the rest.
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| civil(text.parse::<DateTime>().ok().filter(|_| !has_offset(text))?))
        .or_else(|| civil(text.parse::<Date>().ok().filter(|_| text.len() == 10)?.at(0, 0, 0, 0)))
        .ok_or_else(|| {
            format!("'{text}' is not a time such as 2024-01-31, 2024-01-31T12:00 (UTC) or 2024-01-31T12:00:00+01:00")
        })
}

/// Whether a text that is no timestamp tries to name an offset, which would be ignored.
fn has_offset(text: &str) -> bool {
    text.len() > 10 && text.is_char_boundary(10) && text[10..].contains(['+', '-', 'z', 'Z', '['])
}

/// A part of a whole, 0 to 1: `10%`, `0.5%`, `0.1`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match number.parse::<f64>() {
        Ok(value) if plain && (0.0..=factor).contains(&value) => Ok(value / factor),
        Ok(value) if plain && factor == 1.0 && value <= 100.0 => {
            Err(format!("'{text}' is more than the whole; did you mean {text}%?"))
        }
        _ => Err(format!("'{text}' is not a share such as 10%, 0.5% or 0.1")),
    }
}

/// What becomes of an object once every line of it has a durable outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// It is deleted.
    Delete,
    /// It goes to the key that this prefix and its own make together.
    Move(String),
}

/// `delete`, or `move=PREFIX`.
pub fn after(text: &str) -> Result<After, String> {
    match text.split_once('=') {
        None if text == "delete" => Ok(After::Delete),
        Some(("move", prefix)) if !prefix.is_empty() && !prefix.starts_with('/') && !prefix.contains("://") => {
            Ok(After::Move(prefix.to_owned()))
        }
        Some(("move", _)) => Err(format!("'{text}': the prefix is the beginning of a key, such as move=loaded/")),
        _ => Err(format!("'{text}' is neither delete nor move=PREFIX")),
    }
}

/// How many documents may be rejected before a load stops. Both limits must be passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxRejected {
    /// This many documents.
    pub documents: u64,
    /// This part of all documents with an outcome, 0 to 1.
    pub share: f64,
}

impl MaxRejected {
    /// Whether a load of so many documents has to stop.
    pub fn is_exceeded(&self, rejected: u64, documents: u64) -> bool {
        rejected > self.documents && rejected as f64 > self.share * documents as f64
    }
}

impl FromStr for MaxRejected {
    type Err = String;

    /// `10000,1%` (both must be passed), `10000`, or `1%`.
    fn from_str(text: &str) -> Result<MaxRejected, String> {
        let expected = || format!("'{text}' is not a limit such as 10000, 1% or 10000,1% (both must be passed)");
        let (mut documents, mut part_of_all) = (None, None);
        for part in text.split(',') {
            let again = if part.ends_with('%') {
                part_of_all.replace(share(part).map_err(|_| expected())?).is_some()
            } else {
                documents.replace(part.parse().map_err(|_| expected())?).is_some()
            };
            if again {
                return Err(expected());
            }
        }
        Ok(MaxRejected { documents: documents.unwrap_or(0), share: part_of_all.unwrap_or(0.0) })
    }
}

impl fmt::Display for MaxRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}%", self.documents, self.share * 100.0)
    }
}

/// A constant field: `NAME=VALUE`. The value may be empty and may hold `=`.
pub fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err(format!("'{text}' is not of the form NAME=VALUE, such as site=shop")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("1B", Some(1)),
            ("256KiB", Some(262_144)),
            ("256kib", Some(262_144)),
            ("5 MiB", Some(5 << 20)),
            ("1GB", Some(1_000_000_000)),
            ("1kB", Some(1_000)),
            ("64M", Some(64 << 20)),
            ("64m", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("1.1GB", Some(1_100_000_000)),
            ("16777215TiB", Some(16_777_215 << 40)),
            ("16777216TiB", None),
            ("99999999999999999999", None),
            ("1.5", None),
            ("1.", None),
            ("1.KiB", None),
            (".5MiB", None),
            ("1.2.3MiB", None),
            ("-1", None),
            ("", None),
            ("MiB", None),
            ("5 M iB", None),
            ("5PB", None),
            ("5MiB ", None),
            ("5Mib/s", None),
            ("０", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text).ok(), *expected, "{text:?}");
        }
        assert_eq!(bytes("lots").unwrap_err(), "'lots' is not a size such as 256KiB, 5MiB, 1GB or 65536 (bytes)");
    }

    #[test]
    fn durations() {
        let cases: &[(&str, Option<u64>)] = &[
            ("30s", Some(30)),
            ("10m", Some(600)),
            ("1h30m", Some(5_400)),
            ("2d", Some(172_800)),
            ("1w", Some(604_800)),
            ("0s", Some(0)),
            ("10", None),
            ("", None),
            ("-5s", None),
            ("5s ago", None),
            ("soon", None),
            ("P2D", None),
            ("1mo", None),
            ("99999999999999999999s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(duration("10").unwrap_err(), "'10' has no unit; did you mean 10s or 10m?");
    }

    #[test]
    fn points_in_time() {
        let now: Timestamp = "2024-03-01T12:00:00Z".parse().unwrap();
        let cases: &[(&str, Option<&str>)] = &[
            ("2024-01-31", Some("2024-01-31T00:00:00Z")),
            ("2024-01-31T12:00", Some("2024-01-31T12:00:00Z")),
            ("2024-01-31 12:00:05", Some("2024-01-31T12:00:05Z")),
            ("2024-01-31T12:00:00Z", Some("2024-01-31T12:00:00Z")),
            ("2024-01-31T12:00:00+01:00", Some("2024-01-31T11:00:00Z")),
            ("2d", Some("2024-02-28T12:00:00Z")),
            ("90m", Some("2024-03-01T10:30:00Z")),
            ("1mo", Some("2024-02-01T12:00:00Z")),
            ("2024-02-30", None),
            ("2024-01-31T12:00+99:00", None),
            ("31/Jan/2024", None),
            ("yesterday", None),
            ("-2d", None),
            ("", None),
            ("9999y", None),
            ("2024", None),
            ("20000y", None),
        ];
        for (text, expected) in cases {
            let got = when(text).and_then(|when| when.resolve(now)).ok();
            // Nine thousand years ago is a time, if a useless one.
            if *text == "9999y" {
                assert!(got.is_some());
                continue;
            }
            assert_eq!(got, expected.map(|text| text.parse().unwrap()), "{text:?}");
        }
    }

    #[test]
    fn shares() {
        let cases: &[(&str, Option<f64>)] = &[
            ("10%", Some(0.1)),
            ("0.5%", Some(0.005)),
            ("100%", Some(1.0)),
            ("0", Some(0.0)),
            ("0.25", Some(0.25)),
            ("1", Some(1.0)),
            ("10", None),
            ("101%", None),
            ("-1%", None),
            ("NaN", None),
            ("inf", None),
            ("1e-1", None),
            ("%", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(share(text).ok(), *expected, "{text:?}");
        }
    }

    #[test]
    fn limits_of_rejected_documents() {
        let limit = |documents, share| Some(MaxRejected { documents, share });
        let cases = [
            ("10000,1%", limit(10_000, 0.01)),
            ("1%,10000", limit(10_000, 0.01)),
            ("100", limit(100, 0.0)),
            ("0", limit(0, 0.0)),
            ("5%", limit(0, 0.05)),
            ("5", limit(5, 0.0)),
            ("1,2", None),
            ("1%,2%", None),
            ("many", None),
            ("", None),
            ("5,", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
        let limit: MaxRejected = "10,10%".parse().unwrap();
        assert!(!limit.is_exceeded(10, 20));
        assert!(!limit.is_exceeded(11, 1000));
        assert!(limit.is_exceeded(11, 109));
        assert_eq!(limit.to_string(), "10,10%");
    }

    #[test]
    fn fields() {
        assert_eq!(field("a=b"), Ok(("a".into(), "b".into())));
        assert_eq!(field("a="), Ok(("a".into(), "".into())));
        assert_eq!(field("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(field("=b").is_err());
        assert!(field("ab").is_err());
    }
}
