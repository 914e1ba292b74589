//! The manifest of a directory of bodies: what its lines say, and what they come to when read.
//!
//! One JSON object a line, only ever added to, so that a load that was killed leaves all that it had finished:
//!
//! ```text
//! {"manifest":{"version":1,"id":"…","made":"…","by":"loghaul 0.1.0"}}
//! {"run":{"number":1,"part":1,"ledger_run":7,"index":"apache-access-log-%Y-%m","id":"source",…}}
//! {"body":{"file":"000001.ndjson.zst","documents":9876,"bytes":5242000,"stored_bytes":401234,"sha256":"…",
//!          "indices":{"apache-access-log-2024-03":9876},
//!          "sources":[{"source":"/var/log/a.log","identity":"…","ranges":[[0,262144,980],…]}]}}
//! {"end":{"run":1,"ended":"complete","lines_read":9900,"documents":9876,"malformed":20,"blank":4,"outside":0,…}}
//! ```
//!
//! A run that has no end, or another than `complete`, makes the directory incomplete. The law of each complete run:
//! lines read = documents + malformed + blank + outside, where the documents are counted from its bodies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, io_reason};

/// The manifest's name in its directory.
pub const FILE: &str = "manifest.ndjson";
/// What this program writes, and the most that it reads.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The first.
    Manifest(Head),
    /// A load begins, or goes on.
    Run(RunLine),
    /// A body is in its place, safe on disk.
    Body(BodyLine),
    /// A load has ended by itself.
    End(EndLine),
}

/// What the directory is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// See [`VERSION`].
    pub version: u32,
    /// Random: by it a ledger knows the directory, wherever it is moved.
    pub id: String,
    /// When it was made: RFC 3339.
    pub made: String,
    /// The program that made it.
    pub by: String,
}

/// A load that writes here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunLine {
    /// From 1; a run that goes on keeps its number.
    pub number: u32,
    /// From 1, one more each time that it is gone on with.
    pub part: u32,
    /// Its number in its ledger. None: it kept none, so nobody can go on with it.
    pub ledger_run: Option<i64>,
    /// When this part began: RFC 3339.
    pub began: String,
    /// `--index`.
    pub index: String,
    /// `--id`: `source`, `content` or `none`.
    pub id: String,
    /// `--schema`: `grok` or `ecs`.
    pub schema: String,
    /// The ingest pipeline that documents are meant for.
    pub pipeline: Option<String>,
}

/// One body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BodyLine {
    /// Its name in the directory.
    pub file: String,
    /// Documents in it; each is two lines, action and document.
    pub documents: u64,
    /// Its length unpacked.
    pub bytes: u64,
    /// Its length on disk.
    pub stored_bytes: u64,
    /// The SHA-256 of what is on disk, in hexadecimal.
    pub sha256: String,
    /// Documents for each index.
    pub indices: BTreeMap<String, u64>,
    /// Which lines of which logs, in the order of the documents.
    pub sources: Vec<SourceRanges>,
}

/// Neighbouring documents of one log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRanges {
    /// The log's path or URI.
    pub source: String,
    /// What names its lines, 8 bytes in hexadecimal.
    pub identity: String,
    /// From and to in its decompressed bytes, and how many documents came of the lines there.
    pub ranges: Vec<(u64, u64, u64)>,
}

/// How a load ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndLine {
    /// The run's number.
    pub run: u32,
    /// `complete`, `interrupted`, `stopped` or `failed`.
    pub ended: String,
    /// In a sentence, where it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Documents in the run's bodies, all of its parts.
    pub documents: u64,
    /// Bodies of the run.
    pub bodies: u64,
    /// The rest only where it is complete: lines of all its parts, by newlines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_read: Option<u64>,
    /// Lines that are no access-log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub malformed: Option<u64>,
    /// Empty lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank: Option<u64>,
    /// Lines outside `--since` and `--until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<u64>,
    /// Documents that are there twice, under the same id: read again by a part that went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<u64>,
}

/// A body, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The run's number.
    pub run: u32,
    /// The run's part.
    pub part: u32,
    /// The body.
    pub line: BodyLine,
}

/// All of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The first line.
    pub head: Head,
    /// The last line of each run.
    pub runs: BTreeMap<u32, RunLine>,
    /// In the order in which they were finished.
    pub bodies: Vec<Body>,
    /// The last end of each run that has one behind its last part.
    pub ends: BTreeMap<u32, EndLine>,
    /// The length of its whole lines, in bytes. What lies behind is half a line of a load that was killed.
    pub whole_bytes: u64,
}

impl Manifest {
    /// Reads the manifest of a directory. `None` where there is none.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or was written by a newer version.
    pub fn read(folder: &Path) -> Result<Option<Manifest>> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Manifest::parse(&bytes).map(Some).map_err(|why| {
                Error::failed(format!("{} is damaged: {why}", path.display()))
                    .hint("copy it again from where the directory was written; nothing was sent")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::failed(format!("cannot read {}: {}", path.display(), io_reason(&error)))),
        }
    }

    /// What its bytes say. A half line at the end is left out.
    fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let whole_bytes = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let mut lines = bytes[..whole_bytes].split_inclusive(|byte| *byte == b'\n').enumerate();
        let read = |n: usize, line: &[u8]| {
            serde_json::from_slice::<Line>(line).map_err(|error| {
                format!("line {}: {}", n + 1, error.to_string().replace(" at line 1 column ", " at column "))
            })
        };
        let head = match lines.next().map(|(n, line)| read(n, line)).transpose()? {
            Some(Line::Manifest(head)) if head.version <= VERSION => head,
            Some(Line::Manifest(head)) => {
                return Err(format!("its version is {}, this program reads up to {VERSION}", head.version));
            }
            Some(_) => return Err("it does not begin as a manifest".to_owned()),
            None => return Err("it is empty".to_owned()),
        };
        let mut manifest = Manifest {
            head,
            runs: BTreeMap::new(),
            bodies: Vec::new(),
            ends: BTreeMap::new(),
            whole_bytes: whole_bytes as u64,
        };
        let mut names = BTreeSet::new();
        for (n, line) in lines {
            let wrong = |why: &str| format!("line {}: {why}", n + 1);
            match read(n, line)? {
                Line::Manifest(_) => return Err(wrong("a second beginning")),
                Line::Run(run) => {
                    manifest.ends.remove(&run.number);
                    manifest.runs.insert(run.number, run);
                }
                Line::Body(line) => {
                    let Some((_, run)) = manifest.runs.last_key_value() else {
                        return Err(wrong("a body of no run"));
                    };
                    if !is_body_name(&line.file) || !names.insert(line.file.clone()) {
                        return Err(wrong("the name of its body cannot be"));
                    }
                    let in_ranges: u64 =
                        line.sources.iter().flat_map(|source| &source.ranges).map(|(.., documents)| documents).sum();
                    if in_ranges != line.documents || line.indices.values().sum::<u64>() != line.documents {
                        return Err(wrong("the counts of its body do not add up"));
                    }
                    manifest.bodies.push(Body { run: run.number, part: run.part, line });
                }
                Line::End(end) => {
                    if end.documents != manifest.documents_of(end.run) {
                        return Err(wrong("its documents are not those of its bodies: lines are missing or doubled"));
                    }
                    manifest.ends.insert(end.run, end);
                }
            }
        }
        Ok(manifest)
    }

    /// The run that has not come to its end, and how it stopped; a killed one has no end at all.
    pub fn unfinished(&self) -> Option<(&RunLine, Option<&EndLine>)> {
        let (number, run) = self.runs.last_key_value()?;
        let end = self.ends.get(number);
        end.is_none_or(|end| end.ended != "complete").then_some((run, end))
    }

    /// Documents in all bodies.
    pub fn documents(&self) -> u64 {
        self.bodies.iter().map(|body| body.line.documents).sum()
    }

    /// Documents in the bodies of one run.
    pub fn documents_of(&self, run: u32) -> u64 {
        self.bodies.iter().filter(|body| body.run == run).map(|body| body.line.documents).sum()
    }

    /// Its lines, to be written anew.
    pub fn to_lines(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_line(&mut out, &Line::Manifest(self.head.clone()));
        for run in self.runs.values() {
            for part in 1..=run.part {
                push_line(&mut out, &Line::Run(RunLine { part, ..run.clone() }));
                for body in self.bodies.iter().filter(|body| (body.run, body.part) == (run.number, part)) {
                    push_line(&mut out, &Line::Body(body.line.clone()));
                }
            }
            if let Some(end) = self.ends.get(&run.number) {
                push_line(&mut out, &Line::End(end.clone()));
            }
        }
        out
    }
}

impl BodyLine {
    /// The log that document `n` is a line of, the start of the range that it lies in, and the log's identity.
    pub fn origin(&self, n: u64) -> Option<(&SourceRanges, u64)> {
        let mut before = 0;
        for source in &self.sources {
            for (from, _, documents) in &source.ranges {
                before += documents;
                if n < before {
                    return Some((source, *from));
                }
            }
        }
        None
    }
}

/// `000001.ndjson.zst`: nothing that could lead out of the directory.
pub fn is_body_name(name: &str) -> bool {
    name.strip_suffix(".ndjson.zst")
        .is_some_and(|number| number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The name of a body.
pub fn body_name(number: u64) -> String {
    format!("{number:06}.ndjson.zst")
}

/// The number in the name of a body.
pub fn body_number(name: &str) -> Option<u64> {
    is_body_name(name).then(|| name.split('.').next()?.parse().ok()).flatten()
}

/// Adds a line, its newline included.
pub fn push_line(out: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *out, line).expect("strings and numbers become JSON");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(number: u64, documents: u64) -> Line {
        Line::Body(BodyLine {
            file: body_name(number),
            documents,
            bytes: 100,
            stored_bytes: 10,
            sha256: "ab".into(),
            indices: [("i".to_owned(), documents)].into(),
            sources: vec![SourceRanges {
                source: "/a".into(),
                identity: "00".into(),
                ranges: vec![(0, 10, 1), (10, 90, documents - 1)],
            }],
        })
    }

    fn run(number: u32, part: u32) -> Line {
        Line::Run(RunLine { number, part, ledger_run: Some(7), ..RunLine::default() })
    }

    fn end(run: u32, ended: &str, documents: u64) -> Line {
        Line::End(EndLine { run, ended: ended.into(), documents, ..EndLine::default() })
    }

    fn bytes(lines: &[Line]) -> Vec<u8> {
        let head = Head { version: VERSION, id: "x".into(), made: String::new(), by: String::new() };
        let mut out = Vec::new();
        push_line(&mut out, &Line::Manifest(head));
        lines.iter().for_each(|line| push_line(&mut out, line));
        out
    }

    #[test]
    fn complete_or_not() {
        for (lines, unfinished) in [
            (vec![], None),
            (vec![run(1, 1)], Some(1)),
            (vec![run(1, 1), body(1, 5), end(1, "complete", 5)], None),
            (vec![run(1, 1), body(1, 5), end(1, "interrupted", 5)], Some(1)),
            (vec![run(1, 1), body(1, 5), end(1, "interrupted", 5), run(1, 2)], Some(1)),
            (vec![run(1, 1), body(1, 5), run(1, 2), body(2, 4), end(1, "complete", 9)], None),
            (vec![run(1, 1), end(1, "complete", 0), run(2, 1), body(3, 4)], Some(2)),
        ] {
            let bytes = bytes(&lines);
            let manifest = Manifest::parse(&bytes).expect("a manifest");
            assert_eq!(manifest.unfinished().map(|(run, _)| run.number), unfinished, "{lines:?}");
            assert_eq!(Manifest::parse(&manifest.to_lines()).map(|again| again.bodies), Ok(manifest.bodies));
            // A half line at the end is a kill, not a damage.
            let cut = Manifest::parse(&[&bytes[..], b"{\"body\":{\"fi"].concat()).expect("a manifest");
            assert_eq!(cut.whole_bytes, bytes.len() as u64);
        }
    }

    #[test]
    fn what_is_damaged_is_said() {
        let mut newer = bytes(&[]);
        let at = memchr::memmem::find(&newer, b"\"version\":1").expect("a version") + 10;
        newer[at] = b'9';
        for (bytes, says) in [
            (Vec::new(), "it is empty"),
            (newer, "its version is 9"),
            (bytes(&[body(1, 5)]), "line 2: a body of no run"),
            (bytes(&[run(1, 1), body(1, 5), body(1, 5)]), "line 4: the name"),
            (bytes(&[run(1, 1), body(1, 5), end(1, "complete", 6)]), "line 4: its documents are not those"),
            ([bytes(&[]), b"junk\n".to_vec()].concat(), "line 2: expected value"),
            (b"{\"run\":{}}\n".to_vec(), "it does not begin"),
        ] {
            let said = Manifest::parse(&bytes).expect_err(says);
            assert!(said.starts_with(says), "{said}");
        }
    }

    #[test]
    fn names_of_bodies_lead_nowhere_else() {
        assert_eq!(body_number(&body_name(12)), Some(12));
        assert_eq!(body_number(&body_name(1_234_567)), Some(1_234_567));
        for name in ["../000001.ndjson.zst", "1.ndjson.zst", "000001.ndjson", "00000a.ndjson.zst", ".000001.ndjson.zst"]
        {
            assert!(!is_body_name(name), "{name}");
        }
    }

    #[test]
    fn a_document_s_origin() {
        let Line::Body(line) = body(1, 5) else { unreachable!() };
        let from = |n| line.origin(n).map(|(source, from)| (source.source.as_str(), from));
        assert_eq!((from(0), from(1), from(4), from(5)), (Some(("/a", 0)), Some(("/a", 10)), Some(("/a", 10)), None));
    }
}
