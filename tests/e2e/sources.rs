//! Files, directories, globs and links: which files are loaded, each once.

use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::{Folder, Report, logs};

/// Six logs of 1, 2, 4, 8, 16 and 32 lines, so that a sum tells which were loaded.
fn logs_by_power() -> Folder {
    let folder = Folder::new();
    let mut from = 0;
    for (name, count) in [
        ("logs/access.log", 1),
        ("logs/access.log.1", 2),
        ("logs/access.log.2.gz", 4),
        ("logs/shop/access.log", 8),
        ("logs/shop/old/access.zst", 16),
        ("logs/other.txt", 32),
    ] {
        let text: String = (from..from + count).map(|n| logs::line(n) + "\n").collect();
        from += count;
        let bytes = match name.rsplit('.').next() {
            Some("gz") => logs::gzip(text.as_bytes(), 1),
            Some("zst") => logs::zstd(text.as_bytes(), 1),
            _ => text.into_bytes(),
        };
        folder.write_settled(name, bytes);
    }
    folder
}

fn load(folder: &Folder, arguments: &[&str]) -> Report {
    folder.run(&[&["load", "--to", "null:", "--json"], arguments].concat()).ends_with(0).report()
}

#[test]
fn directories_globs_and_filters() {
    let folder = logs_by_power();
    let absolute = folder.path().join("logs/shop");
    let absolute_glob = folder.path().join("logs/*.log").display().to_string();
    let cases: &[(&[&str], u64, u64)] = &[
        (&["logs"], 63, 6),
        (&["logs/"], 63, 6),
        (&["."], 63, 6),
        (&["logs/access.log", "logs/access.log.1"], 3, 2),
        (&["logs/*.log"], 1, 1),
        (&[&absolute_glob], 1, 1),
        (&["logs/**/*.log"], 9, 2),
        (&["logs/*/access.*"], 8, 1),
        (&["logs/access.log.[12]*"], 6, 2),
        (&["logs/{access.log,other.txt}"], 33, 2),
        (&["logs/access.log?1"], 2, 1),
        (&[absolute.to_str().unwrap()], 24, 2),
        (&["logs", "--include", "*.log"], 9, 2),
        (&["logs", "--include", "*.log", "--include", "*.zst"], 25, 3),
        (&["logs", "--exclude", "*.txt"], 31, 5),
        (&["logs", "--include", "access*", "--exclude", "*.gz", "--exclude", "*.zst"], 11, 3),
        (&["logs", "--exclude", "**/shop/**"], 39, 4),
        // A file given by name is always taken.
        (&["logs/other.txt", "logs/shop", "--include", "*.log"], 40, 2),
        // What is named twice, or found again, is loaded once.
        (&["logs/access.log", "logs/access.log"], 1, 1),
        (&["logs/access.log", "logs", "logs/*", "logs/../logs/access.log"], 63, 6),
    ];
    for (arguments, lines, files) in cases {
        let report = load(&folder, arguments);
        assert_eq!((report.count("lines_read"), report.files().len() as u64), (*lines, *files), "{arguments:?}");
    }
}

#[test]
fn newer_than() {
    let folder = logs_by_power();
    let day = Duration::from_secs(86_400);
    folder.age("logs/access.log.1", 3 * day);
    folder.age("logs/access.log.2.gz", 10 * day);
    assert_eq!(load(&folder, &["logs", "--newer-than", "2d"]).count("lines_read"), 63 - 2 - 4);
    assert_eq!(load(&folder, &["logs", "--newer-than", "5d"]).count("lines_read"), 63 - 4);
    assert_eq!(load(&folder, &["logs", "--newer-than", "1970-01-01"]).count("lines_read"), 63);
    assert_eq!(load(&folder, &["logs/*.gz", "logs/access.log.1", "--newer-than", "5d"]).count("lines_read"), 2);
}

#[test]
fn a_link_is_not_loaded_twice() {
    let folder = Folder::new();
    folder.write_settled("data/access.log", logs::lines(10));
    folder.write_settled("data/other.log", logs::lines(5));
    symlink("access.log", folder.path().join("data/link.log")).unwrap();
    std::fs::hard_link(folder.path().join("data/access.log"), folder.path().join("data/hard.log")).unwrap();
    symlink("data", folder.path().join("link-to-folder")).unwrap();
    for arguments in [
        &["data"][..],
        &["data/*.log"],
        &["data/link.log", "data/access.log", "data/hard.log", "data/other.log"],
        &["link-to-folder"],
        &["data", "link-to-folder"],
    ] {
        let report = load(&folder, arguments);
        assert_eq!((report.count("lines_read"), report.files().len()), (15, 2), "{arguments:?}");
    }
    // A link given by name is followed.
    assert_eq!(load(&folder, &["data/link.log"]).count("lines_read"), 10);
}

/// A folder that holds itself by a link must not be walked for ever.
#[test]
fn a_folder_within_itself() {
    let folder = Folder::new();
    folder.write_settled("data/access.log", logs::lines(10));
    symlink("../data", folder.path().join("data/again")).unwrap();
    folder.run(&["load", "data", "--to", "null:", "--json"]).report().has("lines_read 10, indexed 10");
}

#[test]
fn linked_folders_and_what_is_left_out() {
    let folder = Folder::new();
    folder.write_settled("real/access.log", logs::lines(10));
    folder.write_settled("logs/other.txt", logs::lines(5));
    symlink("../real", folder.path().join("logs/current")).unwrap();
    symlink("nowhere", folder.path().join("logs/gone.txt")).unwrap();
    let arguments = ["load", "logs", "real", "logs/c*/access.log", "--exclude", "*.txt", "--to", "null:"];
    let ran = folder.run(&arguments).ends_with(0);
    ran.tells(&["2 files were left out by --include", "2 files turned up again"]);
    folder.run(&[&arguments[..], &["--json"]].concat()).report().has("lines_read 10, indexed 10");
}

/// A log may begin with anything: long lines, or the NULs that copytruncate leaves.
#[test]
fn logs_in_a_directory_that_begin_badly() {
    let good = logs::lines(500);
    let junk = ("x".repeat(10_000) + "\n").repeat(8);
    for (start, others) in [(junk, 8), ("x".repeat(100_000) + "\n", 1), ("\0".repeat(70_000), 0)] {
        let folder = Folder::new();
        folder.write_settled("logs/access.log", [start.as_bytes(), good.as_ref()].concat());
        let report = folder.run(&["load", "logs", "--to", "null:", "--json"]).ends_with(0).report();
        report.has(&format!("lines_read {}, indexed 500, malformed {others}", 500 + others));
    }
}

/// What lies about in log directories is named and left out; it is no reason for an exit code.
#[test]
fn what_is_no_access_log_is_skipped_in_a_directory() {
    let folder = Folder::new();
    folder.write_settled("logs/access.log", logs::lines(10));
    folder.write_settled(
        "logs/error.log",
        "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 1] AH00035: x\n".repeat(9),
    );
    folder.write_settled("logs/data.json", "{\"a\":1}\n{\"a\":2}\n");
    folder.write_settled("logs/app.bin", (0..=255).cycle().take(4_000).collect::<Vec<u8>>());
    folder.write_settled("logs/empty.log", "");
    for source in ["logs", "logs/*"] {
        let ran = folder.run(&["load", source, "--to", "null:", "--json"]).ends_with(0);
        let report = ran.report();
        report.has("lines_read 10, indexed 10, malformed 0");
        for name in ["error.log", "data.json", "app.bin"] {
            assert_eq!(report.file(name)["status"], "skipped", "{report:#?}");
        }
        assert_eq!(report.file("empty.log")["lines_read"], 0);
        folder.run(&["load", source, "--to", "null:"]).ends_with(0).tells(&["error.log", "data.json", "app.bin"]);
    }
}

#[test]
fn a_directory_without_logs_is_a_warning() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("nothing-here")).unwrap();
    let ran = folder.run(&["load", "nothing-here", "--to", "null:", "--json"]).ends_with(0);
    ran.report().has("lines_read 0, indexed 0");
    folder.run(&["load", "nothing-here", "--to", "null:"]).ends_with(0).tells(&["nothing-here"]);
    folder.parse(&["nothing-here"]).ends_with(0).tells(&["nothing-here"]);

    // A glob that matches nothing was meant to match something.
    folder.run(&["load", "nothing-here/*.log", "--to", "null:"]).ends_with(1).tells(&["nothing-here/*.log"]);
}

/// Names may hold anything but a slash and NUL; a terminal gets them escaped.
#[test]
fn odd_file_names() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    for (n, name) in
        [&b"caf\xe9.log"[..], b"a b.log", b"-.log", b"new\nline.log", b"\x1b[31mred.log", b"*.log"].iter().enumerate()
    {
        let path = folder.path().join("logs").join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, logs::line(n) + "\n" + &logs::line(n)).unwrap();
    }
    let report = folder.run(&["load", "logs", "--to", "null:", "--json", "--take-last-line"]).ends_with(0).report();
    report.has("lines_read 12, indexed 12");
    let ran = folder.run(&["load", "logs", "--to", "null:"]);
    assert!(
        !ran.stdout.contains(&0x1b) && !ran.stderr.contains('\x1b'),
        "an escape reached the terminal: {}",
        ran.told()
    );
    let documents = folder.parse(&["logs", "--take-last-line", "--with", "source"]).ends_with(0).documents();
    assert_eq!(documents.len(), 12);
}

#[test]
fn many_small_files() {
    let folder = Folder::new();
    for n in 0..400 {
        folder.write_settled(&format!("logs/{}/{n}.log", n % 20), logs::line(n) + "\n");
    }
    let report = load(&folder, &["logs"]);
    report.has("lines_read 400, indexed 400");
    assert_eq!(report.files().len(), 400);
}

/// Documents leave in the order of the sources as named, and of the lines in each, however fast each is read.
#[test]
fn documents_come_in_the_order_of_the_input() {
    let folder = Folder::new();
    let names: Vec<String> = (0..12).map(|n| format!("{}.log", (b'm' - n) as char)).collect();
    for (n, name) in names.iter().enumerate() {
        let (log, _) = logs::usual(if n % 3 == 0 { 8_000 } else { 5 }, n as u64);
        folder.write_settled(name, if n % 2 == 0 { logs::gzip(&log, 1) } else { log });
    }
    let arguments: Vec<&str> = names.iter().map(String::as_str).chain(["--with", "source", "--threads", "6"]).collect();
    let documents = folder.parse(&arguments).ends_with(0).documents();
    assert_eq!(documents.len(), 4 * 8_000 + 8 * 5);
    let places: Vec<(usize, u64)> = documents
        .iter()
        .map(|document| {
            let path = document["log.file.path"].as_str().expect("a path");
            let source = names.iter().position(|name| path.ends_with(name.as_str())).expect("one of ours");
            (source, document["log.offset"].as_u64().expect("an offset"))
        })
        .collect();
    assert!(places.is_sorted(), "as the sources were named, and by offset in each");
}
