//! `config.json` of a model folder.
//!
//! A composition that a model of `transformers` has is written as `transformers` reads it. Any other is written whole under the
//! model type `gristmill`, by the names of the settings.

use super::shape::{ExpertShape, Preset, Shape};
use super::{bert, falcon, gpt, llama};
use crate::config::Objective;
use crate::layer::attention::Heads;
use crate::objective::{self, Program};
use crate::parts::{Architecture, InitScheme, Mixer, by_name, name_of};
use schemas::ConfigValue;
use serde_json::{Value, json};

/// Model type of a composition that `transformers` does not have.
const OWN: &str = "gristmill";

/// Whether `transformers` has a model that computes the same.
pub(crate) fn is_published(shape: &Shape) -> bool {
    let preset = shape.architecture.preset();
    let same = shape.positions == preset.positions
        && shape.norm == preset.norm
        && shape.norm_place == preset.norm_place
        && shape.embedding_norm == preset.embedding_norm
        && shape.activation == preset.activation
        && shape.parallel == preset.parallel
        && shape.biases == preset.biases
        && (shape.segments > 0) == (preset.segments > 0)
        && !shape.is_recurrent();
    let particular = match shape.architecture {
        Architecture::Llama => llama::is_published,
        Architecture::Gpt => gpt::is_published,
        Architecture::Falcon => falcon::is_published,
        Architecture::Bert => bert::is_published,
    };
    // Others of `transformers` look back alone, and none has a table of languages.
    let (objective, languages) = (shape.program.objective, &shape.program.languages);
    let looks = match shape.architecture {
        Architecture::Bert => objective != Objective::Permutation && languages.is_empty(),
        _ => objective.is_next_token(),
    };
    same && looks && particular(shape)
}

/// The content of `config.json`.
pub(crate) fn config_json(shape: &Shape) -> Value {
    if !is_published(shape) {
        return own(shape);
    }
    match shape.architecture {
        Architecture::Llama => llama::config_json(shape),
        Architecture::Gpt => gpt::config_json(shape),
        Architecture::Falcon => falcon::config_json(shape),
        Architecture::Bert => bert::config_json(shape),
    }
}

fn own(shape: &Shape) -> Value {
    let mut config = json!({
        "model_type": OWN,
        "architecture": name_of(&shape.architecture),
        "layers": shape.layers,
        "width": shape.width,
        "heads": shape.heads.queries,
        "kv_heads": shape.heads.keys,
        "ff_width": shape.ff_width,
        "vocab_size": shape.vocab,
        "context": shape.context,
        "tied_head": shape.tied_head,
        "rope_base": shape.rope_base,
        "eos_token_id": shape.eos,
        "positions": name_of(&shape.positions),
        "norm": name_of(&shape.norm),
        "norm_place": name_of(&shape.norm_place),
        "epsilon": shape.epsilon,
        "embedding_norm": shape.embedding_norm,
        "segments": shape.segments,
        "activation": name_of(&shape.activation),
        "parallel": shape.parallel,
        "window": shape.window,
        "mixers": shape.mixers.iter().map(|mixer| mixer.letter()).collect::<String>(),
        "biases": shape.biases,
    });
    if let Some(ExpertShape { count, active, balance, router_z }) = shape.experts {
        config["experts"] = json!(count);
        config["experts_active"] = json!(active);
        config["experts_balance"] = json!(balance);
        config["experts_z"] = json!(router_z);
    }
    config
}

/// A configuration with words for what is missing.
struct Reader<'a>(&'a Value);

impl Reader<'_> {
    fn number(&self, key: &str) -> Result<usize, String> {
        self.optional(key)?.ok_or(format!("`{key}` is missing or no positive number"))
    }

    /// A positive number, where there is one.
    fn optional(&self, key: &str) -> Result<Option<usize>, String> {
        match &self.0[key] {
            Value::Null => Ok(None),
            value => {
                let number = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
                number.map(Some).ok_or(format!("`{key}` is missing or no positive number"))
            }
        }
    }

    fn choice<T: ConfigValue>(&self, key: &str) -> Result<T, String> {
        let name = self.0[key].as_str().ok_or(format!("`{key}` is missing"))?;
        by_name(name).ok_or(format!("`{key}` = `{name}` is {} to this program", T::KIND))
    }

    fn truth(&self, key: &str, default: bool) -> bool {
        self.0[key].as_bool().unwrap_or(default)
    }

    fn real(&self, key: &str, default: f64) -> f64 {
        self.0[key].as_f64().unwrap_or(default)
    }

    fn eos(&self) -> Result<u32, String> {
        u32::try_from(self.0["eos_token_id"].as_u64().unwrap_or(0)).map_err(|e| e.to_string())
    }

    /// Rotary base, where `transformers` 4 or 5 writes it.
    fn rope_base(&self) -> f64 {
        self.real("rope_theta", self.0["rope_parameters"]["rope_theta"].as_f64().unwrap_or(10_000.0))
    }
}

/// Keys of a published configuration that mean the same in each.
struct Keys {
    layers: &'static str,
    width: &'static str,
    heads: &'static str,
    ff_width: &'static str,
    context: &'static str,
    epsilon: &'static str,
}

const USUAL: Keys = Keys {
    layers: "num_hidden_layers",
    width: "hidden_size",
    heads: "num_attention_heads",
    ff_width: "intermediate_size",
    context: "max_position_embeddings",
    epsilon: "layer_norm_eps",
};

/// The shape that a configuration describes.
///
/// # Errors
/// A model type that this program does not know, a key that is missing, or numbers that do not fit together.
pub(crate) fn shape(config: &Value) -> Result<Shape, String> {
    let read = Reader(config);
    match config["model_type"].as_str() {
        Some("llama" | "mistral" | "mixtral") => llama_shape(&read),
        Some("gpt2") => {
            let keys = Keys {
                layers: "n_layer",
                width: "n_embd",
                heads: "n_head",
                ff_width: "n_inner",
                context: "n_positions",
                epsilon: "layer_norm_epsilon",
            };
            let heads = read.number("n_head")?;
            Ok(Shape {
                tied_head: read.truth("tie_word_embeddings", true),
                ..published(&read, Architecture::Gpt, &keys, heads)?
            })
        }
        Some("falcon") => falcon_shape(&read),
        Some("bert") => {
            let heads = read.number(USUAL.heads)?;
            let shape = published(&read, Architecture::Bert, &USUAL, heads)?;
            Ok(Shape {
                segments: read.number("type_vocab_size")?,
                tied_head: read.truth("tie_word_embeddings", true),
                ..shape
            })
        }
        Some(OWN) => own_shape(&read),
        other => Err(format!(
            "model type {other:?} is none of llama, mistral, mixtral, gpt2, falcon, bert and {OWN}"
        )),
    }
}

fn llama_shape(read: &Reader<'_>) -> Result<Shape, String> {
    let keys = Keys { epsilon: "rms_norm_eps", ..USUAL };
    let shape = published(read, Architecture::Llama, &keys, read.number("num_key_value_heads")?)?;
    let experts = match read.optional("num_local_experts")? {
        None => None,
        Some(count) => Some(ExpertShape {
            count,
            active: read.number("num_experts_per_tok")?.min(count),
            balance: read.real("router_aux_loss_coef", 0.0),
            router_z: 0.0,
        }),
    };
    Ok(Shape {
        window: read.optional("sliding_window")?,
        experts,
        tied_head: read.truth("tie_word_embeddings", false),
        rope_base: read.rope_base(),
        ..shape
    })
}

fn falcon_shape(read: &Reader<'_>) -> Result<Shape, String> {
    let heads = read.number(USUAL.heads)?;
    let keys = match (read.truth("new_decoder_architecture", false), read.truth("multi_query", true)) {
        (true, _) => read.optional("num_kv_heads")?.unwrap_or(heads),
        (false, true) => 1,
        (false, false) => heads,
    };
    let names = Keys { ff_width: "ffn_hidden_size", epsilon: "layer_norm_epsilon", ..USUAL };
    if read.truth("alibi", false) {
        return Err("a Falcon with `alibi` divides its slopes by √d, which this program does not".to_owned());
    }
    Ok(Shape {
        parallel: read.truth("parallel_attn", true),
        biases: read.truth("bias", false),
        tied_head: read.truth("tie_word_embeddings", true),
        rope_base: read.rope_base(),
        ..published(read, Architecture::Falcon, &names, keys)?
    })
}

fn heads(width: usize, queries: usize, keys: usize, preset: &Preset) -> Result<Heads, String> {
    if !width.is_multiple_of(queries) || !queries.is_multiple_of(keys) {
        return Err(format!("width {width}, heads {queries} and key heads {keys} do not divide"));
    }
    Ok(Heads { layout: preset.head_layout, ..Heads::new(queries, keys, width / queries) })
}

/// The published shape with the sizes of a configuration.
fn published(
    read: &Reader<'_>,
    architecture: Architecture,
    keys: &Keys,
    key_heads: usize,
) -> Result<Shape, String> {
    let preset = architecture.preset();
    let (layers, width, vocab) =
        (read.number(keys.layers)?, read.number(keys.width)?, read.number("vocab_size")?);
    let (eos, size) = (read.eos()?, u32::try_from(vocab).map_err(|e| e.to_string())?);
    Ok(Shape {
        architecture,
        layers,
        width,
        heads: heads(width, read.number(keys.heads)?, key_heads, preset)?,
        ff_width: read.number(keys.ff_width)?,
        vocab,
        context: read.number(keys.context)?,
        tied_head: true,
        rope_base: 10_000.0,
        eos,
        positions: preset.positions,
        norm: preset.norm,
        norm_place: preset.norm_place,
        epsilon: read.real(keys.epsilon, preset.epsilon),
        embedding_norm: preset.embedding_norm,
        segments: preset.segments,
        activation: preset.activation,
        parallel: preset.parallel,
        window: None,
        experts: None,
        mixers: vec![Mixer::Attention; layers],
        biases: preset.biases,
        head_transform: preset.head_transform,
        init: InitScheme::Gpt2,
        program: Program::read(&read.0[objective::TOLD], eos, size)?,
    })
}

fn own_shape(read: &Reader<'_>) -> Result<Shape, String> {
    let architecture: Architecture = read.choice("architecture")?;
    let keys = Keys {
        layers: "layers",
        width: "width",
        heads: "heads",
        ff_width: "ff_width",
        context: "context",
        epsilon: "epsilon",
    };
    let shape = published(read, architecture, &keys, read.number("kv_heads")?)?;
    let experts = match read.optional("experts")? {
        None => None,
        Some(count) => Some(ExpertShape {
            count,
            active: read.number("experts_active")?.min(count),
            balance: read.real("experts_balance", 0.0),
            router_z: read.real("experts_z", 0.0),
        }),
    };
    let mixers = read.0["mixers"].as_str().ok_or("`mixers` is missing")?;
    Ok(Shape {
        tied_head: read.truth("tied_head", true),
        rope_base: read.real("rope_base", 10_000.0),
        positions: read.choice("positions")?,
        norm: read.choice("norm")?,
        norm_place: read.choice("norm_place")?,
        embedding_norm: read.truth("embedding_norm", false),
        segments: read.0["segments"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        activation: read.choice("activation")?,
        parallel: read.truth("parallel", false),
        window: read.optional("window")?,
        experts,
        mixers: Mixer::pattern(mixers, shape.layers)?,
        biases: read.truth("biases", true),
        ..shape
    })
}
