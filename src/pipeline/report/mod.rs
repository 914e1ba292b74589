//! Receipts add up to a report per file and per run.

pub mod collect; // events become reports
pub mod coverage; // which bytes are settled, and how far without a gap
pub mod event; // what the stages tell
pub mod json;
pub mod lines_file; // malformed lines, kept
pub mod receipt; // what became of each line of one block
pub mod totals; // the data: counts, files, the run; the law and the exit code // the same for machines

pub use receipt::{DeadLetter, Outcomes, Receipt};
pub use totals::{Counts, Ended, FileReport, FileStatus, Report};
