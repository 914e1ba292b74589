//! Cuts the files beside a run back to what belongs to its watermarks, before the run goes on.
//!
//! What lies behind the length that was stored with the last watermarks was written by a process that was killed
//! before it could store more. And as chunks are settled in any order, some lines before that length are from behind
//! their file's watermark. Both kinds will be met again, and would be there twice.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::records::Kept;
use crate::error::{Error, Result, io_reason};

/// Which line of which source a kept line is about.
#[derive(Deserialize)]
struct About {
    source: String,
    offset: u64,
}

/// What cutting back made of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Its length now.
    pub bytes: u64,
    /// How much was taken out of its middle, before what a later run has added.
    pub removed: u64,
}

/// Cuts `kept` back. `until`: where a later run began to add lines of its own, which stay; `folders`: the working
/// directories of the run's parts, which names in it may be relative to; `watermarks`: of the files that are not
/// complete, by their canonical path.
///
/// # Errors
/// If the file is there and cannot be read or written.
pub(super) fn cut_back(
    kept: &Kept,
    until: Option<u64>,
    folders: &[String],
    watermarks: &HashMap<PathBuf, u64>,
) -> Result<Cut> {
    // A pipe or a device keeps nothing; a file that is gone was taken away by somebody who had read it.
    if !std::fs::metadata(&kept.path).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(Cut { bytes: kept.bytes, removed: 0 });
    }
    cut(kept, until, |source| watermark_of(source, folders, watermarks)).map_err(|error| {
        Error::failed(format!("cannot cut {} back to where the run was: {}", kept.path.display(), io_reason(&error)))
            .hint("move it away, then go on with --resume")
    })
}

fn cut(kept: &Kept, until: Option<u64>, watermark_of: impl Fn(&str) -> Option<u64>) -> io::Result<Cut> {
    let file = OpenOptions::new().read(true).write(true).open(&kept.path)?;
    if until.is_none() && file.metadata()?.len() > kept.bytes {
        file.set_len(kept.bytes)?;
    }
    let before = file.metadata()?.len();
    let own = Own { lines: kept.from..until.unwrap_or(u64::MAX), stored: kept.bytes };
    if !lines(&file, &own, |_| Ok(()), &watermark_of)? {
        file.sync_all()?;
        return Ok(Cut { bytes: before, removed: 0 });
    }
    let folder = kept.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = tempfile::NamedTempFile::new_in(folder)?;
    let mut output = BufWriter::new(new.as_file());
    lines(&File::open(&kept.path)?, &own, |line| output.write_all(line), &watermark_of)?;
    output.flush()?;
    drop(output);
    new.as_file().set_permissions(file.metadata()?.permissions())?;
    new.as_file().sync_all()?;
    let bytes = new.as_file().metadata()?.len();
    new.persist(&kept.path)?;
    Ok(Cut { bytes, removed: before - bytes })
}

/// Which lines of a file are the run's own.
struct Own {
    /// Where they are, in bytes. All others stay.
    lines: Range<u64>,
    /// Those behind this place were written after the last watermark was stored.
    stored: u64,
}

/// Gives other runs' lines and each line before its file's watermark to `keep`, and says whether there are others.
fn lines(
    file: &File,
    own: &Own,
    mut keep: impl FnMut(&[u8]) -> io::Result<()>,
    watermark_of: impl Fn(&str) -> Option<u64>,
) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut others) = (Vec::new(), false);
    let mut at = 0;
    let mut known: HashMap<String, Option<u64>> = HashMap::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(others);
        }
        let (is_own, is_stored) = (own.lines.contains(&at), at < own.stored);
        at += line.len() as u64;
        let mut is_behind = || {
            // What is no line of ours is kept, whatever it is.
            serde_json::from_slice::<About>(&line).is_ok_and(|about| {
                let watermark = *known.entry(about.source).or_insert_with_key(|source| watermark_of(source));
                watermark.is_some_and(|watermark| about.offset >= watermark)
            })
        };
        let behind = is_own && (!is_stored || is_behind());
        if behind {
            others = true;
        } else {
            keep(&line)?;
        }
    }
}

/// The watermark of the file that some part of the run called `source`. `None` where that is nobody's name, or where two
/// parts may have meant two files by it: a line that is there twice is better than none.
fn watermark_of(source: &str, folders: &[String], watermarks: &HashMap<PathBuf, u64>) -> Option<u64> {
    let mut called = folders.iter().filter_map(|folder| {
        let path = Path::new(folder).join(source);
        let canonical = std::fs::canonicalize(&path).or_else(|_| std::path::absolute(&path)).ok()?;
        watermarks.get_key_value(&canonical).or_else(|| watermarks.get_key_value(Path::new(source)))
    });
    let (path, watermark) = called.next()?;
    called.all(|(other, _)| other == path).then_some(*watermark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_watermark_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("kept.ndjson"), folder.path().join("a.log"));
        std::fs::write(&log, "").unwrap();
        let line = |source: &str, offset: u64| {
            format!("{}\n", serde_json::json!({"source": source, "offset": offset, "reason": "x", "line": "y\n"}))
        };
        let a = log.to_str().unwrap();
        let before = [line(a, 0), line("done.log", 999), "junk\n".to_owned(), line("-", 4)].concat();
        let all = [before.clone(), line(a, 100), line("-", 5), line(a, 99)].concat();
        let behind = line(a, 0);
        let here = [".".to_owned()];
        let watermarks = HashMap::from([(std::fs::canonicalize(&log).unwrap(), 100), (PathBuf::from("-"), 5)]);
        std::fs::write(&path, [all.clone(), behind].concat()).unwrap();
        let kept = Kept { path: path.clone(), from: 0, bytes: all.len() as u64 };
        cut_back(&kept, None, &here, &watermarks).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), [before, line(a, 99)].concat());
        let gone = Kept { path: folder.path().join("gone"), from: 0, bytes: 4 };
        cut_back(&gone, None, &here, &watermarks).unwrap();
    }

    #[test]
    fn names_are_relative_to_where_they_were_typed_and_other_runs_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(root.join(name)).unwrap();
            std::fs::write(root.join(name).join("same.log"), "").unwrap();
        }
        std::fs::write(root.join("one/a.log"), "").unwrap();
        let line = |source: &str, offset: u64| format!("{}\n", serde_json::json!({"source": source, "offset": offset}));
        let path = root.join("kept.ndjson");
        let other_run_s = line("a.log", 200);
        let written = [other_run_s.clone(), line("a.log", 5), line("a.log", 100), line("same.log", 100)];
        std::fs::write(&path, written.concat()).unwrap();
        let marks = ["one/a.log", "one/same.log", "two/same.log"].map(|name| (root.join(name), 50));
        let folders = ["one", "two"].map(|name| root.join(name).display().to_string());
        let kept = Kept { path: path.clone(), from: other_run_s.len() as u64, bytes: u64::MAX };
        cut_back(&kept, None, &folders, &HashMap::from(marks)).unwrap();
        let left = [other_run_s, line("a.log", 5), line("same.log", 100)].concat();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
    }
}
