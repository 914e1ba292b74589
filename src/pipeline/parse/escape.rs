//! Undoes what httpd's `ap_escape_logitem` (server/util.c) and nginx do to a field: all or nothing.
//!
//! httpd writes `\"`, `\\`, `\b`, `\n`, `\r`, `\t`, `\v` and `\xhh`; nginx writes `\xHH`. A field is decoded only if
//! each of its escapes is one of these and the result is text: valid UTF-8 without control characters. Else it is
//! kept as it is written, so that nothing unreadable gets into an index and nothing is lost.

/// What the escapes in `field` stand for, or none where the field is to be kept as it is written (there is no
/// backslash in it, an escape is unknown, or the result is not text). `decoded` lends its room.
pub fn undo<'s>(decoded: &'s mut Vec<u8>, field: &[u8]) -> Option<&'s str> {
    memchr::memchr(b'\\', field)?;
    decoded.clear();
    let mut rest = field;
    while let Some(clean) = memchr::memchr(b'\\', rest) {
        decoded.extend_from_slice(&rest[..clean]);
        let (byte, escape_bytes) = one(&rest[clean..])?;
        decoded.push(byte);
        rest = &rest[clean + escape_bytes..];
    }
    decoded.extend_from_slice(rest);
    let text = std::str::from_utf8(decoded).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// The byte that the escape at the start of `escape` stands for, and the escape's length.
/// Those for control characters are known too, but no field is text with one in it.
fn one(escape: &[u8]) -> Option<(u8, usize)> {
    match *escape.get(1)? {
        quoted @ (b'"' | b'\\') => Some((quoted, 2)),
        b'x' => {
            let high = char::from(*escape.get(2)?).to_digit(16)?;
            let low = char::from(*escape.get(3)?).to_digit(16)?;
            Some(((high * 16 + low) as u8, 4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"plain", None),
            (br#"\"a\""#, Some(r#""a""#)),
            (br"DOM\\user", Some(r"DOM\user")),
            (br"\\x41", Some(r"\x41")), // once only
            (br"\x41\x5C\x5c", Some(r"A\\")),
            (br"\xe2\x82\xac", Some("\u{20ac}")),
            (b"\xe2\\x82\\xac", Some("\u{20ac}")), // raw and escaped bytes that are valid together
            (br"\xc3", None),
            (br"\xc0\xaf", None),
            (br"\xed\xa0\x80", None),
            (br"\x4g", None),
            (br"\x4", None),
            (br"\x", None),
            (br"\q", None),
            (br#"\"\q"#, None), // nothing rather than half
            (br"\f", None),
            (br"\n", None),
            (br"\x00", None),
            (br"\x7f", None),
            (br"\xc2\x85", None), // a control character too
            (b"\\\"\t", None),
            (br"a\", None),
        ];
        let mut scratch = Vec::new();
        for (field, expected) in cases {
            assert_eq!(undo(&mut scratch, field), *expected, "{}", field.escape_ascii());
        }
    }
}
