//! Lines that are no access lines: what is found in log directories, and what broken disks and programs leave.
//!
//! Each of them is malformed in the format asked for (a `combined` line cut after the bytes is a good `common` one),
//! also by the rule for the end of the user: the time is the bracket directly before the first quote that has
//! ` [time] ` before it and is not behind a backslash. Nothing begins with the magic bytes of an archive, a byte-order mark or a NUL, which mean something else to a reader.

use crate::line::{LineWriter, vhost};
use crate::options::Format;
use crate::rng::Rng;
use crate::vocabulary::{push_number, push_shape, v4_address};
use crate::words;

/// Whole lines; `{n}` is a number, `{w}` a word.
const TEXTS: &[&str] = &[
    // httpd 2.2 and 2.4 error logs
    "[Fri Sep 09 10:42:29 2011] [error] [client 10.1.2.3] File does not exist: /var/www/{w}, referer: http://www.example.com/{w}",
    "[Mon Jan 15 03:25:12 2024] [notice] caught SIGTERM, shutting down",
    "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid {n}:tid 4328636416] (13)Permission denied: [client 72.15.99.187:{n}] AH00035: access to /{w}/ denied (filesystem path '/var/www/{w}') because search permissions are missing on a component of the path",
    "[Tue Jan 16 04:12:01.000001 2024] [:error] [pid {n}] [client 198.51.100.7:{n}] PHP Warning:  Undefined variable $title in \"/var/www/{w}.php\" on line {n}",
    "AH00558: apache2: Could not reliably determine the server's fully qualified domain name, using 127.0.1.1. Set the 'ServerName' directive globally to suppress this message",
    // other servers
    "2024/01/15 03:12:44 [error] {n}#0: *{n} open() \"/var/www/{w}\" failed (2: No such file or directory), client: 192.0.2.1, server: _, request: \"GET /{w} HTTP/1.1\", host: \"example.com\"",
    "192.0.2.1 - - [15/Jan/2024 03:12:44] \"GET /{w} HTTP/1.1\" 200 -",
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status",
    "2024-01-15 03:12:44 192.0.2.10 GET /{w}.aspx - 443 - 192.0.2.1 Mozilla/5.0 200 0 0 {n}",
    "2024-01-15T03:12:44.123456Z app/{w}/50dc6c495c0c9188 192.0.2.1:{n} 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - -",
    // what else there is
    "Jan 15 03:12:44 web1 systemd[1]: Starting {w}.service...",
    "{\"time\":\"2024-01-15T03:12:44Z\",\"level\":\"info\",\"msg\":\"{w}\",\"status\":200,\"bytes\":{n}}",
    "{\"log\":\"192.0.2.1 - - [15/Jan/2024:03:12:44 +0000] \\\"GET /{w} HTTP/1.1\\\" 200 {n} \\\"-\\\" \\\"curl/8.5.0\\\"\\n\",\"stream\":\"stdout\"}",
    "    at org.example.{w}.Main.main(Main.java:{n})",
    "<html><head><title>{w}</title></head>",
    "-----BEGIN CERTIFICATE-----",
    "{n}",
    "{w} {w}",
    "\"",
    "- - -",
];

/// What stands where a time should; the last ones are no times at all.
const BAD_TIMES: &[&str] = &[
    "31/Feb/2024:10:00:00 +0000",
    "29/Feb/2023:10:00:00 +0000",
    "00/Jan/2024:10:00:00 +0000",
    "32/Jan/2024:10:00:00 +0000",
    "12/Foo/2024:10:00:00 +0000",
    "12/01/2024:10:00:00 +0000",
    "12/Jan/24:10:00:00 +0000",
    "2/Jan/2024:10:00:00 +0000",
    "12/Jan/2024:24:00:00 +0000",
    "12/Jan/2024:29:00:00 +0000",
    "12/Jan/2024:10:60:00 +0000",
    "12/Jan/2024:10:00:61 +0000",
    "12/Jan/2024:1a:00:00 +0000",
    "12/Jan/2024:10:00:00",
    "12/Jan/2024:10:00:00 0000",
    "12/Jan/2024:10:00:00 +1900",
    "12/Jan/2024:10:00:00 +00:00",
    "12/Jan/2024 10:00:00 +0000",
    "2024-01-12T10:00:00+00:00",
    "",
    "-",
];

/// Statuses and bytes that are no numbers; the first four are bad for every format.
const BAD_NUMBERS: &[&str] = &["abc 12", "2x0 12", " 12", "200", "200 12k", "200 1/2", "200 0x1F", "200 1,234"];

impl LineWriter<'_> {
    /// Appends a malformed line without its line end. It has at least one byte.
    pub(crate) fn write_malformed(&mut self, elapsed_s: u64, out: &mut Vec<u8>) {
        match self.rng.below(10) {
            0..=3 => self.foreign_text(out),
            4..=6 => self.cut_line(elapsed_s, out),
            7 => self.with_tail_of(Broken::Time, out),
            8 => self.with_tail_of(Broken::Number, out),
            _ => match self.rng.below(3) {
                0 => self.with_tail_of(Broken::Bracket, out),
                1 => self.with_tail_of(Broken::Quote, out),
                _ => binary(self.rng, out),
            },
        }
    }

    fn foreign_text(&mut self, out: &mut Vec<u8>) {
        let text = self.rng.pick(TEXTS);
        let number = self.rng.between(1, 65_535);
        push_shape(self.rng, text, number, out);
    }

    /// A good line that stops too early: a full disk, a crash, a log taken while it was written.
    fn cut_line(&mut self, elapsed_s: u64, out: &mut Vec<u8>) {
        let line_at = out.len();
        let facts = self.write(elapsed_s, out);
        let length = self.rng.between(line_at as u64 + 1, facts.cut_last as u64);
        out.truncate(length as usize);
    }

    /// A whole line in the right format, with one thing wrong.
    fn with_tail_of(&mut self, broken: Broken, out: &mut Vec<u8>) {
        let format = self.options.format;
        vhost(format, self.vocabulary, self.rng, out);
        out.extend_from_slice(v4_address(self.rng).as_bytes());
        out.extend_from_slice(b" - - ");
        if broken != Broken::Bracket {
            out.push(b'[');
        }
        let time = match broken {
            Broken::Time => self.rng.pick(BAD_TIMES),
            _ => "12/Jan/2024:10:00:00 +0000",
        };
        out.extend_from_slice(time.as_bytes());
        out.extend_from_slice(b"] \"GET /");
        out.extend_from_slice(self.rng.pick(words::PAGE_WORDS).as_bytes());
        out.extend_from_slice(b" HTTP/1.1");
        if broken != Broken::Quote {
            out.push(b'"');
        }
        out.push(b' ');
        if broken == Broken::Number {
            let usable = if format.has_agent() { BAD_NUMBERS.len() } else { 4 };
            out.extend_from_slice(self.rng.pick(&BAD_NUMBERS[..usable]).as_bytes());
        } else {
            out.extend_from_slice(b"200 ");
            push_number(self.rng.below(100_000), out);
        }
        if format.has_agent() {
            out.extend_from_slice(b" \"-\" \"curl/8.5.0\"");
        }
        if format == Format::Combinedio {
            out.extend_from_slice(b" 80 300");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    Time,
    Number,
    Bracket,
    Quote,
}

/// Up to 300 bytes of anything but line ends, behind the first bytes of an executable.
fn binary(rng: &mut Rng, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x7fELF");
    for _ in 0..rng.between(4, 300) {
        let byte = rng.below(256) as u8;
        out.push(if matches!(byte, b'\n' | b'\r') { 0 } else { byte });
    }
}
