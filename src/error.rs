//! A failed operation: what was tried, on what, why it failed, and what to do next.
//!
//! Bad data is never an `Error` (it is counted), and our own mistakes are assertions. What is left,
//! servers, files and flags, becomes one of these; its kind decides the exit code.

use std::fmt;

/// Which exit code an [`Error`] leads to, if it ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong: exit code 2.
    Usage,
    /// Stopped early; the same load can go on later: exit code 4.
    Stopped,
    /// It could not be done: exit code 1.
    Failed,
}

/// A failed operation, told in one sentence, with a hint where one helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What it means for the run.
    pub kind: Kind,
    /// What was tried, on what, and why it failed. One sentence without a final stop, no secrets, already escaped.
    pub message: String,
    /// What the user can do next. One sentence without a final stop.
    pub hint: Option<String>,
}

/// The result of something that leaves the process.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Error {
        Error { kind: Kind::Usage, message: message.into(), hint: None }
    }

    /// It could not be done.
    pub fn failed(message: impl Into<String>) -> Error {
        Error { kind: Kind::Failed, message: message.into(), hint: None }
    }

    /// Stopped early; what was done is safe, and the load can go on later.
    pub fn stopped(message: impl Into<String>) -> Error {
        Error { kind: Kind::Stopped, message: message.into(), hint: None }
    }

    /// Adds what the user can do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// The process's exit code if this error ends it: 2, 4 or 1.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Stopped => 4,
            Kind::Failed => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// What the system says, in its own words and without the number that Rust adds.
pub fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => lower_first(reason),
        None => text,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
