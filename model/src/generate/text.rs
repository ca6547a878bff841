//! Continuations as text, piece by piece as tokens come, up to a stop text.

use super::rows::{continue_each, prompt_max};
use super::{Sampler, Sampling};
use crate::error::TrainError;
use tokenizers::Tokenizer;

/// A continuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The text behind the prompt, up to the first stop text.
    pub text: String,
    /// Tokens that were generated, those of a stop text included.
    pub tokens: u64,
    /// Tokens at the start of the prompt that were not read, because the context has no room for them.
    pub unread: u64,
}

impl Sampler {
    /// Continues a prompt until the end-of-document token, a stop or `tokens_max`; returns the continuation alone.
    ///
    /// The prompt is the start of a document, an empty one too. A text longer than the context goes on from its last
    /// half. The continuation never ends inside a character: bytes that make none yet are left out.
    ///
    /// # Errors
    /// The tokenizer refuses, or the model's numbers are not finite.
    pub fn generate(&self, prompt: &str, sampling: &Sampling) -> Result<String, TrainError> {
        Ok(self.stream(prompt, sampling, |_| {})?.text)
    }

    /// The same; `each` is told of every piece of the text as soon as it is certain.
    ///
    /// # Errors
    /// Those of [`Sampler::generate`].
    pub fn stream(
        &self,
        prompt: &str,
        sampling: &Sampling,
        mut each: impl FnMut(&str) + Send,
    ) -> Result<Generated, TrainError> {
        let encoded = self.tokenizer.encode(prompt, false).map_err(wrong)?;
        let mut ids = vec![self.begin];
        ids.extend_from_slice(encoded.get_ids());
        let mut pieces = Pieces::new(&self.tokenizer, &ids)?;
        let mut text = Stopped::new(&sampling.stop);
        let (stops, mut refused) = (self.stop_ids(sampling)?, None);
        // The token that stands before a text is the first to go.
        let unread = encoded.len().saturating_sub(prompt_max(self.model.shape.context)) as u64;
        let prompts = [ids];
        let mut tokens = 0;
        continue_each(&self.request(&prompts, sampling, &stops), |_, id| match pieces.push(id) {
            Ok(piece) => {
                tokens += 1;
                text.push(&piece, &mut each);
                !text.ended
            }
            Err(error) => {
                refused = Some(error);
                false
            }
        })?;
        refused.map_or(Ok(()), Err)?;
        text.finish(&mut each);
        Ok(Generated { text: text.text, tokens, unread })
    }
}

fn wrong(error: tokenizers::Error) -> TrainError {
    TrainError::Tokenizer(error.to_string())
}

/// Turns ids into text as they come. A piece is the text that ids add to what stands before them: the first new one may complete
/// a character, and some decoders write the start of a text differently.
struct Pieces<'a> {
    tokenizer: &'a Tokenizer,
    /// The ids of the last piece, and those that make no whole character yet.
    ids: Vec<u32>,
    /// How many of them were told.
    told: usize,
}

/// Ids of the prompt that the first piece is decoded with.
const BEFORE: usize = 8;

impl<'a> Pieces<'a> {
    fn new(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Result<Self, TrainError> {
        let ids = prompt[prompt.len().saturating_sub(BEFORE)..].to_vec();
        Ok(Self { tokenizer, told: ids.len(), ids })
    }

    fn push(&mut self, id: u32) -> Result<String, TrainError> {
        self.ids.push(id);
        let decode = |ids: &[u32]| self.tokenizer.decode(ids, true).map_err(wrong);
        let whole = decode(&self.ids)?;
        if whole.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let piece = match whole.strip_prefix(&decode(&self.ids[..self.told])?) {
            Some(piece) => piece.to_owned(),
            None => decode(&self.ids[self.told..])?,
        };
        self.ids.drain(..self.told);
        self.told = self.ids.len();
        Ok(piece)
    }
}

/// A text that ends before the first of some texts.
struct Stopped<'a> {
    stops: &'a [String],
    text: String,
    /// Bytes that were told.
    told: usize,
    ended: bool,
}

impl<'a> Stopped<'a> {
    const fn new(stops: &'a [String]) -> Self {
        Self { stops, text: String::new(), told: 0, ended: false }
    }

    fn push(&mut self, piece: &str, each: &mut impl FnMut(&str)) {
        self.text += piece;
        let stops = || self.stops.iter().filter(|stop| !stop.is_empty());
        // What was told holds no start of a stop, so a stop begins behind it.
        let found = stops().filter_map(|stop| self.text[self.told..].find(stop.as_str())).min();
        if let Some(at) = found {
            self.text.truncate(self.told + at);
            self.ended = true;
            return;
        }
        let open = |stop: &String| {
            let starts = stop.char_indices().map(|(at, _)| at).skip(1);
            starts.filter(|&at| self.text[self.told..].ends_with(&stop[..at])).max().unwrap_or(0)
        };
        let held = stops().map(open).max().unwrap_or(0);
        let certain = self.text.len() - held;
        if certain > self.told {
            each(&self.text[self.told..certain]);
            self.told = certain;
        }
    }

    /// Tells what was held back.
    fn finish(&mut self, each: &mut impl FnMut(&str)) {
        if self.told < self.text.len() {
            each(&self.text[self.told..]);
            self.told = self.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stops: &[&str], pieces: &[&str], expected: &[&str]) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let (mut text, mut told) = (Stopped::new(&stops), Vec::new());
        for piece in pieces {
            if !text.ended {
                text.push(piece, &mut |piece: &str| told.push(piece.to_owned()));
            }
        }
        text.finish(&mut |piece: &str| told.push(piece.to_owned()));
        assert_eq!(told, expected, "{stops:?} in {pieces:?}");
        assert_eq!(text.text, expected.concat());
    }

    #[test]
    fn a_text_ends_before_the_first_stop_and_tells_no_part_of_it() {
        check(&[], &["a", "b"], &["a", "b"]);
        check(&["\n\n"], &["a\n", "\nb"], &["a"]);
        check(&["\n\n"], &["a\n", "b"], &["a", "\nb"]);
        check(&["\n\n"], &["a", "\n"], &["a", "\n"]);
        check(&["xyz", "y"], &["ax", "yz"], &["a"]);
        check(&["xyz", "q"], &["ax", "y", "q"], &["a", "xy"]);
        check(&["aab"], &["aa", "ab", "c"], &["a"]);
        check(&["éa", ""], &["ü", "é", "a"], &["ü"]);
        check(&["Q:"], &["one Q", ": two"], &["one "]);
    }
}
