//! [`Sink`]: where documents go.

use std::path::PathBuf;

use std::net::IpAddr;

use super::{Surroundings, login};
use crate::aws::Service;
use crate::cli::LoginFlags;
use crate::error::Error;
use crate::opensearch::address::{is_private, masked};
use crate::opensearch::{Address, Auth, Login, Tls};

/// Where documents go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// The hosts of one OpenSearch cluster.
    OpenSearch(Server),
    /// A folder of bodies, to be shipped from elsewhere. It need not be there yet.
    Directory(PathBuf),
    /// Standard output, as NDJSON without action lines, in the order of the lines.
    Stdout,
    /// Nowhere, after all work but sending.
    Discard,
}

/// An OpenSearch cluster, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// At least one: `http://host:9200` or `https://host/prefix`, without user and without a slash at the end. Hosts and
    /// ports as typed: no port is the scheme's own (80, 443).
    pub urls: Vec<String>,
    /// None: no Authorization header.
    pub login: Option<Login>,
    /// Whom we trust, and the certificate that we show.
    pub tls: Tls,
    /// What the user should know of the way the door is opened.
    pub warnings: Vec<String>,
}

impl Server {
    /// A host without a login.
    #[cfg(test)]
    pub fn bare(url: &str) -> Server {
        Server { urls: vec![url.to_owned()], login: None, tls: Default::default(), warnings: Vec::new() }
    }

    /// Whether it is a collection of Amazon OpenSearch Serverless, which has neither ids of ours nor much to be asked.
    pub fn is_serverless(&self) -> bool {
        self.login.as_ref().is_some_and(|login| login.auth.is_serverless())
    }

    /// Whether every host, by its name or number alone, is this machine or one of its private network.
    pub fn is_near(&self) -> bool {
        self.urls.iter().filter_map(|url| Address::parse(url).ok()).all(|address| is_near(&address))
    }
}

fn is_near(address: &Address) -> bool {
    let number = address.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_loopback() || number.is_ok_and(is_private)
}

/// What `--to`, once or several times, stands for.
///
/// # Errors
/// If a sink is none of ours, if they do not go together, or if a password is needed and cannot be had.
pub fn sink(to: &[String], login: &LoginFlags, around: &Surroundings) -> Result<Sink, Error> {
    match to {
        [one] if one == "-" => no_login(login, "standard output").map(|()| Sink::Stdout),
        [one] if one.eq_ignore_ascii_case("null:") => no_login(login, "null:").map(|()| Sink::Discard),
        [one] if is_directory(one) => {
            let path = &one["dir:".len()..];
            match path {
                "" => Err(Error::usage("--to dir: names no folder").hint("such as --to dir:/var/spool/loghaul")),
                _ => no_login(login, "a directory").map(|()| Sink::Directory(PathBuf::from(path))),
            }
        }
        [] => Err(Error::usage("--to is missing").hint("such as --to http://localhost:9200")),
        _ => {
            let addresses = to.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
            server(addresses, login, around).map(Sink::OpenSearch)
        }
    }
}

/// What `--to` stands for where only a cluster will do.
///
/// # Errors
/// As [`sink`], and if it is none.
pub fn cluster(to: &[String], login: &LoginFlags, around: &Surroundings) -> Result<Server, Error> {
    if let Some(other) = to.iter().find(|to| *to == "-" || to.eq_ignore_ascii_case("null:")) {
        return Err(Error::usage(format!("--to {other} is no cluster")).hint("such as --to http://localhost:9200"));
    }
    match sink(to, login, around)? {
        Sink::OpenSearch(server) => Ok(server),
        Sink::Directory(_) => {
            Err(Error::usage(format!("--to {} is no cluster", to.join(" "))).hint("such as --to http://localhost:9200"))
        }
        Sink::Stdout | Sink::Discard => unreachable!("both are refused above"),
    }
}

/// Whether a sink is a folder. `dir://host` is none, and neither is a host of that name: `dir:9200`.
fn is_directory(text: &str) -> bool {
    let rest = text.strip_prefix("dir:");
    rest.is_some_and(|rest| !rest.starts_with("//") && (rest.is_empty() || rest.parse::<u16>().is_err()))
}

fn no_login(login: &LoginFlags, sink: &str) -> Result<(), Error> {
    match login::first_given(login) {
        None => Ok(()),
        Some(flag) => Err(Error::usage(format!("{flag} is for OpenSearch, but documents go to {sink}"))),
    }
}

/// One `--to` that is not `-` or `null:`.
fn address(text: &str) -> Result<Address, Error> {
    if !text.contains("://") {
        return Err(no_url(text));
    }
    let address = Address::parse(text)?;
    if address.prefix.contains('@') {
        // A password with a slash in it: half of it would be sent to a host named by the user's name.
        return Err(Error::usage(format!("--to {}: there is an @ in the path", masked(text)))
            .hint("in a password / ? # and @ are written as %2F %3F %23 and %40, or it goes to --password-file"));
    }
    Ok(address)
}

/// What somebody may have meant who wrote no URL.
fn no_url(text: &str) -> Error {
    let sinks = "a sink is http(s)://HOST:PORT, - for standard output, dir:PATH, or null:";
    let shown = masked(text);
    let meant =
        |meant: &str| Error::usage(format!("--to {shown} is no sink")).hint(format!("did you mean {meant}? {sinks}"));
    match text {
        "-" | "null:" => Error::usage(format!("--to {text} goes alone, without another --to")),
        _ if is_directory(text) => Error::usage(format!("--to {shown} goes alone, without another --to")),
        "" => Error::usage("--to is empty").hint(sinks),
        "null" | "/dev/null" => meant("null:"),
        "stdout" | "stdout:" | "/dev/stdout" => meant("-"),
        _ if !text.starts_with("//") && text.starts_with(['/', '.', '~']) || text.ends_with("json") => {
            meant(&format!("--to - > {shown}"))
        }
        _ => {
            // https:/host, http:host: one slash or two forgotten.
            let lower = text.to_ascii_lowercase();
            let slips = [("https:", "https"), ("http:", "http"), ("//", "http")];
            let url = slips
                .iter()
                .find(|(slip, _)| lower.starts_with(slip))
                .map(|(slip, scheme)| format!("{scheme}://{}", text[slip.len()..].trim_start_matches('/')))
                .unwrap_or_else(|| format!("http://{text}"));
            match address(&url) {
                Ok(_) => {
                    Error::usage(format!("--to {shown} is no sink")).hint(format!("did you mean {}?", masked(&url)))
                }
                Err(_) => Error::usage(format!("--to {shown} is no sink")).hint(sinks),
            }
        }
    }
}

/// Hosts of one cluster, and the login for all of them.
fn server(addresses: Vec<Address>, flags: &LoginFlags, around: &Surroundings) -> Result<Server, Error> {
    let in_urls: Vec<_> = addresses.iter().filter_map(|address| address.user_info.clone()).collect();
    if in_urls.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(
            Error::usage("the URLs of --to name different users or passwords").hint("all are hosts of one cluster")
        );
    }
    // `https://joe@host` names a user and leaves the password to us.
    let in_url = in_urls.into_iter().next().map(|(user, password)| {
        let password = password.reveal().to_string();
        (user, (!password.is_empty()).then_some(password))
    });
    let mut urls: Vec<String> = Vec::new();
    for url in addresses.iter().map(|address| address.url("")) {
        if urls.contains(&url) {
            return Err(Error::usage(format!("--to {url} is there twice")));
        }
        urls.push(url);
    }

    let (login, mut warnings) = login::login(flags, in_url, &addresses[0].host, around)?;
    if let (None, Some((service, _))) = (&login, Service::of_host(&addresses[0].host)) {
        warnings.push(format!("requests are not signed, and the host is of AWS ({service}): --aws-sigv4 signs them"));
    }
    if flags.insecure {
        warnings.push(
            "--insecure: the server's certificate is not checked; anybody in between can read and change everything"
                .to_owned(),
        );
    }
    let shows_a_secret = login.as_ref().is_some_and(|login| !matches!(login.auth, Auth::Sigv4(_)));
    if shows_a_secret && addresses.iter().any(|address| !address.https && !is_near(address)) {
        warnings.push("the login goes over the network unencrypted (http://)".to_owned());
    }
    let client_certificate = flags.client_cert.clone().zip(flags.client_key.clone());
    let tls = Tls { ca: flags.ca.clone(), insecure: flags.insecure, client_certificate };
    Ok(Server { urls, login, tls, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(to: &str) -> Result<Sink, Error> {
        let to: Vec<String> = to.split_whitespace().map(str::to_string).collect();
        sink(&to, &LoginFlags::default(), &Surroundings::bare())
    }

    fn urls(to: &str) -> Vec<String> {
        match check(to) {
            Ok(Sink::OpenSearch(server)) => server.urls,
            other => panic!("{to}: {other:?}"),
        }
    }

    #[test]
    fn sinks() {
        assert_eq!(check("-"), Ok(Sink::Stdout));
        assert_eq!(check("null:"), Ok(Sink::Discard));
        assert_eq!(check("dir:/a/b"), Ok(Sink::Directory("/a/b".into())));
        assert_eq!(check("dir:x"), Ok(Sink::Directory("x".into())));
        assert_eq!(urls("http://localhost:9200"), ["http://localhost:9200"]);
        assert_eq!(urls("http://localhost:9200/"), ["http://localhost:9200"]);
        assert_eq!(urls("HTTPS://search.example.com/es/"), ["https://search.example.com/es"]);
        assert_eq!(urls("http://[::1]:9200"), ["http://[::1]:9200"]);
        assert_eq!(urls("http://[::1]"), ["http://[::1]"]);
        assert_eq!(urls("http://a:9200 http://b:9200"), ["http://a:9200", "http://b:9200"]);
    }

    #[test]
    fn whatever_else_is_wrong_usage_with_a_hint() {
        let cases = [
            ("localhost:9200", "--to localhost:9200 is no sink (did you mean http://localhost:9200?)"),
            ("search.example.com", "--to search.example.com is no sink (did you mean http://search.example.com?)"),
            ("https:/host", "--to https:/host is no sink (did you mean https://host?)"),
            ("//host:9200", "--to //host:9200 is no sink (did you mean http://host:9200?)"),
            ("joe:secret@host:9200", "--to joe:***@host:9200 is no sink (did you mean http://joe:***@host:9200?)"),
            (
                "null",
                "--to null is no sink (did you mean null:? a sink is http(s)://HOST:PORT, - for standard output, dir:PATH, or null:)",
            ),
            (
                "stdout",
                "--to stdout is no sink (did you mean -? a sink is http(s)://HOST:PORT, - for standard output, dir:PATH, or null:)",
            ),
            (
                "./out.json",
                "--to ./out.json is no sink (did you mean --to - > ./out.json? a sink is http(s)://HOST:PORT, - for standard output, dir:PATH, or null:)",
            ),
            ("ftp://host", "\"ftp://host\" is not the URL of a server: it must start with http:// or https://"),
            (
                "http://h:99999",
                "\"http://h:99999\" is not the URL of a server: its port is not a number from 1 to 65535",
            ),
            (
                "http://j:12/b@h",
                "--to http://j:***@h: there is an @ in the path (in a password / ? # and @ are written as %2F %3F %23 and \
                 %40, or it goes to --password-file)",
            ),
            ("dir:", "--to dir: names no folder (such as --to dir:/var/spool/loghaul)"),
            ("dir:a http://h", "--to dir:a goes alone, without another --to"),
            ("dir:9200", "--to dir:9200 is no sink (did you mean http://dir:9200?)"),
            ("- null:", "--to - goes alone, without another --to"),
            ("http://a -", "--to - goes alone, without another --to"),
            ("http://a http://a/", "--to http://a is there twice"),
            (
                "http://j:1@a http://k:1@b",
                "the URLs of --to name different users or passwords (all are hosts of one cluster)",
            ),
        ];
        for (to, says) in cases {
            let error = check(to).expect_err(to);
            assert_eq!((error.exit_code(), error.to_string().as_str()), (2, says), "{to}");
        }
    }

    #[test]
    fn no_password_is_ever_shown() {
        for to in ["http://joe:secret@host", "joe:secret@host", "http://joe:secret@ho st", "http://joe:sec@secret@h:x"]
        {
            let to = [to.to_string()];
            let said = format!("{:?}", sink(&to, &LoginFlags::default(), &Surroundings::bare()));
            assert!(!said.contains("secret") && !said.contains("joe:sec"), "{said}");
        }
    }

    #[test]
    fn what_is_worth_a_warning() {
        let warnings = |to: &str, flags: LoginFlags| match sink(&[to.to_string()], &flags, &Surroundings::bare()) {
            Ok(Sink::OpenSearch(server)) => server.warnings.join("; "),
            other => panic!("{to}: {other:?}"),
        };
        let insecure = || LoginFlags { insecure: true, ..LoginFlags::default() };
        assert_eq!(
            warnings("https://joe@example.com", LoginFlags { password: Some("x".into()), ..LoginFlags::default() }),
            "--password can be seen by other users of this machine (--password-file FILE or LOGHAUL_PASSWORD cannot)"
        );
        assert!(warnings("https://joe:x@example.com", LoginFlags::default()).contains("in the URL can be seen"));
        assert!(warnings("http://joe:x@example.com", LoginFlags::default()).contains("unencrypted"));
        assert!(!warnings("http://joe:x@localhost", LoginFlags::default()).contains("unencrypted"));
        assert!(warnings("https://example.com", insecure()).contains("not checked"));
        assert_eq!(warnings("https://example.com", LoginFlags::default()), "");
    }

    #[test]
    fn a_login_without_opensearch_is_wrong_usage() {
        let flags = LoginFlags { token_file: Some("t".into()), ..LoginFlags::default() };
        let error = sink(&["null:".into()], &flags, &Surroundings::bare()).unwrap_err();
        assert_eq!(error.to_string(), "--token-file is for OpenSearch, but documents go to null:");
    }

    #[test]
    fn near_hosts() {
        for (url, near) in [
            ("http://localhost:9200", true),
            ("http://127.0.0.1:9200", true),
            ("http://[::1]:9200", true),
            ("http://10.1.2.3", true),
            ("https://search.example.com", false),
            ("http://8.8.8.8", false),
        ] {
            assert_eq!(is_near(&Address::parse(url).unwrap()), near, "{url}");
        }
    }
}
