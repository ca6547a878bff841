//! The command line as a user meets it: what goes in, what comes out, and with which exit code.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Done, Folder, command, corpus, gristmill, node, tree};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

const COMMANDS: [&str; 24] = [
    "demo",
    "new",
    "check",
    "plan",
    "build",
    "run",
    "train",
    "align",
    "presets",
    "mup",
    "sweep",
    "scale",
    "trace",
    "eval",
    "generate",
    "inspect",
    "explain",
    "verify",
    "export",
    "forget",
    "stage",
    "fit",
    "stages",
    "tokenizer",
];

fn here(args: &[&str]) -> Done {
    gristmill(args, Path::new("."))
}

#[test]
fn every_command_helps_with_an_example() {
    let all = here(&["--help"]).expect(0).out;
    let listed: Vec<&str> = all
        .lines()
        .skip_while(|l| !l.starts_with("Commands:"))
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.split_ascii_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, COMMANDS, "this test knows all commands");
    for name in COMMANDS {
        let help = here(&[name, "--help"]).expect(0).out;
        assert!(help.contains(&format!("gristmill {name}")) && help.contains("Example"), "{help}");
        assert!(help.contains("Exit codes: 0 done;"), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
}

#[test]
fn kinds_that_learn_are_listed_and_mistakes_told() {
    let all = here(&["fit", "--json"]).expect(0).json();
    assert!(all.as_array().unwrap().iter().all(|f| f["keys"].as_array().is_some_and(|k| !k.is_empty())));
    let told = |args: &[&str]| here(args).expect(2).err;
    assert!(told(&["fit", "filter.toxicty", "--out", "x"]).contains("did you mean `filter.toxicity`?"));
    assert!(told(&["fit", "filter.toxicity"]).contains("--out"));
    assert!(told(&["fit", "filter.toxicity", "--out", "x"]).contains("`data`: name the folder"));
}

#[test]
fn stages_are_listed() {
    let all = here(&["stages", "--json"]).expect(0).json();
    let kinds: Vec<&str> = all.as_array().unwrap().iter().map(|s| s["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, stages::ALL.iter().map(|s| s.kind).collect::<Vec<_>>());
    let one = here(&["stages", "filter.length"]).expect(0).out;
    assert!(one.contains("words_min") && one.contains("drops too_short"), "{one}");
    for (table, key) in [
        ("tokenizer", "vocab_size"),
        ("dataset", "validation"),
        ("train", "learning_rate"),
        ("align", "lora_rank"),
    ] {
        let told = here(&["stages", table]).expect(0).out;
        assert!(told.contains(&format!("[{table}]  ")) && told.contains(key), "{told}");
        let told = here(&["stages", table, "--json"]).expect(0).json();
        assert!(told[0]["keys"].as_array().unwrap().iter().any(|known| known["name"] == key), "{told}");
    }
    let none = here(&["stages", "filter.lenght"]).expect(2);
    assert!(none.err.contains("did you mean `filter.length`?"), "{}", none.err);
}

/// A reader that goes away is no failure, as with any tool in a pipe.
#[test]
fn a_closed_pipe_is_no_failure() {
    for args in [&["stages"][..], &["stages", "--json"], &["--help"]] {
        let mut child =
            command(args, Path::new(".")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(child.wait().unwrap().success() && err.is_empty(), "{args:?}: {err}");
    }
}

#[test]
fn a_new_recipe_is_checked_and_built() {
    let folder = Folder::new("new");
    gristmill(&["new", "mine"], &folder.0).expect(0);
    assert_eq!(gristmill(&["check", "mine/recipe.toml", "--json"], &folder.0).expect(0).out, "[]\n");
    assert!(gristmill(&["check", "mine/recipe.toml"], &folder.0).expect(0).out.contains("no mistakes"));
    let built = gristmill(&["build", "mine/recipe.toml", "--json"], &folder.0).expect(0);
    assert_eq!(built.node("documents")["counts"]["kept"], 1);
    assert!(folder.join("gristmill-mine/dataset/manifest.json").is_file());
    gristmill(&["verify", "gristmill-mine"], &folder.0).expect(0);
    let again = gristmill(&["new", "mine"], &folder.0).expect(2);
    assert!(again.err.contains("is there already"), "{}", again.err);
}

/// The recipe of the demo is filled in when it runs; with anything filled in it has no mistake.
#[test]
fn the_recipe_of_the_demo_has_no_mistake() {
    let folder = Folder::new("demo");
    let recipe =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/demo/demo.toml")).unwrap();
    let filled = recipe
        .replace("@SEEDS@", "\"http://127.0.0.1:1/\"")
        .replace("@PAGES@", "5")
        .replace("@SECONDS@", "5");
    folder.write("demo.toml", filled);
    assert_eq!(gristmill(&["check", "demo.toml", "--json"], &folder.0).out, "[]\n");
}

#[test]
fn exit_codes_tell_wrong_use_from_failure() {
    let folder = Folder::new("codes");
    folder.write("wrong.toml", "[sources.a]\nkind = \"source.jsnol\"\npaths = [\"a\"]\n");
    folder.write("absent.toml", "[sources.a]\nkind = \"source.jsonl\"\npaths = [\"nowhere.jsonl\"]\n");
    folder.write("a.jsonl", "{\"text\":\"one\"}\n");
    fs::create_dir(folder.join("empty")).unwrap();
    let stage = |kind, more: &[&'static str]| {
        [&["stage", kind, "--in", "a.jsonl", "--out", "o.jsonl"], more].concat()
    };
    for (code, words, args) in [
        (2, "did you mean `source.jsonl`?", vec!["build", "wrong.toml"]),
        (2, "did you mean `source.jsonl`?", vec!["check", "wrong.toml"]),
        (2, "no-such.toml", vec!["check", "no-such.toml"]),
        (2, "nowhere.jsonl", vec!["check", "absent.toml"]),
        (2, "unexpected argument", vec!["build", "--nonsense"]),
        (2, "did you mean `filter.length`?", stage("filter.lenght", &[])),
        (2, "word_min", stage("filter.length", &["--set", "word_min=3"])),
        (2, "key=value", stage("filter.length", &["--set", "words_min"])),
        (2, "does not judge documents", stage("source.jsonl", &[])),
        (2, "cannot read", vec!["stage", "filter.length", "--in", "none.jsonl", "--out", "o.jsonl"]),
        (2, "no committed dataset", vec!["verify", "empty"]),
        (2, "no committed dataset", vec!["explain", "empty", "abcd"]),
        (2, "nowhere", vec!["inspect", "nowhere"]),
        (2, "no committed dataset", vec!["train", "empty"]),
        (2, "no committed dataset", vec!["export", "empty", "--to", "npy", "--out", "o"]),
        (2, "no committed dataset", vec!["sweep", "empty", "--grid", "width=1,2", "--out", "o"]),
        (2, "no committed dataset", vec!["scale", "empty", "--out", "o"]),
        (2, "no committed dataset", vec!["presets", "empty", "--out", "o"]),
        (2, "no committed dataset", vec!["mup", "empty", "--out", "o"]),
        (2, "`gristmill train` makes one", vec!["generate", "empty"]),
        (2, "`gristmill train` makes one", vec!["trace", "empty", "--steps", "1"]),
        (2, "no such file or folder", vec!["generate", "nowhere"]),
        (2, "no such file or folder", vec!["eval", "nowhere"]),
        (2, "no such file or folder", vec!["eval", "nowhere", "--toxicity"]),
        (2, "no such file or folder", vec!["export", "nowhere", "--to", "hf", "--out", "o"]),
        (2, "no such file or folder", vec!["align", "sft", "nowhere", "a.jsonl", "--out", "o"]),
        (2, "no such file or folder", vec!["align", "dpo", "nowhere", "a.jsonl", "--out", "o"]),
        (
            2,
            "did you mean `epochs`?",
            vec!["align", "sft", "nowhere", "a.jsonl", "--out", "o", "--set", "epoch=1"],
        ),
        (2, "no such file", vec!["align", "merge", "nowhere", "--out", "o"]),
        (2, "no such file", vec!["eval", "--bleu", "nowhere", "--refs", "a.jsonl"]),
        (2, "is none of 13a", vec!["eval", "--bleu", "a.jsonl", "--refs", "a.jsonl", "--tok", "x"]),
    ] {
        let done = gristmill(&args, &folder.0);
        assert_eq!(done.code, code, "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(words) && !done.err.contains("panicked"), "{args:?}: {}", done.err);
    }
    let mistakes = gristmill(&["check", "wrong.toml", "--json"], &folder.0).expect(2).json();
    assert_eq!((&mistakes[0]["line"], &mistakes[0]["column"]), (&json!(2), &json!(8)), "{mistakes}");
    assert!(!folder.join("gristmill-wrong").exists() && !folder.join("gristmill-absent").exists());
}

fn built(name: &str) -> Folder {
    let folder = Folder::new(name);
    corpus::write_all(&folder.0, 31, 120);
    folder.write(
        "input/lines/own.jsonl",
        json!({ "id": "own", "url": "https://words.example/own", "text": format!("{} Write to jane@site.org.", corpus::prose(&mut schemas::hash::Rng::new(5), 9)) }).to_string()
            + "\n"
            + &json!({ "id": "tiny", "url": "https://words.example/tiny", "text": "The mill is by the river and it is old." }).to_string()
            + "\n",
    );
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    folder
}

#[test]
fn explain_knows_the_text_of_the_source() {
    let folder = Folder::new("explain-source");
    let recipe = r#"
        name = "first"
        [sources.own]
        kind = "source.jsonl"
        paths = ["own.jsonl"]
        [[stages]]
        kind = "clean.unicode"
        [[stages]]
        kind = "clean.emoji"
        mode = "name"
        [[stages]]
        kind = "sink.jsonl"
    "#;
    folder.write("recipe.toml", recipe);
    folder.write(
        "own.jsonl",
        json!({ "id": "a", "url": "https://w.example/a", "text": "The rain\u{200b} \u{1f602}" }).to_string()
            + "\n",
    );
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let told = gristmill(&["explain", "work", "https://w.example/a", "--json"], &folder.0).expect(0).json();
    let steps = told["lives"][0]["steps"].as_array().unwrap();
    let change = |node: &str| {
        let change = &steps.iter().find(|s| s["node"] == node).unwrap()["changes"][0];
        (change["removed"][0].as_str().unwrap().to_owned(), change["added"][0].as_str().unwrap().to_owned())
    };
    let (source, plain) = change("clean.unicode");
    assert_eq!((source.as_str(), plain.as_str()), ("The rain\u{200b} \u{1f602}", "The rain \u{1f602}"));
    assert_eq!(change("clean.emoji").0, plain);
    let shown = gristmill(&["explain", "work", "https://w.example/a"], &folder.0).expect(0).out;
    assert!(shown.contains("- The rain⟨U+200B⟩ \u{1f602}"), "{shown}");
}

/// A crawl is planned before its first page.
#[test]
fn a_crawl_is_planned_before_it_has_begun() {
    let folder = Folder::new("planned");
    folder.write(
        "recipe.toml",
        "[sources.site]\nkind = \"source.crawl\"\nseeds = [\"http://127.0.0.1:1/\"]\nallow_private = true\n\
         user_agent = \"planner/1.0 (+mailto:me@site.org)\"\n[[stages]]\nkind = \"extract.html\"\n",
    );
    let plan = gristmill(&["plan", "recipe.toml"], &folder.0).expect(0).out;
    assert!(
        plan.contains("no split yet  (to be fetched first)") && plan.contains("will be written"),
        "{plan}"
    );
}

/// Nothing is quiet about a build that comes to nothing, and `verify` gives an advice that helps.
#[test]
fn what_went_wrong_is_said_and_mended() {
    let folder = Folder::new("mended");
    let recipe = |words: u32| {
        format!(
            "name = \"few\"\n[sources.own]\nkind = \"source.jsonl\"\npaths = [\"own.jsonl\"]\n\
             [[stages]]\nkind = \"filter.length\"\nwords_min = {words}\n"
        )
    };
    folder.write("recipe.toml", recipe(1));
    folder.write("own.jsonl", "{\"text\":\"two words\"}\n");
    let built =
        gristmill(&["build", "recipe.toml", "--workdir", "work", "--progress", "none"], &folder.0).expect(0);
    assert!(built.err.is_empty(), "{}", built.err);
    let shard = folder.join("work/dataset/documents/part-00000.parquet");
    let whole = fs::read(&shard).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    fs::write(&shard, altered).unwrap();
    assert!(gristmill(&["verify", "work"], &folder.0).expect(1).out.contains("documents/part-00000.parquet"));
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    gristmill(&["verify", "work"], &folder.0).expect(0);
    assert_eq!(fs::read(&shard).unwrap(), whole);

    folder.write("recipe.toml", recipe(9));
    let empty = gristmill(&["build", "recipe.toml", "--workdir", "other"], &folder.0).expect(0);
    assert!(
        empty.err.contains("the dataset is empty: `filter.length` dropped all 1 rows (too_short 1)"),
        "{}",
        empty.err
    );

    let own = ["stage", "filter.length", "--in", "own.jsonl", "--out", "./own.jsonl"];
    assert!(gristmill(&own, &folder.0).expect(2).err.contains("is a file that `--in` reads"));
    assert!(gristmill(&["eval", "work"], &folder.0).expect(2).err.contains("`gristmill train` makes one"));
}

#[test]
fn explain_tells_a_life() {
    let folder = built("explain");
    let ask = |what: &str| gristmill(&["explain", "work", what, "--json"], &folder.0);
    let life = ask("https://words.example/own").expect(0).json()["lives"][0].clone();
    assert!(life["fate"]["kept"]["file"].as_str().unwrap().starts_with("documents/"), "{life:#}");
    let steps = life["steps"].as_array().unwrap();
    let edit = steps.iter().find(|s| s["node"] == "clean.pii").unwrap();
    let change = &edit["changes"][0];
    let (before, after) = (change["removed"][0].as_str().unwrap(), change["added"][0].as_str().unwrap());
    assert!(before.contains("jane@site.org") && after.contains("<EMAIL>"), "{edit:#}");
    assert!(edit["chars"][0].as_u64() > edit["chars"][1].as_u64(), "{edit:#}");
    assert!(life["text"].as_str().unwrap().contains("<EMAIL>"));
    let shown = gristmill(&["explain", "work/dataset", "https://words.example/own"], &folder.0).expect(0).out;
    assert!(
        shown.contains("jane@site.org") && shown.contains("<EMAIL>") && shown.contains("kept"),
        "{shown}"
    );
    // From inside, by a path without a parent.
    let inside = gristmill(&["explain", "dataset", life["id"].as_str().unwrap()], &folder.join("work"));
    let inside = inside.expect(0);
    assert!(inside.out.contains("jane@site.org"), "{}", inside.out);

    let gone = ask("https://words.example/tiny").expect(0).json()["lives"][0].clone();
    assert_eq!(gone["fate"]["dropped"]["node"], "filter.length", "{gone:#}");
    let last = gone["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["reason"], &last["value"], &last["limit"]),
        (&json!("too_short"), &json!(10.0), &json!(30.0))
    );
    let page = ask("https://pages.example/0/3.html").expect(0).json()["lives"][0]["steps"].clone();
    assert!(
        page.as_array().unwrap().iter().any(|s| s["node"] == "extract.html" && s["action"] == "edited"),
        "{page}"
    );
    let none = ask("https://words.example/owm").expect(1).json();
    assert!(none["nothing"].to_string().contains("https://words.example/own"), "{none}");

    // Without the cache the ledger still tells it.
    fs::remove_dir_all(folder.join("work/cache")).unwrap();
    let life = ask("https://words.example/own").expect(0).json()["lives"][0].clone();
    assert_eq!(life["steps"].as_array().unwrap().len(), steps.len());
    fs::remove_file(folder.join("work/report.json")).unwrap();
    ask("https://words.example/own").expect(0);
}

#[test]
fn inspect_opens_all_that_a_build_makes() {
    let folder = built("inspect");
    let ask = |path: &str, more: &[&str]| -> Value {
        gristmill(&[&["inspect", path, "--json"], more].concat(), &folder.0).expect(0).json()
    };
    let kept = node(&common::report(&folder.join("work")), "documents")["counts"]["kept"].clone();
    let whole = ask("work", &[]);
    assert_eq!((&whole["rows"], &whole["dataset"]["name"]), (&kept, &json!("whole")), "{whole:#}");
    assert_eq!(ask("work/dataset/documents", &["--head", "2"])["head"].as_array().unwrap().len(), 2);
    assert!(ask("work/dataset/ledger", &[])["rows"].as_u64() > kept.as_u64());
    let tokens = ask("work/dataset", &["--tokens", "0"]);
    assert!(tokens["pieces"][0]["texts"].as_array().unwrap().len() > 3, "{tokens}");
    assert!(ask("work/dataset/tokens/train", &[])["rows"].as_u64() > Some(10));
    let sql = "select stage, reason, count(*) as rows from dropped group by stage, reason";
    assert!(ask("work", &["--sql", sql]).to_string().contains("near_duplicate"));
    assert_eq!(
        ask("work", &["--sample", "3", "--seed", "7"]),
        ask("work", &["--sample", "3", "--seed", "7"])
    );
    for more in [&["--stats"][..], &["--schema"], &["--tokens", "1"], &[]] {
        let shown = gristmill(&[&["inspect", "work"], more].concat(), &folder.0).expect(0).out;
        assert!(shown.lines().count() > 1, "{more:?}: {shown}");
    }
}

/// A tiny model in `work/model`, with its dataset beside it.
fn trained(name: &str) -> Folder {
    let folder = Folder::new(name);
    corpus::write_all(&folder.0, 32, 40);
    let train = "\n[train]\nlayers = 1\nwidth = 32\nheads = 2\nsteps = 6\nbatch_sequences = 2\n";
    fs::write(folder.join("recipe.toml"), corpus::recipe(30) + train).unwrap();
    gristmill(&["run", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    folder
}

/// Steps of a training whose dataset has forgotten since cannot be told, and why is said.
#[test]
fn a_trace_tells_what_was_forgotten() {
    let folder = trained("trace-forgotten");
    let steps = ["trace", "work", "--steps", "1", "--json"];
    let told = gristmill(&steps, &folder.0).expect(0).json();
    let document = told[0]["pieces"][0]["document"].as_str().unwrap().to_owned();
    gristmill(&["forget", "work", "--id", &document], &folder.0).expect(0);
    let words = "documents forgotten on request: ";
    for (dataset, code) in [(&[][..], 2), (&["--dataset", "work/dataset"], 1)] {
        let refused = gristmill(&[&steps[..], dataset].concat(), &folder.0).expect(code);
        assert!(refused.err.contains(words) && refused.err.contains(&document), "{}", refused.err);
    }
}

#[test]
fn a_folder_and_its_recipe_mean_one_training_that_can_begin_anew() {
    let folder = trained("anew");
    let train = |more: &[&str]| gristmill(&[&["train", "work", "--json"], more].concat(), &folder.0);
    // `[train]` of the recipe: not another training, and nothing is left of this one.
    let again = train(&[]).expect(0);
    assert!(again.err.contains("all 6 steps of this training are done"), "{}", again.err);
    assert_eq!(again.json()["settings"]["width"], "32");
    let refused = train(&["--set", "seed=9"]).expect(2);
    assert!(
        refused.err.contains("`seed` was 0, is 9") && refused.err.contains("`--restart`"),
        "{}",
        refused.err
    );
    let anew = train(&["--set", "seed=9", "--restart"]).expect(0).json();
    assert_eq!(
        [&anew["settings"]["seed"], &anew["settings"]["width"], &anew["steps"]],
        [&json!("9"), &json!("32"), &json!(6)]
    );
    // What cannot begin takes nothing away.
    let odd = train(&["--set", "heads=5", "--restart"]).expect(2);
    assert!(odd.err.contains("does not divide") && folder.join("work/model/training.json").is_file());
    for from in ["init_from=nowhere", "init_from=work/model"] {
        assert!(
            train(&["--set", from, "--restart"]).code != 0
                && folder.join("work/model/training.json").is_file()
        );
    }
    // What a kill has left of a file that was to be written is in nobody's way.
    folder.write("work/model/checkpoints/dataset.path.part", "");
    gristmill(&["run", "recipe.toml", "--workdir", "work", "--restart"], &folder.0).expect(0);
    folder.write("work/model/checkpoints/dataset.path.part", "");
    train(&[]).expect(0);
    // A model elsewhere knows where its dataset lies.
    train(&["--out", "models/other"]).expect(0);
    gristmill(&["eval", "models/other"], &folder.0).expect(0);
    assert!(
        gristmill(&["trace", "models/other", "--steps", "1"], &folder.0).expect(0).out.contains("step 1")
    );
    fs::rename(folder.join("work/dataset"), folder.join("moved")).unwrap();
    let lost = gristmill(&["eval", "models/other"], &folder.0).expect(2);
    assert!(lost.err.contains("is not at hand"), "{}", lost.err);
    gristmill(&["eval", "models/other", "--dataset", "moved"], &folder.0).expect(0);
}

#[test]
fn a_vocabulary_that_came_out_smaller_is_told() {
    let folder = Folder::new("few-pairs");
    folder.write("a.jsonl", "{\"id\": \"mine\", \"text\": \"the mill grinds the grain of the mill\"}\n");
    folder.write(
        "recipe.toml",
        "name = \"x\"\n[sources.a]\nkind = \"source.jsonl\"\npaths = [\"a.jsonl\"]\n[tokenizer]\nvocab_size = 300\n",
    );
    let built = gristmill(&["build", "recipe.toml"], &folder.0).expect(0).err;
    assert!(built.contains("tokens of the 300 asked for"), "{built}");
    // A training by the recipe reads what another recipe of this name has built, and says so.
    let altered = fs::read_to_string(folder.join("recipe.toml")).unwrap().replace("300", "290");
    folder.write("recipe.toml", &altered);
    let stale = gristmill(&["train", "recipe.toml", "--set", "heads=5"], &folder.0).expect(2).err;
    assert!(stale.contains("as it is now, which differs in tokenizer"), "{stale}");
    // The source's own name of a document is a name of it.
    assert!(gristmill(&["explain", "gristmill-x", "mine"], &folder.0).expect(0).out.contains("record_id"));
}

#[test]
fn every_command_that_trains_tells_wrong_use_from_failure() {
    let folder = trained("wrong-use");
    folder.write("best.toml", "# of a sweep\n[train]\nheads = 5\n");
    folder.write("settings.txt", "name = \"x\"\n");
    // Settings that do not fit together, to what is there, or that no key has: wrong use in every command that trains.
    let sweep = |grid: &'static str, more: &[&'static str]| {
        [&["sweep", "work", "--grid", grid, "--out", "sweep", "--progress", "none"], more].concat()
    };
    for (words, args) in [
        ("does not divide", vec!["train", "work", "--out", "odd", "--set", "heads=5"]),
        ("name a folder of its own", vec!["train", "work", "--out", "."]),
        ("name a folder of its own", vec!["train", "work", "--out", "work/dataset", "--find-batch"]),
        ("is a file", vec!["train", "work", "--out", "recipe.toml"]),
        ("name a folder of its own", vec!["align", "sft", "work/model", "recipe.toml", "--out", "input"]),
        ("began differently", vec!["train", "work", "--out", "work/model", "--set", "seed=9"]),
        ("where `init_from = ", vec!["train", "work", "--out", "work/model", "--set", "steps=9"]),
        ("no such folder", vec!["train", "work", "--out", "odd", "--set", "init_from=nowhere"]),
        ("no trained model", vec!["train", "work", "--out", "odd", "--set", "init_from=input"]),
        ("no `[train]`", vec!["train", "work", "--out", "odd", "--with", "settings.txt"]),
        ("names no documents", vec!["train", "best.toml", "--out", "odd"]),
        ("does not divide", vec!["train", "work", "--out", "odd", "--with", "best.toml"]),
        ("ask for 50,000", vec!["scale", "work", "--out", "odd", "--largest", "10"]),
        ("`factor` is 0.5", vec!["scale", "work", "--out", "odd", "--factor", "0.5"]),
        ("`sizes` is 1", vec!["scale", "work", "--out", "odd", "--sizes", "1"]),
        ("no adapter", vec!["align", "merge", "work/model", "--out", "odd"]),
        ("to begin with", vec!["align", "sft", "work/model", "recipe.toml", "--out", "work/model"]),
        ("did you mean `learning_rate`?", sweep("learning_rat=1,2", &[])),
        ("stands twice", sweep("seed=1,1", &[])),
        ("η is 2 at least", sweep("seed=1,2", &["--halving", "--eta", "1"])),
        ("would depend on how busy", sweep("seed=1,2", &["--set", "seconds_max=5"])),
        ("learning_rate=abc: ", sweep("learning_rate=0.01,abc", &[])),
        ("no committed dataset", vec!["eval", "work/model", "--dataset", "input"]),
        ("names a folder", vec!["eval", "work/model", "--tasks", "arc_easy", "--rows", "nowhere"]),
        ("no such file", vec!["align", "dpo", "work/model", "nowhere.jsonl", "--out", "o"]),
        ("no `loss_mask`", vec!["align", "sft", "work/model", "work", "--out", "o"]),
        ("`--template`", vec!["align", "sft", "work/model", "recipe.toml", "--template", "x", "--out", "o"]),
        (
            "from 0 to 1",
            vec!["align", "dpo", "work/model", "recipe.toml", "--held-out-share", "2", "--out", "o"],
        ),
    ] {
        let done = gristmill(&args, &folder.0).expect(2);
        assert!(done.err.contains(words), "{args:?}: {}", done.err);
    }
    // What is refused leaves no folder behind.
    assert!(["odd", "o", "work/model/chats"].iter().all(|name| !folder.join(name).exists()));
    // Rows that cannot be used are a failure.
    let bad = ["align", "dpo", "work/model", "recipe.toml", "--out", "o"];
    assert!(gristmill(&bad, &folder.0).expect(1).err.contains("no JSON object"));
}

#[test]
fn few_chats_are_learned_in_small_steps_and_their_layout_is_named() {
    let folder = trained("few-chats");
    let chat = |n: usize| format!("{{\"prompt\": \"the mill {n}\", \"completion\": \"grinds {n}\"}}\n");
    folder.write("chats.jsonl", (0..12).map(chat).collect::<String>());
    let sft = ["align", "sft", "work/model", "chats.jsonl", "--out", "tuned", "--progress", "none"];
    let done = gristmill(&[&sft[..], &["--template", "chatml"]].concat(), &folder.0).expect(2);
    assert!(done.err.contains("no special token") && done.err.contains("`--template text`"), "{}", done.err);
    let told = gristmill(&[&sft[..], &["--json"]].concat(), &folder.0).expect(0).json();
    let settings = &told["settings"];
    assert_eq!(
        (&settings["template"], &settings["batch_rows"], &settings["epochs"]),
        (&json!("text"), &json!("1"), &json!("10"))
    );
    assert!(gristmill(&sft, &folder.0).expect(0).out.contains("sft of chats laid out as text"));
}

#[test]
fn a_run_builds_trains_evaluates_and_speaks() {
    let folder = trained("run");
    let scores = gristmill(&["eval", "work/model", "--json"], &folder.0).expect(0).json();
    assert!(scores["perplexity"].as_f64().unwrap() > 1.0, "{scores}");
    let speak = ["generate", "work/model", "--prompt", "the mill", "--seed", "3"];
    let said = gristmill(&speak, &folder.0).expect(0).out;
    assert!(said.starts_with("the mill") && said == gristmill(&speak, &folder.0).expect(0).out, "{said:?}");
    let export = ["export", "work", "--to", "hf", "--out", "exported", "--json"];
    let told = gristmill(&export, &folder.0).expect(0).json();
    assert_eq!(told["class"], "LlamaForCausalLM", "{told}");
    let again = [&["generate", "exported"], &speak[2..]].concat();
    assert_eq!(gristmill(&again, &folder.0).expect(0).out, said);
    assert!(
        fs::read_to_string(folder.join("exported/README.md")).unwrap().contains("Documents that were left")
    );
    let twice = gristmill(&export, &folder.0).expect(2);
    assert!(twice.err.contains("is there already and not empty"), "{}", twice.err);
    let unfit = gristmill(&[&export[..6], &["--split", "train"]].concat(), &folder.0).expect(2);
    assert!(unfit.err.contains("`--split` is for a dataset; this format is of a model"), "{}", unfit.err);
    // Where there is a GPU the training runs.
    let done =
        gristmill(&["train", "work", "--out", "gpu", "--device", "cuda", "--set", "steps=1"], &folder.0);
    let missing = ["needs a program built with `--features cuda`", "the device `cuda` needs"];
    assert!(done.code == 0 || missing.iter().any(|told| done.err.contains(told)), "{}", done.err);
    for wrong in [["--temperature", "nan"], ["--top-p", "1.5"], ["--tokens", "0"]] {
        let done = gristmill(&[&["generate", "work/model"], &wrong[..]].concat(), &folder.0).expect(2);
        assert!(done.err.contains(&wrong[0][2..].replace('-', "_")), "{}", done.err);
    }
    // Progress as JSON lines, and nothing but the report on standard output.
    let args = ["build", "recipe.toml", "--workdir", "w2", "--json", "--progress", "json"];
    let done = gristmill(&args, &folder.0).expect(0);
    assert_eq!(done.json()["committed"], "written");
    assert!(done.err.lines().count() > 5, "{}", done.err);
    done.err.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
}

/// The answer from signals is the one that a build gives.
#[test]
fn what_if_equals_a_build() {
    let folder = Folder::new("what-if");
    corpus::write_all(&folder.0, 23, 60);
    let build = |words_min: u32, workdir: &str| {
        fs::write(folder.join("recipe.toml"), corpus::recipe(words_min)).unwrap();
        let report =
            gristmill(&["build", "recipe.toml", "--workdir", workdir, "--json"], &folder.0).expect(0).json();
        let nodes = report["nodes"].as_array().unwrap().clone();
        nodes.into_iter().find(|n| n["kind"] == "filter.length").unwrap()
    };
    let (loose, strict) = (build(30, "loose"), build(150, "strict"));
    let node = loose["name"].as_str().unwrap();
    let ask = |work: &str, limit: u64| {
        let question = format!("{node}.words_min={limit}");
        gristmill(&["inspect", work, "--what-if", &question, "--json"], &folder.0).expect(0).json()
    };
    for (work, limit, there) in [("loose", 150, &strict), ("strict", 30, &loose)] {
        let told = ask(work, limit);
        assert_eq!(told["kept_after"], there["counts"]["kept"], "{told}");
        let moved = told["to_kept"].as_u64().unwrap() + told["to_dropped"].as_u64().unwrap();
        assert_eq!(told["examples"].as_array().unwrap().len() as u64, moved.min(20), "{told}");
        assert!(moved > 0 && told["examples"][0]["text"].is_string(), "{told}");
    }
    let wrong =
        |question: &str| gristmill(&["inspect", "loose", "--what-if", question], &folder.0).expect(2).err;
    assert!(wrong("filter.lenght.words_min=3").contains("did you mean `filter.length`?"));
    assert!(wrong(&format!("{node}.word_min=3")).contains("did you mean `words_min`?"));
}

/// `extract.html` reads `html` and `text`, of which each row has one: that is no column without values.
#[test]
fn a_strict_build_of_pages_is_committed() {
    let folder = Folder::new("strict");
    for n in 0..3 {
        folder.write(&format!("pages/{n}.html"), corpus::page(24, n));
    }
    folder.write(
        "recipe.toml",
        "[sources.pages]\nkind = \"source.html\"\npaths = [\"pages\"]\n[[stages]]\nkind = \"extract.html\"\n",
    );
    let done = gristmill(&["build", "recipe.toml", "--strict", "--workdir", "w"], &folder.0).expect(0);
    assert!(!done.err.contains("warning"), "{}", done.err);
}

#[test]
fn an_empty_build_leaves_the_dataset_that_is_there() {
    let folder = Folder::new("empty");
    common::write(&folder.0, "a.jsonl", "{\"text\": \"one two three\"}\n{\"text\": \"four five six\"}\n");
    let build = |field: &str| {
        let recipe = format!(
            "name = \"x\"\n[sources.a]\nkind = \"source.jsonl\"\npaths = [\"a.jsonl\"]\ntext_field = \"{field}\"\n"
        );
        common::write(&folder.0, "r.toml", recipe);
        gristmill(&["build", "r.toml"], &folder.0)
    };
    // Where nothing is lost, an empty dataset is one.
    build("txt").expect(0);
    build("text").expect(0);
    let expected = tree(&folder.0.join("gristmill-x/dataset"));
    let refused = build("txt").expect(1);
    assert!(refused.err.contains("no row is left behind `a`"), "{}", refused.err);
    assert!(tree(&folder.0.join("gristmill-x/dataset")) == expected);
}
