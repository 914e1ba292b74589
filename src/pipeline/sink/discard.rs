//! `null:`: documents are made and thrown away, to measure all that comes before a server.

use crossbeam_channel::{Receiver, Sender};

use crate::pipeline::parcel::Parcel;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::serialize::Block;

/// Settles every parcel as it comes.
pub fn work(parcels: &Receiver<Vec<Parcel>>, events: &Sender<Event>, blocks: &Pool<Block>) {
    for parcels in parcels {
        let settled = parcels.into_iter().map(|mut parcel| {
            let receipt = parcel.receipt_indexed();
            blocks.give_back(parcel.block);
            Event::Settled(Box::new(receipt), Some(parcel.ticket))
        });
        if events.send(Event::of(settled)).is_err() {
            return;
        }
    }
}
