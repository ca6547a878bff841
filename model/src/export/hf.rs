//! A folder that `transformers` loads: configuration, weights, tokenizer, settings of generation.
//!
//! A composition that a published model has carries that model's names and layouts from the start, so its tensors are written as they
//! are; any other is refused with the settings that stand in the way, for a model that loads and computes something else is worse than none.

use super::precision::Precision;
use crate::architecture::{Shape, json};
use crate::config::Objective;
use crate::error::TrainError;
use crate::folder::{self, Named};
use crate::objective::TOLD;
use crate::parts::{Architecture, Mixer, name_of};
use safetensors::tensor::TensorView;
use schemas::ConfigValue;
use schemas::manifest;
use serde_json::{Value, json};
use std::path::Path;

/// Bytes of tensors in one file at most, as `transformers` cuts them.
const SHARD_BYTES_MAX: usize = 5 << 30;
/// File name of the settings of generation.
const GENERATION: &str = "generation_config.json";
/// A chat template outside of `tokenizer_config.json`, as `transformers` 5 writes it.
pub(super) const TEMPLATE: &str = "chat_template.jinja";

/// The class of `transformers` that computes the same.
///
/// # Errors
/// Settings that no class has, each with its value and what the class would have.
pub(super) fn class(shape: &Shape) -> Result<String, TrainError> {
    let objective = shape.program.objective;
    let fits = match shape.architecture {
        Architecture::Bert => matches!(objective, Objective::Masked | Objective::Causal),
        _ => objective == Objective::Causal,
    };
    if !fits {
        let message = format!(
            "a model of the objective {} sees more than the class of `{}` in `transformers` lets it see, which would compute \
             something else",
            objective.show(),
            name_of(&shape.architecture)
        );
        return Err(TrainError::Config { message });
    }
    let config = json::config_json(shape);
    if let Some(class) = config["architectures"][0].as_str().filter(|_| json::is_published(shape)) {
        return Ok(class.to_owned());
    }
    let message = format!(
        "no model of `transformers` computes what this one does: {}; `gristmill generate` and `eval` run it as it is",
        obstacles(shape).join(", ")
    );
    Err(TrainError::Config { message })
}

/// The settings in which a shape is not the published one of its architecture.
fn obstacles(shape: &Shape) -> Vec<String> {
    let preset = shape.architecture.preset();
    let mut found = Vec::new();
    let mut told = |key: &str, is: String, expected: String| {
        if is != expected {
            found.push(format!("`{key}` = {is} (`{}` has {expected})", name_of(&shape.architecture)));
        }
    };
    told("positions", shape.positions.show(), preset.positions.show());
    told("norm", shape.norm.show(), preset.norm.show());
    told("norm_place", shape.norm_place.show(), preset.norm_place.show());
    told("embedding_norm", shape.embedding_norm.to_string(), preset.embedding_norm.to_string());
    told("activation", shape.activation.show(), preset.activation.show());
    told("parallel", shape.parallel.to_string(), preset.parallel.to_string());
    told("biases", shape.biases.to_string(), preset.biases.to_string());
    let mixers: String = shape.mixers.iter().map(|mixer| mixer.letter()).collect();
    told("mixers", mixers.clone(), Mixer::Attention.letter().to_string().repeat(mixers.len()));
    if (shape.segments > 0) != (preset.segments > 0) {
        told("segments", shape.segments.to_string(), preset.segments.to_string());
    }
    let optional = |n: Option<usize>| n.map_or("unset".to_owned(), |n| n.to_string());
    if shape.architecture != Architecture::Llama {
        told("window", optional(shape.window), "unset".into());
        told("experts", optional(shape.experts.map(|experts| experts.count)), "unset".into());
    } else if let Some(experts) = shape.experts {
        told("experts_active", experts.active.to_string(), experts.active.max(2).to_string());
    }
    if matches!(shape.architecture, Architecture::Gpt | Architecture::Bert) {
        told("kv_heads", shape.heads.keys.to_string(), shape.heads.queries.to_string());
    }
    if shape.architecture == Architecture::Bert {
        told("tied_head", shape.tied_head.to_string(), "true".into());
    }
    told("languages", shape.program.languages.len().to_string(), "0".into());
    found
}

/// The content of `config.json` in the words of `transformers` 5; version 4 finds its own beside them.
fn config(shape: &Shape, precision: Precision) -> Value {
    let mut config = json::config_json(shape);
    if let Some(theta) = config.get("rope_theta").cloned() {
        config["rope_parameters"] = json!({ "rope_theta": theta, "rope_type": "default" });
    }
    if let Some(told) = shape.program.told() {
        config[TOLD] = told;
    }
    config["dtype"] = precision.name().into();
    config["torch_dtype"] = precision.name().into();
    config["use_cache"] = (shape.architecture != Architecture::Bert).into();
    config
}

/// Writes all files but the card.
///
/// # Errors
/// A tensor that `precision` cannot hold, a file that cannot be read or written.
pub(super) fn write(
    shape: &Shape,
    tensors: &Named,
    precision: Precision,
    source: &Path,
    out: &Path,
) -> Result<(), TrainError> {
    folder::write(&out.join(folder::CONFIG), &folder::json_bytes(&config(shape, precision)))?;
    write_tensors(tensors, precision, SHARD_BYTES_MAX, out)?;
    if shape.architecture != Architecture::Bert {
        let eos = shape.eos;
        let generation = json!({ "bos_token_id": eos, "eos_token_id": eos, "pad_token_id": eos });
        folder::write(&out.join(GENERATION), &folder::json_bytes(&generation))?;
    }
    let copy = |name: &str| {
        let path = source.join(name);
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        folder::write(&out.join(name), &bytes)
    };
    copy(manifest::TOKENIZER)?;
    if source.join(TEMPLATE).is_file() {
        copy(TEMPLATE)?;
    }
    let told = tokenizer_config(source, shape)?;
    folder::write(&out.join(manifest::TOKENIZER_CONFIG), &folder::json_bytes(&told))
}

/// What stands beside the tokenizer, with the context; made anew where the folder has none.
fn tokenizer_config(source: &Path, shape: &Shape) -> Result<Value, TrainError> {
    let path = source.join(manifest::TOKENIZER_CONFIG);
    let mut told: Value = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(TrainError::file(&path))?,
        Err(_) => {
            let path = source.join(manifest::TOKENIZER);
            let tokenizer = tokenizers::Tokenizer::from_file(&path).map_err(TrainError::file(&path))?;
            let eos = tokenizer.id_to_token(shape.eos);
            json!({
                "bos_token": eos, "clean_up_tokenization_spaces": false, "eos_token": eos,
                "tokenizer_class": "PreTrainedTokenizerFast",
            })
        }
    };
    told["model_max_length"] = shape.context.into();
    Ok(told)
}

/// Writes tensors to one file, or to several with an index where they are large.
pub(crate) fn write_tensors(
    tensors: &Named,
    precision: Precision,
    bytes_max: usize,
    out: &Path,
) -> Result<(), TrainError> {
    let size = |numbers: &[f32]| numbers.len() * precision.dtype().bitsize() / 8;
    let mut shards: Vec<Vec<&String>> = vec![Vec::new()];
    let mut filled = 0;
    for (name, (_, numbers)) in tensors {
        if filled > 0 && filled + size(numbers) > bytes_max {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += size(numbers);
        shards.last_mut().expect("there is a first shard").push(name);
    }
    if let [names] = shards.as_slice() {
        return write_shard(tensors, names, precision, &out.join(folder::TENSORS));
    }
    let (count, mut weights) = (shards.len(), serde_json::Map::new());
    for (at, names) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", at + 1);
        write_shard(tensors, names, precision, &out.join(&file))?;
        weights.extend(names.iter().map(|name| ((*name).clone(), Value::from(file.clone()))));
    }
    let total: usize = tensors.values().map(|(_, numbers)| size(numbers)).sum();
    let index = json!({ "metadata": { "total_size": total }, "weight_map": weights });
    folder::write(&out.join(folder::INDEX), &folder::json_bytes(&index))
}

fn write_shard(
    tensors: &Named,
    names: &[&String],
    precision: Precision,
    path: &Path,
) -> Result<(), TrainError> {
    let raw = names.iter().map(|name| {
        let (shape, numbers) = &tensors[*name];
        let bytes = precision.encode(numbers).map_err(|error| format!("tensor `{name}`: {error}"))?;
        Ok((name.as_str(), shape.clone(), bytes))
    });
    let raw = raw.collect::<Result<Vec<_>, String>>().map_err(|message| TrainError::Config { message })?;
    let views = raw.iter().map(|(name, shape, bytes)| {
        TensorView::new(precision.dtype(), shape.clone(), bytes).map(|view| (*name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(candle_core::Error::wrap)?;
    // `transformers` asks for the entry.
    let format = std::iter::once(("format".to_owned(), "pt".to_owned())).collect();
    let bytes = safetensors::serialize(views, Some(format)).map_err(candle_core::Error::wrap)?;
    folder::write(path, &bytes)
}
