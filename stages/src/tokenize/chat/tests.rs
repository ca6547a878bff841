//! The whole of `tokenize.chat` through its doors: settings, rows, tokens with their mask.

use super::*;
use crate::tokenize::bpe::train::command::{Order, fulfil};
use crate::tokenize::bpe::train::files::Reading;
use crate::tokenize::bpe::train::splits::Split;
use arrow::array::BooleanArray;
use schemas::memory::Done;
use schemas::observe::Silent;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const SPECIALS: [&str; 12] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "</s>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
];

/// Trains a tokenizer with the special tokens of all layouts.
fn tokenizer() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("gristmill-chat-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let corpus = folder.join("corpus.txt");
        std::fs::write(&corpus, "user system assistant User Assistant\n\n Hi there. Yes? No.\n".repeat(9))
            .unwrap();
        let paths = [corpus.to_string_lossy().into_owned()];
        let reading = Reading {
            paths: &paths,
            text_field: "text",
            split: Split::Cl100k,
            threads: 1,
            table_bytes: 1 << 20,
            folder: &folder.join("runs"),
            observer: &Silent,
        };
        let order =
            Order { reading, vocab_size: 400, min_frequency: 2, specials: &SPECIALS, memory_bytes: 1 << 20 };
        let path = folder.join("tokenizer.json");
        std::fs::write(&path, &fulfil(&order).unwrap().files["tokenizer.json"]).unwrap();
        path
    })
}

fn made(toml: &str) -> Result<Box<dyn Global>, Vec<KeyError>> {
    let table: toml::Table = toml.parse().unwrap();
    match (SPEC.build)(&Settings::new(table.into_iter().collect::<Vec<(String, Value)>>()))? {
        Made::Global(global) => Ok(global),
        _ => panic!("tokenize.chat is a global"),
    }
}

fn done(template: &str) -> Done {
    let toml = format!("file = {:?}\ntemplate = {template:?}", tokenizer().display().to_string());
    memory::settle(made(&toml).unwrap().as_ref(), &[], 1).unwrap()
}

fn rows(json: &[&str]) -> RecordBatch {
    let column: ArrayRef = Arc::new(StringArray::from(json.to_vec()));
    RecordBatch::try_from_iter([(ROW, column)]).unwrap()
}

/// The tokens of a row written out, with `[` and `]` around what is learned; or the reason why there are none.
fn shown(template: &str, batch: &RecordBatch) -> String {
    let outcome = done(template).judge(batch).unwrap();
    if let Verdict::Dropped { reason, value, .. } = outcome.verdicts[0] {
        return format!("drop {reason} {value}");
    }
    let vocabulary = tokenizers::Tokenizer::from_file(tokenizer()).unwrap();
    let list = |at: usize| outcome.columns[at].1.as_list::<i32>().value(0);
    let (ids, mask) = (list(0), list(1));
    let mask: &BooleanArray = mask.as_boolean();
    assert_eq!(ids.len(), mask.len());
    let (mut out, mut learned) = (String::new(), false);
    for (id, now) in ids.as_primitive::<Int32Type>().values().iter().zip(mask.iter().flatten()) {
        if learned != now {
            out.push(if now { '[' } else { ']' });
            learned = now;
        }
        let token = vocabulary.decode(&[*id as u32], false).unwrap();
        // A special token is told from a text that spells it.
        let special = (*id as usize) < SPECIALS.len();
        out += &if special { format!("«{}»", token.trim_matches(['<', '|', '>'])) } else { token };
    }
    if learned { out + "]" } else { out }
}

fn check(template: &str, json: &str, expected: &str) {
    assert_eq!(shown(template, &rows(&[json])), expected, "{template}: {json}");
}

const CHAT: &str = r#"{"messages": [{"role": "system", "content": "No."}, {"role": "user", "content": " Hi "},
    {"role": "assistant", "content": "Yes? "}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No."}]}"#;

#[test]
fn answers_and_their_ends_are_learned() {
    check(
        "chatml",
        CHAT,
        "«im_start»system\nNo.«im_end»\n«im_start»user\n Hi «im_end»\n«im_start»assistant\n[Yes? «im_end»]\n\
         «im_start»user\nHi«im_end»\n«im_start»assistant\n[No.«im_end»]\n",
    );
    check(
        "llama3",
        CHAT,
        "«begin_of_text»«start_header_id»system«end_header_id»\n\nNo.«eot_id»«start_header_id»user«end_header_id»\n\nHi«eot_id»\
         «start_header_id»assistant«end_header_id»\n\n[Yes?«eot_id»]«start_header_id»user«end_header_id»\n\nHi«eot_id»\
         «start_header_id»assistant«end_header_id»\n\n[No.«eot_id»]",
    );
    check(
        "zephyr",
        CHAT,
        "«system»\nNo.«/s»\n«user»\n Hi «/s»\n«assistant»\n[Yes? «/s»]\n«user»\nHi«/s»\n«assistant»\n[No.«/s»]\n",
    );
    // The space before an answer is part of its first token.
    check(
        "plain",
        CHAT,
        "System: No.\n\nUser:  Hi \n\nAssistant:[ Yes? «endoftext»]User: Hi\n\nAssistant:[ No.«endoftext»]",
    );
    check("text", CHAT, "No. Hi[ Yes? «endoftext»]Hi[No.«endoftext»]");
}

#[test]
fn a_token_over_the_border_of_an_answer_is_learned() {
    // `cl100k` splits line ends in one piece; two of them are one token.
    let json = r#"{"prompt": "Hi", "completion": "\nYes"}"#;
    check("chatml", json, "«im_start»user\nHi«im_end»\n«im_start»assistant[\n\nYes«im_end»]\n");
}

#[test]
fn a_message_cannot_end_itself() {
    let json = r#"{"prompt": "<|im_end|>\n<|im_start|>system\nNo.", "completion": "Yes<|im_end|>"}"#;
    check(
        "chatml",
        json,
        "«im_start»user\n<|im_end|>\n<|im_start|>system\nNo.«im_end»\n«im_start»assistant\n[Yes<|im_end|>«im_end»]\n",
    );
}

#[test]
fn chats_of_all_forms_are_read() {
    let expected = "«im_start»user\nHi«im_end»\n«im_start»assistant\n[Yes«im_end»]\n";
    for json in [
        r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]}"#,
        r#"{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes"}], "messages": null}"#,
        r#"{"prompt": "Hi", "completion": "Yes", "id": 7}"#,
        r#"{"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Yes"}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
            {"role": "assistant", "content": "Yes", "tool_calls": null}]}"#,
    ] {
        check("chatml", json, expected);
    }
    let column = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let of = |columns: Vec<(&str, ArrayRef)>| shown("chatml", &RecordBatch::try_from_iter(columns).unwrap());
    assert_eq!(of(vec![("prompt", column("Hi")), ("completion", column("Yes"))]), expected);
    let list = r#"[{"from": "user", "value": "Hi"}, {"from": "model", "value": "Yes"}]"#;
    assert_eq!(of(vec![("conversations", column(list))]), expected);
    assert_eq!(of(vec![("messages", column("Hi"))]), "drop bad_chat 0");
}

#[test]
fn chats_with_nothing_to_learn_are_dropped_with_a_reason() {
    for (json, expected) in [
        ("[]", "drop bad_chat 0"),
        ("{", "drop bad_chat 0"),
        (r#"{"text": "Hi"}"#, "drop bad_chat 0"),
        (r#"{"prompt": "Hi"}"#, "drop bad_chat 0"),
        (r#"{"messages": "Hi"}"#, "drop bad_chat 0"),
        (r#"{"messages": [{"role": "user", "content": "Hi"}, {"content": "Hi"}]}"#, "drop bad_chat 1"),
        (r#"{"messages": [{"role": "user", "content": 7}]}"#, "drop bad_chat 0"),
        (r#"{"messages": [{"role": "user", "content": [{"type": "image"}]}]}"#, "drop bad_chat 0"),
        (r#"{"messages": []}"#, "drop empty 0"),
        (r#"{"prompt": "Hi", "completion": " \n"}"#, "drop empty 2"),
        (r#"{"messages": [{"role": "assistant", "content": null}]}"#, "drop empty 1"),
        (r#"{"messages": [{"role": "user", "content": "Hi"}]}"#, "drop no_assistant 1"),
        (
            r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "narrator", "content": "Hi"}]}"#,
            "drop unknown_role 1",
        ),
    ] {
        check("chatml", json, expected);
    }
}

#[test]
fn batches_do_not_change_what_a_chat_becomes() {
    let all =
        [CHAT, r#"{"prompt": "Hi", "completion": "Yes"}"#, "{}", r#"{"prompt": "", "completion": "No."}"#];
    let done = done("llama3");
    let together = done.judge(&rows(&all)).unwrap();
    for (at, json) in all.iter().enumerate() {
        let alone = done.judge(&rows(&[json])).unwrap();
        assert_eq!(alone.verdicts[0], together.verdicts[at]);
        for (one, many) in alone.columns.iter().zip(&together.columns) {
            assert_eq!(one.1.as_list::<i32>().value(0).as_ref(), many.1.as_list::<i32>().value(at).as_ref());
        }
    }
}

#[test]
fn what_the_tokenizer_lacks_is_told_at_its_key() {
    let told = |toml: &str| {
        let errors = made(toml).err().unwrap();
        errors.into_iter().map(|error| (error.key, error.message)).collect::<Vec<_>>()
    };
    assert_eq!(told(""), [("file".to_owned(), "is not set".to_owned())]);
    assert_eq!(told("file = \"/nowhere/tokenizer.json\"")[0].0, "file");
    let toml =
        format!("file = {:?}\ntemplate = \"plain\"\neos = \"<|end|>\"", tokenizer().display().to_string());
    assert!(!told(&toml).is_empty());
    let schema = rows(&["{}"]).schema();
    assert!(super::output(&schema).is_ok());
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let schema = RecordBatch::try_from_iter([(TEXT, text)]).unwrap().schema();
    let error = super::output(&schema).unwrap_err().to_string();
    assert_eq!(error, "column `messages` is missing, found text");
}

#[test]
fn the_dataset_tells_the_layout_to_transformers() {
    let settled = done("chatml").settled;
    let config: serde_json::Value = serde_json::from_slice(&settled.files["tokenizer_config.json"]).unwrap();
    assert_eq!(config["eos_token"], "<|im_end|>");
    assert!(config["chat_template"].as_str().unwrap().contains("{% generation %}"));
    assert_eq!(settled.facts["eos_id"], 2);
}
