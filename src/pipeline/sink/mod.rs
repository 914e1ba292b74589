//! Where documents go: parcels in, receipts out.

pub mod discard; // nowhere: for measuring
pub mod stdout; // to standard output, in input order

use std::fs::File;
use std::sync::Arc;
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender};

use crate::pipeline::parcel::Parcel;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::report::totals::Traffic;
use crate::pipeline::serialize::Block;
use crate::pipeline::stop::Stop;
use crate::pipeline::ticket::Tickets;
use crate::pipeline::{Options, Stage, stage};

/// Where documents go.
#[derive(Debug)]
pub enum Sink {
    /// Nowhere.
    Discard,
    /// Standard output, in input order.
    Stdout(File),
}

/// What a sink is given.
pub struct Inlets<'a> {
    /// What to send.
    pub parcels: Receiver<Parcel>,
    /// A message whenever a reader has to wait for a ticket.
    pub pressure: Receiver<()>,
    /// Where receipts go.
    pub events: Sender<Event>,
    /// The memory ceiling.
    pub tickets: &'a Arc<Tickets>,
    /// Used blocks.
    pub blocks: &'a Pool<Block>,
}

impl Sink {
    /// Whether documents leave in the order of the input.
    pub fn is_ordered(&self) -> bool {
        matches!(self, Sink::Stdout(_))
    }

    /// Starts the sink's threads.
    pub fn spawn<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        options: &'env Options,
        stop: &'env Stop,
        inlets: Inlets<'env>,
    ) {
        scope.spawn(move || {
            stage(Stage::Sink, options, stop, || match self {
                Sink::Discard => discard::work(&inlets.parcels, &inlets.events, inlets.blocks),
                Sink::Stdout(output) => {
                    stdout::work(&inlets.parcels, &inlets.events, inlets.blocks, stop, output);
                }
            });
        });
    }

    /// What was done to get the documents there.
    pub fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}
