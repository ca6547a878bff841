//! The tokenizer of a GGUF file: tokens, merges, kinds of tokens, and the name of the split into words.
//!
//! llama.cpp knows splits by name (`tokenizer.ggml.pre`) and has no regular expressions in the file, so a `tokenizer.json` can be
//! written only where one of its names stands for the same split: others would give other ids and are refused.

use super::file::Value;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use tokenizers::{Model as _, Tokenizer};

/// Kinds of tokens in llama.cpp.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// The splits of Qwen 2, GPT-4 (with LLaMA 3) and GPT-4o, as a `tokenizer.json` has them.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a `tokenizer.json` becomes.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The keys of the file.
    pub(super) keys: Vec<(String, Value)>,
    /// Where llama.cpp differs for some texts, in words.
    pub(super) notes: Vec<String>,
}

/// Reads a tokenizer for a model of `vocab` tokens whose documents begin and end with `eos`.
///
/// # Errors
/// What of it llama.cpp has no counterpart for, in words.
pub(super) fn read(
    json: &Json,
    vocab: usize,
    eos: u32,
    chat_template: Option<&str>,
) -> Result<Vocabulary, String> {
    let tokenizer = Tokenizer::from_bytes(json.to_string()).map_err(|error| error.to_string())?;
    let model = &json["model"];
    byte_level(json)?;
    let mut notes = Vec::new();
    let unreachable = unreachable_words(&tokenizer, json)?;
    let pre = split(json, model["ignore_merges"] == true, unreachable.is_some(), &mut notes)?;
    let added = Added::read(json);
    let token = |id: usize| {
        let id = u32::try_from(id).expect("a vocabulary is counted by u32");
        match tokenizer.id_to_token(id) {
            Some(token) if added.special.contains(&id) => (token, CONTROL),
            Some(token) if added.plain.contains(&id) => (token, USER_DEFINED),
            Some(token) => (token, NORMAL),
            None => (format!("[PAD{id}]"), UNUSED),
        }
    };
    let (tokens, kinds): (Vec<String>, Vec<i32>) = (0..vocab).map(token).unzip();
    let merges = model["merges"].as_array().ok_or("the tokenizer has no merges")?;
    let merges = merges.iter().map(merge).collect::<Option<_>>().ok_or("a merge is no pair of tokens")?;
    let mut keys: Vec<(String, Value)> = [
        ("model", Value::Text("gpt2".into())),
        ("pre", Value::Text(pre.into())),
        ("tokens", Value::Texts(tokens)),
        ("token_type", Value::I32s(kinds)),
        ("merges", Value::Texts(merges)),
        ("bos_token_id", Value::U32(eos)),
        ("eos_token_id", Value::U32(eos)),
        // A text begins behind the token that ends documents, as it did in training.
        ("add_bos_token", Value::Bool(true)),
    ]
    .map(|(key, value)| (format!("tokenizer.ggml.{key}"), value))
    .into();
    if let Some(template) = chat_template {
        keys.push(("tokenizer.chat_template".into(), Value::Text(template.into())));
    }
    Ok(Vocabulary { keys, notes })
}

/// Refuses all but byte-level BPE over the text as it is.
fn byte_level(json: &Json) -> Result<(), String> {
    let model = &json["model"];
    let is_set = |key: &str| !matches!(&model[key], Json::Null | Json::Bool(false)) && model[key] != "";
    let unlike = ["continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "dropout"];
    if model["type"] != "BPE" || json["decoder"]["type"] != "ByteLevel" {
        return Err("the tokenizer is no byte-level BPE".into());
    }
    if let Some(key) = unlike.into_iter().find(|key| is_set(key)) {
        return Err(format!(
            "the tokenizer sets `{key}`, which a `gpt2` tokenizer of llama.cpp does not have"
        ));
    }
    if !json["normalizer"].is_null() {
        return Err(
            "the tokenizer changes texts by a `normalizer`; llama.cpp would leave them as they are".into()
        );
    }
    Ok(())
}

/// The name of the split in llama.cpp.
fn split(
    json: &Json,
    ignore_merges: bool,
    words_unreachable: bool,
    notes: &mut Vec<String>,
) -> Result<&'static str, String> {
    let pre = &json["pre_tokenizer"];
    let parts = pre["pretokenizers"].as_array().map_or_else(|| vec![pre], |parts| parts.iter().collect());
    if parts.iter().any(|part| part["add_prefix_space"] == true) {
        return Err(
            "the tokenizer puts a space before a text (`add_prefix_space`); llama.cpp would not".into()
        );
    }
    if json["model"]["merges"].as_array().is_some_and(Vec::is_empty) {
        // Where nothing is merged, borders change nothing.
        return Ok("gpt-2");
    }
    let kinds: Vec<Option<&str>> = parts.iter().map(|part| part["type"].as_str()).collect();
    let pattern = match kinds[..] {
        [Some("ByteLevel")] if parts[0]["use_regex"] != false => {
            return whole("gpt-2", ignore_merges && words_unreachable);
        }
        [Some("Split"), Some("ByteLevel")] if parts[1]["use_regex"] == false => &parts[0],
        _ => return Err(format!("llama.cpp has no name for the split {pre}")),
    };
    let isolated = pattern["behavior"] == "Isolated" && pattern["invert"] == false;
    match pattern["pattern"]["Regex"].as_str() {
        // Both names split alike. The first one takes words of the vocabulary whole, which is the same where merges lead to each.
        Some(CL100K) if isolated && (ignore_merges || !words_unreachable) => Ok("llama-bpe"),
        Some(CL100K) if isolated => Ok("smaug-bpe"),
        Some(QWEN2) if isolated => whole("qwen2", ignore_merges && words_unreachable),
        Some(O200K) if isolated => {
            notes.push(
                "llama.cpp's `gpt-4o` split takes letters outside ASCII for small and capital at once and marks for no \
                 letters: some words of such letters get other ids than here"
                    .into(),
            );
            whole("gpt-4o", ignore_merges && words_unreachable)
        }
        _ => Err(format!("llama.cpp has no name for the split {pre}")),
    }
}

fn whole(name: &'static str, differs: bool) -> Result<&'static str, String> {
    match differs {
        false => Ok(name),
        true => Err(format!("the tokenizer sets `ignore_merges`, which llama.cpp's `{name}` does not do")),
    }
}

/// The first token that is a word of its own, but to which merges do not lead.
fn unreachable_words(tokenizer: &Tokenizer, json: &Json) -> Result<Option<String>, String> {
    let mut merging = json.clone();
    merging["model"]["ignore_merges"] = false.into();
    let merging = Tokenizer::from_bytes(merging.to_string()).map_err(|error| error.to_string())?;
    let added: BTreeSet<u32> = tokenizer.get_added_tokens_decoder().into_keys().collect();
    let mut vocab: Vec<(String, u32)> = tokenizer.get_vocab(false).into_iter().collect();
    vocab.sort_unstable_by_key(|(_, id)| *id);
    for (token, id) in vocab.into_iter().filter(|(_, id)| !added.contains(id)) {
        let found = merging.get_model().tokenize(&token).map_err(|error| error.to_string())?;
        if found.len() != 1 || found[0].id != id {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

fn merge(value: &Json) -> Option<String> {
    match value {
        Json::String(pair) => Some(pair.clone()),
        Json::Array(pair) => match pair.as_slice() {
            [left, right] => Some(format!("{} {}", left.as_str()?, right.as_str()?)),
            _ => None,
        },
        _ => None,
    }
}

/// Ids of added tokens.
struct Added {
    special: BTreeSet<u32>,
    plain: BTreeSet<u32>,
}

impl Added {
    fn read(json: &Json) -> Self {
        let ids = |special: bool| {
            let added = json["added_tokens"].as_array().into_iter().flatten();
            let kind = added.filter(|token| (token["special"] == true) == special);
            kind.filter_map(|token| token["id"].as_u64().and_then(|id| u32::try_from(id).ok())).collect()
        };
        Self { special: ids(true), plain: ids(false) }
    }
}
