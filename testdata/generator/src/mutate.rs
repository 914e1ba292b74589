//! Small damage to a line, for property tests: whatever comes out, a parser must neither panic nor disagree with its
//! slow twin.

use crate::rng::Rng;

/// A line is not grown beyond this many bytes, however often it is mutated.
pub const MUTATED_BYTES_MAX: usize = 64 * 1024;

/// Bytes that mean something to a parser of access logs, or to one of JSON or UTF-8.
const SPECIAL_BYTES: &[u8] = b"\"\"\"\\\\\\   []-\n\r\t\0\x01\x1f\x7f\x80\xbf\xc3\xe2\xf0\xff:/+09,'%{}";

/// Whole pieces that mean something in the wrong place.
const TOKENS: &[&[u8]] = &[
    b"\" ",
    b" \"",
    b"\\\"",
    b"\\\\",
    b"\\\\\"",
    b"\\\\\\\"",
    b"\\x",
    b"\\x4",
    b"\\x00",
    b"\\x41",
    b"\\xC3\\xA9",
    b"\\xe2\\x82\\xac",
    b"\\xe2\x82\xac",
    b"\xe2\x82\xac",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"\\u0041",
    b" [01/Jan/2000:00:00:00 +0000] ",
    b" [01/Jan/2000:00:00:00 +0000] \"",
    b" [01/Jan/2000:00:00:00 +0000] \\\"",
    b"[31/Dec/9999:23:59:60 -1800]",
    b"29/Feb/1900",
    b":60 ",
    b"-0360",
    b" - - [",
    b"] \"",
    b"\" 200 ",
    b" 000 ",
    b" 99999999999999999999 ",
    b" 18446744073709551616 ",
    b" HTTP/1.1\" ",
    b" HTTP/",
    b"-\" ",
    b"\"\"",
    b", ",
    b"fe80::1%eth0",
    b"\r",
    b"\0\0\0\0\0\0\0\0",
];

/// Lines to splice with when the caller has none.
const DONORS: &[&[u8]] = &[
    b"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326",
    b"192.0.2.1 - john smith [29/Feb/2024:23:59:59 +1400] \"POST /a?b=\\\"c\\\" HTTP/1.1\" 302 - \"http://x/\" \"a \\\\\" 1 2",
    b"www.example.com:443 2001:db8::1 - - [31/Dec/2023:23:59:60 +0545] \"\\x16\\x03\\x01\" 400 0 \"-\" \"-\"",
    b"10.0.0.1, 10.0.0.2 - \"\" [01/Mar/2024:00:00:00 -0000] \"-\" 408 - \"-\" \"-\" \"-\"",
    b"[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 1:tid 2] [client 192.0.2.1:3] AH00035: \"x\"",
    b"",
];

/// Damages a line in one to four ways, with a hand-written line to splice from. See [`mutate_with`].
pub fn mutate(rng: &mut Rng, line: &mut Vec<u8>) {
    let donor = rng.pick(DONORS);
    mutate_with(rng, line, donor);
}

/// Damages a line in one to four ways: bits flipped, bytes overwritten, inserted, deleted, a span doubled, moved or
/// replaced, two fields swapped, the line cut, or joined to a part of `donor`.
///
/// `line` may be empty, and be so afterwards; it may or may not have its line end. **The result can hold line ends
/// anywhere**, as one of the special bytes is a newline: count lines after mutating, not before. A line of up to
/// [`MUTATED_BYTES_MAX`] bytes does not outgrow that limit; one that is longer only shrinks.
pub fn mutate_with(rng: &mut Rng, line: &mut Vec<u8>, donor: &[u8]) {
    let limit = line.len().max(MUTATED_BYTES_MAX);
    // Mostly a single change: what is nearly right finds more than noise.
    let changes = [1, 1, 1, 1, 2, 2, 3, 4][rng.index(8)];
    for _ in 0..changes {
        change(rng, line, donor);
        line.truncate(limit);
    }
}

fn change(rng: &mut Rng, line: &mut Vec<u8>, donor: &[u8]) {
    if line.is_empty() {
        line.extend_from_slice(rng.pick(TOKENS));
        return;
    }
    let at = rng.index(line.len());
    match rng.below(16) {
        0 => line[at] ^= 1 << rng.below(8),
        1 => line[at] = rng.pick(SPECIAL_BYTES),
        2 => line[at] = rng.below(256) as u8,
        3 | 4 => line.insert(insert_at(rng, line), rng.pick(SPECIAL_BYTES)),
        5 | 6 => {
            let at = insert_at(rng, line);
            line.splice(at..at, rng.pick(TOKENS).iter().copied());
        }
        7 => drop(line.remove(at)),
        8 => drop(line.drain(span(rng, line.len()))),
        9 => {
            let doubled = line[span(rng, line.len())].to_vec();
            line.splice(at..at, doubled);
        }
        10 => {
            let moved: Vec<u8> = line.drain(span(rng, line.len())).collect();
            let at = insert_at(rng, line);
            line.splice(at..at, moved);
        }
        11 => swap_fields(rng, line),
        12 => line.truncate(at),
        13 => drop(line.drain(..at)),
        14 => {
            // A run of one byte, up to a bit over four times 32: every border of vector code.
            let byte = rng.pick(b"aa  \\\"9\x80\x1f");
            let count = rng.index(140);
            line.splice(at..at, std::iter::repeat_n(byte, count));
        }
        _ => {
            line.truncate(at);
            line.extend_from_slice(&donor[rng.index(donor.len() + 1)..]);
        }
    }
}

fn insert_at(rng: &mut Rng, line: &[u8]) -> usize {
    rng.index(line.len() + 1)
}

/// A range inside `len` (not 0): mostly short, sometimes anything.
fn span(rng: &mut Rng, len: usize) -> std::ops::Range<usize> {
    let start = rng.index(len);
    let longest = if rng.below(4) == 0 { len - start } else { (len - start).min(16) };
    start..start + 1 + rng.index(longest)
}

/// Exchanges two of the pieces between blanks.
fn swap_fields(rng: &mut Rng, line: &mut Vec<u8>) {
    let mut fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let (one, other) = (rng.index(fields.len()), rng.index(fields.len()));
    fields.swap(one, other);
    *line = fields.join(&b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_line_can_be_mutated_any_number_of_times() {
        let mut rng = Rng::new(5);
        for start in [&b""[..], b" ", b"a", DONORS[1]] {
            let mut line = start.to_vec();
            for _ in 0..20_000 {
                mutate(&mut rng, &mut line);
                assert!(line.len() <= MUTATED_BYTES_MAX);
            }
        }
        let mut long = vec![b'x'; 2 * MUTATED_BYTES_MAX];
        for _ in 0..100 {
            let before = long.len();
            mutate_with(&mut rng, &mut long, b"");
            assert!(long.len() <= before.max(MUTATED_BYTES_MAX));
        }
    }

    #[test]
    fn most_mutations_change_the_line_and_equal_seeds_equally() {
        let (mut rng, mut again) = (Rng::new(9), Rng::new(9));
        let mut changed = 0;
        for _ in 0..1_000 {
            let (mut line, mut twin) = (DONORS[0].to_vec(), DONORS[0].to_vec());
            mutate(&mut rng, &mut line);
            mutate(&mut again, &mut twin);
            assert_eq!(line, twin);
            changed += usize::from(line != DONORS[0]);
        }
        assert!(changed > 900, "{changed}");
    }
}
