//! Secrets are planted wherever one can be given; nothing that the program writes may hold one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use super::node::Secured;
use super::verifier;
use crate::support::{FixedServer, Folder, Ran, logs};

const SECRET: &str = "Pl4nted-s3cret";
/// The same as the Basic scheme has it, for the user joe.
const BASIC: &str = "am9lOlBsNG50ZWQtczNjcmV0";

/// A server that refuses everything, and repeats all that it was sent: as JSON, and where it redirects to.
fn echo(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || {
                let (mut reader, mut writer) = (BufReader::new(&connection), &connection);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let length = head.to_ascii_lowercase();
                    let length = length
                        .split("content-length: ")
                        .nth(1)
                        .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
                    let mut body = vec![0; length.unwrap_or(0)];
                    if reader.read_exact(&mut body).is_err() {
                        return;
                    }
                    let authorization = head.lines().find(|line| line.starts_with("authorization")).unwrap_or("none");
                    let error = serde_json::json!({"type": "echo_exception", "reason": head});
                    let body = serde_json::json!({"error": error, "status": 400}).to_string();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nlocation: http://h/?{}\r\ncontent-length: {}\r\n\r\n{body}",
                        authorization.replace(' ', "+"),
                        body.len()
                    );
                    if writer.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[track_caller]
fn assert_untold(ran: &Ran, secrets: &[&str]) {
    for said in [&ran.stderr, &String::from_utf8_lossy(&ran.stdout).into_owned()] {
        for secret in secrets {
            assert!(!said.contains(secret), "{secret}: {}", ran.told());
        }
    }
}

#[test]
fn a_server_that_repeats_all_it_hears() {
    for status in ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "301 Moved", "500 Internal Server Error"] {
        let url = echo(status);
        let folder = Folder::new();
        folder.write_settled("access.log", logs::lines(100));
        folder.write("secret-file", SECRET);
        let with_user = url.replace("http://", &format!("http://joe:{SECRET}@"));
        let cases: [(&str, &[&str]); 5] = [
            (&with_user, &[]),
            (&url, &["--user", "joe", "--password", SECRET]),
            (&url, &["--token-file", "secret-file"]),
            (&url, &["--api-key-file", "secret-file"]),
            (&url, &["--aws-sigv4", "--aws-region", "eu-west-1"]),
        ];
        for (to, flags) in cases {
            if flags.first() == Some(&"--aws-sigv4") && !cfg!(feature = "aws") {
                continue;
            }
            for command in [
                "load access.log --give-up-after 1s -vv",
                "load access.log --json",
                "load access.log --dry-run",
                "setup",
            ] {
                let line: Vec<&str> = command.split(' ').chain(["--to", to]).chain(flags.iter().copied()).collect();
                let mut command = folder.command(&line);
                command.env("AWS_ACCESS_KEY_ID", verifier::KEY_ID).env("AWS_SECRET_ACCESS_KEY", verifier::SECRET);
                command.env("AWS_SESSION_TOKEN", verifier::TOKEN);
                let ran = Ran::of(command, b"");
                assert!(ran.status.code() != Some(0) || line.contains(&"--dry-run"), "{}", ran.told());
                assert_untold(&ran, &[SECRET, BASIC, verifier::SECRET, verifier::TOKEN]);
            }
        }
        assert_nowhere(folder.path(), &["secret-file"], &[SECRET, BASIC, verifier::SECRET, verifier::TOKEN]);
    }
}

#[test]
fn files_variables_and_proxies() {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(10));
    let file = format!(
        "to = 'http://joe@127.0.0.1:1'\npassword = '{SECRET}'\n[setup]\ndashboards = 'http://joe:{SECRET}@h'\n"
    );
    folder.write("c.toml", file);
    let run = |line: &str, environment: &[(&str, String)]| {
        let mut command = folder.command(line.split(' '));
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        let ran = Ran::of(command, b"");
        assert_untold(&ran, &[SECRET, BASIC]);
        ran
    };
    for command in ["load", "setup", "ship", "replay"] {
        run(&format!("--config c.toml config {command}"), &[]).ends_with(0);
    }
    run("--config c.toml load access.log --no-ledger", &[]).ends_with(1);
    let secret = || SECRET.to_owned();
    run("config load", &[("LOGHAUL_PASSWORD", secret()), ("LOGHAUL_TO", format!("http://joe:{SECRET}@h"))])
        .ends_with(0);
    run(
        "load access.log --no-ledger --to http://127.0.0.1:1",
        &[("LOGHAUL_USER", "joe".into()), ("LOGHAUL_PASSWORD", secret())],
    )
    .ends_with(1);
    for proxy in [format!("http://joe:{SECRET}@127.0.0.1:1"), format!("nothing://joe:{SECRET}@h")] {
        let ran = run("load access.log --no-ledger --to https://search.invalid", &[("HTTPS_PROXY", proxy)]);
        ran.says(&["HTTPS_PROXY"]);
    }
    assert_nowhere(folder.path(), &["c.toml"], &[SECRET, BASIC]);
}

/// Whatever lies in the folder and below, but for the files that secrets came from.
fn assert_nowhere(folder: &Path, but_for: &[&str], secrets: &[&str]) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        if but_for.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let bytes = std::fs::read(entry.path()).expect("a file that can be read");
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()));
            assert!(!found, "{} holds {secret}", entry.path().display());
        }
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
        assert_nowhere(folder.path(), &["secret-file"], &[SECRET]);
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
    assert_nowhere(folder.path(), &[], &[SECRET]);
}
