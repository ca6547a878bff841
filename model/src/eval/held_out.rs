//! The held-out loss of a model, over all rows and for each source of the documents.
//!
//! Losses of tokens are summed as whole numbers of 2⁻⁶⁴ nats: a sum of sums is then the sum of all, to the last bit, however the tokens
//! are put together.

use super::perplexity::{Bytes, Evaluation};
use super::sources::Sources;
use crate::architecture::Transformer;
use crate::batch::{NO_TARGET, Row};
use crate::data::Rows;
use crate::device::Engine;
use crate::error::TrainError;

/// Tokens of one batch: enough rows for the matrix products, few enough for the caches.
pub(crate) const BATCH_TOKENS: usize = 2048;
/// Nats are counted in this part of one.
const UNIT: f64 = 1.0 / (1_u128 << 64) as f64;

/// A held-out loss with its parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldOut {
    /// Over all rows.
    pub all: Evaluation,
    /// By source, the one with the most held-out tokens first; none where the dataset does not tell.
    pub sources: Vec<(String, Evaluation)>,
}

/// Sums of one source.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// In [`UNIT`]s.
    nats: i128,
    /// A loss was no number: then the sum is none either.
    is_lost: bool,
    tokens: u64,
    bytes: u64,
    characters: u64,
}

impl Sums {
    fn add(&mut self, nats: f64) {
        match nats.is_finite() {
            true => self.nats += (nats / UNIT).round() as i128,
            false => self.is_lost = true,
        }
        self.tokens += 1;
    }

    fn merge(&mut self, other: Self) {
        self.nats += other.nats;
        self.is_lost |= other.is_lost;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
        self.characters += other.characters;
    }

    fn add_text(&mut self, [bytes, characters]: [u64; 2]) {
        self.bytes += bytes;
        self.characters += characters;
    }

    fn told(self, is_next_token: bool) -> Evaluation {
        let nats = if self.is_lost { f64::NAN } else { self.nats as f64 * UNIT };
        let Self { tokens, bytes, characters, .. } = self;
        Evaluation { nats, tokens, bytes, characters, is_next_token }
    }
}

/// Measures the first `limit` rows (0: all); `done` is told after each batch how many rows were measured.
///
/// # Errors
/// A shard is missing or damaged.
pub(crate) fn measure(
    (model, engine): (&Transformer<f32>, &Engine),
    rows: &Rows,
    (bytes, sources): (&Bytes, &Sources),
    limit: u64,
    mut done: impl FnMut(u64),
) -> Result<HeldOut, TrainError> {
    // One more for rows whose sources are not known.
    let mut sums = vec![Sums::default(); sources.names().len() + 1];
    let mut first = 0;
    for chunk in rows.held_out(if limit == 0 { u64::MAX } else { limit }) {
        let chunk = chunk?;
        let count = (BATCH_TOKENS / chunk.first().map_or(1, |sample| sample.row.ids.len().max(1))).max(1);
        for samples in chunk.chunks(count) {
            let batch = model.shape.program.batch(samples);
            let losses = engine.target_losses(model, &batch)?;
            for (at, sample) in samples.iter().enumerate() {
                let range = at * batch.length..(at + 1) * batch.length;
                let predicted = Predicted {
                    targets: &batch.targets[range.clone()],
                    starts: &batch.starts[range.clone()],
                    losses: &losses[range],
                };
                add_row(&mut sums, &sample.row, sources.of(first + at), predicted, bytes)?;
            }
            first += samples.len();
            done(first as u64);
        }
    }
    let mut all = Sums::default();
    sums.iter().for_each(|sums| all.merge(*sums));
    let is_next_token = model.shape.program.is_next_token();
    let told = sources.names().iter().cloned().zip(sums.iter().map(|sums| sums.told(is_next_token)));
    Ok(HeldOut {
        all: all.told(is_next_token),
        sources: told.filter(|(_, found)| found.tokens > 0).collect(),
    })
}

/// What an objective predicts of a row, each with one entry a token of the batch.
struct Predicted<'a> {
    targets: &'a [u32],
    /// Where the piece of each token starts.
    starts: &'a [u32],
    /// Nats.
    losses: &'a [f64],
}

/// Adds the tokens of a row to the sources of their pieces.
fn add_row(
    sums: &mut [Sums],
    row: &Row,
    sources: &[u8],
    predicted: Predicted<'_>,
    bytes: &Bytes,
) -> Result<(), TrainError> {
    let last = sums.len() - 1;
    let ends = row.piece_lengths.iter().scan(0, |end, &length| {
        *end += length as usize;
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    let slot = |piece: usize| sources.get(piece).map_or(last, |&source| usize::from(source));
    // A run of targets of one piece, whose bytes are counted together.
    let (mut run, mut piece) = (Vec::new(), 0);
    for (at, (&target, &loss)) in predicted.targets.iter().zip(predicted.losses).enumerate() {
        // Tokens behind those of the row stand for some of them, of the piece that they see.
        let place = if at < row.ids.len() { at } else { predicted.starts[at] as usize };
        let its = ends.partition_point(|&end| end <= place);
        if target == NO_TARGET || its != piece {
            sums[slot(piece)].add_text(bytes.of(&run)?);
            run.clear();
            piece = its;
        }
        if target != NO_TARGET {
            sums[slot(its)].add(loss);
            run.push(target);
        }
    }
    sums[slot(piece)].add_text(bytes.of(&run)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_last_bit() {
        let losses: Vec<f64> = (0..1000).map(|at| f64::from((at as f32).sin().abs() * 9.7)).collect();
        let sum = |losses: &[f64]| {
            let mut sums = Sums::default();
            losses.iter().for_each(|loss| sums.add(*loss));
            sums
        };
        let whole = sum(&losses);
        let mut parts = sum(&losses[700..]);
        parts.merge(sum(&losses[..700]));
        assert_eq!(parts.nats, whole.nats);
        let expected: f64 = losses.iter().sum();
        assert!((whole.told(true).nats - expected).abs() < 1e-9);
        parts.add(f64::INFINITY);
        assert!(parts.told(true).nats.is_nan());
    }
}
