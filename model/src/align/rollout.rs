//! Answers that a model gives to many prompts, by draws that depend on seed and place alone.
//!
//! A prompt is read once; its answers go on from copies of its keys and values, each on a thread of its own.

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::generate::{Sampling, choose};
use rayon::prelude::*;
use schemas::hash::{Rng, seed};

/// How prompts are answered.
#[derive(Debug, Clone)]
pub(super) struct Asking<'a> {
    /// Answers to each prompt.
    pub(super) answers: usize,
    /// Temperature, limits and seed.
    pub(super) sampling: &'a Sampling,
    /// The token that ends an answer.
    pub(super) end: u32,
    /// Ids from here on stand for no text and are not drawn.
    pub(super) vocab: usize,
}

impl Asking<'_> {
    /// The answers to each prompt, with the token that ends one where it came in time.
    ///
    /// # Errors
    /// The model's numbers are not finite.
    pub(super) fn ask(
        &self,
        model: &Transformer<f32>,
        prompts: &[&[u32]],
    ) -> Result<Vec<Vec<Vec<u32>>>, TrainError> {
        prompts.par_iter().enumerate().map(|(number, prompt)| self.of_prompt(model, number, prompt)).collect()
    }

    fn of_prompt(
        &self,
        model: &Transformer<f32>,
        number: usize,
        prompt: &[u32],
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        let ids: Vec<u32> = std::iter::once(model.shape.eos).chain(prompt.iter().copied()).collect();
        let mut caches = model.caches();
        let first = model.next_logits(&ids, &mut caches, 0)?;
        let one = |answer: usize| {
            let key = (number * self.answers + answer) as u64;
            let rng = Rng::new(seed(self.sampling.seed, "answer", key));
            let (mut caches, mut logits, mut seen) = (caches.clone(), first.clone(), ids.len());
            let mut out = Vec::new();
            // The last token of an answer is no input, so it may stand one place behind the context.
            let room = (model.shape.context + 1).saturating_sub(ids.len());
            let most = usize::try_from(self.sampling.tokens_max).unwrap_or(usize::MAX).min(room);
            while out.len() < most {
                logits.truncate(self.vocab);
                if logits.iter().any(|logit| logit.is_nan()) {
                    return Err(TrainError::NotANumber);
                }
                let draw = (rng.at(out.len() as u64) >> 11) as f64 / (1_u64 << 53) as f64;
                let id = choose(logits, self.sampling, draw);
                out.push(id);
                if id == self.end || id == model.shape.eos || out.len() == most {
                    break;
                }
                logits = model.next_logits(&[id], &mut caches, seen)?;
                seen += 1;
            }
            Ok(out)
        };
        (0..self.answers).into_par_iter().map(one).collect()
    }
}
