//! What `scripts/bench` runs. `loghaul-bench run` starts the programs, pair by pair, and tells the figures; the other
//! commands are what loghaul is measured beside, each a process of its own so that it is measured like loghaul.

mod run; // the parts of the benchmark, one file each
mod child; // a process: wall time, processor time, peak of memory
mod figures; // medians, quartiles, pairs; the table, Markdown, JSON
mod logs; // the logs that are measured with
mod http; // as much HTTP/1.1 as a bulk request takes
mod null_server; // answers bulk requests and keeps nothing
mod send; // prebuilt bodies, sent by the leanest sender
mod unpack; // inflating alone

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "loghaul-bench", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure loghaul, pair by pair
    Run(run::Args),
    /// A server that reads whole bulk bodies, answers each document with 201, and keeps nothing
    NullServer(null_server::Args),
    /// Send the bodies that a file of bulk NDJSON is cut into, over so many connections
    Send(send::Args),
    /// Unpack a gzip or zstd file on one thread and throw the bytes away
    Unpack {
        /// The file
        file: PathBuf,
    },
}

/// Whatever goes wrong, as a sentence.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::NullServer(args) => null_server::serve(&args),
        Command::Send(args) => send::send(&args),
        Command::Unpack { file } => unpack::unpack(&file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("loghaul-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
