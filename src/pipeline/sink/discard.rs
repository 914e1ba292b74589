//! `null:`: documents are made and thrown away, to measure all that comes before a server.

use crossbeam_channel::{Receiver, Sender};

use crate::pipeline::parcel::Parcel;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::serialize::Block;

/// Settles every parcel as it comes.
pub fn work(parcels: &Receiver<Parcel>, events: &Sender<Event>, blocks: &Pool<Block>) {
    for mut parcel in parcels {
        let receipt = parcel.receipt_indexed();
        blocks.give_back(parcel.block);
        if events.send(Event::Settled(Box::new(receipt), Some(parcel.ticket))).is_err() {
            return;
        }
    }
}
