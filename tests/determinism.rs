//! Same input, recipe and version: same bytes, at any number of threads and in any memory; and only what changed runs
//! again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Folder, assert_conserved, assert_same, assert_tidy, corpus, gristmill, node, report, tree};
use std::fs;

/// Builds the recipe of a folder into a working folder.
fn build(folder: &Folder, workdir: &str, more: &[&str]) {
    let args = [&["build", "recipe.toml", "--workdir", workdir], more].concat();
    gristmill(&args, &folder.0).expect(0);
    assert_tidy(&folder.join(workdir));
    assert_conserved(&report(&folder.join(workdir)));
}

#[test]
fn a_dataset_is_the_same_at_any_threads_and_memory() {
    let folder = Folder::new("threads");
    corpus::write_all(&folder.0, 11, 480);
    build(&folder, "one", &["--threads", "1"]);
    let expected = tree(&folder.join("one/dataset"));
    for kept in ["documents/", "tokens/train/", "tokens/validation/", "ledger/", "dropped/", "tokenizer.json"]
    {
        assert!(expected.keys().any(|name| name.starts_with(kept)), "no {kept} in {:?}", expected.keys());
    }
    for (workdir, threads, memory) in
        [("two", "2", "512"), ("eight", "8", "512"), ("small", "1", "1"), ("small8", "8", "1")]
    {
        build(&folder, workdir, &["--threads", threads, "--memory-mib", memory]);
        let found = tree(&folder.join(workdir).join("dataset"));
        assert_same(&found, &expected, &format!("{threads} threads, {memory} MiB"));
    }
    every_stage_had_work(&folder);
    let runs = |workdir: &str| {
        node(&report(&folder.join(workdir)), "dedup.minhash")["spilled_runs"].as_u64().unwrap()
    };
    assert!(runs("small8") > runs("one") && runs("small") > runs("one"), "1 MiB held everything");
}

/// The corpus is such that the test above means something.
fn every_stage_had_work(folder: &Folder) {
    let report = report(&folder.join("one"));
    for name in
        ["dedup.url", "filter.language", "filter.length", "filter.repetition", "dedup.exact", "dedup.minhash"]
    {
        let dropped = &node(&report, name)["counts"]["dropped"];
        assert!(!dropped.as_object().unwrap().is_empty(), "{name} dropped nothing: {report:#}");
    }
    for name in ["clean.unicode", "clean.whitespace", "clean.emoji", "clean.pii"] {
        assert!(node(&report, name)["counts"]["edited"].as_u64() > Some(0), "{name} edited nothing");
    }
    assert!(node(&report, "documents")["counts"]["kept"].as_u64() > Some(100), "{report:#}");
}

#[test]
fn a_changed_limit_runs_only_what_lies_behind_it() {
    let folder = Folder::new("changed");
    corpus::write_all(&folder.0, 12, 120);
    build(&folder, "work", &[]);
    fs::write(folder.join("recipe.toml"), corpus::recipe(140)).unwrap();

    let plan = gristmill(&["plan", "recipe.toml", "--workdir", "work", "--json"], &folder.0).expect(0).json();
    let why = |name: &str| {
        let row = plan.as_array().unwrap().iter().find(|n| n["name"] == name).unwrap();
        (row["cached"] == row["streams"], row["why"].as_str().unwrap().to_owned())
    };
    assert_eq!(why("clean.emoji"), (true, String::new()));
    assert_eq!(why("filter.length"), (false, "words_min: 30 → 140".into()));
    assert_eq!(why("filter.gopher"), (false, "behind filter.length".into()));
    let shown = gristmill(&["plan", "recipe.toml", "--workdir", "work"], &folder.0).expect(0).out;
    assert!(shown.contains("(words_min: 30 → 140)") && shown.contains("will be written"), "{shown}");

    build(&folder, "work", &[]);
    let again = report(&folder.join("work"));
    let mut behind = false;
    for row in again["nodes"].as_array().unwrap() {
        behind |= row["name"] == "filter.length";
        let (computed, cached) = (row["computed"].as_u64().unwrap(), row["cached"].as_u64().unwrap());
        assert!(computed + cached > 0, "{row}");
        assert_eq!(if behind { cached } else { computed }, 0, "{row}");
    }
    assert!(node(&again, "filter.length")["counts"]["dropped"]["too_short"].as_u64() > Some(3), "{again:#}");
    build(&folder, "fresh", &[]);
    assert_same(&tree(&folder.join("work/dataset")), &tree(&folder.join("fresh/dataset")), "from the cache");

    // Back again: everything is still there, and what is current is not built.
    fs::write(folder.join("recipe.toml"), corpus::recipe(30)).unwrap();
    build(&folder, "work", &[]);
    for row in report(&folder.join("work"))["nodes"].as_array().unwrap() {
        let sink = row["kind"].as_str().unwrap().starts_with("sink.");
        assert!(sink || row["computed"] == 0, "{row}");
    }
    let same =
        gristmill(&["build", "recipe.toml", "--workdir", "work", "--json"], &folder.0).expect(0).json();
    assert_eq!(same["committed"], "current");
}

#[test]
fn a_new_file_runs_alone() {
    let folder = Folder::new("added");
    corpus::write_all(&folder.0, 13, 60);
    build(&folder, "work", &[]);
    folder.write("input/lines/z.jsonl", corpus::json_lines(14, 1000..1010));
    let plan = gristmill(&["plan", "recipe.toml", "--workdir", "work"], &folder.0).expect(0).out;
    assert!(plan.contains("(input/lines/z.jsonl new)"), "{plan}");
    build(&folder, "work", &[]);
    let again = report(&folder.join("work"));
    assert_eq!(node(&again, "lines")["computed"], 1, "{again:#}");
    assert_eq!(node(&again, "pages")["computed"], 0, "{again:#}");
    build(&folder, "fresh", &[]);
    assert_same(&tree(&folder.join("work/dataset")), &tree(&folder.join("fresh/dataset")), "from the cache");
}

/// Sources whose files share their names, and a file that two paths lead to.
const SHARED_NAMES: &str = r#"
name = "spelt"

[sources.lines]
kind = "source.jsonl"
paths = ["in", "../beside/in", "nested/../in/a.jsonl"]

[sources.pages]
kind = "source.html"
paths = ["site", "../beside/site"]

[[stages]]
name = "extracted"
kind = "extract.html"
input = ["pages"]

[[stages]]
kind = "sink.jsonl"
input = ["lines", "extracted"]
"#;

#[test]
fn a_dataset_is_the_same_however_the_recipe_is_named() {
    let folder = Folder::new("spelt");
    for place in ["here", "elsewhere/deeper"] {
        for (at, beside) in [(0, "recipes"), (10, "beside")] {
            folder.write(&format!("{place}/{beside}/in/a.jsonl"), corpus::json_lines(15, at..at + 4));
            folder.write(&format!("{place}/{beside}/site/a.html"), format!("<p>Page of {beside}."));
        }
        folder.write(&format!("{place}/recipes/nested/x"), "");
        folder.write(&format!("{place}/recipes/recipe.toml"), SHARED_NAMES);
    }
    let absolute = folder.join("here/recipes/recipe.toml").display().to_string();
    let mut expected = None;
    for (number, (current, recipe)) in [
        ("here/recipes", "recipe.toml"),
        ("here/recipes", "./recipe.toml"),
        ("here/recipes", absolute.as_str()),
        ("here/beside", "../recipes/recipe.toml"),
        ("", "here/recipes/../recipes/recipe.toml"),
        ("elsewhere", "deeper/recipes/recipe.toml"),
    ]
    .iter()
    .enumerate()
    {
        let workdir = folder.join(&format!("work{number}")).display().to_string();
        gristmill(&["build", recipe, "--workdir", &workdir], &folder.join(current)).expect(0);
        assert_conserved(&report(&folder.join(&format!("work{number}"))));
        assert_eq!(node(&report(&folder.join(&format!("work{number}"))), "lines")["counts"]["kept"], 8);
        let found = tree(&folder.join(&format!("work{number}/dataset")));
        assert_same(
            &found,
            expected.get_or_insert_with(|| found.clone()),
            &format!("{recipe} in {current:?}"),
        );
    }
}

/// The token shards are where the manifest says, and what a tokenizer was trained to is in the cache.
#[test]
fn shards_of_any_name_are_trained_on_and_a_tokenizer_is_trained_once() {
    let folder = Folder::new("shards");
    folder.write("input/a.jsonl", corpus::json_lines(15, 0..40));
    let recipe = "[sources.lines]\nkind = \"source.jsonl\"\npaths = [\"input\"]\n[[stages]]\nkind = \"tokenize.bpe\"\n\
                  vocab_size = 300\n[[stages]]\nkind = \"pack.sequences\"\nlength = 32\nvalidation = 0.2\n[[stages]]\n\
                  kind = \"sink.parquet\"\nname = \"shards\"\n";
    folder.write("recipe.toml", recipe);
    build(&folder, "work", &[]);
    let manifest = tree(&folder.join("work/dataset"))["manifest.json"].clone();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["tokens"]["folder"], "shards", "{manifest:#}");
    assert!(folder.join("work/dataset/shards/train/part-00000.parquet").exists());
    let verified = gristmill(&["verify", "work", "--json"], &folder.0).expect(0).json();
    assert!(verified["sequences"].as_u64() > Some(50), "{verified:#}");
    let small = ["steps=2", "layers=1", "width=32", "heads=2", "batch_sequences=2"];
    let sets = small.iter().flat_map(|set| ["--set", set]);
    let train: Vec<&str> = ["train", "work/dataset", "--out", "model"].into_iter().chain(sets).collect();
    gristmill(&train, &folder.0).expect(0);

    let expected = tree(&folder.join("work/dataset"));
    fs::remove_dir_all(folder.join("work/dataset")).unwrap();
    // What the training came to is a file of the cache, which a second training would write again.
    let settled = || {
        let folders = fs::read_dir(folder.join("work/cache/settled")).unwrap();
        let files = folders.flat_map(|inner| fs::read_dir(inner.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().metadata().unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let before = settled();
    build(&folder, "work", &[]);
    assert_eq!((before.len(), settled()), (1, before));
    assert_same(&tree(&folder.join("work/dataset")), &expected, "with the tokenizer of the cache");
}

/// Rows do not wait for a tokenizer that is there; with another one they are read from where they lie.
#[test]
fn a_tokenizer_from_a_file_is_passed_and_another_runs_alone() {
    let folder = Folder::new("passed");
    folder.write("input/a.jsonl", corpus::json_lines(16, 0..40));
    for (size, out) in [("400", "one.json"), ("300", "two.json")] {
        gristmill(&["tokenizer", "train", "input", "--vocab-size", size, "--out", out], &folder.0).expect(0);
    }
    let recipe = |file: &str| {
        format!(
            "[sources.lines]\nkind = \"source.jsonl\"\npaths = [\"input\"]\n[[stages]]\nkind = \"filter.length\"\n\
             words_min = 10\n[tokenizer]\nfile = \"{file}\"\n[dataset]\nlength = 32\n"
        )
    };
    folder.write("recipe.toml", recipe("one.json"));
    build(&folder, "work", &["--threads", "1"]);
    build(&folder, "eight", &["--threads", "8"]);
    assert_same(&tree(&folder.join("eight/dataset")), &tree(&folder.join("work/dataset")), "8 threads");
    folder.write("recipe.toml", recipe("two.json"));
    build(&folder, "work", &[]);
    let again = report(&folder.join("work"));
    let computed = ["filter.length", "tokenizer"].map(|name| node(&again, name)["computed"].clone());
    assert_eq!(computed, [0, 1], "{again:#}");
    build(&folder, "fresh", &[]);
    assert_same(&tree(&folder.join("work/dataset")), &tree(&folder.join("fresh/dataset")), "from the cache");
}
