//! [`Sink`]: where documents go, and with whose name. Passwords come from the URL, a file, the environment or a prompt,
//! and are never shown.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::Surroundings;
use crate::cli::LoginFlags;
use crate::error::Error;
use crate::opensearch::Address;
use crate::opensearch::address::is_private;

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
    /// Whose signature is trusted, instead of what the system says.
    pub ca: Option<PathBuf>,
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
    /// Whether every host, by its name or number alone, is this machine or one of its private network.
    pub fn is_near(&self) -> bool {
        self.urls.iter().filter_map(|url| Address::parse(url).ok()).all(|address| {
            let number = address.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            address.is_loopback() || number.is_ok_and(is_private)
        })
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
            None => Ok(Server { urls, login: None, ca: flags.ca.clone() }),
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
    Ok(Server { urls, login: Some(Login { user, password: Password(password) }), ca: flags.ca.clone() })
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

    const NO_LOGIN: LoginFlags = LoginFlags { user: None, password_file: None, ca: None };

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
            ca: None,
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
            assert_eq!(Server { urls: vec![url.into()], login: None, ca: None }.is_near(), near, "{url}");
        }
    }
}
