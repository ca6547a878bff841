//! One transformer whose parts are configuration; a file for each published shape of it.
//!
//! ```text
//! x = embedding(ids);   for each block:  x += out(attention(qkv(norm x)));  x += down(activation(up(norm x)))
//! ```
//! A shape file says which parts stand in the blocks and what a checkpoint calls their tensors, so that a model folder is read by
//! `transformers` as it is.

pub(crate) mod gpt;
pub(crate) mod llama;
mod plain;
mod source;
mod tape;

use llama::DEVIATION;

pub(crate) use source::{Init, Source, Tensors};
pub(crate) use tape::Tape;

use crate::batch::Batch;
use crate::config::Architecture;
use crate::kernel::Real;
use crate::layer::activation::Activation;
use crate::layer::attention::{Cache, Heads};
use crate::layer::dropout::Dropout;
use crate::layer::embedding::Embedding;
use crate::layer::linear::Linear;
use crate::layer::norm::Norm;
use crate::layer::rope::Rope;
use crate::objective::Program;
use crate::objective::cross_entropy::Terms;
use crate::parameter::Shared;
use candle_core::{Device, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everything that decides the tensors of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) architecture: Architecture,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) heads: Heads,
    pub(crate) ff_width: usize,
    pub(crate) vocab: usize,
    /// Longest context: tokens of a training sequence.
    pub(crate) context: usize,
    /// Whether the head is the embedding.
    pub(crate) tied_head: bool,
    /// Base of rotary positions.
    pub(crate) rope_base: f64,
    /// Token that ends a document.
    pub(crate) eos: u32,
    /// What it is trained to do.
    pub(crate) program: Program,
}

impl Shape {
    /// The shape for an objective: a row of the vocabulary for its mask token, a table for its languages.
    pub(crate) fn with(self, program: Program) -> Self {
        Self { vocab: program.model_vocab(), program, ..self }
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct Block<T> {
    pub(crate) attention_norm: Norm<T>,
    /// Queries, keys and values in one row.
    pub(crate) qkv: Linear<T>,
    pub(crate) out: Linear<T>,
    pub(crate) ff_norm: Norm<T>,
    pub(crate) up: Linear<T>,
    pub(crate) activation: Activation,
    pub(crate) down: Linear<T>,
}

impl<T> Block<T> {
    /// Every linear part, in the order of the forward pass.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear<T>> {
        [&self.qkv, &self.out, &self.up, &self.down].into_iter()
    }

    /// The same, to be adapted.
    pub(crate) fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear<T>> {
        [&mut self.qkv, &mut self.out, &mut self.up, &mut self.down].into_iter()
    }
}

/// A decoder-only transformer.
#[derive(Debug)]
pub(crate) struct Transformer<T> {
    pub(crate) shape: Shape,
    pub(crate) embedding: Embedding<T>,
    pub(crate) blocks: Vec<Block<T>>,
    pub(crate) norm: Norm<T>,
    /// vocab × width; the embedding itself when tied.
    pub(crate) head: Shared<T>,
    pub(crate) rope: Option<Rope<T>>,
    /// Every tensor once, in the order of the forward pass.
    pub(crate) parameters: Vec<Shared<T>>,
    pub(crate) device: Device,
    /// Blocks between two residuals that are kept for the backward pass; 0 keeps all that it reads.
    pub(crate) recompute: usize,
    /// What the training loss is besides the cross-entropy.
    pub(crate) terms: Terms,
    tape: Mutex<Tape<T>>,
}

impl<T: Real> Transformer<T> {
    /// Builds a model whose tensors come from `source`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub(crate) fn new(shape: Shape, mut source: Source<'_, T>) -> Result<Self> {
        let (mut embedding, blocks, norm, head) = match shape.architecture {
            Architecture::Llama => llama::parts(&shape, &mut source)?,
            Architecture::Gpt => gpt::parts(&shape, &mut source)?,
        };
        let rope = match shape.architecture {
            Architecture::Llama => Some(Rope::new(shape.heads.width, shape.context, shape.rope_base)),
            Architecture::Gpt => None,
        };
        if !shape.program.languages.is_empty() {
            let table = [shape.program.languages.len(), shape.width];
            // As `XLMModel` names it.
            embedding.languages =
                Some(source.take("lang_embeddings.weight", &table, Init::Normal(DEVIATION))?);
        }
        let (device, parameters) = source.finish();
        let tape = Mutex::default();
        let (recompute, terms) = (0, Terms::default());
        Ok(Self { shape, embedding, blocks, norm, head, rope, parameters, device, recompute, terms, tape })
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

    /// The tensors that have a row for each token or position: embeddings and the head.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Shared<T>> {
        std::iter::once(&self.embedding.tokens)
            .chain(&self.embedding.positions)
            .chain(std::iter::once(&self.head))
    }

    /// The memory that passes share.
    pub(crate) fn tape(&self) -> MutexGuard<'_, Tape<T>> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The summed loss of a batch, each target's times its weight and `scale`; gradients are added to the parameters.
    pub(crate) fn gradients(&self, batch: &Batch, scale: f64, dropout: Dropout) -> Result<f64> {
        if !self.device.is_cpu() {
            return plain::gradients(self, batch, scale, dropout);
        }
        let mut tape = self.tape();
        let loss = tape.forward(self, batch, scale, dropout)?;
        tape.backward(self, batch, dropout)?;
        Ok(loss)
    }

    /// The summed loss of a batch, without dropout.
    pub(crate) fn loss(&self, batch: &Batch) -> Result<f64> {
        if !self.device.is_cpu() {
            return Ok(plain::loss(self, batch, Dropout::NONE, Terms::default())?.to_scalar::<T>()?.to_f64());
        }
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
        if !self.device.is_cpu() {
            return plain::gradients_by(self, batch, dropout, loss);
        }
        let mut tape = self.tape();
        let loss = tape.forward_by(self, batch, dropout, loss)?;
        tape.backward(self, batch, dropout)?;
        Ok(loss)
    }

    /// Reads the last hidden states of a batch (tokens × width), without dropout.
    pub(crate) fn read_hidden<R>(&self, batch: &Batch, read: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
        if !self.device.is_cpu() {
            return read(&plain::hidden_numbers(self, batch)?);
        }
        self.tape().read_hidden(self, batch, read)
    }

    /// Another model of the same tensors: what is trained in one is trained in the other, adapters that either is given later are its own.
    pub(crate) fn share(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            embedding: self.embedding.clone(),
            blocks: self.blocks.clone(),
            norm: self.norm.clone(),
            head: self.head.clone(),
            rope: self.rope.clone(),
            parameters: self.parameters.clone(),
            device: self.device.clone(),
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
        if !self.device.is_cpu() {
            return plain::target_losses(self, batch);
        }
        self.tape().target_losses(self, batch)
    }

    /// The logits that follow `ids`, which continue what the caches have seen.
    pub(crate) fn next_logits(&self, ids: &[u32], caches: &mut [Cache<T>], seen: usize) -> Result<Vec<T>> {
        let batch = Batch::piece(ids, seen);
        let zeros = |width: usize| vec![T::ZERO; ids.len() * width];
        let (width, ff_width) = (self.shape.width, self.shape.ff_width);
        let (mut x, mut norm) = (zeros(width), zeros(width));
        let (mut qkv, mut up, mut inner) =
            (zeros(self.shape.heads.row()), zeros(self.blocks[0].up.width_out()), zeros(ff_width));
        self.embedding.forward(&batch, &mut x)?;
        for (block, cache) in self.blocks.iter().zip(caches) {
            block.attention_norm.forward(&x, &mut norm)?;
            block.qkv.forward(&norm, &mut qkv)?;
            let mixed = cache.attend(&qkv, self.shape.heads, self.rope.as_ref());
            block.out.forward_onto(&mixed, &mut x)?;
            block.ff_norm.forward(&x, &mut norm)?;
            block.up.forward(&norm, &mut up)?;
            block.activation.forward(ff_width, &up, &mut inner);
            block.down.forward_onto(&inner, &mut x)?;
        }
        let mut last = vec![T::ZERO; width];
        self.norm.forward(&x[x.len() - width..], &mut last)?;
        let head =
            Linear::new(vec![(Arc::clone(&self.head), None)], crate::layer::linear::Orientation::OutIn)?;
        let mut logits = vec![T::ZERO; self.shape.vocab];
        head.forward(&last, &mut logits)?;
        Ok(logits)
    }

    /// Empty caches, one a layer.
    pub(crate) fn caches(&self) -> Vec<Cache<T>> {
        self.blocks.iter().map(|_| Cache::default()).collect()
    }
}
