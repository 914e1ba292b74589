//! Other loaders, on the same log and the same server. Each one's own configuration lies in `bench/peers/`; what is not
//! on this machine is named.

use std::process::{Command, Stdio};

use super::{Bench, Server, in_turn, read};
use crate::figures::{Five, Goal, Part};
use crate::{Failure, child};

/// How a peer is started.
struct Peer {
    name: &'static str,
    /// What must be on the PATH, and what shows that it works.
    program: &'static str,
    probe: &'static [&'static str],
    what: &'static str,
    command: fn(&Bench, &Server) -> Result<Command, Failure>,
    /// Whether documents come to the server.
    sends: bool,
}

const PEERS: [Peer; 7] = [
    Peer {
        name: "opensearch-py",
        program: "python3",
        probe: &["-c", "import opensearchpy"],
        what: "opensearch-py, a regex, parallel_bulk",
        command: opensearch_py,
        sends: true,
    },
    Peer {
        name: "esbulk",
        program: "esbulk",
        probe: &["-v"],
        what: "esbulk, documents made by loghaul parse beforehand",
        command: esbulk,
        sends: true,
    },
    Peer {
        name: "vector",
        program: "vector",
        probe: &["--version"],
        what: "vector, parse_apache_log",
        command: vector,
        sends: true,
    },
    Peer {
        name: "fluent-bit",
        program: "fluent-bit",
        probe: &["--version"],
        what: "fluent-bit, its apache2 parser",
        command: fluent_bit,
        sends: true,
    },
    Peer {
        name: "logstash",
        program: "logstash",
        probe: &["--version"],
        what: "logstash, grok COMBINEDAPACHELOG",
        command: logstash,
        sends: true,
    },
    Peer {
        name: "filebeat",
        program: "filebeat",
        probe: &["version"],
        what: "filebeat, lines as they are",
        command: filebeat,
        sends: true,
    },
    Peer {
        name: "goaccess",
        program: "goaccess",
        probe: &["--version"],
        what: "GoAccess, parsing and its report, no server",
        command: goaccess,
        sends: false,
    },
];

pub fn peers(bench: &Bench) -> Result<Part, Failure> {
    let mut part = Part::new("peers", "Other programs on the same log, processor time");
    let server = bench.null_server(&[])?;
    let log = &log(bench)?;
    let [ours] = in_turn::<1>(5, |_| child::run(bench.load(log, &server.url).args(["--compress", "none"])))?;
    let (lines, _) = read(&ours[0].stdout)?;
    let per_line = |cpu: f64| cpu / lines as f64 * 1e6;
    let add = |part: &mut Part, what: &str, runs: &[child::Used]| {
        let wall = Five::of(runs.iter().map(|used| lines as f64 / used.wall / 1e3));
        let beside = format!("{:.0} k lines/s", wall.median);
        part.add(what, "µs a line", Five::of(runs.iter().map(|used| per_line(used.cpu))), Goal::None, beside);
    };
    add(&mut part, "loghaul", &ours);
    for peer in &PEERS {
        let probe = Command::new(peer.program)
            .args(peer.probe)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !probe.is_ok_and(|status| status.success()) {
            part.absent.push(format!("{}: it is not on this machine", peer.name));
            continue;
        }
        let run = || -> Result<Vec<child::Used>, Failure> {
            let mut runs = Vec::new();
            for _ in 0..if bench.length == super::Length::Quick { 1 } else { 3 } {
                let before = crate::null_server::documents_at(server.address())?;
                let mut command = (peer.command)(bench, &server)?;
                runs.push(child::run(command.current_dir(&bench.folder))?);
                let came = crate::null_server::documents_at(server.address())? - before;
                // A loader may drop or split odd lines; one that drops many does less work than is counted.
                if peer.sends && came < lines * 95 / 100 {
                    return Err(format!("only {came} of {lines} documents came").into());
                }
            }
            Ok(runs)
        };
        match run() {
            Ok(runs) => add(&mut part, peer.what, &runs),
            Err(failure) => part.absent.push(format!("{}: {failure}", peer.name)),
        }
    }
    Ok(part)
}

/// The log that all of them load. Once is quick, but then the start of a program counts.
fn log(bench: &Bench) -> Result<std::path::PathBuf, Failure> {
    if bench.length == super::Length::Quick { Ok(bench.logs.once().to_owned()) } else { bench.logs.plain() }
}

fn own(bench: &Bench, name: &str) -> std::path::PathBuf {
    bench.root.join("bench/peers").join(name)
}

/// A configuration of ours, with the log, the server and a folder of its own filled in.
fn filled(bench: &Bench, server: &Server, name: &str) -> Result<std::path::PathBuf, Failure> {
    let (host, port) = server.address().split_once(':').ok_or("an address has a port")?;
    let state = tempfile::Builder::new().prefix("state.").tempdir_in(&bench.folder)?.keep();
    let text = std::fs::read_to_string(own(bench, name))?
        .replace("@LOG@", &log(bench)?.to_string_lossy())
        .replace("@HOST@", host)
        .replace("@PORT@", port)
        .replace("@STATE@", &state.to_string_lossy());
    let path = state.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn opensearch_py(bench: &Bench, server: &Server) -> Result<Command, Failure> {
    let mut command = Command::new("python3");
    command.arg(own(bench, "opensearch_py.py")).arg(log(bench)?).arg(&server.url).stdin(Stdio::null());
    Ok(command)
}

fn esbulk(bench: &Bench, server: &Server) -> Result<Command, Failure> {
    let documents = bench.folder.join("documents.ndjson");
    if !documents.exists() {
        let output = std::fs::File::create(&documents)?;
        let mut command = Command::new(&bench.loghaul);
        command.arg("parse").arg(log(bench)?).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        if !command.status()?.success() {
            return Err("loghaul parse failed".into());
        }
    }
    let mut command = Command::new("esbulk");
    command.args(["-server", &server.url, "-index", "bench", "-optype", "create", "-size", "10000", "-w", "2"]);
    command.arg(documents).stdin(Stdio::null());
    Ok(command)
}

fn vector(bench: &Bench, server: &Server) -> Result<Command, Failure> {
    let mut command = Command::new("vector");
    command.args(["--quiet", "--config"]).arg(filled(bench, server, "vector.toml")?);
    command.stdin(std::fs::File::open(log(bench)?)?);
    Ok(command)
}

fn fluent_bit(bench: &Bench, server: &Server) -> Result<Command, Failure> {
    let mut command = Command::new("fluent-bit");
    command.args(["--quiet", "-c"]).arg(filled(bench, server, "fluent-bit.conf")?).stdin(Stdio::null());
    Ok(command)
}

fn logstash(bench: &Bench, server: &Server) -> Result<Command, Failure> {
    let config = filled(bench, server, "logstash.conf")?;
    let mut command = Command::new("logstash");
    command.arg("-f").arg(&config).arg("--path.data").arg(config.parent().ok_or("a file lies in a folder")?);
    command.stdin(std::fs::File::open(log(bench)?)?);
    Ok(command)
}

fn filebeat(bench: &Bench, server: &Server) -> Result<Command, Failure> {
    let mut command = Command::new("filebeat");
    command.args(["--once", "-c"]).arg(filled(bench, server, "filebeat.yml")?).stdin(Stdio::null());
    Ok(command)
}

fn goaccess(bench: &Bench, _: &Server) -> Result<Command, Failure> {
    let mut command = Command::new("goaccess");
    command.arg(log(bench)?).args(["--log-format=COMBINED", "--no-global-config", "--no-progress", "-o"]);
    command.arg(bench.folder.join("goaccess.json")).stdin(Stdio::null());
    Ok(command)
}
