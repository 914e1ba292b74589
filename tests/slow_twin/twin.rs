//! The slow twin of parse and serialize: what a log's documents are, written for being obviously right.
//!
//! Nothing here comes from the code it is compared with but names and options. Fields are found by regular
//! expressions, dates are judged by jiff, strings written by serde_json, ids by the base64 crate.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, ToSpan};
use loghaul::pipeline::parse::{Format, Malformed};
use loghaul::pipeline::serialize::{IdMode, Options};
use loghaul::schema::Schema;
use rapidhash::v3::{RapidSecrets, rapidhash_v3, rapidhash_v3_seeded};
use regex::bytes::Regex;

/// What the lines of a log become.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub bytes: Vec<u8>,
    pub malformed: BTreeMap<Malformed, u64>,
    pub malformed_ndjson: Vec<u8>,
    pub documents: u64,
    pub blank: u64,
    pub outside: u64,
    pub with_extra: u64,
    pub not_utf8: u64,
    pub event_time: Option<(i64, i64)>,
    /// Offset and length of each document's line.
    pub lines: Vec<(u64, usize)>,
    pub indices: BTreeMap<String, u64>,
}

pub struct Twin {
    pub options: Options,
    pub format: Format,
    pub uri: String,
    pub identity: [u8; 8],
    prefix: Regex,
    user_and_time: Regex,
    no_user: Regex,
    time: Regex,
    quoted: Regex,
    number: Regex,
    request: Regex,
}

struct Time {
    iso: String,
    utc: DateTime,
    unix: i64,
}

impl Twin {
    pub fn new(options: Options, format: Format, uri: &str, identity: [u8; 8]) -> Twin {
        let regex = |pattern: &str| Regex::new(&format!("(?s-u){pattern}")).expect("a good pattern");
        let vhost = if format.has_vhost() { "(?<vhost>[^ ]+) " } else { "(?<vhost>)" };
        Twin {
            options,
            format,
            uri: uri.to_owned(),
            identity,
            prefix: regex(&format!("^{vhost}(?<list>(?:[^ ]*, )*[^ ]*[^ ,]) (?<ident>[^ ]+) ")),
            user_and_time: regex(r#"^(?<user>.*?) \[(?<time>.{26})\] ""#),
            no_user: regex(r#"^\[.{26}\] ""#),
            time: regex(concat!(
                r"^(\d\d)/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d\d\d\d)",
                r":(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$"
            )),
            quoted: regex(r#"^"((?:[^"\\]|\\.)*)""#),
            number: regex(r"^ (?:-|0*([0-9]+))(?: |$)"),
            request: regex(r"^([-0-9A-Za-z!#$%&'*+.^_`|~]+) ([^ ]+)(?: HTTP/([0-9]+(?:\.[0-9]+)?))?$"),
        }
    }

    /// What becomes of `text`, whole lines that start at `offset` of the file.
    pub fn run(&self, text: &[u8], mut offset: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.line(line, offset, &mut outcome);
            offset += line.len() as u64;
        }
        outcome
    }

    fn line(&self, with_end: &[u8], offset: u64, outcome: &mut Outcome) {
        let line = with_end.strip_suffix(b"\n").unwrap_or(with_end);
        let raw = line.strip_suffix(b"\r").unwrap_or(line);
        let mut line = raw;
        while let Some(rest) = line.strip_prefix(b"\0").or(line.strip_prefix("\u{feff}".as_bytes())) {
            line = rest;
        }
        if line.is_empty() {
            outcome.blank += 1;
            return;
        }
        let mut replaced = false;
        match self.document(line, offset, &mut replaced) {
            Err(reason) => {
                *outcome.malformed.entry(reason).or_default() += 1;
                let lossy = String::from_utf8_lossy(raw);
                outcome.malformed_ndjson.extend_from_slice(
                    format!(
                        "{{\"source\":{},\"offset\":{offset},\"reason\":\"{}\",\"line\":{}}}\n",
                        json(&self.uri),
                        reason.as_str(),
                        json(&lossy)
                    )
                    .as_bytes(),
                );
            }
            Ok((_, time, _)) if self.options.since.is_some_and(|since| time.unix < since) => outcome.outside += 1,
            Ok((_, time, _)) if self.options.until.is_some_and(|until| time.unix >= until) => outcome.outside += 1,
            Ok((fields, time, has_extra)) => {
                let index = index_name(self.options.index.as_str(), &time);
                if !self.options.documents_only {
                    let id = match self.options.ids {
                        IdMode::Source => {
                            let hash = rapidhash_v3(line).to_be_bytes();
                            let all = [&self.identity[..], &offset.to_be_bytes()[2..], &hash[4..]].concat();
                            format!(",\"_id\":\"{}\"", URL_SAFE_NO_PAD.encode(all))
                        }
                        IdMode::Content => {
                            let other = rapidhash_v3_seeded(line, &RapidSecrets::seed_cpp(1)).to_be_bytes();
                            let len = (line.len() as u16).to_be_bytes();
                            let all = [&rapidhash_v3(line).to_be_bytes()[..], &other, &len].concat();
                            format!(",\"_id\":\"{}\"", URL_SAFE_NO_PAD.encode(all))
                        }
                        IdMode::None => String::new(),
                    };
                    let action = format!("{{\"create\":{{\"_index\":{}{id}}}}}\n", json(&index));
                    outcome.bytes.extend_from_slice(action.as_bytes());
                }
                let members: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{}:{value}", json(name))).collect();
                outcome.bytes.extend_from_slice(format!("{{{}}}\n", members.join(",")).as_bytes());
                outcome.documents += 1;
                outcome.with_extra += u64::from(has_extra);
                outcome.not_utf8 += u64::from(replaced);
                outcome.lines.push((offset, raw.len()));
                *outcome.indices.entry(index).or_default() += 1;
                let (first, last) = outcome.event_time.unwrap_or((time.unix, time.unix));
                outcome.event_time = Some((first.min(time.unix), last.max(time.unix)));
            }
        }
    }

    /// Names and JSON values, the event's time, and whether there is extra text.
    #[allow(clippy::type_complexity)]
    fn document(
        &self,
        line: &[u8],
        offset: u64,
        replaced: &mut bool,
    ) -> Result<(Vec<(String, String)>, Time, bool), Malformed> {
        let prefix = self.prefix.captures(line).ok_or(Malformed::NoClient)?;
        let rest = &line[prefix[0].len()..];
        let list = &prefix["list"];
        let comma = list.windows(2).position(|pair| pair == b", ");
        let client = &list[..comma.unwrap_or(list.len())];
        let vhost = prefix.name("vhost").map_or(&b""[..], |vhost| vhost.as_bytes());
        if client.is_empty() || [vhost, client].concat().iter().any(|byte| *byte < b' ') {
            return Err(Malformed::NoClient);
        }
        let found = self.user_and_time.captures(rest).ok_or(if self.no_user.is_match(rest) {
            Malformed::NoClient
        } else if rest.windows(3).any(|three| three == b"] \"") {
            Malformed::BadTime
        } else {
            Malformed::NoTime
        })?;
        let rest = &rest[found[0].len() - 1..];
        let time = self.time(&found["time"]).ok_or(Malformed::BadTime)?;
        let request = self.quoted.captures(rest).ok_or(Malformed::BadRequest)?;
        let rest = &rest[request[0].len()..];
        let (status, rest) = self.number(rest).ok_or(Malformed::BadStatus)?;
        let (bytes, mut rest) = self.number(rest).ok_or(Malformed::BadBytes)?;
        let mut referrer_and_agent = None;
        if self.format.has_referrer() {
            if rest.is_empty() || rest == b" " {
                return Err(Malformed::NoReferrer);
            }
            let referrer =
                rest.strip_prefix(b" ").and_then(|rest| self.quoted.captures(rest)).ok_or(Malformed::BadReferrer)?;
            rest = &rest[1 + referrer[0].len()..];
            let agent =
                rest.strip_prefix(b" ").and_then(|rest| self.quoted.captures(rest)).ok_or(Malformed::BadAgent)?;
            rest = &rest[1 + agent[0].len()..];
            referrer_and_agent = Some((referrer, agent));
        }
        let mut bytes_in_and_out = (None, None);
        if self.format == Format::CombinedIo {
            (bytes_in_and_out.0, rest) = self.number(rest).ok_or(Malformed::BadBytesInOut)?;
            (bytes_in_and_out.1, rest) = self.number(rest).ok_or(Malformed::BadBytesInOut)?;
        }
        let extra = rest.strip_prefix(b" ").unwrap_or(rest);
        if String::from_utf8_lossy(extra).trim_end_matches('\r').contains('\r') {
            return Err(Malformed::BareCr);
        }

        let mut raw = |field: &[u8]| {
            *replaced |= std::str::from_utf8(field).is_err();
            json(&String::from_utf8_lossy(field))
        };
        let mut fields = Vec::new();
        let is_ecs = self.options.schema == Schema::Ecs;
        let mut add =
            |name: &str, value: String| fields.push((if is_ecs { ecs(name) } else { name }.to_owned(), value));
        let mut text = |field: &[u8]| match decoded(field) {
            Some(text) => json(&text),
            None => raw(field),
        };
        add("@timestamp", json(&time.iso));
        add("clientip", text(client));
        add("ident", text(&prefix["ident"]));
        let user = &found["user"];
        add("auth", text(if user == b"\"\"" { b"" } else { user }));
        match self.request.captures(&request[1]) {
            Some(parts) => {
                add("verb", text(&parts[1]));
                add("request", text(&parts[2]));
                if let Some(version) = parts.get(3) {
                    add("httpversion", text(version.as_bytes()));
                }
            }
            None => add("rawrequest", text(&request[1])),
        }
        if let Some(status) = status {
            add("response", status);
        }
        if let Some(bytes) = bytes {
            add("bytes", bytes);
        }
        if let Some((referrer, agent)) = referrer_and_agent {
            add("referrer", text(&referrer[1]));
            add("agent", text(&agent[1]));
        }
        if self.format.has_vhost() {
            add("vhost", text(&prefix["vhost"]));
        }
        if comma.is_some() {
            add("x_forwarded_for", text(list));
        }
        if let Some(bytes) = bytes_in_and_out.0 {
            add("bytes_in", bytes);
        }
        if let Some(bytes) = bytes_in_and_out.1 {
            add("bytes_out", bytes);
        }
        if self.options.with_extra && !extra.is_empty() {
            add("extra", raw(extra));
        }
        if self.options.with_timestamp {
            add("timestamp", raw(&found["time"]));
        }
        if self.options.with_message {
            add("message", raw(line));
        }
        if self.options.with_source {
            add("log.offset", offset.to_string());
        }
        add("@ingestion_timestamp", json(&self.options.ingestion_timestamp));
        add("@log_type", json(&self.options.log_type));
        if self.options.with_source {
            add("log.file.path", json(&self.uri));
        }
        for (name, value) in &self.options.fields {
            fields.push((name.clone(), json(value)));
        }
        Ok((fields, time, !extra.is_empty()))
    }

    /// ` 123`, as JSON writes it, and what follows; the space behind stays.
    fn number<'l>(&self, rest: &'l [u8]) -> Option<(Option<String>, &'l [u8])> {
        let found = self.number.captures(rest)?;
        let taken = found[0].len() - usize::from(found[0].len() > 1 && found[0].ends_with(b" "));
        let number = match found.get(1) {
            None => None,
            Some(digits) => Some(String::from_utf8_lossy(digits.as_bytes()).parse::<i64>().ok()?.to_string()),
        };
        Some((number, &rest[taken..]))
    }

    fn time(&self, written: &[u8]) -> Option<Time> {
        let parts = self.time.captures(written)?;
        let part = |n: usize| String::from_utf8_lossy(&parts[n]).into_owned();
        let number = |n: usize| part(n).parse::<i8>().ok();
        let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(&part(2))? / 3 + 1;
        let date = Date::new(part(3).parse().ok()?, month as i8, number(1)?).ok()?;
        let (second, leap) = if number(6)? == 60 { (59, 1) } else { (number(6)?, 0) };
        let clock = jiff::civil::Time::new(number(4)?, number(5)?, second, 0).ok()?;
        let local = date.to_datetime(clock).checked_add(leap.seconds()).ok()?;
        let minutes = i64::from(number(8)?) * 60 + i64::from(number(9)?);
        if number(9)? > 59 || minutes > 18 * 60 {
            return None;
        }
        let (sign, offset) = match (&parts[7], minutes) {
            (b"-", 1..) => ("-", SignedDuration::from_mins(-minutes)),
            _ => ("+", SignedDuration::from_mins(minutes)),
        };
        // The whole day, in UTC, is one of the years 0000 to 9999.
        for date in [date, local.date()] {
            let first = date.to_datetime(jiff::civil::Time::midnight()).checked_sub(offset).ok()?;
            let last = date.at(23, 59, 59, 0).checked_sub(offset).ok()?;
            if first.year() < 0 || last.year() > 9999 {
                return None;
            }
        }
        let utc = local.checked_sub(offset).ok()?;
        let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        let iso = format!("{}{sign}{}:{}", local.strftime("%Y-%m-%dT%H:%M:%S"), part(8), part(9));
        Some(Time { iso, utc, unix: utc.duration_since(epoch).as_secs() })
    }
}

fn index_name(pattern: &str, time: &Time) -> String {
    time.utc.strftime(pattern).to_string()
}

/// What Elastic's Common Schema calls a field.
fn ecs(name: &str) -> &str {
    match name {
        "clientip" => "source.address",
        "ident" => "apache.access.identity",
        "auth" => "user.name",
        "verb" => "http.request.method",
        "request" => "url.original",
        "httpversion" => "http.version",
        "rawrequest" => "apache.access.rawrequest",
        "response" => "http.response.status_code",
        "bytes" => "http.response.body.bytes",
        "referrer" => "http.request.referrer",
        "agent" => "user_agent.original",
        "vhost" => "destination.domain",
        "x_forwarded_for" => "apache.access.x_forwarded_for",
        "bytes_in" => "http.request.bytes",
        "bytes_out" => "http.response.bytes",
        "extra" => "apache.access.extra",
        "timestamp" => "apache.access.timestamp",
        "message" => "event.original",
        "@ingestion_timestamp" => "event.ingested",
        "@log_type" => "event.dataset",
        same => same,
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// What the escapes in `field` stand for, if all are known and the result is text.
pub fn decoded(field: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = field.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'"' => b'"',
                b'\\' => b'\\',
                b'b' => 8,
                b't' => 9,
                b'n' => 10,
                b'v' => 11,
                b'r' => 13,
                b'x' => {
                    let hex = [rest.next()?, rest.next()?];
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
                }
                _ => return None,
            },
            other => other,
        });
    }
    // A field without escapes is not decoded, and may hold control characters: written the same way in the end.
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}
