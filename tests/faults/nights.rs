//! logrotate's nights: logs that grow, are rotated, compressed, copied and cut, rewritten, and copies of logs. After
//! each night every line is there once, and only what is new was read.
//!
//! What must be there is told by a twin: each *generation* of a log (what lay under its first path from its first line
//! to its last) as a whole at that path, loaded without a ledger. Ids depend on path, first line, offset and line.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::census::Census;
use crate::load::{Typed, brief, report};
use crate::logs::put_template;
use crate::support::logs::{Format, Options, generate, gzip};
use crate::support::{Folder, Node, Report};
use crate::turn;

/// A folder of logs, its ledger, and the indices that it is loaded into each night.
struct Nights<'a> {
    node: &'a Node,
    logs: PathBuf,
    folder: &'a Folder,
}

impl Nights<'_> {
    /// Loads the whole folder. A last line without line end may still grow.
    #[track_caller]
    fn load(&self, night: &str) -> Report {
        let mut typed = Typed::new(self.folder, &self.logs, &self.node.url, &self.node.name("log"));
        typed.takes_last_line = false;
        let told = report(&typed.with("--format common").run(), 0);
        println!("{night}: {}", brief(&told));
        told
    }

    fn path(&self, name: &str) -> PathBuf {
        self.logs.join(name)
    }

    fn census(&self) -> Census {
        Census::of(self.node, &self.node.name("log"))
    }

    /// What these generations, each at its path, leave in a node.
    fn twin(&self, generations: &[(&str, &[u8])]) -> Census {
        // At the same paths, when the test is done with them.
        fs::remove_dir_all(&self.logs).expect("the logs");
        for (name, bytes) in generations {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, bytes).expect("a log");
            let typed = Typed::new(self.folder, &path, &self.node.url, &self.node.name("twin"));
            report(&typed.with("--no-ledger --format common").run(), 0);
        }
        Census::of(self.node, &self.node.name("twin"))
    }
}

/// So many lines of `common`, another log for each seed.
fn lines(count: u64, seed: u64) -> Vec<u8> {
    let options = Options { lines: Some(count), seed, months: 2, format: Format::Common, ..Options::clean() };
    generate(options).0
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("a log");
    file.write_all(bytes).expect("a log grows");
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn grown_rotated_compressed() {
    let _turn = turn::take();
    let node = Node::shared("nights");
    put_template(&node, "log", "keyword");
    put_template(&node, "twin", "keyword");
    let folder = Folder::new();
    let nights = Nights { node: &node, logs: folder.path().join("logs"), folder: &folder };
    fs::create_dir(&nights.logs).expect("a folder");
    let (first, second) = (lines(200_000, 1), lines(100_000, 2));

    // In the middle of a line, where what is there already is a line of its own: `... 200 12` of `... 200 1234`.
    let line_end = first.len() / 3 + first[first.len() / 3..].iter().position(|byte| *byte == b'\n').expect("a line");
    let cut = (0..line_end)
        .rev()
        .find(|at| first[at - 2..*at].iter().all(u8::is_ascii_digit) && first[*at].is_ascii_digit())
        .expect("a number");
    let whole = first[..cut].iter().rposition(|byte| *byte == b'\n').expect("a line") + 1;
    append(&nights.path("access.log"), &first[..cut]);
    let told = nights.load("first night, up to the middle of a line");
    assert_eq!(told.count("bytes_read"), whole as u64, "the half line is left");
    told.has("unfinished_files 1, duplicate 0, malformed 0");

    append(&nights.path("access.log"), &first[cut..]);
    let told = nights.load("grown");
    assert_eq!(told.count("bytes_read"), (first.len() - whole) as u64, "only what is new");
    told.has("duplicate 0, malformed 0, unfinished_files 0");

    // Rotated: renamed, and a new one begun.
    fs::rename(nights.path("access.log"), nights.path("access.log.1")).expect("a rename");
    let half =
        second.len() / 2 + second[second.len() / 2..].iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    append(&nights.path("access.log"), &second[..half]);
    let told = nights.load("rotated");
    assert_eq!(told.count("bytes_read"), half as u64, "only what is new");
    told.has("duplicate 0");
    assert_eq!((&told.0["sources"]["loaded"], &told.0["sources"]["skipped"]), (&1.into(), &1.into()), "{}", told.0);

    // Rotated again, and the older one compressed.
    append(&nights.path("access.log"), &second[half..]);
    fs::write(nights.path("access.log.2.gz"), gzip(&first, 2)).expect("a gzip");
    fs::remove_file(nights.path("access.log.1")).expect("gone");
    fs::rename(nights.path("access.log"), nights.path("access.log.1")).expect("a rename");
    let told = nights.load("rotated and compressed");
    assert_eq!(told.count("bytes_read"), (second.len() - half) as u64, "only what is new");
    told.has("duplicate 0");

    let told = nights.load("a quiet night");
    told.has("lines_read 0, bytes_read 0");
    assert_eq!(told.0["sources"]["skipped"], 2, "{}", told.0);

    let census = nights.census();
    assert_eq!(census.documents, 300_000);
    census.assert_equals(&nights.twin(&[("access.log", &first), ("access.log", &second)]));
}

#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn cut_rewritten_and_copied() {
    let _turn = turn::take();
    let node = Node::shared("odd-nights");
    put_template(&node, "log", "keyword");
    put_template(&node, "twin", "keyword");
    let folder = Folder::new();
    let nights = Nights { node: &node, logs: folder.path().join("logs"), folder: &folder };
    fs::create_dir(&nights.logs).expect("a folder");
    const EACH: u64 = 30_000;
    let log = |seed| lines(EACH, seed);
    /// The first line of one, and the lines of another.
    fn under_the_first_line_of(first: &[u8], others: &[u8]) -> Vec<u8> {
        let end = first.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        [&first[..end], others].concat()
    }
    let [cut, copied] = [log(10), log(11)];
    let [larger, equal, smaller] = [log(20), log(21), log(22)];
    let twins = [log(30), under_the_first_line_of(&log(30), &log(31))];
    for (name, bytes) in [
        ("cut.log", &cut),
        ("copied.log", &copied),
        ("larger.log", &larger),
        ("equal.log", &equal),
        ("smaller.log", &smaller),
        ("twin-a.log", &twins[0]),
        ("twin-b.log", &twins[1]),
    ] {
        append(&nights.path(name), bytes);
    }
    let told = nights.load("first night");
    told.has("duplicate 0, malformed 0");
    assert_eq!(told.0["sources"]["loaded"], 7, "two with equal first lines are two: {}", told.0);

    // copytruncate: copied, and cut to nothing under whoever writes it; and new lines since.
    let cut_new = log(12);
    fs::copy(nights.path("cut.log"), nights.path("cut.log.1")).expect("a copy");
    fs::File::create(nights.path("cut.log")).and_then(|mut file| file.write_all(&cut_new)).expect("cut and grown");
    // A copy of one that is still there: a log of its own.
    fs::copy(nights.path("copied.log"), nights.path("copy.log")).expect("a copy");
    // Written anew under the same first line: larger, equally long, smaller.
    let larger_new = under_the_first_line_of(&larger, &[log(23), log(24)].concat());
    let mut equal_new = under_the_first_line_of(&equal, &log(25));
    // Equally long to the byte: cut at a line, and the last one made longer.
    equal_new.truncate(equal.len() - 300);
    let end = equal_new.iter().rposition(|byte| *byte == b'\n').expect("a line") + 1;
    equal_new.truncate(end);
    let rest = equal.len() - end;
    let frame = "192.0.2.9 - - [20/Feb/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 200 1\n".len();
    let filler = "x".repeat(rest - frame);
    equal_new.extend_from_slice(
        format!("192.0.2.9 - - [20/Feb/2024:10:00:00 +0000] \"GET /{filler} HTTP/1.1\" 200 1\n").as_bytes(),
    );
    assert_eq!(equal_new.len(), equal.len());
    let smaller_new = under_the_first_line_of(&smaller, &lines(EACH / 2, 26));
    for (name, bytes) in [("larger.log", &larger_new), ("equal.log", &equal_new), ("smaller.log", &smaller_new)] {
        fs::write(nights.path(name), bytes).expect("written anew");
    }
    let told = nights.load("second night");
    // The first line of each that was written anew is there already.
    told.has("duplicate 3, malformed 0");
    let new: usize = [&cut_new, &copied, &larger_new, &equal_new, &smaller_new].iter().map(|log| log.len()).sum();
    assert_eq!(told.count("bytes_read"), new as u64, "cut.log.1 is what cut.log was, all else is new: {}", told.0);

    nights.load("a quiet night").has("lines_read 0");
    let census = nights.census();
    census.assert_equals(&nights.twin(&[
        ("cut.log", &cut),
        ("cut.log", &cut_new),
        ("copied.log", &copied),
        ("copy.log", &copied),
        ("larger.log", &larger),
        ("larger.log", &larger_new),
        ("equal.log", &equal),
        ("equal.log", &equal_new),
        ("smaller.log", &smaller),
        ("smaller.log", &smaller_new),
        ("twin-a.log", &twins[0]),
        ("twin-b.log", &twins[1]),
    ]));
    assert!(census.documents > 300_000, "{}", census.documents);
}
