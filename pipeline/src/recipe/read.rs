//! From TOML text to blocks.
//!
//! A table in the wrong form (`[stages.x]`, `[[sources.x]]`, `[source.x]`) is told and then read as what it is meant for:
//! its keys may hold mistakes of their own.

use super::block::{NAME_HELP, Role, is_name};
use super::syntax::Damage;
use super::value::type_words;
use super::{Block, Mistake, Recipe, Word};
use schemas::near::closest;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const TABLES: [&str; 6] = ["name", "sources", "stages", "tokenizer", "dataset", "train"];

pub(super) struct Reader<'a> {
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) variables: BTreeMap<String, String>,
}

/// What is said of a recipe that reads nothing.
pub(super) const NO_SOURCE: &str = "the recipe has no source";

pub(super) fn recipe(
    file: &Path,
    text: String,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Recipe, Vec<Mistake>) {
    let mut reader = Reader { environment, mistakes: Vec::new(), variables: BTreeMap::new() };
    let damage = Damage::find(&text);
    let name = file.file_stem().map_or_else(|| "dataset".into(), |s| s.to_string_lossy().into_owned());
    let mut recipe = Recipe { text, ..Recipe::of_blocks(file, &name, Vec::new(), Vec::new()) };
    let table = DeTable::parse_recoverable(&damage.text).0;
    for (key, value) in in_order(table.get_ref()) {
        reader.table(&mut recipe, key, value);
    }
    let told = reader.mistakes.iter().any(|m| m.message.contains("source"));
    if recipe.sources.is_empty() && damage.is_none() && !told {
        let help = "add a table such as `[sources.pages]` with `kind = \"source.warc\"`";
        reader.mistakes.push(Mistake::new(0..0, NO_SOURCE, help));
    }
    drop(table);
    recipe.damage = damage;
    recipe.variables = reader.variables;
    (recipe, reader.mistakes)
}

pub(super) type Key<'a> = &'a Spanned<std::borrow::Cow<'a, str>>;
pub(super) type Node<'a> = &'a Spanned<DeValue<'a>>;

pub(super) fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(Key<'a>, Node<'a>)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

/// The tables of a list.
fn tables<'a>(value: Node<'a>) -> impl Iterator<Item = (Range<usize>, &'a DeTable<'a>)> {
    let list = value.get_ref().as_array().into_iter().flatten();
    list.filter_map(|item| Some((item.span(), item.get_ref().as_table()?)))
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message, help));
    }

    fn table(&mut self, recipe: &mut Recipe, key: Key<'_>, value: Node<'_>) {
        let written = key.get_ref().as_ref();
        if TABLES.contains(&written) {
            return self.part(recipe, written, key, value);
        }
        let message = format!("`{written}` is not a part of a recipe");
        if let Some(meant) = closest(written, TABLES.into_iter()) {
            self.wrong(key.span(), message, format!("did you mean `{meant}`?"));
            return self.part(recipe, meant, key, value);
        }
        let holds_tables = value.get_ref().is_table() || tables(value).next().is_some();
        if holds_tables {
            let help = format!("a recipe has {}", TABLES.map(|t| format!("`{t}`")).join(", "));
            self.wrong(key.span(), message, help);
        } else {
            let help = "put it below the header of its table, such as `[sources.NAME]` or `[[stages]]`";
            self.wrong(key.span(), format!("`{written}` stands outside of every table"), help);
        }
    }

    fn part(&mut self, recipe: &mut Recipe, part: &str, key: Key<'_>, value: Node<'_>) {
        let slot = match part {
            "name" => match value.get_ref().as_str() {
                Some(name) if is_name(name) => return name.clone_into(&mut recipe.name),
                Some(name) => return self.wrong(value.span(), format!("`{name}` is not a name"), NAME_HELP),
                None => {
                    let message = format!("`name`: expected a string, found {}", type_words(value.get_ref()));
                    return self.wrong(value.span(), message, "write it in quotes: `name = \"my-data\"`");
                }
            },
            "sources" => return recipe.sources.extend(self.sources(key, value)),
            "stages" => return recipe.stages.extend(self.stages(key, value)),
            "tokenizer" => &mut recipe.tokenizer,
            "dataset" => &mut recipe.dataset,
            _ => &mut recipe.train,
        };
        let block = self.single(part, key, value);
        if slot.is_none() {
            *slot = block;
        }
    }

    fn sources(&mut self, key: Key<'_>, value: Node<'_>) -> Vec<Block> {
        let help = "each source is a table with a name: `[sources.NAME]`";
        let Some(table) = value.get_ref().as_table() else {
            let list: Vec<_> = tables(value).collect();
            if list.is_empty() {
                let message = format!("`sources`: expected tables, found {}", type_words(value.get_ref()));
                self.wrong(value.span(), message, help);
                return Vec::new();
            }
            self.wrong(key.span(), "sources are no list", help);
            let list = list.into_iter().enumerate();
            return list.map(|(n, (span, table))| self.source(&format!("source-{n}"), span, table)).collect();
        };
        // `[sources]` with the keys of one source.
        if table.iter().any(|(key, value)| key.get_ref() == "kind" && value.get_ref().is_str()) {
            self.wrong(key.span(), "the source has no name", help);
            return vec![self.source("source", key.span(), table)];
        }
        let mut blocks = Vec::new();
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            if let Some(table) = value.get_ref().as_table() {
                self.check_name(&Word { text: name.to_owned(), span: key.span() });
                blocks.push(self.source(name, key.span(), table));
                continue;
            }
            let list: Vec<_> = tables(value).collect();
            if list.is_empty() {
                self.wrong(key.span(), format!("`sources.{name}` is not a table"), help);
                continue;
            }
            let help = format!("write `[sources.{name}]`; another source has another name");
            self.wrong(key.span(), format!("the source `{name}` is one table, not a list"), help);
            let list = list.into_iter().enumerate();
            blocks.extend(list.map(|(n, (_, table))| match n {
                0 => self.source(name, key.span(), table),
                n => self.source(&format!("{name}-{n}"), key.span(), table),
            }));
        }
        blocks
    }

    fn source(&mut self, name: &str, span: Range<usize>, table: &DeTable<'_>) -> Block {
        let mut block = self.block(table, span.clone(), Role::Source);
        block.name = Word { text: name.to_owned(), span };
        block
    }

    fn stages(&mut self, key: Key<'_>, value: Node<'_>) -> Vec<Block> {
        let help = "each stage is one of a list: `[[stages]]`";
        let found = type_words(value.get_ref());
        if let Some(table) = value.get_ref().as_table() {
            return self.named_stages(key, table);
        }
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(value.span(), format!("`stages`: expected a list of tables, found {found}"), help);
            return Vec::new();
        };
        let mut blocks = Vec::new();
        for value in list {
            match value.get_ref().as_table() {
                Some(table) => blocks.push(self.block(table, value.span(), Role::Stage)),
                None => {
                    let message =
                        format!("`stages`: expected a table, found {}", type_words(value.get_ref()));
                    self.wrong(value.span(), message, help);
                }
            }
        }
        blocks
    }

    /// `[stages.NAME]`, or one table where a list is due.
    fn named_stages(&mut self, key: Key<'_>, table: &DeTable<'_>) -> Vec<Block> {
        let mut blocks = Vec::new();
        if !table.iter().all(|(_, value)| value.get_ref().is_table()) {
            self.wrong(key.span(), "stages are a list of tables", "write `[[stages]]`, in double brackets");
            return vec![self.block(table, key.span(), Role::Stage)];
        }
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            let help = format!("write `[[stages]]`, and below it `name = \"{name}\"`");
            self.wrong(key.span(), "stages are a list of tables", help);
            let Some(table) = value.get_ref().as_table() else { continue };
            let mut block = self.block(table, key.span(), Role::Stage);
            if block.name.text.is_empty() {
                block.name = Word { text: name.to_owned(), span: key.span() };
            }
            blocks.push(block);
        }
        blocks
    }

    fn single(&mut self, part: &str, key: Key<'_>, value: Node<'_>) -> Option<Block> {
        if let Some(table) = value.get_ref().as_table() {
            return Some(self.block(table, key.span(), Role::Part));
        }
        if let Some((_, table)) = tables(value).next() {
            let help = format!("write `[{part}]`, in single brackets");
            self.wrong(key.span(), format!("`{part}` is one table, not a list"), help);
            return Some(self.block(table, key.span(), Role::Part));
        }
        let found = type_words(value.get_ref());
        let message = format!("`{part}`: expected a table, found {found}");
        self.wrong(value.span(), message, format!("write `[{part}]` and its keys below"));
        None
    }
}
