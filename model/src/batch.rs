//! A micro-batch: rows of equal length, cut into pieces of documents that do not see each other.
//!
//! Inputs are the row moved by one place, so that every token is predicted from those before it. A piece that begins a
//! document begins with the end-of-document token, which is what `generate` starts from; its first token is predicted
//! too. The first token of a piece cut out of the middle of a document has nothing to be predicted from.
//!
//! ```text
//! row      a b c ⏎ | x y z       the document a b c ⏎, and a piece from the middle of another
//! inputs   ⏎ a b c | x x y
//! targets  a b c ⏎ | - y z
//! ```

use std::ops::Range;

/// The target of a position that predicts nothing: padding, and what stands before a piece cut out of a document.
pub(crate) const NO_TARGET: u32 = u32::MAX;

/// One training sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Token ids, exactly the sequence length.
    pub ids: Vec<u32>,
    /// Tokens of each piece, in order.
    pub piece_lengths: Vec<u32>,
    /// Whether each piece begins its document.
    pub begins: Vec<bool>,
    /// Padding tokens at the end.
    pub padding: u32,
    /// Whether each token is learned; empty where all are.
    pub mask: Vec<bool>,
}

impl Row {
    /// Whether any of its tokens is learned.
    pub(crate) fn is_learned(&self) -> bool {
        self.mask.is_empty() || self.mask.contains(&true)
    }
}

/// Rows side by side, and everything that an objective decides about them: what stands where, who sees whom, what is
/// predicted and how much it counts.
///
/// A list with one entry a token is as long as `ids`. Token `i` of a row sees the tokens `starts[i]..ends[i]` of its row; where
/// there is an [`Order`], only those of them whose rank is below its limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Batch {
    /// Tokens in a row.
    pub(crate) length: usize,
    /// Inputs, row after row.
    pub(crate) ids: Vec<u32>,
    /// Position of each input in its piece, below the context of the model.
    pub(crate) positions: Vec<u32>,
    /// For each input, the first token of its row that it sees.
    pub(crate) starts: Vec<u32>,
    /// For each input, the end of what it sees of its row; not below its start, and at it where it sees nothing.
    pub(crate) ends: Vec<u32>,
    /// What an order other than that of the text hides within these ranges.
    pub(crate) order: Option<Order>,
    /// Language of each input, an index into the table of languages; empty where the model has none.
    pub(crate) languages: Vec<u32>,
    /// For each input, the token that is predicted there, or [`NO_TARGET`].
    pub(crate) targets: Vec<u32>,
    /// What the loss of each target is multiplied by, of any sign; empty where all weigh 1.
    pub(crate) weights: Vec<f32>,
}

/// An order of factorisation: query `i` sees key `j` where `ranks[j] < limits[i]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// Rank of each token as a key; `u32::MAX` where nobody sees it.
    pub(crate) ranks: Vec<u32>,
    /// For each token as a query, the end of the ranks that it sees.
    pub(crate) limits: Vec<u32>,
}

impl Batch {
    /// Puts rows side by side for next-token prediction; `eos` stands before every document.
    pub(crate) fn new<'a>(rows: impl IntoIterator<Item = &'a Row>, eos: u32) -> Self {
        let mut batch = Self::default();
        for row in rows {
            batch.length = row.ids.len();
            let mut start = 0;
            for (&length, &begins) in row.piece_lengths.iter().zip(&row.begins) {
                let range = start as usize..(start + length) as usize;
                let first = batch.targets.len();
                batch.push_piece(&row.ids[range.clone()], start, begins.then_some(eos));
                // A target stands where the token before it does: token by token the mask goes along.
                let masked = row.mask.get(range).unwrap_or_default();
                let targets = batch.targets[first..].iter_mut().zip(masked);
                targets.filter(|(_, learned)| !**learned).for_each(|(target, _)| *target = NO_TARGET);
                start += length;
            }
            batch.ids.extend_from_slice(&row.ids[start as usize..]);
            batch.see_causally(start..start + row.padding, start);
            batch.targets.extend((0..row.padding).map(|_| NO_TARGET));
        }
        batch
    }

    /// Puts rows side by side as they are: a token sees its whole piece, and none is predicted.
    pub(crate) fn whole<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut batch = Self::default();
        for row in rows {
            batch.length = row.ids.len();
            batch.ids.extend_from_slice(&row.ids);
            let mut start = 0;
            for length in row.piece_lengths.iter().chain([&row.padding]) {
                batch.positions.extend(0..*length);
                batch.starts.extend((0..*length).map(|_| start));
                start += length;
                batch.ends.extend((0..*length).map(|_| start));
            }
        }
        batch.targets = vec![NO_TARGET; batch.ids.len()];
        batch
    }

    /// Adds a piece that stands at `start` of its row, moved by one place.
    fn push_piece(&mut self, piece: &[u32], start: u32, before: Option<u32>) {
        let Some((&first, but_last)) = piece.first().zip(piece.get(..piece.len().saturating_sub(1))) else {
            return;
        };
        self.ids.push(before.unwrap_or(first));
        self.ids.extend_from_slice(but_last);
        let end = start + piece.len() as u32;
        if before.is_some() {
            self.see_causally(start..end, start);
        } else {
            self.see_causally(start..start + 1, start);
            self.see_causally(start + 1..end, start + 1);
        }
        self.targets.push(if before.is_some() { first } else { NO_TARGET });
        self.targets.extend_from_slice(&piece[1..]);
    }

    /// Lets the tokens of a range of a row see those from `start` to themselves, with positions counted from `start`.
    fn see_causally(&mut self, tokens: Range<u32>, start: u32) {
        self.positions.extend(tokens.clone().map(|at| at - start));
        self.starts.extend(tokens.clone().map(|_| start));
        self.ends.extend(tokens.map(|at| at + 1));
    }

    /// One piece whose first token stands at `offset`, without targets: for generation.
    pub(crate) fn piece(ids: &[u32], offset: usize) -> Self {
        let count = u32::try_from(ids.len()).expect("a piece is no longer than a context");
        let mut batch = Self { length: ids.len(), ids: ids.to_vec(), ..Self::default() };
        batch.see_causally(0..count, 0);
        let offset = u32::try_from(offset).expect("a position is below a context");
        batch.positions.iter_mut().for_each(|position| *position += offset);
        batch.targets = vec![NO_TARGET; ids.len()];
        batch
    }

    /// Position in its piece of token `at` of the batch.
    #[inline]
    pub(crate) fn position(&self, at: usize) -> usize {
        self.positions[at] as usize
    }

    /// The tokens of its row that token `at` of the batch sees, but for what its [`Order`] hides.
    #[inline]
    pub(crate) fn seen(&self, at: usize) -> Range<usize> {
        self.starts[at] as usize..self.ends[at] as usize
    }

    /// What the loss of the target at token `at` of the batch is multiplied by.
    #[inline]
    pub(crate) fn weight(&self, at: usize) -> f32 {
        self.weights.get(at).copied().unwrap_or(1.0)
    }

    /// How many tokens have a target.
    pub(crate) fn targets_count(&self) -> usize {
        self.targets.iter().filter(|&&target| target != NO_TARGET).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_predicted_but_the_first_of_a_cut_piece_and_padding() {
        let row = Row {
            ids: vec![5, 6, 9, 7, 8, 4, 0, 0],
            piece_lengths: vec![3, 2, 1],
            begins: vec![true, false, true],
            padding: 2,
            mask: Vec::new(),
        };
        let batch = Batch::new(&[row.clone(), row], 9);
        let none = NO_TARGET;
        assert_eq!(batch.ids[..8], [9, 5, 6, 7, 7, 9, 0, 0]);
        assert_eq!(batch.targets[..8], [5, 6, 9, none, 8, 4, none, none]);
        assert_eq!(batch.starts[8..], [0, 0, 0, 3, 4, 5, 6, 6]);
        assert_eq!(batch.ends[8..], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((8..16).map(|at| batch.position(at)).collect::<Vec<_>>(), [0, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(batch.targets_count(), 10);
    }

    #[test]
    fn what_is_not_learned_has_no_target() {
        let mask = vec![false, true, true, true, false, true, false, false];
        let row = Row {
            ids: vec![5, 6, 9, 7, 8, 4, 0, 0],
            piece_lengths: vec![3, 2, 1],
            begins: vec![true, false, true],
            padding: 2,
            mask,
        };
        let batch = Batch::new(&[row], 9);
        let none = NO_TARGET;
        assert_eq!(batch.ids, [9, 5, 6, 7, 7, 9, 0, 0]);
        assert_eq!(batch.targets, [none, 6, 9, none, none, 4, none, none]);
    }

    #[test]
    fn an_empty_piece_adds_nothing() {
        let row = Row {
            ids: vec![5, 6],
            piece_lengths: vec![0, 2],
            begins: vec![true, true],
            padding: 0,
            mask: vec![],
        };
        assert_eq!(Batch::new(&[row], 9).targets, [5, 6]);
    }
}
