//! Requests signed with AWS keys, checked by AWS's own signer, in front of a real node.

use serde_json::json;

use super::verifier::{KEY_ID, SECRET, TOKEN, Verifier};
use crate::support::{Folder, Node, Ran, logs};

const KEYS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", KEY_ID),
    ("AWS_SECRET_ACCESS_KEY", SECRET),
    ("AWS_SESSION_TOKEN", TOKEN),
    ("AWS_REGION", "eu-west-1"),
];

fn folder(lines: usize) -> Folder {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(lines));
    folder
}

/// `load access.log --no-ledger --aws-sigv4`, and more flags.
fn load(verifier: &Verifier, folder: &Folder, flags: &[&str], environment: &[(&str, &str)]) -> Ran {
    let line = ["load", "access.log", "--no-ledger", "--to", &verifier.url, "--aws-sigv4", "--json"];
    Ran::of(verifier.command(folder, &[&line, flags].concat(), environment), b"")
}

#[test]
#[ignore = "needs a real OpenSearch"]
fn signed_requests_are_accepted() {
    let (node, folder) = (Node::shared("signed"), folder(2_000));
    let verifier = Verifier::before(&node);
    // Names with all that may stand in one, and a pipeline's name in the query.
    let pipeline = node.name("a+b c&d=é%41~!'()");
    let encoded: String = pipeline.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let description = json!({"description": "nothing", "processors": []});
    node.get("PUT", &format!("/_ingest/pipeline/{encoded}"), Some(&description));
    let index = node.name("a+b@c&d=é(1)");
    let ran = load(&verifier, &folder, &["--index", &index, "--pipeline", &pipeline, "--compress", "gzip"], &KEYS);
    assert_eq!(ran.report().count("indexed"), 2_000);
    let seen = verifier.seen();
    assert_eq!(seen["refused"], 0, "{seen:#}");
    assert!(seen["gzip"].as_u64() > Some(0), "{seen:#}");
    assert_eq!(node.count(&index.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()), 2_000);
    // Again, as it is, and by the documents' own ids: nothing is doubled.
    let ran = load(&verifier, &folder, &["--index", &index, "--compress", "none"], &KEYS);
    assert_eq!(ran.report().count("duplicate"), 2_000);
    assert_eq!(verifier.seen()["refused"], 0);
    node.ask("DELETE", &format!("/_ingest/pipeline/{encoded}"), None);
}

#[test]
#[ignore = "needs a real OpenSearch"]
fn who_signs_wrongly_is_told_why() {
    let (node, folder) = (Node::shared("signed-wrongly"), folder(50));
    let verifier = Verifier::before(&node);
    let index = node.name("x");
    let with = |name: &str, value: &'static str| -> Vec<(&'static str, &'static str)> {
        KEYS.into_iter().map(|(key, old)| if key == name { (key, value) } else { (key, old) }).collect()
    };
    let refused = |flags: &[&str], environment: &[(&str, &str)], says: &[&str]| {
        let ran = load(&verifier, &folder, &[&["--index", &index], flags].concat(), environment);
        let ran = ran.ends_with(1).tells(says);
        for secret in [SECRET, TOKEN] {
            assert!(!ran.told().contains(secret), "{}", ran.told());
        }
    };
    refused(&[], &with("AWS_SECRET_ACCESS_KEY", "wrong"), &["AWS computes another signature", "--aws-region"]);
    refused(&[], &with("AWS_SESSION_TOKEN", "wrong"), &["AWS does not know the access key", "session token"]);
    refused(&["--aws-region", "us-east-1"], &KEYS, &["AWS computes another signature", "--aws-region"]);
    refused(&["--aws-service", "aoss"], &KEYS, &["AWS computes another signature", "--aws-service"]);
    refused(&[], &[], &["there are none", "AWS_ACCESS_KEY_ID", "--aws-profile"]);
    refused(&["--aws-profile", "nobody"], &[], &["cannot get AWS credentials"]);
    let ran = load(&verifier, &folder, &["--index", &index], &KEYS[..3]);
    ran.ends_with(2).says(&["needs a region", "--aws-region"]);
    // Somebody in between who changes one bit of a body.
    verifier.rules(json!({"tamper": true}));
    refused(&[], &KEYS, &["AWS computes another signature", "changes requests"]);
    verifier.rules(json!({"skew_seconds": 1_050}));
    refused(&[], &KEYS, &["the time of the signature is refused", "17 min behind the server's", "clock"]);
    verifier.rules(json!({"skew_seconds": -7_530}));
    refused(&[], &KEYS, &["2 h ahead of the server's"]);
    assert_eq!(node.ask("HEAD", &format!("/{index}"), None).0, 404, "nothing arrived");
}

#[test]
#[ignore = "needs a real OpenSearch"]
fn keys_that_are_lent_for_seconds_are_renewed() {
    let (node, folder) = (Node::shared("signed-lent"), folder(3_000));
    let verifier = Verifier::before(&node);
    verifier.rules(json!({"lend_seconds": 2}));
    let url = format!("{}/__credentials", verifier.url);
    let environment = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()), ("AWS_REGION", "eu-west-1")];
    let flags = ["--index", &node.name("x"), "--max-docs-per-second", "500", "--bulk-bytes", "64KiB"];
    let ran = load(&verifier, &folder, &flags, &environment);
    assert_eq!(ran.report().count("indexed"), 3_000, "{}", ran.told());
    let keys = verifier.seen()["keys"].as_array().expect("a list").len();
    assert!(keys >= 2, "{keys} keys for a load of six seconds");
    assert_eq!(node.count(&node.name("x")), 3_000);
}

#[test]
#[ignore = "needs a real OpenSearch"]
fn a_profile_that_changes_in_mid_load_is_read_again() {
    let (node, folder) = (Node::shared("signed-profile"), folder(3_000));
    let verifier = Verifier::before(&node);
    let profile = |id: &str, secret: &str| {
        format!("[night]\nregion = eu-west-1\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    verifier.rules(json!({"keys": [{"id": "AKIAOLD", "secret": "old-secret"}]}));
    folder.write(".aws/credentials", profile("AKIAOLD", "old-secret"));
    let line = [
        "load",
        "access.log",
        "--no-ledger",
        "--to",
        &verifier.url,
        "--aws-sigv4",
        "--aws-profile",
        "night",
        "--json",
        "--index",
        &node.name("x"),
        "--max-docs-per-second",
        "500",
        "--bulk-bytes",
        "64KiB",
    ];
    let mut running = crate::support::Running::start(verifier.command(&folder, &line, &[]));
    running.wait_for("the first documents", || node.ask("HEAD", &format!("/{}", node.name("x")), None).0 == 200);
    // Whoever changes keys writes them down first and takes the old ones away then.
    folder.write(".aws/credentials", profile("AKIANEW", "new-secret"));
    verifier.rules(json!({"keys": [{"id": "AKIANEW", "secret": "new-secret"}]}));
    let ran = running.finish();
    assert_eq!(ran.report().count("indexed"), 3_000, "{}", ran.told());
    assert_eq!(verifier.seen()["keys"], json!(["AKIAOLD", "AKIANEW"]));
}

#[test]
#[ignore = "needs a real OpenSearch"]
fn a_collection_gets_no_ids_and_no_questions() {
    let (node, folder) = (Node::shared("signed-aoss"), folder(500));
    let verifier = Verifier::before(&node);
    // Whatever is in the query may be ignored: answers come with all that they may hold.
    verifier.rules(json!({"service": "aoss", "no_query": true}));
    let index = node.name("x");
    let line = ["load", "access.log", "--to", &verifier.url, "--aws-sigv4", "--aws-service", "aoss", "--index", &index];
    let ran = |flags: &[&str]| Ran::of(verifier.command(&folder, &[&line, flags].concat(), &KEYS), b"");
    let load = ran(&["--profile", "bulk", "--compress", "gzip"]).ends_with(0);
    load.tells(&["at least once", "Serverless", "no load profile", "500 indexed"]);
    assert_eq!(node.count(&index), 500);
    // Ids that OpenSearch chose have 20 characters, ours 24.
    assert!(node.documents(&index).keys().all(|id| id.len() == 20));
    let seen = verifier.seen();
    assert_eq!(seen["refused"], 0, "{seen:#}");
    let paths = seen["paths"].as_array().expect("a list");
    for asked in ["/", "/_nodes", "/_cluster", "/_cat"] {
        let is_it = |path: &str| if asked == "/" { path == "/" } else { path.starts_with(asked) };
        assert!(!paths.iter().any(|path| is_it(path.as_str().unwrap())), "{asked}: {seen:#}");
    }
    ran(&["--again", "--bulk-bytes", "20MiB"]).ends_with(2).says(&["--bulk-bytes", "10MiB"]);
    let line = ["verify", "1", "--to", &verifier.url, "--aws-sigv4", "--aws-service", "aoss"];
    Ran::of(verifier.command(&folder, &line, &KEYS), b"").ends_with(2).says(&["verify", "Serverless"]);
}
