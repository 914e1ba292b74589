//! Documents that were made before and are sent now: what `replay` and `ship` have in common beside the sink itself. How
//! they hear of it and how they come to their end; and the pieces that their reports for people are made of.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use crate::config::Form;
use crate::error::{Result, io_reason};
use crate::escape::Safe;
use crate::pipeline::report::Ended;
use crate::pipeline::report::figures::{counted, duration, grouped};
use crate::pipeline::report::progress::Progress;
use crate::pipeline::sink::bulk_writer::{OTHER_INDEX, RESUME};
use crate::pipeline::sink::destination::{Notice, Stats};
use crate::pipeline::stop::{Reason, Stop};

/// Where text begins, behind a label.
const INDENT: usize = 11;

/// What a command says in place of the sink's hints, which speak of loads.
pub struct Hints {
    /// How to go on.
    pub resume: &'static str,
    /// What to do with an index that cannot be.
    pub other_index: &'static str,
    /// What to do where what was rejected cannot be kept.
    pub no_room: &'static str,
}

/// Tells a person what the sink says.
pub fn notifier(progress: &Arc<Progress>) -> impl Fn(Notice) + Send + Sync + use<> {
    let told = Arc::clone(progress);
    move |notice| {
        match &notice {
            Notice::Paused(_) => told.waiting(Some("paused")),
            Notice::Resumed(_) => told.waiting(None),
            Notice::MayDouble | Notice::Uncompressed => {}
        }
        told.message(&notice.to_string());
    }
}

/// How it came to its end. `kept`: whether what was rejected is safe.
pub fn ended(stop: &Stop, kept: Result<()>, hints: &Hints) -> Ended {
    match (stop.reason(), kept) {
        (Some(Reason::Interrupted(signal)), _) => Ended::Interrupted(signal),
        (Some(Reason::OutputClosed), _) => Ended::OutputClosed,
        (Some(Reason::Failed(mut error)), _) => {
            error.hint =
                error.hint.map(|hint| hint.replace(RESUME, hints.resume).replace(OTHER_INDEX, hints.other_index));
            Ended::Failed(error)
        }
        (None, Err(error)) => Ended::Failed(error.hint(hints.no_room)),
        (None, Ok(())) => Ended::Complete,
    }
}

/// Writes the report to standard output, and gives the exit code: `code`, or that it could not be written.
pub fn tell(form: Form, quiet: bool, code: u8, json: impl FnOnce() -> String, summary: impl FnOnce() -> String) -> u8 {
    let text = match form {
        Form::Json => json() + "\n",
        Form::Text if quiet && code == 0 => return code,
        Form::Text => summary(),
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

/// A line behind a label.
pub fn row(text: &mut String, label: &str, what: &str) {
    _ = writeln!(text, "{label:<INDENT$}{what}");
}

/// A law, term by term: name, number, what to say of a number that is not 0, whether it is told at all.
pub fn law(text: &mut String, label: &str, terms: &[(&str, u64, &str, bool)]) {
    let width = terms.iter().map(|(_, number, ..)| grouped(*number).len()).max().unwrap_or(0);
    for (n, (name, number, remark, _)) in terms.iter().filter(|(.., told)| *told).enumerate() {
        let (label, sign) = match n {
            0 => (label, ' '),
            1 => ("", '='),
            _ => ("", '+'),
        };
        let remark = if remark.is_empty() || *number == 0 { String::new() } else { format!(" ({remark})") };
        _ = writeln!(text, "{label:<9}{sign} {:>width$} {name}{remark}", grouped(*number));
    }
}

/// In the words of the law: documents that were sent again and found there.
pub fn confirmed(number: u64) -> String {
    match number {
        0 => String::new(),
        number => format!("{} of them confirmed: sent, no answer, and found there", grouped(number)),
    }
}

/// What was done to get the documents there.
pub fn requests(text: &mut String, stats: &Stats) {
    let line = format!("{}, {} of them again", counted(stats.requests, "bulk request"), grouped(stats.retries));
    row(text, "Requests", &line);
    if !stats.paused.is_zero() {
        let paused = duration(stats.paused.as_secs_f64());
        row(text, "Paused", &format!("{paused} in all, because the cluster refused"));
    }
}

/// What to know, and, apart from it, what to do.
pub fn notes_and_next(text: &mut String, notes: &[String], next: &[String]) {
    for note in notes {
        row(text, "Note", note);
    }
    for (n, step) in next.iter().enumerate() {
        if n == 0 {
            text.push('\n');
        }
        row(text, if n == 0 { "Next" } else { "" }, step);
    }
}

/// Why it ended early, and what to do, for machines.
pub fn why(ended: &Ended) -> (Option<&str>, Option<&str>) {
    match ended {
        Ended::Complete | Ended::OutputClosed => (None, None),
        Ended::Interrupted(signal) => (Some(*signal), None),
        Ended::Failed(error) => (Some(error.message.as_str()), error.hint.as_deref()),
    }
}
