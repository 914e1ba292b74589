//! Names, passwords, client certificates and rights, on the real node.

use serde_json::json;

use super::node::Secured;
use crate::support::{Folder, Ran, left_behind, logs};

/// A folder with a log of 1,000 lines.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(1_000));
    folder
}

fn load(folder: &Folder, node: &Secured, index: &str, flags: &[&str]) -> Ran {
    let ca = Secured::certificate("ca.pem");
    let line = ["load", "access.log", "--no-ledger", "--to", &node.url, "--ca", &ca, "--index", index];
    folder.run(&[&line, flags].concat())
}

#[test]
#[ignore = "needs a node with the security plugin"]
fn a_user_with_the_least_rights_loads() {
    let (folder, node) = (folder(), Secured::node());
    folder.write("password", "writer\n");
    let ran = load(&folder, &node, "apache-least", &["--user", "writer", "--password-file", "password"]);
    // Nobody told the user to put a template, and the load says who should.
    ran.ends_with(0).tells(&["no index template was put", "loghaul setup"]);
    assert_eq!(node.count("apache-least"), 1_000);
}

#[test]
#[ignore = "needs a node with the security plugin"]
fn a_client_certificate_is_a_name() {
    let (folder, node) = (folder(), Secured::node());
    let (certificate, key) = (Secured::certificate("writer.pem"), Secured::certificate("writer.key"));
    load(&folder, &node, "apache-mtls", &["--client-cert", &certificate, "--client-key", &key]).ends_with(0);
    assert_eq!(node.count("apache-mtls"), 1_000);

    let (certificate, key) = (Secured::certificate("stranger.pem"), Secured::certificate("stranger.key"));
    let ran = load(&folder, &node, "apache-mtls", &["--client-cert", &certificate, "--client-key", &key]);
    assert_eq!(ran.status.code(), Some(1), "{}", ran.told());
    let key = Secured::certificate("writer.key");
    let ran = load(&folder, &node, "apache-mtls", &["--client-cert", &certificate, "--client-key", &key]);
    ran.ends_with(2).tells(&["is not that of"]);
}

#[test]
#[ignore = "needs a node with the security plugin"]
fn who_is_not_let_in_is_told_why() {
    let (folder, node) = (folder(), Secured::node());
    folder.write("wrong", "no-such-password\n");
    folder.write("token", "no-such-token\n");
    load(&folder, &node, "apache-x", &["--user", "writer", "--password-file", "wrong"])
        .ends_with(1)
        .tells(&["user \"writer\" or its password is not accepted", "401"]);
    load(&folder, &node, "apache-x", &["--token-file", "token"]).ends_with(1).tells(&["the bearer token", "401"]);
    load(&folder, &node, "apache-x", &[]).ends_with(1).tells(&["asks who we are", "--user"]);
    // The door opens; the index does not.
    folder.write("password", "writer\n");
    load(&folder, &node, "secret-x", &["--user", "writer", "--password-file", "password"])
        .ends_with(1)
        .tells(&["writer", "secret-x", "may not"]);
    // Another authority than the node's.
    let foreign = Secured::certificate("foreign.pem");
    let line = ["load", "access.log", "--no-ledger", "--to", &node.url, "--ca", &foreign];
    folder.run(&line).ends_with(1).tells(&["signed by nobody"]);
    // TLS where none is spoken, and the reverse.
    let plain = node.url.replace("https:", "http:");
    folder.run(&["load", "access.log", "--no-ledger", "--to", &plain]).ends_with(1).tells(&["write https://"]);
}

#[test]
#[ignore = "needs a node with the security plugin"]
fn who_may_not_write_is_told_before_the_first_document() {
    let (folder, node) = (folder(), Secured::node());
    node.ask("PUT", "/apache-readonly", None);
    let password = folder.write("password", "reader\n");
    let flags = ["--user", "reader", "--password-file", password.to_str().unwrap()];
    load(&folder, &node, "apache-readonly", &flags).ends_with(1).tells(&["the load would fail", "reader", "may not"]);
    let ran = load(&folder, &node, "apache-readonly", &[&flags[..], &["--dry-run"]].concat()).ends_with(1);
    assert!(
        String::from_utf8_lossy(&ran.stdout).contains("refused") || ran.stderr.contains("refused"),
        "{}",
        ran.told()
    );
    assert_eq!(node.count("apache-readonly"), 0);
    // Who may write may look, too, as far as it goes.
    folder.write("password", "writer\n");
    let flags = ["--user", "writer", "--password-file", "password", "--dry-run"];
    load(&folder, &node, "apache-readonly", &flags).ends_with(0);
}

#[test]
#[ignore = "needs a node with the security plugin"]
fn a_password_that_changes_during_the_load_is_picked_up() {
    let (folder, node) = (Folder::new(), Secured::node());
    let change = |password: &str| {
        let user = json!({"password": password, "opendistro_security_roles": ["apache_write"]});
        node.ask("PUT", "/_plugins/_security/api/internalusers/changeling", Some(&user));
    };
    change("first-Loghaul-7319");
    folder.write("password", "first-Loghaul-7319\n");
    let ca = Secured::certificate("ca.pem");
    let line = ["load", "-", "--no-ledger", "--to", &node.url, "--ca", &ca, "--index", "apache-changed"];
    let command = folder.command([&line[..], &["--user", "changeling", "--password-file", "password"]].concat());
    let ran = Ran::fed(command, |mut to| {
        use std::io::Write;
        to.write_all(logs::lines(500).as_bytes()).expect("taken");
        // What came is sent after a second; only then the password changes: in the file first, then on the node.
        while node.ask("GET", "/_cat/indices/apache-changed*?format=json", None)[0]["docs.count"].is_null() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        folder.write("password", "second-Loghaul-7319\n");
        change("second-Loghaul-7319");
        to.write_all(logs::lines(1_000).split_inclusive('\n').skip(500).collect::<String>().as_bytes()).expect("taken");
    });
    ran.ends_with(0);
    assert_eq!(node.count("apache-changed"), 1_000);
}

/// Settings that a killed load has left stay in the ledger until somebody may put them back.
#[test]
#[ignore = "needs a node with the security plugin"]
fn who_may_not_change_settings_does_not_forget_them() {
    let (folder, node) = (folder(), Secured::node());
    let role = json!({
        "cluster_permissions": ["indices:data/write/bulk"],
        "index_permissions": [{"index_patterns": ["apache-*"], "allowed_actions": [
            "indices:admin/create", "indices:admin/mapping/put", "indices:data/write/bulk*", "indices:data/write/index",
            "indices:monitor/settings/get", "indices:admin/get", "indices:admin/refresh*"]}],
    });
    node.ask("PUT", "/_plugins/_security/api/roles/apache_looks", Some(&role));
    let user = json!({"password": "third-Loghaul-7319", "opendistro_security_roles": ["apache_looks"]});
    node.ask("PUT", "/_plugins/_security/api/internalusers/looker", Some(&user));
    folder.write("admin", "admin\n");
    folder.write("looker", "third-Loghaul-7319\n");
    let (ca, ledger) = (Secured::certificate("ca.pem"), folder.path().join("l.db"));
    let run = |words: &[&str], user: &str| {
        let login = ["--to", &node.url, "--ca", &ca, "--ledger", "l.db", "--user", user, "--password-file", user];
        folder.run(&[words, &login].concat())
    };
    let load = ["load", "access.log", "--index", "apache-left", "--again", "--profile", "bulk"];
    run(&load, "admin").ends_with(0);
    let settings = || node.ask("GET", "/apache-left/_settings", None)["apache-left"]["settings"]["index"].clone();
    node.ask("PUT", "/apache-left/_settings", Some(&left_behind::bare()));
    left_behind::entry(&ledger, &node.url, "apache-left", settings()["uuid"].as_str().expect("a uuid"));

    run(&load, "looker").ends_with(1).tells(&["cannot put back the settings of apache-left", "loghaul restore --to"]);
    assert_eq!((left_behind::entries(&ledger), &settings()["refresh_interval"]), (1, &json!("-1")));
    run(&["restore"], "looker").ends_with(1).tells(&["failed", "looker"]);
    assert_eq!(left_behind::entries(&ledger), 1);
    run(&["restore"], "admin").ends_with(0);
    assert_eq!((left_behind::entries(&ledger), &settings()["refresh_interval"]), (0, &json!(null)));
}
