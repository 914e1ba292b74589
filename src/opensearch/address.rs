//! [`Address`]: one `http(s)://` URL of a server, as a user types it. Its user info is taken apart and never shown.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::error::{Error, Result};
use crate::escape;
use crate::secret::Secret;

/// Where a server listens: scheme, host, port and, behind some proxies, a path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether to speak TLS.
    pub https: bool,
    /// Host name or IP address; an IPv6 address stands in brackets.
    pub host: String,
    /// As typed; without it, 80 or 443.
    pub port: Option<u16>,
    /// What comes before `/_bulk`: empty, or it starts with a slash and does not end in one.
    pub prefix: String,
    /// User and password out of the URL, percent-decoded.
    pub user_info: Option<(String, Secret)>,
}

impl Address {
    /// Reads a URL such as `https://user:password@search.example:9200/prefix/`.
    ///
    /// # Errors
    /// A usage error if it is none. The message never shows what stands before an `@`.
    pub fn parse(text: &str) -> Result<Address> {
        let shown = mask(text);
        let wrong = |why: &str| Error::usage(format!("{shown:?} is not the URL of a server: {why}"));
        let (https, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some(_) => return Err(wrong("it must start with http:// or https://")),
            None => return Err(wrong("it has no scheme").hint(format!("http://{shown}"))),
        };
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        if path.contains(['?', '#']) {
            return Err(wrong("a query or fragment cannot be part of it")
                .hint("write ?, #, / and @ in a password as %3F, %23, %2F and %40, or give it apart"));
        }
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host_port)) => (Some(user_info), host_port),
            None => (None, authority),
        };
        let (host, port) = match host_port.rsplit_once(':') {
            // The colons of [::1] are the address's own.
            Some((host, port)) if !port.contains(']') => {
                let port = match port {
                    "" => None,
                    digits => match digits.parse::<u16>() {
                        Ok(port) if port > 0 => Some(port),
                        _ => return Err(wrong("its port is not a number from 1 to 65535")),
                    },
                };
                (host, port)
            }
            _ => (host_port, None),
        };
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let bare_v6 = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let host_is_good = match bare_v6 {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
        };
        if !host_is_good {
            return Err(wrong("its host is neither a name nor an IP address"));
        }
        let prefix = path.trim_end_matches('/').to_owned();
        if !prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`')) {
            return Err(wrong("its path holds characters that must be percent-encoded"));
        }
        let user_info = match user_info {
            None | Some("") => None,
            Some(user_info) => {
                let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
                let decoded = |text: &str| {
                    percent_decoded(text).ok_or_else(|| wrong("its user or password is not well percent-encoded"))
                };
                Some((decoded(user)?, Secret::new(decoded(password)?)))
            }
        };
        Ok(Address { https, host: host.to_owned(), port, prefix, user_info })
    }

    /// The full URL of `path` (which starts with a slash and may hold a query), without user info.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.https { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}{}{path}", self.host, self.prefix),
            None => format!("{scheme}://{}{}{path}", self.host, self.prefix),
        }
    }

    /// The `Host` header of requests: with the port as typed.
    pub fn host_header(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The port that is connected to.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// Whether the host, by its name alone, is this machine.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// As it was typed, with `***` for a password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://")?;
        if let Some((user, _)) = &self.user_info {
            write!(f, "{}:***@", user.escape_default())?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.prefix)
    }
}

/// Whether an address lies within a machine or a private network, where compressing costs more than it saves.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // The last one is RFC 6598's shared space, which cloud networks use inside.
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// Text with the password of a URL, or of what looks like one, replaced.
pub fn masked(text: &str) -> String {
    let shown = match text.rsplit_once('@') {
        None => text.to_string(),
        Some((before, host)) => {
            let start = before.find("://").map_or(0, |at| at + 3);
            match before[start..].find(':') {
                Some(colon) => format!("{}:***@{host}", &before[..start + colon]),
                None => text.to_string(),
            }
        }
    };
    escape::shown(shown.as_bytes()).into_owned()
}

/// What may be shown of text that was meant to be a URL: nothing of what stands before its last `@`.
fn mask(text: &str) -> String {
    let Some(at) = text.rfind('@') else { return text.escape_default().to_string() };
    let scheme_end = text.find("://").map_or(0, |n| n + 3).min(at);
    format!("{}***{}", text[..scheme_end].escape_default(), text[at..].escape_default())
}

pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_people_type_them() {
        let check = |text: &str, url: &str, shown: &str| {
            let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.url("/_bulk"), url, "{text}");
            assert_eq!(address.to_string(), shown, "{text}");
        };
        check("http://localhost:9200", "http://localhost:9200/_bulk", "http://localhost:9200");
        check("http://localhost:9200/", "http://localhost:9200/_bulk", "http://localhost:9200");
        check("HTTPS://search.example", "https://search.example/_bulk", "https://search.example");
        check("https://h/a/b//", "https://h/a/b/_bulk", "https://h/a/b");
        check("http://[::1]:9200", "http://[::1]:9200/_bulk", "http://[::1]:9200");
        check("http://[::1]", "http://[::1]/_bulk", "http://[::1]");
        check("http://h:", "http://h/_bulk", "http://h");
        check("http://me:se%40cret@h:1", "http://h:1/_bulk", "http://me:***@h:1");
        check("http://me:p@ss@h", "http://h/_bulk", "http://me:***@h");
    }

    #[test]
    fn what_is_no_url_is_a_usage_error_that_shows_no_password() {
        let check = |text: &str, part: &str| {
            let error = Address::parse(text).expect_err(text);
            assert_eq!(error.kind, crate::error::Kind::Usage, "{text}");
            let shown = error.to_string();
            assert!(shown.contains(part), "{text}: {shown}");
            assert!(!shown.contains("secret"), "{text}: {shown}");
        };
        check("localhost:9200", "http://localhost:9200");
        check("opensearch", "http://opensearch");
        check("ftp://h", "http:// or https://");
        check("http://", "names no host");
        check("http:///x", "names no host");
        check("http://h:99999", "port");
        check("http://h:0", "port");
        check("http://h:9200?x=1", "query");
        check("http://me:secret#1@h", "fragment");
        check("http://me:secret%zz@h", "percent-encoded");
        check("me:secret@h:9200", "http://***@h:9200");
        check("http://a b", "host");
        check("http://[::zz]", "host");
    }

    #[test]
    fn private_addresses() {
        for (ip, private) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("8.8.8.8", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(ip.parse().expect("an address")), private, "{ip}");
        }
    }
}
