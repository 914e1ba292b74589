//! What a program owes its users beside its work: `config` (which values hold, and why), `completions`, `man`.

use std::path::Path;

use clap::CommandFactory;

use crate::cli::settings::{self, Settings};
use crate::cli::{Cli, ConfigArgs};
use crate::commands::output;
use crate::error::{Error, Result, io_reason};

/// Prints the values of a command's flags as they hold where nothing is typed, as a file for `--config`.
///
/// # Errors
/// If there is no such command, or a variable cannot be a value.
pub fn config(args: &ConfigArgs, settings: &Settings) -> Result<u8> {
    let command = Cli::command();
    let sub = command.find_subcommand(&args.command).ok_or_else(|| {
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        Error::usage(format!("there is no command {:?}", args.command)).hint(names.join(", "))
    })?;
    let mut text = match settings.file() {
        Some(path) => format!("# {} holds where flags and environment say nothing\n", path.display()),
        None => "# no file: name one with --config FILE or LOGHAUL_CONFIG\n".to_owned(),
    };
    text.push_str(&format!("[{}]\n", sub.get_name()));
    for (flag, value) in settings.of_command(sub)? {
        let texts: Vec<String> = value.texts.iter().map(|text| quoted(&settings::shown(&flag, text))).collect();
        let shown = match (value.switch, &texts[..]) {
            (true, texts) => format!("{flag} = {}", !texts.is_empty()),
            (false, []) => format!("# {flag} ="),
            (false, [one]) => format!("{flag} = {one}"),
            (false, several) => format!("{flag} = [{}]", several.join(", ")),
        };
        text.push_str(&format!("{shown:<50} # {}\n", value.from));
    }
    output::bytes(text).map(|()| 0)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Prints a script that completes our command line in a shell.
///
/// # Errors
/// If it cannot be printed.
pub fn completions(shell: clap_complete::Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "loghaul", &mut script);
    output::bytes(&script).map(|()| 0)
}

/// Writes a man page for the program and one for each command into a folder, or prints the first.
///
/// # Errors
/// If they cannot be written.
pub fn man(folder: Option<&Path>) -> Result<u8> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).expect("memory takes all");
        return output::bytes(&page).map(|()| 0);
    };
    std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder)).map_err(
        |error| Error::failed(format!("cannot write man pages to {}: {}", folder.display(), io_reason(&error))),
    )?;
    Ok(0)
}
