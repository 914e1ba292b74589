//! [`Settings`]: flags that are not typed, but come from the environment (`LOGHAUL_*`) or from a file (`--config`, TOML).
//!
//! They become the defaults of the command line before it is read, so each value is checked as if it were typed, and a flag
//! that is typed wins over all: flags, then environment, then file. Names are those of the flags:
//!
//! ```text
//! to = "https://search.example.com:9200"     # for every command that has --to
//!
//! [load]                                     # for load alone; wins over the above
//! sources = ["/var/log/apache2"]
//! exclude = ["*error*"]
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use crate::error::{Error, Result, io_reason};
use crate::opensearch::address::masked;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable, of this name.
    Environment(String),
    /// The file of `--config`.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A flag's value that was not typed, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As it would be typed; several where the flag may be given several times. Empty: a switch that is off, or no value.
    pub texts: Vec<String>,
    /// Whether the flag takes no value.
    pub switch: bool,
    /// Where it comes from.
    pub from: Origin,
}

/// All values that were not typed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    file: Option<PathBuf>,
    /// By command (empty: all commands) and flag.
    in_file: BTreeMap<(String, String), Vec<String>>,
    /// By flag: the variable, and what it holds.
    in_environment: BTreeMap<String, (String, OsString)>,
    /// Flags of a login that were typed, and those that the environment has an answer to.
    logins: Logins,
}

/// Which flags of a login are given, by who may overrule whom: a login is one thing, and half of one that was typed and
/// half of another out of a file is nobody's.
#[derive(Clone, Debug, Default)]
struct Logins {
    typed: Vec<&'static str>,
    in_environment: Vec<&'static str>,
}

/// The flags of a login, and the variables beside `LOGHAUL_` and the flag's name that stand for each.
const LOGIN: [(&str, &[&str]); 6] = [
    ("user", &[]),
    ("password", &["OPENSEARCH_PASSWORD"]),
    ("password-file", &[]),
    ("token-file", &["LOGHAUL_TOKEN"]),
    ("api-key-file", &["LOGHAUL_API_KEY"]),
    ("aws-sigv4", &[]),
];

/// Whether a flag of a login gives way to one that comes from nearer.
fn gives_way(flag: &str, nearer: &[&str]) -> bool {
    let is_password = |flag: &str| matches!(flag, "password" | "password-file");
    let is_of_a_user = |flag: &str| flag == "user" || is_password(flag);
    nearer.iter().any(|other| match (is_of_a_user(flag), is_of_a_user(other)) {
        _ if *other == flag => true,
        (true, true) => is_password(flag) && is_password(other),
        // A password alone names nobody.
        (false, true) => *other == "user" || *other == "password-file",
        (_, false) => true,
    })
}

/// Flags that belong to one command line and to nothing else.
const ONLY_TYPED: [&str; 4] = ["config", "help", "version", "resume"];
/// Flags of which the program reads the variable by itself, since the URL of `--to` has a say, too.
const OWN_VARIABLES: [&str; 2] = ["user", "password"];
/// A command's list of sources, which has no flag.
const SOURCES: &str = "sources";

impl Settings {
    /// What the environment says, and the file that `--config` or `LOGHAUL_CONFIG` names.
    ///
    /// # Errors
    /// If the file cannot be read, or something in it is no flag.
    pub fn read(
        words: &[OsString],
        variable: impl Fn(&str) -> Option<OsString>,
        command: &Command,
    ) -> Result<Settings> {
        // As everywhere: what is empty is not there.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is_typed = |flag: &str| {
            let words = words.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
            let mut words = words.filter_map(|word| word.strip_prefix("--"));
            words.any(|word| word.split('=').next() == Some(flag))
        };
        let has_variable = |flag: &str, more: &[&str]| {
            variable(&variable_of(flag)).is_some() || more.iter().any(|name| variable(name).is_some())
        };
        let logins = Logins {
            typed: LOGIN.iter().map(|(flag, _)| *flag).filter(|flag| is_typed(flag)).collect(),
            in_environment: LOGIN
                .iter()
                .filter(|(flag, more)| has_variable(flag, more))
                .map(|(flag, _)| *flag)
                .collect(),
        };
        let mut settings = Settings { logins, ..Settings::default() };
        if let Some(path) = config_of(words).or_else(|| variable("LOGHAUL_CONFIG").map(PathBuf::from)) {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Error::usage(format!("cannot read --config {}: {}", path.display(), io_reason(&error)))
            })?;
            settings.in_file = in_file(&text, command)
                .map_err(|error| Error { message: format!("{}: {}", path.display(), error.message), ..error })?;
            settings.file = Some(path);
        }
        for (flag, _) in command.get_subcommands().flat_map(flags_of) {
            let name = variable_of(&flag);
            if !OWN_VARIABLES.contains(&flag.as_str())
                && let Some(value) = variable(&name)
            {
                settings.in_environment.insert(flag, (name, value));
            }
        }
        Ok(settings)
    }

    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The value of a command's flag, if somebody said one.
    fn of(&self, command: &str, flag: &str, arg: &Arg) -> Result<Option<Value>> {
        let switch = is_switch(arg);
        let is_login = LOGIN.iter().any(|(login, _)| *login == flag);
        if is_login && gives_way(flag, &self.logins.typed) {
            return Ok(None);
        }
        if let Some((name, value)) = self.in_environment.get(flag) {
            let text =
                value.to_str().ok_or_else(|| Error::usage(format!("the environment variable {name} is not UTF-8")))?;
            let texts = if switch {
                match text.to_ascii_lowercase().as_str() {
                    "1" | "true" | "yes" | "on" => vec!["true".to_owned()],
                    "0" | "false" | "no" | "off" => Vec::new(),
                    _ => return Err(Error::usage(format!("{name} is {text:?}, neither true nor false"))),
                }
            } else if takes_several(arg) {
                text.split_whitespace().map(str::to_owned).collect()
            } else {
                vec![text.to_owned()]
            };
            return Ok(Some(Value { texts, switch, from: Origin::Environment(name.clone()) }));
        }
        if is_login && gives_way(flag, &self.logins.in_environment) {
            return Ok(None);
        }
        let own = self.in_file.get(&(command.to_owned(), flag.to_owned()));
        let texts = own.or_else(|| self.in_file.get(&(String::new(), flag.to_owned())));
        let from = || Origin::File(self.file.clone().unwrap_or_default());
        Ok(texts.map(|texts| Value { texts: texts.clone(), switch, from: from() }))
    }

    /// The same command line with the values as defaults.
    ///
    /// # Errors
    /// If an environment variable cannot be a value.
    pub fn applied(&self, mut command: Command) -> Result<Command> {
        let mut failed = None;
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in &names {
            command = command.mut_subcommand(name, |sub| {
                sub.mut_args(|arg| {
                    let Some(flag) = name_of(&arg) else { return arg };
                    match self.of(name, &flag, &arg) {
                        Ok(Some(value)) if !value.texts.is_empty() => arg.required(false).default_values(value.texts),
                        Ok(_) => arg,
                        Err(error) => {
                            failed.get_or_insert(error);
                            arg
                        }
                    }
                })
            });
        }
        failed.map_or(Ok(command), Err)
    }

    /// Each flag of a command with the value that holds where it is not typed, in the order of its help.
    ///
    /// # Errors
    /// If an environment variable cannot be a value.
    pub fn of_command(&self, command: &Command) -> Result<Vec<(String, Value)>> {
        flags_of(command)
            .map(|(flag, arg)| {
                let switch = is_switch(arg);
                let default = || {
                    let texts = arg.get_default_values().iter().map(|text| text.to_string_lossy().into_owned());
                    Value { texts: texts.filter(|_| !switch).collect(), switch, from: Origin::Default }
                };
                let value = self.of(command.get_name(), &flag, arg)?.unwrap_or_else(default);
                Ok((flag, value))
            })
            .collect()
    }

    /// Where a value that was refused comes from, if it was not typed: whoever did not type it looks for it in vain.
    pub fn blamed(&self, command: &Command, error: &clap::Error) -> Option<Origin> {
        use clap::error::{ContextKind, ContextValue};
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let (refused_by, refused) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
        command.get_subcommands().find_map(|sub| {
            flags_of(sub).find_map(|(flag, arg)| {
                let value = self.of(sub.get_name(), &flag, arg).ok().flatten()?;
                let is_it = refused_by.split(' ').next() == Some(&format!("--{flag}"));
                (is_it && value.texts.iter().any(|text| text == refused)).then_some(value.from)
            })
        })
    }
}

/// What `--config` names, as far as it can be known before the command line is read.
fn config_of(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// `LOGHAUL_MAX_REJECTED` for `--max-rejected`.
fn variable_of(flag: &str) -> String {
    format!("LOGHAUL_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The flags that a command takes from elsewhere, by name.
fn flags_of(command: &Command) -> impl Iterator<Item = (String, &Arg)> {
    command.get_arguments().filter_map(|arg| Some((name_of(arg)?, arg)))
}

/// The name that a flag, or the list of sources, has in a file.
fn name_of(arg: &Arg) -> Option<String> {
    let name = arg.get_long().or_else(|| (arg.get_id() == SOURCES).then_some(SOURCES))?;
    (!ONLY_TYPED.contains(&name)).then(|| name.to_owned())
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn takes_several(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// What a file says. Each name in a table is a flag of that command, each at the top one of some command.
fn in_file(text: &str, command: &Command) -> Result<BTreeMap<(String, String), Vec<String>>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(String::new(), |span| {
            let before = text.get(..span.start).unwrap_or(text);
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        Error::usage(format!("{line}{}", error.message()))
            .hint("it is TOML: NAME = \"VALUE\", and tables such as [load]")
    })?;
    let mut found = BTreeMap::new();
    for (name, value) in &table {
        if let toml::Value::Table(table) = value {
            let Some(sub) = command.find_subcommand(name) else {
                let commands: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
                return Err(Error::usage(format!("[{name}] is no command")).hint(nearest(name, &commands)));
            };
            for (name, value) in table {
                let texts = known(&[sub], name, value, &format!("[{}] ", sub.get_name()))?;
                found.insert((sub.get_name().to_owned(), name.clone()), texts);
            }
        } else {
            let all: Vec<&Command> = command.get_subcommands().collect();
            found.insert((String::new(), name.clone()), known(&all, name, value, "")?);
        }
    }
    Ok(found)
}

/// The texts of a value, if one of the commands has such a flag and it may take them.
fn known(commands: &[&Command], name: &str, value: &toml::Value, place: &str) -> Result<Vec<String>> {
    let flags = || commands.iter().flat_map(|command| flags_of(command));
    let Some((_, arg)) = flags().find(|(flag, _)| flag == name) else {
        if ONLY_TYPED.contains(&name) {
            return Err(Error::usage(format!("{place}{name} belongs on the command line")));
        }
        let names: Vec<String> = flags().map(|(flag, _)| flag).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        return Err(Error::usage(format!("{place}{name} is no flag")).hint(nearest(name, &names)));
    };
    // A value may be a secret in the wrong place: it is not repeated.
    let wrong = |what: &str| Error::usage(format!("{place}{name} takes {what}"));
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Datetime(time) => Some(time.to_string()),
        toml::Value::Boolean(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    };
    match value {
        toml::Value::Boolean(on) if is_switch(arg) => Ok(on.then(|| "true".to_owned()).into_iter().collect()),
        _ if is_switch(arg) => Err(wrong("true or false")),
        toml::Value::Array(values) if takes_several(arg) => {
            values.iter().map(text).collect::<Option<_>>().ok_or_else(|| wrong("a list of texts"))
        }
        value => match text(value) {
            Some(text) => Ok(vec![text]),
            None if takes_several(arg) => Err(wrong("a text or a list of texts")),
            None => Err(wrong("one text or number")),
        },
    }
}

/// What somebody may have meant.
fn nearest(name: &str, known: &[&str]) -> String {
    let name = name.replace('_', "-");
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(&name, known), *known));
    match near.min() {
        Some((distance, known)) if distance <= known.len() / 2 => format!("did you mean {known}?"),
        _ => "names are those of the flags, see --help".to_owned(),
    }
}

/// A value as it may be shown: passwords are masked, in URLs, too.
pub fn shown(flag: &str, text: &str) -> String {
    if flag == "password" {
        return "***".to_owned();
    }
    match flag == "to" || text.contains("://") {
        true => without_queries(&masked(text)),
        false => text.to_owned(),
    }
}

/// The query of a link may be a signature.
fn without_queries(text: &str) -> String {
    let parts = text.split_inclusive([' ', '"']).map(|part| {
        let is_web = ["http://", "https://"].iter().any(|scheme| part.to_ascii_lowercase().contains(scheme));
        match part.split_once('?').filter(|_| is_web) {
            Some((before, query)) => {
                let end = query.chars().next_back().filter(|c| [' ', '"'].contains(c));
                format!("{before}?***{}", end.map_or(String::new(), String::from))
            }
            None => part.to_owned(),
        }
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::{Cli, Command as Typed, LoadArgs};

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        let text = "http://joe:secret@h/a.gz?sig=a,secret";
        assert_eq!(shown("sources", text), "http://joe:***@h/a.gz?***");
        let text = "[\"HTTPS://h/a.gz?sig=secret\", \"s3://b/?.gz\"]";
        assert_eq!(shown("sources", text), "[\"HTTPS://h/a.gz?***\", \"s3://b/?.gz\"]");
    }

    fn settings(file: &str, environment: &[(&str, &str)]) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        let words = ["loghaul".into(), "--config".into(), path.into_os_string()];
        let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Settings::read(&words, variable, &Cli::command())
    }

    fn load(file: &str, environment: &[(&str, &str)], line: &str) -> LoadArgs {
        let command = settings(file, environment).unwrap().applied(Cli::command()).unwrap();
        command.clone().debug_assert();
        let words = ["loghaul", "load"].into_iter().chain(line.split_whitespace());
        let matches = command.try_get_matches_from(words).unwrap_or_else(|error| panic!("{error}"));
        match Cli::from_arg_matches(&matches).unwrap().command {
            Some(Typed::Load(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    const FILE: &str = "to = 'http://file:9200'\nindex = 'top'\n[load]\nsources = ['a.log', 'b.log']\nindex = 'load'\n\
                        bulk-bytes = '1MiB'\nwriters = 3\nquiet = true\nexclude = ['*error*']\n[setup]\nindex = 'setup'\n";

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let args = load(FILE, &[], "");
        assert_eq!(args.sources.sources, [PathBuf::from("a.log"), PathBuf::from("b.log")]);
        assert_eq!((args.to, args.server.index), (vec!["http://file:9200".to_owned()], "load".to_owned()));
        assert_eq!((args.server.bulk_bytes, args.server.writers, args.report.quiet), (Some(1 << 20), Some(3), true));
        assert_eq!(args.sources.exclude, ["*error*"]);
        let environment = [("LOGHAUL_INDEX", "env"), ("LOGHAUL_TO", "http://e:1 http://e:2"), ("LOGHAUL_QUIET", "0")];
        let args = load(FILE, &environment, "c.log");
        assert_eq!(args.sources.sources, [PathBuf::from("c.log")]);
        assert_eq!((args.to.len(), args.server.index, args.report.quiet), (2, "env".to_owned(), false));
        let args = load(FILE, &environment, "--index typed --to http://t");
        assert_eq!((args.to, args.server.index), (vec!["http://t".to_owned()], "typed".to_owned()));
        // What is empty is not there.
        assert_eq!(load(FILE, &[("LOGHAUL_INDEX", "")], "").server.index, "load");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (file, says) in [
            ("indxe = 'x'", "indxe is no flag (did you mean index?)"),
            ("[load]\nbulk_bytes = '1MiB'", "[load] bulk_bytes is no flag (did you mean bulk-bytes?)"),
            ("[load]\nquite = true", "[load] quite is no flag (did you mean quiet?)"),
            ("[laod]\nx = 1", "[laod] is no command (did you mean load?)"),
            ("[load]\nresume = 1", "[load] resume belongs on the command line"),
            ("[load]\nquiet = 'yes'", "[load] quiet takes true or false"),
            ("[load]\nindex = ['a', 'b']", "[load] index takes one text or number"),
            ("to = 'a'\nindex = x\n", "line 2: "),
        ] {
            let error = settings(file, &[]).expect_err(file);
            assert_eq!(error.exit_code(), 2);
            let said = error.to_string();
            assert!(said.contains(says), "{file}: {said}");
        }
        assert!(settings("", &[("LOGHAUL_QUIET", "perhaps")]).unwrap().applied(Cli::command()).is_err());
    }

    #[test]
    fn a_login_is_of_one_hand() {
        let check = |file: &str, environment: &[(&str, &str)], typed: &[&str], expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("c.toml");
            std::fs::write(&path, file).unwrap();
            let words: Vec<OsString> = ["loghaul", "load", "--config", path.to_str().unwrap()]
                .iter()
                .chain(typed)
                .map(OsString::from)
                .collect();
            let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            let settings = Settings::read(&words, variable, &Cli::command()).unwrap();
            let command = Cli::command();
            let of = settings.of_command(command.find_subcommand("load").unwrap()).unwrap();
            let of = of
                .into_iter()
                .filter(|(flag, value)| LOGIN.iter().any(|(login, _)| login == flag) && !value.texts.is_empty());
            let found: Vec<String> = of.map(|(flag, value)| format!("{flag}={}", value.texts.join(" "))).collect();
            assert_eq!(found.join(" "), expected, "{file:?} {environment:?} {typed:?}");
        };
        let file = "user = 'file'\npassword = 'file'";
        check(file, &[], &[], "user=file password=file");
        // The environment's own are read where the URL has a say, too.
        check(file, &[("LOGHAUL_USER", "env")], &[], "password=file");
        check(file, &[("LOGHAUL_PASSWORD", "env")], &[], "user=file");
        check(file, &[("OPENSEARCH_PASSWORD", "env")], &[], "user=file");
        check(file, &[("LOGHAUL_PASSWORD_FILE", "env")], &[], "user=file password-file=env");
        check(file, &[("LOGHAUL_TOKEN", "env")], &[], "");
        check(file, &[], &["--token-file", "t"], "");
        check(file, &[], &["--aws-sigv4"], "");
        check(file, &[], &["--password-file=p"], "user=file");
        let token = "token-file = 'file'";
        check(token, &[], &["--user", "joe"], "");
        check(token, &[("LOGHAUL_USER", "env")], &[], "");
        check(token, &[("LOGHAUL_PASSWORD", "env")], &[], "token-file=file");
        check("aws-sigv4 = true", &[("LOGHAUL_API_KEY", "env")], &[], "");
        check("", &[("LOGHAUL_TOKEN_FILE", "env")], &["--user", "joe"], "");
    }

    #[test]
    fn who_said_it() {
        let settings = settings(FILE, &[("LOGHAUL_INDEX", "env")]).unwrap();
        let command = Cli::command();
        let of = settings.of_command(command.find_subcommand("load").unwrap()).unwrap();
        let value = |name: &str| of.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.clone()).unwrap();
        assert_eq!(value("index").from, Origin::Environment("LOGHAUL_INDEX".into()));
        assert!(matches!(value("to").from, Origin::File(_)));
        assert_eq!((value("schema").texts, value("schema").from), (vec!["grok".to_owned()], Origin::Default));
        assert!(value("take-last-line").texts.is_empty() && value("take-last-line").switch);
        assert_eq!(shown("to", "https://joe:secret@h:1/x"), "https://joe:***@h:1/x");
        assert_eq!(shown("to", "joe:secret@h"), "joe:***@h");
        assert_eq!(shown("password", "x"), "***");
    }
}
