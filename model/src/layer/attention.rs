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
}

impl Heads {
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
        head * self.width
    }

    /// Where a key head begins.
    pub(crate) const fn key(self, group: usize) -> usize {
        (self.queries + group) * self.width
    }

    /// Where a value head begins.
    pub(crate) const fn value(self, group: usize) -> usize {
        (self.queries + self.keys + group) * self.width
    }

    fn group(self, group: usize) -> Range<usize> {
        let size = self.queries / self.keys;
        group * size..(group + 1) * size
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
    /// Rotary positions, where the architecture has them.
    pub(crate) rope: Option<&'a Rope<T>>,
    /// Pieces and positions.
    pub(crate) batch: &'a Batch,
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
            let tokens = row * length + block.start..row * length + block.end;
            let start =
                self.batch.starts[tokens.clone()].iter().fold(u32::MAX, |least, &start| least.min(start));
            let end = self.batch.ends[tokens].iter().fold(start, |greatest, &end| greatest.max(end));
            (block, start as usize..end as usize)
        })
    }

    /// Writes P of a block of queries over its keys.
    fn probabilities(
        &self,
        row: usize,
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
                let seen = self.batch.seen(first + at);
                let inner = seen.start - keys.start..seen.end - keys.start;
                p[..inner.start].fill(T::ZERO);
                p[inner.end..].fill(T::ZERO);
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
                    self.probabilities(row, (&block, &keys), query, key, p);
                    let v = &qkv[keys.start * heads.row() + heads.value(group)..];
                    let o = &mut out[block.start * heads.out() + heads.query(head)..];
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
                let d_out = &d_out[heads.query(head)..];
                for (block, keys) in self.blocks(row) {
                    self.backward_block(row, block, keys, values, d_out, work);
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
        row: usize,
        block: Range<usize>,
        keys: Range<usize>,
        values: &[T],
        d_out: &[T],
        work: &mut Work<T>,
    ) {
        let (heads, width, queries) = (self.heads, self.heads.width, block.len());
        let (from, count) = (keys.start, keys.len());
        let p = &mut work.scores[..queries * count];
        self.probabilities(row, (&block, &keys), &work.query, &work.key, p);
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

/// Keys and values of the tokens that a generation has seen, in one layer.
#[derive(Debug, Default, Clone)]
pub(crate) struct Cache<T> {
    keys: Vec<T>,
    values: Vec<T>,
}

impl<T: Real> Cache<T> {
    /// Attends from the tokens of a row of queries, keys and values to all tokens seen so far, and remembers them.
    pub(crate) fn attend(&mut self, qkv: &[T], heads: Heads, rope: Option<&Rope<T>>) -> Vec<T> {
        let (width, seen_width) = (heads.width, heads.keys * heads.width);
        let mut out = Vec::with_capacity(qkv.len() / heads.row() * heads.out());
        for row in qkv.chunks(heads.row()) {
            let mut row = row.to_vec();
            let position = self.keys.len() / seen_width;
            if let Some(rope) = rope {
                let turned = &mut row[..heads.value(0)];
                turned.chunks_mut(width).for_each(|head| rope.turn(head, position, Turn::Forward));
            }
            self.keys.extend_from_slice(&row[heads.key(0)..heads.value(0)]);
            self.values.extend_from_slice(&row[heads.value(0)..]);
            for head in 0..heads.queries {
                let start = head * heads.keys / heads.queries * width;
                let query = &row[heads.query(head)..][..width];
                simd(|| self.attend_head(query, start, seen_width, heads.scale(), &mut out));
            }
        }
        out
    }

    #[inline(always)]
    fn attend_head(&self, query: &[T], start: usize, stride: usize, scale: T, out: &mut Vec<T>) {
        let width = query.len();
        let mut weights: Vec<T> =
            self.keys.chunks(stride).map(|row| dot(query, &row[start..start + width]) * scale).collect();
        softmax(&mut weights);
        let first = out.len();
        out.resize(first + width, T::ZERO);
        for (row, &weight) in self.values.chunks(stride).zip(&weights) {
            add_scaled(&mut out[first..], &row[start..start + width], weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Order, Row};
    use crate::numeric::{check, numbers};
    use schemas::hash::Rng;

    /// Rows of pieces of these lengths, the last of padding; every second piece is cut out of a document.
    fn gradients(rows: usize, pieces: &[u32], heads: (usize, usize, usize), rotary: bool) {
        let length: u32 = pieces.iter().sum();
        let (padding, pieces_before) = pieces.split_last().unwrap();
        let row = Row {
            ids: vec![1; length as usize],
            piece_lengths: pieces_before.to_vec(),
            begins: (0..pieces_before.len()).map(|at| at % 2 == 0).collect(),
            padding: *padding,
            mask: vec![],
        };
        gradients_of(&Batch::new(&vec![row; rows], 0), heads, rotary);
    }

    fn gradients_of(batch: &Batch, heads: (usize, usize, usize), rotary: bool) {
        let (length, tokens) = (batch.length, batch.ids.len());
        let heads = Heads { queries: heads.0, keys: heads.1, width: heads.2 };
        let rope = rotary.then(|| Rope::<f64>::new(heads.width, length, 100.0));
        let attention = Attention { heads, rope: rope.as_ref(), batch };
        let what = format!("{heads:?}, {tokens} tokens in rows of {length}, rotary {rotary}");
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

    #[test]
    fn gradients_are_the_numeric_ones() {
        for rotary in [false, true] {
            gradients(1, &[1, 0], (1, 1, 2), rotary);
            gradients(2, &[1, 0], (4, 2, 2), rotary);
            gradients(1, &[5, 0], (3, 1, 6), rotary);
            gradients(2, &[3, 1, 2, 1], (4, 2, 10), rotary);
            // Blocks of queries that are not full, a piece over a block's end, padding as long as a block.
            gradients(1, &[QUERIES as u32 - 3, 7, 0], (2, 2, 2), rotary);
            gradients(2, &[9, 2 * QUERIES as u32 - 20, 12], (2, 1, 4), rotary);
            gradients(1, &[1, QUERIES as u32], (1, 1, 2), rotary);
        }
        // Heads of odd width have no rotary positions.
        gradients(2, &[4, 3, 1], (3, 3, 5), false);
        gradients(1, &[2, 2, 2, 0], (6, 2, 1), false);
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
        for ordered in [false, true] {
            gradients_of(&any_visibility(2, 7, ordered, 1), (4, 2, 2), true);
            gradients_of(&any_visibility(1, 2 * QUERIES + 5, ordered, 2), (2, 1, 4), true);
        }
        // A block in which no query sees anything.
        let mut blind = any_visibility(1, QUERIES + 3, false, 3);
        (blind.starts[..QUERIES].fill(5), blind.ends[..QUERIES].fill(5));
        gradients_of(&blind, (1, 1, 2), false);
    }

    #[test]
    fn what_is_hidden_leaves_no_trace() {
        let batch = any_visibility(2, 2 * QUERIES, true, 4);
        let (length, order) = (batch.length, batch.order.as_ref().unwrap());
        let heads = Heads { queries: 2, keys: 1, width: 4 };
        let attention = Attention { heads, rope: None, batch: &batch };
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
