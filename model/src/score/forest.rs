//! A forward pass over runs of tokens that share what stands before them.
//!
//! A *segment* is a run of tokens behind other segments: of this pass, or of an earlier one whose keys and values were kept. So the
//! text that many requests begin with goes through the model once, and each request adds only what it alone has:
//!
//! ```text
//! The capital of France is ─┬─ Paris          segments: 5 + 1 + 1 + 2 tokens
//!                           ├─ Rome           instead of: 6 + 6 + 7
//!                           └─ New York
//! ```
//! All layers but attention see one matrix of tokens. Attention takes the keys where they lie, part by part, without a copy.

use crate::architecture::Transformer;
use crate::batch::Batch;
use crate::kernel::{Matrix, MatrixMut, Real, multiply, simd, softmax};
use crate::layer::attention::{Attention, Heads};
use crate::layer::rope::{Rope, Turn};
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Queries of one task: those of a long segment are cut, so that threads share it and masked keys cost little.
const QUERIES: usize = 64;
/// Tokens of a task that turns rotary positions.
const TURN_TOKENS: usize = 64;

/// Rows of queries, keys and values of a run of tokens, kept between passes: for each layer tokens × features.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept<T> {
    layers: Vec<Vec<T>>,
}

/// What a pass leaves behind.
#[derive(Debug, Clone, Default)]
pub(super) struct Keep {
    /// How many tokens of the kept run stay; the others are forgotten.
    pub(super) stay: usize,
    /// Tokens of the pass that are added, in this order.
    pub(super) add: Vec<Range<usize>>,
}

/// What stands directly before a segment, or before that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// So many first tokens of the run that was kept.
    Kept(usize),
    /// Tokens of this pass.
    Here(Range<usize>),
}

impl Before {
    /// How many tokens.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Kept(tokens) => *tokens,
            Self::Here(range) => range.end - range.start,
        }
    }
}

/// A run of tokens of this pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    /// Everything before it, from the first token on.
    pub(super) before: Vec<Before>,
    /// Its tokens among those of the pass.
    pub(super) tokens: Range<usize>,
}

/// The tokens of one pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Pass {
    /// Token ids.
    pub(super) ids: Vec<u32>,
    /// Segments, which follow each other without gaps.
    pub(super) segments: Vec<Segment>,
    /// What is kept of it, in place of what was kept before.
    pub(super) keep: Keep,
}

impl Pass {
    /// Adds a run of tokens behind others; returns its place among the tokens.
    pub(super) fn push(&mut self, before: Vec<Before>, ids: &[u32]) -> Range<usize> {
        let tokens = self.ids.len()..self.ids.len() + ids.len();
        self.ids.extend_from_slice(ids);
        self.segments.push(Segment { before, tokens: tokens.clone() });
        tokens
    }

    /// The position of each token in its text.
    fn positions(&self) -> Vec<usize> {
        let of = |segment: &Segment| {
            let first: usize = segment.before.iter().map(Before::len).sum();
            first..first + segment.tokens.len()
        };
        self.segments.iter().flat_map(of).collect()
    }

    /// Runs a model that mixes tokens by attention; returns what the head is given: tokens × width. What it leaves behind changes `kept`.
    ///
    /// # Errors
    /// A token beyond the vocabulary.
    pub(super) fn hidden<T: Real>(&self, model: &Transformer<T>, kept: &mut Kept<T>) -> Result<Vec<T>> {
        let heads = model.shape.heads;
        let positions = self.positions();
        // The embedding asks for tokens and positions alone.
        let batch = Batch {
            length: self.ids.len(),
            ids: self.ids.clone(),
            positions: positions.iter().map(|&at| u32::try_from(at).unwrap_or(u32::MAX)).collect(),
            ..Batch::default()
        };
        let attention = model.attention(&batch);
        model.mixed_by(&batch, |layer, qkv, mixed| {
            if let Some(rope) = &model.rope {
                turn(rope, heads, &positions, qkv);
            }
            kept.layers.resize_with(kept.layers.len().max(layer + 1), Vec::new);
            self.attend(attention, qkv, &kept.layers[layer], mixed);
            self.keep(heads, qkv, &mut kept.layers[layer]);
        })
    }

    /// Changes what is kept of a layer, whose keys and values were used for the last time.
    fn keep<T: Real>(&self, heads: Heads, qkv: &[T], kept: &mut Vec<T>) {
        kept.truncate(self.keep.stay * heads.row());
        for range in &self.keep.add {
            kept.extend_from_slice(&qkv[range.start * heads.row()..range.end * heads.row()]);
        }
    }

    /// Turned queries, keys and values of all tokens → what each token takes from those before it and itself.
    fn attend<T: Real>(&self, attention: Attention<'_, T>, qkv: &[T], kept: &[T], out: &mut [T]) {
        let heads = attention.heads;
        let mut tasks = Vec::new();
        let mut rest = out;
        for segment in &self.segments {
            for first in segment.tokens.clone().step_by(QUERIES) {
                let block = first..(first + QUERIES).min(segment.tokens.end);
                let (out, behind) = rest.split_at_mut(block.len() * heads.out());
                rest = behind;
                tasks.push((segment, block, out));
            }
        }
        tasks.into_par_iter().for_each_init(Vec::new, |scores, (segment, block, out)| {
            let rows = |range: Range<usize>| &qkv[range.start * heads.row()..range.end * heads.row()];
            let part = |before: &Before| match before {
                Before::Kept(tokens) => &kept[..tokens * heads.row()],
                Before::Here(range) => rows(range.clone()),
            };
            let mut parts: Vec<&[T]> = segment.before.iter().map(part).collect();
            parts.push(rows(segment.tokens.start..block.end));
            attend_block(attention, rows(block), &parts, scores, out);
        });
    }
}

/// Turns queries and keys to their positions.
fn turn<T: Real>(rope: &Rope<T>, heads: Heads, positions: &[usize], qkv: &mut [T]) {
    let tasks = qkv.par_chunks_mut(TURN_TOKENS * heads.row());
    tasks.zip(positions.par_chunks(TURN_TOKENS)).for_each(|(rows, positions)| {
        simd(|| {
            for (row, &position) in rows.chunks_mut(heads.row()).zip(positions) {
                let starts = (0..heads.queries).map(|head| heads.query(head));
                for start in starts.chain((0..heads.keys).map(|group| heads.key(group))) {
                    rope.turn(&mut row[start..start + heads.width], position, Turn::Forward);
                }
            }
        });
    });
}

/// Attention of the rows of a block of queries, the last of which is the last token of the last part; parts are rows of queries, keys and
/// values.
fn attend_block<T: Real>(
    attention: Attention<'_, T>,
    queries: &[T],
    parts: &[&[T]],
    scores: &mut Vec<T>,
    out: &mut [T],
) {
    let heads = attention.heads;
    let (width, stride, count) = (heads.width, heads.row(), queries.len() / heads.row());
    let keys: usize = parts.iter().map(|part| part.len() / stride).sum();
    scores.resize(count * keys, T::ZERO);
    for head in 0..heads.queries {
        let group = head / heads.shared();
        let query = Matrix::new(&queries[heads.query(head)..], count, width, stride);
        let mut first = 0;
        for part in parts {
            let tokens = part.len() / stride;
            let key = Matrix::new(&part[heads.key(group)..], tokens, width, stride).transposed();
            let scores = MatrixMut::new(&mut scores[first..], count, tokens, keys);
            multiply(scores, false, query, key, heads.scale());
            first += tokens;
        }
        let slope = attention.slopes.map(|slopes| slopes[head]);
        simd(|| {
            for (at, row) in scores.chunks_mut(keys).enumerate() {
                let query = keys - count + at;
                let start = attention.window.map_or(0, |window| (query + 1).saturating_sub(window));
                if let Some(slope) = slope {
                    let seen = row[start..=query].iter_mut().rev();
                    seen.enumerate().for_each(|(distance, score)| *score -= slope * T::of(distance as f64));
                }
                softmax(&mut row[start..=query]);
                row[..start].fill(T::ZERO);
                row[query + 1..].fill(T::ZERO);
            }
        });
        let mut first = 0;
        for part in parts {
            let tokens = part.len() / stride;
            let weights = Matrix::new(&scores[first..], count, tokens, keys);
            let value = Matrix::new(&part[heads.value(group)..], tokens, width, stride);
            let out = MatrixMut::new(&mut out[head * width..], count, width, heads.out());
            multiply(out, first > 0, weights, value, T::ONE);
            first += tokens;
        }
    }
}
