//! [`Sample`]: the first bytes of the sources, unpacked and in memory, with all that the stages need to know of them.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Error, Result, io_reason};
use crate::pipeline::Options;
use crate::pipeline::chunk::{self, Cut, MapCutter};
use crate::pipeline::decode::Encoding;
use crate::pipeline::head::{Content, Head};
use crate::pipeline::serialize::FileFacts;
use crate::pipeline::source::{self, Input, Place, Source};
use crate::pipeline::stop::Stop;

/// What is measured with.
pub struct Sample {
    /// The logs, in the order of the sources.
    pub logs: Vec<Log>,
    /// Lines of all logs.
    pub lines: u64,
    /// Plain bytes of all logs.
    pub bytes: u64,
    /// Whether there is more than was wanted.
    pub cut: bool,
    /// Sources that hold no log, and why.
    pub left_out: Vec<String>,
}

/// One of the logs, or the start of it.
pub struct Log {
    /// Where it lies.
    pub source: Source,
    /// What its documents need to know of it.
    pub facts: FileFacts,
    /// How it is packed.
    pub encoding: Encoding,
    /// Whether the file is mapped, not read.
    pub mapped: bool,
    /// Whole lines.
    pub text: Vec<u8>,
    /// Lines in `text`.
    pub lines: u64,
    /// `text` as the chunker cuts it.
    pub chunks: Vec<Range<usize>>,
    /// The packed bytes of `text`, and a few more; empty where nothing is packed.
    pub packed: Vec<u8>,
}

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

impl Sample {
    /// Reads `bytes_max` plain bytes of what `listing` comes to.
    ///
    /// # Errors
    /// A source cannot be read, or there is no line in any of them.
    pub fn read(
        listing: impl Iterator<Item = Source>,
        options: &Options,
        bytes_max: u64,
        stop: &Arc<Stop>,
    ) -> Result<Sample> {
        let mut sample = Sample { logs: Vec::new(), lines: 0, bytes: 0, cut: false, left_out: Vec::new() };
        for source in listing {
            if sample.bytes >= bytes_max {
                sample.cut = true;
                break;
            }
            let uri = source.uri();
            let shown = crate::escape::shown(uri.as_bytes());
            let failed = |error: io::Error| Error::failed(format!("cannot read {shown}: {}", io_reason(&error)));
            match log(&source, options, bytes_max - sample.bytes, stop).map_err(failed)? {
                Found::Log(log, whole) => {
                    sample.cut |= !whole;
                    sample.lines += log.lines;
                    sample.bytes += log.text.len() as u64;
                    sample.logs.push(*log);
                }
                Found::Nothing(why) => sample.left_out.push(format!("{shown}: {why}")),
            }
        }
        if sample.lines == 0 {
            let why = sample.left_out.first().map_or("no line in any of the sources", String::as_str);
            return Err(Error::failed(format!("nothing to measure with: {why}")).hint(
                "some megabytes of access log give steady figures; larger --bytes where the first line is longer",
            ));
        }
        Ok(sample)
    }
}

enum Found {
    /// A log, and whether that was all of it.
    Log(Box<Log>, bool),
    /// None, and why.
    Nothing(String),
}

fn log(source: &Source, options: &Options, bytes_max: u64, stop: &Arc<Stop>) -> io::Result<Found> {
    if let Place::Skipped(_, why) = &source.place {
        return Ok(Found::Nothing(why.clone()));
    }
    let mut opened = source::open(source, stop)?;
    let head = Head::read(&mut opened.input, || stop.is_raised())?;
    let read = &options.read;
    let format = match head.content(read.format, source.named) {
        Content::Log { format, .. } => format,
        Content::Other { why } | Content::Refused { why } => return Ok(Found::Nothing(why)),
    };
    let wanted = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let (mut text, mapped, whole) = match opened.input {
        Input::Mapped(map) => {
            let bytes = map.bytes();
            (bytes[..bytes.len().min(wanted)].to_vec(), true, bytes.len() <= wanted)
        }
        Input::Stream(stream) => {
            let (text, whole) = take(head.bytes.chain(stream), wanted)?;
            (text, false, whole)
        }
    };
    if !whole || !(opened.end_is_certain || read.take_last_line) {
        // A line whose end is not here is no line.
        text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |newline| newline + 1));
    }
    let mut packed = Vec::new();
    if opened.encoding != Encoding::Plain {
        let read = opened.stored_bytes_read.load(Ordering::Relaxed);
        match &source.place {
            Place::File(path) => {
                File::open(path)?.take(read).read_to_end(&mut packed)?;
            }
            Place::Object(object) => {
                packed = take(object.read_from(0), usize::try_from(read).unwrap_or(usize::MAX))?.0;
            }
            Place::Stdin | Place::Missing(..) | Place::Skipped(..) => {}
        }
    }
    let identity = head.identity(&read.namespace, &source.identity_name());
    let facts = FileFacts::new(&options.plan, source.uri(), identity, format, read.format.is_none(), source.s3());
    let chunks = chunks(&text, options);
    // Lines that are stepped over for their length are not measured with.
    let lines = chunks.iter().map(|chunk| chunk::count_lines(&text[chunk.clone()])).sum();
    let source = source.clone();
    Ok(Found::Log(
        Box::new(Log { source, facts, encoding: opened.encoding, mapped, text, lines, chunks, packed }),
        whole,
    ))
}

/// The first `wanted` bytes of a stream, and whether there are no more. What a damaged archive holds before the damage
/// is good enough to measure with.
fn take(mut stream: impl Read, wanted: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut text = Vec::new();
    loop {
        let filled = text.len();
        if filled > wanted {
            text.truncate(wanted);
            return Ok((text, false));
        }
        text.resize(filled + READ_BYTES, 0);
        let read = match stream.read(&mut text[filled..]) {
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                text.truncate(filled);
                continue;
            }
            Err(error) if filled == 0 => return Err(error),
            Err(_) => 0,
        };
        text.truncate(filled + read);
        if read == 0 {
            return Ok((text, true));
        }
    }
}

fn chunks(text: &[u8], options: &Options) -> Vec<Range<usize>> {
    let mut cutter = MapCutter::new(0, options.read.line_bytes_max, true);
    let mut chunks = Vec::new();
    loop {
        match cutter.cut(text, options.chunk_bytes) {
            Cut::Lines(range) => chunks.push(range),
            Cut::TooLong { .. } | Cut::More => {}
            Cut::End { .. } => return chunks,
        }
    }
}
