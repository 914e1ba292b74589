//! [`Lanes`]: 32 bytes looked at in one step. All that the common path asks of the machine.
//!
//! [`Portable`] is plain code that any compiler vectorizes; [`Avx2`] does the same in a few instructions. An `Avx2`
//! can only be had from [`Avx2::detect`], so whoever holds one may use it. The functions that loop over lines are
//! compiled once for each, and chosen once per chunk.
#![allow(unsafe_code)] // calls of functions that need AVX2, after it was detected

use std::sync::OnceLock;

/// Environment variable that forces the portable form, for tests and for comparing: any value but empty or `0`.
pub const PORTABLE_VARIABLE: &str = "LOGHAUL_PORTABLE";

/// Whether [`PORTABLE_VARIABLE`] asks for it.
pub fn portable_is_forced() -> bool {
    static FORCED: OnceLock<bool> = OnceLock::new();
    *FORCED.get_or_init(|| std::env::var_os(PORTABLE_VARIABLE).is_some_and(|value| !value.is_empty() && value != "0"))
}

/// 32 bytes in, a bit for each out: bit 0 for the first.
pub trait Lanes: Copy {
    /// Where `a` and `b` are equal.
    fn equal(self, a: &[u8; 32], b: &[u8; 32]) -> u32;
    /// Where bytes are that end a word or cannot be copied to JSON: those up to 0x20, above 0x7f, `"`, `\`.
    fn word_stops(self, block: &[u8; 32]) -> u32;
    /// Where bytes are that end a quoted field or cannot be copied to JSON: those below 0x20, above 0x7f, `"`, `\`.
    fn quoted_stops(self, block: &[u8; 32]) -> u32;
}

/// Plain code.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Lanes for Portable {
    #[inline(always)]
    fn equal(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
        let mut flags = [0; 32];
        for n in 0..32 {
            flags[n] = if a[n] == b[n] { 0xff } else { 0 };
        }
        bits(&flags)
    }

    #[inline(always)]
    fn word_stops(self, block: &[u8; 32]) -> u32 {
        stops(block, 0x21)
    }

    #[inline(always)]
    fn quoted_stops(self, block: &[u8; 32]) -> u32 {
        stops(block, 0x20)
    }
}

/// One signed compare catches the bytes below `least` and those above 0x7f.
#[inline(always)]
fn stops(block: &[u8; 32], least: i8) -> u32 {
    let mut flags = [0; 32];
    for n in 0..32 {
        let byte = block[n];
        let stop = (byte as i8) < least || byte == b'"' || byte == b'\\';
        flags[n] = if stop { 0xff } else { 0 };
    }
    bits(&flags)
}

/// Bytes of 0 or 0xff to bits: in each group of eight, a multiplication brings the lowest bits together at the top.
#[inline(always)]
fn bits(flags: &[u8; 32]) -> u32 {
    let mut bits = 0;
    for n in 0..4 {
        let eight = u64::from_le_bytes(flags[n * 8..n * 8 + 8].try_into().expect("eight bytes"));
        let lowest = eight & 0x0101_0101_0101_0101;
        bits |= ((lowest.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32) << (n * 8);
    }
    bits
}

#[cfg(target_arch = "x86_64")]
pub use x86_64::{Avx2, with_avx2};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    };

    use safe_unaligned_simd::x86_64::_mm256_loadu_si256;

    use super::Lanes;

    /// Proof that this machine has AVX2 and what came with it.
    #[derive(Clone, Copy, Debug)]
    pub struct Avx2(());

    impl Avx2 {
        /// The proof, if this machine has it.
        pub fn detect() -> Option<Avx2> {
            let has = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            has.then_some(Avx2(()))
        }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn equal(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
            // SAFETY: an `Avx2` exists only where AVX2 was detected.
            unsafe { equal(a, b) }
        }

        #[inline(always)]
        fn word_stops(self, block: &[u8; 32]) -> u32 {
            // SAFETY: an `Avx2` exists only where AVX2 was detected.
            unsafe { stops(block, 0x21) }
        }

        #[inline(always)]
        fn quoted_stops(self, block: &[u8; 32]) -> u32 {
            // SAFETY: an `Avx2` exists only where AVX2 was detected.
            unsafe { stops(block, 0x20) }
        }
    }

    /// Runs `work` compiled for AVX2, if it and all that it calls is marked `#[inline(always)]`. A closure that is not
    /// stays a function of its own, without AVX2, in which each step is a call: right, but a third slower.
    #[inline]
    pub fn with_avx2<R>(proof: Avx2, work: impl FnOnce(Avx2) -> R) -> R {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn inner<R>(proof: Avx2, work: impl FnOnce(Avx2) -> R) -> R {
            work(proof)
        }
        // SAFETY: an `Avx2` exists only where these features were detected.
        unsafe { inner(proof, work) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn equal(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        mask(_mm256_cmpeq_epi8(_mm256_loadu_si256(a), _mm256_loadu_si256(b)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn stops(block: &[u8; 32], least: i8) -> u32 {
        let block = _mm256_loadu_si256(block);
        let low_or_high = _mm256_cmpgt_epi8(_mm256_set1_epi8(least), block);
        let quote = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'"' as i8));
        let backslash = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'\\' as i8));
        mask(_mm256_or_si256(low_or_high, _mm256_or_si256(quote, backslash)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn mask(bytes: __m256i) -> u32 {
        _mm256_movemask_epi8(bytes) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: Lanes>(lanes: L) {
        for place in 0..32 {
            for byte in 0..=255u8 {
                let mut block = [b'a'; 32];
                block[place] = byte;
                let special = !(0x20..0x80).contains(&byte) || byte == b'"' || byte == b'\\';
                assert_eq!(lanes.quoted_stops(&block), u32::from(special) << place, "{byte:#x} at {place}");
                assert_eq!(lanes.word_stops(&block), u32::from(special || byte == b' ') << place, "{byte:#x}");
                assert_eq!(lanes.equal(&block, &[b'a'; 32]), !(u32::from(byte != b'a') << place), "{byte:#x}");
            }
        }
        assert_eq!(lanes.word_stops(b"a b\"c\\d\te\xfff 67890123456789012345"), 0b1010_1010_1010);
    }

    #[test]
    fn lanes() {
        check(Portable);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            check(avx2);
        }
    }
}
