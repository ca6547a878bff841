//! Makes tokens of text: byte-level BPE, trained on the corpus or read from a tokenizer.json.
//!
//! Training counts the pre-tokens of a split (GPT-2's, if no other is named) and merges the most frequent pairs; all 256 bytes are tokens, so no
//! text is unknown and decoding gives every text back. The vocabulary starts with `eos` (id 0), then the bytes, then
//! merges. Same corpus, same tokenizer: `tokenizer.json` is the same byte for byte whatever the order of documents.
//! Documents get their ids in `tokens`, with `eos` behind them. The name of a special token inside a document is text by
//! default: else a page could end documents at will.
//!
//! ```text
//! vocab_size = 259                          # trained on "ab ab ab"
//! "ab"               → tokens [257, 0]      # a+b merged, eos
//! ""                 → drop empty (0, limit 1)
//! ```

mod added;
mod automaton;
mod bytes;
mod cache;
mod chars;
mod encode;
mod json;
mod merge;
mod normal;
mod parts;
mod pattern;
#[cfg_attr(not(target_arch = "x86_64"), path = "bpe/plain_none.rs")]
mod plain;
mod route;
mod splitter;
pub mod train;
mod view;
mod words;

use arrow::array::{ArrayRef, Float64Array, Int32Array, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};
use encode::Encoder;
use schemas::column::{TEXT, TOKENS, require, tokens_type, utf8, with};
use schemas::{
    Build, Config as _, FilePath, Global, House, Judge, KeyError, Made, Notes, Outcome, Push, Reason,
    Records, Settings, Settled, Sorted, Spec, Stage, StageError, Verdict, choice, config, manifest,
};
use std::sync::Arc;
use train::files::WORD_BYTES_MAX;
use train::splits::{Split, Splitter};
use train::{Counts, Plan, Sizes};

choice! {
    /// What the name of a special token inside a document is.
    pub enum SpecialTokens {
        /// Text like any other.
        Text = "text",
        /// The special token.
        Parse = "parse",
        /// A reason to drop the document.
        Reject = "reject",
    }
}

config! {
    /// Settings of `tokenize.bpe`.
    pub struct Config {
        /// The tokenizer.json to use; none to train one on the corpus.
        file: FilePath = FilePath::default();
        /// Most tokens of a trained vocabulary; small by default, as the corpora and models of one machine are:
        /// at 8,192 the embedding of a small model does not outweigh the rest of it.
        vocab_size: u64 = 8192, in 257..=1_048_576;
        /// Fewest times that a pair must be seen to become a token.
        min_frequency: u64 = 2, in 1..=1_000_000_000;
        /// The split of a trained tokenizer; no token crosses a border.
        split: Split = Split::Gpt2;
        /// Further special tokens of a trained tokenizer, such as `<|im_start|>` and `<|im_end|>` for chats that the model is to
        /// learn later. Their ids go on behind that of `eos`.
        additional_special_tokens: Vec<String> = Vec::new();
        /// What the name of a special token inside a document is: `text` like any other, `parse` to make it the
        /// special token, `reject` to drop the document.
        special_tokens: SpecialTokens = SpecialTokens::Text;
        /// Whether `eos` goes behind every document.
        append_eos: bool = true;
        /// The token that ends a document.
        eos: String = "<|endoftext|>".to_owned();
    }
}

impl Config {
    /// The special tokens of a trained tokenizer, in the order of their ids.
    fn specials(&self) -> Vec<&str> {
        std::iter::once(&self.eos).chain(&self.additional_special_tokens).map(String::as_str).collect()
    }
}

/// Why `tokenize.bpe` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No token before `eos`.
    Empty,
    /// The name of a special token in the text.
    SpecialToken,
    /// The model of the file cannot encode the text.
    Unencodable,
}

impl Drop {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::SpecialToken => "special_token",
            Self::Unencodable => "unencodable",
        }
    }

    fn verdict(self, value: usize, limit: f64) -> Verdict {
        Verdict::Dropped { reason: self.name(), value: value as f64, limit, twin: None }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "No token before `eos`." },
    Reason {
        name: Drop::SpecialToken.name(),
        doc: "The text holds the name of a special token, with `special_tokens = \"reject\"`.",
    },
    Reason {
        name: Drop::Unencodable.name(),
        doc: "The model of `file` cannot encode the text; a byte-level model always can.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    if config.eos.is_empty() {
        return Err(vec![mistake("eos", "is empty", None)]);
    }
    Ok(Made::Global(if config.file.is_empty() {
        check_specials(&config).map_err(|mistake| vec![mistake])?;
        Box::new(Train { splitter: config.split.splitter(), config })
    } else {
        let (json, encoder) = read(&config, settings)?;
        Box::new(Load { config, json, encoder: Arc::new(encoder) })
    }))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "tokenize.bpe",
    version: 3,
    summary: "Makes tokens of text: byte-level BPE, trained on the corpus or read from a tokenizer.json.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// Keys that a tokenizer from a file has no use for.
const TRAINING_KEYS: [&str; 4] = ["vocab_size", "min_frequency", "split", "additional_special_tokens"];

/// Refuses further special tokens that are none, or too many for the vocabulary.
fn check_specials(config: &Config) -> Result<(), KeyError> {
    let (key, specials) = ("additional_special_tokens", config.specials());
    for (at, special) in specials.iter().enumerate().skip(1) {
        if special.chars().count() < 2 {
            let message = format!("{special:?} has fewer than two characters, as the tokens of bytes have");
            return Err(mistake(key, message, None));
        }
        if specials[..at].contains(special) {
            return Err(mistake(key, format!("{special:?} stands there twice, or is `eos`"), None));
        }
    }
    let least = 256 + specials.len() as u64;
    if config.vocab_size < least {
        let message = format!(
            "256 bytes and {} special tokens are more than `vocab_size` = {}",
            specials.len(),
            config.vocab_size
        );
        return Err(mistake("vocab_size", message, Some(format!("set {least} or more"))));
    }
    Ok(())
}

fn mistake(key: &str, message: impl Into<String>, help: Option<String>) -> KeyError {
    KeyError { key: key.to_owned(), message: message.into(), help }
}

/// Reads the tokenizer.json and finds what does not fit it.
fn read(config: &Config, settings: &Settings) -> Result<(Vec<u8>, Encoder), Vec<KeyError>> {
    let unused = settings.pairs().iter().filter(|(key, _)| TRAINING_KEYS.contains(&key.as_str()));
    let mut errors: Vec<KeyError> = unused
        .map(|(key, _)| {
            mistake(
                key,
                "is for training, but `file` gives a tokenizer",
                Some(format!("remove `{key}` or `file`")),
            )
        })
        .collect();
    let path = settings.resolve(&config.file);
    let json = match std::fs::read(&path) {
        Ok(json) => json,
        Err(error) => {
            errors.push(mistake("file", format!("{}: {error}", path.display()), None));
            return Err(errors);
        }
    };
    match encoder(config, &json) {
        Err(error) => {
            errors.push(mistake("file", format!("{} is no tokenizer.json: {error}", path.display()), None));
            Err(errors)
        }
        Ok(encoder) => {
            if config.append_eos && encoder.id(&config.eos).is_none() {
                errors.push(mistake(
                    "eos",
                    format!("{} has no token `{}`", path.display(), config.eos),
                    Some("name a token of the file, or set `append_eos = false`".to_owned()),
                ));
            }
            if errors.is_empty() { Ok((json, encoder)) } else { Err(errors) }
        }
    }
}

fn output(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    require(input, TEXT, &DataType::Utf8)?;
    Ok(with(input, [Field::new(TOKENS, tokens_type(), false)]))
}

fn settled(config: &Config, json: Vec<u8>, encoder: &Encoder) -> Settled {
    let eos = encoder.id(&config.eos).map(|id| ("eos_id".to_owned(), u64::from(id)));
    let told = transformers_config(eos.as_ref().map(|_| config.eos.as_str()));
    let facts = [("vocab_size".to_owned(), encoder.size())].into_iter().chain(eos).collect();
    let files = [(manifest::TOKENIZER.to_owned(), json), (manifest::TOKENIZER_CONFIG.to_owned(), told)];
    Settled { files: files.into(), facts }
}

/// What `transformers` reads beside a tokenizer.json. A document begins behind the end of another, so both ends are one token.
fn transformers_config(eos: Option<&str>) -> Vec<u8> {
    let told = serde_json::json!({
        "bos_token": eos,
        "clean_up_tokenization_spaces": false,
        "eos_token": eos,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    format!("{told:#}\n").into_bytes()
}

fn encoder(config: &Config, json: &[u8]) -> Result<Encoder, StageError> {
    Encoder::read(json, config.special_tokens == SpecialTokens::Parse).map_err(StageError::Invalid)
}

/// What judges by the settled tokenizer; `known` is one that was read already, and what it was read from.
fn judge(
    config: &Config,
    settled: &Settled,
    known: Option<(&[u8], &Arc<Encoder>)>,
) -> Result<Box<dyn Judge>, StageError> {
    let json = settled.files.get(manifest::TOKENIZER);
    let json = json.ok_or_else(|| StageError::Invalid("no tokenizer was settled".to_owned()))?;
    let encoder = match known.filter(|(known, _)| known == json) {
        Some((_, encoder)) => encoder.clone(),
        None => Arc::new(encoder(config, json)?),
    };
    Ok(Box::new(Tokenize {
        reject: config.special_tokens == SpecialTokens::Reject,
        eos: encoder.id(&config.eos).filter(|_| config.append_eos).map(|id| id as i32),
        encoder,
    }))
}

/// Uses a tokenizer that is there: nothing to see first.
struct Load {
    config: Config,
    json: Vec<u8>,
    /// A large vocabulary takes half a second to read.
    encoder: Arc<Encoder>,
}

impl Global for Load {
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
        Ok(settled(&self.config, self.json.clone(), &self.encoder))
    }

    fn judge(&self, settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        judge(&self.config, settled, Some((&self.json, &self.encoder)))
    }
}

/// Trains a tokenizer. Records: word → how often it was seen, a big-endian `u64`.
struct Train {
    config: Config,
    splitter: Splitter,
}

impl Global for Train {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        output(input)
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let mut counts = Counts::default();
        for text in utf8(batch, TEXT)?.iter().flatten() {
            counts.add_text(&self.splitter, text, WORD_BYTES_MAX);
        }
        counts.each(|word, count| out.push(word, &count.to_be_bytes()));
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut word = Vec::new();
        let mut total = 0;
        while let Some(record) = sorted.next()? {
            if record.key != word {
                if total > 0 {
                    out.push(&word, &u64::to_be_bytes(total))?;
                }
                word.clear();
                word.extend_from_slice(record.key);
                total = 0;
            }
            total += count(record.value)?;
        }
        if total > 0 {
            out.push(&word, &total.to_be_bytes())?;
        }
        Ok(())
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        _: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        let (mut sizes, mut words) = (Sizes::default(), house.sorter()?);
        while let Some(record) = reduced.next()? {
            sizes.add(record.key, count(record.value)?);
            words.push(record.key, record.value)?;
        }
        let mut words = words.sorted()?;
        let give = |take: &mut dyn FnMut(&[u8], u64)| {
            while let Some(record) = words.next()? {
                take(record.key, count(record.value)?);
            }
            Ok(())
        };
        let Config { vocab_size, min_frequency, split, .. } = &self.config;
        let specials = self.config.specials();
        let plan = Plan { split: *split, ..Plan::new(*vocab_size as usize, *min_frequency, &specials) };
        let trained = train::learn::<StageError>(&plan, &sizes, give, &mut |_| {})?;
        let json = json::write(&trained);
        let encoder = encoder(&self.config, &json)?;
        let mut settled = settled(&self.config, json, &encoder);
        if trained.words_left_out > 0 {
            settled.facts.insert("words_left_out".to_owned(), trained.words_left_out);
        }
        Ok(settled)
    }

    fn judge(&self, settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        judge(&self.config, settled, None)
    }
}

fn count(value: &[u8]) -> Result<u64, StageError> {
    let bytes = value
        .try_into()
        .map_err(|_| StageError::Invalid("a count of words is not eight bytes".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The settled stage.
struct Tokenize {
    encoder: Arc<Encoder>,
    reject: bool,
    eos: Option<i32>,
}

impl Tokenize {
    /// Appends the ids of a document, none where it is dropped.
    fn judge(&self, text: &str, memory: &mut encode::Memory, ids: &mut Vec<i32>) -> Verdict {
        let special = if self.reject { self.encoder.special_count(text) } else { 0 };
        if special > 0 {
            return Drop::SpecialToken.verdict(special, 0.0);
        }
        let start = ids.len();
        if self.encoder.encode(text, memory, ids).is_err() {
            ids.truncate(start);
            return Drop::Unencodable.verdict(text.len(), 0.0);
        }
        if ids.len() == start {
            return Drop::Empty.verdict(0, 1.0);
        }
        ids.extend(self.eos);
        Verdict::Kept
    }
}

impl Stage for Tokenize {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        output(input)
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = utf8(batch, TEXT)?;
        let mut memory = self.encoder.lend();
        let mut ids = Vec::with_capacity(texts.value_data().len() / 3);
        let mut lengths = Vec::with_capacity(batch.num_rows());
        let mut verdicts = Vec::with_capacity(batch.num_rows());
        for text in texts {
            let start = ids.len();
            verdicts.push(self.judge(text.unwrap_or_default(), &mut memory, &mut ids));
            lengths.push(ids.len() - start);
        }
        self.encoder.give_back(memory);
        if i32::try_from(ids.len()).is_err() {
            return Err(StageError::Invalid(format!(
                "a batch has {} tokens, more than a list can hold",
                ids.len()
            )));
        }
        let token_count = Float64Array::from_iter_values(lengths.iter().map(|&length| length as f64));
        let item = Arc::new(Field::new("item", DataType::Int32, false));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let tokens = ListArray::try_new(item, offsets, Arc::new(Int32Array::from(ids)), None)?;
        Ok(Outcome {
            verdicts,
            columns: vec![(TOKENS.to_owned(), Arc::new(tokens) as ArrayRef)],
            signals: vec![("token_count", Arc::new(token_count) as ArrayRef)],
        })
    }
}

#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
