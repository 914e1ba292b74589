//! Measuring: round by round, each row once a round, until the time is up.
//!
//! Rows take turns so that whatever else the machine does falls on all of them alike. A median stands for a row, and the
//! middle half of its passes tells how steady it is.

use std::time::{Duration, Instant};

/// How often each row is measured at least, whatever it takes.
const ROUNDS_MIN: usize = 3;
/// More rounds would tell nothing new.
const ROUNDS_MAX: usize = 1001;

/// What a pass went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Plain bytes of log.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.bytes += other.bytes;
        self.lines += other.lines;
    }
}

/// Something to measure.
pub struct Row<'a> {
    /// Its short name in JSON.
    pub name: &'static str,
    /// What it is, for people.
    pub title: String,
    /// Which part of the table it belongs to.
    pub group: Group,
    /// Goes through the sample once.
    pub pass: Box<dyn FnMut() -> Amount + 'a>,
}

/// The parts of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What this machine can do at all.
    Limit,
    /// One stage, one thread.
    Stage,
    /// All stages.
    Whole,
}

/// A row with its figures.
pub struct Figures {
    /// See [`Row`].
    pub name: &'static str,
    /// See [`Row`].
    pub title: String,
    /// See [`Row`].
    pub group: Group,
    /// Lines of log in a pass, on average.
    pub lines: u64,
    /// Bytes of log in a pass, on average.
    pub bytes: u64,
    /// Nanoseconds a byte: least, lower quartile, median, upper quartile, most.
    pub per_byte: [f64; 5],
}

/// All rows' figures.
pub struct Measured {
    /// In the order of the rows.
    pub rows: Vec<Figures>,
    /// How often each was measured.
    pub rounds: usize,
    /// How long it took.
    pub seconds: f64,
}

/// Measures all rows, for about `duration`.
pub fn measure(rows: &mut [Row<'_>], duration: Duration) -> Measured {
    let started = Instant::now();
    let mut passes: Vec<Vec<(Amount, f64)>> = vec![Vec::new(); rows.len()];
    // The first round fills caches and buffers and does not count.
    for row in &mut *rows {
        (row.pass)();
    }
    let mut rounds = 0;
    while rounds < ROUNDS_MIN || (rounds < ROUNDS_MAX && started.elapsed() < duration) {
        for (row, passes) in rows.iter_mut().zip(&mut passes) {
            let begun = Instant::now();
            let amount = (row.pass)();
            passes.push((amount, begun.elapsed().as_secs_f64()));
        }
        rounds += 1;
    }
    let figures = |(row, passes): (&Row<'_>, &Vec<(Amount, f64)>)| {
        let mut sum = Amount::default();
        passes.iter().for_each(|(amount, _)| sum += *amount);
        Figures {
            name: row.name,
            title: row.title.clone(),
            group: row.group,
            lines: sum.lines / rounds as u64,
            bytes: sum.bytes / rounds as u64,
            per_byte: five(passes.iter().map(|(amount, seconds)| seconds * 1e9 / amount.bytes.max(1) as f64).collect()),
        }
    };
    let rows = rows.iter().zip(&passes).map(figures).collect();
    Measured { rows, rounds, seconds: started.elapsed().as_secs_f64() }
}

/// Least, lower quartile, median, upper quartile, most; between two values where a place falls between them.
fn five(mut values: Vec<f64>) -> [f64; 5] {
    assert!(!values.is_empty(), "each row is measured");
    values.sort_by(f64::total_cmp);
    let last = (values.len() - 1) as f64;
    [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| {
        let place = part * last;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn five_numbers() {
        assert_eq!(five(vec![7.0]), [7.0; 5]);
        assert_eq!(five(vec![4.0, 1.0, 3.0, 2.0, 5.0]), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(five(vec![2.0, 1.0]), [1.0, 1.25, 1.5, 1.75, 2.0]);
    }

    #[test]
    fn each_row_is_measured_in_each_round() {
        let passes = [Cell::new(0), Cell::new(0)];
        let mut rows = [("a", 100), ("b", 0)].map(|(name, bytes)| Row {
            name,
            title: String::new(),
            group: Group::Stage,
            pass: Box::new(move || Amount { bytes, lines: 2 }),
        });
        for (row, passes) in rows.iter_mut().zip(&passes) {
            let pass = std::mem::replace(&mut row.pass, Box::new(Amount::default));
            row.pass = Box::new(counted(pass, passes));
        }
        let measured = measure(&mut rows, Duration::ZERO);
        assert_eq!((measured.rounds, passes.each_ref().map(Cell::get)), (ROUNDS_MIN, [ROUNDS_MIN + 1; 2]));
        assert_eq!((measured.rows[0].lines, measured.rows[0].bytes), (2, 100));
        assert!(measured.rows.iter().all(|row| row.per_byte.iter().all(|value| value.is_finite())));
    }

    fn counted<'a>(mut pass: impl FnMut() -> Amount + 'a, passes: &'a Cell<usize>) -> impl FnMut() -> Amount + 'a {
        move || {
            passes.set(passes.get() + 1);
            pass()
        }
    }
}
