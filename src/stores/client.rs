//! [`Stores`]: all stores of a run, each with its buckets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use object_store::{GetOptions, ObjectMeta};

use super::border::{Border, GivenUp};
use super::bucket::Bucket;
use super::door::Refusal;
use super::environment::Environment;
use super::failure::Failure;
use super::fetch::Facts;
use super::listing::Objects;
use super::location::{Location, Scheme};
use super::object::Object;
use super::options::Options;
use super::patience::Patience;
use super::room::Room;
use super::verdict::{Task, Trouble};
use crate::error::Result;

/// All stores of a run.
pub struct Stores {
    border: Arc<Border>,
    options: Arc<Options>,
    room: Arc<Room>,
    environment: OnceLock<Arc<Environment>>,
    buckets: Mutex<HashMap<Location, Arc<Bucket>>>,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Stores {
    /// Nothing is asked of any store yet. Whoever waits for one ends to wait when `given_up` says so.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new(options: Options, given_up: GivenUp) -> Result<Stores> {
        // object_store's HTTP leaves the choice to whoever has made one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Stores {
            border: Arc::new(Border::new(given_up)?),
            room: Arc::new(Room::new(options.read_ahead_bytes)),
            options: Arc::new(options),
            environment: OnceLock::new(),
            buckets: Mutex::default(),
            notices: Arc::default(),
        })
    }

    /// The object at `location`, as it is now.
    ///
    /// # Errors
    /// If there is none, or the store does not tell.
    pub fn look(&self, location: &Location) -> Result<Object, Failure> {
        let bucket = self.bucket(location)?;
        let path = bucket.path(&location.key)?;
        let look = look(&bucket, &path, location);
        let meta = self.border.wait(look).ok_or_else(|| Failure::new("nobody waits for it any more"))??;
        let facts = Facts {
            location: location.clone(),
            path,
            bucket,
            bytes: meta.size,
            etag: meta.e_tag,
            version: meta.version,
            modified: meta.last_modified.into(),
            room: Arc::clone(&self.room),
        };
        Ok(Object::new(facts, &self.border))
    }

    /// All objects whose keys begin with that of `location`.
    ///
    /// # Errors
    /// If the options do not fit together.
    pub fn list(&self, location: &Location) -> Result<Objects, Failure> {
        let bucket = self.bucket(location)?;
        Ok(Objects::new(location, bucket, &self.border, &self.room))
    }

    /// What the user should know, since this was asked last.
    pub fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bucket(&self, location: &Location) -> Result<Arc<Bucket>, Failure> {
        let key = if location.scheme.is_web() { location.clone() } else { location.with_key("") };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(&key) {
            return Ok(Arc::clone(bucket));
        }
        let environment = (location.scheme == Scheme::S3).then(|| Arc::clone(self.environment()));
        let notices = Arc::clone(&self.notices);
        let bucket = Arc::new(Bucket::new(location, &self.options, environment, notices)?);
        buckets.insert(key, Arc::clone(&bucket));
        Ok(bucket)
    }

    fn environment(&self) -> &Arc<Environment> {
        self.environment.get_or_init(|| Arc::new(self.border.wait_for(Environment::load())))
    }
}

async fn look(bucket: &Bucket, path: &object_store::path::Path, location: &Location) -> Result<ObjectMeta, Failure> {
    let mut patience = Patience::new();
    let mut head = true;
    loop {
        let client = bucket.client();
        let options = GetOptions { head, ..GetOptions::default() };
        let trouble = match client.objects().get_opts(path, options).await {
            Ok(result) => return Ok(result.meta),
            Err(error) => Trouble::of(&error),
        };
        if let Trouble::Refused(refusal) = &trouble
            && head
            && would_tell_more(refusal, location.scheme.is_web())
        {
            head = false;
            continue;
        }
        patience.with(trouble, Task::Look, bucket).await?;
    }
}

/// Whether a GET may succeed where HEAD was refused, or be refused with more words. A signed link is good for one kind of
/// request, and some web servers know only one. And an answer to HEAD has no body, which is where a store says whether the
/// key, the secret, the clock, the bucket or the permission is at fault.
fn would_tell_more(refusal: &Refusal, is_web: bool) -> bool {
    match refusal.status {
        400 | 401 | 403 | 405 | 501 => is_web || refusal.code.is_empty(),
        404 => !is_web && refusal.code.is_empty(),
        301 | 307 | 308 => !is_web && refusal.code.is_empty() && refusal.region.is_none(),
        _ => false,
    }
}
