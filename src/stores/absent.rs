//! What stands for object stores in a program that was built without them: nothing of it ever is.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::SystemTime;

use super::failure::Failure;
use super::location::Location;
use super::options::Options;
use crate::error::{Error, Result};

/// Whether nobody wants an answer any more.
pub type GivenUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// What cannot be.
#[derive(Debug, PartialEq, Eq)]
enum Never {}

/// No store.
#[derive(Debug)]
pub struct Stores(Never);

/// No object.
#[derive(Debug, PartialEq, Eq)]
pub struct Object(Never);

/// No bytes of it.
#[derive(Debug)]
pub struct Reading(Never);

/// None of them.
#[derive(Debug)]
pub struct Objects(Never);

impl Stores {
    /// # Errors
    /// Always: what this program lacks.
    pub fn new(_: Options, _: GivenUp) -> Result<Stores> {
        Err(Error::usage("this loghaul was built without object stores").hint(
            "build it with the cargo feature aws, which is on by default; or download the object and load the file",
        ))
    }

    #[allow(missing_docs, clippy::missing_errors_doc)]
    pub fn look(&self, _: &Location) -> Result<Object, Failure> {
        match self.0 {}
    }

    #[allow(missing_docs, clippy::missing_errors_doc)]
    pub fn list(&self, _: &Location) -> Result<Objects, Failure> {
        match self.0 {}
    }

    #[allow(missing_docs)]
    pub fn notices(&self) -> Vec<String> {
        match self.0 {}
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Object {
    pub fn location(&self) -> &Location {
        match self.0 {}
    }

    pub fn bytes(&self) -> u64 {
        match self.0 {}
    }

    pub fn modified(&self) -> SystemTime {
        match self.0 {}
    }

    pub fn tag(&self) -> String {
        match self.0 {}
    }

    pub fn delete(&self) -> Result<(), Failure> {
        match self.0 {}
    }

    pub fn move_below(&self, _: &str) -> Result<(), Failure> {
        match self.0 {}
    }

    pub fn begin(&self) {
        match self.0 {}
    }

    pub fn read_from(&self, _: u64) -> Reading {
        match self.0 {}
    }

    pub fn first_bytes(&self, _: usize) -> io::Result<Vec<u8>> {
        match self.0 {}
    }
}

impl Read for Reading {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl Iterator for Objects {
    type Item = Result<Object, Failure>;

    fn next(&mut self) -> Option<Result<Object, Failure>> {
        match self.0 {}
    }
}
