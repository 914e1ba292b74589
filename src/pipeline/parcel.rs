//! [`Parcel`]: a block on its way to the sink, with what it takes to write its receipt.

use std::ops::Range;
use std::sync::Arc;

use crate::pipeline::report::receipt::{DeadLetter, FileId, Outcomes, Receipt};
use crate::pipeline::serialize::Block;
use crate::pipeline::source::OpenFile;
use crate::pipeline::ticket::Ticket;

/// One chunk's block.
#[derive(Debug)]
pub struct Parcel<T = Ticket> {
    /// Whose lines.
    pub file: FileId,
    /// The log that they are in. None where documents are sent again that come from no log.
    pub log: Option<Arc<OpenFile>>,
    /// Which of the file's plain bytes they cover.
    pub range: Range<u64>,
    /// The chunk's place in input order.
    pub sequence: u64,
    /// What came before of the same file.
    pub earlier: Earlier,
    /// The documents, and the fate of the other lines.
    pub block: Block,
    /// The place in memory, given back with the receipt. Nobody on the way looks at it.
    pub ticket: T,
}

/// What the control plane knows of a file's documents before they are sent.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// How the control plane finds the file; 0 where it does not want to know.
    pub tag: i64,
    /// Where in the file's plain bytes an earlier part of this very run may have sent documents whose outcome it did not
    /// live to learn. Those that are there already are the run's own.
    pub confirms: Range<u64>,
}

impl<T> Parcel<T> {
    /// The receipt for its lines, once each of its documents has an outcome. Takes out of the block what the receipt
    /// carries on; what is left are the buffers.
    ///
    /// # Panics
    /// If not each document has exactly one outcome, or not each rejected one its dead letter.
    pub fn receipt(&mut self, outcomes: Outcomes, dead_letters: Vec<DeadLetter>) -> Receipt {
        assert_eq!(outcomes.documents(), self.block.documents.len() as u64, "each document has one outcome");
        assert_eq!(outcomes.rejected, dead_letters.len() as u64, "each rejected document is a dead letter");
        Receipt {
            file: self.file,
            range: self.range.clone(),
            outcomes,
            tally: std::mem::take(&mut self.block.tally),
            document_bytes: self.block.bytes.len() as u64,
            indices: std::mem::take(&mut self.block.indices),
            samples: std::mem::take(&mut self.block.samples),
            malformed_ndjson: std::mem::take(&mut self.block.malformed_ndjson),
            dead_letters,
        }
    }

    /// The receipt where all documents arrived.
    pub fn receipt_indexed(&mut self) -> Receipt {
        let indexed = self.block.documents.len() as u64;
        self.receipt(Outcomes { indexed, ..Outcomes::default() }, Vec::new())
    }
}
