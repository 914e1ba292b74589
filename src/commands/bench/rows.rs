//! The rows: what this machine can do at all, each stage alone, and all together.

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::measure::{Amount, Group, Row};
use super::sample::{Log, Sample};
use crate::error::Result;
use crate::pipeline::chunk::{self, Cut, MapCutter, StreamCutter};
use crate::pipeline::decode::Encoding;
use crate::pipeline::parse::lanes::{Lanes, Portable};
use crate::pipeline::parse::timestamp::Days;
use crate::pipeline::parse::{self, Format};
use crate::pipeline::report::Report;
use crate::pipeline::report::collect::{Keep, Progress};
use crate::pipeline::serialize::{Block, Buffer, Plan, Worker};
use crate::pipeline::sink::Sink;
use crate::pipeline::source::{self, Input};
use crate::pipeline::stop::{Reason, Stop};
use crate::pipeline::tail::Tail;
use crate::pipeline::{self, Options};

/// The room that limits work in, in bytes: as large as a chunk.
const BUFFER_BYTES: usize = 256 << 10;
/// How much of a plain log is packed here, to inflate it, in bytes.
const PACKED_HERE_BYTES: usize = 16 << 20;
/// A page of memory, in bytes; where pages are larger, some are touched more than once.
const PAGE_BYTES: usize = 4 << 10;

/// All rows for `sample`, which is measured for about `duration` in all.
pub fn rows<'a>(sample: &'a Sample, options: &'a Options, stop: &'a Arc<Stop>, duration: Duration) -> Vec<Row<'a>> {
    let mut rows = limits(sample);
    rows.extend(stages(sample, options, stop));
    rows.extend(whole(sample, options, duration));
    rows
}

fn limits(sample: &Sample) -> Vec<Row<'_>> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let copy = each(sample, move |log| {
        for part in log.text.chunks(BUFFER_BYTES) {
            buffer[..part.len()].copy_from_slice(part);
            black_box(&mut buffer);
        }
    });
    let count = each(sample, |log| {
        black_box(chunk::count_lines(black_box(&log.text)));
    });
    vec![
        row(Group::Limit, "memory_copy", "memory copy", copy),
        row(Group::Limit, "newline_count", "newline count", count),
        inflate(sample),
    ]
}

/// Unpacking with the same library and nothing else, from memory. What is not packed is packed here first.
fn inflate(sample: &Sample) -> Row<'_> {
    let mut buffer = vec![0; BUFFER_BYTES];
    if sample.logs.iter().any(|log| !log.packed.is_empty()) {
        let pass = move || {
            let mut amount = Amount::default();
            for log in sample.logs.iter().filter(|log| !log.packed.is_empty()) {
                let wanted = log.text.len() as u64;
                match log.encoding {
                    Encoding::Zstd => {
                        if let Ok(decoder) = zstd::stream::read::Decoder::with_buffer(&log.packed[..]) {
                            drain(decoder.take(wanted), &mut buffer);
                        }
                    }
                    Encoding::Gzip | Encoding::Plain => {
                        drain(flate2::bufread::MultiGzDecoder::new(&log.packed[..]).take(wanted), &mut buffer);
                    }
                }
                amount += log.amount();
            }
            amount
        };
        return row(Group::Limit, "inflate", "inflate alone", pass);
    }
    let (mut packer, mut amount) =
        (flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()), Amount::default());
    for (log, chunk) in sample.logs.iter().flat_map(|log| log.chunks.iter().map(move |chunk| (log, chunk))) {
        let text = &log.text[chunk.clone()];
        packer.write_all(text).expect("memory takes everything");
        amount += Amount { bytes: text.len() as u64, lines: chunk::count_lines(text) };
        if amount.bytes >= PACKED_HERE_BYTES as u64 {
            break;
        }
    }
    let packed = packer.finish().expect("memory takes everything");
    row(Group::Limit, "inflate", "inflate alone (gzip, packed here)", move || {
        drain(flate2::bufread::MultiGzDecoder::new(&packed[..]), &mut buffer);
        amount
    })
}

fn stages<'a>(sample: &'a Sample, options: &'a Options, stop: &'a Arc<Stop>) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let is = |log: &Log, mapped, packed| log.mapped == mapped && (log.encoding != Encoding::Plain) == packed;
    for (mapped, packed, name, title) in [
        (true, false, "map", "map the file, touch its pages"),
        (false, false, "read", "read"),
        (false, true, "decode", "read and unpack"),
    ] {
        if sample.logs.iter().any(|log| is(log, mapped, packed)) {
            let mut buffer = vec![0; BUFFER_BYTES];
            let pass = move || {
                let mut amount = Amount::default();
                for log in sample.logs.iter().filter(|log| is(log, mapped, packed)) {
                    read(log, stop, &mut buffer);
                    amount += log.amount();
                }
                amount
            };
            rows.push(row(Group::Stage, name, title, pass));
        }
    }
    let mut buffer = Buffer::default();
    let chunk = each(sample, move |log| {
        black_box(if log.mapped { cut_mapped(log, options) } else { cut_streamed(log, options, &mut buffer) });
    });
    rows.push(row(Group::Stage, "chunk", "cut chunks, count newlines", chunk));
    let mut days = Days::new();
    let parse = each(sample, move |log| {
        black_box(parse_alone(log, &mut days));
    });
    rows.push(row(Group::Stage, "parse", "parse to records", parse));
    let (mut worker, mut block) = (Worker::new(), Block::default());
    let both = each(sample, move |log| {
        serialize(log, &options.plan, &mut worker, &mut block, |_| {});
    });
    rows.push(row(Group::Stage, "parse_serialize", "parse and serialize", both));
    rows
}

fn whole<'a>(sample: &'a Sample, options: &'a Options, duration: Duration) -> Vec<Row<'a>> {
    let threads = options.parsers;
    // A run over a large file is ended by its share of the time; rounds and rows share it.
    let slice = duration / 8;
    let mut rows = Vec::new();
    if threads > 1 {
        let mut workers: Vec<_> = (0..threads).map(|_| (Worker::new(), Block::default())).collect();
        let apart = move || {
            thread::scope(|scope| {
                for (worker, block) in &mut workers {
                    scope.spawn(move || {
                        for log in &sample.logs {
                            serialize(log, &options.plan, worker, block, |_| {});
                        }
                    });
                }
            });
            let threads = threads as u64;
            Amount { bytes: sample.bytes * threads, lines: sample.lines * threads }
        };
        let title = format!("parse and serialize, {threads} threads, nothing shared");
        rows.push(row(Group::Whole, "parse_serialize_apart", &title, apart));
    }
    rows.push(row(Group::Whole, "whole_1", "whole pipeline to null:, 1 parser", {
        let options = with_parsers(options, 1);
        move || haul(sample, &options, slice)
    }));
    if threads > 1 {
        let title = format!("whole pipeline to null:, {threads} parsers");
        rows.push(row(Group::Whole, "whole_n", &title, move || haul(sample, options, slice)));
    }
    rows
}

fn row<'a>(group: Group, name: &'static str, title: &str, pass: impl FnMut() -> Amount + 'a) -> Row<'a> {
    Row { name, title: title.to_owned(), group, pass: Box::new(pass) }
}

/// A pass that does the same with each log.
fn each<'a>(sample: &'a Sample, mut work: impl FnMut(&Log) + 'a) -> impl FnMut() -> Amount + 'a {
    move || {
        sample.logs.iter().for_each(&mut work);
        Amount { bytes: sample.bytes, lines: sample.lines }
    }
}

impl Log {
    fn amount(&self) -> Amount {
        Amount { bytes: self.text.len() as u64, lines: self.lines }
    }
}

fn drain(mut input: impl Read, buffer: &mut [u8]) {
    // Damage ends it, as it ended the sample.
    while input.read(buffer).is_ok_and(|read| read > 0) {
        black_box(&mut *buffer);
    }
}

/// Source and decode: opens the log again and goes through as much of it as the sample holds.
fn read(log: &Log, stop: &Arc<Stop>, buffer: &mut [u8]) {
    match source::open(&log.source, stop).map(|opened| opened.input) {
        Ok(Input::Mapped(map)) => {
            let bytes = &map.bytes()[..log.text.len().min(map.bytes().len())];
            for place in (0..bytes.len()).step_by(PAGE_BYTES) {
                black_box(bytes[place]);
            }
        }
        Ok(Input::Stream(stream)) => drain(stream.take(log.text.len() as u64), buffer),
        // It was there a moment ago. A row that does nothing shows as too fast, so it is better said.
        Err(error) => panic!("{} cannot be opened again: {error}", log.source.uri()),
    }
}

fn cut_mapped(log: &Log, options: &Options) -> u64 {
    let mut cutter = MapCutter::new(0, options.read.line_bytes_max, true);
    let mut lines = 0;
    loop {
        match cutter.cut(&log.text, options.chunk_bytes) {
            Cut::Lines(range) => lines += chunk::count_lines(&log.text[range]),
            Cut::TooLong { .. } => lines += 1,
            Cut::More => {}
            Cut::End { .. } => return lines,
        }
    }
}

/// The same for what is read or unpacked; filling the space, which is the decoder's work, is a copy here.
fn cut_streamed(log: &Log, options: &Options, used: &mut Buffer) -> u64 {
    let mut cutter = StreamCutter::new(options.read.line_bytes_max, Tail::default(), Buffer::default());
    let (mut rest, mut lines) = (&log.text[..], 0);
    loop {
        let space = cutter.space(options.chunk_bytes);
        let filled = rest.len().min(space.len());
        space[..filled].copy_from_slice(&rest[..filled]);
        rest = &rest[filled..];
        cutter.filled(filled);
        loop {
            match if filled == 0 { cutter.cut_end(true, used) } else { cutter.cut(used) } {
                Cut::Lines(bytes) => {
                    lines += chunk::count_lines(&bytes);
                    *used = bytes;
                }
                Cut::TooLong { .. } => lines += 1,
                Cut::More => break,
                Cut::End { .. } => return lines,
            }
        }
    }
}

fn parse_alone(log: &Log, days: &mut Days) -> u64 {
    let format = log.facts.format();
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = parse::lanes::Avx2::detect().filter(|_| !parse::lanes::portable_is_forced()) {
        return parse::lanes::with_avx2(
            avx2,
            #[inline(always)]
            |avx2| parse_by(avx2, log, format, days),
        );
    }
    parse_by(Portable, log, format, days)
}

/// Lines become records, and nothing else. A load writes the documents of most lines without one.
#[inline(always)]
fn parse_by(lanes: impl Lanes, log: &Log, format: Format, days: &mut Days) -> u64 {
    let mut sum = 0;
    for chunk in &log.chunks {
        let chunk = &log.text[chunk.clone()];
        let mut at = 0;
        while at < chunk.len() {
            if let Some((record, len)) = parse::parse_commonly(lanes, days, format, &chunk[at..]) {
                sum +=
                    u64::from(black_box(record.client.end) ^ record.bytes.end ^ record.referrer.end ^ record.agent.end);
                at += len;
            } else {
                at += black_box(parse::parse_generally(days, format, &chunk[at..])).1;
            }
        }
    }
    sum
}

/// Parse and serialize: each chunk becomes a block, which `see` is shown.
pub fn serialize(log: &Log, plan: &Plan, worker: &mut Worker, block: &mut Block, mut see: impl FnMut(&Block)) {
    for chunk in &log.chunks {
        block.clear();
        worker.fill(plan, &log.facts, &log.text[chunk.clone()], chunk.start as u64, block);
        see(black_box(&*block));
    }
}

fn with_parsers(options: &Options, parsers: usize) -> Options {
    Options {
        read: options.read.clone(),
        plan: options.plan.clone(),
        parsers,
        readers: 1,
        chunk_bytes: options.chunk_bytes,
        tickets_bytes: options.tickets_bytes,
        panic_in: None,
    }
}

/// The sample's sources through the whole data plane, from where they lie to nowhere, for at most `slice`.
fn haul(sample: &Sample, options: &Options, slice: Duration) -> Amount {
    let stop = Arc::new(Stop::new());
    let begun = Instant::now();
    let on_progress = |progress: Progress<'_>| -> Result<()> {
        if matches!(progress, Progress::Tick(_)) && begun.elapsed() >= slice {
            stop.raise(Reason::Interrupted("enough")); // what is in flight is finished, and counted
        }
        Ok(())
    };
    let sources = sample.logs.iter().map(|log| log.source.clone());
    let report = Report::new(1.0, None);
    let report = pipeline::run(sources, &Sink::Discard, options, &stop, report, Keep::default(), on_progress);
    Amount { bytes: report.counts.bytes_settled, lines: report.counts.lines_settled() }
}
