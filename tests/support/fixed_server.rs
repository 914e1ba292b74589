//! [`FixedServer`]: an HTTP server that answers every request alike, whatever it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A server on a free port of 127.0.0.1. Its thread ends with the test process.
pub struct FixedServer {
    pub url: String,
    requests: Arc<AtomicU64>,
}

impl FixedServer {
    /// Answers everything with this status line (`200 OK`), content type and body.
    pub fn start(status: &'static str, content_type: &'static str, body: &'static str) -> FixedServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(&connection, status, content_type, body, &counter));
            }
        });
        FixedServer { url, requests }
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers request after request until the client goes.
fn serve(connection: &TcpStream, status: &str, content_type: &str, body: &str, requests: &AtomicU64) {
    let mut reader = BufReader::new(connection);
    let mut writer = connection;
    loop {
        let (mut length, mut is_head, mut first) = (0, false, true);
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            is_head |= first && line.starts_with("HEAD ");
            first = false;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        if std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).is_err() {
            return;
        }
        let shown = if is_head { "" } else { body };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{shown}",
            body.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
