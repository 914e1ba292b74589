//! Sources in a real S3 server that verifies signatures, into a real node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::support::{Bucket, Folder, Node, PipeProxy, Ran, Running, logs};

/// Three pages of a listing.
const OBJECTS: usize = 2_345;

/// Keys as people and programs make them.
fn key(n: usize) -> String {
    match n % 6 {
        0 => format!("logs/sp ace/a {n}.log"),
        1 => format!("logs/plus+/b+{n}.log"),
        2 => format!("logs/100%41/c%20{n}.log"),
        3 => format!("logs/zür/ö{n}.log"),
        4 => format!("logs/&=?#~(1)/d{n}'.log"),
        _ => format!("logs/{}/{n}.log", n / 100),
    }
}

fn run(bucket: &Bucket, folder: &Folder, url: &str, arguments: &[&str]) -> Ran {
    Ran::of(bucket.command(folder, url, arguments), b"")
}

#[test]
#[ignore = "needs a real S3 server and a real OpenSearch: scripts/test"]
fn thousands_of_objects_and_again() {
    let (node, bucket, folder) = (Node::shared("objects"), Bucket::new("objects"), Folder::new());
    let (large, summary) = logs::odd(20_000, 12);
    let lines = |n: usize| format!("{}\n{}\n", logs::line(2 * n), logs::line(2 * n + 1));
    bucket.put_all((0..OBJECTS - 1).map(|n| (key(n), lines(n).into_bytes())));
    bucket.put("logs/large.log.gz", logs::gzip(&large, 3));
    let proxy = PipeProxy::start(&bucket.url, None, |_| {});
    let (index, source) = (node.name("%Y-%m"), bucket.uri("logs/"));
    let load = ["load", &source, "--to", &node.url, "--index", &index, "--json", "--max-malformed", "100%"];

    let good = summary.good + 2 * (OBJECTS as u64 - 1);
    let first = run(&bucket, &folder, &proxy.url, &load).ends_with(0).report();
    first.has(&format!(
        "sources.loaded {OBJECTS}, lines_read {}, indexed {good}, duplicate 0, malformed {}, blank {}",
        summary.lines + 2 * (OBJECTS as u64 - 1),
        summary.malformed,
        summary.blank
    ));
    assert_eq!(node.count(&node.name("*")), good);
    let asked = counted(&proxy.take_requests());
    assert_eq!(asked.get(&format!("GET /{}", bucket.name)), Some(&3), "three pages");
    assert_eq!(asked.len(), OBJECTS + 1, "each object was asked for");
    let more: Vec<_> = asked.iter().filter(|(what, times)| **times > 1 && what.contains("/logs/")).collect();
    assert!(more.is_empty(), "once: {more:?}");
    let documents = node.aggregate(
        &node.name("*"),
        &serde_json::json!({
            "bucket": {"terms": {"field": "s3.bucket"}}, "keys": {"cardinality": {"field": "s3.key"}}
        }),
    );
    assert_eq!(documents["aggregations"]["bucket"]["buckets"][0]["key"], bucket.name.as_str());

    let again = run(&bucket, &folder, &proxy.url, &load).ends_with(0).report();
    again.has(&format!("sources.skipped {OBJECTS}, lines_read 0, indexed 0, duplicate 0"));
    let asked = counted(&proxy.take_requests());
    assert_eq!(asked, BTreeMap::from([(format!("GET /{}", bucket.name), 3)]), "nothing is read twice");
    assert_eq!(node.count(&node.name("*")), good);
}

fn counted(requests: &[String]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for request in requests {
        *counted.entry(request.clone()).or_default() += 1;
    }
    counted
}

#[test]
#[ignore = "needs a real S3 server: scripts/test"]
fn words_for_objects() {
    let (bucket, folder) = (Bucket::new("words"), Folder::new());
    for key in ["a/x.log", "a/y.log", "a/b/z.log", "a/star*.log", "note.txt"] {
        bucket.put(key, logs::lines(2));
    }
    let other = Bucket::new("words-other");
    let cases: &[(&[&str], i32, u64, &[&str])] = &[
        (&["a/x.log"], 0, 1, &[]),
        (&["a/"], 0, 4, &[]),
        (&["a/*.log"], 0, 3, &[]),
        (&["a/**/z.log"], 0, 1, &[]),
        (&["a/star*.log"], 0, 1, &[]),
        (&["a/x.log", "a/"], 0, 4, &["turned up again"]),
        (&["a/", "--include", "z.log"], 0, 1, &["left out by --include"]),
        (&["a/", "--exclude", "**/b/**"], 0, 3, &[]),
        (&["a/", "--older-than", "1d"], 0, 0, &["left out"]),
        (&["a/", "--newer-than", "1d"], 0, 4, &[]),
        (&["a/missing.log"], 1, 0, &["there is no such object"]),
        (&["a"], 1, 0, &["there is no such object; s3://", "/a/ with a slash at its end"]),
        (&["nothing/"], 0, 0, &["there is no object"]),
        (&["nothing/", "--require-match"], 1, 0, &["there is no object, and --require-match asks for some"]),
        (&["nothing*"], 0, 0, &["there is no object"]),
    ];
    for (words, code, loaded, says) in cases {
        let words: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(n, word)| {
                if word.starts_with("--") || (n > 0 && words[n - 1].starts_with("--")) {
                    (*word).to_owned()
                } else {
                    bucket.uri(word)
                }
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let arguments = [&["load", "--to", "null:", "--json"], &words[..]].concat();
        let ran = run(&bucket, &folder, &bucket.url, &arguments).ends_with(*code).tells(says);
        ran.report().has(&format!("sources.loaded {loaded}"));
    }
    let missing = ["load", &format!("s3://{}-not/a/", other.name), "--to", "null:"];
    run(&bucket, &folder, &bucket.url, &missing).ends_with(1).tells(&["there is no such bucket (404 NoSuchBucket)"]);
    let parsed =
        run(&bucket, &folder, &bucket.url, &["parse", &bucket.uri("a/x.log"), "--with", "source"]).ends_with(0);
    let document = &parsed.documents()[0];
    assert_eq!((&document["s3.bucket"], &document["s3.key"]), (&bucket.name.as_str().into(), &"a/x.log".into()));
    assert_eq!(document["log.file.path"], bucket.uri("a/x.log").as_str());
    run(&bucket, &folder, &bucket.url, &["bench", &bucket.uri("a/x.log"), "--seconds", "1s", "--json"]).ends_with(0);
}

#[test]
#[ignore = "needs a real S3 server: scripts/test"]
fn who_may_not_is_told_why() {
    let (bucket, folder) = (Bucket::new("refused"), Folder::new());
    bucket.put("a.log", logs::lines(2));
    let source = bucket.uri("a.log");
    let load = ["load", &source, "--to", "null:"];
    let mut wrong = bucket.command(&folder, &bucket.url, &load);
    wrong.env("AWS_SECRET_ACCESS_KEY", "planted-secret-42");
    let ran = Ran::of(wrong, b"").ends_with(1);
    let told = ran.told();
    assert!(!told.contains("planted-secret-42"), "{told}");
    ran.tells(&["the secret access key is wrong", "403 SignatureDoesNotMatch"]);
    let prefix = bucket.uri("");
    let mut wrong = bucket.command(&folder, &bucket.url, &["load", &prefix, "--to", "null:"]);
    wrong.env("AWS_SECRET_ACCESS_KEY", "planted-secret-42");
    Ran::of(wrong, b"").ends_with(1).tells(&["the secret access key is wrong", "403 SignatureDoesNotMatch"]);
    let mut unknown = bucket.command(&folder, &bucket.url, &["load", &prefix, "--to", "null:"]);
    unknown.env("AWS_ACCESS_KEY_ID", "nobody");
    Ran::of(unknown, b"").ends_with(1).tells(&["does not know the access key"]);
    let mut nobody = bucket.command(&folder, &bucket.url, &load);
    nobody.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    Ran::of(nobody, b"").ends_with(1).tells(&["there are no AWS credentials", "--no-sign-request"]);
    let unsigned = [&load[..], &["--no-sign-request"]].concat();
    run(&bucket, &folder, &bucket.url, &unsigned).ends_with(1).tells(&["does not allow us to"]);
    // From a profile.
    folder.write(".aws/credentials", "[logs]\naws_access_key_id = testkey123\naws_secret_access_key = testsecret123\n");
    let mut profile = bucket.command(&folder, &bucket.url, &load);
    profile.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("AWS_PROFILE", "logs");
    Ran::of(profile, b"").ends_with(0);
    // Nobody listens there.
    let away = [&load[..], &["--endpoint-url", "http://no-such-host.invalid:9"]].concat();
    run(&bucket, &folder, &bucket.url, &away).ends_with(1).tells(&["cannot be reached"]);
}

#[test]
#[ignore = "needs a real S3 server: scripts/test"]
fn what_changes_between_listing_and_reading() {
    let bucket = Arc::new(Bucket::new("changed"));
    let folder = Folder::new();
    for key in ["a.log", "b.log", "c.log"] {
        bucket.put(key, logs::lines(2));
    }
    let (writer, done) = (Arc::clone(&bucket), AtomicBool::new(false));
    let proxy = PipeProxy::start(&bucket.url, None, move |request| {
        if request.ends_with("/b.log") && !done.swap(true, Ordering::Relaxed) {
            writer.put("b.log", logs::lines(3));
        }
    });
    let source = bucket.uri("");
    let ran = run(&bucket, &folder, &proxy.url, &["load", &source, "--to", "null:", "--json"]).ends_with(1);
    ran.report().has("sources.loaded 2, sources.failed 1, lines_read 4");
    ran.tells(&["it changed after it was listed (its ETag is another); load it again"]);
}

#[test]
#[ignore = "needs a real S3 server and a real OpenSearch: scripts/test"]
fn a_connection_that_is_cut_and_a_process_that_is_killed() {
    let full = std::env::var_os("LOGHAUL_TEST_FULL").is_some();
    let (lines, cut_after) = if full { (3_200_000, 3_000_000) } else { (120_000, 300_000) };
    let (node, bucket, folder) = (Node::shared("cut"), Bucket::new("cut"), Folder::new());
    let (log, summary) = logs::usual(lines, 5);
    let packed = logs::gzip(&log, 1);
    drop(log);
    bucket.put("access.log.gz", &packed);
    let proxy = PipeProxy::start(&bucket.url, Some(cut_after), |_| {});
    let (index, source) = (node.name("logs"), bucket.uri("access.log.gz"));
    let load = ["load", &source, "--to", &node.url, "--index", &index, "--json"];
    let mut running = Running::start(bucket.command(&folder, &proxy.url, &load));
    let half = packed.len() as u64 / 2;
    running.wait_for("half of it", || proxy.passed() > half);
    // Something of it is in the node, and in the ledger.
    running
        .wait_for("a watermark", || node.ask("GET", &format!("/{index}/_count"), None).1["count"].as_u64() > Some(0));
    running.signal(Signal::KILL);
    drop(running.end());
    let before = proxy.take_requests().len();
    assert!(before as u64 > half / cut_after as u64, "{before} requests: it was cut");

    let resume = [&load[..], &["--resume"]].concat();
    let report = run(&bucket, &folder, &proxy.url, &resume).ends_with(0).report();
    report.has("sources.loaded 1, duplicate 0, rejected 0");
    assert_eq!(node.count(&index), summary.good, "all lines, once");
    let verified = ["verify", "1", "--to", &node.url];
    run(&bucket, &folder, &bucket.url, &verified).ends_with(0).tells(&["ledger and cluster agree"]);
}

#[test]
#[ignore = "needs a real S3 server and a real OpenSearch: scripts/test"]
fn deleted_or_moved_once_they_are_loaded() {
    let (node, folder) = (Node::shared("after"), Folder::new());
    let bucket = Arc::new(Bucket::new("after"));
    for key in ["in/a.log", "in/b c.log", "in/junk.log"] {
        let lines = if key.contains("junk") { "no access line\n".repeat(9) + &logs::lines(1) } else { logs::lines(2) };
        bucket.put(key, lines);
    }
    let index = node.name("logs");
    let source = bucket.uri("in/");
    let load = ["load", &source, "--to", &node.url, "--index", &index, "--format", "combined"];
    let moved = [&load[..], &["--after", "move=done/"]].concat();
    let ran = run(&bucket, &folder, &bucket.url, &moved).ends_with(3);
    ran.tells(&["2 loaded objects were moved"]);
    assert_eq!(bucket.keys(""), ["done/in/a.log", "done/in/b c.log", "in/junk.log"]);
    // What was moved is not loaded again, whatever names it.
    let all = bucket.uri("");
    let again =
        ["load", &all, "--to", &node.url, "--index", &index, "--format", "combined", "--after", "move=done/", "--json"];
    run(&bucket, &folder, &bucket.url, &again).ends_with(0).report().has("sources.skipped 1, lines_read 0");
    assert_eq!(bucket.keys("in/"), ["in/junk.log"]);

    // Whoever writes another after the load keeps it.
    bucket.put("new/a.log", logs::lines(5));
    bucket.put("new/b.log", logs::lines(5));
    let heads = Mutex::new(0);
    let writer = Arc::clone(&bucket);
    let proxy = PipeProxy::start(&bucket.url, None, move |request| {
        if request.starts_with("HEAD") && request.ends_with("/new/a.log") {
            let mut heads = heads.lock().unwrap();
            *heads += 1;
            if *heads == 1 {
                writer.put("new/a.log", logs::lines(6));
            }
        }
    });
    let new = bucket.uri("new/");
    let delete = ["load", &new, "--to", &node.url, "--index", &index, "--after", "delete"];
    let ran = run(&bucket, &folder, &proxy.url, &delete).ends_with(0);
    ran.tells(&["1 loaded object was deleted", "1 object changed after being read, and was not deleted"]);
    assert_eq!(bucket.keys("new/"), ["new/a.log"]);
    for (flags, says) in [
        (&["--to", "null:"][..], "--after needs the ledger"),
        (&["--to", "http://localhost:9", "--no-ledger"], "--after needs the ledger"),
    ] {
        let arguments = [&["load", &new, "--after", "delete"], flags].concat();
        run(&bucket, &folder, &bucket.url, &arguments).ends_with(2).says(&[says]);
    }
    folder.write("local.log", logs::lines(1));
    let local = ["load", "local.log", "--to", "http://localhost:9", "--after", "delete"];
    run(&bucket, &folder, &bucket.url, &local)
        .ends_with(2)
        .says(&["--after is for objects of a store, which local.log is not"]);
}
