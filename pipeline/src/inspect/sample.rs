//! An exact uniform sample of row numbers: every set of `n` rows is as likely as any other.
//!
//! Floyd's method (Bentley and Floyd, "A sample of brilliance", CACM 1987): `n` draws and a set of `n`, whatever the
//! size of the table. The same seed and table size give the same rows.

use schemas::hash::{Rng, seed};
use std::collections::BTreeSet;

/// Draws `n` of the row numbers below `total`, sorted; all of them when `n` is not smaller.
pub fn sample_rows(n: u64, total: u64, run_seed: u64) -> Vec<u64> {
    let n = n.min(total);
    let mut rng = Rng::new(seed(run_seed, "inspect.sample", 0));
    let mut drawn = BTreeSet::new();
    for last in total - n..total {
        let row = rng.below(last + 1);
        if !drawn.insert(row) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sample() {
        assert_eq!(sample_rows(3, 100, 7), sample_rows(3, 100, 7));
        assert_ne!(sample_rows(3, 100, 7), sample_rows(3, 100, 8));
        assert_eq!(sample_rows(5, 3, 1), [0, 1, 2]);
        assert_eq!(sample_rows(0, 3, 1), [] as [u64; 0]);
        assert_eq!(sample_rows(2, 0, 1), [] as [u64; 0]);
    }

    #[test]
    fn every_row_and_every_pair_is_as_likely() {
        let mut rows = [0_u32; 6];
        let mut pairs = [[0_u32; 6]; 6];
        for seed in 0..15_000 {
            let drawn = sample_rows(2, 6, seed);
            assert!(drawn[0] < drawn[1]);
            drawn.iter().for_each(|r| rows[*r as usize] += 1);
            pairs[drawn[0] as usize][drawn[1] as usize] += 1;
        }
        // 15 pairs, 1000 expected of each; five standard deviations are 153.
        assert!(rows.iter().all(|n| (4_600..5_400).contains(n)), "{rows:?}");
        let off = |a: usize, b: usize| pairs[a][b].abs_diff(1_000) > 153;
        assert!(!(0..6).any(|a| (a + 1..6).any(|b| off(a, b))), "{pairs:?}");
    }
}
