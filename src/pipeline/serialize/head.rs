//! [`Heads`]: the start of a document, made once for each day, zone and index instead of once a line.
//!
//! ```text
//! {"create":{"_index":"apache-access-log-2020-12","_id":"························"}}
//! {"@timestamp":"2020-12-19T··:··:··+01:00","clientip":"
//! ```

use std::sync::Arc;

use super::id::{ID_CHARS, IdMode};
use super::plan::Plan;
use crate::pipeline::parse::timestamp::{DAYS, Day, Timestamp};
use crate::schema;

/// Heads of up to so many bytes are stored at once, as wide as this.
pub(super) const HEAD_BYTES: usize = 192;

/// The start of the documents of one day in one index.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// The day it was made for.
    serial: u64,
    /// For events from this second on …
    from: i64,
    /// … and so many seconds more.
    seconds: u64,
    /// The text, padded to [`HEAD_BYTES`] at least.
    pub(super) bytes: Vec<u8>,
    /// How much of it counts.
    pub(super) len: usize,
    /// Where the id goes, if there is one.
    pub(super) id_at: Option<usize>,
    /// Where the local time of day goes.
    pub(super) clock_at: usize,
    /// The index's number in [`Heads::indices`].
    pub(super) index: usize,
}

/// Heads of the days seen lately, and the documents of each index counted.
#[derive(Debug)]
pub(super) struct Heads {
    heads: [Head; DAYS],
    indices: Vec<(Arc<str>, u64)>,
}

/// More indices than this in one block are forgotten after it, and met anew.
const INDICES_MAX: usize = 64;

impl Heads {
    pub(super) fn new() -> Heads {
        Heads { heads: std::array::from_fn(|_| Head::default()), indices: Vec::new() }
    }

    /// The head for an event.
    #[inline(always)]
    pub(super) fn of(&mut self, plan: &Plan, day: &Day, time: &Timestamp) -> &Head {
        let slot = time.day as usize % DAYS;
        let head = &self.heads[slot];
        if head.serial != day.serial || time.unix.wrapping_sub(head.from) as u64 >= head.seconds {
            self.make(plan, day, time);
        }
        &self.heads[slot]
    }

    /// Counts a document of the index that a head is for.
    #[inline(always)]
    pub(super) fn count(&mut self, index: usize) {
        self.indices[index].1 += 1;
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, plan: &Plan, day: &Day, time: &Timestamp) {
        let (from, until) = plan.options.index.steady(time.unix);
        let name = plan.options.index.name(time.unix);
        let index = self.indices.iter().position(|(known, _)| **known == *name).unwrap_or_else(|| {
            self.indices.push((name.as_str().into(), 0));
            self.indices.len() - 1
        });
        let head = &mut self.heads[time.day as usize % DAYS];
        let bytes = &mut head.bytes;
        bytes.clear();
        head.id_at = None;
        if !plan.options.documents_only {
            // An index name holds nothing that JSON escapes: `IndexPattern` refuses quotes, backslashes, controls.
            bytes.extend_from_slice(format!("{{\"create\":{{\"_index\":\"{name}\"").as_bytes());
            if plan.options.ids != IdMode::None {
                bytes.extend_from_slice(b",\"_id\":\"");
                head.id_at = Some(bytes.len());
                bytes.extend_from_slice(&[b'.'; ID_CHARS]);
                bytes.push(b'"');
            }
            bytes.extend_from_slice(b"}}\n");
        }
        bytes.extend_from_slice(format!("{{\"{}\":\"", schema::TIMESTAMP.name(plan.options.schema)).as_bytes());
        bytes.extend_from_slice(&day.date);
        bytes.push(b'T');
        head.clock_at = bytes.len();
        bytes.extend_from_slice(b"..:..:..");
        bytes.extend_from_slice(&day.zone);
        bytes.extend_from_slice(format!("\",\"{}\":\"", schema::CLIENTIP.name(plan.options.schema)).as_bytes());
        head.len = bytes.len();
        bytes.resize(head.len.max(HEAD_BYTES), 0);
        head.serial = day.serial;
        head.from = from;
        head.seconds = until.wrapping_sub(from) as u64;
        head.index = index;
    }

    /// Takes the counts.
    pub(super) fn take_indices(&mut self) -> Vec<(Arc<str>, u64)> {
        let counted = self.indices.iter().filter(|(_, documents)| *documents > 0).cloned().collect();
        if self.indices.len() > INDICES_MAX {
            *self = Heads::new();
        }
        for (_, documents) in &mut self.indices {
            *documents = 0;
        }
        counted
    }
}
