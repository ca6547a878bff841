//! A transformer made ready for generation: matrices packed for few rows, keys and values kept, no memory taken for a token.
//!
//! A prompt is read as training reads a row, with products of large matrices; after it, one token of every row at a time goes through
//! the packed ones. Which of both a token takes depends on its own row alone, and so do its numbers. Compositions other than attention
//! with rotary, learned or no positions, dense feed-forward parts and norms before the parts go token by token through the layers that
//! training uses.

use super::cache::KeyValues;
use crate::architecture::{Block, Mix, Transformer};
use crate::batch::Batch;
use crate::kernel::{Panels, add_scaled};
use crate::layer::attention::{Cache, HeadLayout};
use crate::layer::feed_forward::{Dense, FeedForward};
use crate::layer::linear::{Linear, Orientation};
use crate::layer::normalisation::{Mode, Normalisation};
use crate::layer::rope::Turn;
use candle_core::Result;
use rayon::prelude::*;
use std::sync::Arc;

/// What a row has seen: keys and values of each layer.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    layers: Vec<KeyValues>,
    /// In place of keys and values, where the layers of training are used.
    caches: Vec<Cache<f32>>,
    /// Tokens.
    pub(super) count: usize,
}

impl Seen {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.layers.iter_mut().for_each(KeyValues::clear);
        self.caches.iter_mut().for_each(|cache| *cache = Cache::default());
        self.count = 0;
    }
}

/// A linear layer for few rows.
#[derive(Debug)]
struct Packed {
    panels: Panels,
    bias: Option<Vec<f32>>,
}

/// The matrices of a block beside what it does to features.
#[derive(Debug)]
struct Matrices<'a> {
    block: &'a Block<f32>,
    dense: &'a Dense<f32>,
    qkv: Packed,
    out: Packed,
    up: Packed,
    down: Packed,
}

/// A model ready to read prompts and to go on, token by token.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: &'a Transformer<f32>,
    /// `None` where the layers of training are used.
    blocks: Option<Vec<Matrices<'a>>>,
    head: Packed,
}

/// Memory of a step, used again by the next one. Rows × features.
#[derive(Debug, Default)]
pub(super) struct Work {
    x: Vec<f32>,
    norm: Vec<f32>,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    up: Vec<f32>,
    inner: Vec<f32>,
    sums: Vec<f32>,
    /// rows × vocabulary.
    pub(super) logits: Vec<f32>,
}

impl Packed {
    fn new(linear: &Linear<f32>) -> Result<Self> {
        let mut panels = Panels::new(linear.width_in(), linear.width_out());
        let (mut first, mut biases, mut biased) = (0, Vec::with_capacity(linear.width_out()), false);
        for (weight, bias, adapter) in linear.tensors() {
            let (rows, columns) = weight.dims2()?;
            let mut numbers = weight.flatten_all()?.to_vec1()?;
            adapter.map_or(Ok(()), |adapter| adapter.add_to(&mut numbers, linear.orientation()))?;
            let width = match linear.orientation() {
                Orientation::OutIn => {
                    panels.set_out_in(first, &numbers);
                    rows
                }
                Orientation::InOut => {
                    panels.set_in_out(first, columns, &numbers);
                    columns
                }
            };
            first += width;
            biased |= bias.is_some();
            biases.extend(bias.map_or(Ok(vec![0.0; width]), |bias| bias.to_vec1())?);
        }
        Ok(Self { panels, bias: biased.then_some(biases) })
    }

    /// x: rows × in → y: rows × out, or added to `y`.
    fn apply(&self, x: &[f32], y: &mut [f32], keep: bool, sums: &mut Vec<f32>) {
        self.panels.multiply(x, y, keep, sums);
        if let Some(bias) = &self.bias {
            y.chunks_mut(bias.len()).for_each(|y| add_scaled(y, bias, 1.0));
        }
    }
}

impl Work {
    /// Makes room for so many rows.
    fn size(&mut self, model: &Transformer<f32>, blocks: &[Matrices<'_>], rows: usize) {
        let Some(Matrices { dense, .. }) = blocks.first() else { return };
        let room = |buffer: &mut Vec<f32>, width: usize| buffer.resize(rows * width, 0.0);
        room(&mut self.x, model.shape.width);
        room(&mut self.norm, model.shape.width);
        room(&mut self.qkv, model.shape.heads.row());
        room(&mut self.mixed, model.shape.heads.out());
        room(&mut self.up, dense.up.width_out());
        room(&mut self.inner, dense.width());
    }
}

impl<'a> Decoder<'a> {
    /// Packs the matrices of a model.
    ///
    /// # Errors
    /// Tensors that cannot be read.
    pub(super) fn new(model: &'a Transformer<f32>) -> Result<Self> {
        let pack = |block: &'a Block<f32>| {
            let FeedForward::Dense(dense) = &block.ff else { return Ok(None) };
            let [qkv, out, up, down] = [&block.qkv, &block.out, &dense.up, &dense.down].map(Packed::new);
            Ok(Some(Matrices { block, dense, qkv: qkv?, out: out?, up: up?, down: down? }))
        };
        let usual = model.norm.is_some()
            && model.slopes.is_none()
            && model.embedding_norm.is_none()
            && model.transform.is_none()
            && model.blocks.iter().all(|block| matches!(block.mix, Mix::Attention));
        let blocks = match usual {
            true => model.blocks.par_iter().map(pack).collect::<Result<Option<_>>>()?,
            false => None,
        };
        let part = (Arc::clone(&model.head), model.head_bias.clone());
        let head = Linear::new(vec![part], Orientation::OutIn)?;
        Ok(Self { model, blocks, head: Packed::new(&head)? })
    }

    /// A row that has seen nothing.
    pub(super) fn begin(&self) -> Seen {
        let layers = vec![KeyValues::default(); self.model.blocks.len()];
        Seen { layers, caches: self.model.caches(), count: 0 }
    }

    /// Reads one token of each row; `work.logits` are those of the token behind it.
    pub(super) fn step(&self, rows: &mut [(&mut Seen, u32)], work: &mut Work) -> Result<()> {
        let (model, heads) = (self.model, self.model.shape.heads);
        work.logits.clear();
        if rows.is_empty() {
            return Ok(());
        }
        work.logits.resize(rows.len() * model.shape.vocab, 0.0);
        let Some(blocks) = &self.blocks else { return self.step_each(rows, &mut work.logits) };
        work.size(model, blocks, rows.len());
        let Work { x, norm, qkv, mixed, up, inner, sums, logits } = work;
        for ((seen, id), x) in rows.iter().zip(x.chunks_mut(model.shape.width)) {
            model.embedding.forward(&Batch::piece(&[*id], seen.count), x)?;
        }
        for (layer, packed) in blocks.iter().enumerate() {
            let Matrices { block, dense, .. } = packed;
            block.attention_norm.forward(x, norm, Mode::Evaluate)?;
            packed.qkv.apply(norm, qkv, false, sums);
            let tasks = rows.par_iter_mut().zip(qkv.par_chunks_mut(heads.row()));
            tasks.zip(mixed.par_chunks_mut(heads.out())).for_each(|(((seen, _), qkv), mixed)| {
                let at = seen.count;
                self.attend(&mut seen.layers[layer], at, qkv, mixed);
            });
            packed.out.apply(mixed, x, true, sums);
            renormed(block.ff_norm.as_ref(), x, norm)?;
            packed.up.apply(norm, up, false, sums);
            dense.activation.forward(dense.width(), up, inner);
            packed.down.apply(inner, x, true, sums);
        }
        rows.iter_mut().for_each(|(seen, _)| seen.count += 1);
        renormed(model.norm.as_ref(), x, norm)?;
        self.head.apply(norm, logits, false, sums);
        Ok(())
    }

    /// The same through the layers of training, row by row.
    fn step_each(&self, rows: &mut [(&mut Seen, u32)], logits: &mut [f32]) -> Result<()> {
        let work = rows.par_iter_mut().zip(logits.par_chunks_mut(self.model.shape.vocab));
        work.try_for_each(|((seen, id), logits)| {
            logits.copy_from_slice(&self.model.next_logits(&[*id], &mut seen.caches, seen.count)?);
            seen.count += 1;
            Ok(())
        })
    }

    fn attend(&self, seen: &mut KeyValues, at: usize, qkv: &mut [f32], mixed: &mut [f32]) {
        let heads = self.model.shape.heads;
        self.remember(seen, at, qkv);
        let first = self.model.shape.window.map_or(0, |window| (at + 1).saturating_sub(window));
        for (head, mixed) in mixed.chunks_mut(heads.width).enumerate() {
            seen.attend(heads, head, &qkv[heads.query(head)..][..heads.width], first..at + 1, mixed);
        }
    }

    /// Turns queries and keys of one token, where positions are rotary, and keeps its keys and values.
    fn remember(&self, seen: &mut KeyValues, at: usize, qkv: &mut [f32]) {
        let heads = self.model.shape.heads;
        if let Some(rope) = &self.model.rope {
            let queries = (0..heads.queries).map(|head| heads.query(head));
            for start in queries.chain((0..heads.keys).map(|group| heads.key(group))) {
                rope.turn(&mut qkv[start..start + heads.width], at, Turn::Forward);
            }
        }
        match heads.layout {
            HeadLayout::Split => {
                seen.push(heads, &qkv[heads.key(0)..heads.value(0)], &qkv[heads.value(0)..]);
            }
            HeadLayout::Grouped => {
                let gather = |of: &dyn Fn(usize) -> usize| -> Vec<f32> {
                    (0..heads.keys).flat_map(|group| &qkv[of(group)..][..heads.width]).copied().collect()
                };
                let (keys, values) = (gather(&|group| heads.key(group)), gather(&|group| heads.value(group)));
                seen.push(heads, &keys, &values);
            }
        }
    }

    /// Reads the first tokens of a row, at least one; returns the logits of the token behind them.
    pub(super) fn read(&self, ids: &[u32], seen: &mut Seen) -> Result<Vec<f32>> {
        let (model, heads) = (self.model, self.model.shape.heads);
        if self.blocks.is_none() {
            seen.count = ids.len();
            return model.next_logits(ids, &mut seen.caches, 0);
        }
        let batch = Batch::piece(ids, 0);
        let hidden = model.walk(&batch, &mut |layer, _, qkv, mixed| {
            model.attention(&batch).forward(qkv, mixed);
            for (at, qkv) in qkv.chunks_mut(heads.row()).enumerate() {
                self.remember(&mut seen.layers[layer], at, qkv);
            }
            Ok(())
        })?;
        seen.count = ids.len();
        let mut logits = vec![0.0; model.shape.vocab];
        let last = &hidden[hidden.len() - model.shape.width..];
        self.head.apply(last, &mut logits, false, &mut Vec::new());
        Ok(logits)
    }
}

/// Norms the residual; where the part has no norm of its own, the last norm's output stays.
fn renormed(norm: Option<&Normalisation<f32>>, x: &[f32], out: &mut [f32]) -> Result<()> {
    norm.map_or(Ok(()), |norm| norm.forward(x, out, Mode::Evaluate))
}
