//! [`Sink`]: where documents go, and with whose name. Passwords come from the URL, a file, the environment or a prompt,
//! and are never shown.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ureq::http::Uri;

use super::Surroundings;
use crate::cli::LoginFlags;
use crate::error::Error;

/// Where documents go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// The hosts of one OpenSearch cluster.
    OpenSearch(Server),
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
}

/// User and password for Basic authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Sent as it is.
    pub user: String,
    /// Sent as it is, shown never.
    pub password: Password,
}

/// Text that is never shown, not even in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Server {
    /// Whether every host is one of this machine or of its private network, by name or number alone. Compressing bodies
    /// for those costs more than it saves.
    pub fn is_near(&self) -> bool {
        self.urls.iter().all(|url| url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(is_near_host)))
    }
}

fn is_near_host(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    match number.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// What `--to`, once or several times, stands for.
///
/// # Errors
/// If a sink is none of ours, if they do not go together, or if a password is needed and cannot be had.
pub fn sink(to: &[String], login: &LoginFlags, around: &Surroundings) -> Result<Sink, Error> {
    match to {
        [one] if one == "-" => no_login(login, "standard output").map(|()| Sink::Stdout),
        [one] if one.eq_ignore_ascii_case("null:") => no_login(login, "null:").map(|()| Sink::Discard),
        [] => Err(Error::usage("--to is missing").hint("such as --to http://localhost:9200")),
        _ => {
            let addresses = to.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
            server(addresses, login, around).map(Sink::OpenSearch)
        }
    }
}

fn no_login(login: &LoginFlags, sink: &str) -> Result<(), Error> {
    match (&login.user, &login.password_file) {
        (None, None) => Ok(()),
        _ => Err(Error::usage(format!("--user and --password-file are for OpenSearch, but documents go to {sink}"))),
    }
}

/// One `--to` that is a URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    url: String,
    user: Option<String>,
    password: Option<String>,
}

/// `http(s)://[USER[:PASSWORD]@]HOST[:PORT][/PREFIX]`
fn address(text: &str) -> Result<Address, Error> {
    let shown = masked(text);
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(no_url(text));
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err(Error::usage(format!("--to {shown}: documents go to http:// or https://, not to {scheme}://")));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // The last @: a password with a bare @ in it is wrong, but must not become part of a host name that is shown.
    let (user_info, host) = match authority.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info), host),
        None => (None, authority),
    };
    // A password that was not encoded ends up in the path.
    if path.contains(['?', '#', '@']) {
        return Err(Error::usage(format!("--to {shown}: there is no ? # or @ in an address's path"))
            .hint("in a password they and / are written as %3F %23 %40 %2F, or it goes to --password-file"));
    }
    let url = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
    let wrong = |what: &str| Error::usage(format!("--to {shown}: {what}")).hint("such as http://localhost:9200");
    let uri: Uri = url.parse().map_err(|_| wrong("this is not a valid URL"))?;
    if uri.host().unwrap_or("").is_empty() {
        return Err(wrong("the host is missing"));
    }
    let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port);
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(wrong("the port is not a number from 1 to 65535"));
    }
    let decode = |part: &str| percent_decoded(part).ok_or_else(|| wrong("a % in user or password is written as %25"));
    let (user, password) = match user_info.map(|info| info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p))))
    {
        None => (None, None),
        Some(("", _)) => return Err(wrong("the user before @ is missing")),
        Some((user, password)) => (Some(decode(user)?), password.map(decode).transpose()?),
    };
    Ok(Address { url, user, password })
}

/// What somebody may have meant who wrote no URL.
fn no_url(text: &str) -> Error {
    let sinks = "a sink is http(s)://HOST:PORT, - for standard output, or null:";
    let shown = masked(text);
    let meant =
        |meant: &str| Error::usage(format!("--to {shown} is no sink")).hint(format!("did you mean {meant}? {sinks}"));
    match text {
        "-" | "null:" => Error::usage(format!("--to {text} goes alone, without another --to")),
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

/// The text with the password of a URL, or of what looks like one, replaced.
fn masked(text: &str) -> String {
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
    crate::pipeline::report::escape::shown(shown.as_bytes()).into_owned()
}

/// `%40` is `@`. None if a % is not followed by two hex digits, or if the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Hosts of one cluster, and the login for all of them.
fn server(addresses: Vec<Address>, flags: &LoginFlags, around: &Surroundings) -> Result<Server, Error> {
    let in_urls: Vec<_> = addresses.iter().filter_map(|a| Some((a.user.clone()?, a.password.clone()))).collect();
    if in_urls.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(
            Error::usage("the URLs of --to name different users or passwords").hint("all are hosts of one cluster")
        );
    }
    let in_url = in_urls.into_iter().next();
    let mut urls: Vec<String> = Vec::new();
    for address in addresses {
        if urls.contains(&address.url) {
            return Err(Error::usage(format!("--to {} is there twice", address.url)));
        }
        urls.push(address.url);
    }

    let user = match (&flags.user, &in_url) {
        (Some(typed), Some((in_url, _))) if typed != in_url => {
            return Err(Error::usage(format!("--user {typed} is another than {in_url} in the URL of --to")));
        }
        (Some(typed), _) => Some(typed.clone()),
        (None, Some((in_url, _))) => Some(in_url.clone()),
        (None, None) => variable(around, "LOGHAUL_USER")?,
    };
    let Some(user) = user else {
        return match flags.password_file {
            Some(_) => Err(Error::usage("--password-file without a user").hint("--user names it")),
            None => Ok(Server { urls, login: None }),
        };
    };
    if user.is_empty() || user.contains(':') || user.contains(|c: char| c.is_control()) {
        // RFC 7617: the first colon ends the user's name.
        return Err(Error::usage("a user's name is not empty and has no colon and no control characters"));
    }
    let password = password(&user, in_url.and_then(|(_, password)| password), flags.password_file.as_deref(), around)?;
    if password.contains(|c: char| c.is_control()) {
        return Err(Error::usage(format!("the password of {user} has control characters")));
    }
    Ok(Server { urls, login: Some(Login { user, password: Password(password) }) })
}

/// The nearest word wins: the URL or the file, then the environment, then the person.
fn password(user: &str, in_url: Option<String>, file: Option<&Path>, around: &Surroundings) -> Result<String, Error> {
    match (in_url, file) {
        (Some(_), Some(_)) => {
            return Err(
                Error::usage("there is a password in the URL of --to and a --password-file").hint("take one away")
            );
        }
        (Some(password), None) => return Ok(password),
        (None, Some(file)) => return password_from(file),
        (None, None) => {}
    }
    for name in ["LOGHAUL_PASSWORD", "OPENSEARCH_PASSWORD"] {
        if let Some(password) = variable(around, name)? {
            return Ok(password);
        }
    }
    if !around.can_ask {
        return Err(Error::usage(format!("there is no password for {user}"))
            .hint("put it into LOGHAUL_PASSWORD or a file named by --password-file"));
    }
    (around.ask_password)(&format!("Password of {user}: "))
        .map_err(|error| Error::failed(format!("could not ask for the password of {user}: {error}")))
}

fn password_from(file: &Path) -> Result<String, Error> {
    let failed =
        |why: &dyn fmt::Display| Error::failed(format!("could not read the password from {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    match text.lines().next() {
        None | Some("") => Err(failed(&"its first line is empty")),
        Some(line) => Ok(line.to_string()),
    }
}

/// An environment variable; an empty one counts as not set.
fn variable(around: &Surroundings, name: &str) -> Result<Option<String>, Error> {
    match (around.variable)(name).filter(|value| !value.is_empty()).map(|value| value.into_string()) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(Error::usage(format!("the environment variable {name} is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const NO_LOGIN: LoginFlags = LoginFlags { user: None, password_file: None };

    fn check(to: &str) -> Result<Sink, Error> {
        let to: Vec<String> = to.split_whitespace().map(str::to_string).collect();
        sink(&to, &NO_LOGIN, &Surroundings::bare())
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
                "--to null is no sink (did you mean null:? a sink is http(s)://HOST:PORT, - for standard output, or null:)",
            ),
            (
                "stdout",
                "--to stdout is no sink (did you mean -? a sink is http(s)://HOST:PORT, - for standard output, or null:)",
            ),
            (
                "./out.json",
                "--to ./out.json is no sink (did you mean --to - > ./out.json? a sink is http(s)://HOST:PORT, - for standard output, or null:)",
            ),
            ("ftp://host", "--to ftp://host: documents go to http:// or https://, not to ftp://"),
            ("s3://u:secret@b", "--to s3://u:***@b: documents go to http:// or https://, not to s3://"),
            ("http://", "--to http://: this is not a valid URL (such as http://localhost:9200)"),
            ("http://:9200", "--to http://:9200: the host is missing (such as http://localhost:9200)"),
            (
                "http://h:99999",
                "--to http://h:99999: the port is not a number from 1 to 65535 (such as http://localhost:9200)",
            ),
            (
                "http://j:12/b@h",
                "--to http://j:***@h: there is no ? # or @ in an address's path (in a password they and / are written as \
                 %3F %23 %40 %2F, or it goes to --password-file)",
            ),
            ("http://h:", "--to http://h:: the port is not a number from 1 to 65535 (such as http://localhost:9200)"),
            (
                "http://j:p%@h",
                "--to http://j:***@h: a % in user or password is written as %25 (such as http://localhost:9200)",
            ),
            (
                "http://j:a?b@h",
                "--to http://j:***@h: there is no ? # or @ in an address's path (in a password they and / are written as \
                 %3F %23 %40 %2F, or it goes to --password-file)",
            ),
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
            let said = format!("{:?}", sink(&to, &NO_LOGIN, &Surroundings::bare()));
            assert!(!said.contains("sec"), "{said}");
        }
    }

    fn login(to: &str, flags: LoginFlags, around: &Surroundings) -> Result<Option<(String, String)>, String> {
        match sink(&[to.to_string()], &flags, around) {
            Ok(Sink::OpenSearch(server)) => Ok(server.login.map(|login| (login.user, login.password.0))),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn where_the_password_comes_from() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"from file\nnot this\n").unwrap();
        let flags = |user: Option<&str>, with_file: bool| LoginFlags {
            user: user.map(str::to_string),
            password_file: with_file.then(|| file.path().to_path_buf()),
        };
        let some = |user: &str, password: &str| Ok(Some((user.to_string(), password.to_string())));

        let bare = Surroundings::bare();
        assert_eq!(login("http://h", flags(None, false), &bare), Ok(None));
        assert_eq!(login("http://j%40x:p%3Aq@h", flags(None, false), &bare), some("j@x", "p:q"));
        assert_eq!(login("http://h", flags(Some("joe"), true), &bare), some("joe", "from file"));
        assert_eq!(login("http://joe@h", flags(None, true), &bare), some("joe", "from file"));
        assert_eq!(
            login("http://joe@h", flags(None, false), &bare).unwrap_err(),
            "there is no password for joe (put it into LOGHAUL_PASSWORD or a file named by --password-file)"
        );
        assert!(login("http://h", flags(None, true), &bare).is_err());
        assert!(login("http://joe:p@h", flags(None, true), &bare).is_err());
        assert!(login("http://joe:p@h", flags(Some("ann"), false), &bare).is_err());

        let asked = Surroundings { can_ask: true, ..Surroundings::bare() };
        assert_eq!(login("http://joe@h", flags(None, false), &asked), some("joe", "asked: Password of joe: "));

        let with = |pairs: &'static [(&str, &str)]| Surroundings {
            variable: Box::new(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())),
            ..Surroundings::bare()
        };
        let both = with(&[("LOGHAUL_PASSWORD", "ours"), ("OPENSEARCH_PASSWORD", "theirs")]);
        assert_eq!(login("http://joe@h", flags(None, false), &both), some("joe", "ours"));
        assert_eq!(login("http://joe@h", flags(None, true), &both), some("joe", "from file"));
        assert_eq!(login("http://h", flags(None, false), &both), Ok(None));
        let user = with(&[("LOGHAUL_USER", "env"), ("OPENSEARCH_PASSWORD", "theirs")]);
        assert_eq!(login("http://h", flags(None, false), &user), some("env", "theirs"));
        assert_eq!(login("http://h", flags(Some("joe"), false), &user), some("joe", "theirs"));
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
            assert_eq!(Server { urls: vec![url.into()], login: None }.is_near(), near, "{url}");
        }
    }
}
