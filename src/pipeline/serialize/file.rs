//! [`FileFacts`]: what a document needs to know of the file that its line comes from.

use std::sync::atomic::{AtomicU8, Ordering};

use super::plan::Plan;
use crate::pipeline::parse::Format;

/// Tails of up to so many bytes are stored at once, as wide as this.
pub(super) const TAIL_BYTES: usize = 128;

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
    /// The end of each of its documents, padded to [`TAIL_BYTES`] at least.
    pub(super) tail: Vec<u8>,
    /// How much of it counts.
    pub(super) tail_len: usize,
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
        let mut tail = plan.tail(&uri, s3);
        let tail_len = tail.len();
        tail.resize(tail_len.max(TAIL_BYTES), 0);
        FileFacts { uri, identity, guessed, format: AtomicU8::new(format as u8), tail, tail_len }
    }

    /// The file's format, as it is known by now.
    pub fn format(&self) -> Format {
        Format::ALL[self.format.load(Ordering::Relaxed) as usize]
    }

    pub(super) fn set_format(&self, format: Format) {
        self.format.store(format as u8, Ordering::Relaxed);
    }
}
