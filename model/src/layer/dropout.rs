//! Dropout: numbers become 0 with probability p, the others are divided by 1 − p.
//!
//! Whether a number falls is a function of (seed, step, micro-batch, site, position), so the mask is neither stored nor dependent on
//! threads, and a resumed training drops the same numbers.

use crate::kernel::{Real, TASK_NUMBERS};
use crate::layer::{made, tensor};
use crate::parameter::{slice, slice_cpu};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use schemas::hash::{Rng, seed};
use std::marker::PhantomData;

/// Dropout during one micro-batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    /// Probability of a number to fall.
    pub(crate) probability: f64,
    /// Seed of this micro-batch.
    pub(crate) seed: u64,
}

impl Dropout {
    /// Applies the mask of a site.
    pub(crate) fn forward<T: Real>(self, x: &Tensor, site: u64) -> Result<Tensor> {
        if self.probability == 0.0 {
            return Ok(x.clone());
        }
        x.apply_op1(Operation {
            rng: Rng::new(seed(self.seed, "dropout", site)),
            // 53 bits of a draw against the probability.
            below: (self.probability * (1_u64 << 53) as f64) as u64,
            scale: T::of(1.0 / (1.0 - self.probability)),
            real: PhantomData,
        })
    }
}

struct Operation<T> {
    rng: Rng,
    below: u64,
    scale: T,
    real: PhantomData<T>,
}

impl<T: Real> Operation<T> {
    fn mask(&self, x: &[T]) -> Vec<T> {
        let mut y = x.to_vec();
        y.par_chunks_mut(TASK_NUMBERS).enumerate().for_each(|(task, y)| {
            for (at, y) in y.iter_mut().enumerate() {
                let draw = self.rng.at((task * TASK_NUMBERS + at) as u64) >> 11;
                *y = if draw < self.below { T::ZERO } else { *y * self.scale };
            }
        });
        y
    }
}

impl<T: Real> CustomOp1 for Operation<T> {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        Ok(made(self.mask(slice_cpu(x, layout)?), rows, width))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (storage, layout) = dy.storage_and_layout();
        Ok(Some(tensor(self.mask(slice(&storage, layout)?), x)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::check;

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (probability, rows, width) in [(0.0, 1, 3), (0.1, 1, 1), (0.5, 3, 17), (0.9, 129, 130)] {
            let dropout = Dropout { probability, seed: 5 };
            let what = format!("dropout {probability} of {rows} × {width}");
            check(&what, &[&[rows, width]], &[], |x| dropout.forward::<f64>(x[0], 2));
        }
    }

    #[test]
    fn as_many_fall_as_asked_and_the_mean_stays() {
        let ones = Tensor::ones((400, 100), candle_core::DType::F64, &candle_core::Device::Cpu).unwrap();
        let masked = |site| {
            let y = Dropout { probability: 0.3, seed: 1 }.forward::<f64>(&ones, site).unwrap();
            y.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        let y = masked(1);
        let fallen = y.iter().filter(|y| **y == 0.0).count() as f64 / 40_000.0;
        assert!((fallen - 0.3).abs() < 0.01, "{fallen}");
        assert!(y.iter().all(|y| *y == 0.0 || (y - 1.0 / 0.7).abs() < 1e-12));
        assert!(y == masked(1) && y != masked(2));
    }
}
