//! Writing on as lm-evaluation-harness has models write: greedily, up to a stop.

use super::Scorer;
use crate::error::TrainError;
use crate::generate::{Request, Sampling, continue_each};

impl Scorer {
    /// The most likely continuation of each prompt: up to `tokens_max` tokens, to the end of a document, or to what `stopped` says so of.
    ///
    /// A prompt loses tokens on the left so that it and the continuation fit into what the model reads. `stopped` is asked about the
    /// text written so far, which is given back with all that it holds.
    ///
    /// # Errors
    /// A prompt is empty or has a token beyond the vocabulary, `tokens_max` leaves no room for a prompt, or the tokenizer refuses.
    pub fn write(
        &self,
        prompts: &[Vec<u32>],
        tokens_max: usize,
        stopped: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, TrainError> {
        let room = self.length_max().saturating_sub(tokens_max);
        if room == 0 || prompts.iter().any(Vec::is_empty) {
            let message = format!(
                "{tokens_max} tokens behind a prompt of at least one do not fit into the {} that the model reads",
                self.length_max()
            );
            return Err(TrainError::Config { message });
        }
        let prompts: Vec<Vec<u32>> =
            prompts.iter().map(|p| p[p.len().saturating_sub(room)..].to_vec()).collect();
        let sampling = Sampling { temperature: 0.0, tokens_max: tokens_max as u64, ..Sampling::default() };
        let (vocab, stops) = (self.model.shape.vocab, [self.eos]);
        let request =
            Request { model: &self.model, vocab, prompts: &prompts, sampling: &sampling, stops: &stops };
        let mut written: Vec<Vec<u32>> = vec![vec![]; prompts.len()];
        let ids = continue_each(&request, |row, id| {
            written[row].push(id);
            // A tokenizer that refuses is told below, of the whole.
            !self.decode(&written[row]).is_ok_and(|text| stopped(&text))
        })?;
        ids.iter().map(|ids| self.decode(ids)).collect()
    }
}
