//! Low-rank adapters (LoRA, arXiv 2106.09685): what is added to a frozen matrix while a model is aligned.
//!
//! ```text
//! y += s·(x·Aᵀ)·Bᵀ,  A: rank × in,  B: out × rank,  s = alpha ÷ rank;   merged:  W += s·B·A
//! dA = s·(dY·B)ᵀ·X;  dB = s·dYᵀ·(X·Aᵀ);  dX += s·(dY·B)·A
//! ```
//! B begins with zeros, so an adapter changes nothing before it has learned. Tensors lie and are named as in PEFT.

use super::linear::Orientation;
use crate::kernel::{Matrix, MatrixMut, Real, multiply};
use crate::parameter::Shared;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Rows of a product in one task.
const TASK_ROWS: usize = 256;

/// The adapter of one matrix.
#[derive(Debug, Clone)]
pub(crate) struct LowRank<T> {
    /// A: rank × in.
    pub(crate) down: Shared<T>,
    /// B: out × rank.
    pub(crate) up: Shared<T>,
    /// alpha ÷ rank.
    pub(crate) scale: T,
}

/// Where the columns of a part begin in a row, and how far rows are apart.
type Columns = (usize, usize);

impl<T: Real> LowRank<T> {
    /// rank, in, out.
    fn sizes(&self) -> Result<(usize, usize, usize)> {
        let (rank, width_in) = self.down.value().dims2()?;
        Ok((rank, width_in, self.up.value().dims2()?.0))
    }

    /// X·Aᵀ: tokens × rank.
    fn low(&self, x: &[T], rank: usize, width_in: usize) -> Result<Vec<T>> {
        let mut low = vec![T::ZERO; x.len() / width_in * rank];
        self.down.read(|a| {
            let a = Matrix::new(a, rank, width_in, width_in).transposed();
            let tasks = low.par_chunks_mut(TASK_ROWS * rank).zip(x.par_chunks(TASK_ROWS * width_in));
            tasks.for_each(|(low, x)| {
                let rows = low.len() / rank;
                let x = Matrix::new(x, rows, width_in, width_in);
                multiply(MatrixMut::new(low, rows, rank, rank), false, x, a, T::ONE);
            });
        })?;
        Ok(low)
    }

    /// Adds s·(x·Aᵀ)·Bᵀ to the columns of a part of `y`.
    pub(crate) fn forward_onto(&self, x: &[T], y: &mut [T], (start, stride): Columns) -> Result<()> {
        let (rank, width_in, width) = self.sizes()?;
        let low = self.low(x, rank, width_in)?;
        self.up.read(|b| {
            let b = Matrix::new(b, width, rank, rank).transposed();
            let tasks = y.par_chunks_mut(TASK_ROWS * stride).zip(low.par_chunks(TASK_ROWS * rank));
            tasks.for_each(|(y, low)| {
                let rows = low.len() / rank;
                let low = Matrix::new(low, rows, rank, rank);
                multiply(MatrixMut::new(&mut y[start..], rows, width, stride), true, low, b, self.scale);
            });
        })
    }

    /// Adds to dX what goes through the adapter; dA and dB go to their slots.
    pub(crate) fn backward(&self, x: &[T], dy: &[T], (start, stride): Columns, dx: &mut [T]) -> Result<()> {
        let (rank, width_in, width) = self.sizes()?;
        let tokens = x.len() / width_in;
        let low = self.low(x, rank, width_in)?;
        let mut d_low = vec![T::ZERO; tokens * rank];
        self.up.read(|b| {
            let b = Matrix::new(b, width, rank, rank);
            let tasks = d_low.par_chunks_mut(TASK_ROWS * rank).zip(dy.par_chunks(TASK_ROWS * stride));
            tasks.for_each(|(d_low, dy)| {
                let rows = d_low.len() / rank;
                let dy = Matrix::new(&dy[start..], rows, width, stride);
                multiply(MatrixMut::new(d_low, rows, rank, rank), false, dy, b, self.scale);
            });
        })?;
        self.down.read(|a| {
            let a = Matrix::new(a, rank, width_in, width_in);
            let tasks = dx.par_chunks_mut(TASK_ROWS * width_in).zip(d_low.par_chunks(TASK_ROWS * rank));
            tasks.for_each(|(dx, d_low)| {
                let rows = d_low.len() / rank;
                let d_low = Matrix::new(d_low, rows, rank, rank);
                multiply(MatrixMut::new(dx, rows, width_in, width_in), true, d_low, a, T::ONE);
            });
        })?;
        // Both are sums over all tokens of few numbers: one task each, in token order.
        self.down.accumulate(|da, keep| {
            let d_low = Matrix::new(&d_low, tokens, rank, rank).transposed();
            let x = Matrix::new(x, tokens, width_in, width_in);
            multiply(MatrixMut::new(da, rank, width_in, width_in), keep, d_low, x, T::ONE);
        });
        self.up.accumulate(|db, keep| {
            let dy = Matrix::new(&dy[start..], tokens, width, stride).transposed();
            let low = Matrix::new(&low, tokens, rank, rank);
            multiply(MatrixMut::new(db, width, rank, rank), keep, dy, low, self.scale);
        });
        Ok(())
    }

    /// Adds s·B·A to the weight that the adapter belongs to; the adapter stays as it is.
    pub(crate) fn merge_into(&self, weight: &Shared<T>, orientation: Orientation) -> Result<()> {
        let mut merged = weight.read(<[T]>::to_vec)?;
        self.add_to(&mut merged, orientation)?;
        let value = weight.value();
        value.set(&Tensor::from_vec(merged, value.shape(), value.device())?)
    }

    /// Adds s·B·A to the numbers of a weight.
    pub(crate) fn add_to(&self, weight: &mut [T], orientation: Orientation) -> Result<()> {
        let (rank, width_in, width) = self.sizes()?;
        self.down.read(|a| {
            self.up.read(|b| {
                let a = Matrix::new(a, rank, width_in, width_in);
                let b = Matrix::new(b, width, rank, rank);
                let (rows, columns, lhs, rhs) = match orientation {
                    Orientation::OutIn => (width, width_in, b, a),
                    Orientation::InOut => (width_in, width, a.transposed(), b.transposed()),
                };
                multiply(MatrixMut::new(weight, rows, columns, columns), true, lhs, rhs, self.scale);
            })
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::linear::Linear;
    use crate::numeric::{check, numbers, parameter};

    /// Parts of these widths, every one but the first with an adapter; frozen weights get no gradient.
    fn adapted(orientation: Orientation, width_in: usize, widths: &[usize], rank: usize) -> Linear<f64> {
        let part = |(at, &width): (usize, &usize)| {
            let shape = if orientation == Orientation::OutIn { [width, width_in] } else { [width_in, width] };
            (parameter::<f64>(&format!("w{at}"), &shape, at as u64), None)
        };
        let parts: Vec<_> = widths.iter().enumerate().map(part).collect();
        parts.iter().for_each(|(weight, _)| weight.freeze());
        let mut linear = Linear::new(parts, orientation).unwrap();
        linear
            .adapt(|weight, width_in, width| {
                Ok((weight.name() != "w0").then(|| LowRank {
                    down: parameter(&format!("{}.a", weight.name()), &[rank, width_in], 31),
                    up: parameter(&format!("{}.b", weight.name()), &[width, rank], 32),
                    scale: 1.5,
                }))
            })
            .unwrap();
        linear
    }

    fn gradients(orientation: Orientation, tokens: usize, width_in: usize, widths: &[usize], rank: usize) {
        let linear = adapted(orientation, width_in, widths, rank);
        let parameters: Vec<_> = linear.adapters().flat_map(|(_, a)| [&a.down, &a.up]).collect();
        let what = format!("{orientation:?} {tokens} × {width_in} → {widths:?}, rank {rank}");
        let forward = |x: &[f64]| {
            let mut y = numbers(tokens * linear.width_out(), 9);
            linear.forward(x, &mut y).unwrap();
            y
        };
        check(&what, tokens * width_in, &parameters, forward, |x, dy, dx| linear.backward(x, dy, dx));
        for (weight, _) in linear.adapters() {
            assert!(weight.gradient(|g| g.is_none()), "{what}: {} is frozen", weight.name());
        }
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        for orientation in [Orientation::OutIn, Orientation::InOut] {
            gradients(orientation, 1, 1, &[1, 1], 1);
            gradients(orientation, 3, 7, &[4, 2, 5], 2);
            gradients(orientation, 2 * TASK_ROWS + 1, 9, &[3, 6], 4);
        }
    }

    #[test]
    fn a_merged_matrix_does_what_matrix_and_adapter_did() {
        for orientation in [Orientation::OutIn, Orientation::InOut] {
            let mut linear = adapted(orientation, 7, &[4, 2, 5], 3);
            let (x, mut before, mut after) = (numbers::<f64>(21, 1), vec![0.0; 33], vec![0.0; 33]);
            linear.forward(&x, &mut before).unwrap();
            let merge =
                |(weight, adapter): (&Shared<f64>, &LowRank<f64>)| adapter.merge_into(weight, orientation);
            linear.adapters().try_for_each(merge).unwrap();
            linear.adapt(|_, _, _| Ok(None)).unwrap();
            linear.forward(&x, &mut after).unwrap();
            assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-12), "{before:?} {after:?}");
        }
    }
}
