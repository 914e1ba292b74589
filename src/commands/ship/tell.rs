//! The report of a ship: for people, what went wrong first, what to do next last; for machines, one JSON object.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::totals::{Sums, Totals};
use crate::config::Form;
use crate::error::{Kind, io_reason};
use crate::escape::{Safe, shown};
use crate::pipeline::report::Ended;
use crate::pipeline::report::figures::{counted, duration, grouped};

/// Damaged bodies that are shown.
const BODIES_SHOWN: usize = 20;
/// Where text begins, behind a label.
const INDENT: usize = 11;

/// Tells how it went on standard output, and gives the exit code.
pub fn tell(totals: &Totals, form: Form, quiet: bool) -> u8 {
    let code = totals.exit_code();
    let text = match form {
        Form::Json => format!("{}\n", json(totals)),
        Form::Text if quiet && code == 0 => return code,
        Form::Text => summary(totals),
    };
    let mut out = match form {
        Form::Json => Safe::json(io::stdout().lock()),
        Form::Text => Safe::text(io::stdout().lock()),
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "loghaul: cannot write the report: {}", io_reason(&error));
            code.max(1)
        }
        _ => code,
    }
}

fn bodies(number: u64) -> String {
    counted(number, "body").replace("bodys", "bodies")
}

/// For people.
fn summary(totals: &Totals) -> String {
    let sums = totals.sums();
    let mut text = format!("{}\n\n", headline(totals, &sums));
    let row = |text: &mut String, label: &str, what: &str| _ = writeln!(text, "{label:<INDENT$}{what}");
    let damaged: Vec<_> = totals.damaged().collect();
    for (file, why) in damaged.iter().take(BODIES_SHOWN) {
        row(&mut text, "damaged", &format!("{file}: {}", shown(why.as_bytes())));
    }
    if damaged.len() > BODIES_SHOWN {
        row(&mut text, "", &format!("and {} more (--json names all)", bodies((damaged.len() - BODIES_SHOWN) as u64)));
    }
    for name in totals.strangers.iter().take(BODIES_SHOWN) {
        row(
            &mut text,
            "unknown",
            &format!("{}: the manifest does not name it; it was left alone", shown(name.as_bytes())),
        );
    }
    if !damaged.is_empty() || !totals.strangers.is_empty() {
        text.push('\n');
    }
    law(&mut text, totals, &sums);
    let earlier = totals.bodies.iter().filter(|body| body.earlier).count() as u64;
    if earlier > 0 {
        let what = format!("{} of them, {}", bodies(earlier), counted(sums.earlier, "document"));
        row(&mut text, "Earlier", &format!("{what}, were shipped before and not sent again (--again does)"));
    }
    if totals.checked.is_none() {
        let stats = &totals.stats;
        let line = format!("{}, {} of them again", counted(stats.requests, "bulk request"), grouped(stats.retries));
        row(&mut text, "Requests", &line);
        if !stats.paused.is_zero() {
            let paused = duration(stats.paused.as_secs_f64());
            row(&mut text, "Paused", &format!("{paused} in all, because the cluster refused"));
        }
    }
    for note in notes(totals) {
        row(&mut text, "Note", &note);
    }
    for (n, step) in next(totals, &sums).iter().enumerate() {
        if n == 0 {
            text.push('\n');
        }
        row(&mut text, if n == 0 { "Next" } else { "" }, step);
    }
    text
}

fn headline(totals: &Totals, sums: &Sums) -> String {
    let (took, all) = (duration(totals.seconds), counted(totals.documents, "document"));
    if !totals.law_holds() {
        return format!("A BUG IN LOGHAUL: after {took} the counts below do not add up. Please report it.");
    }
    let damaged = totals.damaged().count() as u64;
    let verb = if damaged == 1 { "is" } else { "are" };
    match &totals.ended {
        Ended::Interrupted(signal) => format!("Interrupted by {signal} after {took}."),
        Ended::Failed(error) => {
            let verb = if error.kind == Kind::Stopped { "Stopped" } else { "Failed" };
            format!("{verb} after {took}: {}.", error.message)
        }
        _ if damaged > 0 && totals.checked.is_some() => format!("{} {verb} not whole.", bodies(damaged)),
        _ if totals.checked.is_some() => {
            format!("All {} and their {all} are whole.", bodies(totals.bodies.len() as u64))
        }
        _ if damaged > 0 => format!(
            "Done in {took}, but {} {verb} not whole; nothing of {} was sent.",
            bodies(damaged),
            if damaged == 1 { "it" } else { "them" }
        ),
        _ if sums.earlier == totals.documents && totals.documents > 0 => {
            format!("There was nothing new to send: all {all} were shipped before.")
        }
        _ if sums.outcome.rejected > 0 => {
            format!("Done in {took}, {all} accounted for, but {} rejected.", grouped(sums.outcome.rejected))
        }
        _ => format!("All {all} accounted for, in {took}."),
    }
}

/// Term by term, be they zero.
fn law(text: &mut String, totals: &Totals, sums: &Sums) {
    let confirmed = match sums.outcome.confirmed {
        0 => String::new(),
        confirmed => format!(" ({} of them confirmed: sent, no answer, and found there)", grouped(confirmed)),
    };
    let sent = totals.checked.is_none();
    let (rest, remark) = match sent {
        true => ("unsettled", " (without an outcome: the next ship sends them)"),
        false => ("not sent", ""),
    };
    let terms: [(&str, u64, &str, bool); 6] = [
        ("in the manifest", totals.documents, "", true),
        ("indexed", sums.outcome.indexed, &confirmed, sent),
        ("duplicate", sums.outcome.duplicate, "", sent),
        ("rejected", sums.outcome.rejected, "", sent),
        ("damaged", sums.damaged, " (in bodies that are not whole)", !sent || sums.damaged > 0),
        (rest, sums.unsettled, remark, !sent || sums.unsettled > 0),
    ];
    let width = terms.iter().map(|(_, number, ..)| grouped(*number).len()).max().unwrap_or(0);
    for (n, (name, number, remark, _)) in terms.iter().filter(|(.., told)| *told).enumerate() {
        let (label, sign) = match n {
            0 => ("Documents", ' '),
            1 => ("", '='),
            _ => ("", '+'),
        };
        let remark = if *number == 0 { "" } else { remark };
        _ = writeln!(text, "{label:<9}{sign} {:>width$} {name}{remark}", grouped(*number));
    }
}

fn notes(totals: &Totals) -> Vec<String> {
    let mut notes = totals.notes.clone();
    if totals.partial {
        notes.push(
            "the last load into the directory has not come to its end: its manifest does not have all lines".to_owned(),
        );
    }
    if totals.without_ids && totals.checked.is_none() {
        notes.push(
            "documents have no ids of ours (load --id none): what is sent again is there twice (at least once)"
                .to_owned(),
        );
    }
    notes
}

/// What the user can do about it.
fn next(totals: &Totals, sums: &Sums) -> Vec<String> {
    let mut steps = Vec::new();
    if let Ended::Failed(error) = &totals.ended
        && let Some(hint) = &error.hint
    {
        steps.push(hint.clone());
    }
    if matches!(totals.ended, Ended::Interrupted(_)) {
        steps.push("run the same again: it goes on where it stopped".to_owned());
    }
    if totals.damaged().next().is_some() {
        steps.push("copy these bodies again, and run the same again: only what is missing is sent".to_owned());
    }
    if let (Some(path), true) = (&totals.dead_letters, sums.outcome.rejected > 0) {
        let path = path.display().to_string();
        steps.push(format!(
            "see why documents were rejected: {0}; once that is mended: loghaul replay {0} --to URL",
            shown(path.as_bytes())
        ));
    }
    steps
}

/// For machines.
fn json(totals: &Totals) -> Value {
    let (why, hint) = match &totals.ended {
        Ended::Complete | Ended::OutputClosed => (None, None),
        Ended::Interrupted(signal) => (Some(*signal), None),
        Ended::Failed(error) => (Some(error.message.as_str()), error.hint.as_deref()),
    };
    let (sums, stats) = (totals.sums(), &totals.stats);
    let earlier = totals.bodies.iter().filter(|body| body.earlier).count();
    json!({
        "ended": totals.ended.name(),
        "why": why,
        "hint": hint,
        "exit_code": totals.exit_code(),
        "law_holds": totals.law_holds(),
        "checked_only": totals.checked.is_some(),
        "complete": !totals.partial,
        "seconds": totals.seconds,
        "directory": totals.path.display().to_string(),
        "bodies": totals.bodies.len(),
        "documents": totals.documents,
        "indexed": sums.outcome.indexed,
        "confirmed": sums.outcome.confirmed,
        "duplicate": sums.outcome.duplicate,
        "rejected": sums.outcome.rejected,
        "damaged": sums.damaged,
        "unsettled": sums.unsettled,
        "shipped_before": {"bodies": earlier, "documents": sums.earlier},
        "damaged_bodies": totals.damaged().map(|(file, why)| json!({"file": file, "why": why})).collect::<Vec<_>>(),
        "unknown_files": totals.strangers,
        "requests": stats.requests,
        "retries": stats.retries,
        "bytes_sent": stats.bytes_sent,
        "paused_seconds": stats.paused.as_secs_f64(),
        "dead_letters": totals.dead_letters.as_ref().map(|path| path.display().to_string()),
        "notes": notes(totals),
    })
}
