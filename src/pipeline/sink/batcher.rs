//! The batcher: parcels of any files become batches for the Bulk API.
//!
//! There is one, so that ten thousand tiny files make few requests. It lets go of a batch when it is full, after a
//! second, when a reader waits for a ticket that lies here while a writer has nothing to do, and at the end.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, after, never, select};

use super::batch::Batch;
use crate::pipeline::parcel::Parcel;
use crate::pipeline::report::event::Event;
use crate::pipeline::stop::Stop;
use crate::pipeline::ticket::Ticket;

/// How long a document waits for company, so that what `tail -f` brings can be searched soon.
pub const WAIT_MAX: Duration = Duration::from_secs(1);

/// What the batcher works with.
pub struct Batcher<'a> {
    /// What to send.
    pub parcels: &'a Receiver<Vec<Parcel>>,
    /// A message whenever a reader has to wait for a ticket.
    pub pressure: &'a Receiver<()>,
    /// Writers with nothing to do wait at its other end: it has no room of its own.
    pub batches: &'a Sender<Batch<Ticket>>,
    /// Where receipts go of what need not be sent.
    pub events: &'a Sender<Event>,
    /// The end.
    pub stop: &'a Stop,
    /// How long a document waits for company.
    pub wait_max: Duration,
}

impl Batcher<'_> {
    /// Collects parcels until there are no more. `bytes_max` tells how large a batch may be right now.
    pub fn work(&self, bytes_max: impl Fn() -> usize) {
        let mut batch = Filling::default();
        loop {
            let time_is_up = match batch.let_go_at {
                Some(when) => after(when.saturating_duration_since(Instant::now())),
                None => never(),
            };
            select! {
                recv(self.parcels) -> parcels => match parcels {
                    Err(_) => {
                        self.let_go(&mut batch);
                        return;
                    }
                    Ok(parcels) => parcels.into_iter().for_each(|parcel| self.take(parcel, &mut batch, bytes_max())),
                },
                // While all writers are at work, their batches will give the tickets back.
                recv(self.pressure) -> _ => self.offer(&mut batch),
                recv(time_is_up) -> _ => self.let_go(&mut batch),
            }
        }
    }

    fn take(&self, mut parcel: Parcel, batch: &mut Filling, bytes_max: usize) {
        if self.stop.gives_up() {
            return; // its lines stay without a receipt
        }
        if parcel.block.documents.is_empty() {
            let receipt = parcel.receipt_indexed();
            let _ = self.events.send(Event::Settled(Box::new(receipt), Some(parcel.ticket)));
            return;
        }
        if batch.batch.bytes() + parcel.block.bytes.len() > bytes_max {
            self.let_go(batch);
        }
        batch.push(parcel, self.wait_max);
        if batch.batch.bytes() >= bytes_max {
            self.let_go(batch);
        }
    }

    /// Hands the batch to the next writer that is free.
    fn let_go(&self, filling: &mut Filling) {
        if let Some(batch) = filling.take() {
            // If there is no writer any more, the run has failed and the lines stay without a receipt.
            let _ = self.batches.send(batch);
        }
    }

    /// Hands the batch over only if a writer is free now.
    fn offer(&self, filling: &mut Filling) {
        let let_go_at = filling.let_go_at;
        if let Some(batch) = filling.take()
            && let Err(TrySendError::Full(batch)) = self.batches.try_send(batch)
        {
            *filling = Filling { batch, let_go_at };
        }
    }
}

/// The batch that is being filled.
#[derive(Default)]
struct Filling {
    batch: Batch<Ticket>,
    /// When its first document has waited long enough. None while it is empty.
    let_go_at: Option<Instant>,
}

impl Filling {
    fn push(&mut self, parcel: Parcel, wait_max: Duration) {
        self.let_go_at.get_or_insert_with(|| Instant::now() + wait_max);
        self.batch.push(parcel);
    }

    fn take(&mut self) -> Option<Batch<Ticket>> {
        self.let_go_at.take().map(|_| std::mem::take(&mut self.batch))
    }
}
