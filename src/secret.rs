//! [`Secret`]: a password, a token or a key. Nothing ever shows one.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result, io_reason};

/// The longest first line of a file that can be a secret, in bytes. Tokens with many claims reach some kilobytes.
const SECRET_BYTES_MAX: usize = 64 << 10;

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
}
