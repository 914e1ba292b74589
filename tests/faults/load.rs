//! [`Load`]: one load of one log, that can be killed while it runs and whose end is told as [`Ran`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Folder, Ran, Report};

/// How long a load may take before it counts as hanging.
const HANGS_AFTER: Duration = Duration::from_secs(180);

/// What is typed for a load, with its ledger and its dead letters in `folder`.
#[derive(Clone)]
pub struct Typed<'a> {
    pub folder: &'a Folder,
    /// Absolute, or `-`.
    pub sources: Vec<String>,
    pub to: String,
    /// The load's own name: `-%Y-%m` is added.
    pub index: String,
    pub more: Vec<String>,
    /// For `-`: what standard input is.
    pub stdin: Option<PathBuf>,
    /// Whether a last line without line end counts as whole.
    pub takes_last_line: bool,
    /// Elsewhere than in `folder`.
    ledger: Option<PathBuf>,
    dead_letters: Option<PathBuf>,
}

impl<'a> Typed<'a> {
    /// `loghaul load SOURCE --to URL --index NAME-%Y-%m`, quiet, with a report in JSON.
    pub fn new(folder: &'a Folder, source: &Path, to: &str, index: &str) -> Typed<'a> {
        let sources = vec![source.to_str().expect("paths of tests are UTF-8").to_owned()];
        Typed {
            folder,
            sources,
            to: to.to_owned(),
            index: index.to_owned(),
            more: Vec::new(),
            stdin: None,
            takes_last_line: true,
            ledger: None,
            dead_letters: None,
        }
    }

    /// The `ledger` or the `dead-letters` in this file.
    pub fn placed(mut self, what: &str, path: &Path) -> Typed<'a> {
        match what {
            "ledger" => self.ledger = Some(path.to_owned()),
            "dead-letters" => self.dead_letters = Some(path.to_owned()),
            _ => panic!("what is {what}?"),
        }
        self
    }

    /// Further flags, separated by blanks.
    pub fn with(mut self, flags: &str) -> Typed<'a> {
        self.more.extend(flags.split_whitespace().map(str::to_owned));
        self
    }

    /// Starts it.
    pub fn start(&self) -> Load {
        let index = format!("{}-%Y-%m", self.index);
        let (ledger, dead_letters) = (self.ledger(), self.dead_letters());
        let mut arguments = vec!["load"];
        arguments.extend(self.sources.iter().map(String::as_str));
        arguments.extend(["--to", &self.to, "--index", &index, "--json", "--quiet"]);
        if self.takes_last_line {
            arguments.push("--take-last-line");
        }
        arguments.extend(["--dead-letters", dead_letters.to_str().expect("UTF-8")]);
        if !self.more.iter().any(|flag| flag == "--no-ledger") {
            arguments.extend(["--ledger", ledger.to_str().expect("UTF-8")]);
        }
        arguments.extend(self.more.iter().map(String::as_str));
        let mut command = self.folder.command(arguments);
        let line = crate::support::folder::shown(&command);
        let (out, err) = (self.folder.path().join("stdout"), self.folder.path().join("stderr"));
        let stdin = self.stdin.as_ref().map_or_else(Stdio::null, |path| File::open(path).expect("the log").into());
        command.stdin(stdin).stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        Load { child, line, started: Instant::now(), out, err }
    }

    /// Starts it and waits for its end.
    pub fn run(&self) -> Ran {
        self.start().wait()
    }

    pub fn ledger(&self) -> PathBuf {
        self.ledger.clone().unwrap_or_else(|| self.folder.path().join("ledger.db"))
    }

    pub fn dead_letters(&self) -> PathBuf {
        self.dead_letters.clone().unwrap_or_else(|| self.folder.path().join("dead-letters.ndjson"))
    }

    /// What the ledger has of the newest run, in all its parts, as a report: `loghaul runs --json`.
    #[track_caller]
    pub fn whole_run(&self) -> Report {
        let ledger = self.ledger();
        let ran = self.folder.run(&["runs", "--json", "--ledger", ledger.to_str().expect("UTF-8")]).ends_with(0);
        let told: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("runs as JSON");
        Report(told["runs"][0]["totals"].clone())
    }

    /// The dead letters that are kept; none where there is no file.
    pub fn letters(&self) -> Vec<serde_json::Value> {
        letters(&self.dead_letters())
    }
}

/// The dead letters in a file; none where there is no file.
#[track_caller]
pub fn letters(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "half a dead letter at the end of {}", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A load that runs. Killed when dropped.
pub struct Load {
    child: Child,
    line: String,
    started: Instant,
    out: PathBuf,
    err: PathBuf,
}

impl Load {
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("our own child can be signalled");
    }

    pub fn pid(&self) -> Pid {
        // Not waited for as yet, so that the number is still its own.
        Pid::from_raw(self.child.id().cast_signed()).expect("a process has a number")
    }

    /// What it has said on standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.err).expect("the file is there")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until `done`, asked every few milliseconds; fails if the load ends before.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let since = Instant::now();
        while !done() {
            if self.has_ended() {
                panic!("it ended before {what}: {}", self.told());
            }
            assert!(since.elapsed() < HANGS_AFTER, "waited {HANGS_AFTER:?} for {what}: {}", self.told());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Ran {
        while !self.has_ended() {
            assert!(self.started.elapsed() < HANGS_AFTER, "it hangs: {}", self.told());
            thread::sleep(Duration::from_millis(2));
        }
        let status = self.child.wait().expect("it has ended");
        let stderr = self.stderr();
        assert!(!stderr.contains("panicked at"), "it panicked: {}", self.told());
        let stdout = fs::read(&self.out).expect("the file is there");
        Ran { line: self.line.clone(), status, stdout, stderr, took: self.started.elapsed() }
    }

    fn told(&self) -> String {
        let out = fs::read_to_string(&self.out).unwrap_or_default();
        format!("`{}` after {:?}\n{}\n{out}", self.line, self.started.elapsed(), self.stderr())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who is to be killed by a hook of the proxy. Set once the load has been started.
#[derive(Clone, Default)]
pub struct Victim(Arc<Mutex<Option<Pid>>>);

impl Victim {
    pub fn is(&self, load: &Load) {
        *self.0.lock().unwrap() = Some(load.pid());
    }

    /// `kill -9`, once.
    pub fn kill(&self) {
        // The first request may be here before the starter of the load has told us its number.
        for _ in 0..1_000 {
            if let Some(pid) = self.0.lock().unwrap().take() {
                kill_process(pid, Signal::KILL).expect("our own child can be killed");
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The report of a load that came to an end, with the law asserted.
#[track_caller]
pub fn report(ran: &Ran, code: i32) -> Report {
    assert_eq!(ran.status.code(), Some(code), "exit code of {}", ran.told());
    ran.report()
}

/// A report in a line, for the output of a test.
pub fn brief(told: &Report) -> String {
    const KEYS: [&str; 14] = [
        "lines_read",
        "bytes_read",
        "indexed",
        "confirmed",
        "duplicate",
        "rejected",
        "malformed",
        "blank",
        "requests",
        "retries",
        "documents_resent",
        "paused_seconds",
        "writers",
        "body_bytes",
    ];
    let figures = KEYS.iter().filter(|key| !told.0[**key].is_null()).map(|key| format!("{key} {}", told.0[*key]));
    format!(
        "{} in {:.1} s: {}",
        told.0["ended"],
        told.0["seconds"].as_f64().unwrap_or(0.0),
        figures.collect::<Vec<_>>().join(", ")
    )
}
