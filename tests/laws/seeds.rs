//! Where a search begins: inputs of each law that do something.

use loghaul_testdata::{Format, Generator, Options as Shape};

use super::lines;

/// Seeds of the law called `name`, some hundreds.
///
/// # Panics
/// If there is no such law.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "line" => line(),
        "chunk" => chunk(),
        "json_string" => fields(),
        "bulk_answer" => bulk_answer(),
        "packed" => packed(),
        _ => panic!("there is no law {name}"),
    }
}

/// Generated lines of every odd kind, of a format.
fn log(format: Format, lines: usize) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(Shape { format, share_long: 0, ..Shape::odd() });
    let line = |_| {
        let mut line = Vec::new();
        generator.next_line(&mut line);
        line
    };
    (0..lines).map(line).collect()
}

fn line() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let formats = loghaul::pipeline::parse::Format::ALL;
    for (n, format) in formats.into_iter().enumerate() {
        let format = format.as_str().parse().expect("both know the same formats");
        for (k, lines) in log(format, 80).chunks(2).enumerate() {
            let which = (k % 4 * formats.len() + n) as u8;
            seeds.push([&[which, k as u8][..], &lines.concat()].concat());
        }
    }
    let handmade = lines::handmade().filter(|line| line.len() < 1_000).enumerate();
    seeds.extend(handmade.step_by(3).map(|(n, line)| [&[n as u8, 0][..], &line, b"\n"].concat()));
    seeds
}

fn chunk() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let text = log(Format::Combined, 20).concat();
    for (n, size) in [1u16, 2, 7, 40, 100, 1_000, 60_000].into_iter().enumerate() {
        for max in [1u16, 30, 200, 5_000] {
            for flags in 0..4 {
                let numbers = [size, max, size / 2 + 1, 3_000].map(u16::to_le_bytes).concat();
                let end: &[u8] = [&b""[..], b"half", b"\r\n\n", b"\xf1\n\xff\xff\xff\nx\n\xf8", b"\n\n\xfa\n"][n % 5];
                seeds.push([&numbers, &[flags][..], &text[..text.len().min(300 * n)], end].concat());
            }
        }
    }
    seeds
}

fn fields() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = lines::INSIDES.iter().map(|inside| inside.to_vec()).collect();
    seeds.extend(log(Format::Combined, 100));
    seeds
}

fn bulk_answer() -> Vec<Vec<u8>> {
    let items = [
        r#"{"create":{"status":201}}"#,
        r#"{"create":{"status":2010}}"#,
        r#"{"create":{"status":200}}"#,
        r#"{"create":{"_index":"i","status":201}}"#,
        r#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a]: version conflict, document already exists"}}}"#,
        r#"{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed \\ \"x\" ü \n","caused_by":{"type":"number_format_exception","reason":"For input string: \"x\""}}}}"#,
        r#"{"create":{"status":405,"error":"a string"}}"#,
        r#"{"create":{"status":400,"error":{"status":201}}}"#,
        r#"{ "index" : { "status" : 429.0 } }"#,
        "[{\"a\":[]}]",
        "null",
        "-1e5",
    ];
    let mut seeds = Vec::new();
    for (n, a) in items.iter().enumerate() {
        for (k, b) in items.iter().enumerate() {
            let start = [r#"{"errors":false,"#, r#"{"took":3,"errors":true,"#, " { "][(n + k) % 3];
            let body = format!(r#"{start}"items":[{a},{b}]}}"#);
            seeds.push([&[2, n as u8 * 7, 0][..], body.as_bytes()].concat());
            let alone = format!(r#"{start}"items":[{b}]{}"#, ["}", "", ",\"x\":1}"][k % 3]);
            seeds.push([&[1, k as u8, 0][..], alone.as_bytes()].concat());
        }
    }
    for other in ["{}", "", "<html>502</html>", r#"{"errors":false}"#, r#"{"items":[],"items":[]}"#, "{\"items\":[]}"] {
        seeds.push([&[0, 1, 0][..], other.as_bytes()].concat());
    }
    seeds
}

fn packed() -> Vec<Vec<u8>> {
    let text = log(Format::Combined, 30).concat();
    let mut seeds = Vec::new();
    for flags in 0..=255 {
        let bytes = text.len() * usize::from(flags % 16) / 16;
        let step = [1u8, 7, 100][usize::from(flags) % 3];
        seeds.push([&[flags, step, 0, flags.wrapping_mul(29), flags % 5][..], &text[..bytes]].concat());
    }
    // Archives themselves, without the magic bytes that the law puts before them.
    let gzip = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).expect("packed");
        encoder.finish().expect("packed")
    };
    let zstandard = zstd::encode_all(&text[..], 1).expect("packed");
    seeds.push([&[6, 99, 0, 0, 0][..], &gzip[3..]].concat());
    seeds.push([&[7, 99, 0, 0, 0][..], &zstandard[4..]].concat());
    seeds
}
