//! The outcomes of a batch's documents, added up until each of its blocks can have its receipt.

use crate::opensearch::Refusal;
use crate::pipeline::report::{DeadLetter, Outcomes, Receipt};
use crate::pipeline::serialize::Block;
use crate::pipeline::sink::batch::{Batch, Selection};

/// What became of a batch.
#[derive(Debug)]
pub struct Delivery<T> {
    /// One for each block of which every document has an outcome, in the batch's order.
    pub receipts: Vec<Receipt>,
    /// All blocks and tickets, for use again.
    pub parts: Vec<(Block, T)>,
    /// Whether documents were left without an outcome because the run is told to end.
    pub stopped: bool,
}

/// The outcomes of one batch, as they come.
pub(super) struct Results {
    /// For each part.
    pub(super) outcomes: Vec<Outcomes>,
    /// For each part.
    pub(super) dead_letters: Vec<Vec<DeadLetter>>,
    /// Single documents that break their request, and how often they were sent. What becomes of them hangs on
    /// whether the others fare better.
    pub(super) culprits: Vec<(u32, Refusal, u32)>,
}

impl Results {
    pub(super) fn new(parts: usize) -> Results {
        Results {
            outcomes: vec![Outcomes::default(); parts],
            dead_letters: std::iter::repeat_with(Vec::new).take(parts).collect(),
            culprits: Vec::new(),
        }
    }

    pub(super) fn of<T>(&mut self, batch: &Batch<T>, n: u32) -> &mut Outcomes {
        &mut self.outcomes[batch.locate(n).0]
    }

    pub(super) fn all_indexed<T>(&mut self, batch: &Batch<T>, documents: &Selection) {
        batch.for_each_stretch(documents, |part, documents| self.outcomes[part].indexed += documents.len() as u64);
    }

    pub(super) fn reject<T>(
        &mut self,
        batch: &Batch<T>,
        n: u32,
        status: u16,
        error_type: &str,
        reason: &str,
        sent: u32,
    ) {
        let (part, _) = batch.locate(n);
        self.outcomes[part].rejected += 1;
        self.dead_letters[part].push(batch.dead_letter(n, status, error_type, reason, sent));
    }

    /// Receipts for the blocks that are done; blocks and tickets back.
    pub(super) fn deliver<T>(self, batch: Batch<T>, stopped: bool) -> Delivery<T> {
        let mut delivery = Delivery { receipts: Vec::new(), parts: Vec::new(), stopped };
        let results = self.outcomes.into_iter().zip(self.dead_letters);
        for (mut part, (outcomes, mut dead_letters)) in batch.into_parts().into_iter().zip(results) {
            let documents = part.block.documents.len() as u64;
            assert!(outcomes.documents() <= documents, "a document has two outcomes");
            if outcomes.documents() == documents {
                dead_letters.sort_by_key(|letter| letter.offset);
                delivery.receipts.push(part.receipt(outcomes, dead_letters));
            } else {
                assert!(stopped, "a document was left without an outcome");
            }
            delivery.parts.push((part.block, part.ticket));
        }
        delivery
    }
}
