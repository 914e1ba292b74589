//! The report of a ship: for people, what went wrong first, what to do next last; for machines, one JSON object.

use serde_json::{Value, json};

use super::totals::{Sums, Totals};
use crate::commands::kept::{self, row};
use crate::config::Form;
use crate::error::Kind;
use crate::escape::shown;
use crate::pipeline::report::Ended;
use crate::pipeline::report::figures::{counted, duration, grouped};

/// Damaged bodies that are shown.
const BODIES_SHOWN: usize = 20;
/// Tells how it went on standard output, and gives the exit code.
pub fn tell(totals: &Totals, form: Form, quiet: bool) -> u8 {
    kept::tell(form, quiet, totals.exit_code(), || json(totals).to_string(), || summary(totals))
}

fn bodies(number: u64) -> String {
    counted(number, "body").replace("bodys", "bodies")
}

/// For people.
fn summary(totals: &Totals) -> String {
    let sums = totals.sums();
    let mut text = format!("{}\n\n", headline(totals, &sums));
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
        kept::requests(&mut text, &totals.stats);
    }
    kept::notes_and_next(&mut text, &notes(totals), &next(totals, &sums));
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
    let confirmed = kept::confirmed(sums.outcome.confirmed);
    let sent = totals.checked.is_none();
    let (rest, remark) = match sent {
        true => ("unsettled", "without an outcome: the next ship sends them"),
        false => ("not sent", ""),
    };
    let terms = [
        ("in the manifest", totals.documents, "", true),
        ("indexed", sums.outcome.indexed, confirmed.as_str(), sent),
        ("duplicate", sums.outcome.duplicate, "", sent),
        ("rejected", sums.outcome.rejected, "", sent),
        ("damaged", sums.damaged, "in bodies that are not whole", !sent || sums.damaged > 0),
        (rest, sums.unsettled, remark, !sent || sums.unsettled > 0),
    ];
    kept::law(text, "Documents", &terms);
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
    let (why, hint) = kept::why(&totals.ended);
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
