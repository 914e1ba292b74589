//! The report as one JSON object, for machines.
//!
//! A run may have a million files; each one's object goes to an unnamed temporary file as soon as the file is done, and
//! is copied into `files` at the end. Names are those of the law and stay as they are; new ones may come.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use serde::Serialize;

use super::figures::time;
use super::totals::{Counts, Ended, FileReport, FileStatus, Report};

/// The objects of finished files, on disk until the report is written.
#[derive(Debug)]
pub struct FilesSpool {
    /// JSON objects with `,` and a newline between them.
    file: BufWriter<File>,
    /// How many objects are in it.
    files: u64,
    /// What went wrong on the first write that failed; nothing is written after it.
    error: Option<String>,
}

impl FilesSpool {
    /// An empty spool in `$TMPDIR` (or `/tmp`). The file has no name, so it is gone with the process. About 500 bytes
    /// for each file of the run.
    ///
    /// # Errors
    /// If no file can be made there.
    pub fn new() -> io::Result<FilesSpool> {
        Ok(FilesSpool { file: BufWriter::new(tempfile::tempfile()?), files: 0, error: None })
    }

    /// Keeps a file's report.
    pub fn push(&mut self, file: &FileReport) {
        if self.error.is_some() {
            return;
        }
        let separator = if self.files == 0 { "" } else { ",\n" };
        let written = self
            .file
            .write_all(separator.as_bytes())
            .and_then(|()| Ok(serde_json::to_writer(&mut self.file, &FileObject::new(file))?));
        match written {
            Ok(()) => self.files += 1,
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    /// What went wrong, if the files' reports could not be kept (a full disk).
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The objects, to be read from the start. None if they are not all there, which is certain only now.
    fn rewind(&mut self) -> Option<&mut File> {
        let rewound = self.file.flush().and_then(|()| self.file.get_mut().rewind());
        if let (Err(error), None) = (&rewound, &self.error) {
            self.error = Some(error.to_string());
        }
        self.error.is_none().then(|| self.file.get_mut())
    }
}

/// Writes the report as one JSON object and a newline. Each file's object is on a line of its own.
///
/// # Errors
/// If `out` takes no more.
pub fn write(out: &mut impl Write, report: &mut Report) -> io::Result<()> {
    // First, because a disk that was full changes the exit code.
    if let Some(spool) = &mut report.files {
        spool.rewind();
    }
    let mut head = serde_json::to_vec(&ReportObject::new(report))?;
    assert_eq!(head.pop(), Some(b'}'), "an object");
    out.write_all(&head)?;
    if let Some(spool) = &mut report.files {
        out.write_all(b",\"files\":[")?;
        if let Some(file) = spool.rewind() {
            if file.metadata()?.len() > 0 {
                out.write_all(b"\n")?;
            }
            io::copy(file, out)?;
        }
        out.write_all(b"]")?;
    }
    out.write_all(b"}\n")?;
    out.flush()
}

/// What is told of the run beside its files.
#[derive(Serialize)]
struct ReportObject<'a> {
    /// `complete`, `interrupted`, `output_closed`, `stopped`, `failed`.
    ended: &'static str,
    /// Why it ended before its sources did.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    exit_code: u8,
    law_holds: bool,
    #[serde(flatten)]
    counts: CountsObject<'a>,
    seconds: f64,
    requests: u64,
    retries: u64,
    documents_resent: u64,
    bytes_sent: u64,
    paused_seconds: f64,
    writers: u32,
    body_bytes: u64,
    sources: SourcesObject,
    formats: BTreeMap<&'static str, FormatObject>,
    /// Raw lines; bytes that are not UTF-8 are U+FFFD here.
    samples: BTreeMap<&'static str, Vec<String>>,
    unfinished_files: u64,
    malformed_files: u64,
    notes: &'a [String],
    /// Why `files` is empty although there were some.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_error: Option<&'a str>,
}

impl<'a> ReportObject<'a> {
    fn new(report: &'a Report) -> ReportObject<'a> {
        let (why, hint) = match &report.ended {
            Ended::Complete | Ended::OutputClosed => (None, None),
            Ended::Interrupted(signal) => (Some(*signal), None),
            Ended::Failed(error) => (Some(error.message.as_str()), error.hint.as_deref()),
        };
        let lossy =
            |lines: &Vec<Vec<u8>>| lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let traffic = report.traffic;
        ReportObject {
            ended: report.ended.name(),
            why,
            hint,
            exit_code: report.exit_code(),
            law_holds: report.law_holds(),
            counts: CountsObject::new(&report.counts),
            seconds: report.seconds,
            requests: traffic.requests,
            retries: traffic.retries,
            documents_resent: traffic.documents_resent,
            bytes_sent: traffic.bytes_sent,
            paused_seconds: traffic.paused_seconds,
            writers: traffic.writers,
            body_bytes: traffic.body_bytes,
            sources: SourcesObject {
                named: report.sources.named,
                loaded: report.sources.loaded,
                skipped: report.sources.skipped,
                failed: report.sources.failed,
                damaged: report.sources.damaged,
                gone: report.sources.gone,
                stopped: report.sources.stopped,
            },
            formats: (report.formats.iter())
                .map(|(name, format)| (*name, FormatObject { files: format.files, guessed: format.guessed }))
                .collect(),
            samples: report.counts.samples.iter().map(|(reason, lines)| (reason.as_str(), lossy(lines))).collect(),
            unfinished_files: report.unfinished_files,
            malformed_files: report.malformed_files,
            notes: &report.notes,
            files_error: report.files.as_ref().and_then(FilesSpool::error),
        }
    }
}

/// The same for a run and for a file.
#[derive(Serialize)]
struct CountsObject<'a> {
    lines_read: u64,
    indexed: u64,
    duplicate: u64,
    rejected: u64,
    malformed: u64,
    blank: u64,
    outside: u64,
    unsettled: u64,
    /// Part of `indexed`.
    confirmed: u64,
    bytes_read: u64,
    documents_bytes: u64,
    with_extra: u64,
    not_utf8: u64,
    common_path: u64,
    /// Malformed lines by reason.
    reasons: BTreeMap<&'static str, u64>,
    /// None where there are no documents.
    event_time: Option<EventTime>,
    indices: BTreeMap<&'a str, u64>,
    /// Documents in indices beyond those listed.
    #[serde(skip_serializing_if = "is_zero")]
    indices_other: u64,
}

impl<'a> CountsObject<'a> {
    fn new(counts: &'a Counts) -> CountsObject<'a> {
        let tally = &counts.tally;
        CountsObject {
            lines_read: counts.lines_read,
            indexed: counts.outcomes.indexed,
            duplicate: counts.outcomes.duplicate,
            rejected: counts.outcomes.rejected,
            malformed: counts.malformed(),
            blank: tally.blank,
            outside: tally.outside,
            unsettled: counts.unsettled,
            confirmed: counts.outcomes.confirmed,
            bytes_read: counts.bytes_read,
            documents_bytes: counts.documents_bytes,
            with_extra: tally.with_extra,
            not_utf8: tally.not_utf8,
            common_path: tally.common_path,
            reasons: tally.malformed.iter().map(|(reason, lines)| (reason.as_str(), *lines)).collect(),
            event_time: tally.event_time.map(|(from, to)| EventTime { from: time(from), to: time(to) }),
            indices: counts.indices.iter().map(|(index, documents)| (&**index, *documents)).collect(),
            indices_other: counts.indices_other,
        }
    }
}

#[derive(Serialize)]
struct EventTime {
    from: String,
    to: String,
}

#[derive(Serialize)]
struct SourcesObject {
    named: u64,
    loaded: u64,
    skipped: u64,
    failed: u64,
    /// Part of `failed`.
    damaged: u64,
    gone: u64,
    stopped: u64,
}

#[derive(Serialize)]
struct FormatObject {
    files: u64,
    guessed: u64,
}

/// What is told of a file.
#[derive(Serialize)]
struct FileObject<'a> {
    uri: &'a str,
    /// `loaded`, `damaged`, `skipped`, `failed`, `gone`, `stopped`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    /// In decompressed bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_at: Option<u64>,
    /// None where nothing was read.
    format: Option<&'static str>,
    format_guessed: bool,
    law_holds: bool,
    #[serde(flatten)]
    counts: CountsObject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished_last_line: Option<UnfinishedObject>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
}

#[derive(Serialize)]
struct UnfinishedObject {
    offset: u64,
    bytes: u64,
}

impl<'a> FileObject<'a> {
    fn new(file: &'a FileReport) -> FileObject<'a> {
        FileObject {
            uri: &file.uri,
            status: file.status.name(),
            why: file.status.why(),
            damaged_at: match file.status {
                FileStatus::Damaged { offset, .. } => Some(offset),
                _ => None,
            },
            format: file.format.map(|format| format.name),
            format_guessed: file.format.is_some_and(|format| format.guessed),
            law_holds: file.law_holds(),
            counts: CountsObject::new(&file.counts),
            unfinished_last_line: file
                .unfinished
                .map(|line| UnfinishedObject { offset: line.offset, bytes: line.bytes }),
            notes: &file.notes,
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::example;
    use super::*;

    fn written(report: &mut Report) -> Value {
        let mut bytes = Vec::new();
        write(&mut bytes, report).unwrap();
        assert!(bytes.ends_with(b"}\n"));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)))
    }

    #[test]
    fn the_whole_object() {
        let mut report = example::report(Some(FilesSpool::new().unwrap()));
        let counts = |file: Value, more: Value| {
            let mut object = file;
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            object
        };
        let sample = counts(
            json!({
                "uri": "logs/access.log.gz", "status": "loaded", "format": "combined", "format_guessed": true,
                "law_holds": true,
            }),
            json!({
                "lines_read": 102233, "indexed": 102231, "duplicate": 0, "rejected": 0, "malformed": 1, "blank": 1,
                "outside": 0, "unsettled": 0, "confirmed": 0, "bytes_read": 20456789, "documents_bytes": 38700000,
                "with_extra": 102231, "not_utf8": 0, "common_path": 102000, "reasons": {"too_long": 1},
                "event_time": {"from": "2020-12-19T12:57:26Z", "to": "2021-01-22T14:26:09Z"},
                "indices": {"apache-access-log-2020-12": 44876, "apache-access-log-2021-01": 57355},
            }),
        );
        let nothing = json!({
            "lines_read": 0, "indexed": 0, "duplicate": 0, "rejected": 0, "malformed": 0, "blank": 0, "outside": 0,
            "unsettled": 0, "confirmed": 0, "bytes_read": 0, "documents_bytes": 0, "with_extra": 0, "not_utf8": 0,
            "common_path": 0, "reasons": {}, "event_time": null, "indices": {},
        });
        let missing = counts(
            json!({
                "uri": "logs/missing.log", "status": "failed", "why": "no such file", "format": null,
                "format_guessed": false, "law_holds": true,
            }),
            nothing.clone(),
        );
        let skipped = counts(
            json!({
                "uri": "logs/error.log", "status": "skipped", "why": "looks like an Apache error log", "format": null,
                "format_guessed": false, "law_holds": true,
            }),
            nothing,
        );
        let mut damaged = sample.clone();
        damaged["uri"] = "logs/cut.gz".into();
        damaged["status"] = "damaged".into();
        damaged["why"] = "unexpected end of file".into();
        damaged["damaged_at"] = 4096.into();
        damaged["format_guessed"] = false.into();
        damaged["unfinished_last_line"] = json!({"offset": 4000, "bytes": 96});
        damaged["notes"] = json!(["looks odd"]);
        for key in ["lines_read", "indexed"] {
            damaged[key] = 3.into();
        }
        damaged["bytes_read"] = 300.into();
        damaged["documents_bytes"] = 0.into();
        for key in ["malformed", "blank", "with_extra", "common_path"] {
            damaged[key] = 0.into();
        }
        (damaged["reasons"], damaged["indices"], damaged["event_time"]) = (json!({}), json!({}), json!(null));

        let mut expected = sample.clone();
        for key in ["uri", "status", "format", "format_guessed"] {
            expected.as_object_mut().unwrap().remove(key);
        }
        expected["lines_read"] = 102236.into();
        expected["indexed"] = 102234.into();
        expected["bytes_read"] = 20457089.into();
        let expected = counts(
            expected,
            json!({
                "ended": "complete", "exit_code": 1, "law_holds": true, "seconds": 2.5, "requests": 12, "retries": 2,
                "documents_resent": 120, "bytes_sent": 40000000, "paused_seconds": 0.0, "writers": 4,
                "body_bytes": 5242880,
                "sources": {
                    "named": 4, "loaded": 1, "skipped": 1, "failed": 2, "damaged": 1, "gone": 0, "stopped": 0
                },
                "formats": {"combined": {"files": 2, "guessed": 1}},
                "samples": {"too_long": ["cut \u{1b}[31m\u{fffd}"]},
                "unfinished_files": 1, "malformed_files": 0, "notes": ["each line is sent at least once"],
                "files": [sample, skipped, missing, damaged],
            }),
        );
        assert_eq!(written(&mut report), expected);
    }

    #[test]
    fn the_order_of_keys_is_the_reader_s() {
        let mut bytes = Vec::new();
        write(&mut bytes, &mut Report::new(0.1, Some(FilesSpool::new().unwrap()))).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"ended\":\"complete\",\"exit_code\":0,\"law_holds\":true,\"lines_read\":0,\"indexed\":0,\"duplicate\":0,\
             \"rejected\":0,\"malformed\":0,\"blank\":0,\"outside\":0,\"unsettled\":0,\"confirmed\":0,\"bytes_read\":0,\
             \"documents_bytes\":0,\"with_extra\":0,\"not_utf8\":0,\"common_path\":0,\"reasons\":{},\
             \"event_time\":null,\"indices\":{},\"seconds\":0.0,\"requests\":0,\"retries\":0,\"documents_resent\":0,\
             \"bytes_sent\":0,\"paused_seconds\":0.0,\"writers\":0,\"body_bytes\":0,\"sources\":{\"named\":0,\
             \"loaded\":0,\"skipped\":0,\"failed\":0,\"damaged\":0,\"gone\":0,\"stopped\":0},\"formats\":{},\
             \"samples\":{},\"unfinished_files\":0,\"malformed_files\":0,\"notes\":[],\"files\":[]}\n"
        );
    }

    #[test]
    fn why_it_ended() {
        let mut report = Report::new(0.1, None);
        report.ended = Ended::Failed(crate::error::Error::stopped("the disk is full").hint("make room"));
        let object = written(&mut report);
        assert_eq!(object["ended"], "stopped");
        assert_eq!(object["why"], "the disk is full");
        assert_eq!(object["hint"], "make room");
        assert_eq!(object["exit_code"], 4);
        assert!(object.get("files").is_none());
    }

    #[test]
    fn files_that_could_not_be_kept_are_told() {
        // A file opened for reading takes nothing, like a full disk.
        let file = File::open("/dev/null").unwrap();
        let spool = FilesSpool { file: BufWriter::with_capacity(0, file), files: 0, error: None };
        let mut report = Report::new(0.1, Some(spool));
        report.sources.named = 1;
        let mut done = FileReport::new("a.log");
        done.status = FileStatus::Loaded;
        report.add_file(done);
        let object = written(&mut report);
        assert_eq!(object["files"], json!([]));
        assert_eq!(object["exit_code"], 1);
        assert!(object["files_error"].as_str().unwrap().starts_with("Bad file descriptor"));
    }

    #[test]
    fn written_twice_it_is_the_same() {
        let mut report = example::report(Some(FilesSpool::new().unwrap()));
        assert_eq!(written(&mut report), written(&mut report));
    }
}
