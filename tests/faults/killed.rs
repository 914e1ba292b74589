//! `kill -9` of loghaul at ten places of one load, and `--resume` each time; for a plain file, a gzip, many small
//! files, and standard input that is given again.
//!
//! Some of the documents are refused, so that there are dead letters to be cut back. Each load is killed
//!
//! - between send and answer: when a request has arrived and the node knows nothing of it, and when the node has
//!   executed it and the answer is held,
//! - when an answer is on its way,
//! - after the N-th stored watermark,
//! - between the dead letters' fsync and the ledger's commit: we hold the ledger's write lock, and kill once the dead
//!   letters have grown, of which the ledger then cannot know,
//! - between two files of one batch (where there are several): the node gets the documents of the first one only.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use crate::fault_proxy::{Fault, FaultProxy, Moment, Step};
use crate::load::{Load, Typed, Victim, brief, report};
use crate::logs::{LINES, Shape, log, put_template};
use crate::support::{Folder, Node};
use crate::{census::Census, seed, turn};

/// Where a load is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Sent,
    Applied,
    Answered,
    WatermarkStored,
    LettersSynced,
    BetweenFiles,
}

/// Ten places for a shape, in an order drawn from the seed.
fn points(shape: Shape, random: &mut fastrand::Rng) -> Vec<Point> {
    use Point::*;
    let between = if shape == Shape::SmallFiles { BetweenFiles } else { Applied };
    let mut points =
        vec![Sent, Applied, between, Answered, LettersSynced, WatermarkStored, Sent, Answered, between, LettersSynced];
    random.shuffle(&mut points);
    points
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_plain_file() {
    killed_ten_times(Shape::Plain);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn a_gzip() {
    killed_ten_times(Shape::Gzip);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn many_small_files() {
    killed_ten_times(Shape::SmallFiles);
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn standard_input_given_again() {
    killed_ten_times(Shape::Stdin);
}

/// Killed, and then not resumed: the same load again, as from cron. It reads only what the ledger does not have; the
/// dead letters of what it has are still there.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn and_loaded_again_without_resume() {
    let _turn = turn::take();
    let mut random = seed::random("killed-again");
    let node = Node::shared("killed-again");
    let undisturbed = log().undisturbed(Shape::Plain, &node);
    put_template(&node, "log", "ip");
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    let typed = log().typed(Shape::Plain, &folder, &proxy.url(), &node.name("log"));
    let typed = typed.with("--bulk-bytes 1MiB --writers 2");
    killed_at(Point::Answered, random.u64(40..80), &typed, &proxy);
    proxy.pass();
    let told = report(&typed.run(), 3);
    println!("killed-again: {}", brief(&told));
    assert!(told.count("lines_read") < LINES, "it goes on: {}", told.0);
    // A letter from beyond the watermark may be there twice; none is missing.
    let mut letters = typed.letters();
    let mut seen = std::collections::HashSet::new();
    letters.retain(|letter| seen.insert(letter["_id"].to_string()));
    assert_eq!(letters.len() as u64, log().hostnames);
    Census::of(&node, &node.name("log")).assert_equals_with(&letters, &undisturbed);
}

fn killed_ten_times(shape: Shape) {
    let _turn = turn::take();
    let test = format!("killed-{}", format!("{shape:?}").to_lowercase());
    let mut random = seed::random(&test);
    let node = Node::shared(&test);
    let undisturbed = log().undisturbed(shape, &node);
    put_template(&node, "log", "ip");
    let folder = Folder::new();
    let proxy = FaultProxy::before(&node.url);
    // Small bodies, so that there are about a hundred and forty batches to be killed in.
    let typed = log().typed(shape, &folder, &proxy.url(), &node.name("log")).with("--bulk-bytes 1MiB --writers 2");

    let mut resumed = typed.clone();
    for (n, point) in points(shape, &mut random).into_iter().enumerate() {
        let after = random.u64(3..=9);
        println!("{test}: kill {} at {point:?}, batch {after}", n + 1);
        killed_at(point, after, &resumed, &proxy);
        resumed = typed.clone().with("--resume");
    }

    proxy.pass();
    let ran = resumed.run();
    let told = report(&ran, 3);
    println!("{test}: resumed to the end: {}", brief(&told));
    let (census, letters) = (Census::of(&node, &node.name("log")), typed.letters());
    census.assert_equals_with(&letters, &undisturbed);
    assert_eq!(letters.len() as u64, log().hostnames, "each refused document is kept once");
    // Of the whole run, all eleven parts together.
    let whole = typed.whole_run();
    println!("{test}: the whole run: {}", whole.0);
    whole.has(&format!("lines_read {LINES}, rejected {}, duplicate 0", log().hostnames));
    whole.has(&format!("malformed {}, blank {}", log().summary.malformed, log().summary.blank));
    whole.has(&format!("indexed {}", log().summary.good - log().hostnames));
}

/// Starts the load and kills it; asserts that it was us.
fn killed_at(point: Point, after: u64, typed: &Typed<'_>, proxy: &FaultProxy) {
    let victim = Victim::default();
    proxy.forget();
    match point {
        Point::Sent => kill_in_batch(proxy, after, Fault::NotAppliedReset, Moment::Arrived, &victim),
        Point::Applied => kill_in_batch(proxy, after, Fault::AppliedThenReset, Moment::Applied, &victim),
        Point::Answered => kill_in_batch(proxy, after, Fault::Pass, Moment::Answered, &victim),
        Point::BetweenFiles => {
            let victim = victim.clone();
            proxy.plan(move |bulk| {
                if bulk.number < after || bulk.first_file_end().is_none() {
                    return Fault::Pass.into();
                }
                let victim = victim.clone();
                Step::from(Fault::FirstFileApplied).and(Moment::Applied, Arc::new(move || victim.kill()))
            });
        }
        Point::WatermarkStored | Point::LettersSynced => proxy.pass(),
    }
    let lock = (point == Point::LettersSynced).then(|| hold_ledger_after(proxy, after, &typed.ledger()));
    let mut load = typed.start();
    victim.is(&load);
    match point {
        Point::WatermarkStored => after_stored(&mut load, &typed.ledger(), after.min(4)),
        Point::LettersSynced => after_letters(&mut load, typed, &lock.expect("it was asked for")),
        _ => {}
    }
    let ran = load.wait();
    let signal = std::os::unix::process::ExitStatusExt::signal(&ran.status);
    assert_eq!(signal, Some(Signal::KILL.as_raw()), "killed at {point:?}: {}", ran.told());
}

fn kill_in_batch(proxy: &FaultProxy, number: u64, fault: Fault, moment: Moment, victim: &Victim) {
    let victim = victim.clone();
    proxy.plan(move |bulk| {
        if bulk.number != number {
            return Fault::Pass.into();
        }
        let victim = victim.clone();
        Step::from(fault.clone()).and(moment, Arc::new(move || victim.kill()))
    });
}

/// Kills it once the ledger was written to so many times (as far as one who looks every other millisecond sees).
fn after_stored(load: &mut Load, ledger: &Path, times: u64) {
    load.until("a ledger", || ledger.exists());
    let connection = Connection::open(ledger).expect("the ledger can be read");
    let (mut last, mut seen) = (version(&connection), 0);
    load.until("watermarks", || {
        let now = version(&connection);
        seen += u64::from(now != last);
        last = now;
        seen >= times
    });
    load.signal(Signal::KILL);
}

/// Changes whenever somebody else has written to the ledger.
fn version(ledger: &Connection) -> i64 {
    ledger.query_row("PRAGMA data_version", [], |row| row.get(0)).expect("a number")
}

/// The ledger's write lock, held by us.
type Held = Arc<Mutex<Option<Connection>>>;

/// The program stops when the ledger is locked for ten seconds.
const HELD_AT_MOST: Duration = Duration::from_secs(2);

/// At the N-th batch, before the node sees it, takes the ledger's write lock.
fn hold_ledger_after(proxy: &FaultProxy, number: u64, ledger: &Path) -> Held {
    let held = Held::default();
    let (ledger, lock) = (ledger.to_owned(), Arc::clone(&held));
    proxy.plan(move |bulk| {
        if bulk.number != number {
            return Fault::Pass.into();
        }
        let (ledger, lock) = (ledger.clone(), Arc::clone(&lock));
        Step::from(Fault::Pass).and(
            Moment::Arrived,
            Arc::new(move || {
                let connection = Connection::open(&ledger).expect("the ledger can be opened");
                connection.busy_timeout(Duration::from_secs(10)).expect("a time-out");
                connection.execute_batch("BEGIN IMMEDIATE").expect("the ledger can be locked");
                *lock.lock().unwrap() = Some(connection);
            }),
        )
    });
    held
}

/// Kills it once there are dead letters that the ledger, which we hold, cannot know of.
fn after_letters(load: &mut Load, typed: &Typed<'_>, held: &Held) {
    load.until("the ledger to be held", || held.lock().unwrap().is_some());
    let connection = held.lock().unwrap().take().expect("just seen");
    let bytes = || fs::metadata(typed.dead_letters()).map_or(0, |metadata| metadata.len());
    loop {
        // What it knows cannot change while we hold it. Letters are synced, and then it is waited for.
        let known = connection.query_row("SELECT max(dead_letters_bytes) FROM runs", [], |row| row.get::<_, i64>(0));
        let known = known.expect("a number").cast_unsigned();
        let since = Instant::now();
        load.until("dead letters", || bytes() > known || since.elapsed() > HELD_AT_MOST);
        if bytes() > known {
            break;
        }
        // Whatever waits for the ledger has no letters: let it be stored, and hold the ledger again.
        connection.execute_batch("ROLLBACK").expect("the lock can be let go");
        let last = version(&connection);
        load.until("a watermark", || version(&connection) != last);
        connection.execute_batch("BEGIN IMMEDIATE").expect("the ledger can be locked again");
    }
    load.signal(Signal::KILL);
}
