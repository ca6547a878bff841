//! `gristmill tokenizer train` and `report`: the same tokenizer from every form of the same texts, and from a recipe.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Folder, corpus, gristmill};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;

const DOCUMENTS: u64 = 120;

/// A corpus as JSON lines, gzip, two files, and Parquet.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    let lines = corpus::json_lines(23, 0..DOCUMENTS);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    folder.write("a.jsonl.gz", packed.finish().unwrap());
    let half = lines.match_indices('\n').nth(DOCUMENTS as usize / 2).unwrap().0 + 1;
    folder.write("parts/1.jsonl", &lines[..half]);
    folder.write("parts/2.jsonl", &lines[half..]);
    folder.write("a.jsonl", lines);
    let keep = ["stage", "filter.length", "--in", "a.jsonl", "--out", "a.parquet", "--set", "words_min=0"];
    gristmill(&keep, &folder.0).expect(0);
    folder
}

fn train(folder: &Folder, files: &[&str], more: &[&str]) -> Value {
    let args = [
        &["tokenizer", "train"],
        files,
        &["--vocab-size", "700", "--out", "t/tokenizer.json", "--json"],
        more,
    ];
    serde_json::from_str(&gristmill(&args.concat(), &folder.0).expect(0).out).unwrap()
}

#[test]
fn every_form_of_the_same_texts_gives_the_same_tokenizer() {
    let folder = folder("tokenizer-forms");
    let told = train(&folder, &["a.jsonl"], &[]);
    let expected = fs::read(folder.join("t/tokenizer.json")).unwrap();
    assert_eq!((&told["vocab_size"], &told["merges"]), (&json!(700), &json!(443)));
    assert_eq!(
        (&told["documents"], &told["rows_bad"], &told["words_left_out"]),
        (&json!(DOCUMENTS), &json!(0), &json!(0))
    );
    for (files, more) in [
        (&["a.jsonl.gz"][..], &["--threads", "1"][..]),
        (&["parts"], &["--threads", "3", "--memory-mib", "16"]),
        (&["a.parquet"], &[]),
        (&["parts/2.jsonl", "parts/1.jsonl"], &["--progress", "none"]),
    ] {
        let same = train(&folder, files, more);
        assert_eq!(fs::read(folder.join("t/tokenizer.json")).unwrap(), expected, "{files:?}");
        assert_eq!(
            ["documents", "words", "words_distinct", "text_bytes"].map(|key| &same[key]),
            ["documents", "words", "words_distinct", "text_bytes"].map(|key| &told[key])
        );
    }
    let left: Vec<String> = fs::read_dir(folder.join("t"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_recipe_trains_the_tokenizer_that_the_command_trains() {
    let folder = folder("tokenizer-recipe");
    for (split, more) in [("gpt2", &[][..]), ("cl100k", &["--split", "cl100k"])] {
        train(&folder, &["a.jsonl"], more);
        let recipe = format!(
            "name = \"r\"\n[sources.in]\nkind = \"source.jsonl\"\npaths = [\"a.jsonl\"]\n\
             [[stages]]\nkind = \"tokenize.bpe\"\nvocab_size = 700\nsplit = \"{split}\"\n[[stages]]\nkind = \"sink.parquet\"\n"
        );
        folder.write("r.toml", recipe);
        gristmill(&["build", "r.toml", "--workdir", split], &folder.0).expect(0);
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            let [command, recipe] = [folder.join("t"), folder.join(split).join("dataset")]
                .map(|at| fs::read_to_string(at.join(file)).unwrap());
            assert_eq!(command, recipe, "{split}: {file}");
        }
    }
}

#[test]
fn a_text_file_is_one_document() {
    let folder = Folder::new("tokenizer-text");
    folder.write("a.txt", "the mill, the miller\n".repeat(100_000));
    folder.write("b.jsonl", format!("{}\n", json!({ "text": "the mill, the miller\n".repeat(100_000) })));
    let text = train(&folder, &["a.txt"], &["--eos", "<|end|>", "--special", "<|im_start|>"]);
    let trained: Value = serde_json::from_slice(&fs::read(folder.join("t/tokenizer.json")).unwrap()).unwrap();
    assert_eq!(trained["added_tokens"][1]["content"], "<|im_start|>");
    assert_eq!(trained["model"]["vocab"]["<|im_start|>"], 1);
    let line = train(&folder, &["b.jsonl"], &["--eos", "<|end|>", "--special", "<|im_start|>"]);
    assert_eq!((&text["documents"], &text["words"]), (&json!(1), &line["words"]));
    assert_eq!(
        serde_json::from_slice::<Value>(&fs::read(folder.join("t/tokenizer.json")).unwrap()).unwrap(),
        trained
    );
}

/// The exit code and what is told on standard error.
fn wrong(folder: &Folder, code: i32, args: &[&str], expected: &[&str]) {
    let args = [&["tokenizer", "train"], args].concat();
    let told = gristmill(&args, &folder.0).expect(code).err;
    assert!(expected.iter().all(|part| told.contains(part)), "{args:?}\n{told}");
    assert!(!folder.join("t").exists(), "{args:?}");
}

#[test]
fn bad_input_is_told_and_nothing_is_written() {
    let folder = Folder::new("tokenizer-bad");
    folder.write("empty.jsonl", "");
    folder.write("other.jsonl", "{\"body\": \"a\"}\n[]\n");
    folder.write("bytes.txt", b"ab\xff");
    folder.write("broken.jsonl.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03broken");
    folder.write("broken.parquet", "PAR1");
    let out = ["--out", "t/tokenizer.json", "--vocab-size", "300"];
    let with = |file: &'static str| [&[file][..], &out].concat();
    wrong(&folder, 1, &with("nowhere.jsonl"), &["nowhere.jsonl"]);
    wrong(&folder, 1, &with("empty.jsonl"), &["there is no text in 1 files"]);
    wrong(&folder, 1, &with("other.jsonl"), &["2 rows without a string in `text`"]);
    wrong(&folder, 1, &with("bytes.txt"), &["bytes.txt", "byte at 2"]);
    wrong(&folder, 1, &with("broken.jsonl.gz"), &["broken.jsonl.gz"]);
    wrong(&folder, 1, &with("broken.parquet"), &["broken.parquet"]);
    let wrong_use =
        ["a.jsonl", "--out", "t/tokenizer.json", "--vocab-size", "256", "--split", "gpt3", "--eos", "a"];
    wrong(&folder, 2, &wrong_use, &["--vocab-size 256", "257", "gpt3", "cl100k", "fewer than two"]);
    wrong(&folder, 2, &["a.jsonl"], &["--vocab-size"]);
}

#[test]
fn a_report_counts_by_field() {
    let folder = Folder::new("tokenizer-report");
    let row = |text: &str, language: Value| format!("{}\n", json!({ "text": text, "lang": language }));
    let rows = [
        row("the mill the mill", json!("en")),
        row("", json!("en")),
        row("die Mühle", json!("de")),
        row("???", Value::Null),
        "{}\n".to_owned(),
    ];
    folder.write("a.jsonl", rows.concat());
    train(&folder, &["a.jsonl"], &["--min-frequency", "100"]);
    let args = ["tokenizer", "report", "t", "a.jsonl", "--by", "lang"];
    let json = gristmill(&[&args[..], &["--json"]].concat(), &folder.0).expect(0).out;
    let told: Value = serde_json::from_str(&json).unwrap();
    let group = |at: usize| {
        let group = &told["groups"][at];
        let counts = ["documents", "documents_without_tokens", "bytes", "tokens", "words"];
        (group["group"].as_str().unwrap().to_owned(), counts.map(|key| group[key].as_u64().unwrap()))
    };
    assert_eq!(group(0), (String::new(), [2, 1, 3, 3, 0]));
    assert_eq!(group(1), ("de".to_owned(), [1, 0, 10, 10, 2]));
    assert_eq!(group(2), ("en".to_owned(), [2, 1, 17, 17, 4]));
    assert_eq!(told["groups"][2]["fertility"], 4.25);
    assert_eq!(told["total"]["documents"], 5);
    assert_eq!(told["groups"][0]["fertility"], Value::Null);
    let table = gristmill(&args, &folder.0).expect(0).out;
    assert!(table.contains("tokens/word") && table.contains("(none)") && table.contains("all"), "{table}");
    let error = gristmill(&["tokenizer", "report", "nowhere.json", "a.jsonl"], &folder.0).expect(2).err;
    assert!(error.contains("nowhere.json"), "{error}");
}
