//! RMSNorm (arXiv 1910.07467) and LayerNorm (arXiv 1607.06450) with gain and bias.
//!
//! ```text
//! x̂ = (x − c) ÷ √(mean((x − c)²) + ε), c = mean(x) for LayerNorm, 0 for RMSNorm;   y = g·x̂ + b
//! dx = r·(g·dy − [mean(g·dy)] − x̂·mean(g·dy·x̂)),  r = 1 ÷ √(…), the bracket for LayerNorm alone
//! ```

use crate::kernel::{Real, TASK_ROWS, add_scaled, dot, simd, sum_by};
use crate::parameter::Shared;
use candle_core::Result;
use rayon::prelude::*;

/// A normalisation of each row.
#[derive(Debug, Clone)]
pub(crate) struct Norm<T> {
    pub(crate) gain: Shared<T>,
    /// Present in LayerNorm, which also takes the mean off.
    pub(crate) bias: Option<Shared<T>>,
    pub(crate) epsilon: T,
}

impl<T: Real> Norm<T> {
    /// RMSNorm.
    pub(crate) fn root_mean_square(gain: Shared<T>, epsilon: f64) -> Self {
        Self { gain, bias: None, epsilon: T::of(epsilon) }
    }

    /// LayerNorm.
    pub(crate) fn layer(gain: Shared<T>, bias: Shared<T>, epsilon: f64) -> Self {
        Self { gain, bias: Some(bias), epsilon: T::of(epsilon) }
    }

    /// x: tokens × width → y: tokens × width.
    pub(crate) fn forward(&self, x: &[T], y: &mut [T]) -> Result<()> {
        let bias = self.bias.as_ref().map(|bias| bias.read(<[T]>::to_vec)).transpose()?;
        self.gain.read(|gain| {
            let width = gain.len();
            let tasks = x.par_chunks(TASK_ROWS * width).zip(y.par_chunks_mut(TASK_ROWS * width));
            tasks.for_each(|(x, y)| {
                simd(|| {
                    for (x, y) in x.chunks(width).zip(y.chunks_mut(width)) {
                        self.standardise(x, y);
                        y.iter_mut().zip(gain).for_each(|(y, &gain)| *y *= gain);
                        if let Some(bias) = &bias {
                            add_scaled(y, bias, T::ONE);
                        }
                    }
                });
            });
        })
    }

    /// Adds dX to `dx`, which holds the gradient of the residual; those of gain and bias go to their slots.
    pub(crate) fn backward(&self, x: &[T], dy: &[T], dx: &mut [T]) -> Result<()> {
        let (width, sums) = self.gain.read(|gain| {
            let task = TASK_ROWS * gain.len();
            let tasks = x.par_chunks(task).zip(dy.par_chunks(task)).zip(dx.par_chunks_mut(task));
            let sums = tasks.map(|((x, dy), dx)| {
                let mut sums = vec![T::ZERO; 2 * gain.len()];
                self.backward_rows(x, dy, dx, gain, &mut sums);
                sums
            });
            (gain.len(), sums.collect::<Vec<_>>())
        })?;
        let add = |parameter: &Shared<T>, start: usize| {
            parameter.accumulate(|total, keep| {
                if !keep {
                    total.fill(T::ZERO);
                }
                sums.iter().for_each(|sums| add_scaled(total, &sums[start..start + width], T::ONE));
            });
        };
        add(&self.gain, 0);
        self.bias.iter().for_each(|bias| add(bias, width));
        Ok(())
    }

    /// Writes x̂ and returns r.
    #[inline(always)]
    fn standardise(&self, x: &[T], out: &mut [T]) -> T {
        let width = T::of(x.len() as f64);
        let centre = if self.bias.is_some() { sum_by(x.len(), |i| x[i]) / width } else { T::ZERO };
        let spread = sum_by(x.len(), |i| (x[i] - centre) * (x[i] - centre)) / width;
        let r = T::ONE / (spread + self.epsilon).sqrt();
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (x - centre) * r;
        }
        r
    }

    /// Adds dx row by row, and the gradients of gain and bias to `sums`.
    fn backward_rows(&self, x: &[T], dy: &[T], dx: &mut [T], gain: &[T], sums: &mut [T]) {
        let width = gain.len();
        let (mut hat, mut scaled) = (vec![T::ZERO; width], vec![T::ZERO; width]);
        let (gain_sums, bias_sums) = sums.split_at_mut(width);
        let inverse = T::ONE / T::of(width as f64);
        simd(|| {
            for ((x, dy), dx) in x.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width)) {
                let r = self.standardise(x, &mut hat);
                for i in 0..width {
                    scaled[i] = gain[i] * dy[i];
                    gain_sums[i] += dy[i] * hat[i];
                    bias_sums[i] += dy[i];
                }
                let along = dot(&scaled, &hat) * inverse;
                let mean = if self.bias.is_some() { sum_by(width, |i| scaled[i]) * inverse } else { T::ZERO };
                for i in 0..width {
                    dx[i] += r * (scaled[i] - mean - hat[i] * along);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{check, numbers, parameter};

    fn gradients(what: &str, x: usize, parameters: &[&Shared<f64>], norm: &Norm<f64>, size: f64) {
        let scaled = |x: &[f64]| x.iter().map(|x| size * x).collect::<Vec<_>>();
        let forward = |x: &[f64]| {
            let mut y = vec![0.0; x.len()];
            norm.forward(&scaled(x), &mut y).unwrap();
            y
        };
        check(what, x, parameters, forward, |x, dy, dx| {
            dx.fill(0.0);
            norm.backward(&scaled(x), dy, dx)?;
            dx.iter_mut().for_each(|dx| *dx *= size);
            Ok(())
        });
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (rows, width) in [(1, 2), (1, 16), (3, 5), (7, 33), (TASK_ROWS + 1, 3)] {
            let (gain, bias) = (parameter("gain", &[width], 1), parameter("bias", &[width], 2));
            let (what, x) = (format!("{rows} × {width}"), rows * width);
            let norm = Norm::root_mean_square(gain.clone(), 1e-5);
            gradients(&format!("RMSNorm {what}"), x, &[&gain], &norm, 1.0);
            let norm = Norm::layer(gain.clone(), bias.clone(), 1e-5);
            gradients(&format!("LayerNorm {what}"), x, &[&gain, &bias], &norm, 1.0);
        }
    }

    #[test]
    fn a_row_near_zero_is_divided_by_the_root_of_epsilon() {
        let norm = Norm::root_mean_square(parameter::<f64>("gain", &[5], 1), 1e-5);
        gradients("near zero", 10, &[&norm.gain], &norm, 1e-9);
    }

    #[test]
    fn the_gradient_is_added_to_that_of_the_residual() {
        let norm = Norm::root_mean_square(parameter::<f64>("gain", &[5], 1), 1e-5);
        let (x, dy) = (numbers::<f64>(10, 1), numbers::<f64>(10, 2));
        let (mut alone, mut onto) = (vec![0.0; 10], vec![3.0; 10]);
        norm.backward(&x, &dy, &mut alone).unwrap();
        norm.backward(&x, &dy, &mut onto).unwrap();
        assert!(alone.iter().zip(&onto).all(|(alone, onto)| (alone + 3.0 - onto).abs() < 1e-12));
    }
}
