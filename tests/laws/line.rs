//! Lines become the documents of the slow twin, by each path; documents are JSON; and what a document says, written as
//! a log line again, becomes the same document.

use std::cell::RefCell;
use std::fmt;

use loghaul::pipeline::chunk::count_lines;
use loghaul::pipeline::parse::Format;
use loghaul::pipeline::serialize::{IdMode, Options};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::choice::Choices;
use super::rig::{Rig, all_options};

thread_local! {
    /// For each choice of options and format, made when first wanted: regular expressions take long to compile.
    static RIGS: RefCell<Vec<Option<Rig>>> = const { RefCell::new(Vec::new()) };
}

/// First byte: options and format. Second: where in a file the lines start. The rest: lines.
pub fn law(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (which, place) = (usize::from(choices.byte()), choices.byte());
    let text = choices.rest;
    let offset = u64::from(place) << (place % 40);
    RIGS.with_borrow_mut(|rigs| {
        let options = all_options();
        let bare = options.len() * Format::ALL.len();
        rigs.resize_with(bare + Format::ALL.len(), || None);
        let n = which % bare;
        let format = Format::ALL[n % Format::ALL.len()];
        let rig = rigs[n].get_or_insert_with(|| Rig::new(options[n / Format::ALL.len()].clone(), format));
        rig.check(text, offset);
        let outcome = rig.fill(0, text, offset);
        let malformed: u64 = outcome.malformed.values().sum();
        assert_eq!(outcome.documents + malformed + outcome.blank + outcome.outside, count_lines(text));
        let each = if rig.twin.options.documents_only { 1 } else { 2 };
        assert_eq!(objects(&outcome.bytes).len() as u64, outcome.documents * each);
        assert_eq!(objects(&outcome.malformed_ndjson).len() as u64, malformed);

        let rig = rigs[bare + n % Format::ALL.len()].get_or_insert_with(|| {
            let options = Options { documents_only: true, ids: IdMode::None, ..all_options().remove(0) };
            Rig::new(options, format)
        });
        for document in objects(&rig.fill(0, text, 0).bytes) {
            let Some(line) = written(&document, format) else { continue };
            let again = rig.fill(0, line.as_bytes(), 0);
            assert_eq!(objects(&again.bytes), [document], "from {line}, {format}");
        }
    });
}

/// The JSON objects of an NDJSON text, none with two members of one name.
fn objects(ndjson: &[u8]) -> Vec<Map<String, Value>> {
    let object = |line: &[u8]| {
        serde_json::from_slice::<Once>(line).unwrap_or_else(|error| panic!("{error}: {}", line.escape_ascii())).0
    };
    assert!(ndjson.is_empty() || ndjson.ends_with(b"\n"));
    ndjson.split_inclusive(|&byte| byte == b'\n').map(object).collect()
}

/// An object with each name once: serde_json itself keeps the last of several.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Once, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Once;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    assert!(object.insert(name.clone(), value).is_none(), "{name} comes twice");
                }
                Ok(Once(object))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The line that says what `document` says, as Apache would write it. None where Apache's escapes are kept because of
/// control characters (they would be kept another time in another form), or the client is a list.
fn written(document: &Map<String, Value>, format: Format) -> Option<String> {
    let has = |name: &str| document.contains_key(name);
    let all = document.values().filter_map(Value::as_str);
    if has("x_forwarded_for") || all.flat_map(str::chars).any(char::is_control) {
        return None;
    }
    let text = |name: &str| document.get(name).map_or("", |value| value.as_str().expect("a string"));
    let number = |name: &str| document.get(name).map_or("-".to_owned(), Value::to_string);
    // What would end a word, or mean something at its start, as its bytes.
    let word = |name: &str| -> String {
        let one = |c: char| match c {
            '\\' | ' ' | '"' | '[' | ']' | ',' | '\u{feff}' => {
                c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect()
            }
            other => other.to_string(),
        };
        text(name).chars().map(one).collect()
    };
    let user = if text("auth").is_empty() { "\"\"".to_owned() } else { word("auth") };
    let request = if has("rawrequest") {
        word("rawrequest")
    } else {
        let version = if has("httpversion") { format!(" HTTP/{}", text("httpversion")) } else { String::new() };
        format!("{} {}{version}", text("verb"), word("request"))
    };
    let mut line = if format.has_vhost() { word("vhost") + " " } else { String::new() };
    line += &format!("{} {} {user} [{}] ", word("clientip"), word("ident"), time(text("@timestamp")));
    line += &format!("\"{request}\" {} {}", number("response"), number("bytes"));
    if format.has_referrer() {
        let quoted = |name: &str| text(name).replace('\\', "\\\\").replace('"', "\\\"");
        line += &format!(" \"{}\" \"{}\"", quoted("referrer"), quoted("agent"));
    }
    if format == Format::CombinedIo {
        line += &format!(" {} {}", number("bytes_in"), number("bytes_out"));
    }
    Some(line + "\n")
}

/// `2020-12-19T13:57:26+01:00` as `19/Dec/2020:13:57:26 +0100`.
fn time(iso: &str) -> String {
    let month: usize = iso[5..7].parse().expect("a month");
    let month = &"JanFebMarAprMayJunJulAugSepOctNovDec"[month * 3 - 3..month * 3];
    format!("{}/{month}/{}:{} {}{}", &iso[8..10], &iso[..4], &iso[11..19], &iso[19..22], &iso[23..25])
}
