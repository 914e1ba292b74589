//! [`FileFacts`]: what a document needs to know of the file that its line comes from.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::plan::Plan;
use crate::pipeline::parse::Format;

/// Tails of up to so many bytes are stored at once, as wide as this.
pub(super) const TAIL_BYTES: usize = 128;

/// Set in [`FileFacts::format`] as long as no line has told the format.
const OPEN: u8 = 0x80;

/// What all lines of a file share.
#[derive(Debug)]
pub struct FileFacts {
    /// Path or URI as people see it: `log.file.path`, and `source` of malformed lines.
    pub uri: String,
    /// See [`identity`](super::identity).
    pub identity: [u8; 8],
    /// The format was guessed, and may be guessed again.
    pub guessed: bool,
    /// A [`Format`], and perhaps [`OPEN`]; workers that see most lines fail may change it.
    format: AtomicU8,
    /// Lines that failed, and that another format would have taken, since the last chunk that went well. A log that
    /// trickles in comes in chunks of a line each, none of which says anything by itself.
    misread: AtomicU64,
    /// Whether the format was looked at again, and no richer one found, for lines with text that it does not explain.
    proved: AtomicBool,
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
        let (format, misread) = (AtomicU8::new(format as u8), AtomicU64::new(0));
        FileFacts { uri, identity, guessed, format, misread, proved: AtomicBool::new(false), tail, tail_len }
    }

    /// The same file, whose format is left open if `open`: the first chunk that holds an access line settles it, and
    /// until then it is what [`FileFacts::new`] was told.
    pub fn with_format_open(mut self, open: bool) -> FileFacts {
        if open {
            *self.format.get_mut() |= OPEN;
        }
        self
    }

    /// The file's format, as it is known by now.
    pub fn format(&self) -> Format {
        Format::ALL[(self.format.load(Ordering::Relaxed) & !OPEN) as usize]
    }

    /// Whether no line has told the format yet.
    pub(super) fn is_format_open(&self) -> bool {
        self.format.load(Ordering::Relaxed) & OPEN != 0
    }

    /// Settles a format that is open. If another chunk has done so meanwhile, its word stands.
    pub(super) fn settle_format(&self, format: Format) {
        let open = self.format() as u8 | OPEN;
        let _ = self.format.compare_exchange(open, format as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn set_format(&self, format: Format) {
        self.format.store(format as u8, Ordering::Relaxed);
        self.forget_misread();
    }

    /// Whether no richer format was found for what the format leaves over.
    pub(super) fn is_format_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    pub(super) fn prove_format(&self) {
        self.proved.store(true, Ordering::Relaxed);
        self.forget_misread();
    }

    /// Counts `lines` that another format would take. Gives how many there are by now.
    pub(super) fn count_misread(&self, lines: u64) -> u64 {
        self.misread.fetch_add(lines, Ordering::Relaxed) + lines
    }

    /// The format has proved right.
    pub(super) fn forget_misread(&self) {
        // Most chunks of most files come by here: the cache line is left alone where nothing changes.
        if self.misread.load(Ordering::Relaxed) != 0 {
            self.misread.store(0, Ordering::Relaxed);
        }
    }
}
