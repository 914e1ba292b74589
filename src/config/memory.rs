//! [`MemoryPlan`]: how `--memory` is shared out. Every buffer has one holder here, one line each, and their sum is the
//! ceiling. Each stage is told its part and keeps to it.
//!
//! ```text
//! fixed       the program's pages, stacks, the ledger's cache, what the allocator cannot use
//! decoders    a decompressor's window and buffers, for each reader
//! objects     what is read ahead of objects in stores, for each reader, and the runtime that does it
//! lines       a long line that is not whole yet, for each reader, and one more as a document
//! tickets     chunks (also mapped ones: their pages are resident) and blocks, until their receipts are in: being
//!             parsed, waiting, in the body that is being filled, in the bodies that are being sent
//! answers     one per writer, raw and read
//! compressed  one copy of a body per writer, where bodies are compressed
//! ```

use crate::error::Error;
use crate::pipeline::report::figures::exact_size;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// `--memory` where none is typed, on up to two cores.
const DEFAULT_BYTES: u64 = 64 * MIB;
/// Added to it for each core above two: one more chunk and block being parsed, one more writer.
const DEFAULT_BYTES_PER_CORE: u64 = 16 * MIB;

/// The program itself: text and data pages that are touched, TLS roots, SQLite's cache, the allocator's slack.
const FIXED_BYTES: u64 = 12 * MIB;
/// Touched stack and thread-local arenas of a parser thread.
const FIXED_BYTES_PER_THREAD: u64 = 256 * KIB;
/// What zstd's levels up to 16 ask for; a file made with a larger window takes more, beyond `--memory`. gzip needs 64 KiB.
const DECODER_BYTES: u64 = 4 * MIB;

/// Threads, connections and TLS that object stores take, and the heads of objects that are begun ahead of time.
const STORES_BYTES: u64 = 8 * MIB;
/// What is read ahead of objects, for each reader, from large to small. They share it: one object alone has all of it.
const READ_AHEAD_BYTES: [u64; 3] = [10 * MIB, 4 * MIB, MIB];

/// Chunks from large to small. 256 KiB fits into a core's own cache and still costs nothing per line.
const CHUNK_BYTES: [u64; 3] = [256 * KIB, 128 * KIB, 64 * KIB];
/// A block's room, in chunks: documents are 1.9 times their lines as shipped by default, 3 times with `message`.
const BLOCK_CHUNKS: u64 = 4;
/// Tickets that may wait beside those being parsed and those in bodies, per parser thread. More would only hold memory.
const WAITING_TICKETS_PER_THREAD: u64 = 8;

/// Bodies from large to small. 5 MiB is where OpenSearch's own tuning guide starts.
const BODY_BYTES: [u64; 7] = [5 * MIB, 4 * MIB, 3 * MIB, 2 * MIB, MIB, 512 * KIB, 256 * KIB];
/// An answer, raw and read, may be as large as its body: an item that failed takes about 200 bytes of answer where only
/// status and error are asked for, and as much again when it is read; its document about 380.
const ANSWER_PART: u64 = 1;
/// Documents compress to about a tenth; a quarter leaves room.
const COMPRESSED_PART: u64 = 4;
/// A compressor's own tables, kept from body to body: zstd's (ZSTD_estimateCStreamSize); gzip's are a quarter of it.
const COMPRESSOR_BYTES: u64 = 3 * MIB / 2;
/// More writers than this help no cluster that one machine can feed.
const WRITERS_MAX: u32 = 32;

/// How `--memory` is shared out. All in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The ceiling: `--memory`, or the default.
    pub total_bytes: u64,
    /// The program itself.
    pub fixed_bytes: u64,
    /// Sources that are read side by side: 1 or more.
    pub readers: u32,
    /// All readers' decompressors.
    pub decoders_bytes: u64,
    /// What object stores take beside what is read ahead. 0 where no source is an object, as in the next.
    pub stores_bytes: u64,
    /// What is read ahead of objects, by all readers.
    pub read_ahead_bytes: u64,
    /// All readers' unfinished lines, and the document of one.
    pub lines_bytes: u64,
    /// A chunk's usual size; part of `tickets_bytes`.
    pub chunk_bytes: u64,
    /// A block's room; part of `tickets_bytes`.
    pub block_bytes: u64,
    /// The budget of all chunks and blocks, from the reader's ticket to the receipt; bodies are made of them.
    pub tickets_bytes: u64,
    /// How many bulk requests may be under way. 0 where no server is the sink.
    pub writers_max: u32,
    /// Upper limit of a body, part of `tickets_bytes`. 0 where no server is the sink.
    pub body_bytes: u64,
    /// Upper limit of one answer, raw and read together.
    pub answer_bytes: u64,
    /// One writer's compressed copy and compressor. 0 where bodies are not compressed.
    pub compressed_bytes: u64,
}

/// What a plan must hold.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// `--memory`, if typed.
    pub memory: Option<u64>,
    /// This machine's cores, for the default.
    pub cores: u32,
    /// Parser threads.
    pub threads: u32,
    /// `--max-line-bytes`.
    pub line_bytes_max: u64,
    /// Whether sources lie in object stores.
    pub objects: bool,
    /// None where documents go to no server.
    pub server: Option<ServerNeed>,
}

/// What writers need.
#[derive(Clone, Copy, Debug)]
pub struct ServerNeed {
    /// `--writers`, if typed.
    pub writers: Option<u32>,
    /// `--bulk-bytes`, if typed.
    pub body_bytes: Option<u64>,
    /// Whether bodies may be compressed.
    pub compress: bool,
}

impl MemoryPlan {
    /// Shares out the memory: bodies as large as leaves room for two writers, then as many writers as fit, then the rest
    /// to waiting tickets. Where nothing is typed and the default is too small for what else is typed, it is raised.
    ///
    /// # Errors
    /// If `--memory` is too small; the error names the least that works.
    pub fn new(need: &Need) -> Result<MemoryPlan, Error> {
        let objects = if need.objects { STORES_BYTES + READ_AHEAD_BYTES[0] * 2 } else { 0 };
        let default = DEFAULT_BYTES + objects + u64::from(need.cores.saturating_sub(2)) * DEFAULT_BYTES_PER_CORE;
        let total = need.memory.unwrap_or(default);
        if let Some(plan) = MemoryPlan::within(need, total) {
            return Ok(plan);
        }
        let least = least(need);
        match need.memory {
            None => Ok(MemoryPlan::within(need, least).expect("the least that works works")),
            Some(memory) => {
                let error = Error::usage(format!(
                    "--memory {} is too small, the least that works here is {}",
                    exact_size(memory),
                    exact_size(least)
                ));
                Err(error.hint("fewer --threads or --writers, smaller --bulk-bytes or --max-line-bytes need less"))
            }
        }
    }

    /// The plan that makes the most of `total` bytes, if any fits.
    fn within(need: &Need, total: u64) -> Option<MemoryPlan> {
        // First less ahead and fewer readers, then smaller chunks: a single reader keeps two cores busy, small chunks cost
        // each line.
        let fewer = std::iter::successors(Some(need.threads), |readers| (*readers > 1).then(|| readers / 2));
        let aheads: &[u64] = if need.objects { &READ_AHEAD_BYTES } else { &[0] };
        let least_ahead = aheads[aheads.len() - 1];
        let wishes = fewer.flat_map(|readers| aheads.iter().map(move |&ahead| (readers, ahead, CHUNK_BYTES[0])));
        let frugal = CHUNK_BYTES[1..].iter().map(|&chunk| (1, least_ahead, chunk));
        wishes.chain(frugal).find_map(|(readers, ahead, chunk)| {
            let room = total.checked_sub(base(need, readers, ahead, chunk))?;
            let (writers, body) = match need.server {
                None => (0, 0),
                Some(server) => writers_and_body(&server, room)?,
            };
            let compress = need.server.is_some_and(|server| server.compress);
            let ticket = chunk + chunk * BLOCK_CHUNKS;
            let (answer, compressed) = beside(body, compress);
            let bodies = body * (u64::from(writers) + 1);
            let left = room - bodies - u64::from(writers) * (answer + compressed);
            let waiting = left.min(u64::from(need.threads) * WAITING_TICKETS_PER_THREAD * ticket);
            let plan = MemoryPlan {
                total_bytes: total,
                fixed_bytes: FIXED_BYTES + u64::from(need.threads) * FIXED_BYTES_PER_THREAD,
                readers,
                decoders_bytes: u64::from(readers) * DECODER_BYTES,
                stores_bytes: if need.objects { STORES_BYTES } else { 0 },
                read_ahead_bytes: u64::from(readers) * ahead,
                lines_bytes: lines_bytes(need, readers),
                chunk_bytes: chunk,
                block_bytes: chunk * BLOCK_CHUNKS,
                tickets_bytes: u64::from(need.threads) * ticket + bodies + waiting,
                writers_max: writers,
                body_bytes: body,
                answer_bytes: answer,
                compressed_bytes: compressed,
            };
            assert!(plan.holders().iter().map(|(_, bytes)| bytes).sum::<u64>() <= total, "{plan:?}");
            Some(plan)
        })
    }

    /// Who holds how much; the sum is at most `total_bytes`.
    pub fn holders(&self) -> [(&'static str, u64); 7] {
        [
            ("fixed", self.fixed_bytes),
            ("decoders", self.decoders_bytes),
            ("objects", self.stores_bytes + self.read_ahead_bytes),
            ("lines", self.lines_bytes),
            ("tickets", self.tickets_bytes),
            ("answers", u64::from(self.writers_max) * self.answer_bytes),
            ("compressed", u64::from(self.writers_max) * self.compressed_bytes),
        ]
    }
}

/// What must be there before the first writer: all but waiting tickets and bodies.
fn base(need: &Need, readers: u32, ahead: u64, chunk: u64) -> u64 {
    let threads = u64::from(need.threads);
    FIXED_BYTES
        + if need.objects { STORES_BYTES } else { 0 }
        + u64::from(readers) * ahead
        + threads * FIXED_BYTES_PER_THREAD
        + u64::from(readers) * DECODER_BYTES
        + lines_bytes(need, readers)
        + threads * (chunk + chunk * BLOCK_CHUNKS)
}

/// A line may be longer than a chunk; its reader holds it until it is whole.
fn lines_bytes(need: &Need, readers: u32) -> u64 {
    (u64::from(readers) + 1) * need.line_bytes_max
}

/// What a writer holds beside its body: the answer and the compressed copy.
fn beside(body: u64, compress: bool) -> (u64, u64) {
    let compressed = if compress { body / COMPRESSED_PART + COMPRESSOR_BYTES } else { 0 };
    (body / ANSWER_PART, compressed)
}

/// How many writers with bodies of this size fit beside the one body that is being filled.
fn writers_that_fit(body: u64, compress: bool, room: u64) -> u64 {
    let (answer, compressed) = beside(body, compress);
    room.saturating_sub(body) / (body + answer + compressed)
}

fn writers_and_body(server: &ServerNeed, room: u64) -> Option<(u32, u64)> {
    let typed = server.body_bytes.map(|body| [body]);
    let bodies: &[u64] = typed.as_ref().map_or(&BODY_BYTES, |body| body);
    let fits = |wanted: u32| {
        bodies
            .iter()
            .map(|&body| (writers_that_fit(body, server.compress, room), body))
            .find(|(writers, _)| *writers >= u64::from(wanted))
            .map(|(writers, body)| (server.writers.unwrap_or(writers.min(WRITERS_MAX.into()) as u32), body))
    };
    match server.writers {
        Some(writers) => fits(writers),
        // Two smaller requests at a time are faster than one large one: the cluster never waits for us.
        None => fits(2).or_else(|| fits(1)),
    }
}

/// The least memory for which a plan exists, rounded up to whole MiB.
fn least(need: &Need) -> u64 {
    let smallest_chunk = CHUNK_BYTES[CHUNK_BYTES.len() - 1];
    let server = need.server.map_or(0, |server| {
        let body = server.body_bytes.unwrap_or(BODY_BYTES[BODY_BYTES.len() - 1]);
        let (answer, compressed) = beside(body, server.compress);
        body + u64::from(server.writers.unwrap_or(1)) * (body + answer + compressed)
    });
    let ahead = if need.objects { READ_AHEAD_BYTES[READ_AHEAD_BYTES.len() - 1] } else { 0 };
    (base(need, 1, ahead, smallest_chunk) + server).next_multiple_of(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerNeed = ServerNeed { writers: None, body_bytes: None, compress: false };
    const NEED: Need =
        Need { memory: None, cores: 2, threads: 2, line_bytes_max: MIB, objects: false, server: Some(SERVER) };

    fn sum(plan: &MemoryPlan) -> u64 {
        plan.holders().iter().map(|(_, bytes)| bytes).sum()
    }

    #[test]
    fn two_cores_by_default() {
        let plan = MemoryPlan::new(&NEED).unwrap();
        assert_eq!(
            plan,
            MemoryPlan {
                total_bytes: 64 * MIB,
                fixed_bytes: 12 * MIB + 512 * KIB,
                readers: 2,
                decoders_bytes: 8 * MIB,
                stores_bytes: 0,
                read_ahead_bytes: 0,
                lines_bytes: 3 * MIB,
                chunk_bytes: 256 * KIB,
                block_bytes: MIB,
                tickets_bytes: 25 * MIB + 512 * KIB,
                writers_max: 3,
                body_bytes: 5 * MIB,
                answer_bytes: 5 * MIB,
                compressed_bytes: 0,
            }
        );
        assert_eq!(sum(&plan), 64 * MIB);
    }

    #[test]
    fn each_plan_keeps_to_its_ceiling_and_the_least_is_the_least() {
        for cores in [1, 2, 8, 64] {
            for threads in [1, 2, 16, 256] {
                for line_bytes_max in [KIB, MIB, 16 * MIB] {
                    for writers in [None, Some(1), Some(8), Some(64)] {
                        for body_bytes in [None, Some(64 * KIB), Some(100 * MIB)] {
                            for server in [None, Some(false), Some(true)]
                                .map(|server| server.map(|compress| ServerNeed { writers, body_bytes, compress }))
                            {
                                let objects = writers == Some(1);
                                let need = Need { memory: None, cores, threads, line_bytes_max, objects, server };
                                let plan = MemoryPlan::new(&need).unwrap();
                                assert!(sum(&plan) <= plan.total_bytes);
                                assert_eq!(plan.writers_max == 0, server.is_none());
                                let bodies = plan.body_bytes * (u64::from(plan.writers_max) + 1);
                                let parsing = u64::from(threads) * (plan.chunk_bytes + plan.block_bytes);
                                assert!(plan.tickets_bytes >= bodies + parsing);
                                if let Some(server) = server {
                                    assert!(server.writers.is_none_or(|writers| writers == plan.writers_max));
                                    assert!(server.body_bytes.is_none_or(|body| body == plan.body_bytes));
                                }

                                let least = least(&need);
                                let with = |bytes| MemoryPlan::new(&Need { memory: Some(bytes), ..need });
                                assert_eq!(with(least).unwrap().total_bytes, least);
                                assert!(with(least - MIB).is_err());
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn objects_are_read_ahead() {
        let plan = MemoryPlan::new(&Need { objects: true, ..NEED }).unwrap();
        assert_eq!((plan.total_bytes, plan.readers, plan.read_ahead_bytes), (92 * MIB, 2, 20 * MIB));
        assert_eq!((plan.writers_max, plan.body_bytes), (3, 5 * MIB));
        let small = MemoryPlan::new(&Need { objects: true, memory: Some(40 * MIB), ..NEED }).unwrap();
        assert_eq!((small.readers, small.read_ahead_bytes), (2, 2 * MIB));
    }

    #[test]
    fn eight_writers_with_compressed_bodies_still_fit_the_default() {
        let server = ServerNeed { writers: Some(8), body_bytes: None, compress: true };
        let plan = MemoryPlan::new(&Need { server: Some(server), ..NEED }).unwrap();
        assert_eq!((plan.total_bytes, plan.writers_max, plan.body_bytes), (64 * MIB, 8, MIB));
    }

    #[test]
    fn too_little_memory_names_the_least() {
        let error = MemoryPlan::new(&Need { memory: Some(16 * MIB), ..NEED }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--memory 16 MiB is too small, the least that works here is 20 MiB (fewer --threads or --writers, smaller \
             --bulk-bytes or --max-line-bytes need less)"
        );
    }
}
