//! [`PipeProxy`]: hands bytes on in both directions and knows nothing of them but where a request without a body ends. It
//! notes the requests, and cuts connections after so many bytes of answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy on 127.0.0.1. Its threads end with the process.
pub struct PipeProxy {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    passed: Arc<AtomicU64>,
}

impl PipeProxy {
    /// In front of the server at `url`. Each connection is cut after `cut_after` bytes of answers, in the middle of
    /// whatever it is; `before` hears of each request (`GET /bucket/key`) before the server does.
    pub fn start(url: &str, cut_after: Option<usize>, before: impl Fn(&str) + Send + Sync + 'static) -> PipeProxy {
        let upstream = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (requests, passed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (noted, counted, before) = (Arc::clone(&requests), Arc::clone(&passed), Arc::new(before));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&upstream)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (noted, counted, before) = (Arc::clone(&noted), Arc::clone(&counted), Arc::clone(&before));
                thread::spawn(move || ask(from, to, &noted, &*before));
                thread::spawn(move || answer(server, client, cut_after, &counted));
            }
        });
        PipeProxy { url, requests, passed }
    }

    /// The requests so far, without query and version, and those before forgotten.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// Bytes of answers that went through.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

fn ask(mut from: TcpStream, mut to: TcpStream, noted: &Mutex<Vec<String>>, before: &dyn Fn(&str)) {
    let (mut held, mut buffer) = (Vec::new(), [0; 16 << 10]);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        held.extend_from_slice(&buffer[..read]);
        while let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let request: Vec<u8> = held.drain(..end + 4).collect();
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            let words: Vec<&str> = line.split([' ', '?']).take(2).collect();
            let line = words.join(" ");
            before(&line);
            noted.lock().unwrap().push(line);
            if to.write_all(&request).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn answer(mut from: TcpStream, mut to: TcpStream, cut_after: Option<usize>, passed: &AtomicU64) {
    let (mut left, mut buffer) = (cut_after.unwrap_or(usize::MAX), [0; 64 << 10]);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let sent = read.min(left);
        if to.write_all(&buffer[..sent]).is_err() {
            break;
        }
        passed.fetch_add(sent as u64, Ordering::Relaxed);
        left -= sent;
        if left == 0 {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
