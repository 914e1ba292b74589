//! What a bulk answer says about each document.
//!
//! Nearly every answer says 201 so many times, and then one compare for each is all: [`read`] knows that answer byte for
//! byte (to count `"status":201` in it would be slower, and take a 2010 for one). Any other answer is split into its
//! items without building a tree (an answer to 13,000 duplicates would grow fivefold), and each item is looked at by its
//! beginning; only what is neither a success nor a duplicate is parsed as JSON.
//!
//! An answer counts only as a whole: if it is cut, garbled, or has more or fewer items than documents were sent,
//! nothing in it is believed, for an item means something only by its place. (Fewer items with `errors:false` do
//! happen: a gzip body cut at a flush point, a last action line without its document.)
//!
//! Before you change the request's `filter_path`: statuses must be asked for. With `items.*.error` alone the server
//! leaves successful items out, and with them every place.

use std::borrow::Cow;
use std::ops::Range;

use simd_json::prelude::*;

/// What the server is asked to tell about each item.
pub const FILTER_PATH: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason,\
     items.*.error.caused_by.type,items.*.error.caused_by.reason";

/// What a bulk request of known length was answered with HTTP 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Each document was created.
    AllCreated,
    /// As many items as documents; look at each.
    Items,
    /// Not an answer to this request. What became of the documents is unknown.
    Unreadable(Unreadable),
}

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not JSON to its end, or not of this shape: cut off, or a proxy's page.
    NotBulk,
    /// Fewer or more items than documents sent.
    Miscounted,
}

/// What became of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item<'a> {
    /// HTTP status of this item; 0 where it says none.
    pub status: u16,
    /// OpenSearch's error type; empty where there is no error.
    pub error_type: Cow<'a, str>,
    /// OpenSearch's reason.
    pub reason: Cow<'a, str>,
    /// Type and reason of the cause, where there is one: `number_format_exception: For input string: "x"`.
    pub caused_by: Cow<'a, str>,
}

/// Where each item stands in the answer; used again from answer to answer.
#[derive(Debug, Default)]
pub struct Items {
    places: Vec<Range<u32>>,
}

/// Reads the body of a 200 answer to `sent` documents. After [`Reading::Items`], `items` knows their places.
pub fn read(body: &[u8], sent: u32, items: &mut Items) -> Reading {
    items.places.clear();
    if is_all_created(body, sent) {
        return Reading::AllCreated;
    }
    match split(body, &mut items.places) {
        None => Reading::Unreadable(Unreadable::NotBulk),
        Some(()) if items.places.len() != sent as usize => Reading::Unreadable(Unreadable::Miscounted),
        Some(()) => Reading::Items,
    }
}

/// Whether it is, byte for byte, what OpenSearch answers when it has created them all and tells no more than
/// [`FILTER_PATH`] asks for: one compare an item.
fn is_all_created(body: &[u8], sent: u32) -> bool {
    const ITEM: &[u8; 26] = br#",{"create":{"status":201}}"#;
    let items = body.strip_prefix(br#"{"errors":false,"items":["#).and_then(|rest| rest.strip_suffix(b"]}"));
    let Some(items) = items.filter(|items| items.starts_with(&ITEM[1..])) else { return false };
    let (rest, left) = items[ITEM.len() - 1..].as_chunks();
    left.is_empty() && rest.len() + 1 == sent as usize && rest.iter().all(|item| item == ITEM)
}

impl Items {
    /// What became of the `n`-th document sent. Parses in place: ask once.
    pub fn item<'b>(&self, body: &'b mut [u8], n: usize) -> Item<'b> {
        let place = &self.places[n];
        Item::read(&mut body[place.start as usize..place.end as usize])
    }
}

impl<'b> Item<'b> {
    fn read(text: &'b mut [u8]) -> Item<'b> {
        if let Some(rest) = text.strip_prefix(br#"{"create":{"status":"#) {
            if rest == b"201}}" {
                return Item { status: 201, ..Item::default() };
            }
            let conflict = br#"409,"error":{"type":"version_conflict_engine_exception""#;
            if rest.starts_with(conflict) {
                return Item { status: 409, error_type: "version_conflict_engine_exception".into(), ..Item::default() };
            }
        }
        Item::parse(text).unwrap_or_default()
    }

    #[cold]
    fn parse(text: &'b mut [u8]) -> Option<Item<'b>> {
        let value = simd_json::to_borrowed_value(text).ok()?;
        // {"create": {…}}; whatever the action is called. Two of them would be nonsense.
        let mut actions = value.into_object()?.into_iter();
        let (Some((_, result)), None) = (actions.next(), actions.next()) else { return None };
        let mut result = result.into_object()?;
        let status = result.get("status").and_then(|status| status.as_u16()).unwrap_or(0);
        let mut item = Item { status, ..Item::default() };
        match result.remove("error") {
            Some(simd_json::BorrowedValue::String(words)) => item.reason = words,
            Some(error) => {
                let text = |value: &simd_json::BorrowedValue<'b>, key: &str| {
                    value.get_str(key).map_or(Cow::Borrowed(""), |text| Cow::Owned(text.to_owned()))
                };
                item.error_type = text(&error, "type");
                item.reason = text(&error, "reason");
                if let Some(cause) = error.get("caused_by") {
                    let (cause_type, reason) = (text(cause, "type"), text(cause, "reason"));
                    item.caused_by = match (cause_type.as_ref(), reason.as_ref()) {
                        ("", reason) => Cow::Owned(reason.to_owned()),
                        (cause_type, "") => Cow::Owned(cause_type.to_owned()),
                        (cause_type, reason) => Cow::Owned(format!("{cause_type}: {reason}")),
                    };
                }
            }
            None => {}
        }
        Some(item)
    }
}

/// Finds the elements of the top-level `items` array. `None` if `body` is not one JSON object from its first to its
/// last byte, as far as its brackets and strings tell.
fn split(body: &[u8], places: &mut Vec<Range<u32>>) -> Option<()> {
    u32::try_from(body.len()).ok()?;
    let mut at = expect(body, 0, b'{')?;
    let mut seen = false;
    if body.get(skip_space(body, at)) == Some(&b'}') {
        return None;
    }
    loop {
        let key = skip_space(body, at);
        let key_end = skip_string(body, key)?;
        at = skip_space(body, expect(body, key_end, b':')?);
        if &body[key..key_end] == br#""items""# && body.get(at) == Some(&b'[') {
            // Twice would be nonsense.
            if std::mem::replace(&mut seen, true) {
                return None;
            }
            at = split_array(body, at + 1, places)?;
        } else {
            at = skip_value(body, at)?;
        }
        let next = skip_space(body, at);
        match body.get(next)? {
            b',' => at = next + 1,
            b'}' => return (seen && skip_space(body, next + 1) == body.len()).then_some(()),
            _ => return None,
        }
    }
}

fn split_array(body: &[u8], mut at: usize, places: &mut Vec<Range<u32>>) -> Option<usize> {
    if body.get(skip_space(body, at)) == Some(&b']') {
        return Some(skip_space(body, at) + 1);
    }
    loop {
        let start = skip_space(body, at);
        let end = skip_value(body, start)?;
        places.push(start as u32..end as u32);
        let next = skip_space(body, end);
        match body.get(next)? {
            b',' => at = next + 1,
            b']' => return Some(next + 1),
            _ => return None,
        }
    }
}

fn skip_space(body: &[u8], mut at: usize) -> usize {
    while matches!(body.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

fn expect(body: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = skip_space(body, at);
    (body.get(at) == Some(&byte)).then_some(at + 1)
}

/// From the opening quote to behind the closing one.
fn skip_string(body: &[u8], at: usize) -> Option<usize> {
    if body.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', body.get(at..)?)?;
        match body[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// From the first byte of a value to behind its last. Trusts what is between brackets to be well formed: whoever
/// wants the content parses it.
fn skip_value(body: &[u8], at: usize) -> Option<usize> {
    match body.get(at)? {
        b'"' => skip_string(body, at),
        b'{' | b'[' => {
            let (mut at, mut depth) = (at + 1, 1);
            while depth > 0 {
                match body.get(at)? {
                    b'"' => {
                        at = skip_string(body, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
            Some(at)
        }
        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
            let rest = &body[at..];
            let scalar = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
            let end = at + rest.iter().position(|byte| !scalar(byte)).unwrap_or(rest.len());
            Some(end)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads with the real thing and with a slow twin that parses the whole answer.
    fn check(body: &str, sent: u32, expected: Reading) {
        let mut items = Items::default();
        let reading = read(body.as_bytes(), sent, &mut items);
        assert_eq!(reading, expected, "{body}");
        if reading == Reading::Items {
            let twin: serde_json::Value = serde_json::from_str(body).expect("what was read is JSON");
            for n in 0..sent as usize {
                let mut copy = body.as_bytes().to_vec();
                let item = items.item(&mut copy, n);
                let (_, twin) = twin["items"][n].as_object().expect("an item").iter().next().expect("an action");
                assert_eq!(u64::from(item.status), twin["status"].as_u64().unwrap_or(0), "{body}");
                assert_eq!(item.error_type, twin["error"]["type"].as_str().unwrap_or(""), "{body}");
                if item.status != 409 {
                    let words = twin["error"]["reason"].as_str().or(twin["error"].as_str()).unwrap_or("");
                    assert_eq!(item.reason, words, "{body}");
                }
            }
        }
    }

    #[test]
    fn answers_of_every_shape() {
        let not_bulk = Reading::Unreadable(Unreadable::NotBulk);
        let miscounted = Reading::Unreadable(Unreadable::Miscounted);
        let created = r#"{"create":{"status":201}}"#;
        let conflict = r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a]: version conflict, \"document\" already exists]}"}}}"#;
        let mapping = r#"{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed \\ \"x\" ü \n","caused_by":{"type":"number_format_exception","reason":"For input string: \"x\""}}}}"#;
        let answer = |items: &[&str], errors: bool| format!(r#"{{"errors":{errors},"items":[{}]}}"#, items.join(","));
        check(&answer(&[created, created], false), 2, Reading::AllCreated);
        check(&answer(&[created], false), 2, miscounted);
        check(&answer(&[created, created, created], false), 2, miscounted);
        check(&answer(&[], false), 2, miscounted);
        check(&answer(&[created, conflict], true), 2, Reading::Items);
        check(&answer(&[created, created], true), 2, Reading::Items);
        check(&answer(&[conflict, mapping, created], true), 3, Reading::Items);
        check(&answer(&[r#"{"create":{"status":200}}"#, created], false), 2, Reading::Items);
        check(r#" { "items" : [ {"create": {"status" : 201 } } ] , "errors" : false } "#, 1, Reading::Items);
        check(r#"{"errors":true,"items":[{"create":{"status":405,"error":"a string"}}]}"#, 1, Reading::Items);
        check(
            r#"{"took":3,"ingest_took":-1.5e3,"errors":false,"items":[{"create":{"_index":"i","status":201}}]}"#,
            1,
            Reading::Items,
        );
        check(r#"{"errors":false}"#, 1, not_bulk);
        check("{}", 1, not_bulk);
        check("", 1, not_bulk);
        check("<html>502</html>", 1, not_bulk);
        check(r#"{"errors":false,"items":{}}"#, 1, not_bulk);
        check(r#"{"items":[],"items":[]}"#, 1, not_bulk);
        // A 201 in a reason is no success.
        let liar = r#"{"create":{"status":400,"error":{"type":"x","reason":"\"status\":201 \"errors\":false"}}}"#;
        check(&answer(&[liar], true), 1, Reading::Items);
    }

    #[test]
    fn an_answer_cut_anywhere_is_not_believed() {
        let item =
            r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a\"]: {"}}}"#;
        for whole in [
            format!(r#"{{"errors":true,"items":[{item},{item},{{"create":{{"status":201}}}}]}}"#),
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}"#
                .to_owned(),
        ] {
            let mut items = Items::default();
            for end in 0..whole.len() {
                let reading = read(&whole.as_bytes()[..end], 3, &mut items);
                assert!(matches!(reading, Reading::Unreadable(_)), "{} was {reading:?}", &whole[..end]);
            }
            assert!(!matches!(read(whole.as_bytes(), 3, &mut items), Reading::Unreadable(_)));
        }
    }

    #[test]
    fn an_answer_may_be_as_deep_as_it_likes() {
        for depth in [1_000, 2_000_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let mut body = format!(r#"{{"items":[{{"create":{{"status":201,"x":{deep}}}}}]}}"#).into_bytes();
            let mut items = Items::default();
            assert_eq!(read(&body, 1, &mut items), Reading::Items);
            assert!([0, 201].contains(&items.item(&mut body, 0).status), "unknown at worst");
        }
    }

    #[test]
    fn the_cause_of_an_error_is_kept() {
        let mut text =
            br#"{"create":{"status":400,"error":{"type":"t","reason":"r","caused_by":{"type":"c","reason":"d"}}}}"#
                .to_vec();
        assert_eq!(Item::read(&mut text).caused_by, "c: d");
    }

    proptest::proptest! {
        #[test]
        fn anything_else_neither_panics_nor_is_believed(junk in "[{}\\[\\]\",:a-z0-9 \\\\]{0,60}", sent in 1u32..3) {
            let mut items = Items::default();
            if read(junk.as_bytes(), sent, &mut items) == Reading::Items {
                for n in 0..sent as usize {
                    let _ = items.item(&mut junk.as_bytes().to_vec(), n);
                }
            }
        }
    }
}
