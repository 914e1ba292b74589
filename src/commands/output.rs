//! Standard output, where somebody may or may not read it.

use std::io::{self, Write};

use crate::error::{Error, Result, io_reason};
use crate::escape::Safe;

/// Writes text for people, without what would move their cursor.
///
/// # Errors
/// As [`bytes`].
pub fn text(text: impl AsRef<[u8]>) -> Result<()> {
    write(Safe::text(io::stdout().lock()), text.as_ref())
}

/// Writes JSON, which stays JSON.
///
/// # Errors
/// As [`bytes`].
pub fn json(text: impl AsRef<[u8]>) -> Result<()> {
    write(Safe::json(io::stdout().lock()), text.as_ref())
}

/// Writes all of it as it is. That the reader has gone when it has seen enough is no failure.
///
/// # Errors
/// It cannot be written for another reason.
pub fn bytes(bytes: impl AsRef<[u8]>) -> Result<()> {
    write(io::stdout().lock(), bytes.as_ref())
}

fn write(mut out: impl Write, bytes: &[u8]) -> Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write to standard output: {}", io_reason(&error))))
        }
        _ => Ok(()),
    }
}
