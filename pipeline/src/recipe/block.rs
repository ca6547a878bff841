//! One table of a recipe: its name, kind, inputs and keys.

use super::read::{Node, Reader, in_order};
use super::value::{Expander, plain, type_words};
use super::{Block, Entry, Word};
use crate::dag::Surprise;
use schemas::near::closest;
use schemas::{ConfigValue as _, Value};
use std::ops::Range;
use toml::de::DeTable;

/// What a table describes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `[sources.NAME]`: has a kind.
    Source,
    /// `[[stages]]`: has a kind, and may have a name and inputs.
    Stage,
    /// `[tokenizer]`, `[dataset]`, `[train]`: keys alone.
    Part,
}

/// What other tools call a kind.
const KIND_ELSEWHERE: [&str; 3] = ["type", "stage", "source"];

impl Reader<'_> {
    pub(super) fn block(&mut self, table: &DeTable<'_>, span: Range<usize>, role: Role) -> Block {
        let mut block = Block { span, ..Block::default() };
        for (key, value) in in_order(table) {
            match (key.get_ref().as_ref(), role) {
                ("kind", Role::Source | Role::Stage) => block.kind = self.word(value, "kind"),
                ("name", Role::Stage) => {
                    block.name = self.word(value, "name");
                    if !block.name.text.is_empty() {
                        self.check_name(&block.name.clone());
                    }
                }
                ("input", Role::Stage) => block.input = Some(self.inputs(value)),
                ("surprise", Role::Stage) => block.surprise = self.surprise(value),
                ("name", Role::Source) => {
                    let help = "the table names it: `[sources.NAME]`; take the key out";
                    self.wrong(key.span(), "a source has no key `name`", help);
                }
                ("input", Role::Source) => {
                    let help = "take `input` out, or write this as a stage";
                    self.wrong(key.span(), "a source reads no other node", help);
                }
                (name, _) => {
                    let entry = self.entry(name, key.span(), value);
                    block.keys.push(entry);
                }
            }
        }
        if role != Role::Part && block.kind == Word::default() {
            self.kind_misspelt(&mut block);
        }
        block
    }

    fn entry(&mut self, name: &str, span: Range<usize>, value: Node<'_>) -> Entry {
        let written = plain(value.get_ref());
        let items: Vec<Range<usize>> =
            value.get_ref().as_array().into_iter().flatten().map(|item| item.span()).collect();
        let Self { environment, mistakes, variables } = self;
        let mut expander = Expander { environment, mistakes, variables };
        let expanded = expander.expand(&written, &value.span(), &items);
        Entry { name: name.to_owned(), span, value: expanded, written, value_span: value.span(), items }
    }

    /// A key that was meant for `kind`: without it, nothing of the table could be judged.
    fn kind_misspelt(&mut self, block: &mut Block) {
        let meant = |e: &Entry| {
            let name = e.name.to_lowercase();
            let known = KIND_ELSEWHERE.contains(&name.as_str());
            e.value.as_str().is_some_and(|text| !text.is_empty())
                && (known || closest(&name, ["kind"].into_iter()).is_some())
        };
        let Some(at) = block.keys.iter().position(meant) else { return };
        let entry = block.keys.remove(at);
        let message = format!("`{}` is not a key of a node", entry.name);
        self.wrong(entry.span, message, "did you mean `kind`?");
        let text = entry.value.as_str().unwrap_or_default().to_owned();
        block.kind = Word { text, span: entry.value_span };
    }

    fn word(&mut self, value: Node<'_>, key: &str) -> Word {
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() => Word { text: text.to_owned(), span: value.span() },
            Some(_) => {
                self.wrong(value.span(), format!("`{key}` is empty"), "write a name, or take the key out");
                Word { text: String::new(), span: value.span() }
            }
            None => {
                let found = type_words(value.get_ref());
                let message = format!("`{key}`: expected a string, found {found}");
                self.wrong(value.span(), message, format!("write it in quotes: `{key} = \"…\"`"));
                Word { text: String::new(), span: value.span() }
            }
        }
    }

    fn inputs(&mut self, value: Node<'_>) -> Vec<Word> {
        let help = "list the names of nodes: `input = [\"a\", \"b\"]`";
        if let Some(name) = value.get_ref().as_str() {
            return vec![Word { text: name.to_owned(), span: value.span() }];
        }
        let Some(list) = value.get_ref().as_array() else {
            let found = type_words(value.get_ref());
            self.wrong(value.span(), format!("`input`: expected a list of names, found {found}"), help);
            return Vec::new();
        };
        if list.is_empty() {
            self.wrong(value.span(), "`input` is empty", help);
        }
        list.iter().map(|value| self.word(value, "input")).filter(|word| !word.text.is_empty()).collect()
    }

    fn surprise(&mut self, value: Node<'_>) -> Option<Surprise> {
        let word = self.word(value, "surprise");
        let read = Surprise::read(&Value::String(word.text.clone()));
        if read.is_none() && !word.text.is_empty() {
            let all = ["tell", "stop", "expected"];
            let help = match closest(&word.text, all.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `tell`, `stop` or `expected`".to_owned(),
            };
            self.wrong(word.span, format!("`surprise`: `{}` is not one of its values", word.text), help);
        }
        read
    }

    pub(super) fn check_name(&mut self, name: &Word) {
        if !is_name(&name.text) {
            self.wrong(name.span.clone(), format!("`{}` is not a name", name.text), NAME_HELP);
        }
    }
}

impl Entry {
    /// The strings of the value with their places: itself, or its elements.
    pub(crate) fn words(&self) -> Vec<Word> {
        let word = |value: &Value, span: &Range<usize>| {
            value.as_str().map(|text| Word { text: text.to_owned(), span: span.clone() })
        };
        match &self.value {
            Value::Array(list) => {
                let place = |at: usize| self.items.get(at).unwrap_or(&self.value_span);
                list.iter().enumerate().filter_map(|(at, value)| word(value, place(at))).collect()
            }
            value => word(value, &self.value_span).into_iter().collect(),
        }
    }
}

pub(super) const NAME_HELP: &str = "use letters, digits, `_`, `-` and, inside, `.`; 64 at most";

pub(super) fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    // Folders are called by names: `..` would be another folder, and hidden ones are looked for by nobody.
    !text.is_empty() && !text.starts_with('.') && text.len() <= 64 && text.bytes().all(allowed)
}
