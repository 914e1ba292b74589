//! Keys that are no paths. To S3 a key is any text, and `logs//2024/` is what becomes of a prefix that was typed with a
//! slash too many; object_store knows paths, without empty parts. So empty parts travel under another name between the
//! door, where requests and listings pass, and whoever knows the key. So do control characters, which a path may not hold.

/// Stands for a part of a key that is empty, or `.`, or `..`. From Unicode's private use area: nobody's keys hold it.
const STAND_INS: [(&str, char, &str); 3] =
    [("", '\u{f8f0}', "%EF%A3%B0"), (".", '\u{f8f1}', "%EF%A3%B1"), ("..", '\u{f8f2}', "%EF%A3%B2")];

/// So far behind a control character is what stands for it: U+F701 for Ctrl-A, U+F77F for DEL.
const CONTROL_STAND_INS: u32 = 0xf700;
/// Their first two bytes in a URL; the third is 80 (hexadecimal) and the control character.
const CONTROL_CODE: &str = "%EF%9C%";
/// The same for DEL.
const DEL_CODE: &str = "%EF%9D%BF";

/// The key as a path.
pub fn path_of(key: &str) -> String {
    let character = |c: char| match c.is_ascii_control() {
        true => char::from_u32(CONTROL_STAND_INS + u32::from(c)).expect("in the private use area"),
        false => c,
    };
    let part = |part: &str| match STAND_INS.iter().find(|(stands_for, ..)| *stands_for == part) {
        Some((_, stand_in, _)) => stand_in.to_string(),
        None => part.chars().map(character).collect(),
    };
    key.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The key of a path.
pub fn key_of(path: &str) -> String {
    let character = |c: char| match u32::from(c).wrapping_sub(CONTROL_STAND_INS) {
        code @ (0..0x20 | 0x7f) => char::from_u32(code).expect("it is ASCII"),
        _ => c,
    };
    let key = path.chars().map(character).collect::<String>();
    STAND_INS.iter().fold(key, |key, (stands_for, stand_in, _)| key.replace(*stand_in, stands_for))
}

/// The path of a URL with the key as it is; `None` where it is so already.
pub fn url_path(path: &str) -> Option<String> {
    let mut restored =
        STAND_INS.iter().fold(path.to_owned(), |path, (stands_for, _, code)| path.replace(code, stands_for));
    if restored.contains("%EF%9") {
        for control in 0..0x20 {
            restored = restored.replace(&format!("{CONTROL_CODE}{:02X}", 0x80 + control), &format!("%{control:02X}"));
        }
        restored = restored.replace(DEL_CODE, "%7F");
    }
    (restored != path).then_some(restored)
}

/// Control characters as what they are; in XML they are written as numbers (`&#13;`, `&#xd;`).
fn without_references(key: &str) -> String {
    let mut written = String::with_capacity(key.len());
    let mut rest = key;
    while let Some((before, after)) = rest.split_once("&#") {
        let referred = after.split_once(';').and_then(|(number, after)| {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            let c = char::from_u32(code.ok()?).filter(char::is_ascii_control)?;
            Some((c, after))
        });
        written.push_str(before);
        rest = match referred {
            Some((c, after)) => {
                written.push(c);
                after
            }
            None => {
                written.push_str("&#");
                after
            }
        };
    }
    written + rest
}

/// Whether whatever handles URLs would take a part of it for a step in a path.
pub fn has_steps(key: &str) -> bool {
    key.split('/').any(|part| matches!(part, "." | ".."))
}

/// A listing with its keys as paths. What `<`, `>` and `&` are in a key does not matter here.
pub fn listing(xml: &str) -> String {
    let mut written = String::with_capacity(xml.len() + 64);
    let mut rest = xml;
    while let Some((before, after)) = rest.split_once("<Key>") {
        let Some((key, after)) = after.split_once("</Key>") else { break };
        written.push_str(before);
        written.push_str("<Key>");
        written.push_str(&path_of(&without_references(key)));
        written.push_str("</Key>");
        rest = after;
    }
    written + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_path_and_comes_back() {
        for key in [
            "a",
            "a/b c",
            "logs//2024/x",
            "/a",
            "a/",
            "//",
            "a/./b/../c",
            "...",
            "ü%41+",
            "a\r\n\u{1b}[31m/\u{7f}",
            "\u{1}",
        ] {
            let path = path_of(key);
            assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
            assert!(!path.contains(|c: char| c.is_control()), "{path:?}");
            assert_eq!(key_of(&path), key);
        }
        assert_eq!(path_of("a/b"), "a/b");
    }

    #[test]
    fn urls_and_listings() {
        assert_eq!(url_path("/b/logs/%EF%A3%B0/x%20y").as_deref(), Some("/b/logs//x%20y"));
        assert_eq!(url_path("/b/logs/x"), None);
        // U+F70D and U+F77F, as they are encoded.
        assert_eq!(url_path("/b/%EF%9C%8D%EF%9D%BF%EF%9C%9B").as_deref(), Some("/b/%0D%7F%1B"));
        let xml = "<R><Contents><Key>a//b&amp;c</Key><Size>1</Size></Contents><Contents><Key>d</Key></Contents></R>";
        assert_eq!(listing(xml), xml.replace("a//b", "a/\u{f8f0}/b"));
        let xml = "<R><Key>a&#13;b&#x1B;&#xd;c&amp;&#65;</Key></R>";
        assert_eq!(listing(xml), "<R><Key>a\u{f70d}b\u{f71b}\u{f70d}c&amp;&#65;</Key></R>");
        assert_eq!(listing("<R><Key>half"), "<R><Key>half");
    }
}
