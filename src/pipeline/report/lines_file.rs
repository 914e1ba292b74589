//! [`LinesFile`]: an NDJSON file of lines that need somebody's attention, with a cap.
//!
//! A run may not say that a line is settled before the line is safe here, so whoever stores watermarks holds a second
//! handle, and calls [`LinesFile::sync`] first. A run that goes on after it was killed cuts the file back to the length
//! that was stored with the watermark, or the lines behind it would be there twice.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result, io_reason};

/// An NDJSON file that grows by whole lines, up to a limit. Clones are handles of the same file.
#[derive(Clone, Debug)]
pub struct LinesFile {
    path: Arc<Path>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Whole lines that are not written yet.
    pending: Vec<u8>,
    /// The file's length: whole lines, all written.
    bytes: u64,
    bytes_max: u64,
    /// Lines that were left out because of the limit.
    left_out: u64,
    /// What was written since the last sync.
    unsynced: bool,
    /// The first failure. After it the file takes nothing more and nobody may build on it: a line is lost.
    broken: Option<Error>,
}

/// How much is gathered before it is written, in bytes.
const PENDING_BYTES: usize = 64 << 10;

impl Inner {
    /// Writes out what is pending. On a failure, such as a full disk, the file is cut back to its last whole line.
    fn flush(&mut self, path: &Path) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if let Err(error) = self.file.write_all(&self.pending) {
            let _ = self.file.set_len(self.bytes); // a pipe cannot be cut, and need not be
            return Err(self.broken.insert(failed("write to", path, &error)).clone());
        }
        self.bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

impl LinesFile {
    /// Opens the file to add lines at its end; makes it where there is none.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn open(path: &Path, bytes_max: u64) -> Result<LinesFile> {
        let file =
            OpenOptions::new().append(true).create(true).open(path).map_err(|error| failed("open", path, &error))?;
        let bytes = file.metadata().map_err(|error| failed("open", path, &error))?.len();
        let inner = Inner { file, pending: Vec::new(), bytes, bytes_max, left_out: 0, unsynced: false, broken: None };
        Ok(LinesFile { path: path.into(), inner: Arc::new(Mutex::new(inner)) })
    }

    /// The same from nothing: what is there is thrown away.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn create(path: &Path, bytes_max: u64) -> Result<LinesFile> {
        LinesFile::open_cut_back(path, bytes_max, 0)
    }

    /// The same for a run that goes on: what lies behind `bytes` is cut off, for it will be written again.
    ///
    /// # Errors
    /// If it cannot be opened or cut.
    pub fn open_cut_back(path: &Path, bytes_max: u64, bytes: u64) -> Result<LinesFile> {
        let opened = LinesFile::open(path, bytes_max)?;
        {
            let mut inner = opened.lock();
            let file = &inner.file;
            // A pipe or a device keeps nothing that could be cut.
            let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
            if regular && inner.bytes > bytes {
                file.set_len(bytes).map_err(|error| failed("cut back", path, &error))?;
                inner.bytes = bytes;
            }
        }
        Ok(opened)
    }

    /// The same behind what is there already, for a run of its own that goes on from watermarks of an earlier one: what
    /// that one has settled is not read again, so its lines are kept nowhere else. A half line at the end, of a process
    /// that was killed while it wrote, is cut off.
    ///
    /// # Errors
    /// If it cannot be opened, read or cut.
    pub fn open_behind(path: &Path, bytes_max: u64) -> Result<LinesFile> {
        let whole = match File::open(path) {
            Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                whole_lines_bytes(&file).map_err(|error| failed("open", path, &error))?
            }
            // Not there yet, or nothing that could be cut.
            _ => u64::MAX,
        };
        LinesFile::open_cut_back(path, bytes_max, whole)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds whole lines, as many as the limit allows.
    ///
    /// # Errors
    /// If they cannot be written (a full disk): then the run should end, for what it promised to keep it cannot.
    pub fn write(&self, lines: &[u8]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        if inner.bytes + (inner.pending.len() + lines.len()) as u64 > inner.bytes_max {
            inner.left_out += memchr::memchr_iter(b'\n', lines).count() as u64;
            return Ok(());
        }
        inner.unsynced = true;
        inner.pending.extend_from_slice(lines);
        if inner.pending.len() < PENDING_BYTES { Ok(()) } else { inner.flush(&self.path) }
    }

    /// Makes everything written so far durable. Gives the file's length in bytes.
    ///
    /// # Errors
    /// As [`LinesFile::write`].
    pub fn sync(&self) -> Result<u64> {
        let mut inner = self.lock();
        if inner.unsynced {
            inner.flush(&self.path)?;
            match inner.file.sync_data() {
                Ok(()) => {}
                // A pipe or /dev/stderr cannot be synced, and need not be.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {}
                Err(error) => return Err(inner.broken.insert(failed("write to", &self.path, &error)).clone()),
            }
            inner.unsynced = false;
        }
        Ok(inner.bytes)
    }

    /// Whether a line was left out because of the limit.
    pub fn is_incomplete(&self) -> bool {
        self.lock().left_out > 0
    }

    /// Makes everything durable for the last time. Gives the number of lines left out because of the limit.
    ///
    /// # Errors
    /// As [`LinesFile::write`].
    pub fn finish(self) -> Result<u64> {
        self.sync()?;
        Ok(self.lock().left_out)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the last whole line of a file ends.
fn whole_lines_bytes(file: &File) -> std::io::Result<u64> {
    let mut block = [0; 64 << 10];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let bytes = &mut block[..(end - start) as usize];
        file.read_exact_at(bytes, start)?;
        if let Some(at) = memchr::memrchr(b'\n', bytes) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    let message = format!("cannot {what} {}: {}", path.display(), io_reason(error));
    match what {
        // Before the first byte is read: nothing that could go on.
        "open" => Error::failed(message),
        _ => Error::stopped(message)
            .hint("make room, then go on with --resume; without a ledger, run the same load again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_nobody_is_told_that_lines_are_safe() {
        let full = LinesFile::open(Path::new("/dev/full"), u64::MAX).unwrap();
        let line = vec![b'x'; PENDING_BYTES];
        let error = full.write(&line).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Stopped);
        assert_eq!(full.sync(), Err(error.clone()));
        assert_eq!(full.write(&line), Err(error.clone()));
        assert_eq!(full.finish(), Err(error));
    }

    #[test]
    fn lines_are_kept_up_to_the_limit_and_cut_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.ndjson");
        let lines = LinesFile::open(&path, 10).unwrap();
        lines.write(b"a\nb\n").unwrap();
        assert_eq!(lines.clone().sync(), Ok(4));
        lines.write(b"1234567\n8\n").unwrap();
        lines.write(b"cdefg\n").unwrap();
        assert_eq!(lines.finish(), Ok(2));
        assert_eq!(std::fs::read(&path).unwrap(), b"a\nb\ncdefg\n");
        let lines = LinesFile::open_cut_back(&path, 10, 4).unwrap();
        lines.write(b"c\n").unwrap();
        assert_eq!(lines.sync(), Ok(6));
        assert_eq!(std::fs::read(&path).unwrap(), b"a\nb\nc\n");
        assert_eq!(LinesFile::open_cut_back(&path, 10, 400).unwrap().sync(), Ok(6), "a shorter file is left alone");
    }

    #[test]
    fn a_run_of_its_own_begins_behind_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.ndjson");
        let long = "x".repeat(70_000);
        for (there, kept) in [
            ("", ""),
            ("a\n", "a\n"),
            ("a\nhal", "a\n"),
            ("hal", ""),
            (&*format!("a\n{long}"), "a\n"),
            (&*format!("{long}\n"), &*format!("{long}\n")),
        ] {
            std::fs::write(&path, there).unwrap();
            let lines = LinesFile::open_behind(&path, u64::MAX).unwrap();
            lines.write(b"new\n").unwrap();
            lines.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{kept}new\n"));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(LinesFile::open_behind(&path, 10).unwrap().sync(), Ok(0), "or makes it");
    }
}
