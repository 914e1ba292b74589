//! [`Sent`]: how far into each file documents were handed out for sending, stored before they are sent.
//!
//! After a kill nobody knows what became of the last batches. Whatever of them the next part of the run meets as there
//! already is its own, and counts as `confirmed`; what lies behind them was never sent by it, so if that is there, it is
//! somebody else's and a `duplicate`. The place need only survive the process, so storing it does not wait for the disk:
//! 0.1 ms for each bulk request.

use rusqlite::params;

use super::store::{Safe, Store};
use crate::error::Result;

/// Hears of documents before they are sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub(super) store: Store,
}

impl Sent {
    /// Documents of the files with these tags are about to be sent, of lines up to these places in their plain bytes.
    ///
    /// # Errors
    /// If the ledger cannot be written. Then they must not be sent.
    pub fn raise(&self, ends: &[(i64, u64)]) -> Result<()> {
        self.store.write(Safe::FromKill, |transaction| {
            let mut raise = transaction.prepare_cached("UPDATE files SET sent = max(sent, ?) WHERE id = ?")?;
            for (tag, end) in ends {
                raise.execute(params![*end as i64, tag])?;
            }
            Ok(())
        })
    }
}
