//! [`wait_for`]: async code, called like any other.

use std::future::Future;
use std::time::Duration;

use crate::error::{Error, Result, io_reason};

/// Runs a future to its end on this thread, for at most `patience`. It must not be called from async code.
///
/// # Errors
/// If it takes longer; `doing` goes into the sentence.
pub fn wait_for<T>(doing: &str, patience: Duration, future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed(format!("cannot {doing}: {}", io_reason(&error))))?;
    runtime
        .block_on(async { tokio::time::timeout(patience, future).await })
        .map_err(|_| Error::failed(format!("cannot {doing}: no answer within {} s", patience.as_secs())))
}
