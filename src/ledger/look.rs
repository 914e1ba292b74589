//! [`Look`]: a look into a file, to find out whether it holds what was loaded before, perhaps under another name.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::records::Stat;
use crate::pipeline::decode::Encoding;
use crate::pipeline::head::Head;
use crate::pipeline::report::coverage::Mark;
use crate::pipeline::skip::{Passed, pass_over, tail_of_file};
use crate::pipeline::source::{self, Input, Place, Plain, Source};
use crate::pipeline::stop::Stop;
use crate::pipeline::tail::{Tail, end_of};

/// A file that was opened to be looked at.
pub(super) struct Look {
    pub stat: Stat,
    pub encoding: Encoding,
    /// The hash of its first line.
    pub first_line: Option<u64>,
    pub head: Head<'static>,
    input: Input,
    plain: Option<Arc<File>>,
}

/// What was found at some places of a file's plain bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Places that exist, with the hash of the bytes before each.
    tails: Vec<(u64, u64)>,
    /// Where it ends, if that is certain.
    pub length: Option<u64>,
}

impl Places {
    /// Whether the bytes before `offset` are those that `tail` is the hash of.
    pub(super) fn agree(&self, (offset, tail): (u64, u64)) -> bool {
        self.tails.contains(&(offset, tail))
    }

    /// Whether there are as many bytes as `mark` is about.
    pub(super) fn reach(&self, mark: &Mark) -> bool {
        self.tails.iter().any(|(offset, _)| *offset == mark.offset)
    }

    /// Whether all before `mark` is here.
    pub(super) fn holds(&self, mark: &Mark) -> bool {
        self.agree((mark.offset, mark.tail))
    }
}

impl Look {
    /// Opens a regular file and reads its first bytes. `None` if it is none.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path, stop: &Arc<Stop>) -> io::Result<Option<Look>> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let source =
            Source { place: Place::File(path.to_owned()), named: true, source_name: None, start: None, entry: None };
        let mut opened = source::open(&source, stop)?;
        let head = Head::read(&mut opened.input, || stop.is_raised())?;
        Ok(Some(Look {
            stat: Stat::of(&metadata),
            encoding: opened.encoding,
            first_line: head.first_line(),
            head,
            input: opened.input,
            plain: match opened.plain {
                Some(Plain::File(file)) => Some(file),
                Some(Plain::Object(_)) | None => None,
            },
        }))
    }

    /// Looks at the bytes before each of `offsets`. A plain file is read there alone; a packed one is unpacked up to the
    /// last of them. What is damaged ends at the damage; and where `stop` is raised, that what was not looked at is
    /// missing says nothing.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn at(self, mut offsets: Vec<u64>, stop: &Stop) -> io::Result<Places> {
        offsets.sort_unstable();
        offsets.dedup();
        let mut places = Places::default();
        match (self.input, self.plain) {
            (Input::Mapped(map), _) => {
                let bytes = map.bytes();
                places.length = Some(bytes.len() as u64);
                for offset in offsets.into_iter().filter(|&offset| offset <= bytes.len() as u64) {
                    places.tails.push((offset, end_of(&bytes[..offset as usize]).hash));
                }
            }
            (Input::Stream(_), Some(file)) => {
                for offset in offsets {
                    if let Some(tail) = tail_of_file(&file, offset)? {
                        places.tails.push((offset, tail.end().hash));
                    }
                }
                // As it is by now; who reads it later will meet what is appended meanwhile.
                places.length = Some(plain_length(&file)?);
            }
            (Input::Stream(input), None) => {
                let mut input = Cursor::new(self.head.bytes).chain(input);
                let (mut tail, mut at) = (Tail::default(), 0);
                for offset in offsets {
                    match pass_over(&mut input, offset - at, &mut tail, || stop.is_raised()) {
                        Ok(Passed::All) => places.tails.push((offset, tail.end().hash)),
                        Ok(Passed::Ended(after)) => {
                            places.length = Some(at + after);
                            return Ok(places);
                        }
                        Ok(Passed::Stopped) | Err(_) => return Ok(places),
                    }
                    at = offset;
                }
                if let Ok(0) = input.read(&mut [0; 1]) {
                    places.length = Some(at);
                }
            }
        }
        Ok(places)
    }
}

/// The file's length, by what can be read of it.
fn plain_length(file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    // One byte more would be a file that grows right now: it is not at its end then.
    Ok(length + file.read_at(&mut [0; 1], length)? as u64)
}
