//! [`Batch`]: blocks of any files, sent together. [`Selection`]: which of its documents.
//!
//! A batch owns its blocks until each of its documents has an outcome. Nothing is copied into a body: a request is
//! a list of slices of the blocks ([`Batch::body`]). So "send these again" and "send this half" are selections of
//! the same bytes, and a retry holds no memory that the first attempt did not.

use std::ops::Range;

use crate::opensearch::Body;
use crate::pipeline::parcel::Parcel;
use crate::pipeline::report::DeadLetter;

/// Blocks that are sent together. Its documents are numbered through, from 0.
#[derive(Debug)]
pub struct Batch<T> {
    parts: Vec<Parcel<T>>,
    /// `starts[n]`: the number of part n's first document; one more at the end. Rises, or stays where a part has none.
    starts: Vec<u32>,
    /// Sum of the blocks' bytes.
    bytes: usize,
}

/// Documents of one batch: ranges of their numbers, in order, not empty, with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    runs: Vec<Range<u32>>,
    documents: u32,
}

impl<T> Default for Batch<T> {
    fn default() -> Batch<T> {
        Batch::new()
    }
}

impl<T> Batch<T> {
    /// No blocks.
    pub fn new() -> Batch<T> {
        Batch { parts: Vec::new(), starts: vec![0], bytes: 0 }
    }

    /// Adds a block; one without documents too, for its lines need a receipt as well.
    pub fn push(&mut self, part: Parcel<T>) {
        assert_eq!(part.block.bytes.is_empty(), part.block.documents.is_empty(), "bytes and documents go together");
        let documents = u32::try_from(part.block.documents.len()).expect("a block's documents are numbered in 32 bits");
        let next = self.documents().checked_add(documents).expect("a batch's documents are numbered in 32 bits");
        self.bytes += part.block.bytes.len();
        self.starts.push(next);
        self.parts.push(part);
    }

    /// How many documents it holds.
    pub fn documents(&self) -> u32 {
        *self.starts.last().expect("one more start than parts")
    }

    /// Bytes of its documents, action lines included: the body that sends them all.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is no block in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Its blocks, in the order in which they came.
    pub fn parts(&self) -> &[Parcel<T>] {
        &self.parts
    }

    /// The blocks back.
    pub fn into_parts(self) -> Vec<Parcel<T>> {
        self.parts
    }

    /// Which part document `n` is in, and its place there.
    pub fn locate(&self, n: u32) -> (usize, usize) {
        debug_assert!(n < self.documents());
        let part = self.starts.partition_point(|start| *start <= n) - 1;
        (part, (n - self.starts[part]) as usize)
    }

    /// The bytes of document `n`, its action line included.
    pub fn document(&self, n: u32) -> &[u8] {
        let (part, document) = self.locate(n);
        let block = &self.parts[part].block;
        &block.bytes[block.document_range(document)]
    }

    /// The index that document `n` is addressed to, as its action line says.
    pub fn index_of(&self, n: u32) -> &str {
        let document = self.document(n);
        let action = &document[..memchr::memchr(b'\n', document).unwrap_or(document.len())];
        let name = memchr::memmem::find(action, br#""_index":""#).map(|at| &action[at + br#""_index":""#.len()..]);
        // Index names hold no quotes and no backslashes: OpenSearch refuses both.
        let name = name.and_then(|rest| rest.get(..memchr::memchr(b'"', rest)?));
        name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or("")
    }

    /// Whether document `n` may be one that an earlier part of this run has sent.
    pub fn may_be_sent_before(&self, n: u32) -> bool {
        let (part, document) = self.locate(n);
        let part = &self.parts[part];
        let line = part.range.start + u64::from(part.block.documents[document].line_start);
        part.earlier.confirms.contains(&line)
    }

    /// A request body of these documents, in order. One slice for each stretch of neighbours.
    pub fn body(&self, selection: &Selection) -> Body<'_> {
        let mut body = Body::default();
        self.for_each_stretch(selection, |part, documents| {
            let block = &self.parts[part].block;
            let start = block.documents[documents.start].start as usize;
            let end = block.documents.get(documents.end).map_or(block.bytes.len(), |next| next.start as usize);
            body.push(&block.bytes[start..end]);
        });
        body
    }

    /// Calls `f` with each stretch of neighbouring documents within one part: the part, and their places in it.
    pub fn for_each_stretch(&self, selection: &Selection, mut f: impl FnMut(usize, Range<usize>)) {
        for run in &selection.runs {
            let mut from = run.start;
            while from < run.end {
                let (part, document) = self.locate(from);
                let until = run.end.min(self.starts[part + 1]);
                f(part, document..document + (until - from) as usize);
                from = until;
            }
        }
    }

    /// Cuts a selection in two, near the middle of its bytes; `None` for a single document.
    pub fn halves(&self, selection: &Selection) -> Option<(Selection, Selection)> {
        if selection.documents < 2 {
            return None;
        }
        let half = self.body(selection).bytes() / 2;
        let (mut front, mut back, mut bytes) = (Selection::default(), Selection::default(), 0);
        for n in selection.iter() {
            bytes += self.document(n).len();
            let last = front.documents + 1 == selection.documents;
            let is_back = !front.is_empty() && (bytes > half || last);
            if is_back { back.push(n) } else { front.push(n) }
        }
        Some((front, back))
    }

    /// Cuts a selection into pieces of at most so many bytes and documents each, but at least one document.
    pub fn pieces(&self, selection: &Selection, bytes_max: usize, documents_max: u32) -> Vec<Selection> {
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), Selection::default(), 0);
        for n in selection.iter() {
            let document_bytes = self.document(n).len();
            if !piece.is_empty() && (bytes + document_bytes > bytes_max || piece.documents >= documents_max) {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
            piece.push(n);
            bytes += document_bytes;
        }
        pieces.push(piece);
        pieces
    }

    /// What becomes of document `n` when it is refused for good.
    pub fn dead_letter(&self, n: u32, status: u16, error_type: &str, reason: &str, attempts: u32) -> DeadLetter {
        let (part, document) = self.locate(n);
        let part = &self.parts[part];
        let place = part.block.documents[document];
        DeadLetter {
            document: part.block.bytes[part.block.document_range(document)].to_vec(),
            offset: part.range.start + u64::from(place.line_start),
            line_bytes: place.line_bytes,
            status,
            error_type: error_type.to_owned(),
            reason: reason.to_owned(),
            attempts,
        }
    }
}

impl Selection {
    /// All documents of a batch of so many.
    pub fn all(documents: u32) -> Selection {
        match documents {
            0 => Selection::default(),
            _ => Selection { runs: std::iter::once(0..documents).collect(), documents },
        }
    }

    /// Adds a document behind the last one.
    pub fn push(&mut self, n: u32) {
        match self.runs.last_mut() {
            Some(run) if run.end == n => run.end += 1,
            Some(run) => {
                assert!(run.end < n, "documents are selected in order");
                self.runs.push(n..n + 1);
            }
            None => self.runs.push(n..n + 1),
        }
        self.documents += 1;
    }

    /// How many documents.
    pub fn documents(&self) -> u32 {
        self.documents
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().cloned().flatten()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::parcel::Earlier;
    use crate::pipeline::report::receipt::FileId;
    use crate::pipeline::serialize::Block;
    use crate::pipeline::serialize::{Document, Tally};

    /// A part with these documents, each after an action line for `index`.
    pub(crate) fn part(file: FileId, index: &str, documents: &[&str]) -> Parcel<u32> {
        let mut block = Block::default();
        for (n, document) in documents.iter().enumerate() {
            block.documents.push(Document {
                start: block.bytes.len() as u32,
                line_start: 100 * n as u32,
                line_bytes: document.len() as u32,
            });
            let action = format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"{file}-{n}\"}}}}\n{document}\n");
            block.bytes.extend_from_slice(action.as_bytes());
        }
        block.tally = Tally { documents: documents.len() as u64, ..Tally::default() };
        if !documents.is_empty() {
            block.indices.push((Arc::from(index), documents.len() as u64));
        }
        let range = 1000..1000 + 100 * documents.len() as u64;
        Parcel { sequence: 0, file, log: None, range, earlier: Earlier::default(), block, ticket: file }
    }

    pub(crate) fn batch(parts: Vec<Parcel<u32>>) -> Batch<u32> {
        let mut batch = Batch::new();
        parts.into_iter().for_each(|part| batch.push(part));
        batch
    }

    fn selection(documents: &[u32]) -> Selection {
        let mut selection = Selection::default();
        documents.iter().for_each(|n| selection.push(*n));
        selection
    }

    #[test]
    fn any_subset_is_sent_from_the_same_bytes() {
        let batch = batch(vec![
            part(0, "a", &["{\"n\":0}", "{\"n\":1}"]),
            part(1, "b", &[]),
            part(2, "c", &["{\"n\":2}"]),
            part(3, "d", &["{\"n\":3}", "{\"n\":4}", "{\"n\":5}"]),
        ]);
        assert_eq!(batch.documents(), 6);
        assert_eq!((0..6).map(|n| batch.index_of(n)).collect::<String>(), "aacddd");
        assert_eq!(batch.body(&Selection::all(6)).bytes(), batch.bytes());
        // Every subset, against the documents put together one by one.
        for set in 0..64u32 {
            let chosen: Vec<u32> = (0..6).filter(|n| set >> n & 1 == 1).collect();
            let selection = selection(&chosen);
            assert_eq!(selection.iter().collect::<Vec<_>>(), chosen);
            let expected: Vec<u8> = chosen.iter().flat_map(|n| batch.document(*n).to_vec()).collect();
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut batch.body(&selection).reader(), &mut body).expect("slices never fail");
            assert_eq!(body, expected, "{chosen:?}");
            if let Some((front, back)) = batch.halves(&selection) {
                assert!(!front.is_empty() && !back.is_empty());
                assert_eq!(front.iter().chain(back.iter()).collect::<Vec<_>>(), chosen);
            }
        }
    }

    #[test]
    fn pieces_keep_to_bytes_and_documents() {
        let batch = batch(vec![part(0, "a", &["1", "22", "333", "4444"])]);
        let one = batch.document(0).len();
        for (bytes_max, documents_max, sizes) in [
            (0, 9, &[1, 1, 1, 1][..]),
            (one, 9, &[1, 1, 1, 1]),
            (2 * one + 1, 9, &[2, 1, 1]),
            (usize::MAX, 9, &[4]),
            (usize::MAX, 3, &[3, 1]),
        ] {
            let pieces = batch.pieces(&Selection::all(4), bytes_max, documents_max);
            let found: Vec<u32> = pieces.iter().map(Selection::documents).collect();
            assert_eq!(found, sizes, "{bytes_max} {documents_max}");
            assert_eq!(pieces.iter().flat_map(Selection::iter).collect::<Vec<_>>(), [0, 1, 2, 3]);
        }
        assert_eq!(batch.halves(&Selection::all(1)), None);
    }

    #[test]
    fn a_dead_letter_says_where_its_line_is() {
        let batch = batch(vec![part(0, "a", &["x"]), part(7, "b", &["y", "zz"])]);
        let letter = batch.dead_letter(2, 400, "t", "r", 3);
        assert_eq!(letter.document, b"{\"create\":{\"_index\":\"b\",\"_id\":\"7-1\"}}\nzz\n");
        assert_eq!((letter.offset, letter.line_bytes, letter.attempts), (1100, 2, 3));
    }
}
