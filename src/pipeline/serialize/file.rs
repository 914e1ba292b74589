//! [`FileFacts`]: what a document needs to know of the file that its line comes from.

use std::sync::atomic::{AtomicU8, Ordering};

use super::plan::Plan;
use crate::pipeline::parse::Format;

/// What all lines of a file share.
#[derive(Debug)]
pub struct FileFacts {
    /// Path or URI as people see it: `log.file.path`, and `source` of malformed lines.
    pub uri: String,
    /// See [`identity`](super::identity).
    pub identity: [u8; 8],
    /// The format was guessed, and may be guessed again.
    pub guessed: bool,
    /// A [`Format`]; workers that see most lines of a chunk fail may change it.
    format: AtomicU8,
    /// The end of each of its documents.
    pub(super) tail: Vec<u8>,
}

impl FileFacts {
    /// A file of a run. `guessed` allows the format to change. `s3` is bucket and key of an S3 source.
    pub fn new(
        plan: &Plan,
        uri: impl Into<String>,
        identity: [u8; 8],
        format: Format,
        guessed: bool,
        s3: Option<(&str, &str)>,
    ) -> FileFacts {
        let uri = uri.into();
        let tail = plan.tail(&uri, s3);
        FileFacts { uri, identity, guessed, format: AtomicU8::new(format as u8), tail }
    }

    /// The file's format, as it is known by now.
    pub fn format(&self) -> Format {
        Format::ALL[self.format.load(Ordering::Relaxed) as usize]
    }

    pub(super) fn set_format(&self, format: Format) {
        self.format.store(format as u8, Ordering::Relaxed);
    }
}
