//! Goes to the place in a source where an earlier run ended, and sees to it that it is the same source.
//!
//! Whoever named the place looked at the file a moment ago. In between it may have been rotated or cut, so what was
//! seen is compared once more: a line must never be taken for one that was loaded before. In a mapped or plain file
//! the place is simply gone to; a packed one is unpacked up to there, and nothing of that is parsed again.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::pipeline::head::Head;
use crate::pipeline::report::coverage::Mark;
use crate::pipeline::source::{self, Input, Map, OpenFile, Opened, Plain};
use crate::pipeline::stop::Stop;
use crate::pipeline::tail::{TAIL_BYTES, Tail, end_of};

/// An input at its start.
pub enum Skipped {
    /// All bytes; the start is where the caller knows it to be.
    Mapped(Arc<Map>),
    /// What follows the start, and the bytes before it.
    Stream(Box<dyn Read + Send>, Tail),
    /// The run was told to end before the start was reached.
    Stopped,
}

/// Goes to where `file` is to begin. `head` is what was read of the input already.
///
/// # Errors
/// What reading says, and [`io::ErrorKind::Other`] if the input is not what the control plane saw.
pub fn to_start(file: &OpenFile, opened: Opened, head: Head<'_>, stop: &Stop) -> io::Result<Skipped> {
    let mark = file.start.as_ref().map_or_else(Mark::default, |start| start.mark);
    if file.start.as_ref().is_some_and(|start| mark.offset > 0 && file.first_line != Some(start.first_line)) {
        return Err(another("begins with another line"));
    }
    match opened.input {
        Input::Mapped(map) => {
            let before = usize::try_from(mark.offset).ok().and_then(|offset| map.bytes().get(..offset));
            agrees(before.map(|bytes| end_of(bytes).hash), &mark)?;
            Ok(Skipped::Mapped(map))
        }
        Input::Stream(input) if mark.offset == 0 => {
            Ok(Skipped::Stream(Box::new(Cursor::new(head.bytes).chain(input)), Tail::default()))
        }
        Input::Stream(input) => match opened.plain {
            Some(Plain::File(plain)) => {
                let tail = tail_of_file(&plain, mark.offset)?;
                agrees(tail.as_ref().map(|tail| tail.end().hash), &mark)?;
                (&*plain).seek(SeekFrom::Start(mark.offset))?; // the stream reads from the same file
                opened.stored_bytes_read.store(mark.offset, Ordering::Relaxed);
                Ok(Skipped::Stream(input, tail.unwrap_or_default()))
            }
            Some(Plain::Object(object)) => {
                drop(input);
                let length = mark.offset.min(TAIL_BYTES as u64);
                let mut input = object.read_from(mark.offset - length);
                let mut tail = Tail::default();
                match pass_over(&mut input, length, &mut tail, || stop.is_raised())? {
                    Passed::All => agrees(Some(tail.end().hash), &mark)?,
                    Passed::Ended(_) => agrees(None, &mark)?,
                    Passed::Stopped => return Ok(Skipped::Stopped),
                }
                opened.stored_bytes_read.store(mark.offset, Ordering::Relaxed);
                Ok(Skipped::Stream(Box::new(source::counted(input, &opened.stored_bytes_read)), tail))
            }
            None => {
                let mut input: Box<dyn Read + Send> = Box::new(Cursor::new(head.bytes).chain(input));
                let mut tail = Tail::default();
                match pass_over(&mut input, mark.offset, &mut tail, || stop.is_raised())? {
                    Passed::All => agrees(Some(tail.end().hash), &mark)?,
                    Passed::Ended(_) => agrees(None, &mark)?,
                    Passed::Stopped => return Ok(Skipped::Stopped),
                }
                Ok(Skipped::Stream(input, tail))
            }
        },
    }
}

/// The tail before `offset` of a plain file; `None` if the file is shorter.
///
/// # Errors
/// What reading says.
pub fn tail_of_file(file: &File, offset: u64) -> io::Result<Option<Tail>> {
    let length = offset.min(TAIL_BYTES as u64);
    let mut bytes = vec![0; length as usize];
    match file.read_exact_at(&mut bytes, offset - length) {
        Ok(()) => Ok(Some(Tail::of(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// How far [`pass_over`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Over as many bytes as were asked for.
    All,
    /// Not so far: the input ended after this many bytes.
    Ended(u64),
    /// Not so far: nobody wants it any more.
    Stopped,
}

/// Reads `bytes` bytes and keeps nothing but their tail.
///
/// # Errors
/// What reading says.
pub fn pass_over(
    input: &mut impl Read,
    bytes: u64,
    tail: &mut Tail,
    given_up: impl Fn() -> bool,
) -> io::Result<Passed> {
    let mut buffer = vec![0; 128 << 10];
    let mut left = bytes;
    while left > 0 {
        if given_up() {
            return Ok(Passed::Stopped);
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match input.read(&mut buffer[..wanted]) {
            Ok(0) => return Ok(Passed::Ended(bytes - left)),
            Ok(read) => {
                tail.push(&buffer[..read]);
                left -= read as u64;
            }
            // A silent pipe is waited for.
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Passed::All)
}

fn agrees(tail: Option<u64>, mark: &Mark) -> io::Result<()> {
    match tail {
        Some(tail) if tail == mark.tail => Ok(()),
        Some(_) => Err(another(&format!("holds other bytes before byte {}", mark.offset))),
        None => Err(another(&format!("ends before byte {}", mark.offset))),
    }
}

fn another(how: &str) -> io::Error {
    io::Error::other(format!("it is not what was loaded before: it {how}; load it again"))
}
