//! The ways to encode text here: what a tokenizer.json must be for each.

use super::bytes::Bytes;
use super::cache::Cache;
use super::chars::Chars;
use super::encode::Memory;
use super::normal::Normal;
use super::parts::Parts;
use super::splitter::Splitter;
use super::words::Words;
use serde_json::Value;
use tokenizers::Tokenizer;

/// A way from text to ids.
pub(super) enum Route {
    /// Byte-level BPE.
    Bytes { normal: Normal, splitter: Splitter, model: Box<Bytes> },
    /// BPE on characters, as SentencePiece trains it.
    Chars(Chars),
    /// A tokenizer whose words, parted by white space, know nothing of each other.
    Words(Box<Words>),
}

impl Route {
    /// Finds the way for a BPE tokenizer; `None` where it is none of those known.
    pub(super) fn of_parts(parts: &Parts) -> Option<Self> {
        if let Some(chars) = Chars::read(parts) {
            return Some(Self::Chars(chars));
        }
        let normal = Normal::read(&parts.rest["normalizer"], parts.tokenizer.get_normalizer())?;
        let splitter = Splitter::read(&parts.rest["pre_tokenizer"])?;
        Some(Self::Bytes { normal, splitter, model: Box::new(Bytes::read(parts)?) })
    }

    /// Finds the way for another tokenizer; `None` where it is none of those known.
    pub(super) fn of_whole(json: &Value, tokenizer: &Tokenizer) -> Option<Self> {
        Words::read(json, tokenizer).map(|words| Self::Words(Box::new(words)))
    }

    /// Whether names of added tokens may look different in normalised text.
    pub(super) fn normalises(&self) -> bool {
        !matches!(self, Self::Bytes { normal: Normal::None, .. })
    }

    /// Appends the ids of a text that holds no added token, `first` where it begins a document.
    ///
    /// # Errors
    /// What the tokenizers crate says of text that it must be asked about.
    pub(super) fn encode(
        &self,
        (text, first): (&str, bool),
        cache: &Cache,
        memory: &mut Memory,
        out: &mut Vec<i32>,
    ) -> Result<(), String> {
        let Memory { view, scratch, ends, text: spare } = memory;
        let (normal, splitter, model) = match self {
            Self::Chars(chars) => {
                let text = chars.text(text, first, spare);
                ends.clear();
                chars.split(text, ends);
                return view.encode(cache, (text.as_bytes(), ends), out, |word, out| {
                    chars.encode(word, scratch, out);
                    Ok(())
                });
            }
            Self::Words(words) => return words.encode(text, cache, (view, ends), out),
            Self::Bytes { normal, splitter, model } => (normal, splitter, model),
        };
        let text = normal.of(text, spare)?;
        let spaced;
        let text = if splitter.add_space && !text.starts_with(' ') && !text.is_empty() {
            spaced = format!(" {text}");
            &spaced
        } else {
            text
        };
        ends.clear();
        splitter.split(text.as_bytes(), ends);
        view.encode(cache, (text.as_bytes(), ends), out, |word, out| {
            model.encode(word, scratch, out);
            Ok(())
        })
    }
}
