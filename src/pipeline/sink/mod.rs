//! Blocks go out, Receipts come back.

pub mod bulk_writer;
