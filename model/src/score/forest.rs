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
use crate::layer::attention::Heads;
use crate::layer::rope::{Rope, Turn};
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Queries of one task: those of a long segment are cut, so that threads share it and masked keys cost little.
const QUERIES: usize = 64;
/// Tokens of a task that turns rotary positions.
const TURN_TOKENS: usize = 64;

/// Keys and values of a run of tokens, kept between passes: for each layer tokens × (keys, values).
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept<T> {
    layers: Vec<Vec<T>>,
    tokens: usize,
}

impl<T> Kept<T> {
    /// Tokens that are kept.
    pub(crate) const fn len(&self) -> usize {
        self.tokens
    }
}

/// What a pass leaves behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keep {
    /// The kept run that changes.
    pub(crate) index: usize,
    /// How many of its tokens stay; the others are forgotten.
    pub(crate) stay: usize,
    /// Tokens of the pass that are added, in this order.
    pub(crate) add: Vec<Range<usize>>,
}

/// What stands directly before a segment, or before that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// The first tokens of one of the runs that were kept.
    Kept {
        /// Place in the list of kept runs.
        index: usize,
        /// How many of its tokens.
        tokens: usize,
    },
    /// Tokens of this pass.
    Here(Range<usize>),
}

impl Before {
    /// How many tokens.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Kept { tokens, .. } => *tokens,
            Self::Here(range) => range.end - range.start,
        }
    }
}

/// A run of tokens of this pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    /// Everything before it, from the first token on.
    pub(crate) before: Vec<Before>,
    /// Its tokens among those of the pass.
    pub(crate) tokens: Range<usize>,
}

/// The tokens of one pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pass {
    /// Token ids.
    pub(crate) ids: Vec<u32>,
    /// Segments, which follow each other without gaps.
    pub(crate) segments: Vec<Segment>,
    /// What is kept of it, at most once for each kept run.
    pub(crate) keep: Vec<Keep>,
}

impl Pass {
    /// Adds a run of tokens behind others; returns its place among the tokens.
    pub(crate) fn push(&mut self, before: Vec<Before>, ids: &[u32]) -> Range<usize> {
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

    /// Runs the model; returns what the head is given: tokens × width. What it leaves behind changes `kept`.
    ///
    /// # Errors
    /// A token beyond the vocabulary.
    pub(crate) fn hidden<T: Real>(&self, model: &Transformer<T>, kept: &mut [Kept<T>]) -> Result<Vec<T>> {
        let heads = model.shape.heads;
        let positions = self.positions();
        // The embedding asks for tokens and positions alone.
        let batch = Batch {
            length: self.ids.len(),
            ids: self.ids.clone(),
            positions: positions
                .iter()
                .map(|&position| u32::try_from(position).unwrap_or(u32::MAX))
                .collect(),
            ..Batch::default()
        };
        let hidden = model.mixed_by(&batch, |layer, qkv, mixed| {
            if let Some(rope) = &model.rope {
                turn(rope, heads, &positions, qkv);
            }
            self.attend(heads, layer, qkv, kept, mixed);
            self.keep(heads, layer, qkv, kept);
        })?;
        for keep in &self.keep {
            kept[keep.index].tokens = keep.stay + keep.add.iter().map(Range::len).sum::<usize>();
        }
        Ok(hidden)
    }

    /// Changes the kept runs in a layer, whose keys and values were used for the last time.
    fn keep<T: Real>(&self, heads: Heads, layer: usize, qkv: &[T], kept: &mut [Kept<T>]) {
        for keep in &self.keep {
            let layers = &mut kept[keep.index].layers;
            layers.resize_with(layers.len().max(layer + 1), Vec::new);
            layers[layer].truncate(keep.stay * 2 * heads.keys * heads.width);
            let rows =
                keep.add.iter().cloned().flatten().map(|token| &qkv[token * heads.row()..][..heads.row()]);
            rows.for_each(|row| layers[layer].extend_from_slice(&row[heads.queries * heads.width..]));
        }
    }

    /// Turned queries, keys and values of all tokens → what each token takes from those before it and itself.
    fn attend<T: Real>(&self, heads: Heads, layer: usize, qkv: &[T], kept: &[Kept<T>], out: &mut [T]) {
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
            let own = Before::Here(segment.tokens.start..block.end);
            let before = segment.before.iter().chain(std::iter::once(&own));
            let parts: Vec<Part<'_, T>> =
                before.map(|before| Part::new(before, heads, layer, qkv, kept)).collect();
            let queries = &qkv[block.start * heads.row()..block.end * heads.row()];
            attend_block(heads, queries, &parts, scores, out);
        });
    }
}

/// Turns queries and keys to their positions.
fn turn<T: Real>(rope: &Rope<T>, heads: Heads, positions: &[usize], qkv: &mut [T]) {
    let tasks = qkv.par_chunks_mut(TURN_TOKENS * heads.row());
    tasks.zip(positions.par_chunks(TURN_TOKENS)).for_each(|(rows, positions)| {
        simd(|| {
            for (row, &position) in rows.chunks_mut(heads.row()).zip(positions) {
                let turned = row[..(heads.queries + heads.keys) * heads.width].chunks_mut(heads.width);
                turned.for_each(|head| rope.turn(head, position, Turn::Forward));
            }
        });
    });
}

/// Keys and values of a run of tokens, where they lie.
struct Part<'a, T> {
    /// Row after row, from the first key of the first token on.
    rows: &'a [T],
    tokens: usize,
    stride: usize,
}

impl<'a, T: Real> Part<'a, T> {
    fn new(before: &Before, heads: Heads, layer: usize, qkv: &'a [T], kept: &'a [Kept<T>]) -> Self {
        match before {
            Before::Kept { index, tokens } => {
                let rows = &kept[*index].layers[layer];
                Self { rows, tokens: *tokens, stride: 2 * heads.keys * heads.width }
            }
            Before::Here(range) => {
                let rows = &qkv[range.start * heads.row() + heads.queries * heads.width..];
                Self { rows, tokens: range.len(), stride: heads.row() }
            }
        }
    }

    /// Keys (0) or values (1) of a group of query heads: tokens × width.
    fn matrix(&self, heads: Heads, group: usize, which: usize) -> Matrix<'a, T> {
        let start = (which * heads.keys + group) * heads.width;
        Matrix::new(&self.rows[start..], self.tokens, heads.width, self.stride)
    }
}

/// Attention of a block of queries, the last of which is the last token of the last part.
fn attend_block<T: Real>(
    heads: Heads,
    queries: &[T],
    parts: &[Part<'_, T>],
    scores: &mut Vec<T>,
    out: &mut [T],
) {
    let (width, count) = (heads.width, queries.len() / heads.row());
    let keys: usize = parts.iter().map(|part| part.tokens).sum();
    scores.resize(count * keys, T::ZERO);
    let scale = T::of(1.0 / (width as f64).sqrt());
    for head in 0..heads.queries {
        let group = head * heads.keys / heads.queries;
        let query = Matrix::new(&queries[head * width..], count, width, heads.row());
        let mut first = 0;
        for part in parts {
            let scores = MatrixMut::new(&mut scores[first..], count, part.tokens, keys);
            multiply(scores, false, query, part.matrix(heads, group, 0).transposed(), scale);
            first += part.tokens;
        }
        simd(|| {
            for (at, row) in scores.chunks_mut(keys).enumerate() {
                let (seen, later) = row.split_at_mut(keys - count + at + 1);
                softmax(seen);
                later.fill(T::ZERO);
            }
        });
        let mut first = 0;
        for part in parts {
            let weights = Matrix::new(&scores[first..], count, part.tokens, keys);
            let out = MatrixMut::new(&mut out[head * width..], count, width, heads.out());
            multiply(out, first > 0, weights, part.matrix(heads, group, 1), T::ONE);
            first += part.tokens;
        }
    }
}
