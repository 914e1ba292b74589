//! `generate-log`: the generator from a shell.

#![deny(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use jiff::civil::Date;
use loghaul_testdata::{Format, Generator, Options, Summary, Zone};

const EXAMPLES: &str = "\
Examples:
  A million lines of three months:
    generate-log --lines 1M -o access.log
  A large file, through a compressor:
    generate-log --bytes 4GiB | gzip > access.log.gz
  Something of everything odd:
    generate-log --odd --lines 10k --seed 7 -o odd.log
  One line in 100 malformed, and what a loader should count:
    generate-log --malformed 1000 --summary -o bad.log 2> expected.json
  Debian's format, CR LF, two days:
    generate-log --format vhost_combined --crlf --months 0 --days 2

The same flags give the same bytes, on every machine. Shares are out of 100,000 lines.";

/// Writes an Apache access log made from a seed.
///
/// Clients, pages, agents, sizes and times are distributed like those of real logs, and a little of everything odd
/// is among them: hostile request lines, escapes, users with blanks, IPv6, fields behind the last.
#[derive(Parser, Debug)]
#[command(name = "generate-log", version, after_help = EXAMPLES, max_term_width = 110)]
struct Flags {
    /// Stop after N lines (k, M, G: thousands, millions, billions) [default: 1M, unless --bytes is given]
    #[arg(long, value_name = "N", value_parser = amount)]
    lines: Option<u64>,

    /// Stop after the line that reaches SIZE bytes (100kB, 64MiB, 4GiB); with --lines, whichever comes first
    #[arg(long, value_name = "SIZE", value_parser = amount)]
    bytes: Option<u64>,

    /// Which log; each number gives another one
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// The fields of a line
    #[arg(long, value_name = "F", default_value = "combined", value_parser = formats())]
    format: Format,

    /// Write to FILE (replaced if it exists); - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// Print what was written as one JSON object on standard error: lines, good, malformed, blank, bytes,
    /// response_bytes (the sum of the bytes fields), without_bytes, response (by status), months (in UTC)
    #[arg(long)]
    summary: bool,

    /// The first day
    #[arg(long, value_name = "DATE", default_value = "2024-01-01", help_heading = "Times")]
    start: Date,

    /// Spread the lines over M calendar months
    #[arg(long, value_name = "M", default_value_t = 3, help_heading = "Times")]
    months: u32,

    /// And over D more days
    #[arg(long, value_name = "D", default_value_t = 0, help_heading = "Times")]
    days: u32,

    /// The offset to UTC in each time
    #[arg(
        long,
        value_name = "+hhmm",
        default_value = "+0000",
        value_parser = offset,
        allow_hyphen_values = true,
        help_heading = "Times"
    )]
    zone: i16,

    /// One hour more from the last Sunday of March to the last Sunday of October
    #[arg(long, help_heading = "Times")]
    summer_time: bool,

    /// Begin with none of the unusual, instead of a little (the flags below still add to it)
    #[arg(long, conflicts_with = "odd", help_heading = "What the lines are like")]
    clean: bool,

    /// Begin with much of everything unusual, malformed and blank lines included
    #[arg(long, help_heading = "What the lines are like")]
    odd: bool,

    /// How many different clients [default: 5000]
    #[arg(long, value_name = "N", help_heading = "What the lines are like")]
    clients: Option<u32>,

    /// How many different pages [default: 3000]
    #[arg(long, value_name = "N", help_heading = "What the lines are like")]
    pages: Option<u32>,

    /// CR LF as line end
    #[arg(long, help_heading = "What the lines are like")]
    crlf: bool,

    /// IPv6 clients [default: 4000]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    ipv6: Option<u32>,

    /// Clients that are host names [default: 500]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    hostnames: Option<u32>,

    /// Clients that are a list out of X-Forwarded-For [default: 20]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    forwarded: Option<u32>,

    /// Lines with a user; every sixth is odd [default: 300]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    users: Option<u32>,

    /// Hostile request lines; good lines all the same [default: 200]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    hostile: Option<u32>,

    /// Escapes in target, referrer or agent [default: 150]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    escapes: Option<u32>,

    /// Raw UTF-8 there [default: 40]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    utf8: Option<u32>,

    /// Raw bytes there that are not UTF-8 [default: 10]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    invalid_utf8: Option<u32>,

    /// Further fields after the last [default: 100]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    extra: Option<u32>,

    /// Target, referrer or agent of 8 kB and more [default: 1]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    long: Option<u32>,

    /// About the longest of those [default: 100kB]
    #[arg(long, value_name = "SIZE", value_parser = amount_u32, help_heading = "Shares, out of 100,000 lines")]
    long_bytes_max: Option<u32>,

    /// Lines that are no access lines: error logs, JSON, cut lines, bad dates, binary [default: 0]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    malformed: Option<u32>,

    /// Empty lines [default: 0]
    #[arg(long, value_name = "SHARE", help_heading = "Shares, out of 100,000 lines")]
    blank: Option<u32>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let options = flags.options();
    if let Err(wrong) = options.check() {
        eprintln!("generate-log: {wrong}");
        return ExitCode::from(2);
    }
    match write(options, &flags.output) {
        Ok(summary) => {
            if flags.summary {
                eprintln!("{}", summary.to_json());
            }
            ExitCode::SUCCESS
        }
        // Whoever read has enough (`generate-log | head`): a clean end, but nothing true to summarize.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-log: could not write {}: {error}", flags.output.display());
            ExitCode::FAILURE
        }
    }
}

fn write(options: Options, output: &Path) -> io::Result<Summary> {
    let mut generator = Generator::new(options);
    if output == Path::new("-") {
        let mut stdout = io::stdout().lock();
        let summary = generator.write_all(&mut stdout)?;
        stdout.flush()?;
        Ok(summary)
    } else {
        generator.write_all(&mut File::create(output)?)
    }
}

impl Flags {
    fn options(&self) -> Options {
        let base = match (self.clean, self.odd) {
            (true, _) => Options::clean(),
            (_, true) => Options::odd(),
            _ => Options::default(),
        };
        let lines = match (self.lines, self.bytes) {
            (None, None) => Some(1_000_000),
            (lines, _) => lines,
        };
        Options {
            seed: self.seed,
            lines,
            bytes: self.bytes,
            format: self.format,
            start: self.start,
            months: self.months,
            days: self.days,
            zone: Zone { offset_minutes: self.zone, summer: self.summer_time },
            clients: self.clients.unwrap_or(base.clients),
            pages: self.pages.unwrap_or(base.pages),
            share_ipv6: self.ipv6.unwrap_or(base.share_ipv6),
            share_hostnames: self.hostnames.unwrap_or(base.share_hostnames),
            share_forwarded: self.forwarded.unwrap_or(base.share_forwarded),
            share_users: self.users.unwrap_or(base.share_users),
            share_hostile: self.hostile.unwrap_or(base.share_hostile),
            share_escapes: self.escapes.unwrap_or(base.share_escapes),
            share_utf8: self.utf8.unwrap_or(base.share_utf8),
            share_invalid_utf8: self.invalid_utf8.unwrap_or(base.share_invalid_utf8),
            share_extra: self.extra.unwrap_or(base.share_extra),
            share_long: self.long.unwrap_or(base.share_long),
            long_bytes_max: self.long_bytes_max.unwrap_or(base.long_bytes_max),
            share_malformed: self.malformed.unwrap_or(base.share_malformed),
            share_blank: self.blank.unwrap_or(base.share_blank),
            crlf: self.crlf,
        }
    }
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

/// `1000`, `100k`, `100kB`, `64MiB`, `4GiB`: k, M, G are powers of 1,000, Ki, Mi, Gi of 1,024; a B may follow.
fn amount(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let factor: u64 = match unit.strip_suffix('B').unwrap_or(unit) {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(format!("{unit:?} is no unit; take k, M, G, KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| "give a whole number and a unit, such as 4GiB")?;
    number.checked_mul(factor).ok_or_else(|| "that is more than 64 bits can count".into())
}

fn amount_u32(text: &str) -> Result<u32, String> {
    let number = amount(text)?;
    u32::try_from(number).map_err(|_| "that is more than 32 bits can count".into())
}

/// `+0530` as 330 minutes.
fn offset(text: &str) -> Result<i16, String> {
    let wrong = || "give sign, two digits of hours and two of minutes, such as +0100".to_owned();
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(wrong()),
    };
    let &[h1, h2, m1, m2] = digits else { return Err(wrong()) };
    if !digits.iter().all(u8::is_ascii_digit) || m1 > b'5' {
        return Err(wrong());
    }
    let digit = |byte: u8| i16::from(byte - b'0');
    Ok(sign * ((digit(h1) * 10 + digit(h2)) * 60 + digit(m1) * 10 + digit(m2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_well_formed() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
    }

    #[test]
    fn defaults_of_flags_and_library_are_the_same() {
        let flags = Flags::parse_from(["generate-log"]);
        assert_eq!(flags.options(), Options { lines: Some(1_000_000), ..Options::default() });
    }

    #[test]
    fn amounts_and_offsets() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1000", Some(1_000)),
            ("10k", Some(10_000)),
            ("100kB", Some(100_000)),
            ("4GiB", Some(4 << 30)),
            ("64MiB", Some(64 << 20)),
            ("3B", Some(3)),
            ("", None),
            ("GiB", None),
            ("4 GiB", None),
            ("-1", None),
            ("99999999999G", None),
        ] {
            assert_eq!(amount(text).ok(), expected, "{text}");
        }
        for (text, expected) in
            [("+0000", Some(0)), ("+0530", Some(330)), ("-0330", Some(-210)), ("0100", None), ("+0160", None)]
        {
            assert_eq!(offset(text).ok(), expected, "{text}");
        }
    }
}
