//! Records become documents in a [`Block`].

pub mod block;
pub use block::{Block, Document, Tally};
