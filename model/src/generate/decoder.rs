//! A transformer made ready for generation: matrices packed for few rows, keys and values kept, no memory taken for a token.
//!
//! A prompt is read as training reads a row, with products of large matrices; after it, one token of every row at a time goes through
//! the packed ones. Which of both a token takes depends on its own row alone, and so do its numbers.

use super::cache::KeyValues;
use crate::architecture::{Block, Transformer};
use crate::batch::Batch;
use crate::kernel::{Panels, add_scaled};
use crate::layer::attention::Attention;
use crate::layer::linear::{Linear, Orientation};
use crate::layer::rope::Turn;
use candle_core::Result;
use rayon::prelude::*;
use std::sync::Arc;

/// What a row has seen: keys and values of each layer.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    layers: Vec<KeyValues>,
    /// Tokens.
    pub(super) count: usize,
}

impl Seen {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.layers.iter_mut().for_each(KeyValues::clear);
        self.count = 0;
    }
}

/// A linear layer for few rows.
#[derive(Debug)]
struct Packed {
    panels: Panels,
    bias: Option<Vec<f32>>,
}

/// The matrices of a block.
#[derive(Debug)]
struct Matrices {
    qkv: Packed,
    out: Packed,
    up: Packed,
    down: Packed,
}

/// A model ready to read prompts and to go on, token by token.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: &'a Transformer<f32>,
    blocks: Vec<Matrices>,
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
    fn size(&mut self, model: &Transformer<f32>, rows: usize) {
        let Some(block) = model.blocks.first() else { return };
        let room = |buffer: &mut Vec<f32>, width: usize| buffer.resize(rows * width, 0.0);
        room(&mut self.x, model.shape.width);
        room(&mut self.norm, model.shape.width);
        room(&mut self.qkv, model.shape.heads.row());
        room(&mut self.mixed, model.shape.heads.out());
        room(&mut self.up, block.up.width_out());
        room(&mut self.inner, block.down.width_in());
    }
}

impl<'a> Decoder<'a> {
    /// Packs the matrices of a model.
    ///
    /// # Errors
    /// Tensors that cannot be read.
    pub(super) fn new(model: &'a Transformer<f32>) -> Result<Self> {
        let pack = |block: &Block<f32>| {
            let [qkv, out, up, down] =
                [&block.qkv, &block.out, &block.up, &block.down].map(|linear| Packed::new(linear));
            Ok(Matrices { qkv: qkv?, out: out?, up: up?, down: down? })
        };
        let blocks = model.blocks.par_iter().map(pack).collect::<Result<_>>()?;
        let head = Linear::new(vec![(Arc::clone(&model.head), None)], Orientation::OutIn)?;
        Ok(Self { model, blocks, head: Packed::new(&head)? })
    }

    /// A row that has seen nothing.
    pub(super) fn begin(&self) -> Seen {
        Seen { layers: vec![KeyValues::default(); self.blocks.len()], count: 0 }
    }

    /// Reads one token of each row; `work.logits` are those of the token behind it.
    pub(super) fn step(&self, rows: &mut [(&mut Seen, u32)], work: &mut Work) -> Result<()> {
        let (model, heads) = (self.model, self.model.shape.heads);
        work.logits.clear();
        if rows.is_empty() {
            return Ok(());
        }
        work.size(model, rows.len());
        work.logits.resize(rows.len() * model.shape.vocab, 0.0);
        let Work { x, norm, qkv, mixed, up, inner, sums, logits } = work;
        for ((seen, id), x) in rows.iter().zip(x.chunks_mut(model.shape.width)) {
            model.embedding.forward(&Batch::piece(&[*id], seen.count), x)?;
        }
        for (layer, (block, packed)) in model.blocks.iter().zip(&self.blocks).enumerate() {
            block.attention_norm.forward(x, norm)?;
            packed.qkv.apply(norm, qkv, false, sums);
            let tasks = rows.par_iter_mut().zip(qkv.par_chunks_mut(heads.row()));
            tasks.zip(mixed.par_chunks_mut(heads.out())).for_each(|(((seen, _), qkv), mixed)| {
                let at = seen.count;
                self.attend(&mut seen.layers[layer], at, qkv, mixed);
            });
            packed.out.apply(mixed, x, true, sums);
            block.ff_norm.forward(x, norm)?;
            packed.up.apply(norm, up, false, sums);
            block.activation.forward(block.down.width_in(), up, inner);
            packed.down.apply(inner, x, true, sums);
        }
        rows.iter_mut().for_each(|(seen, _)| seen.count += 1);
        model.norm.forward(x, norm)?;
        self.head.apply(norm, logits, false, sums);
        Ok(())
    }

    fn attend(&self, seen: &mut KeyValues, at: usize, qkv: &mut [f32], mixed: &mut [f32]) {
        let heads = self.model.shape.heads;
        self.turn(at, qkv);
        seen.push(heads, &qkv[heads.key(0)..heads.value(0)], &qkv[heads.value(0)..]);
        for (head, mixed) in mixed.chunks_mut(heads.width).enumerate() {
            seen.attend(heads, head, &qkv[heads.query(head)..][..heads.width], 0..at + 1, mixed);
        }
    }

    /// Turns queries and keys of one token, where positions are rotary.
    fn turn(&self, at: usize, qkv: &mut [f32]) {
        let heads = self.model.shape.heads;
        if let Some(rope) = &self.model.rope {
            let turned = qkv[..heads.value(0)].chunks_mut(heads.width);
            turned.for_each(|head| rope.turn(head, at, Turn::Forward));
        }
    }

    /// Reads the first tokens of a row, at least one; returns the logits of the token behind them.
    pub(super) fn read(&self, ids: &[u32], seen: &mut Seen) -> Result<Vec<f32>> {
        let (model, heads) = (self.model, self.model.shape.heads);
        let batch = Batch::piece(ids, 0);
        let attention = Attention { heads, rope: model.rope.as_ref(), batch: &batch };
        let mut work = Work::default();
        work.size(model, ids.len());
        let Work { x, norm, qkv, mixed, up, inner, .. } = &mut work;
        model.embedding.forward(&batch, x)?;
        for (block, seen) in model.blocks.iter().zip(&mut seen.layers) {
            block.attention_norm.forward(x, norm)?;
            block.qkv.forward(norm, qkv)?;
            attention.forward(qkv, mixed);
            for (at, qkv) in qkv.chunks_mut(heads.row()).enumerate() {
                self.turn(at, qkv);
                seen.push(heads, &qkv[heads.key(0)..heads.value(0)], &qkv[heads.value(0)..]);
            }
            block.out.forward_onto(mixed, x)?;
            block.ff_norm.forward(x, norm)?;
            block.up.forward(norm, up)?;
            block.activation.forward(block.down.width_in(), up, inner);
            block.down.forward_onto(inner, x)?;
        }
        seen.count = ids.len();
        let width = model.shape.width;
        model.norm.forward(&x[x.len() - width..], &mut norm[..width])?;
        let mut logits = vec![0.0; model.shape.vocab];
        self.head.apply(&norm[..width], &mut logits, false, &mut Vec::new());
        Ok(logits)
    }
}
