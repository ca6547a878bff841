//! What a model is trained to do: a program that decides, for rows of tokens, what stands where, who sees whom and what is predicted.
//!
//! | objective | a token sees | predicted is | published as |
//! |---|---|---|---|
//! | `causal` | what stands before it | every next token | GPT-3, LLaMA, LaMDA |
//! | `masked` | its whole piece | what was hidden | BERT |
//! | `permutation` | what comes before it in a random order | the last tokens of that order | XLNet |
//! | `prefix` | a prefix as a whole, and what stands before it | every token behind the prefix | T5's prefix LM |
//! | `unified` | by chance: all, what stands before, behind, or source and target | what was hidden | UniLM |
//! | `translation` | its whole piece, or a text and its translation | what was hidden | XLM |
//!
//! The model is one and the same; a program writes a [`Batch`]. All that is random about a row follows from the key of its
//! [`Sample`]: the seed, the epoch and the number of the row. So masks are other ones in each epoch, and the same ones however rows
//! are put together.

pub(crate) mod cross_entropy;
mod hide;
mod masked;
mod open;
mod permutation;
mod prefix;
#[cfg(test)]
pub(crate) mod tests;
mod translation;
mod unified;

pub(crate) use open::TOLD;

use crate::batch::{Batch, Row};
use crate::config::Objective;
use std::ops::Range;

/// A row with what is random about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) row: Row,
    /// Seed of everything that is random about it.
    pub(crate) key: u64,
    /// Languages of each piece; empty where the objective needs none.
    pub(crate) languages: Vec<Languages>,
}

/// The language of a piece: an index into the names of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Languages {
    /// That of the piece, or of the first text of a pair.
    pub(crate) first: u32,
    /// That of the second text of a pair, which stands behind the first end-of-document token.
    pub(crate) second: Option<u32>,
}

/// An objective with everything that it needs to make batches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub(crate) objective: Objective,
    /// Token that ends a document.
    pub(crate) eos: u32,
    /// Tokens that are drawn in place of others are below this.
    pub(crate) vocab: u32,
    /// Token that stands for a hidden one; `None` where the objective hides none.
    pub(crate) mask: Option<u32>,
    /// Share of tokens that are hidden.
    pub(crate) mask_probability: f64,
    /// Share of tokens that end a permutation and are predicted.
    pub(crate) predicted_share: f64,
    /// Languages of the model's table, by their index; empty where it has none.
    pub(crate) languages: Vec<String>,
    /// Where the languages of the dataset stand in that table.
    language_ids: Vec<u32>,
}

/// A piece of a row.
struct Piece<'a> {
    /// Where it stands in its row.
    range: Range<usize>,
    ids: &'a [u32],
    /// Whether each token is learned; empty where all are.
    learned: &'a [bool],
    languages: Option<Languages>,
}

impl Piece<'_> {
    /// Whether a token may be predicted: the end of a document tells nothing that a hidden token could teach.
    fn may_hide(&self, at: usize, eos: u32) -> bool {
        self.ids[at] != eos && self.learned.get(at).copied().unwrap_or(true)
    }
}

impl Sample {
    /// The tokens that may be predicted.
    pub(crate) fn places(&self, eos: u32) -> impl Iterator<Item = usize> {
        let of = move |piece: Piece<'_>| -> Vec<usize> {
            let learned = (0..piece.ids.len()).filter(|&at| piece.may_hide(at, eos));
            learned.map(|at| piece.range.start + at).collect()
        };
        self.pieces().flat_map(of)
    }

    /// The pieces of the row that are not empty.
    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut start = 0;
        let pieces = self.row.piece_lengths.iter().enumerate().map(move |(number, &length)| {
            let range = start..start + length as usize;
            start = range.end;
            Piece {
                ids: &self.row.ids[range.clone()],
                learned: self.row.mask.get(range.clone()).unwrap_or_default(),
                languages: self.languages.get(number).copied(),
                range,
            }
        });
        pieces.filter(|piece| !piece.ids.is_empty())
    }
}

impl Program {
    /// Next-token prediction.
    pub(crate) const fn causal(eos: u32, vocab: u32) -> Self {
        Self {
            objective: Objective::Causal,
            eos,
            vocab,
            mask: None,
            mask_probability: 0.0,
            predicted_share: 0.0,
            languages: Vec::new(),
            language_ids: Vec::new(),
        }
    }

    /// The batch of samples.
    ///
    /// # Panics
    /// The objective hides tokens and the program has no token for hidden ones.
    pub(crate) fn batch(&self, samples: &[Sample]) -> Batch {
        match self.objective {
            Objective::Causal => Batch::new(samples.iter().map(|sample| &sample.row), self.eos),
            Objective::Masked => masked::batch(self, samples),
            Objective::Permutation => permutation::batch(self, samples),
            Objective::Prefix => prefix::batch(self, samples),
            Objective::Unified => unified::batch(self, samples),
            Objective::Translation => translation::batch(self, samples),
        }
    }

    /// The batch that predicts one token of each sample from all others of its piece; `None` where the objective looks back alone.
    pub(crate) fn alone(&self, places: &[(&Sample, usize)]) -> Option<Batch> {
        match self.objective {
            Objective::Causal | Objective::Prefix => None,
            Objective::Permutation => Some(permutation::alone(self, places)),
            Objective::Masked | Objective::Unified | Objective::Translation => {
                Some(hide::alone(self, places))
            }
        }
    }

    /// Whether a model of this objective predicts the next token of what it has seen, as sampling and scoring need.
    pub(crate) const fn is_next_token(&self) -> bool {
        self.objective.is_next_token()
    }

    /// The token that stands for hidden ones.
    pub(crate) fn mask(&self) -> u32 {
        self.mask.expect("`Program::open` gives every objective that hides tokens one to put in their place")
    }
}
