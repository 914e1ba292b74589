//! How fast is a log parsed, and turned into documents, on one core? In bytes of the log per second.
//!
//! `cargo bench --bench stages`; with `LOGHAUL_BENCH_LOG=access.log` on that file too (plain or gzip, combined, ten
//! times over). Chunks of 256 KiB and one reused block, as in a load.

use std::hint::black_box;
use std::io::Read;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loghaul::pipeline::parse::lanes::{Lanes, Portable};
use loghaul::pipeline::parse::timestamp::Days;
use loghaul::pipeline::parse::{self, Format};
use loghaul::pipeline::serialize::{Block, FileFacts, Options, Path, Plan, Worker};
use loghaul_testdata::{Generator, Options as Shape};

const CHUNK_BYTES: usize = 256 * 1024;
const LOG_BYTES: usize = 64 << 20;

/// A log in memory, cut into chunks of whole lines.
struct Log {
    name: String,
    format: Format,
    chunks: Vec<Vec<u8>>,
}

impl Log {
    fn new(name: &str, format: Format, text: &[u8]) -> Log {
        let mut chunks = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let wanted = rest.len().min(CHUNK_BYTES);
            let end = memchr::memrchr(b'\n', &rest[..wanted]).map_or(rest.len(), |newline| newline + 1);
            chunks.push(rest[..end].to_vec());
            rest = &rest[end..];
        }
        Log { name: name.to_owned(), format, chunks }
    }

    fn generated(name: &str, format: Format, shape: Shape) -> Log {
        let mut generator = Generator::new(shape);
        let mut text = Vec::new();
        while text.len() < LOG_BYTES {
            generator.next_line(&mut text);
        }
        Log::new(name, format, &text)
    }

    fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }
}

/// The file that `LOGHAUL_BENCH_LOG` names, as it is and rewritten as other formats and kinds of lines.
fn named_logs() -> Vec<Log> {
    let Some(path) = std::env::var_os("LOGHAUL_BENCH_LOG") else { return Vec::new() };
    let mut text = std::fs::read(&path).expect("LOGHAUL_BENCH_LOG is a file");
    if text.starts_with(b"\x1f\x8b") {
        let mut plain = Vec::new();
        // A cut archive is good enough for a benchmark.
        let _ = flate2::read::MultiGzDecoder::new(&text[..]).read_to_end(&mut plain);
        text = plain;
    }
    let rewritten = |rewrite: &dyn Fn(usize, &str) -> String| {
        let mut lines = String::new();
        let text = String::from_utf8_lossy(&text);
        for (n, line) in text.lines().enumerate().filter(|(_, line)| line.ends_with('"')) {
            lines.push_str(&rewrite(n, line));
            lines.push('\n');
        }
        lines.into_bytes().repeat(10)
    };
    let cut = |line: &str, quotes: usize| {
        let end = line.match_indices('"').nth(quotes).map_or(line.len(), |(quote, _)| quote + 1);
        line[..end].to_owned()
    };
    let agent = |line: &str, with: &str| line.replacen("Mozilla/5.0", with, 1);
    vec![
        Log::new("combined", Format::Combined, &rewritten(&|_, line| line.to_owned())),
        Log::new("vhost_combined", Format::VhostCombined, &rewritten(&|_, line| format!("www.example.com:80 {line}"))),
        Log::new("common", Format::Common, &rewritten(&|_, line| cut(line, 1) + " 200 1234")),
        Log::new("combinedio", Format::CombinedIo, &rewritten(&|_, line| cut(line, 5) + " 512 34567")),
        Log::new("users", Format::Combined, &rewritten(&|_, line| line.replacen(" - - ", " - alice.b ", 1))),
        Log::new(
            "escapes_10",
            Format::Combined,
            &rewritten(&|n, line| agent(line, if n % 10 == 0 { "Moz\\\"illa\\\"/5.0" } else { "Mozilla/5.0" })),
        ),
        Log::new(
            "utf8_10",
            Format::Combined,
            &rewritten(&|n, line| agent(line, if n % 10 == 0 { "Mozill\u{e4}/5.0" } else { "Mozilla/5.0" })),
        ),
    ]
}

#[inline(always)]
fn parse_alone(lanes: impl Lanes, log: &Log, days: &mut Days) -> u64 {
    let mut sum = 0;
    for chunk in &log.chunks {
        let mut at = 0;
        while at < chunk.len() {
            if let Some((record, len)) = parse::parse_commonly(lanes, days, log.format, &chunk[at..]) {
                sum +=
                    u64::from(black_box(record.client.end ^ record.bytes.end ^ record.referrer.end ^ record.agent.end));
                at += len;
            } else {
                at += black_box(parse::parse_generally(days, log.format, &chunk[at..])).1;
            }
        }
    }
    sum
}

fn parse_and_serialize(log: &Log, plan: &Plan, worker: &mut Worker, block: &mut Block) -> u64 {
    let file = FileFacts::new(plan, "access.log", *b"identity", log.format, false, None);
    let mut sum = 0;
    let mut offset = 0;
    for chunk in &log.chunks {
        block.clear();
        worker.fill(plan, &file, chunk, offset, block);
        offset += chunk.len() as u64;
        sum += black_box(&*block).bytes.len() as u64;
    }
    sum
}

fn stages(criterion: &mut Criterion) {
    let mut logs = vec![
        Log::generated("generated", Format::Combined, Shape::default()),
        Log::generated("generated_odd", Format::Combined, Shape::odd()),
    ];
    logs.extend(named_logs());
    let plan = Plan::new(Options::default()).expect("good options");
    for log in &logs {
        let mut group = criterion.benchmark_group(&log.name);
        group.throughput(Throughput::Bytes(log.bytes())).sample_size(10);
        let mut days = Days::new();
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = parse::lanes::Avx2::detect() {
            group.bench_function("parse", |bencher| {
                bencher.iter(|| {
                    parse::lanes::with_avx2(
                        avx2,
                        #[inline(always)]
                        |avx2| parse_alone(avx2, log, &mut days),
                    )
                });
            });
        }
        group.bench_function("parse_portable", |bencher| {
            bencher.iter(|| parse_alone(Portable, log, &mut days));
        });
        let mut block = Block::default();
        for (name, path) in [("both", Path::Fastest), ("both_portable", Path::Portable)] {
            let mut worker = Worker::by(path);
            group.bench_function(name, |bencher| {
                bencher.iter(|| parse_and_serialize(log, &plan, &mut worker, &mut block));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
