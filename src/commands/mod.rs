//! One file per command.
pub mod only_new; // each source with what the ledger says of it
pub mod runs; // what the ledger knows of runs
pub mod sources; // what the user named becomes the list of sources
