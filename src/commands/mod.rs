//! What a user calls: one file per command, and what they share.

pub mod load; // access logs into OpenSearch
pub mod manners; // config, completions, man pages
pub mod ship; // bodies of a directory, sent
mod spool; // a load's side of a directory
mod preflight; // what is looked at before a load
pub mod parse; // access logs to documents on standard output
pub mod bench; // how fast each stage is here
pub mod setup; // template, alias, policy, dashboard
mod lifecycle; // the policy, on the indices that loads make
mod afterwards; // what becomes of objects that are loaded
mod haul; // what load and parse have in common
mod index_watch; // whether the indices of a load stay the same ones
mod indices; // what a load does with an index before its first document, and after its last
mod recount; // what a source must have left in the cluster, told from the source
mod record; // a load's side of the ledger
mod output; // standard output
mod signals; // Ctrl-C once, twice
pub mod only_new; // each source with what the ledger says of it
pub mod reload; // a new generation beside the one in use, and back
pub mod replay; // dead letters, sent again
mod kept; // what replay and ship have in common
pub mod restore; // settings that a killed load has left
pub mod verify; // a run in the ledger against the cluster
pub mod runs; // what the ledger knows of runs
pub mod sources; // what the user named becomes the list of sources
