//! Into a real OpenSearch on this machine: loghaul against the leanest sender with bodies that were built beforehand, over
//! as many connections. What the sender reaches is what the node takes.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Bench, Length, in_turn, read};
use crate::figures::{Five, Goal, Part};
use crate::{Failure, child, http};

/// Connections of the sender, and writers of loghaul.
const CONNECTIONS: &str = "2";
/// The sample so many times, first.
const TIMES: usize = 10;

pub fn node(bench: &Bench) -> Result<Part, Failure> {
    let mut part = Part::new("node", "Into a real node on the same machine, documents a second");
    let node = Node::start(bench)?;
    child::run(Command::new(&bench.loghaul).args(["setup", "--to", &node.url]).stdin(Stdio::null()))?;
    let load = |log: &std::path::Path| {
        let mut command = bench.load(log, &node.url);
        command.args(["--writers", CONNECTIONS, "--bulk-bytes", "5MiB", "--compress", "none"]);
        command
    };
    // A first load warms the node up and tells how much it takes, and which indices there are.
    let first = child::run(&mut load(&bench.logs.plain()?))?;
    let indices = node.indices()?;
    let (pairs, seconds) = if bench.length == Length::Full { (11, 60.0) } else { (3, 15.0) };
    let times = ((seconds / first.wall * TIMES as f64).round() as usize).max(1);
    let log = bench.logs.combined(times)?;
    let bodies = bodies(bench, &log)?;
    let runs = in_turn::<2>(pairs, |which| {
        node.empty(&indices)?;
        if which == 1 {
            return child::run(&mut load(&log));
        }
        let mut command = Command::new(&bench.me);
        command.args(["send", "--to", node.address(), "--connections", CONNECTIONS]).arg(&bodies);
        child::run(command.stdin(Stdio::null()))
    })?;
    let report: serde_json::Value = serde_json::from_slice(&runs[1][0].stdout)?;
    let documents = report["indexed"].as_u64().ok_or("the report tells no documents")?;
    let sent: u64 = String::from_utf8_lossy(&runs[0][0].stdout).trim().parse()?;
    if sent != documents {
        return Err(format!("the sender made {sent} documents, loghaul {documents}").into());
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get()) as f64;
    for (which, what) in [(0, "bodies built beforehand, leanest sender"), (1, "loghaul")] {
        let speeds = Five::of(runs[which].iter().map(|used| documents as f64 / used.wall));
        let share = Five::of(runs[which].iter().map(|used| used.cpu / used.wall / cores * 100.0));
        let beside = format!("{:.1} % of all processors, {:.0} s", share.median, documents as f64 / speeds.median);
        part.add(what, "docs/s", speeds, Goal::None, beside);
    }
    let ratios = runs[1].iter().zip(&runs[0]).map(|(ours, lean)| lean.wall / ours.wall);
    part.add("loghaul, leanest sender = 1", "x", Five::of(ratios), Goal::LowerAtLeast(0.95), format!("{pairs} pairs"));
    let (lines, _) = read(&runs[1][0].stdout)?;
    part.add(
        "loghaul's processor time",
        "µs a line",
        Five::of(runs[1].iter().map(|used| used.cpu / lines as f64 * 1e6)),
        Goal::None,
        String::new(),
    );
    Ok(part)
}

/// What loghaul would send, kept by a null server.
fn bodies(bench: &Bench, log: &std::path::Path) -> Result<std::path::PathBuf, Failure> {
    let bodies = bench.folder.join("bodies.ndjson");
    let server = bench.null_server(&["--keep", &bodies.to_string_lossy()])?;
    child::run(bench.load(log, &server.url).args(["--writers", "1", "--compress", "none"]))?;
    Ok(bodies)
}

struct Node<'b> {
    bench: &'b Bench,
    folder: String,
    url: String,
}

impl Node<'_> {
    fn start(bench: &Bench) -> Result<Node<'_>, Failure> {
        let folder = bench.folder.join("node").to_string_lossy().into_owned();
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let mut node = Node { bench, folder, url: String::new() };
        let started =
            child::run(node.script().args(["start", "--port", &port, "--dir", &node.folder, "--heap", "1g"]))?;
        node.url = String::from_utf8_lossy(&started.stdout).trim().to_owned();
        Ok(node)
    }

    fn script(&self) -> Command {
        let mut command = Command::new(self.bench.root.join("scripts/opensearch"));
        command.stdin(Stdio::null());
        command
    }

    fn address(&self) -> &str {
        self.url.split("//").nth(1).unwrap_or_default().trim_end_matches('/')
    }

    fn indices(&self) -> Result<Vec<String>, Failure> {
        let (_, found) =
            http::request(self.address(), "GET", "/_cat/indices/apache-access-log-*?format=json&h=index", "")?;
        let found: serde_json::Value = serde_json::from_slice(&found)?;
        let names = found.as_array().into_iter().flatten().filter_map(|index| index["index"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Deletes the indices and makes them anew, alike for both: one shard, no replica, refreshed by nobody.
    fn empty(&self, indices: &[String]) -> Result<(), Failure> {
        let settings = r#"{"settings":{"number_of_shards":1,"number_of_replicas":0,"refresh_interval":"-1"}}"#;
        for index in indices {
            http::request(self.address(), "DELETE", &format!("/{index}"), "")?;
            let (status, answer) = http::request(self.address(), "PUT", &format!("/{index}"), settings)?;
            if !status.contains(" 200 ") {
                return Err(format!("the node made no index {index}: {}", String::from_utf8_lossy(&answer)).into());
            }
        }
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let _ = child::run(self.script().args(["stop", "--dir", &self.folder, "--purge"]));
    }
}
