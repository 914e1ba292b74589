//! [`OnlyNew`]: the list of sources, each with what the ledger says of it: left out, begun in the middle, or read whole.

use std::sync::Arc;

use crate::ledger::Chooser;
use crate::pipeline::source::Source;
use crate::pipeline::stop::{Reason, Stop};

/// Asks the ledger about each source as it is pulled.
pub struct OnlyNew<I> {
    sources: I,
    chooser: Chooser,
    stop: Arc<Stop>,
}

impl<I: Iterator<Item = Source>> OnlyNew<I> {
    /// The same sources in the same order. If the ledger fails, the run is told to stop, and the list ends.
    pub fn new(sources: I, chooser: Chooser, stop: Arc<Stop>) -> OnlyNew<I> {
        OnlyNew { sources, chooser, stop }
    }
}

impl<I: Iterator<Item = Source>> Iterator for OnlyNew<I> {
    type Item = Source;

    fn next(&mut self) -> Option<Source> {
        match self.chooser.choose(self.sources.next()?) {
            // Told to stop while it looked into the file, the ledger knows nothing of it.
            Ok(_) if self.stop.is_raised() => None,
            Ok(source) => Some(source),
            Err(error) => {
                self.stop.raise(Reason::Failed(error));
                None
            }
        }
    }
}
