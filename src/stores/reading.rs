//! [`Reading`]: an object's bytes as a blocking reader sees them. They are fetched in the background, a limited number
//! ahead.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::border::{Begun, Border};
use super::failure::Failure;
use super::room::Share;

/// How much of an object that has no reader yet may be here, in bytes: enough to tell what it is.
pub const BEGUN_BYTES: usize = 256 << 10;

/// The bytes of an object, from some place on.
#[derive(Debug)]
pub struct Reading {
    /// What was fetched.
    pub(super) fetched: UnboundedReceiver<Result<Bytes, Failure>>,
    pub(super) ahead: Arc<Ahead>,
    pub(super) border: Arc<Border>,
    /// Ends with it.
    pub(super) _task: Begun<()>,
    /// What is being read.
    pub(super) current: Bytes,
    /// Read and put back.
    pub(super) first: Bytes,
    /// Whoever asks again is told again.
    pub(super) failure: Option<Failure>,
    pub(super) wanted: bool,
    /// How many of the first bytes were read; up to [`BEGUN_BYTES`] took no room.
    pub(super) begun: usize,
    /// How many bytes are still to be handed on: the end is where none are, and nowhere else.
    pub(super) left: u64,
}

/// How far fetching may be ahead of reading.
#[derive(Debug)]
pub struct Ahead {
    /// What was fetched and not read has its room, but for the first bytes.
    pub share: Share,
    /// Told when somebody reads.
    pub taken: Notify,
}

impl Reading {
    /// Somebody reads it from now on.
    pub(super) fn is_wanted(&mut self) {
        if !std::mem::replace(&mut self.wanted, true) {
            self.ahead.taken.notify_one();
        }
    }

    /// Gives back the first bytes that were read.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        assert!(self.first.is_empty(), "only the first bytes are put back");
        self.first = Bytes::copy_from_slice(bytes);
    }

    /// The next bytes that were fetched; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into());
        }
        let next = match self.fetched.try_recv() {
            Ok(next) => Some(next),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => match self.border.wait_a_moment(self.fetched.recv()) {
                Some(next) => next,
                None => return Err(io::ErrorKind::WouldBlock.into()),
            },
        };
        match next {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Ok(Some(bytes))
            }
            None if self.left == 0 => Ok(None),
            None => {
                let why = format!("reading it broke off {} bytes before its end, which is a bug in loghaul", self.left);
                let failure = Failure::new(why);
                self.failure = Some(failure.clone());
                Err(failure.into())
            }
            Some(Err(failure)) => {
                self.failure = Some(failure.clone());
                Err(failure.into())
            }
        }
    }
}

/// Says [`io::ErrorKind::WouldBlock`] after a short wait in which nothing came.
impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if !self.first.is_empty() {
            let read = self.first.len().min(buffer.len());
            self.first.copy_to_slice(&mut buffer[..read]);
            return Ok(read);
        }
        while self.current.is_empty() {
            match self.next()? {
                Some(bytes) => self.current = bytes,
                None => return Ok(0),
            }
        }
        let read = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        let begun = read.min(BEGUN_BYTES - self.begun);
        self.begun += begun;
        self.ahead.share.give_back(read - begun);
        Ok(read)
    }
}
