//! Object stores: where logs come from that lie on no disk of ours. S3 and whatever speaks like it, Google Cloud Storage,
//! Azure Blob Storage, and single files of web servers.
//!
//! The crates that speak with them are async. They stay in this folder, on a small runtime of their own; everybody else
//! sees an iterator of [`Object`]s and a blocking reader of each, which says `WouldBlock` when nothing came for a moment,
//! as a pipe does.
//!
//! ```text
//!  Stores ─ look(s3://bucket/key) ──────────▶ Object ─ read_from(0) ─▶ Reading (Read)
//!         └ list(s3://bucket/prefix/) ▶ Objects ┘ begin(): the first bytes, ahead of time
//! ```
//!
//! Everything but names and failures is behind the cargo feature `aws`.

pub mod failure; // why an object cannot be read
pub mod location; // s3://bucket/key
pub mod options; // how stores are asked

#[cfg(feature = "aws")]
mod client; // all stores of a run
#[cfg(feature = "aws")]
mod listing; // a bucket, page by page
#[cfg(feature = "aws")]
mod object; // one object, as it was when it was listed
#[cfg(feature = "aws")]
mod reading; // its bytes, blocking
#[cfg(feature = "aws")]
mod fetch; // where they come from, in the background
#[cfg(feature = "aws")]
mod room; // how much of all of them may be here
#[cfg(feature = "aws")]
mod after; // deleted or moved, once nobody needs it here
#[cfg(feature = "aws")]
mod bucket; // the client of a bucket, and where it is
#[cfg(feature = "aws")]
mod environment; // whom AWS takes us for
#[cfg(feature = "aws")]
mod patience; // how often something is tried
#[cfg(feature = "aws")]
mod verdict; // what a request that came to nothing means
#[cfg(feature = "aws")]
mod door; // where requests and answers pass
#[cfg(feature = "aws")]
mod keys; // keys that are no paths
#[cfg(feature = "aws")]
mod border; // where threads wait for what is async

#[cfg(feature = "aws")]
pub use {border::GivenUp, client::Stores, listing::Objects, object::Object, reading::Reading};

#[cfg(not(feature = "aws"))]
mod absent;
#[cfg(not(feature = "aws"))]
pub use absent::{GivenUp, Object, Objects, Reading, Stores};

pub use failure::Failure;
pub use location::{Location, Scheme};
pub use options::Options;
