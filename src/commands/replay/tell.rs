//! The report: for people, what went wrong first, what to do next last; for machines, one JSON object.

use serde_json::{Value, json};

use super::totals::{Counts, FileTotals, Totals};
use crate::commands::kept::{self, row};
use crate::config::Form;
use crate::error::Kind;
use crate::escape::shown;
use crate::pipeline::report::Ended;
use crate::pipeline::report::figures::{counted, duration, grouped};

/// Files with something to tell that are shown.
const FILES_SHOWN: usize = 20;
/// Tells how it went on standard output, and gives the exit code.
pub fn tell(totals: &Totals, form: Form, quiet: bool) -> u8 {
    kept::tell(form, quiet, totals.exit_code(), || json(totals).to_string(), || summary(totals))
}

/// For people.
fn summary(totals: &Totals) -> String {
    let counts = totals.counts();
    let mut text = format!("{}\n\n", headline(totals, &counts));
    trouble(&mut text, totals);
    law(&mut text, &counts);
    kept::requests(&mut text, &totals.stats);
    kept::notes_and_next(&mut text, &notes(totals, &counts), &next(totals, &counts));
    text
}

fn headline(totals: &Totals, counts: &Counts) -> String {
    let (took, letters) = (duration(totals.seconds), counted(counts.read, "letter"));
    if !totals.law_holds() {
        return format!(
            "A BUG IN LOGHAUL: after {took} the counts below do not add up. Do not trust this replay, and please report it."
        );
    }
    match &totals.ended {
        Ended::Interrupted(signal) => format!("Interrupted by {signal} after {took}, {letters} read."),
        Ended::Failed(error) => {
            let verb = if error.kind == Kind::Stopped { "Stopped" } else { "Failed" };
            format!("{verb} after {took}, {letters} read: {}.", error.message)
        }
        Ended::Complete | Ended::OutputClosed => {
            let failed = totals.files.iter().filter(|file| file.failed.is_some()).count() as u64;
            let mut buts = Vec::new();
            if failed > 0 {
                buts.push(format!("{} could not be read", counted(failed, "file")));
            }
            if counts.unreadable > 0 {
                let verb = if counts.unreadable == 1 { "is" } else { "are" };
                buts.push(format!("{} {verb} no dead letter", counted(counts.unreadable, "line")));
            }
            if counts.outcomes.rejected > 0 {
                let verb = if counts.outcomes.rejected == 1 { "was" } else { "were" };
                buts.push(format!("{} {verb} rejected again", counted(counts.outcomes.rejected, "letter")));
            }
            match (buts.is_empty(), counts.read) {
                (true, 0) => "There are no letters to send again.".to_owned(),
                (true, read) if read == counts.filtered => format!("None of {letters} was chosen; nothing was sent."),
                (true, _) => format!("All {letters} accounted for, in {took}."),
                (false, _) => format!("Done in {took}, {letters} accounted for, but {}.", buts.join(" and ")),
            }
        }
    }
}

/// Files that could not be read, and lines that are no letters.
fn trouble(text: &mut String, totals: &Totals) {
    let before = text.len();
    let mut left_out = 0;
    let troubled = |file: &&FileTotals| file.failed.is_some() || !file.unreadable.is_empty();
    for (n, file) in totals.files.iter().filter(troubled).enumerate() {
        if n >= FILES_SHOWN {
            left_out += 1;
            continue;
        }
        let path = file.path.display().to_string();
        let path = shown(path.as_bytes());
        for (number, why) in &file.unreadable {
            row(text, "unreadable", &format!("{path}, line {}: {}", grouped(*number), shown(why.as_bytes())));
        }
        let more = file.counts.unreadable - file.unreadable.len() as u64;
        if more > 0 {
            row(text, "unreadable", &format!("{path}: and {} more", grouped(more)));
        }
        if let Some(why) = &file.failed {
            row(text, "failed", &format!("{path}: {}", shown(why.as_bytes())));
        }
    }
    if left_out > 0 {
        row(text, "", &format!("and {} more (--json names all)", counted(left_out, "file")));
    }
    if text.len() > before {
        text.push('\n');
    }
}

/// Term by term, be they zero.
fn law(text: &mut String, counts: &Counts) {
    let confirmed = kept::confirmed(counts.outcomes.confirmed);
    let terms = [
        ("read", counts.read, "", true),
        ("indexed", counts.outcomes.indexed, confirmed.as_str(), true),
        ("duplicate", counts.outcomes.duplicate, "they were there already", true),
        ("rejected", counts.outcomes.rejected, "again", true),
        ("filtered", counts.filtered, "--type, --index, --source", true),
        ("unreadable", counts.unreadable, "", true),
        ("unsettled", counts.unsettled, "read, but without an outcome", counts.unsettled > 0),
    ];
    kept::law(text, "Letters", &terms);
}

fn notes(totals: &Totals, counts: &Counts) -> Vec<String> {
    let mut notes = Vec::new();
    if counts.without_id > 0 {
        notes.push(format!(
            "{} without _id (load --id none): each replay of them makes new documents, none is known as duplicate",
            counted(counts.without_id, "letter")
        ));
        if totals.stats.lost + totals.stats.failed > 0 {
            notes.push("answers were lost, and letters without _id sent again: some may be there twice".to_owned());
        }
    }
    notes
}

/// What the user can do about it.
fn next(totals: &Totals, counts: &Counts) -> Vec<String> {
    let mut steps = Vec::new();
    if let Ended::Failed(error) = &totals.ended
        && let Some(hint) = &error.hint
    {
        steps.push(hint.clone());
    }
    if matches!(totals.ended, Ended::Interrupted(_)) {
        let rest = "letters that are there already count as duplicate, none with an _id is doubled";
        steps.push(format!("run the same replay again: {rest}"));
    }
    if counts.outcomes.rejected > 0 {
        for path in &totals.again {
            let path = path.display().to_string();
            steps.push(format!("see why, mend it and replay that file: {}", shown(path.as_bytes())));
        }
    }
    steps
}

/// For machines.
fn json(totals: &Totals) -> Value {
    let (why, hint) = kept::why(&totals.ended);
    let (counts, stats) = (totals.counts(), &totals.stats);
    let mut object = json!({
        "ended": totals.ended.name(),
        "why": why,
        "hint": hint,
        "exit_code": totals.exit_code(),
        "law_holds": totals.law_holds(),
        "seconds": totals.seconds,
        "requests": stats.requests,
        "retries": stats.retries,
        "documents_resent": stats.documents_resent,
        "bytes_sent": stats.bytes_sent,
        "paused_seconds": stats.paused.as_secs_f64(),
        "dead_letters": totals.again.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "notes": notes(totals, &counts),
        "files": totals.files.iter().map(file_json).collect::<Vec<_>>(),
    });
    add_counts(&mut object, &counts);
    object
}

fn file_json(file: &FileTotals) -> Value {
    let status = match (&file.failed, file.complete) {
        (Some(_), _) => "failed",
        (None, true) => "replayed",
        (None, false) => "stopped",
    };
    let lines: Vec<_> = file.unreadable.iter().map(|(number, why)| json!({"line": number, "why": why})).collect();
    let mut object = json!({
        "uri": file.path.display().to_string(),
        "status": status,
        "why": file.failed,
        "unreadable_lines": lines,
    });
    add_counts(&mut object, &file.counts);
    object
}

fn add_counts(object: &mut Value, counts: &Counts) {
    let numbers = [
        ("letters_read", counts.read),
        ("indexed", counts.outcomes.indexed),
        ("duplicate", counts.outcomes.duplicate),
        ("rejected", counts.outcomes.rejected),
        ("filtered", counts.filtered),
        ("unreadable", counts.unreadable),
        ("unsettled", counts.unsettled),
        ("confirmed", counts.outcomes.confirmed),
        ("without_id", counts.without_id),
    ];
    for (name, number) in numbers {
        object[name] = json!(number);
    }
}
