//! What must hold of the data plane for any bytes whatever: a function each, that takes bytes and panics if its law is
//! broken. `cargo test --test laws` tries them on seeds and small damage to these; `scripts/fuzz` lets a fuzzer search.
//!
//! A law's first bytes choose options, sizes and places ([`choice`]), the rest is the input itself.

pub mod bulk_answer;
pub mod choice;
pub mod chunk;
pub mod json_string;
pub mod line;
pub mod packed;
pub mod seeds;

#[path = "../slow_twin/lines.rs"]
mod lines;
#[path = "../slow_twin/rig.rs"]
mod rig;
#[path = "../slow_twin/twin.rs"]
mod twin;

/// A law: panics if it is broken.
pub type Law = fn(&[u8]);

/// Each law under the name of its fuzz target.
pub const ALL: [(&str, Law); 5] = [
    ("line", line::law),
    ("chunk", chunk::law),
    ("json_string", json_string::law),
    ("bulk_answer", bulk_answer::law),
    ("packed", packed::law),
];
