//! One file per command.
pub mod sources; // what the user named becomes the list of sources
