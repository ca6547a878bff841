//! Makes the layers of a shape from tensors that a source gives, under the names of its architecture.

use super::init::{Init, Role};
use super::names::Names;
use super::{Block, Mix, Shape, Source, Transform};
use crate::kernel::Real;
use crate::layer::batch_norm::BatchNorm;
use crate::layer::embedding::Embedding;
use crate::layer::experts::Experts;
use crate::layer::feed_forward::{Dense, FeedForward};
use crate::layer::linear::{Linear, Orientation};
use crate::layer::norm::Norm;
use crate::layer::normalisation::Normalisation;
use crate::layer::recurrence::{Recurrence, TAPS};
use crate::parameter::Shared;
use crate::parts::{Activation, Mixer, NormKind, NormPlace};
use candle_core::Result;

/// Λ of fresh recurrences lies evenly between these: decays of 0.999 to 0.9 a token at an open gate (arXiv 2402.19427).
const DECAY: Init = Init::Uniform(-8.99, -4.32);

/// Everything that a model is made of.
pub(super) struct Layers<T> {
    pub(super) embedding: Embedding<T>,
    pub(super) embedding_norm: Option<Normalisation<T>>,
    pub(super) blocks: Vec<Block<T>>,
    pub(super) norm: Option<Normalisation<T>>,
    pub(super) transform: Option<Transform<T>>,
    pub(super) head: Shared<T>,
    pub(super) head_bias: Option<Shared<T>>,
}

/// Makes all layers, in the order of the forward pass.
pub(super) fn layers<T: Real>(shape: &Shape, source: &mut Source<T>) -> Result<Layers<T>> {
    let names = shape.architecture.names();
    let mut build = Build { shape, names, source };
    let mut table = |name: &str, rows: usize| {
        build.source.take(&format!("{name}.weight"), &[rows, shape.width], shape.init_of(Role::Embedding))
    };
    let tokens = table(names.tokens, shape.vocab)?;
    let learned = shape.positions == crate::parts::Positions::Learned;
    let positions = learned.then(|| table(names.positions, shape.context)).transpose()?;
    let segments = (shape.segments > 0).then(|| table(names.segments, shape.segments)).transpose()?;
    let languages = shape.program.languages.len();
    // As `XLMModel` names it.
    let languages = (languages > 0).then(|| table("lang_embeddings", languages)).transpose()?;
    let embedding = Embedding { tokens: tokens.clone(), positions, segments, languages };
    let embedding_norm = shape.embedding_norm.then(|| build.norm(names.embedding_norm)).transpose()?;
    let blocks = (0..shape.layers).map(|layer| build.block(layer)).collect::<Result<_>>()?;
    let last = shape.norm_place == NormPlace::Before;
    let norm = last.then(|| build.norm(names.norm)).transpose()?;
    let transform = shape.head_transform.then(|| build.transform()).transpose()?;
    let head = match shape.tied_head {
        true => tokens,
        false => {
            let name = format!("{}.weight", names.head);
            build.source.take(&name, &[shape.vocab, shape.width], shape.init_of(Role::Head))?
        }
    };
    let bias = |source: &mut Source<T>| source.take(names.head_bias, &[shape.vocab], Init::Zeros);
    let head_bias = shape.head_transform.then(|| bias(build.source)).transpose()?;
    Ok(Layers { embedding, embedding_norm, blocks, norm, transform, head, head_bias })
}

struct Build<'a, T> {
    shape: &'a Shape,
    names: &'a Names,
    source: &'a mut Source<T>,
}

impl<T: Real> Build<'_, T> {
    fn norm(&mut self, name: &str) -> Result<Normalisation<T>> {
        let (width, epsilon) = ([self.shape.width], self.shape.epsilon);
        let gain = self.source.take(&format!("{name}.weight"), &width, Init::Ones)?;
        if self.shape.norm == NormKind::Rms {
            return Ok(Normalisation::Row(Norm::root_mean_square(gain, epsilon)));
        }
        let bias = self.source.take(&format!("{name}.bias"), &width, Init::Zeros)?;
        if self.shape.norm == NormKind::Layer {
            return Ok(Normalisation::Row(Norm::layer(gain, bias, epsilon)));
        }
        let mean = self.source.buffer(&format!("{name}.running_mean"), &width, Init::Zeros)?;
        let variance = self.source.buffer(&format!("{name}.running_var"), &width, Init::Ones)?;
        Ok(Normalisation::Batch(BatchNorm { gain, bias, mean, variance, epsilon }))
    }

    /// Matrices side by side: the name and width of each.
    fn linear(
        &mut self,
        prefix: &str,
        parts: &[(&str, usize)],
        from: usize,
        biases: bool,
        role: Role,
    ) -> Result<Linear<T>> {
        let (orientation, init) = (self.names.orientation, self.shape.init_of(role));
        let mut made = Vec::with_capacity(parts.len());
        for &(part, to) in parts {
            let shape = if orientation == Orientation::OutIn { [to, from] } else { [from, to] };
            let weight = self.source.take(&format!("{prefix}{part}.weight"), &shape, init)?;
            let bias = format!("{prefix}{part}.bias");
            let bias = biases.then(|| self.source.take(&bias, &[to], Init::Zeros)).transpose()?;
            made.push((weight, bias));
        }
        Linear::new(made, orientation)
    }

    fn block(&mut self, layer: usize) -> Result<Block<T>> {
        let (shape, names) = (self.shape, self.names);
        let prefix = format!("{}.{layer}.", names.layers);
        let after = shape.norm_place == NormPlace::After;
        // In the order of the forward pass.
        let before = (!after).then(|| self.norm(&format!("{prefix}{}", names.attention_norm))).transpose()?;
        let (into, mix, out) = match shape.mixers[layer] {
            Mixer::Attention => self.attention(&prefix)?,
            Mixer::Recurrence => self.recurrence(&prefix)?,
        };
        let attention_norm = match before {
            Some(norm) => norm,
            None => self.norm(&format!("{prefix}{}", names.attention_norm))?,
        };
        let ff_norm = |build: &mut Self| build.norm(&format!("{prefix}{}", names.ff_norm));
        let before = (!after && !shape.parallel).then(|| ff_norm(self)).transpose()?;
        let ff = self.feed_forward(&prefix)?;
        let ff_norm = if after { Some(ff_norm(self)?) } else { before };
        Ok(Block { place: shape.norm_place, attention_norm, qkv: into, mix, out, ff_norm, ff })
    }

    fn attention(&mut self, prefix: &str) -> Result<(Linear<T>, Mix<T>, Linear<T>)> {
        let (heads, width, names) = (self.shape.heads, self.shape.width, self.names);
        let (query, key) = (heads.queries * heads.width, heads.keys * heads.width);
        let parts: Vec<(&str, usize)> = match names.qkv {
            [all] => vec![(all, heads.row())],
            parts => parts.iter().copied().zip([query, key, key]).collect(),
        };
        let biases = self.shape.biases;
        let qkv = self.linear(prefix, &parts, width, biases, Role::Inside(width, query))?;
        let out = self.linear(prefix, &[(names.out, width)], query, biases, Role::Residual(query, width))?;
        Ok((qkv, Mix::Attention, out))
    }

    fn recurrence(&mut self, prefix: &str) -> Result<(Linear<T>, Mix<T>, Linear<T>)> {
        let (width, biases) = (self.shape.width, self.shape.biases);
        let (heads, head) = (self.shape.heads.queries, self.shape.heads.width);
        let prefix = format!("{prefix}{}.", self.names.recurrence);
        let inside = Role::Inside(width, width);
        let into = self.linear(&prefix, &[("gate", width), ("value", width)], width, biases, inside)?;
        let mut pair = |name: &str, shape: &[usize], init: Init| -> Result<_> {
            let weight = self.source.take(&format!("{prefix}{name}.weight"), shape, init)?;
            Ok((weight, self.source.take(&format!("{prefix}{name}.bias"), &[width], Init::Zeros)?))
        };
        // One tap of four: the deviation keeps the variance of what goes in.
        let convolution = pair("convolution", &[TAPS, width], Init::Normal(1.0 / (TAPS as f64).sqrt()))?;
        let gates = Init::Normal(1.0 / (head as f64).sqrt());
        let decay_gate = pair("decay_gate", &[heads, head, head], gates)?;
        let input_gate = pair("input_gate", &[heads, head, head], gates)?;
        let decay = self.source.take(&format!("{prefix}decay"), &[width], DECAY)?;
        let out = self.linear(&prefix, &[("out", width)], width, biases, Role::Residual(width, width))?;
        let mix = Recurrence { convolution, decay_gate, input_gate, decay, width, heads };
        Ok((into, Mix::Recurrence(mix), out))
    }

    fn feed_forward(&mut self, prefix: &str) -> Result<FeedForward<T>> {
        let (width, names) = (self.shape.width, self.names);
        let Some(experts) = self.shape.experts else {
            let dense = self.dense(prefix, [names.gate, names.up, names.down])?;
            return Ok(FeedForward::Dense(dense));
        };
        let to = experts.count;
        let router = self.linear(prefix, &[(names.router, to)], width, false, Role::Inside(width, to))?;
        let expert = |at: usize| self.dense(&format!("{prefix}{}.{at}.", names.experts), names.expert);
        let made = (0..experts.count).map(expert).collect::<Result<_>>()?;
        let (active, balance, router_z) = (experts.active, experts.balance, experts.router_z);
        Ok(FeedForward::Experts(Experts { router, experts: made, active, balance, router_z }))
    }

    fn dense(&mut self, prefix: &str, [gate, up, down]: [&str; 3]) -> Result<Dense<T>> {
        let (width, inner, biases) = (self.shape.width, self.shape.ff_width, self.shape.biases);
        let activation = self.shape.activation;
        let both = [(gate, inner), (up, inner)];
        let parts = if activation.is_gated() { &both[..] } else { &both[1..] };
        let up = self.linear(prefix, parts, width, biases, Role::Inside(width, inner))?;
        let down = self.linear(prefix, &[(down, width)], inner, biases, Role::Residual(inner, width))?;
        Ok(Dense { up, activation, down })
    }

    fn transform(&mut self) -> Result<Transform<T>> {
        let (width, [dense, norm]) = (self.shape.width, self.names.transform);
        let dense = self.linear("", &[(dense, width)], width, true, Role::Inside(width, width))?;
        // A gated activation has no place between matrices of one width.
        let activation = match self.shape.activation {
            Activation::SwiGlu => Activation::Silu,
            Activation::GeGlu => Activation::Gelu,
            activation => activation,
        };
        Ok(Transform { dense, activation, norm: self.norm(norm)? })
    }
}
