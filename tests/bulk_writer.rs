//! Every fault on the way to a cluster, against a scripted server that keeps what it was given: after each, the
//! receipts say exactly what is there.

#[path = "support/scripted_server.rs"]
mod scripted_server;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use loghaul::error::{Error, Kind};
use loghaul::opensearch::{self, Address, Client, Compression};
use loghaul::pipeline::parcel::{Earlier, Parcel};
use loghaul::pipeline::report::{DeadLetter, Outcomes};
use loghaul::pipeline::serialize::{Block, Document, Tally};
use loghaul::pipeline::sink::batch::Batch;
use loghaul::pipeline::sink::bulk_writer::Delivery;
use loghaul::pipeline::sink::destination::{Destination, Notice, Options, Stats};
use loghaul::pipeline::stop::{Reason, Stop};
use scripted_server::{Act, ScriptedServer};

/// A batch of three files' blocks, `documents` in all, ids unique to `name`.
fn batch(name: &str, documents: usize) -> Batch<usize> {
    batch_of(name, (0..documents).map(|n| format!("{{\"n\":{n}}}")).collect())
}

fn batch_of(name: &str, documents: Vec<String>) -> Batch<usize> {
    let mut batch = Batch::new();
    let a_third = documents.len().div_ceil(3).max(1);
    for (file, documents) in documents.chunks(a_third).enumerate() {
        let mut block = Block::default();
        for (n, document) in documents.iter().enumerate() {
            block.documents.push(Document {
                start: block.bytes.len() as u32,
                line_start: 10 * n as u32,
                line_bytes: 9,
            });
            let action = format!("{{\"create\":{{\"_index\":\"logs-{file}\",\"_id\":\"{name}-{file}-{n}\"}}}}\n");
            block.bytes.extend_from_slice(action.as_bytes());
            block.bytes.extend_from_slice(document.as_bytes());
            block.bytes.extend_from_slice(b"\n");
        }
        block.tally = Tally { documents: documents.len() as u64, ..Tally::default() };
        block.indices = vec![(format!("logs-{file}").into(), documents.len() as u64)];
        let range = 0..10 * documents.len() as u64;
        batch.push(Parcel {
            sequence: 0,
            file: file as u32,
            log: None,
            range,
            earlier: Earlier::default(),
            block,
            ticket: file,
        });
    }
    // A block of blank lines only.
    batch.push(Parcel {
        sequence: 0,
        file: 9,
        log: None,
        range: 0..1,
        earlier: Earlier::default(),
        block: Block::default(),
        ticket: 9,
    });
    batch
}

/// What became of it all.
struct Ran {
    outcomes: Outcomes,
    dead_letters: Vec<DeadLetter>,
    receipts: usize,
    stopped: bool,
    error: Option<Error>,
    stats: Stats,
    notices: Vec<Notice>,
    took: Duration,
}

fn quick() -> Options {
    let mut options = Options::default();
    options.limits.wait_first = Duration::from_millis(5);
    options.limits.wait_max = Duration::from_millis(20);
    options.limits.tries_max = 12;
    options.limits.strikes_apart = Duration::from_millis(50);
    options
}

fn client_options(url: &str) -> opensearch::Options {
    let mut options = opensearch::Options::new(vec![Address::parse(url).expect("a URL")]);
    options.request_timeout = Duration::from_millis(400);
    options.connect_timeout = Duration::from_secs(1);
    options
}

fn run(server: &ScriptedServer, batch: Batch<usize>) -> Ran {
    run_with(client_options(&server.url()), quick(), vec![batch], &Stop::new())
}

fn run_with(client: opensearch::Options, options: Options, batches: Vec<Batch<usize>>, stop: &Stop) -> Ran {
    let client = Client::new(client).expect("a client");
    let notices = Mutex::new(Vec::new());
    let destination = Destination::new(&client, &options, stop, |notice| notices.lock().unwrap().push(notice));
    let started = Instant::now();
    let mut ran = Ran {
        outcomes: Outcomes::default(),
        dead_letters: Vec::new(),
        receipts: 0,
        stopped: false,
        error: None,
        stats: Stats::default(),
        notices: Vec::new(),
        took: Duration::ZERO,
    };
    let mut writer = destination.writer();
    for batch in batches {
        let parts = batch.parts().len();
        let Delivery { receipts, parts: back, stopped } = writer.deliver(batch);
        assert_eq!(back.len(), parts, "every ticket comes back");
        assert!(stopped || receipts.len() == parts);
        for receipt in receipts {
            assert_eq!(receipt.outcomes.documents(), receipt.tally.documents);
            ran.outcomes.add(&receipt.outcomes);
            ran.dead_letters.extend(receipt.dead_letters);
            ran.receipts += 1;
        }
        ran.stopped |= stopped;
    }
    ran.stats = destination.stats();
    drop(writer);
    drop(destination);
    ran.took = started.elapsed();
    ran.notices = notices.into_inner().unwrap();
    ran.error = match stop.reason() {
        Some(Reason::Failed(error)) => Some(error),
        _ => None,
    };
    ran
}

fn outcomes(indexed: u64, duplicate: u64, rejected: u64, confirmed: u64) -> Outcomes {
    Outcomes { indexed, duplicate, rejected, confirmed }
}

/// All of it got there, once each, after what the script did.
fn check_all_arrive(what: &str, script: Vec<Act>, confirmed: u64) -> Ran {
    let server = ScriptedServer::new(script);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.error, None, "{what}");
    assert_eq!(ran.outcomes, outcomes(30, 0, 0, confirmed), "{what}");
    assert_eq!(ran.receipts, 4, "{what}");
    let ids = server.ids();
    assert_eq!(ids.len(), 30, "{what}");
    assert!(ids.values().all(|times| *times == 1), "{what}");
    assert!(ran.took < Duration::from_secs(6), "{what} took {:?}", ran.took);
    ran
}

#[test]
fn all_goes_well_on_one_connection() {
    let server = ScriptedServer::new([Act::Index]);
    let ran = run(&server, batch("a", 30));
    assert_eq!((ran.outcomes, ran.receipts), (outcomes(30, 0, 0, 0), 4));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].headers["content-type"], "application/x-ndjson");
    assert!(seen[0].path().starts_with("/_bulk?filter_path=errors,items.*.status,"), "{}", seen[0].path());
    assert!(seen[0].path().contains("&timeout=200ms"), "{}", seen[0].path());
    assert_eq!(seen[0].documents().len(), 30);
    // The same again is all there.
    let again = run(&server, batch("a", 30));
    assert_eq!(again.outcomes, outcomes(0, 30, 0, 0));
}

#[test]
fn lost_answers_double_nothing_and_are_confirmed() {
    let apply = |act| Act::Apply(Box::new(act));
    let html = || "<html>bad gateway</html>".to_owned();
    for (what, act) in [
        ("applied, then 502", apply(Act::Answer(502, html()))),
        ("applied, then 504", apply(Act::Answer(504, html()))),
        ("applied, then a proxy's 503", apply(Act::Answer(503, html()))),
        (
            "applied, then a gateway's 503 in JSON",
            apply(Act::Answer(503, r#"{"error":"upstream unavailable"}"#.to_owned())),
        ),
        (
            "applied, then 503 in words like OpenSearch's",
            apply(Act::Answer(503, r#"{"error":{"type":"x_exception"}}"#.to_owned())),
        ),
        ("applied, then 408", apply(Act::Answer(408, String::new()))),
        ("applied, then 500", apply(Act::Answer(500, r#"{"error":{"type":"null_pointer_exception"}}"#.to_owned()))),
        ("applied, then closed", apply(Act::Close)),
        ("applied, then silence", apply(Act::Hang(Duration::from_secs(3)))),
        ("applied, then not HTTP", apply(Act::Raw(b"\x15\x03\x01\x00\x02\x02\x28"))),
        ("applied, then HTML under 200", apply(Act::Answer(200, html()))),
        ("applied, then nothing under 200", apply(Act::Answer(200, String::new()))),
        ("an answer cut at once", Act::CutAnswer(0)),
        ("an answer cut in its middle", Act::CutAnswer(400)),
        ("fewer items, and no errors", Act::FewerItems(1)),
        ("no items at all", Act::FewerItems(30)),
    ] {
        let ran = check_all_arrive(what, vec![act, Act::Index], 30);
        assert_eq!(ran.stats.retries, 1, "{what}");
        assert_eq!(ran.stats.uncertain, 0, "{what}: ids tell");
    }
}

#[test]
fn what_never_arrived_is_sent_again_and_confirms_nothing() {
    let busy = r#"{"error":{"type":"rejected_execution_exception","reason":"rejected execution of coordinating operation [coordinating_and_primary_bytes=64000, replica_bytes=0, all_bytes=64000, max=1]"},"status":429}"#;
    for (what, act) in [
        ("busy", Act::Answer(429, busy.to_owned())),
        ("a proxy throttles", Act::AnswerWith(429, "Retry-After: 0\r\n", String::new())),
        ("a reset while sending", Act::ResetAfter(10)),
    ] {
        check_all_arrive(what, vec![act, Act::Index], 0);
    }
}

#[test]
fn retry_after_is_honoured() {
    let ran =
        check_all_arrive("throttled", vec![Act::AnswerWith(429, "Retry-After: 1\r\n", String::new()), Act::Index], 0);
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    assert_eq!(ran.stats.busy, 1);
}

#[test]
fn only_what_was_refused_is_sent_again() {
    let every_third_is_busy = Act::Items(|action, _, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if action.contains("-5\"}") => {
            (429, r#"{"type":"rejected_execution_exception","reason":"queue capacity = 1"}"#)
        }
        _ => (201, ""),
    });
    let server = ScriptedServer::new([every_third_is_busy.clone(), every_third_is_busy, Act::Index]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.outcomes, outcomes(30, 0, 0, 0));
    let sent: Vec<usize> = server.seen().iter().map(|seen| seen.documents().len()).collect();
    assert_eq!(sent, [30, 3, 3]);
}

#[test]
fn a_server_error_of_some_items_is_confirmed_by_their_ids() {
    let odd_fail = Act::Items(|_, document, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if document.contains("1") => (500, r#"{"type":"null_pointer_exception","reason":"oops"}"#),
        _ => (201, ""),
    });
    let server = ScriptedServer::new([odd_fail, Act::Index]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.outcomes, outcomes(30, 0, 0, 0));
}

#[test]
fn a_document_that_always_fails_is_rejected_and_its_neighbours_are_not() {
    let server = ScriptedServer::new([Act::Items(|_, document, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if document == "{\"n\":7}" => (500, r#"{"type":"illegal_state_exception","reason":"I cannot"}"#),
        _ => (201, ""),
    })]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.outcomes, outcomes(29, 0, 1, 0));
    assert_eq!(ran.dead_letters[0].error_type, "illegal_state_exception");
    assert_eq!(ran.dead_letters[0].attempts, 7);
}

#[test]
fn several_documents_that_always_fail_are_rejected_together() {
    fn poison(_: &str, document: &str, known: bool) -> (u16, &'static str) {
        match () {
            _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
            _ if ["{\"n\":3}", "{\"n\":7}", "{\"n\":24}"].contains(&document) => {
                (500, r#"{"type":"npe","reason":"oops"}"#)
            }
            _ => (201, ""),
        }
    }
    for documents in [30, 900] {
        let server = ScriptedServer::new([Act::Items(poison)]);
        let ran = run(&server, batch("a", documents));
        assert_eq!((ran.error, ran.outcomes), (None, outcomes(documents as u64 - 3, 0, 3, 0)));
    }
}

#[test]
fn any_number_of_documents_that_always_fail_are_rejected_while_their_neighbours_are_not() {
    fn poison(_: &str, document: &str, known: bool) -> (u16, &'static str) {
        match () {
            _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
            _ if document.ends_with("3}") || document.ends_with("7}") => (500, r#"{"type":"npe","reason":"oops"}"#),
            _ => (201, ""),
        }
    }
    for documents in [30, 900] {
        let server = ScriptedServer::new([Act::Items(poison)]);
        let ran = run(&server, batch("a", documents));
        let (all, rejected) = (documents as u64, documents as u64 / 5);
        assert_eq!((ran.error, ran.outcomes), (None, outcomes(all - rejected, 0, rejected, 0)));
        assert!(ran.took > Duration::from_secs(1), "many get more time than a few: {:?}", ran.took);
    }
    // When all fail, it is nobody's own fault.
    let server = ScriptedServer::new([Act::Items(|_, _, _| (500, r#"{"type":"npe","reason":"oops"}"#))]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(
        (ran.stopped, ran.outcomes, ran.error.map(|error| error.kind)),
        (true, outcomes(0, 0, 0, 0), Some(Kind::Stopped))
    );
}

#[test]
fn many_suspects_of_an_index_that_then_fails_at_all_are_not_rejected() {
    // The only writer holds them, so that nothing else tells that the index fails.
    let poison = Act::Items(|_, document, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if document.ends_with("3}") || document.ends_with("7}") => (500, r#"{"type":"npe","reason":"oops"}"#),
        _ => (201, ""),
    });
    let down = Act::Items(|_, _, _| (500, r#"{"type":"npe","reason":"oops"}"#));
    // Longer than a suspect has tries: each is two requests, of the suspects and of their neighbours.
    let script = [vec![poison], vec![down; 16], vec![Act::Index]].concat();
    let server = ScriptedServer::new(script);
    let ran = run(&server, batch("a", 30));
    assert_eq!((ran.error, ran.outcomes), (None, outcomes(30, 0, 0, 0)));
}

#[test]
fn an_index_without_a_shard_is_a_state_whatever_becomes_of_the_others() {
    let one_index_is_down = Act::Items(|action, _, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if action.contains("logs-1") => {
            (503, r#"{"type":"unavailable_shards_exception","reason":"[logs-1][0] primary shard is not active"}"#)
        }
        _ => (201, ""),
    });
    // It lasts longer than a suspect has tries.
    let server =
        ScriptedServer::new([one_index_is_down.clone(), one_index_is_down.clone(), one_index_is_down, Act::Index]);
    let ran = run(&server, batch("a", 30));
    assert_eq!((ran.error, ran.outcomes, ran.stats.pauses), (None, outcomes(30, 0, 0, 0), 1));
}

#[test]
fn an_outage_rejects_no_suspect() {
    // One document is suspected; then all fail, longer than a suspect has tries.
    let suspect = Act::Items(|_, document, _| match document {
        "{\"n\":7}" => (500, r#"{"type":"npe","reason":"oops"}"#),
        _ => (201, ""),
    });
    let down = Act::Items(|_, _, _| (500, r#"{"type":"npe","reason":"oops"}"#));
    let server = ScriptedServer::new([suspect, down]);
    let client = Client::new(client_options(&server.url())).expect("a client");
    let stop = Stop::new();
    let mut options = quick();
    options.limits.tries_max = 1000;
    let destination = Destination::new(&client, &options, &stop, |_| {});
    let (mut one, mut other) = (destination.writer(), destination.writer());
    std::thread::scope(|scope| {
        let first = scope.spawn(move || one.deliver(batch("a", 30)));
        while server.seen().len() < 2 {
            stop.wait(Duration::from_millis(1));
        }
        let second = scope.spawn(move || other.deliver(batch("b", 30)));
        stop.wait(Duration::from_millis(800));
        server.script([Act::Index]);
        for delivery in [first, second].map(|writer| writer.join().expect("no panic")) {
            let rejected: u64 = delivery.receipts.iter().map(|receipt| receipt.outcomes.rejected).sum();
            assert_eq!((delivery.stopped, rejected), (false, 0));
        }
    });
    assert_eq!(server.ids().len(), 60);
}

#[test]
fn an_unlisted_refusal_of_a_third_is_a_state() {
    let a_third = Act::Items(|_, document, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if ["0}", "3}", "6}"].iter().any(|end| document.ends_with(end)) => {
            (400, r#"{"type":"illegal_state_thing","reason":"?"}"#)
        }
        _ => (201, ""),
    });
    let server = ScriptedServer::new([a_third.clone(), a_third, Act::Index]);
    let ran = run(&server, batch("a", 900));
    assert_eq!((ran.error, ran.outcomes), (None, outcomes(900, 0, 0, 0)));
}

#[test]
fn what_is_in_no_list_is_told_by_the_neighbours() {
    // One of many: the document.
    let server = ScriptedServer::new([Act::Items(|_, document, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if document == "{\"n\":7}" => (400, r#"{"type":"never_heard_of_exception","reason":"?"}"#),
        _ => (201, ""),
    })]);
    let ran = run(&server, batch("a", 30));
    assert_eq!((ran.outcomes, ran.stats.pauses), (outcomes(29, 0, 1, 0), 0));
    assert_eq!(
        (ran.dead_letters[0].attempts, ran.dead_letters[0].error_type.as_str()),
        (7, "never_heard_of_exception")
    );
    // All of an index: a state.
    let script = [
        Act::Items(|action, _, _| match action.contains("logs-1") {
            true => (400, r#"{"type":"never_heard_of_exception","reason":"?"}"#),
            false => (201, ""),
        }),
        Act::Index,
    ];
    let server = ScriptedServer::new(script);
    let ran = run(&server, batch("a", 30));
    assert_eq!((ran.outcomes, ran.stats.pauses), (outcomes(30, 0, 0, 0), 1));
}

#[test]
fn documents_that_break_the_mapping_are_dead_letters_with_their_place() {
    let server = ScriptedServer::new([Act::Items(|_, document, _| match document {
        "{\"n\":3}" | "{\"n\":14}" => (
            400,
            r#"{"type":"mapper_parsing_exception","reason":"failed to parse field [n]","caused_by":{"type":"number_format_exception","reason":"For input string: \"x\""}}"#,
        ),
        "{\"n\":20}" => (200, ""),
        _ => (201, ""),
    })]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.outcomes, outcomes(27, 0, 3, 0));
    let letter = &ran.dead_letters[0];
    assert_eq!((letter.status, letter.offset, letter.line_bytes, letter.attempts), (400, 30, 9, 1));
    assert_eq!(letter.error_type, "mapper_parsing_exception");
    assert_eq!(letter.reason, "failed to parse field [n]; caused by number_format_exception: For input string: \"x\"");
    assert_eq!(letter.document, b"{\"create\":{\"_index\":\"logs-0\",\"_id\":\"a-0-3\"}}\n{\"n\":3}\n");
    assert_eq!((ran.dead_letters[2].status, ran.dead_letters[2].error_type.as_str()), (200, "dropped_by_pipeline"));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_body_that_is_too_large_goes_in_halves_and_the_size_is_remembered() {
    for (what, act) in [("a server's 413", Act::Late413(2000)), ("a proxy's early 413 and reset", Act::Early413(2000))]
    {
        let server = ScriptedServer::new([act]);
        let documents = || (0..60).map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(50))).collect();
        let stop = Stop::new();
        let ran = run_with(
            client_options(&server.url()),
            quick(),
            vec![batch_of("a", documents()), batch_of("b", documents())],
            &stop,
        );
        assert_eq!(ran.outcomes, outcomes(120, 0, 0, 0), "{what}");
        assert_eq!(server.ids().len(), 120, "{what}");
        // BODY_BYTES_MIN keeps the remembered size from helping such small bodies; it was set all the same.
        assert!(ran.stats.too_large > 0 && ran.stats.body_bytes < 1 << 20, "{what}: {:?}", ran.stats);
    }
}

#[test]
fn one_document_of_two_megabytes_over_a_limit_of_one_is_rejected_alone() {
    for (what, act) in [("a server's 413", Act::Late413(1 << 20)), ("a proxy's early 413", Act::Early413(1 << 20))] {
        let server = ScriptedServer::new([act]);
        let mut documents: Vec<String> =
            (0..100).map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(20_000))).collect();
        documents[41] = format!("{{\"x\":\"{}\"}}", "y".repeat(2 << 20));
        let ran = run(&server, batch_of("a", documents));
        assert_eq!(ran.error, None, "{what}");
        assert_eq!(ran.outcomes, outcomes(99, 0, 1, 0), "{what}");
        assert_eq!((ran.dead_letters[0].status, ran.dead_letters[0].error_type.as_str()), (413, "too_large"));
        assert!((256 << 10..=1 << 20).contains(&ran.stats.body_bytes), "{what}: {}", ran.stats.body_bytes);
    }
}

#[test]
fn a_large_body_that_is_never_answered_goes_in_halves_even_if_it_is_the_first() {
    let server = ScriptedServer::new([Act::CloseAbove(1 << 20)]);
    let documents: Vec<String> = (0..200).map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(20_000))).collect();
    let ran = run(&server, batch_of("a", documents));
    assert_eq!(ran.error, None);
    assert_eq!(ran.outcomes, outcomes(200, 0, 0, 0));
    assert_eq!(server.ids().len(), 200);
    assert!((256 << 10..=1 << 20).contains(&ran.stats.body_bytes), "{}", ran.stats.body_bytes);
    assert!(server.seen().iter().any(|seen| seen.headers.contains_key("expect")), "asked first, after a loss");
}

#[test]
fn answers_that_mean_too_large_halve() {
    let pressure = r#"{"error":{"type":"rejected_execution_exception","reason":"rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, coordinating_operation_bytes=228864, max_coordinating_and_primary_bytes=65536]"},"status":429}"#;
    let breaker = r#"{"error":{"root_cause":[],"type":"circuit_breaking_exception","reason":"[in_flight_requests] Data too large, data for [<http_request>] would be [40096/39.1kb], which is larger than the limit of [1024/1kb]","bytes_wanted":40096,"bytes_limit":1024},"status":429}"#;
    for body in [pressure, breaker] {
        let ran = check_all_arrive(body, vec![Act::Answer(429, body.to_owned()), Act::Index], 0);
        assert_eq!((ran.stats.requests, ran.stats.too_large), (3, 1), "{body}");
    }
}

#[test]
fn a_document_that_breaks_its_whole_request_is_found() {
    fn long_id(action: &str) -> bool {
        action.contains("a-1-3\"")
    }
    // 400 for any request that holds it, as for an id of 513 bytes.
    let server = ScriptedServer::new([Act::Index]);
    let refusal = r#"{"error":{"root_cause":[],"type":"action_request_validation_exception","reason":"Validation Failed: 1: id [zzz] is too long, must be no longer than 512 bytes but was: 513;"},"status":400}"#;
    server.script([Act::RefuseIf(long_id, 400, refusal)]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.error, None);
    assert_eq!(ran.outcomes, outcomes(29, 0, 1, 0));
    assert_eq!(ran.dead_letters[0].error_type, "action_request_validation_exception");
    assert!(server.seen().len() < 20, "{}", server.seen().len());
}

#[test]
fn a_request_that_is_always_refused_rejects_no_document() {
    let server =
        ScriptedServer::new([Act::Answer(400, r#"{"error":{"type":"x","reason":"y"},"status":400}"#.to_owned())]);
    let ran = run(&server, batch("a", 5));
    assert!(ran.stopped);
    assert_eq!(ran.outcomes, Outcomes::default());
    let error = ran.error.expect("the run ends");
    assert!(error.message.contains("HTTP 400 x: y"), "{error}");
}

#[test]
fn the_run_pauses_for_a_state_and_goes_on() {
    let block = |status: u16, error_type: &str, reason: &str| {
        Act::Answer(
            status,
            format!(r#"{{"error":{{"root_cause":[],"type":"{error_type}","reason":"{reason}"}},"status":{status}}}"#),
        )
    };
    for (what, act) in [
        ("403 block", block(403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];")),
        (
            "503 not recovered",
            block(
                503,
                "cluster_block_exception",
                "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
            ),
        ),
        ("security not ready", Act::Answer(503, "OpenSearch Security not initialized.".to_owned())),
        (
            "parent breaker",
            block(429, "circuit_breaking_exception", "[parent] Data too large, data for [<http_request>]"),
        ),
    ] {
        let ran = check_all_arrive(what, vec![act.clone(), act, Act::Index], 0);
        assert_eq!(ran.stats.pauses, 1, "{what}");
        assert_eq!(ran.stats.requests, 3, "{what}");
        assert!(ran.took >= Duration::from_millis(1900), "{what}: one probe a second, took {:?}", ran.took);
        assert!(matches!(ran.notices[..], [Notice::Paused(_), Notice::Resumed(_)]), "{what}: {:?}", ran.notices);
    }
}

#[test]
fn items_of_a_blocked_index_wait_and_the_others_do_not() {
    for error in [
        (
            403,
            r#"{"type":"cluster_block_exception","reason":"index [logs-1] blocked by: [FORBIDDEN/8/index write (api)];"}"#,
        ),
        (
            429,
            r#"{"type":"cluster_block_exception","reason":"index [logs-1] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"}"#,
        ),
        (404, r#"{"type":"index_not_found_exception","reason":"no such index [logs-1]"}"#),
        (400, r#"{"type":"index_closed_exception","reason":"closed"}"#),
        (400, r#"{"type":"illegal_argument_exception","reason":"pipeline with id [nope] does not exist"}"#),
        (
            400,
            r#"{"type":"validation_exception","reason":"Validation Failed: 1: this action would add [2] total shards"}"#,
        ),
        (
            503,
            r#"{"type":"unavailable_shards_exception","reason":"[logs-1][0] primary shard is not active Timeout: [1s]"}"#,
        ),
        (418, r#"{"type":"never_heard_of_exception","reason":"?"}"#),
    ] {
        static ERROR: Mutex<(u16, &str)> = Mutex::new((0, ""));
        *ERROR.lock().unwrap() = error;
        let server = ScriptedServer::new([
            Act::Items(|action, _, _| if action.contains("logs-1") { *ERROR.lock().unwrap() } else { (201, "") }),
            Act::Index,
        ]);
        let ran = run(&server, batch("a", 30));
        assert_eq!(ran.outcomes, outcomes(30, 0, 0, 0), "{error:?}");
        let sent: Vec<usize> = server.seen().iter().map(|seen| seen.documents().len()).collect();
        assert_eq!(sent, [30, 10], "{error:?}");
        assert_eq!((ran.stats.pauses, ran.stats.blocked), (1, 1), "{error:?}");
        let Notice::Paused(words) = &ran.notices[0] else { panic!("{:?}", ran.notices) };
        assert!(words.contains("logs-1"), "{words}");
    }
}

#[test]
fn a_state_that_does_not_pass_ends_the_run_resumable() {
    let act = Act::Items(|_, _, _| (403, r#"{"type":"cluster_block_exception","reason":"read-only"}"#));
    let server = ScriptedServer::new([act]);
    let mut options = quick();
    options.limits.give_up_after = Duration::from_millis(1500);
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 3)], &Stop::new());
    let error = ran.error.expect("the run ends");
    assert_eq!((error.kind, ran.stopped, ran.outcomes), (Kind::Stopped, true, Outcomes::default()));
    assert!(error.message.contains("read-only"), "{error}");
    assert_eq!(server.seen().len(), 2, "one a second");
}

#[test]
fn a_writer_that_holds_blocked_and_other_documents_asks_whether_the_block_is_gone() {
    let mixed = Act::Items(|action, document, known| match () {
        _ if known => (409, r#"{"type":"version_conflict_engine_exception","reason":""}"#),
        _ if action.contains("logs-1") => (403, r#"{"type":"cluster_block_exception","reason":"read-only"}"#),
        _ if document == "{\"n\":7}" => (429, r#"{"type":"es_rejected_execution_exception","reason":"queue"}"#),
        _ => (201, ""),
    });
    let server = ScriptedServer::new([mixed, Act::Index]);
    let mut options = quick();
    options.limits.give_up_after = Duration::from_secs(3);
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 30)], &Stop::new());
    assert_eq!((ran.error, ran.outcomes), (None, outcomes(30, 0, 0, 0)));
}

#[test]
fn the_time_to_give_up_counts_from_the_first_failure() {
    let server = ScriptedServer::new([Act::Index, Act::Index, Act::Answer(429, String::new()), Act::Index]);
    let mut options = quick();
    options.pace.documents_per_second_max = Some(20);
    options.limits.give_up_after = Duration::from_secs(1);
    options.limits.wait_first = Duration::from_millis(1);
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 50)], &Stop::new());
    // The third request goes out two seconds after the batch began.
    assert_eq!((ran.error, ran.outcomes), (None, outcomes(50, 0, 0, 0)));
}

#[test]
fn a_cluster_that_stays_busy_ends_the_run_and_rejects_nothing() {
    let server = ScriptedServer::new([Act::Items(|_, document, _| match document {
        "{\"n\":7}" => (429, r#"{"type":"es_rejected_execution_exception","reason":"queue"}"#),
        _ => (201, ""),
    })]);
    let ran = run(&server, batch("a", 30));
    let error = ran.error.expect("the run ends");
    assert_eq!((error.kind, ran.outcomes.rejected), (Kind::Stopped, 0));
    assert!(error.message.contains("1 documents") && error.message.contains("tried 12 times"), "{error}");
    // The blocks that were done have their receipts.
    assert_eq!(ran.receipts, 3);
}

#[test]
fn what_cannot_work_stops_at_once_with_a_sentence() {
    let security = r#"{"error":{"root_cause":[],"type":"security_exception","reason":"no permissions for [indices:data/write/bulk] and User [name=reader, backend_roles=[], requestedTenant=null]"},"status":403}"#;
    let redirect = Act::AnswerWith(302, "Location: https://login.example/?next=%2F\r\n", String::new());
    let forbidden = Act::Items(|_, _, _| {
        (
            403,
            r#"{"type":"security_exception","reason":"no permissions for [indices:admin/create] and User [name=writer, backend_roles=[], requestedTenant=null]"}"#,
        )
    });
    for (act, expected) in [
        (Act::Answer(401, "Unauthorized".to_owned()), vec!["user \"writer\"", "401", "logs-0"]),
        (Act::Answer(403, security.to_owned()), vec!["user \"writer\"", "indices:data/write/bulk", "logs-0"]),
        (forbidden, vec!["user \"writer\"", "indices:admin/create", "logs-0"]),
        (
            Act::Answer(
                405,
                r#"{"error":"Incorrect HTTP method for uri [/_bulk] and method [POST]","status":405}"#.to_owned(),
            ),
            vec!["405", "Incorrect HTTP method"],
        ),
        (
            Act::Answer(406, r#"{"error":"Content-Type header [] is not supported","status":406}"#.to_owned()),
            vec!["406"],
        ),
        (redirect, vec!["302", "https://login.example/"]),
        (Act::Answer(404, "<html>not here</html>".to_owned()), vec!["404", "not here"]),
        (
            Act::Answer(400, r#"{"error":"no handler found for uri [/x/_bulk] and method [POST]"}"#.to_owned()),
            vec!["no handler found"],
        ),
    ] {
        let server = ScriptedServer::new([act]);
        let url = server.url().replace("http://", "http://writer:sesame@");
        let ran = run_with(client_options(&url), quick(), vec![batch("a", 9)], &Stop::new());
        let error = ran.error.expect("the run ends").to_string();
        for words in expected {
            assert!(error.contains(words), "{words:?} is missing: {error}");
        }
        assert!(!error.contains("sesame"), "{error}");
        assert_eq!((server.seen().len(), ran.outcomes.rejected), (1, 0), "{error}");
        assert!(ran.took < Duration::from_secs(2), "{error}");
    }
}

#[test]
fn nobody_there_is_said_within_a_second() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    for (url, words) in [
        (format!("http://{free}"), "connection refused"),
        ("http://no-such-host.invalid:9200".to_owned(), "unknown host"),
    ] {
        let ran = run_with(client_options(&url), quick(), vec![batch("a", 3)], &Stop::new());
        let error = ran.error.expect("the run ends").to_string();
        assert!(error.contains(words) && error.contains(&url), "{error}");
        assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    }
}

#[test]
fn a_node_that_goes_away_after_the_first_success_is_waited_for() {
    let server = ScriptedServer::new([Act::Index]);
    let url = server.url();
    let client = Client::new(client_options(&url)).expect("a client");
    let stop = Stop::new();
    let notices = Mutex::new(Vec::new());
    let destination = Destination::new(&client, &quick(), &stop, |notice| notices.lock().unwrap().push(notice));
    let mut writer = destination.writer();
    assert!(!writer.deliver(batch("a", 3)).stopped);
    drop(server);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stop.wait(Duration::from_millis(2500));
            stop.raise(Reason::Interrupted("test"));
        });
        let started = Instant::now();
        assert!(writer.deliver(batch("b", 3)).stopped, "nobody came back");
        assert!(started.elapsed() >= Duration::from_millis(2400));
        assert!(started.elapsed() < Duration::from_millis(3500), "an interrupt ends the pause at once");
    });
    let requests = destination.stats().requests;
    assert!((3..=5).contains(&requests), "one probe a second: {requests}");
    assert!(matches!(notices.lock().unwrap()[..], [Notice::Paused(_)]));
}

#[test]
fn without_ids_a_lost_answer_is_announced_and_counted() {
    let server = ScriptedServer::new([Act::Apply(Box::new(Act::Close)), Act::Index]);
    let options = Options { with_ids: false, ..quick() };
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 30)], &Stop::new());
    assert_eq!(ran.stats.uncertain, 30);
    assert_eq!(ran.notices, [Notice::MayDouble]);
}

#[test]
fn an_interrupted_run_finishes_what_it_holds_once() {
    let stop = Stop::new();
    stop.raise(Reason::Interrupted("test"));
    let server = ScriptedServer::new([Act::Index]);
    let ran = run_with(client_options(&server.url()), quick(), vec![batch("a", 30)], &stop);
    assert_eq!((ran.outcomes.indexed, ran.stopped), (30, false));
    // But it does not try again.
    server.script([Act::Close, Act::Index]);
    let ran = run_with(client_options(&server.url()), quick(), vec![batch("b", 30)], &stop);
    assert_eq!((ran.outcomes.indexed, ran.stopped, server.seen().len()), (0, true, 2));
    // And a failed one sends nothing.
    let failed = Stop::new();
    failed.raise(Reason::Failed(Error::failed("test")));
    let ran = run_with(client_options(&server.url()), quick(), vec![batch("c", 30)], &failed);
    assert_eq!((ran.outcomes.indexed, ran.stopped, server.seen().len()), (0, true, 2));
}

#[test]
fn an_interrupted_run_keeps_to_its_documents_a_second() {
    let server = ScriptedServer::new([Act::Index]);
    let mut options = quick();
    options.pace.documents_per_second_max = Some(5);
    let stop = Stop::new();
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            stop.raise(Reason::Interrupted("test"));
        });
        run_with(client_options(&server.url()), options, vec![batch("a", 50)], &stop)
    });
    assert_eq!((ran.stopped, server.seen().len()), (true, 1));
    assert!(ran.took < Duration::from_millis(900), "{:?}", ran.took);
}

#[test]
fn busy_between_two_blocks_does_not_end_the_pause() {
    let block = Act::Answer(403, r#"{"error":{"type":"cluster_block_exception","reason":"read-only"}}"#.to_owned());
    let busy = Act::Answer(429, String::new());
    let busy_items = Act::Items(|_, _, _| (429, r#"{"type":"es_rejected_execution_exception","reason":"queue"}"#));
    for busy in [busy, busy_items] {
        let ran = check_all_arrive("in turns", vec![block.clone(), busy.clone(), block.clone(), busy, Act::Index], 0);
        assert_eq!(ran.stats.pauses, 1);
        assert!(ran.took >= Duration::from_millis(3900), "one probe a second, took {:?}", ran.took);
    }
    // Nor is it the end, when the time to give up is over before the next probe.
    let server = ScriptedServer::new([block, Act::Answer(429, String::new()), Act::Index]);
    let mut options = quick();
    options.limits.give_up_after = Duration::from_millis(1500);
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 30)], &Stop::new());
    assert_eq!((ran.error, ran.outcomes), (None, outcomes(30, 0, 0, 0)));
}

#[test]
fn a_right_that_is_missing_after_something_was_written_ends_a_run_that_can_be_resumed() {
    let server = ScriptedServer::new([Act::Items(|action, _, _| match action.contains("logs-1") {
        true => (403, r#"{"type":"security_exception","reason":"no permissions for [indices:admin/create]"}"#),
        false => (201, ""),
    })]);
    let ran = run(&server, batch("a", 30));
    assert_eq!(ran.error.map(|error| error.kind), Some(Kind::Stopped));
}

#[test]
fn where_ids_are_made_of_the_content_a_duplicate_is_a_duplicate() {
    let server = ScriptedServer::new([Act::Apply(Box::new(Act::Close)), Act::Index]);
    let (client, stop) = (Client::new(client_options(&server.url())).expect("a client"), Stop::new());
    let destination = Destination::new(&client, &quick(), &stop, |_| {}).confirming(false);
    let delivery = destination.writer().deliver(batch("a", 3));
    let duplicates: u64 = delivery.receipts.iter().map(|receipt| receipt.outcomes.duplicate).sum();
    assert_eq!(duplicates, 3);
}

#[test]
fn compressed_bodies_unpack_and_a_server_that_does_not_know_them_gets_plain_ones() {
    use std::io::Read;
    for compression in [Compression::Gzip, Compression::Zstd] {
        let server = ScriptedServer::new([Act::Answer(400, r#"{"error":{"type":"illegal_argument_exception","reason":"Malformed action/metadata line [1]"},"status":400}"#.to_owned()), Act::Index]);
        let client = opensearch::Options { compression, ..client_options(&server.url()) };
        let ran = run_with(client, quick(), vec![batch("a", 30), batch("b", 30)], &Stop::new());
        assert_eq!(ran.outcomes, outcomes(60, 0, 0, 0));
        assert_eq!(ran.notices, [Notice::Uncompressed]);
        let seen = server.seen();
        let mut unpacked = Vec::new();
        match seen[0].headers["content-encoding"].as_str() {
            "gzip" => drop(flate2::read::GzDecoder::new(&seen[0].body[..]).read_to_end(&mut unpacked).unwrap()),
            _ => unpacked = zstd::decode_all(&seen[0].body[..]).unwrap(),
        }
        assert_eq!(unpacked, seen[1].body);
        assert!(seen[1..].iter().all(|seen| !seen.headers.contains_key("content-encoding")));
    }
}

#[test]
fn several_hosts_share_the_load_and_one_that_is_gone_is_passed_over() {
    let servers = [ScriptedServer::new([Act::Index]), ScriptedServer::new([Act::Index])];
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let mut options = client_options(&servers[0].url());
    options.addresses.push(Address::parse(&format!("http://{free}")).expect("a URL"));
    options.addresses.push(Address::parse(&servers[1].url()).expect("a URL"));
    let batches = (0..12).map(|n| batch(&n.to_string(), 3)).collect();
    let ran = run_with(options, quick(), batches, &Stop::new());
    assert_eq!((ran.outcomes, ran.stats.pauses), (outcomes(36, 0, 0, 0), 0));
    assert!(servers.iter().all(|server| server.seen().len() >= 3));
}

#[test]
fn of_several_hosts_one_that_stands_for_nobody_is_passed_over() {
    let answers = [502, 503, 504, 404].map(|status| Act::Answer(status, "<html>".to_owned()));
    for act in answers.into_iter().chain([Act::Hang(Duration::from_secs(2))]) {
        let (good, bad) = (ScriptedServer::new([Act::Index]), ScriptedServer::new([act.clone()]));
        // Whoever comes first.
        for urls in [[good.url(), bad.url()], [bad.url(), good.url()]] {
            let mut options = client_options(&urls[0]);
            options.addresses.push(Address::parse(&urls[1]).expect("a URL"));
            let before = bad.seen().len();
            let batches = (0..12).map(|n| batch(&format!("{n}-{}", urls[0]), 3)).collect();
            let ran = run_with(options, quick(), batches, &Stop::new());
            assert_eq!((ran.error, ran.outcomes, ran.stats.pauses), (None, outcomes(36, 0, 0, 0), 0), "{act:?}");
            assert!(bad.seen().len() - before <= 1, "{act:?}: {}", bad.seen().len() - before);
        }
    }
}

#[test]
fn the_first_documents_of_each_index_are_told_once() {
    let server = ScriptedServer::new([Act::Items(|action, _, _| match action.contains("logs-1") {
        true => (400, r#"{"type":"mapper_parsing_exception","reason":"no"}"#),
        false => (201, ""),
    })]);
    let client = Client::new(client_options(&server.url())).expect("a client");
    let (stop, told) = (Stop::new(), Mutex::new(Vec::new()));
    let options = quick();
    let destination = Destination::new(&client, &options, &stop, |_| {})
        .telling_first_written(|index| told.lock().unwrap().push(index.to_string()));
    let mut writer = destination.writer();
    for name in ["a", "b"] {
        writer.deliver(batch(name, 30));
    }
    drop(writer);
    drop(destination);
    assert_eq!(told.into_inner().unwrap(), ["logs-0", "logs-2"]);
}

#[test]
fn writers_share_one_breaker() {
    let blocked = Act::Items(|_, _, _| (403, r#"{"type":"cluster_block_exception","reason":"read-only"}"#));
    let server = ScriptedServer::new([blocked]);
    let client = Client::new(client_options(&server.url())).expect("a client");
    let stop = Stop::new();
    let mut options = quick();
    options.pace.writers_max = 4;
    options.pace.writers_fixed = true;
    let destination = Destination::new(&client, &options, &stop, |_| {});
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|n| {
                let mut writer = destination.writer();
                scope.spawn(move || writer.deliver(batch(&n.to_string(), 9)))
            })
            .collect();
        stop.wait(Duration::from_millis(3200));
        let blocked = server.seen().len();
        // Up to four were in flight when the first answer came; then one a second.
        assert!(blocked <= 4 + 3, "{blocked} requests");
        server.script([Act::Index]);
        for writer in writers {
            assert!(!writer.join().expect("no panic").stopped);
        }
    });
    assert_eq!(server.ids().len(), 36);
}

#[test]
fn thirteen_thousand_duplicates_are_read_in_bounded_memory() {
    let server = ScriptedServer::new([Act::Index]);
    assert_eq!(run(&server, batch("a", 13_000)).outcomes.indexed, 13_000);
    let ran = run(&server, batch("a", 13_000));
    assert_eq!((ran.outcomes, ran.stats.requests), (outcomes(0, 13_000, 0, 0), 1));
    // An answer longer than is held is asked for in halves.
    let mut options = quick();
    options.pace.body_bytes_max = 1000 << 10;
    let long = Act::Items(|_, document, _| {
        let reason = if document.len() > 7 { 4_000 } else { 0 };
        let text = format!(r#"{{"type":"mapper_parsing_exception","reason":"{}"}}"#, "x".repeat(reason));
        (400, Box::leak(text.into_boxed_str()))
    });
    let server = ScriptedServer::new([long]);
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 1_000)], &Stop::new());
    assert_eq!(ran.outcomes, outcomes(0, 0, 1_000, 0));
    assert!(ran.stats.requests > 3, "{}", ran.stats.requests);
}

#[test]
fn documents_a_second_are_kept_to() {
    let server = ScriptedServer::new([Act::Index]);
    let mut options = quick();
    options.pace.documents_per_second_max = Some(100);
    let ran = run_with(client_options(&server.url()), options, vec![batch("a", 250)], &Stop::new());
    assert_eq!(ran.outcomes.indexed, 250);
    assert!((Duration::from_millis(1900)..Duration::from_millis(4000)).contains(&ran.took), "{:?}", ran.took);
    assert!(server.seen().iter().all(|seen| seen.documents().len() <= 100));
}

/// Delivers 150 batches with eight threads to a server that takes one request at a time; seconds taken.
fn seconds_at_pace(pace: loghaul::pipeline::sink::pace::Options, queue: usize) -> (f64, Stats) {
    let server = ScriptedServer::new([Act::Queue(queue, Duration::from_millis(20))]);
    let mut options = client_options(&server.url());
    options.request_timeout = Duration::from_secs(10);
    let client = Client::new(options).expect("a client");
    let stop = Stop::new();
    let destination = Destination::new(&client, &Options { pace, ..Options::default() }, &stop, |_| {});
    let started = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..pace.writers_max {
            scope.spawn(|| {
                let mut writer = destination.writer();
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if n >= 150 {
                        break;
                    }
                    assert!(!writer.deliver(batch(&n.to_string(), 9)).stopped);
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(server.ids().len(), 150 * 9);
    (seconds, destination.stats())
}

#[test]
fn under_pressure_the_pace_comes_near_the_best_fixed_number_of_writers() {
    for queue in [1, 3] {
        let fixed = |writers_max| {
            let pace =
                loghaul::pipeline::sink::pace::Options { writers_max, writers_fixed: true, ..Default::default() };
            seconds_at_pace(pace, queue)
        };
        let sweep: Vec<(f64, Stats)> = [1, 2, 3, 4, 6, 8].map(fixed).into();
        let best = sweep.iter().map(|(seconds, _)| *seconds).fold(f64::MAX, f64::min);
        let pace = loghaul::pipeline::sink::pace::Options { writers_max: 8, ..Default::default() };
        let (found, stats) = seconds_at_pace(pace, queue);
        println!(
            "queue {queue}: {:?} found {found} {stats:?}",
            sweep.iter().map(|s| (s.0, s.1.busy)).collect::<Vec<_>>()
        );
        assert!(found <= best / 0.8, "queue {queue}: {found} s, best {best} s, {stats:?}");
    }
}
