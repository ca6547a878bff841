//! Dropout: numbers become 0 with probability p, the others are divided by 1 − p.
//!
//! Whether a number falls is a function of (seed, step, micro-batch, site, position), so the mask is neither stored nor dependent on
//! threads, and a resumed training drops the same numbers.

use crate::kernel::{Real, TASK_NUMBERS};
use rayon::prelude::*;
use schemas::hash::{Rng, seed};

/// Dropout during one micro-batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    /// Probability of a number to fall.
    pub(crate) probability: f64,
    /// Seed of this micro-batch.
    pub(crate) seed: u64,
}

impl Dropout {
    /// Nothing is dropped.
    pub(crate) const NONE: Self = Self { probability: 0.0, seed: 0 };

    /// How numbers fall at a site: the key of its draws, below what 53 bits of a draw let a number fall, and the factor of the others;
    /// `None` where nothing falls.
    pub(crate) fn draws(self, site: u64) -> Option<(u64, u64, f64)> {
        let below = (self.probability * (1_u64 << 53) as f64) as u64;
        (self.probability > 0.0)
            .then(|| (seed(self.seed, "dropout", site), below, 1.0 / (1.0 - self.probability)))
    }

    /// Applies the mask of a site in place; its gradient is the same mask, applied to the gradient.
    pub(crate) fn apply<T: Real>(self, site: u64, x: &mut [T]) {
        let Some((key, below, scale)) = self.draws(site) else { return };
        let (rng, scale) = (Rng::new(key), T::of(scale));
        x.par_chunks_mut(TASK_NUMBERS).enumerate().for_each(|(task, x)| {
            for (at, x) in x.iter_mut().enumerate() {
                let draw = rng.at((task * TASK_NUMBERS + at) as u64) >> 11;
                *x = if draw < below { T::ZERO } else { *x * scale };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::check;

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (probability, count) in [(0.0, 3), (0.1, 1), (0.5, 51), (0.9, TASK_NUMBERS + 130)] {
            let dropout = Dropout { probability, seed: 5 };
            let masked = |x: &[f64]| {
                let mut y = x.to_vec();
                dropout.apply(2, &mut y);
                y
            };
            check(&format!("dropout {probability} of {count}"), count, &[], masked, |_, dy, dx| {
                dx.copy_from_slice(&masked(dy));
                Ok(())
            });
        }
    }

    #[test]
    fn as_many_fall_as_asked_and_the_mean_stays() {
        let masked = |site| {
            let mut y = vec![1.0_f64; 40_000];
            Dropout { probability: 0.3, seed: 1 }.apply(site, &mut y);
            y
        };
        let y = masked(1);
        let fallen = y.iter().filter(|y| **y == 0.0).count() as f64 / 40_000.0;
        assert!((fallen - 0.3).abs() < 0.01, "{fallen}");
        assert!(y.iter().all(|y| *y == 0.0 || (y - 1.0 / 0.7).abs() < 1e-12));
        assert!(y == masked(1) && y != masked(2));
    }
}
