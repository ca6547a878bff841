//! A micro-batch: rows of equal length, cut into pieces of documents that do not see each other.

/// The target of a position that predicts nothing: padding, and the last token of a piece.
pub(crate) const NO_TARGET: u32 = u32::MAX;

/// One training sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Token ids, exactly the sequence length.
    pub ids: Vec<u32>,
    /// Tokens of each piece, in order.
    pub piece_lengths: Vec<u32>,
    /// Padding tokens at the end.
    pub padding: u32,
}

/// Rows side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Tokens in a row.
    pub(crate) length: usize,
    /// Token ids, row after row.
    pub(crate) ids: Vec<u32>,
    /// For each token, where its piece starts in its row.
    pub(crate) starts: Vec<u32>,
    /// For each token, the next token of its piece, or [`NO_TARGET`].
    pub(crate) targets: Vec<u32>,
    /// Position of the first token of each piece.
    pub(crate) offset: usize,
}

impl Batch {
    /// Puts rows side by side.
    pub(crate) fn new(rows: &[Row]) -> Self {
        let length = rows.first().map_or(0, |row| row.ids.len());
        let tokens = rows.len() * length;
        let mut batch =
            Self { length, ids: Vec::with_capacity(tokens), starts: vec![], targets: vec![], offset: 0 };
        for row in rows {
            batch.ids.extend_from_slice(&row.ids);
            let mut start = 0;
            for &piece in &row.piece_lengths {
                let end = start + piece;
                batch.starts.extend((start..end).map(|_| start));
                batch.targets.extend((start + 1..end).map(|next| row.ids[next as usize]));
                batch.targets.extend((piece > 0).then_some(NO_TARGET));
                start = end;
            }
            batch.starts.extend((0..row.padding).map(|_| start));
            batch.targets.extend((0..row.padding).map(|_| NO_TARGET));
        }
        batch
    }

    /// One piece whose first token stands at `offset`, without targets: for generation.
    pub(crate) fn piece(ids: &[u32], offset: usize) -> Self {
        let none = vec![NO_TARGET; ids.len()];
        Self { length: ids.len(), ids: ids.to_vec(), starts: vec![0; ids.len()], targets: none, offset }
    }

    /// Position in its piece of token `at` of the batch.
    #[inline]
    pub(crate) fn position(&self, at: usize) -> usize {
        at % self.length - self.starts[at] as usize + self.offset
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
    fn pieces_do_not_predict_each_other_and_padding_predicts_nothing() {
        let row = Row { ids: vec![5, 6, 7, 8, 0, 0], piece_lengths: vec![3, 1], padding: 2 };
        let batch = Batch::new(&[row.clone(), row]);
        let none = NO_TARGET;
        assert_eq!(batch.targets[..6], [6, 7, none, none, none, none]);
        assert_eq!(batch.starts[6..], [0, 0, 0, 3, 4, 4]);
        assert_eq!((6..12).map(|at| batch.position(at)).collect::<Vec<_>>(), [0, 1, 2, 0, 0, 1]);
        assert_eq!(batch.targets_count(), 4);
    }
}
