//! A [`Source`], what the control plane names, becomes an [`Input`]: a mapped file or a stream of plain bytes.
//!
//! Mapping is cheaper than reading (no copy), but a mapped file that is cut by copytruncate kills its reader. So only
//! plain local files that nobody has touched for ten minutes are mapped; everything else is read.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::pipeline::decode::{self, Encoding};
pub use crate::pipeline::map::Map;
use crate::pipeline::report::coverage::Mark;
use crate::pipeline::report::receipt::FileId;
use crate::pipeline::serialize::FileFacts;
use crate::pipeline::stop::Stop;
use crate::stores::{Object, Scheme};

/// Something to load, named by the control plane and not opened yet.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it lies.
    pub place: Place,
    /// Whether somebody asked for this very file, or it turned up in a directory or glob. What only turned up and
    /// holds no access line is skipped; what was asked for is loaded, and its lines are malformed.
    pub named: bool,
    /// The name to compute ids from, instead of the path.
    pub source_name: Option<String>,
    /// What the control plane knows of it. `None`: it is read from its start, under the identity that it has by itself.
    pub start: Option<Start>,
    /// What was seen of it when the folder was walked in which it turned up. Only where the list of sources never
    /// waits for more to come: small files are handed on together with those after them.
    pub entry: Option<Entry>,
}

/// A regular file, as the walk of its folder met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its size, in bytes.
    pub bytes: u64,
    /// Whether it was reached by a link.
    pub is_link: bool,
}

/// Where to begin in a source, and under which identity, as the control plane knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// How the control plane finds the source again when it is told of its progress.
    pub tag: i64,
    /// The source's identity. It may be that of another path, which the file had before it was renamed.
    pub identity: [u8; 8],
    /// The hash of the first line. If the source begins otherwise it is not the one that was meant, and is not read.
    pub first_line: u64,
    /// Everything before this place is settled. If other bytes lie before it, the source is not read.
    pub mark: Mark,
    /// Documents of lines that start in this range of the plain bytes are this run's own where they are there already: an
    /// earlier part of it may have sent them, and it was the first to do so.
    pub confirms: Range<u64>,
    /// What the user should know, one sentence each without a final stop.
    pub notes: Vec<String>,
}

/// A source of which it is to be decided what is to be done with it. The list of sources is locked while one is taken
/// off it, and to decide may take as long as unpacking it takes; so a list gives undecided ones.
pub trait Undecided {
    /// Begins what takes its time and needs nobody to wait for it. Says whether there is such a thing: then another may be
    /// begun beside it.
    fn begin(&self) -> bool;

    /// The source; `None` if the run ends instead.
    fn decide(self) -> Option<Source>;
}

impl Undecided for Source {
    fn begin(&self) -> bool {
        match &self.place {
            Place::Object(object) => {
                object.begin();
                true
            }
            _ => false,
        }
    }

    fn decide(self) -> Option<Source> {
        Some(self)
    }
}

/// Where a source lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, a named pipe or a device.
    File(PathBuf),
    /// An object of a store.
    Object(Arc<Object>),
    /// Standard input.
    Stdin,
    /// Known by name alone: it could not even be listed, and this is why.
    Missing(PathBuf, String),
    /// Left out on purpose, and this is why.
    Skipped(PathBuf, String),
}

impl Source {
    /// How the source is called in reports and documents: its path as given, or `-`.
    pub fn uri(&self) -> String {
        match &self.place {
            Place::File(path) | Place::Missing(path, _) | Place::Skipped(path, _) => path.display().to_string(),
            Place::Object(object) => object.location().to_string(),
            Place::Stdin => "-".to_owned(),
        }
    }

    /// Bucket and key, if it is an object of S3.
    pub fn s3(&self) -> Option<(&str, &str)> {
        match &self.place {
            Place::Object(object) if object.location().scheme == Scheme::S3 => {
                Some((&object.location().bucket, &object.location().key))
            }
            _ => None,
        }
    }

    /// What names the source in its identity: its name if it was given one, else the canonical path, or the URI, without a
    /// compression suffix, so that a file keeps its ids when it is compressed.
    pub fn identity_name(&self) -> String {
        match (&self.source_name, &self.place) {
            (Some(name), _) => name.clone(),
            (None, Place::Stdin) => "-".to_owned(),
            (None, Place::Object(_)) => path_name(Path::new(&self.uri())),
            (None, Place::File(path) | Place::Missing(path, _) | Place::Skipped(path, _)) => {
                path_name(&std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
            }
        }
    }

    /// The same as [`Source::identity_name`]. `folders` saves asking the system about every file of a folder.
    pub fn identity_name_in(&self, folders: &mut Folders) -> String {
        match (&self.source_name, &self.place, self.entry) {
            (None, Place::File(path), Some(Entry { is_link: false, .. })) => {
                folders.canonical(path).map_or_else(|| self.identity_name(), |path| path_name(&path))
            }
            _ => self.identity_name(),
        }
    }
}

fn path_name(path: &Path) -> String {
    let name = unpacked(path);
    // A path need not be UTF-8; two that differ must not become the same name.
    std::str::from_utf8(name).map_or_else(|_| name.escape_ascii().to_string(), str::to_owned)
}

/// The folder that was asked about last: files come folder by folder.
#[derive(Debug, Default)]
pub struct Folders {
    /// As it was given, and canonical.
    last: Option<(Vec<u8>, PathBuf)>,
}

impl Folders {
    /// The canonical path of `path`, which must be no link itself. `None` if the system does not tell.
    fn canonical(&mut self, path: &Path) -> Option<PathBuf> {
        // By hand: to take a path apart in a portable way costs more than to open the file.
        let bytes = path.as_os_str().as_bytes();
        let (folder, name) = match memchr::memrchr(b'/', bytes) {
            Some(0) => (&b"/"[..], &bytes[1..]),
            Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
            None => (&b"."[..], bytes),
        };
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        if self.last.as_ref().is_none_or(|(given, _)| given != folder) {
            let canonical = std::fs::canonicalize(OsStr::from_bytes(folder)).ok()?;
            self.last = Some((folder.to_owned(), canonical));
        }
        let (_, canonical) = self.last.as_ref()?;
        let mut path = OsString::with_capacity(canonical.as_os_str().len() + 1 + name.len());
        path.push(canonical);
        if path.as_bytes().last() != Some(&b'/') {
            path.push("/");
        }
        path.push(OsStr::from_bytes(name));
        Some(PathBuf::from(path))
    }
}

/// A path without the suffix of a packed file: what the file was called before it was packed.
pub fn unpacked(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    let suffix = [".gz", ".gzip", ".zst", ".zstd"].iter().find(|suffix| bytes.ends_with(suffix.as_bytes()));
    &bytes[..bytes.len() - suffix.map_or(0, |suffix| suffix.len())]
}

/// A source that is being read: what all its chunks share.
#[derive(Debug)]
pub struct OpenFile {
    /// Its number in the run.
    pub id: FileId,
    /// What its documents need to know of it.
    pub facts: FileFacts,
    /// What names its lines.
    pub identity: [u8; 8],
    /// The hash of its first line that is not blank; `None` while it has none.
    pub first_line: Option<u64>,
    /// How it is packed.
    pub encoding: Encoding,
    /// What the control plane knew of it.
    pub start: Option<Start>,
    /// The object that it is, if it lies in a store.
    pub object: Option<Arc<Object>>,
}

/// The plain bytes of a source.
pub enum Input {
    /// All of them at once.
    Mapped(Arc<Map>),
    /// In pieces. A read that has nothing yet says [`io::ErrorKind::WouldBlock`] after a short wait, so that lines
    /// which are here need not wait for those which are not.
    Stream(Box<dyn Read + Send>),
}

/// Plain bytes at any place.
pub enum Plain {
    /// Of a file; the stream reads from the same.
    File(Arc<File>),
    /// Of an object.
    Object(Arc<Object>),
}

/// An opened source.
pub struct Opened {
    /// Its plain bytes.
    pub input: Input,
    /// What is behind a stream of bytes that are plain already: to go to a place in it without reading up to there.
    pub plain: Option<Plain>,
    /// How they were packed.
    pub encoding: Encoding,
    /// The input's size on disk in bytes, where it has one.
    pub stored_bytes: Option<u64>,
    /// How many of them were read so far.
    pub stored_bytes_read: Arc<AtomicU64>,
    /// Whether a last line without newline is a line: nobody will write the rest of it any more.
    pub end_is_certain: bool,
}

/// How long a plain file must have been left alone to be mapped and to be believed complete.
pub const SETTLED_AFTER: Duration = Duration::from_secs(600);

/// Opens what was a regular file a moment ago, without being stuck where it is a pipe by now. `None` if it is none any
/// more.
///
/// # Errors
/// What the system says.
pub fn open_entry(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}

/// Files below this size are read with one call instead of mapped, in bytes: a map costs more than it saves.
const MAPPED_BYTES_MIN: u64 = 256 << 10;

/// Opens a source, finds out by its first bytes how it is packed, and unpacks it.
///
/// # Errors
/// What the system says about opening or reading the first bytes.
pub fn open(source: &Source, stop: &Arc<Stop>) -> io::Result<Opened> {
    let file = match &source.place {
        // A named pipe without a writer would keep us in open(2); so it is opened without waiting, and waited for by poll.
        Place::File(path) if std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) => {
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            File::options().read(true).custom_flags(flags).open(path)?
        }
        Place::File(path) => File::open(path)?,
        Place::Object(object) => return open_object(object, stop),
        Place::Stdin => {
            use std::os::fd::AsFd;
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        }
        Place::Missing(_, why) | Place::Skipped(_, why) => return Err(io::Error::other(why.clone())),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.file_type().is_file() && source.place != Place::Stdin {
        open_regular(file, &metadata)
    } else {
        open_stream(file, &metadata, stop)
    }
}

fn open_regular(file: File, metadata: &Metadata) -> io::Result<Opened> {
    let mut magic = [0; 4];
    let magic_bytes = file.read_at(&mut magic, 0)?;
    let encoding = decode::encoding(&magic[..magic_bytes]);
    let settled = is_settled(metadata);
    let stored_bytes_read = Arc::new(AtomicU64::new(0));
    let input = if encoding == Encoding::Plain && settled && metadata.len() >= MAPPED_BYTES_MIN && is_local(&file) {
        // Where mapping fails (some file systems cannot) reading still works.
        Map::new(&file).ok().map(|map| Input::Mapped(Arc::new(map)))
    } else {
        None
    };
    let mut plain = None;
    let input = match input {
        Some(mapped) => mapped,
        None => {
            let file = Arc::new(file);
            plain = (encoding == Encoding::Plain).then(|| Plain::File(Arc::clone(&file)));
            Input::Stream(decode::decoder(encoding, counted(Whole(file), &stored_bytes_read))?)
        }
    };
    let end_is_certain = encoding != Encoding::Plain || settled;
    Ok(Opened { input, plain, encoding, stored_bytes: Some(metadata.len()), stored_bytes_read, end_is_certain })
}

fn open_object(object: &Arc<Object>, stop: &Arc<Stop>) -> io::Result<Opened> {
    let stored_bytes_read = Arc::new(AtomicU64::new(0));
    let peeked = decode::peek(counted(object.read_from(0), &stored_bytes_read), || stop.is_raised())?;
    let encoding = decode::encoding(peeked.start());
    let input = Input::Stream(decode::decoder(encoding, peeked)?);
    let plain = (encoding == Encoding::Plain).then(|| Plain::Object(Arc::clone(object)));
    // An object is written as a whole: nobody appends to it.
    Ok(Opened { input, plain, encoding, stored_bytes: Some(object.bytes()), stored_bytes_read, end_is_certain: true })
}

fn open_stream(file: File, metadata: &Metadata, stop: &Arc<Stop>) -> io::Result<Opened> {
    #[cfg(target_os = "linux")]
    if metadata.file_type().is_fifo() {
        // Where the system does not allow so much, it is slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES);
    }
    let patient = PatientReader { file, stop: Arc::clone(stop), can_wait: !metadata.file_type().is_file() };
    let stored_bytes_read = Arc::new(AtomicU64::new(0));
    let peeked = decode::peek(counted(patient, &stored_bytes_read), || stop.is_raised())?;
    let encoding = decode::encoding(peeked.start());
    let stored_bytes = metadata.file_type().is_file().then_some(metadata.len());
    let input = Input::Stream(decode::decoder(encoding, peeked)?);
    Ok(Opened { input, plain: None, encoding, stored_bytes, stored_bytes_read, end_is_certain: true })
}

/// Whether nobody has written to the file for ten minutes. A clock that was set back makes it unsettled.
pub fn is_settled(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age >= SETTLED_AFTER)
}

/// Whether the file lies on a file system whose files this machine alone can cut.
fn is_local(file: &File) -> bool {
    // Magic numbers of linux/magic.h and of the file systems' own headers.
    const REMOTE: [u64; 9] = [
        0x6969,      // NFS
        0x517B,      // SMB
        0xFE53_4D42, // SMB2
        0xFF53_4D42, // CIFS
        0x6573_5546, // FUSE
        0x0102_1997, // 9P
        0x00C3_6400, // Ceph
        0x0BD0_0BD0, // Lustre
        0x5346_414F, // AFS
    ];
    #[cfg(target_os = "linux")]
    return rustix::fs::fstatfs(file).is_ok_and(|stat| !REMOTE.contains(&(stat.f_type as u64 & 0xFFFF_FFFF)));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, REMOTE);
        false
    }
}

/// A regular file that must not get shorter while it is read: then its end would be taken for the log's.
struct Whole(Arc<File>);

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&*self.0).read(buffer)?;
        if read == 0 && !buffer.is_empty() && (&*self.0).stream_position()? > self.0.metadata()?.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was truncated while it was read"));
        }
        Ok(read)
    }
}

/// `input`, which adds to `bytes` what passes.
pub fn counted<R: Read>(input: R, bytes: &Arc<AtomicU64>) -> Counted<R> {
    Counted { input, bytes: Arc::clone(bytes) }
}

/// Counts the bytes that pass, for the progress bar.
pub struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The room that a pipe is given, in bytes: what an ordinary user may ask for. With the usual 64 KiB its writer and we
/// would wait for each other, and wake each other up, for every quarter of a chunk.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// How long a pipe may be silent before its reader is told that nothing is here yet.
const PIPE_SILENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Reads a pipe without ever being stuck in it: says `WouldBlock` after a silence, and that it was the end once the
/// run is told to stop.
struct PatientReader {
    file: File,
    stop: Arc<Stop>,
    can_wait: bool,
}

impl Read for PatientReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.can_wait {
            let mut fds =
                [PollFd::new(&self.file, PollFlags::IN), PollFd::from_borrowed_fd(self.stop.fd(), PollFlags::IN)];
            let ready = match poll(&mut fds, Some(&PIPE_SILENCE)) {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => return Err(error.into()),
            };
            if ready == 0 || !fds[1].revents().is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        self.file.read(buffer)
    }
}

/// Whether `path` is something that can be read as a log: a file, a pipe, a device; not a directory or socket.
pub fn is_readable_kind(path: &Path) -> io::Result<bool> {
    let kind = std::fs::metadata(path)?.file_type();
    Ok(kind.is_file() || kind.is_fifo() || kind.is_char_device() || kind.is_block_device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_path_is_that_of_its_folder_and_its_name() {
        let folder = std::env::temp_dir().join(format!("loghaul-source-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
        std::fs::write(folder.join("a/b/c.log"), "").unwrap();
        std::fs::write(folder.join("a/c.log"), "").unwrap();
        let mut folders = Folders::default();
        for name in ["a/b/c.log", "a/b/./c.log", "a//b//c.log", "link/b/c.log", "link/c.log", "a/b/../c.log", "a/c.log"]
        {
            let path = PathBuf::from(format!("{}/{name}", folder.display()));
            assert_eq!(folders.canonical(&path), std::fs::canonicalize(&path).ok(), "{name}");
        }
        assert_eq!(folders.canonical(Path::new("/c.log")), Some(PathBuf::from("/c.log")));
        let here = std::env::current_dir().unwrap();
        assert_eq!(folders.canonical(Path::new("c.log")), Some(here.join("c.log")));
        for name in ["gone/c.log", "a/b/", "a/b/..", "a/b/.", ""] {
            let path = folder.join("a").join(name).as_os_str().to_owned();
            let path = if name.is_empty() { PathBuf::new() } else { PathBuf::from(path) };
            assert_eq!(folders.canonical(&path), None, "{name}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
