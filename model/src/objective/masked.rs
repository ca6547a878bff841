//! Masked language modelling (BERT, arXiv 1810.04805): tokens see their whole piece, hidden ones are predicted where they stand.
//! Masks are drawn anew in each epoch (RoBERTa, arXiv 1907.11692, 4.1). There is no next-sentence prediction.

use super::{Program, Sample, hide};
use crate::batch::Batch;
use schemas::hash::Rng;

pub(super) fn batch(program: &Program, samples: &[Sample]) -> Batch {
    let mut batch = Batch::whole(samples.iter().map(|sample| &sample.row));
    for (number, sample) in samples.iter().enumerate() {
        let mut rng = Rng::new(sample.key);
        for piece in sample.pieces() {
            hide::tokens(program, &piece, &mut rng, &mut batch, number * sample.row.ids.len());
        }
    }
    batch
}
