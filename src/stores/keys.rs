//! Keys that are no paths. To S3 a key is any text, and `logs//2024/` is what becomes of a prefix that was typed with a
//! slash too many; object_store knows paths, without empty parts. So empty parts travel under another name between the
//! door, where requests and listings pass, and whoever knows the key.

/// Stands for a part of a key that is empty, or `.`, or `..`. From Unicode's private use area: nobody's keys hold it.
const STAND_INS: [(&str, char, &str); 3] =
    [("", '\u{f8f0}', "%EF%A3%B0"), (".", '\u{f8f1}', "%EF%A3%B1"), ("..", '\u{f8f2}', "%EF%A3%B2")];

/// The key as a path.
pub fn path_of(key: &str) -> String {
    let part = |part: &str| match STAND_INS.iter().find(|(stands_for, ..)| *stands_for == part) {
        Some((_, stand_in, _)) => stand_in.to_string(),
        None => part.to_owned(),
    };
    key.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The key of a path.
pub fn key_of(path: &str) -> String {
    STAND_INS.iter().fold(path.to_owned(), |key, (stands_for, stand_in, _)| key.replace(*stand_in, stands_for))
}

/// The path of a URL with the key as it is; `None` where it is so already.
pub fn url_path(path: &str) -> Option<String> {
    let restored = STAND_INS.iter().fold(path.to_owned(), |path, (stands_for, _, code)| path.replace(code, stands_for));
    (restored != path).then_some(restored)
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
        written.push_str(&path_of(key));
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
        for key in ["a", "a/b c", "logs//2024/x", "/a", "a/", "//", "a/./b/../c", "...", "ü%41+"] {
            let path = path_of(key);
            assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
            assert_eq!(key_of(&path), key);
        }
        assert_eq!(path_of("a/b"), "a/b");
    }

    #[test]
    fn urls_and_listings() {
        assert_eq!(url_path("/b/logs/%EF%A3%B0/x%20y").as_deref(), Some("/b/logs//x%20y"));
        assert_eq!(url_path("/b/logs/x"), None);
        let xml = "<R><Contents><Key>a//b&amp;c</Key><Size>1</Size></Contents><Contents><Key>d</Key></Contents></R>";
        assert_eq!(listing(xml), xml.replace("a//b", "a/\u{f8f0}/b"));
        assert_eq!(listing("<R><Key>half"), "<R><Key>half");
    }
}
