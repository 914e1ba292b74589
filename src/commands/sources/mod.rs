//! What the user named becomes the list of sources: files, directories, globs, standard input, and objects of stores with
//! their own prefixes and globs. The one place where words become sources, whatever command they follow.
//!
//! The list is made as it is walked, so a directory of a million files costs no memory but the set of files seen
//! (device and inode), which keeps a link from being loaded twice; and a bucket costs none.

mod objects; // words for objects of stores

use std::collections::{HashSet, VecDeque};
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::commands::haul::system_time;
use crate::config::{After, SourcesConfig};
use crate::error::{Error, Result, io_reason};
use crate::pipeline::source::{Entry, Place, Source, is_readable_kind};
use crate::pipeline::stop::Stop;
use crate::stores::{Location, Object, Stores};
use objects::{Below, Passed};

/// Which of the files that turn up are taken. What is named itself is always taken.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: GlobSet,
    newer_than: Option<SystemTime>,
    older_than: Option<SystemTime>,
    /// Objects whose keys begin so were moved there.
    moved_to: Option<String>,
}

impl Filter {
    /// Takes files that match one of `include` (all, if it is empty) and none of `exclude`, modified after
    /// `newer_than`. A pattern without a slash is compared with the file's name, one with a slash with its whole path.
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn new(include: &[String], exclude: &[String], newer_than: Option<SystemTime>) -> Result<Filter> {
        let include = if include.is_empty() { None } else { Some(set("--include", include)?) };
        Ok(Filter { include, exclude: set("--exclude", exclude)?, newer_than, older_than: None, moved_to: None })
    }

    /// The same, and modified before `older_than`.
    pub fn older_than(self, older_than: Option<SystemTime>) -> Filter {
        Filter { older_than, ..self }
    }

    /// The same, without objects whose keys begin with `prefix`.
    pub fn moved_to(self, prefix: Option<String>) -> Filter {
        Filter { moved_to: prefix, ..self }
    }

    /// What `sources` say.
    ///
    /// # Errors
    /// A pattern is no glob.
    fn of(sources: &SourcesConfig) -> Result<Filter> {
        let moved_to = match &sources.after {
            Some(After::Move(prefix)) => Some(prefix.clone()),
            Some(After::Delete) | None => None,
        };
        let filter = Filter::new(&sources.include, &sources.exclude, sources.newer_than.map(system_time))?;
        Ok(filter.older_than(sources.older_than.map(system_time)).moved_to(moved_to))
    }

    fn takes_path(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(path)) && !self.exclude.is_match(path)
    }

    fn takes_time(&self, modified: io::Result<SystemTime>) -> bool {
        if self.newer_than.is_none() && self.older_than.is_none() {
            return true;
        }
        modified.is_ok_and(|modified| {
            self.newer_than.is_none_or(|limit| modified > limit) && self.older_than.is_none_or(|limit| modified < limit)
        })
    }

    fn takes_object(&self, object: &Object, uri: &str) -> bool {
        let moved = self.moved_to.as_ref().is_some_and(|prefix| object.location().key.starts_with(prefix.as_str()));
        !moved && self.takes_time(Ok(object.modified())) && self.takes_path(Path::new(uri))
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
    /// Files that turned up again, by a link or by another word.
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
    /// Files that were listed.
    known: HashSet<FileKey>,
    /// Files that are words themselves: they stay asked for where a walk comes upon them first.
    named: HashSet<FileKey>,
    /// Files that the run itself writes.
    outputs: HashSet<FileKey>,
    walk: Option<Walk>,
    below: Option<Below>,
    stores: Option<Arc<Stores>>,
    /// Words for objects that were gone through: what several of them come to is loaded once.
    passed: Vec<Passed>,
    require_match: bool,
    seen: Arc<Seen>,
}

/// A file, whatever its path: device and inode.
type FileKey = (u64, u64);

fn file_key(metadata: &Metadata) -> FileKey {
    (metadata.dev(), metadata.ino())
}

/// The key of the file that `path` leads to; `None` if it is something else, or nothing.
fn key_at(path: &Path) -> Option<FileKey> {
    std::fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| file_key(&metadata))
}

/// A directory or glob that is being walked.
struct Walk {
    entries: walkdir::IntoIter,
    /// How many folders deep it goes.
    depth_max: usize,
    /// Only what matches it.
    glob: Option<globset::GlobMatcher>,
    word: PathBuf,
    found: u64,
}

impl Walk {
    fn new(root: &Path, depth_max: usize, glob: Option<globset::GlobMatcher>, word: PathBuf) -> Walk {
        // Links are followed, to files and to folders: `current -> 2024-11` is as usual as
        // `access.log -> /data/access.log`.
        // By name: what is sorted together lies in one folder. As bytes, for a path is long to take apart.
        let entries = WalkDir::new(root).sort_by(|a, b| a.path().as_os_str().cmp(b.path().as_os_str()));
        let entries = entries.max_depth(depth_max).follow_links(true).into_iter();
        Walk { entries, depth_max, glob, word, found: 0 }
    }

    fn matches(&self, path: &Path) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.is_match(path))
    }
}

impl Listing {
    /// Lists what `words` name.
    pub fn new(words: Vec<PathBuf>, source_name: Option<String>, filter: Filter, seen: Arc<Seen>) -> Listing {
        let named = words.iter().filter_map(|word| key_at(word)).collect();
        Listing {
            words: words.into(),
            source_name,
            filter,
            known: HashSet::new(),
            named,
            outputs: HashSet::new(),
            walk: None,
            below: None,
            stores: None,
            passed: Vec::new(),
            require_match: false,
            seen,
        }
    }

    /// Lists what `sources` name. Whoever waits for a store ends to wait with `stop`.
    ///
    /// # Errors
    /// A pattern is no glob, or there are objects and no stores.
    pub fn of(sources: &SourcesConfig, seen: &Arc<Seen>, stop: &Arc<Stop>) -> Result<Listing> {
        let filter = Filter::of(sources)?;
        let mut listing = Listing::new(sources.sources.clone(), sources.source_name.clone(), filter, Arc::clone(seen));
        listing.require_match = sources.require_match;
        if sources.has_objects() {
            let stop = Arc::clone(stop);
            let stores = Stores::new(sources.stores.clone(), Arc::new(move || stop.is_raised()))?;
            listing.stores = Some(Arc::new(stores));
        }
        Ok(listing)
    }

    /// The same with standard input at the end: where one reader reads all, a pipe that stays open keeps it for ever.
    pub fn with_stdin_last(mut self) -> Listing {
        let (stdin, others): (Vec<_>, Vec<_>) = self.words.drain(..).partition(|word| word.as_os_str() == "-");
        self.words.extend(others.into_iter().chain(stdin));
        self
    }

    /// The same without `files`, which the run itself writes: they may lie in a folder that is walked.
    pub fn without<'p>(mut self, files: impl IntoIterator<Item = &'p Path>) -> Listing {
        self.outputs.extend(files.into_iter().filter_map(key_at));
        self
    }

    fn source(&self, place: Place, named: bool) -> Source {
        Source { place, named, source_name: self.source_name.clone(), start: None, entry: None }
    }

    /// What a word comes to: a source of its own, or a walk.
    fn word(&mut self, word: PathBuf) -> Option<Source> {
        if word.as_os_str() == "-" {
            return Some(self.source(Place::Stdin, true));
        }
        if let Some(location) = word.to_str().and_then(Location::of) {
            return match location {
                Ok(location) => self.object_word(word, location),
                Err(why) => Some(self.source(Place::Missing(word, why), true)),
            };
        }
        match std::fs::metadata(&word) {
            Ok(metadata) if metadata.is_dir() => {
                self.walk = Some(Walk::new(&word.clone(), usize::MAX, None, word));
                None
            }
            Ok(metadata) => {
                if metadata.is_file() && !self.known.insert(file_key(&metadata)) {
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
                Err(error) => match self.obstacle(walk, &error) {
                    Some(source) => return Some(source),
                    None => continue,
                },
            };
            // Sockets, pipes and devices are not read unasked.
            if !entry.file_type().is_file() || !walk.matches(entry.path()) {
                continue;
            }
            let metadata = entry.metadata();
            let key = metadata.as_ref().ok().map(file_key);
            if key.is_some_and(|key| self.outputs.contains(&key)) {
                continue;
            }
            walk.found += 1;
            // What has gone since it was listed is told by whoever opens it.
            let in_time = metadata.as_ref().map_or(true, |metadata| self.filter.takes_time(metadata.modified()));
            if !in_time || !self.filter.takes_path(entry.path()) {
                self.seen.filtered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if key.is_some_and(|key| !self.known.insert(key)) {
                self.seen.again.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let named = key.is_some_and(|key| self.named.contains(&key));
            let seen = metadata.ok().map(|metadata| Entry { bytes: metadata.len(), is_link: entry.path_is_symlink() });
            return Some(Source { entry: seen, ..self.source(Place::File(entry.into_path()), named) });
        }
    }

    /// What a walk cannot go into or past, if it would have been taken.
    fn obstacle(&mut self, walk: &mut Walk, error: &walkdir::Error) -> Option<Source> {
        let path = error.path().unwrap_or(&walk.word);
        let is_link = path.is_symlink();
        let wanted = walk.matches(path);
        // Of a folder that is no match what lies in it may be one, unless it lies too deep.
        if !wanted && (error.depth() >= walk.depth_max || (is_link && error.loop_ancestor().is_none())) {
            return None;
        }
        if let Some(ancestor) = error.loop_ancestor() {
            let (path, ancestor) = (path.display(), ancestor.display());
            self.seen.warn(format!("{path} is a link to {ancestor}, in which it lies, and is not followed"));
            return None;
        }
        walk.found += 1;
        if is_link && !self.filter.takes_path(path) {
            self.seen.filtered.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let why = match error.io_error() {
            Some(error) if is_link && error.kind() == io::ErrorKind::NotFound => "a link to nowhere".to_owned(),
            Some(error) => io_reason(error),
            None => error.to_string(),
        };
        Some(self.source(Place::Missing(path.to_owned(), why), false))
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
                    if self.require_match {
                        let why = "there is no file in it, and --require-match asks for some".to_owned();
                        return Some(self.source(Place::Missing(walk.word, why), true));
                    }
                    self.seen.warn(format!("there is no file in {word}"));
                }
                continue;
            }
            if let Some(below) = self.below.take() {
                if let Some(source) = self.go_on_below(below) {
                    return Some(source);
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
    Some(Walk::new(&root, depth, Some(matcher), word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn standard_input_waits_for_the_files() {
        let words = ["-", "a", "b"].map(PathBuf::from).to_vec();
        let filter = Filter::new(&[], &[], None).unwrap();
        let listing = Listing::new(words, None, filter, Arc::default()).with_stdin_last();
        assert_eq!(listing.words, ["a", "b", "-"].map(PathBuf::from));
    }

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

    #[test]
    fn links_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["real/access.log", "only/.keep", "g/real2/access.log", "links/a.log", "loop/in/b.log"] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), name).unwrap();
        }
        fs::remove_file(root.join("only/.keep")).unwrap();
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(root.join(to), root.join(from)).unwrap();
        link("real", "only/cur");
        link("g/real2", "g/h1");
        link("nowhere", "links/x.tmp");
        link("links/y.log", "links/y.log");
        link("loop", "loop/in/again");
        let all = Filter::new(&[], &[], None).unwrap();
        let new = Filter::new(&[], &[], Some(SystemTime::UNIX_EPOCH)).unwrap();
        let logs = Filter::new(&["a*.log".into()], &[], None).unwrap();
        let no_tmp = Filter::new(&[], &["*.tmp".into(), "y*".into()], None).unwrap();
        let cases: &[(&[&str], &Filter, &[&str])] = &[
            (&["only"], &all, &["only/cur/access.log"]),
            (&["only", "real"], &all, &["only/cur/access.log"]),
            (&["only/*/access.log"], &all, &["only/cur/access.log"]),
            (&["g/h*/access.log"], &all, &["g/h1/access.log"]),
            (&["links"], &all, &["links/a.log", "links/x.tmp?", "links/y.log?"]),
            (&["links"], &new, &["links/a.log", "links/x.tmp?", "links/y.log?"]),
            (&["links"], &logs, &["links/a.log"]),
            (&["links"], &no_tmp, &["links/a.log"]),
            (&["links/*.log"], &no_tmp, &["links/a.log"]),
            (&["links/a*"], &all, &["links/a.log"]),
            (&["links/*/a*"], &all, &["links/*/a*!?"]),
            (&["loop"], &all, &["loop/in/b.log"]),
            (&["loop/**/*.log"], &all, &["loop/in/b.log"]),
        ];
        for (words, filter, expected) in cases {
            assert_eq!(list(root, words, filter), *expected, "{words:?}");
        }
        for (word, warnings) in [("loop", 1), ("loop/in/*", 0), ("loop/**/*.log", 1)] {
            let seen = Arc::new(Seen::default());
            assert_eq!(Listing::new(vec![root.join(word)], None, all.clone(), Arc::clone(&seen)).count(), 1, "{word}");
            assert_eq!(seen.warnings.lock().unwrap().len(), warnings, "{word}");
        }
    }

    #[test]
    fn a_file_asked_for_stays_so_where_a_walk_finds_it_first() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("j")).unwrap();
        for name in ["j/x.log", "j/y.log"] {
            fs::write(root.join(name), name).unwrap();
        }
        let all = Filter::new(&[], &[], None).unwrap();
        let y = Filter::new(&["y*".into()], &[], None).unwrap();
        assert_eq!(list(root, &["j", "j/x.log"], &all), ["j/x.log!", "j/y.log"]);
        assert_eq!(list(root, &["j/*", "j/x.log"], &all), ["j/x.log!", "j/y.log"]);
        assert_eq!(list(root, &["j", "j/x.log"], &y), ["j/y.log", "j/x.log!"]);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a.log", "b.txt", "c.txt", "bad.ndjson"] {
            fs::write(root.join(name), name).unwrap();
        }
        fs::hard_link(root.join("a.log"), root.join("d.log")).unwrap();
        let seen = Arc::new(Seen::default());
        let filter = Filter::new(&[], &["*.txt".into()], None).unwrap();
        let listing = Listing::new(vec![root.to_owned()], None, filter, Arc::clone(&seen));
        let output = root.join("bad.ndjson");
        let sources: Vec<Source> = listing.without([output.as_path()]).collect();
        assert_eq!(sources.len(), 1, "{sources:?}");
        assert_eq!((seen.filtered.load(Ordering::Relaxed), seen.again.load(Ordering::Relaxed)), (2, 1));
    }
}
