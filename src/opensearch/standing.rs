//! [`Standing`]: what is there under a name that we would use, and whether it is ours to change.

/// What stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of that name.
    Absent,
    /// Ours, and as we would make it.
    Same,
    /// Ours, but older or different.
    Different,
    /// Ours, of a newer loghaul: its version, and that of this one.
    Newer(i64, i64),
    /// Not made by loghaul.
    Foreign,
}

impl Standing {
    /// Why it is left alone, if it is.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Standing::Foreign => Some("it was not made by loghaul".to_owned()),
            Standing::Newer(theirs, ours) => {
                Some(format!("it was made by a newer loghaul (version {theirs}, this one makes {ours})"))
            }
            Standing::Absent | Standing::Same | Standing::Different => None,
        }
    }
}

/// A name as one part of a URL's path.
pub(super) fn in_path(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'*' | b',' => path.push(byte.into()),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

/// Whether `found` has all that `wanted` has. The server adds members of its own.
pub(super) fn has_all(found: &serde_json::Value, wanted: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (found, wanted) {
        (Object(found), Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| has_all(found, wanted)))
        }
        (Array(found), Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| has_all(found, wanted))
        }
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_in_paths() {
        assert_eq!(in_path("loghaul-a+b%c/\u{e9}-*"), "loghaul-a%2Bb%25c%2F%C3%A9-*");
    }

    #[test]
    fn all_that_is_wanted() {
        let found = json!({"a": 1, "b": [{"c": 2, "retry": 3}], "d": null});
        assert!(has_all(&found, &json!({"a": 1, "b": [{"c": 2}]})));
        assert!(!has_all(&found, &json!({"b": []})) && !has_all(&found, &json!({"e": 1})));
    }
}
