//! [`LinesFile`]: an NDJSON file of lines that need somebody's attention, with a cap.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, io_reason};

/// An NDJSON file that grows by whole lines, up to a limit.
#[derive(Debug)]
pub struct LinesFile {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    bytes_max: u64,
    /// Lines that were left out because of the limit.
    left_out: u64,
}

impl LinesFile {
    /// Makes an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn create(path: &Path, bytes_max: u64) -> Result<LinesFile> {
        let file = File::create(path).map_err(|error| {
            Error::failed(format!("cannot open {} for writing: {}", path.display(), io_reason(&error)))
        })?;
        Ok(LinesFile { path: path.to_owned(), file: BufWriter::new(file), bytes: 0, bytes_max, left_out: 0 })
    }

    /// Adds whole lines, as many as the limit allows.
    ///
    /// # Errors
    /// If they cannot be written (a full disk): then the run should end, for what it promised to keep it cannot.
    pub fn write(&mut self, lines: &[u8]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.bytes + lines.len() as u64 > self.bytes_max {
            self.left_out += memchr::memchr_iter(b'\n', lines).count() as u64;
            return Ok(());
        }
        self.bytes += lines.len() as u64;
        self.file.write_all(lines).map_err(|error| failed(&self.path, &error))
    }

    /// Writes out what is buffered and makes it durable. Gives the number of lines left out because of the limit.
    ///
    /// # Errors
    /// As [`LinesFile::write`].
    pub fn finish(mut self) -> Result<u64> {
        let written = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        match written {
            Ok(()) => Ok(self.left_out),
            // A pipe or /dev/stderr cannot be synced, and need not be.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(self.left_out),
            Err(error) => Err(failed(&self.path, &error)),
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::stopped(format!("cannot write to {}: {}", path.display(), io_reason(error)))
        .hint("make room or name another file, then run the same load again")
}
