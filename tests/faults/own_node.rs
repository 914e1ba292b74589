//! [`OwnNode`]: a node of a test's own, by scripts/opensearch, for what cannot be asked of the shared one: to refuse,
//! and to die.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::Node;

/// A node with a folder of its own. Ended, and its folder deleted, when dropped.
pub struct OwnNode {
    node: Node,
    options: Vec<String>,
    dir: PathBuf,
}

impl OwnNode {
    /// Starts one with these settings (`key=value`). It takes about twenty seconds.
    pub fn start(test: &str, settings: &[&str]) -> OwnNode {
        static NODES: AtomicU32 = AtomicU32::new(0);
        let nth = NODES.fetch_add(1, Ordering::Relaxed);
        let parent = std::env::var_os("LOGHAUL_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = parent.join(format!("loghaul-faults-{}-{nth}", process::id()));
        // Below what the system gives to clients, so that nobody is likely to take it between two starts.
        let port = (20_000 + process::id() % 5_000 * 2 + nth * 211..30_000)
            .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port as u16)).is_ok())
            .expect("a free port");
        let mut options = vec!["--port".to_owned(), port.to_string(), "--heap".into(), "512m".into()];
        if let Ok(version) = std::env::var("LOGHAUL_TEST_VERSION") {
            options.extend(["--version".into(), version]);
        }
        for setting in settings {
            options.extend(["--set".into(), (*setting).to_owned()]);
        }
        let node = Node::at(&format!("http://127.0.0.1:{port}"), test);
        let node = OwnNode { node, options, dir };
        node.restart();
        node
    }

    /// Starts it again, with its data.
    pub fn restart(&self) {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        self.script("start", &options);
    }

    /// `kill -9`.
    pub fn crash(&self) {
        self.script("stop", &["--kill"]);
    }

    /// A figure of the node's own statistics, such as `breakers/parent/tripped` in `breaker`.
    pub fn statistic(&self, part: &str, path: &str) -> u64 {
        let answer = self.node.get("GET", &format!("/_nodes/_local/stats/{part}"), None);
        let node = answer["nodes"].as_object().and_then(|nodes| nodes.values().next()).expect("one node");
        let found = path.split('/').fold(node, |value, key| &value[key]);
        found.as_u64().unwrap_or_else(|| panic!("no {path} in {node:#}"))
    }

    fn script(&self, command: &str, options: &[&str]) {
        let mut line = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/opensearch"));
        line.arg(command).args(options).arg("--dir").arg(&self.dir).env_remove("OPENSEARCH_URL");
        let output = line.output().expect("scripts/opensearch can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {said}");
    }
}

/// Sets dynamic settings of a node's cluster; null takes one back.
pub fn set(node: &Node, settings: &Value) {
    node.get("PUT", "/_cluster/settings", Some(&json!({"persistent": settings})));
}

impl Deref for OwnNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for OwnNode {
    fn drop(&mut self) {
        let mut line = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/opensearch"));
        let _ = line.args(["stop", "--kill", "--purge", "--dir"]).arg(&self.dir).output();
    }
}
