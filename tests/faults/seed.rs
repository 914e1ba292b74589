//! The seed of this run, from which all places of faults are drawn.

use std::sync::OnceLock;

/// `LOGHAUL_TEST_SEED`, or a new one. Printed, so that it stands in the output of a test that fails.
pub fn seed(test: &str) -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(|| match std::env::var("LOGHAUL_TEST_SEED") {
        Ok(text) => text.parse().expect("LOGHAUL_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..1_000_000),
    });
    println!("{test}: LOGHAUL_TEST_SEED={seed}");
    seed
}

/// Random numbers of this run for one test: the same ones whichever tests run besides.
pub fn random(test: &str) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed(test) ^ test.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)))
}
