//! Evaluation from the command line: from documents to a model, its tasks, what of them it has seen, and what people say of it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Done, Folder, gristmill};
use serde_json::{Value, json};
use std::fs;

const QUESTION: &str = "Which gas do the green plants of a pond take from the air at night?";

/// Builds a dataset that holds a question, and trains two small models on it.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    let words =
        ["river", "stone", "light", "green", "water", "morning", "letter", "garden", "silver", "winter"];
    let text = |n: usize| (0..120).map(|at| words[(n * 7 + at * at + at) % 10]).collect::<Vec<_>>().join(" ");
    let row = |n: usize| {
        let question = if n == 3 { format!("Quiz.\n{QUESTION}\nAnswer: oxygen\n") } else { String::new() };
        json!({"id": format!("d{n}"), "text": question + &text(n), "licence": "CC0-1.0"}).to_string() + "\n"
    };
    folder.write("a.jsonl", (0..60).map(row).collect::<String>());
    let recipe = "name = \"x\"\n[sources.a]\nkind = \"source.jsonl\"\npaths = [\"a.jsonl\"]\ncolumns = [\"licence\"]\n[tokenizer]\nvocab_size = 300\n\
        [dataset]\nlength = 96\n";
    folder.write("r.toml", recipe);
    gristmill(&["build", "r.toml"], &folder.0).expect(0);
    for seed in ["1", "2"] {
        let settings = ["steps=3", "layers=1", "width=16", "heads=2", "batch_sequences=2"];
        let seed = format!("seed={seed}");
        let out = format!("model-{}", &seed[5..]);
        let mut args = vec!["train", "gristmill-x/dataset", "--out", &out];
        settings.iter().chain([&seed.as_str()]).for_each(|setting| args.extend(["--set", setting]));
        gristmill(&args, &folder.0).expect(0);
    }
    let question = |question: &str, n: usize| {
        let choices = json!({"text": ["oxygen", "carbon", "helium"], "label": ["A", "B", "C"]});
        json!({"id": format!("q{n}"), "question": question, "choices": choices, "answerKey": "A"}).to_string()
            + "\n"
    };
    let other = "Which of the planets has the most moons around it in the whole system?";
    folder.write("rows/arc_easy.test.jsonl", question(QUESTION, 1) + &question(other, 2));
    folder
}

fn run(folder: &Folder, args: &[&str]) -> Done {
    gristmill(args, &folder.0)
}

#[test]
fn tasks_are_asked_and_rows_in_the_documents_are_told() {
    let folder = folder("eval-tasks");
    let asked = ["eval", "model-1", "--tasks", "arc_easy", "--rows", "rows"];
    let table = run(&folder, &asked).expect(0).out;
    assert!(table.contains("arc_easy") && table.contains("acc_norm"), "{table}");
    let dataset = ["--contamination", "--dataset", "gristmill-x/dataset", "--samples", "s.jsonl", "--json"];
    let found = run(&folder, &[&asked[..], &dataset[..]].concat()).expect(0).json();
    let seen = &found[0]["contamination"];
    assert_eq!(seen["found"][0]["item"], "q1", "{found}");
    assert_eq!((seen["rows"].as_u64(), seen["found"][0]["documents"].as_u64()), (Some(2), Some(1)));
    assert_eq!((seen["clean"][0]["rows"].as_u64(), seen["seen"][0]["rows"].as_u64()), (Some(1), Some(1)));
    let samples = fs::read_to_string(folder.join("s.jsonl")).unwrap();
    let rows: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[0]["context"], format!("Question: {QUESTION}\nAnswer:"));
    assert_eq!(rows[1]["scores"].as_array().map(Vec::len), Some(3));
    let told =
        run(&folder, &["eval", "model-1", "--statement", "--dataset", "gristmill-x/dataset"]).expect(0).out;
    assert!(told.contains("CC0-1.0: 60 documents") && told.contains("learned in 3 steps"), "{told}");
    for (args, code, expected) in [
        (&["eval", "model-1", "--tasks", "arc"][..], 2, "`--tasks` needs `--rows FOLDER`"),
        (&["eval", "model-1", "--tasks", "arc", "--rows", "rows"], 2, "no task is called `arc`"),
        (&["eval", "model-1", "--tasks", "mmlu", "--rows", "rows"], 1, "holds no `mmlu.test.jsonl`"),
        (
            &["eval", "model-1", "--tasks", "arc_easy", "--rows", "rows", "--max-length", "5000"],
            2,
            "reads 2 to 96",
        ),
    ] {
        let wrong = run(&folder, args).expect(code).err;
        assert!(wrong.contains(expected), "{expected}: {wrong}");
    }
}

#[test]
fn people_compare_two_models() {
    let folder = folder("eval-human");
    folder.write("prompts.txt", "The river\nA stone\n\nThe garden\n");
    let models = [
        "eval",
        "--human",
        "model-1",
        "--human",
        "model-2",
        "--prompts",
        "prompts.txt",
        "--answer-tokens",
        "8",
    ];
    run(&folder, &[&models[..], &["--out", "sheet.jsonl"]].concat()).expect(0);
    run(&folder, &[&models[..], &["--out", "sheet.html"]].concat()).expect(0);
    let sheet = fs::read_to_string(folder.join("sheet.jsonl")).unwrap();
    assert!(!sheet.contains("model-") && sheet.lines().count() == 3, "{sheet}");
    folder.write("filled.jsonl", sheet.replace("\"choice\":\"\"", "\"choice\":\"1\""));
    let read = ["eval", "--ratings", "filled.jsonl", "--key", "sheet.key.json", "--json"];
    let found = run(&folder, &read).expect(0).json();
    let ratings: u64 =
        found["pairs"][0]["ratings"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(ratings, 3, "{found}");
    let unfilled =
        run(&folder, &["eval", "--ratings", "sheet.jsonl", "--key", "sheet.key.json"]).expect(1).err;
    assert!(unfilled.contains("row `r1` has no choice; write 1, 2 or ="), "{unfilled}");
    let one = run(&folder, &["eval", "--human", "model-1", "--prompts", "prompts.txt", "--out", "x.csv"])
        .expect(2)
        .err;
    assert!(one.contains("give `--human` twice"), "{one}");
}

#[test]
fn bleu_needs_no_model() {
    let folder = Folder::new("eval-bleu");
    folder.write("out.txt", "the cat sat on the mat\na dog\n");
    folder.write("ref.txt", "the cat sat on a mat\na dog\n");
    let scored = run(&folder, &["eval", "--bleu", "out.txt", "--refs", "ref.txt"]).expect(0).out;
    assert!(scored.contains("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"), "{scored}");
    let case = json!({"id": 7, "mode": "sentence", "tok": "intl", "smooth": "exp", "lc": false, "hyps": ["a b"], "refs": [["a b"]]});
    folder.write("cases.jsonl", format!("{case}\n"));
    let row = run(&folder, &["eval", "--bleu", "cases.jsonl"]).expect(0).json();
    assert_eq!((row["id"].as_u64(), row["counts"].clone()), (Some(7), json!([2, 1, 0, 0])));
    let wrong = run(&folder, &["eval", "--bleu", "out.txt", "--refs", "cases.jsonl"]).expect(1).err;
    assert!(wrong.contains("cases.jsonl has 1 lines, the outputs 2"), "{wrong}");
    assert!(run(&folder, &["eval", "--list"]).expect(0).out.contains("hellaswag"));
    run(&folder, &["eval"]).expect(2);
}
