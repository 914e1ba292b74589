//! Flags that change what documents hold, and which lines become one.

use serde_json::{Value, json};

use crate::support::logs;
use crate::support::{Folder, Ran};

const LINE: &str = "192.0.2.7 - frank [10/Oct/2023:13:55:36 -0700] \"GET /a.gif?x=1 HTTP/1.0\" 200 2326 \
                    \"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"";

/// The one document of one line.
#[track_caller]
fn document(folder: &Folder, line: &str, flags: &[&str]) -> Value {
    folder.write_settled("access.log", format!("{line}\n"));
    let ran = folder.parse(&[&["access.log"], flags].concat()).ends_with(0);
    let mut documents = ran.documents();
    assert_eq!(documents.len(), 1, "{}", ran.told());
    documents.remove(0)
}

#[test]
fn a_document_with_all_its_fields() {
    let folder = Folder::new();
    let flags = ["--ingestion-timestamp", "2024-06-01T00:00:00Z"];
    let plain = json!({
        "@timestamp": "2023-10-10T13:55:36-07:00",
        "@ingestion_timestamp": "2024-06-01T00:00:00.000Z",
        "@log_type": "apache-access-log",
        "clientip": "192.0.2.7",
        "ident": "-",
        "auth": "frank",
        "verb": "GET",
        "request": "/a.gif?x=1",
        "httpversion": "1.0",
        "response": 200,
        "bytes": 2326,
        "referrer": "http://www.example.com/start.html",
        "agent": "Mozilla/4.08 [en] (Win98; I ;Nav)",
    });
    assert_eq!(document(&folder, LINE, &flags), plain);

    let mut more = plain.clone();
    let line = format!("{LINE} \"-\" 17");
    more["message"] = json!(line);
    more["extra"] = json!("\"-\" 17");
    more["timestamp"] = json!("10/Oct/2023:13:55:36 -0700");
    more["log.file.path"] = json!("access.log");
    more["log.offset"] = json!(0);
    more["site"] = json!("shop");
    more["service.name"] = json!("web \"1\" é = ok");
    more["@log_type"] = json!("nginx");
    let with = ["--with", "message,source", "--with", "extra,timestamp", "--log-type", "nginx"];
    let fields = ["--field", "site=shop", "--field", "service.name=web \"1\" é = ok"];
    let got = document(&folder, &line, &[&flags[..], &with, &fields].concat());
    // The path is the file's own; whether as typed or from the root is not for this test to say.
    assert!(got["log.file.path"].as_str().is_some_and(|path| path.ends_with("access.log")), "{got:#}");
    more["log.file.path"] = got["log.file.path"].clone();
    assert_eq!(got, more);
}

#[test]
fn fields_of_the_other_formats() {
    let folder = Folder::new();
    let time = "[05/Mar/2024:10:00:00 +0000]";
    let cases = [
        ("common", format!("192.0.2.1 - - {time} \"GET / HTTP/1.1\" 200 5"), json!({"bytes": 5, "agent": null})),
        (
            "vhost_combined",
            format!("www.example.com:443 192.0.2.1 - - {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"a\""),
            json!({"vhost": "www.example.com:443", "clientip": "192.0.2.1", "agent": "a"}),
        ),
        (
            "vhost_common",
            format!("www.example.com 192.0.2.1 - - {time} \"GET / HTTP/1.1\" 200 5"),
            json!({"vhost": "www.example.com", "clientip": "192.0.2.1"}),
        ),
        (
            "combinedio",
            format!("192.0.2.1 - - {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"a\" 80 300"),
            json!({"agent": "a", "bytes": 5, "bytes_in": 80, "bytes_out": 300}),
        ),
        (
            "combined",
            format!("192.0.2.1, 10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 - \"\" \"-\""),
            json!({"clientip": "192.0.2.1", "x_forwarded_for": "192.0.2.1, 10.0.0.1", "bytes": null, "referrer": ""}),
        ),
        (
            "combined",
            format!("192.0.2.1 - \"\" {time} \"\\x16\\x03\\x01\" 000 - \"-\" \"-\""),
            json!({"auth": "", "verb": null, "request": null, "rawrequest": "\\x16\\x03\\x01"}),
        ),
        (
            "combined",
            format!("192.0.2.1 - - {time} \"GET /caf\\xc3\\xa9 HTTP/1.1\" 200 1 \"-\" \"say \\\"hi\\\" \\\\o/\""),
            json!({"request": "/café", "agent": "say \"hi\" \\o/"}),
        ),
    ];
    for (format, line, expected) in cases {
        for flags in [&["--format", format][..], &["--format", "auto"]] {
            let got = document(&folder, &line, flags);
            for (name, value) in expected.as_object().expect("fields") {
                assert_eq!(&got[name], value, "{name} of {line} by {flags:?}: {got:#}");
            }
        }
    }
}

#[test]
fn a_field_that_documents_have_already_is_wrong_usage() {
    let folder = Folder::new();
    for name in ["agent", "@timestamp", "log", "log.file.path", "bytes", "clientip.ip", "message", "extra", "vhost"] {
        folder.parse(&["x.log", "--field", &format!("{name}=1")]).ends_with(2).says(&["--field", name]);
    }
    folder.parse(&["x.log", "--field", "a=1", "--field", "a=2"]).ends_with(2).says(&["--field"]);
    folder.parse(&["x.log", "--field", "a"]).ends_with(2).says(&["NAME=VALUE"]);
    folder.parse(&["x.log", "--field", "_id=1"]).ends_with(2).says(&["_id"]);
}

/// Lines outside are counted apart, in both laws; the first moment is in, the last is out.
#[test]
fn since_and_until_are_of_event_time() {
    let folder = Folder::new();
    let line = |time: &str| format!("192.0.2.1 - - [{time}] \"GET /{time} HTTP/1.1\" 200 1 \"-\" \"a\"\n");
    let log = [
        line("31/Dec/2023:23:59:59 +0000"),
        line("01/Jan/2024:00:00:00 +0000"),
        line("01/Jan/2024:00:30:00 +0100"), // 23:30 the day before
        line("31/Jan/2024:23:59:59 +0000"),
        line("31/Jan/2024:23:30:00 -0100"), // 00:30 the day after
        line("01/Feb/2024:00:00:00 +0000"),
        "\n".to_owned(),
        "junk\n".to_owned(),
    ];
    folder.write_settled("access.log", log.concat());
    let cases: [(&[&str], u64); 5] = [
        (&["--since", "2024-01-01", "--until", "2024-02-01"], 2),
        (&["--since", "2024-01-01T00:00:00+01:00"], 6),
        (&["--until", "2024-01-01"], 2),
        (&["--since", "2024-02-01T00:00:01Z"], 1),
        (&["--since", "36500d"], 6),
    ];
    for (flags, documents) in cases {
        let flags = [flags, &["--json", "--max-malformed", "100%"]].concat();
        let ran = folder.parse(&[&["access.log"], &flags[..]].concat()).ends_with(0);
        assert_eq!(ran.lines().len() as u64, documents, "{}", ran.told());
        ran.report()
            .has(&format!("lines_read 8, indexed {documents}, outside {}, malformed 1, blank 1", 6 - documents));
    }
    folder.parse(&["access.log", "--since", "2024-02-01", "--until", "2024-01-01"]).ends_with(2).says(&["--since"]);
    folder.parse(&["access.log", "--since", "soon"]).ends_with(2).says(&["soon"]);
}

/// The time of ingestion is the same for all documents of a run.
#[test]
fn the_ingestion_timestamp_is_the_run_s() {
    let folder = Folder::new();
    folder.write_settled("access.log", logs::lines(3_000));
    let documents = folder.parse(&["access.log"]).ends_with(0).documents();
    let first = documents[0]["@ingestion_timestamp"].as_str().expect("a time");
    assert!(first.parse::<jiff::Timestamp>().is_ok(), "{first} is RFC 3339");
    assert!(documents.iter().all(|document| document["@ingestion_timestamp"] == first));
}

/// Offsets are those of the decompressed bytes, whatever the log came in.
#[test]
fn log_offset_finds_the_line_again() {
    let folder = Folder::new();
    let (log, _) = logs::odd(2_000, 41);
    folder.write("access.log.gz", logs::gzip(&log, 5));
    let ran = folder.parse(&["access.log.gz", "--with", "message,source", "--max-malformed", "100%"]).ends_with(0);
    for document in ran.documents() {
        let at = document["log.offset"].as_u64().expect("an offset") as usize;
        let line = log[at..].split(|byte| *byte == b'\n').next().expect("a line");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert_eq!(document["message"], *String::from_utf8_lossy(line), "at {at}");
        assert!(at == 0 || log[at - 1] == b'\n', "{at} is the start of a line");
    }
}

/// Standard input has a name in documents, too, and takes another.
#[test]
fn the_source_of_a_pipe() {
    let folder = Folder::new();
    let line = logs::lines(1);
    let path = |ran: Ran| ran.ends_with(0).documents()[0]["log.file.path"].clone();
    let parse = ["parse", "-", "--with", "source"];
    assert_eq!(path(folder.run_with_stdin(&parse, line.as_bytes())), "-");
    let named = [&parse[..], &["--source-name", "web1/access.log"]].concat();
    assert_eq!(path(folder.run_with_stdin(&named, line.as_bytes())), "web1/access.log");
}
