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

/// Rows side by side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    /// Tokens in a row.
    pub(crate) length: usize,
    /// Inputs, row after row.
    pub(crate) ids: Vec<u32>,
    /// For each input, where its piece starts in its row.
    pub(crate) starts: Vec<u32>,
    /// For each input, the token that follows, or [`NO_TARGET`].
    pub(crate) targets: Vec<u32>,
    /// What the loss of each target is multiplied by, of any sign; empty where all weigh 1.
    pub(crate) weights: Vec<f32>,
    /// Position of the first token of each piece.
    pub(crate) offset: usize,
}

impl Batch {
    /// Puts rows side by side; `eos` stands before every document.
    pub(crate) fn new(rows: &[Row], eos: u32) -> Self {
        let length = rows.first().map_or(0, |row| row.ids.len());
        let tokens = rows.len() * length;
        let mut batch = Self {
            length,
            ids: Vec::with_capacity(tokens),
            starts: vec![],
            targets: vec![],
            weights: vec![],
            offset: 0,
        };
        for row in rows {
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
            batch.starts.extend((0..row.padding).map(|_| start));
            batch.targets.extend((0..row.padding).map(|_| NO_TARGET));
        }
        batch
    }

    /// Adds a piece that stands at `start` of its row, moved by one place.
    fn push_piece(&mut self, piece: &[u32], start: u32, before: Option<u32>) {
        let Some((&first, but_last)) = piece.first().zip(piece.get(..piece.len().saturating_sub(1))) else {
            return;
        };
        self.ids.push(before.unwrap_or(first));
        self.ids.extend_from_slice(but_last);
        self.starts.push(start);
        let inner = if before.is_some() { start } else { start + 1 };
        self.starts.extend(but_last.iter().map(|_| inner));
        self.targets.push(if before.is_some() { first } else { NO_TARGET });
        self.targets.extend_from_slice(&piece[1..]);
    }

    /// One piece whose first token stands at `offset`, without targets: for generation.
    pub(crate) fn piece(ids: &[u32], offset: usize) -> Self {
        let none = vec![NO_TARGET; ids.len()];
        Self {
            length: ids.len(),
            ids: ids.to_vec(),
            starts: vec![0; ids.len()],
            targets: none,
            weights: vec![],
            offset,
        }
    }

    /// Position in its piece of token `at` of the batch.
    #[inline]
    pub(crate) fn position(&self, at: usize) -> usize {
        at % self.length - self.starts[at] as usize + self.offset
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
