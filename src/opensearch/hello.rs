//! Whether TLS is spoken where plain HTTP was not understood, or the reverse.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::address::Address;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first bytes of an answer in TLS (RFC 8446, 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Whether a server answers a TLS greeting in kind. Nothing is shown to it, and nothing believed.
pub(super) fn speaks_tls(address: &Address) -> bool {
    let answer = greeting(address).and_then(|greeting| first_bytes::<1>(address, &greeting));
    matches!(answer, Some([ALERT | HANDSHAKE]))
}

/// The same the other way round: whether it answers plain HTTP.
pub(super) fn speaks_plain_http(address: &Address) -> bool {
    first_bytes(address, b"HEAD / HTTP/1.0\r\n\r\n").is_some_and(|answer| answer == *b"HTTP/")
}

fn bare_host(address: &Address) -> &str {
    address.host.trim_start_matches('[').trim_end_matches(']')
}

fn greeting(address: &Address) -> Option<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(bare_host(address).to_owned()).ok()?;
    let mut greeting = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut greeting).ok()?;
    Some(greeting)
}

/// What comes back to this.
fn first_bytes<const N: usize>(address: &Address, greeting: &[u8]) -> Option<[u8; N]> {
    let socket = (bare_host(address), address.port_or_default()).to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&socket, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(greeting).ok()?;
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}
