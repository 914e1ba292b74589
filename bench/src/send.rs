//! The leanest sender: bodies that were built beforehand, over connections that stay open, nothing looked at but whether
//! all went well. What a node takes from it is what the node can take.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use memchr::memchr;

use crate::Failure;
use crate::http::Head;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// HOST:PORT
    #[arg(long)]
    to: String,
    /// Connections, each of which sends one body at a time
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// A body's size at most, in bytes; a document is never cut
    #[arg(long, default_value_t = 5 << 20)]
    bulk_bytes: usize,
    /// Bulk NDJSON: action lines and documents in turn
    file: PathBuf,
}

/// Where a body lies in the file.
type Place = (u64, usize);

/// Sends all, and prints how many documents were created.
pub fn send(args: &Args) -> Result<(), Failure> {
    let places = places(&args.file, args.bulk_bytes)?;
    let (next, created) = (AtomicUsize::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let senders: Vec<_> = (0..args.connections)
            .map(|_| scope.spawn(|| connection(args, &places, &next, &created).map_err(|error| error.to_string())))
            .collect();
        senders.into_iter().try_for_each(|sender| sender.join().unwrap_or_else(|_| Err("a sender panicked".to_owned())))
    })?;
    println!("{}", created.load(Ordering::Relaxed));
    Ok(())
}

fn connection(args: &Args, places: &[Place], next: &AtomicUsize, created: &AtomicU64) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(&args.to)?;
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(256 << 10, stream.try_clone()?);
    let mut file = File::open(&args.file)?;
    let (mut body, mut answer) = (Vec::new(), Vec::new());
    while let Some(&(offset, length)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
        let head = format!(
            "POST /_bulk?filter_path=errors,items.*.status HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {length}\r\n\r\n",
            args.to
        );
        body.clear();
        body.extend_from_slice(head.as_bytes());
        file.seek(SeekFrom::Start(offset))?;
        (&mut file).take(length as u64).read_to_end(&mut body)?;
        stream.write_all(&body)?;
        let head = Head::read(&mut input)?.ok_or("the server closed the connection")?;
        head.body(&mut input, &mut answer)?;
        if !head.first.contains(" 200 ") || memchr::memmem::find(&answer, b"\"errors\":false").is_none() {
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
            return Err(format!("the server answered {}: {shown}", head.first).into());
        }
        created.fetch_add(memchr::memmem::find_iter(&answer, b"\"status\":201").count() as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Cuts the file into bodies of whole documents. Beforehand, as the bodies are.
fn places(file: &Path, bulk_bytes: usize) -> Result<Vec<Place>, Failure> {
    let mut input = File::open(file)?;
    let (mut places, mut buffer) = (Vec::new(), vec![0; bulk_bytes]);
    let mut offset = 0;
    loop {
        input.seek(SeekFrom::Start(offset))?;
        let mut filled = 0;
        while filled < buffer.len() {
            match input.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        let length = whole_pairs(&buffer[..filled]);
        if length == 0 {
            return if filled == 0 { Ok(places) } else { Err("a document is larger than a body".into()) };
        }
        places.push((offset, length));
        offset += length as u64;
    }
}

/// How many of the bytes are whole pairs of lines.
fn whole_pairs(bytes: &[u8]) -> usize {
    let (mut at, mut end) = (0, 0);
    loop {
        for _ in 0..2 {
            match memchr(b'\n', &bytes[at..]) {
                Some(newline) => at += newline + 1,
                None => return end,
            }
        }
        end = at;
    }
}
