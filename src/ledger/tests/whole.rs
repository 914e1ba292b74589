//! Destinations, neighbours, and the ledger as a whole.

use super::*;

#[test]
fn another_place_or_name_is_loaded_in_full_and_a_deleted_index_again() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load();
    let bytes = lines(1, 0..100).len() as u64;
    let mut change = |what: &str, change: &dyn Fn(&mut RunSpec), indexed: u64| {
        let before = night.spec.clone();
        change(&mut night.spec);
        night.index = format!("logs {what}");
        assert_eq!(night.load().counts(), (indexed, 0, bytes), "{what}");
        assert_eq!(night.load().counts(), (0, 0, 0), "{what}");
        night.spec = before;
    };
    change("cluster", &|spec| spec.destination.cluster = "other".into(), 100);
    change("index", &|spec| spec.destination.index_pattern = "other".into(), 100);
    change("id", &|spec| spec.destination.id_mode = "none".into(), 100);
    change("schema", &|spec| spec.destination.schema = "2".into(), 100);
    change("pipeline", &|spec| spec.destination.pipeline = "geo".into(), 100);
    change("namespace", &|spec| spec.namespace = "host".into(), 100);
    change("source name", &|spec| spec.source_name = Some("web".into()), 100);
    night.index = "logs".into();
    assert_eq!(night.load().counts(), (0, 0, 0));
    night.cluster.lock().unwrap().remove("logs");
    assert_eq!(night.load().counts(), (100, 0, bytes));
    // Also when it has grown, and when it was renamed.
    night.append("a.log", lines(1, 100..110));
    night.rename("a.log", "b.log");
    night.cluster.lock().unwrap().remove("logs");
    assert_eq!(night.load().indexed, 110);
    night.spec.again = true;
    assert_eq!((night.load().duplicate, night.load().indexed), (110, 0));
    night.spec.again = false;
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn an_index_that_took_nothing_need_not_be_there() {
    let night = Night::new();
    night.write("a.log", lines(1, 0..10));
    let mut run = night.ledger().begin(&night.spec).unwrap();
    let source = night.chooser(&run, false).choose(night.source("a.log")).unwrap();
    let start = source.start.unwrap();
    let file = OpenFile {
        id: 0,
        facts: facts("a.log".into(), start.identity),
        identity: start.identity,
        first_line: Some(start.first_line),
        encoding: crate::pipeline::decode::Encoding::Plain,
        start: Some(start),
        object: None,
    };
    let mut report = FileReport::new("a.log");
    report.status = FileStatus::Loaded;
    // Addressed to an index, and dropped by a pipeline.
    report.counts.indices.insert("nowhere".into(), 10);
    let text = lines(1, 0..10);
    let end = crate::pipeline::tail::end_of(text.as_bytes());
    let mark = Mark { offset: text.len() as u64, tail: end.hash, counts: PrefixCounts::default() };
    let indices = BTreeSet::new();
    let progress =
        FileProgress { file: &file, watermark: &mark, whole_lines: &mark, report: &report, indices: &indices };
    run.progress(&Progress::Done(progress)).unwrap();
    run.finish(&Report::new(0.1, None)).unwrap();
    assert_eq!(night.load().counts(), (0, 0, 0));
}

#[test]
fn two_at_once_on_one_ledger() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.write("b.log", lines(2, 0..100));
    let (first, second) = (night.ledger(), night.ledger());
    let run = first.begin(&night.spec).unwrap();
    let chooser = night.chooser(&run, false);
    assert!(chooser.choose(night.source("a.log")).unwrap().start.is_some());

    let did = night.haul(second.begin(&night.spec).unwrap(), &night.listed(), false, TO_THE_END);
    let pid = std::process::id();
    assert_eq!(did.status("a.log"), format!("failed: process {pid} is loading it to the same place right now"));
    assert_eq!((did.status("b.log"), did.indexed), ("loaded", 100));
    // Under another name it is the same file; in another place another load.
    fs::hard_link(night.path("a.log"), night.path("link.log")).unwrap();
    let did = night.load();
    assert!(did.status("link.log").starts_with("failed: process"), "{did:?}");
    night.spec.destination.index_pattern = "other".into();
    assert_eq!(night.load().status("a.log"), "loaded");
    night.spec.destination.index_pattern = "logs".into();
    // At its end it lets go.
    run.finish(&Report::new(0.1, None)).unwrap();
    assert_eq!(night.load().status("a.log"), "loaded");
}

#[test]
fn twenty_thousand_small_files_are_few_transactions() {
    let night = Night::new();
    let mut run = night.ledger().begin(&night.spec).unwrap();
    for id in 0..20_000_u32 {
        let file = OpenFile {
            id,
            facts: facts(id.to_string(), [0; 8]),
            identity: u64::from(id).to_be_bytes(),
            first_line: Some(1),
            encoding: crate::pipeline::decode::Encoding::Plain,
            start: None,
            object: None,
        };
        let mut report = FileReport::new(id.to_string());
        report.status = FileStatus::Loaded;
        let mark = Mark::default();
        let progress = FileProgress {
            file: &file,
            watermark: &mark,
            whole_lines: &mark,
            report: &report,
            indices: &BTreeSet::new(),
        };
        run.progress(&Progress::Done(progress)).unwrap();
    }
    run.store().unwrap();
    assert!(run.transactions < 100, "{}", run.transactions);
    let mut complete = 0;
    let count = |file: FileRecord| {
        complete += u32::from(file.state == FileState::Complete);
        Ok(())
    };
    night.ledger().files(1, count).unwrap();
    assert_eq!(complete, 20_000);
}

#[test]
fn runs_are_listed_shown_and_forgotten() {
    let mut night = Night::new();
    night.write("a\x1b[31m.log", lines(1, 0..1234));
    night.load();
    night.load_killed(1);
    let ledger = night.ledger();
    let told = |tell: &dyn Fn(&mut Vec<u8>) -> Result<()>| {
        let mut output = Vec::new();
        tell(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    };
    let table = told(&|output| crate::commands::runs::list(&ledger, false, output));
    assert!(table.lines().nth(1).unwrap().starts_with("2    complete") || table.contains("killed"), "{table}");
    assert!(table.contains("1,234"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&told(&|output| crate::commands::runs::list(&ledger, true, output))).unwrap();
    assert_eq!(json["runs"][1]["totals"]["indexed"], 1234, "{json}");
    let shown = told(&|output| crate::commands::runs::show(&ledger, 1, false, output));
    assert!(shown.contains("1,234 read = 1,234 indexed") && !shown.contains('\x1b'), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&told(&|output| crate::commands::runs::show(&ledger, 1, true, output))).unwrap();
    assert_eq!((&json["files"][0]["state"], &json["files"][0]["lines_read"]), (&"complete".into(), &1234.into()));
    assert!(ledger.run(1).unwrap().totals.loaded == 1);

    ledger.forget(1).unwrap();
    assert!(ledger.run(1).is_err());
    assert_eq!(night.load().duplicate, 1234, "what is forgotten counts as not loaded");
    assert_eq!(ledger.forget_older_than(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(ledger.forget_older_than(Duration::ZERO).unwrap(), 2);
    assert!(ledger.runs().unwrap().is_empty());
    assert_eq!(
        HashSet::<i64>::from([night.ledger().begin(&night.spec).unwrap().id()]),
        HashSet::from([4]),
        "no number twice"
    );
}

#[test]
fn a_cluster_without_a_uuid_is_known_by_any_of_its_urls() {
    let night = Night::new();
    let ledger = night.ledger();
    let cluster = |uuid: Option<&str>, urls: &[&str]| {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        ledger.cluster(uuid, &urls).unwrap()
    };
    assert_eq!(cluster(None, &["http://b", "http://a"]), "http://a");
    // Any part of them, and others beside them, whatever their order.
    assert_eq!(cluster(None, &["http://b"]), "http://a");
    assert_eq!(cluster(None, &["http://0", "http://b"]), "http://a");
    assert_eq!(cluster(None, &["http://0"]), "http://a");
    assert_eq!(cluster(None, &["http://x"]), "http://x");
    // Somebody who may ask has loaded there, too: then others know it by that.
    assert_eq!(cluster(Some("uuid"), &["http://c", "http://d"]), "uuid");
    assert_eq!(cluster(None, &["http://d"]), "uuid");
    // Another cluster has moved in.
    assert_eq!(cluster(Some("other"), &["http://d"]), "other");
    assert_eq!(cluster(None, &["http://d"]), "other");
    assert_eq!(cluster(None, &["http://c"]), "uuid");
}

#[test]
fn a_destination_from_before_urls_were_kept_is_found_by_its_url() {
    let mut night = Night::new();
    night.spec.destination.cluster = "http://a".into();
    night.write("a.log", lines(1, 0..10));
    night.load();
    let urls = ["http://0".to_owned(), "http://a".to_owned()];
    assert_eq!(night.ledger().cluster(None, &urls).unwrap(), "http://a");
}

/// Deleted and made anew by the next document, an index has its name again, and nothing of what it held.
#[test]
fn an_index_that_was_made_anew_is_another() {
    let mut night = Night::new();
    night.index_uuid = Some("first".into());
    night.write("a.log", lines(1, 0..100));
    night.load();
    assert_eq!(night.load().counts(), (0, 0, 0));
    night.index_uuid = Some("second".into());
    night.cluster.lock().unwrap().get_mut("logs").unwrap().clear();
    assert_eq!(night.load().indexed, 100);
    assert_eq!(night.load().counts(), (0, 0, 0));
    // Who may not ask any more takes it for the same.
    night.index_uuid = None;
    assert_eq!(night.load().counts(), (0, 0, 0));
    // It has grown, and a part of it is gone.
    night.index_uuid = Some("third".into());
    night.cluster.lock().unwrap().get_mut("logs").unwrap().clear();
    night.append("a.log", lines(1, 100..110));
    assert_eq!((night.load().indexed, night.documents()), (110, 110));
}

#[test]
fn files_of_an_index_that_was_deleted_in_mid_load_count_as_not_loaded() {
    let mut night = Night::new();
    night.write("a.log", lines(1, 0..100));
    night.load();
    night.index = "others".into();
    night.write("b.log", lines(2, 0..100));
    night.load();
    let mut run = night.ledger().begin(&night.spec).unwrap();
    night.cluster.lock().unwrap().get_mut("logs").unwrap().clear();
    run.forget_files_of(&["logs".to_owned()]).unwrap();
    run.finish(&Report::new(1.0, None)).unwrap();
    night.index = "logs".into();
    let did = night.load();
    assert_eq!((did.indexed, did.status("b.log").starts_with("skipped")), (100, true), "{did:?}");
}
