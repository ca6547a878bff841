//! The BERT shape (arXiv 1810.04805): learned positions and token types, a LayerNorm behind the embedding and behind each part,
//! GELU, biases, a head with a transform. Tensors are named as `BertForMaskedLM` names them. Which tokens see which is
//! the objective's to say.

use super::names::{EXPERT, Names};
use super::shape::{Preset, Shape};
use crate::layer::attention::HeadLayout;
use crate::layer::linear::Orientation;
use crate::parts::{Activation, NormKind, NormPlace, Positions};
use serde_json::{Value, json};

/// Defaults of the architecture.
pub(crate) const PRESET: Preset = Preset {
    positions: Positions::Learned,
    norm: NormKind::Layer,
    norm_place: NormPlace::After,
    epsilon: 1e-12,
    embedding_norm: true,
    segments: 2,
    activation: Activation::GeluExact,
    parallel: false,
    biases: true,
    head_transform: true,
    multi_query: false,
    head_layout: HeadLayout::Split,
};

/// Names of `BertForMaskedLM`.
pub(crate) const NAMES: Names = Names {
    orientation: Orientation::OutIn,
    tokens: "bert.embeddings.word_embeddings",
    positions: "bert.embeddings.position_embeddings",
    segments: "bert.embeddings.token_type_embeddings",
    embedding_norm: "bert.embeddings.LayerNorm",
    layers: "bert.encoder.layer",
    attention_norm: "attention.output.LayerNorm",
    qkv: &["attention.self.query", "attention.self.key", "attention.self.value"],
    out: "attention.output.dense",
    ff_norm: "output.LayerNorm",
    gate: "intermediate.gate",
    up: "intermediate.dense",
    down: "output.dense",
    router: "moe.gate",
    experts: "moe.experts",
    expert: EXPERT,
    recurrence: "recurrence",
    norm: "bert.encoder.LayerNorm",
    transform: ["cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"],
    head: "cls.predictions.decoder",
    head_bias: "cls.predictions.bias",
};

/// `config.json` as `transformers` reads it.
pub(crate) fn config_json(shape: &Shape) -> Value {
    json!({
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "hidden_size": shape.width,
        "intermediate_size": shape.ff_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads.queries,
        "max_position_embeddings": shape.context,
        "type_vocab_size": shape.segments,
        "vocab_size": shape.vocab,
        "layer_norm_eps": shape.epsilon,
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "tie_word_embeddings": shape.tied_head,
        // `transformers` would teach that token nothing.
        "pad_token_id": null,
        "bos_token_id": shape.eos,
        "eos_token_id": shape.eos,
        "torch_dtype": "float32",
    })
}

/// Whether a model of `transformers` computes the same as this shape.
pub(crate) fn is_published(shape: &Shape) -> bool {
    // Its decoder is the embedding; an untied one would bring a second bias.
    shape.tied_head
        && shape.segments > 0
        && shape.heads.keys == shape.heads.queries
        && shape.window.is_none()
        && shape.experts.is_none()
}
