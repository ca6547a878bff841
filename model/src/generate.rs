//! Sampling from a model folder, token by token, with keys and values kept between tokens.
//!
//! ```text
//! logits ÷ temperature → the `top_k` greatest → the fewest whose probabilities reach `top_p` → one of them by the seed
//! ```
//! Nucleus sampling as in arXiv 1904.09751. Temperature 0 takes the greatest. A text begins as documents begin in
//! training: behind the end-of-document token, so an empty prompt is a state that the model has learned.

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::eval::perplexity::open_tokenizer;
use crate::folder;
use crate::kernel::softmax;
use schemas::hash::{Rng, seed};
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
    }
}

/// A model ready to generate.
pub struct Sampler {
    pub(crate) model: Transformer<f32>,
    pub(crate) tokenizer: Tokenizer,
}

impl Sampler {
    /// Reads a model folder.
    ///
    /// # Errors
    /// A file is missing, is not of a model that this program writes, or the tokenizer is another model's.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let model = folder::load(folder)?;
        let tokenizer = open_tokenizer(&folder.join(manifest::TOKENIZER), model.shape.vocab as u64)?;
        Ok(Self { model, tokenizer })
    }

    /// Continues a prompt until the end-of-document token or `tokens_max`; returns the continuation alone.
    ///
    /// The prompt is the start of a document, an empty one too. A text longer than the context goes on from its last
    /// half. The continuation never ends inside a character: bytes that make none yet are left out.
    ///
    /// # Errors
    /// The tokenizer refuses, or the model's numbers are not finite.
    pub fn generate(&self, prompt: &str, sampling: &Sampling) -> Result<String, TrainError> {
        let wrong = |error: tokenizers::Error| TrainError::Tokenizer(error.to_string());
        let encoded = self.tokenizer.encode(prompt, false).map_err(wrong)?;
        let mut ids = vec![self.model.shape.eos];
        ids.extend_from_slice(encoded.get_ids());
        let new = self.continue_ids(&ids, sampling)?;
        // Decoded together: the first new token may complete a character of the prompt's last.
        let decode = |ids: &[u32]| self.tokenizer.decode(ids, true).map_err(wrong);
        let (before, alone) = (decode(&ids)?, decode(&new)?);
        ids.extend(new);
        let all = decode(&ids)?;
        // A decoder that writes the start of a text differently when more follows gives the new tokens alone.
        let new = all.strip_prefix(&before).unwrap_or(&alone);
        Ok(new.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned())
    }

    /// The ids that follow `prompt`, which is not empty.
    pub(crate) fn continue_ids(&self, prompt: &[u32], sampling: &Sampling) -> Result<Vec<u32>, TrainError> {
        let context = self.model.shape.context;
        let mut ids = prompt.to_vec();
        let (mut caches, mut seen) = (self.model.caches(), 0);
        let mut pending = last(&ids, context.saturating_sub(1).max(1)).to_vec();
        let rng = Rng::new(seed(sampling.seed, "generate", 0));
        for at in 0..sampling.tokens_max {
            if seen + pending.len() > context {
                (caches, seen) = (self.model.caches(), 0);
                pending = last(&ids, (context / 2).max(1)).to_vec();
            }
            let mut logits = self.model.next_logits(&pending, &mut caches, seen)?;
            // A vocabulary may be larger than its tokenizer; what stands for no text is not drawn.
            logits.truncate(self.tokenizer.get_vocab_size(true).max(1));
            seen += pending.len();
            if logits.iter().any(|logit| logit.is_nan()) {
                return Err(TrainError::NotANumber);
            }
            let id = choose(logits, sampling, (rng.at(at) >> 11) as f64 / (1_u64 << 53) as f64);
            if id == self.model.shape.eos {
                break;
            }
            ids.push(id);
            pending = vec![id];
        }
        Ok(ids.split_off(prompt.len()))
    }
}

fn last(ids: &[u32], count: usize) -> &[u32] {
    &ids[ids.len().saturating_sub(count)..]
}

/// Chooses a token by a draw from [0, 1).
pub(crate) fn choose(mut logits: Vec<f32>, sampling: &Sampling, draw: f64) -> u32 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    // Ties by id, so that the choice is a function of the logits.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let id = |at: usize| u32::try_from(at).expect("a vocabulary is counted by u32");
    if sampling.temperature == 0.0 {
        return id(order[0]);
    }
    if sampling.top_k > 0 {
        order.truncate(usize::try_from(sampling.top_k).unwrap_or(usize::MAX));
    }
    logits.iter_mut().for_each(|logit| *logit /= sampling.temperature as f32);
    let mut weights: Vec<f32> = order.iter().map(|&at| logits[at]).collect();
    softmax(&mut weights);
    let mut sum = 0.0;
    let nucleus = weights.iter().position(|&weight| {
        sum += f64::from(weight);
        sum >= sampling.top_p
    });
    let kept = nucleus.map_or(weights.len(), |at| at + 1);
    let total: f64 = weights[..kept].iter().map(|&weight| f64::from(weight)).sum();
    let mut left = draw * total;
    for (&at, &weight) in order[..kept].iter().zip(&weights) {
        left -= f64::from(weight);
        if left < 0.0 {
            return id(at);
        }
    }
    id(order[kept - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sampling: &Sampling, draw: f64, expected: u32) {
        // Probabilities 0.1, 0.2, 0.4, 0.3.
        let logits = [0.1_f32, 0.2, 0.4, 0.3].map(f32::ln).to_vec();
        assert_eq!(choose(logits, sampling, draw), expected, "{sampling:?} at {draw}");
    }

    #[test]
    fn limits_cut_the_unlikely_tokens() {
        let all = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, ..Sampling::default() };
        check(&all, 0.0, 2);
        check(&all, 0.39, 2);
        check(&all, 0.41, 3);
        check(&all, 0.71, 1);
        check(&all, 0.999, 0);
        check(&Sampling { top_k: 2, ..all.clone() }, 0.999, 3);
        check(&Sampling { top_p: 0.5, ..all.clone() }, 0.999, 3);
        check(&Sampling { top_p: 0.0, ..all.clone() }, 0.999, 2);
        check(&Sampling { temperature: 0.0, ..all.clone() }, 0.999, 2);
        check(&Sampling { temperature: 0.01, ..all.clone() }, 0.99, 2);
        check(&Sampling { temperature: 100.0, ..all.clone() }, 0.99, 0);
        // One candidate, more than there are, a nucleus that one token fills to the last bit, and none that can be filled.
        check(&Sampling { top_k: 1, ..all.clone() }, 0.999, 2);
        check(&Sampling { top_k: 1000, ..all.clone() }, 0.999, 0);
        check(&Sampling { top_p: 0.4, ..all.clone() }, 0.999, 2);
        check(&Sampling { top_p: 1e-300, ..all.clone() }, 0.999, 2);
        check(&Sampling { top_k: 3, top_p: 0.999_999, ..all.clone() }, 0.999, 1);
        check(&all, 1.0 - f64::EPSILON / 2.0, 0);
    }

    #[test]
    fn equal_logits_are_taken_in_the_order_of_their_ids() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        assert_eq!(choose(vec![1.0, 2.0, 2.0, 2.0], &greedy, 0.9), 1);
        assert_eq!(choose(vec![f32::NEG_INFINITY, f32::NEG_INFINITY, -3e38], &greedy, 0.9), 2);
        let one = Sampling { top_k: 1, ..Sampling::default() };
        assert_eq!(choose(vec![1.0, 2.0, 2.0, 2.0], &one, 0.9), 1);
        assert_eq!(choose(vec![f32::NEG_INFINITY, f32::NEG_INFINITY, -3e38], &one, 0.9), 2);
    }
}
