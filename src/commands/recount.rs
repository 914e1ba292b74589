//! [`recount`]: what a source must have left in the cluster, told from the source itself: documents for each index, and
//! the ids of some of them. It is read once more up to where the ledger says that it was loaded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::ledger::FileRecord;
use crate::pipeline::decode;
use crate::pipeline::parse::Format;
use crate::pipeline::serialize::{Block, FileFacts, Plan, Worker};
use crate::pipeline::tail::Tail;
use crate::stores::{Location, Object, Reading};

/// So much is parsed at a time; the longest line that load takes, where it was not told otherwise.
const CHUNK_BYTES: usize = 1 << 20;

/// Some documents of all that were met, each with the same chance (Vitter's algorithm R).
pub struct Sample {
    /// Index and id.
    pub ids: Vec<(String, String)>,
    wanted: usize,
    met: u64,
    random: fastrand::Rng,
}

impl Sample {
    /// Will hold at most `wanted`.
    pub fn new(wanted: usize) -> Sample {
        Sample { ids: Vec::new(), wanted, met: 0, random: fastrand::Rng::new() }
    }

    /// Takes the place of both: each document of either has the same chance still.
    pub fn join(&mut self, other: Sample) {
        let total = self.met + other.met;
        let (mut mine, mut theirs) = (std::mem::take(&mut self.ids), other.ids);
        self.random.shuffle(&mut mine);
        self.random.shuffle(&mut theirs);
        let (mut mine_left, mut theirs_left) = (self.met, other.met);
        while self.ids.len() < self.wanted && mine_left + theirs_left > 0 {
            let from_mine = self.random.u64(..mine_left + theirs_left) < mine_left;
            let (ids, left) = if from_mine { (&mut mine, &mut mine_left) } else { (&mut theirs, &mut theirs_left) };
            *left -= 1;
            self.ids.extend(ids.pop());
        }
        self.met = total;
    }

    fn meet(&mut self, index_and_id: impl FnOnce() -> Option<(String, String)>) {
        self.met += 1;
        let place = match self.ids.len() < self.wanted {
            true => self.ids.len(),
            false => usize::try_from(self.random.u64(..self.met)).unwrap_or(usize::MAX),
        };
        if place >= self.wanted {
            return;
        }
        match (index_and_id(), self.ids.get_mut(place)) {
            (Some(new), Some(old)) => *old = new,
            (Some(new), None) => self.ids.push(new),
            (None, _) => {}
        }
    }
}

/// Gives the object at a place of a store, as it is now.
pub type AskStore<'a> = dyn Fn(&Location) -> io::Result<Object> + 'a;

/// A reader that waits for what is not here yet.
struct Patient(Reading);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Reads a file again up to its watermark: documents by index. `None` if it is not what was loaded any more. `plan` makes
/// documents with action lines; a `format` of `None` is guessed.
///
/// # Errors
/// What the system says.
pub fn recount(
    file: &FileRecord,
    stores: &AskStore,
    plan: &Plan,
    format: Option<Format>,
    sample: &mut Sample,
) -> io::Result<Option<BTreeMap<Arc<str>, u64>>> {
    let uri = file.path.display().to_string();
    let input: Box<dyn Read + Send> = match Location::of(&uri) {
        Some(Ok(location)) => Box::new(Patient(stores(&location)?.read_from(0))),
        _ => Box::new(File::open(&file.path)?),
    };
    let peeked = decode::peek(input, || false)?;
    let mut plain = decode::decoder(decode::encoding(peeked.start()), peeked)?.take(file.mark.offset);
    let facts = FileFacts::new(plan, uri, file.identity, format.unwrap_or(Format::Combined), format.is_none(), None);
    let facts = facts.with_format_open(format.is_none());
    let (mut worker, mut block, mut tail) = (Worker::new(), Block::default(), Tail::default());
    let (mut held, mut offset, mut found) = (Vec::new(), 0, BTreeMap::new());
    loop {
        let before = held.len();
        let read = plain.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut held)?;
        tail.push(&held[before..]);
        let whole = if read == 0 { held.len() } else { memchr::memrchr(b'\n', &held).map_or(0, |at| at + 1) };
        // A longer line was malformed.
        let too_long = memchr::memchr(b'\n', &held[..whole]).is_none_or(|at| at > CHUNK_BYTES) && whole > CHUNK_BYTES;
        if whole > 0 && !too_long {
            worker.fill(plan, &facts, &held[..whole], offset, &mut block);
            for (index, documents) in &block.indices {
                *found.entry(Arc::clone(index)).or_insert(0) += documents;
            }
            for n in 0..block.documents.len() {
                let document = &block.bytes[block.document_range(n)];
                sample.meet(|| address(document));
            }
            block.clear();
        }
        held.drain(..whole);
        offset += whole as u64;
        if read == 0 {
            break;
        }
    }
    let is_same = offset == file.mark.offset && tail.end().hash == file.mark.tail;
    Ok(is_same.then_some(found))
}

/// Index and id out of `{"create":{"_index":"…","_id":"…"}}` at the start of a document; none where it has no id.
fn address(document: &[u8]) -> Option<(String, String)> {
    let action = document.split(|byte| *byte == b'\n').next()?;
    let action: serde_json::Value = serde_json::from_slice(action).ok()?;
    let text = |key: &str| action["create"][key].as_str().map(str::to_owned);
    Some((text("_index")?, text("_id")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_has_the_same_chance() {
        let mut sample = Sample::new(10);
        for n in 0..1_000 {
            sample.meet(|| Some((String::new(), n.to_string())));
        }
        assert_eq!((sample.ids.len(), sample.met), (10, 1_000));
        assert!(sample.ids.iter().any(|(_, id)| id.len() == 3), "not only the first ones: {:?}", sample.ids);
    }

    #[test]
    fn two_samples_become_one() {
        let of = |count: u64| {
            let mut sample = Sample::new(5);
            (0..count).for_each(|n| sample.meet(|| Some((String::new(), n.to_string()))));
            sample
        };
        for (a, b, together) in [(0, 0, 0), (3, 0, 3), (0, 3, 3), (2, 2, 4), (100, 3, 5), (100, 100, 5)] {
            let mut sample = of(a);
            sample.join(of(b));
            assert_eq!((sample.ids.len(), sample.met), (together, a + b));
        }
    }

    #[test]
    fn action_lines() {
        let of = |action: &str| address(format!("{action}\n{{}}\n").as_bytes());
        assert_eq!(of(r#"{"create":{"_index":"i","_id":"a"}}"#), Some(("i".into(), "a".into())));
        assert_eq!(of(r#"{"create":{"_index":"i"}}"#), None);
    }
}
