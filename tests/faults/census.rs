//! [`Census`]: which documents are there. Counted by the node, and by ourselves from all ids.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use crate::support::Node;

/// How many ids are fetched at a time: the most that a node gives by default.
const PAGE: usize = 10_000;

/// The documents of one load.
#[derive(Clone)]
pub struct Census {
    /// As many as the node counts.
    pub documents: u64,
    /// Over the sorted ids, each with what its index is called behind the load's own name (`-2024-01`).
    pub checksum: u64,
    /// These, sorted: where two censuses differ, one wants to see in what.
    ids: Vec<String>,
}

impl Census {
    /// Of all indices whose names begin with `name`, after a refresh.
    #[track_caller]
    pub fn of(node: &Node, name: &str) -> Census {
        node.get("POST", &format!("/{name}*/_refresh"), None);
        let count = node.get("GET", &format!("/{name}*/_count"), None);
        let mut ids = Vec::new();
        let filter = "filter_path=_scroll_id,hits.hits._id,hits.hits._index";
        let first = json!({"size": PAGE, "_source": false, "sort": ["_doc"]});
        let mut answer = node.get("POST", &format!("/{name}*/_search?scroll=1m&{filter}"), Some(&first));
        loop {
            let hits = answer["hits"]["hits"].as_array().map_or(&[][..], Vec::as_slice);
            if hits.is_empty() {
                break;
            }
            ids.extend(hits.iter().map(|hit| {
                let text = |key: &str| hit[key].as_str().expect("a text");
                format!("{} {}", text("_id"), text("_index").trim_start_matches(name))
            }));
            let next = json!({"scroll": "1m", "scroll_id": answer["_scroll_id"]});
            answer = node.get("POST", &format!("/_search/scroll?{filter}"), Some(&next));
        }
        node.ask("DELETE", "/_search/scroll", Some(&json!({"scroll_id": [answer["_scroll_id"]]})));
        let documents = count["count"].as_u64().unwrap_or_else(|| panic!("{count:#}"));
        assert_eq!(documents, ids.len() as u64, "as many ids as the node counts in {name}*");
        Census::from_ids(ids)
    }

    fn from_ids(mut ids: Vec<String>) -> Census {
        ids.sort_unstable();
        let mut hasher = DefaultHasher::new();
        ids.hash(&mut hasher);
        Census { documents: ids.len() as u64, checksum: hasher.finish(), ids }
    }

    /// Asserts that these are the documents of the other.
    #[track_caller]
    pub fn assert_equals(&self, undisturbed: &Census) {
        if (self.documents, self.checksum) == (undisturbed.documents, undisturbed.checksum) {
            return;
        }
        panic!(
            "{} documents instead of {}.\nMissing: {}\nToo many: {}",
            self.documents,
            undisturbed.documents,
            shown(&undisturbed.without(self)),
            shown(&self.without(undisturbed))
        );
    }

    /// Asserts that these and the refused ones, of which none is here, are together the documents of the other.
    #[track_caller]
    pub fn assert_equals_with(&self, refused: &[Value], undisturbed: &Census) {
        let all = self.ids.iter().cloned().chain(refused.iter().map(|letter| {
            let index = letter["index"].as_str().expect("a dead letter's index");
            let month = &index[index.len() - "-2024-01".len()..];
            format!("{} {month}", letter["_id"].as_str().expect("a dead letter's id"))
        }));
        Census::from_ids(all.collect()).assert_equals(undisturbed);
    }

    /// What of this is not in the other, with multiplicity.
    fn without(&self, other: &Census) -> Vec<&str> {
        let (mut theirs, mut rest) = (other.ids.iter().peekable(), Vec::new());
        for id in &self.ids {
            while theirs.next_if(|their| *their < id).is_some() {}
            if theirs.next_if_eq(&id).is_none() {
                rest.push(id.as_str());
            }
        }
        rest
    }
}

fn shown(ids: &[&str]) -> String {
    let first: Vec<_> = ids.iter().take(3).collect();
    format!("{}, such as {first:?}", ids.len())
}

#[test]
fn censuses_differ_by_what_they_differ_by() {
    let census = |ids: &str| Census::from_ids(ids.split(' ').map(str::to_owned).collect());
    census("b a c").assert_equals(&census("a c b"));
    assert_eq!(census("a b b d").without(&census("b c d")), ["a", "b"]);
    assert_eq!(census("a").without(&census("a")), [""; 0]);
}
