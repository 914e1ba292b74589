//! Nights of log rotation, kills and neighbours, against a real ledger and a cluster that is a set of ids.
//!
//! The data plane is played by a few lines that read as the readers do (`skip::to_start`) and give each line its id:
//! identity, offset, and the line itself. So "every line once" is a statement about that set.

mod killed;
mod nights;
mod whole;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::opensearch::IndexNow;
use crate::pipeline::head::Head;
use crate::pipeline::parse::Format;
use crate::pipeline::report::collect::{FileProgress, Progress};
use crate::pipeline::report::coverage::{Mark, PrefixCounts};
use crate::pipeline::report::lines_file::LinesFile;
use crate::pipeline::report::totals::UnfinishedLine;
use crate::pipeline::report::{FileReport, FileStatus, Report};
use crate::pipeline::serialize::{FileFacts, Plan};
use crate::pipeline::skip::{self, Skipped};
use crate::pipeline::source::{self, OpenFile, Place, Source, Undecided};
use crate::pipeline::tail::Tail;

/// A folder of logs, a ledger, and a cluster.
struct Night {
    folder: tempfile::TempDir,
    spec: RunSpec,
    /// Ids by the index that they are in.
    cluster: Arc<Mutex<BTreeMap<String, BTreeSet<Id>>>>,
    index: String,
    /// Where the half last line of a plain file is a line: the file was left alone for long.
    end_is_certain: bool,
    /// The uuid of each index, if we may ask.
    index_uuid: Option<String>,
    /// As whom the ledger is opened.
    owner: Owner,
}

type Id = ([u8; 8], u64, Vec<u8>);

/// What a load did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Did {
    /// What became of each source, `loaded` or `failed: why`, by its file name.
    files: Vec<(String, String)>,
    indexed: u64,
    confirmed: u64,
    duplicate: u64,
    /// Bytes that were parsed.
    bytes_read: u64,
}

impl Did {
    fn counts(&self) -> (u64, u64, u64) {
        (self.indexed, self.duplicate, self.bytes_read)
    }

    fn status(&self, file: &str) -> &str {
        &self.files.iter().find(|(name, _)| name == file).unwrap_or_else(|| panic!("{file} in {self:?}")).1
    }
}

/// How far a load comes before it is killed, in watermarks.
const TO_THE_END: u64 = u64::MAX;

impl Night {
    fn new() -> Night {
        let destination = Destination {
            cluster: "uuid".into(),
            index_pattern: "logs".into(),
            id_mode: "source".into(),
            schema: "1".into(),
            pipeline: String::new(),
        };
        Night {
            folder: tempfile::tempdir().unwrap(),
            spec: RunSpec {
                command: "loghaul load".into(),
                sources: vec!["logs".into()],
                folder: "/".into(),
                destination,
                namespace: String::new(),
                source_name: None,
                again: false,
            },
            cluster: Arc::default(),
            index: "logs".into(),
            end_is_certain: false,
            index_uuid: None,
            owner: Owner::me(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(bytes.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn compress(&self, from: &str, to: &str) {
        let bytes = fs::read(self.path(from)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        self.write(to, encoder.finish().unwrap());
        if from != to {
            fs::remove_file(self.path(from)).unwrap();
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger { owner: self.owner.clone(), ..Ledger::open(&self.path("state/ledger.db")).unwrap() }
    }

    /// The documents in the cluster.
    fn documents(&self) -> usize {
        self.cluster.lock().unwrap().values().map(BTreeSet::len).sum()
    }

    /// Loads what lies there, in the order of names.
    fn load(&self) -> Did {
        let run = self.ledger().begin(&self.spec).unwrap();
        self.haul(run, &self.listed(), false, TO_THE_END)
    }

    fn resume(&self, kill_after: u64) -> Did {
        let run = self.ledger().resume(&self.spec, None).unwrap();
        self.haul(run, &self.listed(), true, kill_after)
    }

    /// A load whose process is killed.
    fn load_killed(&mut self, kill_after: u64) {
        self.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
        let run = self.ledger().begin(&self.spec).unwrap();
        self.haul(run, &self.listed(), false, kill_after);
        self.owner = Owner::me();
    }

    fn listed(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap());
        let files = names.filter(|entry| entry.metadata().unwrap().is_file());
        let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The only file that the ledger has.
    fn only_row(&self) -> FileRecord {
        let mut found = Vec::new();
        for run in self.ledger().runs().unwrap() {
            let each = |row| {
                found.push(row);
                Ok(())
            };
            self.ledger().files(run.id, each).unwrap();
        }
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn chooser(&self, run: &Run, resumes: bool) -> Chooser {
        let cluster = Arc::clone(&self.cluster);
        let uuid = self.index_uuid.clone();
        let now: AskIndex = Box::new(move |index| {
            Ok(if cluster.lock().unwrap().contains_key(index) { IndexNow::There(uuid.clone()) } else { IndexNow::Gone })
        });
        run.chooser(&self.spec, resumes, now, &Arc::new(Stop::new())).unwrap()
    }

    fn source(&self, name: &str) -> Source {
        let (place, source_name) = (Place::File(self.path(name)), self.spec.source_name.clone());
        Source { place, named: true, source_name, start: None, entry: None }
    }

    fn haul(&self, mut run: Run, names: &[String], resumes: bool, kill_after: u64) -> Did {
        let chooser = self.chooser(&run, resumes);
        if let Some(uuid) = &self.index_uuid {
            run.index_is(&self.index, uuid);
        }
        let mut did = Did::default();
        let mut report = Report::new(0.1, None);
        let mut watermarks_left = kill_after;
        for (id, name) in (0..).zip(names) {
            let source = chooser.choose(self.source(name)).unwrap();
            let file = self.read(id, &source, &mut run, &mut watermarks_left);
            if watermarks_left == 0 {
                return did; // nobody says goodbye
            }
            let status = file.status.why().map(|why| format!("{}: {why}", file.status.name()));
            did.files.push((name.clone(), status.unwrap_or_else(|| file.status.name().to_owned())));
            did.indexed += file.counts.outcomes.indexed;
            did.confirmed += file.counts.outcomes.confirmed;
            did.duplicate += file.counts.outcomes.duplicate;
            did.bytes_read += file.counts.bytes_read;
            report.sources.named += 1;
            report.add_file(file);
        }
        run.finish(&report).unwrap();
        did
    }

    /// One source through the data plane, a watermark per line.
    fn read(&self, id: u32, source: &Source, run: &mut Run, watermarks_left: &mut u64) -> FileReport {
        let mut report = FileReport::new(source.uri());
        match &source.place {
            Place::Skipped(_, why) => report.status = FileStatus::Skipped { why: why.clone() },
            Place::Missing(_, why) => report.status = FileStatus::Failed { why: why.clone() },
            Place::File(_) | Place::Object(_) | Place::Stdin => {
                let stop = Arc::new(Stop::new());
                let mut opened = source::open(source, &stop).unwrap();
                let head = Head::read(&mut opened.input, || false).unwrap();
                let start = source.start.clone().expect("the ledger knows what it claims");
                let file = OpenFile {
                    id,
                    facts: facts(source.uri(), start.identity),
                    identity: start.identity,
                    first_line: head.first_line(),
                    encoding: opened.encoding,
                    start: Some(start.clone()),
                    object: None,
                };
                let take = self.end_is_certain || opened.end_is_certain;
                match skip::to_start(&file, opened, head, &stop) {
                    Ok(Skipped::Stream(input, tail)) => {
                        self.lines(&file, input, tail, take, run, &mut report, watermarks_left);
                    }
                    Ok(_) => unreachable!("small files are not mapped"),
                    Err(error) => report.status = FileStatus::Failed { why: error.to_string() },
                }
                return report;
            }
        }
        run.progress(&Progress::NotOpened(&report)).unwrap();
        report
    }

    #[allow(clippy::too_many_arguments)]
    fn lines(
        &self,
        file: &OpenFile,
        mut input: impl Read,
        mut tail: Tail,
        take_last_line: bool,
        run: &mut Run,
        report: &mut FileReport,
        watermarks_left: &mut u64,
    ) {
        let indices = BTreeSet::from([Arc::from(self.index.as_str())]);
        let mut bytes = Vec::new();
        let damage = input.read_to_end(&mut bytes).err();
        let start = file.start.as_ref().unwrap();
        let (mut watermark, mut whole) = (start.mark, start.mark);
        report.resumed_at = start.mark.offset;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !line.ends_with(b"\n") && !take_last_line {
                report.unfinished = Some(UnfinishedLine { offset: watermark.offset, bytes: line.len() as u64 });
                break;
            }
            if !line.ends_with(b"\n") && damage.is_some() {
                break;
            }
            let id = (file.identity, watermark.offset, line.trim_ascii_end().to_vec());
            run.sent().raise(&[(start.tag, watermark.offset + line.len() as u64)]).unwrap();
            let confirms = start.confirms.contains(&watermark.offset);
            let created = self.cluster.lock().unwrap().entry(self.index.clone()).or_default().insert(id);
            let counts = PrefixCounts {
                lines_read: 1,
                indexed: u64::from(created || confirms),
                confirmed: u64::from(!created && confirms),
                duplicate: u64::from(!created && !confirms),
                ..PrefixCounts::default()
            };
            tail.push(line);
            watermark.offset += line.len() as u64;
            watermark.tail = tail.end().hash;
            watermark.counts.add(&counts);
            if tail.end().whole {
                whole = watermark;
            }
            let all = &mut report.counts;
            all.lines_read += 1;
            all.bytes_read += line.len() as u64;
            all.bytes_settled = all.bytes_read;
            all.tally.documents += 1;
            all.outcomes.indexed += counts.indexed;
            all.outcomes.confirmed += counts.confirmed;
            all.outcomes.duplicate += counts.duplicate;
            let progress = FileProgress { file, watermark: &watermark, whole_lines: &whole, report, indices: &indices };
            run.progress(&Progress::Watermark(progress)).unwrap();
            if *watermarks_left < TO_THE_END / 2 {
                run.store().unwrap(); // the last one before the kill is the one that counts
            }
            *watermarks_left -= 1;
            if *watermarks_left == 0 {
                return;
            }
        }
        report.status = match damage {
            Some(error) => FileStatus::Damaged { offset: watermark.offset, why: error.to_string() },
            None => FileStatus::Loaded,
        };
        let progress = FileProgress { file, watermark: &watermark, whole_lines: &whole, report, indices: &indices };
        run.progress(&Progress::Done(progress)).unwrap();
    }
}

fn facts(uri: String, identity: [u8; 8]) -> FileFacts {
    let plan = Plan::new(crate::pipeline::serialize::Options::default()).unwrap();
    FileFacts::new(&plan, uri, identity, Format::Combined, true, None)
}

/// Lines of day `day` with these numbers, each unlike any other.
fn lines(day: u32, range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("10.0.0.{day} - - [day {day}, line {n:05}] \"GET /{} HTTP/1.1\" 200 {n}\n", n * 7)).collect()
}
