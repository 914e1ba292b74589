//! What a client is made of: where to go, who we are, whom we trust, how long we wait.

use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::body::Compression;
use super::login::Login;

/// Everything that makes a [`Client`](super::Client). Filled in by `config`.
#[derive(Clone, Debug)]
pub struct Options {
    /// One or more hosts of one cluster; they share the load.
    pub addresses: Vec<Address>,
    /// Who we are; `None` takes user and password out of each URL, if they are there.
    pub login: Option<Login>,
    /// Whom we trust.
    pub tls: Tls,
    /// How long looking up a name, connecting and the TLS handshake may take.
    pub connect_timeout: Duration,
    /// How long a server may take to answer after it has the whole request, and how long a write may stand still.
    /// The Bulk API is told to give up ten seconds earlier ([`Options::server_timeout`]).
    pub request_timeout: Duration,
    /// The same for all requests but bulks, where that is shorter: they ask for little, and people wait for them.
    pub json_timeout: Duration,
    /// The same for the question who is there.
    pub info_timeout: Duration,
    /// How long a server that is there but not ready (429, 503, a cluster that has not formed) is asked again who it
    /// is, once a second.
    pub info_patience: Duration,
    /// How bodies travel.
    pub compression: Compression,
    /// Connections kept open between requests: as many as there are writers, and one.
    pub connections: usize,
}

impl Options {
    /// A client of these hosts, with what fits most.
    pub fn new(addresses: Vec<Address>) -> Options {
        Options {
            addresses,
            login: None,
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(90),
            json_timeout: Duration::from_secs(30),
            info_timeout: Duration::from_secs(10),
            info_patience: Duration::from_secs(30),
            compression: Compression::Auto,
            connections: 8,
        }
    }

    /// What the server is told to wait at most (for a missing primary shard, say): shorter than we wait, so that
    /// it is the server that gives up and tells us which documents it could not write.
    pub fn server_timeout(&self) -> Duration {
        let margin = Duration::from_secs(10).min(self.request_timeout / 2);
        self.request_timeout - margin
    }
}

/// Whom we trust, and with what we prove who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Trust whatever answers. For tests.
    pub insecure: bool,
    /// PEM files: our certificate chain, and its private key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}
