//! What `ship` needs.

use std::path::PathBuf;
use std::time::Duration;

use super::sink::{self, Sink};
use super::{Form, Server, Surroundings};
use crate::cli::values::MaxRejected;
use crate::cli::{Compress, ShipArgs};
use crate::error::Error;
use crate::pipeline::report::progress;

/// All that `ship` needs.
#[derive(Clone, Debug)]
pub struct ShipConfig {
    /// The directory.
    pub path: PathBuf,
    /// Where its documents go. None: they are only checked.
    pub server: Option<Server>,
    /// Send what there is of an incomplete directory.
    pub partial: bool,
    /// Send what was sent before.
    pub again: bool,
    /// Where it is remembered what was sent.
    pub state: PathBuf,
    /// Where rejected documents are kept.
    pub dead_letters: PathBuf,
    /// `--pipeline` as typed. `none` for none.
    pub pipeline: Option<String>,
    /// Requests at a time, at most.
    pub writers: u32,
    /// Documents a second.
    pub docs_per_second_max: Option<u32>,
    /// How bodies travel.
    pub compress: Compress,
    /// How long an answer is waited for.
    pub request_timeout: Duration,
    /// How long a refusing cluster is waited for.
    pub give_up_after: Duration,
    /// When rejected documents end it.
    pub max_rejected: MaxRejected,
    /// Text or JSON, on standard output.
    pub form: Form,
    /// No summary where all went well.
    pub quiet: bool,
    /// How progress is shown on standard error.
    pub progress: progress::Mode,
}

/// Completes what was typed after `ship`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn ship(args: &ShipArgs, around: &Surroundings) -> Result<ShipConfig, Error> {
    let text = args.path.to_string_lossy();
    if text.is_empty() {
        return Err(Error::usage("PATH is empty").hint("a shell variable that is not set?"));
    }
    // As it was typed for load.
    let path = text.strip_prefix("dir:").map_or_else(|| args.path.clone(), PathBuf::from);
    if args.pipeline.as_deref() == Some("") {
        return Err(Error::usage("--pipeline is empty"));
    }
    let state = args.state.clone().unwrap_or_else(|| path.join("shipped.ndjson"));
    let dead_letters = args.dead_letters.clone().unwrap_or_else(|| state.with_file_name("dead-letters.ndjson"));
    if dead_letters == state {
        return Err(Error::usage("--dead-letters and --state name the same file"));
    }
    // Last of what can fail: it may ask a person.
    let server = match args.check {
        true => None,
        false => match sink::sink(&args.to, &args.login, around)? {
            Sink::OpenSearch(server) => Some(server),
            Sink::Stdout | Sink::Discard | Sink::Directory(_) => {
                let hint = "such as --to http://localhost:9200; --check only compares checksums";
                return Err(Error::usage(format!("--to {} is no OpenSearch", args.to.join(" "))).hint(hint));
            }
        },
    };
    Ok(ShipConfig {
        path,
        server,
        partial: args.partial,
        again: args.again,
        state,
        dead_letters,
        pipeline: args.pipeline.clone(),
        writers: args.writers,
        docs_per_second_max: args.max_docs_per_second,
        compress: args.pace.compress,
        request_timeout: args.pace.request_timeout,
        give_up_after: args.pace.give_up_after,
        max_rejected: args.max_rejected,
        form: if args.json { Form::Json } else { Form::Text },
        quiet: args.quiet,
        progress: match (args.quiet, around.stderr_is_terminal) {
            (true, _) => progress::Mode::None,
            (false, true) => progress::Mode::Bar,
            (false, false) => progress::Mode::Lines,
        },
    })
}
