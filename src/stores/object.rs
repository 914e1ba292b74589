//! [`Object`]: one object, as it was when it was listed or looked at. It is read as that, or not at all.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use object_store::path::Path;

use super::border::Border;
use super::bucket::Bucket;
use super::fetch::{self, Facts};
use super::location::Location;
use super::reading::Reading;

/// An object of a store.
pub struct Object {
    facts: Arc<Facts>,
    border: Arc<Border>,
    /// A reading from its start that was begun and has no reader yet.
    begun: Mutex<Option<Reading>>,
}

impl Object {
    /// One that was seen at `location`.
    pub(super) fn new(facts: Facts, border: &Arc<Border>) -> Object {
        Object { facts: Arc::new(facts), border: Arc::clone(border), begun: Mutex::default() }
    }

    /// Where it lies.
    pub fn location(&self) -> &Location {
        &self.facts.location
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.facts.bytes
    }

    /// When it was written.
    pub fn modified(&self) -> SystemTime {
        self.facts.modified
    }

    /// What tells it from every other object that ever was at its place: its ETag, or its version, or else when it was
    /// written.
    pub fn tag(&self) -> String {
        let Facts { etag, version, modified, .. } = &*self.facts;
        etag.clone().or_else(|| version.clone()).unwrap_or_else(|| {
            let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            format!("modified {}", since.as_millis())
        })
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.facts.etag.as_deref()
    }

    pub(super) fn path(&self) -> &Path {
        &self.facts.path
    }

    pub(super) fn bucket(&self) -> &Arc<Bucket> {
        &self.facts.bucket
    }

    pub(super) fn border(&self) -> &Arc<Border> {
        &self.border
    }

    /// Begins to read it in the background: the first bytes come while others are being worked on.
    pub fn begin(&self) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.get_or_insert_with(|| fetch::begin(&self.facts, &self.border, 0));
    }

    /// Its bytes from `start` on.
    pub fn read_from(&self, start: u64) -> Reading {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut reading = match begun {
            Some(reading) if start == 0 => reading,
            _ => fetch::begin(&self.facts, &self.border, start),
        };
        reading.is_wanted();
        reading
    }

    /// Its first bytes, `limit` at most; they will be read once more by whoever reads it, but not asked for again.
    ///
    /// # Errors
    /// What reading says.
    pub fn first_bytes(&self, limit: usize) -> io::Result<Vec<u8>> {
        self.begin();
        let taken = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut reading = taken.expect("begun just now, and nobody else decides about it");
        let mut bytes = Vec::new();
        let wanted = limit.min(usize::try_from(self.facts.bytes).unwrap_or(usize::MAX));
        while bytes.len() < wanted {
            let filled = bytes.len();
            bytes.resize(wanted, 0);
            let read = reading.read(&mut bytes[filled..]);
            bytes.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.border.is_given_up() => {}
                Err(error) => return Err(error),
            }
        }
        reading.put_back(&bytes);
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        Ok(bytes)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("at", &self.facts.location.to_string()).field("tag", &self.tag()).finish()
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.location() == other.location() && self.tag() == other.tag()
    }
}

impl Eq for Object {}
