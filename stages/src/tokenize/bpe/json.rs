//! The tokenizer.json of a trained tokenizer, as `tokenizers` and `transformers` load it.

use super::train::Trained;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

/// The canonical bytes: what the tokenizers crate itself writes for the tokenizer.
///
/// Byte-level split and decoder as GPT-2 has them, without a space before the text, so that decoding gives the text back.
pub(super) fn write(trained: &Trained) -> Vec<u8> {
    let Trained { tokens, merges } = trained;
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    let merges: Vec<[&str; 2]> = merges
        .iter()
        .map(|&(left, right)| [tokens[left as usize].as_str(), &tokens[right as usize]])
        .collect();
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let whole = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 0, "content": tokens[0], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges,
        },
    });
    let tokenizer = Tokenizer::from_bytes(whole.to_string()).expect("a trained tokenizer is a valid one");
    tokenizer.to_string(false).expect("a tokenizer can be written").into_bytes()
}
