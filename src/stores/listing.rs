//! [`Objects`]: what lies in a bucket, listed a page at a time. The next page is asked for while one is being worked on,
//! and no more than these two are ever held, however many objects there are.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use object_store::ObjectMeta;
use object_store::list::{PaginatedListOptions, PaginatedListResult};

use super::border::{Begun, Border};
use super::bucket::Bucket;
use super::failure::Failure;
use super::fetch::Facts;
use super::keys;
use super::location::Location;
use super::object::Object;
use super::patience::Patience;
use super::room::Room;
use super::verdict::{Task, Trouble};

/// Pages may be empty where much was deleted; so many in a row are not.
const EMPTY_PAGES_MAX: u32 = 1000;

/// The objects whose keys begin with a prefix, in the store's order, which is that of their keys.
pub struct Objects {
    location: Location,
    bucket: Arc<Bucket>,
    border: Arc<Border>,
    room: Arc<Room>,
    page: std::vec::IntoIter<ObjectMeta>,
    next: Option<Begun<Result<Page, Failure>>>,
    listed: u64,
    /// Hashes of the tokens that came: a hundred thousand of them for a hundred million objects.
    tokens: HashSet<u64>,
    hasher: RandomState,
    /// Pages in a row on which there was nothing.
    empty: u32,
}

struct Page {
    objects: Vec<ObjectMeta>,
    token: Option<String>,
}

impl Objects {
    /// Those whose keys begin with that of `location`. The first page is asked for at once.
    pub(super) fn new(location: &Location, bucket: Arc<Bucket>, border: &Arc<Border>, room: &Arc<Room>) -> Objects {
        let next = border.begin(page(location.clone(), Arc::clone(&bucket), None));
        Objects {
            location: location.clone(),
            bucket,
            border: Arc::clone(border),
            room: Arc::clone(room),
            page: Vec::new().into_iter(),
            next: Some(next),
            listed: 0,
            tokens: HashSet::new(),
            hasher: RandomState::new(),
            empty: 0,
        }
    }

    /// Asks for the page behind `token`, unless that would go on for ever.
    fn begin(&mut self, token: String) -> Begun<Result<Page, Failure>> {
        let is_new = self.tokens.insert(self.hasher.hash_one(&token));
        let endless = match (is_new, self.empty) {
            (false, _) => "the store lists the same pages again and again".to_owned(),
            (_, EMPTY_PAGES_MAX..) => {
                format!("{EMPTY_PAGES_MAX} pages in a row were empty, each said that more follows")
            }
            _ => return self.border.begin(page(self.location.clone(), Arc::clone(&self.bucket), Some(token))),
        };
        self.border.begin(async { Err(Failure::new(endless)) })
    }

    fn object(&self, meta: ObjectMeta) -> Object {
        let facts = Facts {
            location: self.location.with_key(keys::key_of(meta.location.as_ref())),
            path: meta.location,
            bucket: Arc::clone(&self.bucket),
            bytes: meta.size,
            etag: meta.e_tag,
            version: meta.version,
            modified: meta.last_modified.into(),
            room: Arc::clone(&self.room),
        };
        Object::new(facts, &self.border)
    }
}

impl Iterator for Objects {
    type Item = Result<Object, Failure>;

    fn next(&mut self) -> Option<Result<Object, Failure>> {
        loop {
            if let Some(meta) = self.page.next() {
                self.listed += 1;
                return Some(Ok(self.object(meta)));
            }
            match self.border.wait(self.next.take()?.done())? {
                Ok(Page { objects, token }) => {
                    self.empty = if objects.is_empty() { self.empty + 1 } else { 0 };
                    self.page = objects.into_iter();
                    self.next = token.map(|token| self.begin(token));
                }
                Err(mut failure) => {
                    if self.listed > 0 {
                        failure.why = format!("listing it ended after {} objects: {}", self.listed, failure.why);
                    }
                    return Some(Err(failure));
                }
            }
        }
    }
}

/// The page behind `token`.
async fn page(location: Location, bucket: Arc<Bucket>, token: Option<String>) -> Result<Page, Failure> {
    let mut patience = Patience::new();
    loop {
        let client = bucket.client();
        let pages = client.pages().ok_or_else(|| Failure::new("a web server lists nothing"))?;
        let options = PaginatedListOptions { page_token: token.clone(), ..PaginatedListOptions::default() };
        let prefix = Some(location.key.as_str()).filter(|prefix| !prefix.is_empty());
        match pages.list_paginated(prefix, options).await {
            Ok(PaginatedListResult { result, page_token }) => {
                return Ok(Page { objects: result.objects, token: page_token });
            }
            Err(error) => patience.with(Trouble::of(&error), Task::List, &bucket).await?,
        }
    }
}
