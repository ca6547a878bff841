//! Held-out loss, perplexity, bits per byte and per character.
//!
//! ```text
//! loss = nats ÷ predicted tokens;  perplexity = e^loss;  bits per byte = nats ÷ ln 2 ÷ bytes of the predicted tokens
//! ```
//! What is predicted is the objective's: with `causal` every token but the first of a piece cut out of the middle of a document. The end-of-document token counts among the nats and has no byte, so models with different
//! tokenizers compare by bits per byte. Losses add up to the probability of a text only where each token is predicted from those before it:
//! of an objective that sees more, the loss of a predicted token is all there is to tell.

use super::held_out::{HeldOut, measure};
use super::sources::Sources;
use crate::data::Dataset;
use crate::device::Engine;
use crate::error::TrainError;
use crate::folder;
use std::path::Path;
use tokenizers::{DecoderWrapper, Tokenizer};

/// Sums over held-out text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evaluation {
    /// Sum of the losses, in nats.
    pub nats: f64,
    /// Predicted tokens.
    pub tokens: u64,
    /// Bytes of text that they stand for.
    pub bytes: u64,
    /// Characters of that text: bytes that begin one.
    pub characters: u64,
    /// Whether each token was predicted from those before it alone.
    pub is_next_token: bool,
}

impl Evaluation {
    /// Mean loss per predicted token, in nats.
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// e^loss; `None` where tokens were predicted from more than what stands before them, as for the bits below.
    pub fn perplexity(&self) -> Option<f64> {
        self.is_next_token.then(|| self.loss().exp())
    }

    /// Bits per byte of text.
    pub fn bits_per_byte(&self) -> Option<f64> {
        self.is_next_token.then(|| self.nats / std::f64::consts::LN_2 / self.bytes as f64)
    }

    /// Bits per character of text.
    pub fn bits_per_character(&self) -> Option<f64> {
        self.is_next_token.then(|| self.nats / std::f64::consts::LN_2 / self.characters as f64)
    }
}

/// Counts the bytes that tokens stand for.
pub(crate) struct Bytes {
    tokenizer: Tokenizer,
    /// Bytes and characters of each token where the tokenizer writes every byte as one character.
    lengths: Option<Vec<[u64; 2]>>,
    eos: u32,
}

impl Bytes {
    /// Reads a tokenizer.
    ///
    /// # Errors
    /// It is none, or has ids beyond `vocab`.
    pub(crate) fn open(path: &Path, vocab: u64, eos: u32) -> Result<Self, TrainError> {
        let (tokenizer, vocab) = open_tokenizer(path, vocab)?;
        let byte_level = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let length = |id| tokenizer.id_to_token(id).map_or([0, 0], |token| byte_level_lengths(&token));
        let lengths = byte_level.then(|| (0..vocab).map(length).collect());
        Ok(Self { tokenizer, lengths, eos })
    }

    /// Reads the tokenizer of a dataset.
    ///
    /// # Errors
    /// It is none, or has ids beyond the vocabulary.
    pub(crate) fn of_dataset(dataset: &Dataset) -> Result<Self, TrainError> {
        Self::open(&dataset.tokenizer(), dataset.tokens.vocab_size, dataset.tokens.eos_id)
    }

    /// The bytes and characters of a run of tokens.
    ///
    /// # Errors
    /// The tokenizer cannot decode them.
    pub(super) fn of(&self, ids: &[u32]) -> Result<[u64; 2], TrainError> {
        let ids: Vec<u32> = ids.iter().copied().filter(|&id| id != self.eos).collect();
        if let Some(lengths) = &self.lengths {
            let each = ids.iter().map(|&id| lengths.get(id as usize).copied().unwrap_or_default());
            return Ok(each.fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]]));
        }
        let text = self.tokenizer.decode(&ids, false).map_err(|e| TrainError::Tokenizer(e.to_string()))?;
        Ok([text.len() as u64, text.chars().count() as u64])
    }
}

/// Bytes, and bytes that begin a character, of a token whose every character stands for a byte.
///
/// GPT-2's alphabet: bytes that print are themselves, and the 68 others in their order are the characters from U+0100 on.
fn byte_level_lengths(token: &str) -> [u64; 2] {
    let prints = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let others: Vec<u8> = (0..=255).filter(|byte| !prints(byte)).collect();
    let byte = |c: char| match u32::from(c) {
        n @ 0x100.. => others.get(n as usize - 0x100).copied().unwrap_or(b'?'),
        n => n as u8,
    };
    let begins = token.chars().filter(|&c| !matches!(byte(c), 0x80..=0xbf)).count();
    [token.chars().count() as u64, begins as u64]
}

/// Reads the tokenizer of a model, and the number that all its ids are below: ids may have gaps, so it is not the count of tokens.
///
/// # Errors
/// It is none, or has ids beyond the vocabulary, which may be larger.
pub(crate) fn open_tokenizer(path: &Path, vocab: u64) -> Result<(Tokenizer, u32), TrainError> {
    let tokenizer = Tokenizer::from_file(path).map_err(TrainError::file(path))?;
    let greatest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    if u64::from(greatest) < vocab {
        return Ok((tokenizer, greatest.saturating_add(1)));
    }
    let message =
        format!("has the token {greatest}, the model a vocabulary of {vocab}: it is another model's");
    Err(TrainError::file(path)(message))
}

/// Measures a model folder on the held-out rows of a dataset.
///
/// # Errors
/// Those of [`held_out`].
pub fn perplexity(model: &Path, dataset: &Path) -> Result<Evaluation, TrainError> {
    Ok(held_out(model, dataset)?.all)
}

/// The same, with each source of the held-out documents.
///
/// # Errors
/// A folder that is not one; a dataset whose tokenizer, vocabulary or sequence length is not the model's.
pub fn held_out(model: &Path, dataset: &Path) -> Result<HeldOut, TrainError> {
    let (folder, dataset) = (model, Dataset::open(dataset)?);
    let mut model = folder::load(folder)?;
    let (context, vocab) = (model.shape.context as u64, u64::from(model.shape.program.vocab));
    if (context, vocab) != (dataset.tokens.sequence_length, dataset.tokens.vocab_size) {
        let (length, size) = (dataset.tokens.sequence_length, dataset.tokens.vocab_size);
        return Err(TrainError::file(folder)(format!(
            "the model has context {context} and vocabulary {vocab}, the dataset {length} and {size}"
        )));
    }
    let path = folder.join(schemas::manifest::TOKENIZER);
    let own = std::fs::read(&path).map_err(TrainError::io(&path))?;
    if blake3::hash(&own).to_hex().as_str() != dataset.tokens.tokenizer {
        return Err(TrainError::file(&path)("the dataset was made with another tokenizer"));
    }
    if dataset.validation.is_empty() {
        return Err(TrainError::Config { message: "the dataset has no held-out sequences".into() });
    }
    model.shape.program = model.shape.program.on(&dataset)?;
    let bytes = Bytes::open(&path, vocab, dataset.tokens.eos_id)?;
    measure((&model, &Engine::Cores), &dataset.validation, (&bytes, &Sources::open(&dataset)?), 0, |_| {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_where_they_begin() {
        let alphabet = |text: &str| {
            let mut pre = tokenizers::PreTokenizedString::from(text);
            let level = tokenizers::pre_tokenizers::byte_level::ByteLevel::new(false, false, false);
            tokenizers::PreTokenizer::pre_tokenize(&level, &mut pre).unwrap();
            let splits =
                pre.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
            splits.into_iter().map(|(text, ..)| text.to_owned()).collect::<String>()
        };
        for text in ["", "a b\n", "é", "日本 — 🦀", "\u{ad}\u{7f}\u{a0}"] {
            let expected = [text.len() as u64, text.chars().count() as u64];
            assert_eq!(byte_level_lengths(&alphabet(text)), expected, "{text:?}");
        }
    }
}
