//! Nothing lost, nothing doubled: the program against a real OpenSearch node, under every fault we can bring about.
//!
//! After each test the number of documents and a checksum over their sorted ids equal those of an undisturbed load,
//! and both laws hold in the report. Faults and kills are placed by counting batches, from a seed that is printed:
//! `LOGHAUL_TEST_SEED=N` repeats a run.
//!
//! The tests take turns ([`turn`]): each has the machine for itself, and at most one node of its own beside the shared
//! one. Where to begin: [`killed`].

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports)] // other test programs use other parts of it
mod support;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;

// Helpers.
mod blocked; // a state that begins in mid-load, and how often one knocks
mod census; // which documents are there: count and checksum over ids
mod load; // one load that can be killed, and its report
mod logs; // the logs that are loaded
mod own_node; // nodes that are set up to refuse
mod seed; // the seed of this run
mod toxiproxy; // a bad network
mod turn; // one test at a time

// The proxy itself.
mod proxy;

// What can go wrong.
mod killed; // kill -9 of loghaul, and --resume
mod node_killed; // kill -9 of the node
mod refusals; // nodes that refuse: queues, pressure, breakers, disk
mod too_large; // nodes and proxies with a limit on bodies
mod dead_letters; // documents that are refused, and replay
mod states; // blocked, closed, deleted indices; missing pipelines
mod answers; // answers that are late, cut, lost, wrong
mod nights; // logrotate's nights
mod destinations; // the same files to other places
mod disk_full; // no space under ledger and dead letters
mod reload; // a new generation behind an alias
mod verify; // the ledger against the cluster
mod profile; // settings that an index has only while it is loaded
#[cfg(feature = "full-tests")]
mod pressure; // pace under 429s, against a sweep of fixed settings
