//! Files that are missing, damaged, or something else: told in a sentence, and the others are loaded.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use flate2::read::MultiGzDecoder;

use crate::support::law::has;
use crate::support::{Folder, Ran, logs, not_tested};

/// `load` to nowhere, twice: for people and for machines.
fn load(folder: &Folder, sources: &[&str]) -> (Ran, Ran) {
    let load = [&["load", "--to", "null:"], sources].concat();
    (folder.run(&load), folder.run(&[&load[..], &["--json"]].concat()))
}

#[test]
fn a_missing_file_beside_good_ones() {
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(10));
    folder.write_settled("b.log", logs::lines(20));
    let (told, json) = load(&folder, &["a.log", "missing.log", "b.log"]);
    told.ends_with(1).tells(&["missing.log", "no such file"]);
    let report = json.ends_with(1).report();
    report.has("lines_read 30, indexed 30");
    assert_eq!(report.file("missing.log")["status"], "failed");
    has(report.file("b.log"), "lines_read 20, indexed 20");
    let ran = folder.parse(&["missing.log", "a.log"]).ends_with(1).says(&["missing.log", "no such file"]);
    assert_eq!(ran.documents().len(), 10);

    // Alone, too; and where a folder of that path is missing, or a file is in its place.
    for missing in ["missing.log", "nowhere/access.log", "a.log/access.log"] {
        folder.run(&["load", missing, "--to", "null:"]).ends_with(1).tells(&[missing]);
    }
}

#[test]
fn a_file_that_may_not_be_read() {
    let folder = Folder::new();
    folder.write_settled("logs/a.log", logs::lines(10));
    folder.write_settled("logs/secret.log", logs::lines(20));
    let secret = folder.path().join("logs/secret.log");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(folder.path().join("logs/closed")).unwrap();
    fs::set_permissions(folder.path().join("logs/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();

    // Root may read everything, so the program runs as somebody else, from a place where they may start it.
    let root = rustix::process::geteuid().is_root();
    let program = folder.path().join("loghaul-of-this-test");
    fs::copy(crate::support::folder::program(), &program).expect("the program can be copied");
    let run = |arguments: &[&str]| {
        let mut command = folder.command_of(&program, arguments);
        if root {
            command.uid(65_534).gid(65_534);
        }
        Ran::of(command, b"")
    };
    let probe = run(&["--version"]);
    if probe.status.code() != Some(0) {
        return not_tested(&format!("unreadable files: cannot run as nobody in {}", folder.path().display()));
    }
    let ran = run(&["load", "logs/a.log", "logs/secret.log", "--to", "null:", "--json"]).ends_with(1);
    let report = ran.report();
    report.has("lines_read 10, indexed 10");
    assert_eq!(report.file("secret.log")["status"], "failed");
    run(&["load", "logs/a.log", "logs/secret.log", "--to", "null:"])
        .ends_with(1)
        .tells(&["secret.log", "permission denied"]);
    // Found in a directory, they are no less missing.
    let ran = run(&["load", "logs", "--to", "null:"]).ends_with(1);
    ran.tells(&["secret.log", "closed", "permission denied"]);
    fs::set_permissions(folder.path().join("logs/closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_empty_file_has_zero_lines() {
    let folder = Folder::new();
    folder.write_settled("empty.log", "");
    folder.write("empty-just-now.log", "");
    folder.write("empty.gz", logs::gzip(b"", 1));
    folder.write("empty.zst", zstd::encode_all(&b""[..], 3).unwrap());
    for name in ["empty.log", "empty-just-now.log", "empty.gz", "empty.zst"] {
        let report = folder.run(&["load", name, "--to", "null:", "--json"]).ends_with(0).report();
        report.has("lines_read 0, indexed 0, malformed 0, blank 0, bytes_read 0");
        assert_eq!(report.file(name)["status"], "loaded", "{name}");
    }
    folder.run_with_stdin(&["load", "-", "--to", "null:", "--json"], b"").ends_with(0).report().has("lines_read 0");
    assert!(folder.parse(&["empty.log"]).ends_with(0).stdout.is_empty());
}

#[test]
fn blank_lines_are_blank() {
    let folder = Folder::new();
    folder.write_settled("blank.log", "\n\n\r\n\n");
    let report = folder.run(&["load", "blank.log", "--to", "null:", "--json"]).ends_with(0).report();
    report.has("lines_read 4, indexed 0, malformed 0, blank 4");
}

/// By name they are loaded, and every line is malformed; a sentence says what they look like.
#[test]
fn other_files_by_name() {
    let error_log = "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] AH00035: x\n".repeat(30)
        + "[Fri Sep 09 10:42:29 2011] [error] [client 10.1.2.3] File does not exist: /var/www\n";
    let binary: Vec<u8> = (0..=255).cycle().take(40_000).collect();
    let json = "{\"time\":\"2024-01-15T03:12:44Z\",\"status\":200}\n".repeat(30);
    let text = "The quick brown fox\njumps over the lazy dog\n".repeat(30);
    let folder = Folder::new();
    for (name, bytes, says) in [
        ("error.log", error_log.as_bytes(), "Apache error log"),
        ("data.bin", &binary, "binary"),
        ("data.json", json.as_bytes(), "JSON"),
        ("words.txt", text.as_bytes(), "no access"),
    ] {
        folder.write_settled(name, bytes);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + usize::from(!bytes.ends_with(b"\n"));
        let (told, json) = load(&folder, &[name]);
        told.ends_with(3).tells(&[name, says]);
        let report = json.ends_with(3).report();
        assert_eq!(report.count("lines_read"), lines as u64, "{name}");
        assert_eq!(report.count("indexed"), 0, "{name}");
        assert_eq!(report.file(name)["status"], "loaded", "{name}");

        // Beside a good log, through a pipe, and packed, the same is said.
        folder.write(&format!("{name}.gz"), logs::gzip(bytes, 1));
        folder.run(&["load", &format!("{name}.gz"), "--to", "null:"]).ends_with(3).tells(&[says]);
        folder.run_with_stdin(&["load", "-", "--to", "null:"], bytes).ends_with(3).tells(&[says]);
    }
}

/// What cannot be read as text, or only wrongly, has failed, and it is said what makes a log of it.
#[test]
fn packed_otherwise() {
    let folder = Folder::new();
    let log = logs::lines(20);
    // The header of ustar(5), and two members: the first line of each would stand behind a header.
    let member = |name: &str| {
        let mut member = vec![0; 512];
        member[..name.len()].copy_from_slice(name.as_bytes());
        member[257..265].copy_from_slice(b"ustar\x0000");
        member.extend_from_slice(log.as_bytes());
        member.resize(member.len().next_multiple_of(512), 0);
        member
    };
    let tar = [member("a.log"), member("b.log"), vec![0; 1024]].concat();
    for (name, bytes, says) in [
        ("logs.tar", tar.clone(), "tar -xOf"),
        ("logs.tar.gz", logs::gzip(&tar, 1), "tar -xOf"),
        ("a.log.xz", b"\xfd7zXZ\0\0\x04\xe6\xd6".to_vec(), "xz -dc"),
        ("a.log.bz2", b"BZh91AY&SY\0\0".to_vec(), "bzip2 -dc"),
        ("twice.gz", logs::gzip(&logs::gzip(log.as_bytes(), 1), 1), "gzip -dc"),
    ] {
        folder.write_settled(name, &bytes);
        let (told, json) = load(&folder, &[name]);
        told.ends_with(1).tells(&[name, says]);
        let report = json.ends_with(1).report();
        assert_eq!((report.count("lines_read"), &report.file(name)["status"]), (0, &"failed".into()), "{name}");
        folder.run_with_stdin(&["load", "-", "--to", "null:"], &bytes).ends_with(1).tells(&[says]);
    }
    // In a folder they are other files.
    folder.write("logs/a.log", &log);
    folder.write_settled("logs/old.tar", &tar);
    let report = folder.run(&["load", "logs", "--to", "null:", "--json"]).ends_with(0).report();
    report.has("lines_read 20, indexed 20");
    assert_eq!(report.file("old.tar")["status"], "skipped");
}

/// Lines that end in CR alone are not one line with much behind it.
#[test]
fn lines_that_end_in_cr_alone() {
    let folder = Folder::new();
    folder.write_settled("mac.log", logs::lines(20).replace('\n', "\r"));
    let (told, json) = load(&folder, &["mac.log"]);
    told.ends_with(3).tells(&["bare_cr", "CR alone"]);
    json.ends_with(3).report().has("lines_read 1, indexed 0, malformed 1");
}

/// Every whole line before the cut is loaded, the half one is not, and it is said where the cut is.
#[test]
fn a_cut_gzip() {
    let folder = Folder::new();
    let (log, _) = logs::usual(20_000, 61);
    let packed = logs::gzip(&log, 1);
    for (n, keep) in [packed.len() / 2, packed.len() - 1, packed.len() - 8, 30, 11].into_iter().enumerate() {
        let name = format!("cut-{n}.gz");
        folder.write(&name, &packed[..keep]);
        // What there is before the cut, by another decoder.
        let mut whole = Vec::new();
        let _ = MultiGzDecoder::new(&packed[..keep]).read_to_end(&mut whole);
        whole.truncate(whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        let lines = whole.iter().filter(|byte| **byte == b'\n').count() as u64;

        let (told, json) = load(&folder, &[&name]);
        let report = json.ends_with(1).report();
        assert_eq!(report.file(&name)["status"], "damaged", "{name}");
        // The other decoder may drop what its last call had unpacked; ours gives every byte there is.
        let read = report.count("lines_read");
        assert!(read >= lines, "{name}: {read} lines instead of {lines}");
        assert_eq!((report.count("malformed"), report.count("indexed")), (0, read), "{name}");
        let offset = report.count("bytes_read");
        assert!(offset == 0 || log[offset as usize - 1] == b'\n', "whole lines: {offset}");
        assert_eq!(report.file(&name)["damaged_at"], offset, "{name}");
        told.ends_with(1).tells(&[&name, "damaged"]);
        let prefix = folder.parse(&[&name]).ends_with(1);
        assert_eq!(prefix.documents().len() as u64, read, "{name}");
    }
    // The others are loaded all the same.
    folder.write_settled("good.log", logs::lines(10));
    let ran = folder.run(&["load", "cut-0.gz", "good.log", "--to", "null:", "--json"]).ends_with(1);
    has(ran.report().file("good.log"), "lines_read 10, indexed 10");
    // A pipe can be cut, too.
    folder
        .run_with_stdin(&["load", "-", "--to", "null:"], &packed[..packed.len() / 2])
        .ends_with(1)
        .tells(&["damaged"]);
}

#[test]
fn corrupt_archives() {
    let folder = Folder::new();
    let (log, _) = logs::usual(20_000, 62);
    let flags = ["--ingestion-timestamp", "2024-06-01T00:00:00Z"];
    folder.write_settled("whole.log", &log);
    let expected = folder.parse(&[&["whole.log"], &flags[..]].concat());
    let first_frame = logs::zstd(&log[..log.len() / 3], 1).len();
    let (zstd, gzip) = (logs::zstd(&log, 3), logs::gzip(&log, 3));
    let overwritten = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + 64].fill(0xa5);
        bytes
    };
    for (name, bytes) in [
        ("corrupt.zst", overwritten(&zstd, zstd.len() / 2)),
        ("corrupt.gz", overwritten(&gzip, gzip.len() / 2)),
        ("cut.zst", zstd[..zstd.len() / 2].to_vec()),
        ("followed-by-junk.zst", [&zstd[..first_frame], b"this is no frame"].concat()),
        ("followed-by-junk.gz", [&logs::gzip(&log, 1)[..], b"this is no member"].concat()),
    ] {
        folder.write(name, &bytes);
        let (told, json) = load(&folder, &[name]);
        told.ends_with(1).tells(&[name, "damaged"]);
        let report = json.ends_with(1).report();
        assert_eq!(report.file(name)["status"], "damaged", "{name}");
        assert_eq!(report.file(name)["damaged_at"], report.count("bytes_read"), "{name}");
        // What was overwritten may unpack to anything for a while, before it is noticed; what comes before may not.
        let documents = folder.parse(&[&[name], &flags[..]].concat());
        let (got, want) = (documents.lines(), expected.lines());
        let alike = std::iter::zip(&got, &want).take_while(|(got, want)| got == want).count();
        assert!(alike > 6_000, "{name}: only {alike} documents, and the first third is intact");
        if name.starts_with("followed") || name.starts_with("cut") {
            assert_eq!(alike, got.len(), "{name}: lines of the log and nothing else");
        }
    }
}

/// A checksum that does not fit is damage, although every byte could be unpacked.
#[test]
fn a_wrong_checksum() {
    let folder = Folder::new();
    let log = logs::lines(1_000);
    let mut gzip = logs::gzip(log.as_bytes(), 1);
    let crc = gzip.len() - 8;
    gzip[crc] ^= 0xff;
    folder.write("crc.gz", &gzip);
    let report = folder.run(&["load", "crc.gz", "--to", "null:", "--json"]).ends_with(1).report();
    assert_eq!(report.file("crc.gz")["status"], "damaged");
}

#[test]
fn an_output_file_that_cannot_be_written() {
    let folder = Folder::new();
    folder.write_settled("a.log", logs::lines(3) + "junk\n");
    folder
        .run(&["load", "a.log", "--to", "null:", "--malformed", "no/such/folder.ndjson"])
        .ends_with(1)
        .says(&["no/such/folder.ndjson"]);
}
