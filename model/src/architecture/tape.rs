//! The passes over a transformer: what the forward pass leaves for the backward pass, in memory that every step uses again.
//!
//! The order of operations is that of the model and never changes, so it is written down instead of recorded. The gradient of the
//! residual is one matrix that walks from the last block to the embedding; each part adds to it in place.
//!
//! With activation checkpointing (arXiv 1604.06174) blocks form segments: only the residual between segments is kept, and the backward
//! pass computes a segment again before it goes through it. What falls by dropout is a function of its place, so the second time gives
//! the same bits as the first. The last segment is never computed twice, nor is the output of any.

use super::{Block, Transformer};
use crate::batch::Batch;
use crate::kernel::{Real, add_scaled, simd};
use crate::layer::attention::Attention;
use crate::layer::dropout::Dropout;
use crate::layer::linear::Linear;
use crate::objective::cross_entropy::CrossEntropy;
use candle_core::Result;

/// Activations of a micro-batch and gradients between layers.
#[derive(Debug)]
pub(crate) struct Tape<T> {
    /// Output of the embedding.
    embedded: Vec<T>,
    /// Of every block, or of those of one segment.
    blocks: Vec<Activations<T>>,
    /// The residual behind each segment but the last.
    borders: Vec<Vec<T>>,
    /// Output of the last norm, and its gradient.
    hidden: Vec<T>,
    d_hidden: Vec<T>,
    between: Between<T>,
    loss: CrossEntropy<T>,
}

/// What the backward pass of a block needs; each a matrix of tokens × features.
#[derive(Debug)]
struct Activations<T> {
    attention_norm: Vec<T>,
    qkv: Vec<T>,
    mixed: Vec<T>,
    /// The residual between attention and feed-forward part.
    middle: Vec<T>,
    ff_norm: Vec<T>,
    up: Vec<T>,
    inner: Vec<T>,
    /// The residual behind the block.
    out: Vec<T>,
}

/// Gradients, used by one block after the other.
#[derive(Debug)]
struct Between<T> {
    /// Of the residual.
    residual: Vec<T>,
    /// Of the residual with dropout, and of the output of a norm.
    branch: Vec<T>,
    wide: Vec<T>,
    inner: Vec<T>,
}

impl<T: Real> Default for Tape<T> {
    fn default() -> Self {
        let between = Between { residual: vec![], branch: vec![], wide: vec![], inner: vec![] };
        Self {
            embedded: vec![],
            blocks: vec![],
            borders: vec![],
            hidden: vec![],
            d_hidden: vec![],
            between,
            loss: CrossEntropy::default(),
        }
    }
}

/// A buffer of so many numbers, whatever they are.
fn sized<T: Real>(buffer: &mut Vec<T>, count: usize) -> &mut [T] {
    buffer.resize(count, T::ZERO);
    buffer
}

impl<T: Real> Tape<T> {
    /// The summed loss of a batch times `scale`; the gradient of the head is added to it at once.
    pub(crate) fn forward(
        &mut self,
        model: &Transformer<T>,
        batch: &Batch,
        scale: f64,
        dropout: Dropout,
    ) -> Result<f64> {
        self.hidden(model, batch, dropout, model.segment())?;
        let d_hidden = sized(&mut self.d_hidden, self.hidden.len());
        self.loss.terms = model.terms;
        self.loss.loss_and_gradient(&model.head, batch, scale, &self.hidden, d_hidden)
    }

    /// The summed loss of a batch, without dropout and without gradients.
    pub(crate) fn loss(&mut self, model: &Transformer<T>, batch: &Batch) -> Result<f64> {
        self.hidden(model, batch, Dropout::NONE, 1)?;
        self.loss.loss(&model.head, batch, &self.hidden)
    }

    /// A loss of the caller's over the last hidden states (tokens × width): `loss` is given them and writes their gradient, for
    /// [`Tape::backward`].
    pub(crate) fn forward_by(
        &mut self,
        model: &Transformer<T>,
        batch: &Batch,
        dropout: Dropout,
        loss: impl FnOnce(&[T], &mut [T]) -> Result<f64>,
    ) -> Result<f64> {
        self.hidden(model, batch, dropout, model.segment())?;
        let d_hidden = sized(&mut self.d_hidden, self.hidden.len());
        loss(&self.hidden, d_hidden)
    }

    /// Reads the last hidden states of a batch (tokens × width), without dropout and without gradients.
    pub(crate) fn read_hidden<R>(
        &mut self,
        model: &Transformer<T>,
        batch: &Batch,
        read: impl FnOnce(&[T]) -> Result<R>,
    ) -> Result<R> {
        self.hidden(model, batch, Dropout::NONE, 1)?;
        read(&self.hidden)
    }

    /// The loss of each token's target, 0 where it has none, without weights, dropout and gradients.
    pub(crate) fn target_losses(&mut self, model: &Transformer<T>, batch: &Batch) -> Result<Vec<f64>> {
        self.loss(model, batch)?;
        let mut losses = vec![0.0; batch.ids.len()];
        self.loss.of_targets().for_each(|(at, loss)| losses[at] = loss);
        Ok(losses)
    }

    /// Everything up to the head, with what segments of so many blocks leave for the backward pass.
    fn hidden(
        &mut self,
        model: &Transformer<T>,
        batch: &Batch,
        dropout: Dropout,
        segment: usize,
    ) -> Result<()> {
        let numbers = batch.ids.len() * model.shape.width;
        let embedded = sized(&mut self.embedded, numbers);
        model.embedding.forward(batch, embedded)?;
        dropout.apply(0, embedded);
        let segments = model.blocks.len().div_ceil(segment);
        self.blocks.resize_with(segment, Activations::empty);
        self.borders.resize_with(segments.saturating_sub(1), Vec::new);
        for at in 0..segments {
            self.segment(model, batch, dropout, at, Pass::First)?;
            if let Some(border) = self.borders.get_mut(at) {
                std::mem::swap(border, &mut self.blocks[segment - 1].out);
            }
        }
        let x =
            model.blocks.len().checked_sub(1).map_or(&self.embedded, |last| &self.blocks[last % segment].out);
        model.norm.forward(x, sized(&mut self.hidden, numbers))
    }

    /// The blocks of one segment, from the residual before it.
    fn segment(
        &mut self,
        model: &Transformer<T>,
        batch: &Batch,
        dropout: Dropout,
        at: usize,
        pass: Pass,
    ) -> Result<()> {
        let attention = Attention { heads: model.shape.heads, rope: model.rope.as_ref(), batch };
        let segment = self.blocks.len();
        let mut x = at.checked_sub(1).map_or(&self.embedded, |before| &self.borders[before]);
        let blocks = model.blocks.iter().enumerate().skip(at * segment);
        for ((index, block), kept) in blocks.zip(&mut self.blocks) {
            let sites = Sites { dropout, first: 2 * index as u64 + 1 };
            kept.inside(block, attention, sites, x)?;
            // The border holds what the last block gave.
            if pass == Pass::First || (index + 1) % segment > 0 {
                kept.outside(block, sites)?;
            }
            x = &kept.out;
        }
        Ok(())
    }

    /// Adds the gradients of all parameters but the head, which [`Tape::forward`] of this batch has added.
    pub(crate) fn backward(&mut self, model: &Transformer<T>, batch: &Batch, dropout: Dropout) -> Result<()> {
        let attention = Attention { heads: model.shape.heads, rope: model.rope.as_ref(), batch };
        let segment = self.blocks.len();
        sized(&mut self.between.residual, self.embedded.len()).fill(T::ZERO);
        let last =
            model.blocks.len().checked_sub(1).map_or(&self.embedded, |last| &self.blocks[last % segment].out);
        model.norm.backward(last, &self.d_hidden, &mut self.between.residual)?;
        for (index, block) in model.blocks.iter().enumerate().rev() {
            let (at, inside) = (index / segment, index % segment);
            if inside + 1 == segment && at < self.borders.len() {
                self.segment(model, batch, dropout, at, Pass::Again)?;
            }
            let before = |at: usize| at.checked_sub(1).map_or(&self.embedded, |before| &self.borders[before]);
            let x = inside.checked_sub(1).map_or_else(|| before(at), |inside| &self.blocks[inside].out);
            let sites = Sites { dropout, first: 2 * index as u64 + 1 };
            self.blocks[inside].backward(block, attention, sites, x, &mut self.between)?;
        }
        dropout.apply(0, &mut self.between.residual);
        model.embedding.backward(batch, &self.between.residual);
        Ok(())
    }
}

/// Whether the blocks of a segment are computed for the loss, or once more for their gradients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    Again,
}

/// The two places of a block where features are dropped.
#[derive(Clone, Copy)]
struct Sites {
    dropout: Dropout,
    first: u64,
}

impl<T: Real> Activations<T> {
    const fn empty() -> Self {
        Self {
            attention_norm: vec![],
            qkv: vec![],
            mixed: vec![],
            middle: vec![],
            ff_norm: vec![],
            up: vec![],
            inner: vec![],
            out: vec![],
        }
    }

    /// Everything that the backward pass of a block reads.
    fn inside(
        &mut self,
        block: &Block<T>,
        attention: Attention<'_, T>,
        Sites { dropout, first }: Sites,
        x: &[T],
    ) -> Result<()> {
        let tokens = attention.batch.ids.len();
        let normed = sized(&mut self.attention_norm, x.len());
        block.attention_norm.forward(x, normed)?;
        let qkv = sized(&mut self.qkv, tokens * attention.heads.row());
        block.qkv.forward(normed, qkv)?;
        let mixed = sized(&mut self.mixed, tokens * attention.heads.out());
        attention.forward(qkv, mixed);
        let middle = sized(&mut self.middle, x.len());
        onto(&block.out, mixed, x, dropout, first, middle)?;
        let normed = sized(&mut self.ff_norm, x.len());
        block.ff_norm.forward(middle, normed)?;
        let up = sized(&mut self.up, tokens * block.up.width_out());
        block.up.forward(normed, up)?;
        let inner = sized(&mut self.inner, tokens * block.down.width_in());
        block.activation.forward(block.down.width_in(), up, inner);
        Ok(())
    }

    /// The residual behind the block.
    fn outside(&mut self, block: &Block<T>, Sites { dropout, first }: Sites) -> Result<()> {
        let out = sized(&mut self.out, self.middle.len());
        onto(&block.down, &self.inner, &self.middle, dropout, first + 1, out)
    }

    /// Turns the gradient of what the block gives into that of `x`, which it was given.
    fn backward(
        &self,
        block: &Block<T>,
        attention: Attention<'_, T>,
        Sites { dropout, first }: Sites,
        x: &[T],
        between: &mut Between<T>,
    ) -> Result<()> {
        let Between { residual, branch, wide, inner } = between;
        let d_inner = sized(inner, self.inner.len());
        block.down.backward(&self.inner, dropped(dropout, first + 1, residual, branch), d_inner)?;
        let d_up = sized(wide, self.up.len());
        block.activation.backward(block.down.width_in(), &self.up, d_inner, d_up);
        let d_normed = sized(branch, x.len());
        block.up.backward(&self.ff_norm, d_up, d_normed)?;
        block.ff_norm.backward(&self.middle, d_normed, residual)?;
        let d_mixed = sized(inner, self.mixed.len());
        block.out.backward(&self.mixed, dropped(dropout, first, residual, branch), d_mixed)?;
        let d_qkv = sized(wide, self.qkv.len());
        attention.backward(&self.qkv, d_mixed, d_qkv);
        let d_normed = sized(branch, x.len());
        block.qkv.backward(&self.attention_norm, d_qkv, d_normed)?;
        block.attention_norm.backward(x, d_normed, residual)
    }
}

/// The gradient of what was dropped from: that of the residual itself where nothing is.
fn dropped<'a, T: Real>(dropout: Dropout, site: u64, residual: &'a [T], branch: &'a mut Vec<T>) -> &'a [T] {
    if dropout.probability == 0.0 {
        return residual;
    }
    let branch = sized(branch, residual.len());
    branch.copy_from_slice(residual);
    dropout.apply(site, branch);
    branch
}

/// Writes the residual plus the dropped-out output of a layer.
fn onto<T: Real>(
    layer: &Linear<T>,
    x: &[T],
    residual: &[T],
    dropout: Dropout,
    site: u64,
    out: &mut [T],
) -> Result<()> {
    if dropout.probability == 0.0 {
        out.copy_from_slice(residual);
        return layer.forward_onto(x, out);
    }
    layer.forward(x, out)?;
    dropout.apply(site, out);
    simd(|| add_scaled(out, residual, T::ONE));
    Ok(())
}
