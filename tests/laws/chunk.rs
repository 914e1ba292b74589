//! Any bytes, cut as a map or as a stream in any sizes, give the same lines, and all bytes are accounted for.

use loghaul::pipeline::chunk::{Cut, MapCutter, StreamCutter, TOO_LONG_HEAD_BYTES, count_lines};
use loghaul::pipeline::serialize::Buffer;
use loghaul::pipeline::tail::{Tail, end_of};

use super::choice::Choices;

/// What a file is cut into: the lines kept (with line ends), the lengths of those over the limit, and the bytes of an
/// unfinished last line.
type Lines = (Vec<u8>, Vec<u64>, u64);

/// Four numbers: chunk size, longest line, two read sizes. A byte: whether the last line is taken, and whether bytes
/// from 0xf0 on stand for many (else no fuzzer makes lines that are longer than buffers) and numbers for 64 times as
/// much. The rest: the file.
pub fn law(data: &[u8]) {
    let mut choices = Choices::new(data);
    let numbers = [(); 4].map(|()| choices.number().max(1));
    let flags = choices.byte();
    let take_last_line = flags & 1 == 1;
    let blows_up = flags & 2 == 2;
    // With sizes to match, or a large file would be cut byte by byte and few files would be tried.
    let [chunk, max, reads @ ..] = numbers.map(|number| if blows_up { number << 6 } else { number });
    let input = if blows_up { blown_up(choices.rest) } else { choices.rest.to_vec() };

    let expected = slow(&input, max, take_last_line);
    let lines = count_lines(&expected.0) + expected.1.len() as u64 + u64::from(expected.2 > 0);
    assert_eq!(lines, count_lines(&input), "each line is kept, too long, or unfinished");
    assert!(mapped(&input, chunk, max, take_last_line) == expected, "mapped");
    assert!(streamed(&input, &reads, chunk, max, take_last_line) == expected, "streamed");
}

/// The bytes 0xf0 to 0xff become 64 to 2 Mi times `x`, as long as it all stays below 4 MiB.
fn blown_up(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &byte in file {
        let times = 64 << (byte & 0xf);
        if byte >= 0xf0 && bytes.len() + times < 4 << 20 {
            bytes.resize(bytes.len() + times, b'x');
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// The slow twin: lines by a plain loop.
fn slow(input: &[u8], max: usize, take_last_line: bool) -> Lines {
    let (mut kept, mut long, mut unfinished) = (Vec::new(), Vec::new(), 0);
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let ended = line.last() == Some(&b'\n');
        let bytes = line.len() - usize::from(ended);
        if !ended && !take_last_line {
            unfinished = bytes as u64;
        } else if bytes > max {
            long.push(bytes as u64);
        } else {
            kept.extend_from_slice(line);
        }
    }
    (kept, long, unfinished)
}

fn mapped(input: &[u8], chunk_bytes: usize, max: usize, take: bool) -> Lines {
    let mut cutter = MapCutter::new(0, max, take);
    let (mut kept, mut long, mut covered) = (Vec::new(), Vec::new(), 0);
    loop {
        assert_eq!(cutter.at(), covered);
        assert_eq!(cutter.end(input), end_of(&input[..covered]));
        let looked_at = cutter.looked_at();
        match cutter.cut(input, chunk_bytes) {
            Cut::Lines(range) => {
                assert!(!range.is_empty() && range.start == covered);
                covered += range.len();
                kept.extend_from_slice(&input[range]);
            }
            Cut::TooLong { line_bytes, covers, head } => {
                assert_eq!(head, input[covered..][..(line_bytes as usize).min(TOO_LONG_HEAD_BYTES)]);
                covered += covers as usize;
                long.push(line_bytes);
            }
            Cut::More => assert!(cutter.looked_at() > looked_at, "goes on"),
            Cut::End { unfinished } => {
                assert_eq!(covered + unfinished as usize, input.len());
                return (kept, long, unfinished);
            }
        }
    }
}

fn streamed(input: &[u8], reads: &[usize], chunk: usize, max: usize, take: bool) -> Lines {
    // Used ones go from file to file and round: what they held must not come back.
    let mut cutter = StreamCutter::new(max, Tail::default(), used());
    let mut empty = used();
    let (mut kept, mut long, mut covered) = (Vec::new(), Vec::new(), 0u64);
    let mut rest = input;
    let mut reads = reads.iter().cycle();
    loop {
        let space = cutter.space(chunk);
        assert!(!space.is_empty());
        let n = rest.len().min(space.len()).min(*reads.next().expect("they go round"));
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        cutter.filled(n);
        loop {
            let cut = if n == 0 { cutter.cut_end(take, &mut empty) } else { cutter.cut(&mut empty) };
            match cut {
                Cut::Lines(lines) => {
                    assert!(!lines.is_empty());
                    covered += lines.len() as u64;
                    kept.extend_from_slice(&lines);
                    empty = lines;
                }
                Cut::TooLong { line_bytes, covers, head } => {
                    assert_eq!(head, input[covered as usize..][..(line_bytes as usize).min(TOO_LONG_HEAD_BYTES)]);
                    covered += covers;
                    long.push(line_bytes);
                }
                Cut::More => break,
                Cut::End { unfinished } => {
                    assert_eq!(covered + unfinished, input.len() as u64);
                    return (kept, long, unfinished);
                }
            }
            assert_eq!(cutter.end(), end_of(&input[..covered as usize]));
        }
    }
}

fn used() -> Buffer {
    let mut buffer = Buffer::default();
    buffer.extend_from_slice(b"an older line\n");
    buffer
}
