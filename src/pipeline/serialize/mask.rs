//! [`Mask`]: what of a line may not be stored is left out of documents, malformed lines and samples.
//!
//! A masked run takes the general path for each line, so that the common one need not know of it.
//!
//! Ids stay those of the lines as they are, so that a line has the same id masked or not. They hold four bytes of a hash
//! over the line: who has all the rest of it can try what was masked, and 256 addresses are soon tried. For those whom that
//! troubles there is `--id none`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ring::hmac;

/// What stands in place of a client's name, which cannot be shortened as an address can.
const HIDDEN: &[u8] = b"masked";
/// Bytes of a keyed hash that are kept, as hex: enough to tell billions of clients apart.
const HASH_BYTES: usize = 10;

/// What is masked, and how.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// The client's address, and the list of `X-Forwarded-For`.
    pub client: Option<Client>,
    /// The values in queries of request and referrer.
    pub query: bool,
}

/// How a client's address is masked.
#[derive(Clone, Debug)]
pub enum Client {
    /// To /24 (IPv4) and /48 (IPv6).
    Truncated,
    /// By a hash that only this key repeats (HMAC-SHA256): clients can still be told apart.
    Hashed(hmac::Key),
}

impl Mask {
    /// Whether anything is masked.
    pub fn is_on(&self) -> bool {
        self.client.is_some() || self.query
    }

    /// A client, or a list of clients separated by commas.
    pub fn clients<'l>(&self, clients: &'l [u8]) -> Cow<'l, [u8]> {
        let Some(how) = &self.client else { return Cow::Borrowed(clients) };
        let mut masked = Vec::with_capacity(clients.len());
        for (n, one) in clients.split(|byte| *byte == b',').enumerate() {
            if n > 0 {
                masked.extend_from_slice(b", ");
            }
            how.mask(one.trim_ascii(), &mut masked);
        }
        Cow::Owned(masked)
    }

    /// The target of a request, or a referrer, as it is written: names stay, values go.
    pub fn target<'l>(&self, target: &'l [u8]) -> Cow<'l, [u8]> {
        let Some(query) = memchr::memchr(b'?', target).filter(|_| self.query) else { return Cow::Borrowed(target) };
        let mut masked = target[..=query].to_vec();
        cut_values(&target[query + 1..], &mut masked);
        Cow::Owned(masked)
    }

    /// A request line that is none: whatever follows a question mark goes.
    pub fn raw_request<'l>(&self, request: &'l [u8]) -> Cow<'l, [u8]> {
        match memchr::memchr(b'?', request).filter(|_| self.query) {
            Some(query) => Cow::Borrowed(&request[..=query]),
            None => Cow::Borrowed(request),
        }
    }

    /// A line of which nobody knows which part is what. What stands before the time (`[`), where clients are, goes; without
    /// a time, all of it; and behind a question mark all up to the next blank or quote.
    pub fn line<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        if !self.is_on() {
            return Cow::Borrowed(line);
        }
        let mut masked = Vec::with_capacity(line.len());
        let mut rest = line;
        if self.client.is_some() {
            masked.extend_from_slice(HIDDEN);
            let Some(time) = memchr::memchr(b'[', line) else { return Cow::Owned(masked) };
            masked.push(b' ');
            rest = &line[time..];
        }
        for word in rest.split_inclusive(|byte| matches!(byte, b' ' | b'\t' | b'"')) {
            let (text, end) = match word.split_last() {
                Some((last @ (b' ' | b'\t' | b'"'), text)) => (text, std::slice::from_ref(last)),
                _ => (word, &[][..]),
            };
            let is_client = self.client.is_some() && address(text.trim_ascii_end()).is_some();
            match memchr::memchr(b'?', text).filter(|_| self.query) {
                _ if is_client => masked.extend_from_slice(HIDDEN),
                Some(query) => masked.extend_from_slice(&text[..=query]),
                None => masked.extend_from_slice(text),
            }
            masked.extend_from_slice(end);
        }
        Cow::Owned(masked)
    }
}

impl Client {
    /// Hashed under this key.
    pub fn hashed(key: &[u8]) -> Client {
        Client::Hashed(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn mask(&self, client: &[u8], masked: &mut Vec<u8>) {
        match self {
            _ if matches!(client, b"" | b"-") => masked.extend_from_slice(client),
            Client::Truncated => match address(client) {
                Some(IpAddr::V4(v4)) => masked.extend_from_slice(truncated_v4(v4).to_string().as_bytes()),
                Some(IpAddr::V6(v6)) => masked.extend_from_slice(truncated_v6(v6).to_string().as_bytes()),
                None => masked.extend_from_slice(HIDDEN),
            },
            Client::Hashed(key) => {
                // However an address is written, it is one client.
                let tag = match address(client) {
                    Some(address) => hmac::sign(key, address.to_string().as_bytes()),
                    None => hmac::sign(key, client),
                };
                tag.as_ref()[..HASH_BYTES]
                    .iter()
                    .for_each(|byte| masked.extend_from_slice(format!("{byte:02x}").as_bytes()));
            }
        }
    }
}

/// An address as proxies and servers write it: with or without a port, brackets, or a zone.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches([']', ',']).parse::<IpAddr>())
        .ok()
}

fn truncated_v4(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address) & 0xffff_ff00)
}

fn truncated_v6(address: Ipv6Addr) -> Ipv6Addr {
    match address.to_ipv4_mapped() {
        Some(v4) => truncated_v4(v4).to_ipv6_mapped(),
        None => Ipv6Addr::from(u128::from(address) & !((1 << 80) - 1)),
    }
}

/// `a=1&b=2&c` becomes `a=&b=&`: what has no name is a value. A fragment goes, too.
fn cut_values(query: &[u8], masked: &mut Vec<u8>) {
    let end = memchr::memchr(b'#', query).unwrap_or(query.len());
    for (n, pair) in query[..end].split(|byte| matches!(byte, b'&' | b';')).enumerate() {
        if n > 0 {
            masked.push(b'&');
        }
        if let Some(name) = memchr::memchr(b'=', pair) {
            masked.extend_from_slice(&pair[..=name]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Cow<'_, [u8]>) -> String {
        String::from_utf8(bytes.into_owned()).unwrap()
    }

    #[test]
    fn clients() {
        let truncated = Mask { client: Some(Client::Truncated), query: false };
        for (client, expected) in [
            ("192.0.2.17", "192.0.2.0"),
            ("2001:db8:1:2::3", "2001:db8:1::"),
            ("::ffff:192.0.2.17", "::ffff:192.0.2.0"),
            ("192.0.2.17:4711", "192.0.2.0"),
            ("[2001:db8:1:2::3]:80", "2001:db8:1::"),
            ("fe80::1%eth0", "fe80::"),
            ("dsl-17.example.com", "masked"),
            ("-", "-"),
            ("192.0.2.17, 10.1.2.3,unknown", "192.0.2.0, 10.1.2.0, masked"),
        ] {
            assert_eq!(text(truncated.clients(client.as_bytes())), expected);
        }
        let hashed = |key: &[u8]| Mask { client: Some(Client::hashed(key)), query: false };
        let (one, other) = (hashed(b"one"), hashed(b"other"));
        // printf 192.0.2.17 | openssl dgst -sha256 -hmac one
        assert_eq!(text(one.clients(b"192.0.2.17")), "037ed4778a2de77059d5");
        assert_eq!(one.clients(b"192.0.2.17"), one.clients(b"192.0.2.17:80"));
        assert_ne!(one.clients(b"192.0.2.17"), one.clients(b"192.0.2.18"));
        assert_ne!(one.clients(b"192.0.2.17"), other.clients(b"192.0.2.17"));
        assert_eq!(text(Mask::default().clients(b"192.0.2.17")), "192.0.2.17");
    }

    #[test]
    fn queries() {
        let mask = Mask { client: None, query: true };
        for (target, expected) in [
            ("/a/b", "/a/b"),
            ("/a?b=c&d=e;f=g", "/a?b=&d=&f="),
            ("/a?token", "/a?"),
            ("/a?b=c=d?e=f", "/a?b="),
            ("/a?b=c#access_token=x", "/a?b="),
            ("http://h/?q=x y", "http://h/?q="),
            ("/a?&&b=", "/a?&&b="),
        ] {
            assert_eq!(text(mask.target(target.as_bytes())), expected);
        }
        assert_eq!(text(mask.raw_request(b"GET /a?b=c d e")), "GET /a?");
        assert_eq!(text(Mask::default().target(b"/a?b=c")), "/a?b=c");
    }

    #[test]
    fn lines_that_are_none() {
        let both = Mask { client: Some(Client::Truncated), query: true };
        for (line, expected) in [
            ("192.0.2.17 - - [x] \"GET /a?b=c\" 200", "masked [x] \"GET /a?\" 200"),
            ("dsl-17.example.com - - no time", "masked"),
            ("h - - [x] \"GET /\" 2001:db8::1 \"http://h/?q=1\"", "masked [x] \"GET /\" masked \"http://h/?\""),
            ("", "masked"),
        ] {
            assert_eq!(text(both.line(line.as_bytes())), expected);
        }
        assert_eq!(text(Mask { client: None, query: true }.line(b"a ?b c?d")), "a ? c?");
        assert_eq!(text(Mask::default().line(b"a ?b")), "a ?b");
    }
}
