//! Logs for tests: generated ones with the figures they must have, and ways to pack them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
pub use loghaul_testdata::{Format, Generator, Options, Summary};

/// A log and what is in it.
pub fn generate(options: Options) -> (Vec<u8>, Summary) {
    let mut log = Vec::new();
    let summary = Generator::new(options).write_all(&mut log).expect("a vector takes all");
    (log, summary)
}

/// So many lines of everything odd, malformed and blank ones included.
pub fn odd(lines: u64, seed: u64) -> (Vec<u8>, Summary) {
    generate(Options { lines: Some(lines), seed, ..Options::odd() })
}

/// So many lines as most logs have them.
pub fn usual(lines: u64, seed: u64) -> (Vec<u8>, Summary) {
    generate(Options { lines: Some(lines), seed, ..Options::default() })
}

/// One good `combined` line, without line end, that differs with `n` and comes `n` seconds after 2024-03-05 10:00 UTC.
pub fn line(n: usize) -> String {
    let (minute, second) = (n / 60 % 60, n % 60);
    format!(
        "192.0.2.{} - - [05/Mar/2024:{:02}:{minute:02}:{second:02} +0000] \"GET /page/{n} HTTP/1.1\" 200 {n} \
         \"http://example.com/\" \"test/1.0\"",
        n % 250 + 1,
        10 + n / 3600 % 12
    )
}

/// Lines `0..count` of [`line`], each ended.
pub fn lines(count: usize) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

/// Packed in as many gzip members as pieces are asked for, cut anywhere.
pub fn gzip(bytes: &[u8], members: usize) -> Vec<u8> {
    pieces(bytes, members)
        .flat_map(|piece| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(piece).expect("a vector takes all");
            encoder.finish().expect("a vector takes all")
        })
        .collect()
}

/// Packed in as many zstd frames as pieces are asked for, each with a checksum.
pub fn zstd(bytes: &[u8], frames: usize) -> Vec<u8> {
    pieces(bytes, frames)
        .flat_map(|piece| {
            let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 3).expect("an encoder");
            encoder.include_checksum(true).expect("checksums are supported");
            encoder.write_all(piece).expect("a vector takes all");
            encoder.finish().expect("a vector takes all")
        })
        .collect()
}

fn pieces(bytes: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(bytes.len().div_ceil(count).max(1))
}
