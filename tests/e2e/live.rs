//! Pipes, signals, and files that change while they are read.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Folder, Node, Ran, Running, logs};

/// The law of an interrupted run, and the exit code that goes with it.
fn assert_interrupted(ran: Ran) -> Ran {
    let ran = ran.ends_with(130);
    ran.report();
    ran
}

/// Nothing was ever written to the pipe: the program still hears Ctrl-C.
#[test]
fn ctrl_c_on_a_pipe_that_never_spoke() {
    let folder = Folder::new();
    for signal in [Signal::INT, Signal::TERM] {
        for to in ["null:", "-"] {
            let mut running = Running::start(folder.command(["load", "-", "--to", to, "--json"]));
            running.wait_until_it_hauls();
            running.signal(signal);
            let ran = assert_interrupted(running.end());
            assert!(ran.took < Duration::from_secs(2), "at once: {}", ran.told());
            ran.report().has("lines_read 0, indexed 0");
        }
    }
}

/// What came before is finished and told.
#[test]
fn ctrl_c_on_an_idle_pipe_after_some_lines() {
    let folder = Folder::new();
    let mut running = Running::start(folder.command(["load", "-", "--to", "-", "--json"]));
    running.write(logs::lines(3).as_bytes());
    for _ in 0..3 {
        assert!(running.read_line().starts_with('{'), "documents come while the pipe is open");
    }
    running.signal(Signal::INT);
    let ran = assert_interrupted(running.end());
    assert!(ran.took < Duration::from_secs(2), "at once: {}", ran.told());
    ran.report().has("lines_read 3, indexed 3, unsettled 0");
}

/// In the middle of work it ends in order: whole documents, both laws.
#[test]
fn ctrl_c_in_the_middle_of_a_load() {
    let folder = Folder::new();
    let (log, _) = logs::generate(logs::Options { bytes: Some(40 << 20), seed: 81, ..logs::Options::default() });
    folder.write_settled("access.log", &log);
    let mut running =
        Running::start(folder.command(["load", "access.log", "--to", "-", "--json", "--memory", "32MiB"]));
    let first = running.read_line();
    running.signal(Signal::INT);
    let ran = assert_interrupted(running.end());
    assert!(first.starts_with('{'));
    let report = ran.report();
    assert!(report.count("lines_read") < 200_000, "it stopped early: {}", report.count("lines_read"));
    assert_eq!(report.count("indexed"), ran.documents().len() as u64 + 1, "what is told as written is written");
}

/// A second Ctrl-C does not wait for anything.
#[test]
fn ctrl_c_twice_ends_now() {
    let folder = Folder::new();
    let (log, _) = logs::generate(logs::Options { bytes: Some(40 << 20), seed: 82, ..logs::Options::default() });
    folder.write_settled("access.log", &log);
    // Nobody reads our standard output, so that what is in flight cannot be finished.
    let mut running = Running::start(folder.command(["load", "access.log", "--to", "-", "--memory", "32MiB"]));
    running.read_line();
    running.signal(Signal::INT);
    let since = Instant::now();
    let status = loop {
        // Two signals that are pending at once are one.
        running.signal(Signal::INT);
        if let Some(status) = running.ended() {
            break status;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "the second Ctrl-C is not heard");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
}

/// `parse | head -1`: a clean end.
#[test]
fn a_reader_that_has_seen_enough() {
    let folder = Folder::new();
    let (log, _) = logs::generate(logs::Options { bytes: Some(40 << 20), seed: 83, ..logs::Options::default() });
    folder.write_settled("access.log", &log);
    for arguments in [&["parse", "access.log"][..], &["load", "access.log", "--to", "-", "--json"]] {
        let mut running = Running::start(folder.command(arguments));
        assert!(running.read_line().starts_with('{'));
        running.close_stdout();
        let ran = running.end().ends_with(0);
        assert!(!ran.stderr.to_lowercase().contains("broken pipe"), "{}", ran.told());
        if arguments.contains(&"--json") {
            ran.report();
        }
    }
    // A reader that was never there.
    for arguments in [&["parse", "access.log"][..], &["--help"], &["load", "--help"], &["setup", "--print"]] {
        let mut running = Running::start(folder.command(arguments));
        running.close_stdout();
        running.end().ends_with(0);
    }
}

/// A full disk behind standard output is no clean end.
#[test]
fn standard_output_on_a_full_disk() {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(5_000));
    let mut command = folder.command(["parse", "access.log"]);
    command.stdout(File::options().write(true).open("/dev/full").expect("/dev/full"));
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 4)), "{}: {stderr}", output.status);
    assert!(stderr.to_lowercase().contains("no space left"), "{stderr}");
}

/// Lines show while the pipe is open, and are told apart from the rest of a line that is not there yet.
#[test]
fn lines_of_an_open_pipe_come_out_one_by_one() {
    let folder = Folder::new();
    let mut running = Running::start(folder.command(["parse", "-", "--json"]));
    for n in 0..5 {
        let line = logs::line(n) + "\n";
        let (start, end) = line.as_bytes().split_at(30);
        running.write(start);
        std::thread::sleep(Duration::from_millis(30));
        running.write(end);
        let document = running.read_line();
        assert!(document.contains(&format!("\"bytes\":{n}")), "line {n}: {document}");
    }
    let ran = running.finish().ends_with(0);
    ran.report().has("lines_read 5, indexed 5");
}

/// `tail -f access.log | loghaul load -`: a line is found within two seconds.
#[test]
#[ignore = "needs a real OpenSearch: scripts/test"]
fn tail_f_into_the_node() {
    let node = Node::shared("tail");
    let folder = Folder::new();
    let index = node.name("%Y-%m");
    let load = ["load", "-", "--to", &node.url, "--index", &index, "--no-ledger", "--json"];
    let mut running = Running::start(folder.command(load));
    // The first line waits for a template and a new index. Each waits for the one before it, so none can be pushed on
    // by the next; the fastest is what the program needs, the others what the machine was doing besides.
    let mut took = Vec::new();
    for n in 0..4 {
        running.write(format!("{}\n", logs::line(n)).as_bytes());
        took.push(running.wait_for("its line in the node", || node.count(&node.name("*")) == n as u64 + 1));
    }
    let fastest = took.iter().min().unwrap();
    assert!(*fastest < Duration::from_secs(2), "{took:?}");

    running.signal(Signal::INT);
    let ran = assert_interrupted(running.end());
    assert!(ran.took < Duration::from_secs(2), "at once: {}", ran.told());
    ran.report().has("lines_read 4, indexed 4, unsettled 0");
}

/// A large log, and the program in the middle of it: nobody takes its output, so it cannot be further than its memory
/// lets it.
fn in_the_middle_of(folder: &Folder, settled: bool) -> (Running, Vec<u8>, String) {
    let (log, _) = logs::generate(logs::Options { bytes: Some(64 << 20), seed: 84, ..logs::Options::default() });
    if settled {
        folder.write_settled("access.log", &log);
    } else {
        folder.write("access.log", &log);
    }
    let flags = ["--to", "-", "--json", "--memory", "32MiB", "--ingestion-timestamp", "2024-06-01T00:00:00Z"];
    let mut running = Running::start(folder.command([&["load", "access.log"], &flags[..]].concat()));
    let first = running.read_line();
    (running, log, first)
}

/// Read, it is a file that ends early: its whole lines are loaded, and the run goes on.
#[test]
fn a_file_truncated_while_it_is_read() {
    let folder = Folder::new();
    let (running, log, first) = in_the_middle_of(&folder, false);
    let file = File::options().write(true).open(folder.path().join("access.log")).unwrap();
    file.set_len(1 << 20).unwrap();
    let ran = running.end();
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{}", ran.told());
    let report = ran.report();
    let documents = ran.documents();
    assert_eq!(report.count("indexed"), documents.len() as u64 + 1);
    let read = report.count("bytes_read") as usize;
    // Whole lines: the one that the cut goes through is not among them.
    assert!(((1 << 20) - 1_000..log.len()).contains(&read), "{read} bytes");
    // Lines of the log from its beginning, and nothing else.
    let expected =
        folder.run_with_stdin(&["parse", "-", "--ingestion-timestamp", "2024-06-01T00:00:00Z"], &log[..read]);
    assert!(
        [first.as_bytes(), &ran.stdout].concat() == expected.stdout,
        "the documents are those of the lines before the cut"
    );
}

/// Mapped, the missing pages end the run with a sentence.
#[test]
fn a_file_truncated_while_it_is_mapped() {
    let folder = Folder::new();
    let (running, ..) = in_the_middle_of(&folder, true);
    let file = File::options().write(true).open(folder.path().join("access.log")).unwrap();
    file.set_len(0).unwrap();
    running.end().ends_with(4).says(&["truncated"]);
}

/// Rotated away and removed: who has it open reads it to its end.
#[test]
fn a_file_removed_while_it_is_read() {
    for settled in [false, true] {
        let folder = Folder::new();
        let (running, log, _) = in_the_middle_of(&folder, settled);
        fs::remove_file(folder.path().join("access.log")).unwrap();
        let report = running.end().ends_with(0).report();
        assert_eq!(report.count("bytes_read"), log.len() as u64);
    }
}

/// A named pipe is read like standard input.
#[test]
fn a_named_pipe() {
    let folder = Folder::new();
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let mut running = Running::start(folder.command(["parse", "pipe", "--json"]));
    // Opening it waits for the program to open it, too.
    let mut writer = File::options().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut writer, logs::lines(2).as_bytes()).unwrap();
    assert!(running.read_line().starts_with('{'));
    drop(writer);
    running.finish().ends_with(0).report().has("lines_read 2, indexed 2");
}

/// A log that grows while it is read: what is there at its end is read, no line is cut, and the rest waits.
#[test]
fn a_file_that_grows_while_it_is_read() {
    let folder = Folder::new();
    let (running, log, _) = in_the_middle_of(&folder, false);
    let mut file = File::options().append(true).open(folder.path().join("access.log")).unwrap();
    std::io::Write::write_all(&mut file, (logs::lines(1_000) + &logs::line(1)).as_bytes()).unwrap();
    let ran = running.end().ends_with(0);
    let report = ran.report();
    let read = report.count("bytes_read") as usize;
    assert!([log.len(), log.len() + logs::lines(1_000).len()].contains(&read), "{read} of {}", log.len());
    assert_eq!(report.count("malformed"), 0);
}
