//! [`ScriptedServer`]: an HTTP server that does what a test says, request by request.
//!
//! A script is a list of [`Act`]s. Each request takes the next one; when the list is used up, the last one is
//! repeated. An act is an answer, or a fault: a connection cut before, in or after the answer, a reset, silence. The
//! server keeps what it was sent, so a test can ask which documents came how often. It stands on a plain
//! `TcpListener` and knows just enough HTTP/1.1: Content-Length, keep-alive, `Expect: 100-continue`.
//!
//! `Act::Index` makes it a small Bulk API of its own: it keeps ids, answers 201 and 409, and can apply a request
//! before it misbehaves. Then a test can compare what was reported with what is there.
#![allow(dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What to do with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// This status and body, as JSON.
    Answer(u16, String),
    /// The same with more header lines, each ending in CR LF.
    AnswerWith(u16, &'static str, String),
    /// 201 for each new id, 409 for each known one.
    Index,
    /// The items are made by a function: action line, document, whether the id was known. It returns the item's
    /// status and, if there is one, the text of its `error`. Documents with 201 are kept.
    Items(fn(&str, &str, bool) -> (u16, &'static str)),
    /// This status and body if any action line is one of those; otherwise as `Index`.
    RefuseIf(fn(&str) -> bool, u16, &'static str),
    /// Keep the documents as `Index` does, then do this instead of answering.
    Apply(Box<Act>),
    /// Answer as `Index` does, without the last items.
    FewerItems(usize),
    /// Answer as `Index` does, but break off after so many bytes of the body.
    CutAnswer(usize),
    /// Read the request and close.
    Close,
    /// Read the request and say nothing for so long, then close.
    Hang(Duration),
    /// Read so many bytes of the body, then reset the connection.
    ResetAfter(usize),
    /// Answer 413 when the header says that the body is longer than this, without reading it, and reset; otherwise
    /// as `Index`. As a proxy does that stands before a server.
    Early413(usize),
    /// Answer 413 when the body is longer than this, having read it, as OpenSearch does; otherwise as `Index`.
    Late413(usize),
    /// Read it and close when the body is longer than this, without an answer; otherwise as `Index`. As behind a proxy
    /// whose 413 is lost on the way, after the buffers between have swallowed the body.
    CloseAbove(usize),
    /// As `Index`, but one request at a time, each taking so long, while at most so many wait; to others say 429.
    Queue(usize, Duration),
    /// Wait so long, then go on with this.
    After(Duration, Box<Act>),
    /// Not HTTP.
    Raw(&'static [u8]),
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `POST /_bulk?…`.
    pub line: String,
    /// All header lines, lower case names.
    pub headers: BTreeMap<String, String>,
    /// As it came; as much as was read.
    pub body: Vec<u8>,
    /// When it began.
    pub at: Instant,
}

impl Seen {
    /// The path and query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or("")
    }

    /// Pairs of action line and document.
    pub fn documents(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }
}

/// A running server. Stops when dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
    /// Documents by id, and how often each was created.
    index: Mutex<BTreeMap<String, (String, u32)>>,
    connections: AtomicUsize,
    /// Requests of `Act::Queue` that are there, and the one at work.
    queued: AtomicUsize,
    at_work: Mutex<()>,
    ended: AtomicBool,
}

impl ScriptedServer {
    /// Starts on a free port of 127.0.0.1.
    pub fn new(script: impl IntoIterator<Item = Act>) -> ScriptedServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            seen: Mutex::default(),
            index: Mutex::default(),
            connections: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            at_work: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let ours = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            let mut serving = Vec::new();
            for stream in listener.incoming() {
                if ours.ended.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                ours.connections.fetch_add(1, Ordering::SeqCst);
                let ours = Arc::clone(&ours);
                serving.push(std::thread::spawn(move || {
                    // A connection that breaks is part of the play.
                    let _ = serve(stream, &ours);
                }));
            }
            for thread in serving {
                let _ = thread.join();
            }
        });
        ScriptedServer { address, shared, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces what is left of the script.
    pub fn script(&self, script: impl IntoIterator<Item = Act>) {
        *self.shared.script.lock().unwrap() = script.into_iter().collect();
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Ids of all documents kept, and how often each was created.
    pub fn ids(&self) -> BTreeMap<String, u32> {
        self.shared.index.lock().unwrap().iter().map(|(id, (_, times))| (id.clone(), *times)).collect()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn next_act(&self) -> Act {
        let mut script = self.script.lock().unwrap();
        match script.len() {
            0 => Act::Index,
            1 => script[0].clone(),
            _ => script.pop_front().expect("not empty"),
        }
    }

    /// Keeps documents; answers with one item each.
    fn index(&self, body: &[u8], decide: fn(&str, &str, bool) -> (u16, &'static str)) -> Vec<String> {
        let mut index = self.index.lock().unwrap();
        let mut next_id = index.len();
        let mut items = Vec::new();
        for (action, document) in pairs(body) {
            let id = id_of(&action).unwrap_or_else(|| {
                next_id += 1;
                format!("auto-{next_id}")
            });
            let (status, error) = decide(&action, &document, index.contains_key(&id));
            if status == 201 {
                index.entry(id).or_insert((document, 0)).1 += 1;
            }
            items.push(match error {
                "" => format!(r#"{{"create":{{"status":{status}}}}}"#),
                error => format!(r#"{{"create":{{"status":{status},"error":{error}}}}}"#),
            });
        }
        items
    }
}

const CONFLICT: &str =
    r#"{"type":"version_conflict_engine_exception","reason":"[x]: version conflict, document already exists"}"#;

fn by_id(_action: &str, _document: &str, known: bool) -> (u16, &'static str) {
    if known { (409, CONFLICT) } else { (201, "") }
}

fn bulk_answer(items: &[String]) -> String {
    let errors = items.iter().any(|item| item.contains("\"error\""));
    format!(r#"{{"errors":{errors},"items":[{}]}}"#, items.join(","))
}

fn id_of(action: &str) -> Option<String> {
    let rest = action.split_once(r#""_id":""#)?.1;
    Some(rest.split_once('"')?.0.to_owned())
}

fn pairs(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let mut lines = text.lines();
    let mut pairs = Vec::new();
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        pairs.push((action.to_owned(), document.to_owned()));
    }
    pairs
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut buffered = Vec::new();
    loop {
        let Some(head_end) = read_head(&mut stream, &mut buffered, shared)? else { return Ok(()) };
        let at = Instant::now();
        let head = String::from_utf8_lossy(&buffered[..head_end]).into_owned();
        buffered.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or("").to_owned();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut act = shared.next_act();
        while let Act::After(wait, then) = act {
            std::thread::sleep(wait);
            act = *then;
        }
        let seen = |body: &[u8]| {
            let body = body.to_vec();
            shared.seen.lock().unwrap().push(Seen { line: line.clone(), headers: headers.clone(), body, at });
        };
        match &act {
            Act::Early413(limit) if length > *limit => {
                seen(&[]);
                respond(&mut stream, 413, "Connection: close\r\n", b"")?;
                // Closed with bytes unread: the kernel resets the connection.
                return Ok(());
            }
            Act::ResetAfter(bytes) => {
                read_body(&mut stream, &mut buffered, length.min(*bytes), shared)?;
                seen(&buffered);
                return Ok(());
            }
            _ => {}
        }
        if headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        read_body(&mut stream, &mut buffered, length, shared)?;
        let body: Vec<u8> = buffered.drain(..length).collect();
        seen(&body);
        if !perform(&mut stream, &act, &body, shared)? {
            return Ok(());
        }
    }
}

/// Does one act; false: the connection is over.
fn perform(stream: &mut TcpStream, act: &Act, body: &[u8], shared: &Shared) -> std::io::Result<bool> {
    let indexed = || bulk_answer(&shared.index(body, by_id));
    match act {
        Act::Answer(status, text) => respond(stream, *status, "", text.as_bytes())?,
        Act::AnswerWith(status, headers, text) => respond(stream, *status, headers, text.as_bytes())?,
        Act::Index | Act::Early413(_) => respond(stream, 200, "", indexed().as_bytes())?,
        Act::Late413(limit) if body.len() > *limit => respond(stream, 413, "", b"")?,
        Act::CloseAbove(limit) if body.len() > *limit => return Ok(false),
        Act::Late413(_) | Act::CloseAbove(_) => respond(stream, 200, "", indexed().as_bytes())?,
        Act::Items(decide) => respond(stream, 200, "", bulk_answer(&shared.index(body, *decide)).as_bytes())?,
        Act::RefuseIf(refuses, status, text) => {
            if pairs(body).iter().any(|(action, _)| refuses(action)) {
                respond(stream, *status, "", text.as_bytes())?;
            } else {
                respond(stream, 200, "", indexed().as_bytes())?;
            }
        }
        Act::FewerItems(missing) => {
            let items = shared.index(body, by_id);
            let kept = items.len().saturating_sub(*missing);
            respond(stream, 200, "", bulk_answer(&items[..kept]).as_bytes())?;
        }
        Act::Apply(then) => {
            indexed();
            return perform(stream, then, body, shared);
        }
        Act::CutAnswer(bytes) => {
            let text = indexed();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(&text.as_bytes()[..text.len().min(*bytes)])?;
            return Ok(false);
        }
        Act::Queue(length, takes) => {
            let answer = if shared.queued.fetch_add(1, Ordering::SeqCst) > *length {
                let busy = r#"{"type":"rejected_execution_exception","reason":"queue"}"#;
                let item = format!(r#"{{"create":{{"status":429,"error":{busy}}}}}"#);
                bulk_answer(&vec![item; pairs(body).len()])
            } else {
                let _alone = shared.at_work.lock().unwrap();
                std::thread::sleep(*takes);
                indexed()
            };
            shared.queued.fetch_sub(1, Ordering::SeqCst);
            respond(stream, 200, "", answer.as_bytes())?;
        }
        Act::Close => return Ok(false),
        Act::Hang(time) => {
            let until = Instant::now() + *time;
            while Instant::now() < until && !shared.ended.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            return Ok(false);
        }
        Act::Raw(bytes) => {
            stream.write_all(bytes)?;
            return Ok(false);
        }
        Act::After(wait, then) => {
            std::thread::sleep(*wait);
            return perform(stream, then, body, shared);
        }
        Act::ResetAfter(_) => unreachable!("done before the body was read"),
    }
    Ok(true)
}

fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let mut answer = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    stream.write_all(&answer)
}

fn read_head(stream: &mut TcpStream, buffered: &mut Vec<u8>, shared: &Shared) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(end) = buffered.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(Some(end));
        }
        if read_some(stream, buffered, shared)? == 0 {
            return Ok(None);
        }
    }
}

fn read_body(stream: &mut TcpStream, buffered: &mut Vec<u8>, length: usize, shared: &Shared) -> std::io::Result<()> {
    while buffered.len() < length {
        if read_some(stream, buffered, shared)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Reads what is there, but looks up now and then whether the server was stopped.
fn read_some(stream: &mut TcpStream, buffered: &mut Vec<u8>, shared: &Shared) -> std::io::Result<usize> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(n) => {
                buffered.extend_from_slice(&piece[..n]);
                return Ok(n);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if shared.ended.load(Ordering::SeqCst) {
                    return Ok(0);
                }
            }
            Err(error) => return Err(error),
        }
    }
}
