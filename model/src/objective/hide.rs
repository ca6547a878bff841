//! Hides tokens of a piece as BERT does (arXiv 1810.04805, 3.1): of those chosen, 80 % become the mask token, 10 % a random
//! one and 10 % stay, so that the model cannot rely on the mask alone. Only what was chosen is predicted.

use super::{Piece, Program, Sample, translation};
use crate::batch::Batch;
use schemas::hash::Rng;

/// Of hidden tokens, those that become the mask token.
const MASKED: f64 = 0.8;
/// And those that become it or a random token.
const MASKED_OR_RANDOM: f64 = 0.9;

/// Chooses each token alone.
pub(super) fn tokens(program: &Program, piece: &Piece<'_>, rng: &mut Rng, batch: &mut Batch, row: usize) {
    for at in 0..piece.ids.len() {
        let chosen = rng.next_f64() < program.mask_probability;
        if chosen && piece.may_hide(at, program.eos) {
            hide(program, rng, batch, row + piece.range.start + at);
        }
    }
}

/// Chooses one token in 80 % of the cases, two or three side by side in 10 % each (UniLM, arXiv 1905.03197, 2.4).
pub(super) fn spans(program: &Program, piece: &Piece<'_>, rng: &mut Rng, batch: &mut Batch, row: usize) {
    // A span has 1.3 tokens on average and begins at a token outside of spans, so that `mask_probability` are inside.
    let share = program.mask_probability;
    let begins = share / (1.3 - 0.3 * share);
    let mut at = 0;
    while at < piece.ids.len() {
        if rng.next_f64() >= begins {
            at += 1;
            continue;
        }
        let length = match rng.below(10) {
            0 => 3,
            1 => 2,
            _ => 1,
        };
        for at in (at..piece.ids.len()).take(length) {
            if piece.may_hide(at, program.eos) {
                hide(program, rng, batch, row + piece.range.start + at);
            }
        }
        at += length;
    }
}

/// The batch in which one token of each sample is hidden by the mask, and seen from both sides.
pub(super) fn alone(program: &Program, places: &[(&Sample, usize)]) -> Batch {
    let samples = places.iter().map(|(sample, _)| *sample);
    let mut batch = match program.languages.is_empty() {
        true => Batch::whole(samples.map(|sample| &sample.row)),
        false => translation::whole(program, samples),
    };
    for (number, (_, place)) in places.iter().enumerate() {
        let at = number * batch.length + place;
        batch.targets[at] = std::mem::replace(&mut batch.ids[at], program.mask());
    }
    batch
}

/// Makes token `at` of the batch one that is predicted, and puts something in its place.
fn hide(program: &Program, rng: &mut Rng, batch: &mut Batch, at: usize) {
    batch.targets[at] = batch.ids[at];
    let draw = rng.next_f64();
    if draw < MASKED {
        batch.ids[at] = program.mask();
    } else if draw < MASKED_OR_RANDOM {
        batch.ids[at] = rng.below(program.vocab.into()) as u32;
    }
}
