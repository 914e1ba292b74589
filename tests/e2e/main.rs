//! End-to-end tests: the program as a user runs it, seen from outside, against a real OpenSearch.
//!
//! One crate, so that there is one thing to link. What needs a node is ignored by a plain `cargo test`, and run by
//! `scripts/test`, which starts one.

#[allow(dead_code, unused_imports)] // other test programs use other parts of it
#[path = "../support/mod.rs"]
mod support;

mod figures; // a log's known figures, found again in the node; loaded twice, nothing is doubled
mod same_documents; // plain, packed, piped, on one core or many: the same documents
mod node_documents; // what is in the node is what `parse` prints
mod template; // the index template, and the mapping that comes of it
mod setup; // what a cluster needs beside documents: put, looked at, taken away

mod documents; // flags that change what documents hold
mod indices; // flags that change where documents go, and under which id
mod sources; // files, directories, globs, links
mod objects; // sources in a real S3 server
mod reports; // summaries, JSON, exit codes, help

mod bad_files; // files that are missing, damaged, or something else
mod bad_servers; // servers that are missing, refuse, or are something else
mod bad_lines; // lines that are too long, cut, or no access lines
mod mask; // what may not be stored
mod terminal; // what strangers write is shown, not obeyed
mod preflight; // what is told before anything is sent
mod live; // pipes, signals, files that change while they are read
mod panics; // a bug in each stage
