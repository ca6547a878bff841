//! Folders that other programs wrote: what a configuration leaves to its class, and tensors under older or further names.
//!
//! Only what this program computes exactly is read. A setting that it does not know is an error with its name: a model that opens and
//! says something else is worse than one that does not open.

use crate::architecture::Shape;
use crate::folder::Named;
use crate::parts::{Activation, Architecture};
use serde_json::{Value, json};

/// Fills in what a class of `transformers` takes where `config.json` says nothing, and puts old keys under their names of today.
///
/// # Errors
/// A setting whose meaning this program does not have.
pub(crate) fn complete(config: &mut Value) -> Result<(), String> {
    let kind = config["model_type"].as_str().unwrap_or_default().to_owned();
    refuse(config, &kind)?;
    let copy = |config: &mut Value, from: &str, to: &str| {
        if config[to].is_null() && !config[from].is_null() {
            config[to] = config[from].clone();
        }
    };
    let number = |config: &Value, key: &str| config[key].as_u64().unwrap_or_default();
    let default = |config: &mut Value, key: &str, value: Value| {
        if config[key].is_null() {
            config[key] = value;
        }
    };
    // A list holds what ends a turn besides; the first one ends a text.
    if let Some(first) = config["eos_token_id"].as_array().and_then(|ids| ids.first()).cloned() {
        config["eos_token_id"] = first;
    }
    match kind.as_str() {
        "llama" | "mistral" | "mixtral" => {
            copy(config, "num_attention_heads", "num_key_value_heads");
            default(config, "max_position_embeddings", json!(2048));
            if kind == "llama" && !config["sliding_window"].is_null() {
                config["sliding_window"] = Value::Null;
            }
        }
        "gpt2" => {
            let inner = number(config, "n_embd").saturating_mul(4);
            default(config, "n_inner", json!(inner));
            copy(config, "n_ctx", "n_positions");
        }
        "falcon" => {
            copy(config, "n_layer", "num_hidden_layers");
            copy(config, "n_head", "num_attention_heads");
            copy(config, "n_embed", "hidden_size");
            let inner = number(config, "hidden_size").saturating_mul(4);
            default(config, "ffn_hidden_size", json!(inner));
            default(config, "max_position_embeddings", json!(2048));
        }
        "bert" => {
            let pad = config["pad_token_id"].as_u64().unwrap_or(0);
            default(config, "eos_token_id", json!(pad));
            default(config, "type_vocab_size", json!(2));
        }
        _ => {}
    }
    Ok(())
}

/// Settings that change what is computed, each with the values under which it does not.
const PLAIN: [(&str, &[Value]); 13] = [
    ("quantization_config", &[]),
    ("scale_attn_weights", &[Value::Bool(true)]),
    ("scale_attn_by_inverse_layer_idx", &[Value::Bool(false)]),
    ("add_cross_attention", &[Value::Bool(false)]),
    ("is_decoder", &[Value::Bool(false)]),
    ("qk_layernorm", &[Value::Bool(false)]),
    ("use_qk_norm", &[Value::Bool(false)]),
    ("alibi", &[Value::Bool(false)]),
    ("rope_scaling", &[]),
    ("attn_logit_softcapping", &[]),
    ("final_logit_softcapping", &[]),
    ("embedding_size", &[]),
    ("partial_rotary_factor", &[]),
];

fn refuse(config: &Value, kind: &str) -> Result<(), String> {
    for (key, allowed) in PLAIN {
        let value = &config[key];
        if !value.is_null() && !allowed.contains(value) && kind != "gristmill" {
            return Err(format!(
                "`{key}` = {value} is not supported: this program computes a {kind} without it"
            ));
        }
    }
    let rope = &config["rope_parameters"];
    let partial = rope["partial_rotary_factor"].as_f64().unwrap_or(1.0);
    if rope["rope_type"].as_str().unwrap_or("default") != "default" || partial < 1.0 {
        return Err(format!(
            "`rope_parameters` = {rope} is not supported, only plain rotary positions (`default`)"
        ));
    }
    let absolute = config["position_embedding_type"].as_str().unwrap_or("absolute") == "absolute";
    if kind == "bert" && !absolute {
        return Err("`position_embedding_type` is not supported but for `absolute`".into());
    }
    let heads = ["num_attention_heads", "n_head"].iter().find_map(|key| config[*key].as_u64());
    let width = ["hidden_size", "n_embd"].iter().find_map(|key| config[*key].as_u64());
    if let (Some(head), Some(heads), Some(width)) = (config["head_dim"].as_u64(), heads, width)
        && head.checked_mul(heads) != Some(width)
    {
        return Err(format!(
            "`head_dim` = {head} is not supported: {heads} heads of a width of {width} have another"
        ));
    }
    let two_norms = config["num_ln_in_parallel_attn"].as_u64().unwrap_or(2) == 2;
    if kind == "falcon" && config["new_decoder_architecture"] == true && two_norms {
        return Err(
            "`num_ln_in_parallel_attn` = 2 is not supported: both parts of a block share one norm here"
                .into(),
        );
    }
    Ok(())
}

/// Sets what a configuration says otherwise than the preset of its architecture.
///
/// # Errors
/// An activation that this program does not have; biases on some matrices alone.
pub(crate) fn adjust(config: &Value, shape: &mut Shape) -> Result<(), String> {
    if config["model_type"] == "gristmill" {
        return Ok(());
    }
    let keys = ["hidden_act", "activation_function", "activation"];
    let named = keys.into_iter().find_map(|key| Some((key, config[key].as_str()?)));
    if let Some((key, name)) = named {
        let gated = shape.activation.is_gated();
        shape.activation = match (name, gated) {
            ("silu" | "swish", true) => Activation::SwiGlu,
            ("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast", true) => Activation::GeGlu,
            ("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast", false) => Activation::Gelu,
            ("gelu", false) => Activation::GeluExact,
            ("relu", false) => Activation::Relu,
            ("relu2", false) => Activation::Relu2,
            ("silu" | "swish", false) => Activation::Silu,
            _ => return Err(format!("`{key}` = \"{name}\" is not supported")),
        };
    }
    if shape.architecture == Architecture::Llama {
        let is = |key: &str| config[key].as_bool().unwrap_or(false);
        shape.biases = is("attention_bias");
        if is("attention_bias") != is("mlp_bias") {
            return Err(
                "`attention_bias` without `mlp_bias`, or the other way round, is not supported".into()
            );
        }
    }
    Ok(())
}

/// Tensors that hold no weights of ours: masks, tables that are computed, heads for other tasks.
const PASSED_OVER: [&str; 9] = [
    ".attn.bias",
    ".attn.masked_bias",
    ".rotary_emb.inv_freq",
    ".position_ids",
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
    "cls.predictions.decoder.bias",
];

/// Puts tensors under the names that a checkpoint of today has, and leaves out those that are no weights of the model.
pub(crate) fn rename(shape: &Shape, named: Named) -> Named {
    let names = shape.architecture.names();
    // A checkpoint of the model without its head has no prefix.
    let prefix = names.layers.split('.').next().unwrap_or_default();
    let bare = !named.keys().any(|name| name.starts_with(&format!("{prefix}.")));
    let outside = ["lm_head", "cls"].map(|head| format!("{head}."));
    let tied = shape.tied_head.then(|| format!("{}.weight", names.head));
    let mut made = Named::new();
    for (name, tensor) in named {
        let headed = outside.iter().any(|head| name.starts_with(head.as_str()));
        let name = if bare && !headed { format!("{prefix}.{name}") } else { name };
        let name = match name.strip_suffix(".gamma") {
            Some(start) => format!("{start}.weight"),
            None => name.strip_suffix(".beta").map_or(name.clone(), |start| format!("{start}.bias")),
        };
        let passed =
            PASSED_OVER.iter().any(|end| name.ends_with(end)) && !is_attention_bias(&name, &tensor.0);
        if !passed && Some(&name) != tied.as_ref() {
            made.insert(name, tensor);
        }
    }
    made
}

/// GPT-2's masks end like a bias but are no vectors.
fn is_attention_bias(name: &str, shape: &[usize]) -> bool {
    name.ends_with(".attn.bias") && shape.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: Value, expected: &str) {
        let error = complete(&mut config.clone()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_not_computed_here_is_named() {
        refused(json!({ "model_type": "llama", "rope_scaling": { "factor": 2 } }), "`rope_scaling`");
        refused(json!({ "model_type": "llama", "rope_parameters": { "rope_type": "yarn" } }), "yarn");
        refused(
            json!({ "model_type": "llama", "head_dim": 32, "num_attention_heads": 4, "hidden_size": 64 }),
            "`head_dim` = 32",
        );
        refused(json!({ "model_type": "falcon", "alibi": true }), "`alibi` = true");
        refused(
            json!({ "model_type": "falcon", "new_decoder_architecture": true }),
            "`num_ln_in_parallel_attn`",
        );
        refused(json!({ "model_type": "gpt2", "quantization_config": {} }), "`quantization_config`");
    }

    #[test]
    fn classes_fill_in_what_a_configuration_leaves_out() {
        let mut config = json!({ "model_type": "gpt2", "n_embd": 8, "n_inner": null, "n_ctx": 16 });
        complete(&mut config).unwrap();
        assert_eq!((&config["n_inner"], &config["n_positions"]), (&json!(32), &json!(16)));
        let mut config =
            json!({ "model_type": "llama", "num_attention_heads": 4, "eos_token_id": [7, 8, 9] });
        complete(&mut config).unwrap();
        assert_eq!((&config["num_key_value_heads"], &config["eos_token_id"]), (&json!(4), &json!(7)));
    }
}
