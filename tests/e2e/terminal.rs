//! Whatever a log line, a file name or a server says, a terminal is not told what to do by it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::{FixedServer, Folder, Ran, logs};

/// Clears the screen, sets the title, turns the text's direction.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}";

/// Asserts that all that was told shows itself and does nothing else.
#[track_caller]
fn assert_harmless(ran: &Ran) {
    for text in [&ran.stderr, &String::from_utf8_lossy(&ran.stdout).into_owned()] {
        let found = text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'));
        assert!(found.is_none(), "{found:?} in {:?}", ran.told());
    }
}

#[test]
fn lines_and_file_names() {
    let folder = Folder::new();
    let name = format!("access{EVIL}.log");
    let lines = format!("{EVIL} no access line\n").repeat(3) + &logs::lines(20);
    folder.write_settled(&name, lines);
    folder.write_settled("good.log", logs::lines(20));
    std::fs::write(folder.path().join(OsStr::from_bytes(b"bad\x1b[2J\xff.log")), "x").expect("a file");
    for line in [
        vec!["load", &name, "--to", "null:", "-vv"],
        vec!["load", &name, "--to", "null:", "--json"],
        vec!["load", &name, "--to", "null:", "--dry-run"],
        vec!["load", &name, "--to", "null:", "--dry-run", "--json"],
        vec!["load", ".", "--to", "null:", "-vv"],
        vec!["load", &name, "missing\u{1b}[2J", "--to", "null:"],
        vec!["load", &name, "--to", "dir:d\u{1b}[2J", "--ledger", "l\u{1b}.db"],
        vec!["ship", "d\u{1b}[2J", "--check"],
        vec!["ship", "nowhere\u{1b}[2J", "--check"],
        vec!["runs", "--ledger", "l\u{1b}.db"],
        vec!["runs", "--ledger", "l\u{1b}.db", "--json"],
        vec!["runs", "show", "1", "--ledger", "l\u{1b}.db"],
        vec!["runs", "--ledger", "nowhere\u{1b}[2J"],
        vec!["replay", "nowhere\u{1b}[2J", "--to", "http://127.0.0.1:1"],
        vec!["bench", &name, "--seconds", "1s", "--rows", "nothing\u{1b}[2J"],
        vec!["load", "good.log", "--to", "http://\u{1b}[2J"],
        vec!["load", "good.log", "--to", "\u{1b}[2J"],
        vec!["load", "good.log", "--to", "null:", "--include", "[\u{1b}[2J"],
        vec!["load", "good.log", "--to", "null:", "--format", "\u{1b}[2J"],
        vec!["load", "good.log", "--to", "null:", "--field", "\u{1b}[2J=x\u{1b}", "--with", "extra"],
        vec!["load", "good.log", "--to", "null:", "--index", "\u{1b}[2J"],
        vec!["load\u{1b}[2J"],
        vec!["config", "load\u{1b}[2J"],
    ] {
        assert_harmless(&folder.run(&line));
    }
    folder.write("c.toml", "[load]\nindex = 'x\u{1b}[2J'\n");
    for line in [vec!["--config", "c.toml", "config", "load"], vec!["--config", "c\u{1b}[2J", "config", "load"]] {
        assert_harmless(&folder.run(&line));
    }
}

#[test]
fn servers() {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(20));
    let body =
        "{\"error\":{\"type\":\"x\u{9b}31m\\u001b[2J\",\"reason\":\"\\u001b]0;t\\u0007\u{202e}\"},\"status\":400}";
    let text = "\u{1b}[2J\u{202e}";
    let version = "{\"version\":{\"number\":\"3.8.0\\u001b[2J\",\"distribution\":\"open\\u001b[2J\"},\
                   \"cluster_name\":\"\\u001b[2J\",\"cluster_uuid\":\"u\\u001b[2J\"}";
    for (status, body) in [
        ("400 Bad Request", body),
        ("403 Forbidden", body),
        ("500 Oh \u{9b}31m", text),
        ("404 No", text),
        ("200 OK", version),
    ] {
        let server = FixedServer::start(status, "application/json", body);
        for line in [
            vec!["load", "access.log", "--give-up-after", "1s", "-vv"],
            vec!["load", "access.log", "--give-up-after", "1s", "--json"],
            vec!["load", "access.log", "--dry-run"],
            vec!["load", "access.log", "--dry-run", "--json"],
            vec!["setup"],
            vec!["setup", "--dry-run"],
            vec!["reload", "web", "access.log", "--give-up-after", "1s"],
            vec!["rollback", "web"],
            vec!["restore"],
            vec!["verify", "1"],
        ] {
            assert_harmless(&folder.run(&[&line[..], &["--to", &server.url]].concat()));
        }
    }
}

#[test]
fn documents_on_a_terminal() {
    // `script` gives the program a terminal, where there is one.
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return crate::support::not_tested("documents on a terminal: there is no `script` (util-linux)");
    }
    let folder = Folder::new();
    folder.write_settled("access.log", logs::line(1).replace("/page/", &format!("/{EVIL}/")) + "\n");
    let program = crate::support::folder::program();
    let mut command = folder.command_of(
        "script".as_ref(),
        ["-qec", &format!("{} parse access.log 2>/dev/null", program.display()), "/dev/null"],
    );
    command.env("TERM", "dumb");
    let ran = Ran::of(command, b"");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let document = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}")).trim_end();
    assert!(!document.chars().any(|c| c.is_control() || c == '\u{202e}'), "{document:?}");
    let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
    assert!(document["request"].as_str().unwrap().contains(EVIL), "{document}");
}
