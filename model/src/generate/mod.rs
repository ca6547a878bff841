//! Sampling from a model folder, token by token, with keys and values kept between tokens.
//!
//! ```text
//! logits ÷ temperature → the `top_k` greatest → the fewest whose probabilities reach `top_p` → one of them by the seed
//! ```
//! Nucleus sampling as in arXiv 1904.09751. Temperature 0 takes the greatest. A text begins as documents begin in
//! training: behind the end-of-document token, so an empty prompt is a state that the model has learned. Rows of a batch are independent:
//! the draw of a token is a function of (seed, row, place), and no row's numbers depend on the other rows.

mod cache;
mod choose;
mod decoder;
mod rows;
pub mod speed;
mod text;

pub(crate) use rows::{Request, continue_each, continue_rows};
pub use text::Generated;

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::eval::perplexity::open_tokenizer;
use crate::folder;
use schemas::{config, manifest};
use std::path::Path;
use tokenizers::Tokenizer;

config! {
    /// Settings of sampling.
    pub struct Sampling {
        /// Most tokens generated.
        tokens_max: u64 = 128, in 1..=1_000_000;
        /// Divides logits: below 1 bolder, above 1 more varied; 0 takes the most likely token.
        temperature: f64 = 0.8, in 0.0..=100.0;
        /// Only this many most likely tokens are drawn from; 0 means all.
        top_k: u64 = 50, in 0..=10_000_000;
        /// Only the most likely tokens that together reach this probability are drawn from.
        top_p: f64 = 0.95, in 0.0..=1.0;
        /// Seed of the draws.
        seed: u64 = 0;
        /// Texts that end a continuation where the first of them begins.
        stop: Vec<String> = Vec::new();
        /// Tokens, by name, that end a continuation as the end-of-document token does; they are no part of it.
        stop_tokens: Vec<String> = Vec::new();
    }
}

/// A model ready to generate.
pub struct Sampler {
    pub(crate) model: Transformer<f32>,
    pub(crate) tokenizer: Tokenizer,
    /// The tokenizer's ids are below this. The model's vocabulary may be larger; what stands for no text is not drawn.
    pub(crate) vocab: usize,
    /// The token that a text begins behind.
    pub(crate) begin: u32,
}

impl Sampler {
    /// Reads a model folder.
    ///
    /// # Errors
    /// A file is missing, is not of a model that this program reads and that continues texts, or the tokenizer is another model's.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let model = folder::load(folder)?;
        model.shape.program.continues().map_err(TrainError::file(folder))?;
        let (tokenizer, vocab) = open_tokenizer(&folder.join(manifest::TOKENIZER), model.shape.vocab as u64)?;
        let (begin, _) = folder::begin_and_end(folder, &tokenizer, model.shape.eos)?;
        Ok(Self { model, tokenizer, vocab: vocab as usize, begin })
    }

    /// The ids that follow each prompt, until the end-of-document token, a stop token or `tokens_max`; stop texts are not looked for.
    ///
    /// A prompt longer than the context is read from its end, and a text that outgrows the context goes on from its last half. An
    /// empty prompt stands for the end-of-document token alone.
    ///
    /// # Errors
    /// A stop token or a token of a prompt that the model does not have; numbers that are not finite.
    pub fn continue_ids(
        &self,
        prompts: &[Vec<u32>],
        sampling: &Sampling,
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        let stops = self.stop_ids(sampling)?;
        continue_rows(&self.request(prompts, sampling, &stops))
    }

    /// The ids that end a continuation: the end of a document, and the stop tokens.
    pub(crate) fn stop_ids(&self, sampling: &Sampling) -> Result<Vec<u32>, TrainError> {
        let id = |name: &String| {
            let none =
                || TrainError::Config { message: format!("the model has no token `{name}` to stop at") };
            self.tokenizer.token_to_id(name).ok_or_else(none)
        };
        let named = sampling.stop_tokens.iter().map(id);
        std::iter::once(Ok(self.model.shape.eos)).chain(named).collect()
    }

    pub(crate) fn request<'a>(
        &'a self,
        prompts: &'a [Vec<u32>],
        sampling: &'a Sampling,
        stops: &'a [u32],
    ) -> Request<'a> {
        Request { model: &self.model, vocab: self.vocab, prompts, sampling, stops }
    }
}
