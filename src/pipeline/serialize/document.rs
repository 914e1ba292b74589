//! A [`Record`] becomes a document: JSON, one line, flat keys in the order of the table in [`schema`].
//!
//! As in parse there are two ways and one result. The common one stores constant text and clean fields 32 bytes wide,
//! whatever their length, and lets the next store cover what was too much; the general one writes exactly.

use std::io::Write;

use super::buffer::Buffer;
use super::file::{FileFacts, TAIL_BYTES};
use super::head::{HEAD_BYTES, Head};
use super::id::Id;
use super::json;
use super::plan::{Piece, Plan};
use crate::pipeline::parse::record::{Dirty, WINDOW_BYTES};
use crate::pipeline::parse::{Record, Request, Span, escape};
use crate::schema::{self, Field};

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
    pub(super) id: Option<Id>,
    /// Where the line starts in the file.
    pub(super) offset: u64,
}

/// What the common way writes into: enough for a line of [`WINDOW_BYTES`] whose bytes all become six, twice (the second
/// time as `message`), and for all keys and constants. With a size that is known, the check of each store is one
/// compare.
pub const ROOM_BYTES: usize = 64 * 1024;
type Room = [u8; ROOM_BYTES];

/// The longest tail that the common way takes, in bytes.
pub(super) const COMMON_TAIL_MAX: usize = 6 * 1024;
/// Head and keys are never longer than this: an index name has at most 255 bytes.
const KEYS_MAX: usize = 2 * 1024;
const _: () = assert!(WINDOW_BYTES * 12 + COMMON_TAIL_MAX + KEYS_MAX < ROOM_BYTES);

/// Adds action line and document of a record that came by the common path. Tells whether bytes that are not UTF-8 were
/// replaced.
///
/// # Panics
/// If the record came by the general path, or the file's tail is longer than [`COMMON_TAIL_MAX`].
#[inline(always)]
pub(super) fn write_commonly(record: &Record, context: Context, scratch: &mut Scratch, buffer: &mut Buffer) -> bool {
    let text = record.text.first_chunk().expect("the common path looked at a whole window");
    let room = buffer.room(ROOM_BYTES).first_chunk_mut().expect("there is as much as wanted");
    let (written, replaced) = write_wide(record, text, context, scratch, room);
    buffer.advance(written);
    replaced
}

/// A place in the room.
struct Out<'b> {
    room: &'b mut Room,
    at: usize,
}

impl Out<'_> {
    /// Stores `bytes` at `at` whole.
    #[inline(always)]
    fn store<const N: usize>(&mut self, at: usize, bytes: &[u8; N]) {
        assert!(at <= ROOM_BYTES - N, "a document fits");
        *self.room[at..].first_chunk_mut().expect("just seen") = *bytes;
    }

    /// Stores `N` bytes of which `len` count.
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        self.store(self.at, bytes);
        self.at += len;
    }

    #[inline(always)]
    fn piece32(&mut self, piece: &Piece) {
        self.put::<32>(piece.bytes.first_chunk().expect("32 of 128"), piece.len);
    }

    /// Most pieces fit in 64 bytes; some with the long names of ECS do not. Which it is does not change within a run.
    #[inline(always)]
    fn piece64(&mut self, piece: &Piece) {
        self.store::<64>(self.at, piece.bytes.first_chunk().expect("64 of 128"));
        if piece.len > 64 {
            self.store::<64>(self.at + 64, piece.bytes.last_chunk().expect("64 of 128"));
        }
        self.at += piece.len;
    }

    /// Copies a clean field: `N` bytes whatever its length, and more only if it is longer. With an `N` that most
    /// fields fit in, there is hardly a branch to guess wrong.
    #[inline(always)]
    fn copy<const N: usize>(&mut self, text: &Window, field: Span) {
        let start = field.start as usize;
        let len = field.len();
        self.store::<N>(self.at, load(text, start));
        let mut done = N;
        while done < len {
            self.store::<32>(self.at + done, load(text, start + done));
            done += 32;
        }
        self.at += len;
    }

    /// Copies a clean field of at most 16 bytes, as numbers and verbs are.
    #[inline(always)]
    fn copy16(&mut self, text: &Window, field: Span) {
        self.put::<16>(load(text, field.start as usize), field.len());
    }

    /// Adds exactly `bytes`.
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.room[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

type Window = [u8; WINDOW_BYTES];

/// `N` bytes from `at` on. The common path leaves lines alone that end near the end of the window.
#[inline(always)]
fn load<const N: usize>(text: &Window, at: usize) -> &[u8; N] {
    assert!(at <= WINDOW_BYTES - N, "a field of the common path lies well inside");
    text[at..].first_chunk().expect("just seen")
}

#[inline(always)]
fn write_wide(
    record: &Record,
    text: &Window,
    context: Context,
    scratch: &mut Scratch,
    room: &mut Room,
) -> (usize, bool) {
    let Context { plan, file, head, .. } = context;
    let mut out = Out { room, at: 0 };
    let mut replaced = false;

    out.store::<HEAD_BYTES>(0, head.bytes.first_chunk().expect("heads are padded"));
    if head.len > HEAD_BYTES {
        out.extend(&head.bytes);
    }
    out.at = head.len;
    out.store(head.clock_at, &record.timestamp.clock);
    if let (Some(at), Some(id)) = (head.id_at, context.id) {
        out.store(at, &id.characters());
    }

    out.copy::<32>(text, record.client);
    let dash = |field: Span| field.len() == 1 && load(text, field.start as usize) == b"-";
    if dash(record.ident) && dash(record.user) {
        out.piece64(&plan.nobody);
    } else {
        out.piece32(&plan.ident);
        out.copy::<32>(text, record.ident);
        out.piece32(&plan.auth);
        out.copy::<32>(text, record.user);
        out.piece32(&plan.verb);
    }

    let Request::Line { verb, target, version } = record.request else {
        unreachable!("the common path gives whole request lines")
    };
    out.copy16(text, verb);
    out.piece32(&plan.request);
    if record.dirty.has(Dirty::TARGET) {
        (out.at, replaced) = dirty_field(out.room, out.at, scratch, target.of(text));
    } else {
        out.copy::<64>(text, target);
    }

    let numbers_at = out.at;
    out.piece64(&plan.numbers);
    out.store::<3>(numbers_at + plan.version_at, load(text, version.start as usize));
    out.store::<3>(numbers_at + plan.status_at, load(text, record.status.start as usize));
    if record.bytes.is_empty() {
        out.at = numbers_at + plan.status_at + 3; // the key is dropped by stepping over it
    } else {
        out.copy16(text, record.bytes);
    }

    // The format does not change within a chunk: these branches cost next to nothing.
    if !record.agent.is_none() {
        out.piece32(&plan.referrer);
        if record.dirty.has(Dirty::REFERRER) {
            let (at, lossy) = dirty_field(out.room, out.at, scratch, record.referrer.of(text));
            (out.at, replaced) = (at, replaced | lossy);
        } else {
            out.copy::<64>(text, record.referrer);
        }
        out.piece32(&plan.agent);
        if record.dirty.has(Dirty::AGENT) {
            let (at, lossy) = dirty_field(out.room, out.at, scratch, record.agent.of(text));
            (out.at, replaced) = (at, replaced | lossy);
        } else {
            out.copy::<128>(text, record.agent);
        }
        out.put(b"\"", 1);
    }
    if !record.vhost.is_empty() {
        out.piece32(&plan.vhost);
        out.copy::<32>(text, record.vhost);
        out.put(b"\"", 1);
    }
    if !record.forwarded.is_empty() {
        out.piece64(&plan.forwarded);
        out.copy::<64>(text, record.forwarded);
        out.put(b"\"", 1);
    }
    if !record.bytes_in.is_empty() {
        out.piece32(&plan.bytes_in);
        out.copy16(text, record.bytes_in);
    }
    if !record.bytes_out.is_empty() {
        out.piece32(&plan.bytes_out);
        out.copy16(text, record.bytes_out);
    }
    if !plan.plain {
        let (at, lossy) = wanted_fields_wide(*record, context, out.room, out.at);
        (out.at, replaced) = (at, replaced | lossy);
    }

    if file.tail_len <= TAIL_BYTES {
        out.put::<TAIL_BYTES>(file.tail.first_chunk().expect("tails are padded"), file.tail_len);
    } else {
        out.extend(&file.tail);
    }
    (out.at, replaced)
}

/// Writes a field that is not clean. Like all that is called from the common way, it takes and gives values: a
/// reference to what the caller works with would force that into memory for every line.
#[cold]
#[inline(never)]
fn dirty_field(room: &mut Room, at: usize, scratch: &mut Scratch, field: &[u8]) -> (usize, bool) {
    let mut out = Out { room, at };
    let replaced = field_value(scratch, field, &mut |bytes| out.extend(bytes));
    (out.at, replaced)
}

#[inline(never)]
fn wanted_fields_wide(record: Record, context: Context, room: &mut Room, at: usize) -> (usize, bool) {
    let mut out = Out { room, at };
    let replaced = wanted_fields(&record, context, &mut |bytes| out.extend(bytes));
    (out.at, replaced)
}

/// Whether a field is the inside of its JSON string as it is. Without a branch for each byte, so that the compiler looks at
/// many at a time.
fn is_clean(field: &[u8]) -> bool {
    let clean = |byte: &u8| (0x20..0x80).contains(byte) & (*byte != b'"') & (*byte != b'\\');
    field.iter().fold(true, |all, byte| all & clean(byte))
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
    let mut string = |wanted: bool, field: Field, value: Span| {
        if wanted {
            put(b",\"");
            put(field.name(options.schema).as_bytes());
            put(b"\":\"");
            replaced |= json::escape(value.of(record.text), &mut *put);
            put(b"\"");
        }
    };
    string(options.with_extra && !record.extra.is_empty(), schema::EXTRA, record.extra);
    string(options.with_timestamp, schema::TIME_AS_WRITTEN, record.time);
    string(options.with_message, schema::MESSAGE, record.line);
    if options.with_source {
        put(b",\"");
        put(schema::LOG_OFFSET.name(options.schema).as_bytes());
        put(b"\":");
        let mut digits = [0; 20];
        let mut rest = &mut digits[..];
        write!(rest, "{}", context.offset).expect("no number is longer");
        let left = rest.len();
        put(&digits[..20 - left]);
    }
    replaced
}

/// Adds action line and document of any record. Tells whether bytes that are not UTF-8 were replaced.
#[cold]
#[inline(never)]
pub(super) fn write_generally(record: &Record, context: Context, scratch: &mut Scratch, buffer: &mut Buffer) -> bool {
    let Context { plan, file, head, .. } = context;
    let text = record.text;
    let start = buffer.len();
    buffer.extend_from_slice(&head.bytes[..head.len]);
    buffer.overwrite(start + head.clock_at, &record.timestamp.clock);
    if let (Some(at), Some(id)) = (head.id_at, context.id) {
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
    replaced |= wanted_fields(record, context, &mut |bytes| buffer.extend_from_slice(bytes));
    buffer.extend_from_slice(&file.tail[..file.tail_len]);
    replaced
}
