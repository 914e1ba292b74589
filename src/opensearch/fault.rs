//! [`Fault`]: what can go wrong between us and an answer, told apart as far as it changes what to do next.
//!
//! Two questions matter: may the server have acted on the request (then a repeat needs ids to be harmless), and is
//! it the server, the network or the way we were told to go. The sentence for a person is made here too, so that
//! every command says the same about the same fault.

use std::fmt;
use std::io;

use ureq::Timeout;

use super::address::Address;
use crate::error::Error;

/// Why there is no answer, or no whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens on that port.
    Refused,
    /// The name does not resolve.
    UnknownHost,
    /// No route, no network: the operating system's words.
    Unreachable(String),
    /// Nobody answered the connection attempt, or the TLS handshake.
    ConnectTimedOut,
    /// The TLS handshake failed.
    Tls(TlsFault),
    /// The connection broke before the whole request had left: the server cannot have acted on it.
    ResetWhileSending,
    /// The server, or somebody before it, stopped taking our bytes.
    TimedOutSending,
    /// The request is there, the answer is not.
    TimedOutWaiting,
    /// The connection was closed or reset after the request and before any answer.
    ClosedWithoutAnswer,
    /// The answer began, and did not end.
    CutAnswer,
    /// The answer is longer than we hold.
    AnswerTooLong,
    /// What came back is not HTTP.
    NotHttp,
    /// We speak plain HTTP, and the server TLS.
    SpeaksTls,
    /// There is nothing any more to sign the request with: what the search for AWS keys came to.
    NoKeys(String),
    /// Anything else, in the HTTP client's words.
    Other(String),
}

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Signed by nobody whom we trust.
    UnknownAuthority,
    /// The certificate is for other names.
    WrongName,
    /// Expired, or not valid yet.
    Expired,
    /// The other side speaks plain HTTP.
    PlainHttp,
    /// The server refused us: it wants another certificate, or another version of TLS. Its alert.
    Alert(String),
    /// Anything else, in the TLS library's words.
    Other(String),
}

impl Fault {
    /// Whether the server may have acted on the request. If not, a repeat cannot write anything twice.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Fault::Refused
            | Fault::UnknownHost
            | Fault::Unreachable(_)
            | Fault::ConnectTimedOut
            | Fault::Tls(_)
            // Content-Length is always sent: half a body is never acted on.
            | Fault::ResetWhileSending
            | Fault::SpeaksTls
            | Fault::NoKeys(_) => false,
            // The last bytes may have been on their way.
            Fault::TimedOutSending
            | Fault::TimedOutWaiting
            | Fault::ClosedWithoutAnswer
            | Fault::CutAnswer
            | Fault::AnswerTooLong
            | Fault::NotHttp
            | Fault::Other(_) => true,
        }
    }

    /// Whether a server that expects TLS may do this to plain HTTP, or the reverse.
    pub(super) fn may_be_another_language(&self) -> bool {
        matches!(self, Fault::ClosedWithoutAnswer | Fault::CutAnswer | Fault::ResetWhileSending | Fault::NotHttp)
    }

    /// Whether we never got as far as sending: another host of the same cluster may do.
    pub fn is_connecting(&self) -> bool {
        matches!(
            self,
            Fault::Refused | Fault::UnknownHost | Fault::Unreachable(_) | Fault::ConnectTimedOut | Fault::Tls(_)
        )
    }

    /// What the HTTP client's error means, given how much of the body it had taken.
    pub(super) fn classify(error: &ureq::Error, progress: Progress) -> Fault {
        match error {
            ureq::Error::HostNotFound => Fault::UnknownHost,
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => Fault::ConnectTimedOut,
            ureq::Error::Timeout(Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite) => {
                Fault::TimedOutSending
            }
            ureq::Error::Timeout(Timeout::RecvBody) => Fault::CutAnswer,
            ureq::Error::Timeout(_) if progress.answering => Fault::CutAnswer,
            ureq::Error::Timeout(_) => Fault::TimedOutWaiting,
            ureq::Error::Rustls(error) => Fault::Tls(TlsFault::classify(error)),
            ureq::Error::Tls(words) => Fault::Tls(TlsFault::Other((*words).to_owned())),
            ureq::Error::Protocol(_) if progress.answering => Fault::CutAnswer,
            ureq::Error::Protocol(_) => Fault::NotHttp,
            ureq::Error::BodyStalled => Fault::CutAnswer,
            ureq::Error::LargeResponseHeader(..) => Fault::NotHttp,
            ureq::Error::ConnectProxyFailed(words) => Fault::Unreachable(format!("the proxy says {words}")),
            ureq::Error::Io(error) => Fault::classify_io(error, progress),
            other => Fault::Other(other.to_string()),
        }
    }

    fn classify_io(error: &io::Error, progress: Progress) -> Fault {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Fault::Tls(TlsFault::classify(tls));
        }
        if progress.answering {
            return Fault::CutAnswer;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Fault::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied => Fault::Unreachable(error.to_string()),
            // A pipe breaks under our writing hand, never while we read.
            io::ErrorKind::BrokenPipe => Fault::ResetWhileSending,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => {
                if progress.sent < progress.total {
                    Fault::ResetWhileSending
                } else {
                    Fault::ClosedWithoutAnswer
                }
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Fault::TimedOutWaiting,
            _ => Fault::Other(error.to_string()),
        }
    }
}

/// How far an exchange had come when it failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Bytes of the body that the HTTP client had taken.
    pub sent: usize,
    /// Bytes of the body.
    pub total: usize,
    /// Whether the answer's head had come.
    pub answering: bool,
}

impl TlsFault {
    fn classify(error: &rustls::Error) -> TlsFault {
        use rustls::{CertificateError as Bad, Error as E, InvalidMessage};
        match error {
            // A bad signature: an authority of the same name, but with another key.
            E::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => TlsFault::UnknownAuthority,
            E::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => TlsFault::WrongName,
            E::InvalidCertificate(
                Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
            ) => TlsFault::Expired,
            // "HTTP/1.1 400" begins with a byte that is no TLS content type.
            E::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFault::PlainHttp,
            E::AlertReceived(alert) => TlsFault::Alert(format!("{alert:?}")),
            other => TlsFault::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Refused => "connection refused",
            Fault::UnknownHost => "unknown host",
            Fault::Unreachable(words) => return write!(f, "unreachable: {}", words.escape_debug()),
            Fault::ConnectTimedOut => "no answer to the connection attempt",
            Fault::Tls(tls) => return tls.fmt(f),
            Fault::ResetWhileSending => "the connection was closed while the request was being sent",
            Fault::TimedOutSending => "the server stopped taking the request",
            Fault::TimedOutWaiting => "no answer in time",
            Fault::ClosedWithoutAnswer => "the connection was closed without an answer",
            Fault::CutAnswer => "the answer was cut off",
            Fault::AnswerTooLong => "the answer is longer than can be held",
            Fault::NotHttp => "what came back is not HTTP",
            Fault::SpeaksTls => "the server speaks TLS, not plain HTTP",
            Fault::NoKeys(words) => return f.write_str(words),
            Fault::Other(words) => return write!(f, "{}", words.escape_debug()),
        })
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFault::UnknownAuthority => "its certificate is signed by nobody whom this machine trusts",
            TlsFault::WrongName => "its certificate is for another host name",
            TlsFault::Expired => "its certificate has expired or is not valid yet",
            TlsFault::PlainHttp => "the server speaks plain HTTP, not TLS",
            TlsFault::Alert(alert) => return write!(f, "the server refused the TLS handshake ({alert})"),
            TlsFault::Other(words) => return write!(f, "the TLS handshake failed: {}", words.escape_debug()),
        })
    }
}

/// A [`Fault`], and where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub fault: Fault,
    /// The host that was asked last, by its number, as in [`Head`](super::Head).
    pub host: usize,
}

impl Fault {
    /// The sentence: `doing` is what was tried, as in "cannot {doing} at http://…".
    pub fn error(&self, doing: &str, address: &Address) -> Error {
        let error = Error::failed(format!("cannot {doing} at {address}: {self}"));
        match self.hint(address) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// What the user can do about it, as far as the fault tells.
    fn hint(&self, address: &Address) -> Option<String> {
        Some(match self {
            Fault::Refused if address.port.is_none() => {
                format!("the URL names no port; OpenSearch usually listens on {address}:9200")
            }
            Fault::Refused => "is OpenSearch running there, and is the port right?".to_owned(),
            Fault::UnknownHost => format!("is {:?} spelled right?", address.host),
            Fault::ConnectTimedOut => "is the host right, and does a firewall stand between?".to_owned(),
            Fault::Tls(TlsFault::UnknownAuthority) => {
                "give the PEM file of the authority that signed it with --ca FILE".to_owned()
            }
            Fault::Tls(TlsFault::WrongName) => "use the host name that stands in the certificate".to_owned(),
            Fault::Tls(TlsFault::PlainHttp) => "write http:// instead of https://".to_owned(),
            Fault::Tls(TlsFault::Alert(_)) => {
                "the server may ask for a client certificate that its own authority signed".to_owned()
            }
            Fault::SpeaksTls => "write https:// instead of http://".to_owned(),
            Fault::ClosedWithoutAnswer if !address.https => {
                "a server that expects TLS does this; if it does, write https://".to_owned()
            }
            Fault::ClosedWithoutAnswer => {
                "a server that speaks plain HTTP does this; if it does, write http://".to_owned()
            }
            Fault::NotHttp => "is this the HTTP port (9200), and not the transport port (9300)?".to_owned(),
            _ => return None,
        })
    }
}
