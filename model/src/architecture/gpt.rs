//! The GPT-2 and GPT-3 shape (arXiv 2005.14165): learned positions, LayerNorm before each part, GELU, biases.
//! Tensors are named as `GPT2LMHeadModel` names them, whose matrices lie `[in, out]`.

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
    norm_place: NormPlace::Before,
    epsilon: 1e-5,
    embedding_norm: false,
    segments: 0,
    activation: Activation::Gelu,
    parallel: false,
    biases: true,
    head_transform: false,
    multi_query: false,
    head_layout: HeadLayout::Split,
};

/// Names of `GPT2LMHeadModel`.
pub(crate) const NAMES: Names = Names {
    orientation: Orientation::InOut,
    tokens: "transformer.wte",
    positions: "transformer.wpe",
    segments: "transformer.wse",
    embedding_norm: "transformer.ln_e",
    layers: "transformer.h",
    attention_norm: "ln_1",
    qkv: &["attn.c_attn"],
    out: "attn.c_proj",
    ff_norm: "ln_2",
    gate: "mlp.c_gate",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    router: "moe.gate",
    experts: "moe.experts",
    expert: EXPERT,
    recurrence: "recurrence",
    norm: "transformer.ln_f",
    transform: ["lm_head_transform.dense", "lm_head_transform.norm"],
    head: "lm_head",
    head_bias: "lm_head.bias",
};

/// `config.json` as `transformers` reads it.
pub(crate) fn config_json(shape: &Shape) -> Value {
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": shape.width,
        "n_inner": shape.ff_width,
        "n_layer": shape.layers,
        "n_head": shape.heads.queries,
        "n_positions": shape.context,
        "vocab_size": shape.vocab,
        "layer_norm_epsilon": shape.epsilon,
        "activation_function": "gelu_new",
        "tie_word_embeddings": shape.tied_head,
        "bos_token_id": shape.eos,
        "eos_token_id": shape.eos,
        "torch_dtype": "float32",
    })
}

/// Whether a model of `transformers` computes the same as this shape.
pub(crate) fn is_published(shape: &Shape) -> bool {
    shape.heads.keys == shape.heads.queries && shape.window.is_none() && shape.experts.is_none()
}
