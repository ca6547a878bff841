//! Writing on greedily, many texts side by side: what they begin with is read once, then each gets a token a pass.

use super::forest::{Before, Keep, Kept, Pass};
use super::{Scorer, head_rows};
use crate::error::TrainError;

/// Texts that are written side by side.
const SIDE_BY_SIDE: usize = 32;

impl Scorer {
    /// The most likely continuation of each prompt: up to `tokens_max` tokens, up to the end of a document, or until `stopped` says so of
    /// the text written so far.
    ///
    /// A prompt loses tokens on the left so that it and the continuation fit into what the model reads.
    ///
    /// # Errors
    /// A prompt is empty or has a token beyond the vocabulary, `tokens_max` leaves no room for a prompt, or the tokenizer refuses.
    pub fn write(
        &self,
        prompts: &[Vec<u32>],
        tokens_max: usize,
        stopped: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, TrainError> {
        let room = self.length_max().saturating_sub(tokens_max);
        if room == 0 || prompts.iter().any(Vec::is_empty) {
            let message = format!(
                "{tokens_max} tokens behind a prompt of at least one do not fit into the {} that the model reads",
                self.length_max()
            );
            return Err(TrainError::Config { message });
        }
        let prompts: Vec<&[u32]> = prompts.iter().map(|p| &p[p.len().saturating_sub(room)..]).collect();
        let texts = prompts.chunks(SIDE_BY_SIDE).map(|prompts| self.write_some(prompts, tokens_max, stopped));
        Ok(texts.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn write_some(
        &self,
        prompts: &[&[u32]],
        tokens_max: usize,
        stopped: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, TrainError> {
        // Kept run 0 is what all begin with, the others what each has alone; of each prompt at least the last token is its own.
        let common = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let shared =
            prompts.iter().map(|prompt| common(prompts[0], prompt).min(prompt.len() - 1)).min().unwrap_or(0);
        let mut kept = vec![Kept::default(); prompts.len() + 1];
        let mut pass = Pass::default();
        let stem = pass.push(vec![], &prompts[0][..shared]);
        let stem_before = if shared > 0 { vec![Before::Here(stem.clone())] } else { vec![] };
        pass.keep.push(Keep { index: 0, stay: 0, add: vec![stem] });
        let mut last = Vec::new();
        for (at, prompt) in prompts.iter().enumerate() {
            let own = pass.push(stem_before.clone(), &prompt[shared..]);
            last.push(own.end - 1);
            pass.keep.push(Keep { index: at + 1, stay: 0, add: vec![own] });
        }
        let mut written: Vec<Vec<u32>> = vec![vec![]; prompts.len()];
        let mut texts = vec![String::new(); prompts.len()];
        let mut open: Vec<usize> = (0..prompts.len()).collect();
        loop {
            let hidden = pass.hidden(&self.model, &mut kept)?;
            let next = head_rows(&self.model, &hidden, &last)?;
            let mut still = Vec::new();
            for (&at, id) in open.iter().zip(next) {
                if id == self.eos {
                    continue;
                }
                written[at].push(id);
                texts[at] = self.decode(&written[at])?;
                if written[at].len() < tokens_max && !stopped(&texts[at]) {
                    still.push(at);
                }
            }
            open = still;
            if open.is_empty() {
                return Ok(texts);
            }
            pass = Pass::default();
            last.clear();
            for &at in &open {
                let seen = kept[at + 1].len();
                let mut before = vec![
                    Before::Kept { index: 0, tokens: shared },
                    Before::Kept { index: at + 1, tokens: seen },
                ];
                before.retain(|before| before.len() > 0);
                let own = pass.push(before, &written[at][written[at].len() - 1..]);
                last.push(own.start);
                pass.keep.push(Keep { index: at + 1, stay: seen, add: vec![own] });
            }
        }
    }
}
