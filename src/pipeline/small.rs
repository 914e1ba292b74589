//! Small files: read whole with one call, several into one buffer, and handed on together.
//!
//! A file of a few lines costs its system calls and its messages from thread to thread, not its lines. So nothing is
//! asked of the system twice, and what wakes another thread up carries a chunk's worth of files. Each file keeps its own
//! chunk, ticket and report. Everything that is not as it was when its folder was walked, or is packed, is left to the
//! [`reader`](crate::pipeline::reader).
//!
//! Whoever waits hands on first: a pack holds tickets, which others may be waiting for.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::pipeline::chunk::{Chunk, Cut, Lines, MapCutter};
use crate::pipeline::decode::{self, Encoding};
use crate::pipeline::head::{HEAD_BYTES, Head};
use crate::pipeline::reader::{Ended, Outlets, Readers, not_read};
use crate::pipeline::report::event::{Close, Event, Opening};
use crate::pipeline::report::receipt::FileId;
use crate::pipeline::report::totals::{FileStatus, UnfinishedLine};
use crate::pipeline::serialize::Buffer;
use crate::pipeline::source::{self, Folders, OpenFile, Place, Source, Undecided};
use crate::pipeline::tail::End;
use crate::pipeline::ticket::Ticket;

/// Files up to this size are small, in bytes: all of them is looked at anyway.
const SMALL_BYTES_MAX: usize = HEAD_BYTES;
/// So many files are handed on together at most, however small they are.
const FILES_MAX: usize = 64;
/// How long a file waits for company, by what can be seen between two files.
const HOLD_MAX: Duration = Duration::from_millis(50);
/// A buffer that is used for less than this part of it is copied into one that fits: tickets count what is used.
const USED_AT_LEAST: usize = 4;

/// Files that were read and not handed on yet.
#[derive(Default)]
pub struct Pack {
    /// Their bytes, one file after the other.
    buffer: Buffer,
    /// What they were cut into.
    cuts: Vec<Waiting>,
    /// What the report has to know, in order.
    events: Vec<Event>,
    files: usize,
    /// When the first of them was read.
    since: Option<Instant>,
    folders: Folders,
}

/// A chunk without its buffer.
struct Waiting {
    file: Arc<OpenFile>,
    offset: u64,
    lines: Cut<Range<usize>>,
    end: End,
    ticket: Ticket,
}

impl<I: Iterator<Item: Undecided>> Readers<'_, I> {
    /// Reads `source` into `pack` if it is small. If not, nothing has happened.
    ///
    /// # Errors
    /// If nobody takes chunks any more.
    pub fn read_small(&self, id: FileId, source: &Source, pack: &mut Pack, outlets: &Outlets) -> Result<bool, Ended> {
        let (Place::File(path), Some(entry)) = (&source.place, source.entry) else { return Ok(false) };
        let pack_bytes = self.sizes.chunk_bytes();
        let Some(bytes) = usize::try_from(entry.bytes).ok().filter(|&bytes| bytes <= SMALL_BYTES_MAX.min(pack_bytes))
        else {
            return Ok(false);
        };
        if source.start.as_ref().is_some_and(|start| start.mark.offset > 0) {
            return Ok(false); // begins somewhere else
        }
        if pack.files == FILES_MAX || pack.buffer.len() + bytes > pack_bytes {
            self.hand_on(pack, outlets)?;
        }
        let wanted = self.sizes.ticket_bytes_for(bytes);
        let ticket = match self.tickets.take_now(wanted) {
            Some(ticket) => Some(ticket),
            None => {
                self.hand_on(pack, outlets)?;
                self.tickets.take(wanted)
            }
        };
        let Some(ticket) = ticket else { return Ok(false) };
        if pack.buffer.capacity() == 0 {
            pack.buffer = self.buffers.take();
            pack.buffer.expect(pack_bytes + 1);
        }
        // What went wrong, the reader will meet again, and tell.
        let Ok(Some(settled)) = read_whole(path, bytes, &mut pack.buffer) else { return Ok(false) };
        let start = pack.buffer.len();
        pack.buffer.advance(bytes);
        pack.files += 1;
        pack.since.get_or_insert_with(Instant::now);
        pack.events.push(Event::Named);

        let Pack { buffer, cuts, events, folders, .. } = pack;
        let bytes = &buffer[start..];
        let head = Head::whole(bytes);
        let name = || source.identity_name_in(folders);
        let (file, notes) = match self.look(id, source, &head, Encoding::Plain, name) {
            Ok(known) => known,
            Err(status) => {
                buffer.truncate(start);
                events.push(not_read(source, status));
                return Ok(true);
            }
        };
        events.push(Event::Opened(Opening {
            file: Arc::clone(&file),
            notes,
            stored_bytes: Some(bytes.len() as u64),
            stored_bytes_read: Arc::new(AtomicU64::new(bytes.len() as u64)),
        }));
        let (offset, unfinished) = cut(bytes, start, &file, ticket, self, self.options.take_last_line || settled, cuts);
        let unfinished = (unfinished > 0).then_some(UnfinishedLine { offset, bytes: unfinished });
        events.push(Event::Closed(Close { file: id, end: offset, status: FileStatus::Loaded, unfinished }));
        Ok(true)
    }

    /// Gives everything that was read to the parsers, if some of it has waited for a while.
    ///
    /// # Errors
    /// If nobody takes it any more.
    pub fn hand_on_if_old(&self, pack: &mut Pack, outlets: &Outlets) -> Result<(), Ended> {
        match pack.since {
            Some(since) if since.elapsed() >= HOLD_MAX => self.hand_on(pack, outlets),
            _ => Ok(()),
        }
    }

    /// Gives everything that was read to the parsers.
    ///
    /// # Errors
    /// If nobody takes it any more.
    pub fn hand_on(&self, pack: &mut Pack, outlets: &Outlets) -> Result<(), Ended> {
        if pack.files == 0 {
            return Ok(());
        }
        pack.files = 0;
        pack.since = None;
        // A file is opened before it is read.
        outlets.send(Event::Several(std::mem::take(&mut pack.events)))?;
        if pack.cuts.is_empty() {
            pack.buffer.clear();
            return Ok(());
        }
        let buffer = if pack.buffer.len() < pack.buffer.capacity() / USED_AT_LEAST {
            let fitting = Buffer::of(&pack.buffer);
            pack.buffer.clear();
            fitting
        } else {
            std::mem::take(&mut pack.buffer)
        };
        let buffer = Arc::new(buffer);
        let chunks = pack.cuts.drain(..).map(|Waiting { file, offset, lines, end, ticket }| {
            let lines = match lines {
                Cut::Lines(range) => Lines::Shared(Arc::clone(&buffer), range),
                Cut::TooLong { line_bytes, covers, head } => Lines::TooLong { line_bytes, covers, head },
                Cut::More | Cut::End { .. } => unreachable!("only lines wait"),
            };
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            Chunk { file, offset, sequence, lines, end, ticket }
        });
        let chunks = chunks.collect();
        drop(buffer); // the parsers' alone from now on
        outlets.chunks.send(chunks).map_err(|_| Ended)
    }
}

/// Reads the file at `path`, of `bytes` bytes, into the room of `buffer`. Says whether its end is certain; nothing if it
/// is not a plain file of that size any more.
///
/// # Errors
/// What the system says.
fn read_whole(path: &std::path::Path, bytes: usize, buffer: &mut Buffer) -> io::Result<Option<bool>> {
    let Some((file, metadata)) = source::open_entry(path)? else { return Ok(None) };
    // One byte more than there should be: a read that comes back with less has seen the end.
    let room = &mut buffer.room(bytes + 1)[..bytes + 1];
    let read = file.read_at(room, 0)?;
    let same = read == bytes && metadata.len() == bytes as u64 && decode::encoding(&room[..read]) == Encoding::Plain;
    Ok(same.then(|| source::is_settled(&metadata)))
}

/// Cuts a file, which starts at `start` in its pack, into `cuts`. Gives where the last cut ends in the file, and how many
/// bytes of a half last line follow.
fn cut<I>(
    bytes: &[u8],
    start: usize,
    file: &Arc<OpenFile>,
    mut ticket: Ticket,
    readers: &Readers<'_, I>,
    take_last_line: bool,
    cuts: &mut Vec<Waiting>,
) -> (u64, u64) {
    let mut cutter = MapCutter::new(0, readers.options.line_bytes_max, take_last_line);
    loop {
        let offset = cutter.at() as u64;
        let (lines, held) = match cutter.cut(bytes, bytes.len().max(1)) {
            Cut::Lines(range) => (Cut::Lines(start + range.start..start + range.end), range.len()),
            Cut::TooLong { line_bytes, covers, head } => {
                let held = head.len();
                (Cut::TooLong { line_bytes, covers, head }, held)
            }
            Cut::More => continue,
            Cut::End { unfinished } => return (offset, unfinished),
        };
        let ticket = ticket.split(readers.sizes.ticket_bytes_for(held));
        cuts.push(Waiting { file: Arc::clone(file), offset, lines, end: cutter.end(bytes), ticket });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;
    use crate::pipeline::report::collect::{Keep, Progress};
    use crate::pipeline::report::totals::{FileReport, Report};
    use crate::pipeline::serialize::{self, Plan};
    use crate::pipeline::sink::Sink;
    use crate::pipeline::source::Entry;
    use crate::pipeline::stop::Stop;
    use crate::pipeline::{Options, reader, run};

    const LINE: &str = "1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"agent\"\n";

    /// Every file's report with its watermark, and all documents.
    fn haul(paths: &[PathBuf], entries: bool, chunk_bytes: usize) -> (BTreeMap<String, (FileReport, String)>, Vec<u8>) {
        let sources: Vec<Source> = paths
            .iter()
            .map(|path| {
                let entry = fs::metadata(path).map_or(3, |metadata| metadata.len());
                // One has grown since it was seen.
                let bytes = if path.ends_with("grown") { entry - 1 } else { entry };
                let entry = entries.then_some(Entry { bytes, is_link: path.is_symlink() });
                Source { place: Place::File(path.clone()), named: false, source_name: None, start: None, entry }
            })
            .collect();
        let plan = serialize::Options {
            documents_only: true,
            ingestion_timestamp: "2024-06-01T00:00:00.000Z".to_owned(),
            with_source: true,
            ..serialize::Options::default()
        };
        let read =
            reader::Options { format: None, namespace: String::new(), line_bytes_max: 2_000, take_last_line: false };
        let plan = Plan::new(plan).unwrap();
        let options =
            Options { read, plan, parsers: 1, readers: 2, chunk_bytes, tickets_bytes: 2 << 20, panic_in: None };
        let output = paths[0].with_file_name("output");
        let sink = Sink::Stdout(File::create(&output).unwrap());
        let mut files = BTreeMap::new();
        let report = run(
            sources.into_iter(),
            &sink,
            &options,
            &Arc::new(Stop::new()),
            Report::new(0.1, None),
            Keep::default(),
            |step| {
                match step {
                    Progress::Done(file) => {
                        let marks = format!(
                            "{:?} {:?} {:?} {:?}",
                            file.watermark, file.whole_lines, file.file.identity, file.file.first_line
                        );
                        files.insert(file.report.uri.clone(), (file.report.clone(), marks));
                    }
                    Progress::NotOpened(file) => {
                        files.insert(file.uri.clone(), (file.clone(), String::new()));
                    }
                    Progress::Watermark(_) | Progress::Tick(_) => {}
                }
                Ok(())
            },
        );
        assert!(report.law_holds(), "{report:#?}");
        assert_eq!(report.sources.named, paths.len() as u64);
        (files, fs::read(output).unwrap())
    }

    /// Whether a file is read this way or the other makes no difference to anything but time.
    #[test]
    fn small_files_are_read_as_all_others_are() {
        let folder = std::env::temp_dir().join(format!("loghaul-small-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let too_long = format!("{}\n", "x".repeat(3_000));
        let mut contents: Vec<(String, Vec<u8>)> = [
            ("good", LINE.repeat(50)),
            ("grown", LINE.repeat(3)),
            ("empty", String::new()),
            ("blank", "\n\r\n".to_owned()),
            ("half", format!("{LINE}1.2.3.4 - -")),
            ("settled-half", format!("{LINE}1.2.3.4 - -")),
            ("settled-short", format!("{LINE}{}", LINE.trim_end())),
            ("too-long", format!("{LINE}{too_long}{LINE}{too_long}")),
            ("too-long-half", format!("{LINE}{}", too_long.trim_end())),
            ("junk", "hello\n".repeat(20)),
            ("common", LINE.replace(" \"-\" \"agent\"", "").repeat(30)),
            ("changes", format!("{}{}", LINE.repeat(20), LINE.replace(" \"-\" \"agent\"", "").repeat(90))),
            ("large", LINE.repeat(2_000)),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into_bytes()))
        .collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(LINE.repeat(10).as_bytes()).unwrap();
        contents.push(("packed".to_owned(), packed.finish().unwrap()));
        contents.extend((0..200).map(|n| (format!("{n}.log"), LINE.repeat(n).into_bytes())));
        let mut paths = Vec::new();
        for (name, bytes) in &contents {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            if name.starts_with("settled") {
                let old = SystemTime::now() - Duration::from_secs(3_600);
                File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
            }
            paths.push(path);
        }
        std::os::unix::fs::symlink("good", folder.join("link")).unwrap();
        paths.push(folder.join("link"));
        paths.push(folder.join("gone"));
        for chunk_bytes in [256 << 10, 4_000, 100] {
            let (one_by_one, documents) = haul(&paths, false, chunk_bytes);
            let (together, documents_together) = haul(&paths, true, chunk_bytes);
            assert_eq!(one_by_one.len(), paths.len());
            for (uri, file) in &one_by_one {
                assert_eq!(together.get(uri), Some(file), "{uri}, {chunk_bytes} bytes");
            }
            assert!(documents == documents_together, "{chunk_bytes} bytes");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
