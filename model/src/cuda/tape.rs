//! The passes of a model over a micro-batch on the GPU, and their order.
//!
//! The residual is f32; what products read and give is of the precision. A sum of residual and branches and the norm behind it are one
//! kernel, on the way back too, where it also rounds the gradient for the next product.

use super::attention::{Attention, Backward};
use super::buffers::{Buffers, Kept, Widths};
use super::gpu::{Gpu, THREADS, launch};
use super::loss::Loss;
use super::rows::{
    Activate, Branch, Falling, Join, JoinBack, RowNorm, Sums, Table, let_fall, narrow, scatter,
};
use super::upload::Upload;
use super::weights::{Layer, Weights, blocks, int};
use crate::architecture::{Block, Transformer};
use crate::device::Precision;
use crate::layer::activation::Activation;
use crate::layer::dropout::Dropout;
use crate::layer::feed_forward::FeedForward;
use crate::layer::norm::Norm;
use crate::layer::normalisation::Normalisation;
use crate::parts::NormPlace;
use candle_core::{Result, bail};

/// A block as layers whose tensors lie on the GPU.
#[derive(Debug)]
struct Parts {
    place: NormPlace,
    first: Norm<f32>,
    second: Option<Norm<f32>>,
    qkv: Layer,
    out: Layer,
    up: Layer,
    activation: Activation,
    down: Layer,
}

/// A model's passes.
#[derive(Debug)]
pub(super) struct Tape {
    blocks: Vec<Parts>,
    embedding_norm: Option<Norm<f32>>,
    last_norm: Option<Norm<f32>>,
    transform: Option<(Layer, Activation, Norm<f32>)>,
    attention: Attention,
    sums: Sums,
    widths: Widths,
    room: Option<(Buffers, Loss)>,
}

/// What a pass is given.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) weights: &'a Weights,
    pub(super) model: &'a Transformer<f32>,
    pub(super) batch: &'a Upload,
    pub(super) dropout: Dropout,
}

fn row_norm(norm: &Normalisation<f32>) -> Result<Norm<f32>> {
    match norm {
        Normalisation::Row(norm) => Ok(norm.clone()),
        Normalisation::Batch(_) => bail!("batch norm does not run on this device"),
    }
}

/// The first of the two places of a block where features are dropped, as on the CPU; 0 is behind the embedding.
const fn site(block: usize) -> u64 {
    2 * block as u64 + 1
}

impl Parts {
    fn of(weights: &Weights, block: &Block<f32>) -> Result<Self> {
        let FeedForward::Dense(dense) = &block.ff else { bail!("experts do not run on this device") };
        Ok(Self {
            place: block.place,
            first: row_norm(&block.attention_norm)?,
            second: block.ff_norm.as_ref().map(row_norm).transpose()?,
            qkv: weights.layer(&block.qkv),
            out: weights.layer(&block.out),
            up: weights.layer(&dense.up),
            activation: dense.activation,
            down: weights.layer(&dense.down),
        })
    }

    fn activate(&self, pass: Pass<'_>, up: u64) -> Activate {
        Activate {
            activation: self.activation,
            tokens: pass.batch.tokens,
            width: self.down.width_in,
            up,
            bias: self.up.bias(pass.weights),
        }
    }
}

impl Tape {
    pub(super) fn new(gpu: &Gpu, weights: &Weights, model: &Transformer<f32>) -> Result<Self> {
        let widths = Widths::of(model)?;
        let transform = match &model.transform {
            Some(transform) => {
                let norm = row_norm(&transform.norm)?;
                Some((weights.layer(&transform.dense), transform.activation, norm))
            }
            None => None,
        };
        Ok(Self {
            blocks: model.blocks.iter().map(|block| Parts::of(weights, block)).collect::<Result<_>>()?,
            embedding_norm: model.embedding_norm.as_ref().map(row_norm).transpose()?,
            last_norm: model.norm.as_ref().map(row_norm).transpose()?,
            transform,
            attention: Attention::new(gpu, model)?,
            sums: Sums::new(gpu, widths.widest().max(model.shape.vocab + 8))?,
            widths,
            room: None,
        })
    }

    /// Bytes that passes over so many tokens need.
    pub(super) fn bytes(model: &Transformer<f32>, precision: Precision, tokens: usize) -> Result<usize> {
        let real = precision.bytes();
        let (_, loss) = Loss::plan(model.shape.vocab, model.shape.width, real, tokens);
        Ok(Buffers::bytes(Widths::of(model)?, real, tokens) + loss)
    }

    /// The summed loss of a batch, and with a scale the gradients of all parameters, added to theirs.
    pub(super) fn run(&mut self, pass: Pass<'_>, scale: Option<f64>) -> Result<f64> {
        let Pass { gpu, weights, model, batch, .. } = pass;
        if self.room.as_ref().is_none_or(|(buffers, _)| buffers.tokens < batch.tokens) {
            self.room = None;
            let buffers = Buffers::new(gpu, self.widths, batch.tokens)?;
            self.room = Some((buffers, Loss::new(gpu, weights, model, batch.tokens)?));
        }
        let (buffers, loss) = self.room.as_ref().expect("it was just made");
        self.forward(pass, buffers)?;
        let gradient = scale.map(|scale| (scale, buffers.d_hidden));
        loss.forward(gpu, (weights, &self.sums), batch, buffers.hidden, gradient)?;
        if scale.is_some() {
            self.backward(pass, buffers)?;
        }
        Ok(loss.sum(gpu)? * scale.unwrap_or(1.0))
    }

    /// The losses of the last batch's targets, in order.
    pub(super) fn losses(&self, gpu: &Gpu, batch: &Upload) -> Result<Vec<f32>> {
        self.room.as_ref().expect("a pass was run").1.each(gpu, batch)
    }

    /// Writes what the head is given.
    fn forward(&self, pass: Pass<'_>, to: &Buffers) -> Result<()> {
        match (self.blocks.first(), to.blocks.first()) {
            (Some(parts), Some(_)) if parts.place == NormPlace::After => self.forward_behind(pass, to),
            (Some(parts), Some(first)) => {
                self.embed(pass, to, first.first.given)?;
                let (norm, y, spread) =
                    (RowNorm::of(pass.weights, &parts.first), first.given, first.first.spread);
                Join { x: first.first.given, norm, y, spread, ..Join::NONE }
                    .launch(pass.gpu, pass.batch.tokens)?;
                self.forward_before(pass, to)
            }
            _ => {
                self.embed(pass, to, to.last.given)?;
                self.end(pass, to, Join { x: to.last.given, ..Join::NONE })
            }
        }
    }

    /// The blocks, where norms stand before the parts.
    fn forward_before(&self, pass: Pass<'_>, to: &Buffers) -> Result<()> {
        let Pass { gpu, weights, batch, .. } = pass;
        for (index, (parts, kept)) in self.blocks.iter().zip(&to.blocks).enumerate() {
            let mixed = self.mix(pass, to, index)?;
            let (x, branches) = match &parts.second {
                None => (kept.first.given, [mixed, self.feed(pass, to, (index, to.branches[1]))?]),
                Some(norm) => {
                    let (sum, norm, spread) =
                        (kept.second.given, RowNorm::of(weights, norm), kept.second.spread);
                    let (x, y, branches) = (kept.first.given, kept.ff_given, [mixed, Branch::NONE]);
                    Join { x, branches, sum, norm, y, spread, wide: 0 }.launch(gpu, batch.tokens)?;
                    (kept.second.given, [self.feed(pass, to, (index, to.branches[0]))?, Branch::NONE])
                }
            };
            let join = Join { x, branches, ..Join::NONE };
            match self.blocks.get(index + 1).zip(to.blocks.get(index + 1)) {
                Some((parts, next)) => {
                    let norm = RowNorm::of(weights, &parts.first);
                    let (sum, spread, y) = (next.first.given, next.first.spread, next.given);
                    Join { sum, norm, y, spread, ..join }.launch(gpu, batch.tokens)?;
                }
                None => self.end(pass, to, join)?,
            }
        }
        Ok(())
    }

    /// From tokens to the head, where norms stand behind the parts.
    fn forward_behind(&self, pass: Pass<'_>, to: &Buffers) -> Result<()> {
        let Pass { gpu, weights, batch, .. } = pass;
        let (x, wide) = (to.stream, to.stream);
        self.embed(pass, to, x)?;
        narrow(gpu, batch.tokens * self.widths.width, x, to.blocks[0].given)?;
        for (index, (parts, kept)) in self.blocks.iter().zip(&to.blocks).enumerate() {
            let branches = [self.mix(pass, to, index)?, Branch::NONE];
            let (sum, norm, spread) =
                (kept.first.given, RowNorm::of(weights, &parts.first), kept.first.spread);
            Join { x, branches, sum, norm, y: kept.ff_given, spread, wide }.launch(gpu, batch.tokens)?;
            let branches = [self.feed(pass, to, (index, to.branches[0]))?, Branch::NONE];
            let norm = parts.second.as_ref().map_or(RowNorm::NONE, |norm| RowNorm::of(weights, norm));
            // Behind the last block: to the head, unless one more norm stands between.
            let exit = if self.last_norm.is_some() { 0 } else { self.exit(to) };
            let y = to.blocks.get(index + 1).map_or(exit, |next| next.given);
            let (sum, spread) = (kept.second.given, kept.second.spread);
            Join { x, branches, sum, norm, y, spread, wide }.launch(gpu, batch.tokens)?;
        }
        match &self.last_norm {
            Some(_) => self.end(pass, to, Join { x, ..Join::NONE }),
            None => self.transform(pass, to),
        }
    }

    /// Queries, keys and values to the branch that they end in.
    fn mix(&self, pass: Pass<'_>, to: &Buffers, index: usize) -> Result<Branch> {
        let Pass { gpu, weights, batch, dropout, .. } = pass;
        let (parts, kept, values) = (&self.blocks[index], &to.blocks[index], to.branches[0]);
        parts.qkv.forward(gpu, weights, batch.tokens, kept.given, kept.qkv)?;
        self.attention.rotate(gpu, (weights, &parts.qkv), batch, kept.qkv)?;
        self.attention.forward(gpu, batch, kept.qkv, kept.mixed, kept.log_sums)?;
        parts.out.forward(gpu, weights, batch.tokens, kept.mixed, values)?;
        Ok(Branch { values, bias: parts.out.bias(weights), drop: Falling::of(dropout, site(index)) })
    }

    /// The feed-forward part, to a branch.
    fn feed(&self, pass: Pass<'_>, to: &Buffers, (index, values): (usize, u64)) -> Result<Branch> {
        let Pass { gpu, weights, batch, dropout, .. } = pass;
        let (parts, kept) = (&self.blocks[index], &to.blocks[index]);
        parts.up.forward(gpu, weights, batch.tokens, kept.ff_given, kept.up)?;
        parts.activate(pass, kept.up).forward(gpu, kept.inner)?;
        parts.down.forward(gpu, weights, batch.tokens, kept.inner, values)?;
        Ok(Branch { values, bias: parts.down.bias(weights), drop: Falling::of(dropout, site(index) + 1) })
    }

    /// Where what the last norm gives goes.
    const fn exit(&self, to: &Buffers) -> u64 {
        if self.transform.is_some() { to.transform.given } else { to.hidden }
    }

    /// The last sum, with its norm and the head's transform.
    fn end(&self, pass: Pass<'_>, to: &Buffers, join: Join) -> Result<()> {
        let norm = self.last_norm.as_ref().map_or(RowNorm::NONE, |norm| RowNorm::of(pass.weights, norm));
        let (sum, spread, y) = (to.last.given, to.last.spread, self.exit(to));
        Join { sum, norm, spread, y, ..join }.launch(pass.gpu, pass.batch.tokens)?;
        self.transform(pass, to)
    }

    fn transform(&self, pass: Pass<'_>, to: &Buffers) -> Result<()> {
        let Pass { gpu, weights, batch, .. } = pass;
        let Some((dense, activation, norm)) = &self.transform else { return Ok(()) };
        let at = to.transform;
        dense.forward(gpu, weights, batch.tokens, at.given, at.product)?;
        self.head_activate(pass, dense, *activation, at.product).forward(gpu, at.active)?;
        let branches = [Branch { values: at.active, bias: 0, drop: Falling::NONE }, Branch::NONE];
        let (norm, sum, spread) = (RowNorm::of(weights, norm), at.normed.given, at.normed.spread);
        Join { branches, sum, norm, y: to.hidden, spread, ..Join::NONE }.launch(gpu, batch.tokens)
    }

    fn head_activate(&self, pass: Pass<'_>, dense: &Layer, activation: Activation, up: u64) -> Activate {
        let (tokens, width) = (pass.batch.tokens, self.widths.width);
        Activate { activation, tokens, width, up, bias: dense.bias(pass.weights) }
    }

    /// Writes the embedded tokens, f32.
    fn embed(&self, pass: Pass<'_>, to: &Buffers, entry: u64) -> Result<()> {
        let Pass { gpu, weights, model, batch, dropout } = pass;
        let embedding = &model.embedding;
        let (tokens, count) = (batch.tokens, batch.tokens * self.widths.width);
        let drop = Falling::of(dropout, 0);
        let into = if self.embedding_norm.is_some() { to.looked_up.given } else { entry };
        let ids = Table { values: weights.value_of(Some(&embedding.tokens)), rows: batch.ids };
        let positions =
            Table { values: weights.value_of(embedding.positions.as_ref()), rows: batch.positions };
        let segments = Table { values: weights.value_of(embedding.segments.as_ref()), rows: 0 };
        let languages =
            Table { values: weights.value_of(embedding.languages.as_ref()), rows: batch.languages };
        let first = if self.embedding_norm.is_some() { Falling::NONE } else { drop };
        launch!(gpu, "embed", blocks(count), (THREADS, 1, 1), 0;
            int(tokens), ids, positions, segments, languages, first, into)?;
        let Some(norm) = &self.embedding_norm else { return Ok(()) };
        let (norm, spread) = (RowNorm::of(weights, norm), to.looked_up.spread);
        Join { x: into, norm, spread, wide: entry, ..Join::NONE }.launch(gpu, tokens)?;
        if dropout.probability > 0.0 { let_fall(gpu, count, entry, 0, drop) } else { Ok(()) }
    }

    /// Adds the gradients of all parameters but the head.
    fn backward(&self, pass: Pass<'_>, at: &Buffers) -> Result<()> {
        let d_normed = self.transform_back(pass, at)?;
        if self.blocks.first().is_some_and(|parts| parts.place == NormPlace::After) {
            self.backward_behind(pass, at, d_normed)?;
        } else {
            self.backward_before(pass, at, d_normed)?;
        }
        self.embed_back(pass, at)
    }

    /// Turns the gradient of what the last norm gave into that of the embedded tokens, where norms stand before the parts.
    fn backward_before(&self, pass: Pass<'_>, at: &Buffers, d_normed: u64) -> Result<()> {
        let Pass { gpu, weights, batch, dropout, .. } = pass;
        let (tokens, sums) = (batch.tokens, (weights, &self.sums));
        let (dx, count) = (at.residual, tokens * self.widths.width);
        // The branch that ends where a block begins: that of the feed-forward part before it.
        let before = |block: usize| match block.checked_sub(1) {
            Some(before) => (at.d_branch, Falling::of(dropout, site(before) + 1)),
            None => (0, Falling::NONE),
        };
        let (branch, drop) = before(self.blocks.len());
        match &self.last_norm {
            Some(norm) => {
                let (narrow, x, spread) = (d_normed, at.last.given, at.last.spread);
                JoinBack { norm, narrow, wide: 0, x, spread, base: 0, dx, branch, drop }
                    .launch(gpu, sums, tokens)?;
            }
            None => {
                self.widen(pass, d_normed, 0, dx)?;
                if branch != 0 {
                    let_fall(gpu, count, dx, branch, drop)?;
                }
            }
        }
        for (index, (parts, kept)) in self.blocks.iter().zip(&at.blocks).enumerate().rev() {
            self.ff_back(pass, at, parts, kept)?;
            let (narrow, base, branch, drop) =
                (at.d_given, dx, at.d_branch, Falling::of(dropout, site(index)));
            if let Some(norm) = &parts.second {
                let (x, spread) = (kept.second.given, kept.second.spread);
                JoinBack { norm, narrow, wide: 0, x, spread, base, dx, branch, drop }
                    .launch(gpu, sums, tokens)?;
            } else if dropout.probability > 0.0 {
                let_fall(gpu, count, dx, branch, drop)?;
            }
            self.mix_back(pass, at, parts, kept)?;
            let (norm, x, spread) = (&parts.first, kept.first.given, kept.first.spread);
            let (branch, drop) = before(index);
            JoinBack { norm, narrow, wide: 0, x, spread, base, dx, branch, drop }
                .launch(gpu, sums, tokens)?;
        }
        Ok(())
    }

    /// The same, where norms stand behind the parts.
    fn backward_behind(&self, pass: Pass<'_>, at: &Buffers, d_normed: u64) -> Result<()> {
        let Pass { gpu, weights, batch, dropout, .. } = pass;
        let (tokens, sums, dx) = (batch.tokens, (weights, &self.sums), at.residual);
        // The gradient of the residual behind a block has two parts: what comes along it, and what the next part sends back.
        let (mut wide, mut narrow) = (0, d_normed);
        if let Some(norm) = &self.last_norm {
            let (x, spread) = (at.last.given, at.last.spread);
            JoinBack { norm, narrow, wide, x, spread, base: 0, dx, branch: 0, drop: Falling::NONE }
                .launch(gpu, sums, tokens)?;
            (wide, narrow) = (dx, 0);
        }
        for (index, (parts, kept)) in self.blocks.iter().zip(&at.blocks).enumerate().rev() {
            let branch = at.d_branch;
            if let Some(norm) = &parts.second {
                let (x, spread, drop) =
                    (kept.second.given, kept.second.spread, Falling::of(dropout, site(index) + 1));
                JoinBack { norm, narrow, wide, x, spread, base: 0, dx, branch, drop }
                    .launch(gpu, sums, tokens)?;
            }
            self.ff_back(pass, at, parts, kept)?;
            (wide, narrow) = (dx, at.d_given);
            let (norm, x, spread) = (&parts.first, kept.first.given, kept.first.spread);
            let drop = Falling::of(dropout, site(index));
            JoinBack { norm, narrow, wide, x, spread, base: 0, dx, branch, drop }
                .launch(gpu, sums, tokens)?;
            self.mix_back(pass, at, parts, kept)?;
        }
        self.widen(pass, narrow, wide, dx)
    }

    /// x plus a branch, f32.
    fn widen(&self, pass: Pass<'_>, narrow: u64, x: u64, sum: u64) -> Result<()> {
        let branches = [Branch { values: narrow, bias: 0, drop: Falling::NONE }, Branch::NONE];
        Join { x, branches, sum, ..Join::NONE }.launch(pass.gpu, pass.batch.tokens)
    }

    /// Writes the gradient of what the feed-forward part was given to `d_given`, from that of its branch.
    fn ff_back(&self, pass: Pass<'_>, at: &Buffers, parts: &Parts, kept: &Kept) -> Result<()> {
        let Pass { gpu, weights, batch, .. } = pass;
        let (tokens, sums) = (batch.tokens, (weights, &self.sums));
        parts.down.backward(gpu, sums, tokens, (kept.inner, at.d_branch), (at.d_inner, false))?;
        parts.activate(pass, kept.up).backward(gpu, at.d_inner, at.d_up)?;
        parts.up.backward(gpu, sums, tokens, (kept.ff_given, at.d_up), (at.d_given, false))
    }

    /// Writes the gradient of what queries, keys and values came from to `d_given`, from that of their branch; where one norm serves both
    /// parts it is added.
    fn mix_back(&self, pass: Pass<'_>, at: &Buffers, parts: &Parts, kept: &Kept) -> Result<()> {
        let Pass { gpu, weights, batch, .. } = pass;
        let (tokens, sums) = (batch.tokens, (weights, &self.sums));
        parts.out.backward(gpu, sums, tokens, (kept.mixed, at.d_branch), (at.d_mixed, false))?;
        let (qkv, out, d_out, log_sums) = (kept.qkv, kept.mixed, at.d_mixed, kept.log_sums);
        let given = Backward { qkv, out, d_out, log_sums, sums: at.sums, d_qkv: at.d_qkv };
        self.attention.backward(gpu, batch, given)?;
        let keep = parts.second.is_none();
        parts.qkv.backward(gpu, sums, tokens, (kept.given, at.d_qkv), (at.d_given, keep))
    }

    /// The address of the gradient of what the last norm gave.
    fn transform_back(&self, pass: Pass<'_>, at: &Buffers) -> Result<u64> {
        let Pass { gpu, weights, batch, .. } = pass;
        let Some((dense, activation, norm)) = &self.transform else { return Ok(at.d_hidden) };
        let (tokens, sums, kept) = (batch.tokens, (weights, &self.sums), at.transform);
        let (x, spread) = (kept.normed.given, kept.normed.spread);
        let (narrow, dx, branch) = (at.d_hidden, at.residual, at.d_branch);
        JoinBack { norm, narrow, wide: 0, x, spread, base: 0, dx, branch, drop: Falling::NONE }
            .launch(gpu, sums, tokens)?;
        self.head_activate(pass, dense, *activation, kept.product).backward(gpu, at.d_branch, at.d_up)?;
        dense.backward(gpu, sums, tokens, (kept.given, at.d_up), (at.d_hidden, false))?;
        Ok(at.d_hidden)
    }

    fn embed_back(&self, pass: Pass<'_>, at: &Buffers) -> Result<()> {
        let Pass { gpu, weights, model, batch, dropout } = pass;
        if dropout.probability > 0.0 {
            let_fall(gpu, batch.tokens * self.widths.width, at.residual, 0, Falling::of(dropout, 0))?;
        }
        if let Some(norm) = &self.embedding_norm {
            let (x, spread, wide, dx) = (at.looked_up.given, at.looked_up.spread, at.residual, at.residual);
            JoinBack { norm, narrow: 0, wide, x, spread, base: 0, dx, branch: 0, drop: Falling::NONE }
                .launch(gpu, (weights, &self.sums), batch.tokens)?;
        }
        let embedding = &model.embedding;
        let tables = [
            Some(&embedding.tokens),
            embedding.positions.as_ref(),
            embedding.languages.as_ref(),
            embedding.segments.as_ref(),
        ];
        for (table, lists) in tables.into_iter().zip(&batch.scatters) {
            let Some(table) = table else { continue };
            scatter(gpu, weights, weights.place(table), lists, at.residual, at.pieces)?;
        }
        Ok(())
    }
}
