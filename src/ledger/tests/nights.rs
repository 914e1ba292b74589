//! What becomes of logs between two loads: they grow, are renamed, packed, cut, copied, damaged.

use super::*;

#[test]
fn what_has_not_changed_is_left_out() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.write("b.log", lines(2, 0..50));
    night.compress("b.log", "b.log.gz");
    night.write("empty.log", "");
    let did = night.load();
    assert_eq!((did.indexed, did.duplicate, night.documents()), (150, 0, 150));
    let did = night.load();
    assert_eq!(did.counts(), (0, 0, 0));
    for (file, status) in &did.files {
        assert!(status.starts_with("skipped: run 1 has loaded it"), "{file}: {status}");
    }
    // Touched, and nothing more.
    night.write("a.log", lines(1, 0..100));
    assert_eq!(night.load().status("a.log"), "skipped: run 1 has loaded it, and it has not changed since");
    assert_eq!(night.documents(), 150);
}

#[test]
fn the_nights_of_logrotate() {
    let night = Night::new();
    let mut all = 0;
    night.write("access.log", lines(1, 0..200));
    all += 200;
    assert_eq!(night.load().indexed, 200);
    // It grows, also in the middle of a line.
    night.append("access.log", lines(1, 200..250));
    let half = lines(1, 250..251);
    night.append("access.log", &half[..20]);
    all += 50;
    assert_eq!(night.load().counts(), (50, 0, lines(1, 200..250).len() as u64));
    assert_eq!(night.load().counts(), (0, 0, 0));
    night.append("access.log", &half[20..]);
    all += 1;
    assert_eq!(night.load().counts(), (1, 0, half.len() as u64));
    // Rotated, with a last line that nobody saw; a new one begins.
    night.append("access.log", lines(1, 251..260));
    night.rename("access.log", "access.log.1");
    night.write("access.log", lines(2, 0..30));
    all += 39;
    assert_eq!(night.load().counts(), (39, 0, (lines(1, 251..260).len() + lines(2, 0..30).len()) as u64));
    // Rotated and compressed, night by night.
    for day in 3..9 {
        for n in (2..day).rev() {
            if night.path(&format!("access.log.{n}.gz")).exists() {
                night.rename(&format!("access.log.{n}.gz"), &format!("access.log.{}.gz", n + 1));
            }
        }
        night.compress("access.log.1", "access.log.2.gz");
        night.append("access.log", lines(day - 1, 30..35));
        night.rename("access.log", "access.log.1");
        night.write("access.log", lines(day, 0..30));
        all += 35;
        let did = night.load();
        let new = (lines(day - 1, 30..35).len() + lines(day, 0..30).len()) as u64;
        assert_eq!(did.counts(), (35, 0, new), "day {day}: {did:?}");
        assert_eq!(night.documents(), all);
    }
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn rotated_and_compressed_at_once_with_the_old_and_the_new_in_one_list() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..300));
    night.load();
    night.append("access.log", lines(1, 300..310));
    night.compress("access.log", "access.log.1.gz");
    night.write("access.log", lines(2, 0..10));
    let did = night.load();
    assert_eq!(did.counts(), (20, 0, (lines(1, 300..310).len() + lines(2, 0..10).len()) as u64));
    assert_eq!(night.documents(), 320);
}

#[test]
fn copytruncate() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..100));
    night.load();
    night.append("access.log", lines(1, 100..120));
    fs::copy(night.path("access.log"), night.path("access.log.1")).unwrap();
    night.write("access.log", lines(2, 0..10));
    let did = night.load();
    assert_eq!(did.counts(), (30, 0, (lines(1, 100..120).len() + lines(2, 0..10).len()) as u64), "{did:?}");
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn rewritten_under_the_same_first_line() {
    let first = lines(1, 0..1);
    for (what, rest) in [
        ("larger", lines(2, 1..300)),
        ("equal", lines(2, 1..100)),
        ("smaller", lines(2, 1..20)),
        ("a prefix", lines(1, 1..20)),
        ("only the first line", String::new()),
    ] {
        let night = Night::new();
        night.write("a.log", first.clone() + &lines(1, 1..100));
        night.load();
        night.write("a.log", first.clone() + &rest);
        let did = night.load();
        let count = rest.lines().count() as u64;
        let same = if what == "a prefix" { count } else { 0 };
        assert_eq!((did.indexed, did.duplicate), (count - same, 1 + same), "{what}");
        assert_eq!(night.documents() as u64, 100 + count - same, "{what}");
        assert_eq!(night.load().counts(), (0, 0, 0), "{what}");
        // It goes on from there as any other.
        night.append("a.log", lines(3, 0..5));
        assert_eq!(night.load().counts(), (5, 0, lines(3, 0..5).len() as u64), "{what}");
    }
}

#[test]
fn equal_first_lines_and_copies_are_sources_of_their_own() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..1) + &lines(2, 0..50));
    night.write("b.log", lines(1, 0..1) + &lines(3, 0..60));
    assert_eq!(night.load().indexed, 51 + 61);
    fs::copy(night.path("a.log"), night.path("copy.log")).unwrap();
    let did = night.load();
    assert_eq!(did.counts(), (51, 0, fs::metadata(night.path("copy.log")).unwrap().len()), "{did:?}");
    assert_eq!(night.load().counts(), (0, 0, 0));
    // The copy of a file that has grown since, and the original, are still two.
    night.append("a.log", lines(4, 0..5));
    night.append("copy.log", lines(5, 0..6));
    assert_eq!(night.load().indexed, 11);
    // A log beside its compressed twin (gzip -k) is one source.
    night.write("kept.log", lines(6, 0..40));
    night.load();
    let packed = Night::new();
    packed.write("kept.log", lines(6, 0..40));
    packed.compress("kept.log", "kept.log.gz");
    fs::copy(packed.path("kept.log.gz"), night.path("kept.log.gz")).unwrap();
    let before = night.documents();
    assert_eq!(night.load().status("kept.log.gz"), "skipped: run 5 has loaded it, and it has not changed since");
    assert_eq!(night.documents(), before);
    // Also when the log had another name when it was loaded, and is packed under its new one.
    night.rename("kept.log", "kept.log.1");
    fs::rename(night.path("kept.log.gz"), night.path("kept.log.1.gz")).unwrap();
    assert_eq!(night.load().indexed, 0);
    assert_eq!(night.documents(), before);
    // Also when both are new.
    packed.write("kept.log", lines(6, 0..40));
    packed.load();
    assert_eq!(packed.documents(), 40);
    assert_eq!(packed.load().indexed, 0);
}

/// Lines that gzip cannot shrink much, so that half a packed file holds about half of them.
fn dense(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("{n} {}\n", fastrand::Rng::with_seed(n).u64(..))).collect()
}

#[test]
fn a_log_that_is_being_packed_holds_nothing_new() {
    for (original_is_there, ending) in [(true, "half"), (true, "whole"), (false, "half"), (false, "damaged")] {
        let what = format!("{original_is_there} {ending}");
        let night = Night::new();
        night.write("access.log", dense(0..400));
        night.load();
        // Renamed and packed in one night; a new log begins.
        night.rename("access.log", "access.log.1");
        night.write("packing", dense(0..400));
        night.compress("packing", "packing.gz");
        let packed = fs::read(night.path("packing.gz")).unwrap();
        fs::remove_file(night.path("packing.gz")).unwrap();
        night.write("access.log", lines(2, 0..10));
        let mut part = packed.clone();
        match ending {
            "half" => part.truncate(packed.len() / 2),
            "damaged" => part[packed.len() / 2..].fill(0xff),
            _ => {}
        }
        night.write("access.log.1.gz", part);
        if !original_is_there {
            fs::remove_file(night.path("access.log.1")).unwrap();
        }
        let did = night.load();
        assert_eq!((did.indexed, night.documents()), (10, 410), "{what}: {did:?}");
        // gzip comes to its end.
        let _ = fs::remove_file(night.path("access.log.1"));
        night.write("access.log.1.gz", &packed);
        assert_eq!(night.load().counts(), (0, 0, 0), "{what}");
        assert_eq!(night.documents(), 410, "{what}");
    }
}

#[test]
fn a_stop_during_the_look_into_a_packed_log_makes_nothing_new_of_it() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..300));
    night.load();
    night.compress("access.log", "access.log.1.gz");
    let run = night.ledger().begin(&night.spec).unwrap();
    let stop = Arc::new(Stop::new());
    let there: AskIndex = Box::new(|_| Ok(IndexNow::There(None)));
    let chooser = run.chooser(&night.spec, false, there, &stop).unwrap();
    stop.raise(crate::pipeline::stop::Reason::Failed(Error::stopped("enough")));
    let sources = vec![night.source("access.log.1.gz")].into_iter();
    assert_eq!(
        crate::commands::only_new::OnlyNew::new(sources, chooser, Arc::clone(&stop))
            .filter_map(Undecided::decide)
            .count(),
        0
    );
    run.finish(&Report::new(0.1, None)).unwrap();
    assert_eq!(night.load().counts(), (0, 0, 0));
    assert_eq!(night.documents(), 300);
}

#[test]
fn a_row_of_which_nothing_is_settled_gives_way_to_a_predecessor() {
    let night = Night::new();
    night.write("access.log", lines(1, 0..300));
    night.load();
    night.compress("access.log", "access.log.1.gz");
    // A run that took it for new, and ended before its first watermark.
    let run = night.ledger().begin(&night.spec).unwrap();
    let mut chooser = night.chooser(&run, false);
    chooser.rows_before = 0;
    let start = chooser.choose(night.source("access.log.1.gz")).unwrap().start.unwrap();
    assert_eq!(start.mark.offset, 0);
    drop(run);
    night.ledger().store.write(Safe::OnDisk, |t| Ok(t.execute("UPDATE runs SET state = 'failed'", [])?)).unwrap();
    assert_eq!(night.load().counts(), (0, 0, 0));
    assert_eq!(night.documents(), 300);
}

#[test]
fn a_last_line_that_was_taken_too_early_is_loaded_again_when_it_has_grown() {
    let mut night = Night::new();
    night.end_is_certain = true;
    let text = lines(1, 0..10);
    night.write("a.log", &text[..text.len() - 4]);
    assert_eq!(night.load().indexed, 10);
    assert_eq!(night.load().counts(), (0, 0, 0));
    // Compressed as it was it is the same.
    night.compress("a.log", "a.log.gz");
    assert_eq!(night.load().counts(), (0, 0, 0));
    fs::remove_file(night.path("a.log.gz")).unwrap();
    night.write("a.log", text.clone() + &lines(1, 10..12));
    let did = night.load();
    assert_eq!(did.counts(), (3, 0, lines(1, 9..12).len() as u64));
    let ids = night.cluster.lock().unwrap();
    let documents: Vec<&str> = ids["logs"].iter().map(|(_, _, line)| std::str::from_utf8(line).unwrap()).collect();
    for line in (text + &lines(1, 10..12)).lines() {
        assert_eq!(documents.iter().filter(|document| **document == line).count(), 1, "{line}");
    }
}

#[test]
fn damaged_files_are_tried_again_when_they_have_changed() {
    let night = Night::new();
    let text: String = (0..400).map(|n| format!("{n} {}\n", fastrand::Rng::with_seed(n).u64(..))).collect();
    night.write("a.log", &text);
    night.compress("a.log", "a.gz");
    let packed = fs::read(night.path("a.gz")).unwrap();
    night.write("a.gz", &packed[..packed.len() / 2]);
    let did = night.load();
    assert!(did.status("a.gz").starts_with("damaged"), "{did:?}");
    assert!(did.indexed > 10 && did.indexed < 390, "{did:?}");
    let again = night.load();
    assert!(again.status("a.gz").contains("it has not changed since"), "{again:?}");
    night.write("a.gz", &packed);
    assert_eq!(night.load().counts(), (400 - did.indexed, 0, text.len() as u64 - did.bytes_read));
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn a_packed_log_that_is_damaged_before_what_was_loaded_is_told_once() {
    let mut night = Night::new();
    night.write("access.log", dense(0..400));
    night.load();
    night.compress("access.log", "access.log.1.gz");
    let packed = fs::read(night.path("access.log.1.gz")).unwrap();
    night.write("access.log.1.gz", &packed[..packed.len() / 2]);
    let first = night.load();
    assert!(first.status("access.log.1.gz").starts_with("damaged"), "{first:?}");
    assert!(first.duplicate > 10 && first.indexed == 0, "{first:?}");
    // Nobody touches it: it is not read, and not a failure, night by night.
    for _ in 0..2 {
        let did = night.load();
        let status = did.status("access.log.1.gz");
        assert!(status.starts_with("skipped: run 2 has found it damaged at byte "), "{status}");
        assert!(status.ends_with("it has not changed since, and run 1 has loaded what it holds"), "{status}");
        assert_eq!(did.counts(), (0, 0, 0));
    }
    // Renamed it is still the same.
    night.rename("access.log.1.gz", "access.log.2.gz");
    assert!(night.load().status("access.log.2.gz").starts_with("skipped: run 2 has found it damaged"));
    // Asked for, it is read again.
    night.spec.again = true;
    assert!(night.load().status("access.log.2.gz").starts_with("damaged"));
    night.spec.again = false;
    assert!(night.load().status("access.log.2.gz").contains("has found it damaged"));
    // Where its documents are gone, too.
    let documents = night.cluster.lock().unwrap().remove("logs").unwrap();
    let did = night.load();
    assert!(did.status("access.log.2.gz").starts_with("damaged") && did.indexed > 10, "{did:?}");
    night.cluster.lock().unwrap().insert("logs".into(), documents);
    // Mended, it is what it was.
    night.write("access.log.2.gz", &packed);
    let mended = night.load();
    assert_eq!((mended.status("access.log.2.gz"), mended.indexed, night.documents()), ("loaded", 0, 400), "{mended:?}");
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn sources_are_looked_at_side_by_side() {
    // What is found out about one while another takes what it is found to be no longer holds.
    let night = Night::new();
    night.write("access.log", dense(0..3000));
    night.load();
    night.compress("access.log", "access.log.1.gz");
    let names: Vec<String> = (1..9).map(|n| format!("access.log.{n}.gz")).collect();
    for name in &names[1..] {
        fs::copy(night.path(&names[0]), night.path(name)).unwrap();
    }
    let run = night.ledger().begin(&night.spec).unwrap();
    let chooser = night.chooser(&run, false);
    let starts: Vec<Source> = std::thread::scope(|scope| {
        let chosen: Vec<_> =
            names.iter().map(|name| scope.spawn(|| chooser.choose(night.source(name)).unwrap())).collect();
        chosen.into_iter().map(|chosen| chosen.join().unwrap()).collect()
    });
    // One is what was loaded, and whoever that is, the others are copies: sources of their own.
    let known = starts.iter().filter(|source| matches!(source.place, Place::Skipped(..))).count();
    let identities: BTreeSet<[u8; 8]> = starts.iter().filter_map(|s| Some(s.start.as_ref()?.identity)).collect();
    assert_eq!((known, identities.len()), (1, 7), "{starts:?}");
}

/// Random nights: whatever happens to the logs between two loads, and wherever loads are killed, in the end each line is
/// there once, and no line is parsed by two loads that came to their end.
#[test]
fn any_nights() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut night = Night::new();
        let (mut day, mut n, mut parsed) = (1, 0, 0);
        let mut written = String::new();
        let mut killed = false;
        let mut story = Vec::new();
        night.write("access.log", "");
        for _ in 0..40 {
            let what = random.u32(0..100);
            story.push(what);
            match what {
                0..40 => {
                    let new = lines(day, n..n + random.u32(1..40));
                    n += new.lines().count() as u32;
                    night.append("access.log", &new);
                    written += &new;
                }
                40..55 => {
                    for generation in (1..40).rev() {
                        for suffix in ["", ".gz"] {
                            let from = format!("access.log.{generation}{suffix}");
                            if night.path(&from).exists() {
                                night.rename(&from, &format!("access.log.{}{suffix}", generation + 1));
                            }
                        }
                    }
                    if random.bool() {
                        night.rename("access.log", "access.log.1");
                    } else {
                        fs::copy(night.path("access.log"), night.path("access.log.1")).unwrap();
                    }
                    night.write("access.log", "");
                    (day, n) = (day + 1, 0);
                }
                55..65 => {
                    let name = format!("access.log.{}", random.u32(1..4));
                    if night.path(&name).exists() {
                        night.compress(&name, &format!("{name}.gz"));
                    }
                }
                65..75 => {
                    night.load_killed(random.u64(1..60));
                    killed = true;
                }
                _ => {
                    let resumed = night.ledger().resume(&night.spec, None).ok();
                    let resumes = resumed.is_some();
                    let run = resumed.unwrap_or_else(|| night.ledger().begin(&night.spec).unwrap());
                    parsed += night.haul(run, &night.listed(), resumes, TO_THE_END).bytes_read;
                }
            }
        }
        parsed += night.load().bytes_read;
        let mut expected: Vec<&str> = written.lines().collect();
        let cluster = night.cluster.lock().unwrap();
        let mut documents: Vec<&str> =
            cluster["logs"].iter().map(|(_, _, line)| std::str::from_utf8(line).unwrap()).collect();
        expected.sort_unstable();
        documents.sort_unstable();
        let lost = expected.iter().find(|line| documents.binary_search(line).is_err());
        assert!(documents == expected, "seed {seed}: {} of {}, {lost:?}, {story:?}", documents.len(), expected.len());
        assert!(killed || parsed == written.len() as u64, "seed {seed}: parsed {parsed} of {}", written.len());
    }
}

#[test]
fn a_file_that_changes_between_the_look_and_the_read_is_not_taken_for_the_old_one() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load();
    night.append("a.log", lines(1, 100..110));
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let source = night.chooser(&run, false).choose(night.source("a.log")).unwrap();
    for other in [lines(2, 0..200), lines(1, 0..1) + &lines(2, 0..200), lines(1, 0..20)] {
        night.write("a.log", other);
        let report = night.read(0, &source, &mut run, &mut u64::MAX.clone());
        assert!(report.status.why().is_some_and(|why| why.contains("not what was loaded before")), "{report:?}");
    }
}
