//! Nights of log rotation, kills and neighbours, against a real ledger and a cluster that is a set of ids.
//!
//! The data plane is played by a few lines that read as the readers do (`skip::to_start`) and give each line its id:
//! identity, offset, and the line itself. So "every line once" is a statement about that set.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
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
use crate::pipeline::source::{self, OpenFile, Place, Source};
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
    again: bool,
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
            },
            cluster: Arc::default(),
            index: "logs".into(),
            end_is_certain: false,
            again: false,
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

    fn chooser(&self, run: &Run, resumes: bool) -> Chooser {
        let uuid = self.index_uuid.clone();
        let cluster = Arc::clone(&self.cluster);
        let now: AskIndex = Box::new(move |index| {
            Ok(if cluster.lock().unwrap().contains_key(index) { IndexNow::There(uuid.clone()) } else { IndexNow::Gone })
        });
        run.chooser(&self.spec, self.again, resumes, now, &Arc::new(Stop::new())).unwrap()
    }

    fn source(&self, name: &str) -> Source {
        let (place, source_name) = (Place::File(self.path(name)), self.spec.source_name.clone());
        Source { place, named: true, source_name, start: None }
    }

    fn haul(&self, mut run: Run, names: &[String], resumes: bool, kill_after: u64) -> Did {
        let mut chooser = self.chooser(&run, resumes);
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
            Place::File(_) | Place::Stdin => {
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
            let created = self.cluster.lock().unwrap().entry(self.index.clone()).or_default().insert(id);
            let counts = PrefixCounts {
                lines_read: 1,
                indexed: u64::from(created || start.confirms),
                confirmed: u64::from(!created && start.confirms),
                duplicate: u64::from(!created && !start.confirms),
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

#[test]
fn what_has_not_changed_is_left_out() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.write("b.log", lines(2, 0..50));
    night.compress("b.log", "b.log.gz");
    night.write("empty.log", "");
    let did = night.load();
    assert_eq!((did.indexed, did.duplicate, night.documents()), (150, 0, 150));
    let did = night.load();
    assert_eq!(did.counts(), (0, 0, 0));
    for (file, status) in &did.files {
        assert!(status.starts_with("skipped: run 1 has loaded it"), "{file}: {status}");
    }
    // Touched, and nothing more.
    night.write("a.log", lines(1, 0..100));
    assert_eq!(night.load().status("a.log"), "skipped: run 1 has loaded it, and it has not changed since");
    assert_eq!(night.documents(), 150);
}

#[test]
fn the_nights_of_logrotate() {
    let night = Night::new();
    let mut all = 0;
    night.write("access.log", lines(1, 0..200));
    all += 200;
    assert_eq!(night.load().indexed, 200);
    // It grows, also in the middle of a line.
    night.append("access.log", lines(1, 200..250));
    let half = lines(1, 250..251);
    night.append("access.log", &half[..20]);
    all += 50;
    assert_eq!(night.load().counts(), (50, 0, lines(1, 200..250).len() as u64));
    assert_eq!(night.load().counts(), (0, 0, 0));
    night.append("access.log", &half[20..]);
    all += 1;
    assert_eq!(night.load().counts(), (1, 0, half.len() as u64));
    // Rotated, with a last line that nobody saw; a new one begins.
    night.append("access.log", lines(1, 251..260));
    night.rename("access.log", "access.log.1");
    night.write("access.log", lines(2, 0..30));
    all += 39;
    assert_eq!(night.load().counts(), (39, 0, (lines(1, 251..260).len() + lines(2, 0..30).len()) as u64));
    // Rotated and compressed, night by night.
    for day in 3..9 {
        for n in (2..day).rev() {
            if night.path(&format!("access.log.{n}.gz")).exists() {
                night.rename(&format!("access.log.{n}.gz"), &format!("access.log.{}.gz", n + 1));
            }
        }
        night.compress("access.log.1", "access.log.2.gz");
        night.append("access.log", lines(day - 1, 30..35));
        night.rename("access.log", "access.log.1");
        night.write("access.log", lines(day, 0..30));
        all += 35;
        let did = night.load();
        let new = (lines(day - 1, 30..35).len() + lines(day, 0..30).len()) as u64;
        assert_eq!(did.counts(), (35, 0, new), "day {day}: {did:?}");
        assert_eq!(night.documents(), all);
    }
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn rotated_and_compressed_at_once_with_the_old_and_the_new_in_one_list() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..300));
    night.load();
    night.append("access.log", lines(1, 300..310));
    night.compress("access.log", "access.log.1.gz");
    night.write("access.log", lines(2, 0..10));
    let did = night.load();
    assert_eq!(did.counts(), (20, 0, (lines(1, 300..310).len() + lines(2, 0..10).len()) as u64));
    assert_eq!(night.documents(), 320);
}

#[test]
fn copytruncate() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..100));
    night.load();
    night.append("access.log", lines(1, 100..120));
    fs::copy(night.path("access.log"), night.path("access.log.1")).unwrap();
    night.write("access.log", lines(2, 0..10));
    let did = night.load();
    assert_eq!(did.counts(), (30, 0, (lines(1, 100..120).len() + lines(2, 0..10).len()) as u64), "{did:?}");
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn rewritten_under_the_same_first_line() {
    let first = lines(1, 0..1);
    for (what, rest) in [
        ("larger", lines(2, 1..300)),
        ("equal", lines(2, 1..100)),
        ("smaller", lines(2, 1..20)),
        ("a prefix", lines(1, 1..20)),
        ("only the first line", String::new()),
    ] {
        let night = Night::new();
        night.write("a.log", first.clone() + &lines(1, 1..100));
        night.load();
        night.write("a.log", first.clone() + &rest);
        let did = night.load();
        let count = rest.lines().count() as u64;
        let same = if what == "a prefix" { count } else { 0 };
        assert_eq!((did.indexed, did.duplicate), (count - same, 1 + same), "{what}");
        assert_eq!(night.documents() as u64, 100 + count - same, "{what}");
        assert_eq!(night.load().counts(), (0, 0, 0), "{what}");
        // It goes on from there as any other.
        night.append("a.log", lines(3, 0..5));
        assert_eq!(night.load().counts(), (5, 0, lines(3, 0..5).len() as u64), "{what}");
    }
}

#[test]
fn equal_first_lines_and_copies_are_sources_of_their_own() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..1) + &lines(2, 0..50));
    night.write("b.log", lines(1, 0..1) + &lines(3, 0..60));
    assert_eq!(night.load().indexed, 51 + 61);
    fs::copy(night.path("a.log"), night.path("copy.log")).unwrap();
    let did = night.load();
    assert_eq!(did.counts(), (51, 0, fs::metadata(night.path("copy.log")).unwrap().len()), "{did:?}");
    assert_eq!(night.load().counts(), (0, 0, 0));
    // The copy of a file that has grown since, and the original, are still two.
    night.append("a.log", lines(4, 0..5));
    night.append("copy.log", lines(5, 0..6));
    assert_eq!(night.load().indexed, 11);
    // A log beside its compressed twin (gzip -k) is one source.
    night.write("kept.log", lines(6, 0..40));
    night.load();
    let packed = Night::new();
    packed.write("kept.log", lines(6, 0..40));
    packed.compress("kept.log", "kept.log.gz");
    fs::copy(packed.path("kept.log.gz"), night.path("kept.log.gz")).unwrap();
    let before = night.documents();
    assert_eq!(night.load().status("kept.log.gz"), "skipped: run 5 has loaded it, and it has not changed since");
    assert_eq!(night.documents(), before);
    // Also when the log had another name when it was loaded, and is packed under its new one.
    night.rename("kept.log", "kept.log.1");
    fs::rename(night.path("kept.log.gz"), night.path("kept.log.1.gz")).unwrap();
    assert_eq!(night.load().indexed, 0);
    assert_eq!(night.documents(), before);
    // Also when both are new.
    packed.write("kept.log", lines(6, 0..40));
    packed.load();
    assert_eq!(packed.documents(), 40);
    assert_eq!(packed.load().indexed, 0);
}

/// Lines that gzip cannot shrink much, so that half a packed file holds about half of them.
fn dense(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("{n} {}\n", fastrand::Rng::with_seed(n).u64(..))).collect()
}

#[test]
fn a_log_that_is_being_packed_holds_nothing_new() {
    for (original_is_there, ending) in [(true, "half"), (true, "whole"), (false, "half"), (false, "damaged")] {
        let what = format!("{original_is_there} {ending}");
        let night = Night::new();
        night.write("access.log", dense(0..400));
        night.load();
        // Renamed and packed in one night; a new log begins.
        night.rename("access.log", "access.log.1");
        night.write("packing", dense(0..400));
        night.compress("packing", "packing.gz");
        let packed = fs::read(night.path("packing.gz")).unwrap();
        fs::remove_file(night.path("packing.gz")).unwrap();
        night.write("access.log", lines(2, 0..10));
        let mut part = packed.clone();
        match ending {
            "half" => part.truncate(packed.len() / 2),
            "damaged" => part[packed.len() / 2..].fill(0xff),
            _ => {}
        }
        night.write("access.log.1.gz", part);
        if !original_is_there {
            fs::remove_file(night.path("access.log.1")).unwrap();
        }
        let did = night.load();
        assert_eq!((did.indexed, night.documents()), (10, 410), "{what}: {did:?}");
        // gzip comes to its end.
        let _ = fs::remove_file(night.path("access.log.1"));
        night.write("access.log.1.gz", &packed);
        assert_eq!(night.load().counts(), (0, 0, 0), "{what}");
        assert_eq!(night.documents(), 410, "{what}");
    }
}

#[test]
fn a_stop_during_the_look_into_a_packed_log_makes_nothing_new_of_it() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..300));
    night.load();
    night.compress("access.log", "access.log.1.gz");
    let run = night.ledger().begin(&night.spec).unwrap();
    let stop = Arc::new(Stop::new());
    let there: AskIndex = Box::new(|_| Ok(IndexNow::There(None)));
    let chooser = run.chooser(&night.spec, false, false, there, &stop).unwrap();
    stop.raise(crate::pipeline::stop::Reason::Failed(Error::stopped("enough")));
    let sources = vec![night.source("access.log.1.gz")].into_iter();
    assert_eq!(crate::commands::only_new::OnlyNew::new(sources, chooser, Arc::clone(&stop)).count(), 0);
    run.finish(&Report::new(0.1, None)).unwrap();
    assert_eq!(night.load().counts(), (0, 0, 0));
    assert_eq!(night.documents(), 300);
}

#[test]
fn a_row_of_which_nothing_is_settled_gives_way_to_a_predecessor() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..300));
    night.load();
    night.compress("access.log", "access.log.1.gz");
    // A run that took it for new, and ended before its first watermark.
    let run = night.ledger().begin(&night.spec).unwrap();
    let mut chooser = night.chooser(&run, false);
    chooser.rows_before = 0;
    let start = chooser.choose(night.source("access.log.1.gz")).unwrap().start.unwrap();
    assert_eq!(start.mark.offset, 0);
    drop(run);
    night.ledger().store.write(Safe::OnDisk, |t| Ok(t.execute("UPDATE runs SET state = 'failed'", [])?)).unwrap();
    assert_eq!(night.load().counts(), (0, 0, 0));
    assert_eq!(night.documents(), 300);
}

#[test]
fn a_last_line_that_was_taken_too_early_is_loaded_again_when_it_has_grown() {
    let mut night = Night::new();
    night.end_is_certain = true;
    let text = lines(1, 0..10);
    night.write("a.log", &text[..text.len() - 4]);
    assert_eq!(night.load().indexed, 10);
    assert_eq!(night.load().counts(), (0, 0, 0));
    // Compressed as it was it is the same.
    night.compress("a.log", "a.log.gz");
    assert_eq!(night.load().counts(), (0, 0, 0));
    fs::remove_file(night.path("a.log.gz")).unwrap();
    night.write("a.log", text.clone() + &lines(1, 10..12));
    let did = night.load();
    assert_eq!(did.counts(), (3, 0, lines(1, 9..12).len() as u64));
    let ids = night.cluster.lock().unwrap();
    let documents: Vec<&str> = ids["logs"].iter().map(|(_, _, line)| std::str::from_utf8(line).unwrap()).collect();
    for line in (text + &lines(1, 10..12)).lines() {
        assert_eq!(documents.iter().filter(|document| **document == line).count(), 1, "{line}");
    }
}

#[test]
fn another_place_or_name_is_loaded_in_full_and_a_deleted_index_again() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load();
    let bytes = lines(1, 0..100).len() as u64;
    let mut change = |what: &str, change: &dyn Fn(&mut RunSpec), indexed: u64| {
        let before = night.spec.clone();
        change(&mut night.spec);
        night.index = format!("logs {what}");
        assert_eq!(night.load().counts(), (indexed, 0, bytes), "{what}");
        assert_eq!(night.load().counts(), (0, 0, 0), "{what}");
        night.spec = before;
    };
    change("cluster", &|spec| spec.destination.cluster = "other".into(), 100);
    change("index", &|spec| spec.destination.index_pattern = "other".into(), 100);
    change("id", &|spec| spec.destination.id_mode = "none".into(), 100);
    change("schema", &|spec| spec.destination.schema = "2".into(), 100);
    change("pipeline", &|spec| spec.destination.pipeline = "geo".into(), 100);
    change("namespace", &|spec| spec.namespace = "host".into(), 100);
    change("source name", &|spec| spec.source_name = Some("web".into()), 100);
    night.index = "logs".into();
    assert_eq!(night.load().counts(), (0, 0, 0));
    night.cluster.lock().unwrap().remove("logs");
    assert_eq!(night.load().counts(), (100, 0, bytes));
    // Also when it has grown, and when it was renamed.
    night.append("a.log", lines(1, 100..110));
    night.rename("a.log", "b.log");
    night.cluster.lock().unwrap().remove("logs");
    assert_eq!(night.load().indexed, 110);
    night.again = true;
    assert_eq!((night.load().duplicate, night.load().indexed), (110, 0));
    night.again = false;
    assert_eq!(night.load().counts(), (0, 0, 0));
}

/// Deleted and made anew by the next document, an index has its name again, and nothing of what it held.
#[test]
fn an_index_that_was_made_anew_is_another() {
    let mut night = Night::new();
    night.index_uuid = Some("first".into());
    night.write("a.log", lines(1, 0..100));
    night.load();
    assert_eq!(night.load().counts(), (0, 0, 0));
    night.index_uuid = Some("second".into());
    night.cluster.lock().unwrap().get_mut("logs").unwrap().clear();
    assert_eq!(night.load().indexed, 100);
    assert_eq!(night.load().counts(), (0, 0, 0));
    // Who may not ask any more takes it for the same.
    night.index_uuid = None;
    assert_eq!(night.load().counts(), (0, 0, 0));
    // It has grown, and a part of it is gone.
    night.index_uuid = Some("third".into());
    night.cluster.lock().unwrap().get_mut("logs").unwrap().clear();
    night.append("a.log", lines(1, 100..110));
    assert_eq!((night.load().indexed, night.documents()), (110, 110));
}

#[test]
fn files_of_an_index_that_was_deleted_in_mid_load_count_as_not_loaded() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load();
    night.index = "others".into();
    night.write("b.log", lines(2, 0..100));
    night.load();
    let mut run = night.ledger().begin(&night.spec).unwrap();
    night.cluster.lock().unwrap().get_mut("logs").unwrap().clear();
    run.forget_files_of(&["logs".to_owned()]).unwrap();
    run.finish(&Report::new(1.0, None)).unwrap();
    night.index = "logs".into();
    let did = night.load();
    assert_eq!((did.indexed, did.status("b.log").starts_with("skipped")), (100, true), "{did:?}");
}

#[test]
fn damaged_files_are_tried_again_when_they_have_changed() {
    let night = Night::new();
    let text: String = (0..400).map(|n| format!("{n} {}\n", fastrand::Rng::with_seed(n).u64(..))).collect();
    night.write("a.log", &text);
    night.compress("a.log", "a.gz");
    let packed = fs::read(night.path("a.gz")).unwrap();
    night.write("a.gz", &packed[..packed.len() / 2]);
    let did = night.load();
    assert!(did.status("a.gz").starts_with("damaged"), "{did:?}");
    assert!(did.indexed > 10 && did.indexed < 390, "{did:?}");
    let again = night.load();
    assert!(again.status("a.gz").contains("it has not changed since"), "{again:?}");
    night.write("a.gz", &packed);
    assert_eq!(night.load().counts(), (400 - did.indexed, 0, text.len() as u64 - did.bytes_read));
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn a_killed_run_goes_on_and_its_counts_add_up() {
    for packed in [false, true] {
        let mut random = fastrand::Rng::with_seed(42);
        let mut night = Night::new();
        for day in 1..4 {
            night.write(&format!("{day}.log"), lines(day, 0..100));
            if packed {
                night.compress(&format!("{day}.log"), &format!("{day}.log.gz"));
            }
        }
        night.load_killed(30);
        assert_eq!(night.ledger().runs().unwrap()[0].state, RunState::Killed);
        for _ in 0..5 {
            night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
            night.resume(random.u64(1..60));
            night.owner = Owner::me();
            let killed = night.ledger().run(1).unwrap();
            assert_eq!(killed.totals.counts.lines_read as usize, night.documents(), "{killed:?}");
        }
        let did = night.resume(TO_THE_END);
        assert_eq!((did.duplicate, night.documents()), (0, 300));
        let run = night.ledger().run(1).unwrap();
        assert_eq!((run.state, run.parts), (RunState::Complete, 7));
        let counts = run.totals.counts;
        assert_eq!((counts.lines_read, counts.indexed, counts.duplicate), (300, 300, 0));
        assert_eq!(run.totals.bytes_read, (1..4).map(|day| lines(day, 0..100).len() as u64).sum::<u64>());
        assert_eq!(night.load().counts(), (0, 0, 0));
    }
}

#[test]
fn lines_sent_after_the_last_stored_watermark_are_confirmed_on_resume_and_duplicate_elsewhere() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    // Acknowledged, and the process died before the watermark was stored.
    let identity = night.cluster.lock().unwrap()["logs"].first().unwrap().0;
    let mut offset = lines(1, 0..40).len() as u64;
    for line in lines(1, 40..60).split_inclusive('\n') {
        let id = (identity, offset, line.trim_end().as_bytes().to_vec());
        night.cluster.lock().unwrap().get_mut("logs").unwrap().insert(id);
        offset += line.len() as u64;
    }
    let did = night.resume(TO_THE_END);
    assert_eq!((did.indexed, did.confirmed, did.duplicate, night.documents()), (60, 20, 0, 100));
    assert_eq!(night.ledger().run(1).unwrap().totals.counts.indexed, 100);
}

#[test]
fn what_others_have_sent_is_not_confirmed_on_resume() {
    // Loaded, and loaded again; the second load is killed, also before its first watermark.
    for kill_after in [1, 40] {
        let mut night = Night::new();
        night.write("a.log", lines(1, 0..100));
        night.load();
        night.again = true;
        night.load_killed(kill_after);
        night.again = false;
        let did = night.resume(TO_THE_END);
        assert_eq!((did.indexed, did.confirmed, did.duplicate), (0, 0, 100 - kill_after), "{did:?}");
        // Loaded by one run as far as it came and by another to the end.
        night.again = true;
        night.load_killed(kill_after);
        night.again = false;
        night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
        let run = night.ledger().begin(&night.spec).unwrap();
        night.haul(run, &night.listed(), false, 10);
        night.owner = Owner::me();
        assert_eq!(night.resume(TO_THE_END).confirmed, 0);
    }
    // Where equal lines have one id, it may be anybody's.
    let mut night = Night::new();
    night.spec.destination.id_mode = "content".into();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    let run = night.ledger().resume(&night.spec, None).unwrap();
    assert!(!night.chooser(&run, true).choose(night.source("a.log")).unwrap().start.unwrap().confirms);
}

#[test]
fn a_run_is_not_complete_while_one_of_its_files_is_in_progress() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.write("b.log", lines(2, 0..100));
    night.load_killed(40);
    let run = night.ledger().resume(&night.spec, None).unwrap();
    night.haul(run, &["b.log".into()], true, TO_THE_END);
    assert_eq!(night.ledger().run(1).unwrap().state, RunState::Stopped);
    assert_eq!(night.resume(TO_THE_END).indexed, 60);
    assert_eq!(night.ledger().run(1).unwrap().state, RunState::Complete);
    // What is gone keeps no run from its end.
    night.write("c.log", lines(3, 0..100));
    night.load_killed(40);
    fs::remove_file(night.path("c.log")).unwrap();
    night.resume(TO_THE_END);
    assert_eq!(night.ledger().run(2).unwrap().state, RunState::Complete);
}

#[test]
fn an_index_that_took_nothing_need_not_be_there() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..10));
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let source = night.chooser(&run, false).choose(night.source("a.log")).unwrap();
    let start = source.start.unwrap();
    let file = OpenFile {
        id: 0,
        facts: facts("a.log".into(), start.identity),
        identity: start.identity,
        first_line: Some(start.first_line),
        encoding: crate::pipeline::decode::Encoding::Plain,
        start: Some(start),
    };
    let mut report = FileReport::new("a.log");
    report.status = FileStatus::Loaded;
    // Addressed to an index, and dropped by a pipeline.
    report.counts.indices.insert("nowhere".into(), 10);
    let text = lines(1, 0..10);
    let end = crate::pipeline::tail::end_of(text.as_bytes());
    let mark = Mark { offset: text.len() as u64, tail: end.hash, counts: PrefixCounts::default() };
    let indices = BTreeSet::new();
    let progress =
        FileProgress { file: &file, watermark: &mark, whole_lines: &mark, report: &report, indices: &indices };
    run.progress(&Progress::Done(progress)).unwrap();
    run.finish(&Report::new(0.1, None)).unwrap();
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn a_plain_load_after_a_kill_goes_on_at_the_watermark_too() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    assert_eq!(night.load().counts(), (60, 0, lines(1, 40..100).len() as u64));
}

/// Random nights: whatever happens to the logs between two loads, and wherever loads are killed, in the end each line is
/// there once, and no line is parsed by two loads that came to their end.
#[test]
fn any_nights() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut night = Night::new();
        let (mut day, mut n, mut parsed) = (1, 0, 0);
        let mut written = String::new();
        let mut killed = false;
        let mut story = Vec::new();
        night.write("access.log", "");
        for _ in 0..40 {
            let what = random.u32(0..100);
            story.push(what);
            match what {
                0..40 => {
                    let new = lines(day, n..n + random.u32(1..40));
                    n += new.lines().count() as u32;
                    night.append("access.log", &new);
                    written += &new;
                }
                40..55 => {
                    for generation in (1..40).rev() {
                        for suffix in ["", ".gz"] {
                            let from = format!("access.log.{generation}{suffix}");
                            if night.path(&from).exists() {
                                night.rename(&from, &format!("access.log.{}{suffix}", generation + 1));
                            }
                        }
                    }
                    if random.bool() {
                        night.rename("access.log", "access.log.1");
                    } else {
                        fs::copy(night.path("access.log"), night.path("access.log.1")).unwrap();
                    }
                    night.write("access.log", "");
                    (day, n) = (day + 1, 0);
                }
                55..65 => {
                    let name = format!("access.log.{}", random.u32(1..4));
                    if night.path(&name).exists() {
                        night.compress(&name, &format!("{name}.gz"));
                    }
                }
                65..75 => {
                    night.load_killed(random.u64(1..60));
                    killed = true;
                }
                _ => {
                    let resumed = night.ledger().resume(&night.spec, None).ok();
                    let resumes = resumed.is_some();
                    let run = resumed.unwrap_or_else(|| night.ledger().begin(&night.spec).unwrap());
                    parsed += night.haul(run, &night.listed(), resumes, TO_THE_END).bytes_read;
                }
            }
        }
        parsed += night.load().bytes_read;
        let mut expected: Vec<&str> = written.lines().collect();
        let cluster = night.cluster.lock().unwrap();
        let mut documents: Vec<&str> =
            cluster["logs"].iter().map(|(_, _, line)| std::str::from_utf8(line).unwrap()).collect();
        expected.sort_unstable();
        documents.sort_unstable();
        let lost = expected.iter().find(|line| documents.binary_search(line).is_err());
        assert!(documents == expected, "seed {seed}: {} of {}, {lost:?}, {story:?}", documents.len(), expected.len());
        assert!(killed || parsed == written.len() as u64, "seed {seed}: parsed {parsed} of {}", written.len());
    }
}

#[test]
fn resume_refuses_what_is_another_load() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    let resume = |night: &Night, id| night.ledger().resume(&night.spec, id).map(|run| run.id()).map_err(|e| e.message);
    assert!(resume(&night, None).unwrap_err().contains("no run of these sources"));
    assert!(resume(&night, Some(7)).unwrap_err().contains("there is no run 7"));
    night.load_killed(40);
    let spec = night.spec.clone();
    type Change = dyn Fn(&mut RunSpec);
    let refusals: &[(&str, &Change)] = &[
        ("--index \"logs\", not \"other\"", &|spec| spec.destination.index_pattern = "other".into()),
        ("--id \"source\", not \"none\"", &|spec| spec.destination.id_mode = "none".into()),
        ("other documents", &|spec| spec.destination.schema = "2".into()),
        ("another cluster", &|spec| spec.destination.cluster = "other".into()),
        ("--namespace", &|spec| spec.namespace = "other".into()),
    ];
    for (why, change) in refusals {
        change(&mut night.spec);
        assert!(resume(&night, None).unwrap_err().contains(why), "{why}");
        assert!(resume(&night, Some(1)).unwrap_err().contains(why), "{why}");
        night.spec = spec.clone();
    }
    night.spec.sources = vec!["elsewhere".into()];
    assert!(resume(&night, None).is_err());
    assert!(resume(&night, Some(1)).unwrap_err().contains("run 1 loads other sources (logs) than these (elsewhere)"));
    night.spec.sources = spec.sources.clone();
    assert_eq!(resume(&night, Some(1)), Ok(1));
    assert!(resume(&night, Some(1)).unwrap_err().contains("is at work as process"));
    night.spec = spec;
    night.write("b.log", lines(2, 0..1));
    night.load();
    assert!(resume(&night, Some(2)).unwrap_err().contains("complete"));
}

#[test]
fn two_at_once_on_one_ledger() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.write("b.log", lines(2, 0..100));
    let (first, second) = (night.ledger(), night.ledger());
    let run = first.begin(&night.spec).unwrap();
    let mut chooser = night.chooser(&run, false);
    assert!(chooser.choose(night.source("a.log")).unwrap().start.is_some());

    let did = night.haul(second.begin(&night.spec).unwrap(), &night.listed(), false, TO_THE_END);
    let pid = std::process::id();
    assert_eq!(did.status("a.log"), format!("failed: process {pid} is loading it to the same place right now"));
    assert_eq!((did.status("b.log"), did.indexed), ("loaded", 100));
    // Under another name it is the same file; in another place another load.
    fs::hard_link(night.path("a.log"), night.path("link.log")).unwrap();
    let did = night.load();
    assert!(did.status("link.log").starts_with("failed: process"), "{did:?}");
    night.spec.destination.index_pattern = "other".into();
    assert_eq!(night.load().status("a.log"), "loaded");
    night.spec.destination.index_pattern = "logs".into();
    // At its end it lets go.
    run.finish(&Report::new(0.1, None)).unwrap();
    assert_eq!(night.load().status("a.log"), "loaded");
}

#[test]
fn the_claim_of_a_dead_process_is_taken_over() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let run = night.ledger().begin(&night.spec).unwrap();
    assert!(night.chooser(&run, false).choose(night.source("a.log")).unwrap().start.is_some());
    drop(run);
    night.owner = Owner::me();
    assert_eq!(night.load().counts(), (100, 0, lines(1, 0..100).len() as u64));
}

#[test]
fn a_file_that_changes_between_the_look_and_the_read_is_not_taken_for_the_old_one() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load();
    night.append("a.log", lines(1, 100..110));
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let source = night.chooser(&run, false).choose(night.source("a.log")).unwrap();
    for other in [lines(2, 0..200), lines(1, 0..1) + &lines(2, 0..200), lines(1, 0..20)] {
        night.write("a.log", other);
        let report = night.read(0, &source, &mut run, &mut u64::MAX.clone());
        assert!(report.status.why().is_some_and(|why| why.contains("not what was loaded before")), "{report:?}");
    }
}

#[test]
fn malformed_lines_are_safe_before_the_watermark_and_cut_back_after_a_kill() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let path = run.path_beside("malformed");
    let malformed = LinesFile::open(&path, 1 << 20).unwrap();
    run.keep(Some((malformed.clone(), 0)), None).unwrap();
    malformed.write(b"{\"stored\"}\n").unwrap();
    night.haul(run, &night.listed(), false, 40);
    malformed.write(b"{\"behind the watermark\"}\n").unwrap();
    malformed.sync().unwrap();
    night.owner = Owner::me();
    let kept = night.ledger().run(1).unwrap().malformed.unwrap();
    assert_eq!((kept.path.as_path(), kept.bytes), (path.as_path(), 11));
    drop(LinesFile::open_cut_back(&kept.path, 1 << 20, kept.bytes).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"{\"stored\"}\n");
}

#[test]
fn what_a_named_file_held_before_the_run_stays() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..10));
    let path = night.path("state/letters.ndjson");
    night.load(); // makes the folder
    let before = format!("{}\n", serde_json::json!({"source": night.path("a.log"), "offset": 1_u64 << 40}));
    fs::write(&path, &before).unwrap();
    night.write("b.log", lines(2, 0..10));
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let letters = LinesFile::open(&path, u64::MAX).unwrap();
    run.keep(None, Some((letters.clone(), before.len() as u64))).unwrap();
    // Killed before its first watermark.
    letters.write(b"{\"source\":\"b.log\",\"offset\":0}\n").unwrap();
    letters.sync().unwrap();
    drop(run);
    night.owner = Owner::me();
    night.ledger().resume(&night.spec, None).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn a_stream_is_never_left_out_but_goes_on_when_its_run_does() {
    let night = Night::new();
    let stdin = || Source { place: Place::Stdin, named: true, source_name: None, start: None };
    let dead = Ledger { owner: Owner { pid: u32::MAX >> 2, started: "gone".into() }, ..night.ledger() };
    let mut run = dead.begin(&night.spec).unwrap();
    assert_eq!(night.chooser(&run, false).choose(stdin()).unwrap().start, None);
    let file = OpenFile {
        id: 0,
        facts: facts("-".into(), [7; 8]),
        identity: [7; 8],
        first_line: Some(1),
        encoding: crate::pipeline::decode::Encoding::Gzip,
        start: None,
    };
    let mut report = FileReport::new("-");
    for offset in [100, 200] {
        report.counts.lines_read += 1;
        let counts = PrefixCounts { lines_read: offset / 100, ..PrefixCounts::default() };
        let mark = Mark { offset, tail: offset + 1, counts };
        run.store_every = Duration::ZERO;
        let progress = FileProgress {
            file: &file,
            watermark: &mark,
            whole_lines: &mark,
            report: &report,
            indices: &BTreeSet::new(),
        };
        run.progress(&Progress::Watermark(progress)).unwrap();
    }
    drop(run);
    let run = night.ledger().begin(&night.spec).unwrap();
    assert_eq!(night.chooser(&run, false).choose(stdin()).unwrap().start, None, "a new load reads all of it");
    let run = night.ledger().resume(&night.spec, Some(1)).unwrap();
    let start = night.chooser(&run, true).choose(stdin()).unwrap().start.unwrap();
    assert_eq!((start.identity, start.first_line, start.confirms), ([7; 8], 1, true));
    assert_eq!((start.mark.offset, start.mark.tail, start.mark.counts.lines_read), (200, 201, 2));
    assert_eq!(run.totals().counts.lines_read, 2);
}

#[test]
fn twenty_thousand_small_files_are_few_transactions() {
    let night = Night::new();
    let mut run = night.ledger().begin(&night.spec).unwrap();
    for id in 0..20_000_u32 {
        let file = OpenFile {
            id,
            facts: facts(id.to_string(), [0; 8]),
            identity: u64::from(id).to_be_bytes(),
            first_line: Some(1),
            encoding: crate::pipeline::decode::Encoding::Plain,
            start: None,
        };
        let mut report = FileReport::new(id.to_string());
        report.status = FileStatus::Loaded;
        let mark = Mark::default();
        let progress = FileProgress {
            file: &file,
            watermark: &mark,
            whole_lines: &mark,
            report: &report,
            indices: &BTreeSet::new(),
        };
        run.progress(&Progress::Done(progress)).unwrap();
    }
    run.store().unwrap();
    assert!(run.transactions < 100, "{}", run.transactions);
    let mut complete = 0;
    let count = |file: FileRecord| {
        complete += u32::from(file.state == FileState::Complete);
        Ok(())
    };
    night.ledger().files(1, count).unwrap();
    assert_eq!(complete, 20_000);
}

#[test]
fn runs_are_listed_shown_and_forgotten() {
    let mut night = Night::new();
    night.write("a\x1b[31m.log", lines(1, 0..1234));
    night.load();
    night.load_killed(1);
    let ledger = night.ledger();
    let told = |tell: &dyn Fn(&mut Vec<u8>) -> Result<()>| {
        let mut output = Vec::new();
        tell(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    };
    let table = told(&|output| crate::commands::runs::list(&ledger, false, output));
    assert!(table.lines().nth(1).unwrap().starts_with("2    complete") || table.contains("killed"), "{table}");
    assert!(table.contains("1,234"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&told(&|output| crate::commands::runs::list(&ledger, true, output))).unwrap();
    assert_eq!(json["runs"][1]["totals"]["indexed"], 1234, "{json}");
    let shown = told(&|output| crate::commands::runs::show(&ledger, 1, false, output));
    assert!(shown.contains("1,234 read = 1,234 indexed") && !shown.contains('\x1b'), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&told(&|output| crate::commands::runs::show(&ledger, 1, true, output))).unwrap();
    assert_eq!((&json["files"][0]["state"], &json["files"][0]["lines_read"]), (&"complete".into(), &1234.into()));
    assert!(ledger.run(1).unwrap().totals.loaded == 1);

    ledger.forget(1).unwrap();
    assert!(ledger.run(1).is_err());
    assert_eq!(night.load().duplicate, 1234, "what is forgotten counts as not loaded");
    assert_eq!(ledger.forget_older_than(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(ledger.forget_older_than(Duration::ZERO).unwrap(), 2);
    assert!(ledger.runs().unwrap().is_empty());
    assert_eq!(
        HashSet::<i64>::from([night.ledger().begin(&night.spec).unwrap().id()]),
        HashSet::from([4]),
        "no number twice"
    );
}
