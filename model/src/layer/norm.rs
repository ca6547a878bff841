//! RMSNorm (arXiv 1910.07467) and LayerNorm (arXiv 1607.06450) with gain and bias.
//!
//! ```text
//! x̂ = (x − c) ÷ √(mean((x − c)²) + ε), c = mean(x) for LayerNorm, 0 for RMSNorm;   y = g·x̂ + b
//! dx = r·(g·dy − [mean(g·dy)] − x̂·mean(g·dy·x̂)),  r = 1 ÷ √(…), the bracket for LayerNorm alone
//! ```

use crate::kernel::{Real, TASK_ROWS, add_scaled, dot, simd, sum_by};
use crate::layer::{made, tensor};
use crate::parameter::{Shared, slice, slice_cpu};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// A normalisation of each row.
#[derive(Debug, Clone)]
pub(crate) struct Norm<T> {
    gain: Shared<T>,
    /// Present in LayerNorm, which also takes the mean off.
    bias: Option<Shared<T>>,
    epsilon: T,
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

    /// tokens × width → tokens × width.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1(self.clone())
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

    /// Turns dy into dx, row by row, and adds to the gradients of gain and bias.
    fn backward_rows(&self, x: &[T], dy: &[T], dx: &mut [T], gain: &[T], sums: &mut [T]) {
        let width = gain.len();
        let mut hat = vec![T::ZERO; width];
        let (gain_sums, bias_sums) = sums.split_at_mut(width);
        let inverse = T::ONE / T::of(width as f64);
        simd(|| {
            for ((x, dy), dx) in x.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width)) {
                let r = self.standardise(x, &mut hat);
                for i in 0..width {
                    dx[i] = gain[i] * dy[i];
                    gain_sums[i] += dy[i] * hat[i];
                    bias_sums[i] += dy[i];
                }
                let along = dot(dx, &hat) * inverse;
                let mean = if self.bias.is_some() { sum_by(width, |i| dx[i]) * inverse } else { T::ZERO };
                for (dx, &hat) in dx.iter_mut().zip(&hat) {
                    *dx = r * (*dx - mean - hat * along);
                }
            }
        });
    }
}

impl<T: Real> CustomOp1 for Norm<T> {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice_cpu::<T>(x, layout)?;
        let mut y = vec![T::ZERO; x.len()];
        let bias = self.bias.as_ref().map(|bias| bias.read(<[T]>::to_vec)).transpose()?;
        let width = self.gain.read(|gain| {
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
            width
        })?;
        Ok(made(y, x.len() / width, width))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let ((x_storage, x_layout), (dy_storage, dy_layout)) =
            (x.storage_and_layout(), dy.storage_and_layout());
        let (xs, dys) = (slice::<T>(&x_storage, x_layout)?, slice::<T>(&dy_storage, dy_layout)?);
        let mut dx = vec![T::ZERO; xs.len()];
        let (width, sums) = self.gain.read(|gain| {
            let task = TASK_ROWS * gain.len();
            let tasks = xs.par_chunks(task).zip(dys.par_chunks(task)).zip(dx.par_chunks_mut(task));
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
        Ok(Some(tensor(dx, x)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{check, parameter};

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (rows, width) in [(1, 2), (1, 16), (3, 5), (7, 33), (TASK_ROWS + 1, 3)] {
            let (gain, bias) = (parameter("gain", &[width], 1), parameter("bias", &[width], 2));
            let x: &[usize] = &[rows, width];
            let norm = Norm::root_mean_square(gain.clone(), 1e-5);
            check(&format!("RMSNorm {x:?}"), &[x], &[&gain], |x| norm.forward(x[0]));
            let norm = Norm::layer(gain.clone(), bias.clone(), 1e-5);
            check(&format!("LayerNorm {x:?}"), &[x], &[&gain, &bias], |x| norm.forward(x[0]));
        }
    }

    #[test]
    fn a_row_near_zero_is_divided_by_the_root_of_epsilon() {
        let norm = Norm::root_mean_square(parameter::<f64>("gain", &[5], 1), 1e-5);
        check("near zero", &[&[2, 5]], &[&norm.gain], |x| norm.forward(&(x[0] * 1e-9)?));
    }
}
