//! The laws on what every test run can afford: seeds, small damage to these, and all inputs that ever broke one.
//!
//! With `LOGHAUL_FUZZ_CORPUS=FOLDER` the seeds are also written to `FOLDER/LAW/`, where `scripts/fuzz` begins.

#[path = "mod.rs"]
mod laws;

use std::panic::{AssertUnwindSafe, catch_unwind};

use loghaul_testdata::{Rng, mutate};

/// Runs a law; tells the input if it is broken.
fn holds(name: &str, law: laws::Law, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| law(input))) {
        eprintln!("the law {name} is broken by b\"{}\"", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn laws_hold_for_seeds() {
    let corpus = std::env::var_os("LOGHAUL_FUZZ_CORPUS");
    for (name, law) in laws::ALL {
        for (n, seed) in laws::seeds::seeds(name).iter().enumerate() {
            holds(name, law, seed);
            if let Some(folder) = &corpus {
                let folder = std::path::Path::new(folder).join(name);
                std::fs::create_dir_all(&folder).expect("the folder of the corpus can be made");
                std::fs::write(folder.join(format!("seed-{n:04}")), seed).expect("the corpus can be written");
            }
        }
    }
}

#[test]
fn laws_hold_for_small_damage_to_seeds() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let full = std::env::var_os("LOGHAUL_TEST_FULL").is_some_and(|full| full == "1");
    std::thread::scope(|scope| {
        for (name, law) in laws::ALL {
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                let seeds = laws::seeds::seeds(name);
                for _ in 0..if full { 100_000 } else { 2_000 } {
                    let mut input = seeds[rng.index(seeds.len())].clone();
                    mutate(&mut rng, &mut input);
                    holds(name, law, &input);
                }
            });
        }
    });
}

#[test]
fn both_cutters_make_the_lines_of_the_slow_twin() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3_000 {
        let newline_every = random.usize(1..40);
        let numbers = [random.u16(1..64), random.u16(1..48), random.u16(1..40), random.u16(1..40)];
        let mut input = numbers.map(u16::to_le_bytes).concat();
        input.push(u8::from(random.bool()));
        for _ in 0..random.usize(..200) {
            input.push(if random.usize(..newline_every) == 0 { b'\n' } else { random.u8(b'a'..=b'z') });
        }
        holds("chunk", laws::chunk::law, &input);
    }
}

/// Inputs that broke a law once.
const FOUND: &[(&str, &[u8])] = &[
    // A status that only begins with 201, in an answer that says that all is well.
    ("bulk_answer", b"\x01\0\0{\"errors\":false,\"items\":[{\"create\":{\"status\":2010}}]}"),
    // As many statuses of 201 as items, but no JSON.
    ("bulk_answer", b"\x01\0\0{\"errors\":false,\"items\":[{s\":\"create\":{\"_index\":\"i\",\"status\":201}}]}"),
    // Of a line over the limit that a read ends in, less was kept than there was.
    ("chunk", b"\x12\0\x13\0\x1a\0\x27\0\0f\nabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\nabc"),
];

#[test]
fn laws_hold_for_what_broke_them() {
    for (name, input) in FOUND {
        let (_, law) = laws::ALL.into_iter().find(|(law, _)| law == name).expect("a law of that name");
        holds(name, law, input);
    }
}
