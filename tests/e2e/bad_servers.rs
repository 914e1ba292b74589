//! Servers that are missing, refuse, or are something else: one clear sentence, soon, and nothing half done unsaid.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::{FixedServer, Folder, Node, Ran, logs};

/// Within seconds; a loaded machine gets some more.
const SOON: Duration = Duration::from_secs(30);

fn load(folder: &Folder, to: &str, flags: &[&str]) -> Ran {
    folder.write_settled("access.log", logs::lines(100));
    folder.run(&[&["load", "access.log", "--to", to, "--no-ledger"], flags].concat())
}

/// Asserts a sentence that names the server and says what is wrong, for `load` and for `setup`.
#[track_caller]
fn assert_refused(to: &str, code: i32, says: &[&str]) {
    let folder = Folder::new();
    for ran in [load(&folder, to, &[]), folder.run(&["setup", "--to", to])] {
        assert!(ran.took < SOON, "within seconds: {}", ran.told());
        let ran = ran.ends_with(code).tells(says);
        let host = to.split("://").nth(1).unwrap_or(to).split('/').next().unwrap();
        let host = host.rsplit('@').next().unwrap();
        ran.tells(&[host]);
    }
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_refused(&format!("http://127.0.0.1:{port}"), 1, &["refused"]);
}

#[test]
fn no_such_host() {
    assert_refused("http://no-such-host.invalid:9200", 1, &["unknown host"]);
}

#[test]
fn a_web_server() {
    let server = FixedServer::start("200 OK", "text/html", "<!doctype html><html><body>It works!</body></html>");
    assert_refused(&server.url, 1, &["not OpenSearch"]);
    let server = FixedServer::start("200 OK", "application/json", "{\"hello\":\"world\"}");
    assert_refused(&server.url, 1, &["not OpenSearch"]);
    let server = FixedServer::start("404 Not Found", "text/html", "<h1>Not Found</h1>");
    assert_refused(&server.url, 1, &["404"]);
    let server = FixedServer::start("502 Bad Gateway", "text/html", "<h1>Bad Gateway</h1>");
    assert_refused(&server.url, 1, &["502"]);
}

#[test]
fn a_redirect_is_not_followed() {
    let server =
        FixedServer::start("301 Moved Permanently\r\nlocation: https://elsewhere.example.com/", "text/html", "");
    assert_refused(&server.url, 1, &["redirect", "elsewhere.example.com"]);
    assert_eq!(server.requests(), 2, "one for each command");
}

#[test]
fn tls_where_there_is_none() {
    // It takes our greeting for a bad request, and goes.
    let server = FixedServer::start("200 OK", "text/html", "");
    assert_refused(&server.url.replace("http:", "https:"), 1, &["write http://"]);
}

#[test]
fn who_are_you() {
    let server = FixedServer::start(
        "401 Unauthorized\r\nwww-authenticate: Basic realm=\"OpenSearch Security\"",
        "text/plain; charset=UTF-8",
        "Unauthorized",
    );
    assert_refused(&server.url, 1, &["401", "--user"]);
    assert_refused(&server.url.replace("http://", "http://joe:hush-hush@"), 1, &["401", "joe"]);

    // However a password was given, it is never shown.
    let folder = Folder::new();
    folder.write("password", "hush-hush\n");
    let ran = load(&folder, &server.url, &["--user", "joe", "--password-file", "password", "-vv"]);
    assert!(!ran.told().contains("hush"), "{}", ran.told());
    let mut command = folder.command(["load", "access.log", "--to", &server.url, "--user", "joe", "-vv"]);
    command.env("LOGHAUL_PASSWORD", "hush-hush");
    let ran = Ran::of(command, b"").ends_with(1).tells(&["401", "joe"]);
    assert!(!ran.told().contains("hush"), "{}", ran.told());
    let url = server.url.replace("http://", "http://joe:hush-hush@");
    for ran in [load(&folder, &url, &["-vv"]), load(&folder, &format!("{url}:x"), &[])] {
        let said = ran.told().replace(&ran.line, "");
        assert!(!said.contains("hush"), "{said}");
    }
    // No password, and nobody to ask.
    load(&folder, &server.url, &["--user", "joe"]).ends_with(2).says(&["password"]);
}

#[test]
fn a_user_who_may_not() {
    let server = FixedServer::start(
        "403 Forbidden",
        "application/json",
        r#"{"error":{"root_cause":[{"type":"security_exception","reason":"no permissions for [indices:data/write/bulk] and User [name=joe]"}],"type":"security_exception","reason":"no permissions for [indices:data/write/bulk] and User [name=joe]"},"status":403}"#,
    );
    let folder = Folder::new();
    let ran = load(&folder, &server.url, &["--give-up-after", "5s"]);
    assert!(matches!(ran.status.code(), Some(1 | 4)), "{}", ran.told());
    ran.tells(&["indices:data/write/bulk"]);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn the_wrong_path_of_a_right_server() {
    let node = Node::shared("wrong-path");
    let folder = Folder::new();
    for path in ["/nonsense", "/a/b/c"] {
        let ran = load(&folder, &format!("{}{path}", node.url), &["--index", &node.name("%Y")]);
        assert!(ran.took < SOON, "{}", ran.told());
        assert!(matches!(ran.status.code(), Some(1 | 4)), "{}", ran.told());
        ran.tells(&[path]);
    }
    assert_eq!(node.count(&node.name("*")), 0);
    // A slash at the end is no path.
    load(&folder, &format!("{}/", node.url), &["--index", &node.name("%Y")]).ends_with(0);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn tls_where_opensearch_has_none() {
    let node = Node::shared("no-tls");
    if node.url.starts_with("http://") {
        assert_refused(&node.url.replace("http:", "https:"), 1, &["write http://"]);
    }
}

/// Several hosts of one cluster share the load; one of them that is not there does not lose anything.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn several_hosts_of_one_cluster() {
    let node = Node::shared("hosts");
    let folder = Folder::new();
    let other = node.url.replace("127.0.0.1", "localhost");
    folder.write_settled("access.log", logs::lines(2_000));
    let index = node.name("%Y");
    let to = ["--to", &node.url, "--to", &other, "--index", &index, "--no-ledger", "--json", "--bulk-bytes", "64KiB"];
    let ran = folder.run(&[&["load", "access.log"], &to[..]].concat()).ends_with(0);
    ran.report().has("lines_read 2000, indexed 2000, duplicate 0, rejected 0");
    assert_eq!(node.count(&node.name("2024")), 2_000);
}
