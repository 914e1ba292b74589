//! The logs that are measured with: a real one ten times over, where there is one, else a generated one; the same lines
//! as other formats and with what makes lines hard; the same packed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::Failure;

/// How often the real log is repeated.
const TIMES: usize = 10;

/// Makes logs in a folder, each when it is first asked for.
pub struct Logs {
    folder: PathBuf,
    /// The generator.
    generate: PathBuf,
    /// The log that all others are made of.
    sample: PathBuf,
    /// What it is, for people.
    pub named: String,
}

impl Logs {
    /// Unpacks the sample, or generates one.
    ///
    /// # Errors
    /// The sample cannot be read, or the folder not be written to.
    pub fn new(folder: &Path, generate: PathBuf, sample: Option<&Path>) -> Result<Logs, Failure> {
        let once = folder.join("sample.log");
        let named = match sample {
            Some(sample) => {
                let mut input: Box<dyn BufRead> = Box::new(BufReader::new(
                    File::open(sample).map_err(|error| format!("cannot read {}: {error}", sample.display()))?,
                ));
                if input.fill_buf()?.starts_with(b"\x1f\x8b") {
                    input = Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(input)));
                }
                io::copy(&mut input, &mut File::create(&once)?)?;
                format!("a real log ({}) x {TIMES}", sample.file_name().unwrap_or_default().display())
            }
            None => {
                let mut command = Command::new(&generate);
                crate::child::run(command.args(["--lines", "100k", "--seed", "1", "-o"]).arg(&once))?;
                format!("a generated log of 100,000 lines x {TIMES}")
            }
        };
        settle(&once)?;
        Ok(Logs { folder: folder.to_owned(), generate, sample: once, named })
    }

    /// The sample once, as it is.
    pub fn once(&self) -> &Path {
        &self.sample
    }

    /// The sample, so many times in one file.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn combined(&self, times: usize) -> Result<PathBuf, Failure> {
        self.made(&format!("combined-{times}.log"), |output| {
            for _ in 0..times {
                io::copy(&mut File::open(&self.sample)?, output)?;
            }
            Ok(())
        })
    }

    /// The sample ten times, as it is.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn plain(&self) -> Result<PathBuf, Failure> {
        self.combined(TIMES)
    }

    /// The sample's lines rewritten, ten times.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn rewritten(&self, kind: Kind) -> Result<PathBuf, Failure> {
        self.made(&format!("{}.log", kind.name()), |output| {
            for _ in 0..TIMES {
                let mut input = BufReader::new(File::open(&self.sample)?);
                let (mut line, mut n) = (Vec::new(), 0);
                while input.read_until(b'\n', &mut line)? > 0 {
                    kind.rewrite(n, line.strip_suffix(b"\n").unwrap_or(&line), output)?;
                    output.write_all(b"\n")?;
                    line.clear();
                    n += 1;
                }
            }
            Ok(())
        })
    }

    /// The sample ten times, as gzip.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn gzip(&self) -> Result<PathBuf, Failure> {
        let plain = self.plain()?;
        self.made("combined.log.gz", |output| {
            let mut packer = flate2::write::GzEncoder::new(output, flate2::Compression::default());
            io::copy(&mut File::open(&plain)?, &mut packer)?;
            packer.finish()?;
            Ok(())
        })
    }

    /// The sample ten times, as zstd.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn zstd(&self) -> Result<PathBuf, Failure> {
        let plain = self.plain()?;
        self.made("combined.log.zst", |output| Ok(zstd::stream::copy_encode(File::open(&plain)?, output, 3)?))
    }

    /// A generated log of so many bytes.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn generated(&self, bytes: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(format!("generated-{bytes}.log"));
        if !path.exists() {
            let mut command = Command::new(&self.generate);
            crate::child::run(command.args(["--bytes", bytes, "--seed", "1", "-o"]).arg(&path))?;
            settle(&path)?;
        }
        Ok(path)
    }

    /// So many files of so many lines, and one file with the same lines.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn small_files(&self, files: usize, lines: usize) -> Result<(PathBuf, PathBuf), Failure> {
        let folder = self.folder.join(format!("files-{files}"));
        let one = self.folder.join(format!("files-{files}.log"));
        if !folder.exists() {
            std::fs::create_dir(&folder)?;
            let mut input = BufReader::new(File::open(self.plain()?)?);
            let mut together = BufWriter::new(File::create(&one)?);
            let mut line = Vec::new();
            for file in 0..files {
                let mut text = Vec::new();
                for _ in 0..lines {
                    line.clear();
                    if input.read_until(b'\n', &mut line)? == 0 {
                        input = BufReader::new(File::open(self.plain()?)?);
                        input.read_until(b'\n', &mut line)?;
                    }
                    text.extend_from_slice(&line);
                }
                together.write_all(&text)?;
                let path = folder.join(format!("{file:05}.log"));
                std::fs::write(&path, text)?;
                settle(&path)?;
            }
            together.flush()?;
            settle(&one)?;
        }
        Ok((folder, one))
    }

    /// Lines that are no access lines, so many bytes of them.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn junk(&self, bytes: u64) -> Result<PathBuf, Failure> {
        self.made(&format!("junk-{bytes}.log"), |output| {
            let mut state = 1_u64;
            let mut written = 0;
            while written < bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let line = format!(
                    "[error] {state:x} AH{:05}: {:>width$}\n",
                    state >> 50,
                    state,
                    width = (state >> 56) as usize
                );
                output.write_all(line.as_bytes())?;
                written += line.len() as u64;
            }
            Ok(())
        })
    }

    /// Writes a file of the folder, if it is not there yet.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn made(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        if !path.exists() {
            let mut output = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            write(&mut output)?;
            output.flush()?;
            drop(output);
            settle(&path)?;
        }
        Ok(path)
    }
}

/// Makes a file look as old as a log that nobody writes to any more: such a file is mapped, not read.
fn settle(path: &Path) -> Result<(), Failure> {
    Ok(File::options().append(true).open(path)?.set_modified(SystemTime::now() - Duration::from_secs(86_400))?)
}

/// Lines of the same log, written otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    VhostCombined,
    Common,
    CombinedIo,
    /// A user name in each line.
    Users,
    /// Escaped quotes in the agent of each tenth line.
    Escapes,
    /// Raw UTF-8 in the agent of each tenth line.
    Utf8,
    /// A list of X-Forwarded-For in each line.
    Forwarded,
    /// Lines that end in CR LF.
    CrLf,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::VhostCombined,
        Kind::Common,
        Kind::CombinedIo,
        Kind::Users,
        Kind::Escapes,
        Kind::Utf8,
        Kind::Forwarded,
        Kind::CrLf,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::VhostCombined => "vhost_combined",
            Kind::Common => "common",
            Kind::CombinedIo => "combinedio",
            Kind::Users => "users",
            Kind::Escapes => "escapes_10",
            Kind::Utf8 => "utf8_10",
            Kind::Forwarded => "forwarded",
            Kind::CrLf => "crlf",
        }
    }

    /// Writes a line, which is as it was where it has not the shape of a combined one.
    fn rewrite(self, n: usize, line: &[u8], output: &mut impl Write) -> io::Result<()> {
        let (at, with, rest) = match self {
            _ if line.is_empty() => (0, String::new(), 0),
            Kind::VhostCombined => (0, "www.example.com:80 ".to_owned(), 0),
            Kind::Forwarded => (0, "203.0.113.7, ".to_owned(), 0),
            Kind::CrLf => (line.len(), "\r".to_owned(), line.len()),
            // Behind the request come the status and the size.
            Kind::Common => {
                match quote(line, 2).and_then(|end| memchr::memchr_iter(b' ', &line[end..]).nth(2).map(|n| end + n)) {
                    Some(end) => (end, String::new(), line.len()),
                    None => (0, String::new(), 0),
                }
            }
            Kind::CombinedIo => match quote(line, 6) {
                Some(end) => (end, format!(" {} {}", 300 + n % 700, 400 + n * 37 % 90_000), line.len()),
                None => (0, String::new(), 0),
            },
            Kind::Users => match memchr::memmem::find(line, b" - - [") {
                Some(at) => (at, " - alice.b ".to_owned(), at + 5),
                None => (0, String::new(), 0),
            },
            Kind::Escapes | Kind::Utf8 if n.is_multiple_of(10) => match quote(line, 5) {
                Some(at) if self == Kind::Escapes => (at, "My\\\"Agent\\\" ".to_owned(), at),
                Some(at) => (at, "M\u{fc}nchen ".to_owned(), at),
                None => (0, String::new(), 0),
            },
            Kind::Escapes | Kind::Utf8 => (0, String::new(), 0),
        };
        output.write_all(&line[..at])?;
        output.write_all(with.as_bytes())?;
        output.write_all(&line[rest..])
    }
}

/// Where the n-th quote (from 1) that is no escaped one ends.
fn quote(line: &[u8], n: usize) -> Option<usize> {
    let quotes = memchr::memchr_iter(b'"', line)
        .filter(|&at| line[..at].iter().rev().take_while(|&&byte| byte == b'\\').count().is_multiple_of(2));
    quotes.map(|at| at + 1).nth(n - 1)
}

/// Copies a file to a pipe; for standard input.
pub fn pipe_from(path: &Path) -> Result<std::process::Child, Failure> {
    Ok(Command::new("cat").arg(path).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).spawn()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_other_formats() {
        let line = br#"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] "GET /\" HTTP/1.1" 200 5 "-" "curl" "-""#;
        for (kind, expected) in [
            (
                Kind::VhostCombined,
                r#"www.example.com:80 1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] "GET /\" HTTP/1.1" 200 5 "-" "curl" "-""#,
            ),
            (Kind::Common, r#"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] "GET /\" HTTP/1.1" 200 5"#),
            (
                Kind::CombinedIo,
                r#"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] "GET /\" HTTP/1.1" 200 5 "-" "curl" 310 770"#,
            ),
            (Kind::Users, r#"1.2.3.4 - alice.b [19/Dec/2020:13:57:26 +0100] "GET /\" HTTP/1.1" 200 5 "-" "curl" "-""#),
            (
                Kind::Escapes,
                r#"1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] "GET /\" HTTP/1.1" 200 5 "-" "My\"Agent\" curl" "-""#,
            ),
            (
                Kind::Utf8,
                "1.2.3.4 - - [19/Dec/2020:13:57:26 +0100] \"GET /\\\" HTTP/1.1\" 200 5 \"-\" \"M\u{fc}nchen curl\" \"-\"",
            ),
        ] {
            let mut output = Vec::new();
            kind.rewrite(10, line, &mut output).unwrap();
            assert_eq!(String::from_utf8(output).unwrap(), expected, "{kind:?}");
        }
        let mut output = Vec::new();
        Kind::Common.rewrite(0, b"junk", &mut output).unwrap();
        assert_eq!(output, b"junk");
    }
}
