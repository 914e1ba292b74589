//! What the last part of a load wrote beyond its watermarks, before the load goes on: those lines will be read again,
//! and would be there twice.
//!
//! Bodies that lie beyond altogether are given up. Of one that lies across a watermark the documents before it become a
//! body of their own; a watermark lies between two of the ranges that the manifest keeps, so they are whole ranges.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use super::manifest::{Body, BodyLine, Manifest, SourceRanges, body_name};
use super::{LEVEL, sha256};
use crate::error::{Error, Result, io_reason};

/// The manifest without what lies beyond `watermark` (told source and identity) of one part of one run. `number` is the first that new bodies may have.
///
/// # Errors
/// If a body that lies across a watermark cannot be read, is damaged, or its rest cannot be written.
pub fn cut_back(
    folder: &Path,
    mut manifest: Manifest,
    run: u32,
    part: u32,
    mut number: u64,
    watermark: impl Fn(&str, &str) -> u64,
) -> Result<Manifest> {
    let mut kept = Vec::new();
    for body in std::mem::take(&mut manifest.bodies) {
        let within = |source: &SourceRanges, range: &(u64, u64, u64)| {
            (body.run, body.part) != (run, part) || range.1 <= watermark(&source.source, &source.identity)
        };
        let ranges =
            || body.line.sources.iter().flat_map(|source| source.ranges.iter().map(move |range| (source, range)));
        let inside = ranges().filter(|(source, range)| within(source, range)).count();
        if inside == ranges().count() {
            kept.push(body);
            continue;
        }
        if inside > 0 {
            let line = part_of(folder, &body.line, body_name(number), within)?;
            number += 1;
            kept.push(Body { line, ..body });
        }
    }
    manifest.bodies = kept;
    manifest.ends.remove(&run);
    Ok(manifest)
}

/// A new body of those documents whose ranges are `within`.
fn part_of(
    folder: &Path,
    line: &BodyLine,
    file: String,
    within: impl Fn(&SourceRanges, &(u64, u64, u64)) -> bool,
) -> Result<BodyLine> {
    let old = folder.join(&line.file);
    let failed = |path: &Path, error: &std::io::Error| {
        Error::failed(format!("cannot go on with the body {}: {}", path.display(), io_reason(error)))
            .hint("remove the directory and load anew with --again")
    };
    let mut bytes = Vec::new();
    let mut input =
        File::open(&old).and_then(zstd::stream::read::Decoder::new).map_err(|error| failed(&old, &error))?;
    input.read_to_end(&mut bytes).map_err(|error| failed(&old, &error))?;

    // Two lines a document.
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let (mut out, mut sources, mut indices) = (Vec::new(), Vec::new(), BTreeMap::new());
    for source in &line.sources {
        let mut ranges = Vec::new();
        for range in &source.ranges {
            let keeps = within(source, range);
            for _ in 0..range.2 {
                let (Some(action), Some(document)) = (lines.next(), lines.next()) else {
                    return Err(failed(&old, &std::io::Error::other("it has fewer documents than its manifest says")));
                };
                if keeps {
                    out.extend_from_slice(action);
                    out.extend_from_slice(document);
                    *indices.entry(index_of(action)).or_default() += 1;
                }
            }
            if keeps {
                ranges.push(*range);
            }
        }
        if !ranges.is_empty() {
            sources.push(SourceRanges { ranges, ..source.clone() });
        }
    }

    let new = folder.join(&file);
    let packed = zstd::encode_all(&out[..], LEVEL).map_err(|error| failed(&new, &error))?;
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(&packed)?;
        file.sync_all()
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        failed(&new, &error)
    })?;
    Ok(BodyLine {
        file,
        documents: indices.values().sum(),
        bytes: out.len() as u64,
        stored_bytes: packed.len() as u64,
        sha256: sha256(&packed),
        indices,
        sources,
    })
}

/// The index that an action line of ours names.
fn index_of(action: &[u8]) -> String {
    let action: serde_json::Value = serde_json::from_slice(action).unwrap_or_default();
    action["create"]["_index"].as_str().unwrap_or_default().to_owned()
}
