//! Who may know whom. The modules form one line, and each looks only to those before it; so the data plane can be read,
//! tested and used without the command line, and the parser without anything.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the one that knows nobody to the one that knows all.
const ORDER: [&str; 13] = [
    "error",
    "escape",
    "secret",
    "schema",
    "dashboards",
    "aws",
    "stores",
    "opensearch",
    "pipeline",
    "ledger",
    "cli",
    "config",
    "commands",
];

#[test]
fn each_module_looks_only_to_those_before_it() {
    let mut wrong = Vec::new();
    for (rank, module) in ORDER.iter().enumerate() {
        for file in files_of(module) {
            for (line, used) in uses(&file) {
                let known = ORDER.iter().position(|other| *other == used);
                let known = known.unwrap_or_else(|| panic!("{}:{line}: {used} is not in ORDER", file.display()));
                if known > rank {
                    wrong.push(format!("{}:{line}: {module} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_parser_and_the_json_writer_know_nothing_of_ours() {
    for file in files_of("pipeline/parse").into_iter().chain([Path::new("src/pipeline/serialize/json.rs").into()]) {
        assert!(
            shown(&file).lines().all(|line| !line.contains("crate::") || line.contains("crate::pipeline::parse")),
            "{}",
            file.display()
        );
    }
}

#[test]
fn the_data_plane_knows_no_command_line_and_no_ledger() {
    for file in files_of("pipeline") {
        for word in ["clap", "rusqlite", "crate::cli", "crate::config", "crate::ledger", "crate::commands"] {
            assert!(!shown(&file).contains(word), "{}: {word}", file.display());
        }
    }
}

/// The source files of a module: `src/NAME.rs` and all below `src/NAME/`.
fn files_of(module: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> =
        Some(root.join(format!("{module}.rs"))).filter(|file| file.exists()).into_iter().collect();
    let mut folders = vec![root.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{module} is gone: mend ORDER");
    files
}

/// What of a file is the program: without its tests, which may know anybody.
fn shown(file: &Path) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("source can be read");
    // `tests.rs`, or a folder of that name.
    let below = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file).with_extension("");
    if below.components().any(|part| part.as_os_str() == "tests") {
        return String::new();
    }
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// The modules of ours that a file names, and where.
fn uses(file: &Path) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in shown(file).lines().enumerate() {
        for after in line.split("crate::").skip(1).filter(|_| !line.trim_start().starts_with("//")) {
            // `use crate::{cli, pipeline::stop};`
            let names = match after.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or(list).split(',').collect(),
                None => vec![after],
            };
            for name in names {
                let word: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if word.starts_with(char::is_lowercase) {
                    found.push((n + 1, word));
                }
            }
        }
    }
    found
}
