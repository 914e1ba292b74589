//! A rehearsal's outcome, as a table or as JSON.

use std::io::{self, Write};

use serde_json::json;

use super::estimate::Estimate;
use super::findings::Finding;
use crate::config::{Form, LoadConfig, Stream};
use crate::error::{Error, Result, io_reason};
use crate::escape::Safe;
use crate::pipeline::report::figures::{counted, duration, grouped, size};

/// Writes it to where the report would go.
pub fn tell(estimate: &Estimate, found: &[Finding], rate: Option<f64>, config: &LoadConfig) -> Result<()> {
    let text = match config.report.form {
        Form::Text => table(estimate, found, rate, config),
        Form::Json => format!("{:#}\n", as_json(estimate, found, rate, config)),
    };
    let out: Box<dyn Write> = match config.report.stream {
        Stream::Stdout => Box::new(io::stdout().lock()),
        Stream::Stderr => Box::new(io::stderr().lock()),
    };
    let mut out = match config.report.form {
        Form::Text => Safe::text(out),
        Form::Json => Safe::json(out),
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed(format!("cannot write what was found: {}", io_reason(&error))))
        }
        _ => Ok(()),
    }
}

/// Bulk requests that the documents will take.
fn requests(estimate: &Estimate, config: &LoadConfig) -> f64 {
    (estimate.body_bytes / config.memory.body_bytes.max(1) as f64).ceil()
}

fn table(estimate: &Estimate, found: &[Finding], rate: Option<f64>, config: &LoadConfig) -> String {
    let mut text = String::new();
    let line = |text: &mut String, name: &str, value: String| text.push_str(&format!("{name:<12} {value}\n"));
    for finding in found {
        line(&mut text, finding.level.word(), finding.sentence());
    }
    let formats: Vec<String> = estimate.formats.iter().map(|(name, files)| format!("{name} {files}")).collect();
    let formats = if formats.is_empty() { String::new() } else { format!(" ({})", formats.join(", ")) };
    line(
        &mut text,
        "sources",
        format!("{} with {} on disk{formats}", counted(estimate.logs, "log"), size(estimate.stored_bytes)),
    );
    if estimate.skipped > 0 {
        line(&mut text, "", format!("{} loaded before, and skipped", counted(estimate.skipped, "source")));
    }
    if estimate.unknown > 0 {
        line(
            &mut text,
            "",
            format!(
                "{} not measured: standard input and pipes can be read only once",
                counted(estimate.unknown, "source")
            ),
        );
    }
    for trouble in &estimate.troubles {
        line(&mut text, "warning", trouble.clone());
    }
    let more = estimate.troubles_all - estimate.troubles.len() as u64;
    if more > 0 {
        line(&mut text, "", format!("... and {} more", counted(more, "source")));
    }
    let sample = &estimate.sample;
    if estimate.sample_lines > 0 {
        let malformed = sample.malformed_lines();
        line(
            &mut text,
            "sample",
            format!(
                "{} parsed: {} malformed, {} blank{}",
                counted(estimate.sample_lines, "line"),
                grouped(malformed),
                grouped(sample.blank),
                if sample.outside > 0 {
                    format!(", {} outside --since and --until", grouped(sample.outside))
                } else {
                    String::new()
                },
            ),
        );
    }
    let about = |number: f64| grouped(number.round() as u64);
    if estimate.lines < 1.0 && estimate.unknown > 0 {
        text.push_str("how much it will be is not known beforehand; nothing was sent (--dry-run)\n");
        return text;
    }
    line(&mut text, "lines", format!("about {} in {}", about(estimate.lines), size(estimate.bytes as u64)));
    line(
        &mut text,
        "documents",
        format!(
            "about {} in {} of bulk bodies, {} of {}",
            about(estimate.documents),
            size(estimate.body_bytes as u64),
            counted(requests(estimate, config) as u64, "request"),
            size(config.memory.body_bytes)
        ),
    );
    let indices = match estimate.indices.len() {
        0 => String::new(),
        1 => format!(" in {}", estimate.indices.keys().next().expect("there is one")),
        n => format!(
            " in {n} indices and more, from {} to {}",
            estimate.indices.keys().next().expect("there are some"),
            estimate.indices.keys().next_back().expect("there are some")
        ),
    };
    line(&mut text, "index", format!("about {} for each copy{indices}", size(estimate.index_bytes() as u64)));
    match rate {
        Some(rate) => line(
            &mut text,
            "time",
            format!(
                "about {} at {} documents/s, as the last load there",
                duration(estimate.documents / rate),
                about(rate)
            ),
        ),
        None => line(
            &mut text,
            "time",
            format!(
                "about {} to {} at 20,000 to 100,000 documents/s; no load there has been measured yet",
                duration(estimate.documents / 100_000.0),
                duration(estimate.documents / 20_000.0)
            ),
        ),
    }
    text.push_str("nothing was sent (--dry-run)\n");
    text
}

fn as_json(estimate: &Estimate, found: &[Finding], rate: Option<f64>, config: &LoadConfig) -> serde_json::Value {
    json!({
        "dry_run": true,
        "findings": found.iter().map(|finding| json!({
            "level": finding.level.word(),
            "says": finding.says,
            "hint": finding.hint,
        })).collect::<Vec<_>>(),
        "sources": {
            "logs": estimate.logs,
            "skipped": estimate.skipped,
            "not_measured": estimate.unknown,
            "troubles": estimate.troubles,
            "troubles_all": estimate.troubles_all,
            "stored_bytes": estimate.stored_bytes,
            "formats": estimate.formats,
        },
        "sample": {
            "lines": estimate.sample_lines,
            "malformed": estimate.sample.malformed_lines(),
            "blank": estimate.sample.blank,
        },
        "estimate": {
            "lines": estimate.lines.round(),
            "bytes": estimate.bytes.round(),
            "documents": estimate.documents.round(),
            "body_bytes": estimate.body_bytes.round(),
            "requests": requests(estimate, config),
            "index_bytes": estimate.index_bytes().round(),
            "indices": estimate.indices.keys().collect::<Vec<_>>(),
            "seconds": rate.map(|rate| (estimate.documents / rate).round()),
        },
    })
}
