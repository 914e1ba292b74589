//! Escaped text is a JSON string of that text, and Apache's escapes are undone as the rule says.

use loghaul::pipeline::parse::escape;
use loghaul::pipeline::serialize::json;

use super::twin;

/// Any bytes, as a field of a log.
pub fn law(data: &[u8]) {
    let mut written = vec![b'"'];
    let replaced = json::escape(data, |piece| written.extend_from_slice(piece));
    written.push(b'"');
    let lossy = String::from_utf8_lossy(data);
    assert_eq!(replaced, std::str::from_utf8(data).is_err());
    let read: String = serde_json::from_slice(&written).expect("valid JSON");
    assert_eq!(read, lossy);
    assert_eq!(written, serde_json::to_vec(&lossy).expect("a string is JSON"), "as short as serde_json's");
    assert_eq!(json::string(&lossy), written);

    let mut room = b"left behind by another field".to_vec();
    let undone = escape::undo(&mut room, data).map(str::to_owned);
    let expected = twin::decoded(data).filter(|_| data.contains(&b'\\'));
    assert_eq!(undone, expected, "{}", data.escape_ascii());
}
