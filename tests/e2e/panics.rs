//! A bug in each stage: the run ends in order, whichever it is, and says so. Through the library, as the program has no
//! flag for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use loghaul::opensearch::{self, Address, Client};
use loghaul::pipeline::report::{Ended, Report};
use loghaul::pipeline::serialize::{self, Plan};
use loghaul::pipeline::sink::{Sink, destination};
use loghaul::pipeline::source::{Place, Source};
use loghaul::pipeline::stop::Stop;
use loghaul::pipeline::{Options, Stage, reader, run};

use crate::support::running::PATIENCE;
use crate::support::{FixedServer, Folder, logs};

/// Which sink a run gets; made in the run's own thread.
#[derive(Clone, Debug)]
enum To {
    Discard,
    File(PathBuf),
    Server(String),
}

fn options(documents_only: bool, chunk_bytes: usize, panic_in: Option<Stage>) -> Options {
    let plan = serialize::Options {
        documents_only,
        ingestion_timestamp: "2024-06-01T00:00:00.000Z".to_owned(),
        ..serialize::Options::default()
    };
    Options {
        read: reader::Options {
            format: None,
            namespace: String::new(),
            line_bytes_max: 1 << 20,
            take_last_line: false,
        },
        plan: Plan::new(plan).expect("a plan"),
        parsers: 2,
        readers: 2,
        chunk_bytes,
        tickets_bytes: 8 << 20,
        panic_in,
    }
}

/// Runs in a thread of its own, so that one that hangs is seen.
fn haul(log: &Path, to: To, options: Options) -> Report {
    let (sender, receiver) = mpsc::channel();
    let source =
        Source { place: Place::File(log.to_owned()), named: true, source_name: None, start: None, entry: None };
    let shown = format!("{to:?}, panic in {:?}", options.panic_in);
    thread::spawn(move || {
        let stop = Arc::new(Stop::new());
        let client; // outlives the sink
        let sink = match to {
            To::Discard => Sink::Discard,
            To::File(path) => Sink::Stdout(File::create(path).expect("a file")),
            To::Server(url) => {
                let address = Address::parse(&url).expect("a URL");
                client = Client::new(opensearch::Options::new(vec![address])).expect("a client");
                let destination =
                    destination::Destination::new(&client, &destination::Options::default(), &stop, |_| ());
                Sink::OpenSearch { destination: Box::new(destination), writers: 2 }
            }
        };
        let report = run(
            std::iter::once(source),
            &sink,
            &options,
            &stop,
            Report::new(0.1, None),
            loghaul::pipeline::report::collect::Keep::default(),
            |_| Ok(()),
        );
        let _ = sender.send(report);
    });
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{shown}: the run hangs"))
}

#[test]
fn a_panic_in_each_stage_ends_the_run_in_order() {
    let folder = Folder::new();
    // Many more chunks than there are tickets and places in channels.
    let (log, _) = logs::generate(logs::Options { bytes: Some(24 << 20), seed: 91, ..logs::Options::default() });
    let log = folder.write_settled("access.log", log);
    let server = FixedServer::start("200 OK", "application/json", r#"{"took":1,"errors":false,"items":[]}"#);
    let sinks = [To::Discard, To::File(folder.path().join("documents")), To::Server(server.url.clone())];
    for to in sinks {
        for stage in [Stage::Reader, Stage::Parser, Stage::Sink, Stage::Writer] {
            if matches!((stage, &to), (Stage::Writer, To::Discard | To::File(_)) | (Stage::Sink, To::Discard)) {
                continue; // there is none
            }
            let only = !matches!(to, To::Server(_));
            let report = haul(&log, to.clone(), options(only, 64 << 10, Some(stage)));
            let what = format!("{to:?}, {stage:?}");
            let Ended::Failed(error) = &report.ended else { panic!("{what}: {:?}", report.ended) };
            assert!(error.message.contains("bug") && error.message.contains("panic"), "{what}: {error}");
            assert!(report.law_holds(), "{what}: {report:#?}");
            assert_eq!(report.exit_code(), 1, "{what}");
            assert_eq!(report.counts.outcomes.documents(), 0, "{what}: nothing came through");
        }
    }
}

/// One line per chunk, one byte more than nothing: the documents do not depend on where chunks end.
#[test]
fn any_size_of_chunks_gives_the_same_documents() {
    let folder = Folder::new();
    let (log, summary) = logs::odd(3_000, 92);
    let settled = folder.write_settled("access.log", &log);
    let packed = folder.write("packed.gz", logs::gzip(&log, 3));
    let flags = ["--ingestion-timestamp", "2024-06-01T00:00:00.000Z"];
    let expected = folder.parse(&[&["access.log"], &flags[..]].concat());
    let documents = folder.path().join("documents");
    for chunk_bytes in [1, 100, 4_099, 1 << 20] {
        for source in [&settled, &packed] {
            let report = haul(source, To::File(documents.clone()), options(true, chunk_bytes, None));
            assert_eq!(report.ended, Ended::Complete);
            assert!(report.law_holds(), "{report:#?}");
            assert_eq!((report.counts.lines_read, report.counts.outcomes.indexed), (summary.lines, summary.good));
            assert!(std::fs::read(&documents).unwrap() == expected.stdout, "{chunk_bytes} bytes, {}", source.display());
        }
    }
}

/// The source that is asked for next may take its time; what is there is not held back by it.
#[test]
fn a_slow_list_of_sources() {
    let folder = Folder::new();
    let paths: Vec<PathBuf> = (0..3).map(|n| folder.write_settled(&format!("{n}.log"), logs::line(n) + "\n")).collect();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let stop = Arc::new(Stop::new());
        let sources = paths.into_iter().map(|path| {
            thread::sleep(Duration::from_millis(100));
            Source { place: Place::File(path), named: true, source_name: None, start: None, entry: None }
        });
        let options = options(false, 64 << 10, None);
        let report = run(
            sources,
            &Sink::Discard,
            &options,
            &stop,
            Report::new(0.1, None),
            loghaul::pipeline::report::collect::Keep::default(),
            |_| Ok(()),
        );
        let _ = sender.send(report);
    });
    let report = receiver.recv_timeout(PATIENCE).expect("the run ends");
    assert_eq!((report.counts.lines_read, report.sources.loaded, report.law_holds()), (3, 3, true));
}
