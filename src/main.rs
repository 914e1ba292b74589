//! loghaul's command line: picks the command and maps its result to an exit code.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use loghaul::cli::settings::Settings;
use loghaul::cli::{Cli, Command, GUIDE};
use loghaul::commands::{bench, load, parse, reload, replay, restore, runs, setup, verify};
use loghaul::commands::{manners, ship};
use loghaul::escape;

fn main() -> ExitCode {
    let (command, settings) = typed();
    let result = match command {
        None => {
            let _ = std::io::stderr().write_all(GUIDE.as_bytes());
            return ExitCode::from(2);
        }
        Some(Command::Load(args)) => load::load(&args),
        Some(Command::Parse(args)) => parse::parse(&args),
        Some(Command::Config(args)) => manners::config(&args, &settings),
        Some(Command::Completions { shell }) => manners::completions(shell),
        Some(Command::Man { folder }) => manners::man(folder.as_deref()),
        Some(Command::Ship(args)) => ship::ship(&args),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::Setup(args)) => setup::setup(&args),
        Some(Command::Replay(args)) => replay::replay(&args),
        Some(Command::Reload(args)) => reload::reload(&args),
        Some(Command::Rollback(args)) => reload::rollback(&args),
        Some(Command::Restore(args)) => restore::restore(&args),
        Some(Command::Verify(args)) => verify::verify(&args),
        Some(Command::Runs(args)) => runs::runs(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("loghaul: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// A line on standard error, where somebody may or may not read it.
fn complain(line: &str) {
    let _ = writeln!(escape::Safe::text(std::io::stderr()), "{line}");
}

/// What was typed, completed by the environment and the file of `--config`. Whatever is wrong ends the process here, as
/// does `--help`.
fn typed() -> (Option<Command>, Settings) {
    let words: Vec<_> = std::env::args_os().collect();
    let read = Settings::read(&words, |name| std::env::var_os(name), &Cli::command());
    let applied = read.and_then(|settings| Ok((settings.applied(Cli::command())?, settings)));
    let (command, settings) = applied.unwrap_or_else(|error| {
        complain(&format!("loghaul: {error}"));
        std::process::exit(error.exit_code().into());
    });
    let matches = command.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = matches.unwrap_or_else(|error| {
        let from = settings.blamed(&Cli::command(), &error);
        let plain = error.render().to_string();
        // In colour, unless the value that it repeats is no text for a terminal.
        match escape::shown_page(&plain) {
            Cow::Borrowed(_) => _ = error.print(),
            Cow::Owned(shown) => complain(&shown),
        }
        if let Some(from) = from {
            complain(&format!("\nThat value was not typed; it comes from: {from}"));
        }
        std::process::exit(error.exit_code());
    });
    (cli.command, settings)
}
