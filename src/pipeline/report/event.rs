//! [`Event`]: what the stages tell the report. Both sides of the law come this way, from different senders.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::receipt::{FileId, Receipt};
use super::totals::{FileReport, FileStatus, UnfinishedLine};
use crate::pipeline::source::OpenFile;
use crate::pipeline::tail::End;
use crate::pipeline::ticket::Ticket;

/// Something the report has to know.
#[derive(Debug)]
pub enum Event {
    /// A source was taken from the list.
    Named,
    /// It could not be opened, or was left out.
    NotOpened(Box<FileReport>),
    /// It is being read. Comes before anything else about the file.
    Opened(Opening),
    /// From the chunker: so many lines lie in this range of the file's plain bytes.
    Read {
        /// Whose lines.
        file: FileId,
        /// Where they lie.
        range: Range<u64>,
        /// How many newlines say.
        lines: u64,
        /// What the bytes before the range's end say of it.
        end: End,
    },
    /// From the sink: what became of the lines of one block. Its place in memory is given back when the collector is
    /// done with it, for malformed lines and dead letters come along.
    Settled(Box<Receipt>, Option<Ticket>),
    /// A reader is done with a file: everything before `end` was handed on.
    Closed(Close),
    /// What small files gave, in order: a message for each would cost more than they do.
    Several(Vec<Event>),
}

impl Event {
    /// `events` as one message.
    pub fn of(mut events: impl ExactSizeIterator<Item = Event>) -> Event {
        match (events.len(), events.next()) {
            (1, Some(event)) => event,
            (_, first) => Event::Several(first.into_iter().chain(events).collect()),
        }
    }
}

/// A file that is being read.
#[derive(Debug)]
pub struct Opening {
    /// The file.
    pub file: Arc<OpenFile>,
    /// What the user should know of it.
    pub notes: Vec<String>,
    /// Its size on disk, in bytes.
    pub stored_bytes: Option<u64>,
    /// How many of them were read, kept up to date by the reader.
    pub stored_bytes_read: Arc<AtomicU64>,
}

/// How reading a file ended.
#[derive(Debug)]
pub struct Close {
    /// Which file.
    pub file: FileId,
    /// The end of the last chunk in the file's plain bytes.
    pub end: u64,
    /// `Loaded` if all was read; what was wrong or why not otherwise.
    pub status: FileStatus,
    /// A half last line that was left.
    pub unfinished: Option<UnfinishedLine>,
}
