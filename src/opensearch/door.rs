//! [`Door`]: what is shown to one host with each request, so that it lets us in.

use std::sync::{PoisonError, RwLock};

use ring::digest;
use ureq::http::{HeaderName, HeaderValue, header};

use super::body::Body;
use super::fault::Fault;
use super::login::{Auth, Login};
use super::refusal::Refusal;
use crate::aws::{Complaint, Keys, Signable, Signer};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The shortest secret that is looked for in an answer. A shorter one is a word that may stand there by itself.
const HIDDEN_BYTES_MIN: usize = 8;

/// The login of one host, and the header made of it.
pub(super) struct Door {
    held: RwLock<Held>,
}

struct Held {
    login: Option<Login>,
    /// None for nobody, and for those who sign each request.
    header: Option<HeaderValue>,
}

/// What was shown with one request.
pub(super) struct Shown {
    pub headers: Vec<(HeaderName, HeaderValue)>,
    proof: Proof,
}

enum Proof {
    Nothing,
    Header(HeaderValue),
    Keys(Keys),
}

/// What a signature is about.
pub(super) struct Outgoing<'a> {
    pub method: &'a str,
    /// The whole URL, as it will be sent.
    pub url: &'a str,
    /// The `Host` header, as it will be sent.
    pub host: &'a str,
    pub content_type: Option<&'a str>,
    pub body: &'a Body<'a>,
}

impl Door {
    /// # Errors
    /// A secret that cannot stand in a header.
    pub fn new(login: Option<Login>) -> Result<Door> {
        let header = login.as_ref().map(header_of).transpose()?.flatten();
        Ok(Door { held: RwLock::new(Held { login, header }) })
    }

    /// Whether what is shown depends on the request. Then its query must be written as signatures have it.
    pub fn signs(&self) -> bool {
        self.signer().is_some()
    }

    fn signer(&self) -> Option<Signer> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match &held.login {
            Some(Login { auth: Auth::Sigv4(signer), .. }) => Some(signer.clone()),
            _ => None,
        }
    }

    /// What to show with this request, now. Keys that are about to end are renewed first.
    ///
    /// # Errors
    /// There are no keys any more.
    pub fn show(&self, request: &Outgoing<'_>) -> Result<Shown, Fault> {
        let Some(signer) = self.signer() else {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            return Ok(match &held.header {
                Some(value) => {
                    Shown { headers: vec![(header::AUTHORIZATION, value.clone())], proof: Proof::Header(value.clone()) }
                }
                None => Shown { headers: Vec::new(), proof: Proof::Nothing },
            });
        };
        let no_keys = |error: Error| Fault::NoKeys(error.to_string());
        let keys = signer.keys().map_err(no_keys)?;
        let signable = Signable {
            method: request.method,
            url: request.url,
            host: request.host,
            content_type: request.content_type,
            body_sha256: &sha256(request.body),
        };
        let headers = signer.headers(&signable, &keys).map_err(no_keys)?;
        let headers = headers.into_iter().map(|(name, value)| Ok((HeaderName::from_static(name), header(&value)?)));
        Ok(Shown { headers: headers.collect::<Result<_>>().map_err(no_keys)?, proof: Proof::Keys(keys) })
    }

    /// After the server answered `refusal` to what was shown: whether there is something else to show by now. The file
    /// that a secret came from is looked at once (who changes a password writes it there first and tells the server
    /// then); AWS keys are asked for anew.
    pub fn renew(&self, shown: &Shown, refusal: &Refusal) -> bool {
        if let Proof::Keys(keys) = &shown.proof {
            return refusal.complaint().is_some_and(Complaint::is_about_keys)
                && self.signer().is_some_and(|signer| signer.renew(keys));
        }
        if refusal.status != 401 {
            return false;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let was_shown = match &shown.proof {
            Proof::Header(value) => Some(value),
            Proof::Nothing | Proof::Keys(_) => None,
        };
        if held.header.as_ref() != was_shown {
            return true; // another writer was here first
        }
        let Some(login) = held.login.as_ref().and_then(Login::renewed) else { return false };
        let Ok(header) = header_of(&login) else { return false };
        *held = Held { login: Some(login), header };
        true
    }

    /// Overwrites our secrets in an answer that says no: some servers repeat what they were sent, signed headers and all.
    pub fn hide_secrets(&self, shown: &Shown, answer: &mut [u8]) {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let of_login = match held.login.as_ref().map(|login| &login.auth) {
            Some(Auth::Basic { password: secret, .. } | Auth::Bearer(secret) | Auth::ApiKey(secret)) => Some(secret),
            Some(Auth::Sigv4(_)) | None => None,
        };
        let of_keys = match &shown.proof {
            Proof::Keys(keys) => [Some(&keys.secret_access_key), keys.session_token.as_ref()],
            Proof::Header(_) | Proof::Nothing => [None, None],
        };
        let in_headers = shown.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        // Without its scheme, too.
        let in_headers = in_headers.filter_map(|value| value.rsplit_once(' ')).map(|(_, value)| value);
        let secrets = of_login.into_iter().chain(of_keys.into_iter().flatten()).map(Secret::reveal).chain(in_headers);
        for secret in secrets.filter(|secret| secret.len() >= HIDDEN_BYTES_MIN) {
            hide(secret.as_bytes(), answer);
        }
    }
}

fn hide(secret: &[u8], answer: &mut [u8]) {
    let finder = memchr::memmem::Finder::new(secret);
    let mut from = 0;
    while let Some(found) = finder.find(&answer[from..]) {
        answer[from + found..][..secret.len()].fill(b'*');
        from += found + secret.len();
    }
}

fn sha256(body: &Body<'_>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    body.slices().for_each(|slice| context.update(slice));
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header_of(login: &Login) -> Result<Option<HeaderValue>> {
    login.auth.header().as_ref().map(header).transpose()
}

fn header(value: &Secret) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(value.reveal())
        .map_err(|_| Error::usage("the token or key holds characters that cannot stand in an HTTP header"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_an_answer_are_overwritten() {
        let login =
            Login { auth: Auth::Basic { user: "joe".into(), password: Secret::new("open-sesame") }, file: None };
        let door = Door::new(Some(login)).unwrap();
        let nothing = Body::of(&[]);
        let request = Outgoing { method: "GET", url: "http://h/", host: "h", content_type: None, body: &nothing };
        let shown = door.show(&request).unwrap();
        let mut answer = b"joe:open-sesame, am9lOm9wZW4tc2VzYW1l, open-sesame, open".to_vec();
        door.hide_secrets(&shown, &mut answer);
        assert_eq!(String::from_utf8(answer).unwrap(), "joe:***********, ********************, ***********, open");
    }
}
