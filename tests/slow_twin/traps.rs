//! The hand-written logs of `testdata/traps`, against the documents beside them and against the slow twin.

use std::path::Path as FilePath;

use loghaul::pipeline::parse::Format;
use loghaul::pipeline::serialize::{IdMode, Options};

use crate::rig::{Rig, all_options};

/// What a line became, as the expected files put it: its document without what all documents share, or its reason.
fn fates(rig: &mut Rig, worker: usize, log: &[u8]) -> String {
    let mut fates = String::new();
    let shared = r#","@ingestion_timestamp":"2021-02-03T04:05:06Z","@log_type":"apache-access-log"}"#;
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let outcome = rig.fill(worker, line, 0);
        for (reason, _) in outcome.malformed {
            fates.push_str(&format!("{{\"malformed\":\"{reason}\"}}\n"));
        }
        let documents = String::from_utf8(outcome.bytes).expect("documents are UTF-8");
        for document in documents.lines() {
            fates.push_str(document.strip_suffix(shared).expect("all documents end alike"));
            fates.push_str("}\n");
        }
    }
    fates
}

#[test]
fn traps() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("testdata/traps");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("testdata/traps is there") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let format: Format = name.split('-').next().expect("a format").parse().expect("a format");
        let log = std::fs::read(&path).expect("readable");
        let expected = std::fs::read_to_string(path.with_extension("expected.ndjson")).expect("each log has its file");
        let options = Options { documents_only: true, ids: IdMode::None, with_extra: true, ..all_options().remove(0) };
        let mut rig = Rig::new(options, format);
        for worker in 0..rig.workers.len() {
            let actual = fates(&mut rig, worker, &log);
            for (n, (actual, expected)) in actual.lines().zip(expected.lines()).enumerate() {
                assert_eq!(actual, expected, "{name}, line {} of the expected file", n + 1);
            }
            assert_eq!(actual.lines().count(), expected.lines().count(), "{name}");
        }
        rig.check(&log, 0);
        for options in all_options() {
            Rig::new(options, format).check(&log, 12_345);
        }
        seen += 1;
    }
    assert!(seen >= 14, "only {seen} trap files");
}
