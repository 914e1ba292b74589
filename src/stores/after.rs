//! What becomes of an object once nobody needs it here any more: deleted, or moved below another prefix. Only if it is
//! still the one that was read; whoever wrote another in its place meant that one to stay.

use std::time::SystemTime;

use futures_util::{StreamExt, stream};
use http::header::IF_MATCH;
use http::{HeaderValue, Method};
use object_store::client::HttpRequest;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStoreExt};

use super::failure::{Failure, Kind};
use super::fetch::opaque;
use super::location::Scheme;
use super::object::Object;
use super::patience::Patience;
use super::verdict::{Task, Trouble};

/// What S3 copies with one request, in bytes.
const SINGLE_COPY_BYTES_MAX: u64 = 5 << 30;

tokio::task_local! {
    /// The ETag of what is being deleted: object_store has no room for it in a request, so the door adds it.
    static ONLY_IF: String;
}

/// Adds the condition under which an object may be deleted.
pub(super) fn add_condition(request: &mut HttpRequest) {
    if request.method() == Method::DELETE
        && let Ok(Ok(etag)) = ONLY_IF.try_with(|etag| HeaderValue::from_str(etag))
    {
        // A header that need not be signed. A store that does not know it has been asked just before.
        request.headers_mut().insert(IF_MATCH, etag);
    }
}

impl Object {
    /// Deletes it, if it is still the one that was read.
    ///
    /// # Errors
    /// If it is not, or cannot be deleted. It is still there then.
    pub fn delete(&self) -> Result<(), Failure> {
        self.wait_for(async {
            self.is_the_same().await?;
            self.take_away().await
        })
    }

    /// Moves it to the key that `prefix` and its own key make together, if it is still the one that was read.
    ///
    /// # Errors
    /// If it is not, or cannot be moved. It is still there then; a copy may be, too.
    pub fn move_below(&self, prefix: &str) -> Result<(), Failure> {
        if self.location().scheme == Scheme::S3 && self.bytes() > SINGLE_COPY_BYTES_MAX {
            return Err(Failure::new("it is larger than the 5 GiB that S3 copies, and stays where it is"));
        }
        let to = self.bucket().path(&format!("{prefix}{}", self.location().key))?;
        self.wait_for(async {
            self.is_the_same().await?;
            self.asked(async |store: &dyn object_store::ObjectStore| store.copy(self.path(), &to).await).await?;
            let copy = self.seen(&to).await?;
            if copy.size != self.bytes() {
                return Err(Failure::new(format!("its copy at {to} has {} bytes; it stays where it is", copy.size)));
            }
            // What was written there while it was copied.
            self.is_the_same().await?;
            self.take_away().await
        })
    }

    fn wait_for(&self, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        self.border().wait(work).unwrap_or_else(|| Err(Failure::new("the run ended first; it stays where it is")))
    }

    async fn is_the_same(&self) -> Result<(), Failure> {
        let now = self.seen(self.path()).await?;
        let same = match (self.etag(), &now.e_tag) {
            (Some(read), Some(now)) => opaque(read) == opaque(now),
            _ => now.size == self.bytes() && self.modified() == SystemTime::from(now.last_modified),
        };
        if same {
            Ok(())
        } else {
            Err(Failure {
                kind: Kind::Changed,
                why: "it has changed since it was read, and stays where it is".to_owned(),
            })
        }
    }

    async fn seen(&self, path: &Path) -> Result<object_store::ObjectMeta, Failure> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let head = async |store: &dyn object_store::ObjectStore| store.get_opts(path, options.clone()).await;
        Ok(self.asked(head).await?.meta)
    }

    async fn take_away(&self) -> Result<(), Failure> {
        let delete = async |store: &dyn object_store::ObjectStore| {
            let one = stream::iter([Ok(self.path().clone())]).boxed();
            let deleted = async { store.delete_stream(one).collect::<Vec<_>>().await };
            let deleted = match self.etag() {
                Some(etag) => ONLY_IF.scope(etag.to_owned(), deleted).await,
                None => deleted.await,
            };
            deleted.into_iter().collect::<Result<Vec<_>, _>>()
        };
        self.asked(delete).await.map(drop)
    }

    /// Asks the store, as often as it is worth.
    async fn asked<T>(
        &self,
        ask: impl AsyncFn(&dyn object_store::ObjectStore) -> object_store::Result<T>,
    ) -> Result<T, Failure> {
        let mut patience = Patience::new();
        loop {
            let client = self.bucket().client();
            let error = match ask(client.objects()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            patience.with(Trouble::of(&error), Task::Remove, self.bucket()).await?;
        }
    }
}
