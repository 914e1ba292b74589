//! What `examples/` and README tell a user to type: that it parses, that it exists, and what the nightly script does with
//! each way a load can end.

#[path = "support/mod.rs"]
#[allow(dead_code, unused_imports)] // other test programs use other parts of it
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::CommandFactory;
use loghaul::cli::Cli;
use support::{Folder, not_tested};

fn nightly(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nightly").join(name)
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn script(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let path = folder.write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

#[test]
fn scripts_are_bash_and_the_file_is_a_configuration() {
    for name in ["loghaul-nightly", "notify"] {
        let checked = run(Command::new("bash").arg("-n").arg(nightly(name)));
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
    }
    let shown = run(Command::new(env!("CARGO_BIN_EXE_loghaul"))
        .arg("--config")
        .arg(nightly("loghaul.toml"))
        .args(["config", "load"]));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(text.contains("sources = \"/var/log/apache2\"") && text.contains("quiet = true"), "{text}");
}

#[test]
fn units_are_units() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let units = ["loghaul-nightly.service", "loghaul-nightly.timer", "loghaul-nightly-tell.service"];
    for name in units {
        let text = fs::read_to_string(nightly(name)).expect("a unit");
        // What only an installed program has.
        let text =
            text.replace("/usr/local/bin/loghaul-nightly", "/bin/true").replace("Documentation=man:loghaul(1)\n", "");
        fs::write(path(name), text).expect("written");
    }
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args(units.map(path));
    match verify.output() {
        Err(_) => not_tested("systemd units: there is no systemd-analyze"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let ours: Vec<&str> = said.lines().filter(|line| line.contains("loghaul-nightly")).collect();
            assert!(ours.is_empty(), "{said}");
        }
    }
}

/// Runs the nightly script with a load that ends with this code; gives its own, how often it tried, and what its hook got.
fn night(code: i32) -> (Option<i32>, usize, String) {
    night_of("tried", code)
}

/// The same with a load that says this, and then how it was called.
fn night_of(says: &str, code: i32) -> (Option<i32>, usize, String) {
    let folder = Folder::new();
    let here = folder.path().display().to_string();
    let load =
        script(&folder, "load", &format!("#!/bin/bash\necho '{says}' \"$@\" | tee -a {here}/tries\nexit {code}\n"));
    let hook = script(&folder, "hook", &format!("#!/bin/bash\necho \"$1\" \"$(cat \"$2\")\" > {here}/told\n"));
    let mut night = Command::new("bash");
    night.arg(nightly("loghaul-nightly")).env("LOGHAUL_NIGHTLY_PROGRAM", load).env("LOGHAUL_NIGHTLY_HOOK", hook);
    night.env("LOGHAUL_NIGHTLY_STATE", folder.path().join("state")).env("LOGHAUL_NIGHTLY_RETRY_SECONDS", "0");
    let output = run(&mut night);
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("{says} load")), "{output:?}");
    let left: Vec<_> = fs::read_dir(folder.path().join("state")).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 1, "only the lock is left: {left:?}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    (output.status.code(), read("tries").lines().count(), read("told").trim().to_owned())
}

#[test]
fn a_night_for_each_way_a_load_can_end() {
    assert_eq!(night(0), (Some(0), 1, String::new()));
    assert_eq!(night(3), (Some(3), 1, "3 tried load".to_owned()));
    assert_eq!(night(1), (Some(1), 1, "1 tried load".to_owned()));
    // Stopped early: the same again goes on.
    assert_eq!(night(4), (Some(4), 3, "4 tried load".to_owned()));
}

#[test]
fn a_cluster_that_is_away_from_the_start_is_tried_again_too() {
    let folder = Folder::new();
    folder.write("access.log", "");
    let nobody = folder.run(&["load", "access.log", "--to", "http://127.0.0.1:1", "--no-ledger"]).ends_with(1);
    let said = nobody.stderr.lines().last().expect("a sentence").replace('\'', "");
    let (code, tries, _) = night_of(&said, 1);
    assert_eq!((code, tries), (Some(1), 3), "{said}");
}

/// What sends mail is set-group-ID: in a unit that takes no new rights it could not. So that unit leaves the telling to
/// another.
#[test]
fn the_hook_runs_where_mail_can_be_sent() {
    let unit = |name: &str| fs::read_to_string(nightly(name)).expect("a unit");
    let (load, tell) = (unit("loghaul-nightly.service"), unit("loghaul-nightly-tell.service"));
    assert!(load.contains("NoNewPrivileges=yes") && load.contains("LOGHAUL_NIGHTLY_TELL=later"));
    assert!(load.contains("OnFailure=loghaul-nightly-tell.service") && tell.contains("loghaul-nightly --tell"));
    let implied =
        ["NoNewPrivileges", "ProtectSystem", "SystemCall", "PrivateDevices", "Restrict", "MemoryDeny", "Protect"];
    assert!(implied.iter().all(|word| !tell.contains(word)), "{tell}");

    let folder = Folder::new();
    let here = folder.path().display().to_string();
    let hook = script(&folder, "hook", &format!("#!/bin/bash\necho \"$1\" \"$(cat \"$2\")\" > {here}/told\n"));
    let night = |load: &str, words: &[&str]| {
        let load = script(&folder, "load", &format!("#!/bin/bash\necho said\n{load}\n"));
        let mut night = Command::new("bash");
        night.arg(nightly("loghaul-nightly")).args(words).env("LOGHAUL_NIGHTLY_PROGRAM", load);
        night.env("LOGHAUL_NIGHTLY_HOOK", &hook).env("LOGHAUL_NIGHTLY_STATE", folder.path().join("state"));
        run(night.env("LOGHAUL_NIGHTLY_TELL", "later")).status.code()
    };
    let told = || fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    assert_eq!((night("exit 3", &[]), told()), (Some(3), String::new()));
    assert_eq!((night("", &["--tell"]), told()), (Some(0), "3 said\n".to_owned()));
    // The script itself is killed: then nobody has written down how it ended.
    assert_eq!(night("kill -9 $PPID", &[]), None);
    assert_eq!((night("", &["--tell"]), told()), (Some(0), "killed said\n".to_owned()));
}

#[test]
fn two_nights_at_once_are_one() {
    let folder = Folder::new();
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("a folder");
    let lock = fs::File::create(state.join("nightly.lock")).expect("a lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    let mut night = Command::new("bash");
    night.arg(nightly("loghaul-nightly")).env("LOGHAUL_NIGHTLY_PROGRAM", "false").env("LOGHAUL_NIGHTLY_STATE", &state);
    let output = run(&mut night);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("still at work"));
}

#[test]
fn the_hook_has_words_for_each_code() {
    let folder = Folder::new();
    script(&folder, "bin/mail", "#!/bin/bash\necho \"$2\"\n");
    let said = folder.write("said", "words");
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").expect("a path"));
    for (code, word) in [
        ("1", "damaged"),
        ("2", "usage"),
        ("3", "rejected"),
        ("4", "goes on"),
        ("killed", "was killed"),
        ("99", "ended with 99"),
    ] {
        let mut hook = Command::new("bash");
        hook.arg(nightly("notify")).arg(code).arg(&said).env("PATH", &path).env_remove("LOGHAUL_WEBHOOK");
        let output = run(&mut hook);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(word), "{code}: {text}");
    }
}

#[test]
fn each_command_and_flag_in_readme_is_there() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README");
    let command = Cli::command();
    let commands: BTreeSet<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let mut found = 0;
    for line in readme.replace("\\|", "|").lines() {
        for typed in line.split("loghaul ").skip(1) {
            let typed = typed.split(['`', '|', '#', ';', ')']).next().unwrap_or_default();
            let mut words =
                typed.split_whitespace().skip_while(|word| word.starts_with("--config") || word.ends_with(".toml"));
            let Some(sub) = words.next().and_then(|word| commands.get(word)) else { continue };
            let sub = command.find_subcommand(sub).expect("it is there");
            let flags: BTreeSet<&str> = sub.get_arguments().filter_map(clap::Arg::get_long).collect();
            for flag in words.filter_map(|word| word.strip_prefix("--")) {
                let flag = flag.split(['=', ',', '.', ':']).next().unwrap_or_default();
                let known = ["help", "config", ""].contains(&flag) || flags.contains(flag);
                assert!(known, "README: loghaul {} has no --{flag}: {line}", sub.get_name());
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found}: the test does not find README's commands");
}

#[test]
fn completions_and_man_pages_are_made() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = folder.run(&["completions", shell]).ends_with(0);
        assert!(String::from_utf8_lossy(&ran.stdout).contains("give-up-after"), "{shell}");
    }
    folder.run(&["man"]).ends_with(0).tells(&[".TH loghaul 1"]);
    folder.run(&["man", "pages"]).ends_with(0);
    assert!(folder.read("pages/loghaul-ship.1").contains("checksum"));
}

#[test]
fn a_value_that_was_not_typed_is_blamed_on_who_said_it() {
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    folder.write("c.toml", "[load]\nsources = ['a.log']\nto = 'null:'\nwriters = 0\n");
    folder.run(&["load", "--config", "c.toml"]).ends_with(2).says(&["--writers", "file c.toml"]);
    folder.write("c.toml", "[load]\nsources = ['a.log']\nto = 'null:'\nmax-malformed = '100%'\n");
    folder.run(&["load", "--config", "c.toml"]).ends_with(0).tells(&["1 read"]);
    folder.run(&["load", "--config", "none.toml"]).ends_with(2).says(&["cannot read --config none.toml"]);
    folder.run(&["config", "lod"]).ends_with(2).says(&["there is no command"]);
}
