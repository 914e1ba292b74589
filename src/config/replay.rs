//! What `replay` and `runs` need.

use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::sink::{self, Sink};
use super::{Form, Server, Surroundings, ledger_default, same_file};
use crate::cli::{ReplayArgs, RunsArgs};
use crate::error::Error;
use crate::pipeline::report::progress;

/// All that `replay` needs.
#[derive(Clone, Debug)]
pub struct ReplayConfig {
    /// Files of letters, in the order typed; `-` for standard input, at most once, and then with `dead_letters`.
    pub files: Vec<PathBuf>,
    /// Where they go.
    pub server: Server,
    /// Which of them.
    pub chosen: Chosen,
    /// The value of `?pipeline=`. `_none` is OpenSearch's word for none.
    pub pipeline: Option<String>,
    /// How long a refusing cluster is waited for.
    pub give_up_after: Duration,
    /// Where letters go that are rejected again. None: beside each file.
    pub dead_letters: Option<PathBuf>,
    /// The report as text or as JSON, on standard output.
    pub form: Form,
    /// No summary where all went well.
    pub quiet: bool,
    /// How progress is shown on standard error.
    pub progress: progress::Mode,
}

/// Which letters are sent: those that match one pattern of each kind that has any.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    types: Patterns,
    indices: Patterns,
    sources: Patterns,
}

/// Exact texts, or with `*` for any text. None: everything matches.
#[derive(Clone, Debug, Default)]
struct Patterns(Option<GlobSet>);

impl Chosen {
    /// Those that match.
    ///
    /// # Errors
    /// If a pattern is empty or too large.
    pub fn new(types: &[String], indices: &[String], sources: &[String]) -> Result<Chosen, Error> {
        Ok(Chosen {
            types: Patterns::new("--type", types)?,
            indices: Patterns::new("--index", indices)?,
            sources: Patterns::new("--source", sources)?,
        })
    }

    /// Whether a letter with this error type, index and source is sent.
    pub fn takes(&self, error_type: &str, index: &str, source: &str) -> bool {
        self.types.match_any(error_type) && self.indices.match_any(index) && self.sources.match_any(source)
    }
}

impl Patterns {
    fn new(flag: &str, patterns: &[String]) -> Result<Patterns, Error> {
        if patterns.is_empty() {
            return Ok(Patterns(None));
        }
        let wrong = |pattern: &str, why: &dyn std::fmt::Display| {
            Error::usage(format!("{flag} '{}': {why}", pattern.escape_debug()))
        };
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            if pattern.is_empty() {
                return Err(Error::usage(format!("{flag} is empty")).hint("a shell variable that is not set?"));
            }
            // Paths may well hold brackets and question marks: only the star means more than itself.
            let literal = pattern.split('*').map(globset::escape).collect::<Vec<_>>().join("*");
            let glob = GlobBuilder::new(&literal).literal_separator(false).backslash_escape(false).build();
            set.add(glob.map_err(|why| wrong(pattern, &why))?);
        }
        Ok(Patterns(Some(set.build().map_err(|why| wrong(&patterns[0], &why))?)))
    }

    fn match_any(&self, text: &str) -> bool {
        self.0.as_ref().is_none_or(|set| set.is_match(text))
    }
}

/// Completes what was typed after `replay`.
///
/// # Errors
/// Wrong usage, or a password that cannot be had.
pub fn replay(args: &ReplayArgs, around: &Surroundings) -> Result<ReplayConfig, Error> {
    files(args)?;
    let chosen = Chosen::new(&args.types, &args.indices, &args.sources)?;
    let pipeline = match args.pipeline.as_deref() {
        Some("") => return Err(Error::usage("--pipeline is empty")),
        Some("none") => Some("_none".to_owned()),
        name => name.map(str::to_owned),
    };
    if let Some(to @ ("-" | "null:")) = args.to.iter().map(String::as_str).find(|to| matches!(*to, "-" | "null:")) {
        return Err(Error::usage(format!("--to {to} is no OpenSearch")).hint("such as --to http://localhost:9200"));
    }
    let progress = match (args.quiet, around.stderr_is_terminal) {
        (true, _) => progress::Mode::None,
        (false, true) => progress::Mode::Bar,
        (false, false) => progress::Mode::Lines,
    };
    // Last of what can fail: it may ask a person.
    let server = match sink::sink(&args.to, &args.login, around)? {
        Sink::OpenSearch(server) => server,
        Sink::Stdout | Sink::Discard | Sink::Directory(_) => {
            return Err(Error::usage("--to names no OpenSearch").hint("such as --to http://localhost:9200"));
        }
    };
    Ok(ReplayConfig {
        files: args.files.clone(),
        server,
        chosen,
        pipeline,
        give_up_after: args.give_up_after,
        dead_letters: args.dead_letters.clone(),
        form: if args.json { Form::Json } else { Form::Text },
        quiet: args.quiet,
        progress,
    })
}

/// Files must be files, each once, and none of them the one that we write.
fn files(args: &ReplayArgs) -> Result<(), Error> {
    let again = args.dead_letters.as_deref();
    if again.is_some_and(|again| again.as_os_str().is_empty() || again == Path::new("-") || again.is_dir()) {
        return Err(Error::usage("--dead-letters takes a file"));
    }
    for (n, file) in args.files.iter().enumerate() {
        let shown = file.display();
        if file.as_os_str().is_empty() {
            return Err(Error::usage("a FILE is empty").hint("a shell variable that is not set?"));
        }
        if args.files[..n].iter().any(|other| other == file || same_file(other, file)) {
            return Err(Error::usage(format!("FILE {shown} is there twice")));
        }
        if again.is_some_and(|again| again == file || same_file(again, file)) {
            return Err(Error::usage(format!("--dead-letters {shown} is a FILE as well"))
                .hint("what is rejected again goes to a file of its own"));
        }
        if file == Path::new("-") && again.is_none() {
            return Err(Error::usage("letters from standard input need --dead-letters FILE")
                .hint("there is kept what is rejected again"));
        }
    }
    Ok(())
}

/// Where the ledger of `runs` lies. It need not be there.
///
/// # Errors
/// If nothing says where.
pub fn runs_ledger(args: &RunsArgs, around: &Surroundings) -> Result<PathBuf, Error> {
    match &args.ledger {
        Some(path) if path.as_os_str().is_empty() => Err(Error::usage("--ledger is empty")),
        Some(path) => Ok(path.clone()),
        None => ledger_default(around),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn check(line: &str) -> Result<ReplayConfig, String> {
        let words = ["loghaul", "replay"].into_iter().chain(line.split_whitespace());
        let Some(Command::Replay(args)) = Cli::try_parse_from(words).unwrap().command else { panic!("{line}") };
        replay(&args, &Surroundings::bare()).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    #[test]
    fn a_plain_replay() {
        let config = check("d.ndjson --to http://h:9200").unwrap();
        assert_eq!(config.server.urls, ["http://h:9200"]);
        assert_eq!((config.pipeline, config.dead_letters), (None, None));
        assert_eq!(check("d --to http://h --pipeline none").unwrap().pipeline.as_deref(), Some("_none"));
        assert_eq!(check("d --to http://h --pipeline p").unwrap().pipeline.as_deref(), Some("p"));
        assert!(check("- --to http://h --dead-letters x").is_ok());
    }

    #[test]
    fn what_does_not_go_together() {
        for (line, says) in [
            ("a a --to http://h", "FILE a is there twice"),
            ("Cargo.toml ./Cargo.toml --to http://h", "FILE ./Cargo.toml is there twice"),
            ("- --to http://h", "letters from standard input need --dead-letters FILE"),
            ("a --to http://h --dead-letters a", "--dead-letters a is a FILE as well"),
            ("a --to http://h --dead-letters src", "--dead-letters takes a file"),
            ("a --to -", "--to - is no OpenSearch"),
            ("a --to null: --to http://h", "--to null: is no OpenSearch"),
            ("a --to localhost", "--to localhost is no sink (did you mean http://localhost?)"),
        ] {
            let said = check(line).expect_err(line);
            assert!(said.starts_with(says), "{line}: {said}");
        }
    }

    #[test]
    fn which_letters() {
        let takes = |kind: usize, pattern: &str, text: &str| {
            let of = |n| if n == kind { vec![pattern.to_owned()] } else { Vec::new() };
            let texts = [0, 1, 2].map(|n| if n == kind { text } else { "x" });
            Chosen::new(&of(0), &of(1), &of(2)).unwrap().takes(texts[0], texts[1], texts[2])
        };
        for (pattern, text, expected) in [
            ("mapper_parsing_exception", "mapper_parsing_exception", true),
            ("mapper_parsing_exception", "mapper_parsing", false),
            ("mapper", "mapper_parsing_exception", false),
            ("mapper*", "mapper_parsing_exception", true),
            ("*exception", "mapper_parsing_exception", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("/var/*.log", "/var/log/web1/access.log", true),
            ("*access.log", "/var/log/access.log", true),
            ("*/web?/*", "/var/web1/x", false),
            ("*/web?/*", "/var/web?/x", true),
            ("/a[1]{b}/*", "/a[1]{b}/c", true),
            ("/a[1]/*", "/a1/c", false),
            (r"a\*", r"a\b", true),
            ("a**b", "a/x/b", true),
            ("A", "a", false),
            ("caf\u{e9}*", "caf\u{e9}s", true),
        ] {
            for kind in 0..3 {
                assert_eq!(takes(kind, pattern, text), expected, "{pattern} {text}");
            }
        }
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let both = Chosen::new(&words("a b"), &words("i"), &[]).unwrap();
        assert!(both.takes("b", "i", "s") && !both.takes("b", "j", "s") && !both.takes("c", "i", "s"));
        assert!(Chosen::new(&[], &[String::new()], &[]).is_err());
    }
}
