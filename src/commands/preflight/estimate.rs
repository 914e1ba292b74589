//! [`Estimate`]: how much a load will be, from a sample of each source.
//!
//! Plain files are read at places spread evenly over them. Packed files are unpacked, for only that tells how much they
//! hold, as long as there is time; the rest is judged by what was seen. What is sampled goes through the parser and the
//! serializer that load it, so that documents are as large as they will be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use memchr::{memchr, memrchr};

use crate::error::io_reason;
use crate::escape;
use crate::pipeline::chunk::count_lines;
use crate::pipeline::decode::Encoding;
use crate::pipeline::head::{Content, Head};
use crate::pipeline::serialize::{Block, FileFacts, Plan, Tally, Worker};
use crate::pipeline::source::{self, Input, Place, Source};
use crate::pipeline::stop::Stop;
use crate::pipeline::{Options, reader};

/// How long sampling may take. Packed files are unpacked at some hundred megabytes a second on one core.
const TIME_MAX: Duration = Duration::from_secs(20);
/// A place of a plain file, in bytes.
const SLICE_BYTES: usize = 64 << 10;
/// How many places of a plain file are read at most.
const SLICES_MAX: u64 = 64;
/// Of what is unpacked the first so many bytes are parsed, and of the rest one slice in [`SLICE_EVERY`].
const PARSED_WHOLE_BYTES: u64 = 2 << 20;
const SLICE_EVERY: u64 = 16;
/// How many sources that hold no log are named.
const NAMED_MAX: usize = 10;

/// What a load of these sources will be.
#[derive(Debug, Default)]
pub struct Estimate {
    /// Sources with a log in them.
    pub logs: u64,
    /// Of them those that cannot be measured beforehand: standard input, pipes.
    pub unknown: u64,
    /// Sources that the ledger has as loaded.
    pub skipped: u64,
    /// Sources that hold no log or cannot be read, and why; the first [`NAMED_MAX`].
    pub troubles: Vec<String>,
    /// How many there are.
    pub troubles_all: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
    /// Plain bytes.
    pub bytes: f64,
    /// Lines.
    pub lines: f64,
    /// Documents that will be sent.
    pub documents: f64,
    /// Bytes of Bulk bodies: documents and their action lines.
    pub body_bytes: f64,
    /// What the lines of the sample became.
    pub sample: Tally,
    /// Lines of the sample.
    pub sample_lines: u64,
    /// Sources by format.
    pub formats: BTreeMap<&'static str, u64>,
    /// Documents of the sample by index.
    pub indices: BTreeMap<String, u64>,
}

/// Samples what `sources` come to.
pub fn estimate(sources: impl Iterator<Item = Source>, options: &Options, stop: &Arc<Stop>) -> Estimate {
    let mut sampler = Sampler::new(options, stop);
    for source in sources {
        if stop.is_raised() {
            break;
        }
        sampler.source(&source);
    }
    sampler.finish()
}

/// The index that the first document of `sources` goes to; none if none of them is a file with a document in its head.
pub fn first_index(sources: impl Iterator<Item = Source>, options: &Options, stop: &Arc<Stop>) -> Option<String> {
    for source in sources {
        let Place::File(path) = &source.place else { continue };
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let mut sampler = Sampler::new(options, stop);
        // What is wrong with a file is for the load to tell.
        let Ok(mut opened) = source::open(&source, stop) else { continue };
        let Ok(head) = Head::read(&mut opened.input, || stop.is_raised()) else { continue };
        if let Content::Log { format, .. } = head.content(options.read.format, source.named) {
            let facts = FileFacts::new(&options.plan, source.uri(), [0; 8], format, false, None);
            let mut parsed = Parsed::default();
            let bytes = match &opened.input {
                Input::Mapped(map) => map.bytes().get(..SLICE_BYTES).unwrap_or(map.bytes()),
                Input::Stream(_) => &head.bytes,
            };
            let end = memrchr(b'\n', bytes).map_or(0, |at| at + 1);
            sampler.parse(&facts, &bytes[..end], &mut parsed);
            if let Some((index, _)) = sampler.block.indices.first() {
                return Some(index.to_string());
            }
        }
    }
    None
}

/// What was measured of a file, or of all files of a kind.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    stored_bytes: f64,
    bytes: f64,
    lines: f64,
    documents: f64,
    body_bytes: f64,
}

impl Measured {
    fn add(&mut self, other: Measured) {
        self.stored_bytes += other.stored_bytes;
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.documents += other.documents;
        self.body_bytes += other.body_bytes;
    }

    fn times(self, factor: f64) -> Measured {
        Measured {
            stored_bytes: self.stored_bytes * factor,
            bytes: self.bytes * factor,
            lines: self.lines * factor,
            documents: self.documents * factor,
            body_bytes: self.body_bytes * factor,
        }
    }
}

struct Sampler<'a> {
    options: &'a Options,
    stop: &'a Arc<Stop>,
    until: Instant,
    worker: Worker,
    block: Block,
    estimate: Estimate,
    /// Bytes on disk of files for which there was no time, by the end of their names.
    unseen: BTreeMap<String, u64>,
    /// What was measured of the others.
    seen: BTreeMap<String, Measured>,
}

/// A sample of one source: plain bytes that were looked at, and what came of those of them that were parsed.
#[derive(Default)]
struct Parsed {
    bytes: u64,
    lines: u64,
    documents: u64,
    body_bytes: u64,
}

impl<'a> Sampler<'a> {
    fn new(options: &'a Options, stop: &'a Arc<Stop>) -> Sampler<'a> {
        Sampler {
            options,
            stop,
            until: Instant::now() + TIME_MAX,
            worker: Worker::new(),
            block: Block::default(),
            estimate: Estimate::default(),
            unseen: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    fn source(&mut self, source: &Source) {
        let kind = match &source.place {
            Place::File(path) => match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => {
                    let kind = path.extension().map_or(String::new(), |end| end.to_string_lossy().into_owned());
                    self.estimate.stored_bytes += metadata.len();
                    if Instant::now() >= self.until {
                        self.estimate.logs += 1;
                        *self.unseen.entry(kind).or_default() += metadata.len();
                        return;
                    }
                    kind
                }
                // Read ahead, a pipe would be empty when the load comes.
                Ok(_) => return self.unknown(),
                Err(error) => return self.trouble(source, &io_reason(&error)),
            },
            Place::Object(object) => {
                let key = Path::new(&object.location().key);
                let kind = key.extension().map_or(String::new(), |end| end.to_string_lossy().into_owned());
                self.estimate.stored_bytes += object.bytes();
                if Instant::now() >= self.until {
                    self.estimate.logs += 1;
                    *self.unseen.entry(kind).or_default() += object.bytes();
                    return;
                }
                kind
            }
            Place::Stdin => return self.unknown(),
            Place::Missing(_, why) => return self.trouble(source, why),
            Place::Skipped(..) => {
                self.estimate.skipped += 1;
                return;
            }
        };
        match self.measure(source) {
            Ok(Some(measured)) => {
                self.estimate.logs += 1;
                self.seen.entry(kind).or_default().add(measured);
            }
            Ok(None) => {}
            Err(error) => self.trouble(source, &io_reason(&error)),
        }
    }

    fn unknown(&mut self) {
        self.estimate.logs += 1;
        self.estimate.unknown += 1;
    }

    fn trouble(&mut self, source: &Source, why: &str) {
        self.estimate.troubles_all += 1;
        if self.estimate.troubles.len() < NAMED_MAX {
            let shown = escape::shown(source.uri().as_bytes()).into_owned();
            self.estimate.troubles.push(format!("{shown}: {why}"));
        }
    }

    /// Opens a file and samples it; none if it holds no log.
    fn measure(&mut self, source: &Source) -> io::Result<Option<Measured>> {
        let reader::Options { format, namespace, .. } = &self.options.read;
        let mut opened = source::open(source, self.stop)?;
        let head = Head::read(&mut opened.input, || self.stop.is_raised())?;
        let found = match head.content(*format, source.named) {
            Content::Log { format, .. } => format,
            Content::Other { why } | Content::Refused { why } => {
                self.trouble(source, &why);
                return Ok(None);
            }
        };
        let identity = head.identity(namespace, &source.identity_name());
        let facts = FileFacts::new(&self.options.plan, source.uri(), identity, found, format.is_none(), source.s3());
        let stored_bytes = opened.stored_bytes.unwrap_or_default();
        let settled = source.start.as_ref().map_or(0, |start| start.mark.offset);
        let measured = if let (Place::File(path), Encoding::Plain) = (&source.place, opened.encoding) {
            let file = File::open(path)?;
            self.places(&facts, &file, settled.min(stored_bytes), stored_bytes)?
        } else {
            let Input::Stream(stream) = opened.input else { unreachable!("what is packed, or no file, is no map") };
            let measured = self.unpack(&facts, head.bytes.chain(stream));
            let read = opened.stored_bytes_read.load(Ordering::Relaxed).max(1);
            // Where there was no time for all of it, the rest is like what was seen.
            let factor = if measured.1 { 1.0 } else { stored_bytes as f64 / read as f64 };
            let all = measured.0.times(factor);
            all.times(1.0 - (settled as f64 / all.bytes.max(1.0)).min(1.0))
        };
        *self.estimate.formats.entry(facts.format().as_str()).or_default() += 1;
        Ok(Some(Measured { stored_bytes: stored_bytes as f64, ..measured }))
    }

    /// Reads a plain file from `start` to `end` at places spread over it, or all of it where it is small.
    fn places(&mut self, facts: &FileFacts, file: &File, start: u64, end: u64) -> io::Result<Measured> {
        let slice = SLICE_BYTES as u64;
        let length = end - start;
        let count = (length / slice).clamp(1, SLICES_MAX);
        let whole = length <= slice * SLICES_MAX;
        let mut parsed = Parsed::default();
        let mut buffer = vec![0; SLICE_BYTES];
        let mut carry = Vec::new(); // of a file that is read whole, the line that a slice cut
        let mut place = 0;
        for n in 0.. {
            if whole {
                if place >= length {
                    break;
                }
            } else {
                if n == count {
                    break;
                }
                place = (length - slice) / (count - 1).max(1) * n;
            }
            let filled = read_at(file, &mut buffer, start + place)?;
            if filled == 0 {
                break;
            }
            let bytes = &buffer[..filled];
            if whole {
                place += filled as u64;
                carry.extend_from_slice(bytes);
                let to = if place >= length { carry.len() } else { memrchr(b'\n', &carry).map_or(0, |at| at + 1) };
                self.parse(facts, &carry[..to], &mut parsed);
                carry.drain(..to);
            } else {
                let from = if n == 0 { 0 } else { memchr(b'\n', bytes).map_or(filled, |at| at + 1) };
                let to = memrchr(b'\n', bytes).map_or(from, |at| at + 1);
                self.parse(facts, &bytes[from..to.max(from)], &mut parsed);
            }
        }
        Ok(parsed.scaled_to(length as f64, None))
    }

    /// Unpacks a file and counts its lines; tells whether that was all of it.
    fn unpack(&mut self, facts: &FileFacts, mut stream: impl Read) -> (Measured, bool) {
        let mut parsed = Parsed::default();
        let (mut bytes, mut lines, mut last) = (0u64, 0u64, b'\n');
        let mut buffer = vec![0; SLICE_BYTES];
        let mut slices = 0u64;
        let whole = loop {
            let filled = match fill(&mut stream, &mut buffer) {
                Ok(0) => break true,
                Ok(filled) => filled,
                // Damage: what comes before it is what will be loaded.
                Err(_) => break true,
            };
            let part = &buffer[..filled];
            if bytes < PARSED_WHOLE_BYTES || slices.is_multiple_of(SLICE_EVERY) {
                let start = if bytes == 0 { 0 } else { memchr(b'\n', part).map_or(filled, |at| at + 1) };
                let end = memrchr(b'\n', part).map_or(start, |at| at + 1).max(start);
                self.parse(facts, &part[start..end], &mut parsed);
            }
            slices += 1;
            bytes += filled as u64;
            lines += count_lines(part);
            last = part[filled - 1];
            if Instant::now() >= self.until || self.stop.is_raised() {
                break false;
            }
        };
        lines += u64::from(last != b'\n');
        (parsed.scaled_to(bytes as f64, Some(lines as f64)), whole)
    }

    /// Parses and serializes whole lines.
    fn parse(&mut self, facts: &FileFacts, lines: &[u8], parsed: &mut Parsed) {
        if lines.is_empty() {
            return;
        }
        let plan: &Plan = &self.options.plan;
        self.block.clear();
        self.worker.fill(plan, facts, lines, 0, &mut self.block);
        let all = count_lines(lines) + u64::from(lines.last() != Some(&b'\n'));
        parsed.bytes += lines.len() as u64;
        parsed.lines += all;
        parsed.documents += self.block.documents.len() as u64;
        parsed.body_bytes += self.block.bytes.len() as u64;
        self.estimate.sample_lines += all;
        self.estimate.sample.add(&self.block.tally);
        for (index, documents) in &self.block.indices {
            match self.estimate.indices.get_mut(&**index) {
                Some(known) => *known += documents,
                None => drop(self.estimate.indices.insert(index.to_string(), *documents)),
            }
        }
    }

    fn finish(mut self) -> Estimate {
        let mut all = Measured::default();
        for measured in self.seen.values() {
            all.add(*measured);
        }
        let overall = all;
        for (kind, stored_bytes) in &self.unseen {
            let like = self.seen.get(kind).filter(|like| like.stored_bytes > 0.0).copied().unwrap_or(overall);
            if like.stored_bytes > 0.0 {
                all.add(like.times(*stored_bytes as f64 / like.stored_bytes));
            }
        }
        let estimate = &mut self.estimate;
        (estimate.bytes, estimate.lines) = (all.bytes, all.lines);
        (estimate.documents, estimate.body_bytes) = (all.documents, all.body_bytes);
        self.estimate
    }
}

impl Parsed {
    /// What `bytes` are that are like these; `lines` where they were counted.
    fn scaled_to(&self, bytes: f64, lines: Option<f64>) -> Measured {
        let per_line = |amount: u64| if self.lines == 0 { 0.0 } else { amount as f64 / self.lines as f64 };
        let lines = lines
            .unwrap_or_else(|| if self.bytes == 0 { 0.0 } else { per_line(self.lines) * bytes / per_line(self.bytes) });
        Measured {
            stored_bytes: 0.0,
            bytes,
            lines,
            documents: lines * per_line(self.documents),
            body_bytes: lines * per_line(self.body_bytes),
        }
    }
}

fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], place + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(filled)
}
