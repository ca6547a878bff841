//! The recipes of `examples/` have no mistakes, and the JSON Schema in the repository is the one that the program prints.
//! `UPDATE=1 cargo test` writes it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

use pipeline::dag::{self, Kinds, TrainKeys};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_examples_have_no_mistakes() {
    let kinds = Kinds {
        all: stages::ALL,
        train: Some(TrainKeys { keys: model::Config::KEYS, check: model::config::check }),
    };
    let place = std::env::temp_dir().join(format!("gristmill-examples-{}", std::process::id()));
    for file in ["warc/a.warc.gz", "input/a.jsonl", "books.jsonl", "eval/a.jsonl", "chats/a.jsonl"] {
        let file = place.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "{\"text\": \"one\"}\n").unwrap();
    }
    let trained = Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args([
            "tokenizer",
            "train",
            "books.jsonl",
            "--vocab-size",
            "259",
            "--out",
            "tokenizer/tokenizer.json",
        ])
        .args(["--special", "<|im_start|>", "--special", "<|im_end|>"])
        .current_dir(&place)
        .output()
        .unwrap();
    assert!(trained.status.success(), "{trained:?}");
    let mut files = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            files += 1;
            let copy = place.join(path.file_name().unwrap());
            fs::copy(&path, &copy).unwrap();
            if let Err(mistakes) = dag::check(&copy, &kinds, &|_| None) {
                panic!("{mistakes}");
            }
        }
    }
    fs::remove_dir_all(&place).unwrap();
    assert!(files >= 4, "{files} examples");
}

#[test]
fn the_schema_is_fresh() {
    let printed =
        Command::new(env!("CARGO_BIN_EXE_gristmill")).args(["stages", "--schema"]).output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/recipe.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/reference/recipe.schema.json is stale; run `UPDATE=1 cargo test`");
}
