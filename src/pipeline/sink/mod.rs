//! Where documents go: parcels in, receipts out.

pub mod discard; // nowhere: for measuring
pub mod stdout; // to standard output, in input order
pub mod batcher; // parcels become batches for the Bulk API
pub mod bulk_writer; // a batch is delivered until each document has an outcome
