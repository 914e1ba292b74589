//! Where documents go: a client for OpenSearch (and what speaks its protocol).
//!
//! A [`Client`] sends one request at a time and says what came back, as data: a [`Head`] with the answer's bytes,
//! or a [`Fault`]. It never sleeps, never follows a redirect and never sends anything twice except where nothing
//! had left the machine; whether to try again is the caller's decision (for the Bulk API,
//! [`retry`](crate::pipeline::sink::retry)).

pub mod address; // a URL as it was typed, its secrets masked
pub mod login; // who we are: password, token, key
pub mod options; // where to go, whom we trust, how long we wait
pub mod body; // kept byte ranges as one request body, compressed where that pays
mod hello; // is it TLS that is spoken there?
mod proxy; // who stands between, by the environment
mod door; // what is shown to a host with each request
pub mod fault; // what went wrong between us and an answer
pub mod refusal; // an answer that says no: its type and reason, and the sentence for a person
pub mod client; // hosts, connections, one exchange
pub mod info; // who answers there
pub mod indices; // whether an index is still the one that it was
pub mod ask; // a request about the cluster itself, and whether asking again may help
pub mod profile; // an index's settings while it is loaded, and back again
pub mod generations; // whole copies of the data behind an alias
pub mod target; // what stands behind a name, and what would keep documents out
pub mod template; // the index template: ours, theirs, none
pub mod standing; // what is there of that name: ours, theirs, none
pub mod alias; // one name over many indices
pub mod policy; // deletes indices by age, where Index State Management is there
pub mod dashboards; // saved objects of OpenSearch Dashboards

pub use address::Address;
pub use ask::Unable;
pub use body::{Body, BodyReader, Compression, Scratch};
pub use client::{BulkHow, Client, Head, Method, Reply};
pub use fault::{Failure, Fault};
pub use indices::IndexNow;
pub use info::Info;
pub use login::{Auth, Login};
pub use options::{Options, Tls};
pub use refusal::Refusal;
pub use standing::Standing;
pub use target::{Asked, Disk, Shards, Target};
pub use template::TemplateMatch;
