//! [`Map`]: a file mapped into memory, and what can go wrong with one. All `unsafe` of reading files is here.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Mmap, UncheckedAdvice};

/// A plain file, mapped read-only.
///
/// If somebody cuts the file while it is mapped, touching the missing pages raises SIGBUS. Files that are likely to
/// change are therefore read instead (see [`source`](crate::pipeline::source)), and for the rest
/// [`end_on_sigbus`] makes it an orderly end.
#[derive(Debug)]
pub struct Map(Mmap);

impl Map {
    /// Maps the whole of `file`.
    ///
    /// # Errors
    /// As mmap(2); an empty file cannot be mapped.
    pub fn new(file: &File) -> io::Result<Map> {
        // SAFETY: the bytes behind the slice could be changed by another process. We never keep a decision about them
        // across two reads (no unchecked index comes from them), and a cut file ends the process by `end_on_sigbus`.
        let map = unsafe { Mmap::map(file)? };
        map.advise(memmap2::Advice::Sequential)?;
        Ok(Map(map))
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the pages of `range` back, so that the resident memory of a 4 GiB file stays flat. They would be read
    /// from the file again if somebody touched them.
    pub fn give_back(&self, range: Range<usize>) {
        // SAFETY: DontNeed on a shared or private mapping of a file that was never written to only drops clean pages;
        // the next access reads the same bytes from the file.
        let advised = unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        debug_assert!(advised.is_ok(), "{advised:?}"); // costs memory, not truth
    }
}

/// From now on a mapped file that is cut under our hands ends the process with a sentence and exit code 4: whatever has
/// its receipt in the ledger is safe, and the load can be resumed.
pub fn end_on_sigbus() -> io::Result<()> {
    const SENTENCE: &[u8] = b"\nloghaul: a file was truncated while it was being loaded; \
        its lines up to the last watermark are safe. Run the same load again when the file is stable.\n";
    let handler = || {
        let _ = rustix::io::write(rustix::stdio::stderr(), SENTENCE);
        signal_hook::low_level::exit(4);
    };
    // SAFETY: the handler calls only write(2) and _exit(2), both async-signal-safe.
    unsafe { signal_hook::low_level::register(signal_hook::consts::SIGBUS, handler) }.map(|_| ())
}
