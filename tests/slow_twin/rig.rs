//! [`Rig`]: the paths of parse and serialize beside their slow twin, and the comparison.

use loghaul::pipeline::parse::Format;
use loghaul::pipeline::serialize::{Block, FileFacts, IdMode, IndexPattern, Options, Path, Plan, Worker};
use loghaul::schema::Schema;

use super::twin::{Outcome, Twin};

pub const IDENTITY: [u8; 8] = *b"\x00\xffident\x80";
pub const URI: &str = "/var/log/\"odd\" name.log";

/// All options that change what is written, in a few combinations.
pub fn all_options() -> Vec<Options> {
    let ingestion_timestamp = "2021-02-03T04:05:06Z".to_owned();
    let default = Options { ingestion_timestamp, keep_malformed: true, ..Options::default() };
    let pattern = |pattern: &str| IndexPattern::new(pattern).expect("a good pattern");
    vec![
        default.clone(),
        Options { documents_only: true, ids: IdMode::None, with_extra: true, ..default.clone() },
        Options {
            ids: IdMode::Content,
            index: pattern("logs-%Y.%m.%d-%H"),
            with_message: true,
            with_source: true,
            with_extra: true,
            with_timestamp: true,
            fields: vec![("env".into(), "a\"b".into()), ("x.y".into(), "\u{e9}\n".into())],
            log_type: "t\\".into(),
            ..default.clone()
        },
        Options {
            // A long name, and one that changes within a day: so do names that only unwanted events would have.
            index: pattern(&format!("{}-%Y.%m.%d-%H", "a".repeat(200))),
            since: Some(1_000_000_000),
            until: Some(1_709_251_200),
            ..default.clone()
        },
        Options { schema: Schema::Ecs, ids: IdMode::None, ..default.clone() },
        Options {
            schema: Schema::Ecs,
            documents_only: true,
            with_message: true,
            with_source: true,
            with_extra: true,
            with_timestamp: true,
            fields: vec![("bytes".into(), "free under this schema".into())],
            ..default.clone()
        },
    ]
}

/// One combination of options and format, and the workers that are compared.
pub struct Rig {
    pub twin: Twin,
    plan: Plan,
    file: FileFacts,
    pub workers: Vec<(Path, Worker)>,
    pub block: Block,
}

impl Rig {
    pub fn new(options: Options, format: Format) -> Rig {
        let plan = Plan::new(options.clone()).expect("good options");
        let file = FileFacts::new(&plan, URI, IDENTITY, format, false, None);
        let workers = [Path::Fastest, Path::Portable, Path::General].map(|path| (path, Worker::by(path))).into();
        Rig { twin: Twin::new(options, format, URI, IDENTITY), plan, file, workers, block: Block::default() }
    }

    /// Compares on `text`, whole; names the first line that differs alone.
    pub fn check(&mut self, text: &[u8], offset: u64) {
        let expected = self.twin.run(text, offset);
        for n in 0..self.workers.len() {
            let actual = self.fill(n, text, offset);
            if actual == expected {
                continue;
            }
            let path = self.workers[n].0;
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                let (actual, expected) = (self.fill(n, line, offset), self.twin.run(line, offset));
                assert!(
                    actual == expected,
                    "{path:?} {}\n{}\nactual   {}\nexpected {}\nactual   {actual:?}\nexpected {expected:?}",
                    self.twin.format,
                    line.escape_ascii(),
                    String::from_utf8_lossy(&actual.bytes),
                    String::from_utf8_lossy(&expected.bytes),
                );
            }
            panic!("{path:?} {}: lines agree alone, but not together", self.twin.format);
        }
    }

    pub fn fill(&mut self, n: usize, text: &[u8], offset: u64) -> Outcome {
        self.block.clear();
        self.workers[n].1.fill(&self.plan, &self.file, text, offset, &mut self.block);
        outcome(&self.block, offset)
    }
}

/// A block in the twin's terms. Checks what a block promises of itself.
pub fn outcome(block: &Block, offset: u64) -> Outcome {
    assert_eq!(block.documents.len() as u64, block.tally.documents);
    let mut end = 0;
    for n in 0..block.documents.len() {
        let range = block.document_range(n);
        assert_eq!(range.start, end, "documents follow each other");
        assert!(block.bytes[range.clone()].ends_with(b"}\n"));
        end = range.end;
    }
    assert_eq!(end, block.bytes.len());
    Outcome {
        bytes: block.bytes.to_vec(),
        malformed: block.tally.malformed.clone(),
        malformed_ndjson: block.malformed_ndjson.clone(),
        documents: block.tally.documents,
        blank: block.tally.blank,
        outside: block.tally.outside,
        with_extra: block.tally.with_extra,
        not_utf8: block.tally.not_utf8,
        event_time: block.tally.event_time,
        lines: block
            .documents
            .iter()
            .map(|document| (offset + u64::from(document.line_start), document.line_bytes as usize))
            .collect(),
        indices: block.indices.iter().map(|(index, documents)| (index.to_string(), *documents)).collect(),
    }
}
