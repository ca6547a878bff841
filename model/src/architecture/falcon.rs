//! The Falcon shape (arXiv 2311.16867): rotary positions, one LayerNorm before attention and feed-forward part side by side,
//! GELU, no biases, one key head for all queries or a few groups. Tensors are named as `FalconForCausalLM` names them; its
//! matrix of queries, keys and values holds them group by group.

use super::names::{EXPERT, Names};
use super::shape::{Preset, Shape};
use crate::layer::attention::HeadLayout;
use crate::layer::linear::Orientation;
use crate::parts::{Activation, NormKind, NormPlace, Positions};
use serde_json::{Value, json};

/// Defaults of the architecture.
pub(crate) const PRESET: Preset = Preset {
    positions: Positions::Rotary,
    norm: NormKind::Layer,
    norm_place: NormPlace::Before,
    epsilon: 1e-5,
    embedding_norm: false,
    segments: 0,
    activation: Activation::GeluExact,
    parallel: true,
    biases: false,
    head_transform: false,
    multi_query: true,
    head_layout: HeadLayout::Grouped,
};

/// Names of `FalconForCausalLM`.
pub(crate) const NAMES: Names = Names {
    orientation: Orientation::OutIn,
    tokens: "transformer.word_embeddings",
    positions: "transformer.position_embeddings",
    segments: "transformer.segment_embeddings",
    embedding_norm: "transformer.word_embeddings_layernorm",
    layers: "transformer.h",
    attention_norm: "input_layernorm",
    qkv: &["self_attention.query_key_value"],
    out: "self_attention.dense",
    ff_norm: "post_attention_layernorm",
    gate: "mlp.dense_h_to_gate",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
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
    let heads = shape.heads;
    // The layout before `new_decoder_architecture` knows one key head or as many as queries; in both it is that of groups.
    let grouped = heads.keys > 1 && heads.keys < heads.queries;
    let mut config = json!({
        "architectures": ["FalconForCausalLM"],
        "model_type": "falcon",
        "hidden_size": shape.width,
        "ffn_hidden_size": shape.ff_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": heads.queries,
        "num_kv_heads": heads.keys,
        "multi_query": heads.keys == 1,
        "new_decoder_architecture": grouped,
        "parallel_attn": shape.parallel,
        "alibi": false,
        "bias": shape.biases,
        "activation": "gelu",
        "layer_norm_epsilon": shape.epsilon,
        "max_position_embeddings": shape.context,
        "vocab_size": shape.vocab,
        "rope_theta": shape.rope_base,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "tie_word_embeddings": shape.tied_head,
        "bos_token_id": shape.eos,
        "eos_token_id": shape.eos,
        "torch_dtype": "float32",
    });
    if grouped {
        config["num_ln_in_parallel_attn"] = json!(1);
    }
    config
}

/// Whether a model of `transformers` computes the same as this shape.
pub(crate) fn is_published(shape: &Shape) -> bool {
    shape.window.is_none() && shape.experts.is_none()
}
