//! GGUF, the file that llama.cpp and what is built on it load: keys, tokenizer and tensors of a model in one.
//!
//! ```text
//! ours (names of transformers)         GGUF                    changed
//! model.layers.0.self_attn.q_proj      blk.0.attn_q            llama: rows of a head from halves to pairs
//! transformer.h.0.attn.c_attn          blk.0.attn_qkv          gpt2: transposed to out × in
//! …h.0.self_attention.query_key_value  blk.0.attn_qkv          falcon: from groups to queries, keys, values
//! block_sparse_moe.experts.3.w1        blk.0.ffn_gate_exps     stacked, expert after expert
//! ```
//! llama.cpp computes GELU in its tanh form from a table of 16-bit numbers, so greedy text of GPT-2 and Falcon can part from
//! ours where two tokens are nearly alike.

mod file;
mod tensors;
mod vocabulary;

pub use file::Kind;

use crate::architecture::Shape;
use crate::error::TrainError;
use crate::folder::Named;
use crate::parts::Architecture;
use file::Value;
use serde_json::Value as Json;
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// What of a model folder a file is made from.
pub(super) struct Source<'a> {
    pub(super) shape: &'a Shape,
    pub(super) tensors: Named,
    /// `tokenizer.json`.
    pub(super) tokenizer: &'a Json,
    pub(super) chat_template: Option<&'a str>,
    pub(super) name: &'a str,
}

/// Writes a file; returns what is worth a note.
///
/// # Errors
/// A composition or a tokenizer that llama.cpp has no counterpart for; a file that cannot be written.
pub(super) fn write(source: Source<'_>, kind: Kind, path: &Path) -> Result<Vec<String>, TrainError> {
    let refused = |message: String| TrainError::Config { message: format!("no GGUF can be made: {message}") };
    let name = architecture(source.shape).map_err(refused)?;
    let mut keys = general(&source, name, kind);
    keys.extend(sizes(source.shape, name));
    let vocabulary =
        vocabulary::read(source.tokenizer, source.shape.vocab, source.shape.eos, source.chat_template);
    let mut vocabulary = vocabulary.map_err(refused)?;
    keys.append(&mut vocabulary.keys);
    let tensors = tensors::of(source.shape, source.tensors, kind).map_err(refused)?;
    let large = |x: &f32| x.abs() > f32::from(half::f16::MAX);
    if let Some(tensor) = tensors.iter().find(|t| t.kind == Kind::F16 && t.numbers.iter().any(large)) {
        let name = &tensor.name;
        return Err(refused(format!(
            "tensor `{name}` has numbers beyond the range of f16; take another `--dtype`"
        )));
    }
    let wide = tensors.iter().find(|t| kind == Kind::Q8 && t.kind == Kind::F16);
    if let Some(tensor) = wide {
        let width = tensor.shape.last().copied().unwrap_or_default();
        let note = format!("tensors with rows of {width} numbers stay `f16`: `q8_0` takes multiples of 32");
        vocabulary.notes.push(note);
    }
    let out = std::fs::File::create(path).map_err(TrainError::io(path))?;
    let mut out = BufWriter::new(out);
    let written = file::write(&mut out, &keys, &tensors).and_then(|()| out.flush());
    written.and_then(|()| out.get_ref().sync_all()).map_err(TrainError::io(path))?;
    Ok(vocabulary.notes)
}

/// The architecture's name in llama.cpp.
fn architecture(shape: &Shape) -> Result<&'static str, String> {
    let name = match shape.architecture {
        Architecture::Llama => "llama",
        Architecture::Gpt => "gpt2",
        Architecture::Falcon => "falcon",
        Architecture::Bert => {
            return Err("llama.cpp knows a BERT as an encoder without its masked head".into());
        }
    };
    if shape.window.is_some_and(|window| window < shape.context) {
        return Err(format!("llama.cpp's `{name}` has no sliding window (`window`)"));
    }
    if name == "falcon" && (!shape.parallel || shape.biases) {
        return Err(
            "llama.cpp's `falcon` has its parts side by side and no biases (`parallel`, `biases`)".into()
        );
    }
    Ok(name)
}

fn general(source: &Source<'_>, architecture: &str, kind: Kind) -> Vec<(String, Value)> {
    vec![
        ("general.architecture".into(), Value::Text(architecture.into())),
        ("general.type".into(), Value::Text("model".into())),
        ("general.name".into(), Value::Text(source.name.into())),
        ("general.file_type".into(), Value::U32(kind.file_type())),
        ("general.quantization_version".into(), Value::U32(2)),
    ]
}

/// The sizes of the model under their names in llama.cpp.
fn sizes(shape: &Shape, name: &str) -> Vec<(String, Value)> {
    let number = |n: usize| Value::U32(u32::try_from(n).expect("sizes of a model are counted by u32"));
    let mut keys = vec![
        ("vocab_size", number(shape.vocab)),
        ("context_length", number(shape.context)),
        ("embedding_length", number(shape.width)),
        ("block_count", number(shape.layers)),
        ("feed_forward_length", number(shape.ff_width)),
        ("attention.head_count", number(shape.heads.queries)),
        ("attention.head_count_kv", number(shape.heads.keys)),
        ("attention.key_length", number(shape.heads.width)),
        ("attention.value_length", number(shape.heads.width)),
    ];
    let epsilon = Value::F32(shape.epsilon as f32);
    match name {
        "llama" => keys.push(("attention.layer_norm_rms_epsilon", epsilon)),
        _ => keys.push(("attention.layer_norm_epsilon", epsilon)),
    }
    if name != "gpt2" {
        keys.push(("rope.dimension_count", number(shape.heads.width)));
        keys.push(("rope.freq_base", Value::F32(shape.rope_base as f32)));
    }
    if let Some(experts) = shape.experts {
        keys.push(("expert_count", number(experts.count)));
        keys.push(("expert_used_count", number(experts.active)));
    }
    keys.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)).collect()
}
