//! Names for a build without the feature `aws`. None of these can be made, so nothing else can be called.

use super::{Keys, Options, Service, Signable};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What is told instead.
fn lacking() -> Error {
    Error::usage("this loghaul was built without AWS (the cargo feature `aws`)").hint("take one that was built with it")
}

/// Cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Never {}

/// Cannot be.
#[derive(Debug)]
pub struct Chain(Never);

/// Cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer(Never);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Chain {
    pub fn new(_: Options) -> Result<Chain> {
        Err(lacking())
    }

    pub fn region(&self) -> Option<&str> {
        match self.0 {}
    }

    pub fn keys(&self) -> Result<Keys> {
        match self.0 {}
    }

    pub fn renew(&self, _: &Keys) -> bool {
        match self.0 {}
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Signer {
    pub fn new(_: Service, _: Options, _: Option<&str>) -> Result<Signer> {
        Err(lacking())
    }

    pub fn service(&self) -> Service {
        match self.0 {}
    }

    pub fn keys(&self) -> Result<Keys> {
        match self.0 {}
    }

    pub fn renew(&self, _: &Keys) -> bool {
        match self.0 {}
    }

    pub fn headers(&self, _: &Signable<'_>, _: &Keys) -> Result<Vec<(&'static str, Secret)>> {
        match self.0 {}
    }
}
