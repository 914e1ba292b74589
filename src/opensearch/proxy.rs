//! Which proxy stands between us and a host: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl reads them.

use std::net::IpAddr;

use super::address::Address;
use crate::error::{Error, Result};
use crate::escape;

/// A proxy and the variable that names it.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub url: String,
    pub variable: &'static str,
}

impl Proxy {
    /// The one for this host, if there is one. This machine's own ports are never asked of a proxy: it cannot reach them.
    pub fn of(address: &Address, variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
        let given = |name: &'static str| {
            let url = variable(name).filter(|url| !url.trim().is_empty())?;
            Some(Proxy { url, variable: name })
        };
        let names: &[&'static str] = match address.https {
            true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
            false => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let left_out = given("no_proxy").or_else(|| given("NO_PROXY"));
        if address.is_loopback() || left_out.is_some_and(|list| is_listed(&list.url, address)) {
            return None;
        }
        names.iter().find_map(|name| given(name))
    }

    /// For the HTTP client.
    ///
    /// # Errors
    /// It is no URL of a proxy. The message does not show it: there may be a password in it.
    pub fn prepared(&self) -> Result<ureq::Proxy> {
        ureq::Proxy::new(self.url.trim()).map_err(|_| {
            Error::usage(format!("{} is not the URL of a proxy", self.variable))
                .hint("such as http://proxy.example:3128")
        })
    }

    /// Without user and password.
    pub fn shown(&self) -> String {
        let host = self.url.rsplit_once('@').map_or(self.url.as_str(), |(_, host)| host);
        escape::shown(host.trim_start_matches("http://").trim_end_matches('/').as_bytes()).into_owned()
    }
}

/// Whether `NO_PROXY` names a host: by its name or the end of it, by its number, or by a network (10.0.0.0/8).
fn is_listed(list: &str, address: &Address) -> bool {
    let host = address.host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let number = host.parse::<IpAddr>().ok();
    list.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            if entry == "*" {
                return true;
            }
            if let (Some((network, bits)), Some(number)) = (entry.split_once('/'), number) {
                return is_within(number, network, bits);
            }
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
                _ => (entry.as_str(), None),
            };
            let name =
                name.trim_start_matches("*.").trim_start_matches('.').trim_start_matches('[').trim_end_matches(']');
            let is_it = host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.'));
            is_it && port.is_none_or(|port| port == address.port_or_default())
        },
    )
}

fn is_within(number: IpAddr, network: &str, bits: &str) -> bool {
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (number, network.parse::<IpAddr>()) {
        (IpAddr::V4(one), Ok(IpAddr::V4(other))) if bits <= 32 => {
            let differing = u32::from(one) ^ u32::from(other);
            differing.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(one), Ok(IpAddr::V6(other))) if bits <= 128 => {
            let differing = u128::from(one) ^ u128::from(other);
            differing.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_proxy() {
        let check = |url: &str, environment: &str, expected: Option<&str>| {
            let pairs: Vec<(&str, &str)> = environment.split(' ').filter_map(|pair| pair.split_once('=')).collect();
            let variable =
                |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let found = Proxy::of(&Address::parse(url).unwrap(), variable).map(|proxy| proxy.url);
            assert_eq!(found.as_deref(), expected, "{url} {environment}");
        };
        let both = "HTTPS_PROXY=http://s HTTP_PROXY=http://p";
        check("https://h", both, Some("http://s"));
        check("http://h", both, Some("http://p"));
        check("http://h", "HTTPS_PROXY=http://s", None);
        check("http://h", "ALL_PROXY=http://a", Some("http://a"));
        check("http://h", "HTTP_PROXY=http://p http_proxy=http://l", Some("http://l"));
        check("http://localhost", both, None);
        check("http://127.0.0.1:9200", both, None);
        for (host, list, asked) in [
            ("search.example.com", "example.com", false),
            ("search.example.com", ".example.com", false),
            ("search.example.com", "*.example.com", false),
            ("search.example.com", "ample.com", true),
            ("search.example.com", "*", false),
            ("search.example.com", "a,SEARCH.example.com,b", false),
            ("search.example.com:9200", "search.example.com:9200", false),
            ("search.example.com:9201", "search.example.com:9200", true),
            ("10.1.2.3", "10.0.0.0/8", false),
            ("11.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.3", "10.1.2.3", false),
            ("[2001:db8::1]", "2001:db8::/32", false),
            ("[2001:db8::1]", "2001:db8::1", false),
            ("1.2.3.4", "0.0.0.0/0", false),
        ] {
            let environment = format!("{both} NO_PROXY={list}");
            check(&format!("https://{host}"), &environment, asked.then_some("http://s"));
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let proxy = |url: &str| Proxy { url: url.to_owned(), variable: "HTTPS_PROXY" };
        assert_eq!(proxy("http://joe:secret@p:3128/").shown(), "p:3128");
        assert!(!proxy("ftp://joe:secret@p").prepared().unwrap_err().to_string().contains("secret"));
    }
}
