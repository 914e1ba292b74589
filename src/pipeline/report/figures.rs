//! How figures are written for people: thousands apart, sizes in decimal units, durations in the two largest.

use jiff::Timestamp;

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `1,234 lines`: a number and its noun, whose plural takes an s.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1 index`, `2 indices`.
pub fn counted_indices(number: u64) -> String {
    format!("{} {}", grouped(number), if number == 1 { "index" } else { "indices" })
}

/// A size in decimal units, three digits: `999 bytes`, `20.5 MB`, `1.25 GB`.
pub fn size(bytes: u64) -> String {
    if bytes < 1_000 {
        return counted(bytes, "byte");
    }
    let mut value = bytes as f64;
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        // 999,999 bytes are 1.00 MB, not 1000 kB.
        if value < 999.5 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    format!("{} {unit}", three_digits(value))
}

/// A limit's size, exact, in the largest binary unit that divides it: `5 MiB`, `1536 KiB`, `1000 bytes`.
pub fn exact_size(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{} {unit}", bytes / factor);
        }
    }
    format!("{bytes} bytes")
}

/// A number per second, or none where no time has passed.
pub fn per_second(number: u64, seconds: f64) -> Option<u64> {
    let rate = number as f64 / seconds;
    rate.is_finite().then_some(rate.round() as u64)
}

/// A duration: `0.08 s`, `12.3 s`, `2 min 5 s`, `3 h 2 min`, `2 d 1 h`.
pub fn duration(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{} s", three_digits(seconds.max(0.0)));
    }
    let whole = seconds.round() as u64;
    match whole {
        0..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// Three digits, of which at most two after the point: `0.08`, `1.25`, `20.5`, `205`.
fn three_digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        9.995..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Seconds since 1970 as RFC 3339 in UTC. What lies beyond the year 9999 is shown as its end.
pub fn time(seconds: i64) -> String {
    let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds).unwrap_or(end).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (102_233, "102,233"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((counted(1, "line"), counted(0, "line")), ("1 line".to_string(), "0 lines".to_string()));
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.00 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (20_456_789, "20.5 MB"),
            (1_250_000_000, "1.25 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (0.0, "0.00 s"),
            (0.084, "0.08 s"),
            (12.34, "12.3 s"),
            (59.96, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (3_600.0, "1 h 0 min"),
            (10_920.0, "3 h 2 min"),
            (176_400.0, "2 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (bytes, text) in [(5 << 20, "5 MiB"), (1536 << 10, "1536 KiB"), (1000, "1000 bytes"), (1 << 30, "1 GiB")] {
            assert_eq!(exact_size(bytes), text);
        }
        assert_eq!(per_second(1_000, 0.5), Some(2_000));
        assert_eq!(per_second(0, 0.0), None);
        assert_eq!(per_second(5, 0.0), None);
        assert_eq!(time(1_608_382_646), "2020-12-19T12:57:26Z");
        assert_eq!(time(i64::MAX), "9999-12-30T22:00:00.999999999Z");
    }
}
