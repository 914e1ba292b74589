//! A report with something of everything, for tests.

use std::sync::Arc;

use super::json::FilesSpool;
use super::totals::{FileReport, FileStatus, FormatUsed, Report, Traffic, UnfinishedLine};
use crate::pipeline::parse::Malformed;

/// Four sources: one good, one damaged, one missing, one that is no access log.
pub fn report(files: Option<FilesSpool>) -> Report {
    let mut good = FileReport::new("logs/access.log.gz");
    good.status = FileStatus::Loaded;
    good.format = Some(FormatUsed { name: "combined", guessed: true });
    let counts = &mut good.counts;
    (counts.lines_read, counts.bytes_read, counts.bytes_settled) = (102_233, 20_456_789, 20_456_789);
    counts.documents_bytes = 38_700_000;
    (counts.tally.documents, counts.outcomes.indexed) = (102_231, 102_231);
    (counts.tally.blank, counts.tally.with_extra, counts.tally.common_path) = (1, 102_231, 102_000);
    counts.tally.malformed.insert(Malformed::TooLong, 1);
    counts.tally.event_time = Some((1_608_382_646, 1_611_325_569));
    counts.samples.insert(Malformed::TooLong, vec![b"cut \x1b[31m\xff".to_vec()]);
    counts.indices.insert(Arc::from("apache-access-log-2020-12"), 44_876);
    counts.indices.insert(Arc::from("apache-access-log-2021-01"), 57_355);

    let mut skipped = FileReport::new("logs/error.log");
    skipped.status = FileStatus::Skipped { why: "looks like an Apache error log".into() };
    let mut missing = FileReport::new("logs/missing.log");
    missing.status = FileStatus::Failed { why: "no such file".into() };

    let mut damaged = FileReport::new("logs/cut.gz");
    damaged.status = FileStatus::Damaged { offset: 4_096, why: "unexpected end of file".into() };
    damaged.format = Some(FormatUsed { name: "combined", guessed: false });
    let counts = &mut damaged.counts;
    (counts.lines_read, counts.bytes_read, counts.bytes_settled) = (3, 300, 300);
    (counts.tally.documents, counts.outcomes.indexed) = (3, 3);
    damaged.unfinished = Some(UnfinishedLine { offset: 4_000, bytes: 96 });
    damaged.notes.push("looks odd".into());

    let mut report = Report::new(0.1, files);
    for file in [good, skipped, missing, damaged] {
        report.sources.named += 1;
        report.add_file(file);
    }
    report.seconds = 2.5;
    report.traffic = Traffic {
        requests: 12,
        retries: 2,
        documents_resent: 120,
        bytes_sent: 40_000_000,
        paused_seconds: 0.0,
        writers: 4,
        body_bytes: 5 << 20,
    };
    report.note("each line is sent at least once");
    report
}
