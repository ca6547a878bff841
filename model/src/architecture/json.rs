//! `config.json` of a model folder.
//!
//! A composition that a model of `transformers` has is written as `transformers` reads it. Any other is written whole under the
//! model type `gristmill`, by the names of the settings.

use super::shape::{ExpertShape, Misfit, Preset, Shape, fits_objective, fits_parts};
use super::{bert, falcon, gpt, llama};
use crate::config::{Config, Objective};
use crate::layer::attention::Heads;
use crate::objective::{self, Program};
use crate::parts::{Architecture, InitScheme, Mixer, Positions, by_name, name_of};
use schemas::ConfigValue;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// Model type of a composition that `transformers` does not have.
const OWN: &str = "gristmill";

/// Longest context that is read. Published models reach it; a table of rotary positions has a row for each of its places.
const CONTEXT_MAX: usize = 1 << 20;
/// Largest vocabulary that is read: sixteen times the largest that is trained here.
const VOCAB_MAX: usize = 1 << 24;
/// Most rows of a table of segments; BERT has two.
const SEGMENTS_MAX: usize = 1024;
/// Greatest base of rotary positions that is read: models that were stretched to long contexts have some above that of the setting.
const ROPE_BASE_MAX: f64 = 1e12;

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

/// Greatest value of a setting: what would not be trained is not read either.
fn most<T: std::str::FromStr>(setting: &str) -> T {
    let key = Config::KEYS.iter().find(|key| key.name == setting);
    let bounds = key.and_then(|key| (key.bounds)()).expect("the sizes of a model are settings with a range");
    bounds[1].parse().ok().expect("a bound is written as a number")
}

/// A configuration with words for what is missing or out of range.
struct Reader<'a>(&'a Value);

impl Reader<'_> {
    /// A whole number from 1 to `most`.
    fn number(&self, key: &str, most: usize) -> Result<usize, String> {
        self.optional(key, most)?.ok_or(format!("`{key}` is missing"))
    }

    /// The same, where there is one.
    fn optional(&self, key: &str, most: usize) -> Result<Option<usize>, String> {
        let value = &self.0[key];
        let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
        match number.filter(|n| (1..=most).contains(n)) {
            None if !value.is_null() => Err(format!("`{key}` = {value} is no whole number from 1 to {most}")),
            number => Ok(number),
        }
    }

    fn choice<T: ConfigValue>(&self, key: &str) -> Result<T, String> {
        let name = self.0[key].as_str().ok_or(format!("`{key}` is missing"))?;
        by_name(name).ok_or(format!("`{key}` = `{name}` is {} to this program", T::KIND))
    }

    fn truth(&self, key: &str, default: bool) -> bool {
        self.0[key].as_bool().unwrap_or(default)
    }

    /// A number of a range.
    fn real(&self, key: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64, String> {
        real(key, &self.0[key], default, range)
    }

    fn eos(&self) -> Result<u32, String> {
        let value = &self.0["eos_token_id"];
        u32::try_from(value.as_u64().unwrap_or(0))
            .map_err(|_| format!("`eos_token_id` = {value} is no token"))
    }

    /// Rotary base, where `transformers` 4 or 5 writes it.
    fn rope_base(&self) -> Result<f64, String> {
        let told = &self.0["rope_parameters"]["rope_theta"];
        let default = real("rope_parameters.rope_theta", told, 10_000.0, 1.0..=ROPE_BASE_MAX)?;
        self.real("rope_theta", default, 1.0..=ROPE_BASE_MAX)
    }

    /// Experts by the keys of their counts, with the weights of their losses.
    fn experts(&self, count: &str, active: &str, losses: [f64; 2]) -> Result<Option<ExpertShape>, String> {
        let Some(all) = self.optional(count, most("experts"))? else { return Ok(None) };
        let chosen = self.number(active, all).map_err(|error| format!("{error}, the `{count}`"))?;
        Ok(Some(ExpertShape { count: all, active: chosen, balance: losses[0], router_z: losses[1] }))
    }
}

fn real(key: &str, value: &Value, default: f64, range: RangeInclusive<f64>) -> Result<f64, String> {
    match value.as_f64() {
        None => Ok(default),
        Some(number) if range.contains(&number) => Ok(number),
        Some(_) => Err(format!("`{key}` = {value} is not in {:?} to {:?}", range.start(), range.end())),
    }
}

/// Keys of a published configuration that mean the same in each.
struct Keys {
    layers: &'static str,
    width: &'static str,
    heads: &'static str,
    kv_heads: &'static str,
    ff_width: &'static str,
    context: &'static str,
    epsilon: &'static str,
}

const USUAL: Keys = Keys {
    layers: "num_hidden_layers",
    width: "hidden_size",
    heads: "num_attention_heads",
    kv_heads: "num_key_value_heads",
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
                kv_heads: "n_head",
                ff_width: "n_inner",
                context: "n_positions",
                epsilon: "layer_norm_epsilon",
            };
            Ok(Shape {
                tied_head: read.truth("tie_word_embeddings", true),
                ..published(&read, Architecture::Gpt, &keys, None)?
            })
        }
        Some("falcon") => falcon_shape(&read),
        Some("bert") => {
            let shape = published(&read, Architecture::Bert, &USUAL, None)?;
            Ok(Shape {
                segments: read.number("type_vocab_size", SEGMENTS_MAX)?,
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
    let key_heads = read.number(keys.kv_heads, most("kv_heads"))?;
    let shape = published(read, Architecture::Llama, &keys, Some(key_heads))?;
    let balance = read.real("router_aux_loss_coef", 0.0, 0.0..=most("experts_balance"))?;
    Ok(Shape {
        window: read.optional("sliding_window", most("window"))?,
        experts: read.experts("num_local_experts", "num_experts_per_tok", [balance, 0.0])?,
        tied_head: read.truth("tie_word_embeddings", false),
        rope_base: read.rope_base()?,
        ..shape
    })
}

fn falcon_shape(read: &Reader<'_>) -> Result<Shape, String> {
    let names = Keys {
        kv_heads: "num_kv_heads",
        ff_width: "ffn_hidden_size",
        epsilon: "layer_norm_epsilon",
        ..USUAL
    };
    let keys = match (read.truth("new_decoder_architecture", false), read.truth("multi_query", true)) {
        (true, _) => read.optional(names.kv_heads, most("kv_heads"))?,
        (false, true) => Some(1),
        (false, false) => None,
    };
    if read.truth("alibi", false) {
        return Err("a Falcon with `alibi` divides its slopes by √d, which this program does not".to_owned());
    }
    Ok(Shape {
        parallel: read.truth("parallel_attn", true),
        biases: read.truth("bias", false),
        tied_head: read.truth("tie_word_embeddings", true),
        rope_base: read.rope_base()?,
        ..published(read, Architecture::Falcon, &names, keys)?
    })
}

/// Heads by the keys of a configuration, as many key heads as queries where no number is given.
fn heads(
    read: &Reader<'_>,
    (names, preset): (&Keys, &Preset),
    width: usize,
    key_heads: Option<usize>,
) -> Result<Heads, String> {
    let queries = read.number(names.heads, most("heads"))?;
    let keys = key_heads.unwrap_or(queries);
    if !width.is_multiple_of(queries) {
        return Err(format!("`{}` = {queries} does not divide `{}` = {width}", names.heads, names.width));
    }
    if !queries.is_multiple_of(keys) {
        return Err(format!("`{}` = {keys} does not divide `{}` = {queries}", names.kv_heads, names.heads));
    }
    Ok(Heads { layout: preset.head_layout, ..Heads::new(queries, keys, width / queries) })
}

/// Refuses rotary positions of heads that have a feature without a pair.
fn fits_pairs(shape: Shape, names: &Keys) -> Result<Shape, String> {
    let head = shape.heads.width;
    if shape.positions == Positions::Rotary && !head.is_multiple_of(2) {
        return Err(format!(
            "`{}` ÷ `{}` = {head} is odd; rotary positions need pairs",
            names.width, names.heads
        ));
    }
    Ok(shape)
}

/// The published shape with the sizes of a configuration.
fn published(
    read: &Reader<'_>,
    architecture: Architecture,
    keys: &Keys,
    key_heads: Option<usize>,
) -> Result<Shape, String> {
    let shape = sizes(read, architecture, keys, key_heads)?;
    fits_pairs(shape, keys)
}

/// The same, whose parts may still be others.
fn sizes(
    read: &Reader<'_>,
    architecture: Architecture,
    keys: &Keys,
    key_heads: Option<usize>,
) -> Result<Shape, String> {
    let preset = architecture.preset();
    let layers = read.number(keys.layers, most("layers"))?;
    let width = read.number(keys.width, most("width"))?;
    let vocab = read.number("vocab_size", VOCAB_MAX)?;
    let (eos, size) = (read.eos()?, u32::try_from(vocab).expect("the largest vocabulary has 25 bits"));
    Ok(Shape {
        architecture,
        layers,
        width,
        heads: heads(read, (keys, preset), width, key_heads)?,
        ff_width: read.number(keys.ff_width, most("ff_width"))?,
        vocab,
        context: read.number(keys.context, CONTEXT_MAX)?,
        tied_head: true,
        rope_base: 10_000.0,
        eos,
        positions: preset.positions,
        norm: preset.norm,
        norm_place: preset.norm_place,
        epsilon: read.real(keys.epsilon, preset.epsilon, 0.0..=1.0)?,
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
        kv_heads: "kv_heads",
        ff_width: "ff_width",
        context: "context",
        epsilon: "epsilon",
    };
    let key_heads = read.number(keys.kv_heads, most("kv_heads"))?;
    let shape = sizes(read, architecture, &keys, Some(key_heads))?;
    let balance = read.real("experts_balance", 0.0, 0.0..=most("experts_balance"))?;
    let router_z = read.real("experts_z", 0.0, 0.0..=most("experts_z"))?;
    let mixers = read.0["mixers"].as_str().ok_or("`mixers` is missing")?;
    let shape = Shape {
        tied_head: read.truth("tied_head", true),
        rope_base: read.real("rope_base", 10_000.0, 1.0..=ROPE_BASE_MAX)?,
        positions: read.choice("positions")?,
        norm: read.choice("norm")?,
        norm_place: read.choice("norm_place")?,
        embedding_norm: read.truth("embedding_norm", false),
        // 0 where the model has none.
        segments: match &read.0["segments"] {
            none if *none == 0 => 0,
            _ => read.optional("segments", SEGMENTS_MAX)?.unwrap_or(0),
        },
        activation: read.choice("activation")?,
        parallel: read.truth("parallel", false),
        window: read.optional("window", most("window"))?,
        experts: read.experts("experts", "experts_active", [balance, router_z])?,
        mixers: Mixer::pattern(mixers, shape.layers)?,
        biases: read.truth("biases", true),
        ..shape
    };
    fits_parts(shape.parallel, shape.norm_place)
        .and_then(|()| fits_objective(shape.program.objective, shape.window, &shape.mixers))
        .map_err(|Misfit { message, .. }| message)?;
    fits_pairs(shape, &keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llama() -> Value {
        json!({
            "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
            "num_key_value_heads": 2, "intermediate_size": 128, "max_position_embeddings": 32,
            "vocab_size": 100, "eos_token_id": 0,
        })
    }

    fn check(mut config: Value, change: Value, expected: &str) {
        let changes = change.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(changes);
        assert_eq!(shape(&config).map(|_| ()).unwrap_err(), expected);
    }

    #[test]
    fn sizes_are_held_to_the_rules_of_settings_under_the_names_of_the_file() {
        assert!(shape(&llama()).is_ok());
        let check = |change: Value, expected: &str| check(llama(), change, expected);
        check(
            json!({ "num_hidden_layers": u64::MAX }),
            "`num_hidden_layers` = 18446744073709551615 is no whole number from 1 to 1000",
        );
        check(
            json!({ "max_position_embeddings": 1_u64 << 40 }),
            "`max_position_embeddings` = 1099511627776 is no whole number from 1 to 1048576",
        );
        let heads = "`num_attention_heads` = 0 is no whole number from 1 to 1024";
        check(json!({ "num_attention_heads": 0 }), heads);
        let keys = "`num_key_value_heads` = 0 is no whole number from 1 to 1024";
        check(json!({ "num_key_value_heads": 0 }), keys);
        check(json!({ "hidden_size": null }), "`hidden_size` is missing");
        check(json!({ "hidden_size": -64 }), "`hidden_size` = -64 is no whole number from 1 to 65536");
        check(
            json!({ "num_attention_heads": 6 }),
            "`num_attention_heads` = 6 does not divide `hidden_size` = 64",
        );
        check(
            json!({ "num_key_value_heads": 3 }),
            "`num_key_value_heads` = 3 does not divide `num_attention_heads` = 4",
        );
        check(
            json!({ "hidden_size": 12 }),
            "`hidden_size` ÷ `num_attention_heads` = 3 is odd; rotary positions need pairs",
        );
        check(
            json!({ "num_local_experts": 4, "num_experts_per_tok": 5 }),
            "`num_experts_per_tok` = 5 is no whole number from 1 to 4, the `num_local_experts`",
        );
        check(json!({ "rms_norm_eps": -1.0 }), "`rms_norm_eps` = -1.0 is not in 0.0 to 1.0");
        check(json!({ "rope_theta": 0.0 }), "`rope_theta` = 0.0 is not in 1.0 to 1000000000000.0");
        check(
            json!({ "vocab_size": 1_u64 << 33 }),
            "`vocab_size` = 8589934592 is no whole number from 1 to 16777216",
        );
        check(json!({ "eos_token_id": 1_u64 << 33 }), "`eos_token_id` = 8589934592 is no token");
    }

    #[test]
    fn parts_of_a_composition_fit_together() {
        let mut own = json!({
            "model_type": "gristmill", "architecture": "gpt", "layers": 2, "width": 12, "heads": 4,
            "kv_heads": 4, "ff_width": 48, "vocab_size": 100, "context": 32, "positions": "none", "norm": "rms",
            "norm_place": "before", "activation": "relu", "mixers": "ar", "eos_token_id": 0, "segments": 0,
        });
        assert!(shape(&own).is_ok());
        let pairs = "`width` ÷ `heads` = 3 is odd; rotary positions need pairs";
        check(own.clone(), json!({ "positions": "rotary" }), pairs);
        let message = "`parallel` = true with `norm_place` = \"after\": the parts share the norm before them";
        check(own.clone(), json!({ "parallel": true, "norm_place": "after" }), message);
        own["objective"] = json!({
            "kind": "masked", "vocab_size": 99, "mask_token_id": 99, "mask_probability": 0.15,
            "predicted_share": 0.2, "languages": [],
        });
        let message =
            "`objective` = \"masked\" with a recurrence, which sees what stands before it and nothing else";
        check(own.clone(), json!({}), message);
        own["objective"]["mask_probability"] = json!(2);
        check(own, json!({}), "`objective.mask_probability` is missing or not what it should be");
    }
}
