//! What checkpoints call the tensors of a transformer, and how their matrices lie.
//!
//! A name of a layer's part stands behind `{layers}.{index}.`. Parts that a published model does not have are named in its manner.

use crate::layer::linear::Orientation;

/// Names of tensors; `.weight` and `.bias` follow.
#[derive(Debug)]
pub(crate) struct Names {
    /// How matrices lie.
    pub(crate) orientation: Orientation,
    pub(crate) tokens: &'static str,
    pub(crate) positions: &'static str,
    pub(crate) segments: &'static str,
    pub(crate) embedding_norm: &'static str,
    /// What stands before the number of a layer.
    pub(crate) layers: &'static str,
    /// Norm of the attention, or of both parts where they stand side by side.
    pub(crate) attention_norm: &'static str,
    /// Queries, keys and values: one matrix or three.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) out: &'static str,
    pub(crate) ff_norm: &'static str,
    /// First matrix of a feed-forward part that gates.
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) router: &'static str,
    /// What stands before the number of an expert, and its gate, up and down.
    pub(crate) experts: &'static str,
    pub(crate) expert: [&'static str; 3],
    /// What stands before the parts of a recurrence.
    pub(crate) recurrence: &'static str,
    /// Norm behind the last block.
    pub(crate) norm: &'static str,
    /// Matrix and norm of a head with a transform.
    pub(crate) transform: [&'static str; 2],
    /// Matrix over the vocabulary, where it is not the embedding.
    pub(crate) head: &'static str,
    /// Whole name of the bias over the vocabulary.
    pub(crate) head_bias: &'static str,
}

/// Names of Mixtral's experts (arXiv 2401.04088), which other models take where they have none of their own.
pub(crate) const EXPERT: [&str; 3] = ["w1", "w3", "w2"];
