//! [`Again`]: new files for letters that are rejected again. The files that letters were read from are never changed.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, io_reason};
use crate::pipeline::report::lines_file::LinesFile;

/// Where letters of each file go that are rejected again.
pub struct Again {
    files: Vec<Place>,
    /// One for all, as the user named it; else one for each.
    named: bool,
}

struct Place {
    path: PathBuf,
    /// Opened when there is something to write.
    file: Option<LinesFile>,
}

impl Again {
    /// Makes sure, before anything is sent, that there can be kept what is rejected again: in `named`, which is
    /// overwritten, or in a new file beside each of `letters`.
    ///
    /// # Errors
    /// A file is there that nobody asked to overwrite, or none can be made.
    pub fn prepare(letters: &[PathBuf], named: Option<&Path>) -> Result<Again> {
        if let Some(path) = named {
            let file = Some(LinesFile::create(path, u64::MAX)?);
            return Ok(Again { files: vec![Place { path: path.to_owned(), file }], named: true });
        }
        let mut again = Again { files: Vec::new(), named: false };
        for letters in letters {
            let path = beside(letters);
            if let Err(error) = make(&path, letters) {
                again.finish_empty();
                return Err(error);
            }
            again.files.push(Place { path, file: None });
        }
        Ok(again)
    }

    /// Keeps letters of file number `file`. They are safe after [`Again::finish`].
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, file: usize, lines: &[u8]) -> Result<()> {
        let place = &mut self.files[if self.named { 0 } else { file }];
        let opened = match &place.file {
            Some(opened) => opened,
            None => place.file.insert(LinesFile::open(&place.path, u64::MAX)?),
        };
        opened.write(lines)
    }

    /// Makes what was written durable, takes empty files away again, and gives the paths of those that are not.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn finish(&mut self) -> Result<Vec<PathBuf>> {
        let mut kept = Vec::new();
        for place in &mut self.files {
            if let Some(file) = place.file.take()
                && file.sync()? > 0
            {
                kept.push(place.path.clone());
            }
        }
        self.finish_empty();
        Ok(kept)
    }

    fn finish_empty(&self) {
        for place in &self.files {
            let empty = fs::metadata(&place.path).is_ok_and(|file| file.is_file() && file.len() == 0);
            if empty && !self.named {
                let _ = fs::remove_file(&place.path); // an empty file does no harm
            }
        }
    }
}

/// `x.ndjson` becomes `x.again.ndjson`, whatever else becomes `NAME.again.ndjson`; a packed file's again is plain.
fn beside(letters: &Path) -> PathBuf {
    let name = letters.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = [".gz", ".zst"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
    let stem = stem.strip_suffix(".ndjson").unwrap_or(stem);
    letters.with_file_name(format!("{stem}.again.ndjson"))
}

/// Makes an empty file. One that is there and empty will do: a replay that was killed has left it.
fn make(path: &Path, letters: &Path) -> Result<()> {
    let shown = path.display();
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(file) if file.is_file() && file.len() == 0 => Ok(()),
            _ => Err(Error::usage(format!("{shown} is there already, and may hold letters of an earlier replay"))
                .hint("replay that file, take it away, or name one with --dead-letters")),
        },
        // Whether the letters themselves are there is told when they are read.
        Err(_) if fs::metadata(letters).is_err() => Ok(()),
        Err(error) => Err(Error::failed(format!(
            "cannot make {shown} for letters that are rejected again: {}",
            io_reason(&error)
        ))
        .hint("name another file with --dead-letters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_its_letters() {
        for (letters, again) in [
            ("d.ndjson", "d.again.ndjson"),
            ("/a/b.c/d.ndjson", "/a/b.c/d.again.ndjson"),
            ("d.again.ndjson", "d.again.again.ndjson"),
            ("d", "d.again.ndjson"),
            ("d.json", "d.json.again.ndjson"),
            ("d.ndjson.gz", "d.again.ndjson"),
        ] {
            assert_eq!(beside(Path::new(letters)), Path::new(again));
        }
    }

    #[test]
    fn nothing_is_overwritten_unasked_and_nothing_empty_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let letters = [path("a.ndjson"), path("b.ndjson")];
        let mut again = Again::prepare(&letters, None).unwrap();
        again.write(1, b"x\n").unwrap();
        again.write(1, b"y\n").unwrap();
        assert_eq!(again.finish().unwrap(), [path("b.again.ndjson")]);
        assert_eq!(names(), ["b.again.ndjson"]);
        assert_eq!(fs::read(path("b.again.ndjson")).unwrap(), b"x\ny\n");

        let refused = Again::prepare(&letters, None).err().unwrap();
        assert_eq!(refused.exit_code(), 2);
        assert_eq!(names(), ["b.again.ndjson"], "what was made before the refusal is gone");

        let mut again = Again::prepare(&letters, Some(&path("b.again.ndjson"))).unwrap();
        again.write(0, b"z\n").unwrap();
        again.write(1, b"z\n").unwrap();
        assert_eq!(again.finish().unwrap(), [path("b.again.ndjson")]);
        assert_eq!(fs::read(path("b.again.ndjson")).unwrap(), b"z\nz\n");

        fs::write(path("a.again.ndjson"), "").unwrap();
        assert!(Again::prepare(&letters[..1], None).is_ok(), "empty: left by a kill");
    }
}
