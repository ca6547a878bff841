//! Answers that a model gives to many prompts, by draws that depend on seed and place alone.

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::generate::{Request, Sampling, continue_each};

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
        let request = Request { model, vocab: self.vocab, prompts: &begun, sampling, stops: &[] };
        // The token that ended an answer is part of it: what is rewarded is what was drawn.
        let given = continue_each(&request, |_, id| !stops.contains(&id))?;
        let whole = |(begun, mut given): (&Vec<u32>, Vec<u32>)| {
            // What outgrew the context was not drawn behind all of the prompt. The last token is no input.
            given.truncate((model.shape.context + 1).saturating_sub(begun.len()));
            given
        };
        let given: Vec<Vec<u32>> = begun.iter().zip(given).map(whole).collect();
        Ok(given.chunks(self.answers).map(<[_]>::to_vec).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Architecture;
    use crate::tests::{model, small};

    #[test]
    fn an_answer_ends_with_the_token_that_was_drawn() {
        let model: Transformer<f32> = model(&small(Architecture::Llama), 12);
        let sampling =
            Sampling { tokens_max: 4, temperature: 1.0, top_k: 0, top_p: 1.0, ..Sampling::default() };
        let (end, eos) = (5, model.shape.eos);
        assert_ne!(end, eos);
        let asking = Asking { answers: 200, sampling: &sampling, end, vocab: model.shape.vocab };
        let given = asking.ask(&model, &[&[1, 2]]).unwrap().remove(0);
        let cut = |answer: &&Vec<u32>| answer.len() < 4;
        let ended_by = |id: u32| given.iter().filter(cut).filter(|answer| answer.last() == Some(&id)).count();
        assert!(ended_by(end) > 0 && ended_by(eos) > 0, "{given:?}");
        assert_eq!(ended_by(end) + ended_by(eos), given.iter().filter(cut).count());
        let inside = |answer: &Vec<u32>| answer[..answer.len() - 1].iter().any(|id| [end, eos].contains(id));
        assert!(!given.iter().any(inside));
    }
}
