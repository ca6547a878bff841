//! A build with a mix: the shares hold in the order of the files, whatever the threads and the memory, and what reads the
//! dataset goes on reading it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int32Type};
use common::{Folder, assert_conserved, assert_same, assert_tidy, corpus, gristmill, node, report, tree};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

const LENGTH: u64 = 64;
const BUDGET: u64 = 100_000;
const SHARES: [(&str, f64); 3] =
    [("input/web.jsonl", 0.6), ("input/code.jsonl", 0.3), ("input/books/*", 0.1)];

const RECIPE: &str = r#"
name = "mixed"

[sources.web]
kind = "source.jsonl"
paths = ["input/web.jsonl"]
columns = ["set"]

[sources.code]
kind = "source.jsonl"
paths = ["input/code.jsonl"]
columns = ["set"]

[sources.books]
kind = "source.jsonl"
paths = ["input/books"]
columns = ["set"]

[[stages]]
kind = "clean.whitespace"

[[stages]]
kind = "tokenize.bpe"
vocab_size = 400

[[stages]]
kind = "pack.sequences"
length = 64
validation = 0.1
window_tokens = 4096
mix = [@MIX@]
budget_tokens = 100000
@MORE@

[[stages]]
kind = "sink.parquet"
name = "tokens"
"#;

fn recipe(mix: &[(&str, f64)], more: &str) -> String {
    let lines: Vec<String> = mix.iter().map(|(name, share)| format!("\"{name} = {share}\"")).collect();
    RECIPE.replace("@MIX@", &lines.join(", ")).replace("@MORE@", more)
}

/// Lines of a source; its documents are of no other.
fn lines(set: &str, numbers: std::ops::Range<u64>) -> String {
    let line = |n: u64| {
        let mut rng = schemas::hash::Rng::new(schemas::hash::seed(3, set, n));
        let text = corpus::prose(&mut rng, 8 + n % 14);
        serde_json::json!({ "id": format!("{set}-{n}"), "text": text, "set": set }).to_string() + "\n"
    };
    numbers.map(line).collect()
}

fn filled(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("input/web.jsonl", lines("web", 0..240));
    folder.write("input/code.jsonl", lines("code", 0..30));
    folder.write("input/books/a.jsonl", lines("books", 0..6));
    folder.write("input/books/b.jsonl", lines("books", 6..12));
    folder.write("recipe.toml", recipe(&SHARES, ""));
    folder
}

fn build(folder: &Folder, workdir: &str, more: &[&str]) {
    let args = [&["build", "recipe.toml", "--workdir", workdir], more].concat();
    gristmill(&args, &folder.0).expect(0);
    assert_tidy(&folder.join(workdir));
    assert_conserved(&report(&folder.join(workdir)));
}

/// A row of a shard: its source, and the documents in it with their tokens.
type Row = (String, Vec<(String, u64)>);

/// Rows of a split in the order of the files.
fn rows(split: &Path) -> Vec<Row> {
    let mut files: Vec<_> = fs::read_dir(split).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        for batch in
            ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap()
        {
            let batch = batch.unwrap();
            let of = |name: &str| batch.column_by_name(name).unwrap().clone();
            let sources = arrow::compute::cast(&of("source"), &DataType::Utf8).unwrap();
            let (ids, lens) = (of("doc_ids"), of("doc_lens"));
            for row in 0..batch.num_rows() {
                let names = arrow::compute::cast(&ids.as_list::<i32>().value(row), &DataType::Utf8).unwrap();
                let lens = lens.as_list::<i32>().value(row);
                let lens = lens.as_primitive::<Int32Type>().values().iter().map(|n| *n as u64);
                let names = names.as_string::<i32>().iter().map(|name| name.unwrap().to_owned());
                all.push((sources.as_string::<i32>().value(row).to_owned(), names.zip(lens).collect()));
            }
        }
    }
    all
}

/// At every prefix each source has its share to within one row.
fn assert_shares(rows: &[Row], shares: &[(&str, f64)]) {
    let mut given: BTreeMap<&str, f64> = BTreeMap::new();
    for (before, (source, _)) in rows.iter().enumerate() {
        *given.entry(source).or_default() += 1.0;
        for (name, share) in shares {
            let found = given.get(name).copied().unwrap_or(0.0);
            let wanted = share * (before + 1) as f64;
            assert!(
                (found - wanted).abs() < 1.0 + 1e-6,
                "{name}: {found}, not {wanted}, in {} rows",
                before + 1
            );
        }
    }
    assert!(given.keys().all(|found| shares.iter().any(|(name, _)| name == found)), "{given:?}");
}

/// A row holds documents of its source alone.
fn assert_pure(rows: &[Row], set_of: impl Fn(&str) -> String, sets: &BTreeMap<String, String>) {
    for (source, documents) in rows {
        assert!(!documents.is_empty());
        for (document, _) in documents {
            assert_eq!(sets[document], set_of(source), "{document} in a row of {source}");
        }
    }
}

/// The set of each document, as the ledger of the sources names it.
fn sets(folder: &Folder, workdir: &str) -> BTreeMap<String, String> {
    let query = "select id, \"set\" from documents";
    let found = gristmill(&["inspect", workdir, "--json", "--sql", query], &folder.0).expect(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    found.as_array().unwrap().iter().map(|row| (text(&row["id"]), text(&row["set"]))).collect()
}

#[test]
fn a_mix_is_the_same_at_any_threads_and_memory_and_its_shares_hold_in_the_order_of_files() {
    let folder = filled("mix");
    gristmill(&["check", "recipe.toml"], &folder.0).expect(0);
    build(&folder, "one", &["--threads", "1"]);
    let expected = tree(&folder.join("one/dataset"));
    for (workdir, threads, memory) in [("two", "2", "512"), ("small", "1", "1"), ("small2", "2", "1")] {
        build(&folder, workdir, &["--threads", threads, "--memory-mib", memory]);
        let found = tree(&folder.join(workdir).join("dataset"));
        assert_same(&found, &expected, &format!("{threads} threads, {memory} MiB"));
    }
    let verified = gristmill(&["verify", "one", "--json"], &folder.0).expect(0).json();
    let train = rows(&folder.join("one/dataset/tokens/train"));
    let validation = rows(&folder.join("one/dataset/tokens/validation"));
    assert_eq!(verified["sequences"], train.len() + validation.len());
    assert_eq!(train.len() as u64, BUDGET / LENGTH);
    assert_shares(&train, &SHARES);

    let mix: Value = serde_json::from_slice(&expected["mix.json"]).unwrap();
    assert_eq!((&mix["rows"], &mix["sequence_length"]), (&train.len().into(), &LENGTH.into()), "{mix:#}");
    for ((name, share), told) in SHARES.iter().zip(mix["sources"].as_array().unwrap()) {
        let rows = train.iter().filter(|(source, _)| source == name).count();
        assert_eq!((&told["name"], &told["rows"]), (&(*name).into(), &rows.into()), "{mix:#}");
        assert!((told["share"].as_f64().unwrap() - share).abs() < 1e-9, "{mix:#}");
    }
    let epochs = |at: usize| mix["sources"][at]["epochs"].as_f64().unwrap();
    assert!(epochs(0) < 1.0 && epochs(1) > 1.0 && epochs(2) > 1.0, "{mix:#}");
    let dropped = node(&report(&folder.join("one")), "pack.sequences")["counts"]["dropped"].clone();
    assert!(dropped["over_quota"].as_u64() > Some(0) && dropped.get("not_in_mix").is_none(), "{dropped}");

    // No document is on both sides, and each held-out one is there once.
    let names = |rows: &[Row]| -> BTreeMap<String, u64> {
        let mut tokens = BTreeMap::new();
        for (document, count) in rows.iter().flat_map(|(_, documents)| documents) {
            *tokens.entry(document.clone()).or_default() += count;
        }
        tokens
    };
    let (trained, held_out) = (names(&train), names(&validation));
    assert!(!held_out.is_empty() && held_out.keys().all(|name| !trained.contains_key(name)));
    let told: u64 = mix["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["held_out_tokens"].as_u64().unwrap())
        .sum();
    assert_eq!(held_out.values().sum::<u64>(), told, "{mix:#}");

    let small = ["steps=3", "layers=1", "width=32", "heads=2", "batch_sequences=4"];
    let sets = small.iter().flat_map(|set| ["--set", set]);
    let train: Vec<&str> = ["train", "one/dataset", "--out", "model"].into_iter().chain(sets).collect();
    gristmill(&train, &folder.0).expect(0);
}

#[test]
fn a_mix_by_a_column_keeps_sources_apart() {
    let folder = filled("mix-column");
    let shares = [("web", 0.5), ("code", 0.5)];
    let documents = "mix_column = \"set\"\n[[stages]]\nkind = \"sink.jsonl\"\nname = \"documents\"\ninput = \
                     [\"clean.whitespace\"]";
    folder.write("recipe.toml", recipe(&shares, documents));
    build(&folder, "work", &[]);
    let train = rows(&folder.join("work/dataset/tokens/train"));
    assert_shares(&train, &shares);
    let sets = sets(&folder, "work");
    assert_pure(&train, str::to_owned, &sets);
    assert_pure(&rows(&folder.join("work/dataset/tokens/validation")), str::to_owned, &sets);
    let dropped = node(&report(&folder.join("work")), "pack.sequences")["counts"]["dropped"].clone();
    assert_eq!(dropped["not_in_mix"], 12, "{dropped}");
    // The budget gives way where a source would be read more than four times.
    let mix: Value =
        serde_json::from_slice(&fs::read(folder.join("work/dataset/mix.json")).unwrap()).unwrap();
    assert!(
        mix["rows"].as_u64() < Some(BUDGET / LENGTH) || mix["sources"][1]["epochs"].as_f64() <= Some(4.0)
    );
    gristmill(&["verify", "work"], &folder.0).expect(0);
}

#[test]
fn a_source_or_column_that_is_not_there_is_told_with_what_was_meant() {
    let folder = filled("mix-wrong");
    let told = |recipe: String, args: &[&str], code: i32, expected: &str| {
        folder.write("recipe.toml", recipe);
        let done = gristmill(args, &folder.0).expect(code);
        // Words as they were before lines were broken.
        let words: Vec<&str> = done.err.split_whitespace().filter(|word| *word != "│").collect();
        assert!(words.join(" ").contains(expected), "{}", done.err);
        assert!(!folder.join("work/dataset").exists());
    };
    let (check, build) = (["check", "recipe.toml"], ["build", "recipe.toml", "--workdir", "work"]);
    told(recipe(&SHARES, "mix_column = \"sets\""), &check, 2, "did you mean `set`?");
    told(recipe(&[("web", 2.0), ("code", 1.0), ("web", 3.0)], ""), &check, 2, "`web` is there twice");
    let near = [("input/wbe.jsonl", 0.5), ("input/code.jsonl", 0.5)];
    told(recipe(&near, ""), &build, 1, "did you mean `input/web.jsonl`?");
    told(recipe(&[("web", 0.5)], ""), &build, 1, "`input/web.jsonl`");
}
