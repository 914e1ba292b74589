//! [`Report`]: what `--json` prints, and [`assert_law`], which holds for every one of them.

use serde_json::{Deserializer, Value};

/// The outcomes that a line can have. `lines_read` is their sum, for each file and each run. The first five are the
/// law as users know it; lines outside of `--since` and `--until`, and those that a run which ended early had read but
/// not finished, are zero without those.
const OUTCOMES: [&str; 7] = ["indexed", "duplicate", "rejected", "malformed", "blank", "outside", "unsettled"];

/// What a source can become, as `status` says it.
const STATUSES: [&str; 6] = ["loaded", "damaged", "skipped", "failed", "gone", "stopped"];

/// The report of a run as one JSON object.
#[derive(Debug)]
pub struct Report(pub Value);

impl Report {
    /// The first JSON object with `lines_read` that starts a line of `text`.
    pub fn found_in(text: &str) -> Option<Report> {
        let starts = text.match_indices('{').map(|(at, _)| at).filter(|at| *at == 0 || text[..*at].ends_with('\n'));
        starts
            .filter_map(|at| Deserializer::from_str(&text[at..]).into_iter::<Value>().next()?.ok())
            .find(|value| value.get("lines_read").is_some())
            .map(Report)
    }

    /// A count of the run.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        count(&self.0, name)
    }

    /// The file whose `uri` ends so.
    #[track_caller]
    pub fn file(&self, ends: &str) -> &Value {
        let mut found = self.files().iter().filter(|file| file["uri"].as_str().is_some_and(|uri| uri.ends_with(ends)));
        let file = found.next().unwrap_or_else(|| panic!("no file {ends} in {self:#?}"));
        assert!(found.next().is_none(), "two files {ends} in {self:#?}");
        file
    }

    pub fn files(&self) -> &[Value] {
        self.0["files"].as_array().expect("`files` is an array")
    }

    /// Asserts several counts of the run at once, such as `lines_read 5, indexed 4, blank 1`.
    #[track_caller]
    pub fn has(&self, counts: &str) -> &Report {
        has(&self.0, counts);
        self
    }
}

/// Asserts counts of a run or a file.
#[track_caller]
pub fn has(value: &Value, counts: &str) {
    for pair in counts.split(", ") {
        let (name, expected) = pair.split_once(' ').expect("name and number");
        assert_eq!(count(value, name).to_string(), expected, "{name} of {value:#}");
    }
}

#[track_caller]
fn count(value: &Value, name: &str) -> u64 {
    let found = name.split('.').fold(value, |value, part| &value[part]); // `sources.loaded`
    found.as_u64().unwrap_or_else(|| panic!("there is no count {name:?} in {value:#}"))
}

/// Both laws, for the run, for each file, and between them; and that the exit code fits.
#[track_caller]
pub fn assert_law(report: &Report, code: Option<i32>) {
    let run = &report.0;
    for part in std::iter::once(run).chain(report.files()) {
        let outcomes: u64 = OUTCOMES[..5].iter().map(|name| count(part, name)).sum();
        let others: u64 = OUTCOMES[5..].iter().map(|name| part[*name].as_u64().unwrap_or(0)).sum();
        assert_eq!(count(part, "lines_read"), outcomes + others, "lines read = all outcomes: {part:#}");
    }
    for name in OUTCOMES.iter().chain(&["lines_read", "bytes_read", "documents_bytes"]) {
        let of_files: u64 = report.files().iter().map(|file| file[*name].as_u64().unwrap_or(0)).sum();
        assert_eq!(run[*name].as_u64().unwrap_or(0), of_files, "{name} of the run is the sum of its files: {run:#}");
    }

    let sources = &run["sources"];
    let status = |status: &str| report.files().iter().filter(|file| file["status"] == status).count() as u64;
    assert_eq!(STATUSES.iter().map(|name| status(name)).sum::<u64>(), report.files().len() as u64, "{run:#}");
    assert_eq!(count(sources, "named"), report.files().len() as u64, "each source named is in `files`: {run:#}");
    assert_eq!(count(sources, "loaded"), status("loaded"), "{run:#}");
    assert_eq!(count(sources, "skipped"), status("skipped"), "{run:#}");
    assert_eq!(count(sources, "gone"), status("gone"), "{run:#}");
    assert_eq!(count(sources, "failed"), status("failed") + status("damaged"), "{run:#}");

    let bad_sources = count(sources, "failed") + count(sources, "gone");
    let unsettled = run["unsettled"].as_u64().unwrap_or(0);
    match code {
        Some(0) => assert_eq!((bad_sources, count(run, "rejected")), (0, 0), "exit code 0: {run:#}"),
        Some(3) => assert_eq!(bad_sources, 0, "exit code 3: {run:#}"),
        _ => {}
    }
    if matches!(code, Some(0 | 3)) && run["ended"] != "output_closed" {
        assert_eq!(unsettled, 0, "a complete run: {run:#}");
    }
}
