//! [`Running`]: the program while it runs, for tests of pipes, signals and files that change under it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::folder::{Ran, shown};

/// How long anything is waited for before the test fails. Only a hang takes so long.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A started program with pipes on all three streams. Ended when dropped.
pub struct Running {
    child: Child,
    line: String,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let line = shown(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stderr = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).expect("standard error can be read");
            bytes
        });
        Running {
            line,
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr: Some(stderr),
            child,
        }
    }

    /// Writes to its standard input.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the program takes its input");
    }

    /// The next line of its standard output, waited for.
    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("standard output is open").read_line(&mut line).expect("a line of UTF-8");
        line
    }

    /// Goes away as its reader, as `head` does.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Waits until it handles Ctrl-C itself; before that, a signal would end it unprepared.
    pub fn wait_until_it_listens(&mut self) {
        let path = format!("/proc/{}/status", self.child.id());
        self.wait_for("its signal handlers", || {
            let status = std::fs::read_to_string(&path).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
            caught >> (Signal::INT.as_raw() - 1) & 1 == 1
        });
    }

    /// Waits until the stages are at work, each in a thread of its own: then a signal has something to finish.
    pub fn wait_until_it_hauls(&mut self) {
        self.wait_until_it_listens();
        let path = format!("/proc/{}/status", self.child.id());
        self.wait_for("its threads", || {
            let status = std::fs::read_to_string(&path).unwrap_or_default();
            let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
            // Main thread, signals; a reader, a parser, a sink.
            threads.and_then(|number| number.trim().parse::<u32>().ok()).unwrap_or(0) >= 5
        });
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process has a number");
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// Waits until `done`, asked again and again.
    ///
    /// # Panics
    /// If it takes longer than [`PATIENCE`], or the program has ended.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, mut done: impl FnMut() -> bool) -> Duration {
        let since = Instant::now();
        while !done() {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("`{}` ended ({status}) before {what}", self.line);
            }
            assert!(since.elapsed() < PATIENCE, "`{}`: waited {PATIENCE:?} for {what}", self.line);
            thread::sleep(Duration::from_millis(10));
        }
        since.elapsed()
    }

    /// Closes its standard input, reads what it still says and waits for its end.
    pub fn finish(mut self) -> Ran {
        self.stdin = None;
        self.end()
    }

    /// The same, but its standard input stays open.
    pub fn end(mut self) -> Ran {
        let out = self.stdout.take();
        let out = thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut out) = out {
                out.read_to_end(&mut bytes).expect("standard output can be read");
            }
            bytes
        });
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "`{}` hangs", self.line);
            thread::sleep(Duration::from_millis(2));
        };
        let took = since.elapsed();
        let stderr = self.stderr.take().unwrap().join().expect("standard error was read");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!stderr.contains("panicked at"), "{} panicked:\n{stderr}", self.line);
        let stdout = out.join().expect("standard output was read");
        Ran { line: std::mem::take(&mut self.line), status, stdout, stderr, took }
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
