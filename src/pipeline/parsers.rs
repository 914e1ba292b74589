//! The parser threads: each takes a chunk and turns it into a parcel, with both stages, parse and serialize, in one go.
//!
//! A parser holds all it needs, for the place for its block came with the chunk; it waits for nobody but the sink.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::pipeline::chunk::{Chunk, Lines};
use crate::pipeline::memory::Sizes;
use crate::pipeline::parcel::{Earlier, Parcel};
use crate::pipeline::pool::Pool;
use crate::pipeline::report::event::Event;
use crate::pipeline::serialize::{self, Block, Buffer, Plan};
use crate::pipeline::stop::Stop;

/// What all parsers share.
pub struct Parsers<'a> {
    /// What documents look like.
    pub plan: &'a Plan,
    /// How many parsers there are.
    pub count: usize,
    /// The end.
    pub stop: &'a Stop,
    /// Where it is learnt how much larger blocks are than chunks.
    pub sizes: &'a Sizes,
    /// Used chunk buffers.
    pub buffers: &'a Pool<Buffer>,
    /// Used blocks.
    pub blocks: &'a Pool<Block>,
}

/// What a block costs beside its buffers until its file is done with: the parcel, its file, its reports. In bytes.
const PARCEL_BYTES: usize = 4 << 10;

/// A block's buffer that is used for less than this part of it is copied into one that fits. Else ten thousand small
/// files would each hold the memory of a large one.
const USED_AT_LEAST: usize = 4;

impl Parsers<'_> {
    /// Parses chunks until there are no more. `give` takes what they become, and says whether more is wanted.
    pub fn work(&self, chunks: &Receiver<Vec<Chunk>>, events: &Sender<Event>, give: impl Fn(Vec<Parcel>) -> bool) {
        let mut worker = serialize::Worker::new();
        // Small files are parsed into this one, and only what it is filled with goes on.
        let mut own = Block::default();
        for chunks in chunks {
            // Small files go on together; of larger chunks each by itself, so that its block is used again while it is warm.
            let at_a_time = if matches!(chunks[0].lines, Lines::Shared(..)) { chunks.len() } else { 1 };
            let mut chunks = chunks.into_iter();
            while chunks.len() > 0 && !self.stop.gives_up() {
                let these: Vec<Chunk> = chunks.by_ref().take(at_a_time).collect();
                // The report lives as long as the run; if it is gone, so is everybody who could miss this.
                let _ = events.send(Event::of(these.iter().map(read)));
                if !give(these.into_iter().map(|chunk| self.parse(&mut worker, &mut own, chunk)).collect()) {
                    return; // the sink has failed, and has said so
                }
            }
            // What is left is never counted as read.
        }
    }

    fn parse(&self, worker: &mut serialize::Worker, own: &mut Block, chunk: Chunk) -> Parcel {
        let range = chunk.range();
        let Chunk { file, offset, sequence, lines, mut ticket, .. } = chunk;
        let small = matches!(lines, Lines::Shared(..));
        let mut block = if small { std::mem::take(own) } else { self.blocks.take() };
        block.clear();
        let chunk_bytes = lines.held_bytes();
        block.bytes.expect(self.sizes.block_bytes_for(chunk_bytes));
        match lines {
            Lines::Mapped(map, range) => {
                worker.fill(self.plan, &file.facts, &map.bytes()[range.clone()], offset, &mut block);
                map.give_back(&range);
            }
            Lines::Owned(bytes) => {
                worker.fill(self.plan, &file.facts, &bytes, offset, &mut block);
                self.buffers.give_back(bytes);
            }
            Lines::Shared(bytes, range) => {
                worker.fill(self.plan, &file.facts, &bytes[range], offset, &mut block);
                if let Some(bytes) = Arc::into_inner(bytes) {
                    self.buffers.give_back(bytes); // nobody else is left to read in it
                }
            }
            Lines::TooLong { line_bytes, head, .. } => {
                serialize::too_long(self.plan, &file.facts, offset, line_bytes, &head, &mut block);
            }
        }
        self.sizes.learn(chunk_bytes, block.bytes.len() + block.malformed_ndjson.len());
        if small {
            let fitting = block.take_fitting();
            *own = std::mem::replace(&mut block, fitting);
        } else if block.bytes.len() < block.bytes.capacity() / USED_AT_LEAST {
            let fitting = block.take_fitting();
            // One for each parser will do; the others' memory is wanted for more of the small ones.
            self.blocks.give_back_if_fewer(self.count, std::mem::replace(&mut block, fitting));
        }
        ticket.keep(block.held_bytes() + PARCEL_BYTES);
        let earlier = file
            .start
            .as_ref()
            .map_or_else(Earlier::default, |start| Earlier { tag: start.tag, confirms: start.confirms.clone() });
        Parcel { file: file.id, log: Some(file), range, sequence, earlier, block, ticket }
    }
}

/// What the report has to know of a chunk.
fn read(chunk: &Chunk) -> Event {
    Event::Read { file: chunk.file.id, range: chunk.range(), lines: chunk.lines.count(), end: chunk.end }
}
