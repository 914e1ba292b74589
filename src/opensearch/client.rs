//! [`Client`]: the hosts of one cluster, their connections, and one exchange with them.

use std::fs;
use std::io::Read;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{self, HeaderValue, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::address::{Address, is_private, percent_decoded};
use super::ask::encoded;
use super::body::{Body, Compression, Scratch};
use super::door::{Door, Outgoing};
use super::fault::{Failure, Fault, Progress, TlsFault};
use super::hello::{speaks_plain_http, speaks_tls};
use super::login::{Auth, Login};
use super::options::{Options, Tls};
use super::proxy::Proxy;
use super::refusal::Refusal;
use crate::error::{Error, Result};

/// The send buffer of each connection. Bodies go through it in pieces of this size: one system call each.
pub const SEND_BUFFER_BYTES: usize = 256 << 10;
/// The receive buffer of each connection.
pub const RECEIVE_BUFFER_BYTES: usize = 64 << 10;
/// The longest answer that a request other than a bulk may have.
const JSON_BYTES_MAX: usize = 16 << 20;
/// How long a host that could not be reached, or had no good answer, is passed over while others have.
const HOST_REST: Duration = Duration::from_secs(5);
/// How long such a host may take to say who it is, before it is asked for more.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// How long a looked-up name is used again.
const NAME_AGE_MAX: Duration = Duration::from_secs(60);

/// A cluster that can be talked to. Shared by all writers.
pub struct Client {
    hosts: Vec<Host>,
    /// Counts exchanges: hosts take turns.
    turn: AtomicUsize,
    /// Whether anything ever answered: before that, an unreachable host is a wrong URL; after it, a state.
    reached: AtomicBool,
    who: Option<String>,
    serverless: bool,
    server_timeout: Duration,
    json_timeout: Duration,
    info_timeout: Duration,
    pub(super) info_patience: Duration,
}

struct Host {
    address: Address,
    agent: ureq::Agent,
    door: Door,
    proxy: Option<Proxy>,
    compression: Compression,
    health: Mutex<Health>,
}

/// Whether a host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Works,
    /// Not before then, unless there is no other.
    RestsUntil(Instant),
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

/// The part of an answer that comes before its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// How long somebody (a proxy; OpenSearch never says) asks us to wait.
    pub retry_after: Option<Duration>,
    /// Where a redirect points to.
    pub location: Option<String>,
    /// How many seconds the server's clock is ahead of ours (behind, if negative), by its `Date`.
    pub clock_ahead: Option<i64>,
    /// Which host answered, for sentences.
    pub host: usize,
}

/// An answer in JSON.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status and host.
    pub head: Head,
    /// The body; `Null` if there is none or it is not JSON.
    pub body: Value,
    /// The body taken apart as an error, if the status is not 2xx.
    pub refusal: Option<Refusal>,
}

/// What an exchange sends.
struct Request<'a> {
    method: Method,
    /// Starts with a slash, may hold a query.
    path: &'a str,
    content_type: &'static str,
    body: &'a Body<'a>,
    content_encoding: Option<&'static str>,
    /// Ask before sending the body: a limit before the server then says no instead of breaking the connection.
    expect_continue: bool,
    /// How long to wait for the answer, where not as long as for a bulk.
    timeout: Option<Duration>,
    /// With the header that OpenSearch Dashboards asks for, against requests forged by pages.
    to_dashboards: bool,
}

impl Request<'_> {
    fn sends_body(&self) -> bool {
        self.body.bytes() > 0 || matches!(self.method, Method::Post | Method::Put)
    }
}

impl Client {
    /// Prepares to talk to these hosts. Reads the certificate files, looks up nothing, connects to nothing.
    ///
    /// # Errors
    /// Certificate files that cannot be read, an authorization that cannot stand in a header.
    pub fn new(options: Options) -> Result<Client> {
        assert!(!options.addresses.is_empty(), "a client needs a host");
        let tls = tls_config(&options.tls)?;
        let mut hosts = Vec::with_capacity(options.addresses.len());
        let mut who = options.login.as_ref().map(|login| login.auth.who());
        for address in &options.addresses {
            let from_url = address.user_info.as_ref().map(|(user, password)| Login {
                auth: Auth::Basic { user: user.clone(), password: password.clone() },
                file: None,
            });
            let login = options.login.clone().or(from_url);
            who = who.or_else(|| login.as_ref().map(|login| login.auth.who()));
            let proxy = Proxy::of(address, |name| std::env::var(name).ok());
            hosts.push(Host {
                address: address.clone(),
                agent: agent(&options, proxy.as_ref().map(Proxy::prepared).transpose()?, tls.clone()),
                door: Door::new(login)?,
                proxy,
                compression: match options.compression {
                    Compression::Auto if is_near(address) => Compression::None,
                    Compression::Auto => Compression::Gzip,
                    other => other,
                },
                health: Mutex::new(Health::Works),
            });
        }
        Ok(Client {
            hosts,
            turn: AtomicUsize::new(0),
            reached: AtomicBool::new(false),
            who,
            serverless: options.login.as_ref().is_some_and(|login| login.auth.is_serverless()),
            server_timeout: options.server_timeout(),
            json_timeout: options.json_timeout.min(options.request_timeout),
            info_timeout: options.info_timeout.min(options.request_timeout),
            info_patience: options.info_patience,
        })
    }

    /// The address of a host, for sentences.
    pub fn address(&self, host: usize) -> &Address {
        &self.hosts[host].address
    }

    /// All addresses, for sentences.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.hosts.iter().map(|host| &host.address)
    }

    /// How we show up: `user "writer"`; none without a user.
    pub fn who(&self) -> Option<&str> {
        self.who.as_deref()
    }

    /// Whether it is a collection of Amazon OpenSearch Serverless, which does not answer questions about itself.
    pub fn is_serverless(&self) -> bool {
        self.serverless
    }

    /// Whether any host ever answered anything.
    pub fn reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// The longest that the server should wait by itself, for `timeout=` parameters.
    pub fn server_timeout(&self) -> Duration {
        self.server_timeout
    }

    /// Sends one bulk body to `path` (`/_bulk?…`) and reads the answer into `answer`, at most `answer_bytes_max`.
    ///
    /// # Errors
    /// The fault, if there is no whole answer. Any status is an answer.
    pub fn bulk(
        &self,
        path: &str,
        body: &Body<'_>,
        how: BulkHow,
        scratch: &mut Scratch,
        answer: &mut Vec<u8>,
        answer_bytes_max: usize,
    ) -> Result<Head, Failure> {
        self.with_a_host(false, |host| {
            let compression = if how.plain { Compression::None } else { host.compression };
            let packed;
            scratch.travelled = body.bytes();
            let (body, content_encoding) = match compression.content_encoding() {
                None => (body, None),
                Some(encoding) => {
                    let bytes = scratch.compress(body, compression).map_err(|error| Fault::Other(error.to_string()))?;
                    packed = Body::of(bytes);
                    (&packed, Some(encoding))
                }
            };
            let request = Request {
                method: Method::Post,
                path,
                content_type: "application/x-ndjson",
                body,
                content_encoding,
                expect_continue: how.expect_continue,
                timeout: None,
                to_dashboards: false,
            };
            host.exchange(&request, answer, answer_bytes_max)
        })
    }

    /// Whether bulk bodies are compressed on their way to a host.
    pub fn compresses(&self, host: usize) -> bool {
        self.hosts[host].compression.content_encoding().is_some()
    }

    /// One request with a JSON body, or none, and a JSON answer.
    ///
    /// # Errors
    /// The fault, if there is no whole answer. Any status is an answer.
    pub fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Failure> {
        self.json_within(self.json_timeout, method, path, body)
    }

    /// `GET /`.
    pub(super) fn root(&self) -> Result<Reply, Failure> {
        self.json_within(self.info_timeout, Method::Get, "/", None)
    }

    fn json_within(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let text = body.map(Value::to_string).unwrap_or_default();
        self.small(timeout, method, path, "application/json", text.as_bytes(), false)
    }

    /// The same with a server of OpenSearch Dashboards, and any body.
    pub(super) fn to_dashboards(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &[u8],
    ) -> Result<Reply, Failure> {
        self.small(self.json_timeout, method, path, content_type, body, true)
    }

    fn small(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &[u8],
        to_dashboards: bool,
    ) -> Result<Reply, Failure> {
        let body = Body::of(body);
        let mut answer = Vec::new();
        let head = self.with_a_host(matches!(method, Method::Get | Method::Head), |host| {
            let request = Request {
                method,
                path,
                content_type,
                body: &body,
                content_encoding: None,
                expect_continue: false,
                timeout: Some(timeout),
                to_dashboards,
            };
            host.exchange(&request, &mut answer, JSON_BYTES_MAX)
        })?;
        let refusal = (!(200..300).contains(&head.status)).then(|| Refusal::read(&head, &answer));
        Ok(Reply { body: serde_json::from_slice(&answer).unwrap_or(Value::Null), refusal, head })
    }

    /// [`Client::json`] where only a 2xx will do; `doing` goes into the sentence.
    ///
    /// # Errors
    /// The fault or the refusal, as a sentence.
    pub fn json_ok(&self, doing: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let reply = self.json(method, path, body).map_err(|failure| self.failed(&failure, doing))?;
        match &reply.refusal {
            None => Ok(reply.body),
            Some(refusal) => Err(self.refused(refusal, &reply.head, doing)),
        }
    }

    /// The sentence for an answer that says no.
    pub fn refused(&self, refusal: &Refusal, head: &Head, doing: &str) -> Error {
        refusal.error(doing, self.address(head.host), self.who())
    }

    /// The sentence for no answer.
    pub fn failed(&self, failure: &Failure, doing: &str) -> Error {
        let host = &self.hosts[failure.host];
        let is_strange = !self.reached() && host.proxy.is_none() && failure.fault.may_be_another_language();
        let fault = match host.address.https {
            false if is_strange && speaks_tls(&host.address) => &Fault::SpeaksTls,
            true if is_strange && speaks_plain_http(&host.address) => &Fault::Tls(TlsFault::PlainHttp),
            _ => &failure.fault,
        };
        let error = fault.error(doing, &host.address);
        match &host.proxy {
            Some(proxy) if fault.is_connecting() => error.hint(format!(
                "the way goes through the proxy {} ({}); NO_PROXY names hosts that need none",
                proxy.shown(),
                proxy.variable
            )),
            _ => error,
        }
    }

    /// Runs one exchange with the host whose turn it is. One that cannot be reached, does not answer, or stands for
    /// nobody (a proxy's 502, 503, 504; 404 for a bulk) is passed over for a while, so that one bad host of several costs
    /// nothing but a moment. Where certainly nothing was done, or where the request only `asks`, the others are tried at
    /// once; else whoever sent it decides whether it may go again, and then it goes to another.
    fn with_a_host(&self, asks: bool, mut exchange: impl FnMut(&Host) -> Result<Head, Fault>) -> Result<Head, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.hosts.len()).map(|n| (turn + n) % self.hosts.len());
        let now = Instant::now();
        let (awake, resting): (Vec<usize>, Vec<usize>) = in_turn.partition(|n| self.hosts[*n].is_awake());
        let mut order: Vec<usize> = Vec::with_capacity(self.hosts.len());
        // Who comes back from a rest is asked for something small first, by one of us at a time, while another works.
        let back = resting.iter().copied().find(|n| !awake.is_empty() && self.hosts[*n].may_be_probed(now));
        order.extend(back.filter(|n| self.hosts[*n].probe()));
        order.extend(awake);
        let others: Vec<usize> = resting.into_iter().filter(|n| !order.contains(n)).collect();
        order.extend(others);
        let mut last = None;
        for n in order {
            let host = &self.hosts[n];
            let (elsewhere, answer) = match exchange(host) {
                Ok(head) => {
                    self.reached.store(true, Ordering::Relaxed);
                    let bad = matches!(head.status, 502..=504) || (head.status == 404 && !asks);
                    host.worked(!bad);
                    (bad && (asks || head.status == 404), Ok(Head { host: n, ..head }))
                }
                Err(fault) => {
                    let bad = fault.is_connecting()
                        || matches!(fault, Fault::TimedOutSending | Fault::TimedOutWaiting | Fault::NotHttp);
                    if bad {
                        host.worked(false);
                    }
                    (fault.is_connecting() || (asks && bad), Err(Failure { fault, host: n }))
                }
            };
            if !elsewhere {
                return answer;
            }
            last = Some(answer);
        }
        last.expect("a client has at least one host")
    }
}

/// How a bulk body is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkHow {
    /// With `Expect: 100-continue`: after a connection broke while sending, to hear the reason instead.
    pub expect_continue: bool,
    /// Uncompressed, whatever the options say: after the server did not understand the body.
    pub plain: bool,
}

impl Host {
    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn is_awake(&self) -> bool {
        *self.health() == Health::Works
    }

    /// Whether its rest is over. The caller is the only one to hear so for a while.
    fn may_be_probed(&self, now: Instant) -> bool {
        let mut health = self.health();
        match *health {
            Health::RestsUntil(until) if now >= until => {
                *health = Health::RestsUntil(now + HOST_REST);
                true
            }
            _ => false,
        }
    }

    /// Whether it answers something small in time.
    fn probe(&self) -> bool {
        let body = Body::of(&[]);
        let request = Request {
            method: Method::Get,
            path: "/",
            content_type: "application/json",
            body: &body,
            content_encoding: None,
            expect_continue: false,
            timeout: Some(PROBE_MAX),
            to_dashboards: false,
        };
        let answer = self.exchange(&request, &mut Vec::new(), JSON_BYTES_MAX);
        let works = answer.is_ok_and(|head| !matches!(head.status, 502..=504));
        self.worked(works);
        works
    }

    fn worked(&self, well: bool) {
        let mut health = self.health();
        match well {
            true if *health == Health::Works => {}
            true => *health = Health::Works,
            false => *health = Health::RestsUntil(Instant::now() + HOST_REST),
        }
    }

    fn run<S: ureq::AsSendBody>(
        &self,
        request: http::Request<S>,
        timeout: Option<Duration>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let Some(timeout) = timeout else { return self.agent.run(request) };
        let config = self.agent.configure_request(request);
        self.agent.run(config.timeout_recv_response(Some(timeout)).timeout_recv_body(Some(timeout)).build())
    }

    fn exchange(&self, request: &Request<'_>, answer: &mut Vec<u8>, answer_bytes_max: usize) -> Result<Head, Fault> {
        let mut tries = 0;
        loop {
            let url = match self.door.signs() {
                true => self.address.url(&signable(request.path)),
                false => self.address.url(request.path),
            };
            let host = self.address.host_header();
            let shown = self.door.show(&Outgoing {
                method: request.method.as_http().as_str(),
                url: &url,
                host: &host,
                content_type: request.sends_body().then_some(request.content_type),
                body: request.body,
            })?;
            let mut builder =
                http::Request::builder().method(request.method.as_http()).uri(url).header(header::HOST, host);
            for (name, value) in &shown.headers {
                builder = builder.header(name, value);
            }
            let mut head = self.exchange_once(builder, request, answer, answer_bytes_max)?;
            if (200..300).contains(&head.status) {
                return Ok(head);
            }
            self.door.hide_secrets(&shown, answer);
            if let Some(location) = &mut head.location {
                let mut bytes = std::mem::take(location).into_bytes();
                self.door.hide_secrets(&shown, &mut bytes);
                *location = String::from_utf8_lossy(&bytes).into_owned();
            }
            tries += 1;
            if tries > 1 || !self.door.renew(&shown, &Refusal::read(&head, answer)) {
                return Ok(head);
            }
        }
    }

    fn exchange_once(
        &self,
        mut builder: http::request::Builder,
        request: &Request<'_>,
        answer: &mut Vec<u8>,
        answer_bytes_max: usize,
    ) -> Result<Head, Fault> {
        answer.clear();
        let total = request.body.bytes();
        let sends_body = request.sends_body();
        if sends_body {
            builder = builder.header(header::CONTENT_TYPE, request.content_type).header(header::CONTENT_LENGTH, total);
        }
        if let Some(encoding) = request.content_encoding {
            builder = builder.header(header::CONTENT_ENCODING, encoding);
        }
        if request.to_dashboards {
            builder = builder.header("osd-xsrf", "true");
        }
        if request.expect_continue {
            builder = builder.header(header::EXPECT, "100-continue");
        }
        let mut reader = request.body.reader();
        let result = if sends_body {
            match builder.body(ureq::SendBody::from_reader(&mut reader)) {
                Ok(prepared) => self.run(prepared, request.timeout),
                Err(error) => Err(error.into()),
            }
        } else {
            match builder.body(()) {
                Ok(prepared) => self.run(prepared, request.timeout),
                Err(error) => Err(error.into()),
            }
        };
        let sent = reader.read;
        let response = result.map_err(|error| Fault::classify(&error, Progress { sent, total, answering: false }))?;
        let text_of = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let head = Head {
            status: response.status().as_u16(),
            // The other form, a date, needs two clocks to agree; nobody who throttles sends it.
            retry_after: text_of(header::RETRY_AFTER)
                .and_then(|text| text.trim().parse().ok().map(Duration::from_secs)),
            location: text_of(header::LOCATION).map(str::to_owned),
            clock_ahead: text_of(header::DATE).and_then(clock_ahead),
            host: 0,
        };
        let body = response.into_body();
        // Known beforehand, room for it is made once and exactly; a Vec that doubles would hold up to twice as much.
        let announced = body.content_length().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced > answer_bytes_max {
            return Err(Fault::AnswerTooLong);
        }
        answer.reserve_exact(announced);
        let mut body = body.into_reader().take(answer_bytes_max as u64 + 1);
        // Whatever goes wrong from here on, what we have is not the answer.
        body.read_to_end(answer).map_err(|_| Fault::CutAnswer)?;
        if answer.len() > answer_bytes_max {
            return Err(Fault::AnswerTooLong);
        }
        Ok(head)
    }
}

impl Method {
    fn as_http(self) -> http::Method {
        match self {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
        }
    }
}

/// `Sat, 28 Nov 2026 05:44:52 GMT`, compared with now.
fn clock_ahead(date: &str) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(theirs.as_second() - jiff::Timestamp::now().as_second())
}

/// A path with its query written as a signature has it: all but letters, digits and `-_.~` percent-encoded. Then it is the
/// same whether whoever checks it takes it as it came, or apart and together again.
fn signable(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let strict = |text: &str| match percent_decoded(text) {
        Some(text) => encoded(&text),
        None => text.to_owned(),
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", strict(name), strict(value)),
        None => strict(pair),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn agent(options: &Options, proxy: Option<ureq::Proxy>, tls: ureq::tls::TlsConfig) -> ureq::Agent {
    let builder = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("loghaul/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .output_buffer_size(SEND_BUFFER_BYTES)
        .input_buffer_size(RECEIVE_BUFFER_BYTES)
        .max_idle_connections(options.connections)
        .max_idle_connections_per_host(options.connections)
        // Well below the 60 s after which common proxies close an idle connection under our hands.
        .max_idle_age(Duration::from_secs(30))
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_write(Some(options.request_timeout))
        .timeout_recv_response(Some(options.request_timeout))
        .timeout_recv_body(Some(options.request_timeout))
        .proxy(proxy);
    ureq::Agent::with_parts(builder.build(), DefaultConnector::new(), Names::default())
}

/// Looks names up once a minute instead of once a request, and tells a name that is not there from a broken pipe.
#[derive(Default)]
struct Names {
    system: DefaultResolver,
    known: Mutex<Option<(http::Uri, Instant, ResolvedSocketAddrs)>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((of, since, addresses)) = &*known
            && of.authority() == uri.authority()
            && since.elapsed() < NAME_AGE_MAX
        {
            return Ok(addresses.clone());
        }
        let found = self.system.resolve(uri, config, timeout).map_err(|error| match error {
            // Whatever the system's words: there is no such name for us.
            ureq::Error::Io(_) => ureq::Error::HostNotFound,
            other => other,
        });
        match found {
            Ok(addresses) => {
                *known = Some((uri.clone(), Instant::now(), addresses.clone()));
                Ok(addresses)
            }
            // Once known, a name stays known through an outage of the name service.
            Err(error) => match &*known {
                Some((of, _, addresses)) if of.authority() == uri.authority() => Ok(addresses.clone()),
                _ => Err(error),
            },
        }
    }
}

/// Whether compressing on the way there costs more than it saves: this machine, or a private network.
fn is_near(address: &Address) -> bool {
    let bare = address.host.trim_start_matches('[').trim_end_matches(']');
    address.is_loopback()
        || match (bare, address.port_or_default()).to_socket_addrs() {
            Ok(mut found) => found.all(|socket| is_private(socket.ip())),
            // It cannot be reached either; what is said then says why.
            Err(_) => true,
        }
}

fn tls_config(tls: &Tls) -> Result<ureq::tls::TlsConfig> {
    use ureq::tls::{ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};
    let read = |path: &Path| {
        fs::read(path).map_err(|error| Error::usage(format!("cannot read certificate file {path:?}: {error}")))
    };
    let certificates = |path: &Path, pem: &[u8]| {
        let mut found = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => found.push(certificate),
                Ok(_) => {}
                Err(error) => return Err(Error::usage(format!("certificate file {path:?} is damaged: {error}"))),
            }
        }
        if found.is_empty() {
            return Err(Error::usage(format!("there is no certificate in {path:?}"))
                .hint("it must be a PEM file with BEGIN CERTIFICATE"));
        }
        Ok(found)
    };
    let roots = match &tls.ca {
        None => RootCerts::PlatformVerifier,
        Some(path) => RootCerts::new_with_certs(&certificates(path, &read(path)?)?),
    };
    let mut config = TlsConfig::builder().root_certs(roots).disable_verification(tls.insecure);
    if let Some((chain_path, key_path)) = &tls.client_certificate {
        let chain = certificates(chain_path, &read(chain_path)?)?;
        let key = ureq::tls::PrivateKey::from_pem(&read(key_path)?)
            .map_err(|_| Error::usage(format!("there is no private key in {key_path:?}")))?;
        check_pair(&chain, &key)
            .map_err(|why| Error::usage(format!("the key in {key_path:?} is not that of {chain_path:?}: {why}")))?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

/// Whether a private key is that of a certificate. The HTTP client takes that for granted.
fn check_pair(
    chain: &[ureq::tls::Certificate<'static>],
    key: &ureq::tls::PrivateKey<'static>,
) -> Result<(), rustls::Error> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(key.der().to_vec()).map_err(|why| rustls::Error::General(why.to_owned()))?;
    rustls::sign::CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_as_signatures_have_them() {
        for (path, expected) in [
            ("/", "/"),
            ("/a%2Bb/_settings", "/a%2Bb/_settings"),
            (
                "/_bulk?filter_path=items.*.status,errors&timeout=80s",
                "/_bulk?filter_path=items.%2A.status%2Cerrors&timeout=80s",
            ),
            ("/_bulk?pipeline=a%2Bb%20c%C3%A9", "/_bulk?pipeline=a%2Bb%20c%C3%A9"),
            ("/x?pretty", "/x?pretty"),
        ] {
            assert_eq!(signable(path), expected);
        }
    }

    #[test]
    fn clocks() {
        assert_eq!(clock_ahead("no date"), None);
        assert!(clock_ahead("Sat, 28 Nov 2020 05:44:52 GMT").unwrap() < -86_400);
    }
}
