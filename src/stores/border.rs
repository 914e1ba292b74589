//! [`Border`]: the one place where threads wait for what is async. Nothing async is seen outside of this folder.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::error::{Error, Result, io_reason};

/// How long a thread waits before it looks whether the run was told to end.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);
/// More threads than this help no network that one machine has.
const THREADS_MAX: usize = 4;

/// Whether nobody wants an answer any more.
pub type GivenUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// A small runtime of its own for what is async.
pub struct Border {
    runtime: Runtime,
    given_up: GivenUp,
}

impl std::fmt::Debug for Border {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Border").finish_non_exhaustive()
    }
}

impl Border {
    /// Starts its threads. Waits end early once `given_up` says so.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new(given_up: GivenUp) -> Result<Border> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.min(THREADS_MAX))
            .max_blocking_threads(THREADS_MAX) // names are looked up there
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|error| Error::failed(format!("cannot start threads for object stores: {}", io_reason(&error))))?;
        Ok(Border { runtime, given_up })
    }

    /// Waits for `future`. `None` if nobody wants it any more.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            let mut future = std::pin::pin!(future);
            loop {
                match tokio::time::timeout(LOOK_EVERY, &mut future).await {
                    Ok(done) => return Some(done),
                    Err(_) if (self.given_up)() => return None,
                    Err(_) => {}
                }
            }
        })
    }

    /// Waits for `future`, which does not take long.
    pub fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Whether nobody wants an answer any more.
    pub fn is_given_up(&self) -> bool {
        (self.given_up)()
    }

    /// Waits for `future`, but only for a moment. `None` if it is not there yet.
    pub fn wait_a_moment<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(LOOK_EVERY, future).await.ok() })
    }

    /// Begins `future` in the background. It ends when what comes back is dropped.
    pub fn begin<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Begun<T> {
        Begun(self.runtime.spawn(future))
    }
}

/// Something that goes on in the background. Dropped, it ends.
#[derive(Debug)]
pub struct Begun<T>(JoinHandle<T>);

impl<T: Send + 'static> Begun<T> {
    /// The same from within the background.
    pub fn spawn(future: impl Future<Output = T> + Send + 'static) -> Begun<T> {
        Begun(tokio::spawn(future))
    }

    /// What it came to.
    ///
    /// # Panics
    /// If it panicked.
    pub async fn done(mut self) -> T {
        match (&mut self.0).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
