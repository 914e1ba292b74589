//! [`IndexPattern`]: which index a document goes to, by the time of its event in UTC.

use crate::error::{Error, Result};
use crate::pipeline::parse::timestamp::{date_of, days_before};

/// A strftime pattern over event time in UTC, such as `apache-access-log-%Y-%m`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPattern {
    text: String,
    pieces: Vec<Piece>,
    /// For how long a name stays the same at least, in seconds: an hour, a day, or for ever.
    steady_seconds: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    Day,
    Hour,
    DayOfYear,
}

impl IndexPattern {
    /// Takes `%Y %m %d %H %j` and `%%`.
    ///
    /// # Errors
    /// A usage error if it holds another `%`, or gives a name that OpenSearch refuses (its
    /// `MetadataCreateIndexService.validateIndexOrAliasName`).
    pub fn new(pattern: &str) -> Result<IndexPattern> {
        let bad = |why: &str| {
            Error::usage(format!("--index {pattern:?}: {why}")).hint("for example: --index apache-access-log-%Y-%m")
        };
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                text.push(char);
                continue;
            }
            let piece = match chars.next() {
                Some('%') => {
                    text.push('%');
                    continue;
                }
                Some('Y') => Piece::Year,
                Some('m') => Piece::Month,
                Some('d') => Piece::Day,
                Some('H') => Piece::Hour,
                Some('j') => Piece::DayOfYear,
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(bad(&format!(
                        "%{other} is not known: use %Y, %m, %d, %H, %j, or %% for a percent sign"
                    )));
                }
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        let steady_seconds = if pieces.contains(&Piece::Hour) {
            Some(3_600)
        } else if pieces.iter().any(|piece| !matches!(piece, Piece::Text(_))) {
            Some(86_400)
        } else {
            None
        };
        let made = IndexPattern { text: pattern.to_owned(), pieces, steady_seconds };
        check_name(&made.name(0)).map_err(bad)?;
        Ok(made)
    }

    /// Checks a name without patterns, such as an alias has.
    ///
    /// # Errors
    /// What OpenSearch would say against it.
    pub fn plain_name(name: &str) -> Result<(), &'static str> {
        check_name(name)
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern with a `*` in place of each part that changes with time: matches all names it gives.
    pub fn wildcard(&self) -> String {
        let mut wildcard = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => wildcard.push_str(text),
                _ if wildcard.ends_with('*') => {}
                _ => wildcard.push('*'),
            }
        }
        wildcard
    }

    /// The one index that it names, where no part of it changes with time.
    pub fn fixed(&self) -> Option<String> {
        self.steady_seconds.is_none().then(|| self.name(0))
    }

    /// The index for an event at `unix` seconds since 1970-01-01T00:00:00Z.
    pub fn name(&self, unix: i64) -> String {
        let days = unix.div_euclid(86_400);
        let (year, month, day) = date_of(days);
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Year => name.push_str(&format!("{year:04}")),
                Piece::Month => name.push_str(&format!("{month:02}")),
                Piece::Day => name.push_str(&format!("{day:02}")),
                Piece::Hour => name.push_str(&format!("{:02}", unix.rem_euclid(86_400) / 3_600)),
                Piece::DayOfYear => name.push_str(&format!("{:03}", days - days_before(year, 1, 1) + 1)),
            }
        }
        name
    }

    /// Whether a name is one that the pattern gives: digits where it fills in a time.
    pub fn gives(&self, name: &str) -> bool {
        let mut rest = name;
        for piece in &self.pieces {
            let digits = match piece {
                Piece::Text(text) => {
                    let Some(behind) = rest.strip_prefix(text.as_str()) else { return false };
                    rest = behind;
                    continue;
                }
                Piece::Year => 4,
                Piece::DayOfYear => 3,
                Piece::Month | Piece::Day | Piece::Hour => 2,
            };
            match rest.split_at_checked(digits) {
                Some((number, behind)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest = behind,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// How much time the events of one index span at most, in hours. `None` where all go to one index.
    pub fn span_hours_max(&self) -> Option<u32> {
        let has = |piece: &Piece| self.pieces.contains(piece);
        if has(&Piece::Hour) {
            Some(1)
        } else if has(&Piece::Day) || has(&Piece::DayOfYear) {
            Some(24)
        } else if has(&Piece::Month) {
            Some(31 * 24)
        } else {
            has(&Piece::Year).then_some(366 * 24)
        }
    }

    /// From when (included) until when (not included) the name around `unix` certainly stays the same.
    pub fn steady(&self, unix: i64) -> (i64, i64) {
        match self.steady_seconds {
            None => (i64::MIN, i64::MAX),
            Some(seconds) => {
                let from = unix.div_euclid(seconds) * seconds;
                (from, from + seconds)
            }
        }
    }
}

/// What OpenSearch would say against an index name.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("an index needs a name");
    }
    if name.len() > 255 {
        return Err("an index name has at most 255 bytes");
    }
    if matches!(name, "." | "..") || name.starts_with(['-', '_', '+']) {
        return Err("an index name cannot be `.` or `..`, nor start with `-`, `_` or `+`");
    }
    if name.chars().any(|char| char.is_uppercase()) {
        return Err("an index name has no upper-case letters");
    }
    if name.chars().any(|char| "\\/*?\"<>| ,#:".contains(char) || char.is_control() || char.is_whitespace()) {
        return Err("an index name has no blanks and none of \\ / * ? \" < > | , # :");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        // 2020-12-31T23:59:59Z
        let cases = [
            ("apache-access-log-%Y-%m", "apache-access-log-2020-12", "apache-access-log-*-*"),
            ("logs", "logs", "logs"),
            ("a%Y%m%d", "a20201231", "a*"),
            ("a-%Y.%j.%H", "a-2020.366.23", "a-*.*.*"),
            ("a%%b", "a%b", "a%b"),
            ("%Y", "2020", "*"),
        ];
        for (pattern, name, wildcard) in cases {
            let pattern = IndexPattern::new(pattern).expect(name);
            assert_eq!(pattern.name(1_609_459_199), name);
            assert_eq!(pattern.wildcard(), wildcard);
            let (from, until) = pattern.steady(1_609_459_199);
            assert!((from..until).contains(&1_609_459_199));
            assert_eq!(pattern.name(from.max(0)), name);
            assert!(pattern.gives(name) && !pattern.gives(&format!("{name}0")) && !pattern.gives(&name[1..]));
        }
        let monthly = IndexPattern::new("a-%Y-%m").expect("a good pattern");
        assert!(
            !monthly.gives("a-20201231t235959z") && !monthly.gives("a-2020-1x") && !monthly.gives("a-2020-1\u{e9}")
        );
        assert_eq!(monthly.span_hours_max(), Some(744));
        let long = "a".repeat(256);
        for bad in ["", "A", "a b", "a*", "-a", "_a", "+a", ".", "..", "a/b", "%y", "a%", "a:b", "a,b", "a#", &long] {
            assert!(IndexPattern::new(bad).is_err(), "{bad}");
        }
    }
}
