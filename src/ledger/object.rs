//! What is to be done with an object of a store. The store says of each what tells it from all that ever were at its
//! place, so one that has not changed is not looked into, and one that was begun goes on without being compared.
//!
//! An object that was written anew is read from its start: whoever writes objects writes them as a whole. Its lines that
//! are there already have the ids that they had, and count as duplicates.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use super::choose::{Chooser, Decided, Found, Seen, skipped};
use super::records::{FileRecord, FileState, Stat};
use crate::error::Result;
use crate::pipeline::decode;
use crate::pipeline::head::{HEAD_BYTES, Head};
use crate::pipeline::source::{Input, Place, Source};
use crate::stores::Object;

/// So many bytes as they are stored hold a head's worth of plain ones, whatever packed them.
const FIRST_BYTES: usize = 2 * HEAD_BYTES;

impl Chooser {
    /// Whether nothing of a source will be read: it is an object that is loaded and has not changed.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn is_settled(&self, source: &Source) -> Result<bool> {
        let Place::Object(object) = &source.place else { return Ok(false) };
        let stat = Stat::of_object(&source.uri(), object);
        let known = self.rows("dev = ? AND ino = ?", self.naming(source), (stat.dev, stat.ino))?;
        match known.iter().find(|row| row.stat == stat) {
            Some(row) => self.needs_nothing(row),
            None => Ok(false),
        }
    }

    fn needs_nothing(&self, row: &FileRecord) -> Result<bool> {
        Ok(row.needs_nothing() && !self.reads_again(row.run) && self.indices_exist(row)?)
    }

    pub(super) fn object(&self, object: &Arc<Object>, source: &Source) -> Result<Decided> {
        let uri = source.uri();
        let (path, naming, stat) = (PathBuf::from(&uri), self.naming(source), Stat::of_object(&uri, object));
        let mut known = self.rows("dev = ? AND ino = ?", naming, (stat.dev, stat.ino))?;
        let found = |row: FileRecord| Found { was_taken: self.taken().rows.contains(&row.id), row };
        let mut file = Seen { path, stat, encoding: None, tag: Some(object.tag()), first_line: None, naming };
        if let Some(at) = known.iter().position(|row| row.stat == stat) {
            let row = known.swap_remove(at);
            if self.needs_nothing(&row)? {
                // Of a malformed line it is not known any more whether all of it was kept.
                let lasts = row.state == FileState::Complete && row.mark.counts.malformed == 0;
                if let (true, Some(settled)) = (lasts, &self.on_settled) {
                    settled(object);
                }
                return Ok(Some(skipped(source, &file.path, &row)));
            }
            file.first_line = self.first_line_of(row.id)?;
            let (identity, found) = (row.identity, found(row));
            let path = file.path.clone();
            return if !self.indices_exist(&found.row)? {
                self.read_from_start(source, &path, &file, identity, Some(&found), true)
            } else if self.reads_again(found.row.run) {
                self.read_from_start(source, &path, &file, identity, Some(&found), false)
            } else {
                self.go_on(source, &path, &file, &found)
            };
        }
        // Whatever is wrong with it, the reader will meet it, too, and tell.
        let Ok(bytes) = object.first_bytes(FIRST_BYTES) else { return Ok(Some(source.clone())) };
        let encoding = decode::encoding(&bytes);
        let head = decode::decoder(encoding, Cursor::new(bytes))
            .and_then(|plain| Head::read(&mut Input::Stream(plain), || self.stop.is_raised()));
        let Ok(head) = head else { return Ok(Some(source.clone())) };
        let identity = head.identity(&self.namespace, &source.identity_name());
        (file.encoding, file.first_line) = (Some(encoding), head.first_line());
        let before = known.into_iter().find(|row| row.identity == identity).map(found);
        let path = file.path.clone();
        self.read_from_start(source, &path, &file, identity, before.as_ref(), false)
    }
}
