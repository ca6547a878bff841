//! One transformer whose parts are configuration; a file for each published shape of it.
//!
//! ```text
//! x = embedding(ids);   for each block:  x += out(mix(qkv(norm x)));  x += ff(norm x)       norms before the parts
//!                       or:  x += out(mix(qkv(norm x))) + ff(norm x)                        parts side by side
//!                       or:  x = norm(x + out(mix(qkv x)));  x = norm(x + ff x)             norms behind the parts
//! ```
//! `mix` is attention or a recurrence, `ff` two matrices around an activation or a mixture of such experts. A shape file says which
//! parts a published model has and what its checkpoint calls their tensors, so that a model folder is read by `transformers` as it is.

pub(crate) mod bert;
mod build;
pub(crate) mod falcon;
pub(crate) mod gpt;
mod init;
pub(crate) mod json;
mod last;
pub(crate) mod llama;
mod names;
#[cfg(test)]
mod plain;
mod shape;
mod source;
mod tape;

pub(crate) use init::Init;
pub(crate) use shape::{ExpertShape, Misfit, Shape};
pub(crate) use source::{Source, Tensors};
pub(crate) use tape::Tape;

use crate::batch::Batch;
use crate::kernel::Real;
use crate::layer::activation::Activation;
use crate::layer::attention::{Attention, Cache, alibi_slopes};
use crate::layer::dropout::Dropout;
use crate::layer::embedding::Embedding;
use crate::layer::feed_forward::FeedForward;
use crate::layer::linear::Linear;
use crate::layer::normalisation::Normalisation;
use crate::layer::recurrence::Recurrence;
use crate::layer::rope::Rope;
use crate::objective::Program;
use crate::objective::cross_entropy::Terms;
use crate::optimizer::Role;
use crate::parameter::Shared;
use crate::parts::{NormPlace, Positions};
use candle_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct Block<T> {
    /// Where both norms stand.
    pub(crate) place: NormPlace,
    /// Of the mixer; of both parts where they stand side by side.
    pub(crate) attention_norm: Normalisation<T>,
    /// Queries, keys and values in one row, or what a recurrence takes.
    pub(crate) qkv: Linear<T>,
    pub(crate) mix: Mix<T>,
    pub(crate) out: Linear<T>,
    /// Of the feed-forward part; `None` where the parts stand side by side.
    pub(crate) ff_norm: Option<Normalisation<T>>,
    pub(crate) ff: FeedForward<T>,
}

/// What stands between the two products that mix tokens.
#[derive(Debug, Clone)]
pub(crate) enum Mix<T> {
    /// Softmax attention, which has no parameters of its own.
    Attention,
    /// A gated linear recurrence.
    Recurrence(Recurrence<T>),
}

/// Mixes the tokens of a layer: its number, the layer, what its first product gave, which may be changed, and where what comes out goes.
pub(crate) type MixLayer<'a, T> = dyn FnMut(usize, &Block<T>, &mut [T], &mut [T]) -> Result<()> + 'a;

/// What a head does before the product over the vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct Transform<T> {
    pub(crate) dense: Linear<T>,
    pub(crate) activation: Activation,
    pub(crate) norm: Normalisation<T>,
}

/// A transformer.
#[derive(Debug)]
pub(crate) struct Transformer<T> {
    pub(crate) shape: Shape,
    pub(crate) embedding: Embedding<T>,
    pub(crate) embedding_norm: Option<Normalisation<T>>,
    pub(crate) blocks: Vec<Block<T>>,
    /// Behind the last block, where norms stand before the parts.
    pub(crate) norm: Option<Normalisation<T>>,
    pub(crate) transform: Option<Transform<T>>,
    /// vocab × width; the embedding itself when tied.
    pub(crate) head: Shared<T>,
    pub(crate) head_bias: Option<Shared<T>>,
    pub(crate) rope: Option<Rope<T>>,
    /// ALiBi's, one a head.
    pub(crate) slopes: Option<Vec<T>>,
    /// Every tensor that learns once, in the order of the forward pass.
    pub(crate) parameters: Vec<Shared<T>>,
    /// Tensors that a checkpoint keeps and no gradient moves.
    pub(crate) buffers: Vec<Shared<T>>,
    /// Blocks between two residuals that are kept for the backward pass; 0 keeps all that it reads.
    pub(crate) recompute: usize,
    /// What the training loss is besides the cross-entropy.
    pub(crate) terms: Terms,
    tape: Mutex<Tape<T>>,
}

impl Shape {
    /// The shape for an objective: a row of the vocabulary for its mask token, a table for its languages.
    pub(crate) fn with(self, program: Program) -> Self {
        Self { vocab: program.model_vocab(), program, ..self }
    }
}

impl<T> Block<T> {
    /// Every linear part whose matrix an adapter may stand beside, in the order of the forward pass; the router of experts is none.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear<T>> {
        let (dense, experts) = match &self.ff {
            FeedForward::Dense(dense) => (Some(dense), None),
            FeedForward::Experts(experts) => (None, Some(&experts.experts)),
        };
        let networks = dense.into_iter().chain(experts.into_iter().flatten());
        [&self.qkv, &self.out].into_iter().chain(networks.flat_map(|network| [&network.up, &network.down]))
    }

    /// The same, to be adapted.
    pub(crate) fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear<T>> {
        let (dense, experts) = match &mut self.ff {
            FeedForward::Dense(dense) => (Some(dense), None),
            FeedForward::Experts(experts) => (None, Some(&mut experts.experts)),
        };
        let networks = dense.into_iter().chain(experts.into_iter().flatten());
        let inner = networks.flat_map(|network| [&mut network.up, &mut network.down]);
        [&mut self.qkv, &mut self.out].into_iter().chain(inner)
    }
}

impl<T: Real> Transformer<T> {
    /// Builds a model whose tensors come from `source`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub(crate) fn new(shape: Shape, mut source: Source<T>) -> Result<Self> {
        let layers = build::layers(&shape, &mut source)?;
        let rope = (shape.positions == Positions::Rotary)
            .then(|| Rope::new(shape.heads.width, shape.context, shape.rope_base));
        let slopes = (shape.positions == Positions::Alibi)
            .then(|| alibi_slopes(shape.heads.queries).into_iter().map(T::of).collect());
        let source::Made { parameters, buffers } = source.finish();
        let tape = Mutex::default();
        let build::Layers { embedding, embedding_norm, blocks, norm, transform, head, head_bias } = layers;
        Ok(Self {
            shape,
            embedding,
            embedding_norm,
            blocks,
            norm,
            transform,
            head,
            head_bias,
            rope,
            slopes,
            parameters,
            buffers,
            recompute: 0,
            terms: Terms::default(),
            tape,
        })
    }

    /// Blocks of a segment, whose activations are held at once in a training pass.
    pub(crate) fn segment(&self) -> usize {
        let blocks = self.blocks.len().max(1);
        if self.recompute == 0 { blocks } else { self.recompute.min(blocks) }
    }

    /// How many numbers learn.
    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.value().elem_count()).sum()
    }

    /// The tensors that have a row for each token, position or segment: embeddings and the head.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Shared<T>> {
        let Embedding { tokens, positions, segments, languages } = &self.embedding;
        let further = positions.iter().chain(segments).chain(languages);
        std::iter::once(tokens).chain(further).chain(std::iter::once(&self.head))
    }

    /// What a tensor is to the model.
    pub(crate) fn role(&self, parameter: &Shared<T>) -> Role {
        let is = |other: &Shared<T>| Arc::ptr_eq(other, parameter);
        let is_taps = |block: &Block<T>| matches!(&block.mix, Mix::Recurrence(mix) if is(&mix.convolution.0));
        if self.tables().any(is) {
            return Role::Table;
        }
        // A convolution mixes tokens, each feature by itself.
        if self.blocks.iter().any(is_taps) { Role::Vector } else { Role::of(parameter) }
    }

    /// The memory that passes share.
    pub(crate) fn tape(&self) -> MutexGuard<'_, Tape<T>> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What attention needs to know, over a batch.
    pub(crate) fn attention<'a>(&'a self, batch: &'a Batch) -> Attention<'a, T> {
        Attention {
            heads: self.shape.heads,
            rope: self.rope.as_ref(),
            slopes: self.slopes.as_deref(),
            window: self.shape.window,
            batch,
        }
    }

    /// The summed loss of a batch, each target's times its weight and `scale`; gradients are added to the parameters, those of what
    /// experts add to the loss included.
    pub(crate) fn gradients(&self, batch: &Batch, scale: f64, dropout: Dropout) -> Result<f64> {
        let mut tape = self.tape();
        let loss = tape.forward(self, batch, scale, dropout)?;
        tape.backward(self, batch, dropout)?;
        Ok(loss)
    }

    /// The summed loss of a batch, without dropout.
    pub(crate) fn loss(&self, batch: &Batch) -> Result<f64> {
        self.tape().loss(self, batch)
    }

    /// The loss that the caller computes from the last hidden states (tokens × width), whose gradient it writes; gradients of the
    /// other parameters are added to them.
    pub(crate) fn gradients_by(
        &self,
        batch: &Batch,
        dropout: Dropout,
        loss: impl FnOnce(&[T], &mut [T]) -> Result<f64>,
    ) -> Result<f64> {
        let mut tape = self.tape();
        let loss = tape.forward_by(self, batch, dropout, loss)?;
        tape.backward(self, batch, dropout)?;
        Ok(loss)
    }

    /// Reads the last hidden states of a batch (tokens × width), without dropout.
    pub(crate) fn read_hidden<R>(&self, batch: &Batch, read: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
        self.tape().read_hidden(self, batch, read)
    }

    /// Another model of the same tensors: what is trained in one is trained in the other, adapters that either is given later are its own.
    pub(crate) fn share(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            embedding: self.embedding.clone(),
            embedding_norm: self.embedding_norm.clone(),
            blocks: self.blocks.clone(),
            norm: self.norm.clone(),
            transform: self.transform.clone(),
            head: self.head.clone(),
            head_bias: self.head_bias.clone(),
            rope: self.rope.clone(),
            slopes: self.slopes.clone(),
            parameters: self.parameters.clone(),
            buffers: self.buffers.clone(),
            recompute: self.recompute,
            terms: self.terms,
            tape: Mutex::default(),
        }
    }

    /// The parameters that are not frozen, in the order of the forward pass.
    pub(crate) fn learning(&self) -> Vec<Shared<T>> {
        self.parameters.iter().filter(|p| p.learns()).cloned().collect()
    }

    /// The loss of each token's target in nats, 0 where it has none; without weights and dropout.
    pub(crate) fn target_losses(&self, batch: &Batch) -> Result<Vec<f64>> {
        self.tape().target_losses(self, batch)
    }

    /// The part of all choices that fell on each expert, by layer, in the last pass; empty without experts.
    pub(crate) fn expert_load(&self) -> Vec<Vec<f64>> {
        self.tape().expert_load()
    }

    /// The features that the head is given for tokens that stand alone: tokens × width.
    pub(crate) fn hidden(&self, ids: &[u32]) -> Result<Vec<T>> {
        self.features(&Batch::piece(ids, 0))
    }

    /// Whether every layer mixes tokens by attention.
    pub(crate) fn mixes_by_attention(&self) -> bool {
        self.blocks.iter().all(|block| matches!(block.mix, Mix::Attention))
    }

    /// The features that the head is given for a batch whose tokens the caller mixes in each layer, from their queries, keys and values.
    pub(crate) fn mixed_by(
        &self,
        batch: &Batch,
        mut mix: impl FnMut(usize, &mut [T], &mut [T]),
    ) -> Result<Vec<T>> {
        self.walk(batch, &mut |layer, _, qkv, mixed| {
            mix(layer, qkv, mixed);
            Ok(())
        })
    }

    /// The logits that follow `ids`, which continue what the caches have seen.
    pub(crate) fn next_logits(&self, ids: &[u32], caches: &mut [Cache<T>], seen: usize) -> Result<Vec<T>> {
        let width = self.shape.width;
        let batch = Batch::piece(ids, seen);
        let hidden = self.walk(&batch, &mut |layer, block, qkv, mixed| {
            let cache = &mut caches[layer];
            match &block.mix {
                Mix::Recurrence(layer) => layer.step(qkv, &mut cache.state, mixed),
                Mix::Attention => {
                    cache.attend(qkv, self.attention(&batch), mixed);
                    Ok(())
                }
            }
        })?;
        self.logits(&hidden[hidden.len() - width..])
    }

    /// The logits of every token of a batch, by who sees whom in it: tokens × vocab.
    ///
    /// # Errors
    /// A token is beyond the vocabulary.
    #[cfg_attr(not(test), expect(dead_code, reason = "the parity of exported models asks for it"))]
    pub(crate) fn all_logits(&self, batch: &Batch) -> Result<Vec<T>> {
        self.logits(&self.features(batch)?)
    }

    /// The features that the head is given: tokens × width, without dropout.
    fn features(&self, batch: &Batch) -> Result<Vec<T>> {
        self.walk(batch, &mut |_, block, qkv, mixed| match &block.mix {
            Mix::Recurrence(layer) => layer.forward(batch, qkv, &mut vec![], mixed),
            Mix::Attention => {
                self.attention(batch).forward(qkv, mixed);
                Ok(())
            }
        })
    }

    /// The same, where `mix` decides what the tokens of each layer see.
    ///
    /// # Errors
    /// A token is beyond the vocabulary; those of `mix`.
    pub(crate) fn walk(&self, batch: &Batch, mix: &mut MixLayer<'_, T>) -> Result<Vec<T>> {
        tape::walk(self, batch, mix)
    }

    /// The logits of rows of features as the last norm gives them: rows × vocab.
    pub(crate) fn logits(&self, hidden: &[T]) -> Result<Vec<T>> {
        let part = (self.head.clone(), self.head_bias.clone());
        let head = Linear::new(vec![part], crate::layer::linear::Orientation::OutIn)?;
        let mut logits = vec![T::ZERO; hidden.len() / self.shape.width * self.shape.vocab];
        head.forward(hidden, &mut logits)?;
        Ok(logits)
    }

    /// Empty caches, one a layer.
    pub(crate) fn caches(&self) -> Vec<Cache<T>> {
        self.blocks.iter().map(|_| Cache::default()).collect()
    }
}
