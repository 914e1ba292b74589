//! A node that takes one megabyte at a time, straight and behind a proxy that says 413 early and resets. All lines
//! arrive, and the one document of two megabytes is rejected alone.

use std::path::{Path, PathBuf};

use crate::census::Census;
use crate::fault_proxy::FaultProxy;
use crate::load::{Typed, brief, report};
use crate::logs::{LINES, Shape, log, put_template};
use crate::own_node::OwnNode;
use crate::support::{Folder, Node};
use crate::{seed, turn};

/// What the node takes at most.
const LIMIT: u64 = 1 << 20;

/// The log, with one line of two megabytes in the middle.
fn with_a_huge_line(folder: &Folder, random: &mut fastrand::Rng) -> PathBuf {
    let bytes = std::fs::read(log().path(Shape::Plain)).expect("the log");
    let middle = random.usize(bytes.len() / 3..bytes.len() / 2);
    let at = middle + bytes[middle..].iter().position(|byte| *byte == b'\n').expect("there are more lines") + 1;
    let huge = format!(
        "192.0.2.1 - - [15/Jan/2024:10:00:00 +0000] \"GET /{} HTTP/1.1\" 200 1 \"-\" \"huge\"\n",
        "x".repeat(2 << 20)
    );
    folder.write_settled("huge/access.log", [&bytes[..at], huge.as_bytes(), &bytes[at..]].concat())
}

fn typed<'a>(folder: &'a Folder, path: &Path, to: &str, index: &str) -> Typed<'a> {
    Typed::new(folder, path, to, index).with("--max-line-bytes 4MiB")
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn straight_and_behind_a_proxy() {
    let _turn = turn::take();
    let mut random = seed::random("too-large");
    let shared = Node::shared("too-large");
    let node = OwnNode::start("too-large", &["http.max_content_length=1mb"]);
    put_template(&node, "log", "keyword");
    put_template(&shared, "log", "keyword");
    let files = Folder::new();
    let path = with_a_huge_line(&files, &mut random);

    // Undisturbed: where larger bodies are taken.
    let folder = Folder::new();
    let ran = typed(&folder, &path, &shared.url, &shared.name("log")).with("--no-ledger").run();
    report(&ran, 0).has(&format!("lines_read {}, indexed {}", LINES + 1, log().summary.good + 1));
    let undisturbed = Census::of(&shared, &shared.name("log"));

    let proxy = FaultProxy::before(&node.url);
    proxy.refuse_bodies_above(LIMIT);
    for (how, url) in [("straight", node.url.clone()), ("behind a proxy", proxy.url())] {
        let folder = Folder::new();
        let typed = typed(&folder, &path, &url, &node.name("log"));
        let ran = typed.run();
        let told = report(&ran, 3);
        println!("too large, {how}: {:?}, {}", ran.took, brief(&told));
        told.has(&format!("lines_read {}, rejected 1, duplicate 0, indexed {}", LINES + 1, log().summary.good));
        let letters = typed.letters();
        assert_eq!(letters.len(), 1, "{how}");
        assert_eq!(letters[0]["status"], 413, "{how}: {:.300}", letters[0].to_string());
        assert!(letters[0]["line_bytes"].as_u64().is_some_and(|bytes| bytes > 2 << 20), "{how}");
        Census::of(&node, &node.name("log")).assert_equals_with(&letters, &undisturbed);
        node.get("DELETE", &format!("/{}*", node.name("log")), None);
    }
    assert!(proxy.seen().faults("refused early") > 1, "the proxy has refused");
}
