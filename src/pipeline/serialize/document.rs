//! A [`Record`] becomes a document: JSON, one line, flat keys in the order of the table in [`schema`].
//!
//! As in parse there are two ways and one result. The common one stores constant text and clean fields 32 bytes wide,
//! whatever their length, and lets the next store cover what was too much; the general one writes exactly.

use super::buffer::Buffer;
use super::file::FileFacts;
use super::head::{Head, STEP};
use super::id::ID_CHARS;
use super::json;
use super::plan::{Piece, Plan};
use crate::pipeline::parse::record::Dirty;
use crate::pipeline::parse::{Record, Request, Span, escape};
use crate::schema;

/// Room that lends itself to decoded fields.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    decoded: Vec<u8>,
}

/// What a document needs beside its record.
#[derive(Clone, Copy)]
pub(super) struct Context<'p> {
    pub(super) plan: &'p Plan,
    pub(super) file: &'p FileFacts,
    pub(super) head: &'p Head,
    pub(super) id: Option<[u8; ID_CHARS]>,
    /// Where the line starts in the file.
    pub(super) offset: u64,
}

/// Bytes that a document can be longer than its line, escapes aside, when constant fields and head are counted apart:
/// its keys, and what is stored too much.
const KEYS_BYTES: usize = 1024;

/// The longest dirty line that the common way takes, in bytes: its room is reserved for the worst case.
const DIRTY_BYTES_MAX: usize = 32 * 1024;

/// Adds action line and document of `record`. Tells whether bytes that are not UTF-8 were replaced.
#[inline(always)]
pub(super) fn write(record: &Record, context: Context, scratch: &mut Scratch, buffer: &mut Buffer) -> bool {
    let line_bytes = record.line.len();
    let dirty = record.dirty != Dirty::default() || !context.plan.plain;
    // 128 readable bytes behind the line let the common way read as wide as it writes.
    if !record.common_path
        || record.line.end as usize + 128 > record.text.len()
        || (dirty && line_bytes > DIRTY_BYTES_MAX)
    {
        return write_generally(record, context, scratch, buffer);
    }
    // Six bytes for one at worst, and the line a second time as `message`.
    let worst = if dirty { line_bytes * 12 } else { line_bytes };
    let room = buffer.room(context.head.bytes.len() + worst + context.file.tail.len() + KEYS_BYTES);
    let (written, replaced) = write_commonly(record, context, scratch, room);
    buffer.advance(written);
    replaced
}

/// A place in room that is known to be large enough: running out of it is our mistake.
struct Out<'b> {
    room: &'b mut [u8],
    at: usize,
}

impl Out<'_> {
    /// Stores 32 bytes of which `len` count.
    #[inline(always)]
    fn put32(&mut self, bytes: &[u8; 32], len: usize) {
        self.room[self.at..self.at + 32].copy_from_slice(bytes);
        self.at += len;
    }

    #[inline(always)]
    fn piece32(&mut self, piece: &Piece) {
        self.put32(piece.bytes.first_chunk().expect("32 of 64"), piece.len);
    }

    #[inline(always)]
    fn piece64(&mut self, piece: &Piece) {
        self.room[self.at..self.at + 64].copy_from_slice(&piece.bytes);
        self.at += piece.len;
    }

    /// Stores exactly `bytes` at an earlier place.
    #[inline(always)]
    fn patch<const N: usize>(&mut self, at: usize, bytes: &[u8; N]) {
        self.room[at..at + N].copy_from_slice(bytes);
    }

    /// Copies a clean field.
    #[inline(always)]
    fn copy(&mut self, text: &[u8], field: Span) {
        let start = field.start as usize;
        let len = field.len();
        let mut done = 0;
        loop {
            let from = start + done;
            let to = self.at + done;
            self.room[to..to + 32].copy_from_slice(&text[from..from + 32]);
            done += 32;
            if done >= len {
                break;
            }
        }
        self.at += len;
    }

    /// Copies a short clean field, as numbers and verbs are: at most 16 bytes.
    #[inline(always)]
    fn copy16(&mut self, text: &[u8], field: Span) {
        let start = field.start as usize;
        self.room[self.at..self.at + 16].copy_from_slice(&text[start..start + 16]);
        self.at += field.len();
    }

    /// Adds exactly `bytes`.
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.room[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

#[inline(always)]
fn write_commonly(record: &Record, context: Context, scratch: &mut Scratch, room: &mut [u8]) -> (usize, bool) {
    let Context { plan, file, head, .. } = context;
    let text = record.text;
    let mut out = Out { room, at: 0 };
    let mut replaced = false;

    for step in head.bytes.chunks_exact(STEP) {
        out.put32(step.try_into().expect("steps of 32"), STEP);
    }
    out.at = head.len;
    out.patch(head.clock_at, &record.timestamp.clock);
    if let (Some(at), Some(id)) = (head.id_at, &context.id) {
        out.patch(at, id);
    }

    out.copy(text, record.client);
    let dash = |field: Span| field.len() == 1 && text[field.start as usize] == b'-';
    if dash(record.ident) && dash(record.user) {
        out.piece64(&plan.nobody);
    } else {
        out.piece32(&plan.ident);
        out.copy(text, record.ident);
        out.piece32(&plan.auth);
        out.copy(text, record.user);
        out.piece32(&plan.verb);
    }

    let Request::Line { verb, target, version } = record.request else {
        unreachable!("the common path gives whole request lines")
    };
    out.copy16(text, verb);
    out.piece32(&plan.request);
    if record.dirty.has(Dirty::TARGET) {
        replaced |= dirty_field(&mut out, scratch, target.of(text));
    } else {
        out.copy(text, target);
    }

    let numbers_at = out.at;
    out.piece64(&plan.numbers);
    // The common path's version and status have three bytes each.
    let version: &[u8; 3] = text[version.start as usize..].first_chunk().expect("a version is inside");
    let status: &[u8; 3] = text[record.status.start as usize..].first_chunk().expect("a status is inside");
    out.patch(numbers_at + plan.version_at, version);
    out.patch(numbers_at + plan.status_at, status);
    if record.bytes.is_empty() {
        out.at = numbers_at + plan.status_at + 3;
    } else {
        out.copy16(text, record.bytes);
    }

    // The format does not change within a chunk: these branches cost next to nothing.
    if record.agent != Span::NONE {
        out.piece32(&plan.referrer);
        if record.dirty.has(Dirty::REFERRER) {
            replaced |= dirty_field(&mut out, scratch, record.referrer.of(text));
        } else {
            out.copy(text, record.referrer);
        }
        out.piece32(&plan.agent);
        if record.dirty.has(Dirty::AGENT) {
            replaced |= dirty_field(&mut out, scratch, record.agent.of(text));
        } else {
            out.copy(text, record.agent);
        }
        out.put32(b"\"                               ", 1);
    }
    if record.vhost != Span::NONE {
        string_key(&mut out, schema::VHOST);
        out.copy(text, record.vhost);
        out.extend(b"\"");
    }
    if record.bytes_in != Span::NONE {
        number_key(&mut out, schema::BYTES_IN);
        out.copy16(text, record.bytes_in);
    }
    if record.bytes_out != Span::NONE {
        number_key(&mut out, schema::BYTES_OUT);
        out.copy16(text, record.bytes_out);
    }
    if !plan.plain {
        replaced |= wanted_fields(record, context, &mut |bytes| out.extend(bytes));
    }

    out.extend(&file.tail);
    (out.at, replaced)
}

#[inline(always)]
fn string_key(out: &mut Out, name: &str) {
    out.extend(b",\"");
    out.extend(name.as_bytes());
    out.extend(b"\":\"");
}

#[inline(always)]
fn number_key(out: &mut Out, name: &str) {
    out.extend(b",\"");
    out.extend(name.as_bytes());
    out.extend(b"\":");
}

#[cold]
#[inline(never)]
fn dirty_field(out: &mut Out, scratch: &mut Scratch, field: &[u8]) -> bool {
    field_value(scratch, field, &mut |bytes| out.extend(bytes))
}

/// The inside of the JSON string for a field as it is written. Tells whether something was replaced.
fn field_value(scratch: &mut Scratch, field: &[u8], put: &mut impl FnMut(&[u8])) -> bool {
    match escape::undo(&mut scratch.decoded, field) {
        Some(text) => {
            json::escape_str(text, put);
            false
        }
        None => json::escape(field, put),
    }
}

/// The fields that only some want: `extra`, `timestamp`, `message`, `log.offset`. All as they are written.
fn wanted_fields(record: &Record, context: Context, put: &mut impl FnMut(&[u8])) -> bool {
    let options = &context.plan.options;
    let mut replaced = false;
    let mut string = |wanted: bool, name: &str, value: Span| {
        if wanted {
            put(b",\"");
            put(name.as_bytes());
            put(b"\":\"");
            replaced |= json::escape(value.of(record.text), &mut *put);
            put(b"\"");
        }
    };
    string(options.with_extra && !record.extra.is_empty(), schema::EXTRA, record.extra);
    string(options.with_timestamp, schema::TIME_AS_WRITTEN, record.time);
    string(options.with_message, schema::MESSAGE, record.line);
    if options.with_source {
        put(format!(",\"{}\":{}", schema::LOG_OFFSET, context.offset).as_bytes());
    }
    replaced
}

#[cold]
#[inline(never)]
fn write_generally(record: &Record, context: Context, scratch: &mut Scratch, buffer: &mut Buffer) -> bool {
    let Context { plan, file, head, .. } = context;
    let text = record.text;
    let start = buffer.len();
    buffer.extend_from_slice(&head.bytes[..head.len]);
    buffer.overwrite(start + head.clock_at, &record.timestamp.clock);
    if let (Some(at), Some(id)) = (head.id_at, &context.id) {
        buffer.overwrite(start + at, id);
    }

    let mut replaced = false;
    let mut value = |buffer: &mut Buffer, field: Span, empty_quotes: bool| {
        let field = field.of(text);
        if !(empty_quotes && field == b"\"\"") {
            replaced |= field_value(scratch, field, &mut |bytes| buffer.extend_from_slice(bytes));
        }
    };
    value(buffer, record.client, false);
    buffer.extend_from_slice(plan.ident.text());
    value(buffer, record.ident, false);
    buffer.extend_from_slice(plan.auth.text());
    // httpd writes an empty user as `""`, so that the line keeps its words (log_remote_user, mod_log_config.c).
    value(buffer, record.user, true);
    buffer.extend_from_slice(b"\"");

    let key = |buffer: &mut Buffer, name: &str| {
        buffer.extend_from_slice(format!(",\"{name}\":").as_bytes());
    };
    let mut string = |buffer: &mut Buffer, name: &str, field: Span| {
        key(buffer, name);
        buffer.extend_from_slice(b"\"");
        value(buffer, field, false);
        buffer.extend_from_slice(b"\"");
    };
    let number = |buffer: &mut Buffer, name: &str, field: Span| {
        if !field.is_empty() {
            key(buffer, name);
            buffer.extend_from_slice(field.of(text));
        }
    };
    match record.request {
        Request::Line { verb, target, version } => {
            string(buffer, schema::VERB, verb);
            string(buffer, schema::REQUEST, target);
            if !version.is_empty() {
                string(buffer, schema::HTTPVERSION, version);
            }
        }
        Request::Raw(request) => string(buffer, schema::RAWREQUEST, request),
    }
    number(buffer, schema::RESPONSE, record.status);
    number(buffer, schema::BYTES, record.bytes);
    if record.agent != Span::NONE {
        string(buffer, schema::REFERRER, record.referrer);
        string(buffer, schema::AGENT, record.agent);
    }
    if !record.vhost.is_empty() {
        string(buffer, schema::VHOST, record.vhost);
    }
    if !record.forwarded.is_empty() {
        string(buffer, schema::X_FORWARDED_FOR, record.forwarded);
    }
    number(buffer, schema::BYTES_IN, record.bytes_in);
    number(buffer, schema::BYTES_OUT, record.bytes_out);
    replaced |= wanted_fields(record, context, &mut |bytes| buffer.extend_from_slice(bytes));
    buffer.extend_from_slice(&file.tail);
    replaced
}
