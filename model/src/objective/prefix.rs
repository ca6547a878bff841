//! Prefix language modelling (T5, arXiv 1910.10683, 3.2.1): a prefix sees itself as a whole, and every token behind it is
//! predicted from what stands before. Where the prefix of a piece ends is drawn evenly from its tokens.
//!
//! ```text
//! inputs   ⏎ a b c d      prefix of 3: ⏎ a b see each other
//! targets  - - c d ⏎
//! ```

use super::{Program, Sample};
use crate::batch::{Batch, NO_TARGET};
use schemas::hash::Rng;

pub(super) fn batch(program: &Program, samples: &[Sample]) -> Batch {
    let mut batch = Batch::new(samples.iter().map(|sample| &sample.row), program.eos);
    for (number, sample) in samples.iter().enumerate() {
        let row = number * batch.length;
        let mut rng = Rng::new(sample.key);
        for piece in sample.pieces() {
            // The first token of a piece that begins no document stands for nothing: it sees itself alone.
            let last = row + piece.range.end - 1;
            let first = row + batch.starts[last] as usize;
            let length = 1 + rng.below((last + 1).saturating_sub(first) as u64) as usize;
            let end = first + length;
            batch.ends[first..end].fill((end - row) as u32);
            batch.targets[row + piece.range.start..end - 1].fill(NO_TARGET);
        }
    }
    batch
}
