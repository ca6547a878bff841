//! Permutation language modelling with two streams (XLNet, arXiv 1906.08237).
//!
//! The tokens of a piece are put into a random order, and the last of them are predicted from those before them: `predicted_share` of
//! the piece, 1/K in the paper. A token that is predicted cannot be among the inputs at its place, yet those behind it in the order must
//! see it. So it stands in the row twice: among the content tokens, which see what comes before them in the order and themselves, and
//! among the query tokens behind them, which hold the mask token and a position, and see content that comes strictly
//! before. Both share all weights; nobody sees a query token.
//!
//! ```text
//! row      a b c d ⏎ | ? ?        order: a ⏎ c first, then d, then b
//! ranks    0 2 0 1 0 | ∞ ∞        the tokens that are not predicted have one rank and see each other, as in the released code
//! limits   1 3 1 2 1 | 2 1        a query sees ranks below that of its token
//! targets  - - - - - | b d
//! ```

use super::{Piece, Program, Sample};
use crate::batch::{Batch, NO_TARGET, Order, Row};
use schemas::hash::Rng;

pub(super) fn batch(program: &Program, samples: &[Sample]) -> Batch {
    let drawn: Vec<Vec<u32>> = samples.iter().map(|sample| ranks(program, sample)).collect();
    two_streams(program, samples.iter().map(|sample| &sample.row), &drawn)
}

/// The batch in which one token of each sample comes last, behind all others.
pub(super) fn alone(program: &Program, places: &[(&Sample, usize)]) -> Batch {
    let last = |&(sample, at): &(&Sample, usize)| {
        let mut ranks = vec![0; sample.row.ids.len()];
        ranks[at] = 1;
        ranks
    };
    let ranks: Vec<Vec<u32>> = places.iter().map(last).collect();
    two_streams(program, places.iter().map(|(sample, _)| &sample.row), &ranks)
}

/// Content with query tokens for all whose rank is above 0.
fn two_streams<'a>(program: &Program, rows: impl Iterator<Item = &'a Row>, drawn: &[Vec<u32>]) -> Batch {
    let content = Batch::whole(rows);
    // As many query tokens in each row as the row with the most targets needs.
    let predicted = |ranks: &Vec<u32>| ranks.iter().filter(|&&rank| rank > 0).count();
    let queries = drawn.iter().map(predicted).max().unwrap_or(0);
    let length = content.length;
    let mut batch = Batch { length: length + queries, ..Batch::default() };
    let mut order = Order::default();
    for (number, ranks) in drawn.iter().enumerate() {
        let row = number * length..(number + 1) * length;
        batch.ids.extend_from_slice(&content.ids[row.clone()]);
        batch.positions.extend_from_slice(&content.positions[row.clone()]);
        batch.starts.extend_from_slice(&content.starts[row.clone()]);
        batch.ends.extend_from_slice(&content.ends[row.clone()]);
        batch.targets.resize(batch.targets.len() + length, NO_TARGET);
        order.ranks.extend_from_slice(ranks);
        order.limits.extend(ranks.iter().map(|rank| rank + 1));
        for (at, &rank) in row.zip(ranks).filter(|&(_, &rank)| rank > 0) {
            batch.positions.push(content.positions[at]);
            batch.starts.push(content.starts[at]);
            batch.ends.push(content.ends[at]);
            batch.targets.push(content.ids[at]);
            order.limits.push(rank);
        }
        let filled = (number + 1) * batch.length;
        batch.ids.resize(filled, program.mask());
        batch.targets.resize(filled, NO_TARGET);
        // What fills the row up sees nothing.
        for list in [&mut batch.positions, &mut batch.starts, &mut batch.ends, &mut order.limits] {
            list.resize(filled, 0);
        }
        order.ranks.resize(filled, u32::MAX);
    }
    batch.order = Some(order);
    batch
}

/// The rank of each token of a row: 0 where it is not predicted, else its place among those of its piece that are, from 1.
fn ranks(program: &Program, sample: &Sample) -> Vec<u32> {
    let mut rng = Rng::new(sample.key);
    let mut ranks = vec![0; sample.row.ids.len()];
    for piece in sample.pieces() {
        let chosen = chosen(program, &piece, &mut rng);
        (1..).zip(chosen).for_each(|(rank, at)| ranks[piece.range.start + at] = rank);
    }
    ranks
}

/// The last tokens of a random order of a piece, in that order; their count is rounded by chance, so that short pieces count too.
fn chosen(program: &Program, piece: &Piece<'_>, rng: &mut Rng) -> Vec<usize> {
    let mut left: Vec<usize> = (0..piece.ids.len()).filter(|&at| piece.may_hide(at, program.eos)).collect();
    let wanted = (piece.ids.len() as f64 * program.predicted_share + rng.next_f64()) as usize;
    let drawn = (0..wanted.min(left.len())).map(|_| left.swap_remove(rng.below(left.len() as u64) as usize));
    drawn.collect()
}
