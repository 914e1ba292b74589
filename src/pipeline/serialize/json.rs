//! Text to the inside of a JSON string. Knows nothing of logs.

/// What stands for each byte below 0x20: a letter behind a backslash, or `u` for `\u00hh`.
/// All others stand for themselves but `"` and `\`.
const ESCAPE: [u8; 32] = *b"uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

/// Gives `text` to `put` as the inside of a JSON string, in pieces. Bytes that are not UTF-8 become U+FFFD, as many as
/// [`String::from_utf8_lossy`] makes of them. Tells whether there were any.
pub fn escape(text: &[u8], mut put: impl FnMut(&[u8])) -> bool {
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
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        if clean < at {
            put(&bytes[clean..at]);
        }
        clean = at + 1;
        match ESCAPE.get(byte as usize) {
            None => put(&[b'\\', byte]),
            Some(b'u') => {
                let hex = b"0123456789abcdef";
                put(&[b'\\', b'u', b'0', b'0', hex[byte as usize >> 4], hex[byte as usize & 15]]);
            }
            Some(letter) => put(&[b'\\', *letter]),
        }
    }
    if clean < bytes.len() {
        put(&bytes[clean..]);
    }
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
