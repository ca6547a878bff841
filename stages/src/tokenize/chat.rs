//! Makes tokens of chats: the messages in a layout, and a mask that says which tokens are learned.
//!
//! A chat is a list of messages in the field `messages` (`role`, `content`) or `conversations` (`from`, `value`), or a pair
//! of `prompt` and `completion`; read it with `source.jsonl`, `text_field = ""` and `row = true`. The special tokens of the
//! layout must be tokens of `file` (`additional_special_tokens` of `tokenize.bpe`); a message that spells one out is text like any
//! other, so that no message can end itself or speak for another. Column `loss_mask` is true on the answers of the
//! assistant with the token that ends each, as `apply_chat_template` of transformers has it with
//! `return_assistant_tokens_mask`; the dataset's tokenizer_config.json has the layout for it.
//!
//! ```text
//! template = "chatml"
//! {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]}
//!     →  <|im_start|>user⏎Hi<|im_end|>⏎<|im_start|>assistant⏎Yes?<|im_end|>⏎
//!                                                            ‾‾‾‾‾‾‾‾‾‾‾‾‾‾ learned
//! {"messages": [{"role": "user", "content": "Hi"}]}  →  drop no_assistant (1, limit 1)
//! ```

mod messages;
mod template;

use super::bpe;
use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, SchemaRef};
use messages::{FIELDS, Message, Refusal};
use schemas::column::{ROW, TEXT, TOKENS, tokens_type, utf8, with};
use schemas::hash::FastMap;
use schemas::{
    Build, Config as _, FilePath, Global, House, Judge, KeyError, Made, Note, Notes, Outcome, Push, Reason,
    Records, Settings, Settled, Sorted, Spec, StageError, Value, Verdict, config, manifest, memory, token,
};
use std::sync::Arc;
use template::Part;
pub use template::Template;

config! {
    /// Settings of `tokenize.chat`.
    pub struct Config {
        /// The tokenizer.json; it must have the special tokens of the template.
        file: FilePath = FilePath::default();
        /// The layout of messages.
        template: Template = Template::Chatml;
        /// The token behind each answer where the layout has none of its own: `plain` and `text`.
        eos: String = "<|endoftext|>".to_owned();
    }
}

/// Why `tokenize.chat` drops a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The row is no chat.
    BadChat,
    /// No message, or an answer without text.
    Empty,
    /// Somebody else speaks.
    UnknownRole,
    /// The assistant says nothing.
    NoAssistant,
    /// The model of the file cannot encode a message.
    Unencodable,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::BadChat => "bad_chat",
            Self::Empty => "empty",
            Self::UnknownRole => "unknown_role",
            Self::NoAssistant => "no_assistant",
            Self::Unencodable => "unencodable",
        }
    }

    /// What was measured against what.
    fn verdict(self, value: usize) -> Verdict {
        let limit = if matches!(self, Self::NoAssistant | Self::Empty) { 1.0 } else { 0.0 };
        Verdict::Dropped { reason: self.name(), value: value as f64, limit, twin: None }
    }
}

const REASONS: &[Reason] = &[
    Reason {
        name: Drop::BadChat.name(),
        doc: "The row has no list of messages and no pair of `prompt` and `completion`, or a message has no role, or no text for content.",
    },
    Reason {
        name: Drop::Empty.name(),
        doc: "There is no message, or an answer of the assistant has no text.",
    },
    Reason {
        name: Drop::UnknownRole.name(),
        doc: "A message is by none of system, user, assistant and tool, by whatever name; the value is its place.",
    },
    Reason {
        name: Drop::NoAssistant.name(),
        doc: "No message is by the assistant; the value counts messages.",
    },
    Reason {
        name: Drop::Unencodable.name(),
        doc: "The model of `file` cannot encode a message; a byte-level model always can.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let path = settings.resolve(&config.file);
    if config.file.is_empty() {
        let help = Some("name a tokenizer.json that has the special tokens of the template".to_owned());
        return Err(vec![mistake("file", "is not set", help)]);
    }
    let inner = tokenizer(&config, &path)?;
    let json = std::fs::read(&path).map_err(|error| vec![unreadable(&path, &error)])?;
    let json: serde_json::Value =
        serde_json::from_slice(&json).map_err(|error| vec![unreadable(&path, &error)])?;
    let added = json["added_tokens"].as_array().into_iter().flatten();
    let id = |token: &serde_json::Value| {
        Some((token["content"].as_str()?.to_owned(), token["id"].as_i64()? as i32))
    };
    let known: FastMap<String, i32> = added.filter_map(id).collect();
    let named = config.template.specials(&config.eos);
    let missing: Vec<String> =
        named.iter().filter(|name| !known.contains_key(*name)).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let told = format!("{} has no special token {}", path.display(), missing.join(", "));
        let help =
            "train one with `additional_special_tokens` under `[tokenizer]` or `gristmill tokenizer train --special`, or choose another `template`".to_owned();
        return Err(vec![mistake("template", told, Some(help))]);
    }
    let specials = named.into_iter().map(|name| (known[&name], name)).map(|(id, name)| (name, id)).collect();
    Ok(Made::Global(Box::new(Chats {
        inner,
        layout: Layouter { template: config.template, eos: config.eos, specials, lengths: lengths(&json) },
    })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "tokenize.chat",
    version: 1,
    summary: "Makes tokens of chats: the messages in a layout, and a mask that says which tokens are learned.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

fn mistake(key: &str, message: impl Into<String>, help: Option<String>) -> KeyError {
    KeyError { key: key.to_owned(), message: message.into(), help }
}

fn unreadable(path: &std::path::Path, error: &dyn std::fmt::Display) -> KeyError {
    mistake("file", format!("{}: {error}", path.display()), None)
}

/// `tokenize.bpe` on the file: texts alone, no special token in them, and nothing behind them.
fn tokenizer(config: &Config, path: &std::path::Path) -> Result<Box<dyn Global>, Vec<KeyError>> {
    let settings = [
        ("file", Value::String(path.to_string_lossy().into_owned())),
        ("append_eos", Value::Boolean(false)),
        ("eos", Value::String(config.template.end(&config.eos).to_owned())),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value));
    match (bpe::SPEC.build)(&Settings::new(settings.into()))? {
        Made::Global(global) => Ok(global),
        _ => unreachable!("`tokenize.bpe` is a global"),
    }
}

/// The layout with the ids of its tokens.
#[derive(Clone)]
struct Layouter {
    template: Template,
    eos: String,
    specials: FastMap<String, i32>,
    /// Bytes of each token of a byte-level tokenizer; of another none.
    lengths: Arc<[usize]>,
}

/// How many bytes the tokens of a byte-level tokenizer stand for: as many as they have symbols.
fn lengths(json: &serde_json::Value) -> Arc<[usize]> {
    let vocab = json["model"]["vocab"].as_object().filter(|_| json["decoder"]["type"] == "ByteLevel");
    let mut lengths = Vec::new();
    for (token, id) in vocab.into_iter().flatten() {
        let id = id.as_u64().unwrap_or(0) as usize;
        lengths.resize(lengths.len().max(id + 1), 0);
        lengths[id] = token.chars().count();
    }
    lengths.into()
}

/// The first token that has a byte at or behind `from` of a text.
fn token_at(from: usize, text: &str, ids: &[i32], lengths: &[usize]) -> usize {
    let length = |id: &i32| lengths.get(*id as usize).copied().unwrap_or(0);
    // Some tokenizers put a space in front of a text.
    let mut ahead = from + ids.iter().map(length).sum::<usize>().saturating_sub(text.len());
    let is_before = |id: &&i32| {
        let before = length(id) <= ahead;
        ahead -= if before { length(id) } else { 0 };
        before
    };
    ids.iter().take_while(is_before).count()
}

/// The kind before its judge: nothing to see first.
struct Chats {
    inner: Box<dyn Global>,
    layout: Layouter,
}

fn mask_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Boolean, false)))
}

fn output(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    let has =
        |name: &str| input.field_with_name(name).is_ok_and(|field| *field.data_type() == DataType::Utf8);
    let pair = has("prompt") && has("completion");
    if ![ROW, "messages", "conversations"].into_iter().any(has) && !pair {
        let found = input.fields().iter().map(|field| field.name().clone()).collect();
        return Err(StageError::ColumnMissing { column: "messages", found });
    }
    Ok(with(
        input,
        [Field::new(TOKENS, tokens_type(), false), Field::new(token::LOSS_MASK, mask_type(), false)],
    ))
}

impl Global for Chats {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        output(input)
    }

    fn sees_rows(&self) -> bool {
        false
    }

    fn map(&self, _: &RecordBatch, _: &mut Records) -> Result<(), StageError> {
        Ok(())
    }

    fn reduce(&self, _: &mut dyn Sorted, _: &mut dyn Push) -> Result<(), StageError> {
        Ok(())
    }

    fn settle(&self, _: &mut dyn Sorted, _: &dyn House, _: &mut dyn Notes) -> Result<Settled, StageError> {
        let mut settled = memory::settle(self.inner.as_ref(), &[], 1)?.settled;
        let invalid = |error: serde_json::Error| StageError::Invalid(error.to_string());
        if let Some(told) = settled.files.get_mut(manifest::TOKENIZER_CONFIG) {
            let mut config: serde_json::Value = serde_json::from_slice(told).map_err(invalid)?;
            config["chat_template"] = self.layout.template.jinja(&self.layout.eos).into();
            *told = format!("{config:#}\n").into_bytes();
        }
        Ok(settled)
    }

    fn judge(&self, settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Tokenize { texts: self.inner.judge(settled)?, layout: self.layout.clone() }))
    }
}

/// The settled stage.
struct Tokenize {
    texts: Box<dyn Judge>,
    layout: Layouter,
}

/// The tokens of one chat.
#[derive(Default)]
struct Row {
    ids: Vec<i32>,
    mask: Vec<bool>,
}

impl Judge for Tokenize {
    fn judge(&self, batch: &RecordBatch, _: &[Option<Note>]) -> Result<Outcome, StageError> {
        let chats = chats(batch)?;
        let lay_out = |messages: Vec<Message>| self.layout.template.lay_out(&messages, &self.layout.eos).0;
        let chats: Vec<Result<Vec<Part>, Refusal>> =
            chats.into_iter().map(|chat| chat.map(lay_out)).collect();
        let encoded = self.encode(chats.iter().flatten().flatten())?;
        let mut rows = Vec::with_capacity(chats.len());
        let verdicts = chats.iter().map(|chat| {
            let row = chat.as_ref().map_err(|refusal| *refusal).and_then(|parts| self.row(parts, &encoded));
            let (row, verdict) = match row {
                Ok(row) => (row, Verdict::Kept),
                Err((drop, value)) => (Row::default(), drop.verdict(value)),
            };
            rows.push(row);
            verdict
        });
        let verdicts: Vec<Verdict> = verdicts.collect();
        outcome(verdicts, &rows)
    }
}

/// The messages of each row, or why there are none.
fn chats(batch: &RecordBatch) -> Result<Vec<Result<Vec<Message>, Refusal>>, StageError> {
    let present = |name: &str| batch.column_by_name(name).is_some();
    let named = FIELDS.into_iter().filter(|name| present(name)).map(|name| Ok((name, utf8(batch, name)?)));
    let columns: Vec<(&'static str, &StringArray)> = named.collect::<Result<_, StageError>>()?;
    let rows = present(ROW).then(|| utf8(batch, ROW)).transpose()?;
    let chat = |at: usize| {
        let filled = columns.iter().filter(|(_, texts)| texts.is_valid(at));
        let mut object = messages::object_of(filled.map(|(name, texts)| (*name, texts.value(at))));
        if let Some(row) = rows.filter(|rows| object.is_empty() && rows.is_valid(at)) {
            object = serde_json::from_str(row.value(at)).unwrap_or_default();
        }
        messages::of_object(&object)
    };
    Ok((0..batch.num_rows()).map(chat).collect())
}

/// Ids of texts; `None` where one cannot be encoded.
type Encoded = FastMap<String, Option<Vec<i32>>>;

impl Tokenize {
    /// Encodes every text of the parts; where lengths of tokens are not known, also what stands before an answer alone.
    fn encode<'a>(&self, parts: impl Iterator<Item = &'a Part>) -> Result<Encoded, StageError> {
        let mut texts: Vec<&str> = Vec::new();
        for part in parts {
            if let Part::Text(text, from) = part {
                texts.push(text);
                let before = from.filter(|_| self.layout.lengths.is_empty());
                texts.extend(before.map(|from| &text[..from]));
            }
        }
        texts.sort_unstable();
        texts.dedup();
        let column: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let batch = RecordBatch::try_from_iter([(TEXT, column)])?;
        let outcome = self.texts.judge(&batch, &vec![None; texts.len()])?;
        let tokens = outcome.columns.iter().find(|(name, _)| name == TOKENS);
        let tokens = tokens.expect("`tokenize.bpe` gives tokens").1.as_list::<i32>();
        let ids = |at: usize| {
            let ids = || tokens.value(at).as_primitive::<Int32Type>().values().to_vec();
            match outcome.verdicts[at] {
                Verdict::Dropped { reason, .. } if reason == bpe::Drop::Unencodable.name() => Ok(None),
                // A text may come to no token at all.
                Verdict::Dropped { reason, .. } if reason != bpe::Drop::Empty.name() => {
                    Err(StageError::Invalid(format!(
                        "a text of a chat was refused by the tokenizer as `{reason}`"
                    )))
                }
                _ => Ok(Some(ids())),
            }
        };
        texts.iter().enumerate().map(|(at, text)| Ok(((*text).to_owned(), ids(at)?))).collect()
    }

    fn row(&self, parts: &[Part], encoded: &Encoded) -> Result<Row, Refusal> {
        let mut row = Row::default();
        for part in parts {
            match part {
                Part::Special(name, learned) => {
                    row.ids.push(self.layout.specials[name]);
                    row.mask.push(*learned);
                }
                Part::Text(text, from) => {
                    let ids_of = |text: &str| encoded[text].as_deref().ok_or((Drop::Unencodable, text.len()));
                    let ids = ids_of(text)?;
                    let plain = match from {
                        None => ids.len(),
                        // A token that reaches over the border is learned.
                        Some(from) if !self.layout.lengths.is_empty() => {
                            token_at(*from, text, ids, &self.layout.lengths)
                        }
                        Some(from) => {
                            let before = ids_of(&text[..*from])?;
                            before.iter().zip(ids).take_while(|(a, b)| a == b).count()
                        }
                    };
                    row.ids.extend(ids);
                    row.mask.extend((0..ids.len()).map(|at| at >= plain));
                }
            }
        }
        Ok(row)
    }
}

fn outcome(verdicts: Vec<Verdict>, rows: &[Row]) -> Result<Outcome, StageError> {
    let lengths = || rows.iter().map(|row| row.ids.len());
    if i32::try_from(lengths().sum::<usize>()).is_err() {
        return Err(StageError::Invalid("a batch has more tokens than a list can hold".to_owned()));
    }
    let ids = Int32Array::from_iter_values(rows.iter().flat_map(|row| row.ids.iter().copied()));
    let mask: BooleanArray =
        rows.iter().flat_map(|row| row.mask.iter().map(|&learned| Some(learned))).collect();
    let list = |item: DataType, values: ArrayRef| {
        let item = Arc::new(Field::new("item", item, false));
        ListArray::try_new(item, OffsetBuffer::from_lengths(lengths()), values, None)
    };
    let tokens = list(DataType::Int32, Arc::new(ids))?;
    let mask = list(DataType::Boolean, Arc::new(mask))?;
    let count = |of: &dyn Fn(&Row) -> usize| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| of(row) as f64)))
    };
    Ok(Outcome {
        verdicts,
        columns: vec![
            (TOKENS.to_owned(), Arc::new(tokens) as ArrayRef),
            (token::LOSS_MASK.to_owned(), Arc::new(mask)),
        ],
        signals: vec![
            ("token_count", count(&|row| row.ids.len())),
            ("learned_count", count(&|row| row.mask.iter().filter(|&&learned| learned).count())),
        ],
    })
}

#[cfg(test)]
mod tests;
