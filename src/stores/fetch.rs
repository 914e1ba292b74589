//! Fetches an object in the background: small ones with one request, large ones in parts, several at a time and handed on
//! in order. What is cut is asked for from where it was cut, and only of the very object that was begun (If-Match).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderValue;
use object_store::path::Path;
use object_store::{GetOptions, GetRange};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::border::{Begun, Border};
use super::bucket::Bucket;
use super::failure::Failure;
use super::keys;
use super::location::Location;
use super::patience::Patience;
use super::reading::{Ahead, BEGUN_BYTES, Reading};
use super::room::{Room, Share};
use super::verdict::{Task, Trouble};

/// Objects of at least this many bytes are read in parts.
const IN_PARTS_BYTES_MIN: u64 = 4 << 20;
/// How many parts are under way, beside the one that is being read.
const PARTS: usize = 4;
/// As large as a part gets, in bytes: what AWS's own tools ask for at a time. Each request costs the store and us as much
/// as some hundred kilobytes.
const PART_BYTES_MAX: usize = 8 << 20;

/// What is known of an object since it was listed or looked at.
pub struct Facts {
    pub location: Location,
    pub path: Path,
    pub bucket: Arc<Bucket>,
    pub bytes: u64,
    pub etag: Option<String>,
    pub version: Option<String>,
    pub modified: SystemTime,
    pub room: Arc<Room>,
}

/// Begins to fetch an object from `start` on.
pub fn begin(facts: &Arc<Facts>, border: &Arc<Border>, start: u64) -> Reading {
    let (sender, fetched) = unbounded_channel();
    let ahead = Arc::new(Ahead { share: Share::of(&facts.room), taken: Notify::new() });
    let (facts, facts_bytes) = (Arc::clone(facts), facts.bytes);
    let mut pipe = Pipe { sender, ahead: Arc::clone(&ahead), begun: 0, wanted: false };
    let task = border.begin(async move {
        if let Err(failure) = deliver(&facts, start, &mut pipe).await {
            let _ = pipe.sender.send(Err(failure)); // whoever read it has gone
        }
    });
    Reading {
        fetched,
        ahead,
        border: Arc::clone(border),
        _task: task,
        current: Bytes::new(),
        first: Bytes::new(),
        failure: None,
        wanted: false,
        begun: 0,
        left: facts_bytes.saturating_sub(start),
    }
}

/// The way to the reader.
struct Pipe {
    sender: UnboundedSender<Result<Bytes, Failure>>,
    ahead: Arc<Ahead>,
    /// How many of the first bytes are through; up to [`BEGUN_BYTES`] take no room.
    begun: usize,
    /// Whether somebody reads it.
    wanted: bool,
}

impl Pipe {
    /// Hands on bytes as they come, once there is room for them.
    async fn give(&mut self, bytes: Bytes) {
        let begins = bytes.len().min(BEGUN_BYTES - self.begun);
        self.begun += begins;
        if bytes.len() > begins {
            self.wanted().await;
            self.ahead.share.take(bytes.len() - begins).await;
        }
        self.give_paid(bytes);
    }

    /// Hands on bytes for which there was room.
    fn give_paid(&self, bytes: Bytes) {
        let _ = self.sender.send(Ok(bytes)); // whoever read it has gone, and so will this task
    }

    /// Waits until somebody reads it.
    async fn wanted(&mut self) {
        if !self.wanted {
            self.ahead.taken.notified().await;
            self.wanted = true;
        }
    }
}

async fn deliver(facts: &Arc<Facts>, start: u64, pipe: &mut Pipe) -> Result<(), Failure> {
    let end = facts.bytes;
    if start >= end {
        return Ok(());
    }
    if facts.location.scheme.is_web() || end - start < IN_PARTS_BYTES_MIN {
        return fetch(facts, start..end, Out::Pipe(pipe)).await;
    }
    // Nobody may want more than the first bytes.
    let first = start..start + BEGUN_BYTES as u64;
    fetch(facts, first.clone(), Out::Pipe(pipe)).await?;
    pipe.wanted().await;
    let part_bytes = (facts.room.bytes() / (PARTS + 1)).clamp(1, PART_BYTES_MAX) as u64;
    let mut next = first.end;
    let mut parts: VecDeque<Begun<Result<Vec<Bytes>, Failure>>> = VecDeque::new();
    loop {
        while next < end && parts.len() < PARTS {
            let range = next..end.min(next + part_bytes);
            let bytes = (range.end - range.start) as usize;
            if parts.is_empty() {
                pipe.ahead.share.take(bytes).await;
            } else if !pipe.ahead.share.take_now(bytes) {
                break;
            }
            next = range.end;
            let facts = Arc::clone(facts);
            parts.push_back(Begun::spawn(async move {
                let mut held = Vec::new();
                fetch(&facts, range, Out::Held(&mut held)).await?;
                Ok(held)
            }));
        }
        let Some(part) = parts.pop_front() else { return Ok(()) };
        for bytes in part.done().await? {
            pipe.give_paid(bytes);
        }
    }
}

/// Where bytes go.
enum Out<'a> {
    /// To the reader.
    Pipe(&'a mut Pipe),
    /// Into memory for which there is room.
    Held(&'a mut Vec<Bytes>),
}

impl Out<'_> {
    async fn give(&mut self, bytes: Bytes) {
        match self {
            Out::Pipe(pipe) => pipe.give(bytes).await,
            Out::Held(held) => held.push(bytes),
        }
    }
}

/// Fetches a range, however often it is cut.
async fn fetch(facts: &Facts, mut range: Range<u64>, mut out: Out<'_>) -> Result<(), Failure> {
    let mut patience = Patience::new();
    loop {
        let reached = range.start;
        match attempt(facts, &mut range, &mut out).await {
            Ok(()) => return Ok(()),
            Err(trouble) => {
                if range.start > reached {
                    patience.renew();
                }
                patience.with(trouble, Task::Read, &facts.bucket).await?;
            }
        }
    }
}

/// One request, as far as it goes. `range` is what is left.
async fn attempt(facts: &Facts, range: &mut Range<u64>, out: &mut Out<'_>) -> Result<(), Trouble> {
    let options = GetOptions {
        if_match: facts.etag.clone().filter(|etag| is_condition(etag)),
        version: facts.version.clone(),
        range: (*range != (0..facts.bytes)).then(|| GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    if keys::has_steps(&facts.location.key) {
        return Err(Trouble::Odd("its key has . or .. as a part, which is no part of a URL".to_owned()));
    }
    let client = facts.bucket.client();
    let result = client.objects().get_opts(&facts.path, options).await.map_err(|error| Trouble::of(&error))?;
    // Not every server heeds If-Match, or has ETags.
    match (&facts.etag, &result.meta.e_tag) {
        (Some(seen), Some(now)) if opaque(seen) == opaque(now) => {}
        (Some(seen), Some(now)) => return Err(Trouble::Another(format!("its ETag is {now}, and was {seen}"))),
        _ if is_of_another_time(facts.modified, result.meta.last_modified.into()) => {
            return Err(Trouble::Another("it was written anew, says its Last-Modified".to_owned()));
        }
        _ => {}
    }
    if result.meta.size != facts.bytes {
        return Err(Trouble::Another(format!("it has {} bytes, and had {}", result.meta.size, facts.bytes)));
    }
    let mut stream = result.into_stream();
    while let Some(bytes) = stream.next().await {
        let mut bytes = bytes.map_err(|error| Trouble::of(&error))?;
        let wanted = range.end - range.start;
        if bytes.len() as u64 > wanted {
            bytes.truncate(wanted as usize);
        }
        range.start += bytes.len() as u64;
        out.give(bytes).await;
        if range.is_empty() {
            return Ok(());
        }
    }
    Err(Trouble::Broken(format!("the answer ended {} bytes early", range.end - range.start)))
}

/// Whether an ETag is fit for If-Match: a weak one never matches there (RFC 9110, 13.1.1).
fn is_condition(etag: &str) -> bool {
    !etag.starts_with("W/") && HeaderValue::from_str(etag).is_ok()
}

/// Whether these are different times. Listings have fractions of a second, headers have none; some answers have no time,
/// which object_store takes for 1970.
fn is_of_another_time(seen: SystemTime, now: SystemTime) -> bool {
    let apart = seen.duration_since(now).or_else(|_| now.duration_since(seen)).unwrap_or_default();
    now != SystemTime::UNIX_EPOCH && seen != SystemTime::UNIX_EPOCH && apart > Duration::from_secs(1)
}

/// An ETag without what one kind of answer adds and another does not.
pub fn opaque(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}
