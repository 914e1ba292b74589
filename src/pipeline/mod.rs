//! The data plane. OPEN FIRST: the stages in data order, and the threads that run them.

pub mod parse; // a line becomes a Record: fields borrowed from the chunk
pub mod report; // Receipts add up: the law
pub mod serialize; // a chunk's Records become a Block: documents and where they came from
pub mod sink; // Blocks go out, Receipts come back
pub mod stop; // how a run is told to end
