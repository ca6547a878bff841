//! The scorer of texts: a model folder, and the rules by which lm-evaluation-harness 0.4.13 turns texts into tokens.
//!
//! - A pair is encoded as one text, and the continuation is what is left without as many tokens as the context alone has; spaces at
//!   the end of the context belong to the continuation.
//! - An empty context is the token before a document: `bos_token` of `tokenizer_config.json`, else `eos_token`, else the model's own.
//! - What the tokenizer puts around a text by itself it puts there, unless the text begins with that token already.

use super::{Request, Score, score};
use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::eval::perplexity::open_tokenizer;
use crate::eval::words::strip_end;
use crate::folder;
use schemas::manifest;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokenizers::Tokenizer;

/// A model that scores texts and tokens.
pub struct Scorer {
    pub(crate) model: Transformer<f32>,
    pub(crate) tokenizer: Tokenizer,
    /// Stands for an empty context.
    prefix: u32,
    /// The text of `prefix`.
    prefix_text: String,
    /// Ends a document.
    pub(crate) eos: u32,
    length_max: usize,
    /// Requests that lost their beginning since this was last asked.
    cut: AtomicUsize,
}

impl Scorer {
    /// Reads a model folder.
    ///
    /// # Errors
    /// A file is missing, is not of a model that this program reads, or the tokenizer is another model's.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let model = folder::load(folder)?;
        model.shape.program.continues().map_err(TrainError::file(folder))?;
        let (tokenizer, _) = open_tokenizer(&folder.join(manifest::TOKENIZER), model.shape.vocab as u64)?;
        let (prefix, eos) = folder::begin_and_end(folder, &tokenizer, model.shape.eos)?;
        let prefix_text = tokenizer.decode(&[prefix], false).map_err(wrong)?;
        let length_max = model.shape.context;
        Ok(Self { model, tokenizer, prefix, prefix_text, eos, length_max, cut: AtomicUsize::new(0) })
    }

    /// Lets the model read at most so many tokens at once, and never more than it was trained on.
    ///
    /// # Errors
    /// Fewer than 2, or more than the context of the model.
    pub fn with_length_max(self, length_max: usize) -> Result<Self, TrainError> {
        let context = self.model.shape.context;
        if !(2..=context).contains(&length_max) {
            let message = format!("{length_max} tokens at once: the model reads 2 to {context}");
            return Err(TrainError::Config { message });
        }
        Ok(Self { length_max, ..self })
    }

    /// Tokens that the model reads at once.
    pub const fn length_max(&self) -> usize {
        self.length_max
    }

    /// The token that stands for an empty context.
    pub const fn prefix(&self) -> u32 {
        self.prefix
    }

    /// Scores requests of tokens, in their order.
    ///
    /// # Errors
    /// A context is empty, a continuation longer than the model reads, or a token beyond the vocabulary.
    pub fn score(&self, requests: &[Request]) -> Result<Vec<Score>, TrainError> {
        let is_cut =
            |request: &&Request| request.context.len() + request.continuation.len() > self.length_max + 1;
        self.cut.fetch_add(requests.iter().filter(is_cut).count(), Ordering::Relaxed);
        score(&self.model, requests, self.length_max)
    }

    /// How many requests were longer than the model reads, so that their beginning was left out, since this was asked last.
    pub fn take_cut(&self) -> usize {
        self.cut.swap(0, Ordering::Relaxed)
    }

    /// Scores (context, continuation) pairs of texts, in their order.
    ///
    /// # Errors
    /// The tokenizer refuses, or a continuation has no token or more than the model reads.
    pub fn score_texts(&self, pairs: &[(String, String)]) -> Result<Vec<Score>, TrainError> {
        let requests = pairs
            .iter()
            .map(|(context, continuation)| self.requests(context, std::slice::from_ref(continuation)));
        self.score(&requests.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The log-probability of whole texts, each behind the token before a document, in windows of what the model reads.
    ///
    /// # Errors
    /// The tokenizer refuses.
    pub fn score_rolling(&self, texts: &[String]) -> Result<Vec<f64>, TrainError> {
        let mut requests = Vec::new();
        let mut counts = Vec::new();
        for text in texts {
            let windows = windows(&self.encode(text)?, self.prefix, self.length_max);
            counts.push(windows.len());
            requests.extend(windows);
        }
        let mut scores = self.score(&requests)?.into_iter();
        Ok(counts.iter().map(|&count| scores.by_ref().take(count).map(|score| score.sum).sum()).collect())
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// The tokenizer refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TrainError> {
        self.encode_with(text, self.prefix_text.is_empty() || !text.starts_with(&self.prefix_text))
    }

    /// The text of tokens, special ones left out.
    ///
    /// # Errors
    /// The tokenizer refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TrainError> {
        self.tokenizer.decode(ids, true).map_err(wrong)
    }

    fn encode_with(&self, text: &str, specials: bool) -> Result<Vec<u32>, TrainError> {
        Ok(self.tokenizer.encode(text, specials).map_err(wrong)?.get_ids().to_vec())
    }

    /// The requests of a context with several continuations.
    ///
    /// # Errors
    /// The tokenizer refuses, or nothing is left of a continuation.
    pub fn requests(&self, context: &str, continuations: &[String]) -> Result<Vec<Request>, TrainError> {
        let before = if context.is_empty() { vec![self.prefix] } else { self.encode(strip_end(context))? };
        let request = |continuation: &String| {
            let (context, continuation_ids) = if context.is_empty() {
                let mut ids = self.encode_with(continuation, false)?;
                let begins_with_it = ids.first() == Some(&self.prefix);
                (before.clone(), ids.split_off(usize::from(begins_with_it)))
            } else {
                let mut ids = self.encode(&format!("{context}{continuation}"))?;
                // The tokens before may end otherwise when more follows: the whole is cut by their count alone.
                (before.clone(), ids.split_off(before.len().min(ids.len())))
            };
            if context.is_empty() || continuation_ids.is_empty() {
                let message =
                    format!("the continuation {continuation:?} has no token of its own behind its context");
                return Err(TrainError::Tokenizer(message));
            }
            Ok(Request { context, continuation: continuation_ids })
        };
        continuations.iter().map(request).collect()
    }
}

fn wrong(error: tokenizers::Error) -> TrainError {
    TrainError::Tokenizer(error.to_string())
}

/// Cuts a text into windows in which every token is predicted once: the first behind `prefix`, the last with as much context as the
/// model reads.
fn windows(ids: &[u32], prefix: u32, length_max: usize) -> Vec<Request> {
    let mut windows = Vec::new();
    let mut done = ids.len().min(length_max);
    if done > 0 {
        windows.push(Request { context: vec![prefix], continuation: ids[..done].to_vec() });
    }
    while done < ids.len() {
        let end = (done + length_max).min(ids.len());
        let first = end - length_max - 1;
        windows.push(Request { context: ids[first..done].to_vec(), continuation: ids[done..end].to_vec() });
        done = end;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_predict_every_token_once_with_the_context_that_fits() {
        let told = |count: u32, length_max: usize| {
            let ids: Vec<u32> = (0..count).collect();
            let show = |request: Request| format!("{:?}→{:?}", request.context, request.continuation);
            windows(&ids, 99, length_max).into_iter().map(show).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(10, 4), "[99]→[0, 1, 2, 3] [3]→[4, 5, 6, 7] [5, 6, 7]→[8, 9]");
        assert_eq!(told(4, 4), "[99]→[0, 1, 2, 3]");
        assert_eq!(told(1, 4), "[99]→[0]");
        assert_eq!(told(0, 4), "");
    }
}
