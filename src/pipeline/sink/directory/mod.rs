//! [`Directory`]: a folder of numbered, compressed bodies for the Bulk API and a manifest of them, to be sent from
//! somewhere else (`loghaul ship`, or `zstd -dc … | curl --data-binary @- …/_bulk`).
//!
//! A body is written under another name, made safe on disk, renamed into its place, and only then entered into the
//! manifest, which is made safe before its lines count as settled. So whatever the manifest names is there and whole;
//! a file that it does not name is what a killed load left, and nobody looks at it.

mod cut_back; // what a killed part of a load wrote beyond its watermarks
pub mod manifest; // what is in the directory

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustix::fs::{FlockOperation, flock};

use super::batch::{Batch, Selection};
use super::bulk_writer::Delivery;
use crate::error::{Error, Result, io_reason};
use crate::pipeline::parcel::Parcel;
use crate::pipeline::report::coverage::PrefixCounts;
use crate::pipeline::report::{Ended, Outcomes};
use crate::pipeline::stop::{Reason, Stop};
use cut_back::cut_back;
use manifest::{BodyLine, EndLine, Head, Line, Manifest, RunLine, SourceRanges, push_line};

/// How long documents wait for company. Nobody searches them yet, and a body a second of what drips in would be a folder of
/// crumbs; but what is written is safe.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// zstd's own default: beyond it a body gets little smaller and takes much longer.
const LEVEL: i32 = 3;

/// A directory that is being written to. Nobody else may write to it meanwhile.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    folder: File,
    /// How large bodies become, in bytes, unpacked.
    body_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Locked as long as it is open.
    file: File,
    manifest: Manifest,
    /// The run that writes now, or was the last to write.
    run: RunLine,
    /// The next body's number. A number that fails is not used again.
    next: u64,
    /// What went wrong with the manifest itself: nobody may build on it any more.
    broken: bool,
    documents: u64,
    bodies: u64,
    stored_bytes: u64,
}

/// How a directory that is there already stands to a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All loads into it came to their end, or there was none.
    Ready,
    /// A load that may go on, by its number in its ledger, and how it stopped.
    Unfinished(Option<i64>, String),
}

impl Directory {
    /// Opens a directory for a load, and makes it where there is none. Nothing is written until [`Directory::begin`]
    /// but the manifest's first line.
    ///
    /// # Errors
    /// If it cannot be made or written to, holds other things than bodies, is damaged, or somebody writes to it now.
    pub fn open(path: &Path, body_bytes: usize) -> Result<Directory> {
        let failed = |doing: &str, error: &io::Error| {
            Error::failed(format!("cannot {doing} {}: {}", path.display(), io_reason(error)))
        };
        fs::create_dir_all(path).map_err(|error| failed("make the directory", &error))?;
        let name = path.join(manifest::FILE);
        if !name.exists() {
            let mut files = fs::read_dir(path).map_err(|error| failed("read", &error))?;
            if files.next().is_some() {
                return Err(Error::usage(format!("{} is not empty, and no load's directory", path.display()))
                    .hint("name one that is empty or not there yet"));
            }
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&name);
        let file = file.map_err(|error| failed("write to", &error))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Error::failed(format!("another load writes to {}, or a ship reads it, just now", path.display()))
                .hint("wait for its end")
        })?;
        let folder = File::open(path).map_err(|error| failed("read", &error))?;
        let empty = file.metadata().map_err(|error| failed("read", &error))?.len() == 0;
        if empty {
            let head = Head {
                version: manifest::VERSION,
                id: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
                made: now(),
                by: concat!("loghaul ", env!("CARGO_PKG_VERSION")).to_owned(),
            };
            let mut line = Vec::new();
            push_line(&mut line, &Line::Manifest(head));
            (&file).write_all(&line).and_then(|()| file.sync_all()).and_then(|()| folder.sync_all()).map_err(
                |error| {
                    let _ = fs::remove_file(&name); // so that the next load finds it empty
                    failed("write to", &error)
                },
            )?;
        }
        let manifest = Manifest::read(path)?.expect("it was opened");
        let run = manifest.runs.last_key_value().map(|(_, run)| run.clone()).unwrap_or_default();
        let body_bytes = body_bytes.max(1);
        let inner = Inner { file, manifest, run, next: 0, broken: false, documents: 0, bodies: 0, stored_bytes: 0 };
        Ok(Directory { path: path.to_owned(), folder, body_bytes, inner: Mutex::new(inner) })
    }

    /// What names it wherever it is moved: a ledger's destination.
    pub fn id(&self) -> String {
        self.lock().manifest.head.id.clone()
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all loads into it came to their end.
    pub fn standing(&self) -> Standing {
        match self.lock().manifest.unfinished() {
            None => Standing::Ready,
            Some((run, end)) => {
                let how = end.map_or("killed".to_owned(), |end| end.ended.clone());
                Standing::Unfinished(run.ledger_run, how)
            }
        }
    }

    /// A new load begins.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn begin(&self, run: RunLine) -> Result<()> {
        let mut inner = self.lock();
        let last = inner.manifest.runs.last_key_value().map_or(0, |(number, _)| *number);
        self.enter(&mut inner, RunLine { number: last + 1, part: 1, began: now(), ..run })
    }

    /// The load that has not come to its end goes on. What its last part wrote beyond `watermark`, which is told the
    /// source and the identity of each log, will be read again and is taken out.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn go_on(&self, watermark: impl Fn(&str, &str) -> u64) -> Result<()> {
        let mut inner = self.lock();
        let run = inner.manifest.unfinished().map(|(run, _)| run.clone()).expect("only such a load goes on");
        let part = run.part;
        let first_free = self.first_free(&inner.manifest)?;
        let before = inner.manifest.clone();
        let new = cut_back(&self.path, before, run.number, part, first_free, watermark)?;
        if new != inner.manifest {
            // All at once: whoever is killed here finds the old one or the new one.
            let name = self.path.join(manifest::FILE);
            let next = self.path.join(".manifest.ndjson.new");
            let written = File::create(&next).and_then(|mut file| {
                file.write_all(&new.to_lines())?;
                file.sync_all()
            });
            let renamed = written.and_then(|()| fs::rename(&next, &name)).and_then(|()| self.folder.sync_all());
            renamed.map_err(|error| {
                let _ = fs::remove_file(&next);
                self.cannot("write", &name, &error)
            })?;
            // The old file is another one by now: its lock goes with it.
            let file = OpenOptions::new().read(true).append(true).open(&name);
            let file = file.map_err(|error| self.cannot("open", &name, &error))?;
            flock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|_| Error::failed(format!("another load writes to {} just now", self.path.display())))?;
            inner.file = file;
            inner.manifest = Manifest::read(&self.path)?.expect("it was just written");
        }
        self.take_leftovers_away(&inner.manifest)?;
        self.enter(&mut inner, RunLine { part: part + 1, began: now(), ..run })
    }

    fn enter(&self, inner: &mut Inner, run: RunLine) -> Result<()> {
        inner.next = self.first_free(&inner.manifest)?;
        inner.manifest.runs.insert(run.number, run.clone());
        inner.run = run.clone();
        self.add(inner, &Line::Run(run))
    }

    /// Bodies that a killed load could not enter into the manifest any more, and halves of bodies. Their lines are read
    /// again.
    fn take_leftovers_away(&self, manifest: &Manifest) -> Result<()> {
        let named: HashSet<&str> = manifest.bodies.iter().map(|body| body.line.file.as_str()).collect();
        let entries = fs::read_dir(&self.path).map_err(|error| self.cannot("read", &self.path, &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let half = name.starts_with('.') && name.contains(".ndjson");
            if half || (manifest::is_body_name(&name) && !named.contains(name.as_str())) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// The first number that no body has, be it in the manifest or not.
    fn first_free(&self, manifest: &Manifest) -> Result<u64> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.cannot("read", &self.path, &error))?;
        let mut last =
            manifest.bodies.iter().filter_map(|body| manifest::body_number(&body.line.file)).max().unwrap_or(0);
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            last = last.max(manifest::body_number(&name).unwrap_or(0));
        }
        Ok(last + 1)
    }

    /// One thread's hands.
    pub fn writer<'d>(&'d self, stop: &'d Stop) -> BodyWriter<'d> {
        BodyWriter { to: self, stop, packed: Vec::new() }
    }

    /// How large a body may become, in bytes, unpacked.
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Bodies, and their bytes on disk, of this part of the load.
    pub fn written(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.bodies, inner.stored_bytes)
    }

    /// The load has ended. `settled`: the lines of all of its parts, where it is complete. Gives what the user should
    /// know.
    ///
    /// # Errors
    /// If that cannot be written: the directory stays incomplete. Or if documents are missing: our own mistake.
    pub fn end(&self, ended: &Ended, settled: &PrefixCounts) -> Result<()> {
        let mut inner = self.lock();
        let run = inner.run.number;
        let of_run = || inner.manifest.bodies.iter().filter(|body| body.run == run);
        let documents: u64 = of_run().map(|body| body.line.documents).sum();
        let mut line = EndLine {
            run,
            ended: ended.name().to_owned(),
            documents,
            bodies: of_run().count() as u64,
            ..EndLine::default()
        };
        match ended {
            Ended::Complete => {
                if documents < settled.indexed {
                    return Err(Error::failed(format!(
                        "a bug in loghaul: {} holds {documents} documents of {} that were written",
                        self.path.display(),
                        settled.indexed
                    ))
                    .hint("remove the directory and load again with --again; please report this"));
                }
                line.lines_read = Some(settled.lines_read);
                line.malformed = Some(settled.malformed);
                line.blank = Some(settled.blank);
                line.outside = Some(settled.outside);
                line.again = Some(documents - settled.indexed).filter(|again| *again > 0);
            }
            Ended::Interrupted(signal) => line.why = Some(format!("by {signal}")),
            Ended::Failed(error) => line.why = Some(error.message.clone()),
            Ended::OutputClosed => {}
        }
        inner.manifest.ends.insert(run, line.clone());
        self.add(&mut inner, &Line::End(line))
    }

    /// Adds a line to the manifest, safe on disk. A failure leaves it as it was, if that is possible.
    fn add(&self, inner: &mut Inner, line: &Line) -> Result<()> {
        let mut bytes = Vec::new();
        push_line(&mut bytes, line);
        let name = self.path.join(manifest::FILE);
        if inner.broken {
            return Err(Error::stopped(format!("{} could not be written to before", name.display())).hint(ROOM));
        }
        // Behind the last whole line: a killed load may have left half of one.
        let whole = inner.manifest.whole_bytes;
        let written = (|| {
            if inner.file.metadata()?.len() != whole {
                inner.file.set_len(whole)?;
            }
            inner.file.write_all_at(&bytes, whole)?;
            inner.file.sync_data()
        })();
        match written {
            Ok(()) => {
                inner.manifest.whole_bytes += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                inner.broken = inner.file.set_len(whole).is_err();
                Err(self.cannot("write", &name, &error))
            }
        }
    }

    fn cannot(&self, doing: &str, path: &Path, error: &io::Error) -> Error {
        Error::stopped(format!("cannot {doing} {}: {}", path.display(), io_reason(error))).hint(ROOM)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do about a disk that takes no more.
const ROOM: &str = "make room there, then go on with --resume; the bodies in the manifest are whole";

/// Packs and writes bodies, one at a time. Its buffer is used again.
pub struct BodyWriter<'d> {
    to: &'d Directory,
    stop: &'d Stop,
    packed: Vec<u8>,
}

impl BodyWriter<'_> {
    /// Writes a batch as a body. An error ends the run, and leaves the batch's lines without a receipt.
    pub fn deliver<T>(&mut self, batch: Batch<T>) -> Delivery<T> {
        let written = match self.stop.gives_up() {
            true => None,
            false => self.write(&batch).map_err(|error| self.stop.raise(Reason::Failed(error))).ok(),
        };
        let mut receipts = Vec::new();
        let mut parts = Vec::new();
        for mut part in batch.into_parts() {
            if written.is_some() {
                let indexed = part.block.documents.len() as u64;
                receipts.push(part.receipt(Outcomes { indexed, ..Outcomes::default() }, Vec::new()));
            }
            parts.push((part.block, part.ticket));
        }
        Delivery { receipts, parts, stopped: written.is_none() }
    }

    fn write<T>(&mut self, batch: &Batch<T>) -> Result<()> {
        let all = Selection::all(batch.documents());
        let body = batch.body(&all);
        let number = {
            let mut inner = self.to.lock();
            inner.next += 1;
            inner.next - 1
        };
        let file = manifest::body_name(number);
        let stored = store(self.to, &file, &mut body.reader(), &mut self.packed)?;
        let line = BodyLine {
            file,
            documents: u64::from(batch.documents()),
            bytes: body.bytes() as u64,
            stored_bytes: self.packed.len() as u64,
            sha256: stored,
            indices: indices(batch.parts()),
            sources: sources(batch.parts()),
        };
        self.to.enter_body(line)
    }
}

impl Directory {
    fn enter_body(&self, line: BodyLine) -> Result<()> {
        let mut inner = self.lock();
        let entered = self.add(&mut inner, &Line::Body(line.clone()));
        if entered.is_err() {
            let _ = fs::remove_file(self.path.join(&line.file)); // it gives its room back
            return entered;
        }
        inner.documents += line.documents;
        inner.bodies += 1;
        inner.stored_bytes += line.stored_bytes;
        let (run, part) = (inner.run.number, inner.run.part);
        // Of what is written now only counts are needed later.
        let sources = Vec::new();
        inner.manifest.bodies.push(manifest::Body { run, part, line: BodyLine { sources, ..line } });
        Ok(())
    }
}

/// Packs `body` and puts it under its name, safe on disk. Gives its checksum; what was written stays in `packed`.
fn store(to: &Directory, file: &str, body: &mut impl Read, packed: &mut Vec<u8>) -> Result<String> {
    packed.clear();
    let name = to.path.join(file);
    let draft = to.path.join(format!(".{file}.part"));
    let written = (|| {
        let mut encoder = zstd::stream::write::Encoder::new(&mut *packed, LEVEL)?;
        encoder.include_checksum(true)?;
        io::copy(body, &mut encoder)?;
        encoder.finish()?;
        let mut out = OpenOptions::new().write(true).create_new(true).open(&draft)?;
        out.write_all(packed)?;
        out.sync_all()?;
        fs::rename(&draft, &name)?;
        to.folder.sync_all()
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&draft);
        let _ = fs::remove_file(&name);
        to.cannot("write", &name, &error)
    })?;
    Ok(sha256(packed))
}

/// A checksum as `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn indices<T>(parts: &[Parcel<T>]) -> BTreeMap<String, u64> {
    let mut indices = BTreeMap::new();
    for (index, documents) in parts.iter().flat_map(|part| &part.block.indices) {
        *indices.entry(index.to_string()).or_default() += documents;
    }
    indices
}

/// Each parcel is a range of its own: a watermark lies between two of them, never within one.
fn sources<T>(parts: &[Parcel<T>]) -> Vec<SourceRanges> {
    let mut sources: Vec<SourceRanges> = Vec::new();
    for part in parts.iter().filter(|part| !part.block.documents.is_empty()) {
        let log = part.log.as_ref().expect("what is loaded comes from a log");
        let range = (part.range.start, part.range.end, part.block.documents.len() as u64);
        let identity: String = log.identity.iter().map(|byte| format!("{byte:02x}")).collect();
        match sources.last_mut() {
            Some(last) if last.identity == identity && last.source == log.facts.uri => last.ranges.push(range),
            _ => sources.push(SourceRanges { source: log.facts.uri.clone(), identity, ranges: vec![range] }),
        }
    }
    sources
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
