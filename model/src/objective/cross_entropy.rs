//! The loss of every objective: the head and the cross-entropy as one operation over chunks of rows.
//!
//! ```text
//! logits = h·Wᵀ + b;  loss = Σ w·(log Σ exp(logits) − logits[target]);  dlogits = w·(softmax(logits) − onehot(target))
//! ```
//! The weight w of a target is 1 where the batch names none, and may be negative: preferences and rewards push away too.
//! In training the target may be smoothed by ε and the z-loss added with weight ζ: with s = log Σ exp(logits),
//! ```text
//! loss = Σ w·(s − (1 − ε)·logits[target] − ε·mean(logits) + ζ·s²)
//! dlogits = w·((1 + 2ζ·s)·softmax(logits) − (1 − ε)·onehot(target) − ε ÷ vocab)
//! ```
//! Logits of a whole batch are the largest tensor of a small model, so they are never stored: a chunk is computed,
//! turned into its gradient in place, and multiplied into dh and the slot of dW at once. Positions without a target are left out before
//! the first product.

use crate::batch::{Batch, NO_TARGET};
use crate::kernel::{Matrix, MatrixMut, Packed, Real, add_scaled, exponentiate, product, simd, sum_by};
use crate::parameter::Shared;
use candle_core::Result;
use rayon::prelude::*;

/// Numbers of a chunk of logits: 16 MB of `f32`, about what a cache holds.
const CHUNK_NUMBERS: usize = 4 << 20;
/// Rows whose softmax one task takes; chunks are multiples of it.
const ROWS: usize = 16;

/// What the loss of training is besides the cross-entropy; held-out losses are without it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Terms {
    /// Label smoothing (arXiv 1512.00567).
    pub(crate) smoothing: f64,
    /// Weight of the z-loss (arXiv 2204.02311, section 5).
    pub(crate) z: f64,
}

/// Sums of the loss of a batch, with the memory of a chunk.
#[derive(Debug)]
pub(crate) struct CrossEntropy<T> {
    /// Logits held at once: [`CHUNK_NUMBERS`].
    chunk_numbers: usize,
    /// Terms of [`CrossEntropy::loss_and_gradient`].
    pub(crate) terms: Terms,
    /// Bias over the vocabulary, where the head has one.
    pub(crate) bias: Option<Shared<T>>,
    /// Kept rows of the batch and their targets.
    rows: Vec<(usize, u32)>,
    /// Their losses without weights.
    losses: Vec<T>,
    /// The gradient of the batch's loss with respect to each of them.
    scales: Vec<T>,
    x: Vec<T>,
    logits: Vec<T>,
    dx: Vec<T>,
    /// The head as the logits need it and as dh needs it, packed once for all chunks.
    head: Packed<T>,
    back: Packed<T>,
}

impl<T: Real> Default for CrossEntropy<T> {
    fn default() -> Self {
        Self {
            chunk_numbers: CHUNK_NUMBERS,
            terms: Terms::default(),
            bias: None,
            rows: vec![],
            losses: vec![],
            scales: vec![],
            x: vec![],
            logits: vec![],
            dx: vec![],
            head: Packed::default(),
            back: Packed::default(),
        }
    }
}

impl<T: Real> CrossEntropy<T> {
    /// The loss of a batch through the embedding-shaped `head` (vocab × width): the weighted sum over targets.
    pub(crate) fn loss(&mut self, head: &Shared<T>, batch: &Batch, h: &[T]) -> Result<f64> {
        let bias = numbers_of(self.bias.as_ref())?;
        head.read(|w| self.chunks(batch, h, (w, &bias), T::ONE, None))
    }

    /// The same, times `scale`; writes its gradient to `dh`, and those of head and bias to their slots, unless they are frozen.
    pub(crate) fn loss_and_gradient(
        &mut self,
        head: &Shared<T>,
        batch: &Batch,
        scale: f64,
        h: &[T],
        dh: &mut [T],
    ) -> Result<f64> {
        dh.fill(T::ZERO);
        let values = numbers_of(self.bias.as_ref())?;
        let mut d_bias = vec![T::ZERO; values.len()];
        let loss = head.read(|w| {
            if !head.learns() {
                let gradient = Gradient { dh, head: None, d_bias: &mut d_bias };
                return self.chunks(batch, h, (w, &values), T::of(scale), Some(gradient));
            }
            let mut loss = 0.0;
            head.accumulate(|dw, keep| {
                if !keep && batch.targets_count() == 0 {
                    dw.fill(T::ZERO);
                }
                let gradient = Gradient { dh, head: Some((dw, keep)), d_bias: &mut d_bias };
                loss = self.chunks(batch, h, (w, &values), T::of(scale), Some(gradient));
            });
            loss
        })?;
        if let Some(bias) = &self.bias {
            bias.accumulate(|total, keep| match keep {
                true => add_scaled(total, &d_bias, T::ONE),
                false => total.copy_from_slice(&d_bias),
            });
        }
        Ok(loss * scale)
    }

    /// The loss of each target of the last batch, without its weight: (token of the batch, nats), in order.
    pub(crate) fn of_targets(&self) -> impl Iterator<Item = (usize, f64)> {
        self.rows.iter().zip(&self.losses).map(|(&(row, _), loss)| (row, loss.to_f64()))
    }

    fn chunks(
        &mut self,
        batch: &Batch,
        h: &[T],
        (w, bias): (&[T], &[T]),
        scale: T,
        mut gradient: Option<Gradient<'_, T>>,
    ) -> f64 {
        let width = h.len() / batch.ids.len().max(1);
        let vocab = w.len() / width.max(1);
        let targets = batch.targets.iter().copied().enumerate();
        self.rows.clear();
        self.rows.extend(targets.filter(|&(_, target)| target != NO_TARGET));
        let chunk = (self.chunk_numbers / vocab).max(1).next_multiple_of(ROWS);
        let numbers = chunk.min(self.rows.len());
        self.losses.resize(self.rows.len(), T::ZERO);
        self.scales.clear();
        self.scales.extend(self.rows.iter().map(|&(row, _)| scale * T::of(f64::from(batch.weight(row)))));
        self.x.resize(numbers * width, T::ZERO);
        self.logits.resize(numbers * vocab, T::ZERO);
        self.dx.resize(numbers * width, T::ZERO);
        let terms = if gradient.is_some() { self.terms } else { Terms::default() };
        let head = Matrix::new(w, vocab, width, width);
        self.head.pack(head.transposed());
        if gradient.is_some() {
            self.back.pack(head);
        }
        let chunks = self.rows.chunks(chunk).zip(self.scales.chunks(chunk));
        for ((rows, scales), losses) in chunks.zip(self.losses.chunks_mut(chunk)) {
            let x = &mut self.x[..rows.len() * width];
            for (x, &(row, _)) in x.chunks_mut(width).zip(rows) {
                x.copy_from_slice(&h[row * width..][..width]);
            }
            let logits = &mut self.logits[..rows.len() * vocab];
            chunk_losses((rows, scales), terms, x, (&self.head, bias), logits, losses);
            let Some(Gradient { dh, head, d_bias }) = &mut gradient else { continue };
            let dx = &mut self.dx[..rows.len() * width];
            let d_logits = Matrix::new(logits, rows.len(), vocab, vocab);
            product(MatrixMut::new(dx, rows.len(), width, width), false, None, d_logits, &self.back);
            if let Some((dw, keep)) = head {
                head_gradients(width, x, d_logits, dw, *keep);
                *keep = true;
            }
            if !d_bias.is_empty() {
                simd(|| logits.chunks(vocab).for_each(|d_logits| add_scaled(d_bias, d_logits, T::ONE)));
            }
            for (dx, &(row, _)) in dx.chunks(width).zip(rows) {
                dh[row * width..][..width].copy_from_slice(dx);
            }
        }
        // Summed in double precision and in row order: a batch's loss is compared to six digits.
        self.of_targets().fold(0.0, |total, (row, loss)| total + loss * f64::from(batch.weight(row)))
    }
}

/// Bytes that the loss of so many targets works with.
pub(crate) fn chunk_bytes(width: usize, vocab: usize, targets: usize) -> u64 {
    let chunk = (CHUNK_NUMBERS / vocab.max(1)).max(1).next_multiple_of(ROWS).min(targets);
    let packed = 2 * width * vocab;
    let numbers = chunk * (2 * width + vocab) + packed + targets;
    (numbers * size_of::<f32>() + targets * size_of::<(usize, u32)>()) as u64
}

/// Where the gradients of a batch go.
struct Gradient<'a, T> {
    dh: &'a mut [T],
    /// That of the head, and whether it holds something to add to; `None` where the head is frozen.
    head: Option<(&'a mut [T], bool)>,
    /// Zeros; empty without a bias.
    d_bias: &'a mut [T],
}

/// The numbers of a bias; none where there is none.
fn numbers_of<T: Real>(bias: Option<&Shared<T>>) -> Result<Vec<T>> {
    bias.map_or(Ok(vec![]), |bias| bias.read(<[T]>::to_vec))
}

/// Logits of a chunk, replaced by softmax less one-hot, times the scale of the row; the loss of each row.
fn chunk_losses<T: Real>(
    (rows, scales): (&[(usize, u32)], &[T]),
    terms: Terms,
    x: &[T],
    (head, bias): (&Packed<T>, &[T]),
    logits: &mut [T],
    losses: &mut [T],
) {
    let (width, vocab) = (x.len() / rows.len(), logits.len() / rows.len());
    let x = Matrix::new(x, rows.len(), width, width);
    let start = (!bias.is_empty()).then_some(bias);
    product(MatrixMut::new(logits, rows.len(), vocab, vocab), false, start, x, head);
    let tasks = rows.par_chunks(ROWS).zip(scales.par_chunks(ROWS));
    let tasks = tasks.zip(logits.par_chunks_mut(ROWS * vocab)).zip(losses.par_chunks_mut(ROWS));
    tasks.for_each(|(((rows, scales), logits), losses)| {
        simd(|| {
            let rows = rows.iter().zip(scales).zip(logits.chunks_mut(vocab)).zip(losses);
            for (((&(_, target), &scale), logits), loss) in rows {
                *loss = match terms == Terms::default() {
                    true => plain_row(logits, target as usize, scale),
                    false => row_with(terms, logits, target as usize, scale),
                };
            }
        });
    });
}

/// The loss of a row of logits, which become its gradient times `scale`.
#[inline(always)]
fn plain_row<T: Real>(logits: &mut [T], target: usize, scale: T) -> T {
    let wanted = logits[target];
    let (top, sum) = exponentiate(logits);
    let inverse = scale / sum;
    logits.iter_mut().for_each(|p| *p *= inverse);
    logits[target] -= scale;
    top + T::of(sum.to_f64().ln()) - wanted
}

/// The same with the other terms of the loss.
#[inline(always)]
fn row_with<T: Real>(terms: Terms, logits: &mut [T], target: usize, scale: T) -> T {
    let (smoothing, z) = (T::of(terms.smoothing), T::of(terms.z));
    let wanted = logits[target];
    let even = smoothing / T::of(logits.len() as f64);
    let all = even * sum_by(logits.len(), |i| logits[i]);
    let (top, sum) = exponentiate(logits);
    let log_sum = top + T::of(sum.to_f64().ln());
    let inverse = scale * (T::ONE + (z + z) * log_sum) / sum;
    logits.iter_mut().for_each(|p| *p = *p * inverse - scale * even);
    logits[target] -= scale * (T::ONE - smoothing);
    log_sum - (T::ONE - smoothing) * wanted - all + z * log_sum * log_sum
}

/// dW = (keep ? dW : 0) + dLᵀ·X of a chunk.
fn head_gradients<T: Real>(width: usize, x: &[T], d_logits: Matrix<'_, T>, dw: &mut [T], keep: bool) {
    let dw = MatrixMut::new(dw, d_logits.column_count(), width, width);
    T::lend(|packed| {
        packed.pack(Matrix::new(x, d_logits.row_count(), width, width));
        product(dw, keep, None, d_logits.transposed(), packed);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{check, parameter};
    use crate::parameter::Parameter;

    fn gradients(targets: &[u32], vocab: usize, width: usize, chunk: usize) {
        gradients_of(targets, &[], vocab, width, chunk);
    }

    fn gradients_of(targets: &[u32], weights: &[f32], vocab: usize, width: usize, chunk: usize) {
        for (smoothing, z) in [(0.0, 0.0), (0.1, 0.0), (0.0, 0.05), (0.3, 0.02)] {
            gradients_with(Terms { smoothing, z }, (targets, weights), vocab, width, chunk);
        }
    }

    fn gradients_with(
        terms: Terms,
        (targets, weights): (&[u32], &[f32]),
        vocab: usize,
        width: usize,
        chunk: usize,
    ) {
        let head = parameter("head", &[vocab, width], 3);
        let mut batch = Batch::piece(&vec![0; targets.len()], 0);
        (batch.targets, batch.weights) = (targets.to_vec(), weights.to_vec());
        let what =
            format!("{terms:?}, {} targets of {vocab} × {width}, chunks of {chunk} numbers", targets.len());
        let scaled = |h: &[f64]| h.iter().map(|h| 3.0 * h).collect::<Vec<_>>();
        let loss = || CrossEntropy { chunk_numbers: chunk, terms, ..CrossEntropy::default() };
        let forward = |h: &[f64]| vec![defined(terms, &head, &batch, &scaled(h))];
        check(&what, targets.len() * width, &[&head], forward, |h, r, dh| {
            let found = loss().loss_and_gradient(&head, &batch, r[0], &scaled(h), dh)?;
            assert!((found - r[0] * forward(h)[0]).abs() < 1e-9, "{what}");
            dh.iter_mut().for_each(|dh| *dh *= 3.0);
            Ok(())
        });
    }

    /// The loss by its definition.
    fn defined(terms: Terms, head: &Shared<f64>, batch: &Batch, h: &[f64]) -> f64 {
        let width = head.value().dims()[1];
        let row = |h: &[f64], target: usize| {
            let logit = |w: &[f64]| w.iter().zip(h).map(|(w, h)| w * h).sum::<f64>();
            let logits: Vec<f64> = head.read(|w| w.chunks(width).map(logit).collect()).unwrap();
            let log_sum = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
            let even = terms.smoothing / logits.len() as f64;
            let smoothed: f64 = logits.iter().map(|x| even * (log_sum - x)).sum();
            (1.0 - terms.smoothing) * (log_sum - logits[target]) + smoothed + terms.z * log_sum * log_sum
        };
        let rows = h.chunks(width).zip(&batch.targets).enumerate();
        let rows = rows.filter(|(_, (_, target))| **target != NO_TARGET);
        rows.map(|(at, (h, &target))| f64::from(batch.weight(at)) * row(h, target as usize)).sum()
    }

    #[test]
    fn the_gradient_of_a_bias_is_the_numeric_one() {
        let (head, bias) = (parameter("head", &[7, 4], 3), parameter("bias", &[7], 4));
        let mut batch = Batch::piece(&[0; 5], 0);
        batch.targets = vec![6, NO_TARGET, 0, 2, 3];
        let loss = || CrossEntropy { bias: Some(bias.clone()), chunk_numbers: 1, ..CrossEntropy::default() };
        let forward = |h: &[f64]| vec![loss().loss(&head, &batch, h).unwrap()];
        check("head with a bias", 20, &[&head, &bias], forward, |h, r, dh| {
            loss().loss_and_gradient(&head, &batch, r[0], h, dh).map(drop)
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
        let weights: Vec<f32> = (0..many.len()).map(|at| at as f32 % 5.0 * 0.75 - 1.5).collect();
        gradients_with(Terms { smoothing: 0.1, z: 0.02 }, (&many, &weights), 37, 3, ROWS * 37);
        gradients_of(&[6, NO_TARGET, 0], &[-2.0, 7.0, 0.0], 7, 4, CHUNK_NUMBERS);
    }

    /// Held-out losses are without the terms of training.
    #[test]
    fn the_plain_loss_is_the_definition() {
        let head = parameter::<f64>("head", &[4, 2], 3);
        let mut batch = Batch::piece(&[0], 0);
        batch.targets = vec![2];
        let mut loss = CrossEntropy { terms: Terms { smoothing: 0.3, z: 0.1 }, ..CrossEntropy::default() };
        let found = loss.loss(&head, &batch, &[0.5, -1.0]).unwrap();
        let expected = defined(Terms::default(), &head, &batch, &[0.5, -1.0]);
        assert!((found - expected).abs() < 1e-12);
        batch.weights = vec![-0.5];
        assert!((loss.loss(&head, &batch, &[0.5, -1.0]).unwrap() + 0.5 * expected).abs() < 1e-12);
        let (at, alone) = loss.of_targets().next().unwrap();
        assert!(at == 0 && (alone - expected).abs() < 1e-12);
    }

    /// What `torch.nn.functional.cross_entropy(logits, target, label_smoothing=…)` gives, plus ζ · logsumexp², and its gradient (PyTorch 2.15.0, f64).
    #[test]
    fn smoothed_losses_are_those_of_pytorch() {
        let head = Parameter::new("head", &[5, 1], vec![2.0, -1.0, 0.5, 3.0, 0.0]).unwrap();
        let mut batch = Batch::piece(&[0, 0], 0);
        batch.targets = vec![2, 3];
        let check = |smoothing, z, expected: f64, d_head: [f64; 5]| {
            head.clear();
            let mut loss = CrossEntropy { terms: Terms { smoothing, z }, ..CrossEntropy::default() };
            let found = loss.loss_and_gradient(&head, &batch, 1.0, &[1.0, -0.5], &mut [0.0; 2]).unwrap();
            assert!((found - expected).abs() < 1e-12, "{smoothing} {z}: {found}");
            let near = |dw: &[f64]| dw.iter().zip(d_head).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(head.gradient(|dw| near(dw.unwrap())), "{smoothing} {z}");
        };
        check(
            0.0,
            0.0,
            5.80835448786947,
            [
                0.1965612351308806,
                -0.19307465941946367,
                -1.0428291158216216,
                1.130969741963696,
                -0.091627201853491,
            ],
        );
        check(
            0.1,
            0.0,
            5.66335448786947,
            [
                0.18656123513088063,
                -0.20307465941946365,
                -0.9528291158216218,
                1.0709697419636959,
                -0.10162720185349101,
            ],
        );
        check(
            0.0,
            0.01,
            5.944489795899033,
            [
                0.21185114535788918,
                -0.19795667046619775,
                -1.0418289872124702,
                1.1752209722853957,
                -0.09284686748662024,
            ],
        );
        check(
            0.2,
            0.001,
            5.531968018672427,
            [
                0.17809022615358147,
                -0.21356286052413706,
                -0.8627291029607066,
                1.015394864995866,
                -0.11174916841680393,
            ],
        );
    }
}
