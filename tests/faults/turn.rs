//! One test at a time. A fault that is to hit the N-th batch of a load needs no competitors, and a machine with two
//! cores has room for two nodes, not for ten.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits for its turn, and has it until the guard is dropped. A test that failed has had its turn.
pub fn take() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
