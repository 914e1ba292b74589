//! What was written, counted by the writer: the expectation that a loader's own counts are compared with.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use crate::clock::{month_of, month_range};
use crate::line::Facts;

/// Counts over all lines so far. `lines` is always `good + malformed + blank`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines, each with its line end.
    pub lines: u64,
    /// Lines of the format asked for, hostile request lines included.
    pub good: u64,
    /// Lines that are no access lines.
    pub malformed: u64,
    /// Lines with nothing but the line end.
    pub blank: u64,
    /// Bytes of all lines, line ends included.
    pub bytes: u64,
    /// Good lines by status.
    pub response: BTreeMap<u16, u64>,
    /// The sum of the bytes field of the good lines.
    pub response_bytes: u64,
    /// Good lines whose bytes field is `-`.
    pub without_bytes: u64,
    /// Good lines by month of the request in UTC, as `2024-03`: what monthly indices hold.
    pub months: BTreeMap<String, u64>,
}

impl Summary {
    /// One JSON object in one line, without a newline; the names are those of the fields.
    pub fn to_json(&self) -> String {
        let mut json = format!(
            "{{\"lines\":{},\"good\":{},\"malformed\":{},\"blank\":{},\"bytes\":{},\"response_bytes\":{},\"without_bytes\":{}",
            self.lines, self.good, self.malformed, self.blank, self.bytes, self.response_bytes, self.without_bytes
        );
        let response = self.response.iter().map(|(status, lines)| (status.to_string(), lines));
        push_object("response", response, &mut json);
        push_object("months", self.months.iter().map(|(month, lines)| (month.clone(), lines)), &mut json);
        json.push('}');
        json
    }
}

/// The keys are digits and hyphens: nothing to escape.
fn push_object<'a>(name: &str, entries: impl Iterator<Item = (String, &'a u64)>, json: &mut String) {
    let entries: Vec<String> = entries.map(|(key, lines)| format!("\"{key}\":{lines}")).collect();
    write!(json, ",\"{name}\":{{{}}}", entries.join(",")).expect("a String takes all");
}

/// The summary while it grows; a line costs a few additions.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) good: u64,
    pub(crate) malformed: u64,
    pub(crate) blank: u64,
    pub(crate) bytes: u64,
    response: Box<[u64; 1000]>,
    response_bytes: u64,
    without_bytes: u64,
    months: BTreeMap<(i16, i8), u64>,
    /// The month of the last line, in UTC seconds, and its lines, which `months` lacks until the month changes.
    month: Range<i64>,
    month_lines: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            good: 0,
            malformed: 0,
            blank: 0,
            bytes: 0,
            response: Box::new([0; 1000]),
            response_bytes: 0,
            without_bytes: 0,
            months: BTreeMap::new(),
            month: 0..0,
            month_lines: 0,
        }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.good + self.malformed + self.blank
    }

    pub(crate) fn good(&mut self, facts: &Facts) {
        self.good += 1;
        self.response[usize::from(facts.status)] += 1;
        match facts.bytes {
            Some(bytes) => self.response_bytes += bytes,
            None => self.without_bytes += 1,
        }
        if !self.month.contains(&facts.utc_s) {
            self.close_month();
            self.month = month_range(facts.utc_s);
        }
        self.month_lines += 1;
    }

    fn close_month(&mut self) {
        if self.month_lines > 0 {
            *self.months.entry(month_of(self.month.start)).or_default() += self.month_lines;
            self.month_lines = 0;
        }
    }

    pub(crate) fn summary(&mut self) -> Summary {
        self.close_month();
        let response = (0..).zip(self.response.iter().copied()).filter(|&(_, lines)| lines > 0);
        let months = self.months.iter().map(|(&(year, month), &lines)| (format!("{year:04}-{month:02}"), lines));
        Summary {
            lines: self.lines(),
            good: self.good,
            malformed: self.malformed,
            blank: self.blank,
            bytes: self.bytes,
            response: response.collect(),
            response_bytes: self.response_bytes,
            without_bytes: self.without_bytes,
            months: months.collect(),
        }
    }
}
