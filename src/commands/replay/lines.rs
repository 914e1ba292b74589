//! [`Lines`]: the lines of a file of dead letters, plain, gzip or zstd, with a limit on how much is held.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::pipeline::decode;

/// The longest line that is held, in bytes: a log line of 16 MiB, each byte of it escaped, several times over.
const LINE_BYTES_MAX: u64 = 256 << 20;
const READ_BYTES: usize = 256 << 10;

/// Reads line by line.
pub struct Lines {
    input: Box<dyn BufRead>,
    line_bytes_max: u64,
    /// How many were read.
    number: u64,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By a newline.
    Newline,
    /// By the end of the file: it may be half a line.
    File,
    /// It is longer than is held; only its start was given.
    TooLong,
}

impl Lines {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// If it cannot be opened or is no file.
    pub fn open(path: &Path) -> io::Result<Lines> {
        if path == Path::new("-") {
            return Lines::of(io::stdin(), LINE_BYTES_MAX);
        }
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        Lines::of(file, LINE_BYTES_MAX)
    }

    fn of(input: impl Read + Send + 'static, line_bytes_max: u64) -> io::Result<Lines> {
        let peeked = decode::peek(input, || false)?;
        let encoding = decode::encoding(peeked.start());
        let input = Box::new(BufReader::with_capacity(READ_BYTES, decode::decoder(encoding, peeked)?));
        Ok(Lines { input, line_bytes_max, number: 0 })
    }

    /// Puts the next line into `line`, without its newline. `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read, or is a damaged archive.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<End>> {
        line.clear();
        (&mut self.input).take(self.line_bytes_max + 1).read_until(b'\n', line)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if line.pop_if(|last| *last == b'\n').is_some() {
            // Some editors begin a file so.
            if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            return Ok(Some(End::Newline));
        }
        if line.len() as u64 > self.line_bytes_max {
            self.input.skip_until(b'\n')?;
            return Ok(Some(End::TooLong));
        }
        Ok(Some(End::File))
    }

    /// The number of the last line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(input: &[u8], expected: &[(&str, End)]) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(input).unwrap();
        for bytes in [input.to_vec(), gzip.finish().unwrap(), zstd::encode_all(input, 1).unwrap()] {
            let mut lines = Lines::of(io::Cursor::new(bytes), 10).unwrap();
            let (mut line, mut found) = (Vec::new(), Vec::new());
            while let Some(end) = lines.next(&mut line).unwrap() {
                found.push((String::from_utf8(line.clone()).unwrap(), end));
            }
            let expected: Vec<_> = expected.iter().map(|(line, end)| ((*line).to_owned(), *end)).collect();
            assert_eq!(found, expected);
            assert_eq!(lines.number(), expected.len() as u64);
        }
    }

    #[test]
    fn lines() {
        use End::{File, Newline, TooLong};
        check(b"", &[]);
        check(b"a\n\nbc\n", &[("a", Newline), ("", Newline), ("bc", Newline)]);
        check(b"a\nb", &[("a", Newline), ("b", File)]);
        check(b"0123456789\nx\n", &[("0123456789", Newline), ("x", Newline)]);
        check(b"01234567890\nx\n", &[("01234567890", TooLong), ("x", Newline)]);
        check(b"012345678901234567890123456789\nx", &[("01234567890", TooLong), ("x", File)]);
        check(b"01234567890", &[("01234567890", TooLong)]);
        check(b"\xef\xbb\xbfa\nb\n", &[("a", Newline), ("b", Newline)]);
    }

    #[test]
    fn a_damaged_archive_gives_what_comes_before() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\nb\n").unwrap();
        let mut bytes = gzip.finish().unwrap();
        bytes.truncate(bytes.len() - 6);
        let mut lines = Lines::of(io::Cursor::new(bytes), 10).unwrap();
        let mut line = Vec::new();
        assert_eq!(lines.next(&mut line).unwrap(), Some(End::Newline));
        assert_eq!(lines.next(&mut line).unwrap(), Some(End::Newline));
        assert!(lines.next(&mut line).is_err());
    }
}
