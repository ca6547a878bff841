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
//! All layers that mix no tokens see one matrix of tokens. Attention takes the keys where they lie, part by part, without a copy; a
//! recurrence goes on from the state behind the last token before a segment.

use crate::architecture::{Mix, Transformer};
use crate::batch::Batch;
use crate::kernel::{Matrix, MatrixMut, Real, multiply, simd, softmax};
use crate::layer::attention::{Attention, Heads};
use crate::layer::recurrence::Recurrence;
use crate::layer::rope::Turn;
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Queries of one task: those of a long segment are cut, so that threads share it and masked keys cost little.
const QUERIES: usize = 64;
/// Tokens of a task that turns rotary positions.
const TURN_TOKENS: usize = 64;

/// Keys and values of a run of tokens, kept between passes: for each layer tokens × (keys, values), or tokens × state of a recurrence.
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
        let attention = model.attention(&batch);
        let hidden = model.walk(&batch, &mut |layer, block, qkv, mixed| {
            match &block.mix {
                Mix::Attention => {
                    turn(attention, &positions, qkv);
                    self.attend(attention, layer, qkv, kept, mixed);
                    self.keep(layer, kept, 2 * heads.keys * heads.width, |token, rows| {
                        let row = &qkv[token * heads.row()..][..heads.row()];
                        let starts = (0..heads.keys).map(|group| heads.key(group));
                        for start in starts.chain((0..heads.keys).map(|group| heads.value(group))) {
                            rows.extend_from_slice(&row[start..start + heads.width]);
                        }
                    });
                }
                Mix::Recurrence(recurrence) => {
                    let (states, size) =
                        (self.recur(recurrence, layer, qkv, kept, mixed)?, recurrence.state());
                    self.keep(layer, kept, size, |token, rows| {
                        rows.extend_from_slice(&states[token * size..][..size]);
                    });
                }
            }
            Ok(())
        })?;
        for keep in &self.keep {
            kept[keep.index].tokens = keep.stay + keep.add.iter().map(Range::len).sum::<usize>();
        }
        Ok(hidden)
    }

    /// Changes the kept runs in a layer, whose rows of `size` numbers were used for the last time; `push` adds that of a token.
    fn keep<T: Real>(
        &self,
        layer: usize,
        kept: &mut [Kept<T>],
        size: usize,
        push: impl Fn(usize, &mut Vec<T>),
    ) {
        for keep in &self.keep {
            let layers = &mut kept[keep.index].layers;
            layers.resize_with(layers.len().max(layer + 1), Vec::new);
            layers[layer].truncate(keep.stay * size);
            keep.add.iter().cloned().flatten().for_each(|token| push(token, &mut layers[layer]));
        }
    }

    /// Runs a recurrence along every segment; returns the state behind each token.
    fn recur<T: Real>(
        &self,
        recurrence: &Recurrence<T>,
        layer: usize,
        uv: &[T],
        kept: &[Kept<T>],
        out: &mut [T],
    ) -> Result<Vec<T>> {
        let (size, width) = (recurrence.state(), recurrence.width);
        let mut states: Vec<T> = Vec::with_capacity(self.ids.len() * size);
        for Segment { before, tokens } in &self.segments {
            let mut state = match before.iter().rfind(|before| before.len() > 0) {
                None => vec![],
                Some(Before::Here(range)) => states[(range.end - 1) * size..][..size].to_vec(),
                Some(Before::Kept { index, tokens }) => {
                    kept[*index].layers[layer][(tokens - 1) * size..][..size].to_vec()
                }
            };
            let uv = &uv[tokens.start * 2 * width..tokens.end * 2 * width];
            let out = &mut out[tokens.start * width..tokens.end * width];
            recurrence.step(uv, &mut state, out, |state| states.extend_from_slice(state))?;
        }
        Ok(states)
    }

    /// Turned queries, keys and values of all tokens → what each token takes from those before it and itself.
    fn attend<T: Real>(
        &self,
        attention: Attention<'_, T>,
        layer: usize,
        qkv: &[T],
        kept: &[Kept<T>],
        out: &mut [T],
    ) {
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
            let own = Before::Here(segment.tokens.start..block.end);
            let before = segment.before.iter().chain(std::iter::once(&own));
            let parts: Vec<Part<'_, T>> =
                before.map(|before| Part::new(before, heads, layer, qkv, kept)).collect();
            let queries = &qkv[block.start * heads.row()..block.end * heads.row()];
            attend_block(attention, queries, &parts, scores, out);
        });
    }
}

/// Keys and values of a run of tokens, where they lie.
struct Part<'a, T> {
    /// Row after row, from the first token on.
    rows: &'a [T],
    tokens: usize,
    stride: usize,
    /// Whether rows hold keys and values alone.
    kept: bool,
}

impl<'a, T: Real> Part<'a, T> {
    fn new(before: &Before, heads: Heads, layer: usize, qkv: &'a [T], kept: &'a [Kept<T>]) -> Self {
        match before {
            Before::Kept { index, tokens } => {
                let rows = &kept[*index].layers[layer];
                Self { rows, tokens: *tokens, stride: 2 * heads.keys * heads.width, kept: true }
            }
            Before::Here(range) => {
                let rows = &qkv[range.start * heads.row()..];
                Self { rows, tokens: range.len(), stride: heads.row(), kept: false }
            }
        }
    }

    /// Keys (0) or values (1) of a group of query heads: tokens × width.
    fn matrix(&self, heads: Heads, group: usize, which: usize) -> Matrix<'a, T> {
        let start = match (self.kept, which) {
            (true, _) => (which * heads.keys + group) * heads.width,
            (false, 0) => heads.key(group),
            (false, _) => heads.value(group),
        };
        Matrix::new(&self.rows[start.min(self.rows.len())..], self.tokens, heads.width, self.stride)
    }
}

/// Turns queries and keys, where positions are rotary.
fn turn<T: Real>(attention: Attention<'_, T>, positions: &[usize], qkv: &mut [T]) {
    let Some(rope) = attention.rope else { return };
    let heads = attention.heads;
    let tasks = qkv.par_chunks_mut(TURN_TOKENS * heads.row());
    tasks.zip(positions.par_chunks(TURN_TOKENS)).for_each(|(rows, positions)| {
        simd(|| {
            for (row, &position) in rows.chunks_mut(heads.row()).zip(positions) {
                let queries = (0..heads.queries).map(|head| heads.query(head));
                for start in queries.chain((0..heads.keys).map(|group| heads.key(group))) {
                    rope.turn(&mut row[start..start + heads.width], position, Turn::Forward);
                }
            }
        });
    });
}

/// Attention of a block of queries, the last of which is the last token of the last part. Parts begin with the first token of the
/// text, so a key's place among them is its position.
fn attend_block<T: Real>(
    attention: Attention<'_, T>,
    queries: &[T],
    parts: &[Part<'_, T>],
    scores: &mut Vec<T>,
    out: &mut [T],
) {
    let heads = attention.heads;
    let (width, count) = (heads.width, queries.len() / heads.row());
    let keys: usize = parts.iter().map(|part| part.tokens).sum();
    scores.resize(count * keys, T::ZERO);
    for head in 0..heads.queries {
        let group = head / heads.shared();
        let query = Matrix::new(&queries[heads.query(head)..], count, width, heads.row());
        let mut first = 0;
        for part in parts {
            let scores = MatrixMut::new(&mut scores[first..], count, part.tokens, keys);
            multiply(scores, false, query, part.matrix(heads, group, 0).transposed(), heads.scale());
            first += part.tokens;
        }
        simd(|| {
            for (at, row) in scores.chunks_mut(keys).enumerate() {
                let position = keys - count + at;
                if let Some(slopes) = attention.slopes {
                    let distances = row[..=position].iter_mut().rev().enumerate();
                    distances.for_each(|(distance, score)| *score -= slopes[head] * T::of(distance as f64));
                }
                let start = attention.window.map_or(0, |window| (position + 1).saturating_sub(window));
                row[..start].fill(T::ZERO);
                softmax(&mut row[start..=position]);
                row[position + 1..].fill(T::ZERO);
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
