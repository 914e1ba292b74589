//! The report for people: plain text, at most [`WIDTH`] columns but for long paths. What went wrong comes first, what to
//! do next last; between them both laws, term by term.

use std::fmt::Write;
use std::path::Path;

use super::figures::{counted, duration, exact_size, grouped, per_second, size, time};
use super::totals::{Counts, Ended, FileReport, FileStatus, Report};
use crate::error::Kind;
use crate::escape::{shown, shown_within};

/// Columns that a summary takes.
pub const WIDTH: usize = 100;
/// Files that are shown for each kind of trouble, and notes of each.
const FILES_SHOWN: usize = 5;
/// Indices that are shown.
const INDICES_SHOWN: usize = 12;
/// Where text begins, behind a label.
const INDENT: usize = 11;

/// Where documents went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into a cluster.
    OpenSearch,
    /// Into a folder of bodies.
    Directory,
    /// To standard output.
    Stdout,
    /// Nowhere.
    Discard,
}

/// What a summary has to know beside the report.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where documents went.
    pub destination: Destination,
    /// Where malformed lines were kept, if they were.
    pub malformed_file: Option<&'a Path>,
    /// Where rejected documents were kept, if they were.
    pub dead_letters: Option<&'a Path>,
    /// Whether documents have the text after the last field (`--with extra`).
    pub keeps_extra: bool,
    /// Whether the same command again doubles nothing (any `--id` but `none`).
    pub repeatable: bool,
    /// Whether `--resume` can go on with this run (a ledger was kept).
    pub resumable: bool,
}

/// The summary, with a newline at the end of each line.
pub fn summary(report: &Report, context: &Context) -> String {
    let mut page = Page { text: String::new() };
    page.paragraph(&headline(report));
    if report.ended == Ended::OutputClosed && report.exit_code() == 0 {
        // `loghaul parse access.log | head`: who has seen enough does not want to read on here.
        return page.text;
    }
    trouble(&mut page, report);
    page.text.push('\n');
    laws(&mut page, report, context);
    figures(&mut page, report, context);
    details(&mut page, report, context);
    next(&mut page, report, context);
    page.text
}

/// How it went, in a sentence.
fn headline(report: &Report) -> String {
    let took = duration(report.seconds);
    let lines = counted(report.counts.lines_read, "line");
    if !report.law_holds() {
        return format!(
            "A BUG IN LOGHAUL: after {took} the counts below do not add up. Do not trust this load, and please report it."
        );
    }
    match &report.ended {
        Ended::Interrupted(signal) => format!("Interrupted by {signal} after {took}, {lines} read."),
        Ended::OutputClosed => format!("Ended after {took}, {lines} read: nobody reads our standard output any more."),
        Ended::Failed(error) => {
            let verb = if error.kind == Kind::Stopped { "Stopped" } else { "Failed" };
            format!("{verb} after {took}, {lines} read: {}.", error.message)
        }
        Ended::Complete => {
            let mut buts = Vec::new();
            let not_read = report.sources.failed - report.sources.damaged + report.sources.gone;
            if not_read > 0 {
                buts.push(format!("{} could not be read", counted(not_read, "source")));
            }
            if report.sources.damaged > 0 {
                buts.push(format!("{} damaged", were(report.sources.damaged, "source")));
            }
            if report.counts.outcomes.rejected > 0 {
                buts.push(format!("{} rejected", were(report.counts.outcomes.rejected, "document")));
            }
            if report.malformed_files > 0 {
                let limit = percent(report.max_malformed);
                let files = were(report.malformed_files, "file");
                buts.push(format!("{files} malformed beyond {limit}"));
            }
            match (buts.is_empty(), report.sources.named) {
                (true, 0) => "There was nothing to load: no source has a log.".to_string(),
                (true, _) if report.counts.lines_read == 0 => format!("There were no lines to load, in {took}."),
                (true, _) if report.counts.lines_read == 1 => format!("The one line is accounted for, in {took}."),
                (true, _) => format!("All {lines} accounted for, in {took}."),
                (false, _) => format!("Done in {took}, {lines} accounted for, but {}.", buts.join(" and ")),
            }
        }
    }
}

/// `1 source is`, `2 sources are`.
fn were(number: u64, noun: &str) -> String {
    format!("{} {}", counted(number, noun), if number == 1 { "is" } else { "are" })
}

fn percent(share: f64) -> String {
    // 10 %, 0.5 %; a share of 1 in 100,000 is still more than 0.
    let percent = share * 100.0;
    let digits = if percent >= 10.0 || percent.fract() == 0.0 { 0 } else { 2 };
    format!("{percent:.digits$} %")
}

/// The files with something to tell, the worst first.
fn trouble(page: &mut Page, report: &Report) {
    let kinds: [fn(&FileStatus) -> bool; 5] = [
        |status| matches!(status, FileStatus::Failed { .. }),
        |status| matches!(status, FileStatus::Damaged { .. }),
        |status| matches!(status, FileStatus::Gone { .. }),
        |status| *status == FileStatus::Stopped,
        |status| *status == FileStatus::Loaded,
    ];
    let sources = &report.sources;
    let totals = [sources.failed - sources.damaged, sources.damaged, sources.gone];
    if report.problems.is_empty() && report.skipped.is_empty() {
        return;
    }
    page.text.push('\n');
    for (n, is_kind) in kinds.iter().enumerate() {
        let files: Vec<&FileReport> = report.problems.iter().filter(|file| is_kind(&file.status)).collect();
        let total = totals.get(n).copied().unwrap_or(files.len() as u64);
        files_of_a_kind(page, &files, total, report.max_malformed);
    }
    let skipped: Vec<&FileReport> = report.skipped.iter().collect();
    files_of_a_kind(page, &skipped, sources.skipped, report.max_malformed);
}

fn files_of_a_kind(page: &mut Page, files: &[&FileReport], total: u64, max_malformed: f64) {
    let shown_files = &files[..files.len().min(FILES_SHOWN)];
    for file in shown_files {
        let what = what_happened(file, max_malformed).join("; ");
        page.row(file.status.name(), &format!("{}: {what}", shown(file.uri.as_bytes())));
    }
    let more = total.saturating_sub(shown_files.len() as u64);
    if let (Some(file), true) = (files.first(), more > 0) {
        page.row(file.status.name(), &format!("and {} more (--json names all files)", grouped(more)));
    }
}

/// All there is to tell of a file.
fn what_happened(file: &FileReport, max_malformed: f64) -> Vec<String> {
    let mut what = Vec::new();
    let why = |why: &str| shown(why.as_bytes()).into_owned();
    match &file.status {
        FileStatus::Loaded => {}
        FileStatus::Stopped => what.push("the run ended in the middle of it".to_string()),
        FileStatus::Damaged { offset, why: reason } => {
            what.push(format!("{}; whole lines up to byte {} are loaded", why(reason), grouped(*offset)));
        }
        FileStatus::Skipped { why: reason } | FileStatus::Failed { why: reason } | FileStatus::Gone { why: reason } => {
            what.push(why(reason));
        }
    }
    if !file.law_holds() {
        let counts = &file.counts;
        what.push(format!(
            "its counts do not add up: {} lines read, {} with an outcome, {} given up",
            grouped(counts.lines_read),
            grouped(counts.lines_settled()),
            grouped(counts.unsettled)
        ));
    }
    if file.counts.malformed_share() > max_malformed {
        let share = percent(file.counts.malformed_share());
        what.push(format!("{} ({share} of its lines) malformed", counted(file.counts.malformed(), "line")));
    }
    if let Some(line) = file.unfinished {
        let (bytes, offset) = (counted(line.bytes, "byte"), grouped(line.offset));
        what.push(format!("its last line ({bytes} from byte {offset}) has no line end and was left"));
    }
    what.extend(file.notes.iter().take(FILES_SHOWN).map(|note| why(note)));
    what
}

/// Both laws. Each term is there, be it zero; those that only some runs have, only where they are not.
fn laws(page: &mut Page, report: &Report, context: &Context) {
    let sources = &report.sources;
    let mut line = format!(
        "{} named = {} loaded + {} skipped + {} failed",
        grouped(sources.named),
        grouped(sources.loaded),
        grouped(sources.skipped),
        grouped(sources.failed)
    );
    if sources.damaged > 0 {
        _ = write!(line, " ({} damaged)", grouped(sources.damaged));
    }
    _ = write!(line, " + {} gone", grouped(sources.gone));
    if sources.stopped > 0 {
        _ = write!(line, " + {} stopped", grouped(sources.stopped));
    }
    page.row("Sources", &line);

    let counts = &report.counts;
    let confirmed = match counts.outcomes.confirmed {
        0 => String::new(),
        confirmed => format!("{} of them confirmed: sent, no answer, and found there", grouped(confirmed)),
    };
    let indexed = match context.destination {
        Destination::OpenSearch => confirmed,
        Destination::Directory => "written to the directory; loghaul ship sends them".to_string(),
        Destination::Stdout => "written to standard output".to_string(),
        Destination::Discard => "made and discarded".to_string(),
    };
    let terms: [(&str, u64, &str, bool); 8] = [
        ("read", counts.lines_read, "", true),
        ("indexed", counts.outcomes.indexed, &indexed, true),
        ("duplicate", counts.outcomes.duplicate, "", true),
        ("rejected", counts.outcomes.rejected, "", true),
        ("malformed", counts.malformed(), "", true),
        ("blank", counts.tally.blank, "", true),
        ("outside", counts.tally.outside, "--since and --until", counts.tally.outside > 0),
        ("unsettled", counts.unsettled, "read, but without an outcome", counts.unsettled > 0),
    ];
    let width = terms.iter().map(|(_, number, ..)| grouped(*number).len()).max().unwrap_or(0);
    for (n, (name, number, remark, _)) in terms.iter().filter(|(.., told)| *told).enumerate() {
        let (label, sign) = match n {
            0 => ("Lines", ' '),
            1 => ("", '='),
            _ => ("", '+'),
        };
        let remark = if remark.is_empty() { String::new() } else { format!(" ({remark})") };
        _ = writeln!(page.text, "{label:<9}{sign} {:>width$} {name}{remark}", grouped(*number));
    }
}

/// How much, how fast, from when to when, how.
fn figures(page: &mut Page, report: &Report, context: &Context) {
    let counts = &report.counts;
    page.row("Bytes", &format!("{} of log, {} of documents", size(counts.bytes_read), size(counts.documents_bytes)));
    if let (Some(lines), Some(bytes)) =
        (per_second(counts.lines_read, report.seconds), per_second(counts.bytes_read, report.seconds))
    {
        page.row("Speed", &format!("{} lines/s, {}/s", grouped(lines), size(bytes)));
    }
    if let Some((from, to)) = counts.tally.event_time {
        page.row("Time", &format!("{} to {}", time(from), time(to)));
    }
    if !report.formats.is_empty() {
        let formats = report.formats.iter().map(|(name, format)| {
            let guessed = match (format.guessed, format.files) {
                (0, _) => String::new(),
                (guessed, files) if guessed == files => ", guessed".to_string(),
                (guessed, _) => format!(", {} of them guessed", grouped(guessed)),
            };
            format!("{name} ({}{guessed})", counted(format.files, "file"))
        });
        page.row("Format", &formats.collect::<Vec<_>>().join(", "));
    }
    if context.destination == Destination::OpenSearch {
        requests(page, report);
    }
}

fn requests(page: &mut Page, report: &Report) {
    let traffic = &report.traffic;
    let mut line =
        format!("{}, {}", grouped(traffic.requests), counted(traffic.retries, "retry").replace("retrys", "retries"));
    if traffic.documents_resent > 0 {
        _ = write!(line, " ({} sent again)", counted(traffic.documents_resent, "document"));
    }
    if traffic.bytes_sent > 0 {
        _ = write!(line, ", {} sent", size(traffic.bytes_sent));
    }
    if traffic.writers > 0 {
        let bodies = exact_size(traffic.body_bytes);
        _ = write!(line, "; settled on {} and bodies of at most {bodies}", counted(traffic.writers.into(), "writer"));
    }
    page.row("Requests", &line);
    if traffic.paused_seconds > 0.0 {
        page.row("Paused", &format!("{} in all, because the cluster refused", duration(traffic.paused_seconds)));
    }
}

/// What the lines were, where they went.
fn details(page: &mut Page, report: &Report, context: &Context) {
    let counts = &report.counts;
    if matches!(context.destination, Destination::OpenSearch | Destination::Directory) {
        indices(page, counts);
    }
    if counts.tally.with_extra > 0 {
        let kept = if context.keeps_extra { "kept as extra" } else { "left out; --with extra keeps it" };
        let lines = counted(counts.tally.with_extra, "line");
        page.row("Extra", &format!("{lines} with text after the last field ({kept})"));
    }
    if counts.tally.not_utf8 > 0 {
        let documents = counted(counts.tally.not_utf8, "document");
        page.row("UTF-8", &format!("{documents} with bytes that are not UTF-8 (they became U+FFFD)"));
    }
    malformed(page, counts);
    if report.unfinished_files > 0 {
        let files = counted(report.unfinished_files, "file");
        page.row(
            "Unfinished",
            &format!("{files} with a last line without line end, left for the next load (--take-last-line takes it)"),
        );
    }
    for note in &report.notes {
        page.row("Note", &shown(note.as_bytes()));
    }
}

fn indices(page: &mut Page, counts: &Counts) {
    let width = counts.indices.values().take(INDICES_SHOWN).map(|number| grouped(*number).len()).max().unwrap_or(0);
    for (n, (index, documents)) in counts.indices.iter().take(INDICES_SHOWN).enumerate() {
        let label = if n == 0 { "Indices" } else { "" };
        page.row(label, &format!("{:>width$} {}", grouped(*documents), shown(index.as_bytes())));
    }
    let more = counts.indices.len().saturating_sub(INDICES_SHOWN);
    if more > 0 || counts.indices_other > 0 {
        let documents: u64 = counts.indices.values().skip(INDICES_SHOWN).sum::<u64>() + counts.indices_other;
        let at_least = if counts.indices_other > 0 { "more than " } else { "" };
        let line = format!("and {at_least}{} more, with {}", grouped(more as u64), counted(documents, "document"));
        page.row("", &line);
    }
}

/// Malformed lines by reason, the most frequent first, with samples.
fn malformed(page: &mut Page, counts: &Counts) {
    let mut reasons: Vec<_> = counts.tally.malformed.iter().filter(|(_, lines)| **lines > 0).collect();
    reasons.sort_by_key(|(reason, lines)| (std::cmp::Reverse(**lines), **reason));
    for (n, (reason, lines)) in reasons.into_iter().enumerate() {
        let label = if n == 0 { "Malformed" } else { "" };
        page.row(label, &format!("{} {}: {}", grouped(*lines), reason.as_str(), reason.describe()));
        for sample in counts.samples.get(reason).into_iter().flatten() {
            _ = writeln!(page.text, "{:INDENT$}  {}", "", shown_within(sample, WIDTH - INDENT - 2));
        }
    }
}

/// What the user can do about it.
fn next(page: &mut Page, report: &Report, context: &Context) {
    let mut steps: Vec<String> = Vec::new();
    if let Ended::Failed(error) = &report.ended
        && let Some(hint) = &error.hint
    {
        steps.push(hint.clone());
    }
    let early = matches!(report.ended, Ended::Interrupted(_) | Ended::Failed(_));
    if context.destination == Destination::Directory && early {
        steps.push(match context.resumable {
            true => "go on where it stopped: the same command with --resume".to_string(),
            false => "remove the directory and load again: without a ledger nothing tells where it stopped".to_string(),
        });
    }
    if context.destination == Destination::OpenSearch && (early || report.sources.failed + report.sources.gone > 0) {
        let when = if early { "" } else { "when the sources are mended, " };
        steps.push(match (context.resumable && early, context.repeatable) {
            (true, _) => "go on where it stopped: the same command with --resume".to_string(),
            (false, true) => format!(
                "{when}run the same command again: lines that are there already count as duplicate, none is doubled"
            ),
            (false, false) => "lines loaded so far would be doubled by the same command (--id none)".to_string(),
        });
    }
    if report.counts.outcomes.rejected > 0 {
        steps.push(match context.dead_letters {
            Some(file) => {
                let file = shown(file.as_os_str().as_encoded_bytes()).into_owned();
                format!("see why documents were rejected: {file}; once that is mended: loghaul replay FILE --to URL")
            }
            None => "keep rejected documents and OpenSearch's reasons: --dead-letters FILE".to_string(),
        });
    }
    let malformed = report.counts.malformed();
    match context.malformed_file {
        Some(file) if malformed > 0 => {
            steps.push(format!("see the malformed lines: {}", shown(file.as_os_str().as_encoded_bytes())));
        }
        None if report.malformed_files > 0 => {
            steps.push("keep all malformed lines: --malformed FILE; another format: --format".to_string());
        }
        _ => {}
    }
    if let Some(error) = report.files.as_ref().and_then(|files| files.error()) {
        steps.push(format!("make room in $TMPDIR: the files' own reports could not be kept ({error})"));
    }
    for (n, step) in steps.iter().enumerate() {
        if n == 0 {
            page.text.push('\n');
        }
        page.row(if n == 0 { "Next" } else { "" }, step);
    }
}

/// Text that grows by wrapped paragraphs.
struct Page {
    text: String,
}

impl Page {
    /// A paragraph from the left edge.
    fn paragraph(&mut self, text: &str) {
        self.wrap(String::new(), 0, text);
    }

    /// A label, and text in its own column.
    fn row(&mut self, label: &str, text: &str) {
        self.wrap(format!("{label:<INDENT$}"), INDENT, text);
    }

    /// Breaks at blanks; a word that is longer than a line (a path) stays whole.
    fn wrap(&mut self, start: String, indent: usize, text: &str) {
        let mut line = start;
        let mut empty = true;
        for word in text.split(' ') {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.push(&line);
                line = " ".repeat(indent);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.push(&line);
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::error::Error;

    const CONTEXT: Context = Context {
        destination: Destination::OpenSearch,
        malformed_file: None,
        dead_letters: None,
        keeps_extra: false,
        repeatable: true,
        resumable: false,
    };

    #[track_caller]
    fn check(report: &Report, context: &Context, expected: &str) {
        let text = summary(report, context);
        assert_eq!(text, expected, "\n{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn something_of_everything() {
        check(
            &example::report(None),
            &CONTEXT,
            "\
Done in 2.50 s, 102,236 lines accounted for, but 1 source could not be read and 1 source is damaged.

failed     logs/missing.log: no such file
damaged    logs/cut.gz: unexpected end of file; whole lines up to byte 4,096 are loaded; its last
           line (96 bytes from byte 4,000) has no line end and was left; looks odd
skipped    logs/error.log: looks like an Apache error log

Sources    4 named = 1 loaded + 1 skipped + 2 failed (1 damaged) + 0 gone
Lines      102,236 read
         = 102,234 indexed
         +       0 duplicate
         +       0 rejected
         +       1 malformed
         +       1 blank
Bytes      20.5 MB of log, 38.7 MB of documents
Speed      40,894 lines/s, 8.18 MB/s
Time       2020-12-19T12:57:26Z to 2021-01-22T14:26:09Z
Format     combined (2 files, 1 of them guessed)
Requests   12, 2 retries (120 documents sent again), 40.0 MB sent; settled on 4 writers and bodies
           of at most 5 MiB
Indices    44,876 apache-access-log-2020-12
           57,355 apache-access-log-2021-01
Extra      102,231 lines with text after the last field (left out; --with extra keeps it)
Malformed  1 too_long: the line is longer than --max-line-bytes
             cut \\x1b[31m\\xff
Unfinished 1 file with a last line without line end, left for the next load (--take-last-line takes
           it)
Note       each line is sent at least once

Next       when the sources are mended, run the same command again: lines that are there already
           count as duplicate, none is doubled
",
        );
    }

    fn plain(change: impl FnOnce(&mut FileReport, &mut Report)) -> Report {
        let mut file = FileReport::new("access.log");
        file.status = FileStatus::Loaded;
        file.counts.lines_read = 2;
        (file.counts.bytes_read, file.counts.bytes_settled) = (200, 200);
        (file.counts.tally.documents, file.counts.outcomes.indexed) = (2, 2);
        let mut report = Report::new(0.1, None);
        report.sources.named = 1;
        report.seconds = 0.5;
        change(&mut file, &mut report);
        report.add_file(file);
        report
    }

    #[test]
    fn all_well() {
        check(
            &plain(|_, _| {}),
            &Context { destination: Destination::Stdout, ..CONTEXT },
            "\
All 2 lines accounted for, in 0.50 s.

Sources    1 named = 1 loaded + 0 skipped + 0 failed + 0 gone
Lines      2 read
         = 2 indexed (written to standard output)
         + 0 duplicate
         + 0 rejected
         + 0 malformed
         + 0 blank
Bytes      200 bytes of log, 0 bytes of documents
Speed      4 lines/s, 400 bytes/s
",
        );
    }

    #[test]
    fn stopped_in_the_middle() {
        let report = plain(|file, report| {
            file.status = FileStatus::Stopped;
            (file.counts.lines_read, file.counts.unsettled) = (1_002, 1_000);
            file.counts.outcomes.confirmed = 1;
            let error =
                Error::stopped("the cluster at http://h:9200 refuses: disk usage exceeded flood-stage watermark");
            report.ended = Ended::Failed(error.hint("make room on the cluster's disks"));
            report.traffic.requests = 3;
            report.traffic.retries = 1;
            report.traffic.paused_seconds = 600.0;
        });
        check(
            &report,
            &Context { resumable: true, ..CONTEXT },
            "\
Stopped after 0.50 s, 1,002 lines read: the cluster at http://h:9200 refuses: disk usage exceeded
flood-stage watermark.

stopped    access.log: the run ended in the middle of it

Sources    1 named = 0 loaded + 0 skipped + 0 failed + 0 gone + 1 stopped
Lines      1,002 read
         =     2 indexed (1 of them confirmed: sent, no answer, and found there)
         +     0 duplicate
         +     0 rejected
         +     0 malformed
         +     0 blank
         + 1,000 unsettled (read, but without an outcome)
Bytes      200 bytes of log, 0 bytes of documents
Speed      2,004 lines/s, 400 bytes/s
Requests   3, 1 retry
Paused     10 min 0 s in all, because the cluster refused

Next       make room on the cluster's disks
           go on where it stopped: the same command with --resume
",
        );
    }

    #[test]
    fn a_lost_line_is_told_first() {
        let report = plain(|file, _| file.counts.lines_read = 3);
        let text = summary(&report, &CONTEXT);
        assert!(text.starts_with("A BUG IN LOGHAUL: after 0.50 s the counts below do not add up."), "{text}");
        assert!(
            text.contains("loaded     access.log: its counts do not add up: 3 lines read, 2 with an outcome, 0"),
            "{text}"
        );
    }

    #[test]
    fn nobody_reads_on() {
        let report = plain(|file, report| {
            file.status = FileStatus::Stopped;
            report.ended = Ended::OutputClosed;
        });
        check(&report, &CONTEXT, "Ended after 0.50 s, 2 lines read: nobody reads our standard output any more.\n");
    }

    #[test]
    fn headlines() {
        let headline = |change: fn(&mut FileReport, &mut Report)| headline(&plain(change));
        assert_eq!(super::headline(&Report::new(0.1, None)), "There was nothing to load: no source has a log.");
        assert_eq!(
            headline(|_, report| report.ended = Ended::Interrupted("SIGINT")),
            "Interrupted by SIGINT after 0.50 s, 2 lines read."
        );
        assert_eq!(
            headline(|_, report| report.ended = Ended::Failed(Error::failed("nobody answers at http://h:9200"))),
            "Failed after 0.50 s, 2 lines read: nobody answers at http://h:9200."
        );
        assert_eq!(
            headline(|file, _| {
                file.counts.tally.documents = 1;
                (file.counts.outcomes.indexed, file.counts.outcomes.rejected) = (0, 1);
                file.counts.tally.malformed.insert(crate::pipeline::parse::Malformed::TooLong, 1);
            }),
            "Done in 0.50 s, 2 lines accounted for, but 1 document is rejected and 1 file is malformed beyond 10 %."
        );
    }

    #[test]
    fn many_files_and_indices_are_cut_short() {
        let mut report = plain(|file, _| {
            file.counts.indices.extend((0..15).map(|n| (format!("index-{n:02}").into(), 1_000)));
        });
        for n in 0..1_200 {
            let mut file = FileReport::new(format!("old-{n}.log"));
            file.status = FileStatus::Skipped { why: "loaded before".into() };
            report.sources.named += 1;
            report.add_file(file);
        }
        let text = summary(&report, &CONTEXT);
        assert!(
            text.contains("skipped    old-4.log: loaded before\nskipped    and 1,195 more (--json names all"),
            "{text}"
        );
        assert!(text.contains("           1,000 index-11\n           and 3 more, with 3,000 documents\n"), "{text}");
    }

    #[test]
    fn log_content_cannot_reach_the_terminal() {
        let report = plain(|file, report| {
            file.uri = "a\x1b[2J\n.log".into();
            file.notes.push("note \x1b]0;x\x07".into());
            report.note("more \u{202e}");
        });
        let text = summary(&report, &CONTEXT);
        assert!(text.contains("loaded     a\\x1b[2J\\n.log: note \\x1b]0;x\\x07\n"), "{text}");
        assert!(text.contains("Note       more \\u{202e}\n"), "{text}");
    }

    #[test]
    fn shares() {
        for (share, text) in [(0.1, "10 %"), (0.005, "0.50 %"), (1.0, "100 %"), (0.55, "55 %"), (0.0, "0 %")] {
            assert_eq!(percent(share), text);
        }
    }
}
