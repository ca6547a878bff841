//! Attention of tokens to those that the batch lets them see, with grouped keys and values (arXiv 2305.13245) and rotary
//! positions inside.
//!
//! ```text
//! P = softmax(Q·Kᵀ ÷ √d) over the keys that the query sees, 0 where it sees none;   O = P·V
//! dV = Pᵀ·dO;  dS = P∘(dO·Vᵀ − rowsum(P∘dO·Vᵀ));  dQ = dS·K ÷ √d;  dK = dSᵀ·Q ÷ √d
//! ```
//! Queries are taken in blocks, each against the keys from the first to the last that one of them sees, so scores
//! of a whole row are never stored and masked blocks cost nothing; the backward computes P again. One task is one row of the batch.

use crate::batch::Batch;
use crate::kernel::{Matrix, MatrixMut, Real, add_scaled, dot, multiply, simd, softmax};
use crate::layer::rope::{Rope, Turn};
use rayon::prelude::*;
use std::ops::Range;

/// Queries of one block.
const QUERIES: usize = 64;

/// Heads and their width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) queries: usize,
    /// Key and value heads; each serves `queries / keys` query heads.
    pub(crate) keys: usize,
    /// Features of a head.
    pub(crate) width: usize,
    /// How they lie in a row.
    pub(crate) layout: HeadLayout,
}

/// How queries, keys and values lie in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadLayout {
    /// All queries, then all keys, then all values.
    Split,
    /// For each key head its queries, the key and the value, as in Falcon's checkpoints.
    Grouped,
}

impl Heads {
    /// Heads that lie one kind after the other.
    pub(crate) const fn new(queries: usize, keys: usize, width: usize) -> Self {
        Self { queries, keys, width, layout: HeadLayout::Split }
    }

    /// Query heads of a key head.
    pub(crate) const fn shared(self) -> usize {
        self.queries / self.keys
    }

    /// Features of a row of queries, keys and values.
    pub(crate) const fn row(self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    /// Features that come out.
    pub(crate) const fn out(self) -> usize {
        self.queries * self.width
    }

    /// Where a query head begins in such a row.
    pub(crate) const fn query(self, head: usize) -> usize {
        match self.layout {
            HeadLayout::Split => head * self.width,
            HeadLayout::Grouped => (head + 2 * (head / self.shared())) * self.width,
        }
    }

    /// Where a key head begins.
    pub(crate) const fn key(self, group: usize) -> usize {
        match self.layout {
            HeadLayout::Split => (self.queries + group) * self.width,
            HeadLayout::Grouped => (group * (self.shared() + 2) + self.shared()) * self.width,
        }
    }

    /// Where a value head begins.
    pub(crate) const fn value(self, group: usize) -> usize {
        match self.layout {
            HeadLayout::Split => (self.queries + self.keys + group) * self.width,
            HeadLayout::Grouped => self.key(group) + self.width,
        }
    }

    /// Where a head begins in a row of what comes out.
    const fn out_of(self, head: usize) -> usize {
        head * self.width
    }

    const fn group(self, group: usize) -> Range<usize> {
        group * self.shared()..(group + 1) * self.shared()
    }

    /// What a product of query and key is divided by, as a factor.
    pub(crate) fn scale<T: Real>(self) -> T {
        T::of(1.0 / (self.width as f64).sqrt())
    }
}

/// Attention over a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention<'a, T> {
    /// Heads.
    pub(crate) heads: Heads,
    /// Rotary positions, where the model has them.
    pub(crate) rope: Option<&'a Rope<T>>,
    /// A slope for each head that lowers scores with the distance, where the model has them.
    pub(crate) slopes: Option<&'a [T]>,
    /// Most tokens that a token sees, itself included.
    pub(crate) window: Option<usize>,
    /// Pieces and positions.
    pub(crate) batch: &'a Batch,
}

/// Numbers that one task works with, over rows of so many tokens and heads of so many features.
pub(crate) const fn scratch_numbers(length: usize, width: usize) -> usize {
    5 * length * width + 2 * QUERIES * length
}

/// Slopes of ALiBi (arXiv 2108.12409) for so many heads: 2^(−8i/n) where n is a power of two; else those of the next lower power, then
/// every second of the next higher one, as the paper's code does.
pub(crate) fn alibi_slopes(heads: usize) -> Vec<f64> {
    let lower = 1 << heads.checked_ilog2().unwrap_or(0);
    let slope = |i: usize, of: usize| 2.0_f64.powf(-8.0 * i as f64 / of as f64);
    let further = (0..heads - lower).map(|i| slope(2 * i + 1, 2 * lower));
    (1..=lower).map(|i| slope(i, lower)).chain(further).collect()
}

/// What one task keeps between rows and heads.
struct Work<T> {
    query: Vec<T>,
    key: Vec<T>,
    d_query: Vec<T>,
    d_key: Vec<T>,
    d_value: Vec<T>,
    scores: Vec<T>,
    d_scores: Vec<T>,
}

impl<T: Real> Work<T> {
    fn new(length: usize, width: usize) -> Self {
        let (head, block) = (|| vec![T::ZERO; length * width], || vec![T::ZERO; QUERIES * length]);
        Self {
            query: head(),
            key: head(),
            d_query: head(),
            d_key: head(),
            d_value: head(),
            scores: block(),
            d_scores: block(),
        }
    }
}

impl<T: Real> Attention<'_, T> {
    /// qkv: tokens × (queries, keys, values) → out: tokens × queries.
    pub(crate) fn forward(self, qkv: &[T], out: &mut [T]) {
        let (length, heads) = (self.batch.length, self.heads);
        let tasks = qkv.par_chunks(length * heads.row()).zip(out.par_chunks_mut(length * heads.out()));
        let work = || Work::new(length, heads.width);
        tasks
            .enumerate()
            .for_each_init(work, |work, (row, (qkv, out))| self.forward_row(row, qkv, out, work));
    }

    /// Writes the gradient of queries, keys and values.
    pub(crate) fn backward(self, qkv: &[T], d_out: &[T], d_qkv: &mut [T]) {
        let (length, heads) = (self.batch.length, self.heads);
        let tasks = qkv.par_chunks(length * heads.row()).zip(d_qkv.par_chunks_mut(length * heads.row()));
        let tasks = tasks.zip(d_out.par_chunks(length * heads.out())).enumerate();
        let work = || Work::new(length, heads.width);
        tasks.for_each_init(work, |work, (row, ((qkv, d_qkv), d_out))| {
            self.backward_row(row, qkv, d_out, d_qkv, work);
        });
    }

    /// Copies one head of a row and turns it.
    #[inline(always)]
    fn gather(&self, qkv: &[T], row: usize, start: usize, out: &mut [T]) {
        let (stride, width) = (self.heads.row(), self.heads.width);
        for (at, out) in out.chunks_mut(width).enumerate() {
            out.copy_from_slice(&qkv[at * stride + start..][..width]);
            if let Some(rope) = &self.rope {
                rope.turn(out, self.batch.position(row * self.batch.length + at), Turn::Forward);
            }
        }
    }

    /// Turns the gradient of one head back and writes it to its place.
    #[inline(always)]
    fn scatter(&self, head: &mut [T], row: usize, start: usize, d_qkv: &mut [T]) {
        let (stride, width) = (self.heads.row(), self.heads.width);
        for (at, head) in head.chunks_mut(width).enumerate() {
            if let Some(rope) = &self.rope {
                rope.turn(head, self.batch.position(row * self.batch.length + at), Turn::Back);
            }
            d_qkv[at * stride + start..][..width].copy_from_slice(head);
        }
    }

    /// Blocks of queries, each with the keys from the first to the last that any of them sees.
    fn blocks(&self, row: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + '_ {
        let length = self.batch.length;
        (0..length).step_by(QUERIES).map(move |first| {
            let block = first..(first + QUERIES).min(length);
            let seen = block.clone().map(|at| self.seen(row, at));
            let whole = |all: Range<usize>, one: Range<usize>| all.start.min(one.start)..all.end.max(one.end);
            let keys = seen.reduce(whole).unwrap_or(0..0);
            (block, keys)
        })
    }

    /// The keys of its row that a query sees, but for what an order hides.
    #[inline(always)]
    fn seen(&self, row: usize, query: usize) -> Range<usize> {
        let seen = self.batch.seen(row * self.batch.length + query);
        let Some(window) = self.window else { return seen };
        let start = seen.start.max((query + 1).saturating_sub(window));
        start..seen.end.min(query + window).max(start)
    }

    /// Lowers the scores of the keys `first..` of a query by their distance.
    #[inline(always)]
    fn lower(&self, row: usize, head: usize, query: usize, first: usize, scores: &mut [T]) {
        let Some(slopes) = self.slopes else { return };
        let row = row * self.batch.length;
        let (query, keys) = (self.batch.positions[row + query], &self.batch.positions[row + first..]);
        for (score, &key) in scores.iter_mut().zip(keys) {
            *score -= slopes[head] * T::of(f64::from(query.abs_diff(key)));
        }
    }

    /// Writes P of a block of a head's queries over its keys.
    fn probabilities(
        &self,
        (row, head): (usize, usize),
        (block, keys): (&Range<usize>, &Range<usize>),
        query: &[T],
        key: &[T],
        p: &mut [T],
    ) {
        let (width, count) = (self.heads.width, keys.len());
        let q = Matrix::new(&query[block.start * width..], block.len(), width, width);
        let k = Matrix::new(&key[keys.start * width..], count, width, width);
        multiply(MatrixMut::new(p, block.len(), count, count), false, q, k.transposed(), self.heads.scale());
        let first = row * self.batch.length;
        simd(|| {
            for (at, p) in block.clone().zip(p.chunks_mut(count.max(1))) {
                let seen = self.seen(row, at);
                let inner = seen.start - keys.start..seen.end - keys.start;
                p[..inner.start].fill(T::ZERO);
                p[inner.end..].fill(T::ZERO);
                self.lower(row, head, at, seen.start, &mut p[inner.clone()]);
                match &self.batch.order {
                    None => softmax(&mut p[inner]),
                    Some(order) => {
                        let ranks = &order.ranks[first + seen.start..first + seen.end];
                        softmax_below(&mut p[inner], ranks, order.limits[first + at]);
                    }
                }
            }
        });
    }

    fn forward_row(&self, row: usize, qkv: &[T], out: &mut [T], work: &mut Work<T>) {
        let (heads, width) = (self.heads, self.heads.width);
        let Work { query, key, scores, .. } = work;
        for group in 0..heads.keys {
            simd(|| self.gather(qkv, row, heads.key(group), key));
            for head in heads.group(group) {
                simd(|| self.gather(qkv, row, heads.query(head), query));
                for (block, keys) in self.blocks(row) {
                    let count = keys.len();
                    let p = &mut scores[..block.len() * count];
                    self.probabilities((row, head), (&block, &keys), query, key, p);
                    let v = &qkv[keys.start * heads.row() + heads.value(group)..];
                    let o = &mut out[block.start * heads.out() + heads.out_of(head)..];
                    multiply(
                        MatrixMut::new(o, block.len(), width, heads.out()),
                        false,
                        Matrix::new(p, block.len(), count, count),
                        Matrix::new(v, count, width, heads.row()),
                        T::ONE,
                    );
                }
            }
        }
    }

    fn backward_row(&self, row: usize, qkv: &[T], d_out: &[T], d_qkv: &mut [T], work: &mut Work<T>) {
        let heads = self.heads;
        for group in 0..heads.keys {
            simd(|| self.gather(qkv, row, heads.key(group), &mut work.key));
            work.d_key.fill(T::ZERO);
            work.d_value.fill(T::ZERO);
            for head in heads.group(group) {
                simd(|| self.gather(qkv, row, heads.query(head), &mut work.query));
                let values = &qkv[heads.value(group)..];
                let d_out = &d_out[heads.out_of(head)..];
                for (block, keys) in self.blocks(row) {
                    self.backward_block((row, head), block, keys, values, d_out, work);
                }
                simd(|| self.scatter(&mut work.d_query, row, heads.query(head), d_qkv));
            }
            simd(|| self.scatter(&mut work.d_key, row, heads.key(group), d_qkv));
            for (at, d_value) in work.d_value.chunks(heads.width).enumerate() {
                d_qkv[at * heads.row() + heads.value(group)..][..heads.width].copy_from_slice(d_value);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of `backward_row`")]
    fn backward_block(
        &self,
        (row, head): (usize, usize),
        block: Range<usize>,
        keys: Range<usize>,
        values: &[T],
        d_out: &[T],
        work: &mut Work<T>,
    ) {
        let (heads, width, queries) = (self.heads, self.heads.width, block.len());
        let (from, count) = (keys.start, keys.len());
        let p = &mut work.scores[..queries * count];
        self.probabilities((row, head), (&block, &keys), &work.query, &work.key, p);
        let ds = &mut work.d_scores[..queries * count];
        let d_out = Matrix::new(&d_out[block.start * heads.out()..], queries, width, heads.out());
        let v = Matrix::new(&values[from * heads.row()..], count, width, heads.row());
        multiply(MatrixMut::new(ds, queries, count, count), false, d_out, v.transposed(), T::ONE);
        let p_transposed = Matrix::new(p, queries, count, count).transposed();
        let dv = MatrixMut::new(&mut work.d_value[from * width..], count, width, width);
        multiply(dv, true, p_transposed, d_out, T::ONE);
        simd(|| {
            for (p, ds) in p.chunks(count.max(1)).zip(ds.chunks_mut(count.max(1))) {
                let along = dot(p, ds);
                ds.iter_mut().zip(p).for_each(|(ds, &p)| *ds = p * (*ds - along));
            }
        });
        let ds = Matrix::new(ds, queries, count, count);
        let q = Matrix::new(&work.query[block.start * width..], queries, width, width);
        let k = Matrix::new(&work.key[from * width..], count, width, width);
        let scale = heads.scale();
        let dq = MatrixMut::new(&mut work.d_query[block.start * width..], queries, width, width);
        multiply(dq, false, ds, k, scale);
        let dk = MatrixMut::new(&mut work.d_key[from * width..], count, width, width);
        multiply(dk, true, ds.transposed(), q, scale);
    }
}

/// Softmax in place over the scores whose rank is below `limit`, 0 elsewhere, and everywhere where there is none.
#[inline(always)]
fn softmax_below<T: Real>(scores: &mut [T], ranks: &[u32], limit: u32) {
    for (score, &rank) in scores.iter_mut().zip(ranks) {
        *score = if rank < limit { *score } else { T::LOWEST };
    }
    softmax(scores);
    // The exponential of the lowest score is small, not 0.
    for (score, &rank) in scores.iter_mut().zip(ranks) {
        *score = if rank < limit { *score } else { T::ZERO };
    }
}

/// What a layer keeps of the tokens that a generation has seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Cache<T> {
    keys: Vec<T>,
    values: Vec<T>,
    /// Tokens seen; under a window only the keys of the last ones are kept.
    seen: usize,
    /// State of a recurrence.
    pub(crate) state: Vec<T>,
}

impl<T: Real> Cache<T> {
    /// Attends from the tokens of a row of queries, keys and values to all tokens seen so far, and remembers them.
    pub(crate) fn attend(&mut self, qkv: &[T], attention: Attention<'_, T>, out: &mut [T]) {
        let (heads, width) = (attention.heads, attention.heads.width);
        let stride = heads.keys * width;
        for (row, out) in qkv.chunks(heads.row()).zip(out.chunks_mut(heads.out())) {
            let mut row = row.to_vec();
            let position = self.seen;
            if let Some(rope) = attention.rope {
                let queries = (0..heads.queries).map(|head| heads.query(head));
                for start in queries.chain((0..heads.keys).map(|group| heads.key(group))) {
                    rope.turn(&mut row[start..start + width], position, Turn::Forward);
                }
            }
            for group in 0..heads.keys {
                self.keys.extend_from_slice(&row[heads.key(group)..][..width]);
                self.values.extend_from_slice(&row[heads.value(group)..][..width]);
            }
            self.seen += 1;
            self.forget(attention.window, stride);
            let kept = self.keys.len() / stride;
            let first = attention.window.map_or(0, |window| kept.saturating_sub(window)) * stride;
            let seen = (&self.keys[first..], &self.values[first..]);
            for (head, out) in out.chunks_mut(width).enumerate() {
                let query = &row[heads.query(head)..][..width];
                let start = head / heads.shared() * width;
                let slope = attention.slopes.map_or(T::ZERO, |slopes| slopes[head]);
                simd(|| attend_head(query, seen, (start, stride), (heads.scale(), slope), out));
            }
        }
    }

    /// Drops what lies before the window once it is as long as the window itself, so that each number moves once at most.
    fn forget(&mut self, window: Option<usize>, stride: usize) {
        let Some(window) = window else { return };
        let kept = self.keys.len() / stride;
        if kept >= 2 * window {
            self.keys.drain(..(kept - window) * stride);
            self.values.drain(..(kept - window) * stride);
        }
    }
}

/// One query over keys and values, which lie `stride` apart from `start` on.
#[inline(always)]
fn attend_head<T: Real>(
    query: &[T],
    (keys, values): (&[T], &[T]),
    (start, stride): (usize, usize),
    (scale, slope): (T, T),
    out: &mut [T],
) {
    let width = query.len();
    let of = |row: &[T]| dot(query, &row[start..start + width]) * scale;
    let mut weights: Vec<T> = keys.chunks(stride).map(of).collect();
    if slope != T::ZERO {
        let last = weights.len() - 1;
        (0..last).for_each(|key| weights[key] -= slope * T::of((last - key) as f64));
    }
    softmax(&mut weights);
    out.fill(T::ZERO);
    for (row, &weight) in values.chunks(stride).zip(&weights) {
        add_scaled(out, &row[start..start + width], weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Order, Row};
    use crate::numeric::{check, numbers};
    use schemas::hash::Rng;

    /// Rows of pieces of these lengths, the last of padding; every second piece is cut out of a document.
    fn gradients(rows: usize, pieces: &[u32], heads: (usize, usize, usize), kind: Kind) {
        let length: u32 = pieces.iter().sum();
        let (padding, pieces_before) = pieces.split_last().unwrap();
        let row = Row {
            ids: vec![1; length as usize],
            piece_lengths: pieces_before.to_vec(),
            begins: (0..pieces_before.len()).map(|at| at % 2 == 0).collect(),
            padding: *padding,
            mask: vec![],
        };
        gradients_of(&Batch::new(&vec![row; rows], 0), heads, kind);
    }

    fn gradients_of(batch: &Batch, heads: (usize, usize, usize), kind: Kind) {
        let (length, tokens) = (batch.length, batch.ids.len());
        let layout = if kind.grouped { HeadLayout::Grouped } else { HeadLayout::Split };
        let heads = Heads { layout, ..Heads::new(heads.0, heads.1, heads.2) };
        let rope = kind.rotary.then(|| Rope::<f64>::new(heads.width, length, 100.0));
        let slopes = kind.alibi.then(|| alibi_slopes(heads.queries));
        let (rope, slopes, window) = (rope.as_ref(), slopes.as_deref(), kind.window);
        let attention = Attention { heads, rope, slopes, window, batch };
        let what = format!("{heads:?}, {tokens} tokens in rows of {length}, {kind:?}");
        // Larger than ±1, so that the softmax is far from uniform.
        let scaled = |x: &[f64]| x.iter().map(|x| 2.0 * x).collect::<Vec<_>>();
        let forward = |x: &[f64]| {
            let mut y = vec![9.0; tokens * heads.out()];
            attention.forward(&scaled(x), &mut y);
            y
        };
        check(&what, tokens * heads.row(), &[], forward, |x, dy, dx| {
            attention.backward(&scaled(x), dy, dx);
            dx.iter_mut().for_each(|dx| *dx *= 2.0);
            Ok(())
        });
    }

    #[derive(Debug, Clone, Copy, Default)]
    struct Kind {
        rotary: bool,
        alibi: bool,
        window: Option<usize>,
        grouped: bool,
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        let plain = Kind::default();
        for kind in [plain, Kind { rotary: true, ..plain }] {
            gradients(1, &[1, 0], (1, 1, 2), kind);
            gradients(2, &[1, 0], (4, 2, 2), kind);
            gradients(1, &[5, 0], (3, 1, 6), kind);
            gradients(2, &[3, 1, 2, 1], (4, 2, 10), kind);
            // Blocks of queries that are not full, a piece over a block's end, padding as long as a block.
            gradients(1, &[QUERIES as u32 - 3, 7, 0], (2, 2, 2), kind);
            gradients(2, &[9, 2 * QUERIES as u32 - 20, 12], (2, 1, 4), kind);
            gradients(1, &[1, QUERIES as u32], (1, 1, 2), kind);
        }
        // Heads of odd width have no rotary positions.
        gradients(2, &[4, 3, 1], (3, 3, 5), plain);
        gradients(1, &[2, 2, 2, 0], (6, 2, 1), plain);
    }

    #[test]
    fn gradients_of_slopes_windows_and_groups_are_the_numeric_ones() {
        for window in [None, Some(1), Some(3), Some(QUERIES + 5)] {
            for (alibi, rotary, grouped) in [(true, false, false), (false, true, true), (true, true, true)] {
                let kind = Kind { alibi, window, grouped, rotary };
                gradients(2, &[3, 1, 4, 1], (6, 2, 2), kind);
                gradients(1, &[9, 2 * QUERIES as u32 - 20, 12], (3, 1, 2), kind);
            }
        }
    }

    #[test]
    fn slopes_are_those_of_the_paper() {
        let near = |heads: usize, expected: &[f64]| {
            let found = alibi_slopes(heads);
            assert!(found.len() == expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(1, &[1.0 / 256.0]);
        near(8, &[0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015_625, 0.007_812_5, 0.003_906_25]);
        // Twelve: the eight of eight, and the first, third, fifth and seventh of sixteen.
        let root = 0.5_f64.sqrt();
        near(3, &[0.0625, 0.003_906_25, 0.25]);
        assert!(
            (alibi_slopes(12)[8] - root).abs() < 1e-12 && (alibi_slopes(12)[11] - root.powi(7)).abs() < 1e-12
        );
    }

    #[test]
    fn what_lies_before_the_window_changes_nothing() {
        let batch = Batch::piece(&[1; 150], 0);
        let heads = Heads::new(2, 1, 4);
        let attention = Attention { heads, rope: None, slopes: None, window: Some(10), batch: &batch };
        let mut qkv = crate::numeric::numbers::<f64>(150 * heads.row(), 3);
        let pass = |qkv: &[f64]| {
            let mut out = vec![9.0; 150 * heads.out()];
            attention.forward(qkv, &mut out);
            out
        };
        let before = pass(&qkv);
        qkv[..50 * heads.row()].iter_mut().for_each(|x| *x += 1.0);
        let after = pass(&qkv);
        // Token 59 is the first that sees none of the first fifty.
        assert_eq!(before[59 * heads.out()..], after[59 * heads.out()..]);
        assert_ne!(before[58 * heads.out()..59 * heads.out()], after[58 * heads.out()..59 * heads.out()]);
        // Token by token, with keys that are dropped on the way.
        let (mut cache, mut stepped) = (Cache::default(), vec![9.0; after.len()]);
        cache.attend(&qkv, attention, &mut stepped);
        assert!(stepped.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(cache.keys.len() < 2 * 10 * 4, "{}", cache.keys.len());
    }

    /// Rows where each token sees a range that only chance decides, none included, in an order or without.
    fn any_visibility(rows: usize, length: usize, ordered: bool, key: u64) -> Batch {
        let mut rng = Rng::new(key);
        let mut below = |n: usize| u32::try_from(rng.below(n as u64)).unwrap();
        let mut batch = Batch { length, ids: vec![1; rows * length], ..Batch::default() };
        for _ in 0..rows * length {
            let (a, b) = (below(length + 1), below(length + 1));
            batch.starts.push(a.min(b));
            batch.ends.push(a.max(b));
            batch.positions.push(below(length));
        }
        batch.order = ordered.then(|| {
            let mut ranks = || (0..rows * length).map(|_| below(length)).collect();
            Order { ranks: ranks(), limits: ranks() }
        });
        batch
    }

    #[test]
    fn gradients_are_the_numeric_ones_whoever_sees_whom() {
        let rotary = Kind { rotary: true, ..Kind::default() };
        let near = Kind { alibi: true, window: Some(3), ..Kind::default() };
        for ordered in [false, true] {
            gradients_of(&any_visibility(2, 7, ordered, 1), (4, 2, 2), rotary);
            gradients_of(&any_visibility(2, 7, ordered, 1), (4, 2, 2), near);
            gradients_of(&any_visibility(1, 2 * QUERIES + 5, ordered, 2), (2, 1, 4), rotary);
            gradients_of(&any_visibility(1, 2 * QUERIES + 5, ordered, 2), (2, 1, 4), near);
        }
        // A block in which no query sees anything.
        let mut blind = any_visibility(1, QUERIES + 3, false, 3);
        blind.starts[..QUERIES].fill(5);
        blind.ends[..QUERIES].fill(5);
        gradients_of(&blind, (1, 1, 2), Kind::default());
    }

    #[test]
    fn what_is_hidden_leaves_no_trace() {
        let batch = any_visibility(2, 2 * QUERIES, true, 4);
        let (length, order) = (batch.length, batch.order.as_ref().unwrap());
        let heads = Heads::new(2, 1, 4);
        let attention = Attention { heads, rope: None, slopes: None, window: None, batch: &batch };
        let qkv = numbers::<f32>(2 * length * heads.row(), 5);
        let out = |qkv: &[f32]| {
            let mut out = vec![9.0; 2 * length * heads.out()];
            attention.forward(qkv, &mut out);
            out
        };
        let whole = out(&qkv);
        for query in [0, 3, length + 70] {
            let row = query / length * length;
            let mut other = qkv.clone();
            let seen = |key: usize| {
                batch.seen(query).contains(&(key - row)) && order.ranks[key] < order.limits[query]
            };
            for key in (row..row + length).filter(|&key| key != query && !seen(key)) {
                other[key * heads.row()..][..heads.row()].fill(1e4);
            }
            assert_eq!(
                out(&other)[query * heads.out()..][..heads.out()],
                whole[query * heads.out()..][..heads.out()]
            );
        }
    }
}
