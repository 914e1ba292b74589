//! Text to the inside of a JSON string. Knows nothing of logs.

/// What stands for each byte below 0x20: a letter behind a backslash, or `u` for `\u00hh`.
/// All others stand for themselves but `"` and `\`.
const ESCAPE: [u8; 32] = *b"uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

/// Gives `text` to `put` as the inside of a JSON string, in pieces. Bytes that are not UTF-8 become U+FFFD, as many as
/// [`String::from_utf8_lossy`] makes of them. Tells whether there were any.
pub fn escape(text: &[u8], mut put: impl FnMut(&[u8])) -> bool {
    if let Ok(text) = std::str::from_utf8(text) {
        escape_str(text, put);
        return false;
    }
    let mut replaced = false;
    for chunk in text.utf8_chunks() {
        escape_str(chunk.valid(), &mut put);
        if !chunk.invalid().is_empty() {
            put("\u{fffd}".as_bytes());
            replaced = true;
        }
    }
    replaced
}

/// Gives `text` to `put` as the inside of a JSON string, in pieces.
pub fn escape_str(text: &str, mut put: impl FnMut(&[u8])) {
    let bytes = text.as_bytes();
    let mut clean = 0;
    loop {
        let stop = clean_until(bytes, clean);
        if clean < stop {
            put(&bytes[clean..stop]);
        }
        let Some(&byte) = bytes.get(stop) else { return };
        clean = stop + 1;
        match ESCAPE.get(byte as usize) {
            None => put(&[b'\\', byte]),
            Some(b'u') => {
                let hex = b"0123456789abcdef";
                put(&[b'\\', b'u', b'0', b'0', hex[byte as usize >> 4], hex[byte as usize & 15]]);
            }
            Some(letter) => put(&[b'\\', *letter]),
        }
    }
}

/// Where, from `at` on, the first byte stands that needs an escape, or the end. Eight bytes a step: a whole line has
/// hardly more than a handful.
fn clean_until(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        // The high bit of each byte below `least`, and perhaps of some behind the first of them.
        let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word;
        let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let stops = (below(word, 0x20) | equal(b'"') | equal(b'\\')) & HIGH;
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let stop = bytes[at..].iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
    stop.map_or(bytes.len(), |stop| at + stop)
}

/// `text` as a JSON string, with its quotes.
pub fn string(text: &str) -> Vec<u8> {
    let mut string = vec![b'"'];
    escape_str(text, |piece| string.extend_from_slice(piece));
    string.push(b'"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_at_each_place() {
        for byte in 0..0x80u8 {
            for place in 0..20 {
                let mut text = [b'x'; 20];
                text[place] = byte;
                let text = std::str::from_utf8(&text).expect("ASCII");
                assert_eq!(string(text), serde_json::to_vec(text).expect("a string is JSON"), "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn equals_serde_json() {
        let all: Vec<u8> = (0..=255).collect();
        let cases: [&[u8]; 12] = [
            b"",
            b"plain",
            b"\"",
            b"\\\"",
            b"a\x00b\x1f\x7f",
            &all,
            b"\xe2\x82\xac",
            b"\xe2\x82",
            b"a\xc0\xafb",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xff\"\xff",
        ];
        for text in cases {
            let mut ours = vec![b'"'];
            let replaced = escape(text, |piece| ours.extend_from_slice(piece));
            ours.push(b'"');
            let lossy = String::from_utf8_lossy(text);
            let theirs = serde_json::to_vec(&lossy).expect("a string is JSON");
            assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
            assert_eq!(replaced, std::str::from_utf8(text).is_err());
        }
    }
}
