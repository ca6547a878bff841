//! The GPT-2 and GPT-3 shape (arXiv 2005.14165): learned positions, LayerNorm before each part, GELU, biases.
//! Tensors are named as `GPT2LMHeadModel` names them, whose matrices lie `[in, out]`.

use super::llama::{DEVIATION, Parts};
use super::{Block, Init, Shape, Source};
use crate::kernel::Real;
use crate::layer::activation::Activation;
use crate::layer::embedding::Embedding;
use crate::layer::linear::{Linear, Orientation};
use crate::layer::norm::Norm;
use candle_core::Result;
use serde_json::{Value, json};

/// ε of LayerNorm.
const EPSILON: f64 = 1e-5;

pub(crate) fn parts<T: Real>(shape: &Shape, source: &mut Source<'_, T>) -> Result<Parts<T>> {
    let table = [shape.vocab, shape.width];
    let fresh = Init::Normal(DEVIATION);
    let tokens = source.take("transformer.wte.weight", &table, fresh)?;
    let positions = source.take("transformer.wpe.weight", &[shape.context, shape.width], fresh)?;
    let blocks = (0..shape.layers).map(|layer| block(shape, source, layer)).collect::<Result<_>>()?;
    let norm = norm(shape, source, "transformer.ln_f")?;
    let head = if shape.tied_head { tokens.clone() } else { source.take("lm_head.weight", &table, fresh)? };
    Ok((Embedding { tokens, positions: Some(positions), languages: None }, blocks, norm, head))
}

fn norm<T: Real>(shape: &Shape, source: &mut Source<'_, T>, name: &str) -> Result<Norm<T>> {
    let gain = source.take(&format!("{name}.weight"), &[shape.width], Init::Ones)?;
    let bias = source.take(&format!("{name}.bias"), &[shape.width], Init::Zeros)?;
    Ok(Norm::layer(gain, bias, EPSILON))
}

fn block<T: Real>(shape: &Shape, source: &mut Source<'_, T>, layer: usize) -> Result<Block<T>> {
    let name = |part: &str| format!("transformer.h.{layer}.{part}");
    let mut linear = |part: &str, width_in: usize, width_out: usize, init: Init| {
        let weight = source.take(&name(&format!("{part}.weight")), &[width_in, width_out], init)?;
        let bias = source.take(&name(&format!("{part}.bias")), &[width_out], Init::Zeros)?;
        Linear::new(vec![(weight, Some(bias))], Orientation::InOut)
    };
    let (width, ff_width) = (shape.width, shape.ff_width);
    let fresh = Init::Normal(DEVIATION);
    // What is added to the residual 2·layers times starts smaller (GPT-2).
    let onto = Init::Normal(DEVIATION / (2.0 * shape.layers as f64).sqrt());
    let qkv = linear("attn.c_attn", width, shape.heads.row(), fresh)?;
    let out = linear("attn.c_proj", shape.heads.queries * shape.heads.width, width, onto)?;
    let up = linear("mlp.c_fc", width, ff_width, fresh)?;
    let down = linear("mlp.c_proj", ff_width, width, onto)?;
    Ok(Block {
        attention_norm: norm(shape, source, &name("ln_1"))?,
        qkv,
        out,
        ff_norm: norm(shape, source, &name("ln_2"))?,
        up,
        activation: Activation::Gelu,
        down,
    })
}

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
        "layer_norm_epsilon": EPSILON,
        "activation_function": "gelu_new",
        "tie_word_embeddings": shape.tied_head,
        "bos_token_id": shape.eos,
        "eos_token_id": shape.eos,
        "torch_dtype": "float32",
    })
}
