//! The reader threads: each takes a source, opens it, finds out what it is, and cuts it into chunks.
//!
//! Several readers work on several sources side by side, because unpacking is what a reader spends its time with.
//! A sink that wants its documents in input order gets one reader.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::pipeline::chunk::{Chunk, Cut, Lines, MapCutter, StreamCutter};
use crate::pipeline::decode::Encoding;
use crate::pipeline::head::{self, COMPANY_WAIT, Head};
use crate::pipeline::memory::Sizes;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::{Close, Event, Opening};
use crate::pipeline::report::receipt::FileId;
use crate::pipeline::report::totals::{FileReport, FileStatus, UnfinishedLine};
use crate::pipeline::serialize::{Buffer, FileFacts, Plan};
use crate::pipeline::skip::{self, Skipped};
use crate::pipeline::small::Pack;
use crate::pipeline::source::{self, Map, OpenFile, Place, Source, Undecided};
use crate::pipeline::stop::Stop;
use crate::pipeline::tail::{End, Tail};
use crate::pipeline::ticket::{Ticket, Tickets};
use crate::stores::failure::{self, Failure};

/// How sources are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// The format of all sources; `None` guesses it for each.
    pub format: Option<crate::pipeline::parse::Format>,
    /// Goes into each identity, to tell hosts apart that load the same path.
    pub namespace: String,
    /// Lines over this many bytes are malformed: 1 to 1 GiB.
    pub line_bytes_max: usize,
    /// Takes a last line without newline even where more of it may come.
    pub take_last_line: bool,
}

/// What all readers share.
pub struct Readers<'a, I> {
    /// The sources not taken yet, and the number of the next.
    pub sources: Mutex<(I, FileId)>,
    /// How to read them.
    pub options: &'a Options,
    /// What documents look like.
    pub plan: &'a Plan,
    /// The end.
    pub stop: &'a Arc<Stop>,
    /// The memory ceiling.
    pub tickets: &'a Arc<Tickets>,
    /// How large chunks are.
    pub sizes: &'a Sizes,
    /// Used buffers.
    pub buffers: &'a Pool<Buffer>,
    /// The number of the next chunk.
    pub sequence: AtomicU64,
}

/// Where one reader's findings go.
pub struct Outlets {
    /// Chunks, to the parsers.
    pub chunks: Sender<Vec<Chunk>>,
    /// What was opened, and how it ended.
    pub events: Sender<Event>,
}

/// A file's last buffer is used for the next file unless it has grown beyond this, in bytes.
const BUFFER_BYTES_MAX: usize = 512 << 10;

/// So many sources are begun at a time by each reader, where they can be.
const AHEAD_MAX: usize = 8;

/// So many chunks of a mapped file are handed on together: cutting them costs nothing, waking each other up does. Fewer
/// where most tickets are in use, for bodies are made of those.
const TOGETHER: usize = 4;

/// Why a reader gives up a source early: the run ends, or nobody takes its chunks any more.
pub struct Ended;

impl<I: Iterator<Item: Undecided>> Readers<'_, I> {
    /// Reads one source after the other until there are no more or the run ends.
    pub fn work(&self, outlets: &Outlets) {
        let _ = self.read_all(outlets, &mut Pack::default());
    }

    fn read_all(&self, outlets: &Outlets, pack: &mut Pack) -> Result<(), Ended> {
        let mut ahead = VecDeque::new();
        while !self.stop.is_raised() {
            self.begin_some(&mut ahead);
            let Some((id, undecided)) = ahead.pop_front() else { break };
            // The list is free again: to decide may take long.
            self.hand_on_if_old(pack, outlets)?;
            let Some(source) = undecided.decide() else { break };
            if !self.read_small(id, &source, pack, outlets)? {
                self.hand_on(pack, outlets)?;
                outlets.send(Event::Named)?;
                self.read(id, &source, outlets)?;
            }
        }
        self.hand_on(pack, outlets)
    }

    /// Takes the next source off the list, and more of them as long as they can be begun side by side: whoever has to ask
    /// a store for each does not wait for each.
    fn begin_some(&self, ahead: &mut VecDeque<(FileId, I::Item)>) {
        let mut more = ahead.is_empty() || ahead.len() < AHEAD_MAX;
        while more {
            let taken = {
                let mut sources = self.sources.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let Some(undecided) = sources.0.next() else { return };
                sources.1 += 1;
                (sources.1 - 1, undecided)
            };
            more = taken.1.begin() && ahead.len() + 1 < AHEAD_MAX;
            ahead.push_back(taken);
        }
    }

    fn read(&self, id: FileId, source: &Source, outlets: &Outlets) -> Result<(), Ended> {
        if let Place::Skipped(_, why) = &source.place {
            return outlets.not_opened(source, FileStatus::Skipped { why: why.clone() });
        }
        let opened = source::open(source, self.stop).and_then(|mut opened| {
            let head = Head::read(&mut opened.input, || self.stop.is_raised())?;
            Ok((opened, head))
        });
        let (opened, head) = match opened {
            Ok(opened) => opened,
            Err(error) => return outlets.not_opened(source, not_opened(source, &error)),
        };
        let take_last_line = self.options.take_last_line || opened.end_is_certain;
        let name = || source.identity_name();
        let (file, notes) = match self.look(id, source, &head, opened.encoding, name) {
            Ok(known) => known,
            Err(status) => return outlets.not_opened(source, status),
        };
        outlets.send(Event::Opened(Opening {
            file: Arc::clone(&file),
            notes,
            stored_bytes: opened.stored_bytes,
            stored_bytes_read: Arc::clone(&opened.stored_bytes_read),
        }))?;
        let offset = file.start.as_ref().map_or(0, |start| start.mark.offset);
        let cutting = Cutting { readers: self, outlets, file: &file, offset };
        let stored_bytes_read = Arc::clone(&opened.stored_bytes_read);
        let close = match skip::to_start(&file, opened, head, self.stop) {
            Ok(Skipped::Mapped(map)) => cutting.mapped(&map, take_last_line, &stored_bytes_read)?,
            Ok(Skipped::Stream(input, tail)) => cutting.streamed(input, tail, take_last_line)?,
            Ok(Skipped::Stopped) => cutting.stopped(),
            Err(error) => cutting.damaged(&error),
        };
        outlets.send(Event::Closed(close))
    }

    /// What a source is, told from its head, and what the user should know of it.
    ///
    /// # Errors
    /// Why it is not to be read.
    pub fn look(
        &self,
        id: FileId,
        source: &Source,
        head: &Head<'_>,
        encoding: Encoding,
        name: impl FnOnce() -> String,
    ) -> Result<(Arc<OpenFile>, Vec<String>), FileStatus> {
        let content = head.content(self.options.format, source.named);
        let (format, notes) = match content {
            head::Content::Log { format, notes } => (format, notes),
            head::Content::Other { why } => return Err(FileStatus::Skipped { why }),
            head::Content::Refused { why } => return Err(FileStatus::Failed { why }),
        };
        let start = source.start.clone();
        let identity = match &start {
            Some(start) => start.identity,
            None => head.identity(&self.options.namespace, &name()),
        };
        let first_line = head.first_line();
        let called = source.source_name.clone().unwrap_or_else(|| source.uri());
        // A head that is noted or blank holds no access line: what it was given is no guess, and the first line will tell.
        let open = self.options.format.is_none() && (!notes.is_empty() || first_line.is_none());
        let facts = FileFacts::new(self.plan, called, identity, format, self.options.format.is_none(), source.s3())
            .with_format_open(open);
        let object = match &source.place {
            Place::Object(object) => Some(Arc::clone(object)),
            _ => None,
        };
        Ok((Arc::new(OpenFile { id, facts, identity, first_line, encoding, start, object }), notes))
    }
}

impl Outlets {
    /// Tells the report.
    pub fn send(&self, event: Event) -> Result<(), Ended> {
        self.events.send(event).map_err(|_| Ended)
    }

    fn not_opened(&self, source: &Source, status: FileStatus) -> Result<(), Ended> {
        self.send(not_read(source, status))
    }
}

/// A source that is not read, and why.
pub fn not_read(source: &Source, status: FileStatus) -> Event {
    let mut report = FileReport::new(source.uri());
    report.status = status;
    Event::NotOpened(Box::new(report))
}

/// What a source that cannot be opened becomes: gone, if it was there when its directory was listed.
fn not_opened(source: &Source, error: &io::Error) -> FileStatus {
    if let Some(status) = of_store(error) {
        return status;
    }
    let why = crate::error::io_reason(error);
    match (&source.place, error.kind()) {
        (Place::File(_), io::ErrorKind::NotFound) if !source.named => {
            FileStatus::Gone { why: "it was there when its directory was listed".to_owned() }
        }
        // Cut or corrupt before its first byte could be unpacked.
        (_, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => FileStatus::Damaged { offset: 0, why },
        _ => FileStatus::Failed { why },
    }
}

/// What an object that cannot be read, or not on, becomes, if it is one.
fn of_store(error: &io::Error) -> Option<FileStatus> {
    let Failure { kind, why } = Failure::of(error)?.clone();
    Some(match kind {
        failure::Kind::Gone => FileStatus::Gone { why },
        failure::Kind::Archived => FileStatus::Skipped { why },
        failure::Kind::Changed | failure::Kind::Failed => FileStatus::Failed { why },
    })
}

/// One file on its way into chunks.
struct Cutting<'a, I> {
    readers: &'a Readers<'a, I>,
    outlets: &'a Outlets,
    file: &'a Arc<OpenFile>,
    /// Where the next chunk starts, in plain bytes.
    offset: u64,
}

impl<I> Cutting<'_, I> {
    fn mapped(mut self, map: &Arc<Map>, take_last_line: bool, read: &AtomicU64) -> Result<Close, Ended> {
        let mut cutter = MapCutter::new(self.offset as usize, self.readers.options.line_bytes_max, take_last_line);
        let mut together = Vec::new();
        loop {
            let at_once = if together.len() < TOGETHER { self.ticket_at_once() } else { None };
            let ticket = match at_once {
                Some(ticket) => ticket,
                None => {
                    self.send(std::mem::take(&mut together))?;
                    let Some(ticket) = self.ticket() else { return Ok(self.stopped()) };
                    ticket
                }
            };
            let lines = match cutter.cut(map.bytes(), self.readers.sizes.chunk_bytes()) {
                Cut::Lines(range) => {
                    map.take(&range);
                    Lines::Mapped(Arc::clone(map), range)
                }
                Cut::TooLong { line_bytes, covers, head } => Lines::TooLong { line_bytes, covers, head },
                Cut::More => {
                    // A line over the limit: what was searched is not needed again, but for its start.
                    let searched = cutter.at()..cutter.looked_at();
                    map.take(&searched);
                    map.give_back(&searched);
                    continue;
                }
                Cut::End { unfinished } => {
                    self.send(together)?;
                    return Ok(self.end(unfinished));
                }
            };
            read.store(cutter.at() as u64, Ordering::Relaxed);
            let wanted = self.wanted(&lines);
            if wanted > ticket.bytes() {
                self.send(std::mem::take(&mut together))?; // whoever waits holds nothing
            }
            let ticket = self.enlarged(ticket, wanted)?;
            together.push(self.chunk(lines, cutter.end(map.bytes()), ticket));
        }
    }

    fn streamed(self, input: impl Read, tail: Tail, take_last_line: bool) -> Result<Close, Ended> {
        let buffers = self.readers.buffers;
        let mut cutter = StreamCutter::new(self.readers.options.line_bytes_max, tail, buffers.take());
        let mut empty = Buffer::default();
        let close = self.cut_through(&mut cutter, &mut empty, input, take_last_line);
        for buffer in [cutter.into_buffer(), empty] {
            // One that held a long line is not kept.
            if (1..=BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
                buffers.give_back(buffer);
            }
        }
        close
    }

    fn cut_through(
        mut self,
        cutter: &mut StreamCutter,
        empty: &mut Buffer,
        mut input: impl Read,
        take_last_line: bool,
    ) -> Result<Close, Ended> {
        // How reading came to its end; none while there may be more.
        let mut ending: Option<Result<(), io::Error>> = None;
        loop {
            if ending.is_none() {
                // Before the ticket is taken: a pipe may be silent for hours, and whoever waits holds nothing.
                ending = fill(cutter, &mut input, self.readers.sizes.chunk_bytes(), self.readers.stop);
            }
            let Some(ticket) = self.ticket() else { return Ok(self.stopped()) };
            if empty.capacity() == 0 {
                *empty = self.readers.buffers.take();
            }
            let cut = match &ending {
                Some(Ok(())) => cutter.cut_end(take_last_line, empty),
                // Every whole line before a damage is loaded, the half line before it is not.
                Some(Err(_)) | None => cutter.cut(empty),
            };
            match (cut, &ending) {
                (Cut::Lines(lines), _) => self.hand_on(Lines::Owned(lines), cutter.end(), ticket)?,
                (Cut::TooLong { line_bytes, covers, head }, _) => {
                    self.hand_on(Lines::TooLong { line_bytes, covers, head }, cutter.end(), ticket)?;
                }
                (Cut::More | Cut::End { .. }, Some(Err(error))) => return Ok(self.damaged(error)),
                (Cut::End { unfinished }, _) => return Ok(self.end(unfinished)),
                (Cut::More, _) => {}
            }
        }
    }

    fn ticket(&self) -> Option<Ticket> {
        if self.readers.stop.is_raised() {
            return None;
        }
        self.readers.tickets.take(self.readers.sizes.ticket_bytes())
    }

    /// The same for a chunk that goes on together with others, if there are enough for whatever else there is.
    fn ticket_at_once(&self) -> Option<Ticket> {
        let Readers { tickets, sizes, .. } = self.readers;
        if tickets.are_plenty() { tickets.take_now(sizes.ticket_bytes()) } else { None }
    }

    /// How large a ticket `lines` want.
    fn wanted(&self, lines: &Lines) -> usize {
        self.readers.sizes.ticket_bytes_for(lines.held_bytes())
    }

    /// A ticket of at least `wanted` bytes.
    fn enlarged(&self, ticket: Ticket, wanted: usize) -> Result<Ticket, Ended> {
        if wanted <= ticket.bytes() {
            return Ok(ticket);
        }
        // A line longer than a chunk. The small ticket goes back first: nobody waits for bytes while holding some.
        drop(ticket);
        self.readers.tickets.take(wanted).ok_or(Ended)
    }

    /// Gives whole lines to the parsers.
    fn hand_on(&mut self, lines: Lines, end: End, ticket: Ticket) -> Result<(), Ended> {
        let ticket = self.enlarged(ticket, self.wanted(&lines))?;
        let chunk = self.chunk(lines, end, ticket);
        self.send(vec![chunk])
    }

    fn chunk(&mut self, lines: Lines, end: End, ticket: Ticket) -> Chunk {
        let offset = self.offset;
        self.offset += lines.covers();
        let sequence = self.readers.sequence.fetch_add(1, Ordering::Relaxed);
        Chunk { file: Arc::clone(self.file), offset, sequence, lines, end, ticket }
    }

    fn send(&self, chunks: Vec<Chunk>) -> Result<(), Ended> {
        if chunks.is_empty() { Ok(()) } else { self.outlets.chunks.send(chunks).map_err(|_| Ended) }
    }

    fn end(self, unfinished: u64) -> Close {
        let unfinished = (unfinished > 0).then_some(UnfinishedLine { offset: self.offset, bytes: unfinished });
        self.close(FileStatus::Loaded, unfinished)
    }

    fn stopped(self) -> Close {
        self.close(FileStatus::Stopped, None)
    }

    fn damaged(self, error: &io::Error) -> Close {
        if let Some(FileStatus::Failed { why } | FileStatus::Gone { why } | FileStatus::Skipped { why }) =
            of_store(error)
        {
            return self.close(FileStatus::Failed { why }, None);
        }
        let why = crate::error::io_reason(error);
        let status = match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                FileStatus::Damaged { offset: self.offset, why }
            }
            _ => FileStatus::Failed { why },
        };
        self.close(status, None)
    }

    fn close(self, status: FileStatus, unfinished: Option<UnfinishedLine>) -> Close {
        Close { file: self.file.id, end: self.offset, status, unfinished }
    }
}

/// Reads until a chunk is full, the lines that are here have waited long enough, or the input ends: then it says how.
fn fill(
    cutter: &mut StreamCutter,
    input: &mut impl Read,
    chunk_bytes: usize,
    stop: &Stop,
) -> Option<Result<(), io::Error>> {
    let mut since = None;
    loop {
        match input.read(cutter.space(chunk_bytes)) {
            Ok(0) => return Some(Ok(())),
            Ok(read) => {
                cutter.filled(read);
                let since = since.get_or_insert_with(Instant::now);
                if cutter.is_full(chunk_bytes) || since.elapsed() >= COMPANY_WAIT {
                    return None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if cutter.has_bytes() || stop.is_raised() {
                    return None;
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}
