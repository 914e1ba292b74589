//! The data plane and the ledger together: runs that are stopped anywhere go on, and every line is there once.
//!
//! Documents go to a file with their action lines, so what a cluster would hold is the set of ids in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loghaul::commands::only_new::OnlyNew;
use loghaul::error::Error;
use loghaul::ledger::{Destination, Ledger, Run, RunSpec};
use loghaul::opensearch::IndexNow;
use loghaul::pipeline::report::Report;
use loghaul::pipeline::report::collect::{Keep, Progress};
use loghaul::pipeline::report::lines_file::LinesFile;
use loghaul::pipeline::serialize::{Options as DocumentOptions, Plan};
use loghaul::pipeline::sink::Sink;
use loghaul::pipeline::source::{Place, Source};
use loghaul::pipeline::stop::Stop;
use loghaul::pipeline::{self, Options, reader};

struct Bench {
    folder: tempfile::TempDir,
    chunk_bytes: usize,
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: tempfile::tempdir().unwrap(), chunk_bytes: 8 << 10 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self) -> RunSpec {
        RunSpec {
            command: "loghaul load logs".into(),
            sources: vec!["logs".into()],
            folder: "/".into(),
            destination: Destination {
                cluster: "a-cluster".into(),
                index_pattern: "apache-access-log-%Y-%m".into(),
                id_mode: "source".into(),
                schema: "1".into(),
                pipeline: String::new(),
            },
            namespace: String::new(),
            source_name: None,
            again: false,
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.path("state/ledger.db")).unwrap()
    }

    fn options(&self) -> Options {
        let plan = Plan::new(DocumentOptions { keep_malformed: true, ..DocumentOptions::default() }).unwrap();
        Options {
            read: reader::Options {
                format: None,
                namespace: String::new(),
                line_bytes_max: 64 << 10,
                take_last_line: false,
            },
            plan,
            parsers: 2,
            readers: 2,
            chunk_bytes: self.chunk_bytes,
            tickets_bytes: 1 << 20,
            panic_in: None,
        }
    }

    /// Loads `names`; after `watermarks_max` watermarks the ledger refuses, as if its disk were full.
    fn haul(&self, mut run: Run, names: &[&str], resumes: bool, watermarks_max: u64) -> Report {
        let sources = names.iter().map(|name| Source {
            place: Place::File(self.path(name)),
            named: true,
            source_name: None,
            start: None,
            entry: None,
        });
        let stop = Arc::new(Stop::new());
        let there = Box::new(|_: &str| Ok(IndexNow::There(None)));
        let chooser = run.chooser(&self.spec(), resumes, there, &stop).unwrap();
        let sources: Vec<Source> = sources.collect();
        let sources = OnlyNew::new(sources.into_iter(), chooser, Arc::clone(&stop));
        let malformed = run.path_beside("malformed");
        let malformed = LinesFile::open(&malformed, u64::MAX).unwrap();
        run.keep(Some((malformed.clone(), 0)), None).unwrap();
        let output = File::options().append(true).create(true).open(self.path("state/documents")).unwrap();
        let mut watermarks = 0;
        let report = pipeline::run(
            sources,
            &Sink::Stdout(output),
            &self.options(),
            &stop,
            Report::new(1.0, None),
            Keep { malformed: Some(malformed), ..Keep::default() },
            |step| {
                watermarks += u64::from(matches!(step, Progress::Watermark(_)));
                if watermarks > watermarks_max {
                    return Err(Error::stopped("enough"));
                }
                run.progress(&step)?;
                run.store()
            },
        );
        assert!(report.law_holds(), "{report:?}");
        run.finish(&report).unwrap();
        report
    }

    fn load(&self, names: &[&str]) -> Report {
        self.haul(self.ledger().begin(&self.spec()).unwrap(), names, false, u64::MAX)
    }

    /// The ids of all documents, and how often each was sent.
    fn ids(&self) -> BTreeMap<String, u32> {
        let mut ids = BTreeMap::new();
        for line in fs::read_to_string(self.path("state/documents")).unwrap().lines().step_by(2) {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            *ids.entry(action["create"]["_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        ids
    }

    fn write(&self, name: &str, plain: &[u8], how: How) {
        let bytes = match how {
            How::Mapped | How::Streamed => plain.to_vec(),
            How::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            How::Zstd => zstd::encode_all(plain, 1).unwrap(),
        };
        fs::write(self.path(name), bytes).unwrap();
        if how == How::Mapped {
            touch(&self.path(name), Duration::from_secs(3600));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Mapped,
    Streamed,
    Gzip,
    Zstd,
}

fn touch(path: &Path, age: Duration) {
    File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

/// Lines with these numbers: mostly good, some malformed, some blank, and one over the limit of 64 KiB.
fn lines(range: std::ops::Range<u32>) -> Vec<u8> {
    let mut text = String::new();
    for n in range {
        match n % 100 {
            17 => text.push('\n'),
            33 => text += &format!("junk {n}\n"),
            66 if n == 2066 => text += &format!("{}\n", "long ".repeat(20_000)),
            _ => {
                let (month, day) = (n % 12, n % 28 + 1);
                let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
                    [month as usize];
                text += &format!(
                    "10.0.{}.{} - - [{day:02}/{month}/2020:13:57:26 +0100] \"GET /{n} HTTP/1.1\" 200 {n} \"-\" \"a\"\n",
                    n / 256 % 256,
                    n % 256
                );
            }
        }
    }
    text.into_bytes()
}

#[test]
fn stopped_anywhere_and_gone_on_with() {
    for how in [How::Mapped, How::Streamed, How::Gzip, How::Zstd] {
        let (first, second) = (lines(0..6_000), lines(6_000..8_000));
        let whole = Bench::new();
        let stopped = Bench::new();
        for bench in [&whole, &stopped] {
            bench.write("a.log", &first, how);
            bench.write("b.log", &second, how);
        }
        // The same paths, so that the ids can be compared.
        let names = ["a.log", "b.log"];
        let undisturbed = whole.load(&names);
        assert_eq!(undisturbed.exit_code(), 0);
        let documents = whole.ids().len() as u64;
        assert_eq!(documents, undisturbed.counts.outcomes.indexed);

        let mut random = fastrand::Rng::with_seed(9);
        let ledger = stopped.ledger();
        let mut run = ledger.begin(&stopped.spec()).unwrap();
        let (mut parts, mut bytes_read) = (0, 0);
        loop {
            let report = stopped.haul(run, &names, parts > 0, random.u64(3..30));
            bytes_read += report.counts.bytes_settled;
            parts += 1;
            if report.exit_code() != 4 {
                assert_eq!(report.exit_code(), 0, "{report:?}");
                break;
            }
            run = ledger.resume(&stopped.spec(), None).unwrap();
        }
        assert!(parts > 3, "{how:?}: {parts}");
        let ids: BTreeSet<String> = stopped.ids().into_keys().collect();
        assert_eq!(ids.len() as u64, documents, "{how:?}");
        let record = ledger.run(1).unwrap();
        let (totals, counts) = (record.totals, &undisturbed.counts);
        assert_eq!(totals.counts.lines_read, counts.lines_read, "{how:?}");
        assert_eq!(totals.counts.indexed, counts.outcomes.indexed, "{how:?}");
        assert_eq!(totals.counts.malformed, counts.malformed(), "{how:?}");
        assert_eq!(totals.counts.blank, counts.tally.blank, "{how:?}");
        assert_eq!(totals.bytes_read, counts.bytes_read, "{how:?}");
        assert_eq!((record.parts, record.totals.loaded), (parts, 2), "{how:?}");
        // What was in flight when it stopped is read twice, not more.
        assert!(bytes_read < counts.bytes_read + u64::from(parts) * (2 << 20), "{how:?}: {bytes_read}");
        let malformed = fs::read_to_string(record.malformed.unwrap().path).unwrap();
        assert_eq!(malformed.lines().count() as u64, counts.malformed(), "{how:?}");
        assert_eq!(malformed.lines().collect::<BTreeSet<_>>().len() as u64, counts.malformed(), "{how:?}");
    }
}

#[test]
fn what_grew_or_was_rotated_is_read_from_its_watermark() {
    for how in [How::Mapped, How::Streamed, How::Gzip, How::Zstd] {
        let bench = Bench::new();
        let (old, new) = (lines(0..6_000), lines(6_000..6_500));
        bench.write("access.log", &old, how);
        assert_eq!(bench.load(&["access.log"]).counts.bytes_read, old.len() as u64);
        let again = bench.load(&["access.log"]);
        assert_eq!((again.sources.skipped, again.counts.bytes_read), (1, 0), "{how:?}");

        bench.write("access.log", &[old.clone(), new.clone()].concat(), how);
        let grown = bench.load(&["access.log"]);
        assert_eq!((grown.sources.loaded, grown.counts.bytes_read), (1, new.len() as u64), "{how:?}");
        // Renamed, compressed, and with a last line that nobody finished.
        fs::remove_file(bench.path("access.log")).unwrap();
        let last = &lines(6_500..6_501)[..40];
        let rotated = [old, new, last.to_vec()].concat();
        bench.write("access.log.1.gz", &rotated, How::Gzip);
        let rotated = bench.load(&["access.log.1.gz"]);
        assert_eq!(rotated.counts.bytes_read, last.len() as u64, "{how:?}");
        assert_eq!(bench.load(&["access.log.1.gz"]).sources.skipped, 1, "{how:?}");
        assert!(bench.ids().values().all(|&times| times == 1), "{how:?}");
    }
}

#[test]
fn a_half_line_that_was_taken_is_read_again_when_it_is_whole() {
    for how in [How::Mapped, How::Streamed] {
        let bench = Bench::new();
        let text = lines(0..6_001);
        bench.write("a.log", &text[..text.len() - 3], how);
        if how == How::Streamed {
            bench.write("a.log", &text[..text.len() - 3], How::Mapped); // old enough to be believed
            fs::File::options().append(true).open(bench.path("a.log")).unwrap();
        }
        let taken = bench.load(&["a.log"]);
        assert_eq!((taken.counts.lines_read, taken.unfinished_files), (6_001, 0));
        bench.write("a.log", &[text.clone(), lines(6_001..6_003)].concat(), how);
        let grown = bench.load(&["a.log"]);
        assert_eq!(grown.counts.bytes_read, lines(6_000..6_003).len() as u64, "{how:?}");
        assert_eq!((grown.counts.lines_read, grown.problems.len()), (3, 1), "the user is told");
    }
}

#[test]
fn many_small_files() {
    let bench = Bench::new();
    fs::create_dir(bench.path("logs")).unwrap();
    let names: Vec<String> = (0..2_000).map(|n| format!("logs/{n}.log")).collect();
    for (n, name) in (0..).zip(&names) {
        fs::write(bench.path(name), lines(n * 3..n * 3 + 2)).unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = bench.haul_grouped(&names);
    assert_eq!((report.sources.loaded, report.exit_code()), (2_000, 0));
    assert_eq!(bench.haul_grouped(&names).sources.skipped, 2_000);
}

impl Bench {
    /// As a load does it: progress is stored a few times a second.
    fn haul_grouped(&self, names: &[&str]) -> Report {
        let mut run = self.ledger().begin(&self.spec()).unwrap();
        let stop = Arc::new(Stop::new());
        let chooser = run.chooser(&self.spec(), false, Box::new(|_| Ok(IndexNow::There(None))), &stop).unwrap();
        let sources = names.iter().map(|name| Source {
            place: Place::File(self.path(name)),
            named: true,
            source_name: None,
            start: None,
            entry: None,
        });
        let sources: Vec<Source> = sources.collect();
        let sources = OnlyNew::new(sources.into_iter(), chooser, Arc::clone(&stop));
        let report = Report::new(1.0, None);
        let report = pipeline::run(sources, &Sink::Discard, &self.options(), &stop, report, Keep::default(), |step| {
            run.progress(&step)
        });
        run.finish(&report).unwrap();
        report
    }
}
