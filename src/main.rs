//! loghaul's command line: picks the command and maps its result to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use loghaul::cli::{Cli, Command, GUIDE};
use loghaul::commands::ship;
use loghaul::commands::{bench, load, parse, reload, replay, restore, runs, setup, verify};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        None => {
            let _ = std::io::stderr().write_all(GUIDE.as_bytes());
            return ExitCode::from(2);
        }
        Some(Command::Load(args)) => load::load(&args),
        Some(Command::Parse(args)) => parse::parse(&args),
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
            let _ = writeln!(std::io::stderr(), "loghaul: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
