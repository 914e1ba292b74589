//! [`OnlyNew`]: the list of sources, each with what the ledger says of it: left out, begun in the middle, or read whole.

use std::sync::Arc;

use crate::ledger::Chooser;
use crate::pipeline::source::{Place, Source, Undecided};
use crate::pipeline::stop::{Reason, Stop};

/// Sources of which the ledger is to be asked.
pub struct OnlyNew<I> {
    sources: I,
    ledger: Option<Arc<(Chooser, Arc<Stop>)>>,
}

impl<I: Iterator<Item = Source>> OnlyNew<I> {
    /// The same sources in the same order. If the ledger fails, the run is told to stop, and the list ends.
    pub fn new(sources: I, chooser: Chooser, stop: Arc<Stop>) -> OnlyNew<I> {
        OnlyNew { sources, ledger: Some(Arc::new((chooser, stop))) }
    }

    /// Where no ledger is kept: all are read whole.
    pub fn all(sources: I) -> OnlyNew<I> {
        OnlyNew { sources, ledger: None }
    }
}

impl<I: Iterator<Item = Source>> Iterator for OnlyNew<I> {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        self.sources.next().map(|source| Listed { source, ledger: self.ledger.clone() })
    }
}

/// A source of the list.
pub struct Listed {
    source: Source,
    ledger: Option<Arc<(Chooser, Arc<Stop>)>>,
}

impl Undecided for Listed {
    fn begin(&self) -> bool {
        // What is settled is not asked for. If the ledger fails, it will be told when it is asked again.
        let settled = self.ledger.as_ref().is_some_and(|ledger| ledger.0.is_settled(&self.source).unwrap_or(true));
        if settled { matches!(self.source.place, Place::Object(_)) } else { self.source.begin() }
    }

    fn decide(self) -> Option<Source> {
        let Some(ledger) = self.ledger else { return Some(self.source) };
        let (chooser, stop) = &*ledger;
        match chooser.choose(self.source) {
            // Told to stop while it looked into the file, the ledger knows nothing of it.
            Ok(_) if stop.is_raised() => None,
            Ok(source) => Some(source),
            Err(error) => {
                stop.raise(Reason::Failed(error));
                None
            }
        }
    }
}
