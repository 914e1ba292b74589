//! `loghaul-bench run`: the questions, one file each. What is compared takes turns, so that whatever else the machine does
//! falls on both alike; the median stands for a row, and the middle half of the values shows how steady it is.

mod stages; // each stage alone, by the formats and what makes lines hard
mod null; // all together to nowhere: plain, packed, from a pipe
mod bulk; // to a server that costs nothing: the loader's processor time
mod node; // into a real OpenSearch, beside the leanest sender
mod cores; // two cores against one
mod memory; // peaks of resident memory
mod files; // many small files against one
mod peers; // other loaders, on the same log and server

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::child::{self, Used};
use crate::figures::Part;
use crate::logs::Logs;
use crate::{Failure, null_server};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A minute or two: fewer rounds, smaller logs, no node
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Everything as long as it takes: 4 GiB of log for memory, pairs of a minute into a node (40 minutes)
    #[arg(long)]
    full: bool,
    /// Only this part (repeatable): stages, null, bulk, node, cores, memory, files, peers
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Also run other loaders that are on the PATH, on the same log and server
    #[arg(long)]
    peers: bool,
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write them to this file as the README has them, too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Put them into this file, between its two marks
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    readme: Option<PathBuf>,
    /// A real log to measure with, instead of a generated one
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// An empty folder for logs and for the node; whoever made it removes it, and stops the node if we were killed
    #[arg(long)]
    folder: PathBuf,
    /// The repository, for its scripts
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// The program
    #[arg(long)]
    loghaul: PathBuf,
    /// The generator
    #[arg(long)]
    generate: PathBuf,
}

/// How long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Length {
    Quick,
    Usual,
    Full,
}

/// What all parts need.
struct Bench {
    loghaul: PathBuf,
    /// This program.
    me: PathBuf,
    root: PathBuf,
    folder: PathBuf,
    logs: Logs,
    length: Length,
}

type Question = fn(&Bench) -> Result<Part, Failure>;

const PARTS: [(&str, Length, Question); 7] = [
    ("stages", Length::Quick, stages::stages),
    ("null", Length::Quick, null::null),
    ("bulk", Length::Quick, bulk::bulk),
    ("cores", Length::Quick, cores::cores),
    ("files", Length::Quick, files::files),
    ("memory", Length::Quick, memory::memory),
    ("node", Length::Usual, node::node),
];

/// Measures, and tells.
pub fn run(args: &Args) -> Result<(), Failure> {
    let known = || PARTS.iter().map(|(name, ..)| *name).chain(["peers"]);
    if let Some(unknown) = args.only.iter().find(|name| known().all(|known| known != **name)) {
        return Err(format!("--only {unknown}: these are {}", known().collect::<Vec<_>>().join(", ")).into());
    }
    let length = match (args.quick, args.full) {
        (true, _) => Length::Quick,
        (_, true) => Length::Full,
        _ => Length::Usual,
    };
    let folder = args.folder.canonicalize()?;
    let logs = Logs::new(&folder, args.generate.canonicalize()?, args.sample.as_deref())?;
    let bench = Bench {
        loghaul: args.loghaul.canonicalize()?,
        me: std::env::current_exe()?,
        root: args.root.canonicalize()?,
        folder,
        logs,
        length,
    };
    let machine = machine();
    println!("{}; {machine}", bench.logs.named);
    let mut parts = Vec::new();
    let wanted = |name: &str, least: Length| {
        if args.only.is_empty() { length >= least } else { args.only.iter().any(|only| only == name) }
    };
    let peers: Option<(&str, Length, Question)> =
        (args.peers || args.only.iter().any(|only| only == "peers")).then_some(("peers", Length::Quick, peers::peers));
    for (name, least, question) in PARTS.into_iter().chain(peers) {
        if name != "peers" && !wanted(name, least) {
            continue;
        }
        let part = question(&bench).unwrap_or_else(|failure| {
            let mut part = Part::new(name, name);
            part.absent.push(failure.to_string());
            part
        });
        print!("{}", part.table());
        parts.push(part);
    }
    let command = std::env::var("LOGHAUL_BENCH_COMMAND").unwrap_or_else(|_| "scripts/bench".to_owned());
    let date = String::from_utf8_lossy(&child::run(Command::new("date").args(["-u", "+%F"]))?.stdout).trim().to_owned();
    let measured = format!("{date}, {machine}, {}, by `{command}`", bench.logs.named);
    if let Some(out) = &args.out {
        let parts: Vec<Value> = parts.iter().map(Part::json).collect();
        let object =
            json!({"date": date, "machine": machine, "log": bench.logs.named, "command": command, "parts": parts});
        std::fs::write(out, format!("{object:#}\n"))?;
    }
    let text: String = parts.iter().map(Part::markdown).collect();
    let text = format!("Measured {measured}.\n{text}");
    if let Some(markdown) = &args.markdown {
        std::fs::write(markdown, &text)?;
    }
    if let Some(readme) = &args.readme {
        let old = std::fs::read_to_string(readme)?;
        std::fs::write(readme, between_marks(&old, &text).ok_or("the README has no marks for the figures")?)?;
    }
    Ok(())
}

/// Where the README's figures begin and end.
const MARKS: [&str; 2] = ["<!-- figures: written by scripts/bench --readme -->\n", "<!-- end of figures -->"];

/// `old` with `text` between its marks.
fn between_marks(old: &str, text: &str) -> Option<String> {
    let start = old.find(MARKS[0])? + MARKS[0].len();
    let end = start + old[start..].find(MARKS[1])?;
    Some([&old[..start], text, &old[end..]].concat())
}

/// Cores and the processor's name.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split(':').nth(1)).map(|value| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let number = field("model").map(|number| format!(", model {number}")).unwrap_or_default();
    format!("{cores} cores of {model}{number}")
}

impl Bench {
    /// So many rounds, where two things are compared.
    fn rounds(&self) -> usize {
        if self.length == Length::Quick { 5 } else { 11 }
    }

    /// `loghaul load`, which remembers nothing.
    fn load(&self, source: &Path, to: &str) -> Command {
        let mut command = Command::new(&self.loghaul);
        command.arg("load").arg(source).args(["--to", to, "--json", "--quiet"]).stdin(Stdio::null());
        if to != "null:" {
            command.arg("--no-ledger");
        }
        command
    }

    /// Unpacking alone.
    fn unpack(&self, source: &Path) -> Command {
        let mut command = Command::new(&self.me);
        command.arg("unpack").arg(source).stdin(Stdio::null());
        command
    }

    /// `loghaul bench` of these rows, for at least so many rounds; what it tells.
    fn rows(&self, source: &Path, threads: u32, rows: &str) -> Result<Value, Failure> {
        let seconds = if self.length == Length::Quick { "2s" } else { "8s" };
        let mut command = Command::new(&self.loghaul);
        command.arg("bench").arg(source).args(["--json", "--bytes", "256MiB", "--seconds", seconds, "--rows", rows]);
        command.args(["--threads", &threads.to_string()]).stdin(Stdio::null());
        Ok(serde_json::from_slice(&child::run(&mut command)?.stdout)?)
    }

    /// A null bulk server, and its URL.
    fn null_server(&self, arguments: &[&str]) -> Result<Server, Failure> {
        let mut command = Command::new(&self.me);
        command.arg("null-server").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let url = null_server::url_of(child.stdout.take().ok_or("standard output is piped")?)?;
        Ok(Server { child, url })
    }
}

/// A process that is ended when it is let go.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// `127.0.0.1:9200`.
    fn address(&self) -> &str {
        self.url.split("//").nth(1).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets each of `runs` take its turn, round by round, after one round that does not count. Every other round goes the
/// other way round, so that nobody always follows the same one.
fn in_turn<const N: usize>(
    rounds: usize,
    mut run: impl FnMut(usize) -> Result<Used, Failure>,
) -> Result<[Vec<Used>; N], Failure> {
    let mut all = [(); N].map(|()| Vec::new());
    for round in 0..=rounds {
        for place in 0..N {
            let which = if round % 2 == 0 { place } else { N - 1 - place };
            let used = run(which)?;
            if round > 0 {
                all[which].push(used);
            }
        }
    }
    Ok(all)
}

/// What loghaul's report says: lines read, bytes read.
fn read(report: &[u8]) -> Result<(u64, u64), Failure> {
    let report: Value = serde_json::from_slice(report)?;
    let number = |name: &str| report[name].as_u64().ok_or_else(|| format!("the report tells no {name}"));
    Ok((number("lines_read")?, number("bytes_read")?))
}

/// A figure of a row of `loghaul bench --json`: its five numbers as bytes of log per nanosecond (GB/s).
fn speed(told: &Value, row: &str) -> Result<crate::figures::Five, Failure> {
    let rows = told["rows"].as_array().ok_or("no rows")?;
    let found = rows.iter().find(|found| found["name"] == row).ok_or_else(|| format!("no row {row}"))?;
    let at = |name: &str| found["ns_per_byte"][name].as_f64().map_or(f64::NAN, |value| 1.0 / value);
    Ok(crate::figures::Five {
        least: at("most"),
        lower: at("upper_quartile"),
        median: at("median"),
        upper: at("lower_quartile"),
        most: at("least"),
        count: told["rounds"].as_u64().unwrap_or(0) as usize,
    })
}
