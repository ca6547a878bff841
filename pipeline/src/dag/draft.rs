//! The nodes that a recipe asks for, also those that it asks for without naming them.
//!
//! `[tokenizer]` stands for `tokenize.bpe`, `pack.sequences` and a sink of token shards behind the last stages;
//! `[dataset]` sets the keys of `pack.sequences` and of the sinks; without a sink of its own, a recipe writes documents
//! with `sink.parquet`.

use super::Kinds;
use super::kind::kind;
use crate::recipe::{Block, Entry, Mistake, Recipe, Word};
use schemas::{Spec, near::closest};

/// A node that is not made yet.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) block: Block,
    pub(super) spec: Option<&'static Spec>,
    /// Positions of the drafts that it reads.
    pub(super) inputs: Vec<usize>,
    pub(super) folder: String,
    /// Whether a mistake leaves open what it reads.
    pub(super) uncertain: bool,
}

impl Draft {
    pub(super) fn is(&self, role: &str) -> bool {
        self.spec.is_some_and(|s| s.kind.split_once('.').is_some_and(|(r, _)| r == role))
    }

    /// Where a mistake of the whole node is shown.
    pub(super) fn place(&self) -> std::ops::Range<usize> {
        if self.block.kind.span.is_empty() { self.block.span.clone() } else { self.block.kind.span.clone() }
    }
}

pub(super) fn drafts(recipe: &Recipe, kinds: &Kinds, mistakes: &mut Vec<Mistake>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for block in &recipe.sources {
        drafts.push(Draft {
            name: block.name.text.clone(),
            spec: kind(recipe, block, kinds, true, mistakes),
            block: block.clone(),
            inputs: vec![],
            folder: String::new(),
            uncertain: false,
        });
    }
    let sources = drafts.len();
    for block in &recipe.stages {
        let mut block = block.clone();
        let spec = kind(recipe, &block, kinds, false, mistakes);
        input_misspelt(&mut block, spec, mistakes);
        let name = match &block.name.text {
            name if !name.is_empty() => name.clone(),
            _ => unused(&block.kind.text, &drafts),
        };
        if let Some(earlier) = drafts.iter().find(|d| d.name == name) {
            let line = recipe.line(earlier.block.span.start);
            let help = format!("the node in line {line} has the name: give one of them another `name`");
            let message = format!("two nodes are called `{name}`");
            let span = if block.name.span.is_empty() { block.span.clone() } else { block.name.span.clone() };
            mistakes.push(Mistake::new(span, message, help));
        }
        let folder =
            if spec.is_some_and(|s| s.kind.starts_with("sink.")) { name.clone() } else { String::new() };
        let uncertain = recipe.damage.tears(block.span.start);
        drafts.push(Draft { name, block, spec, inputs: Vec::new(), folder, uncertain });
    }
    connect(&mut drafts, sources, mistakes);
    implied(recipe, kinds, &mut drafts, mistakes);
    folders(&drafts, mistakes);
    drafts
}

/// What lies in a dataset beside the folders of sinks.
const RESERVED: [&str; 6] = [
    "ledger",
    "dropped",
    "signals",
    schemas::manifest::FILE,
    schemas::manifest::TOKENIZER,
    schemas::manifest::TOKENIZER_CONFIG,
];

/// Every sink needs a folder of its own, or one would write over the files of another.
fn folders(drafts: &[Draft], mistakes: &mut Vec<Mistake>) {
    let taken = |folder: &str| drafts.iter().filter(|d| d.folder == folder).count() > 1;
    for draft in drafts.iter().filter(|d| d.is("sink") && !d.block.name.text.is_empty()) {
        if RESERVED.contains(&draft.folder.as_str()) || taken(&draft.folder) {
            let message = format!("the dataset has another folder `{}`", draft.folder);
            let help = "give the sink another `name`: it is the folder that it writes";
            mistakes.push(Mistake::new(draft.block.name.span.clone(), message, help));
        }
    }
}

/// `inputs` for `input`: without it the node would be checked behind one that it is not meant to read.
fn input_misspelt(block: &mut Block, spec: Option<&'static Spec>, mistakes: &mut Vec<Mistake>) {
    let known = |e: &Entry| spec.is_some_and(|s| s.keys.iter().any(|k| k.name == e.name));
    let meant =
        |e: &Entry| closest(&e.name, ["input"].into_iter()).is_some() && !e.words().is_empty() && !known(e);
    if block.input.is_some() {
        return;
    }
    if let Some(at) = block.keys.iter().position(meant) {
        let entry = block.keys.remove(at);
        let message = format!("`{}` is not a key of a node", entry.name);
        mistakes.push(Mistake::new(entry.span.clone(), message, "did you mean `input`?"));
        block.input = Some(entry.words());
    }
}

fn unused(kind: &str, drafts: &[Draft]) -> String {
    let taken = |name: &str| drafts.iter().any(|d| d.name == name);
    let numbered = (2..).map(|n| format!("{kind}-{n}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|n| !taken(n)).expect("the numbers do not end")
}

/// Resolves `input`: by name, or to the node before in the list; the first stage reads every source.
fn connect(drafts: &mut [Draft], sources: usize, mistakes: &mut Vec<Mistake>) {
    let names: Vec<String> = drafts.iter().map(|d| d.name.clone()).collect();
    for at in sources..drafts.len() {
        let Some(words) = drafts[at].block.input.clone() else {
            // A sink ends its branch: what follows in the list goes on from before it.
            let before = (sources..at).rev().find(|&n| !drafts[n].is("sink"));
            drafts[at].inputs = before.map_or_else(|| (0..sources).collect(), |n| vec![n]);
            continue;
        };
        drafts[at].uncertain |= words.is_empty();
        for Word { text, span } in words {
            // A name that is there twice means, besides, the first.
            match names.iter().position(|n| *n == text) {
                Some(n) if drafts[n].is("sink") => {
                    let read = drafts[n].inputs.iter().map(|&i| format!("`{}`", names[i]));
                    let help = match read.collect::<Vec<_>>().join(", ") {
                        read if read.is_empty() => format!("read what `{text}` reads"),
                        read => format!("read what it reads: {read}"),
                    };
                    mistakes.push(Mistake::new(span, format!("`{text}` is a sink and gives no rows"), help));
                    drafts[at].uncertain = true;
                }
                Some(n) if drafts[at].inputs.contains(&n) => {
                    mistakes.push(Mistake::new(span, format!("`{text}` is read twice"), "take one out"));
                }
                Some(n) => drafts[at].inputs.push(n),
                None => {
                    let near = closest(&text, names.iter().map(String::as_str));
                    let help = match near {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => format!("the nodes are {}", names.join(", ")),
                    };
                    mistakes.push(Mistake::new(span, format!("no node is called `{text}`"), help));
                    let meant = near.and_then(|near| names[..at].iter().position(|n| n == near));
                    match meant.filter(|n| !drafts[*n].is("sink") && !drafts[at].inputs.contains(n)) {
                        Some(n) => drafts[at].inputs.push(n),
                        None => drafts[at].uncertain = true,
                    }
                }
            }
        }
    }
}

fn implied(recipe: &Recipe, kinds: &Kinds, drafts: &mut Vec<Draft>, mistakes: &mut Vec<Mistake>) {
    let spec = |kind: &str| kinds.all.iter().find(|s| s.kind == kind);
    let (sink, pack, tokenize) = (spec("sink.parquet"), spec("pack.sequences"), spec("tokenize.bpe"));
    let dataset = recipe.dataset.clone().unwrap_or_default();
    let keys_of = |spec: Option<&'static Spec>| -> Block {
        let known = |e: &&Entry| spec.is_some_and(|s| s.keys.iter().any(|k| k.name == e.name));
        Block { keys: dataset.keys.iter().filter(known).cloned().collect(), ..dataset.clone() }
    };
    unknown_dataset_keys(&dataset, &[sink, pack], kinds, mistakes);
    let read: Vec<usize> = drafts.iter().flat_map(|d| d.inputs.clone()).collect();
    let tokenized = drafts.iter().position(|d| d.is("tokenize"));
    let packs = drafts.iter().any(|d| d.is("pack"));
    let ends: Vec<usize> =
        (0..drafts.len()).filter(|n| !read.contains(n) && !drafts[*n].is("sink")).collect();
    let none = drafts.is_empty();
    let mut add = |name: &str, spec, block, inputs, folder: &str| {
        let name = unused(name, drafts);
        drafts.push(Draft { name, block, spec, inputs, folder: folder.to_owned(), uncertain: false });
        drafts.len() - 1
    };
    let unused_keys = |spec: Option<&'static Spec>, why: &str, help: &str, mistakes: &mut Vec<Mistake>| {
        for entry in keys_of(spec).keys {
            let help = help.replace("KEY", &entry.name);
            mistakes.push(Mistake::new(entry.span, format!("`{}` {why}", entry.name), help));
        }
    };
    let documents = Block { input: None, ..keys_of(sink) };
    if let Some(tokenizer) = &recipe.tokenizer {
        if tokenized.is_some() {
            let help = "take `[tokenizer]` out, or the stage";
            mistakes.push(Mistake::new(tokenizer.span.clone(), "the recipe tokenizes twice", help));
            return;
        }
        let tokens = add("tokenizer", tokenize, tokenizer.clone(), ends.clone(), "");
        add("documents", sink, documents, ends, "documents");
        let pack = add("pack", pack, keys_of(pack), vec![tokens], "");
        add("tokens", sink, keys_of(sink), vec![pack], "tokens");
        return;
    }
    if packs {
        let why = "is a key of `pack.sequences`, which is a stage of its own here";
        unused_keys(pack, why, "write `KEY` under that stage", mistakes);
    } else if recipe.damage.is_none() {
        let why = "is about token sequences, and the recipe makes none";
        unused_keys(
            pack,
            why,
            "add `[tokenizer]`, or a stage `pack.sequences` behind one that makes tokens and `KEY` under it",
            mistakes,
        );
    }
    if ends.is_empty() && !none {
        let why = "has no effect: every branch ends in a sink of its own";
        unused_keys(sink, why, "write `KEY` under that sink", mistakes);
    } else if !ends.is_empty() {
        let name = if packs { "tokens" } else { "documents" };
        add(name, sink, documents, ends, name);
    }
}

fn unknown_dataset_keys(
    dataset: &Block,
    specs: &[Option<&'static Spec>],
    kinds: &Kinds,
    mistakes: &mut Vec<Mistake>,
) {
    let known: Vec<&str> = specs.iter().flatten().flat_map(|s| s.keys.iter().map(|k| k.name)).collect();
    let tokenizer = kinds.all.iter().find(|s| s.kind == "tokenize.bpe");
    let train = kinds.train.iter().flat_map(|t| t.keys.iter().map(|k| k.name));
    let elsewhere: Vec<(&str, &str)> = tokenizer
        .iter()
        .flat_map(|s| s.keys.iter().map(|k| (k.name, "[tokenizer]")))
        .chain(train.map(|name| (name, "[train]")))
        .collect();
    for entry in dataset.keys.iter().filter(|e| !known.contains(&e.name.as_str())) {
        let other = elsewhere.iter().find(|(name, _)| *name == entry.name);
        let help = match (other, closest(&entry.name, known.iter().copied())) {
            (Some((_, table)), _) => format!("it is a key of `{table}`"),
            (None, Some(name)) => format!("did you mean `{name}`?"),
            (None, None) => format!("known keys: {}", known.join(", ")),
        };
        let message = format!("`{}` is not a key of `[dataset]`", entry.name);
        mistakes.push(Mistake::new(entry.span.clone(), message, help));
    }
}
