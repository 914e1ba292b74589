//! What was shipped: one JSON line for each body all of whose documents have an outcome, beside the bodies or where
//! `--state` says. With it a ship that was stopped or killed goes on, and the next one sends only what is new.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, io_reason};

/// One body at one destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shipped {
    /// When: RFC 3339.
    pub time: String,
    /// The cluster's uuid, or its address.
    pub cluster: String,
    /// The ingest pipeline; empty for none that was named.
    pub pipeline: String,
    /// The body's name and checksum.
    pub file: String,
    /// As in the manifest.
    pub sha256: String,
    /// What became of its documents.
    pub indexed: u64,
    /// Part of `indexed`.
    pub confirmed: u64,
    /// Were there already.
    pub duplicate: u64,
    /// Refused for good.
    pub rejected: u64,
    /// How long the file of dead letters was then, which holds those that were rejected.
    pub dead_letters_bytes: u64,
    /// That file.
    pub dead_letters: PathBuf,
    /// The uuids of the indices that they went to, as far as they could be asked for.
    pub indices: BTreeMap<String, String>,
    /// It is not there any more: an index was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// The file.
pub struct State {
    path: PathBuf,
    file: File,
    whole_bytes: u64,
    /// The last line for each body, at this destination.
    known: HashMap<(String, String), Shipped>,
    cluster: String,
    pipeline: String,
    last: Option<Shipped>,
}

impl State {
    /// Opens the file, makes it where there is none, and keeps others from it.
    ///
    /// # Errors
    /// If it cannot be read or written, is damaged, or another ship uses it.
    pub fn open(path: &Path, cluster: &str, pipeline: &str) -> Result<State> {
        let failed = |error: &io::Error| {
            Error::failed(format!("cannot remember what is shipped in {}: {}", path.display(), io_reason(error)))
                .hint("name a file that can be written to with --state FILE")
        };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| failed(&error))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Error::failed(format!("another ship is at work: {} is in use", path.display())).hint("wait for its end")
        })?;
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        // Half a line is what a full disk or a kill has left.
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        let mut state = State {
            path: path.to_owned(),
            file,
            whole_bytes: whole as u64,
            known: HashMap::new(),
            cluster: cluster.to_owned(),
            pipeline: pipeline.to_owned(),
            last: None,
        };
        for (n, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let shipped: Shipped = serde_json::from_slice(line).map_err(|error| {
                Error::failed(format!("{}, line {}, is damaged: {error}", path.display(), n + 1))
                    .hint("move it away: all is sent again then, and what is there counts as duplicate")
            })?;
            if shipped.cluster == cluster && shipped.pipeline == pipeline {
                let key = (shipped.file.clone(), shipped.sha256.clone());
                match shipped.gone {
                    true => state.known.remove(&key),
                    false => state.known.insert(key, shipped.clone()),
                };
            }
            state.last = Some(shipped);
        }
        Ok(state)
    }

    /// The ingest pipeline that all of this ship's documents go through.
    pub fn pipeline(&self) -> Option<&str> {
        Some(self.pipeline.as_str()).filter(|name| !name.is_empty())
    }

    /// What became of a body that was shipped.
    pub fn of(&self, file: &str, sha256: &str) -> Option<&Shipped> {
        self.known.get(&(file.to_owned(), sha256.to_owned()))
    }

    /// How long a file of dead letters was when the last body was settled: what lies behind belongs to none.
    pub fn dead_letters_bytes(&self, path: &Path) -> Option<u64> {
        let same = |shipped: &&Shipped| same_path(&shipped.dead_letters, path);
        self.last.as_ref().filter(same).map(|shipped| shipped.dead_letters_bytes)
    }

    /// A body is settled; safe on disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, shipped: Shipped) -> Result<()> {
        let shipped = Shipped { cluster: self.cluster.clone(), pipeline: self.pipeline.clone(), ..shipped };
        let mut line = serde_json::to_vec(&shipped).expect("strings and numbers become JSON");
        line.push(b'\n');
        let written = (|| {
            if self.file.metadata()?.len() != self.whole_bytes {
                self.file.set_len(self.whole_bytes)?;
            }
            self.file.write_all_at(&line, self.whole_bytes)?;
            self.file.sync_data()
        })();
        written.map_err(|error| {
            let _ = self.file.set_len(self.whole_bytes);
            Error::stopped(format!("cannot write to {}: {}", self.path.display(), io_reason(&error)))
                .hint("make room, and run the same again: it goes on")
        })?;
        self.whole_bytes += line.len() as u64;
        self.last = Some(shipped);
        Ok(())
    }
}

fn same_path(a: &Path, b: &Path) -> bool {
    a == b || std::fs::canonicalize(a).ok().zip(std::fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shipped_is_known_again_but_only_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shipped.ndjson");
        let shipped =
            Shipped { file: "1".into(), sha256: "x".into(), indexed: 7, dead_letters_bytes: 9, ..Shipped::default() };
        let mut state = State::open(&path, "c", "").unwrap();
        state.add(shipped.clone()).unwrap();
        assert!(State::open(&path, "c", "").is_err(), "in use");
        drop(state);
        // Half a line of a kill.
        use std::io::Write;
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"file\":\"2\"").unwrap();
        let mut state = State::open(&path, "c", "").unwrap();
        assert_eq!(state.of("1", "x").map(|shipped| shipped.indexed), Some(7));
        assert_eq!((state.of("1", "y"), state.of("2", "x")), (None, None));
        assert_eq!(state.dead_letters_bytes(Path::new("")), Some(9));
        state.add(Shipped { gone: true, ..shipped.clone() }).unwrap();
        state.add(Shipped { file: "3".into(), ..shipped }).unwrap();
        drop(state);
        assert!(State::open(&path, "c", "").unwrap().of("3", "x").is_some());
        assert!(State::open(&path, "c", "").unwrap().of("1", "x").is_none(), "gone");
        assert!(State::open(&path, "c", "p").unwrap().of("3", "x").is_none());
        assert!(State::open(&path, "d", "").unwrap().of("3", "x").is_none());
    }
}
