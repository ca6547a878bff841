//! The LLaMA shape (arXiv 2302.13971, grouped queries from 2307.09288): rotary positions, RMSNorm before each part,
//! SwiGLU, no bias. Tensors are named as `LlamaForCausalLM` names them; with a sliding window the model is a Mistral
//! (arXiv 2310.06825), with experts a Mixtral (arXiv 2401.04088), whose names are the same.

use super::names::{EXPERT, Names};
use super::shape::{ExpertShape, Preset, Shape};
use crate::layer::attention::HeadLayout;
use crate::layer::linear::Orientation;
use crate::parts::{Activation, NormKind, NormPlace, Positions};
use serde_json::{Value, json};

/// Defaults of the architecture.
pub(crate) const PRESET: Preset = Preset {
    positions: Positions::Rotary,
    norm: NormKind::Rms,
    norm_place: NormPlace::Before,
    epsilon: 1e-5,
    embedding_norm: false,
    segments: 0,
    activation: Activation::SwiGlu,
    parallel: false,
    biases: false,
    head_transform: false,
    multi_query: false,
    head_layout: HeadLayout::Split,
};

/// Names of `LlamaForCausalLM`.
pub(crate) const NAMES: Names = Names {
    orientation: Orientation::OutIn,
    tokens: "model.embed_tokens",
    positions: "model.embed_positions",
    segments: "model.embed_segments",
    embedding_norm: "model.embed_norm",
    layers: "model.layers",
    attention_norm: "input_layernorm",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    out: "self_attn.o_proj",
    ff_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    router: "block_sparse_moe.gate",
    experts: "block_sparse_moe.experts",
    expert: EXPERT,
    recurrence: "recurrence",
    norm: "model.norm",
    transform: ["lm_head_transform.dense", "lm_head_transform.norm"],
    head: "lm_head",
    head_bias: "lm_head.bias",
};

/// `config.json` as `transformers` reads it.
pub(crate) fn config_json(shape: &Shape) -> Value {
    let (class, model_type) = match (&shape.experts, shape.window) {
        (Some(_), _) => ("MixtralForCausalLM", "mixtral"),
        (None, Some(_)) => ("MistralForCausalLM", "mistral"),
        (None, None) => ("LlamaForCausalLM", "llama"),
    };
    let mut config = json!({
        "architectures": [class],
        "model_type": model_type,
        "hidden_size": shape.width,
        "intermediate_size": shape.ff_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads.queries,
        "num_key_value_heads": shape.heads.keys,
        "head_dim": shape.heads.width,
        "max_position_embeddings": shape.context,
        "vocab_size": shape.vocab,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.rope_base,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": shape.tied_head,
        "bos_token_id": shape.eos,
        "eos_token_id": shape.eos,
        "torch_dtype": "float32",
    });
    if model_type != "llama" {
        config["sliding_window"] = json!(shape.window);
    }
    if let Some(ExpertShape { count, active, balance, .. }) = shape.experts {
        config["num_local_experts"] = json!(count);
        config["num_experts_per_tok"] = json!(active);
        config["router_aux_loss_coef"] = json!(balance);
    }
    config
}

/// Whether a model of `transformers` computes the same as this shape.
pub(crate) fn is_published(shape: &Shape) -> bool {
    // A Mixtral divides by the sum of the chosen probabilities, which leaves one expert alone without a weight.
    shape.experts.is_none_or(|experts| experts.active > 1)
}
