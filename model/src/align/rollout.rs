//! Answers that a model gives to many prompts, by draws that depend on seed and place alone.

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::generate::{Request, Sampling, continue_rows};

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
        let (eos, sampling) = (model.shape.eos, self.sampling);
        let begun =
            |prompt: &&[u32]| std::iter::once(eos).chain(prompt.iter().copied()).collect::<Vec<u32>>();
        let begun = prompts.iter().map(begun).flat_map(|prompt| std::iter::repeat_n(prompt, self.answers));
        let begun: Vec<Vec<u32>> = begun.collect();
        let stops = [self.end, eos];
        let given =
            continue_rows(&Request { model, vocab: self.vocab, prompts: &begun, sampling, stops: &stops })?;
        let whole = |(begun, mut given): (&Vec<u32>, Vec<u32>)| {
            if (given.len() as u64) < sampling.tokens_max {
                given.push(self.end);
            }
            // What outgrew the context was not drawn behind all of the prompt. The last token is no input.
            given.truncate((model.shape.context + 1).saturating_sub(begun.len()));
            given
        };
        let given: Vec<Vec<u32>> = begun.iter().zip(given).map(whole).collect();
        Ok(given.chunks(self.answers).map(<[_]>::to_vec).collect())
    }
}
