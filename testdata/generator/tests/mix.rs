//! The distributions are about what the options ask for, and about what real logs have.

use std::collections::HashMap;

use loghaul_testdata::{Generator, LineKind, Options};

const LINES: u64 = 100_000;

fn log(options: Options) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(Options { lines: Some(LINES), ..options });
    let mut lines = Vec::new();
    while !generator.is_done() {
        let mut line = Vec::new();
        assert_eq!(generator.next_line(&mut line), LineKind::Good);
        line.pop();
        lines.push(line);
    }
    lines
}

/// `client - - [26 bytes] "METHOD target HTTP/d.d" ddd bytes "referrer" "agent"`, printable ASCII without backslash,
/// no quotes but those six, no blank in the target.
fn is_common_shape(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let parts: Vec<&str> = text.split('"').collect();
    let &[head, request, numbers, _, " ", _, ""] = parts.as_slice() else { return false };
    let request: Vec<&str> = request.split(' ').collect();
    line.iter().all(|&byte| (0x20..0x7f).contains(&byte) && byte != b'\\')
        && head.split_once(" - - [").is_some_and(|(client, time)| !client.contains(' ') && time.len() == 28)
        && matches!(*request, [_, target, version] if !target.is_empty() && version.starts_with("HTTP/"))
        && numbers.split(' ').count() == 4
}

#[test]
fn the_default_mix_is_mostly_common_with_a_little_of_everything() {
    let lines = log(Options::default());
    let common = lines.iter().filter(|line| is_common_shape(line)).count() as u64;
    assert!((99_000..100_000).contains(&common), "{common} of {LINES} lines of the common shape");

    let bytes: u64 = lines.iter().map(|line| line.len() as u64 + 1).sum();
    assert!((185..215).contains(&(bytes / LINES)), "{} bytes a line", bytes / LINES);

    let has = |piece: &str| lines.iter().filter(|line| contains(line, piece.as_bytes())).count();
    for (piece, at_least) in [
        ("\" 200 ", 75_000),
        ("\" 304 - ", 5_000),
        ("\" 404 ", 3_000),
        ("\"-\" 408 - \"-\" \"-\"", 10),
        ("\"\\x16\\x03\\x01", 10),
        ("GET / HTTP/1.1\\n", 1),
        ("\"HEAD /", 200),
        ("%eth0 - - [", 50),
        ("2001:db8:", 3_000),
        ("_", 1_000),
        ("\\\"", 10),
        ("\\xc3\\xa9", 10),
        ("é", 3),
        (", 10.0.0.", 5),
        (" 2147483648 ", 1),
        ("Googlebot", 2_000),
        (" \"-\" \"-\"", 500),
        ("https://www.google.com/", 500),
    ] {
        assert!(has(piece) >= at_least, "{piece:?} in {} lines", has(piece));
    }
}

#[test]
fn the_clean_mix_is_all_common() {
    let lines = log(Options::clean());
    if let Some(line) = lines.iter().find(|line| !is_common_shape(line)) {
        panic!("{}", line.escape_ascii());
    }
}

#[test]
fn clients_and_pages_follow_zipf() {
    let lines = log(Options::default());
    let counts = |from: &str, to: u8| {
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        for line in &lines {
            let Some(at) = find(line, from.as_bytes()) else { continue };
            let value = &line[at + from.len()..];
            let end = value.iter().position(|&byte| byte == to).unwrap_or(value.len());
            *counts.entry(&value[..end]).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        counts
    };
    let clients = counts("", b' ');
    assert!((4_000..7_000).contains(&clients.len()), "{} clients", clients.len());
    assert!(clients[0] > 1_500 && clients[0] < 5_000 && clients[0] > 8 * clients[99], "{:?}", &clients[..100]);
    let pages = counts("GET ", b' ');
    assert!(pages.len() > 2_500, "{} targets", pages.len());
    assert!(pages[0] > 2_000 && pages[0] > 10 * pages[99], "{:?}", &pages[..100]);
}

#[test]
fn lines_are_spread_over_the_months_and_nearly_in_order() {
    let summary =
        Generator::new(Options { lines: Some(LINES), ..Options::default() }).write_all(&mut std::io::sink()).unwrap();
    let months: Vec<(&str, u64)> = summary.months.iter().map(|(month, &lines)| (month.as_str(), lines)).collect();
    for ((month, lines), (expected, days)) in months.iter().zip([("2024-01", 31), ("2024-02", 29), ("2024-03", 31)]) {
        assert_eq!(*month, expected);
        assert!(lines.abs_diff(LINES * days / 91) < 50, "{months:?}");
    }

    // Half a line a second: neighbours change places where one of them took long.
    let lines = log(Options { months: 0, days: 2, ..Options::default() });
    let seconds: Vec<u32> = lines
        .iter()
        .filter(|line| is_common_shape(line))
        .map(|line| {
            let at = line.iter().position(|&byte| byte == b'[').unwrap();
            let part = |from: usize| String::from_utf8_lossy(&line[at + from..at + from + 2]).parse::<u32>().unwrap();
            ((part(1) * 24 + part(13)) * 60 + part(16)) * 60 + part(19)
        })
        .collect();
    let early = seconds.windows(2).filter(|two| two[1] < two[0]).count();
    assert!((1_000..20_000).contains(&early), "{early} lines earlier than the one before");
    assert!(seconds.windows(2).all(|two| two[0].saturating_sub(two[1]) < 320));
}

#[test]
fn a_share_is_kept() {
    for share in [1_000, 20_000, 50_000] {
        let mut generator =
            Generator::new(Options { lines: Some(LINES), share_malformed: share, ..Options::default() });
        let summary = generator.write_all(&mut std::io::sink()).unwrap();
        assert!(summary.malformed.abs_diff(u64::from(share)) < 600, "{share}: {}", summary.malformed);
    }
}

fn contains(line: &[u8], piece: &[u8]) -> bool {
    find(line, piece).is_some()
}

fn find(line: &[u8], piece: &[u8]) -> Option<usize> {
    (0..line.len()).find(|&at| line[at..].starts_with(piece))
}
