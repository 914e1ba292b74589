//! `loghaul runs`: what the ledger knows of runs, as a table or as JSON.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::{RunsArgs, RunsCommand};
use crate::config::{self, Surroundings};
use crate::error::{Error, Result, io_reason};
use crate::escape::{self, Safe};
use crate::ledger::{FileRecord, Ledger, RunRecord};

/// Does what was asked, on standard output, and gives the exit code.
///
/// # Errors
/// If the ledger cannot be used, or has no such run.
pub fn runs(args: &RunsArgs) -> Result<u8> {
    let path = config::replay::runs_ledger(args, &Surroundings::of_this_process())?;
    let output = UntilClosed { output: io::BufWriter::new(io::stdout().lock()), closed: false };
    let mut output = if args.json { Safe::json(output) } else { Safe::text(output) };
    if !path.try_exists().map_err(|error| unreadable(&path, &error))? {
        // Looking for what was loaded is no reason to make a ledger.
        match args.command {
            Some(RunsCommand::Show { id } | RunsCommand::Forget { id: Some(id), .. }) => {
                return Err(Error::usage(format!(
                    "there is no run {id}: there is no ledger yet at {}",
                    path.display()
                ))
                .hint("the first load makes it; --ledger FILE names another"));
            }
            None if args.json => line(&mut output, r#"{"runs":[]}"#)?,
            Some(_) if args.json => line(&mut output, r#"{"forgotten":0}"#)?,
            None | Some(RunsCommand::Forget { id: None, .. }) => {
                line(&mut output, &format!("no runs yet: the first load makes the ledger, {}", path.display()))?;
            }
        }
        return flushed(output);
    }
    let ledger = Ledger::open(&path)?;
    match args.command {
        None => list(&ledger, args.json, &mut output)?,
        Some(RunsCommand::Show { id }) => show(&ledger, id, args.json, &mut output)?,
        Some(RunsCommand::Forget { id: Some(id), .. }) => forget(&ledger, id, args.json, &mut output)?,
        Some(RunsCommand::Forget { id: None, older_than }) => {
            let age = older_than.expect("clap asks for one of both");
            forget_older_than(&ledger, age, args.json, &mut output)?;
        }
    }
    flushed(output)
}

fn unreadable(path: &std::path::Path, error: &io::Error) -> Error {
    Error::failed(format!("cannot look for the ledger {}: {}", path.display(), io_reason(error)))
}

fn flushed(mut output: impl Write) -> Result<u8> {
    output.flush().map_err(|error| Error::failed(format!("cannot write to standard output: {}", io_reason(&error))))?;
    Ok(0)
}

/// Output whose reader may go when it has seen enough: `loghaul runs | head -n 3`.
struct UntilClosed<W> {
    output: W,
    closed: bool,
}

impl<W: Write> UntilClosed<W> {
    fn unless_closed<T>(&mut self, all: T, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.closed {
            return Ok(all);
        }
        write(&mut self.output).or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(all)
            }
            _ => Err(error),
        })
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |output| output.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), Write::flush)
    }
}

/// Lists all runs, the newest first: `loghaul runs`.
///
/// # Errors
/// If the ledger cannot be read, or nobody takes the output.
pub fn list(ledger: &Ledger, as_json: bool, output: &mut impl Write) -> Result<()> {
    let runs = ledger.runs()?;
    if as_json {
        let runs: Vec<_> = runs.iter().map(run_json).collect();
        return line(output, &serde_json::to_string(&json!({ "runs": runs })).expect("plain values"));
    }
    if runs.is_empty() {
        return line(output, "no runs yet");
    }
    let mut table = vec![
        ["run", "state", "started", "lines", "indexed", "rejected", "index", "sources"].map(str::to_owned).to_vec(),
    ];
    for run in &runs {
        let counts = &run.totals.counts;
        table.push(vec![
            run.id.to_string(),
            run.state.name().to_owned(),
            local(run.started_ms),
            grouped(counts.lines_read),
            grouped(counts.indexed),
            grouped(counts.rejected),
            printable(&run.destination.index_pattern),
            shortened(&printable(&run.sources.join(" ")), 60),
        ]);
    }
    write_table(output, &table, 3..6)
}

/// Shows one run and its files: `loghaul runs show ID`.
///
/// # Errors
/// If there is no such run, the ledger cannot be read, or nobody takes the output.
pub fn show(ledger: &Ledger, id: i64, as_json: bool, output: &mut impl Write) -> Result<()> {
    let run = ledger.run(id)?;
    if as_json {
        // A run may have a million files, so each is written as it comes.
        let head = serde_json::to_string(&run_json(&run)).expect("plain values");
        put(output, &head[..head.len() - 1])?;
        put(output, ",\"files\":[")?;
        let mut first = true;
        ledger.files(id, |file| {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            put(output, &format!("{comma}{}", file_json(&file)))
        })?;
        return line(output, "]}");
    }
    let (totals, counts) = (&run.totals, &run.totals.counts);
    let ended = run.ended_ms.map_or_else(|| "not yet".to_owned(), local);
    let code = run.exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
    let mut facts = vec![
        ("run", format!("{} ({}{code})", run.id, run.state.name())),
        ("command", printable(&run.command)),
        ("parts", run.parts.to_string()),
        ("started", local(run.started_ms)),
        ("ended", ended),
        ("index", printable(&run.destination.index_pattern)),
        ("cluster", printable(&run.destination.cluster)),
        (
            "sources",
            format!(
                "{} loaded, {} skipped, {} failed, {} gone",
                grouped(totals.loaded),
                grouped(totals.skipped),
                grouped(totals.failed),
                grouped(totals.gone)
            ),
        ),
        (
            "lines",
            format!(
                "{} read = {} indexed + {} duplicate + {} rejected + {} malformed + {} blank{}",
                grouped(counts.lines_read),
                grouped(counts.indexed),
                grouped(counts.duplicate),
                grouped(counts.rejected),
                grouped(counts.malformed),
                grouped(counts.blank),
                if counts.outside > 0 { format!(" + {} outside", grouped(counts.outside)) } else { String::new() },
            ),
        ),
    ];
    for (what, kept) in [("malformed", &run.malformed), ("dead letters", &run.dead_letters)] {
        if let Some(kept) = kept {
            facts.push((what, printable(&kept.path.display().to_string())));
        }
    }
    for (what, fact) in facts {
        line(output, &format!("{what:<13}{fact}"))?;
    }
    line(output, "")?;
    let mut lines = 0_u64;
    ledger.files(id, |file| {
        if lines == 0 {
            line(output, &format!("{:<12} {:>15} {:>15}  file", "state", "lines", "bytes"))?;
        }
        lines += 1;
        let (counts, path) = (&file.mark.counts, printable(&file.path.display().to_string()));
        let why = file.why.as_deref().map(|why| format!(" ({})", printable(why))).unwrap_or_default();
        let (state, counted) = (file.state.name(), grouped(counts.lines_read));
        line(output, &format!("{state:<12} {counted:>15} {:>15}  {path}{why}", grouped(file.mark.offset)))
    })
}

/// Forgets a run and its files: `loghaul runs forget ID`.
///
/// # Errors
/// If there is no such run, it is at work, or the ledger cannot be written.
pub fn forget(ledger: &Ledger, id: i64, as_json: bool, output: &mut impl Write) -> Result<()> {
    ledger.forget(id)?;
    match as_json {
        true => line(output, &json!({"forgotten": 1}).to_string()),
        false => line(output, &format!("forgot run {id}; its files count as not loaded")),
    }
}

/// Forgets all runs that began longer ago than `age`: `loghaul runs forget --older-than`.
///
/// # Errors
/// If the ledger cannot be written.
pub fn forget_older_than(ledger: &Ledger, age: Duration, as_json: bool, output: &mut impl Write) -> Result<()> {
    let forgotten = ledger.forget_older_than(age)?;
    match as_json {
        true => line(output, &json!({ "forgotten": forgotten }).to_string()),
        false => {
            let runs = if forgotten == 1 { "run, its" } else { "runs, their" };
            line(output, &format!("forgot {} {runs} files count as not loaded", grouped(forgotten as u64)))
        }
    }
}

fn run_json(run: &RunRecord) -> serde_json::Value {
    let mut value = serde_json::to_value(run).expect("plain values");
    let object = value.as_object_mut().expect("a struct");
    for (milliseconds, name) in [("started_ms", "started"), ("ended_ms", "ended")] {
        let time = object.remove(milliseconds).and_then(|time| time.as_i64());
        let text = time.and_then(|time| Timestamp::from_millisecond(time).ok()).map(|time| time.to_string());
        object.insert(name.to_owned(), json!(text));
    }
    value
}

fn file_json(file: &FileRecord) -> serde_json::Value {
    let mut value = json!({
        "uri": file.path.display().to_string(),
        "state": file.state,
        "why": file.why,
        "watermark": file.mark.offset,
        "stored_bytes": file.stored_bytes,
        "indices": file.indices,
    });
    let counts = serde_json::to_value(file.mark.counts).expect("plain values");
    let object = value.as_object_mut().expect("made just now");
    object.extend(counts.as_object().expect("a struct").clone());
    value
}

/// A table with a space between columns; those of `numbers` are aligned to the right.
fn write_table(output: &mut impl Write, table: &[Vec<String>], numbers: std::ops::Range<usize>) -> Result<()> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    for row in table {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        line(output, cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Local time to the second.
fn local(milliseconds: i64) -> String {
    let Ok(time) = Timestamp::from_millisecond(milliseconds) else { return "?".to_owned() };
    time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In one line.
fn printable(text: &str) -> String {
    escape::shown(text.as_bytes()).into_owned()
}

fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

fn line(output: &mut impl Write, text: &str) -> Result<()> {
    put(output, text)?;
    put(output, "\n")
}

fn put(output: &mut impl Write, text: &str) -> Result<()> {
    output
        .write_all(text.as_bytes())
        .map_err(|error| Error::failed(format!("cannot write to standard output: {}", io_reason(&error))))
}
