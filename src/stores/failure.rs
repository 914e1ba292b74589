//! [`Failure`]: why an object cannot be read, in the shape in which readers hand errors on.

use std::fmt;
use std::io;

/// What an object has become, as far as it decides how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not there any more.
    Gone,
    /// It lies in an archive, and has to be restored before it can be read.
    Archived,
    /// It is another by now.
    Changed,
    /// It cannot be read, or not on.
    Failed,
}

/// Why an object cannot be read: what was tried, and what to do. One sentence without a final stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it is counted.
    pub kind: Kind,
    /// The sentence.
    pub why: String,
}

impl Failure {
    /// One that is counted as failed.
    pub fn new(why: impl Into<String>) -> Failure {
        Failure { kind: Kind::Failed, why: why.into() }
    }

    /// The failure in an error that a reader gave.
    pub fn of(error: &io::Error) -> Option<&Failure> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::other(failure)
    }
}
