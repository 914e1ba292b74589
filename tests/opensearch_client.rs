//! The client against scripted servers, plain and TLS: who answers, templates, and the sentence for each way in which
//! nobody does.

#[path = "support/scripted_server.rs"]
mod scripted_server;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loghaul::error::Kind;
use loghaul::opensearch::{Address, Auth, Client, Info, Login, Method, Options, Standing, TemplateMatch};
use loghaul::secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scripted_server::{Act, ScriptedServer};
use serde_json::json;

fn options(url: &str) -> Options {
    let mut options = Options::new(vec![Address::parse(url).expect("a URL")]);
    options.request_timeout = Duration::from_millis(500);
    options.info_patience = Duration::ZERO;
    options
}

fn client(url: &str) -> Client {
    Client::new(options(url)).expect("a client")
}

fn answer(status: u16, body: serde_json::Value) -> Act {
    Act::Answer(status, body.to_string())
}

#[test]
fn who_answers() {
    let forbidden =
        json!({"error": {"type": "security_exception", "reason": "no permissions for [cluster:monitor/main]"}});
    let root =
        json!({"cluster_name": "c", "cluster_uuid": "u", "version": {"distribution": "opensearch", "number": "3.8.0"}});
    let old = json!({"cluster_name": "c", "cluster_uuid": "u", "version": {"number": "7.17.29"}});
    let info = |distribution: &str, version: &str| Info {
        distribution: distribution.to_owned(),
        version: version.to_owned(),
        cluster_name: "c".to_owned(),
        cluster_uuid: "u".to_owned(),
    };
    for (act, expected) in [
        (answer(200, root), Ok(Some(info("opensearch", "3.8.0")))),
        (answer(200, old), Ok(Some(info("elasticsearch", "7.17.29")))),
        (answer(403, forbidden), Ok(None)),
        (
            answer(405, json!({"error": "Incorrect HTTP method for uri [/] and method [GET], allowed: [DELETE]"})),
            Ok(None),
        ),
        (Act::Answer(503, "OpenSearch Security not initialized.".to_owned()), Ok(None)),
        (Act::Answer(401, "Unauthorized".to_owned()), Err("HTTP 401")),
        (Act::Answer(200, "<html>hello</html>".to_owned()), Err("is not OpenSearch")),
        // A proxy that lets only the bulk through.
        (Act::Answer(403, "<html>".to_owned()), Ok(None)),
        (Act::Answer(404, "<html>".to_owned()), Ok(None)),
        (Act::Answer(405, String::new()), Ok(None)),
        (
            answer(404, json!({"error": {"type": "index_not_found_exception", "reason": "no such index [nope]"}})),
            Err("is this the URL of an OpenSearch server?"),
        ),
        (
            Act::AnswerWith(301, "Location: https://elsewhere/\r\n", String::new()),
            Err("redirects to https://elsewhere/"),
        ),
        (Act::Answer(502, "<html>".to_owned()), Err("HTTP 502")),
        (Act::Close, Err("closed without an answer")),
        (Act::Hang(Duration::from_secs(2)), Err("no answer in time")),
        (Act::Raw(b"\x00\x00\x12garbage\r\n\r\n"), Err("not HTTP")),
        (Act::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), Err("cut off")),
    ] {
        let server = ScriptedServer::new([act.clone()]);
        match (client(&server.url()).info(), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{act:?}"),
            (Err(error), Err(words)) => {
                let error = error.to_string();
                assert!(error.contains(words) && error.contains(&server.url()), "{act:?}: {error}");
            }
            (found, expected) => panic!("{act:?}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_server_that_is_not_ready_is_asked_again_who_it_is() {
    let root = |uuid: &str| answer(200, json!({"cluster_uuid": uuid, "version": {"number": "3.8.0"}}));
    let server = ScriptedServer::new([
        Act::Answer(503, "OpenSearch Security not initialized.".to_owned()),
        Act::Answer(429, String::new()),
        root("_na_"),
        root("u"),
    ]);
    let patient = Options { info_patience: Duration::from_secs(20), ..options(&server.url()) };
    let info = Client::new(patient).expect("a client").info().expect("an answer");
    assert_eq!((info.map(|info| info.cluster_uuid).as_deref(), server.seen().len()), (Some("u"), 4));
    // A proxy that warms up, and a connection that breaks once.
    for act in [Act::Answer(502, "<html>".to_owned()), Act::Answer(504, String::new()), Act::Close] {
        let server = ScriptedServer::new([act.clone(), root("u")]);
        let patient = Options { info_patience: Duration::from_secs(20), ..options(&server.url()) };
        let info = Client::new(patient).expect("a client").info().expect("an answer");
        assert_eq!((info.map(|info| info.cluster_uuid).as_deref(), server.seen().len()), (Some("u"), 2), "{act:?}");
    }
    // But not for ever.
    let closing = ScriptedServer::new([Act::Close]);
    let patient = Options { info_patience: Duration::from_secs(20), ..options(&closing.url()) };
    assert!(Client::new(patient).expect("a client").info().is_err());
    assert_eq!(closing.seen().len(), 3);
    server.script([Act::Answer(503, String::new())]);
    let patient = Options { info_patience: Duration::from_secs(20), ..options(&server.url()) };
    let info = Client::new(patient).expect("a client").info_while(|| false).expect("an answer");
    assert_eq!((info, server.seen().len()), (None, 5));
}

#[test]
fn small_questions_wait_less_than_bulks() {
    let server = ScriptedServer::new([Act::Hang(Duration::from_secs(3))]);
    let options = Options {
        request_timeout: Duration::from_secs(60),
        json_timeout: Duration::from_millis(600),
        info_timeout: Duration::from_millis(300),
        ..options(&server.url())
    };
    let client = Client::new(options).expect("a client");
    let started = Instant::now();
    assert!(client.info().is_err());
    assert!((300..600).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert!(client.json(Method::Head, "/logs", None).is_err());
    assert!((900..1500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[test]
fn secrets_are_sent_and_never_shown() {
    for (auth, header) in [
        (Auth::Basic { user: "me".to_owned(), password: Secret::new("sesame") }, "Basic bWU6c2VzYW1l"),
        (Auth::Bearer(Secret::new("sesame")), "Bearer sesame"),
        (Auth::ApiKey(Secret::new("sesame")), "ApiKey sesame"),
    ] {
        let server = ScriptedServer::new([Act::Answer(401, String::new())]);
        let options = Options { login: Some(Login { auth, file: None }), ..options(&server.url()) };
        assert!(!format!("{options:?}").contains("sesame"));
        let error = Client::new(options).expect("a client").info().expect_err("401");
        assert!(!format!("{error} {error:?}").contains("sesame"));
        assert_eq!(server.seen()[0].headers["authorization"], header);
    }
    let server = ScriptedServer::new([Act::Answer(401, String::new())]);
    let url = server.url().replace("//", "//me:ses%61me@");
    let error = client(&url).info().expect_err("401").to_string();
    assert!(error.contains("me:***@") && !error.contains("same"), "{error}");
    assert_eq!(server.seen()[0].headers["authorization"], "Basic bWU6c2VzYW1l");
}

#[test]
fn a_secret_that_was_changed_in_its_file_is_picked_up() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "old\n").expect("written");
    let server = ScriptedServer::new([
        answer(200, json!({})),
        Act::Answer(401, String::new()),
        answer(200, json!({})),
        Act::Answer(401, String::new()),
    ]);
    let auth = Auth::Bearer(Secret::new("old"));
    let login = Some(Login { auth, file: Some(file.path().to_owned()) });
    let client = Client::new(Options { login, ..options(&server.url()) }).expect("a client");
    let mut statuses = Vec::new();
    for written in ["old", "new", "new"] {
        std::fs::write(file.path(), written).expect("written");
        statuses.push(client.json(Method::Get, "/", None).expect("an answer").head.status);
    }
    assert_eq!(statuses, [200, 200, 401], "the last one is the server's final word: the file holds nothing newer");
    let shown: Vec<String> = server.seen().iter().map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(shown, ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]);
}

#[test]
fn a_path_prefix_comes_before_every_path() {
    let server = ScriptedServer::new([answer(200, json!({}))]);
    client(&format!("{}/search/", server.url())).json(Method::Get, "/_cat", None).expect("an answer");
    assert_eq!(server.seen()[0].line, "GET /search/_cat HTTP/1.1");
}

#[test]
fn one_connection_serves_many_requests_and_a_closed_one_is_replaced() {
    let server = ScriptedServer::new([answer(200, json!({"n": 1}))]);
    let client = client(&server.url());
    for _request in 0..5 {
        client.json_ok("ask", Method::Post, "/x", Some(&json!({"q": 1}))).expect("an answer");
    }
    assert_eq!(server.connections(), 1);
    server.script([Act::Apply(Box::new(Act::Close)), answer(200, json!({}))]);
    assert!(client.json(Method::Get, "/x", None).is_err());
    assert!(client.json(Method::Get, "/x", None).is_ok());
}

#[test]
fn our_template_is_put_once_and_nobody_elses_is_touched() {
    let ours = json!({"index_patterns": ["logs-*"], "priority": 5, "_meta": {"managed_by": "loghaul", "version": 2},
        "template": {"settings": {"index": {"number_of_shards": 1}}, "mappings": {"properties": {"bytes": {"type": "long"}}}}});
    let there = |template: &serde_json::Value| {
        answer(200, json!({"index_templates": [{"name": "t", "index_template": template}]}))
    };
    let none = || {
        answer(
            404,
            json!({"error": {"type": "resource_not_found_exception", "reason": "index template matching [t] not found"}}),
        )
    };
    let check = |script: Vec<Act>, expected: Result<Standing, &str>| {
        let server = ScriptedServer::new(script);
        match (client(&server.url()).find_template("t", &ours), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
        assert_eq!(server.seen().len(), 1);
    };
    check(vec![none()], Ok(Standing::Absent));
    let mut spelled = ours.clone();
    spelled["composed_of"] = json!([]);
    spelled["template"]["settings"]["index"]["number_of_shards"] = json!("1");
    check(vec![there(&spelled)], Ok(Standing::Same));
    let mut older = ours.clone();
    older["_meta"]["version"] = json!(1);
    check(vec![there(&older)], Ok(Standing::Different));
    let mut newer = ours.clone();
    newer["_meta"]["version"] = json!(3);
    check(vec![there(&newer)], Ok(Standing::Newer(3, 2)));
    let mut foreign = ours.clone();
    foreign["_meta"] = json!({});
    check(vec![there(&foreign)], Ok(Standing::Foreign));
    let forbidden = json!({"error": {"type": "security_exception", "reason": "no permissions for [x]"}, "status": 403});
    check(vec![answer(403, forbidden)], Err("no permissions for [x]"));
    let server = ScriptedServer::new([answer(200, json!({"acknowledged": true}))]);
    client(&server.url()).put_template("t%", &ours).expect("acknowledged");
    assert_eq!(server.seen()[0].line, "PUT /_index_template/t%25 HTTP/1.1");
}

#[test]
fn which_template_shapes_an_index() {
    let template = |name: &str, pattern: &str, priority: i64, managed_by: &str| json!({"name": name, "index_template": {"index_patterns": [pattern], "priority": priority, "_meta": {"managed_by": managed_by}}});
    let new = |templates: &[serde_json::Value]| answer(200, json!({"index_templates": templates}));
    let check = |script: Vec<Act>, expected: TemplateMatch| {
        let server = ScriptedServer::new(script);
        assert_eq!(client(&server.url()).template_for("logs-2024").expect("an answer"), expected);
    };
    let ours = template("ours", "logs-*", 10, "loghaul");
    check(vec![new(std::slice::from_ref(&ours))], TemplateMatch::Ours("ours".to_owned()));
    check(vec![new(&[ours.clone(), template("theirs", "*", 20, "")])], TemplateMatch::Foreign("theirs".to_owned()));
    check(vec![new(&[ours, template("theirs", "logs-2024", 1, "")])], TemplateMatch::Ours("ours".to_owned()));
    check(vec![new(&[]), answer(200, json!({}))], TemplateMatch::None);
    check(
        vec![answer(200, json!({})), answer(200, json!({"old": {"index_patterns": ["logs-*"]}}))],
        TemplateMatch::Foreign("old".to_owned()),
    );
}

/// A file of `testdata/tls`.
fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

/// A TLS server with this certificate that answers `{}` to everything; its port.
fn tls_server(name: &str, wants_client: bool) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(pem(&format!("{name}.pem"))).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(pem(&format!("{name}.key"))).expect("a key");
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if wants_client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pem("ca.pem")).expect("a certificate")).expect("an authority");
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let config = Arc::new(builder.with_single_cert(chain, key).expect("a pair"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), config) = (stream, Arc::clone(&config)) else { continue };
            std::thread::spawn(move || {
                let Ok(connection) = rustls::ServerConnection::new(config) else { return };
                let mut tls = rustls::StreamOwned::new(connection, stream);
                if tls.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {
                    let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            });
        }
    });
    port
}

#[test]
fn tls_and_the_sentence_for_each_way_it_fails() {
    let (node, elsewhere, wants) =
        (tls_server("node", false), tls_server("elsewhere", false), tls_server("node", true));
    let ask = |port: u16, edit: &dyn Fn(&mut Options)| {
        let mut options = options(&format!("https://127.0.0.1:{port}"));
        options.tls.ca = Some(pem("ca.pem"));
        edit(&mut options);
        Client::new(options).and_then(|client| client.json_ok("ask", Method::Get, "/", None))
    };
    let good = |_: &mut Options| {};
    let error = |port: u16, edit: &dyn Fn(&mut Options)| ask(port, edit).expect_err("it fails").to_string();
    assert_eq!(ask(node, &good).expect("an answer"), json!({}));
    let other = error(node, &|options| options.tls.ca = Some(pem("other-ca.pem")));
    assert!(other.contains("signed by nobody whom this machine trusts") && other.contains("--ca FILE"), "{other}");
    let name = error(elsewhere, &good);
    assert!(name.contains("for another host name"), "{name}");
    assert!(ask(elsewhere, &|options| options.tls.insecure = true).is_ok());
    let refused = error(wants, &good);
    assert!(refused.contains("client certificate"), "{refused}");
    let pair = |chain: &str, key: &str| Some((pem(chain), pem(key)));
    assert!(ask(wants, &|options| options.tls.client_certificate = pair("client.pem", "client.key")).is_ok());
    let mismatch = error(wants, &|options| options.tls.client_certificate = pair("client.pem", "node.key"));
    assert!(mismatch.contains("is not that of"), "{mismatch}");
    let no_key = error(wants, &|options| options.tls.client_certificate = pair("client.pem", "ca.pem"));
    assert!(no_key.contains("no private key"), "{no_key}");
    for (file, words) in [("nowhere.pem", "cannot read"), ("README.md", "no certificate")] {
        let failed = ask(node, &|options| options.tls.ca = Some(pem(file))).expect_err("it fails");
        assert!(failed.message.contains(words) && failed.kind == Kind::Usage, "{failed}");
    }
    // The wrong scheme, both ways round.
    let plain = ScriptedServer::new([answer(200, json!({}))]);
    let spoken = Client::new(options(&plain.url().replace("http:", "https:"))).expect("a client");
    let spoken = spoken.info().expect_err("no TLS there").to_string();
    assert!(spoken.contains("https://"), "{spoken}");
    let spoken = client(&format!("http://127.0.0.1:{node}")).info().expect_err("TLS there").to_string();
    assert!(spoken.contains("https://") || spoken.contains("not HTTP"), "{spoken}");
}
