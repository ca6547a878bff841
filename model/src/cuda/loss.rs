//! The head and the cross-entropy over chunks of rows: logits of a whole batch are never stored.

use super::gpu::{Gpu, Matrix, Memory, Product, THREADS, launch};
use super::rows::Sums;
use super::upload::Upload;
use super::weights::{Span, Weights, blocks, int, numbers};
use crate::architecture::Transformer;
use crate::objective::cross_entropy::Terms;
use candle_core::Result;

/// Numbers of a chunk of logits.
const CHUNK_NUMBERS: usize = 1 << 28;

/// The head of a model.
#[derive(Debug)]
pub(super) struct Loss {
    head: Span,
    bias: Option<Span>,
    vocab: usize,
    /// Numbers from one row of logits to the next.
    stride: usize,
    terms: Terms,
    /// Rows of a chunk.
    rows: usize,
    logits: Memory,
    /// The rows that have a target, and their gradient.
    chosen: Memory,
    d_chosen: Memory,
    losses: Memory,
    /// The sum of the losses.
    sum: Memory,
}

impl Loss {
    /// Rows of a chunk, and bytes that batches of so many tokens need.
    pub(super) fn plan(vocab: usize, width: usize, real: usize, tokens: usize) -> (usize, usize) {
        let stride = vocab.next_multiple_of(8);
        let rows = (CHUNK_NUMBERS / stride).clamp(64, tokens.max(64));
        (rows, (rows * stride + 2 * tokens * width) * real + 4 * tokens)
    }

    pub(super) fn new(gpu: &Gpu, weights: &Weights, model: &Transformer<f32>, tokens: usize) -> Result<Self> {
        let (vocab, width) = (model.shape.vocab, model.shape.width);
        let (rows, _) = Self::plan(vocab, width, gpu.real(), tokens);
        let stride = vocab.next_multiple_of(8);
        let features = || gpu.allocate(tokens * width * gpu.real());
        Ok(Self {
            head: weights.place(&model.head),
            bias: model.head_bias.as_ref().map(|bias| weights.place(bias)),
            vocab,
            stride,
            terms: model.terms,
            rows,
            logits: gpu.allocate(rows * stride * gpu.real())?,
            chosen: features()?,
            d_chosen: features()?,
            losses: gpu.allocate(4 * tokens)?,
            sum: gpu.allocate(8)?,
        })
    }

    /// The weighted sum of the losses of a batch, which `gradient` differentiates times a scale; the gradient of `hidden` is written
    /// to it, those of head and bias are added to theirs.
    pub(super) fn forward(
        &self,
        gpu: &Gpu,
        (weights, sums): (&Weights, &Sums),
        batch: &Upload,
        hidden: u64,
        gradient: Option<(f64, u64)>,
    ) -> Result<()> {
        let (width, real, count) = (gpu.sizes.width, gpu.real(), batch.target_count);
        let all = batch.chosen == 0;
        let copy = |kernel: &str, from: u64, to: u64| {
            let grid = blocks(count * width);
            launch!(gpu, kernel, grid, (THREADS, 1, 1), 0; int(count), batch.chosen, from, to)
        };
        let x = if all { hidden } else { self.chosen.at() };
        if !all {
            copy("choose", hidden, x)?;
        }
        let terms = if gradient.is_some() { self.terms } else { Terms::default() };
        let bias = self.bias.map_or(0, |bias| weights.value(bias));
        let head = Matrix::new(weights.copy(self.head), width);
        let (scale, d_hidden) = gradient.unwrap_or((1.0, 0));
        let dx = if all { d_hidden } else { self.d_chosen.at() };
        if gradient.is_some() {
            // Without targets they are zeros, and written all the same.
            for span in [Some(self.head), self.bias].into_iter().flatten() {
                let _ = weights.gradient(span);
            }
        }
        for first in (0..count).step_by(self.rows) {
            let rows = self.rows.min(count - first);
            let at = |base: u64, bytes: usize| if base == 0 { 0 } else { base + (first * bytes) as u64 };
            let x = Matrix::new(at(x, width * real), width);
            let logits = self.logits.at();
            let into = Product { at: logits, stride: self.stride, wide: false, keep: false };
            gpu.multiply(into, (rows, self.vocab, width), x, head.transposed())?;
            launch!(gpu, "cross_entropy", (numbers(rows), 1, 1), (THREADS, 1, 1), 0;
                int(self.vocab), int(self.stride), logits, bias, at(batch.targets, 4), at(batch.weights, 4), scale as f32,
                terms.smoothing as f32, terms.z as f32, at(self.losses.at(), 4), i32::from(gradient.is_some()))?;
            if gradient.is_none() {
                continue;
            }
            let d_logits = Matrix::new(logits, self.stride);
            let into = Product { at: at(dx, width * real), stride: width, wide: false, keep: false };
            gpu.multiply(into, (rows, width, self.vocab), d_logits, head)?;
            let into = Product { at: weights.gradient(self.head), stride: width, wide: true, keep: true };
            gpu.multiply(into, (self.vocab, width, rows), d_logits.transposed(), x)?;
            if let Some(bias) = self.bias {
                sums.columns(gpu, (rows, self.vocab, self.stride), logits, weights.gradient(bias))?;
            }
        }
        if gradient.is_some() && !all {
            gpu.clear(d_hidden, batch.tokens * width * real)?;
            copy("put_back", dx, d_hidden)?;
        }
        gpu.clear(self.sum.at(), 8)?;
        launch!(gpu, "sum_losses", (1, 1, 1), (THREADS, 1, 1), 0; int(count), self.losses.at(), batch.weights, self.sum.at())
    }

    /// The weighted sum of the losses of the last batch.
    pub(super) fn sum(&self, gpu: &Gpu) -> Result<f64> {
        let mut sum = [0.0];
        gpu.read(self.sum.at(), &mut sum)?;
        Ok(sum[0])
    }

    /// The losses of the last batch's targets, in order, without weights.
    pub(super) fn each(&self, gpu: &Gpu, batch: &Upload) -> Result<Vec<f32>> {
        let mut losses = vec![0.0; batch.target_count];
        gpu.read(self.losses.at(), &mut losses)?;
        Ok(losses)
    }
}
