//! Token ids → rows of the embedding matrix, plus rows of learned positions and of token types where the model has them, and of
//! languages where the objective tells them apart.

use crate::batch::Batch;
use crate::kernel::{Real, add_scaled, simd};
use crate::parameter::Shared;
use candle_core::{Result, bail};

/// Where a forward pass begins.
#[derive(Debug, Clone)]
pub(crate) struct Embedding<T> {
    /// vocab × width.
    pub(crate) tokens: Shared<T>,
    /// positions × width.
    pub(crate) positions: Option<Shared<T>>,
    /// Token types × width (BERT): all tokens are of the first type.
    pub(crate) segments: Option<Shared<T>>,
    /// languages × width.
    pub(crate) languages: Option<Shared<T>>,
}

impl<T: Real> Embedding<T> {
    /// Writes the rows of a batch: tokens × width.
    ///
    /// # Errors
    /// A token is beyond the vocabulary.
    pub(crate) fn forward(&self, batch: &Batch, x: &mut [T]) -> Result<()> {
        let (vocab, width) = self.tokens.value().dims2()?;
        if let Some(id) = batch.ids.iter().find(|id| **id as usize >= vocab) {
            bail!("token {id} is not below the vocabulary's size {vocab}");
        }
        self.tokens.read(|table| {
            for (x, &id) in x.chunks_mut(width).zip(&batch.ids) {
                x.copy_from_slice(&table[id as usize * width..][..width]);
            }
        })?;
        let rows = [(&self.positions, &batch.positions), (&self.languages, &batch.languages)];
        for (table, rows) in rows {
            let Some(table) = table else { continue };
            table.read(|table| {
                for (x, &row) in x.chunks_mut(width).zip(rows) {
                    add_scaled(x, &table[row as usize * width..][..width], T::ONE);
                }
            })?;
        }
        let Some(segments) = &self.segments else { return Ok(()) };
        segments.read(|table| x.chunks_mut(width).for_each(|x| add_scaled(x, &table[..width], T::ONE)))
    }

    /// Adds the gradient of each row to that of its token, of its position and of its language.
    pub(crate) fn backward(&self, batch: &Batch, dx: &[T]) {
        let width = dx.len() / batch.ids.len().max(1);
        let scatter = |parameter: &Shared<T>, rows: &[u32]| {
            parameter.accumulate(|total, keep| {
                if !keep {
                    total.fill(T::ZERO);
                }
                simd(|| {
                    for (dx, &row) in dx.chunks(width.max(1)).zip(rows) {
                        add_scaled(&mut total[row as usize * width..][..width], dx, T::ONE);
                    }
                });
            });
        };
        scatter(&self.tokens, &batch.ids);
        for (table, rows) in [(&self.positions, &batch.positions), (&self.languages, &batch.languages)] {
            table.iter().for_each(|table| scatter(table, rows));
        }
        self.segments.iter().for_each(|table| scatter(table, &vec![0; batch.ids.len()]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Row;
    use crate::numeric::{check, parameter};

    fn gradients(row: Row, width: usize, learned: bool) {
        let tokens = parameter("tokens", &[9, width], 1);
        let positions = learned.then(|| parameter("positions", &[row.ids.len(), width], 2));
        let what = format!("{:?} × {width}, positions {learned}", row.ids);
        let mut batch = Batch::new(&[row.clone(), row], 0);
        batch.languages = batch.ids.iter().map(|id| id % 3).collect();
        let languages = learned.then(|| parameter("languages", &[4, width], 3));
        let segments = learned.then(|| parameter("segments", &[2, width], 4));
        let embedding = Embedding { tokens, positions, segments, languages };
        let tables = [&embedding.positions, &embedding.languages, &embedding.segments].into_iter().flatten();
        let parameters: Vec<_> = std::iter::once(&embedding.tokens).chain(tables).collect();
        let forward = |_: &[f64]| {
            let mut x = vec![9.0; batch.ids.len() * width];
            embedding.forward(&batch, &mut x).unwrap();
            x
        };
        check(&what, 0, &parameters, forward, |_, dy, _| {
            embedding.backward(&batch, dy);
            Ok(())
        });
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        for learned in [false, true] {
            let row =
                Row { ids: vec![3], piece_lengths: vec![1], begins: vec![true], padding: 0, mask: vec![] };
            gradients(row, 1, learned);
            // A token twice, tokens never seen, two pieces with positions of their own, padding.
            let row = Row {
                ids: vec![1, 4, 4, 8, 1, 2],
                piece_lengths: vec![2, 3],
                begins: vec![true, false],
                padding: 1,
                mask: vec![],
            };
            gradients(row, 5, learned);
        }
    }

    #[test]
    fn a_token_beyond_the_vocabulary_is_refused() {
        let embedding = Embedding {
            tokens: parameter::<f64>("tokens", &[9, 2], 1),
            positions: None,
            segments: None,
            languages: None,
        };
        let error = embedding.forward(&Batch::piece(&[3, 9], 0), &mut [0.0; 4]).unwrap_err();
        assert!(error.to_string().contains("token 9 is not below the vocabulary's size 9"), "{error}");
    }
}
