//! Ctrl-C and its relatives: once ends the run in order, twice at once.

use std::io::{Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result, io_reason};
use crate::pipeline::stop::{Reason, Stop};

/// How long an interrupted run waits for whoever reads its standard output.
const STALLED: Duration = Duration::from_secs(5);

/// From now on SIGINT, SIGTERM and SIGHUP stop the run: no more is read, what is in flight is finished. A second one
/// ends the process at once. A SIGHUP that was ignored when we started (`nohup`) stays ignored.
///
/// Until `begun` says that lines are on their way, the first one ends the process at once, too: there is nothing to
/// finish. Where documents go to standard output and nobody takes them, the run is given up after [`STALLED`].
///
/// # Errors
/// If the system refuses the handlers.
pub fn listen(stop: &Arc<Stop>, begun: &Arc<AtomicBool>, to_stdout: bool) -> Result<()> {
    let mut wanted = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = Signals::new(wanted)
        .map_err(|error| Error::failed(format!("cannot listen for signals: {}", io_reason(&error))))?;
    let (stop, begun) = (Arc::clone(stop), Arc::clone(begun));
    thread::spawn(move || {
        let mut told = false;
        for signal in signals.forever() {
            if told || !begun.load(Ordering::Relaxed) {
                signal_hook::low_level::exit(130);
            }
            told = true;
            if to_stdout {
                thread::spawn(|| {
                    thread::sleep(STALLED);
                    signal_hook::low_level::exit(130);
                });
            }
            let name = match signal {
                SIGINT => "SIGINT",
                SIGTERM => "SIGTERM",
                _ => "SIGHUP",
            };
            let sentence = format!("\n{name}: finishing what is in flight; once more ends at once\n");
            let _ = stderr().write_all(sentence.as_bytes()); // nobody may be there to read it
            stop.raise(Reason::Interrupted(name));
        }
    });
    Ok(())
}

/// Whether our parent had the signal ignored, as `nohup` does. Where the system does not tell, it had not.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
