//! Progress belongs to a source *and* a destination: the same file into another cluster, under another index pattern,
//! and into the same after the index was deleted, is loaded in full each time; and not again where it is.

use crate::census::Census;
use crate::load::report;
use crate::logs::{LINES, Shape, log, put_template};
use crate::own_node::OwnNode;
use crate::support::{Folder, Node};
use crate::turn;

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn each_is_loaded_in_full() {
    let _turn = turn::take();
    let node = Node::shared("places");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    let other = OwnNode::start("places", &[]);
    let folder = Folder::new();
    // One ledger for all.
    let load = |to: &Node, name: &str| {
        let typed = log().typed(Shape::Plain, &folder, &to.url, &to.name(name));
        report(&typed.run(), 0)
    };
    let in_full = |to: &Node, name: &str| {
        let told = load(to, name);
        log().assert_complete(&told);
        told.has(&format!("lines_read {LINES}, duplicate 0"));
        Census::of(to, &to.name(name)).assert_equals(&undisturbed);
    };
    put_template(&node, "log", "keyword");
    put_template(&node, "another", "keyword");
    put_template(&other, "log", "keyword");

    in_full(&node, "log");
    // Once more: nothing to do.
    let told = load(&node, "log");
    told.has("lines_read 0, indexed 0, duplicate 0");
    assert_eq!(told.0["sources"]["skipped"], 1, "{}", told.0);

    in_full(&node, "another");
    in_full(&other, "log");
    node.get("DELETE", &format!("/{}*", node.name("log")), None);
    in_full(&node, "log");
    // The others are as they were.
    for (to, name) in [(&node, "another"), (&*other, "log")] {
        load(to, name).has("lines_read 0");
        Census::of(to, &to.name(name)).assert_equals(&undisturbed);
    }
}
