//! What end-to-end tests need: a folder of their own, the program as a user starts it, its report with the law, logs
//! with known content, and a real OpenSearch.

pub mod bucket; // a bucket in a real S3 server
pub mod fixed_server; // an HTTP server that always answers the same
pub mod folder; // a test's own folder, and commands that run in it
pub mod left_behind; // what a killed load leaves of its profile
pub mod law; // the report, and what must hold in each
pub mod logs; // generated and packed logs
pub mod node; // the shared OpenSearch
pub mod pipe_proxy; // notes requests and cuts answers
pub mod running; // a program that is still running
pub mod small_disk; // a disk that is soon full

pub use bucket::Bucket;
pub use fixed_server::FixedServer;
pub use folder::{Folder, Ran};
pub use law::{Report, assert_law};
pub use node::Node;
pub use pipe_proxy::PipeProxy;
pub use running::Running;
pub use small_disk::SmallDisk;

/// Tells, past the test harness's capture, that something was not tested here.
pub fn not_tested(what: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("NOT TESTED: {what}\n").as_bytes());
}
