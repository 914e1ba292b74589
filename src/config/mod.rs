//! What is needed: flags checked together and completed with what the machine and the environment say.
//!
//! Each command has one plain struct here; the command hands each part of it to the stage whose options it fills.
//! Whatever is wrong is told in a sentence before the first byte is read.

pub mod ship; // which bodies go where
pub mod documents; // what a document holds, and the index it goes to
pub mod login; // who we are to the cluster, and whom we trust
pub mod profile; // settings of indices while they are loaded
pub mod memory; // how --memory is shared out, one line per holder
pub mod reload; // a new generation, and when the alias may move there
pub mod replay; // which dead letters go where
pub mod serverless; // what Amazon OpenSearch Serverless takes otherwise
pub mod setup; // names, and who is talked to
pub mod verify; // which run is compared with which cluster
pub mod sink; // where documents go, and with whose name

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::GlobBuilder;
use jiff::Timestamp;

pub use documents::{DocumentsConfig, With};
pub use memory::MemoryPlan;
pub use profile::ProfileConfig;
pub use replay::{Chosen, ReplayConfig};
pub use sink::{Server, Sink};

pub use crate::cli::values::After;
use crate::cli::values::{MaxRejected, When};
use crate::cli::{
    BenchArgs, Compress, Id, LedgerFlags, LoadArgs, MachineFlags, ParseArgs, ReportFlags, ServerFlags, SourceFlags,
    StoreFlags,
};
use crate::error::Error;
use crate::pipeline::report::progress;
use crate::stores::{self, Location};

/// All that `load` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// Where lines come from.
    pub sources: SourcesConfig,
    /// What becomes of them.
    pub documents: DocumentsConfig,
    /// Where documents go.
    pub sink: Sink,
    /// Only look.
    pub dry_run: bool,
    /// Which index, which id, how fast. Meant for [`Sink::OpenSearch`]; the others use what applies.
    pub writing: WritingConfig,
    /// What is remembered.
    pub ledger: LedgerConfig,
    /// Settings of indices while they are loaded.
    pub profile: Option<ProfileConfig>,
    /// Parser threads, 1 to 256.
    pub threads: u32,
    /// Who may hold how much.
    pub memory: MemoryPlan,
    /// What is told, and where.
    pub report: ReportConfig,
}

/// All that `parse` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseConfig {
    /// Where lines come from.
    pub sources: SourcesConfig,
    /// What becomes of them.
    pub documents: DocumentsConfig,
    /// Parser threads, 1 to 256.
    pub threads: u32,
    /// Who may hold how much; there are no writers.
    pub memory: MemoryPlan,
    /// What is told, and where.
    pub report: ReportConfig,
}

/// All that `bench` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchConfig {
    /// Where lines come from.
    pub sources: SourcesConfig,
    /// What becomes of them.
    pub documents: DocumentsConfig,
    /// How ids are made.
    pub id: Id,
    /// Parser threads, 1 to 256.
    pub threads: u32,
    /// Who may hold how much, but for the sample; there are no writers.
    pub memory: MemoryPlan,
    /// How much of the sources is measured with, in bytes.
    pub bytes_max: u64,
    /// How long is measured, in all.
    pub duration: Duration,
    /// The names of the rows to measure. Empty: all.
    pub rows: Vec<String>,
    /// How the figures are written, to standard output.
    pub form: Form,
}

/// Where lines come from.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcesConfig {
    /// In the order typed; `-` for standard input, at most once.
    pub sources: Vec<PathBuf>,
    /// Valid globs. Empty: all.
    pub include: Vec<String>,
    /// Valid globs. They win over `include`.
    pub exclude: Vec<String>,
    /// Only files modified at or after this, of directories and globs.
    pub newer_than: Option<Timestamp>,
    /// Only files modified before this, of directories and globs.
    pub older_than: Option<Timestamp>,
    /// What comes to nothing is an error.
    pub require_match: bool,
    /// How object stores are asked.
    pub stores: stores::Options,
    /// What becomes of objects that are loaded.
    pub after: Option<After>,
    /// Take a half last line even where more of it may come.
    pub take_last_line: bool,
    /// Longer lines are malformed. In bytes, the newline not counted (a carriage return before it is).
    pub line_bytes_max: u64,
    /// In place of the one source's path. Then there is one source, and it is no directory.
    pub source_name: Option<String>,
    /// Part of every id.
    pub namespace: String,
}

impl SourcesConfig {
    /// Whether any of them lies in an object store.
    pub fn has_objects(&self) -> bool {
        self.sources.iter().any(|source| location(source).is_some())
    }

    /// The size of all sources together, as they are stored; for progress only. None where one of them has no size that
    /// is known without a search (a pipe, a directory, a glob).
    pub fn stored_bytes(&self) -> Option<u64> {
        let size =
            |source: &PathBuf| std::fs::metadata(source).ok().filter(|file| file.is_file()).map(|file| file.len());
        self.sources.iter().map(size).sum()
    }
}

/// How documents are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct WritingConfig {
    /// A checked strftime pattern over the event time in UTC.
    pub index: String,
    /// The wildcard that matches every index of that pattern.
    pub index_wildcard: String,
    /// How ids are made.
    pub id: Id,
    /// The cluster's ingest pipeline.
    pub pipeline: Option<String>,
    /// `--bulk-bytes` as typed. The limit that holds is `memory.body_bytes`; typed, it stays where it is.
    pub body_bytes: Option<u64>,
    /// `--writers` as typed: so many, always. None: found while loading, at most `memory.writers_max`.
    pub writers: Option<u32>,
    /// Documents a second, all writers together.
    pub docs_per_second_max: Option<u64>,
    /// How bodies are compressed. `Auto` is decided by the client, which knows the host's address.
    pub compress: Compress,
    /// How long an answer is waited for.
    pub request_timeout: Duration,
    /// How long a refusing cluster is waited for.
    pub give_up_after: Duration,
    /// Where rejected documents are kept, if typed.
    pub dead_letters: Option<PathBuf>,
    /// When rejected documents stop the load.
    pub max_rejected: MaxRejected,
}

/// What is remembered between loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerConfig {
    /// Nothing: `--no-ledger`, or documents go to no cluster.
    Off,
    /// Which files were loaded, and how far.
    On {
        /// The SQLite file. It need not be there yet, nor its folder.
        path: PathBuf,
        /// Which run to go on with.
        resume: Option<Resume>,
        /// Load again what is loaded.
        again: bool,
    },
}

/// Which run to go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The last one of the same sources.
    Latest,
    /// The one of this name.
    Run(String),
}

/// What is told, how, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportConfig {
    /// The report as text or as JSON.
    pub form: Form,
    /// Where the report goes. Everything else that is told goes to standard error.
    pub stream: Stream,
    /// No summary where all went well (exit code 0). JSON is always written.
    pub quiet: bool,
    /// How progress is shown on standard error.
    pub progress: progress::Mode,
    /// 0, 1 (what each part decides) or 2 (each request).
    pub verbose: u8,
    /// Where malformed lines are kept.
    pub malformed: Option<PathBuf>,
    /// Which part of a file's lines may be malformed without exit code 3: 0 to 1.
    pub max_malformed: f64,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One object.
    Json,
}

/// One of the process's own streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error, because documents go to standard output.
    Stderr,
}

/// Gives the value of an environment variable.
pub type Variable = Box<dyn Fn(&str) -> Option<OsString>>;
/// Asks a question that is answered by yes or no.
pub type Confirm = Box<dyn Fn(&str) -> io::Result<bool>>;
/// Asks for a password with the given words.
pub type AskPassword = Box<dyn Fn(&str) -> io::Result<String>>;

/// What the machine and the environment say, so that tests can say otherwise.
pub struct Surroundings {
    /// When the run began.
    pub now: Timestamp,
    /// Cores that this process may use.
    pub cores: u32,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// Whether somebody is there to be asked.
    pub can_ask: bool,
    /// The environment.
    pub variable: Variable,
    /// The user's own folder.
    pub home: Option<PathBuf>,
    /// Asks for a password on the terminal, without showing it.
    pub ask_password: AskPassword,
    /// Asks on the terminal for a yes.
    pub confirm: Confirm,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Surroundings {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let stderr_is_terminal = io::stderr().is_terminal();
        Surroundings {
            now: Timestamp::now(),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal,
            // Standard input may be the log. Who sees our messages can also be asked: the answer is read from /dev/tty.
            can_ask: stderr_is_terminal && std::fs::File::open("/dev/tty").is_ok(),
            variable: Box::new(|name| std::env::var_os(name)),
            home: std::env::home_dir(),
            ask_password: Box::new(|prompt| rpassword::prompt_password(prompt)),
            confirm: Box::new(confirm),
        }
    }

    /// Two cores, no terminal, no environment, 2024-03-01.
    #[cfg(test)]
    pub fn bare() -> Surroundings {
        Surroundings {
            now: "2024-03-01T12:00:00Z".parse().unwrap(),
            cores: 2,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            can_ask: false,
            variable: Box::new(|_| None),
            home: Some("/home/joe".into()),
            ask_password: Box::new(|prompt| Ok(format!("asked: {prompt}"))),
            confirm: Box::new(|_| Ok(false)),
        }
    }
}

/// Asks on the terminal. Whatever is not a yes is a no.
fn confirm(question: &str) -> io::Result<bool> {
    let mut terminal = std::fs::File::options().read(true).write(true).open("/dev/tty")?;
    write!(terminal, "{question} [y/N] ")?;
    let mut answer = String::new();
    io::BufReader::new(terminal).read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Completes what was typed after `load`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn load(args: &LoadArgs, around: &Surroundings) -> Result<LoadConfig, Error> {
    load_as(args, crate::cli::Profile::None, around)
}

/// The same, under `profile` unless another was typed.
fn load_as(args: &LoadArgs, profile: crate::cli::Profile, around: &Surroundings) -> Result<LoadConfig, Error> {
    let mut sources = sources(&args.sources, around)?;
    let documents = documents::documents(&args.documents, around)?;
    let index_wildcard = documents::index_wildcard(&args.server.index)?;
    files_apart(&sources.sources, args.report.malformed.as_deref(), args.server.dead_letters.as_deref())?;
    let threads = threads(&args.machine, around);
    // Last of what can fail for the sink: it may ask a person.
    let sink = sink::sink(&args.to, &args.server.login, around)?;
    serverless::check_body(&sink, args.server.bulk_bytes)?;
    let ledger = ledger(&args.ledger, &sink, around)?;
    let profile = profile::profile(&args.profile, profile, &sink, &ledger)?;
    sources.after = after(args.after.as_ref(), &sources.sources, &ledger)?;
    let server = match &sink {
        Sink::Stdout | Sink::Discard => None,
        // Those who pack bodies need what those who send them need, but for answers, which are small beside it.
        Sink::Directory(_) => Some(memory::ServerNeed {
            writers: args.server.writers,
            body_bytes: args.server.bulk_bytes,
            compress: true,
        }),
        Sink::OpenSearch(server) => Some(memory::ServerNeed {
            writers: args.server.writers,
            body_bytes: args.server.bulk_bytes,
            compress: match args.server.pace.compress {
                // The client looks the host up before it decides; until then there must be room.
                Compress::Auto => !server.is_near(),
                typed => typed != Compress::None,
            },
        }),
    };
    let memory = memory_plan(&args.machine, threads, &mut sources, server, around)?;
    let report = report(&args.report, sink == Sink::Stdout, around);
    let server = &args.server;
    Ok(LoadConfig {
        dry_run: args.dry_run,
        sources,
        documents,
        writing: WritingConfig {
            index: server.index.clone(),
            index_wildcard,
            id: server.id.unwrap_or_else(|| serverless::id_by_default(&sink)),
            pipeline: pipeline(server)?,
            body_bytes: server.bulk_bytes,
            writers: server.writers,
            docs_per_second_max: server.max_docs_per_second,
            compress: server.pace.compress,
            request_timeout: server.pace.request_timeout,
            give_up_after: server.pace.give_up_after,
            dead_letters: server.dead_letters.clone(),
            max_rejected: server.max_rejected,
        },
        sink,
        ledger,
        profile,
        threads,
        memory,
        report,
    })
}

/// Completes what was typed after `parse`.
///
/// # Errors
/// Wrong usage.
pub fn parse(args: &ParseArgs, around: &Surroundings) -> Result<ParseConfig, Error> {
    let mut sources = sources(&args.sources, around)?;
    files_apart(&sources.sources, args.report.malformed.as_deref(), None)?;
    let threads = threads(&args.machine, around);
    Ok(ParseConfig {
        documents: documents::documents(&args.documents, around)?,
        threads,
        memory: memory_plan(&args.machine, threads, &mut sources, None, around)?,
        report: report(&args.report, true, around),
        sources,
    })
}

/// Completes what was typed after `bench`.
///
/// # Errors
/// Wrong usage.
pub fn bench(args: &BenchArgs, around: &Surroundings) -> Result<BenchConfig, Error> {
    let mut sources = sources(&args.sources, around)?;
    let threads = threads(&args.machine, around);
    Ok(BenchConfig {
        documents: documents::documents(&args.documents, around)?,
        id: args.id,
        threads,
        memory: memory_plan(&args.machine, threads, &mut sources, None, around)?,
        bytes_max: args.bytes,
        duration: args.seconds,
        rows: args.rows.clone(),
        form: if args.json { Form::Json } else { Form::Text },
        sources,
    })
}

fn sources(flags: &SourceFlags, around: &Surroundings) -> Result<SourcesConfig, Error> {
    let stdin = Path::new("-");
    if flags.sources.iter().filter(|source| *source == stdin).count() > 1 {
        return Err(Error::usage("SOURCE - (standard input) is there twice"));
    }
    for source in &flags.sources {
        let text = source.to_string_lossy();
        if source.as_os_str().is_empty() {
            return Err(Error::usage("a SOURCE is empty").hint("a shell variable that is not set?"));
        }
        if let Some(Err(why)) = Location::of(&text) {
            return Err(Error::usage(format!("a SOURCE is a log: {why}")).hint("a cluster is named with --to"));
        }
    }
    if cfg!(not(feature = "aws"))
        && let Some(location) = flags.sources.iter().find_map(|source| location(source))
    {
        return Err(Error::usage(format!("{location}: this loghaul was built without object stores"))
            .hint("build it with the cargo feature aws, which is on by default"));
    }
    if let Some(name) = &flags.source_name {
        let one = match &flags.sources[..] {
            [one] if let Some(location) = location(one) => !location.is_prefix() && !location.is_glob(),
            [one] => {
                one == stdin || one.is_file() || !(one.is_dir() || one.to_string_lossy().contains(['*', '?', '[']))
            }
            _ => false,
        };
        if !one {
            return Err(Error::usage("--source-name is for one SOURCE that is one log"));
        }
        if name.is_empty() {
            return Err(Error::usage("--source-name is empty"));
        }
    }
    for (flag, globs) in [("--include", &flags.include), ("--exclude", &flags.exclude)] {
        for glob in globs {
            GlobBuilder::new(glob).literal_separator(true).build().map_err(|error| {
                Error::usage(format!("{flag} '{}': {}", glob.escape_debug(), error.kind())).hint("such as '*.log'")
            })?;
        }
    }
    let resolve = |flag: &str, when: Option<When>| {
        let resolved = when.map(|when| when.resolve(around.now)).transpose();
        resolved.map_err(|why| Error::usage(format!("{flag}: {why}")))
    };
    let newer_than = resolve("--newer-than", flags.newer_than)?;
    let older_than = resolve("--older-than", flags.older_than)?;
    Ok(SourcesConfig {
        sources: flags.sources.clone(),
        include: flags.include.clone(),
        exclude: flags.exclude.clone(),
        newer_than,
        older_than,
        require_match: flags.require_match,
        stores: stores(&flags.stores)?,
        after: None,
        take_last_line: flags.take_last_line,
        line_bytes_max: flags.max_line_bytes,
        source_name: flags.source_name.clone(),
        namespace: flags.namespace.clone(),
    })
}

fn stores(flags: &StoreFlags) -> Result<stores::Options, Error> {
    if let Some(url) = &flags.endpoint_url {
        let of_flag = |error: Error| Error { message: format!("--endpoint-url: {}", error.message), ..error };
        crate::opensearch::Address::parse(url).map_err(of_flag)?;
    }
    let (endpoint_url, sign) = (flags.endpoint_url.clone(), !flags.no_sign_request);
    Ok(stores::Options { endpoint_url, sign, ..stores::Options::default() })
}

/// What is taken away must be remembered as loaded, and lie where something can be taken away.
fn after(typed: Option<&After>, sources: &[PathBuf], ledger: &LedgerConfig) -> Result<Option<After>, Error> {
    let Some(after) = typed else { return Ok(None) };
    if *ledger == LedgerConfig::Off {
        return Err(Error::usage("--after needs the ledger, which says what is loaded, and documents that last")
            .hint("load into OpenSearch or a directory, without --no-ledger"));
    }
    match sources.iter().find(|source| location(source).is_none_or(|location| location.scheme.is_web())) {
        Some(other) => {
            Err(Error::usage(format!("--after is for objects of a store, which {} is not", other.display()))
                .hint("such as s3://BUCKET/PREFIX/"))
        }
        None => Ok(Some(after.clone())),
    }
}

/// Where a word lies in an object store, if it does.
fn location(word: &Path) -> Option<Location> {
    word.to_str().and_then(Location::of)?.ok()
}

/// Files that we write must not be files that we read, nor each other: writing cuts them to nothing first.
fn files_apart(sources: &[PathBuf], malformed: Option<&Path>, dead_letters: Option<&Path>) -> Result<(), Error> {
    let outputs = [("--malformed", malformed), ("--dead-letters", dead_letters)];
    for (flag, output) in outputs {
        let Some(output) = output else { continue };
        if output == Path::new("-") || output.as_os_str().is_empty() {
            return Err(Error::usage(format!("{flag} takes a file")));
        }
        if output.is_dir() {
            return Err(Error::usage(format!("{flag} {} is a directory", output.display())));
        }
        if sources.iter().any(|source| same_file(source, output)) {
            return Err(Error::usage(format!("{flag} {} is a SOURCE as well", output.display())));
        }
    }
    if let (Some(malformed), Some(dead_letters)) = (malformed, dead_letters)
        && (malformed == dead_letters || same_file(malformed, dead_letters))
    {
        return Err(Error::usage("--malformed and --dead-letters name the same file"));
    }
    Ok(())
}

/// Whether both are there and are one regular file, whatever their names. Two things may well go to one terminal or pipe.
fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn threads(flags: &MachineFlags, around: &Surroundings) -> u32 {
    flags.threads.unwrap_or(around.cores.clamp(1, 256))
}

fn memory_plan(
    flags: &MachineFlags,
    threads: u32,
    sources: &mut SourcesConfig,
    server: Option<memory::ServerNeed>,
    around: &Surroundings,
) -> Result<MemoryPlan, Error> {
    // More threads than cores, where typed, are paid for like cores.
    let cores = around.cores.max(threads);
    let (line_bytes_max, objects) = (sources.line_bytes_max, sources.has_objects());
    let plan =
        MemoryPlan::new(&memory::Need { memory: flags.memory, cores, threads, line_bytes_max, objects, server })?;
    if objects {
        sources.stores.read_ahead_bytes = usize::try_from(plan.read_ahead_bytes).unwrap_or(usize::MAX);
    }
    Ok(plan)
}

fn pipeline(flags: &ServerFlags) -> Result<Option<String>, Error> {
    match flags.pipeline.as_deref() {
        Some("") => Err(Error::usage("--pipeline is empty")),
        name => Ok(name.map(str::to_string)),
    }
}

fn ledger(flags: &LedgerFlags, sink: &Sink, around: &Surroundings) -> Result<LedgerConfig, Error> {
    if matches!(sink, Sink::Stdout | Sink::Discard) {
        return match flags.resume {
            Some(_) => Err(Error::usage(
                "--resume goes on with a load into OpenSearch or a directory; standard output and null: \
                                         keep no record",
            )),
            None => Ok(LedgerConfig::Off),
        };
    }
    if flags.no_ledger {
        return Ok(LedgerConfig::Off);
    }
    let path = match &flags.ledger {
        Some(path) => path.clone(),
        None => ledger_default(around)?,
    };
    let resume = flags.resume.as_ref().map(|run| run.clone().map_or(Resume::Latest, Resume::Run));
    Ok(LedgerConfig::On { path, resume, again: flags.again })
}

/// `$XDG_STATE_HOME/loghaul/ledger.db` (XDG Base Directory Specification 0.8: a relative path there counts as not set).
fn ledger_default(around: &Surroundings) -> Result<PathBuf, Error> {
    let state = (around.variable)("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| around.home.as_ref().map(|home| home.join(".local/state")));
    match state {
        Some(state) => Ok(state.join("loghaul/ledger.db")),
        None => {
            Err(Error::usage("there is no home folder for the ledger")
                .hint("name a file with --ledger, or --no-ledger"))
        }
    }
}

fn report(flags: &ReportFlags, documents_to_stdout: bool, around: &Surroundings) -> ReportConfig {
    let stream = if documents_to_stdout { Stream::Stderr } else { Stream::Stdout };
    let json_on_stderr = flags.json && stream == Stream::Stderr;
    // Documents on the same terminal would tear a bar, and JSON on standard error must stay alone.
    let progress = if flags.quiet || json_on_stderr || (documents_to_stdout && around.stdout_is_terminal) {
        progress::Mode::None
    } else if around.stderr_is_terminal {
        progress::Mode::Bar
    } else {
        progress::Mode::Lines
    };
    ReportConfig {
        form: if flags.json { Form::Json } else { Form::Text },
        stream,
        quiet: flags.quiet,
        progress,
        verbose: flags.verbose,
        malformed: flags.malformed.clone(),
        max_malformed: flags.max_malformed,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn typed(line: &str) -> Command {
        Cli::try_parse_from(std::iter::once("loghaul").chain(line.split_whitespace())).unwrap().command.unwrap()
    }

    fn load_with(line: &str, around: &Surroundings) -> Result<LoadConfig, String> {
        let Command::Load(args) = typed(&format!("load {line}")) else { panic!("{line}") };
        load(&args, around).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    fn check(line: &str) -> Result<LoadConfig, String> {
        load_with(line, &Surroundings::bare())
    }

    #[test]
    fn a_plain_load() {
        let config = check("a.log --to http://localhost:9200").unwrap();
        assert_eq!(config.threads, 2);
        assert_eq!(config.memory.total_bytes, 64 << 20);
        assert_eq!(config.writing.index_wildcard, "apache-access-log-*");
        assert_eq!((config.memory.writers_max, config.memory.compressed_bytes), (3, 0));
        assert_eq!(config.documents.ingestion_timestamp, Surroundings::bare().now);
        assert_eq!(config.report.stream, Stream::Stdout);
        assert_eq!(config.report.progress, progress::Mode::Lines);
        let path = "/home/joe/.local/state/loghaul/ledger.db".into();
        assert_eq!(config.ledger, LedgerConfig::On { path, resume: None, again: false });
    }

    #[test]
    fn what_depends_on_the_sink() {
        assert!(check("a.log --to https://h").unwrap().memory.compressed_bytes > 0);
        assert_eq!(check("a.log --to https://h --compress none").unwrap().memory.compressed_bytes, 0);
        assert_eq!(check("a.log --to null:").unwrap().memory.writers_max, 0);
        assert_eq!(check("a.log --to null: --ledger l.db --writers 3").unwrap().ledger, LedgerConfig::Off);
        assert_eq!(check("a.log --to -").unwrap().report.stream, Stream::Stderr);
        assert_eq!(check("a.log --to - --json").unwrap().report.progress, progress::Mode::None);
        assert_eq!(check("a.log --to null: --json").unwrap().report.progress, progress::Mode::Lines);
    }

    #[test]
    fn progress_is_a_bar_only_where_nothing_tears_it() {
        let terminal = || Surroundings { stdout_is_terminal: true, stderr_is_terminal: true, ..Surroundings::bare() };
        let mode = |line: &str| load_with(line, &terminal()).unwrap().report.progress;
        assert_eq!(mode("a.log --to null:"), progress::Mode::Bar);
        assert_eq!(mode("a.log --to null: --quiet"), progress::Mode::None);
        assert_eq!(mode("a.log --to -"), progress::Mode::None);
    }

    #[test]
    fn more_cores_get_more_memory() {
        let around = Surroundings { cores: 8, ..Surroundings::bare() };
        let config = load_with("a.log --to http://h", &around).unwrap();
        assert_eq!((config.threads, config.memory.total_bytes), (8, 160 << 20));
        assert_eq!(check("a.log --to http://h --threads 8").unwrap().memory.total_bytes, 160 << 20);
    }

    #[test]
    fn the_ledger_s_place() {
        let xdg = |value: &'static str| Surroundings {
            variable: Box::new(move |name| (name == "XDG_STATE_HOME").then(|| value.into())),
            home: None,
            ..Surroundings::bare()
        };
        let path = |around| match load_with("a.log --to http://h", &around).map(|config| config.ledger) {
            Ok(LedgerConfig::On { path, .. }) => Ok(path),
            Ok(LedgerConfig::Off) => panic!(),
            Err(error) => Err(error),
        };
        assert_eq!(path(xdg("/state")), Ok("/state/loghaul/ledger.db".into()));
        assert!(path(xdg("relative")).unwrap_err().starts_with("there is no home folder"));
    }

    #[test]
    fn what_does_not_go_together() {
        let cases = [
            ("- - --to null:", "SOURCE - (standard input) is there twice"),
            (
                "http://h --to null:",
                "a SOURCE is a log: http://h/ names a server and no file on it (a cluster is named with --to)",
            ),
            ("a b --to null: --source-name x", "--source-name is for one SOURCE that is one log"),
            ("src --to null: --source-name x", "--source-name is for one SOURCE that is one log"),
            ("a --to null: --include [", "--include '[': unclosed character class; missing ']' (such as '*.log')"),
            (
                "a --to null: --since 2024-02-01 --until 2024-01-01",
                "--since 2024-02-01T00:00:00Z is not before --until 2024-01-01T00:00:00Z: no line could pass",
            ),
            ("Cargo.toml --to null: --malformed ./Cargo.toml", "--malformed ./Cargo.toml is a SOURCE as well"),
            ("a --to null: --malformed src", "--malformed src is a directory"),
            ("a --to null: --malformed -", "--malformed takes a file"),
            ("a --to null: --malformed x --dead-letters x", "--malformed and --dead-letters name the same file"),
            (
                "a --to null: --resume",
                "--resume goes on with a load into OpenSearch or a directory; standard output and null: keep no record",
            ),
            ("a --to - --user joe", "--user is for OpenSearch, but documents go to standard output"),
            ("a --to localhost:9200", "--to localhost:9200 is no sink (did you mean http://localhost:9200?)"),
        ];
        for (line, says) in cases {
            assert_eq!(check(line).expect_err(line), says, "{line}");
        }
    }

    #[test]
    fn objects_need_what_speaks_with_stores() {
        let typed = check("s3://b/k --to null:");
        if cfg!(feature = "aws") {
            let config = typed.unwrap();
            assert!(config.sources.has_objects() && config.sources.stores.sign);
            assert_eq!(config.memory.total_bytes, 92 << 20);
        } else {
            assert_eq!(
                typed.unwrap_err(),
                "s3://b/k: this loghaul was built without object stores (build it with the cargo feature aws, which is on by default)"
            );
        }
    }

    #[test]
    fn the_size_of_sources_where_it_is_known() {
        let stored = |line: &str| check(line).unwrap().sources.stored_bytes();
        let size = std::fs::metadata("Cargo.toml").unwrap().len();
        assert_eq!(stored("Cargo.toml Cargo.toml --to null:"), Some(2 * size));
        assert_eq!(stored("Cargo.toml src --to null:"), None);
        assert_eq!(stored("- --to null:"), None);
    }

    #[test]
    fn parse_reports_on_standard_error() {
        let Command::Parse(args) = typed("parse a.log") else { panic!() };
        assert_eq!(parse(&args, &Surroundings::bare()).unwrap().report.stream, Stream::Stderr);
    }
}
