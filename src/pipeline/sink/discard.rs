//! `null:`: documents are made and thrown away, to measure all that comes before a server.
//!
//! The parsers do it themselves: a thread to throw away what others made would only warm up another processor's cache.

use crossbeam_channel::Sender;

use crate::pipeline::parcel::Parcel;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::serialize::Block;

/// Settles parcels. Says whether anybody wants to know.
pub fn settle(parcels: Vec<Parcel>, events: &Sender<Event>, blocks: &Pool<Block>) -> bool {
    let settled = parcels.into_iter().map(|mut parcel| {
        let receipt = parcel.receipt_indexed();
        blocks.give_back(parcel.block);
        Event::Settled(Box::new(receipt), Some(parcel.ticket))
    });
    events.send(Event::of(settled)).is_ok()
}
