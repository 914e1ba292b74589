//! The same seed gives the same bytes: today, on any machine, in any later version.
//!
//! A failure here after a change of vocabulary, shares or order of random numbers is expected: then every log changes,
//! and with it whatever other tests expect of generated logs. Change the checksums **deliberately**: look at the new
//! log, then take the printed table. A failure without such a change is a bug (a platform, a compiler, a dependency).

use std::io::{self, Write};

use loghaul_testdata::{Format, Generator, Options};

/// FNV-1a, 64 bits: short enough to be right by inspection.
struct Checksum(u64);

impl Write for Checksum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn checksum(options: Options) -> u64 {
    let mut checksum = Checksum(0xcbf2_9ce4_8422_2325);
    Generator::new(options).write_all(&mut checksum).unwrap();
    checksum.0
}

/// Format, checksum of 10,000 default lines with the seed 1, of 10,000 odd ones with the seed 2.
const PINNED: [(Format, u64, u64); 5] = [
    (Format::Common, 0x9d47fb819852a8fd, 0x1a83da10f685c3ca),
    (Format::Combined, 0x299b39bfad3061ff, 0xef0aeecd9126b028),
    (Format::VhostCombined, 0x74d0ef764dd429d8, 0x54d74b4ad60887e8),
    (Format::VhostCommon, 0x3140958678ba854d, 0x7a0221358a405e9b),
    (Format::Combinedio, 0x2062a6e067f32314, 0x0442979d79ae4c0d),
];

#[test]
fn the_first_ten_thousand_lines_are_the_ones_they_were() {
    let lines = Some(10_000);
    let found = Format::ALL.map(|format| {
        let default = checksum(Options { format, lines, ..Options::default() });
        (format, default, checksum(Options { format, lines, seed: 2, ..Options::odd() }))
    });
    let table =
        found.map(|(format, default, odd)| format!("    (Format::{format:?}, {default:#018x}, {odd:#018x}),\n"));
    assert!(found == PINNED, "found instead:\n{}", table.concat());
}

#[test]
fn another_seed_is_another_log() {
    let with_seed = |seed| checksum(Options { seed, lines: Some(100), ..Options::default() });
    assert_eq!(with_seed(0), with_seed(0));
    assert_ne!(with_seed(0), with_seed(1));
    assert_ne!(with_seed(1), with_seed(u64::MAX));
}
