//! Prompts with their answers laid into the rows of one batch, and the log-probabilities of the answers' tokens.
//!
//! Rows are as long as the longest text; shorter ones share a row and do not see each other, so padding stays small when
//! lengths differ. A loss over log-probabilities is turned into a gradient by weights of the targets, so that one pass through the
//! blocks serves both: only the head is computed twice.
//!
//! ```text
//! loss L(log π);  the cross-entropy of a target is −log π, so its weight is −∂L/∂(log π)
//! ```

use crate::architecture::Transformer;
use crate::batch::{Batch, NO_TARGET, Row};
use crate::error::TrainError;
use crate::kernel::Real;
use crate::layer::dropout::Dropout;
use crate::objective::cross_entropy::CrossEntropy;

/// A prompt and its answer, both as tokens. The answer ends with the token that ends answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence<'a> {
    /// What is given.
    pub(crate) prompt: &'a [u32],
    /// What is scored; not empty.
    pub(crate) answer: &'a [u32],
}

impl Sequence<'_> {
    fn length(&self) -> usize {
        self.prompt.len() + self.answer.len()
    }
}

/// Texts in a batch.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) batch: Batch,
    /// For each target of the batch, in its order, the text that it belongs to. Targets of a text are in the order of its answer.
    owners: Vec<usize>,
    /// For each text, where its last token stands in the batch as an input, when [`Packed::with_ends`] made it.
    pub(crate) ends: Vec<usize>,
    count: usize,
}

impl Packed {
    /// Lays texts behind the token `eos` each; the targets are the tokens of the answers.
    pub(crate) fn new(sequences: &[Sequence<'_>], eos: u32) -> Self {
        Self::laid(sequences, eos, 0)
    }

    /// The same with one place more for each text: its last token is an input too, and there is no target.
    pub(crate) fn with_ends(sequences: &[Sequence<'_>], eos: u32) -> Self {
        let mut packed = Self::laid(sequences, eos, 1);
        packed.batch.targets.fill(NO_TARGET);
        packed.owners.clear();
        packed
    }

    fn laid(sequences: &[Sequence<'_>], eos: u32, more: usize) -> Self {
        let longest = sequences.iter().map(|s| s.length() + more).max().unwrap_or(0);
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        // Longest first, into the first row with room.
        order.sort_by_key(|&at| std::cmp::Reverse(sequences[at].length()));
        let mut rows: Vec<(usize, Vec<usize>)> = Vec::new();
        for at in order {
            let length = sequences[at].length() + more;
            match rows.iter_mut().find(|(used, _)| used + length <= longest) {
                Some((used, texts)) => {
                    *used += length;
                    texts.push(at);
                }
                None => rows.push((length, vec![at])),
            }
        }
        let (mut laid, mut owners, mut ends) = (Vec::new(), Vec::new(), vec![0; sequences.len()]);
        for (number, (used, texts)) in rows.iter().enumerate() {
            let mut row = Row {
                ids: Vec::with_capacity(longest),
                piece_lengths: vec![],
                begins: vec![true; texts.len()],
                padding: u32::try_from(longest - used).expect("a row is below the context"),
                mask: Vec::with_capacity(longest),
            };
            for &at in texts {
                let Sequence { prompt, answer } = sequences[at];
                row.ids.extend(prompt.iter().chain(answer).copied().chain(std::iter::repeat_n(0, more)));
                row.mask.extend((0..prompt.len() + answer.len()).map(|token| token >= prompt.len()));
                row.mask.extend(std::iter::repeat_n(false, more));
                let length = prompt.len() + answer.len() + more;
                row.piece_lengths.push(u32::try_from(length).expect("a text is below the context"));
                owners.extend(std::iter::repeat_n(at, answer.len()));
                ends[at] = number * longest + row.ids.len() - 1;
            }
            row.ids.resize(longest, 0);
            row.mask.resize(longest, false);
            laid.push(row);
        }
        Self { batch: Batch::new(&laid, eos), owners, ends, count: sequences.len() }
    }

    /// Numbers of targets, by text.
    fn by_text(&self, numbers: impl Iterator<Item = f64>) -> Vec<Vec<f64>> {
        let mut texts = vec![Vec::new(); self.count];
        self.owners.iter().zip(numbers).for_each(|(&owner, number)| texts[owner].push(number));
        texts
    }

    /// The log-probability of each token of each answer.
    pub(crate) fn log_probabilities<T: Real>(
        &self,
        model: &Transformer<T>,
    ) -> Result<Vec<Vec<f64>>, TrainError> {
        let losses = model.read_hidden(&self.batch, |h| {
            let mut head = CrossEntropy::default();
            head.bias.clone_from(&model.head_bias);
            head.loss(&model.head, &self.batch, h)?;
            Ok(head.of_targets().map(|(_, loss)| -loss).collect::<Vec<f64>>())
        })?;
        Ok(self.by_text(losses.into_iter()))
    }

    /// Adds the gradients of a loss over the log-probabilities of all answers' tokens.
    ///
    /// `loss` is given them by text and gives its value and its derivative by each.
    pub(crate) fn gradients<T: Real>(
        &self,
        model: &Transformer<T>,
        dropout: Dropout,
        loss: impl FnOnce(&[Vec<f64>]) -> (f64, Vec<Vec<f64>>),
    ) -> Result<f64, TrainError> {
        let found = model.gradients_by(&self.batch, dropout, |h, dh| {
            let mut head = CrossEntropy::default();
            head.bias.clone_from(&model.head_bias);
            head.loss(&model.head, &self.batch, h)?;
            let (value, derivatives) = loss(&self.by_text(head.of_targets().map(|(_, loss)| -loss)));
            let mut of_texts: Vec<_> = derivatives.iter().map(|text| text.iter()).collect();
            let mut next = self.owners.iter().map(|&owner| of_texts[owner].next().copied().unwrap_or(0.0));
            let mut weight = |target: &u32| match *target {
                NO_TARGET => 0.0,
                _ => -next.next().unwrap_or(0.0) as f32,
            };
            let weights = self.batch.targets.iter().map(&mut weight).collect();
            let weighted = Batch { weights, ..self.batch.clone() };
            head.loss_and_gradient(&model.head, &weighted, 1.0, h, dh)?;
            Ok(value)
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_share_rows_and_keep_their_targets() {
        let sequence = |prompt, answer| Sequence { prompt, answer };
        let texts =
            [sequence(&[5, 6][..], &[7][..]), sequence(&[1, 2, 3], &[4, 9, 8]), sequence(&[3], &[2, 9])];
        let packed = Packed::new(&texts, 0);
        let none = NO_TARGET;
        assert_eq!(packed.batch.length, 6);
        assert_eq!(packed.batch.ids, [0, 1, 2, 3, 4, 9, 0, 5, 6, 0, 3, 2]);
        assert_eq!(packed.batch.targets, [none, none, none, 4, 9, 8, none, none, 7, none, 2, 9]);
        assert_eq!(packed.owners, [1, 1, 1, 0, 2, 2]);
        let ends = Packed::with_ends(&texts, 0);
        let last = |at: usize| ends.batch.ids[ends.ends[at]];
        assert_eq!([last(0), last(1), last(2)], [7, 8, 9]);
        assert_eq!(ends.batch.targets_count(), 0);
    }
}
