//! The LLaMA shape (arXiv 2302.13971, grouped queries from 2307.09288): rotary positions, RMSNorm before each part,
//! SwiGLU, no bias. Tensors are named as `LlamaForCausalLM` names them.

use super::{Block, Init, Shape, Source};
use crate::kernel::Real;
use crate::layer::activation::Activation;
use crate::layer::embedding::Embedding;
use crate::layer::linear::{Linear, Orientation};
use crate::layer::norm::Norm;
use crate::parameter::Shared;
use candle_core::Result;
use serde_json::{Value, json};

/// ε of RMSNorm.
const EPSILON: f64 = 1e-5;
/// Standard deviation of fresh matrices (GPT-2 and LLaMA's code).
pub(super) const DEVIATION: f64 = 0.02;

/// Embedding, blocks, last norm, head.
pub(crate) type Parts<T> = (Embedding<T>, Vec<Block<T>>, Norm<T>, Shared<T>);

pub(crate) fn parts<T: Real>(shape: &Shape, source: &mut Source<'_, T>) -> Result<Parts<T>> {
    let table = [shape.vocab, shape.width];
    let tokens = source.take("model.embed_tokens.weight", &table, Init::Normal(DEVIATION))?;
    let blocks = (0..shape.layers).map(|layer| block(shape, source, layer)).collect::<Result<_>>()?;
    let norm = norm(shape, source, "model.norm.weight")?;
    let head = if shape.tied_head {
        tokens.clone()
    } else {
        source.take("lm_head.weight", &table, Init::Normal(DEVIATION))?
    };
    Ok((Embedding { tokens, positions: None, languages: None }, blocks, norm, head))
}

fn norm<T: Real>(shape: &Shape, source: &mut Source<'_, T>, name: &str) -> Result<Norm<T>> {
    Ok(Norm::root_mean_square(source.take(name, &[shape.width], Init::Ones)?, EPSILON))
}

fn block<T: Real>(shape: &Shape, source: &mut Source<'_, T>, layer: usize) -> Result<Block<T>> {
    let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
    let (width, heads) = (shape.width, shape.heads);
    // What is added to the residual 2·layers times starts smaller (GPT-2).
    let onto = Init::Normal(DEVIATION / (2.0 * shape.layers as f64).sqrt());
    let mut linear = |parts: &[(&str, usize)], width_in: usize, init: Init| {
        let weights =
            parts.iter().map(|(part, out)| Ok((source.take(&name(part), &[*out, width_in], init)?, None)));
        Linear::new(weights.collect::<Result<_>>()?, Orientation::OutIn)
    };
    let (query, key) = (heads.queries * heads.width, heads.keys * heads.width);
    let fresh = Init::Normal(DEVIATION);
    let qkv = [("self_attn.q_proj", query), ("self_attn.k_proj", key), ("self_attn.v_proj", key)];
    let qkv = linear(&qkv, width, fresh)?;
    let out = linear(&[("self_attn.o_proj", width)], query, onto)?;
    let up = linear(&[("mlp.gate_proj", shape.ff_width), ("mlp.up_proj", shape.ff_width)], width, fresh)?;
    let down = linear(&[("mlp.down_proj", width)], shape.ff_width, onto)?;
    Ok(Block {
        attention_norm: norm(shape, source, &name("input_layernorm"))?,
        qkv,
        out,
        ff_norm: norm(shape, source, &name("post_attention_layernorm"))?,
        up,
        activation: Activation::SwiGlu,
        down,
    })
}

/// `config.json` as `transformers` reads it.
pub(crate) fn config_json(shape: &Shape) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.width,
        "intermediate_size": shape.ff_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads.queries,
        "num_key_value_heads": shape.heads.keys,
        "head_dim": shape.heads.width,
        "max_position_embeddings": shape.context,
        "vocab_size": shape.vocab,
        "rms_norm_eps": EPSILON,
        "rope_theta": shape.rope_base,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": shape.tied_head,
        "bos_token_id": shape.eos,
        "eos_token_id": shape.eos,
        "torch_dtype": "float32",
    })
}
