//! parse and serialize against their slow twin, byte for byte: on handmade lines, on generated ones, on mutations of
//! both; by each path and in chunks of every size.
//!
//! `LOGHAUL_TEST_FULL=1` tries ten million mutated lines instead of one million.

mod lines;
mod rig;
mod traps;
mod twin;

use loghaul::pipeline::parse::lanes::Portable;
#[cfg(target_arch = "x86_64")]
use loghaul::pipeline::parse::lanes::{Avx2, with_avx2};
use loghaul::pipeline::parse::record::WINDOW_BYTES;
use loghaul::pipeline::parse::timestamp::Days;
use loghaul::pipeline::parse::{self, Format, guess};
use loghaul::pipeline::serialize::{Block, FileFacts, Options, Plan, Worker, too_long};
use loghaul_testdata::{Generator, Options as Shape, Rng, mutate};
use rig::{IDENTITY, Rig, URI, all_options, outcome};
use twin::Twin;

#[test]
fn handmade_lines() {
    for (n, options) in all_options().into_iter().enumerate() {
        for format in Format::ALL {
            let mut rig = Rig::new(options.clone(), format);
            let ends: &[&str] = if n == 1 { &["", "\n", "\r\n", "\r"] } else { &["\n"] };
            for line in lines::handmade() {
                for end in ends {
                    rig.check(&[&line[..], end.as_bytes()].concat(), 7);
                }
            }
            // All together, so that caches made by one line meet the next.
            let all: Vec<u8> = lines::handmade().flat_map(|line| [line, b"\n".to_vec()].concat()).collect();
            rig.check(&all, (1 << 40) - 1000);
        }
    }
}

fn generator_format(format: Format) -> loghaul_testdata::Format {
    format.as_str().parse().expect("both know the same formats")
}

/// About `lines` generated lines of every odd kind.
fn odd_log(format: Format, seed: u64, lines: usize) -> Vec<u8> {
    let mut generator = Generator::new(Shape { seed, format: generator_format(format), ..Shape::odd() });
    let mut log = Vec::new();
    for _ in 0..lines {
        generator.next_line(&mut log);
    }
    log
}

#[test]
fn generated_lines() {
    for (n, options) in all_options().into_iter().enumerate() {
        for format in Format::ALL {
            let mut rig = Rig::new(options.clone(), format);
            rig.check(&odd_log(format, n as u64, 2_000), 0);
            // A log of another format is mostly malformed, or another thing altogether.
            for other in Format::ALL {
                rig.check(&odd_log(other, 100 + n as u64, 200), 1 << 30);
            }
        }
    }
}

#[test]
fn mutated_lines() {
    let full = std::env::var_os("LOGHAUL_TEST_FULL").is_some_and(|full| full == "1");
    let lines: usize = if full { 10_000_000 } else { 1_000_000 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let rigs: Vec<(Options, Format)> =
        all_options().into_iter().flat_map(|options| Format::ALL.map(|format| (options.clone(), format))).collect();
    let lines_each = lines.div_ceil(rigs.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for share in rigs.chunks(rigs.len().div_ceil(threads)) {
            scope.spawn(move || {
                share.iter().for_each(|(options, format)| mutate_lines(options, *format, seed, lines_each))
            });
        }
    });
}

fn mutate_lines(options: &Options, format: Format, seed: u64, lines: usize) {
    const LINES: usize = 500;
    let mut rig = Rig::new(options.clone(), format);
    let mut rng = Rng::new(seed ^ format as u64);
    let handmade: Vec<Vec<u8>> = lines::handmade().filter(|line| line.len() < 1_000).collect();
    let long_bytes_max = 9_000;
    let shape =
        Shape { seed: seed >> 1, format: generator_format(format), share_long: 2, long_bytes_max, ..Shape::odd() };
    let mut generator = Generator::new(shape);
    let (mut text, mut line) = (Vec::new(), Vec::new());
    for _ in 0..lines.div_ceil(LINES) {
        text.clear();
        for n in 0..LINES {
            line.clear();
            if n % 4 == 0 {
                line.extend_from_slice(&handmade[rng.index(handmade.len())]);
                line.push(b'\n');
            } else {
                generator.next_line(&mut line);
            }
            // Some stay as they are, for what a bad line leaves behind must not harm a good one.
            if n % 8 != 7 {
                mutate(&mut rng, &mut line);
            }
            text.extend_from_slice(&line);
        }
        let offset = rng.next_u64() >> 20;
        rig.check(&text, offset);
    }
}

#[test]
fn chunks_of_every_size() {
    for format in Format::ALL {
        for options in all_options() {
            let mut rig = Rig::new(options, format);
            let mut log = odd_log(format, 5, 150);
            log.extend_from_slice(b"192.0.2.1 - - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"cut");
            let whole = rig.twin.run(&log, 0);
            for size in (1..600).chain((600..8_000).step_by(97)) {
                for n in 0..rig.workers.len() {
                    let mut bytes = Vec::new();
                    let mut at = 0;
                    while at < log.len() {
                        // Whole lines up to the size wanted, at least one.
                        let wanted = (at + size).min(log.len());
                        let end = match memchr::memrchr(b'\n', &log[at..wanted]) {
                            Some(newline) => at + newline + 1,
                            None => memchr::memchr(b'\n', &log[at..]).map_or(log.len(), |newline| at + newline + 1),
                        };
                        bytes.extend_from_slice(&rig.fill(n, &log[at..end], at as u64).bytes);
                        at = end;
                    }
                    assert!(bytes == whole.bytes, "{:?} {format} in chunks of {size}", rig.workers[n].0);
                }
            }
        }
    }
}

#[test]
fn clean_lines_take_the_common_path() {
    for format in Format::ALL {
        for share_users in [0, loghaul_testdata::SHARE_ALL] {
            let shape = Shape { format: generator_format(format), share_users, ..Shape::clean() };
            let mut generator = Generator::new(shape);
            let mut log = Vec::new();
            for _ in 0..20_000 {
                generator.next_line(&mut log);
            }
            for n in [0, 1] {
                let mut rig = Rig::new(all_options().remove(0), format);
                rig.fill(n, &log, 0);
                let (common, all) = (rig.block.tally.common_path, rig.block.tally.documents);
                assert_eq!(all, 20_000);
                // One of six users is of a kind that it leaves alone; so are a few verbs and numbers.
                let least = if share_users == 0 { 0.999 } else { 0.8 };
                assert!(common as f64 >= least * all as f64, "{format}: {common} of {all} on the common path");
            }
        }
    }
}

/// The common path sees 4,096 bytes of a line; fields of all lengths end around there.
#[test]
fn lines_at_the_end_of_the_window() {
    for format in Format::ALL {
        for options in [0, 2] {
            let mut rig = Rig::new(all_options().remove(options), format);
            for len in (3_850..4_000).step_by(7).chain(3_980..WINDOW_BYTES + 20) {
                let long = "a".repeat(len);
                let vhost = if format.has_vhost() { "www.example.com:80 " } else { "" };
                let lines = [
                    format!("{long} 1.2.3.4 - - [T] R"),
                    format!("{vhost}{long} - - [T] R"),
                    format!("{vhost}1.2.3.4, {long} - - [T] R"),
                    format!("{vhost}1.2.3.4, 5.6.7.8, {}, 9 - - [T] R", &long[30..]),
                    format!("{vhost}1.2.3.4 {long} - [T] R"),
                    format!("{vhost}1.2.3.4 - {long} [T] R"),
                    format!("{vhost}1.2.3.4 - - [T] \"GET /{long} HTTP/1.1\" 200 5 \"-\" \"agent\" 1 2"),
                    format!("{vhost}1.2.3.4 - - [T] \"GET / HTTP/1.1\" 200 5 \"{long}\" \"agent\" 1 2"),
                    format!("{vhost}1.2.3.4 - - [T] \"GET / HTTP/1.1\" 200 5 \"-\" \"{long}\" 1 2"),
                    format!("{vhost}1.2.3.4 - - [T] \"GET / HTTP/1.1\" 200 5 \"-\" \"agent\" 1 2 {long}"),
                ];
                let lines = lines.map(|line| {
                    line.replace("[T]", "[19/Dec/2020:13:57:26 +0100]")
                        .replace(" R", " \"GET / HTTP/1.1\" 200 5 \"-\" \"agent\" 1 2")
                });
                rig.check((lines.join("\n") + "\n").as_bytes(), 11);
            }
        }
    }
}

/// Constant fields of kilobytes are left to the general path.
#[test]
fn tails_of_kilobytes() {
    for bytes in [100, 6_000, 7_000, 70_000] {
        let fields = vec![("x".to_owned(), "y".repeat(bytes))];
        let mut rig = Rig::new(Options { fields, ..all_options().remove(0) }, Format::Combined);
        rig.check(&odd_log(Format::Combined, 17, 100), 5);
    }
}

/// Loading makes no record of a line on the common path; whoever parses alone gets the one of the general path.
#[test]
fn records_of_the_common_path() {
    for format in Format::ALL {
        let mut text = odd_log(format, 31, 5_000);
        for line in lines::handmade() {
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let end = text.len();
        text.resize(end + WINDOW_BYTES, b' ');
        let (mut days, mut days_of_the_other) = (Days::new(), Days::new());
        let (mut common, mut at) = (0, 0);
        while at < end {
            let (line, len) = parse::parse_generally(&mut days, format, &text[at..end]);
            let others = [
                parse::parse_commonly(Portable, &mut days_of_the_other, format, &text[at..]),
                #[cfg(target_arch = "x86_64")]
                by_avx2(&mut days_of_the_other, format, &text[at..]),
            ];
            common += usize::from(others[0].is_some());
            for (record, other_len) in others.into_iter().flatten() {
                let shown = text[at..at + len].escape_ascii();
                assert_eq!(len, other_len, "{format} {shown}");
                let parse::Line::Record(expected) = line else { panic!("{format} {shown}: {line:?}") };
                assert_eq!(fields(&record), fields(&expected), "{format} {shown}");
            }
            at += len;
        }
        assert!(common > 3_000, "{format}: {common} on the common path");
    }
}

#[cfg(target_arch = "x86_64")]
fn by_avx2<'c>(days: &mut Days, format: Format, text: &'c [u8]) -> Option<(parse::Record<'c>, usize)> {
    with_avx2(Avx2::detect()?, |avx2| parse::parse_commonly(avx2, days, format, text))
}

/// All that a record says.
fn fields<'c>(record: &parse::Record<'c>) -> (i64, [u8; 8], Vec<&'c [u8]>) {
    let parse::Request::Line { verb, target, version } = record.request else { panic!("a request line: {record:?}") };
    let spans = [
        record.line,
        record.vhost,
        record.client,
        record.forwarded,
        record.ident,
        record.user,
        record.time,
        verb,
        target,
        version,
        record.status,
        record.bytes,
        record.referrer,
        record.agent,
        record.bytes_in,
        record.bytes_out,
        record.extra,
    ];
    (record.timestamp.unix, record.timestamp.clock, spans.map(|span| span.of(record.text)).into())
}

#[test]
fn lists_of_clients_take_the_common_path() {
    let mut rig = Rig::new(all_options().remove(0), Format::Combined);
    let rest = "- - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"agent\"\n";
    let long = "10.0.0.1, ".repeat(60) + "10.0.0.2";
    for (list, common) in [
        ("1.2.3.4, 10.0.0.1", 1),
        ("2001:db8::1, unknown, 10.0.0.1", 1),
        (long.as_str(), 1),
        (", 10.0.0.1", 0),
        ("1.2.3.4,", 0),
        ("1.2.3.4, \u{e9}", 0),
    ] {
        let line = format!("{list} {rest}");
        rig.check(line.as_bytes(), 0);
        rig.fill(0, line.as_bytes(), 0);
        assert_eq!(rig.block.tally.common_path, common, "{line}");
    }
}

#[test]
fn formats_are_guessed() {
    for format in Format::ALL {
        assert_eq!(guess(&odd_log(format, 9, 300)), Some(format));
    }
}

#[test]
fn a_format_that_fails_is_guessed_again() {
    let options = all_options().remove(0);
    let plan = Plan::new(options.clone()).expect("good options");
    let log = odd_log(Format::VhostCombined, 3, 500);
    let mut worker = Worker::new();
    for (guessed, expected) in [(true, Format::VhostCombined), (false, Format::CombinedIo)] {
        let file = FileFacts::new(&plan, URI, IDENTITY, Format::CombinedIo, guessed, None);
        let mut block = Block::default();
        worker.fill(&plan, &file, &log, 11, &mut block);
        assert_eq!(file.format(), expected);
        let twin = Twin::new(options.clone(), expected, URI, IDENTITY).run(&log, 11);
        assert!(outcome(&block, 11) == twin);
    }
    // Nothing fits: the first format stays, and each line is counted once.
    let junk = b"{\"not\": \"a log\"}\n".repeat(100);
    let file = FileFacts::new(&plan, URI, IDENTITY, Format::Combined, true, None);
    let mut block = Block::default();
    worker.fill(&plan, &file, &junk, 0, &mut block);
    assert_eq!((file.format(), block.tally.malformed_lines()), (Format::Combined, 100));
}

/// `lines` lines of a format, each unlike the others, none of them odd.
fn plain_log(format: Format, lines: u32) -> String {
    let head = if format == Format::VhostCombined { "www.x.de:80 " } else { "" };
    let tail = if format == Format::Common { "" } else { r#" "-" "curl/8""# };
    let line = |n| format!("{head}1.2.3.{n} - - [19/Dec/2020:13:57:26 +0100] \"GET /{n} HTTP/1.1\" 200 {n}{tail}\n");
    (0..lines).map(line).collect()
}

/// What a file's documents and malformed lines are if so many lines come at a time.
fn in_chunks(file: &FileFacts, plan: &Plan, text: &str, lines: usize) -> (String, u64) {
    let mut worker = Worker::new();
    let (mut documents, mut malformed, mut offset) = (String::new(), 0, 0);
    for chunk in text.split_inclusive('\n').collect::<Vec<_>>().chunks(lines) {
        let chunk = chunk.concat();
        let mut block = Block::default();
        worker.fill(plan, file, chunk.as_bytes(), offset, &mut block);
        documents.push_str(std::str::from_utf8(&block.bytes).expect("UTF-8"));
        malformed += block.tally.malformed_lines();
        offset += chunk.len() as u64;
    }
    (documents, malformed)
}

#[test]
fn an_open_format_is_settled_by_the_first_access_line_whatever_the_chunks() {
    let options = all_options().remove(0);
    let plan = Plan::new(options.clone()).expect("good options");
    let preambles = ["junk\n", "==> access.log <==\n", "\n\r\n", &"{\"not\": \"a log\"}\n\n".repeat(150)];
    for (preamble, format) in preambles.iter().flat_map(|preamble| Format::ALL.map(|format| (preamble, format))) {
        if [Format::VhostCommon, Format::CombinedIo].contains(&format) {
            continue; // no plain lines of these
        }
        let text = preamble.to_string() + &plain_log(format, 30) + "junk\n" + &plain_log(format, 3);
        let twin = Twin::new(options.clone(), format, URI, IDENTITY).run(text.as_bytes(), 0);
        assert_eq!(twin.documents, 33);
        for lines in [1, 2, 7, 1000] {
            let file = FileFacts::new(&plan, URI, IDENTITY, Format::Combined, true, None).with_format_open(true);
            let (documents, _) = in_chunks(&file, &plan, &text, lines);
            assert_eq!(documents.as_bytes(), twin.bytes, "{format}, {lines} at a time, after {preamble}");
            assert_eq!(file.format(), format);
        }
    }
    // As long as there is none it is what it was.
    let file = FileFacts::new(&plan, URI, IDENTITY, Format::Combined, true, None).with_format_open(true);
    assert_eq!(in_chunks(&file, &plan, &"junk\n".repeat(50), 3), (String::new(), 50));
    assert_eq!(file.format(), Format::Combined);
}

#[test]
fn a_format_that_fails_in_small_chunks_is_guessed_again() {
    let plan = Plan::new(all_options().remove(0)).expect("good options");
    let (good, other, junk) = (plain_log(Format::Combined, 1), plain_log(Format::Common, 40), "junk\n".repeat(40));
    let cases = [
        // After 19 lines that only another format takes, the next one is taken by it.
        (good.clone() + &other, true, 1, (Format::Common, 19)),
        (good.clone() + &other, true, 3, (Format::Common, 17)),
        // Lines that no format takes in between change nothing.
        (plain_log(Format::Common, 10) + &junk + &other, true, 1, (Format::Common, 10 + 40 + 9)),
        // Said by the user, not guessed.
        (good.clone() + &other, false, 1, (Format::Combined, 40)),
        // However many lines fail, one line of another format among them is no reason.
        (junk.clone() + &plain_log(Format::Common, 1) + &good, true, 1, (Format::Combined, 41)),
        (junk.clone() + &plain_log(Format::Common, 1), true, 100, (Format::Combined, 40)),
        // Nor are many that come one by one among good lines.
        ((plain_log(Format::Common, 15) + &good).repeat(3), true, 1, (Format::Combined, 45)),
    ];
    for (text, guessed, lines, expected) in cases {
        let file = FileFacts::new(&plan, URI, IDENTITY, Format::Combined, guessed, None);
        let (_, malformed) = in_chunks(&file, &plan, &text, lines);
        assert_eq!((file.format(), malformed), expected, "{text}");
    }
}

#[test]
fn a_format_that_leaves_fields_unread_is_guessed_again() {
    let options = all_options().remove(0);
    let plan = Plan::new(options.clone()).expect("good options");
    for (poor, rich) in [(Format::Common, Format::Combined), (Format::Combined, Format::VhostCombined)] {
        // One odd line came first, and decided.
        let text = plain_log(rich, 50);
        let twin = Twin::new(options.clone(), rich, URI, IDENTITY).run(text.as_bytes(), 0);
        for lines in [1, 7, 1000] {
            let file = FileFacts::new(&plan, URI, IDENTITY, poor, true, None);
            let (documents, malformed) = in_chunks(&file, &plan, &text, lines);
            assert_eq!(documents.as_bytes(), twin.bytes, "{poor} is {rich}, {lines} at a time");
            assert_eq!((file.format(), malformed), (rich, 0));
            // Said by the user, not guessed.
            let file = FileFacts::new(&plan, URI, IDENTITY, poor, false, None);
            assert_eq!(in_chunks(&file, &plan, &text, lines).1, 0);
            assert_eq!(file.format(), poor);
        }
    }
    // A field more than the format has is no other format.
    let tenth = plain_log(Format::Combined, 50).replace("curl/8\"", "curl/8\" \"-\"");
    let file = FileFacts::new(&plan, URI, IDENTITY, Format::Combined, true, None);
    in_chunks(&file, &plan, &tenth, 10);
    assert_eq!(file.format(), Format::Combined);
}

#[test]
fn lines_too_long_are_written_down() {
    let plan = Plan::new(all_options().remove(0)).expect("good options");
    let file = FileFacts::new(&plan, "a.log", IDENTITY, Format::Combined, false, None);
    let mut block = Block::default();
    too_long(&plan, &file, 5, 2_000_000, b"1.2.3.4 \"\xff", &mut block);
    let written = "{\"source\":\"a.log\",\"offset\":5,\"reason\":\"too_long\",\"line\":\"1.2.3.4 \\\"\u{fffd}\",\"length\":2000000}\n";
    assert_eq!(String::from_utf8_lossy(&block.malformed_ndjson), written);
    assert_eq!(block.tally.malformed_lines(), 1);
}

#[test]
fn sources_in_s3_are_named() {
    let options = Options { documents_only: true, ..all_options().remove(0) };
    let plan = Plan::new(options).expect("good options");
    let file = FileFacts::new(&plan, "s3://b/k", IDENTITY, Format::Common, false, Some(("b", "k\"")));
    let mut block = Block::default();
    let line = b"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] \"GET / HTTP/1.1\" 200 5";
    Worker::new().fill(&plan, &file, line, 0, &mut block);
    let document: serde_json::Value = serde_json::from_slice(&block.bytes).expect("JSON");
    assert_eq!((&document["s3.bucket"], &document["s3.key"]), (&"b".into(), &"k\"".into()));
}
