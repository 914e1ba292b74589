//! Words for objects of stores: one, all below a prefix, or those that match a glob.
//!
//! A bucket may hold a hundred million objects, so none is remembered. What two words come to is known by the words.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Listing;
use crate::pipeline::source::{Place, Source};
use crate::stores::failure::{self, Failure};
use crate::stores::{Location, Objects, Stores};

/// Objects of a store that are being listed.
pub(super) struct Below {
    objects: Objects,
    passed: Passed,
    /// The objects that there are, and those of them that are taken.
    found: u64,
    taken: u64,
}

/// A word that stands for objects.
pub(super) struct Passed {
    location: Location,
    glob: Option<globset::GlobMatcher>,
}

impl Passed {
    /// Whether it has the same name, and is another: a web server's file with another query.
    fn is_called_like(&self, other: &Location) -> bool {
        self.location != *other && self.location.to_string() == other.to_string()
    }

    fn is_match(&self, other: &Location) -> bool {
        let here = self.location.scheme == other.scheme && self.location.bucket == other.bucket;
        here && match &self.glob {
            Some(glob) => glob.is_match(&other.key),
            None if self.location.is_prefix() => other.key.starts_with(&self.location.key),
            None => self.location.key == other.key,
        }
    }
}

impl Listing {
    /// What a word for objects comes to: one, or a listing.
    pub(super) fn object_word(&mut self, word: PathBuf, location: Location) -> Option<Source> {
        let word = if location.scheme.is_web() { PathBuf::from(location.to_string()) } else { word };
        let missing = |why: String| Place::Missing(word.clone(), why);
        let Some(stores) = self.stores.clone() else {
            return Some(self.source(missing("no store is at hand".to_owned()), true));
        };
        if location.scheme.is_web() && self.passed.iter().any(|passed| passed.is_called_like(&location)) {
            let why = "another one that differs only in its query was named before, and their lines would be taken for \
                       those of one log: load each in a run of its own, with its own --source-name";
            return Some(self.source(missing(why.to_owned()), true));
        }
        let found = match location.is_prefix() {
            true => Err(None),
            false => stores.look(&location).map_err(Some),
        };
        self.tell(&stores);
        let glob = match found {
            Ok(object) => {
                let passed = Passed { location: location.clone(), glob: None };
                if self.passed.iter().any(|passed| passed.is_match(&location)) {
                    self.seen.again.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                self.passed.push(passed);
                return Some(self.source(Place::Object(Arc::new(object)), true));
            }
            Err(None) => None,
            // A key may hold what looks like a wildcard; where there is none such, it is one.
            Err(Some(failure)) if failure.kind == failure::Kind::Gone && location.is_glob() => {
                match super::glob(&location.key) {
                    Ok(glob) => Some(glob.compile_matcher()),
                    Err(error) => return Some(self.source(missing(format!("it is no glob: {error}")), true)),
                }
            }
            Err(Some(Failure { kind: failure::Kind::Gone, mut why })) if !location.scheme.is_web() => {
                let below = location.with_key(format!("{}/", location.key));
                if let Ok(mut objects) = stores.list(&below)
                    && matches!(objects.next(), Some(Ok(_)))
                {
                    why.push_str(&format!("; {below} with a slash at its end takes what lies below it"));
                }
                return Some(self.source(missing(why), true));
            }
            Err(Some(failure)) => return Some(self.source(missing(failure.why), true)),
        };
        match stores.list(&location.with_key(location.fixed_part())) {
            Ok(objects) => {
                self.below = Some(Below { objects, passed: Passed { location, glob }, found: 0, taken: 0 });
                None
            }
            Err(failure) => Some(self.source(missing(failure.why), true)),
        }
    }

    /// The next source that the listing under way comes to; `None` once it has come to its end.
    pub(super) fn go_on_below(&mut self, mut below: Below) -> Option<Source> {
        if let Some(source) = self.step_below(&mut below) {
            self.below = Some(below);
            return Some(source);
        }
        if let Some(stores) = self.stores.clone() {
            self.tell(&stores);
        }
        let word = PathBuf::from(below.passed.location.to_string());
        let nothing = match (below.found, below.taken) {
            (0, _) => self.nothing(word, "there is no object"),
            (_, 0) if self.require_match => self.nothing(word, "none of its objects is taken"),
            _ => None,
        };
        self.passed.push(below.passed);
        nothing
    }

    /// Hands on what the stores have to say.
    fn tell(&self, stores: &Stores) {
        stores.notices().into_iter().for_each(|notice| self.seen.warn(notice));
    }

    /// The next object of a listing that is taken; `None` at its end.
    fn step_below(&mut self, below: &mut Below) -> Option<Source> {
        loop {
            let object = match below.objects.next()? {
                Ok(object) => object,
                Err(failure) => {
                    below.found += 1; // what follows is not known
                    below.taken += 1;
                    let word = PathBuf::from(below.passed.location.to_string());
                    return Some(self.source(Place::Missing(word, failure.why), true));
                }
            };
            let location = object.location();
            if !below.passed.is_match(location) || (object.bytes() == 0 && location.is_prefix()) {
                continue;
            }
            below.found += 1;
            let uri = location.to_string();
            if !self.filter.takes_object(&object, &uri) {
                self.seen.filtered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            below.taken += 1;
            if self.passed.iter().any(|passed| passed.is_match(location)) {
                self.seen.again.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let named = self.words.iter().any(|word| word.as_os_str() == uri.as_str());
            return Some(self.source(Place::Object(Arc::new(object)), named));
        }
    }

    /// What is said of a word that came to nothing.
    fn nothing(&self, word: PathBuf, why: &str) -> Option<Source> {
        if self.require_match {
            return Some(self.source(Place::Missing(word, format!("{why}, and --require-match asks for some")), true));
        }
        self.seen.warn(format!("{}: {why}", word.display()));
        None
    }
}
