//! Lines become documents in a [`Block`].
//!
//! [`Worker::fill`] is the loop over the lines of a chunk. Nearly all take the common path, which parses and writes at
//! once (`common.rs`); the others become a `Record` and then a document (`document.rs`). Everything that is the same
//! for all lines of a run ([`Plan`]), a file ([`FileFacts`]) or a day (`Heads`) is made once and stored as it is.

pub mod block; // what one chunk becomes
pub mod buffer; // bytes that may be written a little beyond their end
mod common; // the common path: parse and serialize at once
mod document; // the general path: a Record becomes JSON
pub mod file; // what all lines of a file share
mod head; // action line and time, made once a day
pub mod id; // ids that stay the same
pub mod index; // which index an event goes to
pub mod json; // text to JSON strings
pub mod mask; // what may not be stored
pub mod plan; // options, and what is made of them once per run
mod worker; // the loop over the lines of a chunk

pub use block::{Block, Document, Tally};
pub use buffer::Buffer;
pub use common::ROOM_BYTES;
pub use file::FileFacts;
pub use id::{IdMode, identity};
pub use index::IndexPattern;
pub use plan::{Options, Plan};
pub use worker::{Path, Worker, too_long};
