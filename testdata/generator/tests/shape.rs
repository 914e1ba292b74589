//! Each line is what the generator says it is, by a slow check of its own: good lines have the shape of their format,
//! malformed ones do not, and the summary is what counting finds.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use loghaul_testdata::{Format, Generator, LineKind, Options, Summary, Zone};

/// What the check reads from a good line.
struct Shape {
    status: u16,
    bytes: Option<u64>,
    month_utc: String,
}

/// Reads a line without its line end. Says what is missing first if the line does not have the shape.
fn shape(format: Format, line: &[u8]) -> Result<Shape, &'static str> {
    let mut line = line;
    if format.has_vhost() {
        let vhost_len = line.iter().position(|&byte| byte == b' ').ok_or("vhost")?;
        if format == Format::VhostCombined && !line[..vhost_len].contains(&b':') {
            return Err("port");
        }
        line = &line[vhost_len + 1..];
    }
    // The first `[time] "` ends the user, whatever is in it: its own quotes are all behind backslashes.
    let (request_at, month_utc) = (0..line.len())
        .filter(|&at| line[at..].starts_with(b"] \"") && at >= 28 && line[at - 28..].starts_with(b" ["))
        .find_map(|at| Some((at + 3, month_utc(&line[at - 26..at])?)))
        .ok_or("time")?;
    let before_time = &line[..request_at - 31];
    let ident_at = before_time.windows(2).position(|two| two[0] != b',' && two[1] == b' ').ok_or("client")? + 2;
    let user_at = ident_at + before_time[ident_at..].iter().position(|&byte| byte == b' ').ok_or("ident")?;
    if ident_at == 1 || user_at == ident_at || user_at + 1 >= before_time.len() {
        return Err("user");
    }

    let rest = after_quote(&line[request_at..]).ok_or("request")?;
    let (status, rest) = token(rest).ok_or("status")?;
    if status.len() != 3 {
        return Err("status");
    }
    let status: u16 = number(status).ok_or("status")? as u16;
    let (bytes, mut rest) = token(rest).ok_or("bytes")?;
    let bytes = match bytes {
        b"-" if format != Format::VhostCombined => None,
        digits => Some(number(digits).ok_or("bytes")?),
    };
    if format.has_agent() {
        rest = after_quote(rest.strip_prefix(b" \"").ok_or("referrer")?).ok_or("referrer's end")?;
        rest = after_quote(rest.strip_prefix(b" \"").ok_or("agent")?).ok_or("agent's end")?;
    }
    if format == Format::Combinedio {
        for _ in 0..2 {
            let (io, after) = token(rest).ok_or("bytes in and out")?;
            number(io).ok_or("bytes in and out")?;
            rest = after;
        }
    }
    match rest {
        [] | [b' ', ..] => Ok(Shape { status, bytes, month_utc }),
        _ => Err("end"),
    }
}

/// `2024-03` in UTC of `01/Apr/2024:00:30:00 +0100`.
fn month_utc(time: &[u8]) -> Option<String> {
    let time = std::str::from_utf8(time).ok()?;
    let (local, zone) = time.split_once(' ')?;
    let is_digit_where_due = local.bytes().enumerate().all(|(at, byte)| match at {
        2 | 6 => byte == b'/',
        11 | 14 | 17 => byte == b':',
        3..=5 => byte.is_ascii_alphabetic(),
        _ => byte.is_ascii_digit(),
    });
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let minutes: i64 = zone[..2].parse::<i64>().ok()? * 60 + zone.get(2..)?.parse::<i64>().ok()?;
    if !is_digit_where_due || zone.len() != 4 || minutes > 18 * 60 || local.ends_with(":61") {
        return None;
    }
    let local = DateTime::strptime("%d/%b/%Y:%H:%M:%S", local).ok()?;
    let utc = local.checked_sub(jiff::Span::new().minutes(sign * minutes)).ok()?;
    Some(format!("{:04}-{:02}", utc.year(), utc.month()))
}

/// What follows the quote that ends a field; a backslash hides the byte behind it.
fn after_quote(field: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while at < field.len() {
        match field[at] {
            b'\\' => at += 2,
            b'"' => return Some(&field[at + 1..]),
            _ => at += 1,
        }
    }
    None
}

/// A blank and what stands up to the next blank.
fn token(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = rest.strip_prefix(b" ")?;
    let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    (end > 0).then(|| rest.split_at(end))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| digits[0] != b'+')
}

/// Generates line by line, checks each, and counts a summary of its own.
fn check(options: Options) -> Summary {
    let format = options.format;
    let line_end: &[u8] = if options.crlf { b"\r\n" } else { b"\n" };
    let mut generator = Generator::new(options.clone());
    let mut counted = Summary::default();
    let mut months = BTreeMap::new();
    let mut line = Vec::new();
    while !generator.is_done() {
        line.clear();
        let kind = generator.next_line(&mut line);
        let text = line.strip_suffix(line_end).expect("a line ends with its line end");
        assert!(!text.contains(&b'\n') && !text.ends_with(b"\r"), "{}", line.escape_ascii());
        counted.lines += 1;
        counted.bytes += line.len() as u64;
        match (kind, shape(format, text)) {
            (LineKind::Good, Ok(shape)) => {
                counted.good += 1;
                *counted.response.entry(shape.status).or_default() += 1;
                *months.entry(shape.month_utc).or_default() += 1;
                counted.response_bytes += shape.bytes.unwrap_or(0);
                counted.without_bytes += u64::from(shape.bytes.is_none());
            }
            (LineKind::Malformed, Err(_)) => {
                assert!(!text.is_empty() && text[0] != 0);
                counted.malformed += 1;
            }
            (LineKind::Blank, Err(_)) => {
                assert!(text.is_empty());
                counted.blank += 1;
            }
            (LineKind::Good, Err(missing)) => panic!("{format} without {missing}: {}", text.escape_ascii()),
            (_, Ok(_)) => panic!("{format} has the shape of a good line: {}", text.escape_ascii()),
        }
    }
    counted.months = months;
    assert_eq!(generator.summary(), counted, "{options:?}");

    let mut log = Vec::new();
    let summary = Generator::new(options).write_all(&mut log).unwrap();
    assert_eq!(summary, counted, "the same by write_all");
    assert_eq!(log.len() as u64, counted.bytes);
    counted
}

#[test]
fn good_lines_have_the_shape_of_their_format() {
    for format in Format::ALL {
        let summary = check(Options { format, lines: Some(20_000), ..Options::default() });
        assert_eq!((summary.lines, summary.good), (20_000, 20_000));
    }
}

#[test]
fn odd_lines_are_good_or_malformed_as_intended() {
    for format in Format::ALL {
        for seed in [1, 2] {
            let summary = check(Options { format, seed, lines: Some(20_000), ..Options::odd() });
            assert_eq!(summary.lines, 20_000);
            assert!((1_800..2_200).contains(&summary.malformed) && summary.blank > 300, "{summary:?}");
        }
    }
}

#[test]
fn malformed_lines_are_malformed_in_the_format_asked_for() {
    for format in Format::ALL {
        let base = Options { lines: Some(5_000), share_malformed: 100_000, ..Options::odd() };
        let summary = check(Options { format, share_blank: 0, ..base });
        assert_eq!(summary.malformed, 5_000);
    }
}

#[test]
fn every_share_at_its_maximum() {
    type Set = fn(&mut Options);
    let sets: [Set; 12] = [
        |options| options.share_ipv6 = 100_000,
        |options| options.share_hostnames = 100_000,
        |options| options.share_forwarded = 100_000,
        |options| options.share_users = 100_000,
        |options| options.share_hostile = 100_000,
        |options| options.share_escapes = 100_000,
        |options| options.share_utf8 = 100_000,
        |options| options.share_invalid_utf8 = 100_000,
        |options| options.share_extra = 100_000,
        |options| options.share_malformed = 100_000,
        |options| options.share_blank = 100_000,
        |options| (options.share_long, options.long_bytes_max) = (100_000, 8_000),
    ];
    for (index, set) in sets.into_iter().enumerate() {
        let mut options = Options { lines: Some(2_000), seed: index as u64, ..Options::clean() };
        (options.share_ipv6, options.share_hostnames) = (0, 0);
        set(&mut options);
        if options.share_long == 100_000 {
            options.lines = Some(200);
        }
        check(options);
    }
}

#[test]
fn line_ends_zones_and_small_vocabularies() {
    let base = Options { lines: Some(3_000), share_blank: 1_000, share_malformed: 1_000, ..Options::default() };
    check(Options { crlf: true, ..base.clone() });
    check(Options { clients: 1, pages: 1, months: 0, days: 1, ..base.clone() });
    for zone in [
        Zone { offset_minutes: -210, summer: false },
        Zone { offset_minutes: 840, summer: false },
        Zone { offset_minutes: 60, summer: true },
    ] {
        let summary = check(Options { zone, ..base.clone() });
        assert_eq!(summary.months.len(), 4, "the span is three local months: {:?}", summary.months);
    }
}

#[test]
fn limits_end_the_log() {
    let summary = |lines, bytes| check(Options { lines, bytes, ..Options::default() });
    assert_eq!(summary(Some(0), None).bytes, 0);
    assert_eq!(summary(Some(7), None).lines, 7);
    let by_bytes = summary(None, Some(100_000));
    assert!((100_000..101_000).contains(&by_bytes.bytes), "{}", by_bytes.bytes);
    assert_eq!(by_bytes.months.len(), 3, "spread over the same months: {:?}", by_bytes.months);
    assert_eq!(summary(Some(3), Some(100_000)).lines, 3);
    assert_eq!(summary(Some(1_000_000), Some(1)).lines, 1);
}

#[test]
fn options_out_of_range_are_told() {
    let default = Options::default();
    for (wrong, expected) in [
        (Options { share_users: 100_001, ..default.clone() }, "users is 100001, but shares are out of 100000"),
        (
            Options { share_blank: 60_000, share_malformed: 60_000, ..default.clone() },
            "malformed + blank are 120000 together, but shares are out of 100000",
        ),
        (Options { pages: 0, ..default.clone() }, "pages is 0, but must be from 1 to 10000000"),
        (
            Options { months: 0, ..default.clone() },
            "months and days are both 0: there is no time to spread the lines over",
        ),
    ] {
        assert_eq!(wrong.check(), Err(expected.into()));
    }
    for good in [default, Options::clean(), Options::odd()] {
        assert_eq!(good.check(), Ok(()));
    }
}
