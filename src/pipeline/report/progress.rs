//! How a run goes, while it is under way: a bar on a terminal, a plain line every ten seconds elsewhere. Always on
//! standard error. Messages that come in between are printed without tearing the bar.

use std::io::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::figures::{counted, duration, grouped, per_second, size};
use crate::escape::{Safe, shown};

/// How progress is shown, on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A bar that is drawn again and again, on a terminal.
    Bar,
    /// A plain line every ten seconds.
    Lines,
    /// Not at all. Messages are still printed.
    None,
}

/// How far a run is. All numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines with an outcome.
    pub lines: u64,
    /// Their bytes, decompressed.
    pub bytes: u64,
    /// Bytes read from the sources, as they are stored.
    pub stored_bytes: u64,
    /// Sources done with.
    pub files_done: u64,
    /// Sources named so far.
    pub files_named: u64,
}

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// A rate is taken over at least this time; shorter ones only flicker.
const RATE_OVER: Duration = Duration::from_secs(1);

/// Shows how a run goes. Any thread may call it.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    started: Instant,
    /// Of the sources together, as they are stored. None where a source has no size (a pipe).
    total_bytes: Option<u64>,
    /// Drawn only where `mode` is `Bar`.
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Counters,
    /// Where the current rate is measured from.
    rate_from: (Instant, Counters),
    /// Lines and bytes per second, as last measured.
    rate: Option<(u64, u64)>,
    /// Why there is no progress, if so.
    waiting: Option<String>,
}

impl Progress {
    /// Begins now. `total_bytes` is the size of all sources as they are stored, if it is known.
    pub fn new(mode: Mode, total_bytes: Option<u64>) -> Progress {
        let bar = match (mode, total_bytes) {
            (Mode::Bar, total) => {
                let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
                let template = if total.is_some() { "{bar:20} {msg}" } else { "{spinner} {msg}" };
                bar.set_style(ProgressStyle::with_template(template).expect("a valid template").progress_chars("=> "));
                bar
            }
            (Mode::Lines | Mode::None, _) => ProgressBar::hidden(),
        };
        let started = Instant::now();
        let state =
            State { now: Counters::default(), rate_from: (started, Counters::default()), rate: None, waiting: None };
        Progress { mode, started, total_bytes, bar, state: Mutex::new(state) }
    }

    /// Tells how far the run is. May be called as often as one likes.
    pub fn update(&self, counters: &Counters) {
        if let Some(line) = self.advance(counters, Instant::now()) {
            match self.mode {
                Mode::Bar => {
                    self.bar.set_position(counters.stored_bytes);
                    self.bar.set_message(line);
                }
                Mode::Lines => self.print(&format!("loghaul: {line}")),
                Mode::None => {}
            }
        }
    }

    /// Tells why there is no progress ("paused: …", without a final stop), or that it goes on. The first word of a pause
    /// is printed at once where there is no bar.
    pub fn waiting(&self, why: Option<&str>) {
        let why = why.map(|why| shown(why.as_bytes()).into_owned());
        let mut state = self.lock();
        if state.waiting == why {
            return;
        }
        state.waiting.clone_from(&why);
        // Standing still is no rate.
        (state.rate_from, state.rate) = ((Instant::now(), state.now), None);
        let counters = state.now;
        drop(state);
        match (self.mode, why) {
            (Mode::Lines, Some(why)) => self.print(&format!("loghaul: {why}")),
            (Mode::Lines, None) => self.print("loghaul: going on"),
            (Mode::Bar, _) => self.update(&counters),
            (Mode::None, _) => {}
        }
    }

    /// Prints a line above the bar, in every mode.
    pub fn message(&self, line: &str) {
        self.print(line);
    }

    /// Takes the bar away. Nothing is drawn after it.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Takes the counters in; gives the text to show if it is time for it.
    fn advance(&self, counters: &Counters, now: Instant) -> Option<String> {
        let mut state = self.lock();
        state.now = *counters;
        let (since, before) = state.rate_from;
        let passed = now.saturating_duration_since(since);
        let due = if self.mode == Mode::Lines { LINE_EVERY } else { RATE_OVER };
        if passed >= due {
            let seconds = passed.as_secs_f64();
            state.rate = per_second(counters.lines.saturating_sub(before.lines), seconds)
                .zip(per_second(counters.bytes.saturating_sub(before.bytes), seconds));
            state.rate_from = (now, *counters);
        } else if self.mode != Mode::Bar {
            return None;
        }
        let elapsed = now.saturating_duration_since(self.started);
        Some(told(counters, state.rate, self.total_bytes, elapsed, state.waiting.as_deref()))
    }

    fn print(&self, line: &str) {
        // A closed standard error is no reason to end a load.
        self.bar.suspend(|| _ = writeln!(Safe::text(std::io::stderr().lock()), "{line}"));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not keep the run from telling.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// `45 %, 1,234,567 lines, 820,000 lines/s, 164 MB/s, 3 of 10 files, 12 s left`
fn told(
    counters: &Counters,
    rate: Option<(u64, u64)>,
    total_bytes: Option<u64>,
    elapsed: Duration,
    waiting: Option<&str>,
) -> String {
    let mut parts = Vec::new();
    let total = total_bytes.filter(|total| *total > 0);
    if let Some(total) = total {
        // A file that grows is read beyond the size it had.
        parts.push(format!("{} %", (u128::from(counters.stored_bytes) * 100 / u128::from(total)).min(100)));
    }
    parts.push(counted(counters.lines, "line"));
    if total.is_none() {
        parts.push(size(counters.bytes));
    }
    if let (Some((lines, bytes)), None) = (rate, waiting) {
        parts.push(format!("{} lines/s", grouped(lines)));
        parts.push(format!("{}/s", size(bytes)));
    }
    if counters.files_named > 1 {
        parts.push(format!("{} of {} files", grouped(counters.files_done), grouped(counters.files_named)));
    }
    match (waiting, total) {
        (Some(waiting), _) => parts.push(waiting.to_string()),
        (None, Some(total)) if counters.stored_bytes > 0 && elapsed >= RATE_OVER => {
            let left = total.saturating_sub(counters.stored_bytes) as f64;
            let seconds = (left / counters.stored_bytes as f64 * elapsed.as_secs_f64()).ceil();
            // No tenths of a guess.
            let left = if seconds < 60.0 { format!("{seconds} s") } else { duration(seconds) };
            parts.push(format!("{left} left"));
        }
        _ => {}
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTERS: Counters =
        Counters { lines: 1_234_567, bytes: 246_900_000, stored_bytes: 45_900_000, files_done: 3, files_named: 10 };

    #[test]
    fn what_is_told() {
        let seconds = Duration::from_secs;
        let cases = [
            (
                told(&COUNTERS, Some((820_000, 164_000_000)), Some(100_000_000), seconds(10), None),
                "45 %, 1,234,567 lines, 820,000 lines/s, 164 MB/s, 3 of 10 files, 12 s left",
            ),
            (
                told(&Counters { files_named: 1, ..COUNTERS }, Some((1, 999)), None, seconds(10), None),
                "1,234,567 lines, 247 MB, 1 lines/s, 999 bytes/s",
            ),
            (
                told(&COUNTERS, Some((5, 5)), Some(100), seconds(10), Some("paused: the cluster's disk is full")),
                "100 %, 1,234,567 lines, 3 of 10 files, paused: the cluster's disk is full",
            ),
            (told(&Counters::default(), None, Some(0), Duration::ZERO, None), "0 lines, 0 bytes"),
            (told(&Counters::default(), None, Some(u64::MAX), Duration::ZERO, None), "0 %, 0 lines"),
        ];
        for (got, expected) in cases {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_plain_line_comes_every_ten_seconds() {
        let progress = Progress::new(Mode::Lines, None);
        let told = |second, lines| {
            progress.advance(&Counters { lines, ..Counters::default() }, progress.started + Duration::from_secs(second))
        };
        assert_eq!(told(1, 5), None);
        assert_eq!(told(9, 8), None);
        assert_eq!(told(10, 1_000).unwrap(), "1,000 lines, 0 bytes, 100 lines/s, 0 bytes/s");
        assert_eq!(told(19, 1_001), None);
        assert_eq!(told(21, 1_110).unwrap(), "1,110 lines, 0 bytes, 10 lines/s, 0 bytes/s");
    }

    #[test]
    fn a_pause_takes_the_rate_away() {
        let progress = Progress::new(Mode::None, None);
        progress.lock().rate = Some((5, 5));
        progress.waiting(Some("paused: \x1b[2J"));
        assert_eq!(progress.lock().waiting.as_deref(), Some("paused: \\x1b[2J"));
        assert_eq!(progress.lock().rate, None);
        progress.waiting(None);
        assert_eq!(progress.lock().waiting, None);
    }
}
