//! `generate-log` as a shell calls it.

use std::io::Read;
use std::process::{Command, Output, Stdio};

use loghaul_testdata::{Format, Generator, Options};

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_generate-log"));
    command.args(flags).stdin(Stdio::null());
    command
}

fn run(flags: &[&str]) -> Output {
    command(flags).output().unwrap()
}

#[test]
fn it_writes_what_the_library_writes() {
    let options = Options {
        seed: 9,
        lines: Some(2_000),
        format: Format::Combinedio,
        share_malformed: 5_000,
        crlf: true,
        ..Options::default()
    };
    let mut expected = Vec::new();
    let summary = Generator::new(options).write_all(&mut expected).unwrap();
    let flags = ["--seed=9", "--lines=2k", "--format=combinedio", "--malformed=5000", "--crlf", "--summary"];
    let output = run(&flags);
    assert!(output.status.success());
    assert_eq!(output.stdout, expected);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), summary.to_json() + "\n");
}

#[test]
fn a_closed_pipe_is_a_clean_end() {
    let mut child =
        command(&["--bytes=1GiB", "--summary"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 1_000];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap(); // and closes it
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn wrong_flags_and_places_are_told() {
    for (flags, code, message) in [
        (&["--months=0"][..], 2, "generate-log: months and days are both 0"),
        (&["--zone=CET"], 2, "such as +0100"),
        (&["--lines=many"], 2, "take k, M, G"),
        (&["--format=nginx"], 2, "vhost_combined"),
        (&["--output=/nowhere/log"], 1, "generate-log: could not write /nowhere/log: "),
    ] {
        let output = run(flags);
        assert_eq!(output.status.code(), Some(code), "{flags:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(message), "{flags:?}: {stderr}");
    }
}
