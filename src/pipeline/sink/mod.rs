//! Blocks go out, Receipts come back.

pub mod answer; // what a bulk answer says about each document
pub mod batch; // blocks that are sent together, and any subset of their documents
pub mod breaker; // while the cluster refuses: one probe a second, of all writers together
pub mod bulk_writer; // sends a batch until each of its documents has an outcome
pub mod destination; // what all writers share: client, pace, breaker, counts
pub mod pace; // how much at once: writers, bytes, documents a second
pub mod retry; // what an answer means: one match, no I/O
