//! Certificates that will not do: each has its own sentence, and nothing is sent.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::support::{FixedServer, Folder, Ran, logs};

/// An authority, and a server that shows a certificate signed by it.
struct Server {
    url: String,
    authority_pem: String,
}

impl Server {
    /// For this name, valid in these years.
    fn start(name: &str, years: (i32, i32)) -> Server {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a certificate with its key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("https://127.0.0.1:{}", listener.local_addr().expect("an address").port());
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut tls = ServerConnection::new(Arc::new(config.clone())).expect("a connection");
                // Whether the client likes what it sees is its own affair; an alert ends this.
                while tls.is_handshaking() && tls.complete_io(&mut connection).is_ok() {}
            }
        });
        Server { url, authority_pem: authority.pem() }
    }
}

#[track_caller]
fn assert_refused(server: &Server, ca: Option<&str>, says: &[&str]) {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(10));
    let mut line = vec!["load", "access.log", "--no-ledger", "--to", &server.url];
    let file: PathBuf;
    if let Some(ca) = ca {
        file = folder.write("ca.pem", ca);
        line.extend(["--ca", file.to_str().unwrap()]);
    }
    folder.run(&line).ends_with(1).tells(says);
}

#[test]
fn nobody_whom_we_trust_signed_it() {
    let server = Server::start("127.0.0.1", (2020, 4000));
    assert_refused(&server, None, &["signed by nobody", "--ca"]);
    let other = Server::start("127.0.0.1", (2020, 4000));
    assert_refused(&server, Some(&other.authority_pem), &["signed by nobody"]);
}

#[test]
fn it_is_for_another_host() {
    let server = Server::start("search.example.com", (2020, 4000));
    assert_refused(&server, Some(&server.authority_pem), &["for another host name"]);
}

#[test]
fn its_time_is_over() {
    let server = Server::start("127.0.0.1", (2020, 2021));
    assert_refused(&server, Some(&server.authority_pem), &["expired"]);
}

#[test]
fn files_that_hold_no_certificate() {
    let server = Server::start("127.0.0.1", (2020, 4000));
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(10));
    folder.write("junk.pem", "not PEM at all");
    let load =
        |flags: &[&str]| folder.run(&[&["load", "access.log", "--no-ledger", "--to", &server.url], flags].concat());
    load(&["--ca", "junk.pem"]).ends_with(2).tells(&["no certificate", "junk.pem"]);
    load(&["--ca", "missing.pem"]).ends_with(2).tells(&["missing.pem"]);
    load(&["--client-cert", "junk.pem"]).ends_with(2).tells(&["--client-key"]);
    load(&["--client-cert", "junk.pem", "--client-key", "junk.pem"]).ends_with(2).tells(&["no certificate"]);
}

#[test]
fn plain_http_to_tls_and_tls_to_plain_http() {
    let server = Server::start("127.0.0.1", (2020, 4000));
    let plain = FixedServer::start("400 Bad Request", "text/plain", "no");
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(10));
    for (to, says) in [
        (server.url.replace("https", "http"), ["the server speaks TLS, not plain HTTP", "write https://"]),
        (plain.url.replace("http", "https"), ["the server speaks plain HTTP, not TLS", "write http://"]),
    ] {
        folder.run(&["load", "access.log", "--no-ledger", "--to", &to]).ends_with(1).tells(&says);
    }
}

#[test]
fn proxies_of_the_environment() {
    // What answers CONNECT is a proxy that lets nobody through; it has a say for those that are not left out.
    let proxy = FixedServer::start("403 Forbidden", "text/plain", "");
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(10));
    let load = |to: &str, environment: &[(&str, &str)]| {
        let mut command = folder.command(["load", "access.log", "--no-ledger", "--to", to]);
        command.envs(environment.iter().copied());
        Ran::of(command, b"").ends_with(1)
    };
    let by_proxy = ("HTTPS_PROXY", proxy.url.as_str());
    load("https://search.invalid", &[by_proxy]).says(&["the proxy", "HTTPS_PROXY", "NO_PROXY"]);
    assert_eq!(proxy.requests(), 1);
    load("https://search.invalid", &[by_proxy, ("NO_PROXY", "other,.invalid")]).says(&["unknown host"]);
    load("http://search.invalid", &[by_proxy]).says(&["unknown host"]);
    load("https://127.0.0.1:1", &[by_proxy]).says(&["connection refused"]);
    assert_eq!(proxy.requests(), 1);
}

#[test]
fn whoever_does_not_check_is_warned() {
    let server = Server::start("127.0.0.1", (2020, 2021));
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(10));
    // The handshake succeeds; what answers then is no HTTP.
    let ran = folder.run(&["load", "access.log", "--no-ledger", "--to", &server.url, "--insecure"]);
    ran.ends_with(1).tells(&["--insecure", "certificate is not checked", "closed without an answer"]);
}
