//! [`Folder`]: a test's own place on disk. Commands run in it, so that messages hold short relative paths, and keep
//! their state there, so that no test sees another's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::law::Report;

/// How long a command may take before it counts as hanging. Nothing here takes more than a few seconds; a loaded
/// machine may be ten times slower.
const HANGS_AFTER: Duration = Duration::from_secs(180);

/// A folder that goes when the test ends.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("loghaul-e2e-").tempdir().expect("a folder for the test"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, with the folders above it. It counts as still growing: it was touched just now.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders can be made");
        fs::write(&path, bytes).expect("the file can be written");
        path
    }

    /// Writes a file that nobody has touched for an hour: it is mapped, and its last line is whole.
    pub fn write_settled(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, bytes);
        self.age(name, Duration::from_secs(3600));
        path
    }

    /// Makes a file look as if it was last modified so long ago.
    pub fn age(&self, name: &str, age: Duration) {
        let file = File::options().write(true).open(self.path().join(name)).expect("the file is there");
        file.set_modified(SystemTime::now() - age).expect("times can be set");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program, to be started in this folder, knowing nothing of the user's own state and passwords.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.command_of(&program(), arguments)
    }

    /// The same with another copy of the program.
    pub fn command_of(&self, program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path()).env("XDG_STATE_HOME", self.path().join("state"));
        for variable in ["LOGHAUL_USER", "LOGHAUL_PASSWORD", "OPENSEARCH_PASSWORD", "OPENSEARCH_URL"] {
            command.env_remove(variable);
        }
        // A proxy set on this machine would answer for hosts that are meant not to be there.
        for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the program to its end with nothing on standard input.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments), b"")
    }

    /// Runs the program to its end with these bytes on standard input.
    pub fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        Ran::of(self.command(arguments), stdin)
    }

    /// The documents that `parse` prints for a source, without regard to the report.
    pub fn parse(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["parse"], arguments].concat())
    }
}

/// A program that has ended, and what it said.
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    /// Starts `command`, feeds it, and waits for its end.
    ///
    /// # Panics
    /// If it hangs.
    pub fn of(command: Command, stdin: &[u8]) -> Ran {
        // A program that has seen enough does not read the rest; that is its right.
        Ran::fed(command, |mut to| drop(to.write_all(stdin)))
    }

    /// The same, fed by a function that takes its time.
    pub fn fed(mut command: Command, feed: impl FnOnce(ChildStdin) + Send) -> Ran {
        let line = shown(&command);
        let started = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let (to, mut out, mut err) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = thread::scope(|scope| {
            scope.spawn(move || feed(to));
            scope.spawn(|| out.read_to_end(&mut stdout).expect("standard output can be read"));
            scope.spawn(|| err.read_to_end(&mut stderr).expect("standard error can be read"));
            loop {
                if let Some(status) = child.try_wait().expect("a child can be waited for") {
                    return Some(status);
                }
                if started.elapsed() > HANGS_AFTER {
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let Some(status) = status else { panic!("{line} hangs. Its standard error:\n{stderr}") };
        assert!(!stderr.contains("panicked at"), "{line} panicked:\n{stderr}");
        Ran { line, status, stdout, stderr, took: started.elapsed() }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Ran {
        assert_eq!(self.status.code(), Some(code), "exit code of {}", self.told());
        self
    }

    /// Asserts that standard error has each of these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Ran {
        for text in texts {
            assert!(self.stderr.contains(text), "standard error lacks {text:?}: {}", self.told());
        }
        self
    }

    /// Asserts that standard output or standard error has each of these texts: where a summary goes depends.
    #[track_caller]
    pub fn tells(self, texts: &[&str]) -> Ran {
        let all = format!("{}\n{}", String::from_utf8_lossy(&self.stdout), self.stderr);
        for text in texts {
            assert!(all.contains(text), "nowhere does it say {text:?}: {}", self.told());
        }
        self
    }

    /// The report of `--json`, on whichever stream it is, with the law asserted.
    #[track_caller]
    pub fn report(&self) -> Report {
        let report = Report::found_in(&String::from_utf8_lossy(&self.stdout))
            .or_else(|| Report::found_in(&self.stderr))
            .unwrap_or_else(|| panic!("there is no JSON report: {}", self.told()));
        super::law::assert_law(&report, self.status.code());
        report
    }

    /// Standard output as lines, each ended.
    pub fn lines(&self) -> Vec<&str> {
        std::str::from_utf8(&self.stdout).expect("documents are UTF-8").split_inclusive('\n').collect()
    }

    /// The documents on standard output.
    #[track_caller]
    pub fn documents(&self) -> Vec<serde_json::Value> {
        self.lines()
            .iter()
            .map(|line| {
                assert!(line.ends_with('\n'), "the last line has no end: {line}");
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// What was run and all that it said, shortened.
    pub fn told(&self) -> String {
        let cut = |text: &str| text.chars().take(4_000).collect::<String>();
        format!(
            "`{}` ({}, {:?})\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.status,
            self.took,
            cut(&String::from_utf8_lossy(&self.stdout)),
            cut(&self.stderr)
        )
    }
}

/// A command as it would be typed, shortened.
pub fn shown(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    format!("loghaul {}", arguments.join(" ").chars().take(300).collect::<String>())
}

/// The program under test: `LOGHAUL_TEST_PROGRAM`, which `scripts/test` sets to the release build, or the one that cargo
/// built with these tests.
pub fn program() -> PathBuf {
    std::env::var_os("LOGHAUL_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_loghaul").into(), PathBuf::from)
}
