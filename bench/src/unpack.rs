//! Inflating alone: what a loader of packed logs cannot be faster than on one thread.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use crate::Failure;

/// As much as loghaul reads and unpacks at once, in bytes.
const READ_BYTES: usize = 128 << 10;
const BUFFER_BYTES: usize = 256 << 10;

/// Unpacks `file` and throws the bytes away.
pub fn unpack(file: &Path) -> Result<(), Failure> {
    let mut opened = File::open(file)?;
    let mut magic = [0; 2];
    opened.read_exact(&mut magic)?;
    opened.rewind()?;
    let buffered = BufReader::with_capacity(READ_BYTES, opened);
    let mut input: Box<dyn Read> = match magic {
        [0x1f, 0x8b] => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        _ => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes += read;
        black_box(&mut buffer);
    }
    println!("{bytes}");
    Ok(())
}
