//! [`Login`]: who we are to the server. What proves it is a [`Secret`], which nothing ever shows.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;

use crate::error::{Error, Result, io_reason};

/// The longest first line of a file that can be a secret, in bytes. Tokens with many claims reach some kilobytes.
const SECRET_BYTES_MAX: usize = 64 << 10;

/// Who we are, and where that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What is shown to the server.
    pub auth: Auth,
    /// The file that the secret was read from. Where the server stops accepting it, the file is looked at again: short
    /// lived tokens and passwords that are changed in the middle of a long load come in this way.
    pub file: Option<PathBuf>,
}

impl Login {
    /// What the file holds now, if that is another secret than ours.
    pub fn renewed(&self) -> Option<Login> {
        // A named pipe is read once; opened again, it would keep us waiting for a writer.
        let file = self.file.as_deref().filter(|file| file.is_file())?;
        let secret = Secret::from_file(file).ok()?;
        let auth = self.auth.with(secret);
        (auth != self.auth).then(|| Login { auth, file: self.file.clone() })
    }
}

/// Who we are to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// User and password.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token (JWT, OpenID Connect).
    Bearer(Secret),
    /// An API key in the form the server printed it (base64 of `id:key`).
    ApiKey(Secret),
}

impl Auth {
    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> Secret {
        Secret::new(match self {
            Auth::Basic { user, password } => {
                let pair = format!("{user}:{}", password.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Auth::Bearer(token) => format!("Bearer {}", token.reveal()),
            Auth::ApiKey(key) => format!("ApiKey {}", key.reveal()),
        })
    }

    /// The same name with another secret.
    fn with(&self, secret: Secret) -> Auth {
        match self {
            Auth::Basic { user, .. } => Auth::Basic { user: user.clone(), password: secret },
            Auth::Bearer(_) => Auth::Bearer(secret),
            Auth::ApiKey(_) => Auth::ApiKey(secret),
        }
    }

    /// How to name us in a sentence: `user "writer"`, `the bearer token`.
    pub fn who(&self) -> String {
        match self {
            Auth::Basic { user, .. } => format!("user {user:?}"),
            Auth::Bearer(_) => "the bearer token".to_owned(),
            Auth::ApiKey(_) => "the API key".to_owned(),
        }
    }
}

/// Text that is never shown: neither by `Debug` nor by `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it in.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The first line of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or whose first line is empty, too long or not text.
    pub fn from_file(path: &Path) -> Result<Secret> {
        let failed = |why: &str| Error::failed(format!("could not read a secret from {}: {why}", path.display()));
        let text = fs::read(path).map_err(|error| failed(&io_reason(&error)))?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > SECRET_BYTES_MAX {
            return Err(failed("its first line is too long for one"));
        }
        match std::str::from_utf8(line) {
            Ok("") => Err(failed("its first line is empty")),
            Ok(line) if line.contains(|c: char| c.is_control()) => Err(failed("its first line has control characters")),
            Ok(line) => Ok(Secret::new(line)),
            Err(_) => Err(failed("its first line is not UTF-8")),
        }
    }

    /// The text itself: for headers only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_a_file() {
        let check = |bytes: &[u8], expected: std::result::Result<&str, &str>| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            match (Secret::from_file(file.path()), expected) {
                (Ok(secret), Ok(text)) => assert_eq!(secret.reveal(), text),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, _) => panic!("{expected:?}: {got:?}"),
            }
        };
        check(b"sesame", Ok("sesame"));
        check(b"sesame\nnot this\n", Ok("sesame"));
        check(b"sesame\r\n", Ok("sesame"));
        check("s\u{e9}same".as_bytes(), Ok("s\u{e9}same"));
        check(b"", Err("its first line is empty"));
        check(b"\nsesame", Err("its first line is empty"));
        check(b"\xff", Err("not UTF-8"));
        check(b"ses\0ame", Err("control characters"));
        check(&[b'x'; SECRET_BYTES_MAX + 1], Err("too long"));
        assert!(Secret::from_file(Path::new("/nowhere/at/all")).unwrap_err().to_string().contains("no such file"));
    }

    #[test]
    fn a_changed_file_renews_the_login() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("old\n");
        let login = Login {
            auth: Auth::Basic { user: "joe".to_owned(), password: Secret::from_file(file.path()).unwrap() },
            file: Some(file.path().to_owned()),
        };
        assert_eq!(login.renewed(), None);
        write("new\n");
        assert_eq!(login.renewed().unwrap().auth.header().reveal(), "Basic am9lOm5ldw==");
        write("");
        assert_eq!(login.renewed(), None, "half written");
        assert_eq!(Login { file: None, ..login }.renewed(), None);
    }

    #[test]
    fn nothing_shows_a_secret() {
        let login = Login { auth: Auth::Bearer(Secret::new("sesame")), file: None };
        assert!(!format!("{login:?}").contains("sesame"));
    }
}
