//! A permutation of 0..n as a function: no table, no state, any element alone.
//!
//! A Feistel network (Luby and Rackoff 1988) of [`ROUNDS`] rounds permutes the numbers below a power of two; one that falls
//! outside of 0..n goes through it again until it falls inside (cycle walking, Black and Rogaway 2002), fewer than two
//! times on average where n is above 128.

use schemas::hash::Rng;

/// Rounds of the network. Even, so that both halves come back to their widths.
const ROUNDS: usize = 6;
/// Fewest bits of the network: below, too few permutations can be reached.
const BITS_MIN: u32 = 8;

/// A permutation of 0..n that the key alone decides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feistel {
    n: u64,
    keys: [u64; ROUNDS],
    /// Bits of the upper and of the lower half.
    halves: [u32; 2],
}

impl Feistel {
    pub(super) fn new(n: u64, key: u64) -> Self {
        let bits = (u64::BITS - n.saturating_sub(1).leading_zeros()).max(BITS_MIN);
        let rng = Rng::new(key);
        Self { n, keys: std::array::from_fn(|at| rng.at(at as u64)), halves: [bits / 2, bits - bits / 2] }
    }

    /// Where element `at` goes.
    ///
    /// # Panics
    /// `at` is not below `n`.
    pub(super) fn at(&self, at: u64) -> u64 {
        assert!(at < self.n, "element {at} of {}", self.n);
        let mut value = self.network(at);
        while value >= self.n {
            value = self.network(value);
        }
        value
    }

    fn network(&self, value: u64) -> u64 {
        let [mut wide, mut narrow] = self.halves;
        let (mut upper, mut lower) = (value >> narrow, value & mask(narrow));
        for key in self.keys {
            (upper, lower) = (lower, upper ^ (round(key, lower) & mask(wide)));
            (wide, narrow) = (narrow, wide);
        }
        upper << narrow | lower
    }
}

const fn mask(bits: u32) -> u64 {
    // A half has at most 32 bits.
    (1 << bits) - 1
}

/// A number of the key and a half, each bit of it a function of all of theirs: number `half` of the stream of the key.
const fn round(key: u64, half: u64) -> u64 {
    Rng::new(key).at(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_comes_once_at_any_size() {
        for n in (1..200).chain([255, 256, 257, 1000, 4095, 65_537]) {
            for key in 0..3 {
                let permutation = Feistel::new(n, key);
                let mut seen = vec![false; n as usize];
                (0..n).for_each(|at| {
                    let to = permutation.at(at) as usize;
                    assert!(!std::mem::replace(&mut seen[to], true), "{to} twice among {n}");
                });
            }
        }
        assert!(Feistel::new(u64::MAX, 1).at(u64::MAX - 1) < u64::MAX);
    }

    #[test]
    fn elements_go_anywhere_and_neighbours_part() {
        let (n, keys) = (10, 20_000);
        let mut counts = vec![0_u32; 100];
        let mut neighbours = 0;
        for key in 0..keys {
            let permutation = Feistel::new(n, key);
            (0..n).for_each(|at| counts[(at * n + permutation.at(at)) as usize] += 1);
            neighbours += (1..n).filter(|&at| permutation.at(at) == permutation.at(at - 1) + 1).count();
        }
        // 2,000 each, with a deviation of 42; nine places for a pair of neighbours, at 9 of 90 pairs each.
        assert!(counts.iter().all(|&count| (1800..2200).contains(&count)), "{counts:?}");
        let expected = keys as f64 * 9.0 * 9.0 / 90.0;
        assert!((neighbours as f64 - expected).abs() < 0.03 * expected, "{neighbours} of {expected}");
    }
}
