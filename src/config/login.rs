//! [`login`]: with whose name we knock. Secrets come from the URL, a file, the environment, the command line or a prompt,
//! and are never shown.

use std::path::PathBuf;

use super::Surroundings;
use crate::aws::{self, Service, Signer};
use crate::cli::{AwsService, LoginFlags};
use crate::error::Error;
use crate::opensearch::{Auth, Login};
use crate::secret::Secret;

/// User and, if it is there, password out of a URL.
pub(super) type InUrl = Option<(String, Option<String>)>;

/// Who we are at this host, and what is worth a warning about how that was told.
///
/// # Errors
/// Words that contradict each other, or a secret that cannot be had.
pub(super) fn login(
    flags: &LoginFlags,
    in_url: InUrl,
    host: &str,
    around: &Surroundings,
) -> Result<(Option<Login>, Vec<String>), Error> {
    if flags.aws_sigv4 {
        if let Some((user, _)) = in_url {
            return Err(Error::usage(format!("there is a user in the URL of --to ({user}) and --aws-sigv4"))
                .hint("take one away"));
        }
        return Ok((Some(Login { auth: Auth::Sigv4(signer(flags, host)?), file: None }), Vec::new()));
    }
    if flags.aws_service.is_some() {
        return Err(Error::usage("--aws-service without --aws-sigv4").hint("--aws-sigv4 signs requests"));
    }
    if let Some((kind, file, in_environment)) = token(flags, around)? {
        if let (Some((user, _)), Some(_)) = (&in_url, &file) {
            return Err(Error::usage(format!("there is a user in the URL of --to ({user}) and a token or key"))
                .hint("take one away"));
        }
        // What stands in the environment is for whoever names nobody else.
        if file.is_some() || (in_url.is_none() && flags.user.is_none()) {
            let secret = match (&file, in_environment) {
                (Some(file), _) => Secret::from_file(file)?,
                (None, secret) => secret.expect("a token comes from a file or from the environment"),
            };
            return Ok((Some(Login { auth: kind(secret), file }), Vec::new()));
        }
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
        return match (&flags.password_file, &flags.password) {
            (None, None) => Ok((None, Vec::new())),
            (Some(_), _) => Err(Error::usage("--password-file without a user").hint("--user names it")),
            (None, Some(_)) => Err(Error::usage("--password without a user").hint("--user names it")),
        };
    };
    if user.is_empty() || user.contains(':') || user.contains(|c: char| c.is_control()) {
        // RFC 7617: the first colon ends the user's name.
        return Err(Error::usage("a user's name is not empty and has no colon and no control characters"));
    }
    let mut warnings = Vec::new();
    let password = password(&user, in_url.and_then(|(_, password)| password), flags, around, &mut warnings)?;
    if password.reveal().contains(|c: char| c.is_control()) {
        return Err(Error::usage(format!("the password of {user} has control characters")));
    }
    let login = Login { auth: Auth::Basic { user, password }, file: flags.password_file.clone() };
    Ok((Some(login), warnings))
}

/// The first flag of a login that was typed, for sinks that have no door.
pub(super) fn first_given(flags: &LoginFlags) -> Option<&'static str> {
    let given = [
        (flags.user.is_some(), "--user"),
        (flags.password_file.is_some(), "--password-file"),
        (flags.password.is_some(), "--password"),
        (flags.token_file.is_some(), "--token-file"),
        (flags.api_key_file.is_some(), "--api-key-file"),
        (flags.aws_sigv4, "--aws-sigv4"),
        (flags.aws_service.is_some(), "--aws-service"),
        (flags.ca.is_some(), "--ca"),
        (flags.client_cert.is_some(), "--client-cert"),
        (flags.insecure, "--insecure"),
    ];
    given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
}

/// AWS keys, for the service and the region that were typed or that the host's name tells.
fn signer(flags: &LoginFlags, host: &str) -> Result<Signer, Error> {
    let (service, region) = Service::of_host(host).unzip();
    let service = match flags.aws_service {
        Some(AwsService::Es) => Service::Es,
        Some(AwsService::Aoss) => Service::Aoss,
        None => service.unwrap_or(Service::Es),
    };
    let options = aws::Options { profile: flags.aws_profile.clone(), region: flags.aws_region.clone() };
    Signer::new(service, options, region)
}

/// What makes a login of a secret.
type Kind = fn(Secret) -> Auth;
/// The kind, and the file that holds the secret or the secret out of the environment.
type Token = (Kind, Option<PathBuf>, Option<Secret>);

fn token(flags: &LoginFlags, around: &Surroundings) -> Result<Option<Token>, Error> {
    let kinds: [(Kind, &Option<PathBuf>, &str); 2] =
        [(Auth::Bearer, &flags.token_file, "LOGHAUL_TOKEN"), (Auth::ApiKey, &flags.api_key_file, "LOGHAUL_API_KEY")];
    if let Some((kind, file, _)) = kinds.iter().find(|(_, file, _)| file.is_some()) {
        return Ok(Some((*kind, (*file).clone(), None)));
    }
    let mut found = None;
    for (kind, _, name) in kinds {
        if let Some(secret) = variable(around, name)? {
            if found.is_some() {
                return Err(Error::usage("LOGHAUL_TOKEN and LOGHAUL_API_KEY are both set").hint("unset one"));
            }
            if secret.contains(|c: char| c.is_control()) {
                return Err(Error::usage(format!("{name} has control characters")));
            }
            found = Some((kind, None, Some(Secret::new(secret))));
        }
    }
    Ok(found)
}

/// The nearest word wins: the URL, the file or the flag, then the environment, then the person.
fn password(
    user: &str,
    in_url: Option<String>,
    flags: &LoginFlags,
    around: &Surroundings,
    warnings: &mut Vec<String>,
) -> Result<Secret, Error> {
    let seen = |what: &str| {
        format!("{what} can be seen by other users of this machine (--password-file FILE or LOGHAUL_PASSWORD cannot)")
    };
    let both =
        |flag: &str| Error::usage(format!("there is a password in the URL of --to and a {flag}")).hint("take one away");
    match (in_url, flags.password_file.as_deref(), &flags.password) {
        (Some(_), Some(_), _) => return Err(both("--password-file")),
        (Some(_), _, Some(_)) => return Err(both("--password")),
        (Some(password), None, None) => {
            warnings.push(seen("a password in the URL"));
            return Ok(Secret::new(password));
        }
        (None, Some(file), _) => return Secret::from_file(file),
        (None, None, Some(typed)) => {
            warnings.push(seen("--password"));
            return Ok(Secret::new(typed));
        }
        (None, None, None) => {}
    }
    for name in ["LOGHAUL_PASSWORD", "OPENSEARCH_PASSWORD"] {
        if let Some(password) = variable(around, name)? {
            return Ok(Secret::new(password));
        }
    }
    if !around.can_ask {
        return Err(Error::usage(format!("there is no password for {user}"))
            .hint("put it into LOGHAUL_PASSWORD or a file named by --password-file"));
    }
    (around.ask_password)(&format!("Password of {user}: "))
        .map(Secret::new)
        .map_err(|error| Error::failed(format!("could not ask for the password of {user}: {error}")))
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
    use crate::config::sink::{Sink, sink};

    fn login(to: &str, flags: LoginFlags, around: &Surroundings) -> Result<Option<(String, String)>, String> {
        match sink(&[to.to_string()], &flags, around) {
            Ok(Sink::OpenSearch(server)) => Ok(server.login.map(|login| match login.auth {
                Auth::Basic { user, password } => (user, password.reveal().to_owned()),
                Auth::Bearer(token) => ("(token)".to_owned(), token.reveal().to_owned()),
                Auth::ApiKey(key) => ("(key)".to_owned(), key.reveal().to_owned()),
                Auth::Sigv4(_) => panic!("nobody asked for it"),
            })),
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
            ..LoginFlags::default()
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
    fn tokens_and_keys() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"sesame\n").unwrap();
        let path = || Some(file.path().to_path_buf());
        let token = LoginFlags { token_file: path(), ..LoginFlags::default() };
        let key = || LoginFlags { api_key_file: path(), ..LoginFlags::default() };
        let some = |kind: &str, secret: &str| Ok(Some((kind.to_owned(), secret.to_owned())));
        assert_eq!(login("https://h", token, &Surroundings::bare()), some("(token)", "sesame"));
        assert_eq!(login("https://h", key(), &Surroundings::bare()), some("(key)", "sesame"));
        assert!(login("https://joe@h", key(), &Surroundings::bare()).unwrap_err().contains("(joe) and a token or key"));

        let with = |pairs: &'static [(&str, &str)]| Surroundings {
            variable: Box::new(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())),
            ..Surroundings::bare()
        };
        let both = with(&[("LOGHAUL_TOKEN", "t"), ("LOGHAUL_API_KEY", "k")]);
        assert!(login("https://h", LoginFlags::default(), &both).is_err());
        assert_eq!(login("https://h", key(), &both), some("(key)", "sesame"));
        let token = with(&[("LOGHAUL_TOKEN", "t"), ("LOGHAUL_PASSWORD", "p")]);
        assert_eq!(login("https://h", LoginFlags::default(), &token), some("(token)", "t"));
        assert_eq!(login("https://joe@h", LoginFlags::default(), &token), some("joe", "p"));
    }
}
