//! [`IndexWatch`]: whether the indices that a load writes to stay the same ones until its end.
//!
//! Somebody deletes an index while documents are on their way into it, and the next of them makes it anew: every
//! request succeeds, and what was written before is gone. So the watch asks for the uuid of each index as soon as the
//! first request that wrote to it is answered, again while the load goes on, and at the end. It has a thread of its own:
//! nobody who moves lines waits for an answer. What remains open are the milliseconds between that first answer and the
//! answer to the first question. While the run pauses, nothing is asked: then the cluster hears one probe a second and
//! nothing more.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::error::{Error, Result};
use crate::opensearch::IndexNow;
use crate::pipeline::report::collect::FileProgress;
use crate::pipeline::stop::{Reason, Stop};

/// Between two looks at all indices.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How many indices are watched. More than ten years of days.
const WATCHED_MAX: usize = 4_000;
/// How long the end of a load waits for the last look; of one that is told to end.
const LAST_LOOK_MAX: Duration = Duration::from_secs(60);
const LAST_LOOK_STOPPED_MAX: Duration = Duration::from_secs(3);
/// How many indices a sentence names.
const TOLD_MAX: usize = 5;

/// Asks what an index is now.
pub type Ask = Box<dyn Fn(&str) -> Result<IndexNow> + Send>;

/// Looks after the indices of one load.
pub struct IndexWatch {
    /// Names of indices, and in the end nothing.
    names: Sender<Option<Arc<str>>>,
    known: Receiver<(Arc<str>, String)>,
    verdict: Receiver<Verdict>,
    /// Whether the run waits for the cluster.
    pauses: Arc<AtomicBool>,
    /// Those that the thread was told of.
    told: HashSet<Arc<str>>,
    /// The file that told last, and how many indices it had: most watermarks bring no new one.
    last: (u32, usize),
}

/// What the last look came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Indices that were deleted after documents had been written to them.
    pub lost: Vec<String>,
    /// What the user should know of those that could not be looked after.
    pub note: Option<String>,
}

impl IndexWatch {
    /// Watches nothing yet. A loss ends the run by `stop`.
    pub fn new(ask: Ask, stop: &Arc<Stop>) -> IndexWatch {
        IndexWatch::looking_every(LOOK_EVERY, ask, stop)
    }

    fn looking_every(every: Duration, ask: Ask, stop: &Arc<Stop>) -> IndexWatch {
        let ((names, names_taken), (known_sender, known)) = (unbounded(), unbounded()); // at most WATCHED_MAX
        let (verdict_sender, verdict) = unbounded();
        let stop = Arc::clone(stop);
        let pauses = Arc::new(AtomicBool::new(false));
        let paused = Arc::clone(&pauses);
        // Not scoped: a server that never answers must not keep the process from its end.
        std::thread::spawn(move || {
            let mut watcher = Watcher {
                ask,
                known: known_sender,
                uuids: BTreeMap::new(),
                unasked: BTreeSet::new(),
                gone: BTreeSet::new(),
            };
            let _ = verdict_sender.send(watcher.watch(&names_taken, every, &stop, &paused));
        });
        IndexWatch { names, known, verdict, pauses, told: HashSet::new(), last: (u32::MAX, 0) }
    }

    /// Takes the names of indices as they are written to for the first time, from any thread.
    pub fn first_written(&self) -> impl Fn(&Arc<str>) + Send + Sync + use<> {
        let names = self.names.clone();
        move |index| {
            let _ = names.send(Some(Arc::clone(index)));
        }
    }

    /// Takes whether the run pauses, from any thread.
    pub fn pauses(&self) -> impl Fn(bool) + Send + Sync + use<> {
        let pauses = Arc::clone(&self.pauses);
        move |so| pauses.store(so, Ordering::Relaxed)
    }

    /// Learns from a file's progress where documents went.
    pub fn progress(&mut self, progress: &FileProgress<'_>) {
        let now = (progress.file.id, progress.indices.len());
        if self.last == now {
            return;
        }
        self.last = now;
        for index in progress.indices {
            if self.told.len() < WATCHED_MAX && !self.told.contains(index) {
                self.told.insert(Arc::clone(index));
                let _ = self.names.send(Some(Arc::clone(index)));
            }
        }
    }

    /// Uuids that were found out since it was asked last.
    pub fn found(&self) -> impl Iterator<Item = (Arc<str>, String)> + '_ {
        self.known.try_iter()
    }

    /// The last look. `stopped`: the run was told to end, so nobody wants to wait for long.
    pub fn finish(&mut self, stopped: bool) -> Verdict {
        let _ = self.names.send(None); // no more names: the thread looks once more and ends
        let patience = if stopped { LAST_LOOK_STOPPED_MAX } else { LAST_LOOK_MAX };
        self.verdict.recv_timeout(patience).unwrap_or_else(|_| {
            let note = (!self.told.is_empty()).then(|| unverified("there was no answer in time"));
            Verdict { lost: Vec::new(), note }
        })
    }
}

/// The sentence for indices that were deleted while the load wrote to them.
pub fn lost(indices: &[String]) -> Error {
    let names: Vec<String> = indices.iter().take(TOLD_MAX).map(|index| format!("{index:?}")).collect();
    let more = if indices.len() > TOLD_MAX { format!(" and {} more", indices.len() - TOLD_MAX) } else { String::new() };
    let (index, was, it) = match indices.len() {
        1 => ("index", "was", "it"),
        _ => ("indices", "were", "them"),
    };
    Error::failed(format!(
        "the {index} {}{more} {was} deleted while documents were being written: what {it} held before is gone",
        names.join(", ")
    ))
    .hint("load the same files again, without --resume: those with lines in there count as not loaded")
}

fn unverified(why: &str) -> String {
    format!("whether an index was deleted and made anew meanwhile was not verified: {why}")
}

/// The thread.
struct Watcher {
    ask: Ask,
    known: Sender<(Arc<str>, String)>,
    uuids: BTreeMap<Arc<str>, String>,
    /// Those of which no uuid is known yet.
    unasked: BTreeSet<Arc<str>>,
    /// Those that were not there at the last look.
    gone: BTreeSet<String>,
}

impl Watcher {
    fn watch(
        &mut self,
        names: &Receiver<Option<Arc<str>>>,
        every: Duration,
        stop: &Stop,
        paused: &AtomicBool,
    ) -> Verdict {
        let mut look_at = Instant::now() + every;
        loop {
            match names.recv_deadline(look_at) {
                // Told by both the writer and the file.
                Ok(Some(name)) if self.uuids.contains_key(&name) || self.uuids.len() >= WATCHED_MAX => {}
                Ok(Some(name)) => {
                    self.unasked.insert(name);
                    if !paused.load(Ordering::Relaxed) {
                        let _ = self.first_look();
                    }
                }
                Err(RecvTimeoutError::Timeout) if paused.load(Ordering::Relaxed) => look_at = Instant::now() + every,
                Err(RecvTimeoutError::Timeout) => {
                    let mut lost = self.look().lost;
                    // While it is gone, writing to it may be a pause: somebody may have taken away the right to make it.
                    lost.retain(|name| !self.gone.contains(name));
                    if !lost.is_empty() {
                        // More documents would only make more of a mess.
                        stop.raise(Reason::Failed(self::lost(&lost)));
                    }
                    look_at = Instant::now() + every;
                }
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return self.look(),
            }
        }
    }

    /// Asks for the uuids that are not known yet. Says why some stay unknown.
    fn first_look(&mut self) -> Option<String> {
        let mut why = None;
        for name in std::mem::take(&mut self.unasked) {
            match (self.ask)(&name) {
                Ok(IndexNow::There(Some(uuid))) => {
                    let _ = self.known.send((Arc::clone(&name), uuid.clone()));
                    self.uuids.insert(name, uuid);
                    continue;
                }
                // An alias, a data stream, or somebody who may not ask.
                Ok(IndexNow::There(None)) => {
                    why.get_or_insert_with(|| format!("the server does not tell the uuid of {name:?}"));
                }
                // An ingest pipeline may have sent everything elsewhere.
                Ok(IndexNow::Gone) => {
                    why.get_or_insert_with(|| format!("there is no index {name:?}"));
                }
                Err(error) => {
                    why.get_or_insert_with(|| error.to_string());
                    self.unasked.insert(name);
                    break; // nor are the others answered
                }
            }
            self.unasked.insert(name);
        }
        why
    }

    /// Looks at all.
    fn look(&mut self) -> Verdict {
        let mut why = self.first_look();
        let mut lost = Vec::new();
        self.gone.clear();
        for (name, uuid) in &self.uuids {
            match (self.ask)(name) {
                Ok(now) if now.has_lost(Some(uuid)) => {
                    lost.push(name.to_string());
                    if now == IndexNow::Gone {
                        self.gone.insert(name.to_string());
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    why.get_or_insert_with(|| error.to_string());
                    break;
                }
            }
        }
        Verdict { lost, note: why.map(|why| unverified(&why)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Answers = Arc<Mutex<BTreeMap<&'static str, Result<IndexNow>>>>;

    fn there(uuid: &str) -> Result<IndexNow> {
        Ok(IndexNow::There(Some(uuid.to_owned())))
    }

    fn watch(every: Duration, answers: &Answers, stop: &Arc<Stop>) -> IndexWatch {
        let answers = Arc::clone(answers);
        IndexWatch::looking_every(every, Box::new(move |name| answers.lock().unwrap()[name].clone()), stop)
    }

    fn until_known(watch: &IndexWatch) -> String {
        watch.known.recv_timeout(Duration::from_secs(10)).expect("a uuid").1
    }

    #[test]
    fn what_was_deleted_is_told_at_the_end() {
        for (then, now, lost, verified) in [
            (there("1"), there("1"), false, true),
            (there("1"), there("2"), true, true),
            (there("1"), Ok(IndexNow::Gone), true, true),
            (there("1"), Ok(IndexNow::There(None)), false, true),
            (there("1"), Err(Error::failed("busy")), false, false),
            (Ok(IndexNow::There(None)), Ok(IndexNow::There(None)), false, false),
            (Ok(IndexNow::Gone), Ok(IndexNow::Gone), false, false),
            (Err(Error::failed("busy")), there("1"), false, true),
        ] {
            let (answers, stop) = (Answers::default(), Arc::new(Stop::new()));
            answers.lock().unwrap().insert("a", then.clone());
            let mut watch = watch(Duration::from_secs(60), &answers, &stop);
            watch.first_written()(&"a".into());
            watch.told.insert("a".into());
            if matches!(then, Ok(IndexNow::There(Some(_)))) {
                assert_eq!(until_known(&watch), "1");
            } else {
                std::thread::sleep(Duration::from_millis(30));
            }
            answers.lock().unwrap().insert("a", now.clone());
            let verdict = watch.finish(false);
            assert_eq!((!verdict.lost.is_empty(), verdict.note.is_none()), (lost, verified), "{then:?} {now:?}");
            assert!(!stop.is_raised());
        }
    }

    #[test]
    fn a_run_does_not_go_on_into_an_index_that_was_deleted() {
        let (answers, stop) = (Answers::default(), Arc::new(Stop::new()));
        answers.lock().unwrap().insert("a", there("1"));
        let mut watch = watch(Duration::from_millis(20), &answers, &stop);
        watch.first_written()(&"a".into());
        until_known(&watch);
        std::thread::sleep(Duration::from_millis(60));
        assert!(!stop.is_raised());
        answers.lock().unwrap().insert("a", there("2"));
        assert!(stop.wait(Duration::from_secs(10)), "it is told to end");
        assert_eq!(watch.finish(true).lost, ["a"]);
    }

    #[test]
    fn nobody_is_asked_while_the_run_pauses() {
        let (answers, stop) = (Answers::default(), Arc::new(Stop::new()));
        answers.lock().unwrap().insert("a", there("1"));
        let watch = watch(Duration::from_millis(20), &answers, &stop);
        watch.first_written()(&"a".into());
        until_known(&watch);
        watch.pauses()(true);
        std::thread::sleep(Duration::from_millis(60)); // a look may have been under way
        answers.lock().unwrap().insert("a", there("2"));
        assert!(!stop.wait(Duration::from_millis(200)), "it has not looked");
        watch.pauses()(false);
        assert!(stop.wait(Duration::from_secs(10)));
    }

    #[test]
    fn the_sentence_names_the_index() {
        let words = lost(&["logs-1".to_owned()]).to_string();
        assert!(words.contains("the index \"logs-1\" was deleted"), "{words}");
        let many: Vec<String> = (0..9).map(|n| format!("logs-{n}")).collect();
        assert!(lost(&many).to_string().contains("\"logs-4\" and 4 more were deleted"));
    }
}
