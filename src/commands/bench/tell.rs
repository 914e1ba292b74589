//! What `loghaul bench` says: a table for people, one object for machines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::measure::{Figures, Group};
use super::rows;
use super::sample::Sample;
use crate::escape;
use crate::pipeline::Options;
use crate::pipeline::report::figures::{counted, exact_size, grouped, size};
use crate::pipeline::serialize::{Block, Tally, Worker};

/// What is told beside the rows.
pub struct Facts {
    /// Sources, with their formats.
    sources: Vec<(String, &'static str)>,
    lines: u64,
    bytes: u64,
    /// Bytes of the documents with their action lines.
    documents_bytes: u64,
    /// What the parser made of the lines.
    tally: Tally,
    /// Whether this is not all there is.
    cut: bool,
    left_out: Vec<String>,
    threads: usize,
    chunk_bytes: usize,
    rounds: usize,
    seconds: f64,
}

impl Facts {
    /// Goes through the sample once more, to count.
    pub fn new(sample: &Sample, options: &Options, rounds: usize, seconds: f64) -> Facts {
        let (mut tally, mut documents_bytes) = (Tally::default(), 0);
        let (mut worker, mut block) = (Worker::new(), Block::default());
        for log in &sample.logs {
            rows::serialize(log, &options.plan, &mut worker, &mut block, |block| {
                tally.add(&block.tally);
                documents_bytes += block.bytes.len() as u64;
            });
        }
        Facts {
            sources: sample.logs.iter().map(|log| (log.source.uri(), log.facts.format().as_str())).collect(),
            lines: sample.lines,
            bytes: sample.bytes,
            documents_bytes,
            tally,
            cut: sample.cut,
            left_out: sample.left_out.clone(),
            threads: options.parsers,
            chunk_bytes: options.chunk_bytes,
            rounds,
            seconds,
        }
    }

    /// Which part of the lines that became documents took the common path: 0 to 1.
    fn common_path_share(&self) -> f64 {
        if self.tally.documents == 0 { 0.0 } else { self.tally.common_path as f64 / self.tally.documents as f64 }
    }
}

/// Below so many bytes the start of a run is most of it.
const STEADY_BYTES: u64 = 8 << 20;

/// The table.
pub fn table(facts: &Facts, rows: &[Figures]) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let mut formats: BTreeMap<&str, u64> = BTreeMap::new();
    facts.sources.iter().for_each(|(_, format)| *formats.entry(format).or_default() += 1);
    let formats: Vec<&str> = formats.into_keys().collect();
    let named = match &facts.sources[..] {
        [(one, _)] => escape::shown(one.as_bytes()).to_string(),
        many => counted(many.len() as u64, "source"),
    };
    let extent = if facts.cut { "the first of more; --bytes takes more" } else { "all of it" };
    say(format!("{named} ({}): {}, {}, {extent}", formats.join(", "), counted(facts.lines, "line"), size(facts.bytes)));
    for left_out in &facts.left_out {
        say(format!("left out: {left_out}"));
    }
    say(format!(
        "{}, chunks of {}, median of {} in {:.1} s ± half of the middle half",
        counted(facts.threads as u64, "thread"),
        exact_size(facts.chunk_bytes as u64),
        counted(facts.rounds as u64, "pass").replace("passs", "passes"),
        facts.seconds
    ));
    for (group, title) in [
        (Group::Limit, "this machine's limits"),
        (Group::Stage, "each stage alone, one thread"),
        (Group::Whole, "all together"),
    ] {
        if rows.iter().all(|row| row.group != group) {
            continue;
        }
        say(format!("\n{title:<52}{:>8}{:>12}{:>10}{:>8}", "GB/s", "M lines/s", "ns/line", "±"));
        for row in rows.iter().filter(|row| row.group == group) {
            let per_line = row.per_byte[2] * row.bytes as f64 / row.lines.max(1) as f64;
            say(format!(
                "  {:<50}{:>8.2}{:>12.2}{:>10.1}{:>6.1} %",
                row.title,
                1.0 / row.per_byte[2],
                1e3 / per_line,
                per_line,
                spread(row) * 100.0
            ));
        }
    }
    let tally = &facts.tally;
    say(format!(
        "\n{:.2} % of the documents took the common path; {} of documents for {} of log; {} malformed, {} blank",
        (facts.common_path_share() * 1e4).floor() / 1e2,
        size(facts.documents_bytes),
        size(facts.bytes),
        grouped(tally.malformed_lines()),
        grouped(tally.blank),
    ));
    if facts.bytes < STEADY_BYTES {
        say(format!("This is little: below {} the start of a run is most of it.", size(STEADY_BYTES)));
    }
    text
}

/// Half of the middle half, as a part of the median.
fn spread(row: &Figures) -> f64 {
    (row.per_byte[3] - row.per_byte[1]) / 2.0 / row.per_byte[2]
}

/// One object, with a newline.
pub fn json(facts: &Facts, rows: &[Figures]) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let per_line = row.per_byte[2] * row.bytes as f64 / row.lines.max(1) as f64;
            json!({
                "name": row.name,
                "title": row.title,
                "group": match row.group {
                    Group::Limit => "limit",
                    Group::Stage => "stage",
                    Group::Whole => "whole",
                },
                "lines": row.lines,
                "bytes": row.bytes,
                "gb_per_second": 1.0 / row.per_byte[2],
                "lines_per_second": 1e9 / per_line,
                "ns_per_line": per_line,
                "ns_per_byte": {
                    "least": row.per_byte[0],
                    "lower_quartile": row.per_byte[1],
                    "median": row.per_byte[2],
                    "upper_quartile": row.per_byte[3],
                    "most": row.per_byte[4],
                },
            })
        })
        .collect();
    let sources: Vec<Value> =
        facts.sources.iter().map(|(uri, format)| json!({"source": uri, "format": format})).collect();
    let object = json!({
        "sources": sources,
        "left_out": facts.left_out,
        "lines": facts.lines,
        "bytes": facts.bytes,
        "documents": facts.tally.documents,
        "documents_bytes": facts.documents_bytes,
        "malformed": facts.tally.malformed_lines(),
        "blank": facts.tally.blank,
        "common_path": facts.tally.common_path,
        "common_path_share": facts.common_path_share(),
        "cut": facts.cut,
        "threads": facts.threads,
        "chunk_bytes": facts.chunk_bytes,
        "rounds": facts.rounds,
        "seconds": facts.seconds,
        "rows": rows,
    });
    format!("{object:#}\n")
}
