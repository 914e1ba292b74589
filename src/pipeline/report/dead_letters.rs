//! Dead letters: rejected documents, kept with their place in the log and OpenSearch's reason until somebody has mended
//! what was wrong and sends them again.
//!
//! One JSON object a line, in this order:
//!
//! ```text
//! {"time","source","offset","line_bytes","index","_id","pipeline","status","type","reason","attempts","document":{…}}
//! ```
//!
//! `pipeline` is there where one was asked for when the document was sent.
//!
//! The document is kept byte for byte, not read and written anew: what is sent again is what was sent, to the order of
//! its fields and the digits of its numbers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::receipt::DeadLetter;

/// A dead letter as its file holds it. Borrowed from the line it was read from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Letter<'a> {
    /// When it was written: RFC 3339.
    #[serde(borrow, default)]
    pub time: Cow<'a, str>,
    /// The log that its line is in.
    #[serde(borrow, default)]
    pub source: Cow<'a, str>,
    /// Where its line starts in the log's decompressed bytes.
    #[serde(default)]
    pub offset: u64,
    /// The line's length in bytes.
    #[serde(default)]
    pub line_bytes: u32,
    /// The index that it was refused by.
    #[serde(borrow)]
    pub index: Cow<'a, str>,
    /// The document's id. None where OpenSearch was to choose one.
    #[serde(borrow, default, rename = "_id")]
    pub id: Option<Cow<'a, str>>,
    /// The ingest pipeline that it was sent through by the user's word; none where the index's own was left to it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Cow<'a, str>>,
    /// The item's HTTP status; 200 where an ingest pipeline dropped the document.
    #[serde(default)]
    pub status: u16,
    /// OpenSearch's error type, or one of ours (`dropped_by_pipeline`, `too_large`).
    #[serde(borrow, default, rename = "type")]
    pub error_type: Cow<'a, str>,
    /// OpenSearch's reason.
    #[serde(borrow, default)]
    pub reason: Cow<'a, str>,
    /// How often the document was sent.
    #[serde(default)]
    pub attempts: u32,
    /// The document as it was sent.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub document: Option<&'a RawValue>,
    /// The same where what was sent is no JSON.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub document_text: Option<Cow<'a, str>>,
}

/// What an action line says: `{"create":{"_index":"…","_id":"…"}}`.
#[derive(Deserialize, Serialize)]
struct Action<'a> {
    #[serde(borrow)]
    create: Target<'a>,
}

/// Where a document goes.
#[derive(Deserialize, Serialize)]
struct Target<'a> {
    #[serde(borrow, rename = "_index")]
    index: Cow<'a, str>,
    #[serde(borrow, default, rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    /// Of this document alone; else what the request's path says.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pipeline: Option<Cow<'a, str>>,
}

/// Why a line is no dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not the JSON of a dead letter. What is wrong, and where.
    NotALetter(String),
    /// It names no index.
    NoIndex,
    /// It has no document, or one that is more than a line.
    NoDocument,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::NotALetter(why) => write!(f, "no dead letter: {why}"),
            Unreadable::NoIndex => f.write_str("its index is empty"),
            Unreadable::NoDocument => f.write_str("it has no document"),
        }
    }
}

/// Adds the line of a dead letter, its newline included. `source` is the log's URI, `time` the present in RFC 3339,
/// `pipeline` that of the requests, for documents that were not sent through one of their own.
///
/// # Panics
/// If the letter's document does not begin with an action line of ours.
pub fn write(out: &mut Vec<u8>, source: &str, letter: &DeadLetter, time: &str, pipeline: Option<&str>) {
    let sent = &letter.document;
    let end = memchr::memchr(b'\n', sent).expect("an action line ends before its document");
    let Action { create } = serde_json::from_slice(&sent[..end]).expect("an action line is JSON");
    let document = sent[end + 1..].strip_suffix(b"\n").unwrap_or(&sent[end + 1..]);
    // What is raw must be all of it, and on one line; else it is kept as text.
    let raw: Option<&RawValue> = serde_json::from_slice(document).ok();
    let raw = raw.filter(|raw| raw.get().len() == document.len() && !document.contains(&b'\n'));
    let line = Letter {
        time: time.into(),
        source: source.into(),
        offset: letter.offset,
        line_bytes: letter.line_bytes,
        index: create.index,
        id: create.id,
        pipeline: create.pipeline.or(pipeline.map(Cow::Borrowed)),
        status: letter.status,
        error_type: letter.error_type.as_str().into(),
        reason: letter.reason.as_str().into(),
        attempts: letter.attempts,
        document: raw,
        document_text: raw.is_none().then(|| String::from_utf8_lossy(document)),
    };
    serde_json::to_writer(&mut *out, &line).expect("strings and numbers become JSON");
    out.push(b'\n');
}

/// Reads one line of a file of dead letters; with or without its line end.
///
/// Index and document are needed. What else is missing is empty or 0, so that letters can be edited, or made by others.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &[u8]) -> Result<Letter<'_>, Unreadable> {
    let letter: Letter<'_> = serde_json::from_slice(line).map_err(|error| {
        // A letter is one line; which one of its file, the caller knows.
        Unreadable::NotALetter(error.to_string().replace(" at line 1 column ", " at column "))
    })?;
    if letter.index.is_empty() {
        return Err(Unreadable::NoIndex);
    }
    match letter.document_bytes() {
        // The Bulk API takes an empty line for the end, and a newline for the next action.
        b"" | b"null" => Err(Unreadable::NoDocument),
        document if document.contains(&b'\n') => Err(Unreadable::NoDocument),
        _ => Ok(letter),
    }
}

impl Letter<'_> {
    /// The document as it was sent. Empty where there is none.
    pub fn document_bytes(&self) -> &[u8] {
        match (self.document, &self.document_text) {
            (Some(raw), _) => raw.get().as_bytes(),
            (None, Some(text)) => text.as_bytes(),
            (None, None) => b"",
        }
    }

    /// Adds what sends it once more: the action line and the document, a newline after each. The same id, so what got
    /// there meanwhile is not doubled. Through the same pipeline if `keep_pipeline`; else the request says through which.
    pub fn write_action(&self, keep_pipeline: bool, out: &mut Vec<u8>) {
        let id = self.id.as_deref().map(Cow::Borrowed);
        let pipeline = self.pipeline.as_deref().filter(|_| keep_pipeline).map(Cow::Borrowed);
        let action = Action { create: Target { index: Cow::Borrowed(&self.index), id, pipeline } };
        serde_json::to_writer(&mut *out, &action).expect("strings become JSON");
        out.push(b'\n');
        out.extend_from_slice(self.document_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(document: &str) -> DeadLetter {
        DeadLetter {
            document: document.as_bytes().to_vec(),
            offset: 1 << 40,
            line_bytes: 123,
            status: 400,
            error_type: "mapper_parsing_exception".into(),
            reason: "failed to parse \"x\"\n\u{1b}[2J".into(),
            attempts: 3,
        }
    }

    #[test]
    fn the_line_is_as_documented() {
        let mut out = Vec::new();
        let sent = "{\"create\":{\"_index\":\"i-1\",\"_id\":\"abc\"}}\n{\"b\":1.50,\"a\":\"\\u00e9\"}\n";
        write(&mut out, "/var/log/a.log", &dead(sent), "2024-03-01T12:00:00.000Z", None);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"time":"2024-03-01T12:00:00.000Z","source":"/var/log/a.log","offset":1099511627776,"line_bytes":123,"#,
                r#""index":"i-1","_id":"abc","status":400,"type":"mapper_parsing_exception","#,
                r#""reason":"failed to parse \"x\"\n\u001b[2J","attempts":3,"document":{"b":1.50,"a":"\u00e9"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_was_written_is_sent_again_byte_for_byte() {
        for (action, document) in [
            (r#"{"create":{"_index":"i","_id":"-_9z"}}"#, r#"{"a":1}"#),
            (r#"{"create":{"_index":"i"}}"#, r#"{"a":1}"#),
            (r#"{"create":{"_index":"i","_id":"q\"\\é"}}"#, r#"{}"#),
            (
                r#"{"create":{"_index":"i","_id":"1"}}"#,
                r#"{"n":1e400,"big":123456789012345678901234567890,"s":"\ud800"}"#,
            ),
            (r#"{"create":{"_index":"i","_id":"1"}}"#, r#"{"a":1,"a":2, "b" : [ ] }"#),
            (r#"{"create":{"_index":"i","_id":"1"}}"#, "{\"s\":\"caf\u{e9} \u{2028} \\u0000\"}"),
            // Whatever else: it stays as it is, as text.
            (r#"{"create":{"_index":"i","_id":"1"}}"#, r#"{"cut":"#),
            (r#"{"create":{"_index":"i","_id":"1"}}"#, " {} "),
            (r#"{"create":{"_index":"i","_id":"1"}}"#, "\u{feff}{}"),
        ] {
            let sent = format!("{action}\n{document}\n");
            let mut line = Vec::new();
            write(&mut line, "s", &dead(&sent), "t", None);
            assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1), "one line");
            let letter = read(&line).unwrap_or_else(|why| panic!("{document}: {why}"));
            assert_eq!(letter.reason, dead("").reason);
            assert_eq!((letter.offset, letter.line_bytes, letter.attempts, letter.status), (1 << 40, 123, 3, 400));
            let mut again = Vec::new();
            letter.write_action(true, &mut again);
            assert_eq!(String::from_utf8(again).unwrap(), sent);
        }
    }

    #[test]
    fn the_pipeline_is_kept() {
        let sent = "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n";
        let mut line = Vec::new();
        write(&mut line, "s", &dead(sent), "t", Some("geo"));
        let letter = read(&line).unwrap();
        assert_eq!(letter.pipeline.as_deref(), Some("geo"));
        let again = |keep| {
            let mut again = Vec::new();
            letter.write_action(keep, &mut again);
            String::from_utf8(again).unwrap()
        };
        assert_eq!(again(false), sent);
        let through = "{\"create\":{\"_index\":\"i\",\"_id\":\"1\",\"pipeline\":\"geo\"}}\n{}\n";
        assert_eq!(again(true), through);
        // Rejected again: its own word counts.
        let mut second = Vec::new();
        write(&mut second, "s", &dead(through), "t", None);
        assert_eq!(read(&second).unwrap().pipeline.as_deref(), Some("geo"));
    }

    #[test]
    fn what_is_no_letter() {
        for (line, why) in [
            ("", "no dead letter: EOF"),
            ("junk", "no dead letter: expected value"),
            ("[1]", "no dead letter: invalid type"),
            ("{}", "missing field `index`"),
            (r#"{"source":"s","offset":1,"reason":"no_time","line":"x"}"#, "missing field `index`"),
            (r#"{"index":"i","_id":"1","document":{"a":1}"#, "no dead letter: EOF"),
            (r#"{"index":"i","_id":"1","document":{"a":1}} {"#, "trailing characters"),
            (r#"{"index":"","_id":"1","document":{"a":1}}"#, "its index is empty"),
            (r#"{"index":"i","_id":"1"}"#, "it has no document"),
            (r#"{"index":"i","_id":"1","document":null}"#, "it has no document"),
            (r#"{"index":"i","_id":"1","document_text":""}"#, "it has no document"),
            (r#"{"index":"i","_id":"1","document_text":"a\n{\"delete\":{}}"}"#, "it has no document"),
            (r#"{"index":"i","_id":7,"document":{}}"#, "no dead letter: invalid type"),
        ] {
            let said = read(line.as_bytes()).expect_err(line).to_string();
            assert!(said.contains(why), "{line}: {said}");
        }
        assert!(read(b"{\"index\":\"i\",\"_id\":null,\"document\":{},\"more\":1}\r\n").is_ok());
        assert!(read(b"{\"index\":\"i\xff\",\"document\":{}}").is_err());
    }
}
