//! Receipts add up to a report per file and per run.

pub mod receipt; // what became of each line of one block
pub mod event; // what the stages tell
pub mod coverage; // which bytes are settled, and how far without a gap
pub mod collect; // events become reports
pub mod lines_file; // malformed lines, kept
pub mod totals; // the data: counts, files, the run; the law and the exit code
pub mod json; // the same for machines
pub mod progress; // bars on a terminal, a line every ten seconds elsewhere
pub mod escape; // how log content is shown

pub use receipt::{DeadLetter, Outcomes, Receipt};
pub use totals::{Counts, Ended, FileReport, FileStatus, Report};
