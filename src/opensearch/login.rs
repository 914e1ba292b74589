//! [`Login`]: who we are to the server. What proves it is a [`Secret`], which nothing ever shows.

use std::path::PathBuf;

use base64::Engine as _;

use crate::aws::{Service, Signer};
use crate::secret::Secret;

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
    /// AWS keys, with which each request is signed.
    Sigv4(Signer),
}

impl Auth {
    /// The value of the `Authorization` header, where it is the same for all requests.
    pub(super) fn header(&self) -> Option<Secret> {
        Some(Secret::new(match self {
            Auth::Basic { user, password } => {
                let pair = format!("{user}:{}", password.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Auth::Bearer(token) => format!("Bearer {}", token.reveal()),
            Auth::ApiKey(key) => format!("ApiKey {}", key.reveal()),
            Auth::Sigv4(_) => return None,
        }))
    }

    /// The same name with another secret.
    fn with(&self, secret: Secret) -> Auth {
        match self {
            Auth::Basic { user, .. } => Auth::Basic { user: user.clone(), password: secret },
            Auth::Bearer(_) => Auth::Bearer(secret),
            Auth::ApiKey(_) => Auth::ApiKey(secret),
            Auth::Sigv4(signer) => Auth::Sigv4(signer.clone()),
        }
    }

    /// Whether requests are signed for Amazon OpenSearch Serverless.
    pub fn is_serverless(&self) -> bool {
        matches!(self, Auth::Sigv4(signer) if signer.service() == Service::Aoss)
    }

    /// How to name us in a sentence: `user "writer"`, `the bearer token`.
    pub fn who(&self) -> String {
        match self {
            Auth::Basic { user, .. } => format!("user {user:?}"),
            Auth::Bearer(_) => "the bearer token".to_owned(),
            Auth::ApiKey(_) => "the API key".to_owned(),
            Auth::Sigv4(_) => "the AWS identity".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(login.renewed().unwrap().auth.header().unwrap().reveal(), "Basic am9lOm5ldw==");
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
