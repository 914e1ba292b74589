//! loghaul hauls Apache access logs into OpenSearch.
//!
//! ```text
//!  load         source     decode      chunk        parse           serialize      bulk_writer     report
//!  ─────────    ───────    ───────     ──────       ──────────      ─────────      ───────────     ───────
//!  Source  ──▶  Input  ──▶ Input  ──▶  Chunk  ──▶   Record<'c> ──▶  Block    ──▶   Receipt   ──▶   Report
//!  (a file)     mmap or    plain       whole        fields          documents +    what became     totals,
//!               stream     bytes       lines        borrowed from   line ranges    of each line    FileReport
//!                                                   the chunk       (batched)                      per file
//! ```
//!
//! The law, kept per file and per run, both sides counted apart:
//! **lines read = indexed + duplicate + rejected + malformed + blank**.
//!
//! Open [`pipeline`] first.
// A module's page may speak of what is inside it.
#![allow(rustdoc::private_intra_doc_links, rustdoc::redundant_explicit_links)]
#![deny(unsafe_code)]
#![warn(missing_docs, clippy::undocumented_unsafe_blocks)]

pub mod error; // what went wrong, what was tried, what to do next, and the exit code
pub mod escape; // how strangers' words are shown
pub mod secret; // text that is never shown
pub mod schema; // one table: field, name, mapping
pub mod stores; // where logs come from that lie on no disk of ours
pub mod dashboards; // what OpenSearch Dashboards shows of the documents
pub mod aws; // Amazon's keys, and requests signed with them
pub mod opensearch; // where documents go: client, template
pub mod pipeline; // moves bytes: knows neither ledger nor command line
pub mod ledger; // which files went where, and how far
pub mod config; // what was typed becomes what is needed
pub mod cli; // the flags
pub mod commands; // one file per command
