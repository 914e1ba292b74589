//! [`IndexNow`]: whether an index is there, and whether it is still the one that it was.
//!
//! A name proves little: with `action.auto_create_index`, which is on by default, an index that somebody deletes is
//! made anew by the next document, and what it held before is gone without a word. OpenSearch gives each index a uuid
//! when it makes it (`index.uuid`, `GET /INDEX/_settings`), so the uuid tells the one from the other.

use super::client::{Client, Method, Reply};
use crate::error::Result;

/// What a name stands for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexNow {
    /// Nothing (404).
    Gone,
    /// An index. Its uuid, if we may ask for it; none for an alias or a data stream, which may stand for another index
    /// tomorrow and be none the worse for it.
    There(Option<String>),
}

impl IndexNow {
    /// Whether what had this uuid is there no more. Where either uuid is not known, it is not lost.
    pub fn has_lost(&self, uuid: Option<&str>) -> bool {
        match (self, uuid) {
            (IndexNow::Gone, _) => true,
            (IndexNow::There(Some(now)), Some(then)) => now != then,
            (IndexNow::There(_), _) => false,
        }
    }
}

impl Client {
    /// What the name of an index, alias or data stream stands for now. Who may not ask for its settings is told by a
    /// `HEAD` whether it is there; who may not even do that is told that it is.
    ///
    /// # Errors
    /// No answer, or one that is neither a yes nor a no (429, 5xx): a sentence.
    pub fn index_now(&self, name: &str) -> Result<IndexNow> {
        let doing = format!("see whether the index {name:?} is there");
        let name_in_path = path_segment(name);
        let ask = |method, path: &str| -> Result<Reply> {
            let reply = self.json(method, path, None).map_err(|failure| self.failed(&failure, &doing))?;
            match &reply.refusal {
                Some(refusal) if matches!(reply.head.status, 429 | 500..=599) => {
                    Err(self.refused(refusal, &reply.head, &doing))
                }
                _ => Ok(reply),
            }
        };
        let path = format!("/{name_in_path}/_settings?filter_path=*.settings.index.uuid");
        let reply = ask(Method::Get, &path)?;
        Ok(match reply.head.status {
            200 => IndexNow::There(reply.body[name]["settings"]["index"]["uuid"].as_str().map(str::to_owned)),
            404 => IndexNow::Gone,
            _ => match ask(Method::Head, &format!("/{name_in_path}"))?.head.status {
                404 => IndexNow::Gone,
                _ => IndexNow::There(None),
            },
        })
    }
}

/// A name as a part of a path or a query (RFC 3986): whatever is not unreserved is escaped.
pub(crate) fn path_segment(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost() {
        let there = |uuid: &str| IndexNow::There(Some(uuid.to_owned()));
        for (now, then, lost) in [
            (IndexNow::Gone, Some("a"), true),
            (IndexNow::Gone, None, true),
            (there("a"), Some("a"), false),
            (there("b"), Some("a"), true),
            (there("b"), None, false),
            (IndexNow::There(None), Some("a"), false),
        ] {
            assert_eq!(now.has_lost(then), lost, "{now:?} {then:?}");
        }
    }

    #[test]
    fn names_in_paths() {
        assert_eq!(path_segment("logs-2020.12_a~"), "logs-2020.12_a~");
        assert_eq!(path_segment("<logs/ü>"), "%3Clogs%2F%C3%BC%3E");
    }
}
