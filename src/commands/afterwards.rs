//! [`Afterwards`]: what becomes of objects that are loaded (`--after`), beside the load.
//!
//! An object comes here when all its lines have an outcome and the ledger has stored that. It is asked once more whether it
//! is still the one that was read. Objects that an earlier run has loaded come here, too: it may have been killed before it
//! could do this.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::After;
use crate::error::Error;
use crate::escape;
use crate::pipeline::report::Report;
use crate::pipeline::report::figures::counted;
use crate::stores::Object;
use crate::stores::failure::{Failure, Kind};

/// Each takes two requests or three, and waits for their answers.
const THREADS: usize = 4;
/// Objects that wait for their turn.
const WAITING_MAX: usize = 1_000;
/// Objects of which it is told why they stay.
const TOLD_MAX: usize = 5;

/// Threads that delete or move objects.
pub struct Afterwards {
    after: After,
    sender: Sender<Arc<Object>>,
    threads: Vec<JoinHandle<()>>,
    done: Arc<Mutex<Done>>,
}

/// What they came to.
#[derive(Default)]
struct Done {
    objects: u64,
    changed: u64,
    failed: u64,
    told: Vec<String>,
}

impl Afterwards {
    /// Waits for the first object.
    pub fn new(after: &After) -> Afterwards {
        let (sender, objects) = bounded(WAITING_MAX);
        let done = Arc::new(Mutex::new(Done::default()));
        let threads = (0..THREADS).map(|_| {
            let (after, objects, done) = (after.clone(), objects.clone(), Arc::clone(&done));
            thread::spawn(move || work(&after, &objects, &done))
        });
        Afterwards { after: after.clone(), threads: threads.collect(), sender, done }
    }

    /// Where objects are handed on.
    pub fn sender(&self) -> Sender<Arc<Object>> {
        self.sender.clone()
    }

    /// Waits until all are done with, and tells of it. Everybody else has let go of the sender.
    pub fn finish(self, report: &mut Report) {
        drop(self.sender);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        let (did, to_do) = match self.after {
            After::Delete => ("deleted", "deleted"),
            After::Move(_) => ("moved", "moved"),
        };
        let were = |n: u64| if n == 1 { "was" } else { "were" };
        report.note(format!("{} {} {did}", counted(done.objects, "loaded object"), were(done.objects)));
        if done.changed > 0 {
            let objects = counted(done.changed, "object");
            report.note(format!("{objects} changed after being read, and {} not {to_do}", were(done.changed)));
        }
        if done.failed > 0 {
            let objects = counted(done.failed, "loaded object");
            let why = done.told.join("; ");
            report.failed(Error::failed(format!("{objects} could not be {to_do}: {why}")));
        }
    }
}

fn work(after: &After, objects: &Receiver<Arc<Object>>, done: &Mutex<Done>) {
    for object in objects {
        let became = match after {
            After::Delete => object.delete(),
            After::Move(prefix) => object.move_below(prefix),
        };
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        match became {
            Ok(()) => done.objects += 1,
            Err(Failure { kind: Kind::Changed, .. }) => done.changed += 1,
            Err(Failure { why, .. }) => {
                done.failed += 1;
                if done.told.len() < TOLD_MAX {
                    let shown = object.location().to_string();
                    done.told.push(format!("{}: {why}", escape::shown(shown.as_bytes())));
                }
            }
        }
    }
}
