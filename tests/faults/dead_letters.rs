//! Documents that are refused for what is in them: exactly those are dead letters, and `replay` brings them in once the
//! mapping is right. Documents that an ingest pipeline drops are dead letters, too, and not "indexed".

use serde_json::json;

use crate::census::Census;
use crate::load::{brief, letters, report};
use crate::logs::{LINES, MONTHS, Shape, log, put_template, text};
use crate::support::{Folder, Node, Ran, not_tested};
use crate::turn;

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn refused_by_the_mapping_and_replayed() {
    let _turn = turn::take();
    let node = Node::shared("letters");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    // Host names are no addresses: one line in a thousand.
    put_template(&node, "log", "ip");
    let folder = Folder::new();
    let typed = log().typed(Shape::Plain, &folder, &node.url, &node.name("log"));
    let told = report(&typed.run(), 3);
    println!("letters: {}", brief(&told));
    let refused = log().hostnames;
    told.has(&format!("lines_read {LINES}, rejected {refused}, indexed {}", log().summary.good - refused));
    told.has(&format!("duplicate 0, malformed {}, blank {}", log().summary.malformed, log().summary.blank));

    let kept = typed.letters();
    assert_eq!(kept.len() as u64, refused);
    let lines = std::fs::read(log().path(Shape::Plain)).expect("the log");
    for letter in &kept {
        // Each tells all that one needs, and where its line is.
        for key in ["_id", "index", "source", "offset", "line_bytes", "status", "type", "reason", "attempts", "time"] {
            assert!(!letter[key].is_null(), "{key} of {letter}");
        }
        assert_eq!((&letter["status"], &letter["type"]), (&json!(400), &json!("mapper_parsing_exception")), "{letter}");
        let at = letter["offset"].as_u64().expect("an offset") as usize;
        let line = &lines[at..at + letter["line_bytes"].as_u64().expect("a length") as usize];
        let client = letter["document"]["clientip"].as_str().expect("a client");
        assert!(line.starts_with(client.as_bytes()), "{letter}: {}", String::from_utf8_lossy(line));
    }
    Census::of(&node, &node.name("log")).assert_equals_with(&kept, &undisturbed);

    // Replayed too early, they fail again, into a new file; the old one is not touched.
    let old = std::fs::read(typed.dead_letters()).expect("the dead letters");
    let replay = |out: &str| {
        let (from, out) = (typed.dead_letters(), folder.path().join(out));
        let ran = folder.run(&["replay", text(&from), "--to", &node.url, "--json", "--dead-letters", text(&out)]);
        (ran, letters(&out))
    };
    let (ran, again) = replay("again.ndjson");
    assert_eq!((ran.status.code(), again.len() as u64), (Some(3), refused), "{}", ran.told());
    assert_eq!(std::fs::read(typed.dead_letters()).expect("still there"), old);

    for month in MONTHS {
        let mapping = json!({"properties": {"clientip": {"type": "ip", "ignore_malformed": true}}});
        node.get("PUT", &format!("/{}{month}/_mapping", node.name("log")), Some(&mapping));
    }
    let (ran, rest): (Ran, _) = replay("rest.ndjson");
    assert_eq!((ran.status.code(), rest.len()), (Some(0), 0), "{}", ran.told());
    Census::of(&node, &node.name("log")).assert_equals(&undisturbed);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn dropped_by_a_pipeline() {
    let _turn = turn::take();
    let node = Node::shared("dropped");
    if !node.has_processor("drop") || !node.has_processor("script") {
        return not_tested("documents that an ingest pipeline drops: this node has no drop processor");
    }
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "keyword");
    let pipeline = node.name("pipeline");
    let drop = json!({"processors": [{"drop": {"if": "ctx.response == 404"}}]});
    node.get("PUT", &format!("/_ingest/pipeline/{pipeline}"), Some(&drop));
    let folder = Folder::new();
    let typed = log().typed(Shape::Plain, &folder, &node.url, &node.name("log"));
    // There are more of them than one would put up with by default.
    let typed = typed.with("--max-rejected 100% --pipeline").with(&pipeline);
    let told = report(&typed.run(), 3);
    println!("dropped: {}", brief(&told));
    let dropped = log().summary.response[&404];
    assert!(dropped > 0);
    told.has(&format!("lines_read {LINES}, rejected {dropped}, indexed {}", log().summary.good - dropped));
    let kept = typed.letters();
    assert_eq!(kept.len() as u64, dropped);
    assert!(kept.iter().all(|letter| letter["type"] == "dropped_by_pipeline"));
    assert!(kept.iter().all(|letter| letter["document"]["response"] == 404));
    Census::of(&node, &node.name("log")).assert_equals_with(&kept, &undisturbed);
}
