//! Pseudo-likelihood: each token predicted from all others of its piece (Salazar et al., arXiv 1910.14659).
//!
//! What a masked model thinks of a text, where a next-token model has a probability. It is no probability of the text, for every token
//! helps to predict its neighbours; it compares models of one tokenizer that see both sides. Each token needs a pass of its
//! own over its row, so it is measured on the first held-out tokens alone.

use super::perplexity::Evaluation;
use crate::architecture::Transformer;
use crate::data::Rows;
use crate::error::TrainError;

/// Tokens that are predicted.
const TOKENS_MAX: usize = 512;
/// Rows of one batch.
const BATCH: usize = 8;

/// Measures the first held-out tokens; `None` where the objective looks back alone.
///
/// # Errors
/// A shard is missing or damaged.
pub(crate) fn measure(model: &Transformer<f32>, rows: &Rows) -> Result<Option<Evaluation>, TrainError> {
    let program = &model.shape.program;
    if program.is_next_token() {
        return Ok(None);
    }
    let mut sums = Evaluation::default();
    let mut left = TOKENS_MAX;
    for chunk in rows.held_out(TOKENS_MAX as u64) {
        let chunk = chunk?;
        let places = chunk.iter().flat_map(|sample| sample.places(program.eos).map(move |at| (sample, at)));
        let places: Vec<_> = places.take(left).collect();
        left -= places.len();
        for places in places.chunks(BATCH) {
            let Some(batch) = program.alone(places) else { continue };
            sums.nats += model.loss(&batch)?;
            sums.tokens += places.len() as u64;
        }
    }
    Ok(Some(sums).filter(|sums| sums.tokens > 0))
}
