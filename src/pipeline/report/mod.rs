//! Receipts add up to a report per file and per run.

pub mod receipt;
pub use receipt::{DeadLetter, Outcomes, Receipt};
pub mod totals; // the data: counts, files, the run; the law and the exit code
pub use totals::{Counts, Ended, FileReport, FileStatus, Report};
pub mod escape; // shows what strangers wrote
pub mod figures; // how figures are written for people
pub mod json; // the report for machines
pub mod summary; // the report for people
pub mod progress; // while the run is under way

#[cfg(test)]
mod example; // a report with something of everything
