//! [`FaultProxy`]: a small HTTP/1.1 proxy in front of a *real* node that does harm inside the HTTP answer.
//!
//! Tools for bad networks (toxiproxy) act on bytes: they cannot let the node apply a batch and then say 502, or take
//! the last items out of an answer. This one reads whole requests and whole answers, and so can act between them:
//!
//! ```text
//! client ──▶ [head] ──▶ [body] ──▶ Arrived ──▶ node ──▶ Applied ──▶ [answer] ──▶ Answered
//!              └ too large? refused, reset       └ or not at all      └ as it came, changed, cut, late, or none
//! ```
//!
//! What happens is decided for each bulk request by a *plan*, a function of its number and its body, never by the
//! clock: so a failure can be repeated from the seed that a test prints. A plan may also name a [`Moment`] at which
//! something outside is done: a process killed, an index closed. Requests other than bulks pass untouched.
//!
//! Everything is counted ([`FaultProxy::seen`]), with times, for tests of how often somebody knocks.
//!
//! One thread for each connection, one connection to the node for each request. It holds whole bodies and is meant
//! for tests only: it believes what clients say about lengths, and listens on 127.0.0.1.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// What is done to a bulk request. "Applied" means that the node has executed it and that its answer has come back.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// Applied, then another answer in place of the node's.
    AppliedThen(Answer),
    /// Applied, then half of the answer, then the end of the connection. The head has promised the whole.
    AppliedThenCut,
    /// Applied, then the connection is closed without a byte of an answer.
    AppliedThenClosed,
    /// Applied, then the connection is reset without a byte of an answer.
    AppliedThenReset,
    /// Applied, and the last so many items are missing in the answer, which is otherwise sound.
    AppliedFewerItems(usize),
    /// Applied, and the answer comes this much later.
    AppliedLate(Duration),
    /// Only the documents of the first file in it are applied; then the connection is closed without an answer.
    FirstFileApplied,
    /// Not applied; this answer.
    NotApplied(Answer),
    /// Not applied; reset after the whole request has arrived.
    NotAppliedReset,
}

impl Fault {
    /// A word for messages and counts.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Pass => "pass",
            Fault::AppliedThen(_) => "applied, then another answer",
            Fault::AppliedThenCut => "applied, then cut",
            Fault::AppliedThenClosed => "applied, then closed",
            Fault::AppliedThenReset => "applied, then reset",
            Fault::AppliedFewerItems(_) => "applied, fewer items",
            Fault::AppliedLate(_) => "applied, late",
            Fault::FirstFileApplied => "first file applied",
            Fault::NotApplied(_) => "not applied",
            Fault::NotAppliedReset => "not applied, reset",
        }
    }
}

/// An answer of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Status and reason, such as `502 Bad Gateway`.
    pub status: &'static str,
    /// Further header lines, without line ends.
    pub headers: Vec<String>,
    /// The body; its length is added to the head.
    pub body: String,
}

impl Answer {
    /// A proxy that got no answer from the node: 502, with a page for people.
    pub fn bad_gateway() -> Answer {
        Answer::page("502 Bad Gateway")
    }

    /// A proxy that waited too long: 504, with a page for people.
    pub fn gateway_timeout() -> Answer {
        Answer::page("504 Gateway Timeout")
    }

    /// A proxy that knows of no healthy node: 503, and when to come again (seconds).
    pub fn unavailable(retry_after: u32) -> Answer {
        Answer::page("503 Service Unavailable").retry_after(retry_after)
    }

    /// A page for people under a good status, as captive portals and login proxies send it.
    pub fn html() -> Answer {
        Answer::page("200 OK")
    }

    /// A page for people.
    pub fn page(status: &'static str) -> Answer {
        let body =
            format!("<html>\r\n<head><title>{status}</title></head>\r\n<body><h1>{status}</h1></body></html>\r\n");
        Answer { status, headers: vec!["content-type: text/html".into()], body }
    }

    /// OpenSearch's own 429 of these words.
    pub fn too_many_requests(error_type: &str, reason: &str) -> Answer {
        let cause = format!(r#""type":"{error_type}","reason":"{reason}""#);
        let body = format!(r#"{{"error":{{"root_cause":[{{{cause}}}],{cause}}},"status":429}}"#);
        Answer {
            status: "429 Too Many Requests",
            headers: vec![
                "X-OpenSearch-Version: OpenSearch/3.8.0 (opensearch)".into(),
                "content-type: application/json; charset=UTF-8".into(),
            ],
            body,
        }
    }

    /// Indexing pressure while others write, too: no halving helps, waiting does.
    pub fn indexing_pressure() -> Answer {
        Answer::too_many_requests(
            "rejected_execution_exception",
            "rejected execution of coordinating operation [coordinating_and_primary_bytes=60000, replica_bytes=0, \
             all_bytes=60000, coordinating_operation_bytes=28864, max_coordinating_and_primary_bytes=65536]",
        )
    }

    /// The node's heap is full.
    pub fn parent_breaker() -> Answer {
        Answer::too_many_requests(
            "circuit_breaking_exception",
            "[parent] Data too large, data for [<http_request>] would be [510040096/486.4mb], which is larger than \
             the limit of [510027366/486.3mb], real usage: [510000000/486.3mb], new bytes reserved: [40096/39.1kb]",
        )
    }

    /// OpenSearch's 413: no body, no content type.
    pub fn too_large() -> Answer {
        Answer { status: "413 Request Entity Too Large", headers: vec![], body: String::new() }
    }

    /// The same answer, with a `Retry-After` in seconds.
    pub fn retry_after(mut self, seconds: u32) -> Answer {
        self.headers.push(format!("retry-after: {seconds}"));
        self
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        to.write_all(text.as_bytes())
    }
}

/// A point in the life of a bulk request at which a plan can have something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The whole request is here, and the node knows nothing of it.
    Arrived,
    /// The node has answered, and the client knows nothing of it.
    Applied,
    /// The client's kernel has the answer. Nothing is known about whether the client has read it.
    Answered,
}

/// What a plan wants done at a moment. It is done on the connection's thread; the request waits for it.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// What a plan decides for one bulk request.
#[derive(Clone)]
pub struct Step {
    /// What is done to it.
    pub fault: Fault,
    /// What is done besides.
    pub hook: Option<(Moment, Hook)>,
}

impl From<Fault> for Step {
    fn from(fault: Fault) -> Step {
        Step { fault, hook: None }
    }
}

impl Step {
    /// Does `hook` at `moment`.
    pub fn and(mut self, moment: Moment, hook: Hook) -> Step {
        self.hook = Some((moment, hook));
        self
    }
}

/// A bulk request whose fate is to be decided.
#[derive(Debug)]
pub struct Bulk<'a> {
    /// Counted from 1 as they arrive whole; those refused early are not among them.
    pub number: u64,
    /// The body as it came.
    pub body: &'a [u8],
}

impl Bulk<'_> {
    /// Where the documents of the first file in it end, if there are others behind. Files are told apart by the first
    /// ten characters of `_id`: eight bytes of a source's identity, in base64url, less the four bits that are shared
    /// with what follows.
    pub fn first_file_end(&self) -> Option<usize> {
        first_file_end(self.body)
    }
}

/// One request, as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its head was here.
    pub at: Instant,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Bytes of its body, as announced.
    pub body_bytes: u64,
    /// What was done to it.
    pub fault: &'static str,
    /// The status that the client was sent; none if there was no answer. Of a cut answer, what its head said.
    pub status: Option<u16>,
}

impl Seen {
    /// Whether it is a bulk request.
    pub fn is_bulk(&self) -> bool {
        is_bulk(&self.method, &self.path)
    }
}

/// What the proxy has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Every request, in the order of their heads.
    pub requests: Vec<Seen>,
}

impl Log {
    /// The bulk requests.
    pub fn bulks(&self) -> impl Iterator<Item = &Seen> {
        self.requests.iter().filter(|seen| seen.is_bulk())
    }

    /// How many bulks had this done to them.
    pub fn faults(&self, name: &str) -> usize {
        self.bulks().filter(|seen| seen.fault == name).count()
    }

    /// Requests of any kind between these times.
    pub fn between(&self, from: Instant, until: Instant) -> usize {
        self.requests.iter().filter(|seen| (from..until).contains(&seen.at)).count()
    }

    /// How many requests of any kind came at most in a window of this length, between these times.
    pub fn most_within(&self, window: Duration, from: Instant, until: Instant) -> usize {
        let starts = self.requests.iter().map(|seen| seen.at).filter(|at| (from..until).contains(at));
        starts.map(|start| self.between(start, until.min(start + window))).max().unwrap_or(0)
    }
}

type Plan = Box<dyn FnMut(&Bulk<'_>) -> Step + Send>;

struct Shared {
    node: SocketAddr,
    plan: Mutex<Plan>,
    /// Bodies above it are refused from the head on. `u64::MAX`: none are.
    body_bytes_max: Mutex<u64>,
    log: Mutex<Log>,
    /// Bulks that arrived whole, and bulks answered 200 in full.
    counts: Mutex<(u64, u64)>,
    /// Open connections of clients, to be closed at the end.
    clients: Mutex<Vec<TcpStream>>,
    ending: AtomicBool,
}

/// The proxy. Ends when dropped; connections that are open then are closed.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl FaultProxy {
    /// In front of this node (`http://127.0.0.1:9200`), on a port of its own. Everything passes until a plan is given.
    pub fn before(node_url: &str) -> FaultProxy {
        let node = node_url.trim_start_matches("http://").trim_end_matches('/');
        let node = node.parse().unwrap_or_else(|error| panic!("{node_url} is no http://IP:PORT: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            node,
            plan: Mutex::new(Box::new(|_| Fault::Pass.into())),
            body_bytes_max: Mutex::new(u64::MAX),
            log: Mutex::default(),
            counts: Mutex::default(),
            clients: Mutex::default(),
            ending: AtomicBool::new(false),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        FaultProxy { address, shared, accepting: Some(accepting) }
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, each bulk request is decided by `plan`. It is asked when the whole request has arrived.
    pub fn plan(&self, plan: impl FnMut(&Bulk<'_>) -> Step + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
    }

    /// From now on, everything passes.
    pub fn pass(&self) {
        self.plan(|_| Fault::Pass.into());
    }

    /// These faults at these bulks (counted from 1 since the proxy began); all others pass.
    pub fn script(&self, script: Vec<(u64, Fault)>) {
        self.plan(move |bulk| {
            let found = script.iter().find(|(number, _)| *number == bulk.number);
            found.map_or(Fault::Pass, |(_, fault)| fault.clone()).into()
        });
    }

    /// One bulk in `one_in` gets one of these faults, by this seed; but never two in a row, so that whoever tries
    /// again gets somewhere.
    pub fn seeded(&self, seed: u64, one_in: u32, faults: Vec<Fault>) {
        assert!(one_in > 0 && !faults.is_empty());
        let (mut random, mut harmed) = (fastrand::Rng::with_seed(seed), false);
        self.plan(move |_| {
            harmed = !harmed && random.u32(0..one_in) == 0;
            if harmed { faults[random.usize(0..faults.len())].clone().into() } else { Fault::Pass.into() }
        });
    }

    /// Bodies that are announced as larger get a 413 at once, and a reset while they are still being sent; as from
    /// proxies with a limit of their own (nginx's `client_max_body_size` behind a load balancer).
    pub fn refuse_bodies_above(&self, bytes: u64) {
        *lock(&self.shared.body_bytes_max) = bytes;
    }

    /// Everything seen so far.
    pub fn seen(&self) -> Log {
        lock(&self.shared.log).clone()
    }

    /// How many bulks were answered 200 in full.
    pub fn acknowledged(&self) -> u64 {
        lock(&self.shared.counts).1
    }

    /// Forgets what was seen, and counts bulks from 1 again.
    pub fn forget(&self) {
        *lock(&self.shared.log) = Log::default();
        *lock(&self.shared.counts) = (0, 0);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        for client in lock(&self.shared.clients).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address); // wakes up accept()
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// A thread that panicked (a hook with a failed assertion, say) must not hide what the others have counted.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.ending.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        if let Ok(handle) = client.try_clone() {
            lock(&shared.clients).push(handle);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client that goes away is no trouble of ours.
            let _ = serve(&client, &shared);
            // The handle kept for the end would hold the connection open. Nothing is shut down first: dropped with
            // bytes unread, a connection is reset, and that is how resets are made here.
            let peer = client.peer_addr().ok();
            lock(&shared.clients).retain(|kept| kept.peer_addr().ok() != peer);
        });
    }
}

/// Serves one connection, request after request, until either side has enough.
fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    while let Some(head) = RequestHead::receive(client)? {
        let slot = {
            let mut log = lock(&shared.log);
            log.requests.push(Seen {
                at: Instant::now(),
                method: head.method.clone(),
                path: head.path.clone(),
                body_bytes: head.body_bytes,
                fault: Fault::Pass.name(),
                status: None,
            });
            log.requests.len() - 1
        };
        let note = |fault: &'static str, status: Option<u16>| {
            // The log may have been forgotten meanwhile.
            if let Some(seen) = lock(&shared.log).requests.get_mut(slot) {
                (seen.fault, seen.status) = (fault, status);
            }
        };
        if head.body_bytes > *lock(&shared.body_bytes_max) {
            note("refused early", Some(413));
            Answer::too_large().write(&mut &*client)?;
            return Ok(()); // dropped with the body unread: a reset
        }
        if head.expects_continue {
            (&*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = UnfinishedBody::receive(client, head.body_bytes)?;
        let keep = if is_bulk(&head.method, &head.path) {
            bulk(client, shared, &head, body, &note)?
        } else {
            let answer = forward(shared.node, &head, &body.bytes);
            body.finish(client)?;
            let answer = answer.unwrap_or_else(|_| Reply::from(&Answer::bad_gateway()));
            note(Fault::Pass.name(), answer.status());
            answer.write(client, head.method == "HEAD")?;
            true
        };
        if !keep || head.closes {
            return Ok(());
        }
    }
    Ok(())
}

/// Does to one bulk request what the plan says. Returns whether the connection goes on.
fn bulk(
    client: &TcpStream,
    shared: &Shared,
    head: &RequestHead,
    body: UnfinishedBody,
    note: &dyn Fn(&'static str, Option<u16>),
) -> io::Result<bool> {
    let number = {
        let mut counts = lock(&shared.counts);
        counts.0 += 1;
        counts.0
    };
    let Step { fault, hook } = (lock(&shared.plan))(&Bulk { number, body: &body.bytes });
    let at = |moment: Moment| {
        if let Some((wanted, hook)) = &hook
            && *wanted == moment
        {
            hook();
        }
    };
    let name = fault.name();
    note(name, None);
    at(Moment::Arrived);

    let sent = match fault {
        Fault::NotApplied(_) | Fault::NotAppliedReset => &[][..],
        Fault::FirstFileApplied => &body.bytes[..first_file_end(&body.bytes).unwrap_or(body.bytes.len())],
        _ => &body.bytes[..],
    };
    let reply = if sent.is_empty() { None } else { Some(forward(shared.node, head, sent)) };
    let reply = match reply {
        None => None,
        Some(Ok(reply)) => Some(reply),
        Some(Err(_)) => {
            // The node is down or died in the middle: what any proxy says then.
            body.finish(client)?;
            note("node gone", Some(502));
            Reply::from(&Answer::bad_gateway()).write(client, false)?;
            return Ok(true);
        }
    };
    at(Moment::Applied);

    let reply = match (fault, reply) {
        (Fault::NotAppliedReset | Fault::AppliedThenReset, _) => return Ok(false), // unread last byte: a reset
        (Fault::AppliedThenClosed | Fault::FirstFileApplied, _) => {
            body.finish(client)?;
            return Ok(false);
        }
        (Fault::NotApplied(answer) | Fault::AppliedThen(answer), _) => Reply::from(&answer),
        (_, None) => unreachable!("what is applied has a reply"),
        (Fault::AppliedLate(late), Some(reply)) => {
            thread::sleep(late);
            reply
        }
        (Fault::AppliedFewerItems(missing), Some(reply)) => reply.without_items(missing),
        (Fault::AppliedThenCut, Some(reply)) => {
            body.finish(client)?;
            note(name, reply.status());
            let bytes = reply.bytes(false);
            (&*client).write_all(&bytes[..bytes.len() - reply.body.len().div_ceil(2)])?;
            return Ok(false);
        }
        (Fault::Pass, Some(reply)) => reply,
    };
    body.finish(client)?;
    // Counted before it is written: whoever has the answer must find it counted.
    note(name, reply.status());
    if reply.status() == Some(200) {
        lock(&shared.counts).1 += 1;
    }
    reply.write(client, false)?;
    at(Moment::Answered);
    Ok(true)
}

fn is_bulk(method: &str, path: &str) -> bool {
    matches!(method, "POST" | "PUT") && path.split('?').next().is_some_and(|path| path.ends_with("/_bulk"))
}

fn first_file_end(body: &[u8]) -> Option<usize> {
    let (mut at, mut first) = (0, None);
    let mut lines = body.split_inclusive(|byte| *byte == b'\n');
    while let (Some(action), document) = (lines.next(), lines.next()) {
        let file = file_of(action);
        if *first.get_or_insert(file) != file {
            return Some(at);
        }
        at += action.len() + document.map_or(0, <[u8]>::len);
    }
    None
}

/// The part of an action line's `_id` that tells its file.
fn file_of(action: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = br#""_id":""#;
    let at = action.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    action.get(at..at + 10)
}

// --- HTTP, as much of it as a bulk client and a node speak ---------------------------------------------------------

struct RequestHead {
    method: String,
    path: String,
    /// Header lines to be handed on, without line ends.
    headers: Vec<String>,
    body_bytes: u64,
    expects_continue: bool,
    closes: bool,
}

const HEAD_BYTES_MAX: usize = 64 * 1024;

impl RequestHead {
    /// Waits for the next head and takes exactly it from the connection. `None`: the client has closed it.
    fn receive(mut client: &TcpStream) -> io::Result<Option<RequestHead>> {
        let mut bytes = vec![0; HEAD_BYTES_MAX];
        let mut known = 0;
        let length = loop {
            // Looked at, not taken: how the connection ends depends on what is left in it.
            let found = client.peek(&mut bytes)?;
            if let Some(at) = bytes[..found].windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if found == 0 {
                return Ok(None);
            }
            if found == bytes.len() {
                return Err(io::Error::new(ErrorKind::InvalidData, "a request head of more than 64 KiB"));
            }
            if found == known {
                thread::sleep(Duration::from_millis(1));
            }
            known = found;
        };
        bytes.truncate(length);
        client.read_exact(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let mut words = lines.next().unwrap_or_default().split(' ');
        let mut head = RequestHead {
            method: words.next().unwrap_or_default().to_owned(),
            path: words.next().unwrap_or_default().to_owned(),
            headers: Vec::new(),
            body_bytes: 0,
            expects_continue: false,
            closes: false,
        };
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.body_bytes = value.parse().map_err(|_| invalid(line))?,
                "transfer-encoding" => return Err(invalid(line)), // no client of ours
                "expect" => head.expects_continue = true,
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                "accept-encoding" | "keep-alive" => {} // answers must stay readable for us
                _ => head.headers.push(line.to_owned()),
            }
        }
        Ok(Some(head))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not understood by the fault proxy: {what}"))
}

/// A body that is here whole, while its last byte is still in the connection: dropped now, the connection is reset;
/// finished first, it is closed or goes on.
struct UnfinishedBody {
    bytes: Vec<u8>,
}

impl UnfinishedBody {
    fn receive(mut client: &TcpStream, length: u64) -> io::Result<UnfinishedBody> {
        let length = usize::try_from(length).map_err(|_| invalid("content-length"))?;
        let mut bytes = vec![0; length];
        if let Some((last, front)) = bytes.split_last_mut() {
            client.read_exact(front)?;
            if client.peek(std::slice::from_mut(last))? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(UnfinishedBody { bytes })
    }

    fn finish(&self, mut client: &TcpStream) -> io::Result<()> {
        if self.bytes.is_empty() { Ok(()) } else { client.read_exact(&mut [0]) }
    }
}

/// Sends a request to the node and reads its whole answer.
fn forward(node: SocketAddr, head: &RequestHead, body: &[u8]) -> io::Result<Reply> {
    let mut connection = TcpStream::connect_timeout(&node, Duration::from_secs(5))?;
    connection.set_nodelay(true)?;
    let mut text = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", head.method, head.path);
    for header in &head.headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() || !matches!(head.method.as_str(), "GET" | "HEAD" | "DELETE") {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    // A node that refuses early may close while we send; what it says is what counts.
    let sent = connection.write_all(text.as_bytes()).and_then(|()| connection.write_all(body));
    match Reply::receive(connection, head.method == "HEAD") {
        Ok(reply) => Ok(reply),
        Err(error) => Err(sent.err().unwrap_or(error)),
    }
}

/// The node's answer, whole.
struct Reply {
    /// `HTTP/1.1 200 OK`.
    status_line: String,
    /// Header lines to be handed on, without line ends and lengths.
    headers: Vec<String>,
    body: Vec<u8>,
    /// What the node's head said; differs from the body's length in answers to HEAD.
    content_length: Option<u64>,
}

impl From<&Answer> for Reply {
    fn from(answer: &Answer) -> Reply {
        Reply {
            status_line: format!("HTTP/1.1 {}", answer.status),
            headers: answer.headers.clone(),
            body: answer.body.clone().into_bytes(),
            content_length: None,
        }
    }
}

impl Reply {
    fn receive(connection: TcpStream, no_body: bool) -> io::Result<Reply> {
        let mut reader = BufReader::new(connection);
        let mut line = || -> io::Result<String> {
            let mut text = String::new();
            if reader.read_line(&mut text)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Ok(text.trim_end().to_owned())
        };
        let status_line = line()?;
        let (mut headers, mut content_length) = (Vec::new(), None);
        loop {
            let header = line()?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => content_length = Some(value.trim().parse().map_err(|_| invalid(&header))?),
                "transfer-encoding" => return Err(invalid(&header)), // nodes announce lengths
                "connection" => {}
                _ => headers.push(header),
            }
        }
        let mut body = Vec::new();
        match content_length {
            _ if no_body => {}
            Some(length) => {
                reader.take(length).read_to_end(&mut body)?;
                if body.len() as u64 != length {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            None => drop(reader.read_to_end(&mut body)?),
        }
        Ok(Reply { status_line, headers, body, content_length })
    }

    fn status(&self) -> Option<u16> {
        self.status_line.split(' ').nth(1)?.parse().ok()
    }

    /// As it goes over the wire.
    fn bytes(&self, no_body: bool) -> Vec<u8> {
        let length = self.content_length.filter(|_| no_body).unwrap_or(self.body.len() as u64);
        let mut text = format!("{}\r\ncontent-length: {length}\r\n", self.status_line);
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if !no_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    fn write(&self, mut client: &TcpStream, no_body: bool) -> io::Result<()> {
        client.write_all(&self.bytes(no_body))
    }

    /// The same answer with the last items missing. One that has no items stays as it is.
    fn without_items(mut self, missing: usize) -> Reply {
        if let Ok(mut answer) = serde_json::from_slice::<serde_json::Value>(&self.body)
            && let Some(items) = answer["items"].as_array_mut()
        {
            items.truncate(items.len().saturating_sub(missing));
            self.body = answer.to_string().into_bytes();
        }
        self
    }
}
