//! Receipts add up to a report per file and per run.

pub mod receipt; // what became of each line of one block
pub mod event; // what the stages tell
pub mod coverage; // which bytes are settled, and how far without a gap
pub mod collect; // events become reports
pub mod lines_file; // malformed lines, kept
pub mod dead_letters; // rejected documents, kept and read again
pub mod totals; // the data: counts, files, the run; the law and the exit code
pub mod summary; // the report for people
pub mod json; // the report for machines
pub mod progress; // while the run is under way: a bar, or a line every ten seconds
pub mod figures; // how figures are written

pub use receipt::{DeadLetter, Outcomes, Receipt};
pub use totals::{Counts, Ended, FileReport, FileStatus, Report};

#[cfg(test)]
mod example; // a report with something of everything
