//! Pairs of translations from documents to a model: numbers written out in English and German by rule, a parallel text that nobody has to
//! own.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Folder, gristmill};
use serde_json::{Value, json};
use std::fs;

const RECIPE: &str = r#"
name = "numbers"

[sources.numbers]
kind = "source.jsonl"
paths = ["numbers.jsonl"]
columns = ["language"]

[tokenizer]
vocab_size = 400
special_tokens = "parse"

[dataset]
length = 64
validation = 0.1
"#;

const ENGLISH: [&str; 20] = [
    "",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const ENGLISH_TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const GERMAN: [&str; 20] = [
    "",
    "ein",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const GERMAN_TENS: [&str; 10] =
    ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];

/// 1 to 999 in English.
fn english(n: usize) -> String {
    let below = match n % 100 {
        n @ 0..20 => ENGLISH[n].to_owned(),
        n if n % 10 == 0 => ENGLISH_TENS[n / 10].to_owned(),
        n => format!("{}-{}", ENGLISH_TENS[n / 10], ENGLISH[n % 10]),
    };
    match n / 100 {
        0 => below,
        hundreds => format!("{} hundred {below}", ENGLISH[hundreds]).trim_end().to_owned(),
    }
}

/// 1 to 999 in German.
fn german(n: usize) -> String {
    let below = match n % 100 {
        1 => "eins".to_owned(),
        n @ 0..20 => GERMAN[n].to_owned(),
        n if n % 10 == 0 => GERMAN_TENS[n / 10].to_owned(),
        n => format!("{}und{}", GERMAN[n % 10], GERMAN_TENS[n / 10]),
    };
    match n / 100 {
        0 => below,
        hundreds => format!("{}hundert{below}", GERMAN[hundreds]),
    }
}

/// Every number alone in both languages and as a pair, in turn.
fn documents() -> String {
    let row = |n: usize| {
        let (text, language) = match n % 4 {
            0 => (english(n), "eng"),
            1 => (german(n), "deu"),
            _ => (format!("{}<|endoftext|>{}", english(n), german(n)), "eng+deu"),
        };
        json!({ "text": text, "language": language }).to_string() + "\n"
    };
    (1..1000).map(row).collect()
}

#[test]
fn numbers_are_written_by_rule() {
    assert_eq!(
        (english(241).as_str(), german(241).as_str()),
        ("two hundred forty-one", "zweihunderteinundvierzig")
    );
    assert_eq!((english(900).as_str(), german(901).as_str()), ("nine hundred", "neunhunderteins"));
    assert_eq!((english(13).as_str(), german(30).as_str()), ("thirteen", "dreißig"));
}

#[test]
fn a_model_of_pairs_knows_the_languages_of_their_texts() {
    let folder = Folder::new("translation");
    folder.write("numbers.jsonl", documents());
    folder.write("recipe.toml", RECIPE);
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let small = ["steps=3", "layers=1", "width=16", "heads=2", "eval_every=0"];
    let mut args = vec!["presets", "work", "--out", "out", "--only", "xlm", "--json"];
    small.iter().for_each(|setting| args.extend(["--set", setting]));
    // Three steps beat nothing, and the exit code says so.
    let done = gristmill(&args, &folder.0).expect(1);
    let outcome = done.json()[0].clone();
    assert_eq!((&outcome["preset"], &outcome["objective"]), (&json!("xlm"), &json!("translation")));
    assert!(
        outcome["bigram_loss"].as_f64().unwrap() < outcome["untrained_loss"].as_f64().unwrap(),
        "{outcome}"
    );
    assert_eq!((&outcome["passed"], &outcome["bits_per_byte"]), (&json!(false), &Value::Null));
    let config: Value =
        serde_json::from_slice(&fs::read(folder.join("out/xlm/config.json")).unwrap()).unwrap();
    assert_eq!(config["objective"]["languages"], json!(["deu", "eng", "und"]));
    // Nothing is trained or measured a second time.
    assert_eq!(gristmill(&args, &folder.0).expect(1).json()[0], outcome);
    let refused = gristmill(&["generate", "out/xlm", "--prompt", "one"], &folder.0).expect(1);
    assert!(refused.err.contains("continues no text"), "{}", refused.err);
    let unknown = gristmill(&["presets", "work", "--out", "out", "--only", "gpt4"], &folder.0).expect(2);
    assert!(unknown.err.contains("no preset is called `gpt4`; there are gpt3, llama"), "{}", unknown.err);
}
