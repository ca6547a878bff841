//! The tokenizer.json of a trained tokenizer, as `tokenizers` and `transformers` load it.

use super::train::Trained;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

/// The canonical bytes: what the tokenizers crate itself writes for the tokenizer.
///
/// No space comes before the text, so that decoding gives the text back.
pub(super) fn write(trained: &Trained) -> Vec<u8> {
    let Trained { tokens, specials, merges, split, .. } = trained;
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    let merges: Vec<[&str; 2]> = merges
        .iter()
        .map(|&(left, right)| [tokens[left as usize].as_str(), &tokens[right as usize]])
        .collect();
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let special = |(id, content): (usize, &String)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let added: Vec<Value> = tokens[..*specials].iter().enumerate().map(special).collect();
    let whole = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": split.pre_tokenizer(),
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
