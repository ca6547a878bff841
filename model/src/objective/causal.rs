//! Next-token prediction: the head and the cross-entropy as one operation over chunks of rows.
//!
//! ```text
//! logits = h·Wᵀ;  loss = Σ (log Σ exp(logits) − logits[target]);  dlogits = softmax(logits) − onehot(target)
//! ```
//! Logits of a whole batch are the largest tensor of a small model, so they are never stored: a chunk is computed,
//! turned into its gradient in place, and multiplied into dh and dW at once. Positions without a target are left out before the first product.

use crate::batch::{Batch, NO_TARGET};
use crate::kernel::{Matrix, MatrixMut, Real, add_scaled, exponentiate, multiply, simd};
use crate::layer::tensor;
use crate::parameter::{Shared, slice, slice_cpu};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers of a chunk of logits: 8 MB of `f32`, about what a cache holds.
const CHUNK_NUMBERS: usize = 2 << 20;
/// Rows of a chunk that one task takes.
const ROWS: usize = 64;

/// Sums of the loss of a batch.
#[derive(Debug, Clone)]
pub(crate) struct CrossEntropy<T> {
    /// vocab × width.
    head: Shared<T>,
    /// Kept rows of the batch and their targets.
    rows: Arc<Vec<(usize, u32)>>,
    scale: T,
    /// Logits held at once: [`CHUNK_NUMBERS`].
    chunk_numbers: usize,
    /// Present while training: what the forward pass found for the backward pass.
    found: Option<Arc<Mutex<Found<T>>>>,
}

#[derive(Debug, Default)]
struct Found<T> {
    dh: Vec<T>,
    dw: Vec<T>,
}

impl<T: Real> CrossEntropy<T> {
    /// The loss of a batch through the embedding-shaped `head`, summed over targets and multiplied by `scale`.
    pub(crate) fn new(head: &Shared<T>, batch: &Batch, scale: f64, training: bool) -> Self {
        let targets = batch.targets.iter().copied().enumerate();
        let rows = targets.filter(|&(_, target)| target != NO_TARGET).collect();
        let found = training.then(Arc::default);
        Self {
            head: Arc::clone(head),
            rows: Arc::new(rows),
            scale: T::of(scale),
            chunk_numbers: CHUNK_NUMBERS,
            found,
        }
    }

    /// tokens × width → a scalar.
    pub(crate) fn forward(self, h: &Tensor) -> Result<Tensor> {
        h.apply_op1(self)
    }

    fn compute(&self, h: &[T], w: &[T], width: usize) -> (Vec<T>, Found<T>) {
        let vocab = w.len() / width;
        let chunk = (self.chunk_numbers / vocab).max(1).next_multiple_of(ROWS);
        let mut losses = vec![T::ZERO; self.rows.len()];
        let training = self.found.is_some();
        let mut found = Found {
            dh: vec![T::ZERO; if training { h.len() } else { 0 }],
            dw: vec![T::ZERO; if training { w.len() } else { 0 }],
        };
        let numbers = chunk.min(self.rows.len());
        let (mut x, mut logits) = (vec![T::ZERO; numbers * width], vec![T::ZERO; numbers * vocab]);
        let mut dx = vec![T::ZERO; if training { numbers * width } else { 0 }];
        for (rows, losses) in self.rows.chunks(chunk).zip(losses.chunks_mut(chunk)) {
            let x = &mut x[..rows.len() * width];
            for (x, &(row, _)) in x.chunks_mut(width).zip(rows) {
                x.copy_from_slice(&h[row * width..][..width]);
            }
            let logits = &mut logits[..rows.len() * vocab];
            chunk_losses(rows, x, w, logits, losses);
            if training {
                let dx = &mut dx[..rows.len() * width];
                chunk_gradients(width, x, w, logits, dx, &mut found.dw);
                for (dx, &(row, _)) in dx.chunks(width).zip(rows) {
                    found.dh[row * width..][..width].copy_from_slice(dx);
                }
            }
        }
        (losses, found)
    }
}

/// Logits of a chunk, replaced by softmax less one-hot; the loss of each row.
fn chunk_losses<T: Real>(rows: &[(usize, u32)], x: &[T], w: &[T], logits: &mut [T], losses: &mut [T]) {
    let (width, vocab) = (x.len() / rows.len(), logits.len() / rows.len());
    let tasks = rows.par_chunks(ROWS).zip(x.par_chunks(ROWS * width));
    let tasks = tasks.zip(logits.par_chunks_mut(ROWS * vocab)).zip(losses.par_chunks_mut(ROWS));
    tasks.for_each(|(((rows, x), logits), losses)| {
        let x = Matrix::new(x, rows.len(), width, width);
        let w = Matrix::new(w, vocab, width, width).transposed();
        multiply(MatrixMut::new(logits, rows.len(), vocab, vocab), false, x, w, T::ONE);
        simd(|| {
            for ((&(_, target), logits), loss) in rows.iter().zip(logits.chunks_mut(vocab)).zip(losses) {
                let wanted = logits[target as usize];
                let (top, sum) = exponentiate(logits);
                *loss = top + T::of(sum.to_f64().ln()) - wanted;
                let inverse = T::ONE / sum;
                logits.iter_mut().for_each(|p| *p *= inverse);
                logits[target as usize] -= T::ONE;
            }
        });
    });
}

/// dX = dL·W and dW += dLᵀ·X of a chunk.
fn chunk_gradients<T: Real>(width: usize, x: &[T], w: &[T], d_logits: &[T], dx: &mut [T], dw: &mut [T]) {
    let (tokens, vocab) = (x.len() / width, w.len() / width);
    let w = Matrix::new(w, vocab, width, width);
    dx.par_chunks_mut(ROWS * width).zip(d_logits.par_chunks(ROWS * vocab)).for_each(|(dx, d_logits)| {
        let rows = dx.len() / width;
        let dl = Matrix::new(d_logits, rows, vocab, vocab);
        multiply(MatrixMut::new(dx, rows, width, width), false, dl, w, T::ONE);
    });
    let x = Matrix::new(x, tokens, width, width);
    let transposed = Matrix::new(d_logits, tokens, vocab, vocab).transposed();
    let task = vocab.div_ceil(8).next_multiple_of(16);
    dw.par_chunks_mut(task * width).enumerate().for_each(|(index, dw)| {
        let rows = dw.len() / width;
        let dw = MatrixMut::new(dw, rows, width, width);
        multiply(dw, true, transposed.rows(index * task, rows), x, T::ONE);
    });
}

impl<T: Real> CustomOp1 for CrossEntropy<T> {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, h: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let h = slice_cpu::<T>(h, layout)?;
        let (losses, found) = self.head.read(|w| self.compute(h, w, width))?;
        if let Some(slot) = &self.found {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
        // Summed in double precision and in row order: a batch's loss is compared to six digits.
        let loss = losses.iter().fold(0.0, |total, loss| total + loss.to_f64()) * self.scale.to_f64();
        Ok((T::to_cpu_storage_owned(vec![T::of(loss)]), Shape::from(())))
    }

    fn bwd(&self, h: &Tensor, _loss: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let Some(found) = &self.found else { bail!("a loss made for evaluation has no gradient") };
        let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        let (storage, layout) = upstream.storage_and_layout();
        let scale = slice::<T>(&storage, layout)?[0] * self.scale;
        let mut dh = found.dh;
        simd(|| dh.iter_mut().for_each(|d| *d *= scale));
        self.head.accumulate(|total, keep| {
            if !keep {
                total.fill(T::ZERO);
            }
            simd(|| add_scaled(total, &found.dw, scale));
        });
        Ok(Some(tensor(dh, h)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{check, parameter};

    fn gradients(targets: &[u32], vocab: usize, width: usize, chunk: usize) {
        let head = parameter("head", &[vocab, width], 3);
        let mut batch = Batch::piece(&vec![0; targets.len()], 0);
        batch.targets = targets.to_vec();
        let what = format!("{} targets of {vocab} × {width}, chunks of {chunk} numbers", targets.len());
        check(&what, &[&[targets.len(), width]], &[&head], |h| {
            let loss = CrossEntropy { chunk_numbers: chunk, ..CrossEntropy::new(&head, &batch, 0.3, true) };
            loss.forward(&(h[0] * 3.0)?)
        });
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        gradients(&[0], 1, 1, CHUNK_NUMBERS);
        gradients(&[2], 3, 5, CHUNK_NUMBERS);
        gradients(&[6, NO_TARGET, 0, NO_TARGET, 3], 7, 4, CHUNK_NUMBERS);
        gradients(&[NO_TARGET, NO_TARGET], 7, 4, CHUNK_NUMBERS);
        // Several chunks, several tasks in a chunk, a last chunk of one row; more columns than a task of the head.
        let many: Vec<u32> = (0..2 * ROWS as u32 + 1).map(|at| at * 7 % 37).collect();
        gradients(&many, 37, 3, CHUNK_NUMBERS);
        gradients(&many, 37, 3, ROWS * 37);
        gradients(&many[..5], 200, 2, 1);
    }

    #[test]
    fn the_loss_is_the_definition() {
        let head = parameter::<f64>("head", &[4, 2], 3);
        let h = Tensor::new(&[[0.5_f64, -1.0]], &candle_core::Device::Cpu).unwrap();
        let mut batch = Batch::piece(&[0], 0);
        batch.targets = vec![2];
        let found = CrossEntropy::new(&head, &batch, 1.0, false).forward(&h).unwrap();
        let logits: Vec<f64> = head.read(|w| w.chunks(2).map(|w| 0.5 * w[0] - w[1]).collect()).unwrap();
        let expected = logits.iter().map(|x| x.exp()).sum::<f64>().ln() - logits[2];
        assert!((found.to_scalar::<f64>().unwrap() - expected).abs() < 1e-12);
    }
}
