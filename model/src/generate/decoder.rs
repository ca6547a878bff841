//! A transformer made ready for generation: matrices packed for few rows, keys and values kept, no memory taken for a token.
//!
//! A prompt is read as training reads a row, with products of large matrices; after it, one token of every row at a time goes through
//! the packed ones. Which of both a token takes depends on its own row alone, and so do its numbers. Compositions that are rare in
//! generation (experts, recurrences, batch norm, norms behind the parts) take the general pass of the model, row by row.

use super::cache::KeyValues;
use crate::architecture::{Block, Mix, Transformer};
use crate::batch::Batch;
use crate::kernel::{Panels, add_scaled};
use crate::layer::attention::Cache;
use crate::layer::feed_forward::{Dense, FeedForward};
use crate::layer::linear::{Linear, Orientation};
use crate::layer::normalisation::{Mode, Normalisation};
use crate::layer::rope::Turn;
use crate::parts::NormPlace;
use candle_core::Result;
use rayon::prelude::*;

/// What a row has seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    kept: Kept,
    /// Tokens.
    pub(super) count: usize,
}

/// What is kept of each layer.
#[derive(Debug, Clone)]
enum Kept {
    Packed(Vec<KeyValues>),
    General(Vec<Cache<f32>>),
}

/// A linear layer for few rows.
#[derive(Debug)]
struct Packed {
    panels: Panels,
    bias: Option<Vec<f32>>,
}

/// A block with its matrices.
#[derive(Debug)]
struct Layer<'a> {
    block: &'a Block<f32>,
    dense: &'a Dense<f32>,
    qkv: Packed,
    out: Packed,
    up: Packed,
    down: Packed,
}

/// What the packed pass goes through.
#[derive(Debug)]
struct Packs<'a> {
    layers: Vec<Layer<'a>>,
    norm: &'a Normalisation<f32>,
    head: Packed,
}

/// A model ready to read prompts and to go on, token by token.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: &'a Transformer<f32>,
    /// `None` where the general pass is taken.
    packs: Option<Packs<'a>>,
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

impl<'a> Layer<'a> {
    /// `None` for a block that the packed pass does not know.
    fn new(block: &'a Block<f32>) -> Result<Option<Self>> {
        let (Mix::Attention, FeedForward::Dense(dense), NormPlace::Before) =
            (&block.mix, &block.ff, block.place)
        else {
            return Ok(None);
        };
        let [qkv, out, up, down] = [&block.qkv, &block.out, &dense.up, &dense.down].map(Packed::new);
        Ok(Some(Self { block, dense, qkv: qkv?, out: out?, up: up?, down: down? }))
    }
}

impl Work {
    /// Makes room for so many rows.
    fn size(&mut self, model: &Transformer<f32>, packs: &Packs<'_>, rows: usize) {
        let Some(layer) = packs.layers.first() else { return };
        let room = |buffer: &mut Vec<f32>, width: usize| buffer.resize(rows * width, 0.0);
        room(&mut self.x, model.shape.width);
        room(&mut self.norm, model.shape.width);
        room(&mut self.qkv, model.shape.heads.row());
        room(&mut self.mixed, model.shape.heads.out());
        room(&mut self.up, layer.dense.up.width_out());
        room(&mut self.inner, layer.dense.width());
    }
}

impl<'a> Decoder<'a> {
    /// Packs the matrices of a model.
    ///
    /// # Errors
    /// Tensors that cannot be read.
    pub(super) fn new(model: &'a Transformer<f32>) -> Result<Self> {
        let layers: Option<Vec<Layer<'a>>> =
            model.blocks.par_iter().map(Layer::new).collect::<Result<_>>()?;
        let plain = model.embedding_norm.is_none() && model.transform.is_none();
        let packs = match (layers, &model.norm) {
            (Some(layers), Some(norm)) if plain => {
                let head = vec![(model.head.clone(), model.head_bias.clone())];
                Some(Packs { layers, norm, head: Packed::new(&Linear::new(head, Orientation::OutIn)?)? })
            }
            _ => None,
        };
        Ok(Self { model, packs })
    }

    /// A row that has seen nothing.
    pub(super) fn begin(&self) -> Seen {
        let kept = match &self.packs {
            Some(packs) => Kept::Packed(vec![KeyValues::default(); packs.layers.len()]),
            None => Kept::General(self.model.caches()),
        };
        Seen { kept, count: 0 }
    }

    /// Reads one token of each row; `work.logits` are those of the token behind it.
    pub(super) fn step(&self, rows: &mut [(&mut Seen, u32)], work: &mut Work) -> Result<()> {
        let (model, heads, vocab) = (self.model, self.model.shape.heads, self.model.shape.vocab);
        work.logits.clear();
        if rows.is_empty() {
            return Ok(());
        }
        work.logits.resize(rows.len() * vocab, 0.0);
        let Some(packs) = &self.packs else {
            let tasks = rows.par_iter_mut().zip(work.logits.par_chunks_mut(vocab));
            return tasks.map(|((seen, id), logits)| self.general(&[*id], seen, logits)).collect();
        };
        work.size(model, packs, rows.len());
        let Work { x, norm, qkv, mixed, up, inner, sums, logits } = work;
        for ((seen, id), x) in rows.iter().zip(x.chunks_mut(model.shape.width)) {
            model.embedding.forward(&Batch::piece(&[*id], seen.count), x)?;
        }
        for (index, layer) in packs.layers.iter().enumerate() {
            layer.block.attention_norm.forward(x, norm, Mode::Evaluate)?;
            layer.qkv.apply(norm, qkv, false, sums);
            let tasks = rows.par_iter_mut().zip(qkv.par_chunks_mut(heads.row()));
            tasks
                .zip(mixed.par_chunks_mut(heads.out()))
                .for_each(|(((seen, _), qkv), mixed)| self.attend(seen, index, qkv, mixed));
            layer.out.apply(mixed, x, true, sums);
            if let Some(ff_norm) = &layer.block.ff_norm {
                ff_norm.forward(x, norm, Mode::Evaluate)?;
            }
            layer.up.apply(norm, up, false, sums);
            layer.dense.activation.forward(layer.dense.width(), up, inner);
            layer.down.apply(inner, x, true, sums);
        }
        rows.iter_mut().for_each(|(seen, _)| seen.count += 1);
        packs.norm.forward(x, norm, Mode::Evaluate)?;
        packs.head.apply(norm, logits, false, sums);
        Ok(())
    }

    /// Reads tokens by the general pass of the model.
    fn general(&self, ids: &[u32], seen: &mut Seen, logits: &mut [f32]) -> Result<()> {
        if let Kept::General(caches) = &mut seen.kept {
            logits.copy_from_slice(&self.model.next_logits(ids, caches, seen.count)?);
            seen.count += ids.len();
        }
        Ok(())
    }

    /// Remembers one token of a row in a layer, and what its queries take from those seen.
    fn attend(&self, seen: &mut Seen, layer: usize, qkv: &mut [f32], mixed: &mut [f32]) {
        let (shape, at) = (&self.model.shape, seen.count);
        let (heads, width) = (shape.heads, shape.heads.width);
        let Kept::Packed(layers) = &mut seen.kept else { return };
        self.turn(at, qkv);
        layers[layer].push(heads, qkv);
        let first = shape.window.map_or(0, |window| (at + 1).saturating_sub(window));
        for (head, mixed) in mixed.chunks_mut(width).enumerate() {
            let slope = self.model.slopes.as_ref().map_or(0.0, |slopes| slopes[head]);
            let query = &qkv[heads.query(head)..][..width];
            layers[layer].attend(heads, head, query, (first..at + 1, slope), mixed);
        }
    }

    /// Turns queries and keys of one token, where positions are rotary.
    fn turn(&self, at: usize, qkv: &mut [f32]) {
        let heads = self.model.shape.heads;
        let Some(rope) = &self.model.rope else { return };
        let queries = (0..heads.queries).map(|head| heads.query(head));
        for start in queries.chain((0..heads.keys).map(|group| heads.key(group))) {
            rope.turn(&mut qkv[start..start + heads.width], at, Turn::Forward);
        }
    }

    /// Reads the first tokens of a row, at least one; returns the logits of the token behind them.
    pub(super) fn read(&self, ids: &[u32], seen: &mut Seen) -> Result<Vec<f32>> {
        let (model, heads) = (self.model, self.model.shape.heads);
        let mut logits = vec![0.0; model.shape.vocab];
        let (Some(packs), Kept::Packed(kept)) = (&self.packs, &mut seen.kept) else {
            self.general(ids, seen, &mut logits)?;
            return Ok(logits);
        };
        let batch = Batch::piece(ids, 0);
        let hidden = model.walk(&batch, &mut |layer, _, qkv, mixed| {
            model.attention(&batch).forward(qkv, mixed);
            for (at, qkv) in qkv.chunks_mut(heads.row()).enumerate() {
                self.turn(at, qkv);
                kept[layer].push(heads, qkv);
            }
            Ok(())
        })?;
        seen.count = ids.len();
        let last = &hidden[hidden.len() - model.shape.width..];
        packs.head.apply(last, &mut logits, false, &mut Vec::new());
        Ok(logits)
    }
}
