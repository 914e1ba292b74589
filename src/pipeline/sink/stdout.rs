//! Standard output: documents as NDJSON, in the order of the input.
//!
//! Parsers finish in any order, so parcels wait here for those before them. Those are on their way: there is one
//! reader, it takes its tickets in input order, and so the oldest chunk always has its place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, io_reason};
use crate::escape::shown_json;
use crate::pipeline::parcel::Parcel;
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::serialize::Block;
use crate::pipeline::stop::{Reason, Stop};

/// Writes every parcel's documents, in order. A reader that has gone is a clean end of the run.
pub fn work(parcels: &Receiver<Vec<Parcel>>, events: &Sender<Event>, blocks: &Pool<Block>, stop: &Stop, output: &File) {
    let mut waiting: BTreeMap<u64, Parcel> = BTreeMap::new();
    let mut next = 0;
    let is_terminal = output.is_terminal();
    for parcel in parcels.iter().flatten() {
        waiting.insert(parcel.sequence, parcel);
        while let Some(mut parcel) = waiting.remove(&next) {
            next += 1;
            let written = match is_terminal {
                false => write(output, &parcel.block.bytes, stop),
                // What a log line holds must not tell a terminal what to do.
                true => write(output, shown_json(&String::from_utf8_lossy(&parcel.block.bytes)).as_bytes(), stop),
            };
            if let Err(error) = written {
                stop.raise(match error.kind() {
                    ErrorKind::BrokenPipe => Reason::OutputClosed,
                    _ => Reason::Failed(
                        Error::stopped(format!("cannot write to standard output: {}", io_reason(&error)))
                            .hint("make room or send the output elsewhere, then run the same command again"),
                    ),
                });
                return;
            }
            let receipt = parcel.receipt_indexed();
            blocks.give_back(parcel.block);
            if events.send(Event::Settled(Box::new(receipt), Some(parcel.ticket))).is_err() {
                return;
            }
        }
    }
}

/// Writes all of `bytes`. A pipe that somebody has set to never block is waited for; one that is full while the run is
/// told to end is given up.
fn write(mut output: &File, mut bytes: &[u8], stop: &Stop) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && !stop.is_raised() => {
                let mut fds = [PollFd::new(output, PollFlags::OUT), PollFd::from_borrowed_fd(stop.fd(), PollFlags::IN)];
                let _ = poll(&mut fds, None); // interrupted or not: the next write tells
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
