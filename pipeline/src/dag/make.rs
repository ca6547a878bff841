//! Makes the nodes, and finds the mistakes in their keys.

use super::draft::Draft;
use super::{Kinds, TrainKeys};
use crate::recipe::{Block, Entry, Mistake, Recipe, Word, nearest, plain_words};
use schemas::near::closest;
use schemas::{FilePath, FilePaths, Key, KeyError, Made, Settings, Value};
use std::ops::Range;
use std::path::Path;

/// Most keys that a suggestion lists.
const KEYS_LISTED_MAX: usize = 12;

pub(super) fn settings(block: &Block, base: &Path) -> Settings {
    Settings::new(block.keys.iter().map(|e| (e.name.clone(), e.value.clone())).collect()).with_base(base)
}

/// The keys of one table.
pub(super) struct Keys<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) kinds: &'a Kinds,
    pub(super) block: &'a Block,
    /// What the keys belong to, as a message names it.
    pub(super) owner: &'a str,
    pub(super) keys: &'static [Key],
}

/// Makes a node; one with wrong settings is made without them, so that what lies behind it is checked too.
pub(super) fn make(
    draft: &Draft,
    recipe: &Recipe,
    kinds: &Kinds,
    mistakes: &mut Vec<Mistake>,
) -> Option<Made> {
    let spec = draft.spec?;
    let keys = Keys { recipe, kinds, block: &draft.block, owner: spec.kind, keys: spec.keys };
    keys.files(mistakes);
    keys.sift(spec.build, mistakes)
}

/// Checks `[train]`.
pub(super) fn train(recipe: &Recipe, kinds: &Kinds, mistakes: &mut Vec<Mistake>) -> Option<Settings> {
    let block = recipe.train.as_ref()?;
    let Some(TrainKeys { keys, check }) = kinds.train else {
        let help = "take `[train]` out";
        mistakes.push(Mistake::new(block.span.clone(), "this program has no trainer", help));
        return None;
    };
    let checked = |settings: &Settings| match check(settings) {
        errors if errors.is_empty() => Ok(()),
        errors => Err(errors),
    };
    Keys { recipe, kinds, block, owner: "[train]", keys }.sift(checked, mistakes);
    let stage = |role: &str| recipe.stages.iter().any(|s| s.kind.text.starts_with(role));
    if recipe.tokenizer.is_none() && !stage("pack") && recipe.damage.is_none() {
        let help = if stage("tokenize") {
            "add a stage `pack.sequences` behind `tokenize.bpe`, or take `[train]` out"
        } else {
            "add `[tokenizer]`, or take `[train]` out"
        };
        mistakes.push(Mistake::new(
            block.span.clone(),
            "training needs tokens, and the recipe makes none",
            help,
        ));
    }
    Some(settings(block, recipe.base()))
}

impl Keys<'_> {
    /// Takes keys out until the rest is right. Mistakes that only follow from others are not told.
    fn sift<T>(
        &self,
        build: impl Fn(&Settings) -> Result<T, Vec<KeyError>>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T> {
        let mut block = self.block.clone();
        let mut wrong: Vec<String> = Vec::new();
        // Every round takes a key out or puts a stand-in for one.
        for _ in 0..=2 * self.keys.len() + block.keys.len() {
            let errors = match build(&settings(&block, self.recipe.base())) {
                Ok(made) => return Some(made),
                Err(errors) => errors,
            };
            for error in errors.iter().filter(|e| self.is_own(e, &wrong)) {
                let mistake = self.mistake(error);
                if !mistakes.iter().any(|known| known.span == mistake.span && self.is_set(&error.key)) {
                    mistakes.push(mistake);
                }
            }
            let before = block.keys.len();
            block.keys.retain(|e| !errors.iter().any(|error| error.key == e.name));
            let stood = errors.iter().filter(|e| !self.is_set(&e.key) || wrong.contains(&e.key));
            let stand_ins: Vec<Entry> = stood.filter_map(|e| self.stand_in(&e.key)).collect();
            if before == block.keys.len() && stand_ins.is_empty() {
                return None;
            }
            block.keys.extend(stand_ins);
            wrong.extend(errors.iter().map(|e| e.key.clone()));
            wrong.extend(errors.iter().filter_map(meant));
        }
        None
    }

    fn is_set(&self, key: &str) -> bool {
        self.block.keys.iter().any(|e| e.name == key)
    }

    /// Whether a mistake does not follow from another one.
    fn is_own(&self, error: &KeyError, wrong: &[String]) -> bool {
        let told = |key: &String| error.key == *key || error.message.contains(&format!("`{key}`"));
        let torn = !self.is_set(&error.key) && self.recipe.damage.tears(self.block.span.start);
        // A key that is not there is not missed where a misspelt one was meant for it.
        let misspelt = |e: &Entry| {
            !self.keys.iter().any(|k| k.name == e.name)
                && closest(&e.name, self.keys.iter().map(|k| k.name)) == Some(&error.key)
        };
        let misspelt = !self.is_set(&error.key) && self.block.keys.iter().any(misspelt);
        !wrong.iter().any(told) && !torn && !misspelt
    }

    /// A value for a key that must be set, so that the node can be made and what it gives be known.
    fn stand_in(&self, key: &str) -> Option<Entry> {
        let value = match self.keys.iter().find(|k| k.name == key)?.kind {
            FilePaths::KIND => Value::from(vec!["."]),
            "a list of strings" => Value::from(vec!["https://example.org/"]),
            "a string" => Value::from("name/1 (+https://example.org/)"),
            _ => return None,
        };
        let (name, written) = (key.to_owned(), value.clone());
        Some(Entry { name, value, written, span: 0..0, value_span: 0..0, items: Vec::new() })
    }

    fn mistake(&self, error: &KeyError) -> Mistake {
        let entry = self.block.keys.iter().rfind(|e| e.name == error.key);
        let known = self.keys.iter().find(|k| k.name == error.key);
        let Some(known) = known else { return self.unknown(error, entry) };
        let span = entry.map_or_else(|| self.place(), |entry| element(entry, &error.message));
        let KeyError { key, message, help } = error;
        let verb = ["is ", "has ", "names ", "does ", "needs "].iter().any(|verb| message.starts_with(verb));
        let message = if verb { format!("`{key}` {message}") } else { format!("`{key}`: {message}") };
        let help = help.clone().unwrap_or_else(|| {
            if known.kind == FilePath::KIND {
                return format!("name another file, or take `{key}` out");
            }
            let doc = known.doc.trim().trim_end_matches('.');
            format!("{doc} ({}; default `{}`)", known.kind, (known.default)())
        });
        Mistake::new(span, message, help)
    }

    fn unknown(&self, error: &KeyError, entry: Option<&Entry>) -> Mistake {
        let key = &error.key;
        let span = entry.map_or_else(|| self.place(), |e| e.span.clone());
        let message = format!("`{key}` is not a key of `{}`", self.owner);
        let help = error.help.clone().unwrap_or_default();
        if help.starts_with("did you mean") {
            return Mistake::new(span, message, help);
        }
        let node = !self.block.kind.text.is_empty();
        let reserved = closest(key, ["name", "input", "surprise"].into_iter()).filter(|_| node);
        let others =
            || self.kinds.all.iter().filter(|s| s.keys.iter().any(|k| k.name == key)).map(|s| s.kind);
        let help = match (reserved, others().next()) {
            (Some(name), _) => format!("did you mean `{name}`?"),
            (None, Some(kind)) => format!("it is a key of `{kind}`"),
            (None, None) if self.keys.len() > KEYS_LISTED_MAX && node => {
                format!("`gristmill stages {}` lists its keys", self.owner)
            }
            (None, None) => help,
        };
        Mistake::new(span, message, help)
    }

    /// Where a mistake of the whole table is shown.
    fn place(&self) -> Range<usize> {
        let Block { kind, span, .. } = self.block;
        if kind.span.is_empty() { span.clone() } else { kind.span.clone() }
    }

    /// Files that settings name must be there.
    fn files(&self, mistakes: &mut Vec<Mistake>) {
        for entry in &self.block.keys {
            let Some(key) = self.keys.iter().find(|k| k.name == entry.name) else { continue };
            let one = key.kind == FilePath::KIND;
            let fits = entry.value.is_array() != one;
            if (one || key.kind == FilePaths::KIND) && fits {
                for word in entry.words() {
                    self.file(entry, &word, one, mistakes);
                }
            }
        }
    }

    fn file(&self, entry: &Entry, word: &Word, one: bool, mistakes: &mut Vec<Mistake>) {
        let Word { text, span } = word;
        let told = mistakes.iter().any(|m| m.span == *span);
        if text.is_empty() || told || (!one && text.contains(['*', '?', '['])) {
            return;
        }
        let path = self.recipe.base().join(text);
        let message = match std::fs::metadata(&path) {
            Ok(found) if one && found.is_dir() => {
                let help = "name the file in it";
                let message = format!("`{}`: `{text}` is a folder", entry.name);
                return mistakes.push(Mistake::new(span.clone(), message, help));
            }
            Ok(_) => return,
            Err(error) => format!("`{}`: cannot read `{text}`: {}", entry.name, plain_words(&error)),
        };
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let near = path.parent().and_then(|folder| nearest(folder, &name)).filter(|near| *near != name);
        let help = match near {
            Some(near) => format!("did you mean `{}`?", Path::new(text).with_file_name(near).display()),
            None => format!("paths start at the folder of the recipe, `{}`", self.recipe.base().display()),
        };
        mistakes.push(Mistake::new(span.clone(), message, help));
    }
}

/// The element of a list that a message quotes, or the whole value.
fn element(entry: &Entry, message: &str) -> Range<usize> {
    let quoted = |word: &Word| {
        let text = &word.text;
        message.contains(&format!("`{text}`")) || message.contains(&format!("{text:?}"))
    };
    let words = if entry.value.is_array() { entry.words() } else { Vec::new() };
    words.into_iter().find(quoted).map_or_else(|| entry.value_span.clone(), |word| word.span)
}

/// The key that a misspelt one is meant for.
fn meant(error: &KeyError) -> Option<String> {
    let name = error.help.as_ref()?.strip_prefix("did you mean `")?.strip_suffix("`?")?;
    Some(name.to_owned())
}
