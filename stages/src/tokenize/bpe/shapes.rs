//! Small tokenizers of every published shape, ids held against the tokenizers crate.

use super::encode::Encoder;
use super::merge::symbols;
use super::splitter::{CL100K, O200K, QWEN2};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use tokenizers::Tokenizer;

const MERGES: [(&str, &str); 14] = [
    ("t", "h"),
    ("th", "e"),
    ("Ġ", "the"),
    ("i", "n"),
    ("m", "i"),
    ("l", "l"),
    ("mi", "ll"),
    ("Ġ", "mill"),
    ("Ã", "©"),
    ("1", "2"),
    ("Ġ", "Ġ"),
    ("ĠĠ", "ĠĠ"),
    ("'", "s"),
    ("Ċ", "Ċ"),
];

fn added(id: usize, content: &str, [single_word, lstrip, rstrip, normalized, special]: [bool; 5]) -> Value {
    json!({ "id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
        "normalized": normalized, "special": special })
}

fn whole(parts: [Value; 3], model: Value, added: Vec<Value>) -> Value {
    let [normalizer, pre_tokenizer, decoder] = parts;
    json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model })
}

fn bpe(
    vocab: serde_json::Map<String, Value>,
    merges: Vec<[String; 2]>,
    bytes: bool,
    ignore_merges: bool,
) -> Value {
    json!({ "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": bytes, "byte_fallback": bytes, "ignore_merges": ignore_merges,
        "vocab": vocab, "merges": merges })
}

/// Numbers tokens in order.
fn vocab(tokens: impl IntoIterator<Item = String>) -> serde_json::Map<String, Value> {
    let mut vocab = serde_json::Map::new();
    for token in tokens {
        let next = vocab.len();
        vocab.entry(token).or_insert_with(|| next.into());
    }
    vocab
}

fn byte_level(normalizer: Value, pattern: Option<&str>, ignore_merges: bool) -> Value {
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": pattern.is_none() && ignore_merges, "trim_offsets": true,
        "use_regex": pattern.is_none() });
    let split = pattern.map(|pattern| {
        let split = json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        json!({ "type": "Sequence", "pretokenizers": [split, bytes] })
    });
    let merged = MERGES.iter().map(|(left, right)| format!("{left}{right}"));
    let vocab = vocab(symbols().iter().map(char::to_string).chain(merged).chain(["Ġthemill".to_owned()]));
    let merges = MERGES.iter().map(|(left, right)| [left.to_string(), right.to_string()]).collect();
    let next = vocab.len();
    let names = vec![
        added(next, "<|end|>", [false, false, false, false, true]),
        added(next + 1, "<|left|>", [false, true, false, false, true]),
        added(next + 2, "<|right|>", [false, false, true, false, false]),
        added(next + 3, "word", [true, false, false, normalizer.is_null(), false]),
        added(next + 4, "<|end|><|end|>", [false, true, true, false, false]),
    ];
    let split = split.unwrap_or_else(|| bytes.clone());
    whole([normalizer, split, json!(null)], bpe(vocab, merges, false, ignore_merges), names)
}

fn characters(parts: [Value; 2]) -> Value {
    let merges = [
        ("▁", "t"),
        ("h", "e"),
        ("▁t", "he"),
        ("▁", "▁"),
        ("▁▁", "▁▁"),
        ("水", "車"),
        ("e", "r"),
        ("l", "l"),
    ];
    let single = "▁theramil水車.é\u{301}".chars().map(String::from);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let merged = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let vocab =
        vocab(["<unk>".to_owned(), "<s>".to_owned()].into_iter().chain(bytes).chain(single).chain(merged));
    let merges = merges.iter().map(|(left, right)| [left.to_string(), right.to_string()]).collect();
    let [normalizer, splitter] = parts;
    let names = vec![
        added(0, "<unk>", [false, false, false, false, true]),
        added(1, "<s>", [false, false, false, false, true]),
    ];
    whole([normalizer, splitter, json!(null)], bpe(vocab, merges, true, false), names)
}

fn word_piece(lower: bool) -> Value {
    let tokens = "[UNK] [PAD] the mill un ##ing ##er ##s . , ! 水 車 e ##e é É a ##a i ##l m ##i t ##h ' s";
    let model = json!({ "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": vocab(tokens.split(' ').map(String::from)) });
    let normalizer = json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": lower });
    let names = vec![
        added(0, "[UNK]", [false, false, false, false, true]),
        added(1, "[PAD]", [false, false, false, false, true]),
    ];
    whole([normalizer, json!({ "type": "BertPreTokenizer" }), json!(null)], model, names)
}

fn unigram() -> Value {
    let meta = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true });
    let pieces = [
        ("<unk>", 0.0),
        ("▁", -2.0),
        ("▁the", -3.0),
        ("the", -4.5),
        ("mill", -4.0),
        ("m", -6.0),
        ("i", -6.0),
        ("l", -6.0),
        ("t", -6.0),
        ("h", -6.0),
        ("e", -6.0),
        ("水", -7.0),
        ("er", -5.0),
        ("s", -6.0),
        ("▁mill", -4.1),
    ];
    let model = json!({ "type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false });
    let split = json!({ "type": "Sequence", "pretokenizers": [{ "type": "WhitespaceSplit" }, meta] });
    whole(
        [json!(null), split, json!(null)],
        model,
        vec![added(0, "<unk>", [false, false, false, false, true])],
    )
}

static SHAPES: LazyLock<Vec<[(Encoder, Tokenizer); 2]>> = LazyLock::new(|| {
    let prepend = json!({ "type": "Prepend", "prepend": "▁" });
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let both = json!({ "type": "Sequence", "normalizers": [prepend, replace] });
    let meta = |scheme, split| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    let idle = json!({ "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious", "invert": false });
    let shapes = [
        byte_level(json!(null), None, false),
        byte_level(json!(null), None, true),
        byte_level(json!(null), Some(CL100K), true),
        byte_level(json!(null), Some(O200K), false),
        byte_level(json!({ "type": "NFC" }), Some(QWEN2), false),
        byte_level(json!({ "type": "NFKC" }), None, false),
        characters([both, json!(null)]),
        characters([replace, idle]),
        characters([json!(null), meta("first", false)]),
        characters([json!(null), meta("always", false)]),
        characters([json!(null), meta("always", true)]),
        word_piece(true),
        word_piece(false),
        unigram(),
    ];
    let pair = |json: &Value, parse: bool| {
        let bytes = serde_json::to_vec(json).unwrap();
        let mut reference = Tokenizer::from_bytes(&bytes).unwrap();
        reference.set_encode_special_tokens(!parse);
        (Encoder::read(&bytes, parse).unwrap(), reference)
    };
    shapes.iter().map(|json| [pair(json, false), pair(json, true)]).collect()
});

/// Encodes by every shape, cold and warm, and holds the ids against the tokenizers crate.
fn check(text: &str) {
    for (number, (encoder, reference)) in SHAPES.iter().flatten().enumerate() {
        let encoding = reference.encode_fast(text, false).unwrap();
        let expected: Vec<i32> = encoding.get_ids().iter().map(|&id| id as i32).collect();
        let mut memory = encoder.lend();
        for _ in 0..2 {
            let mut ids = Vec::new();
            encoder.encode(text, &mut memory, &mut ids).unwrap();
            assert_eq!(ids, expected, "{text:?} by shape {}, parse {}", number / 2, number % 2);
        }
        encoder.give_back(memory);
    }
}

#[test]
fn ids_of_every_shape_are_those_of_the_tokenizers_crate() {
    for text in [
        "",
        " ",
        "\n",
        "the mill",
        " the  mill ",
        "themill",
        " themill",
        "▁the",
        "\u{301}e",
        "a \u{301}",
        "\u{600} the",
    ] {
        check(text);
    }
    check(
        "The miller's mills: 1,234 12345 ééé e\u{301} ﬁ \u{a0}水車水車 [UNK] <unk> <s>the</s>\r\n\r\n    the\t\tthe",
    );
    check(
        "a  <|end|>  b  <|left|>  c  <|right|>  d word words sword a-word word<|end|><|end|> x<|end|><|right|>  <|left|>",
    );
    check(&"the mill ".repeat(400));
    check(&"mill".repeat(300));
    check(&"水車".repeat(300));
    check(&" ".repeat(300));
}

#[test]
fn known_shapes_do_not_go_through_the_tokenizers_crate() {
    let fast: Vec<bool> = SHAPES.iter().map(|[(encoder, _), _]| encoder.is_fast()).collect();
    // Metaspace that splits a text it does not part at white space first.
    let slow = 10;
    assert_eq!(fast, (0..fast.len()).map(|shape| shape != slow).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_gives_the_ids_of_the_tokenizers_crate(
        text in "([ -~]|[ \\n\\tthemil▁]|the|mill| <\\|end\\|>|<\\|left\\|>|<\\|right\\|>|word|\\[UNK\\]|<s>|\\p{M}|\\PC|\\s|[\\x00-\\x1f]){0,60}"
    ) {
        check(&text);
    }
}
