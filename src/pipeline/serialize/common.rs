//! The common path of parse and serialize at once: a line becomes a document while it is looked at.
//!
//! The bytes that are loaded to find the end of target, referrer and agent are stored where the field goes, 32 a step,
//! and so read once; what was stored too much is covered by what comes next. Constant text goes out in one piece. What
//! is asked of a line is in [`scan`]; whatever is not of the common kind gives none, and the general path looks at the
//! line again from its start. A `Record` between the two, as the general path has it, would cost a third of the speed:
//! its many places do not fit in registers.
//!
//! Before you change this: a document written here must be the one that the general path writes. The tests compare
//! both on every line they know, and check that clean lines come this way: a question that is asked wrongly costs speed,
//! not truth, but a place that is counted wrongly costs truth.

use super::document::{Origin, Scratch, field_value, wanted_fields};
use super::file::TAIL_BYTES;
use super::head::{HEAD_BYTES, Heads};
use super::id::Ids;
use super::plan::Piece;
use crate::pipeline::parse::Format;
use crate::pipeline::parse::lanes::Lanes;
use crate::pipeline::parse::record::{Span, WINDOW_BYTES};
use crate::pipeline::parse::scan::{self, BYTES_AT, STATUS_AT, VERSION_AT, Who, Window, load};
use crate::pipeline::parse::timestamp::{Days, TIME_BYTES};

/// What the common path writes into: enough for a line of [`WINDOW_BYTES`] whose bytes all become six, twice (the second
/// time as `message`), and for all keys and constants. With a size that is known, the check of each store is one
/// compare.
pub const ROOM_BYTES: usize = 64 * 1024;
type Room = [u8; ROOM_BYTES];

/// The longest tail that the common path takes, in bytes.
pub(super) const COMMON_TAIL_MAX: usize = 6 * 1024;
/// Head and keys are never longer than this: an index name has at most 255 bytes.
const KEYS_MAX: usize = 2 * 1024;
const _: () = assert!(WINDOW_BYTES * 12 + COMMON_TAIL_MAX + KEYS_MAX < ROOM_BYTES);

/// A line that became a document.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// Bytes of the document, action line included; 0 where its event is outside of what is wanted.
    pub(super) bytes: usize,
    /// Bytes of the line without its end, and with it.
    pub(super) line: usize,
    pub(super) next: usize,
    /// When its event was, in seconds since 1970-01-01T00:00:00Z.
    pub(super) unix: i64,
    /// Which index the document goes to, as [`Heads`] counts them.
    pub(super) index: usize,
    /// Whether there is text behind the last field.
    pub(super) extra: bool,
    /// Whether bytes that are not UTF-8 were replaced.
    pub(super) replaced: bool,
}

/// Writes action line and document of the line at the start of `text`, or gives none if the line, or what stands where
/// a line is wanted, is not of the common kind. What comes behind the line is read too, but never changes the result.
///
/// The file's tail must not be longer than [`COMMON_TAIL_MAX`].
#[inline(always)]
#[allow(clippy::too_many_arguments)] // values in registers: a reference to them all would force them into memory
pub(super) fn write<L: Lanes>(
    lanes: L,
    format: Format,
    origin: Origin,
    days: &mut Days,
    heads: &mut Heads,
    ids: &mut Ids,
    scratch: &mut Scratch,
    text: &[u8],
    room: &mut Room,
) -> Option<Written> {
    let Origin { plan, file, .. } = origin;
    let text: &Window = text.first_chunk()?;

    let Who { vhost, client, forwarded, ident, user, bracket } = scan::who(lanes, format, text)?;

    let time = days.bracketed(lanes, load(text, bracket)?)?;
    let head = heads.of(plan, days.get(time.day), &time);
    let mut out = Out { room, at: 0 };
    out.store::<HEAD_BYTES>(0, head.bytes.first_chunk().expect("heads are padded"));
    if head.len > HEAD_BYTES {
        out.extend(&head.bytes);
    }
    out.at = head.len;
    out.store(head.clock_at, &time.clock);
    let (id_at, index) = (head.id_at, head.index);

    out.copy::<32>(text, client);
    if ident.is_none() {
        out.piece64(&plan.nobody);
    } else {
        out.piece32(&plan.ident);
        out.copy::<32>(text, ident);
        out.piece32(&plan.auth);
        out.copy::<32>(text, user);
        out.piece32(&plan.verb);
    }

    let verb_start = bracket + TIME_BYTES + 4;
    // The verb ends at the first stop, the target at the second: one load finds both for most lines.
    let stops = lanes.word_stops(load(text, verb_start)?);
    let verb_bytes = stops.trailing_zeros() as usize;
    if !scan::is_verb(text, verb_start, verb_bytes)? {
        return None;
    }
    out.put::<16>(load(text, verb_start)?, verb_bytes);
    out.piece32(&plan.request);

    let mut replaced = false;
    let target_start = verb_start + verb_bytes + 1;
    let target_at = out.at;
    let mut target_end =
        out.copy_until(text, target_start, verb_start, stops & stops.wrapping_sub(1), lanes, L::word_stops)?;
    if text[target_end] != b' ' {
        target_end = scan::dirty_target_end(text, target_end)?;
        (out.at, replaced) = dirty_field(out.room, target_at, scratch, &text[target_start..target_end]);
    }
    if target_end == target_start || !scan::is_version_and_status(text, target_end)? {
        return None;
    }

    let numbers_at = out.at;
    out.piece64(&plan.numbers);
    out.store::<3>(numbers_at + plan.version_at, load(text, target_end + VERSION_AT)?);
    out.store::<3>(numbers_at + plan.status_at, load(text, target_end + STATUS_AT)?);
    let bytes_start = target_end + BYTES_AT;
    let (bytes, mut at) = scan::number(text, bytes_start)?;
    if bytes.is_none() {
        out.at = numbers_at + plan.status_at + 3; // the key is dropped by stepping over it
    } else {
        out.put::<16>(load(text, bytes_start)?, at - bytes_start);
    }

    // The format does not change within a chunk: these branches cost next to nothing.
    if format.has_referrer() {
        // The referrer begins behind the first stop and ends at the second: as above, and found without waiting for
        // the number, which is only checked.
        let stops = lanes.quoted_stops(load(text, bytes_start)?);
        let referrer_start = bytes_start + stops.trailing_zeros() as usize + 1;
        if *load(text, at)? != *b" \"" {
            return None;
        }
        debug_assert_eq!(at + 2, referrer_start, "digits and a space are clean");
        out.piece32(&plan.referrer);
        let referrer_at = out.at;
        let stops = stops & stops.wrapping_sub(1);
        let mut referrer_end = out.copy_until(text, referrer_start, bytes_start, stops, lanes, L::quoted_stops)?;
        if text[referrer_end] != b'"' {
            let lossy;
            referrer_end = scan::dirty_quoted_end(text, referrer_end)?;
            (out.at, lossy) = dirty_field(out.room, referrer_at, scratch, &text[referrer_start..referrer_end]);
            replaced |= lossy;
        }
        if *load(text, referrer_end)? != *b"\" \"" {
            return None;
        }
        out.piece32(&plan.agent);
        let agent_at = out.at;
        let agent_start = referrer_end + 3;
        let stops = lanes.quoted_stops(load(text, agent_start)?);
        let mut agent_end = out.copy_until(text, agent_start, agent_start, stops, lanes, L::quoted_stops)?;
        if text[agent_end] != b'"' {
            let lossy;
            agent_end = scan::dirty_quoted_end(text, agent_end)?;
            (out.at, lossy) = dirty_field(out.room, agent_at, scratch, &text[agent_start..agent_end]);
            replaced |= lossy;
        }
        out.put(b"\"", 1);
        at = agent_end + 1;
    }
    if format.has_vhost() {
        out.piece32(&plan.vhost);
        out.copy::<32>(text, vhost);
        out.put(b"\"", 1);
    }
    if !forwarded.is_none() {
        out.piece64(&plan.forwarded);
        out.copy::<64>(text, forwarded);
        out.put(b"\"", 1);
    }
    if format.has_bytes_in_out() {
        for piece in [&plan.bytes_in, &plan.bytes_out] {
            if *text.get(at)? != b' ' {
                return None;
            }
            let start = at + 1;
            let number;
            (number, at) = scan::number(text, start)?;
            if !number.is_none() {
                out.piece32(piece);
                out.put::<16>(load(text, start)?, at - start);
            }
        }
    }

    let (line, next, extra) = scan::line_end(text, at, format)?;
    let written = Written { bytes: 0, line, next, unix: time.unix, index, extra: !extra.is_empty(), replaced };
    if !plan.wants(time.unix) {
        return Some(written);
    }
    if !plan.plain {
        let time = Span::new(bracket + 1, bracket + 1 + TIME_BYTES);
        let (at, lossy) = wanted_fields_here(origin, text, [extra, time, Span::new(0, line)], out.room, out.at);
        (out.at, replaced) = (at, replaced | lossy);
    }
    if file.tail_len <= TAIL_BYTES {
        out.put::<TAIL_BYTES>(file.tail.first_chunk().expect("tails are padded"), file.tail_len);
    } else {
        out.extend(&file.tail);
    }
    // Late, so exactly: the document is there already.
    if let Some(at) = id_at
        && let Some(id) = ids.of(origin.offset, &text[..line])
    {
        out.store(at, &id.characters());
    }
    Some(Written { bytes: out.at, replaced, ..written })
}

/// Writes a field that is not clean. Like all that is called from here, it takes and gives values: a reference to what
/// the caller works with would force that into memory for every line.
#[cold]
#[inline(never)]
fn dirty_field(room: &mut Room, at: usize, scratch: &mut Scratch, field: &[u8]) -> (usize, bool) {
    let mut out = Out { room, at };
    let replaced = field_value(scratch, field, &mut |bytes| out.extend(bytes));
    (out.at, replaced)
}

#[inline(never)]
fn wanted_fields_here(origin: Origin, text: &Window, fields: [Span; 3], room: &mut Room, at: usize) -> (usize, bool) {
    let mut out = Out { room, at };
    let [extra, time, line] = fields.map(|field| field.of(text));
    let replaced = wanted_fields(origin, extra, time, line, &mut |bytes| out.extend(bytes));
    (out.at, replaced)
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

    /// Copies the clean field that starts at `start`, and looks for its end: the first stop. Those of the 32 bytes at
    /// `seen`, which is at most so far before, are known, and are none before `start`. Gives the place of the end, if
    /// there is one in the window.
    #[inline(always)]
    fn copy_until<L: Lanes>(
        &mut self,
        text: &Window,
        start: usize,
        mut seen: usize,
        mut stops: u32,
        lanes: L,
        find: impl Fn(L, &[u8; 32]) -> u32,
    ) -> Option<usize> {
        debug_assert!(seen <= start && start <= seen + 32);
        self.store::<32>(self.at, load(text, start)?);
        while stops == 0 {
            seen += 32; // a constant: the next load does not wait for this one
            let block = *load(text, seen)?;
            stops = find(lanes, &block);
            self.store::<32>(self.at + (seen - start), &block);
        }
        let end = seen + stops.trailing_zeros() as usize;
        debug_assert!(end >= start);
        self.at += end - start;
        Some(end)
    }

    /// Copies a clean field whose end is known: `N` bytes whatever its length, and more only if it is longer. With an
    /// `N` that most fields fit in, there is hardly a branch to guess wrong.
    #[inline(always)]
    fn copy<const N: usize>(&mut self, text: &Window, field: Span) {
        let start = field.start as usize;
        let len = field.len();
        // Behind each such field stands a time, whose 62 bytes were looked at.
        let within = "a field lies well inside of the window";
        self.store::<N>(self.at, load(text, start).expect(within));
        let mut done = N;
        while done < len {
            self.store::<32>(self.at + done, load(text, start + done).expect(within));
            done += 32;
        }
        self.at += len;
    }

    /// Adds exactly `bytes`.
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.room[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}
