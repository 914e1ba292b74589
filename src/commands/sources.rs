//! What the user named becomes the list of sources: files, directories, globs, and standard input.
//!
//! The list is made as it is walked, so a directory of a million files costs no memory but the set of files seen
//! (device and inode), which keeps a link from being loaded twice.

use std::collections::{HashSet, VecDeque};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::error::{Error, Result, io_reason};
use crate::pipeline::source::{Place, Source, is_readable_kind};

/// Which of the files that turn up are taken. What is named itself is always taken.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: GlobSet,
    newer_than: Option<SystemTime>,
}

impl Filter {
    /// Takes files that match one of `include` (all, if it is empty) and none of `exclude`, modified after
    /// `newer_than`. A pattern without a slash is compared with the file's name, one with a slash with its whole path.
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn new(include: &[String], exclude: &[String], newer_than: Option<SystemTime>) -> Result<Filter> {
        let include = if include.is_empty() { None } else { Some(set("--include", include)?) };
        Ok(Filter { include, exclude: set("--exclude", exclude)?, newer_than })
    }

    fn takes(&self, path: &Path, metadata: &Metadata) -> bool {
        let newer = |limit| metadata.modified().is_ok_and(|modified| modified > limit);
        self.include.as_ref().is_none_or(|include| include.is_match(path))
            && !self.exclude.is_match(path)
            && self.newer_than.is_none_or(newer)
    }
}

fn set(flag: &str, patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // `*.log` means any file so named, wherever it lies.
        let anywhere = if pattern.contains('/') { pattern.clone() } else { format!("**/{pattern}") };
        set.add(glob(&anywhere).map_err(|why| Error::usage(format!("{flag} {pattern:?} is no glob: {why}")))?);
    }
    set.build().map_err(|why| Error::usage(format!("{flag}: {why}")))
}

fn glob(pattern: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()
}

/// What listing sees that is no source, for the summary.
#[derive(Debug, Default)]
pub struct Seen {
    /// Files that were left out by the filter.
    pub filtered: AtomicU64,
    /// Files that are links to, or the same as, one that was listed before.
    pub again: AtomicU64,
    /// Sentences for the user: a directory without files, and the like.
    pub warnings: std::sync::Mutex<Vec<String>>,
}

impl Seen {
    fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(warning);
    }
}

/// The sources that the user's words come to, one after the other, in the order of the words and by name within.
pub struct Listing {
    words: VecDeque<PathBuf>,
    source_name: Option<String>,
    filter: Filter,
    known: HashSet<(u64, u64)>,
    walk: Option<Walk>,
    seen: Arc<Seen>,
}

/// A directory or glob that is being walked.
struct Walk {
    entries: walkdir::IntoIter,
    /// Only what matches it.
    glob: Option<globset::GlobMatcher>,
    word: PathBuf,
    found: u64,
}

impl Listing {
    /// Lists what `words` name.
    pub fn new(words: Vec<PathBuf>, source_name: Option<String>, filter: Filter, seen: Arc<Seen>) -> Listing {
        Listing { words: words.into(), source_name, filter, known: HashSet::new(), walk: None, seen }
    }

    fn source(&self, place: Place, named: bool) -> Source {
        Source { place, named, source_name: self.source_name.clone(), start: None }
    }

    /// What a word comes to: a source of its own, or a walk.
    fn word(&mut self, word: PathBuf) -> Option<Source> {
        if word.as_os_str() == "-" {
            return Some(self.source(Place::Stdin, true));
        }
        match std::fs::metadata(&word) {
            Ok(metadata) if metadata.is_dir() => {
                self.walk = Some(Walk { entries: walk(&word, usize::MAX), glob: None, word, found: 0 });
                None
            }
            Ok(metadata) => {
                if metadata.is_file() && !self.known.insert((metadata.dev(), metadata.ino())) {
                    self.seen.again.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                Some(match is_readable_kind(&word) {
                    Ok(true) => self.source(Place::File(word), true),
                    Ok(false) => self.source(Place::Missing(word, "it is a socket, no file".to_owned()), true),
                    Err(error) => self.source(Place::Missing(word, io_reason(&error)), true),
                })
            }
            Err(error) => {
                if let Some(walk) = glob_walk(&word) {
                    self.walk = Some(walk);
                    return None;
                }
                Some(self.source(Place::Missing(word, io_reason(&error)), true))
            }
        }
    }

    /// The next file of a walk that is taken; `None` at its end.
    fn step(&mut self, walk: &mut Walk) -> Option<Source> {
        loop {
            let entry = match walk.entries.next()? {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(&walk.word).to_owned();
                    let why = error.io_error().map_or_else(|| error.to_string(), io_reason);
                    walk.found += 1;
                    return Some(self.source(Place::Missing(path, why), false));
                }
            };
            if entry.file_type().is_dir() || walk.glob.as_ref().is_some_and(|glob| !glob.is_match(entry.path())) {
                continue;
            }
            // A link in a directory is followed: `access.log -> /data/access.log` is a usual set-up.
            let Ok(metadata) = std::fs::metadata(entry.path()) else {
                walk.found += 1;
                return Some(self.source(Place::Missing(entry.into_path(), "a link to nowhere".to_owned()), false));
            };
            if !metadata.is_file() {
                continue; // sockets, pipes and devices are not read unasked
            }
            walk.found += 1;
            if !self.filter.takes(entry.path(), &metadata) {
                self.seen.filtered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if !self.known.insert((metadata.dev(), metadata.ino())) {
                self.seen.again.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            return Some(self.source(Place::File(entry.into_path()), false));
        }
    }
}

impl Iterator for Listing {
    type Item = Source;

    fn next(&mut self) -> Option<Source> {
        loop {
            if let Some(mut walk) = self.walk.take() {
                if let Some(source) = self.step(&mut walk) {
                    self.walk = Some(walk);
                    return Some(source);
                }
                if walk.found == 0 {
                    let word = walk.word.display().to_string();
                    if walk.glob.is_some() {
                        let why = "no file matches the glob".to_owned();
                        return Some(self.source(Place::Missing(walk.word, why), true));
                    }
                    self.seen.warn(format!("there is no file in {word}"));
                }
                continue;
            }
            let word = self.words.pop_front()?;
            if let Some(source) = self.word(word) {
                return Some(source);
            }
        }
    }
}

fn walk(root: &Path, depth_max: usize) -> walkdir::IntoIter {
    WalkDir::new(root).sort_by_file_name().max_depth(depth_max).into_iter()
}

/// A walk for a word that is no path but a glob: from the last folder before its first wildcard.
fn glob_walk(word: &Path) -> Option<Walk> {
    let text = word.to_str()?;
    if !text.bytes().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'{')) {
        return None;
    }
    let wild = |part: &std::ffi::OsStr| part.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'{'));
    let root: PathBuf = word.components().take_while(|part| !wild(part.as_os_str())).collect();
    let depth = word.components().skip_while(|part| !wild(part.as_os_str())).count();
    let depth = if text.contains("**") { usize::MAX } else { depth };
    // walkdir shows paths below "." as "./a"; a glob that does not start so must still match them.
    let (root, pattern) =
        if root.as_os_str().is_empty() { (PathBuf::from("."), format!("./{text}")) } else { (root, text.to_owned()) };
    let matcher = glob(&pattern).ok()?.compile_matcher();
    Some(Walk { entries: walk(&root, depth), glob: Some(matcher), word: word.to_owned(), found: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn list(root: &Path, words: &[&str], filter: &Filter) -> Vec<String> {
        let words = words.iter().map(|word| root.join(word)).collect();
        Listing::new(words, None, filter.clone(), Arc::default())
            .map(|source| {
                let missing = matches!(source.place, Place::Missing(..));
                let name = source.uri().replace(&format!("{}/", root.display()), "");
                format!("{name}{}{}", if source.named { "!" } else { "" }, if missing { "?" } else { "" })
            })
            .collect()
    }

    #[test]
    fn words_come_to_sources() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["b.log", "a.log", "x.gz", "deep/er/c.log", "empty/.keep"] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), name).unwrap();
        }
        fs::remove_file(root.join("empty/.keep")).unwrap();
        std::os::unix::fs::symlink(root.join("a.log"), root.join("z-link.log")).unwrap();
        let all = Filter::new(&[], &[], None).unwrap();
        let logs = Filter::new(&["*.log".into()], &["**/deep/**".into()], None).unwrap();
        let cases: &[(&[&str], &Filter, &[&str])] = &[
            (&["b.log", "a.log"], &all, &["b.log!", "a.log!"]),
            (&["a.log", "a.log", "z-link.log"], &all, &["a.log!"]),
            (&["missing.log"], &all, &["missing.log!?"]),
            (&["."], &all, &["./a.log", "./b.log", "./deep/er/c.log", "./x.gz"]),
            (&["."], &logs, &["./a.log", "./b.log"]),
            (&["*.log"], &all, &["a.log", "b.log"]),
            (&["**/*.log"], &all, &["a.log", "b.log", "deep/er/c.log"]),
            (&["deep/*/c.log"], &all, &["deep/er/c.log"]),
            (&["*.txt"], &all, &["*.txt!?"]),
            (&["x.gz", "*.[lg]*"], &all, &["x.gz!", "a.log", "b.log"]),
            (&["empty"], &all, &[]),
            (&["-"], &all, &["-!?"]),
        ];
        for (words, filter, expected) in cases {
            if *words == ["-"] {
                let source = Listing::new(vec!["-".into()], None, all.clone(), Arc::default()).next().unwrap();
                assert_eq!((source.place, source.named), (Place::Stdin, true));
                continue;
            }
            assert_eq!(list(root, words, filter), *expected, "{words:?}");
        }
    }

    #[test]
    fn a_folder_without_files_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Arc::new(Seen::default());
        let filter = Filter::new(&[], &[], None).unwrap();
        let words = vec![folder.path().to_owned()];
        assert_eq!(Listing::new(words, None, filter, Arc::clone(&seen)).count(), 0);
        assert_eq!(seen.warnings.lock().unwrap().len(), 1);
    }
}
