//! [`Map`]: a file mapped into memory, and what can go wrong with one. All `unsafe` of reading files is here.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use memmap2::{Mmap, UncheckedAdvice};

/// A plain file, mapped read-only.
///
/// If somebody cuts the file while it is mapped, touching the missing pages raises SIGBUS. Files that are likely to
/// change are therefore read instead (see [`source`](crate::pipeline::source)), and for the rest
/// [`end_on_sigbus`] makes it an orderly end.
#[derive(Debug)]
pub struct Map {
    map: Mmap,
    in_use: Mutex<InUse>,
}

/// Which parts of a map somebody works on.
#[derive(Debug, Default)]
struct InUse {
    /// Where they start.
    starts: BTreeSet<usize>,
    /// The end of the furthest part handed out.
    end: usize,
    /// Everything before was given back.
    given_back: usize,
}

/// How far before the place where they were given back last pages are given back once more: touching a page also maps
/// its neighbours, 64 KiB at least (`fault_around_bytes`) and a huge page at most, those before it included.
const AROUND_BYTES: usize = 2 << 20;
/// Pages are given back so many bytes at a time: a system call for each chunk would cost more than it saves.
const GIVE_BACK_BYTES: usize = 1 << 20;
/// So far ahead of the others a part of the file waits for them to be given back together.
const AHEAD_BYTES: usize = 4 << 20;

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
        Ok(Map { map, in_use: Mutex::default() })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Says that somebody will work on `range`, which starts where the last one ended or behind it.
    pub fn take(&self, range: &Range<usize>) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.starts.insert(range.start);
        in_use.end = range.end;
    }

    /// Says that nobody needs `range` any more. The pages before everything that is still worked on are given back, so
    /// that the resident memory of a 4 GiB file stays flat. They would be read from the file again if somebody touched
    /// them.
    pub fn give_back(&self, range: &Range<usize>) {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.starts.remove(&range.start);
        let unused = in_use.starts.first().copied().unwrap_or(in_use.end);
        if unused + AHEAD_BYTES < range.start {
            // Somebody works on a part far before this one, perhaps for long: its processor was taken away. Meanwhile others
            // may go through gigabytes, so these pages go at once; those around them go with what lies before them.
            drop(in_use);
            return self.drop_pages(range.start, range.end);
        }
        if unused < in_use.given_back + GIVE_BACK_BYTES {
            return;
        }
        let start = in_use.given_back.saturating_sub(AROUND_BYTES);
        in_use.given_back = unused;
        drop(in_use);
        self.drop_pages(start, unused);
    }

    fn drop_pages(&self, start: usize, end: usize) {
        // SAFETY: DontNeed on a mapping of a file that was never written to only drops clean pages; the next access reads
        // the same bytes from the file.
        let advised = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start) };
        debug_assert!(advised.is_ok(), "{advised:?}"); // costs memory, not truth
    }
}

/// From now on a mapped file that is cut under our hands ends the process with a sentence and exit code 4: whatever has
/// its receipt in the ledger is safe, and the load can be resumed.
///
/// Not by a signal library, for these call the handler that was there before as well, and that one is the standard
/// library's. It takes a SIGBUS that is no overflow of the stack for its last and puts the default action back, so that
/// a second thread which touches a missing page before the first has ended the process is killed by it.
pub fn end_on_sigbus() -> io::Result<()> {
    extern "C" fn handler(_: libc::c_int) {
        const SENTENCE: &[u8] = b"\nloghaul: a file was truncated while it was being loaded; \
            its lines up to the last watermark are safe. Run the same load again when the file is stable.\n";
        let _ = rustix::io::write(rustix::stdio::stderr(), SENTENCE);
        // SAFETY: it ends the process and returns to nobody.
        unsafe { libc::_exit(4) };
    }
    // SAFETY: all zeros is a valid `sigaction`: no flags, nothing blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler calls only write(2) and _exit(2), both async-signal-safe, and what it replaces is not called.
    match unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
