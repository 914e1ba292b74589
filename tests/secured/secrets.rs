//! Secrets are planted wherever one can be given; nothing that the program writes may hold one.

use std::path::Path;

use super::node::Secured;
use crate::support::{FixedServer, Folder, logs};

const SECRET: &str = "Pl4nted-s3cret";

/// Whatever lies in the folder and below, but for the files that secrets came from.
fn assert_nowhere(folder: &Path, but_for: &[&str]) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        if but_for.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let bytes = std::fs::read(entry.path()).expect("a file that can be read");
        let found = bytes.windows(SECRET.len()).any(|window| window.eq_ignore_ascii_case(SECRET.as_bytes()));
        assert!(!found, "{} holds the secret", entry.path().display());
    }
}

#[test]
fn a_server_that_refuses_and_echoes() {
    // A hostile or careless server repeats what it was sent; one that is somebody else answers something else.
    for (status, body) in [
        ("200 OK", "<html>"),
        ("401 Unauthorized", "Unauthorized"),
        ("403 Forbidden", "{\"error\":{\"type\":\"security_exception\",\"reason\":\"no\"},\"status\":403}"),
        ("500 Internal Server Error", ""),
    ] {
        let server = FixedServer::start(status, "application/json", body);
        let folder = Folder::new();
        folder.write_settled("access.log", logs::lines(100));
        folder.write("secret-file", SECRET);
        let with_user = server.url.replace("http://", &format!("http://joe:{SECRET}@"));
        let cases: [(&str, &[&str]); 5] = [
            (&with_user, &[]),
            (&server.url, &["--user", "joe", "--password", SECRET]),
            (&server.url, &["--user", "joe", "--password-file", "secret-file"]),
            (&server.url, &["--token-file", "secret-file"]),
            (&server.url, &["--api-key-file", "secret-file"]),
        ];
        for (to, flags) in cases {
            for command in ["load access.log --give-up-after 1s -vv", "load access.log --json", "setup -v"] {
                let line: Vec<&str> = command.split(' ').chain(["--to", to]).chain(flags.iter().copied()).collect();
                let ran = folder.run(&line);
                assert_ne!(ran.status.code(), Some(0), "{}", ran.told());
                for said in [&ran.stderr, &String::from_utf8_lossy(&ran.stdout).into_owned()] {
                    assert!(!said.contains(SECRET), "{}", ran.told());
                }
            }
        }
        assert_nowhere(folder.path(), &["secret-file"]);
    }
}

#[test]
#[ignore = "needs a node with the security plugin"]
fn a_load_that_succeeds_and_rejects() {
    let node = Secured::node();
    let ca = Secured::certificate("ca.pem");
    node.ask(
        "PUT",
        "/_plugins/_security/api/internalusers/keeper",
        Some(&serde_json::json!({"password": SECRET, "opendistro_security_roles": ["apache_write"]})),
    );
    // Every document breaks this mapping: dead letters.
    let mapping = serde_json::json!({"mappings": {"properties": {"clientip": {"type": "integer"}}}});
    node.ask("PUT", "/apache-rejecting", Some(&mapping));
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(200));
    let to = node.url.replace("https://", &format!("https://keeper:{SECRET}@"));
    let line = ["load", "access.log", "--to", &to, "--ca", &ca, "--index", "apache-rejecting", "-vv"];
    let ran = folder.run(&line);
    assert!(!ran.stderr.contains(SECRET), "{}", ran.told());
    let ran = ran.ends_with(3).tells(&["200 rejected"]);
    drop(ran);
    for command in ["runs", "runs --json", "runs show 1"] {
        let ran = folder.run(&command.split(' ').collect::<Vec<_>>());
        assert!(!String::from_utf8_lossy(&ran.stdout).contains(SECRET), "{}", ran.told());
    }
    assert_nowhere(folder.path(), &[]);
}
