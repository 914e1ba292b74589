//! Receipts add up to a report per file and per run.

pub mod receipt;
pub use receipt::{DeadLetter, Outcomes, Receipt};
