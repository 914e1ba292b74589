//! The times of the log: spread over the months, busier by day, not quite in order, written as `%t` writes them.
//!
//! All arithmetic is on seconds since 1970 in the server's *winter* local time, here called standard seconds: `start`
//! is a date in it, and it has no gaps. UTC and the time shown follow from it by adding. Dates are asked from jiff
//! once a day of the log, not once a line.

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

use crate::options::{Options, Zone};
use crate::rng::Rng;

const DAY_S: i64 = 86_400;

/// How many of a day's 86,400 lines fall into each hour: a server in Europe whose readers sleep.
const LINES_BY_HOUR: [i64; 24] = [
    2_300, 1_700, 1_400, 1_200, 1_200, 1_500, 2_200, 3_100, 4_100, 4_700, 4_900, 4_800, //
    4_600, 4_700, 4_800, 4_800, 4_700, 4_500, 4_400, 4_600, 4_900, 4_700, 3_900, 2_700,
];
const _: () = {
    let (mut hour, mut sum) = (0, 0);
    while hour < 24 {
        sum += LINES_BY_HOUR[hour];
        hour += 1;
    }
    assert!(sum == DAY_S, "LINES_BY_HOUR must add up to a day");
};

#[derive(Debug)]
pub(crate) struct Clock {
    zone: Zone,
    first_s: i64,
    span_s: i64,
    /// The day shown last: its number since 1970 and `dd/Mmm/yyyy:`.
    shown_day: i64,
    shown_text: [u8; 12],
    /// When it is summer in the year (UTC) asked last; both ranges in UTC seconds.
    year: std::ops::Range<i64>,
    summer: std::ops::Range<i64>,
}

impl Clock {
    pub(crate) fn new(options: &Options) -> Self {
        let span = Span::new().months(options.months).days(options.days);
        let first_s = midnight_s(options.start);
        let end = options.start.checked_add(span).expect("checked options end before the year 9999");
        Self {
            zone: options.zone,
            first_s,
            span_s: midnight_s(end) - first_s,
            shown_day: i64::MIN,
            shown_text: [0; 12],
            year: 0..0,
            summer: 0..0,
        }
    }

    /// Seconds from the first to the end.
    pub(crate) fn span_s(&self) -> u64 {
        self.span_s as u64
    }

    /// The standard second of a line that is written `elapsed_s` into the span (clamped into it).
    ///
    /// The time in a line is when the request began, while lines are written when it ended: so every tenth is some
    /// seconds early, and some are minutes early.
    pub(crate) fn moment(&self, rng: &mut Rng, elapsed_s: u64) -> i64 {
        let elapsed_s = (elapsed_s as i64).min(self.span_s - 1);
        let written_s = elapsed_s - elapsed_s % DAY_S + by_day(elapsed_s % DAY_S);
        let bits = rng.next_u64();
        let early_s = match bits % 1_000 {
            0..4 => 1 + (bits >> 32) % 300,
            4..100 => 1 + (bits >> 32) % 3,
            _ => 0,
        };
        self.first_s + (written_s - early_s as i64).max(0)
    }

    /// Seconds since 1970 in UTC.
    pub(crate) fn utc_s(&self, standard_s: i64) -> i64 {
        standard_s - i64::from(self.zone.offset_minutes) * 60
    }

    /// Writes `[dd/Mmm/yyyy:HH:MM:SS +hhmm]`.
    pub(crate) fn write(&mut self, standard_s: i64, out: &mut Vec<u8>) {
        let summer = self.zone.summer && self.is_summer(self.utc_s(standard_s));
        let shown_s = standard_s + if summer { 3_600 } else { 0 };
        let day = shown_s.div_euclid(DAY_S);
        if day != self.shown_day {
            self.shown_day = day;
            self.shown_text = day_text(day);
        }
        let second = shown_s.rem_euclid(DAY_S) as u32;
        let offset = i32::from(self.zone.offset_minutes) + if summer { 60 } else { 0 };
        let [h1, h2] = two_digits(second / 3_600);
        let [m1, m2] = two_digits(second / 60 % 60);
        let [s1, s2] = two_digits(second % 60);
        let sign = if offset < 0 { b'-' } else { b'+' };
        let [z1, z2] = two_digits(offset.unsigned_abs() / 60);
        let [z3, z4] = two_digits(offset.unsigned_abs() % 60);
        out.push(b'[');
        out.extend_from_slice(&self.shown_text);
        out.extend_from_slice(&[h1, h2, b':', m1, m2, b':', s1, s2, b' ', sign, z1, z2, z3, z4, b']']);
    }

    fn is_summer(&mut self, utc_s: i64) -> bool {
        if !self.year.contains(&utc_s) {
            let year = date_of(utc_s.div_euclid(DAY_S)).year();
            let last_sunday = |month| {
                let day = date(year, month, 1).nth_weekday_of_month(-1, Weekday::Sunday);
                midnight_s(day.expect("each month has a last Sunday")) + 3_600
            };
            self.year = midnight_s(date(year, 1, 1))..midnight_s(date(year + 1, 1, 1));
            self.summer = last_sunday(3)..last_sunday(10);
        }
        self.summer.contains(&utc_s)
    }
}

/// `2024-03` of a second of UTC, as (2024, 3).
pub(crate) fn month_of(utc_s: i64) -> (i16, i8) {
    let date = date_of(utc_s.div_euclid(DAY_S));
    (date.year(), date.month())
}

/// The UTC seconds from the first to the end of the month of `utc_s`.
pub(crate) fn month_range(utc_s: i64) -> std::ops::Range<i64> {
    let first = date_of(utc_s.div_euclid(DAY_S)).first_of_month();
    let next = first.checked_add(1.month()).expect("checked options end before the year 9999");
    midnight_s(first)..midnight_s(next)
}

/// Moves an even second of the day to where the day's lines are.
fn by_day(even_s: i64) -> i64 {
    let mut before = 0;
    for (hour, lines) in (0..).zip(LINES_BY_HOUR) {
        if even_s < before + lines {
            return hour * 3_600 + (even_s - before) * 3_600 / lines;
        }
        before += lines;
    }
    unreachable!("LINES_BY_HOUR adds up to a day")
}

fn date_of(day: i64) -> Date {
    let midnight = Timestamp::from_second(day * DAY_S).expect("checked options stay before the year 9999");
    TimeZone::UTC.to_datetime(midnight).date()
}

fn midnight_s(date: Date) -> i64 {
    let midnight = TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight()));
    midnight.expect("checked options stay before the year 9999").as_second()
}

fn day_text(day: i64) -> [u8; 12] {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = date_of(day);
    let month = (date.month() as usize - 1) * 3;
    let [d1, d2] = two_digits(date.day() as u32);
    let [y1, y2] = two_digits(date.year() as u32 / 100);
    let [y3, y4] = two_digits(date.year() as u32 % 100);
    let [m1, m2, m3] = [MONTHS[month], MONTHS[month + 1], MONTHS[month + 2]];
    [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4, b':']
}

#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: Zone, utc: &str) -> String {
        let mut clock = Clock::new(&Options { zone, ..Options::default() });
        let utc: Timestamp = utc.parse().unwrap();
        let standard_s = utc.as_second() + i64::from(zone.offset_minutes) * 60;
        assert_eq!(clock.utc_s(standard_s), utc.as_second());
        let mut out = Vec::new();
        clock.write(standard_s, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_shown_as_httpd_shows_them() {
        let zone = |offset_minutes, summer| Zone { offset_minutes, summer };
        for (zone, utc, expected) in [
            (Zone::UTC, "2024-01-01T00:00:00Z", "[01/Jan/2024:00:00:00 +0000]"),
            (Zone::UTC, "2024-02-29T23:59:59Z", "[29/Feb/2024:23:59:59 +0000]"),
            (Zone::UTC, "1969-12-31T23:59:59Z", "[31/Dec/1969:23:59:59 +0000]"),
            (zone(-210, false), "2024-01-01T00:00:00Z", "[31/Dec/2023:20:30:00 -0330]"),
            (zone(-30, false), "2024-01-01T00:00:00Z", "[31/Dec/2023:23:30:00 -0030]"),
            (zone(345, false), "2024-07-01T00:00:00Z", "[01/Jul/2024:05:45:00 +0545]"),
            (zone(60, true), "2024-03-31T00:59:59Z", "[31/Mar/2024:01:59:59 +0100]"),
            (zone(60, true), "2024-03-31T01:00:00Z", "[31/Mar/2024:03:00:00 +0200]"),
            (zone(60, true), "2024-10-27T00:59:59Z", "[27/Oct/2024:02:59:59 +0200]"),
            (zone(60, true), "2024-10-27T01:00:00Z", "[27/Oct/2024:02:00:00 +0100]"),
            (zone(60, true), "2025-12-31T23:00:00Z", "[01/Jan/2026:00:00:00 +0100]"),
        ] {
            assert_eq!(shown(zone, utc), expected, "{zone:?} {utc}");
        }
    }

    #[test]
    fn a_day_is_warped_but_neither_reordered_nor_left() {
        let times: Vec<i64> = (0..DAY_S).map(by_day).collect();
        assert!(times.is_sorted());
        assert_eq!((times[0], times[86_399]), (0, 86_398));
    }

    #[test]
    fn moments_stay_inside_the_span() {
        let clock = Clock::new(&Options::default());
        assert_eq!(clock.span_s(), (31 + 29 + 31) * 86_400);
        let mut rng = Rng::new(3);
        for elapsed_s in [0, 1, 5, clock.span_s() - 1, clock.span_s(), u64::MAX >> 1] {
            for _ in 0..1_000 {
                let moment = clock.moment(&mut rng, elapsed_s);
                assert!((clock.first_s..clock.first_s + clock.span_s).contains(&moment));
            }
        }
        assert_eq!(month_of(clock.first_s - 1), (2023, 12));
        assert_eq!(month_range(clock.first_s + 40 * DAY_S).end, clock.first_s + 60 * DAY_S);
    }
}
