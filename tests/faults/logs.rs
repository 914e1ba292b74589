//! The logs that are loaded: 300,000 lines, as one file, packed, in many small files, and given on standard input.
//!
//! They are made once for all tests and lie in one place, because ids depend on paths. What an undisturbed load of them
//! leaves in a node is found out once, too ([`Log::undisturbed`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::census::Census;
use crate::load::{Typed, report};
use crate::support::logs::{Generator, Options, Summary, gzip};
use crate::support::{Folder, Node};
use loghaul_testdata::LineKind;
use serde_json::json;

/// How many lines there are, whatever the shape.
pub const LINES: u64 = 300_000;

/// How many files the small ones are.
pub const SMALL_FILES: usize = 600;

/// The same lines in different shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One plain file.
    Plain,
    /// The same, packed, beside it.
    Gzip,
    /// In 600 files of 500 lines.
    SmallFiles,
    /// On standard input, named as the plain file.
    Stdin,
}

/// The logs, made once.
pub struct Log {
    folder: Folder,
    /// What is in it, as its writer counted.
    pub summary: Summary,
    /// Good lines whose client is a host name: what an `ip` field refuses. About one in a thousand.
    pub hostnames: u64,
    undisturbed: Mutex<HashMap<Shape, Arc<Census>>>,
}

/// The logs of this test program.
pub fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let mut generator = Generator::new(Options {
            lines: Some(LINES),
            seed: 20_240,
            months: 2,
            share_hostnames: 100,
            share_forwarded: 0,
            share_malformed: 200,
            share_blank: 100,
            ..Options::default()
        });
        let (mut log, mut lines, mut hostnames) = (Vec::new(), vec![0], 0);
        while !generator.is_done() {
            let line_at = log.len();
            if generator.next_line(&mut log) == LineKind::Good {
                hostnames += u64::from(has_hostname(&log[line_at..]));
            }
            lines.push(log.len());
        }
        let folder = Folder::new();
        folder.write_settled("one/access.log", &log);
        folder.write_settled("one/access.log.gz", gzip(&log, 3));
        for (n, part) in lines[..LINES as usize].chunks(LINES as usize / SMALL_FILES).enumerate() {
            let end = lines[n * part.len() + part.len()];
            folder.write_settled(&format!("small/{n:03}.log"), &log[part[0]..end]);
        }
        Log { folder, summary: generator.summary(), hostnames, undisturbed: Mutex::default() }
    })
}

impl Log {
    /// The path to be named for a shape: a file or a folder. For standard input, what is read there.
    pub fn path(&self, shape: Shape) -> PathBuf {
        let path = self.folder.path();
        match shape {
            Shape::Plain | Shape::Stdin => path.join("one/access.log"),
            Shape::Gzip => path.join("one/access.log.gz"),
            Shape::SmallFiles => path.join("small"),
        }
    }

    /// What is typed to load a shape.
    pub fn typed<'a>(&self, shape: Shape, folder: &'a Folder, to: &str, index: &str) -> Typed<'a> {
        let path = self.path(shape);
        let mut typed = Typed::new(folder, &path, to, index);
        if shape == Shape::Stdin {
            typed.sources = vec!["-".into()];
            typed.more = vec!["--source-name".into(), path.to_str().expect("UTF-8").to_owned()];
            typed.stdin = Some(path);
        }
        typed
    }

    /// What an undisturbed load of this shape leaves in a node: found out by one, once.
    pub fn undisturbed(&self, shape: Shape, node: &Node) -> Arc<Census> {
        let mut known = self.undisturbed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(census) = known.get(&shape) {
            return Arc::clone(census);
        }
        let folder = Folder::new();
        let index = node.name("undisturbed");
        put_template(node, "undisturbed", "keyword");
        let ran = self.typed(shape, &folder, &node.url, &index).with("--no-ledger").run();
        self.assert_complete(&report(&ran, 0));
        let census = Arc::new(Census::of(node, &index));
        assert_eq!(census.documents, self.summary.good);
        node.get("DELETE", &format!("/{index}*"), None);
        known.insert(shape, Arc::clone(&census));
        census
    }

    /// Asserts that the report is of all lines, and that all documents are in.
    #[track_caller]
    pub fn assert_complete(&self, report: &crate::support::Report) {
        report.has(&format!(
            "lines_read {LINES}, malformed {}, blank {}, rejected 0",
            self.summary.malformed, self.summary.blank
        ));
        assert_eq!(report.count("indexed") + report.count("duplicate"), self.summary.good);
    }
}

/// Whether a good line has a host name for a client: told by the standard library, not by our parser. The zone of an
/// IPv6 address (`fe80::1%eth0`), which the library does not know, is fine with OpenSearch.
fn has_hostname(line: &[u8]) -> bool {
    let client = line.split(|byte| matches!(byte, b' ' | b'%')).next().unwrap_or_default();
    std::str::from_utf8(client).is_ok_and(|client| client.parse::<IpAddr>().is_err())
}

/// A template for the indices of one load: no replicas, and `clientip` of this type (`ip` refuses host names). Fields
/// that no test asks about are kept but not indexed, which is most of a node's work.
pub fn put_template(node: &Node, name: &str, clientip: &str) {
    let name = node.name(name);
    let template = json!({
        "index_patterns": [format!("{name}*")],
        "priority": 500,
        "template": {
            "settings": {"number_of_replicas": 0, "refresh_interval": "30s"},
            "mappings": {
                "dynamic": false,
                "properties": {
                    "@timestamp": {"type": "date"},
                    "response": {"type": "short"},
                    "bytes": {"type": "long"},
                    "clientip": {"type": clientip},
                },
            },
        },
    });
    node.get("PUT", &format!("/_index_template/{name}"), Some(&template));
}

/// The months that the lines lie in, as index names end.
pub const MONTHS: [&str; 2] = ["-2024-01", "-2024-02"];

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}
