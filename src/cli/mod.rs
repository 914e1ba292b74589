//! What was typed: commands and flags, each value checked alone, without any effect.
//!
//! What the flags mean together, and with this machine, is worked out in [`crate::config`]. Help is part of the program:
//! each flag says its unit, its default and its range, and each command ends with examples.

pub mod settings; // flags from the environment and from a file
mod bench; // bench's own
mod ship; // ship's own
mod flags; // groups of flags that several commands share
mod login; // who we are to OpenSearch
mod profile; // the load profile's, and restore's
mod reload; // reload's and rollback's own
mod replay; // replay's own
mod runs; // runs' own
mod setup; // setup's own
mod verify; // verify's own
pub mod values; // how sizes, durations, times, shares and pairs are written

pub use bench::BenchArgs;
use clap::{Args, Parser, Subcommand};
pub use flags::{
    Compress, DocumentFlags, Extra, Format, INDEX_DEFAULT, Id, LedgerFlags, MachineFlags, Mask, ReportFlags, Schema,
    ServerFlags, SourceFlags, StoreFlags,
};
pub use login::{AwsService, LoginFlags};
pub use profile::{Profile, ProfileFlags, RestoreArgs};
pub use reload::{ReloadArgs, RollbackArgs};
pub use replay::ReplayArgs;
pub use runs::{RunsArgs, RunsCommand};
pub use setup::{Print, SetupArgs};
pub use ship::ShipArgs;
pub use verify::VerifyArgs;

/// What `loghaul` without a command prints (to standard error, exit code 2).
pub const GUIDE: &str = "\
loghaul hauls Apache access logs into OpenSearch and accounts for every line.

  loghaul load access.log --to http://localhost:9200     load a log
  loghaul load logs/*.gz --to http://localhost:9200      many logs, plain, gzip or zstd
  zcat access.log.gz | loghaul load - --to URL           from a pipe
  loghaul parse access.log                               see the documents, no server needed
  loghaul setup --to http://localhost:9200               set the cluster up: template, alias, dashboard
  loghaul bench access.log                               how fast each stage is on this machine
  loghaul reload web logs/*.gz --to URL                  everything anew, behind the alias web
  loghaul replay dead-letters.ndjson --to URL            send rejected documents again
  loghaul ship /var/spool/loghaul --to URL               send what load --to dir:PATH has written
  loghaul runs                                           what was loaded, and when

loghaul COMMAND --help tells all flags of a command, with examples.
";

const EXIT_CODES: &str = "\
Exit codes, the first that fits:
  2    wrong usage
  130  interrupted (Ctrl-C, SIGTERM, SIGHUP)
  4    stopped early; the same load goes on later
  1    something could not be done: a missing or damaged file, no server
  3    done, but documents were rejected, or a file is malformed beyond --max-malformed
  0    all lines accounted for";

const LOAD_EXAMPLES: &str = "\
Examples:
  loghaul load access.log --to http://localhost:9200
  loghaul load /var/log/apache2 --exclude '*error*' --to http://localhost:9200
  loghaul load 'logs/*.gz' --since 2024-01-01 --until 2024-02-01 --to http://localhost:9200
  zcat access.log.gz | loghaul load - --source-name web1/access.log --to http://localhost:9200
  tail -F access.log | loghaul load - --to http://localhost:9200
  loghaul load access.log --index 'web-%Y-%m-%d' --field site=shop --to http://localhost:9200
  loghaul load access.log --to https://joe@search.example.com:9200     (asks for the password)
  loghaul load access.log --to http://node1:9200 --to http://node2:9200 --json --quiet
  loghaul load 'logs/*.gz' --profile bulk --to http://localhost:9200    (no refresh, no replicas meanwhile)
  loghaul load access.log --to dir:/var/spool/loghaul                   (for loghaul ship)
  loghaul load access.log --to null: --malformed junk.ndjson            (a rehearsal, no server)

Exit codes, the first that fits:
  2    wrong usage
  130  interrupted (Ctrl-C, SIGTERM, SIGHUP)
  4    stopped early; the same load goes on later
  1    something could not be done: a missing or damaged file, no server
  3    done, but documents were rejected, or a file is malformed beyond --max-malformed
  0    all lines accounted for:
       lines read = indexed + duplicate + rejected + malformed + blank";

const PARSE_EXAMPLES: &str = "\
Examples:
  loghaul parse access.log | head -n 3
  loghaul parse access.log.gz --with source,message > documents.ndjson
  loghaul parse access.log --format common --malformed junk.ndjson > /dev/null
  tail -F access.log | loghaul parse - | jq -r .clientip

Documents go to standard output in the order of the lines, the summary to standard error.
Exit codes: 0 all accounted for, 3 too many malformed lines, 1 a file could not be read, 2 wrong usage.";

/// Hauls Apache access logs into OpenSearch and accounts for every line.
///
/// lines read = indexed + duplicate + rejected + malformed + blank, for each file and each run.
#[derive(Debug, Parser)]
#[command(name = "loghaul", version, max_term_width = 100, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// Take flags from this file (TOML), where neither they nor LOGHAUL_* variables say otherwise
    ///
    /// Names are those of the flags, without dashes before them; at the top for all commands, or in a table such as
    /// `[load]` for one. LOGHAUL_CONFIG names the file, too. loghaul config shows which values hold, and why.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Configuration")]
    pub config: Option<std::path::PathBuf>,

    /// None where only `loghaul` was typed: [`GUIDE`] is the answer.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load access logs into OpenSearch
    ///
    /// Reads plain, gzip and zstd logs, parses them on all cores and ships the documents through the Bulk API. Safe to
    /// run again: each line has an id of its own, so that what is there already is counted as duplicate, not doubled.
    #[command(after_help = "loghaul load --help tells more, with examples.", after_long_help = LOAD_EXAMPLES)]
    Load(Box<LoadArgs>),

    /// Print access logs as documents, one JSON object per line
    ///
    /// Gives the documents that load would send, in the order of the lines. Needs no server.
    #[command(after_help = "loghaul parse --help tells more, with examples.", after_long_help = PARSE_EXAMPLES)]
    Parse(Box<ParseArgs>),

    /// Send the bodies that load --to dir:PATH has written
    ///
    /// From here or from another machine, with the guarantees of load: each body is compared with its checksum before any
    /// of it is sent, trouble is met by retries and pauses, what is rejected is kept, and a ship that was stopped or killed
    /// goes on when it is run again. Documents have the ids that a direct load would give them.
    #[command(after_help = "loghaul ship --help tells more, with examples.", after_long_help = ship::EXAMPLES)]
    Ship(Box<ShipArgs>),

    /// Show which values a command's flags have where they are not typed, and who says so
    ///
    /// The environment (LOGHAUL_INDEX for --index), then the file of --config, then the program. Printed as such a file.
    Config(ConfigArgs),

    /// Print a script that completes loghaul's command line
    ///
    /// bash: loghaul completions bash > /etc/bash_completion.d/loghaul. zsh: > a folder of $fpath, as _loghaul.
    /// fish: > ~/.config/fish/completions/loghaul.fish.
    Completions {
        /// Whose
        #[arg(value_name = "SHELL", value_enum)]
        shell: clap_complete::Shell,
    },

    /// Print the man page, or write all of them into a folder
    Man {
        /// Such as /usr/local/share/man/man1
        #[arg(value_name = "DIR")]
        folder: Option<std::path::PathBuf>,
    },

    /// Tell how fast each stage is on this machine, beside the machine's own limits
    ///
    /// Measures reading, unpacking, cutting, parsing, serializing, and all together to nowhere, in lines and bytes of the
    /// log per second, beside copying memory, counting newlines and inflating alone. Needs no server.
    #[command(after_help = "loghaul bench --help tells more, with examples.", after_long_help = bench::EXAMPLES)]
    Bench(Box<BenchArgs>),

    /// Set a cluster up for the documents: index template, alias, deletion by age, dashboard
    ///
    /// Puts a composable index template that fits the documents (dates, long numbers, keywords) for the indices of
    /// --index, and one alias over them all. Run again it changes nothing; a newer loghaul updates what an older one
    /// has put; what others have made is never touched without --force. load puts the template, too, where none
    /// matches and it may.
    #[command(after_help = "loghaul setup --help tells more, with examples.", after_long_help = setup::EXAMPLES)]
    Setup(Box<SetupArgs>),

    /// Send rejected documents again, once what was wrong is mended
    ///
    /// Takes the dead letters that load keeps, and sends each document again under its own id, so that what is there
    /// already is counted as duplicate, not doubled. What is rejected again goes to a new file.
    #[command(after_help = "loghaul replay --help tells more, with examples.", after_long_help = replay::EXAMPLES)]
    Replay(ReplayArgs),

    /// Load everything anew beside the data in use, and move an alias there at once
    ///
    /// Readers of the alias see the old documents until all new ones are there and counted, and then the new ones. A
    /// reload that is interrupted or does not add up changes nothing for them. Loads under --profile bulk unless told
    /// otherwise (--profile none).
    #[command(after_help = "loghaul reload --help tells more, with examples.", after_long_help = reload::RELOAD_EXAMPLES)]
    Reload(Box<ReloadArgs>),

    /// Move an alias back to the generation before
    ///
    /// The one that it leaves stays, and counts among those that the next reload keeps.
    #[command(after_long_help = reload::ROLLBACK_EXAMPLES)]
    Rollback(RollbackArgs),

    /// Put back the settings of indices that a killed load has left without refresh and replicas
    ///
    /// load --profile bulk puts them back by itself; after a kill -9 or a power cut the next load does, or this. Indices
    /// that a load is still at work on are left to it. Without anything to do it says so; exit code 0.
    #[command(after_long_help = profile::RESTORE_EXAMPLES)]
    Restore(RestoreArgs),

    /// Compare what the ledger says of a run with what is in the cluster
    ///
    /// Counts each index that the run wrote to, reads its sources once more where they are still what was loaded, and asks
    /// for some of their lines by id. More documents than expected are no fault: other runs may write there, too.
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(VerifyArgs),

    /// Tell what was loaded: runs, their files and sums
    ///
    /// Reads the ledger that load keeps. Without a command: all runs, the newest first.
    #[command(after_long_help = runs::EXAMPLES)]
    Runs(RunsArgs),
}

/// `loghaul config [COMMAND]`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Whose flags
    #[arg(value_name = "COMMAND", default_value = "load")]
    pub command: String,
}

/// `loghaul load SOURCE... --to SINK`
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sources: SourceFlags,

    /// Where documents go: http(s)://HOST:PORT of OpenSearch, dir:PATH, - for standard output, null: for nowhere
    ///
    /// Given several times, the OpenSearch hosts of one cluster share the load. A path after the host is kept, for
    /// clusters behind a proxy. dir:PATH writes numbered, compressed bodies and a manifest, which loghaul ship sends from
    /// here or elsewhere. - writes documents as NDJSON in the order of the lines; null: does everything but
    /// send, to measure or to rehearse.
    #[arg(long, value_name = "SINK", required = true)]
    pub to: Vec<String>,

    /// Look at everything and send nothing: server, rights, mapping, room; and how much the load will be
    ///
    /// Sources are sampled (packed ones unpacked, for some seconds) and go through the parser. Files that the ledger has
    /// as loaded are left out, as they will be. Exit code 1 where the load would fail. A short form of it comes before
    /// every load.
    #[arg(long)]
    pub dry_run: bool,

    /// What becomes of an object of a store once it is loaded: delete, or move=PREFIX
    ///
    /// Once every line of it has an outcome that lasts and the ledger has that, and only if its ETag is still the one that
    /// was read. Moved, it goes to PREFIX followed by its key, in the same bucket; what lies below PREFIX is not loaded.
    /// Objects that an earlier load has loaded are done with, too.
    #[arg(long, value_name = "WHAT", value_parser = values::after, help_heading = "Object stores")]
    pub after: Option<values::After>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub documents: DocumentFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub profile: ProfileFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub ledger: LedgerFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub report: ReportFlags,
}

/// `loghaul parse SOURCE...`
#[derive(Debug, Args)]
pub struct ParseArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sources: SourceFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub documents: DocumentFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineFlags,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub report: ReportFlags,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;
    use std::time::Duration;

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn typed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("loghaul").chain(line.split_whitespace()))
    }

    fn load(line: &str) -> LoadArgs {
        match typed(line).unwrap_or_else(|error| panic!("{line}: {error}")).command {
            Some(Command::Load(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_typed_is_no_command() {
        assert!(typed("").unwrap().command.is_none());
    }

    #[test]
    fn a_load_as_it_is_mostly_typed() {
        let args = load("load a.log b.gz --to http://localhost:9200");
        assert_eq!(args.sources.sources, [PathBuf::from("a.log"), PathBuf::from("b.gz")]);
        assert_eq!(args.to, ["http://localhost:9200"]);
        assert_eq!(args.server.index, "apache-access-log-%Y-%m");
        assert_eq!(args.documents.format, Format::Auto);
        assert_eq!(args.server.id, None);
        assert_eq!(args.sources.max_line_bytes, 1 << 20);
        assert_eq!(args.report.max_malformed, 0.1);
    }

    #[test]
    fn standard_input_and_output_are_a_dash() {
        let args = load("load - --to -");
        assert_eq!(args.sources.sources, [PathBuf::from("-")]);
        assert_eq!(args.to, ["-"]);
    }

    #[test]
    fn every_flag_of_load_at_once() {
        let args = load(
            "load a.log --to http://a:9200 --to http://b:9200 --index web-%Y --format vhost_combined --id content \
             --namespace web1 --source-name access --with message,source --with extra,timestamp --field a=b \
             --field c=d=e --log-type apache --schema ecs --ingestion-timestamp 2024-01-01T00:00:00Z --max-line-bytes 64KiB \
             --take-last-line --include *.log --exclude *error* --newer-than 2d --since 2024-01-01 --until 2024-02-01 \
             --bulk-bytes 1MiB --writers 3 --threads 2 --memory 128MiB --pipeline p --malformed m.ndjson \
             --max-malformed 5% --max-rejected 100 --dead-letters d.ndjson --json --quiet --user joe \
             --password-file pw --give-up-after 90s --request-timeout 30s --max-docs-per-second 1000 --compress zstd --ledger l.db --again",
        );
        assert_eq!(args.to.len(), 2);
        assert_eq!(args.documents.with, [Extra::Message, Extra::Source, Extra::Extra, Extra::Timestamp]);
        assert_eq!(args.documents.fields, [("a".to_string(), "b".to_string()), ("c".to_string(), "d=e".to_string())]);
        assert_eq!(args.sources.max_line_bytes, 64 << 10);
        assert_eq!(args.machine.memory, Some(128 << 20));
        assert_eq!(args.server.pace.give_up_after, Duration::from_secs(90));
        assert_eq!(args.server.pace.request_timeout, Duration::from_secs(30));
        assert_eq!(args.report.max_malformed, 0.05);
        assert_eq!(args.ledger.ledger, Some(PathBuf::from("l.db")));
    }

    #[test]
    fn resume_takes_a_run_or_none() {
        assert_eq!(load("load a --to http://h").ledger.resume, None);
        assert_eq!(load("load a --to http://h --resume").ledger.resume, Some(None));
        assert_eq!(load("load a --to http://h --resume 17").ledger.resume, Some(Some("17".into())));
    }

    #[test]
    fn every_flag_of_replay_at_once() {
        let line = "replay a.ndjson b.ndjson --to http://a --to http://b --type x --type y* --index i-* --source *.log \
                    --pipeline none --user joe --password-file pw --give-up-after 5s --dead-letters c --json --quiet";
        let Some(Command::Replay(args)) = typed(line).unwrap().command else { panic!() };
        assert_eq!((args.files.len(), args.to.len()), (2, 2));
        assert_eq!(args.types, ["x", "y*"]);
        assert_eq!((args.indices, args.sources), (vec!["i-*".to_owned()], vec!["*.log".to_owned()]));
        assert_eq!(args.pipeline.as_deref(), Some("none"));
        assert_eq!(args.give_up_after, Duration::from_secs(5));
    }

    #[test]
    fn runs_of_all_kinds() {
        let runs = |line: &str| match typed(line).unwrap_or_else(|error| panic!("{line}: {error}")).command {
            Some(Command::Runs(args)) => args,
            other => panic!("{line}: {other:?}"),
        };
        assert!(runs("runs").command.is_none());
        assert!(matches!(runs("runs show 17").command, Some(RunsCommand::Show { id: 17 })));
        assert!(matches!(runs("runs forget 17").command, Some(RunsCommand::Forget { id: Some(17), older_than: None })));
        let month = Duration::from_secs(30 * 86_400);
        assert!(matches!(
            runs("runs forget --older-than 30d").command,
            Some(RunsCommand::Forget { id: None, older_than: Some(age) }) if age == month
        ));
        // Before or behind the word, as it comes.
        for line in ["runs --json --ledger l.db show 17", "runs show 17 --json --ledger l.db"] {
            let args = runs(line);
            assert!(args.json && args.ledger == Some("l.db".into()), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_named() {
        let cases = [
            ("load --to http://h", ErrorKind::MissingRequiredArgument, "<SOURCE>..."),
            ("load a.log", ErrorKind::MissingRequiredArgument, "--to <SINK>"),
            ("load a --to http://h --bulk-bytes five", ErrorKind::ValueValidation, "a size such as 256KiB"),
            ("load a --to http://h --bulk-bytes 1KiB", ErrorKind::ValueValidation, "at least 64 KiB"),
            ("load a --to http://h --give-up-after 10", ErrorKind::ValueValidation, "10s"),
            ("load a --to http://h --since yesterday", ErrorKind::ValueValidation, "2024-01-31"),
            ("load a --to http://h --format nginx", ErrorKind::InvalidValue, "combinedio"),
            ("load a --to http://h --max-malformed 10", ErrorKind::ValueValidation, "did you mean 10%"),
            ("load a --to http://h --field novalue", ErrorKind::ValueValidation, "NAME=VALUE"),
            ("bench", ErrorKind::MissingRequiredArgument, "<SOURCE>..."),
            ("bench a --seconds 5", ErrorKind::ValueValidation, "did you mean 5s"),
            ("bench a --bytes 1KiB", ErrorKind::ValueValidation, "at least 64 KiB"),
            ("load a --to http://h --writers 0", ErrorKind::ValueValidation, "1..=64"),
            ("load a --to http://h --quiet --verbose", ErrorKind::ArgumentConflict, "--quiet"),
            ("load a --to http://h --resume --no-ledger", ErrorKind::ArgumentConflict, "--no-ledger"),
            ("loda a --to http://h", ErrorKind::InvalidSubcommand, "load"),
            ("setup", ErrorKind::MissingRequiredArgument, "--to <URL>"),
            ("replay --to http://h", ErrorKind::MissingRequiredArgument, "<FILE>..."),
            ("replay d.ndjson", ErrorKind::MissingRequiredArgument, "--to <URL>"),
            ("runs show", ErrorKind::MissingRequiredArgument, "<ID>"),
            ("runs show last", ErrorKind::ValueValidation, "invalid digit"),
            ("runs forget", ErrorKind::MissingRequiredArgument, "<ID>"),
            ("runs forget 3 --older-than 30d", ErrorKind::ArgumentConflict, "--older-than"),
            ("runs forget --older-than 30", ErrorKind::ValueValidation, "did you mean 30s"),
        ];
        for (line, kind, says) in cases {
            let error = typed(line).expect_err(line);
            assert_eq!(error.kind(), kind, "{line}: {error}");
            assert!(error.to_string().contains(says), "{line} should say {says:?}:\n{error}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn help_teaches() {
        for (line, says) in [
            ("--help", "Exit codes"),
            ("load --help", "Examples:\n  loghaul load access.log --to"),
            ("load --help", "[default: 1MiB]"),
            ("load --help", "lines read = indexed"),
            ("parse --help", "loghaul parse access.log | head"),
            ("setup --help", "loghaul setup --print"),
            ("bench --help", "loghaul bench access.log --json"),
            ("replay --help", "letters read = indexed + duplicate + rejected + filtered + unreadable"),
            ("runs --help", "loghaul runs forget --older-than 30d"),
            ("--version", "loghaul 0.1.0"),
        ] {
            let text = typed(line).expect_err(line).to_string();
            assert!(text.contains(says), "{line} should say {says:?}:\n{text}");
        }
    }

    #[test]
    fn every_flag_has_help() {
        for command in Cli::command().get_subcommands() {
            for flag in command.get_arguments() {
                assert!(flag.get_help().is_some(), "{} {}", command.get_name(), flag.get_id());
            }
        }
    }

    #[test]
    fn a_path_need_not_be_utf8() {
        use std::os::unix::ffi::OsStringExt;
        let path = OsString::from_vec(b"caf\xe9.log".to_vec());
        let cli = Cli::try_parse_from(["loghaul".into(), "parse".into(), path.clone()]).unwrap();
        let Some(Command::Parse(args)) = cli.command else { panic!() };
        assert_eq!(args.sources.sources, [PathBuf::from(path)]);
    }
}
