//! The passes over a transformer: what the forward pass leaves for the backward pass, in memory that every step uses again.
//!
//! The order of operations is that of the model and never changes, so it is written down instead of recorded. The gradient of the
//! residual is one matrix that walks from the last block to the embedding; each part adds to it in place.
//!
//! With activation checkpointing (arXiv 1604.06174) blocks form segments: only the residual between segments is kept, and the backward
//! pass computes a segment again before it goes through it. What falls by dropout is a function of its place, so the second time gives
//! the same bits as the first. The last segment is never computed twice, nor is the output of any.

mod measure;

use super::last::Last;
use super::{Block, Mix, MixLayer, Transformer};
use crate::batch::Batch;
use crate::kernel::{Real, add_scaled, simd};
use crate::layer::attention::Attention;
use crate::layer::dropout::Dropout;
use crate::layer::feed_forward::{FeedForward, Gradients, Kept, Onto, sized};
use crate::layer::normalisation::{Mode, Normalisation};
use crate::objective::cross_entropy::CrossEntropy;
use crate::parts::NormPlace;
use candle_core::Result;

/// Activations of a micro-batch and gradients between layers.
#[derive(Debug)]
pub(crate) struct Tape<T> {
    /// Output of the embedding before its norm, where it has one.
    looked_up: Vec<T>,
    /// What the first block is given.
    embedded: Vec<T>,
    /// Of every block, or of those of one segment.
    blocks: Vec<Activations<T>>,
    /// The residual behind each segment but the last.
    borders: Vec<Vec<T>>,
    last: Last<T>,
    /// Gradient of what the head is given.
    d_hidden: Vec<T>,
    between: Between<T>,
    loss: CrossEntropy<T>,
    experts: Expertise,
}

/// What a pass tells of its experts.
#[derive(Debug, Default)]
struct Expertise {
    /// Weight of what they add to the loss.
    weight: f64,
    /// The mean over tokens of what they add, by layer.
    added: Vec<f64>,
    /// The part of all choices that fell on each, by layer.
    load: Vec<Vec<f64>>,
}

/// What the backward pass of a block needs; each a matrix of tokens × features.
#[derive(Debug, Default)]
struct Activations<T> {
    /// Norms before the parts: what the norm gave. Behind them: the sum that it was given.
    attention_norm: Vec<T>,
    qkv: Vec<T>,
    /// Inside a recurrence.
    inside: Vec<T>,
    mixed: Vec<T>,
    /// The residual between attention and feed-forward part.
    middle: Vec<T>,
    /// As that of the attention.
    ff_norm: Vec<T>,
    ff: Kept<T>,
    /// The residual behind the block.
    out: Vec<T>,
}

/// Gradients, used by one block after the other.
#[derive(Debug, Default)]
pub(super) struct Between<T> {
    /// Of the residual.
    pub(super) residual: Vec<T>,
    /// Of the residual with dropout, and of the output of a norm.
    pub(super) branch: Vec<T>,
    /// Of a second branch, where parts stand side by side, or of the sum that a norm is given.
    pub(super) second: Vec<T>,
    /// Inside a recurrence.
    inside: Vec<T>,
    ff: Gradients<T>,
}

impl<T: Real> Default for Tape<T> {
    fn default() -> Self {
        Self {
            looked_up: vec![],
            embedded: vec![],
            blocks: vec![],
            borders: vec![],
            last: Last::default(),
            d_hidden: vec![],
            between: Between::default(),
            loss: CrossEntropy::default(),
            experts: Expertise::default(),
        }
    }
}

/// What all layers of a pass know.
#[derive(Clone, Copy)]
struct Pass<'a, T> {
    attention: Attention<'a, T>,
    dropout: Dropout,
    mode: Mode,
}

/// Mixes the tokens of a layer, with room for what the mixing itself leaves for the backward pass in the middle.
type MixKept<'a, T> = dyn FnMut(&mut [T], &mut Vec<T>, &mut [T]) -> Result<()> + 'a;

/// Whether the blocks of a segment are computed for the loss, or once more for their gradients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    First,
    Again,
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
        let pass = Pass { attention: model.attention(batch), dropout, mode: Mode::Train };
        self.hidden(model, pass, model.segment())?;
        // The share of this micro-batch in the mean over all targets of the step.
        self.experts.weight = scale * batch.targets_count() as f64;
        let hidden = &self.last.hidden;
        let d_hidden = sized(&mut self.d_hidden, hidden.len());
        (self.loss.terms, self.loss.bias) = (model.terms, model.head_bias.clone());
        self.loss.loss_and_gradient(&model.head, batch, scale, hidden, d_hidden)
    }

    /// The summed loss of a batch, without dropout and without gradients.
    pub(crate) fn loss(&mut self, model: &Transformer<T>, batch: &Batch) -> Result<f64> {
        let attention = model.attention(batch);
        self.hidden(model, Pass { attention, dropout: Dropout::NONE, mode: Mode::Evaluate }, 1)?;
        self.loss.bias.clone_from(&model.head_bias);
        self.loss.loss(&model.head, batch, &self.last.hidden)
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
        let pass = Pass { attention: model.attention(batch), dropout, mode: Mode::Train };
        self.hidden(model, pass, model.segment())?;
        // The loss is the caller's alone: experts are not balanced by it.
        self.experts.weight = 0.0;
        let hidden = &self.last.hidden;
        loss(hidden, sized(&mut self.d_hidden, hidden.len()))
    }

    /// Reads the last hidden states of a batch (tokens × width), without dropout and without gradients.
    pub(crate) fn read_hidden<R>(
        &mut self,
        model: &Transformer<T>,
        batch: &Batch,
        read: impl FnOnce(&[T]) -> Result<R>,
    ) -> Result<R> {
        let attention = model.attention(batch);
        self.hidden(model, Pass { attention, dropout: Dropout::NONE, mode: Mode::Evaluate }, 1)?;
        read(&self.last.hidden)
    }

    /// The loss of each token's target, 0 where it has none, without weights, dropout and gradients.
    pub(crate) fn target_losses(&mut self, model: &Transformer<T>, batch: &Batch) -> Result<Vec<f64>> {
        self.loss(model, batch)?;
        let mut losses = vec![0.0; batch.ids.len()];
        self.loss.of_targets().for_each(|(at, loss)| losses[at] = loss);
        Ok(losses)
    }

    /// What experts added to the loss of the last forward pass, by its scale.
    #[cfg(test)]
    pub(crate) fn auxiliary(&self) -> f64 {
        self.experts.weight * self.experts.added.iter().sum::<f64>()
    }

    /// The part of all choices that fell on each expert, by layer, in the last pass.
    pub(crate) fn expert_load(&self) -> Vec<Vec<f64>> {
        self.experts.load.clone()
    }

    /// Everything up to the head, with what segments of so many blocks leave for the backward pass.
    fn hidden(&mut self, model: &Transformer<T>, pass: Pass<'_, T>, segment: usize) -> Result<()> {
        embed(model, pass, &mut self.looked_up, &mut self.embedded)?;
        let segments = model.blocks.len().div_ceil(segment);
        self.blocks.resize_with(segment, Activations::default);
        self.borders.resize_with(segments.saturating_sub(1), Vec::new);
        (self.experts.added, self.experts.load) = (vec![], vec![]);
        for at in 0..segments {
            self.segment(model, pass, at, Time::First)?;
            if let Some(border) = self.borders.get_mut(at) {
                std::mem::swap(border, &mut self.blocks[segment - 1].out);
            }
        }
        let out =
            model.blocks.len().checked_sub(1).map_or(&self.embedded, |last| &self.blocks[last % segment].out);
        self.last.forward(model, pass.mode, out)
    }

    /// The blocks of one segment, from the residual before it.
    fn segment(&mut self, model: &Transformer<T>, pass: Pass<'_, T>, at: usize, time: Time) -> Result<()> {
        let segment = self.blocks.len();
        let mut x = at.checked_sub(1).map_or(&self.embedded, |before| &self.borders[before]);
        let blocks = model.blocks.iter().enumerate().skip(at * segment);
        for ((index, block), kept) in blocks.zip(&mut self.blocks) {
            let mut mix = |qkv: &mut [T], inside: &mut Vec<T>, mixed: &mut [T]| match &block.mix {
                Mix::Recurrence(layer) => layer.forward(pass.attention.batch, qkv, inside, mixed),
                Mix::Attention => {
                    pass.attention.forward(qkv, mixed);
                    Ok(())
                }
            };
            kept.inside(block, pass, first_site(index), x, &mut mix)?;
            // The border holds what the last block gave.
            if time == Time::First || (index + 1) % segment > 0 {
                kept.outside(block, pass, first_site(index))?;
            }
            if let (Time::First, FeedForward::Experts(experts)) = (time, &block.ff) {
                self.experts.added.push(experts.auxiliary(&kept.ff.routes));
                self.experts.load.push(kept.ff.routes.load());
            }
            x = &kept.out;
        }
        Ok(())
    }

    /// Adds the gradients of all parameters but the head, which [`Tape::forward`] of this batch has added.
    pub(crate) fn backward(&mut self, model: &Transformer<T>, batch: &Batch, dropout: Dropout) -> Result<()> {
        let pass = Pass { attention: model.attention(batch), dropout, mode: Mode::Train };
        let segment = self.blocks.len();
        self.between.ff.auxiliary = self.experts.weight;
        let out =
            model.blocks.len().checked_sub(1).map_or(&self.embedded, |last| &self.blocks[last % segment].out);
        self.last.backward(model, out, &mut self.d_hidden, &mut self.between)?;
        for (index, block) in model.blocks.iter().enumerate().rev() {
            let (at, inside) = (index / segment, index % segment);
            if inside + 1 == segment && at < self.borders.len() {
                self.segment(model, pass, at, Time::Again)?;
            }
            let before = |at: usize| at.checked_sub(1).map_or(&self.embedded, |before| &self.borders[before]);
            let x = inside.checked_sub(1).map_or_else(|| before(at), |inside| &self.blocks[inside].out);
            self.blocks[inside].backward(block, pass, first_site(index), x, &mut self.between)?;
        }
        dropout.apply(0, &mut self.between.residual);
        if let Some(norm) = &model.embedding_norm {
            renorm(norm, &self.looked_up, &mut self.between)?;
        }
        model.embedding.backward(batch, &self.between.residual);
        Ok(())
    }
}

/// The features that the head is given, of tokens that `mix` lets see what it knows: it is given the number of a layer, the layer,
/// what its first product gave, which it may change, and where what comes out goes.
pub(super) fn walk<T: Real>(
    model: &Transformer<T>,
    batch: &Batch,
    mix: &mut MixLayer<'_, T>,
) -> Result<Vec<T>> {
    let pass = Pass { attention: model.attention(batch), dropout: Dropout::NONE, mode: Mode::Evaluate };
    let (mut x, mut kept, mut last) = (vec![], Activations::default(), Last::default());
    embed(model, pass, &mut vec![], &mut x)?;
    for (index, block) in model.blocks.iter().enumerate() {
        kept.inside(block, pass, 0, &x, &mut |qkv, _, mixed| mix(index, block, qkv, mixed))?;
        kept.outside(block, pass, 0)?;
        std::mem::swap(&mut x, &mut kept.out);
    }
    last.forward(model, pass.mode, &x)?;
    Ok(last.hidden)
}

/// The first of the two places of a block where features are dropped; 0 is behind the embedding.
const fn first_site(block: usize) -> u64 {
    2 * block as u64 + 1
}

fn embed<T: Real>(
    model: &Transformer<T>,
    pass: Pass<'_, T>,
    looked_up: &mut Vec<T>,
    embedded: &mut Vec<T>,
) -> Result<()> {
    let batch = pass.attention.batch;
    let embedded = sized(embedded, batch.ids.len() * model.shape.width);
    match &model.embedding_norm {
        None => model.embedding.forward(batch, embedded)?,
        Some(norm) => {
            let looked_up = sized(looked_up, embedded.len());
            model.embedding.forward(batch, looked_up)?;
            norm.forward(looked_up, embedded, pass.mode)?;
        }
    }
    pass.dropout.apply(0, embedded);
    Ok(())
}

/// Turns the gradient of what a norm on the residual gave into that of what it was given.
fn renorm<T: Real>(norm: &Normalisation<T>, given: &[T], between: &mut Between<T>) -> Result<()> {
    let Between { residual, second, .. } = between;
    sized(second, given.len()).fill(T::ZERO);
    norm.backward(given, residual, second)?;
    std::mem::swap(residual, second);
    Ok(())
}

impl<T: Real> Activations<T> {
    /// Everything that the backward pass of a block reads. `mix` is given what the first product gave, room for what the mixing
    /// itself leaves for the backward pass, and where what comes out goes.
    fn inside(
        &mut self,
        block: &Block<T>,
        pass: Pass<'_, T>,
        site: u64,
        x: &[T],
        mix: &mut MixKept<'_, T>,
    ) -> Result<()> {
        let (tokens, dropout, mode) = (pass.attention.batch.ids.len(), pass.dropout, pass.mode);
        let Self { attention_norm, qkv, inside, mixed, middle, ff_norm, ff, .. } = self;
        let normed = sized(attention_norm, x.len());
        let (mixed, middle) = (sized(mixed, tokens * block.out.width_in()), sized(middle, x.len()));
        let qkv = sized(qkv, tokens * block.qkv.width_out());
        if block.place == NormPlace::After {
            block.qkv.forward(x, qkv)?;
            mix(qkv, inside, mixed)?;
            onto(dropout, site, x).write(normed, |sum| block.out.forward_onto(mixed, sum))?;
            block.attention_norm.forward(normed, middle, mode)?;
            block.ff.inside(tokens, middle, ff)?;
            return block.ff.outside(ff, onto(dropout, site + 1, middle), sized(ff_norm, x.len()));
        }
        block.attention_norm.forward(x, normed, mode)?;
        block.qkv.forward(normed, qkv)?;
        mix(qkv, inside, mixed)?;
        onto(dropout, site, x).write(middle, |middle| block.out.forward_onto(mixed, middle))?;
        let Some(norm) = &block.ff_norm else { return block.ff.inside(tokens, normed, ff) };
        let given = sized(ff_norm, x.len());
        norm.forward(middle, given, mode)?;
        block.ff.inside(tokens, given, ff)
    }

    /// The residual behind the block.
    fn outside(&mut self, block: &Block<T>, pass: Pass<'_, T>, site: u64) -> Result<()> {
        let out = sized(&mut self.out, self.middle.len());
        match (&block.ff_norm, block.place) {
            (Some(norm), NormPlace::After) => norm.forward(&self.ff_norm, out, pass.mode),
            _ => block.ff.outside(&self.ff, onto(pass.dropout, site + 1, &self.middle), out),
        }
    }

    /// Turns the gradient of what the block gives into that of `x`, which it was given.
    fn backward(
        &self,
        block: &Block<T>,
        pass: Pass<'_, T>,
        site: u64,
        x: &[T],
        between: &mut Between<T>,
    ) -> Result<()> {
        let dropout = pass.dropout;
        match (&block.ff_norm, block.place) {
            (Some(norm), NormPlace::Before) => {
                self.ff_backward(block, &self.ff_norm, (dropout, site + 1), between)?;
                norm.backward(&self.middle, &between.second, &mut between.residual)?;
                self.mix_backward(block, pass, site, &self.attention_norm, between)?;
                block.attention_norm.backward(x, &between.second, &mut between.residual)
            }
            (Some(norm), NormPlace::After) => {
                renorm(norm, &self.ff_norm, between)?;
                self.ff_backward(block, &self.middle, (dropout, site + 1), between)?;
                simd(|| add_scaled(&mut between.residual, &between.second, T::ONE));
                renorm(&block.attention_norm, &self.attention_norm, between)?;
                self.mix_backward(block, pass, site, x, between)?;
                simd(|| add_scaled(&mut between.residual, &between.second, T::ONE));
                Ok(())
            }
            (None, _) => {
                // Both parts were given one norm's output.
                self.ff_backward(block, &self.attention_norm, (dropout, site + 1), between)?;
                let from_ff = std::mem::take(&mut between.second);
                self.mix_backward(block, pass, site, &self.attention_norm, between)?;
                simd(|| add_scaled(&mut between.second, &from_ff, T::ONE));
                block.attention_norm.backward(x, &between.second, &mut between.residual)
            }
        }
    }

    /// Writes the gradient of what the feed-forward part was given into `between.second`.
    fn ff_backward(
        &self,
        block: &Block<T>,
        given: &[T],
        (dropout, site): (Dropout, u64),
        between: &mut Between<T>,
    ) -> Result<()> {
        let Between { residual, branch, second, ff, .. } = between;
        let d_out = dropped(dropout, site, residual, branch);
        let d_given = sized(second, given.len());
        block.ff.backward(given, &self.ff, d_out, ff, d_given)
    }

    /// Writes the gradient of what the mixing part was given into `between.second`.
    fn mix_backward(
        &self,
        block: &Block<T>,
        pass: Pass<'_, T>,
        site: u64,
        given: &[T],
        between: &mut Between<T>,
    ) -> Result<()> {
        let Between { residual, branch, second, inside, ff } = between;
        let Gradients { wide, inner, .. } = ff;
        let d_mixed = sized(inner, self.mixed.len());
        block.out.backward(&self.mixed, dropped(pass.dropout, site, residual, branch), d_mixed)?;
        let d_qkv = sized(wide, self.qkv.len());
        match &block.mix {
            Mix::Attention => pass.attention.backward(&self.qkv, d_mixed, d_qkv),
            Mix::Recurrence(layer) => {
                let given = (&self.qkv[..], &self.inside[..]);
                layer.backward(pass.attention.batch, given, d_mixed, inside, d_qkv)?;
            }
        }
        block.qkv.backward(given, d_qkv, sized(second, given.len()))
    }
}

const fn onto<T>(dropout: Dropout, site: u64, residual: &[T]) -> Onto<'_, T> {
    Onto { residual, dropout, site }
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
