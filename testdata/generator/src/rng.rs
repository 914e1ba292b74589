//! The random numbers: SplitMix64, and weighted choice without floats.
//!
//! Why our own: a generated log is an expectation in other tests (counts, checksums), so its bytes must survive an
//! upgrade of any dependency. General crates do not promise that: fastrand's change log has a new stream in 1.5 and
//! in 2.1. SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014; the reference in C
//! is Vigna's `splitmix64.c`) is three lines, passes BigCrush, and has published test vectors, which are a test below.
//! Everything is integer arithmetic with defined overflow: equal on every platform.

/// One share is a count out of this many.
pub const SHARE_ALL: u32 = 100_000;

/// A stream of random numbers; equal seeds give equal streams, for ever.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of this seed. Every seed is as good as any other, 0 too.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, `end`. `end` is at least 1.
    ///
    /// By multiply and shift, without rejection: the bias is below `end / 2^64`, which no test here could see, and
    /// one number costs exactly one step of the stream.
    #[inline]
    pub fn below(&mut self, end: u64) -> u64 {
        debug_assert!(end > 0, "below(0) has no answer");
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// An index into something of length `len` (at least 1).
    #[inline]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `first` to `last`, both included; `first <= last`.
    #[inline]
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True `share` times out of [`SHARE_ALL`].
    #[inline]
    pub fn chance(&mut self, share: u32) -> bool {
        self.below(u64::from(SHARE_ALL)) < u64::from(share)
    }

    /// One of the items, all equally likely. The slice is not empty.
    #[inline]
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// A size in bytes with a long tail: about log-normal around `2^(median_log2_16 / 16)`, one standard deviation
    /// being `deviation_log2_16 / 16` octaves. Never 0.
    ///
    /// The bell is a sum of four uniform numbers, the exponential is linear inside each octave: integers only.
    pub(crate) fn long_tailed(&mut self, median_log2_16: u32, deviation_log2_16: u32) -> u64 {
        const SUM_MEAN: i64 = 4 * 0xffff / 2;
        const SUM_DEVIATION: i64 = 37_837; // 65,536 * sqrt(4 / 12)
        let bits = self.next_u64();
        let sum: i64 = (0..4).map(|i| ((bits >> (16 * i)) & 0xffff) as i64).sum();
        let log2_65536 =
            (i64::from(median_log2_16) << 12) + (sum - SUM_MEAN) * (i64::from(deviation_log2_16) << 12) / SUM_DEVIATION;
        let log2_65536 = log2_65536.clamp(0, 40 << 16) as u64;
        ((0x1_0000 + (log2_65536 & 0xffff)) << (log2_65536 >> 16)) >> 16
    }
}

/// A choice among n items of given weights, in constant time (Walker's alias method, in integers).
#[derive(Clone, Debug)]
pub(crate) struct Weighted {
    /// Per item: take it when 32 random bits are below `keep_below`, else take `alias`.
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    keep_below: u64, // up to 2^32, included
    alias: u32,
}

impl Weighted {
    /// Weights of which at least one is above 0.
    pub(crate) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
        let count = weights.len() as u64;
        let total: u64 = weights.iter().sum();
        assert!(total > 0, "a weighted choice needs a weight above 0");
        // Each item brings weight * count; each cell holds `total`. Small items are filled up by large ones.
        let mut left: Vec<u64> = weights.iter().map(|weight| weight * count).collect();
        let mut cells: Vec<Cell> = (0..count).map(|i| Cell { keep_below: 1 << 32, alias: i as u32 }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&i| left[i] < total);
        while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
            let keep_below = (u128::from(left[taker]) << 32) / u128::from(total);
            cells[taker] = Cell { keep_below: keep_below as u64, alias: giver as u32 };
            left[giver] -= total - left[taker];
            if left[giver] < total {
                large.pop();
                small.push(giver);
            }
        }
        Self { cells }
    }

    /// Weights 1/(rank + flatten) for `count` items: Zipf's law with a flattened head, so that one item does not
    /// take a tenth of everything.
    pub(crate) fn zipf(count: usize, flatten: u32) -> Self {
        Self::new((1..=count as u32).map(|rank| 1_000_000_000 / (rank + flatten)))
    }

    #[inline]
    pub(crate) fn pick(&self, rng: &mut Rng) -> usize {
        let bits = rng.next_u64();
        let index = (((bits >> 32) * self.cells.len() as u64) >> 32) as usize;
        let cell = self.cells[index];
        if (bits & 0xffff_ffff) < cell.keep_below { index } else { cell.alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vector of SplitMix64 for the seed 1234567.
    #[test]
    fn the_stream_is_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        let expected: [u64; 5] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(std::array::from_fn(|_| rng.next_u64()), expected);
    }

    #[test]
    fn a_weighted_choice_follows_its_weights() {
        for weights in [vec![1], vec![0, 5], vec![1, 2, 3, 994], vec![7; 13], vec![100, 1, 1, 100]] {
            let choice = Weighted::new(weights.iter().copied());
            let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
            let mut rng = Rng::new(7);
            let mut seen = vec![0u64; weights.len()];
            for _ in 0..100_000 {
                seen[choice.pick(&mut rng)] += 1;
            }
            for (&weight, &seen) in weights.iter().zip(&seen) {
                let expected = u64::from(weight) * 100_000 / total;
                assert!(seen.abs_diff(expected) <= 600, "{weights:?}: {seen} for {expected}");
                assert!(weight > 0 || seen == 0);
            }
        }
    }

    #[test]
    fn sizes_have_their_median_and_a_long_tail() {
        let mut rng = Rng::new(1);
        let mut sizes: Vec<u64> = (0..10_000).map(|_| rng.long_tailed(14 * 16, 24)).collect();
        sizes.sort_unstable();
        assert!((14_000..19_000).contains(&sizes[5_000]), "{}", sizes[5_000]);
        assert!(sizes[9_900] > 8 * sizes[5_000]);
        assert!(sizes[0] > 0);
    }
}
