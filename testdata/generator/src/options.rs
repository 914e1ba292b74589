//! What kind of log is wanted: formats, limits, times, and the shares of everything unusual.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, date};

use crate::rng::SHARE_ALL;

/// How many lines are written when neither lines nor bytes are limited.
pub const LINES_DEFAULT: u64 = 100_000;

/// The order of fields in a line; the names are those of the LogFormat nicknames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `%h %l %u %t "%r" %>s %b`
    Common,
    /// `common` and `"%{Referer}i" "%{User-Agent}i"`
    Combined,
    /// `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`, Debian's: bytes are with headers, never `-`
    VhostCombined,
    /// `%v %h %l %u %t "%r" %>s %b`
    VhostCommon,
    /// `combined` and `%I %O`
    Combinedio,
}

impl Format {
    /// Every format, in the order of the manual page.
    pub const ALL: [Self; 5] = [Self::Common, Self::Combined, Self::VhostCombined, Self::VhostCommon, Self::Combinedio];

    /// The name as flags and configurations write it, for example `vhost_combined`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Combined => "combined",
            Self::VhostCombined => "vhost_combined",
            Self::VhostCommon => "vhost_common",
            Self::Combinedio => "combinedio",
        }
    }

    /// Whether a line has referrer and agent.
    pub fn has_agent(self) -> bool {
        !matches!(self, Self::Common | Self::VhostCommon)
    }

    /// Whether a line begins with a virtual host.
    pub fn has_vhost(self) -> bool {
        matches!(self, Self::VhostCombined | Self::VhostCommon)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no format {name:?}; there are {names}")
        })
    }
}

/// The server's zone, as it stands in each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Minutes east of UTC in winter, -1,079 to 1,019 (so that an hour of summer time stays within 18 hours).
    pub offset_minutes: i16,
    /// Adds one hour from the last Sunday of March to the last Sunday of October, 01:00 UTC, as the European Union
    /// does; in October the local times of one hour come twice, and in March one hour is missing.
    pub summer: bool,
}

impl Zone {
    /// `+0000` all year.
    pub const UTC: Self = Self { offset_minutes: 0, summer: false };
}

/// What to generate. Equal options give equal bytes; any difference, the limits too (times are spread over them),
/// gives another log.
///
/// The `share_…` fields are out of [`SHARE_ALL`] = 100,000 lines, each decided on its own for each line, so one line
/// can be unusual in several ways. With the defaults more than 99 % of the lines are of the common shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Chooses clients, pages and lines. Two seeds share nothing but the hand-written vocabulary.
    pub seed: u64,
    /// Stop after this many lines, blank and malformed ones included.
    pub lines: Option<u64>,
    /// Stop after the line that reaches or passes this many bytes. With `lines` too: whichever comes first.
    /// With neither, [`Generator::write_all`](crate::Generator::write_all) stops after [`LINES_DEFAULT`] lines.
    pub bytes: Option<u64>,
    /// The fields of a line.
    pub format: Format,
    /// The first day, local to `zone` (its winter time); 1000-01-01 to 9000-12-31.
    pub start: Date,
    /// Over how many calendar months the lines are spread, up to 1,200.
    pub months: u32,
    /// And over how many further days, up to 36,500; `months` and `days` are not both 0.
    pub days: u32,
    /// The server's offset to UTC.
    pub zone: Zone,
    /// How many different clients there are, at least 1 and up to 10,000,000; who comes how often follows Zipf's law.
    /// IPv6 clients and host names have an eighth of that each, besides.
    pub clients: u32,
    /// How many different pages there are, at least 1 and up to 10,000,000; Zipf again. Query strings come on top.
    pub pages: u32,

    /// Client is an IPv6 address, some with an interface (`fe80::1%eth0`).
    pub share_ipv6: u32,
    /// Client is a host name, some with `_`, some beginning with digits.
    pub share_hostnames: u32,
    /// Client is a list out of X-Forwarded-For: `1.2.3.4, 10.0.0.1`. These three together are at most all.
    pub share_forwarded: u32,
    /// There is a user; one of six is odd: blanks, `DOM\\user`, `""`, a directory name, a faked time and request.
    pub share_users: u32,
    /// The request line is not `method target protocol`, or hardly: TLS bytes, SSH, `-` with 408, `""`, blanks in
    /// the target, no protocol, `\n`. A good line all the same.
    pub share_hostile: u32,
    /// An escape as Apache writes it (`\"`, `\\`, `\xc3\xa9`, `\t`) in target, referrer or agent.
    pub share_escapes: u32,
    /// Raw UTF-8 in target, referrer or agent, as servers before httpd 2.0.46 logged it.
    pub share_utf8: u32,
    /// Raw bytes there that are not UTF-8.
    pub share_invalid_utf8: u32,
    /// Further fields after the last: `"-"`, a number of microseconds, a quoted cookie.
    pub share_extra: u32,
    /// Target, referrer or agent has 8,000 bytes up to `long_bytes_max`.
    pub share_long: u32,
    /// About the longest of those, in bytes, at least 8,000. A line above 1 MiB is more than loaders take by default.
    pub long_bytes_max: u32,

    /// Not an access line: error logs, JSON, cut lines, bad dates, binary.
    pub share_malformed: u32,
    /// Nothing but the line end. With malformed at most all.
    pub share_blank: u32,

    /// CR LF instead of LF, as on Windows.
    pub crlf: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            lines: None,
            bytes: None,
            format: Format::Combined,
            start: date(2024, 1, 1),
            months: 3,
            days: 0,
            zone: Zone::UTC,
            clients: 5_000,
            pages: 3_000,
            share_ipv6: 4_000,
            share_hostnames: 500,
            share_forwarded: 20,
            share_users: 300,
            share_hostile: 200,
            share_escapes: 150,
            share_utf8: 40,
            share_invalid_utf8: 10,
            share_extra: 100,
            share_long: 1,
            long_bytes_max: 100_000,
            share_malformed: 0,
            share_blank: 0,
            crlf: false,
        }
    }
}

impl Options {
    /// Only lines of the common shape: no user, no escape, nothing hostile. What a benchmark's best case is.
    pub fn clean() -> Self {
        Self {
            share_forwarded: 0,
            share_users: 0,
            share_hostile: 0,
            share_escapes: 0,
            share_utf8: 0,
            share_invalid_utf8: 0,
            share_extra: 0,
            share_long: 0,
            ..Self::default()
        }
    }

    /// Much of everything odd, malformed and blank lines too: what property tests want to meet in a thousand lines.
    /// Long fields are the exception, as a few would make nearly all of the bytes.
    pub fn odd() -> Self {
        Self {
            share_ipv6: 20_000,
            share_hostnames: 20_000,
            share_forwarded: 5_000,
            share_users: 30_000,
            share_hostile: 20_000,
            share_escapes: 30_000,
            share_utf8: 10_000,
            share_invalid_utf8: 5_000,
            share_extra: 20_000,
            share_long: 20,
            share_malformed: 10_000,
            share_blank: 2_000,
            zone: Zone { offset_minutes: 60, summer: true },
            ..Self::default()
        }
    }

    /// Says in a sentence what is out of range, if anything is.
    pub fn check(&self) -> Result<(), String> {
        let shares = [
            ("hostile", self.share_hostile),
            ("escapes", self.share_escapes),
            ("utf8", self.share_utf8),
            ("invalid-utf8", self.share_invalid_utf8),
            ("users", self.share_users),
            ("extra", self.share_extra),
            ("long", self.share_long),
        ];
        for (name, share) in shares {
            if share > SHARE_ALL {
                return Err(format!("{name} is {share}, but shares are out of {SHARE_ALL}"));
            }
        }
        let clients = [self.share_ipv6, self.share_hostnames, self.share_forwarded];
        let kinds = [self.share_malformed, self.share_blank];
        for (names, shares) in [("ipv6 + hostnames + forwarded", &clients[..]), ("malformed + blank", &kinds[..])] {
            let sum: u64 = shares.iter().map(|&share| u64::from(share)).sum();
            if sum > u64::from(SHARE_ALL) {
                return Err(format!("{names} are {sum} together, but shares are out of {SHARE_ALL}"));
            }
        }
        let ranges = [
            ("clients", u64::from(self.clients), 1, 10_000_000),
            ("pages", u64::from(self.pages), 1, 10_000_000),
            ("months", u64::from(self.months), 0, 1_200),
            ("days", u64::from(self.days), 0, 36_500),
            ("long-bytes-max", u64::from(self.long_bytes_max), 8_000, u64::from(u32::MAX)),
        ];
        for (name, value, first, last) in ranges {
            if !(first..=last).contains(&value) {
                return Err(format!("{name} is {value}, but must be from {first} to {last}"));
            }
        }
        if self.months == 0 && self.days == 0 {
            return Err("months and days are both 0: there is no time to spread the lines over".into());
        }
        if !(1000..=9000).contains(&self.start.year()) {
            return Err(format!("start is {}, but must lie in the years 1000 to 9000", self.start));
        }
        if !(-1_079..=1_019).contains(&self.zone.offset_minutes) {
            let minutes = self.zone.offset_minutes;
            return Err(format!("the zone is {minutes} minutes off UTC, but may be -1079 to 1019"));
        }
        Ok(())
    }
}
