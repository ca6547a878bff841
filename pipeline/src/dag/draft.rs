//! The nodes that a recipe asks for, also those that it asks for without naming them.
//!
//! `[tokenizer]` stands for `tokenize.bpe`, `pack.sequences` and a sink of token shards behind the last stages;
//! `[dataset]` sets the keys of `pack.sequences` and of the sinks; without a sink of its own, a recipe writes documents
//! with `sink.parquet`.

use super::Kinds;
use crate::recipe::{Block, Entry, Mistake, Recipe, Word};
use schemas::{Spec, config::closest};

/// A node that is not made yet.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) block: Block,
    pub(super) spec: Option<&'static Spec>,
    /// Positions of the drafts that it reads.
    pub(super) inputs: Vec<usize>,
    pub(super) folder: String,
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
        let spec = kind(block, kinds, true, mistakes);
        drafts.push(Draft {
            name: block.name.text.clone(),
            block: block.clone(),
            spec,
            inputs: vec![],
            folder: String::new(),
        });
    }
    let sources = drafts.len();
    for block in &recipe.stages {
        let spec = kind(block, kinds, false, mistakes);
        let name = match &block.name.text {
            name if !name.is_empty() => name.clone(),
            _ => unused(&block.kind.text, &drafts),
        };
        if let Some(earlier) = drafts.iter().find(|d| d.name == name) {
            let help = format!(
                "another node has it already (`{}`): give one of them another `name`",
                earlier.block.kind.text
            );
            mistakes.push(Mistake::new(
                block.name.span.clone(),
                format!("two nodes are called `{name}`"),
                help,
            ));
        }
        let folder =
            if spec.is_some_and(|s| s.kind.starts_with("sink.")) { name.clone() } else { String::new() };
        drafts.push(Draft { name, block: block.clone(), spec, inputs: Vec::new(), folder });
    }
    connect(&mut drafts, sources, mistakes);
    implied(recipe, kinds, &mut drafts, mistakes);
    drafts
}

fn unused(kind: &str, drafts: &[Draft]) -> String {
    let taken = |name: &str| drafts.iter().any(|d| d.name == name);
    let numbered = (2..).map(|n| format!("{kind}-{n}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|n| !taken(n)).expect("the numbers do not end")
}

fn kind(block: &Block, kinds: &Kinds, source: bool, mistakes: &mut Vec<Mistake>) -> Option<&'static Spec> {
    let Word { text, span } = &block.kind;
    let fits = |spec: &&Spec| spec.kind.starts_with("source.") == source;
    if text.is_empty() {
        if span.is_empty() {
            let example = kinds.all.iter().find(fits).map_or("…", |s| s.kind);
            let help = format!("add one: `kind = \"{example}\"`; `gristmill stages` lists all");
            mistakes.push(Mistake::new(block.span.clone(), "the node has no `kind`", help));
        }
        return None;
    }
    if let Some(spec) = kinds.all.iter().find(|s| s.kind == text) {
        if fits(&spec) {
            return Some(spec);
        }
        let help =
            if source { "write it under `[[stages]]`" } else { "write it as a table `[sources.NAME]`" };
        let message = if source {
            format!("`{text}` is no source")
        } else {
            format!("`{text}` is a source, not a stage")
        };
        mistakes.push(Mistake::new(span.clone(), message, help));
        return None;
    }
    let full =
        |word: &str| if source && !word.contains('.') { format!("source.{word}") } else { word.to_owned() };
    let near = closest(&full(text), kinds.all.iter().filter(fits).map(|s| s.kind));
    let tail =
        kinds.all.iter().filter(fits).find(|s| s.kind.rsplit('.').next() == Some(text)).map(|s| s.kind);
    let help = match tail.or(near) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`gristmill stages` lists all kinds".to_owned(),
    };
    mistakes.push(Mistake::new(span.clone(), format!("no node kind is called `{text}`"), help));
    None
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
        for Word { text, span } in words {
            match names.iter().position(|n| *n == text) {
                Some(n) if drafts[n].is("sink") => {
                    let help = format!("read what `{text}` reads");
                    mistakes.push(Mistake::new(span, format!("`{text}` is a sink and gives no rows"), help));
                }
                Some(n) if drafts[at].inputs.contains(&n) => {
                    mistakes.push(Mistake::new(span, format!("`{text}` is read twice"), "take one out"));
                }
                Some(n) => drafts[at].inputs.push(n),
                None => {
                    let help = match closest(&text, names.iter().map(String::as_str)) {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => format!("the nodes are {}", names.join(", ")),
                    };
                    mistakes.push(Mistake::new(span, format!("no node is called `{text}`"), help));
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
    unknown_dataset_keys(&dataset, &[sink, pack], mistakes);
    let read: Vec<usize> = drafts.iter().flat_map(|d| d.inputs.clone()).collect();
    let tokenized = drafts.iter().position(|d| d.is("tokenize"));
    let packs = drafts.iter().any(|d| d.is("pack"));
    let ends: Vec<usize> =
        (0..drafts.len()).filter(|n| !read.contains(n) && !drafts[*n].is("sink")).collect();
    let mut add = |name: &str, spec, block, inputs, folder: &str| {
        let name = unused(name, drafts);
        drafts.push(Draft { name, block, spec, inputs, folder: folder.to_owned() });
        drafts.len() - 1
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
    } else if !ends.is_empty() && !packs {
        add("documents", sink, documents, ends, "documents");
    } else if packs {
        let inputs: Vec<usize> = ends;
        if !inputs.is_empty() {
            add("tokens", sink, documents, inputs, "tokens");
        }
    }
}

fn unknown_dataset_keys(dataset: &Block, specs: &[Option<&'static Spec>], mistakes: &mut Vec<Mistake>) {
    let known: Vec<&str> = specs.iter().flatten().flat_map(|s| s.keys.iter().map(|k| k.name)).collect();
    for entry in dataset.keys.iter().filter(|e| !known.contains(&e.name.as_str())) {
        let help = match closest(&entry.name, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        mistakes.push(Mistake::new(
            entry.span.clone(),
            format!("`{}` is not a key of `[dataset]`", entry.name),
            help,
        ));
    }
}
