//! The null bulk server: reads whole bulk bodies, gives each document an honest answer of its own, and keeps nothing but
//! counts. What a loader takes against it is the loader's alone.
//!
//! It passes for an OpenSearch as far as loaders ask: who is there, which templates are there, bulk requests. Bodies may
//! be plain, gzip or zstd. `GET /_null` tells what came.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use memchr::{memchr, memmem};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Failure;
use crate::http::Head;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port of 127.0.0.1; 0 takes a free one. The URL is printed when it listens
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Remember every id, to tell how many different ones came (memory grows with them)
    #[arg(long)]
    count_ids: bool,
    /// Answer 409 (it is there already) to every document
    #[arg(long)]
    duplicates: bool,
    /// Append the bodies that come, unpacked, to this file
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Speak TLS with this certificate (PEM)
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// The key of --cert (PEM)
    #[arg(long)]
    key: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bulk_requests: AtomicU64,
    documents: AtomicU64,
    /// Bytes of bulk bodies as they travelled.
    bytes: AtomicU64,
    ids: Option<Mutex<HashSet<Vec<u8>>>>,
    kept: Option<Mutex<File>>,
}

/// Serves until it is ended.
pub fn serve(args: &Args) -> Result<(), Failure> {
    let tls = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some(Arc::new(tls(cert, key)?)),
        _ => None,
    };
    let listener = TcpListener::bind(("127.0.0.1", args.port))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("{scheme}://127.0.0.1:{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    let kept = args.keep.as_ref().map(File::create).transpose()?.map(Mutex::new);
    let counts = Arc::new(Counts { ids: args.count_ids.then(Mutex::default), kept, ..Counts::default() });
    let status = if args.duplicates { DUPLICATE } else { CREATED };
    // Whoever started us holds our standard input: when it is gone, so are we.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    for connection in listener.incoming() {
        let (connection, counts, tls) = (connection?, Arc::clone(&counts), tls.clone());
        connection.set_nodelay(true)?;
        // A client that goes in the middle is its own business.
        thread::spawn(move || match tls {
            None => connection.try_clone().and_then(|writer| converse(connection, writer, &counts, status)),
            Some(tls) => converse_over_tls(connection, tls, &counts, status),
        });
    }
    Ok(())
}

fn tls(cert: &Path, key: &Path) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_reader_iter(File::open(cert)?).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_reader(File::open(key)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

/// One stream for both directions, which TLS does not split.
struct Shared(Arc<Mutex<StreamOwned<ServerConnection, TcpStream>>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

fn converse_over_tls(connection: TcpStream, tls: Arc<ServerConfig>, counts: &Counts, item: &[u8]) -> io::Result<()> {
    let session = ServerConnection::new(tls).map_err(io::Error::other)?;
    let stream = Arc::new(Mutex::new(StreamOwned::new(session, connection)));
    converse(Shared(Arc::clone(&stream)), Shared(stream), counts, item)
}

/// Status and result of a document.
const CREATED: &[u8] = br#","_version":1,"result":"created","status":201}},"#;
const DUPLICATE: &[u8] = br#","status":409,"error":{"type":"version_conflict_engine_exception","reason":"version conflict, document already exists (current version [1])"}}},"#;

fn converse(input: impl Read, mut output: impl Write, counts: &Counts, item: &[u8]) -> io::Result<()> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let (mut packed, mut plain, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(head) = Head::read(&mut input)? {
        if head.expects {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            output.flush()?;
        }
        head.body(&mut input, &mut packed)?;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        let target = head.first.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        answer.clear();
        if path.ends_with("/_bulk") {
            counts.bulk_requests.fetch_add(1, Ordering::Relaxed);
            counts.bytes.fetch_add(packed.len() as u64, Ordering::Relaxed);
            let body = unpacked(&head.encoding, &packed, &mut plain)?;
            if let Some(kept) = &counts.kept {
                kept.lock().unwrap_or_else(PoisonError::into_inner).write_all(body)?;
            }
            let filtered = target.contains("filter_path");
            counts.documents.fetch_add(bulk(body, counts, item, filtered, &mut answer), Ordering::Relaxed);
        } else {
            answer.extend_from_slice(other(path, counts).as_bytes());
        }
        let is_head = head.first.starts_with("HEAD ");
        let mut text =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len())
                .into_bytes();
        if !is_head {
            text.extend_from_slice(&answer);
        }
        output.write_all(&text)?;
        output.flush()?;
        if head.closes {
            break;
        }
    }
    Ok(())
}

fn unpacked<'b>(encoding: &str, packed: &'b [u8], plain: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
    plain.clear();
    match encoding {
        "gzip" => flate2::bufread::MultiGzDecoder::new(packed).read_to_end(plain)?,
        "zstd" => zstd::stream::read::Decoder::with_buffer(packed)?.read_to_end(plain)?,
        _ => return Ok(packed),
    };
    Ok(plain)
}

/// Answers each action of `body` with `item`, and tells how many there are. A `filtered` answer has what loghaul asks for.
fn bulk(body: &[u8], counts: &Counts, item: &[u8], filtered: bool, answer: &mut Vec<u8>) -> u64 {
    let mut ids = counts.ids.as_ref().map(|ids| ids.lock().unwrap_or_else(PoisonError::into_inner));
    let errors = item == DUPLICATE;
    let took = if filtered { "" } else { "\"took\":1," };
    answer.extend_from_slice(format!("{{{took}\"errors\":{errors},\"items\":[").as_bytes());
    let (mut documents, mut rest) = (0, body);
    while let Some(end) = memchr(b'\n', rest) {
        let (action, after) = (&rest[..end], &rest[end + 1..]);
        // The document's line follows; nobody here sends deletions.
        rest = memchr(b'\n', after).map_or(&[][..], |end| &after[end + 1..]);
        if action.len() < 2 {
            continue;
        }
        documents += 1;
        let verb = if memmem::find(&action[..action.len().min(16)], b"index").is_some() { "index" } else { "create" };
        answer.extend_from_slice(format!("{{\"{verb}\":{{").as_bytes());
        let id = value(action, b"\"_id\":\"");
        if let (Some(ids), Some(id)) = (&mut ids, id) {
            ids.insert(id.to_vec());
        }
        if filtered {
            answer.extend_from_slice(&item[memmem::find(item, b"\"status\"").unwrap_or(0)..]);
            continue;
        }
        answer.extend_from_slice(b"\"_index\":\"");
        answer.extend_from_slice(value(action, b"\"_index\":\"").unwrap_or(b"null"));
        answer.extend_from_slice(b"\",\"_id\":\"");
        match id {
            Some(id) => answer.extend_from_slice(id),
            None => answer.extend_from_slice(format!("auto-{documents}").as_bytes()),
        }
        answer.push(b'"');
        answer.extend_from_slice(item);
    }
    if answer.last() == Some(&b',') {
        answer.pop();
    }
    answer.extend_from_slice(b"]}");
    documents
}

/// The text behind `key`, up to its quote.
fn value<'a>(action: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let start = memmem::find(action, key)? + key.len();
    let end = memchr(b'"', &action[start..])?;
    Some(&action[start..start + end])
}

/// What is answered to whatever is no bulk request.
fn other(path: &str, counts: &Counts) -> String {
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    match path {
        "/" => r#"{"name":"null","cluster_name":"null","cluster_uuid":"bnVsbC1idWxrLXNlcnZlcg","version":{"distribution":"opensearch","number":"3.8.0"}}"#.to_owned(),
        "/_null" => {
            let ids = counts.ids.as_ref().map(|ids| ids.lock().unwrap_or_else(PoisonError::into_inner).len());
            format!(
                r#"{{"requests":{},"bulk_requests":{},"documents":{},"bytes":{},"ids":{}}}"#,
                count(&counts.requests),
                count(&counts.bulk_requests),
                count(&counts.documents),
                count(&counts.bytes),
                ids.map_or("null".to_owned(), |ids| ids.to_string()),
            )
        }
        "/_index_template" => r#"{"index_templates":[]}"#.to_owned(),
        path if path.starts_with("/_index_template/") || path.starts_with("/_license") => r#"{"acknowledged":true}"#.to_owned(),
        _ => "{}".to_owned(),
    }
}

/// What a server that runs says came to it.
///
/// # Errors
/// It does not answer.
pub fn documents_at(address: &str) -> Result<u64, Failure> {
    let (_, body) = crate::http::request(address, "GET", "/_null", "")?;
    let found: serde_json::Value = serde_json::from_slice(&body)?;
    found["documents"].as_u64().ok_or_else(|| "the null server tells no documents".into())
}

/// Reads the URL that a server prints first.
///
/// # Errors
/// It printed none.
pub fn url_of(stdout: impl Read) -> Result<String, Failure> {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.starts_with("http") { Ok(line.trim_end().to_owned()) } else { Err("the null server did not start".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_has_an_answer_of_its_own() {
        let body = b"{\"create\":{\"_index\":\"i\",\"_id\":\"a\"}}\n{\"x\":1}\n{\"create\":{\"_index\":\"i\",\"_id\":\"b\"}}\n{}\n";
        let counts = Counts { ids: Some(Mutex::default()), ..Counts::default() };
        for (item, filtered) in [(CREATED, true), (CREATED, false), (DUPLICATE, true), (DUPLICATE, false)] {
            let mut answer = Vec::new();
            assert_eq!(bulk(body, &counts, item, filtered, &mut answer), 2);
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            let status = if item == CREATED { 201 } else { 409 };
            for (n, id) in ["a", "b"].iter().enumerate() {
                let found = &answer["items"][n]["create"];
                assert_eq!(found["status"], status);
                assert!(filtered || found["_id"] == *id);
            }
            assert_eq!(answer["errors"], status == 409);
        }
        assert_eq!(counts.ids.unwrap().into_inner().unwrap().len(), 2);
    }
}
