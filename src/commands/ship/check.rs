//! Whether bodies are what their manifest says: first all by name and length, then each by its checksum, right before it is
//! sent. Nothing of a body that is not whole is ever sent.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Error, Result, io_reason};
use crate::pipeline::report::figures::counted;
use crate::pipeline::serialize::{Block, Document, Tally};
use crate::pipeline::sink::directory::manifest::{BodyLine, Manifest, is_body_name};
use crate::pipeline::sink::directory::sha256;

/// The largest body that is held, in bytes: as large as `load --bulk-bytes` may make one, and the half of it.
const BYTES_MAX: u64 = 150 << 20;

/// Bodies that lie in the directory and that its manifest does not name.
///
/// # Errors
/// If the directory cannot be read.
pub fn strangers(folder: &Path, manifest: &Manifest) -> Result<Vec<String>> {
    let named: BTreeSet<&str> = manifest.bodies.iter().map(|body| body.line.file.as_str()).collect();
    let failed = |error: io::Error| Error::failed(format!("cannot read {}: {}", folder.display(), io_reason(&error)));
    let mut strangers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        // Renamed in whatever way, a body mostly keeps its ending.
        if !named.contains(name.as_str()) && !name.starts_with('.') && (is_body_name(&name) || name.ends_with(".zst")) {
            strangers.push(name);
        }
    }
    strangers.sort();
    Ok(strangers)
}

/// What is wrong with a body as far as its name and length tell; and if it is missing, which of the strangers it may be.
pub fn at_first_sight(folder: &Path, line: &BodyLine, strangers: &[String]) -> Option<String> {
    match fs::metadata(folder.join(&line.file)) {
        Ok(metadata) if !metadata.is_file() => Some("it is no file".to_owned()),
        Ok(metadata) if metadata.len() < line.stored_bytes => {
            Some(format!("it is cut: {} of {} bytes", metadata.len(), line.stored_bytes))
        }
        Ok(metadata) if metadata.len() > line.stored_bytes => {
            Some(format!("it has {} bytes instead of {}", metadata.len(), line.stored_bytes))
        }
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let same = strangers.iter().find(|name| {
                let path = folder.join(name);
                fs::metadata(&path).is_ok_and(|metadata| metadata.len() == line.stored_bytes)
                    && fs::read(&path).is_ok_and(|bytes| sha256(&bytes) == line.sha256)
            });
            Some(match same {
                Some(name) => format!("it is missing, but {name} has its content: rename it back"),
                None => "it is missing".to_owned(),
            })
        }
        Err(error) => Some(io_reason(&error)),
    }
}

/// Reads a body, compares it with its line in the manifest, and gives its documents as a block, numbered by
/// `line_start`.
///
/// # Errors
/// What is wrong with it, in words that follow its name.
pub fn read(folder: &Path, line: &BodyLine) -> Result<Block, String> {
    if let Some(why) = at_first_sight(folder, line, &[]) {
        return Err(why);
    }
    let packed = fs::read(folder.join(&line.file)).map_err(|error| io_reason(&error))?;
    if sha256(&packed) != line.sha256 {
        return Err("its checksum is not the manifest's: it was damaged on the way, or changed".to_owned());
    }
    if line.bytes > BYTES_MAX {
        return Err(format!("its manifest says {} bytes, which is more than any load writes", line.bytes));
    }
    // From here on only a changed manifest, or our own mistake, can be the reason.
    let capacity = usize::try_from(line.bytes).map_err(|error| error.to_string())?;
    let bytes = zstd::bulk::decompress(&packed, capacity).map_err(|error| format!("it cannot be unpacked: {error}"))?;
    let block = block(&bytes)?;
    if bytes.len() as u64 != line.bytes || block.documents.len() as u64 != line.documents {
        let documents = counted(block.documents.len() as u64, "document");
        return Err(format!("it holds {documents} in {} bytes, its manifest says otherwise", bytes.len()));
    }
    Ok(block)
}

/// Two lines a document: action and document.
fn block(bytes: &[u8]) -> Result<Block, String> {
    let mut block = Block::default();
    let mut ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    let mut start = 0;
    while let Some(action_end) = ends.next() {
        let Some(end) = ends.next() else { return Err("its last action has no document".to_owned()) };
        if !bytes[start..action_end].starts_with(b"{\"create\":") {
            return Err("it holds other actions than create".to_owned());
        }
        let narrow = |at: usize| u32::try_from(at).map_err(|_| "it is too large".to_owned());
        let place = narrow(block.documents.len())?;
        block.documents.push(Document { start: narrow(start)?, line_start: place, line_bytes: 0 });
        start = end;
    }
    if start != bytes.len() {
        return Err("its last line has no end".to_owned());
    }
    block.bytes.extend_from_slice(bytes);
    block.tally = Tally { documents: block.documents.len() as u64, ..Tally::default() };
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_not_whole_is_named_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let plain = b"{\"create\":{\"_index\":\"i\"}}\n{\"a\":1}\n".repeat(50);
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        let line = BodyLine {
            file: "000001.ndjson.zst".into(),
            documents: 50,
            bytes: plain.len() as u64,
            stored_bytes: packed.len() as u64,
            sha256: sha256(&packed),
            ..BodyLine::default()
        };
        let path = folder.path().join(&line.file);
        let check = |says: &str| {
            let said = read(folder.path(), &line).map(|block| block.documents.len()).unwrap_err();
            assert!(said.starts_with(says), "{said}");
        };
        check("it is missing");
        for at in 0..packed.len() {
            let mut flipped = packed.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, flipped).unwrap();
            check("its checksum");
        }
        for cut in 0..packed.len() {
            fs::write(&path, &packed[..cut]).unwrap();
            check("it is cut");
        }
        fs::write(&path, [&packed[..], b"x"].concat()).unwrap();
        check("it has ");
        fs::write(&path, &packed).unwrap();
        assert_eq!(read(folder.path(), &line).unwrap().documents.len(), 50);
        let other = BodyLine { documents: 49, ..line.clone() };
        assert!(read(folder.path(), &other).unwrap_err().starts_with("it holds 50 documents"));
        fs::rename(&path, folder.path().join("copy of 1.zst")).unwrap();
        let strangers = ["copy of 1.zst".to_owned()];
        assert!(at_first_sight(folder.path(), &line, &strangers).unwrap().contains("copy of 1.zst has its content"));
    }
}
