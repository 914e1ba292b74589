//! Peaks of resident memory, mapped pages included, as the kernel counted them.

use std::path::Path;
use std::process::Command;

use super::{Bench, Length};
use crate::figures::{Five, Goal, Part};
use crate::logs::pipe_from;
use crate::{Failure, child};

/// What `load` keeps to on two cores, in MiB.
const CEILING_MIB: f64 = 64.0;

pub fn memory(bench: &Bench) -> Result<Part, Failure> {
    let (size, bytes) = match bench.length {
        Length::Quick => ("256MiB", 256 << 20),
        Length::Usual => ("1GiB", 1 << 30),
        Length::Full => ("4GiB", 4 << 30),
    };
    let mut part = Part::new("memory", format!("Peak of resident memory, {size} of log where no other is named"));
    let plain = bench.logs.generated(size)?;
    let gzip = bench.logs.made("large.log.gz", |output| {
        let mut packer = flate2::write::GzEncoder::new(output, flate2::Compression::fast());
        std::io::copy(&mut std::fs::File::open(&plain)?, &mut packer)?;
        packer.finish()?;
        Ok(())
    })?;
    let zstd = bench
        .logs
        .made("large.log.zst", |output| Ok(zstd::stream::copy_encode(std::fs::File::open(&plain)?, output, 3)?))?;
    let junk = bench.logs.junk(bytes)?;
    let (folder, _) = bench.logs.small_files(20_000, 50)?;
    let sample = bench.logs.plain()?;
    let server = bench.null_server(&[])?;
    let duplicates = bench.null_server(&["--duplicates"])?;
    let to = |url: &str, more: &[&str]| {
        let mut command = bench.load(&sample, url);
        command.args(["--writers", "8"]).args(more);
        command
    };
    let mut junk = bench.load(&junk, "null:");
    junk.args(["--max-malformed", "100%", "--format", "combined"]);
    let cases: Vec<(&str, Command)> = vec![
        ("plain, mapped", bench.load(&plain, "null:")),
        ("gzip", bench.load(&gzip, "null:")),
        ("zstd", bench.load(&zstd, "null:")),
        ("no access line in it", junk),
        ("20,000 small files", bench.load(&folder, "null:")),
        ("8 writers", to(&server.url, &["--compress", "none"])),
        ("8 writers, gzip bodies", to(&server.url, &["--compress", "gzip"])),
        ("8 writers, zstd bodies", to(&server.url, &["--compress", "zstd"])),
        ("8 writers, all documents are there already", to(&duplicates.url, &["--compress", "none"])),
    ];
    for (what, mut command) in cases {
        let used = child::run(&mut command)?;
        let beside = format!("{:.2} s", used.wall);
        part.add(what, "MiB", Five::one(used.peak_mib), Goal::AtMost(CEILING_MIB), beside);
    }
    for (what, source) in [("plain, through a pipe", &plain), ("gzip, through a pipe", &gzip)] {
        let mut cat = pipe_from(source)?;
        let pipe = cat.stdout.take().ok_or("standard output is piped")?;
        let used = child::run(bench.load(Path::new("-"), "null:").stdin(pipe))?;
        cat.wait()?;
        part.add(what, "MiB", Five::one(used.peak_mib), Goal::AtMost(CEILING_MIB), format!("{:.2} s", used.wall));
    }
    // A file that was written a moment ago is read, not mapped.
    std::fs::File::options().append(true).open(&plain)?.set_modified(std::time::SystemTime::now())?;
    let used = child::run(bench.load(&plain, "null:").arg("--take-last-line"))?;
    part.add("plain, read", "MiB", Five::one(used.peak_mib), Goal::AtMost(CEILING_MIB), format!("{:.2} s", used.wall));
    Ok(part)
}
