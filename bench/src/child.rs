//! [`run`]: a process, measured as the kernel counted it: wall time, processor time, peak of resident memory.
#![allow(unsafe_code)]

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// What a process took.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// From its start to its end, in seconds.
    pub wall: f64,
    /// User and system time of all its threads, in seconds.
    pub cpu: f64,
    /// Peak of resident memory, mapped pages included, in MiB.
    ///
    /// The kernel begins to count with the most pages that whoever started the process ever had.
    pub peak_mib: f64,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
}

/// Runs `command` to its end. Its standard error is kept for when it fails.
///
/// # Errors
/// It cannot be started, or does not end well.
pub fn run(command: &mut Command) -> Result<Used, Failure> {
    let mut errors = tempfile::tempfile()?;
    // Forgets that peak of ours, else it would be the least of anybody's (proc(5): clear_refs). Linux alone has it.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(errors.try_clone()?).spawn();
    let child = child.as_mut().map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    let mut stdout = Vec::new();
    child.stdout.take().ok_or("standard output is piped")?.read_to_end(&mut stdout)?;
    let (status, usage) = wait(child.id())?;
    let wall = started.elapsed().as_secs_f64();
    if !status.success() {
        use std::io::Seek;
        let mut told = String::new();
        errors.rewind()?;
        errors.read_to_string(&mut told)?;
        return Err(format!("{command:?} ended with {status}: {}", told.trim()).into());
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000).as_secs_f64();
    let peak_bytes = if cfg!(target_os = "macos") { usage.ru_maxrss } else { usage.ru_maxrss * 1024 };
    Ok(Used {
        wall,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_mib: peak_bytes as f64 / f64::from(1 << 20),
        stdout,
    })
}

fn wait(pid: u32) -> Result<(ExitStatus, libc::rusage), Failure> {
    use std::os::unix::process::ExitStatusExt;
    let mut status = 0;
    loop {
        // SAFETY: rusage is numbers alone, for which zero bytes are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to values of ours that live through the call.
        let ended = unsafe { libc::wait4(pid.cast_signed(), &raw mut status, 0, &raw mut usage) };
        if ended == pid.cast_signed() {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
}
