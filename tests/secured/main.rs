//! Doors that lock: who gets in, who does not, and in which words that is told.
//!
//! `refused` needs no server but its own; what needs a real OpenSearch with the security plugin is ignored by a plain
//! `cargo test`, and run by `scripts/test`, which starts one.

#[allow(dead_code, unused_imports)] // other test programs use other parts of it
#[path = "../support/mod.rs"]
mod support;

mod certificates; // servers whose certificate will not do
mod node; // the real node, asked as its administrator
mod secrets; // planted everywhere, found nowhere
mod users; // names, passwords, client certificates; rights
mod verifier; // a door before a node, kept by AWS's own signer
#[cfg(feature = "aws")]
mod signed; // requests signed with AWS keys
