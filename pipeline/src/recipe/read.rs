//! From TOML text to blocks.

use super::{Block, Entry, Mistake, Recipe, Word};
use schemas::{Value, config::closest};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const TABLES: [&str; 6] = ["name", "sources", "stages", "tokenizer", "dataset", "train"];

struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
}

pub(super) fn recipe(
    file: &Path,
    text: String,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Recipe, Vec<Mistake>) {
    let mut reader = Reader { environment, mistakes: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let help = "a recipe is TOML: `key = value`, `[table]`, `[[list of tables]]`";
        reader.mistakes.push(Mistake::new(span, error.message().lines().collect::<Vec<_>>().join(" "), help));
    }
    let mut recipe = Recipe {
        file: file.to_owned(),
        text: String::new(),
        name: file.file_stem().map_or_else(|| "dataset".into(), |s| s.to_string_lossy().into_owned()),
        sources: Vec::new(),
        stages: Vec::new(),
        tokenizer: None,
        dataset: None,
        train: None,
    };
    // After a syntax error the tables may be torn apart: what they lack is then no mistake of its own.
    if errors.is_empty() {
        for (key, value) in in_order(table.get_ref()) {
            reader.table(&mut recipe, key, value);
        }
        if recipe.sources.is_empty() && reader.mistakes.is_empty() {
            let help = "add a table such as `[sources.pages]` with `kind = \"source.warc\"`";
            reader.mistakes.push(Mistake::new(0..0, "the recipe has no source", help));
        }
    }
    drop(table);
    recipe.text = text;
    (recipe, reader.mistakes)
}

type Key<'a> = &'a Spanned<std::borrow::Cow<'a, str>>;
type Node<'a> = &'a Spanned<DeValue<'a>>;

fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(Key<'a>, Node<'a>)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message, help));
    }

    fn table(&mut self, recipe: &mut Recipe, key: Key<'_>, value: Node<'_>) {
        match key.get_ref().as_ref() {
            "name" => match value.get_ref().as_str() {
                Some(name) if is_name(name) => name.clone_into(&mut recipe.name),
                _ => self.wrong(value.span(), "`name` is not a name", NAME_HELP),
            },
            "sources" => recipe.sources = self.sources(value),
            "stages" => recipe.stages = self.stages(value),
            "tokenizer" => recipe.tokenizer = self.single(key, value),
            "dataset" => recipe.dataset = self.single(key, value),
            "train" => recipe.train = self.single(key, value),
            other => {
                let help = match closest(other, TABLES.into_iter()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("a recipe has {}", TABLES.map(|t| format!("`{t}`")).join(", ")),
                };
                self.wrong(key.span(), format!("`{other}` is not a part of a recipe"), help);
            }
        }
    }

    fn sources(&mut self, value: Node<'_>) -> Vec<Block> {
        let help = "each source is a table: `[sources.NAME]`";
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(value.span(), format!("expected a table, found {}", value.get_ref().type_str()), help);
            return Vec::new();
        };
        let mut blocks = Vec::new();
        for (key, value) in in_order(table) {
            let Some(table) = value.get_ref().as_table() else {
                self.wrong(key.span(), format!("`sources.{}` is not a table", key.get_ref()), help);
                continue;
            };
            let mut block = self.block(table, key.span());
            if !block.name.text.is_empty() {
                let help = format!("the table names it: `[sources.{}]`; take the key out", block.name.text);
                self.wrong(block.name.span.clone(), "a source has no key `name`", help);
            }
            block.name = Word { text: key.get_ref().to_string(), span: key.span() };
            self.check_name(&block.name);
            if let Some(input) = &block.input {
                let span = input.first().map_or(key.span(), |w| w.span.clone());
                self.wrong(
                    span,
                    "a source reads no other node",
                    "take `input` out, or write this as a stage",
                );
            }
            blocks.push(block);
        }
        blocks
    }

    fn stages(&mut self, value: Node<'_>) -> Vec<Block> {
        let help = "each stage is one of a list: `[[stages]]`";
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(
                value.span(),
                format!("expected a list of tables, found {}", value.get_ref().type_str()),
                help,
            );
            return Vec::new();
        };
        let mut blocks = Vec::new();
        for value in list {
            let Some(table) = value.get_ref().as_table() else {
                self.wrong(
                    value.span(),
                    format!("expected a table, found {}", value.get_ref().type_str()),
                    help,
                );
                continue;
            };
            let block = self.block(table, value.span());
            if !block.name.text.is_empty() {
                self.check_name(&block.name);
            }
            blocks.push(block);
        }
        blocks
    }

    fn single(&mut self, key: Key<'_>, value: Node<'_>) -> Option<Block> {
        let Some(table) = value.get_ref().as_table() else {
            let found = value.get_ref().type_str();
            self.wrong(
                value.span(),
                format!("expected a table, found {found}"),
                format!("write `[{}]`", key.get_ref()),
            );
            return None;
        };
        let block = self.block(table, key.span());
        for word in [&block.name, &block.kind].into_iter().filter(|w| !w.text.is_empty()) {
            let message = format!("`[{}]` has no key `name` or `kind`", key.get_ref());
            self.wrong(word.span.clone(), message, "take it out");
        }
        Some(block)
    }

    fn block(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Block {
        let mut block = Block { span, ..Block::default() };
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "name" => block.name = self.word(value, "name"),
                "kind" => block.kind = self.word(value, "kind"),
                "input" => block.input = Some(self.inputs(value)),
                name => {
                    let written = plain(value.get_ref());
                    let expanded = self.expand(&written, &value.span());
                    block.keys.push(Entry {
                        name: name.to_owned(),
                        span: key.span(),
                        value: expanded,
                        written,
                        value_span: value.span(),
                    });
                }
            }
        }
        block
    }

    fn word(&mut self, value: Node<'_>, key: &str) -> Word {
        match value.get_ref().as_str() {
            Some(text) if !text.is_empty() => Word { text: text.to_owned(), span: value.span() },
            Some(_) => {
                self.wrong(value.span(), format!("`{key}` is empty"), "write a name, or take the key out");
                Word::default()
            }
            None => {
                let found = value.get_ref().type_str();
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
            let found = value.get_ref().type_str();
            self.wrong(value.span(), format!("`input`: expected a list of names, found {found}"), help);
            return Vec::new();
        };
        if list.is_empty() {
            self.wrong(value.span(), "`input` is empty", help);
        }
        list.iter().map(|value| self.word(value, "input")).filter(|word| !word.text.is_empty()).collect()
    }

    fn check_name(&mut self, name: &Word) {
        if !is_name(&name.text) {
            self.wrong(name.span.clone(), format!("`{}` is not a name", name.text), NAME_HELP);
        }
    }

    /// Replaces `${VAR}` in strings; `$$` is a dollar sign.
    fn expand(&mut self, value: &Value, span: &Range<usize>) -> Value {
        match value {
            Value::String(text) if text.contains('$') => Value::String(self.expand_text(text, span)),
            Value::Array(list) => Value::Array(list.iter().map(|v| self.expand(v, span)).collect()),
            other => other.clone(),
        }
    }

    fn expand_text(&mut self, text: &str, span: &Range<usize>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
                match (self.environment)(name) {
                    Some(value) => out.push_str(&value),
                    None => {
                        let message = format!("the environment variable `{name}` is not set");
                        self.wrong(
                            span.clone(),
                            message,
                            format!("set it: `export {name}=…`, or write `$$` for a dollar sign"),
                        );
                    }
                }
                rest = after;
            } else {
                out.push('$');
            }
        }
        out + rest
    }
}

const NAME_HELP: &str = "use letters, digits, `.`, `_` and `-`, 64 at most";

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_or_else(|_| Value::String(n.to_string()), Value::Integer),
        DeValue::Float(n) => n.as_str().parse().map_or_else(|_| Value::String(n.to_string()), Value::Float),
        DeValue::Boolean(b) => Value::Boolean(*b),
        DeValue::Datetime(d) => Value::Datetime(*d),
        DeValue::Array(list) => Value::Array(list.iter().map(|v| plain(v.get_ref())).collect()),
        DeValue::Table(table) => {
            Value::Table(table.iter().map(|(k, v)| (k.get_ref().to_string(), plain(v.get_ref()))).collect())
        }
    }
}
