//! [`Door`]: what is shown to one host with each request, so that it lets us in.

use std::sync::{PoisonError, RwLock};

use ureq::http::HeaderValue;

use super::login::{Login, Secret};
use crate::error::{Error, Result};

/// The login of one host and the header made of it.
pub(super) struct Door {
    held: RwLock<Held>,
}

struct Held {
    login: Option<Login>,
    header: Option<HeaderValue>,
}

impl Door {
    /// # Errors
    /// A secret that cannot stand in a header.
    pub fn new(login: Option<Login>) -> Result<Door> {
        let header = login.as_ref().map(header).transpose()?;
        Ok(Door { held: RwLock::new(Held { login, header }) })
    }

    /// The `Authorization` header as it is now.
    pub fn header(&self) -> Option<HeaderValue> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).header.clone()
    }

    /// After the server did not accept `shown`: whether there is another header by now. The file that the secret came
    /// from is looked at once; who changes a password writes it there first and tells the server then.
    pub fn renew(&self, shown: Option<&HeaderValue>) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.header.as_ref() != shown {
            return true; // another writer was here first
        }
        let Some(login) = held.login.as_ref().and_then(Login::renewed) else { return false };
        let Ok(header) = header(&login) else { return false };
        *held = Held { login: Some(login), header: Some(header) };
        true
    }
}

fn header(login: &Login) -> Result<HeaderValue> {
    let value: Secret = login.auth.header();
    let mut header = HeaderValue::from_str(value.reveal())
        .map_err(|_| Error::usage("the token or key holds characters that cannot stand in an HTTP header"))?;
    header.set_sensitive(true);
    Ok(header)
}
