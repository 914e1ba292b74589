//! Runs that are killed or stopped, and gone on with.

use super::*;

#[test]
fn a_killed_run_goes_on_and_its_counts_add_up() {
    for packed in [false, true] {
        let mut random = fastrand::Rng::with_seed(42);
        let mut night = Night::new();
        for day in 1..4 {
            night.write(&format!("{day}.log"), lines(day, 0..100));
            if packed {
                night.compress(&format!("{day}.log"), &format!("{day}.log.gz"));
            }
        }
        night.load_killed(30);
        assert_eq!(night.ledger().runs().unwrap()[0].state, RunState::Killed);
        for _ in 0..5 {
            night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
            night.resume(random.u64(1..60));
            night.owner = Owner::me();
            let killed = night.ledger().run(1).unwrap();
            assert_eq!(killed.totals.counts.lines_read as usize, night.documents(), "{killed:?}");
        }
        let did = night.resume(TO_THE_END);
        assert_eq!((did.duplicate, night.documents()), (0, 300));
        let run = night.ledger().run(1).unwrap();
        assert_eq!((run.state, run.parts), (RunState::Complete, 7));
        let counts = run.totals.counts;
        assert_eq!((counts.lines_read, counts.indexed, counts.duplicate), (300, 300, 0));
        assert_eq!(run.totals.bytes_read, (1..4).map(|day| lines(day, 0..100).len() as u64).sum::<u64>());
        assert_eq!(night.load().counts(), (0, 0, 0));
    }
}

#[test]
fn lines_sent_after_the_last_stored_watermark_are_confirmed_on_resume_and_duplicate_elsewhere() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    // Sent and acknowledged, and the process died before the watermark was stored.
    let row = night.only_row();
    let run = night.ledger().run(1).unwrap();
    Sent { store: night.ledger().store }.raise(&[(row.id, lines(1, 0..60).len() as u64)]).unwrap();
    assert_eq!(run.state, RunState::Killed);
    let identity = night.cluster.lock().unwrap()["logs"].first().unwrap().0;
    let mut offset = lines(1, 0..40).len() as u64;
    for line in lines(1, 40..60).split_inclusive('\n') {
        let id = (identity, offset, line.trim_end().as_bytes().to_vec());
        night.cluster.lock().unwrap().get_mut("logs").unwrap().insert(id);
        offset += line.len() as u64;
    }
    let did = night.resume(TO_THE_END);
    assert_eq!((did.indexed, did.confirmed, did.duplicate, night.documents()), (60, 20, 0, 100));
    assert_eq!(night.ledger().run(1).unwrap().totals.counts.indexed, 100);
}

#[test]
fn what_others_have_sent_is_not_confirmed_on_resume() {
    // Loaded, and loaded again; the second load is killed, also before its first watermark.
    for kill_after in [1, 40] {
        let mut night = Night::new();
        night.write("a.log", lines(1, 0..100));
        night.load();
        night.spec.again = true;
        night.load_killed(kill_after);
        night.spec.again = false;
        let did = night.resume(TO_THE_END);
        assert_eq!((did.indexed, did.confirmed, did.duplicate), (0, 0, 100 - kill_after), "{did:?}");
        // Loaded by one run as far as it came and by another to the end.
        night.spec.again = true;
        night.load_killed(kill_after);
        night.spec.again = false;
        night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
        let run = night.ledger().begin(&night.spec).unwrap();
        night.haul(run, &night.listed(), false, 10);
        night.owner = Owner::me();
        assert_eq!(night.resume(TO_THE_END).confirmed, 0);
    }
    // Where equal lines have one id, it may be anybody's.
    let mut night = Night::new();
    night.spec.destination.id_mode = "content".into();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    let run = night.ledger().resume(&night.spec, None).unwrap();
    assert!(!night.chooser(&run, true).choose(night.source("a.log")).unwrap().start.unwrap().confirms.contains(&5000));
}

#[test]
fn a_run_is_not_complete_while_one_of_its_files_is_in_progress() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.write("b.log", lines(2, 0..100));
    night.load_killed(40);
    let run = night.ledger().resume(&night.spec, None).unwrap();
    night.haul(run, &["b.log".into()], true, TO_THE_END);
    assert_eq!(night.ledger().run(1).unwrap().state, RunState::Stopped);
    assert_eq!(night.resume(TO_THE_END).indexed, 60);
    assert_eq!(night.ledger().run(1).unwrap().state, RunState::Complete);
    // What is gone keeps no run from its end.
    night.write("c.log", lines(3, 0..100));
    night.load_killed(40);
    fs::remove_file(night.path("c.log")).unwrap();
    night.resume(TO_THE_END);
    assert_eq!(night.ledger().run(2).unwrap().state, RunState::Complete);
}

#[test]
fn a_plain_load_after_a_kill_goes_on_at_the_watermark_too() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    assert_eq!(night.load().counts(), (60, 0, lines(1, 40..100).len() as u64));
}

#[test]
fn resume_refuses_what_is_another_load() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    let resume = |night: &Night, id| night.ledger().resume(&night.spec, id).map(|run| run.id()).map_err(|e| e.message);
    assert!(resume(&night, None).unwrap_err().contains("no run of these sources"));
    assert!(resume(&night, Some(7)).unwrap_err().contains("there is no run 7"));
    night.load_killed(40);
    let spec = night.spec.clone();
    type Change = dyn Fn(&mut RunSpec);
    let refusals: &[(&str, &Change)] = &[
        ("--index \"logs\", not \"other\"", &|spec| spec.destination.index_pattern = "other".into()),
        ("--id \"source\", not \"none\"", &|spec| spec.destination.id_mode = "none".into()),
        ("other documents", &|spec| spec.destination.schema = "2".into()),
        ("another cluster", &|spec| spec.destination.cluster = "other".into()),
        ("--namespace", &|spec| spec.namespace = "other".into()),
    ];
    for (why, change) in refusals {
        change(&mut night.spec);
        assert!(resume(&night, None).unwrap_err().contains(why), "{why}");
        assert!(resume(&night, Some(1)).unwrap_err().contains(why), "{why}");
        night.spec = spec.clone();
    }
    night.spec.sources = vec!["elsewhere".into()];
    assert!(resume(&night, None).is_err());
    assert!(resume(&night, Some(1)).unwrap_err().contains("run 1 loads other sources (logs) than these (elsewhere)"));
    night.spec.sources = spec.sources.clone();
    assert_eq!(resume(&night, Some(1)), Ok(1));
    assert!(resume(&night, Some(1)).unwrap_err().contains("is at work as process"));
    night.spec = spec;
    night.write("b.log", lines(2, 0..1));
    night.load();
    assert!(resume(&night, Some(2)).unwrap_err().contains("complete"));
}

#[test]
fn the_claim_of_a_dead_process_is_taken_over() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let run = night.ledger().begin(&night.spec).unwrap();
    assert!(night.chooser(&run, false).choose(night.source("a.log")).unwrap().start.is_some());
    drop(run);
    night.owner = Owner::me();
    assert_eq!(night.load().counts(), (100, 0, lines(1, 0..100).len() as u64));
}

#[test]
fn malformed_lines_are_safe_before_the_watermark_and_cut_back_after_a_kill() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let path = run.path_beside("malformed");
    let malformed = LinesFile::open(&path, 1 << 20).unwrap();
    run.keep(Some((malformed.clone(), 0)), None).unwrap();
    malformed.write(b"{\"stored\"}\n").unwrap();
    night.haul(run, &night.listed(), false, 40);
    malformed.write(b"{\"behind the watermark\"}\n").unwrap();
    malformed.sync().unwrap();
    night.owner = Owner::me();
    let kept = night.ledger().run(1).unwrap().malformed.unwrap();
    assert_eq!((kept.path.as_path(), kept.bytes), (path.as_path(), 11));
    drop(LinesFile::open_cut_back(&kept.path, 1 << 20, kept.bytes).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"{\"stored\"}\n");
}

#[test]
fn what_a_named_file_held_before_the_run_stays() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..10));
    let path = night.path("state/letters.ndjson");
    night.load(); // makes the folder
    let before = format!("{}\n", serde_json::json!({"source": night.path("a.log"), "offset": 1_u64 << 40}));
    fs::write(&path, &before).unwrap();
    night.write("b.log", lines(2, 0..10));
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let letters = LinesFile::open(&path, u64::MAX).unwrap();
    run.keep(None, Some((letters.clone(), before.len() as u64))).unwrap();
    // Killed before its first watermark.
    letters.write(b"{\"source\":\"b.log\",\"offset\":0}\n").unwrap();
    letters.sync().unwrap();
    drop(run);
    night.owner = Owner::me();
    night.ledger().resume(&night.spec, None).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn a_stream_is_never_left_out_but_goes_on_when_its_run_does() {
    let night = Night::new();
    let stdin = || Source { place: Place::Stdin, named: true, source_name: None, start: None, entry: None };
    let dead = Ledger { owner: Owner { pid: u32::MAX >> 2, started: "gone".into() }, ..night.ledger() };
    let mut run = dead.begin(&night.spec).unwrap();
    assert_eq!(night.chooser(&run, false).choose(stdin()).unwrap().start, None);
    let file = OpenFile {
        id: 0,
        facts: facts("-".into(), [7; 8]),
        identity: [7; 8],
        first_line: Some(1),
        encoding: crate::pipeline::decode::Encoding::Gzip,
        start: None,
        object: None,
    };
    let mut report = FileReport::new("-");
    for offset in [100, 200] {
        report.counts.lines_read += 1;
        let counts = PrefixCounts { lines_read: offset / 100, ..PrefixCounts::default() };
        let mark = Mark { offset, tail: offset + 1, counts };
        run.store_every = Duration::ZERO;
        let progress = FileProgress {
            file: &file,
            watermark: &mark,
            whole_lines: &mark,
            report: &report,
            indices: &BTreeSet::new(),
        };
        run.progress(&Progress::Watermark(progress)).unwrap();
    }
    drop(run);
    let run = night.ledger().begin(&night.spec).unwrap();
    assert_eq!(night.chooser(&run, false).choose(stdin()).unwrap().start, None, "a new load reads all of it");
    let run = night.ledger().resume(&night.spec, Some(1)).unwrap();
    let start = night.chooser(&run, true).choose(stdin()).unwrap().start.unwrap();
    assert_eq!((start.identity, start.first_line, start.confirms.contains(&200)), ([7; 8], 1, true));
    assert_eq!((start.mark.offset, start.mark.tail, start.mark.counts.lines_read), (200, 201, 2));
    assert_eq!(run.totals().counts.lines_read, 2);
}

#[test]
fn a_load_with_again_is_gone_on_with_as_such() {
    for kill_after in [1, 130] {
        let mut night = Night::new();
        for day in 1..4 {
            night.write(&format!("{day}.log"), lines(day, 0..100));
        }
        night.load();
        night.spec.again = true;
        night.load_killed(kill_after);
        night.spec.again = false; // --resume is typed without it
        let did = night.resume(TO_THE_END);
        assert_eq!((did.indexed, did.duplicate), (0, 300 - kill_after), "{did:?}");
        let run = night.ledger().run(2).unwrap();
        assert_eq!((run.state, run.totals.counts.duplicate, run.totals.loaded), (RunState::Complete, 300, 3));
        // And a plain load is a plain load.
        assert_eq!(night.load().counts(), (0, 0, 0));
    }
}

/// Documents of `a.log` that are in the cluster without the ledger's knowing, from line `range.start` on.
fn put(night: &Night, range: std::ops::Range<u32>) {
    let mut cluster = night.cluster.lock().unwrap();
    let documents = cluster.get_mut("logs").unwrap();
    let identity = documents.first().unwrap().0;
    let mut offset = lines(1, 0..range.start).len() as u64;
    for line in lines(1, range).split_inclusive('\n') {
        documents.insert((identity, offset, line.trim_end().as_bytes().to_vec()));
        offset += line.len() as u64;
    }
}

/// Documents of `a.log` up to line `end` were handed out for sending.
fn sent_up_to(night: &Night, end: u32) {
    let row = night.only_row();
    Sent { store: night.ledger().store }.raise(&[(row.id, lines(1, 0..end).len() as u64)]).unwrap();
}

#[test]
fn only_what_this_run_has_sent_itself_is_confirmed() {
    // Somebody without a ledger has loaded all of it, after this run was killed.
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    sent_up_to(&night, 60);
    put(&night, 40..100);
    let did = night.resume(TO_THE_END);
    assert_eq!((did.indexed, did.confirmed, did.duplicate), (20, 20, 40), "{did:?}");

    // Killed; gone on with by another run, which is killed, too; and that one is gone on with.
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load_killed(40);
    sent_up_to(&night, 60);
    put(&night, 40..60);
    night.load_killed(10); // up to line 50
    sent_up_to(&night, 80);
    put(&night, 60..80);
    let did = night.resume(TO_THE_END);
    // 50..60 were sent by the first run, 60..80 by the second itself.
    assert_eq!((did.indexed, did.confirmed, did.duplicate), (40, 20, 10), "{did:?}");
    // Killed once more: what it had sent stays its own.
    assert_eq!(night.documents(), 100);
}

#[test]
fn what_was_sent_under_the_same_identity_before_is_not_confirmed() {
    // Written anew under the same first line, of the same lines and more; and killed.
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..50));
    night.load();
    night.write("a.log", lines(1, 0..20) + &lines(2, 0..50));
    night.load_killed(5);
    let did = night.resume(TO_THE_END);
    assert_eq!((did.confirmed, did.duplicate, did.indexed), (0, 15, 50), "{did:?}");
}

#[test]
fn a_stream_that_was_stopped_before_its_first_watermark_begins_anew_and_comes_to_its_end() {
    for told in [false, true] {
        let night = Night::new();
        let stdin = || Source { place: Place::Stdin, named: true, source_name: None, start: None, entry: None };
        let dead = Ledger { owner: Owner { pid: u32::MAX >> 2, started: "gone".into() }, ..night.ledger() };
        let mut run = dead.begin(&night.spec).unwrap();
        let file = |start| OpenFile {
            id: 0,
            facts: facts("-".into(), [7; 8]),
            identity: [7; 8],
            first_line: Some(1),
            encoding: crate::pipeline::decode::Encoding::Plain,
            start,
            object: None,
        };
        let tell = |run: &mut Run, file: &OpenFile, lines_read: u64, status: FileStatus| {
            let mut report = FileReport::new("-");
            report.counts.lines_read = lines_read;
            report.counts.tally.blank = lines_read;
            report.status = status;
            let counts = PrefixCounts { lines_read, blank: lines_read, ..PrefixCounts::default() };
            let mark = if lines_read > 0 { Mark { offset: 100, tail: 101, counts } } else { Mark::default() };
            let indices = BTreeSet::new();
            let progress =
                FileProgress { file, watermark: &mark, whole_lines: &mark, report: &report, indices: &indices };
            run.progress(&Progress::Done(progress)).unwrap();
        };
        if told {
            // Stopped in order, with nothing settled; else killed, with nothing stored.
            tell(&mut run, &file(None), 0, FileStatus::Stopped);
            run.store().unwrap();
        }
        drop(run);
        let mut run = night.ledger().resume(&night.spec, None).unwrap();
        let source = night.chooser(&run, true).choose(stdin()).unwrap();
        assert_eq!((source.place, source.start), (Place::Stdin, None), "{told}");
        tell(&mut run, &file(None), 5, FileStatus::Loaded);
        let mut report = Report::new(1.0, None);
        report.sources.named = 1;
        run.finish(&report).unwrap();
        let run = night.ledger().run(1).unwrap();
        assert_eq!((run.state, run.totals.counts.lines_read), (RunState::Complete, 5), "{told}");
    }
}

/// A run that keeps its dead letters in `path` and is killed: letters of `a.log`, one for each line before `stored` and,
/// behind what the ledger knows, before `written`.
fn killed_with_letters(night: &mut Night, path: &Path, stored: u64, written: u64) {
    night.owner = Owner { pid: u32::MAX >> 2, started: "gone".into() };
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let letters = LinesFile::open_behind(path, u64::MAX).unwrap();
    let from = letters.sync().unwrap();
    run.keep(None, Some((letters.clone(), from))).unwrap();
    let before = night.cluster.lock().unwrap().values().map(BTreeSet::len).sum::<usize>() as u32;
    for n in before..before + stored as u32 {
        letters.write(letter(night, n).as_bytes()).unwrap();
    }
    night.haul(run, &night.listed(), false, stored);
    for n in before + stored as u32..before + written as u32 {
        letters.write(letter(night, n).as_bytes()).unwrap();
    }
    letters.sync().unwrap();
    night.owner = Owner::me();
}

fn letter(night: &Night, n: u32) -> String {
    let (source, offset) = (night.path("a.log"), lines(1, 0..n).len());
    format!("{}\n", serde_json::json!({"source": source, "offset": offset}))
}

#[test]
fn dead_letters_in_a_file_that_several_runs_share_are_there_once() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    let path = night.path("state/letters.ndjson");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let all = |night: &Night, range: std::ops::Range<u32>| range.map(|n| letter(night, n)).collect::<String>();
    // Not our run's, and about the same line.
    let foreign = letter(&night, 30);
    fs::write(&path, &foreign).unwrap();
    killed_with_letters(&mut night, &path, 20, 25);
    assert_eq!(fs::read_to_string(&path).unwrap(), foreign.clone() + &all(&night, 0..25));

    // A load of its own goes on at the watermark and meets lines 20 to 24 again.
    night.ledger().cut_back_others(&night.spec, Beside::DeadLetters, &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), foreign.clone() + &all(&night, 0..20));
    killed_with_letters(&mut night, &path, 10, 12);
    assert_eq!(fs::read_to_string(&path).unwrap(), foreign.clone() + &all(&night, 0..32));

    // The first run is gone on with: what the second has settled is still kept, whoever cuts.
    drop(night.ledger().resume(&night.spec, Some(1)).unwrap());
    assert!(fs::read_to_string(&path).unwrap().starts_with(&(foreign.clone() + &all(&night, 0..30))));
    night.ledger().store.write(Safe::OnDisk, |t| Ok(t.execute("UPDATE runs SET state = 'failed'", [])?)).unwrap();
    drop(night.ledger().resume(&night.spec, Some(2)).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), foreign + &all(&night, 0..30));
}

#[test]
fn what_a_later_run_has_added_to_a_shared_file_survives_an_earlier_one_that_goes_on() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    let path = night.path("state/letters.ndjson");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    killed_with_letters(&mut night, &path, 20, 25);
    // Another load, to another place, adds letters of its own, and comes to its end.
    let mut elsewhere = night.spec.clone();
    elsewhere.destination.index_pattern = "elsewhere".into();
    let mut run = night.ledger().begin(&elsewhere).unwrap();
    let letters = LinesFile::open_behind(&path, u64::MAX).unwrap();
    let from = letters.sync().unwrap();
    run.keep(None, Some((letters.clone(), from))).unwrap();
    letters.write(letter(&night, 90).as_bytes()).unwrap();
    letters.sync().unwrap();
    run.finish(&Report::new(1.0, None)).unwrap();

    let resumed = night.ledger().resume(&night.spec, Some(1)).unwrap();
    let expected = (0..20).map(|n| letter(&night, n)).collect::<String>() + &letter(&night, 90);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    let kept = night.ledger().run(resumed.id()).unwrap().dead_letters.unwrap();
    assert_eq!(kept.bytes, expected.len() as u64, "it adds behind them");
}
