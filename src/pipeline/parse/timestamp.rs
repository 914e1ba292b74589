//! `%t`: `19/Dec/2020:13:57:26 +0100`, 26 bytes (httpd's `log_request_time`, mod_log_config.c).
//!
//! A log has few days and zones. All but the time of day is understood once for each of them and kept as a [`Day`];
//! a line then costs one masked compare, and its time of day is copied as written, for ISO 8601 has the same shape.

use super::lanes::{Lanes, Portable};

/// Bytes of a time between its brackets.
pub const TIME_BYTES: usize = 26;

/// How many days are remembered. A day's place is the last digit of its day of month, so that logs which change
/// between neighbouring days at each line, as merged ones do, find both.
pub const DAYS: usize = 16;

/// When a request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix: i64,
    /// Local time of day, `13:57:26`.
    pub clock: [u8; 8],
    /// The place of its day in [`Days`], valid until the next line is parsed.
    pub day: u8,
}

/// A local calendar day in a zone.
#[derive(Clone, Debug)]
pub struct Day {
    /// What 32 bytes from the opening bracket must look like, where [`MASK`] asks: `[19/Dec/2020:..:..:.. +0100] "`.
    pattern: [u8; 32],
    /// Never given to another day, so that what others derive from a day can be kept too.
    pub serial: u64,
    /// `2020-12-19`.
    pub date: [u8; 10],
    /// `+01:00`.
    pub zone: [u8; 6],
    /// The start of the day in its zone, in seconds since 1970-01-01T00:00:00Z.
    pub midnight: i64,
}

/// Days seen lately.
#[derive(Debug)]
pub struct Days {
    days: [Day; DAYS],
    serials: u64,
}

/// Which bytes of [`Day::pattern`] count: all but the six digits of the time of day and the two after the quote.
const MASK: u32 = !(0b11_011_011 << 13 | 0b11 << 30);

impl Default for Days {
    fn default() -> Days {
        Days::new()
    }
}

impl Days {
    /// Remembers nothing yet.
    pub fn new() -> Days {
        // No line has a NUL where its bracket is, so this day is never found.
        let none = Day { pattern: [0; 32], serial: 0, date: [b'0'; 10], zone: [b'0'; 6], midnight: 0 };
        Days { days: std::array::from_fn(|_| none.clone()), serials: 0 }
    }

    /// The day that a timestamp of the line parsed last refers to.
    #[inline(always)]
    pub fn get(&self, day: u8) -> &Day {
        &self.days[day as usize % DAYS]
    }

    /// Understands `[19/Dec/2020:13:57:26 +0100] "` at the start of `window`; none where it is anything else, or a
    /// second 60, or no time at all: the general path knows those.
    #[inline(always)]
    pub fn bracketed<L: Lanes>(&mut self, lanes: L, window: &[u8; 32]) -> Option<Timestamp> {
        let slot = window[2] as usize % DAYS;
        if lanes.equal(window, &self.days[slot].pattern) & MASK != MASK {
            self.remember(window)?;
        }
        let clock: [u8; 8] = window[13..21].try_into().expect("eight bytes");
        let seconds = seconds_of_day(clock)?;
        Some(Timestamp { unix: self.days[slot].midnight + i64::from(seconds), clock, day: slot as u8 })
    }

    /// Understands what stands between the brackets. A second 60, which "right" zones write, is the next second.
    pub(super) fn written(&mut self, time: &[u8; TIME_BYTES]) -> Option<Timestamp> {
        let mut window = *b"[..........................] \"..";
        window[1..27].copy_from_slice(time);
        let leap = &time[18..20] == b"60";
        if leap {
            window[19..21].copy_from_slice(b"59");
        }
        let mut slot = window[2] as usize % DAYS;
        if Portable.equal(&window, &self.days[slot].pattern) & MASK != MASK {
            slot = self.remember(&window)?;
        }
        let clock: [u8; 8] = window[13..21].try_into().expect("eight bytes");
        let seconds = seconds_of_day(clock)?;
        let unix = self.days[slot].midnight + i64::from(seconds);
        if !leap {
            return Some(Timestamp { unix, clock, day: slot as u8 });
        }
        if seconds + 1 < 86_400 {
            let (hour, minute) = ((seconds + 1) / 3_600, (seconds + 1) / 60 % 60);
            let clock = format!("{hour:02}:{minute:02}:00").into_bytes().try_into().expect("eight bytes");
            return Some(Timestamp { unix: unix + 1, clock, day: slot as u8 });
        }
        let (year, month, day) = date_of((self.days[slot].midnight + offset(&window[22..27])?) / 86_400 + 1);
        let tomorrow = format!("{day:02}/{}/{year:04}:00:00:00 ", MONTHS[month as usize - 1]);
        window[1..22].copy_from_slice(tomorrow.as_bytes().get(..21).filter(|_| year <= 9999)?);
        let slot = self.remember(&window)?;
        Some(Timestamp { unix: unix + 1, clock: *b"00:00:00", day: slot as u8 })
    }

    /// Understands day and zone, and gives them their place. None where they are not a day and a zone.
    #[cold]
    #[inline(never)]
    fn remember(&mut self, window: &[u8; 32]) -> Option<usize> {
        let shape = b"[dd/Mon/yyyy:hh:mm:ss +hhmm] \"";
        let fixed = |n: usize| matches!(shape[n], b'[' | b'/' | b':' | b' ' | b']' | b'"');
        if !(0..shape.len()).all(|n| !fixed(n) || window[n] == shape[n]) {
            return None;
        }
        let day = number(&window[1..3])?;
        let month = MONTHS.iter().position(|month| month.as_bytes() == &window[4..7])? as i64 + 1;
        let year = number(&window[8..12])?;
        if day < 1 || day > days_in(year, month) {
            return None;
        }
        let offset = offset(&window[22..27])?;
        let midnight = days_before(year, month, day) * 86_400 - offset;
        // A day that lies partly before 0000 or after 9999 in UTC has no place in an index name, nor in OpenSearch.
        if midnight < days_before(0, 1, 1) * 86_400 || midnight + 86_400 > days_before(10_000, 1, 1) * 86_400 {
            return None;
        }
        let slot = window[2] as usize % DAYS;
        self.serials += 1;
        let mut zone = [window[22], window[23], window[24], b':', window[25], window[26]];
        if offset == 0 {
            zone[0] = b'+'; // ISO 8601 knows no minus zero
        }
        self.days[slot] = Day {
            pattern: *window,
            serial: self.serials,
            date: format!("{year:04}-{month:02}-{day:02}").into_bytes().try_into().expect("ten bytes"),
            zone,
            midnight,
        };
        Some(slot)
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `+0530` in seconds east of UTC. java.time, and so OpenSearch, ends at 18 hours.
fn offset(zone: &[u8]) -> Option<i64> {
    let hours = number(&zone[1..3])?;
    let minutes = number(&zone[3..5])?;
    let seconds = hours * 3_600 + minutes * 60;
    if minutes > 59 || seconds > 18 * 3_600 {
        return None;
    }
    match zone[0] {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Seconds since midnight of `13:57:26`; none where it is no time of day (a second 60 neither).
#[inline(always)]
fn seconds_of_day(clock: [u8; 8]) -> Option<u32> {
    // Each byte less its least value; digits become 0-9 and colons 0.
    let digits = u64::from_le_bytes(clock) ^ u64::from_le_bytes(*b"00:00:00");
    // What makes a byte reach 0x80 if it is greater than 2, 9, 0, 5, 9, 0, 5, 9.
    const BIAS: u64 = u64::from_le_bytes([0x7d, 0x76, 0x7f, 0x7a, 0x76, 0x7f, 0x7a, 0x76]);
    const HIGH: u64 = 0x8080_8080_8080_8080;
    if (digits | (digits & !HIGH).wrapping_add(BIAS)) & HIGH != 0 {
        return None;
    }
    // Tens times ten plus ones, in bytes 0, 3 and 6.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let (hour, minute, second) = (pairs as u8, (pairs >> 24) as u8, (pairs >> 48) as u8);
    let seconds = u32::from(hour) * 3_600 + u32::from(minute) * 60 + u32::from(second);
    (hour < 24).then_some(seconds)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: Howard Hinnant's `days_from_civil`.
pub(crate) fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01: Howard Hinnant's `civil_from_days`.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(time: &str) -> Option<(String, i64)> {
        let mut days = Days::new();
        let time = days.written(time.as_bytes().try_into().ok()?)?;
        let day = days.get(time.day);
        let text = [&day.date[..], b"T", &time.clock, &day.zone].concat();
        Some((String::from_utf8(text).expect("ASCII"), time.unix))
    }

    #[test]
    fn times() {
        let cases = [
            ("19/Dec/2020:13:57:26 +0100", "2020-12-19T13:57:26+01:00"),
            ("01/Jan/0000:00:00:00 +0000", "0000-01-01T00:00:00+00:00"),
            ("31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59+00:00"),
            ("29/Feb/2000:00:00:00 -0330", "2000-02-29T00:00:00-03:30"),
            ("01/Jul/2015:12:00:00 -0000", "2015-07-01T12:00:00+00:00"),
            ("01/Jul/2015:12:00:00 +1800", "2015-07-01T12:00:00+18:00"),
            ("01/Jul/2015:12:59:60 +0000", "2015-07-01T13:00:00+00:00"),
            ("31/Dec/2016:23:59:60 -0500", "2017-01-01T00:00:00-05:00"),
            ("28/Feb/1900:23:59:60 +0545", "1900-03-01T00:00:00+05:45"),
            ("28/Feb/2000:23:59:60 +1245", "2000-02-29T00:00:00+12:45"),
        ];
        for (time, expected) in cases {
            let (text, unix) = iso(time).unwrap_or_else(|| panic!("{time}"));
            assert_eq!(text, expected, "{time}");
            // jiff ends a day before the year 9999 does.
            if let Ok(at) = expected.parse::<jiff::Timestamp>() {
                assert_eq!(unix, at.as_second(), "{time}");
            }
        }
        let bad = [
            "19/Dec/2020:24:00:00 +0100",
            "19/Dec/2020:29:00:00 +0100",
            "19/Dec/2020:13:60:00 +0100",
            "19/Dec/2020:13:00:61 +0100",
            "19/Dec/2020:24:00:60 +0100",
            "31/Feb/2020:13:57:26 +0100",
            "29/Feb/1900:13:57:26 +0100",
            "00/Dec/2020:13:57:26 +0100",
            "32/Dec/2020:13:57:26 +0100",
            "19/dec/2020:13:57:26 +0100",
            "19/Dec/2020:13:57:26 -0360",
            "19/Dec/2020:13:57:26 +1801",
            "19/Dec/2020:13:57:26 00100",
            "19/Dec/2020:13:57:26  0100",
            "19/Dec/2020 13:57:26 +0100",
            "19/Dec/2020:13.57:26 +0100",
            "31/Dec/9999:23:59:60 +0000",
            "31/Dec/9999:23:59:59 -0100",
            "01/Jan/0000:00:00:00 +0100",
            "19/Dec/20 0:13:57:26 +0100",
            "19/Dec/2020:1\u{7f}:57:26 +0100",
        ];
        for time in bad {
            assert_eq!(iso(time), None, "{time}");
        }
    }

    #[test]
    fn every_clock_byte() {
        // Whatever byte stands in the place of each digit and colon.
        for place in 0..8 {
            for byte in 0..=255u8 {
                let mut clock = *b"13:57:26";
                clock[place] = byte;
                let good = match place {
                    2 | 5 => byte == b':',
                    0 => (b'0'..=b'2').contains(&byte),
                    1 | 4 | 7 => byte.is_ascii_digit(),
                    _ => (b'0'..=b'5').contains(&byte),
                } && &clock[..2] < b"24".as_slice();
                assert_eq!(seconds_of_day(clock).is_some(), good, "{}", clock.escape_ascii());
            }
        }
        assert_eq!(seconds_of_day(*b"23:59:59"), Some(86_399));
        assert_eq!(seconds_of_day(*b"00:00:00"), Some(0));
    }

    #[test]
    fn dates_there_and_back() {
        for days in (days_before(0, 1, 1)..days_before(10_000, 1, 1)).step_by(13) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_before(year, month, day), days);
            assert!((1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day));
        }
    }
}
