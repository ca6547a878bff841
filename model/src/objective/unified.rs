//! One model under four masks (UniLM, arXiv 1905.03197, 2.3): hidden tokens are predicted where they stand, and chance decides for each
//! row who sees whom.
//!
//! | share of rows | a token sees |
//! |---|---|
//! | 1/3 | its whole piece |
//! | 1/3 | source and target: a source sees itself as a whole, a target the source and what stands before it |
//! | 1/6 | itself and what stands before it |
//! | 1/6 | itself and what stands behind it |
//!
//! A piece is cut into source and target at a token drawn evenly. There are no segments and no next-sentence prediction.

use super::{Program, Sample, hide};
use crate::batch::Batch;
use schemas::hash::Rng;
use std::ops::Range;

pub(super) fn batch(program: &Program, samples: &[Sample]) -> Batch {
    let mut batch = Batch::whole(samples.iter().map(|sample| &sample.row));
    for (number, sample) in samples.iter().enumerate() {
        let row = number * batch.length;
        let mut rng = Rng::new(sample.key);
        let mask = rng.below(6);
        for piece in sample.pieces() {
            let tokens = row + piece.range.start..row + piece.range.end;
            match mask {
                0 | 1 => {}
                2 | 3 => {
                    let source = rng.below(piece.ids.len() as u64 + 1) as usize;
                    let target = tokens.start + source..tokens.end;
                    let end = (piece.range.start + source) as u32;
                    batch.ends[tokens.start..target.start].fill(end);
                    look_back(&mut batch, row, target);
                }
                4 => look_back(&mut batch, row, tokens),
                _ => tokens.for_each(|at| batch.starts[at] = (at - row) as u32),
            }
            hide::spans(program, &piece, &mut rng, &mut batch, row);
        }
    }
    batch
}

/// Ends what tokens see with themselves.
fn look_back(batch: &mut Batch, row: usize, tokens: Range<usize>) {
    tokens.for_each(|at| batch.ends[at] = (at - row + 1) as u32);
}
