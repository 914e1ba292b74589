//! A [`Record`] becomes a document: JSON, one line, flat keys in the order of the table in [`schema`].
//!
//! This is the general path, which writes exactly and reads like the document. The common one is in `common`.

use std::io::Write;

use super::buffer::Buffer;
use super::file::FileFacts;
use super::head::Head;
use super::id::Id;
use super::json;
use super::plan::Plan;
use crate::pipeline::parse::{Record, Request, Span, escape};
use crate::schema::{self, Field};

/// Room that lends itself to decoded fields.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    decoded: Vec<u8>,
}

/// Where a line is from, and what its document looks like.
#[derive(Clone, Copy)]
pub(super) struct Origin<'p> {
    pub(super) plan: &'p Plan,
    pub(super) file: &'p FileFacts,
    /// Where the line starts in the file.
    pub(super) offset: u64,
}

/// Whether a field is the inside of its JSON string as it is. Without a branch for each byte, so that the compiler looks at
/// many at a time.
fn is_clean(field: &[u8]) -> bool {
    let clean = |byte: &u8| (0x20..0x80).contains(byte) & (*byte != b'"') & (*byte != b'\\');
    field.iter().fold(true, |all, byte| all & clean(byte))
}

/// The inside of the JSON string for a field as it is written. Tells whether something was replaced.
pub(super) fn field_value(scratch: &mut Scratch, field: &[u8], put: &mut impl FnMut(&[u8])) -> bool {
    match escape::undo(&mut scratch.decoded, field) {
        Some(text) => {
            json::escape_str(text, put);
            false
        }
        None => json::escape(field, put),
    }
}

/// The fields that only some want: `extra`, `timestamp`, `message`, `log.offset`. All as they are written.
pub(super) fn wanted_fields(
    origin: Origin,
    extra: &[u8],
    time: &[u8],
    line: &[u8],
    put: &mut impl FnMut(&[u8]),
) -> bool {
    let options = &origin.plan.options;
    let mut replaced = false;
    let mut string = |wanted: bool, field: Field, value: &[u8]| {
        if wanted {
            put(b",\"");
            put(field.name(options.schema).as_bytes());
            put(b"\":\"");
            replaced |= json::escape(value, &mut *put);
            put(b"\"");
        }
    };
    string(options.with_extra && !extra.is_empty(), schema::EXTRA, extra);
    string(options.with_timestamp, schema::TIME_AS_WRITTEN, time);
    string(options.with_message, schema::MESSAGE, line);
    if options.with_source {
        put(b",\"");
        put(schema::LOG_OFFSET.name(options.schema).as_bytes());
        put(b"\":");
        let mut digits = [0; 20];
        let mut rest = &mut digits[..];
        write!(rest, "{}", origin.offset).expect("no number is longer");
        let left = rest.len();
        put(&digits[..20 - left]);
    }
    replaced
}

/// Adds action line and document of a record. Tells whether bytes that are not UTF-8 were replaced.
#[cold]
#[inline(never)]
pub(super) fn write(
    record: &Record,
    origin: Origin,
    head: &Head,
    id: Option<Id>,
    scratch: &mut Scratch,
    buffer: &mut Buffer,
) -> bool {
    let Origin { plan, file, .. } = origin;
    let text = record.text;
    let start = buffer.len();
    buffer.extend_from_slice(&head.bytes[..head.len]);
    buffer.overwrite(start + head.clock_at, &record.timestamp.clock);
    if let (Some(at), Some(id)) = (head.id_at, id) {
        buffer.overwrite(start + at, &id.characters());
    }

    let mut replaced = false;
    let mut value = |buffer: &mut Buffer, field: &[u8], empty_quotes: bool| {
        if is_clean(field) {
            buffer.extend_from_slice(field);
        } else if !(empty_quotes && field == b"\"\"") {
            replaced |= field_value(scratch, field, &mut |bytes| buffer.extend_from_slice(bytes));
        }
    };
    let mask = &plan.options.mask;
    value(buffer, &mask.clients(record.client.of(text)), false);
    buffer.extend_from_slice(plan.ident.text());
    value(buffer, record.ident.of(text), false);
    buffer.extend_from_slice(plan.auth.text());
    // httpd writes an empty user as `""`, so that the line keeps its words (log_remote_user, mod_log_config.c).
    value(buffer, record.user.of(text), true);
    buffer.extend_from_slice(b"\"");

    let key = |buffer: &mut Buffer, field: Field| {
        buffer.extend_from_slice(b",\"");
        buffer.extend_from_slice(field.name(plan.options.schema).as_bytes());
        buffer.extend_from_slice(b"\":");
    };
    let mut string = |buffer: &mut Buffer, field: Field, written: &[u8]| {
        key(buffer, field);
        buffer.extend_from_slice(b"\"");
        value(buffer, written, false);
        buffer.extend_from_slice(b"\"");
    };
    let number = |buffer: &mut Buffer, field: Field, written: Span| {
        if !written.is_empty() {
            key(buffer, field);
            buffer.extend_from_slice(written.of(text));
        }
    };
    match record.request {
        Request::Line { verb, target, version } => {
            string(buffer, schema::VERB, verb.of(text));
            string(buffer, schema::REQUEST, &mask.target(target.of(text)));
            if !version.is_empty() {
                string(buffer, schema::HTTPVERSION, version.of(text));
            }
        }
        Request::Raw(request) => string(buffer, schema::RAWREQUEST, &mask.raw_request(request.of(text))),
    }
    number(buffer, schema::RESPONSE, record.status);
    number(buffer, schema::BYTES, record.bytes);
    if !record.agent.is_none() {
        string(buffer, schema::REFERRER, &mask.target(record.referrer.of(text)));
        string(buffer, schema::AGENT, record.agent.of(text));
    }
    if !record.vhost.is_empty() {
        string(buffer, schema::VHOST, record.vhost.of(text));
    }
    if !record.forwarded.is_empty() {
        string(buffer, schema::X_FORWARDED_FOR, &mask.clients(record.forwarded.of(text)));
    }
    number(buffer, schema::BYTES_IN, record.bytes_in);
    number(buffer, schema::BYTES_OUT, record.bytes_out);
    let [extra, time, line] = [record.extra, record.time, record.line].map(|field| field.of(text));
    replaced |= wanted_fields(origin, extra, time, line, &mut |bytes| buffer.extend_from_slice(bytes));
    buffer.extend_from_slice(&file.tail[..file.tail_len]);
    replaced
}
