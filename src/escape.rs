//! Shows what strangers wrote. Log lines, file names and servers' answers may hold anything: escape sequences that
//! repaint the terminal, characters that turn the text's direction, bytes that are not UTF-8.
//!
//! Whoever puts such words into a sentence shows them by [`shown`]. And whatever is told, on standard output or standard
//! error, leaves through [`Safe`], so that what somebody forgot is shown as well. Documents are no telling, and go to files
//! and pipes as they are; to a terminal they go by [`shown_json`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Text that is safe to print in one line. What is printable stays as it is, backslashes too; control characters (line
/// ends and ESC among them), format characters (direction, zero width), line separators and bytes that are not UTF-8
/// become `\n`, `\t`, `\xhh` or `\u{hhhh}`.
pub fn shown(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_hidden) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

/// Like [`shown`], at most `width` characters wide. Of longer text the middle gives way to `…`: what is wrong with a line
/// is seen at its start or at its end.
pub fn shown_within(bytes: &[u8], width: usize) -> String {
    let text = shown(bytes);
    let length = text.chars().count();
    if length <= width {
        return text.into_owned();
    }
    let kept = width.saturating_sub(1);
    let tail = kept / 3;
    let mut cut: String = text.chars().take(kept - tail).collect();
    cut.push('…');
    cut.extend(text.chars().skip(length - tail));
    cut
}

/// Like [`shown`], for text of several lines, whose ends stay.
pub fn shown_page(text: &str) -> Cow<'_, str> {
    match text.contains(|c| c != '\n' && is_hidden(c)) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.split('\n').map(|line| shown(line.as_bytes())).collect::<Vec<_>>().join("\n")),
    }
}

/// A writer for what is told: line ends pass, whatever else does something other than show itself is escaped.
pub struct Safe<W> {
    to: W,
    json: bool,
    /// The beginning of a character whose end is not written yet: at most three bytes.
    begun: Vec<u8>,
}

impl<W: Write> Safe<W> {
    /// For text.
    pub fn text(to: W) -> Safe<W> {
        Safe { to, json: false, begun: Vec::new() }
    }

    /// For JSON: the same values, with JSON's own escapes.
    pub fn json(to: W) -> Safe<W> {
        Safe { to, json: true, begun: Vec::new() }
    }
}

impl<W: Write> Write for Safe<W> {
    /// Takes all.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(bytes);
        if let Some(last) = whole.utf8_chunks().last().map(|chunk| chunk.invalid())
            && std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none())
        {
            self.begun = last.to_vec();
            whole.truncate(whole.len() - self.begun.len());
        }
        let text = String::from_utf8_lossy(&whole);
        match self.json {
            true => self.to.write_all(shown_json(&text).as_bytes())?,
            false => self.to.write_all(shown_page(&text).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The same JSON without anything that does other than show itself. Such characters can stand only in its strings; line
/// ends may stand between its parts.
pub fn shown_json(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut json = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => json.push(c),
            c if is_hidden(c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(json, "\\u{unit:04x}")),
            c => json.push(c),
        }
    }
    Cow::Owned(json)
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c if c.is_ascii_control() => _ = write!(text, "\\x{:02x}", c as u32),
                c if is_hidden(c) => _ = write!(text, "\\u{{{:x}}}", c as u32),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Characters that do something other than show themselves.
fn is_hidden(c: char) -> bool {
    c.is_control() // C0, DEL, C1
        || matches!(c,
            '\u{ad}' // soft hyphen
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // direction
            | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' // zero width
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte-order mark, annotations
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{e0000}'..='\u{e0fff}' // tags and variation selectors
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mislead_is_shown_as_escape() {
        let cases: &[(&[u8], &str)] = &[
            (b"1.2.3.4 - - [x] \"GET / HTTP/1.1\" 200", "1.2.3.4 - - [x] \"GET / HTTP/1.1\" 200"),
            ("café, 日本".as_bytes(), "café, 日本"),
            (b"C:\\temp \\x16", "C:\\temp \\x16"),
            (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            (b"a\nb\r\tc\0", "a\\nb\\r\\tc\\x00"),
            (b"\x7f", "\\x7f"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            (b"caf\xe9 \xff\xfe", "caf\\xe9 \\xff\\xfe"),
            (b"\xe2\x82", "\\xe2\\x82"),
            ("a\u{202e}gpj.exe".as_bytes(), "a\\u{202e}gpj.exe"),
            ("a\u{200b}b\u{2028}c\u{feff}".as_bytes(), "a\\u{200b}b\\u{2028}c\\u{feff}"),
            (b"", ""),
        ];
        for (bytes, expected) in cases {
            assert_eq!(shown(bytes), *expected);
        }
    }

    #[test]
    fn what_leaves_is_safe() {
        let told = |text: &str| {
            let mut out = Vec::new();
            Safe::text(&mut out).write_all(text.as_bytes()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told("one\ntwo\n"), "one\ntwo\n");
        assert_eq!(told("a\u{1b}[2J\nb\r\n\u{202e}"), "a\\x1b[2J\nb\\r\n\\u{202e}");
        assert_eq!(told(&told("a\u{1b}[2J")), "a\\x1b[2J", "what is shown stays as it is");
        let mut out = Vec::new();
        let mut safe = Safe::text(&mut out);
        "é\u{9b}日\n".bytes().for_each(|byte| safe.write_all(&[byte]).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), "é\\u{9b}日\n");
        let mut out = Vec::new();
        let value = serde_json::json!({"a\u{9b}31m": "\u{e0041}\n\u{1b}"});
        write!(Safe::json(&mut out), "{value:#}").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !is_hidden(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn cut_to_width() {
        assert_eq!(shown_within(b"abcdef", 6), "abcdef");
        assert_eq!(shown_within(b"abcdefg", 6), "abcd…g");
        assert_eq!(shown_within("日本日本".as_bytes(), 3), "日本…");
        assert_eq!(shown_within(&[b'a'; 100_000], 3), "aa…");
        assert_eq!(shown_within(b"\x1b\x1b", 6), "\\x1b…b");
        assert_eq!(shown_within(b"", 0), "");
    }
}
