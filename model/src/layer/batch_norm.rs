//! Batch norm (arXiv 1502.03167) of each feature over the tokens of a micro-batch, padding included.
//!
//! ```text
//! x̂ = (x − m) ÷ √(v + ε), m and v the mean and variance of a feature over all tokens;   y = g·x̂ + b
//! dx = g·r·(dy − mean(dy) − x̂·mean(dy·x̂)),  r = 1 ÷ √(v + ε)
//! ```
//! Evaluation and generation take running statistics, which the checkpoint keeps: each micro-batch moves them by a tenth, in its
//! backward pass, so that activations that are computed twice move them once. All sums are taken over parts of the tokens that the
//! shape cuts, in their order: the bits do not depend on threads. While it trains, a token sees the others of its micro-batch
//! through m and v, those of other documents and later ones too.

use super::normalisation::Mode;
use crate::kernel::{Real, TASK_ROWS, simd};
use crate::parameter::Shared;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Part by which a micro-batch moves the running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// Batch norm with its running statistics.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm<T> {
    pub(crate) gain: Shared<T>,
    pub(crate) bias: Shared<T>,
    /// Running mean, one a feature.
    pub(crate) mean: Shared<T>,
    /// Running variance, one a feature.
    pub(crate) variance: Shared<T>,
    pub(crate) epsilon: f64,
}

impl<T: Real> BatchNorm<T> {
    /// x: tokens × width → y: tokens × width.
    pub(crate) fn forward(&self, x: &[T], y: &mut [T], mode: Mode) -> Result<()> {
        let (gain, bias) = (self.gain.read(<[T]>::to_vec)?, self.bias.read(<[T]>::to_vec)?);
        let width = gain.len();
        let (mean, variance) = match mode {
            Mode::Train => statistics(x, width),
            Mode::Evaluate => (self.mean.read(<[T]>::to_vec)?, self.variance.read(<[T]>::to_vec)?),
        };
        let r = self.inverse_roots(&variance);
        let tasks = x.par_chunks(TASK_ROWS * width).zip(y.par_chunks_mut(TASK_ROWS * width));
        tasks.for_each(|(x, y)| {
            simd(|| {
                for (x, y) in x.chunks(width).zip(y.chunks_mut(width)) {
                    for i in 0..width {
                        y[i] = gain[i] * ((x[i] - mean[i]) * r[i]) + bias[i];
                    }
                }
            });
        });
        Ok(())
    }

    /// Adds dX of a training pass to `dx`, those of gain and bias to their slots, and moves the running statistics.
    pub(crate) fn backward(&self, x: &[T], dy: &[T], dx: &mut [T]) -> Result<()> {
        let gain = self.gain.read(<[T]>::to_vec)?;
        let width = gain.len();
        let (mean, variance) = statistics(x, width);
        let r = self.inverse_roots(&variance);
        let hat = |x: &[T], i: usize| (x[i] - mean[i]) * r[i];
        let along = sums(x, width, |rows, task, total| {
            let dy = dy[task * TASK_ROWS * width..].chunks(width);
            for (x, dy) in rows.chunks(width).zip(dy) {
                (0..width).for_each(|i| total[i] += dy[i] * hat(x, i));
            }
        });
        let plain = sums(dy, width, add_rows);
        let inverse = T::ONE / T::of((x.len() / width.max(1)).max(1) as f64);
        let tasks = x.par_chunks(TASK_ROWS * width).zip(dy.par_chunks(TASK_ROWS * width));
        tasks.zip(dx.par_chunks_mut(TASK_ROWS * width)).for_each(|((x, dy), dx)| {
            simd(|| {
                for ((x, dy), dx) in x.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width)) {
                    for i in 0..width {
                        let rest = dy[i] - plain[i] * inverse - hat(x, i) * along[i] * inverse;
                        dx[i] += gain[i] * r[i] * rest;
                    }
                }
            });
        });
        let add = |parameter: &Shared<T>, sums: &[T]| {
            parameter.accumulate(|total, keep| match keep {
                true => total.iter_mut().zip(sums).for_each(|(total, sum)| *total += *sum),
                false => total.copy_from_slice(sums),
            });
        };
        add(&self.gain, &along);
        add(&self.bias, &plain);
        self.remember(x.len() / width.max(1), &mean, &variance)
    }

    fn inverse_roots(&self, variance: &[T]) -> Vec<T> {
        variance.iter().map(|&v| T::ONE / (v + T::of(self.epsilon)).sqrt()).collect()
    }

    fn remember(&self, tokens: usize, mean: &[T], variance: &[T]) -> Result<()> {
        // The variance that a sample tells of its source.
        let sampled = tokens as f64 / (tokens.max(2) - 1) as f64;
        for (running, found, scale) in [(&self.mean, mean, 1.0), (&self.variance, variance, sampled)] {
            let mut values = running.read(<[T]>::to_vec)?;
            for (value, &found) in values.iter_mut().zip(found) {
                *value = T::of(1.0 - MOMENTUM) * *value + T::of(MOMENTUM * scale) * found;
            }
            let value = running.value();
            value.set(&Tensor::from_vec(values, value.shape(), value.device())?)?;
        }
        Ok(())
    }
}

/// Adds up what `add` finds in parts of the rows, in the order of the parts.
fn sums<T: Real>(x: &[T], width: usize, add: impl Fn(&[T], usize, &mut [T]) + Sync) -> Vec<T> {
    let parts = x.par_chunks((TASK_ROWS * width).max(1)).enumerate().map(|(task, rows)| {
        let mut total = vec![T::ZERO; width];
        simd(|| add(rows, task, &mut total));
        total
    });
    let mut all = vec![T::ZERO; width];
    for part in parts.collect::<Vec<_>>() {
        all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
    }
    all
}

#[inline(always)]
fn add_rows<T: Real>(rows: &[T], _: usize, total: &mut [T]) {
    for row in rows.chunks(total.len()) {
        total.iter_mut().zip(row).for_each(|(total, x)| *total += *x);
    }
}

/// Mean and variance of each feature.
fn statistics<T: Real>(x: &[T], width: usize) -> (Vec<T>, Vec<T>) {
    let inverse = T::ONE / T::of((x.len() / width.max(1)).max(1) as f64);
    let scaled = |mut sums: Vec<T>| {
        sums.iter_mut().for_each(|sum| *sum *= inverse);
        sums
    };
    let mean = scaled(sums(x, width, add_rows));
    let variance = sums(x, width, |rows, _, total| {
        for row in rows.chunks(width) {
            (0..width).for_each(|i| total[i] += (row[i] - mean[i]) * (row[i] - mean[i]));
        }
    });
    (mean, scaled(variance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{check, numbers, parameter};

    fn norm(width: usize) -> BatchNorm<f64> {
        BatchNorm {
            gain: parameter("gain", &[width], 1),
            bias: parameter("bias", &[width], 2),
            mean: parameter("mean", &[width], 3),
            variance: parameter("variance", &[width], 4),
            epsilon: 1e-5,
        }
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (rows, width) in [(1, 2), (2, 1), (7, 5), (TASK_ROWS + 3, 3)] {
            let norm = norm(width);
            let forward = |x: &[f64]| {
                let mut y = vec![9.0; x.len()];
                norm.forward(x, &mut y, Mode::Train).unwrap();
                y
            };
            let what = format!("batch norm {rows} × {width}");
            check(&what, rows * width, &[&norm.gain, &norm.bias], forward, |x, dy, dx| {
                dx.fill(0.0);
                norm.backward(x, dy, dx)
            });
        }
    }

    #[test]
    fn running_statistics_come_near_those_of_the_batches_and_rule_evaluation() {
        let norm = norm(2);
        let x: Vec<f64> = numbers::<f64>(400, 5).iter().map(|x| 3.0 * x + 2.0).collect();
        let (mean, variance) = statistics(&x, 2);
        for _ in 0..200 {
            norm.backward(&x, &vec![0.0; 400], &mut vec![0.0; 400]).unwrap();
        }
        let read = |p: &Shared<f64>| p.read(<[f64]>::to_vec).unwrap();
        for i in 0..2 {
            assert!((read(&norm.mean)[i] - mean[i]).abs() < 1e-6);
            assert!((read(&norm.variance)[i] - variance[i] * 200.0 / 199.0).abs() < 1e-6);
        }
        // One token alone, which training could not norm.
        let mut y = [0.0; 2];
        norm.forward(&[5.0, -1.0], &mut y, Mode::Evaluate).unwrap();
        let expected = read(&norm.gain)[0] * (5.0 - read(&norm.mean)[0])
            / (read(&norm.variance)[0] + 1e-5).sqrt()
            + read(&norm.bias)[0];
        assert!((y[0] - expected).abs() < 1e-12);
    }
}
