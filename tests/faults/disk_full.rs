//! No space left under the dead letters, and under the ledger: a clear error, nothing claimed that is not so, and with
//! space again `--resume` goes on. The disk is a small tmpfs, filled in the middle of a load.

use std::fs;

use crate::blocked::Block;
use crate::census::Census;
use crate::fault_proxy::FaultProxy;
use crate::load::{brief, report};
use crate::logs::{Shape, log, put_template, text};
use crate::support::small_disk::fill;
use crate::support::{Folder, Node, SmallDisk, not_tested};
use crate::{seed, turn};

fn full_under(what: &str) {
    let _turn = turn::take();
    let test = format!("disk-{what}");
    let mut random = seed::random(&test);
    let node = Node::shared(&test);
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "4m") else {
        return not_tested("a full disk: mounting a tmpfs is for root");
    };
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "ip");
    let proxy = FaultProxy::before(&node.url);
    let file = disk.0.join(what);
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    // Malformed lines would be kept beside the ledger, and meet the full disk first.
    let malformed = folder.path().join("malformed.ndjson");
    let typed = typed.with("--bulk-bytes 1MiB --malformed").with(text(&malformed)).placed(what, &file);

    let filler = disk.filler();
    let _full = Block::at(&proxy, random.u64(10..60), move || fill(&filler));
    let ran = typed.run();
    // Stopped early, resumable; and told where, and why.
    let told = report(&ran, 4);
    println!("{test}: {} {} {}", brief(&told), told.0["why"], told.0["hint"]);
    let said = told.0["why"].to_string() + &told.0["hint"].to_string();
    for says in ["no space left on device|the disk is full", text(&file), "--resume"] {
        assert!(says.split('|').any(|says| said.contains(says)), "it says {says:?}: {}", ran.told());
    }
    assert_ne!(told.0["ended"], "complete");
    // What is claimed is so: each document that counts as indexed is there, each that counts as rejected is kept.
    let there = Census::of(&node, &node.name("log")).documents;
    assert!(told.count("indexed") <= there, "{} indexed, {there} there", told.count("indexed"));

    proxy.pass();
    fs::remove_file(disk.filler()).expect("space again");
    let told = report(&typed.clone().with("--resume").run(), 3);
    println!("{test}: resumed: {}", brief(&told));
    let letters = typed.letters();
    assert_eq!(letters.len() as u64, log().hostnames, "each refused document is kept once");
    Census::of(&node, &node.name("log")).assert_equals_with(&letters, &undisturbed);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn under_the_dead_letters() {
    full_under("dead-letters");
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn under_the_ledger() {
    full_under("ledger");
}
