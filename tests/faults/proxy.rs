//! The fault proxy itself, in front of a scripted node: what the client sees, and what the node got.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::fault_proxy::{Answer, Fault, FaultProxy, Moment, Step};

/// A node that answers each bulk with as many items as it has documents, and keeps the bodies.
struct Scripted {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mut reader = BufReader::new(&connection);
                let mut length = 0;
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                    line.clear();
                }
                let mut body = String::new();
                if reader.by_ref().take(length).read_to_string(&mut body).is_err() || body.len() as u64 != length {
                    continue;
                }
                let items = vec![r#"{"create":{"status":201}}"#; body.lines().count() / 2].join(",");
                let answer = format!(r#"{{"errors":false,"items":[{items}]}}"#);
                kept.lock().expect("no panic").push(body);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
                let _ = (&connection).write_all(format!("{head}{answer}").as_bytes());
            }
        });
        Scripted { url, bodies }
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().expect("no panic").clone()
    }
}

const TWO: &str =
    "{\"create\":{\"_id\":\"AAAAAAAAAA-1\"}}\n{\"n\":1}\n{\"create\":{\"_id\":\"AAAAAAAAAA-2\"}}\n{\"n\":2}\n";
const OTHER: &str = "{\"create\":{\"_id\":\"BBBBBBBBBB-1\"}}\n{\"n\":3}\n";
const CREATED: &str = r#"{"create":{"status":201}}"#;

/// Posts a bulk on a connection of its own, and tells what came back: the whole answer, `cut` and what there was, or
/// how the connection ended.
fn post(proxy: &FaultProxy, body: &str) -> String {
    send(proxy, &format!("POST /_bulk?timeout=1m HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

fn send(proxy: &FaultProxy, request: &str) -> String {
    let mut connection = TcpStream::connect(proxy.url().trim_start_matches("http://")).expect("the proxy listens");
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    if let Err(error) = connection.write_all(request.as_bytes()) {
        return format!("{:?} while sending", error.kind());
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => answer.extend_from_slice(&buffer[..bytes]),
            Err(error) => return format!("{:?}", error.kind()),
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: "))
            && body.len().to_string() == length
        {
            return format!("{} {body}", head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 "));
        }
    }
    if answer.is_empty() { "closed".to_owned() } else { "cut".to_owned() }
}

#[test]
fn each_fault_as_the_client_and_the_node_see_it() {
    let all = format!(r#"200 OK {{"errors":false,"items":[{CREATED},{CREATED}]}}"#);
    let fewer = format!(r#"200 OK {{"errors":false,"items":[{CREATED}]}}"#);
    let gateway = Answer::bad_gateway();
    let cases = [
        // fault, what the client sees, whether the node has it
        (Fault::Pass, all.clone(), true),
        (Fault::AppliedThen(gateway.clone()), format!("502 Bad Gateway {}", gateway.body), true),
        (Fault::AppliedThenCut, "cut".into(), true),
        (Fault::AppliedThenClosed, "closed".into(), true),
        (Fault::AppliedThenReset, "ConnectionReset".into(), true),
        (Fault::AppliedFewerItems(1), fewer, true),
        (Fault::AppliedLate(Duration::from_millis(50)), all, true),
        (Fault::NotApplied(Answer::too_large()), "413 Request Entity Too Large ".into(), false),
        (Fault::NotAppliedReset, "ConnectionReset".into(), false),
    ];
    for (fault, seen, applied) in cases {
        let node = Scripted::start();
        let proxy = FaultProxy::before(&node.url);
        proxy.script(vec![(1, fault.clone())]);
        assert_eq!(post(&proxy, TWO), seen, "{fault:?}");
        assert_eq!(node.bodies(), if applied { vec![TWO] } else { vec![] }, "{fault:?}");
        // The next passes.
        assert!(post(&proxy, TWO).starts_with("200 OK"), "{fault:?}");
        let log = proxy.seen();
        assert_eq!(log.bulks().count(), 2, "{fault:?}");
        assert_eq!(log.requests[0].fault, fault.name());
        assert_eq!(log.requests[0].body_bytes, TWO.len() as u64);
    }
}

#[test]
fn only_the_first_file_of_a_batch() {
    let node = Scripted::start();
    let proxy = FaultProxy::before(&node.url);
    proxy.plan(|bulk| match bulk.first_file_end() {
        Some(_) => Fault::FirstFileApplied.into(),
        None => Fault::Pass.into(),
    });
    assert!(post(&proxy, TWO).starts_with("200 OK"), "one file: untouched");
    assert_eq!(post(&proxy, &format!("{TWO}{OTHER}")), "closed");
    assert_eq!(node.bodies(), [TWO, TWO]);
}

#[test]
fn a_large_body_is_refused_while_it_is_sent() {
    let node = Scripted::start();
    let proxy = FaultProxy::before(&node.url);
    proxy.refuse_bodies_above(100);
    let huge = "x".repeat(20_000_000);
    let seen = post(&proxy, &huge);
    assert!(seen.ends_with("while sending"), "{seen}");
    assert!(post(&proxy, OTHER).starts_with("200 OK"));
    assert_eq!(node.bodies(), [OTHER], "the node knows nothing of the large one");
    // Who asks first is told.
    let polite = "POST /_bulk HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n";
    assert_eq!(send(&proxy, polite), "413 Request Entity Too Large ");
}

#[test]
fn who_asks_first_is_told_to_go_on() {
    let node = Scripted::start();
    let proxy = FaultProxy::before(&node.url);
    let mut connection = TcpStream::connect(proxy.url().trim_start_matches("http://")).expect("the proxy listens");
    let head = format!("POST /_bulk HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", TWO.len());
    connection.write_all(head.as_bytes()).expect("the proxy takes it");
    let mut answer = [0; 25];
    connection.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(TWO.as_bytes()).expect("the proxy takes it");
    connection.read_exact(&mut answer[..15]).expect("an answer");
    assert_eq!(&answer[..15], b"HTTP/1.1 200 OK");
    assert_eq!(node.bodies(), [TWO]);
}

#[test]
fn hooks_come_at_their_moment() {
    for (moment, applied_by_then, acknowledged_by_then) in
        [(Moment::Arrived, 0, 0), (Moment::Applied, 1, 0), (Moment::Answered, 1, 1)]
    {
        let node = Scripted::start();
        let proxy = Arc::new(FaultProxy::before(&node.url));
        let found = Arc::new(Mutex::new(None));
        let (bodies, weak, out) = (Arc::clone(&node.bodies), Arc::downgrade(&proxy), Arc::clone(&found));
        proxy.plan(move |_| {
            let (bodies, weak, out) = (Arc::clone(&bodies), weak.clone(), Arc::clone(&out));
            Step::from(Fault::Pass).and(
                moment,
                Arc::new(move || {
                    let acknowledged = weak.upgrade().map_or(0, |proxy| proxy.acknowledged());
                    *out.lock().unwrap() = Some((bodies.lock().unwrap().len(), acknowledged));
                }),
            )
        });
        post(&proxy, TWO);
        let since = Instant::now();
        while found.lock().unwrap().is_none() && since.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(*found.lock().unwrap(), Some((applied_by_then, acknowledged_by_then)), "{moment:?}");
    }
}

#[test]
fn a_seed_gives_the_same_faults_and_never_two_in_a_row() {
    let faults = || {
        let node = Scripted::start();
        let proxy = FaultProxy::before(&node.url);
        proxy.seeded(7, 2, vec![Fault::AppliedThenClosed, Fault::NotAppliedReset]);
        (0..40).map(|_| post(&proxy, OTHER)).collect::<Vec<_>>()
    };
    let first = faults();
    assert_eq!(first, faults());
    assert!(first.windows(2).all(|two| two.iter().any(|seen| seen.starts_with("200"))), "{first:?}");
    for expected in ["closed", "ConnectionReset"] {
        assert!(first.iter().any(|seen| seen == expected), "{first:?}");
    }
}

#[test]
fn a_node_that_is_gone_is_a_bad_gateway() {
    let proxy = FaultProxy::before("http://127.0.0.1:1");
    assert!(post(&proxy, TWO).starts_with("502 Bad Gateway"));
    assert!(send(&proxy, "GET / HTTP/1.1\r\n\r\n").starts_with("502 Bad Gateway"));
}

#[test]
fn how_often_somebody_knocks() {
    let node = Scripted::start();
    let proxy = FaultProxy::before(&node.url);
    let start = Instant::now();
    for _ in 0..3 {
        post(&proxy, OTHER);
    }
    thread::sleep(Duration::from_millis(1_100));
    post(&proxy, OTHER);
    let log = proxy.seen();
    assert_eq!(log.between(start, Instant::now()), 4);
    assert_eq!(log.most_within(Duration::from_secs(1), start, Instant::now()), 3);
    assert_eq!(proxy.acknowledged(), 4);
    proxy.forget();
    assert_eq!((proxy.acknowledged(), proxy.seen().requests.len()), (0, 0));
}
