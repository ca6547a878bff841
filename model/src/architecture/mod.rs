//! One transformer whose parts are configuration; a file for each published shape of it.
//!
//! ```text
//! x = embedding(ids);   for each block:  x += out(attention(qkv(norm x)));  x += down(activation(up(norm x)))
//! ```
//! A shape file says which parts stand in the blocks and what a checkpoint calls their tensors, so that a model folder is read by
//! `transformers` as it is.

pub(crate) mod gpt;
pub(crate) mod llama;
mod source;

pub(crate) use source::{Init, Source};

use crate::batch::Batch;
use crate::config::Architecture;
use crate::kernel::Real;
use crate::layer::activation::Activation;
use crate::layer::attention::{Attention, Cache, Heads};
use crate::layer::dropout::Dropout;
use crate::layer::embedding::Embedding;
use crate::layer::linear::Linear;
use crate::layer::norm::Norm;
use crate::layer::rope::Rope;
use crate::objective::causal::CrossEntropy;
use crate::parameter::Shared;
use candle_core::{Device, Result, Tensor, Var};
use std::sync::Arc;

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
}

/// One layer.
#[derive(Debug)]
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

/// A decoder-only transformer.
#[derive(Debug)]
pub(crate) struct Transformer<T> {
    pub(crate) shape: Shape,
    pub(crate) embedding: Embedding<T>,
    pub(crate) blocks: Vec<Block<T>>,
    pub(crate) norm: Norm<T>,
    /// vocab × width; the embedding itself when tied.
    pub(crate) head: Shared<T>,
    pub(crate) rope: Option<Arc<Rope<T>>>,
    /// Every tensor once, in the order of the forward pass.
    pub(crate) parameters: Vec<Shared<T>>,
    root: Var,
}

impl<T: Real> Transformer<T> {
    /// Builds a model whose tensors come from `source`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub(crate) fn new(shape: Shape, mut source: Source<'_, T>, device: &Device) -> Result<Self> {
        let (embedding, blocks, norm, head) = match shape.architecture {
            Architecture::Llama => llama::parts(&shape, &mut source)?,
            Architecture::Gpt => gpt::parts(&shape, &mut source)?,
        };
        let rope = match shape.architecture {
            Architecture::Llama => {
                Some(Arc::new(Rope::new(shape.heads.width, shape.context, shape.rope_base)))
            }
            Architecture::Gpt => None,
        };
        let root = Var::from_tensor(&Tensor::zeros(1, T::DTYPE, device)?)?;
        Ok(Self { shape, embedding, blocks, norm, head, rope, parameters: source.finish(), root })
    }

    /// How many numbers learn.
    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.value().elem_count()).sum()
    }

    /// The summed loss of a batch times `scale`, on the tape.
    pub(crate) fn training_loss(&self, batch: &Arc<Batch>, scale: f64, dropout: Dropout) -> Result<Tensor> {
        let h = self.hidden(batch, self.root.as_tensor(), dropout)?;
        CrossEntropy::new(&self.head, batch, scale, true).forward(&h)
    }

    /// The summed loss of a batch, without dropout and without a tape.
    pub(crate) fn loss(&self, batch: &Arc<Batch>) -> Result<f64> {
        let none = Dropout { probability: 0.0, seed: 0 };
        let h = self.hidden(batch, &self.root.as_detached_tensor(), none)?;
        let loss = CrossEntropy::new(&self.head, batch, 1.0, false).forward(&h)?;
        Ok(loss.to_scalar::<T>()?.to_f64())
    }

    fn hidden(&self, batch: &Arc<Batch>, root: &Tensor, dropout: Dropout) -> Result<Tensor> {
        let mut x = dropout.forward::<T>(&self.embedding.forward(batch, root)?, 0)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let (heads, rope) = (self.shape.heads, self.rope.clone());
            let attention = Attention { heads, rope, batch: Arc::clone(batch) };
            x = block.forward(&x, dropout, 2 * index as u64 + 1, |qkv| attention.forward(qkv))?;
        }
        self.norm.forward(&x)
    }

    /// The logits that follow `ids`, which continue what the caches have seen.
    pub(crate) fn next_logits(&self, ids: &[u32], caches: &mut [Cache<T>], seen: usize) -> Result<Vec<T>> {
        let batch = Arc::new(Batch::piece(ids, seen));
        let none = Dropout { probability: 0.0, seed: 0 };
        let mut x = self.embedding.forward(&batch, &self.root.as_detached_tensor())?;
        for (block, cache) in self.blocks.iter().zip(caches) {
            x = block.forward(&x, none, 0, |qkv| {
                let (storage, layout) = qkv.storage_and_layout();
                let qkv = crate::parameter::slice(&storage, layout)?;
                let out = cache.attend(qkv, self.shape.heads, self.rope.as_deref());
                Tensor::from_vec(
                    out,
                    (ids.len(), self.shape.heads.queries * self.shape.heads.width),
                    x.device(),
                )
            })?;
        }
        let last = self.norm.forward(&x.narrow(0, ids.len() - 1, 1)?)?;
        let head =
            Linear::new(vec![(Arc::clone(&self.head), None)], crate::layer::linear::Orientation::OutIn)?;
        head.forward(&last)?.flatten_all()?.to_vec1::<T>()
    }

    /// Empty caches, one a layer.
    pub(crate) fn caches(&self) -> Vec<Cache<T>> {
        self.blocks.iter().map(|_| Cache::default()).collect()
    }
}

impl<T: Real> Block<T> {
    fn forward(
        &self,
        x: &Tensor,
        dropout: Dropout,
        site: u64,
        attention: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mixed = attention(&self.qkv.forward(&self.attention_norm.forward(x)?)?)?;
        let x = onto(&self.out, &mixed, x, dropout, site)?;
        let inner = self.activation.forward::<T>(&self.up.forward(&self.ff_norm.forward(&x)?)?)?;
        onto(&self.down, &inner, &x, dropout, site + 1)
    }
}

/// The residual plus the dropped-out output of a layer, in one operation where nothing is dropped.
fn onto<T: Real>(
    layer: &Linear<T>,
    x: &Tensor,
    residual: &Tensor,
    dropout: Dropout,
    site: u64,
) -> Result<Tensor> {
    if dropout.probability == 0.0 {
        return layer.forward_onto(x, residual);
    }
    residual.add(&dropout.forward::<T>(&layer.forward(x)?, site)?)
}
