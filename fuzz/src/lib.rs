//! The laws that the fuzz targets beside this crate search to break: those of `tests/laws`, not a copy.

#[path = "../../tests/laws/mod.rs"]
pub mod laws;
