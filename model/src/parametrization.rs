//! muP: a parametrisation in which the best learning rate does not depend on the width (arXiv 2203.03466, table 8).
//!
//! With m = width ÷ `base_width`, and d ÷ d₀ as much for the features of a head:
//! ```text
//!                       begins       learns (AdamW)   learns (Muon)   multiplied by
//! embeddings, vectors   as ever      η                η               1
//! hidden matrices       ÷ √m         η ÷ m            η ÷ √m          1
//! logits                as ever      η                η               1 ÷ m
//! scores of attention                                                 1 ÷ d, as 1 ÷ √d at d₀
//! ```
//! A model that trains so stays a plain model, which every tool reads: a multiplier θ of a tensor is the same as a tensor that begins
//! θ times as large and learns θ times as fast, since steps of AdamW and Muon do not depend on the size of the gradient (the paper's
//! lemma J.1; up to ε). So the multiplier of the logits goes to the last norm, whose output every logit is a product with, and that of
//! the scores to queries and keys: queries, keys and values take its root each, and the matrix behind the attention gives the values'
//! share back. The norm that clipping looks at is that of the gradients before they are moved so.

use crate::architecture::{Mix, Transformer};
use crate::config::{Config, OptimizerKind, ParametrizationKind};
use crate::layer::linear::Linear;
use crate::layer::normalisation::Normalisation;
use crate::optimizer::Role;
use crate::parameter::Shared;
use crate::parts::InitScheme;
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// What a tensor is multiplied by, against the standard parametrisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factors {
    /// First values, beside `multiplier`.
    pub(crate) begin: f64,
    /// Learning rate, beside `multiplier`.
    pub(crate) rate: f64,
    /// Multiplier that the tensor stands for: of its values, and so of its steps.
    pub(crate) multiplier: f64,
}

/// Nothing changes.
pub(crate) const STANDARD: Factors = Factors { begin: 1.0, rate: 1.0, multiplier: 1.0 };

/// The factors of every tensor of a model, in the order of its parameters.
pub(crate) fn factors(model: &Transformer<f32>, config: &Config) -> Vec<Factors> {
    if config.parametrization == ParametrizationKind::Standard {
        return vec![STANDARD; model.parameters.len()];
    }
    let wider = model.shape.width as f64 / config.base_width as f64;
    let head = match config.base_head_width {
        0 => 1.0,
        base => base as f64 / model.shape.heads.width as f64,
    };
    // θ⁴ = d₀ ÷ d: scores are products of queries and keys, and √d is in them already.
    let root = head.powf(0.25);
    let of_tensor = |parameter: &Shared<f32>| match (model.role(parameter), parameter.value().rank()) {
        (Role::Hidden, 2) => of_matrix(wider, config),
        // The gates of a recurrence: a matrix a head, which begins by the features of a head at any width.
        (Role::Hidden, _) => Factors { begin: 1.0, ..of_matrix(1.0 / head, config) },
        _ => STANDARD,
    };
    let mut found: Vec<Factors> = model.parameters.iter().map(of_tensor).collect();
    let mut multiply = |parameter: &Shared<f32>, by: f64| {
        let at = model.parameters.iter().position(|other| Arc::ptr_eq(other, parameter));
        found[at.expect("a model lists its parameters")].multiplier *= by;
    };
    for block in model.blocks.iter().filter(|block| matches!(block.mix, Mix::Attention)) {
        weights_and_biases(&block.qkv).for_each(|parameter| multiply(parameter, root));
        block.out.parameters().for_each(|(weight, _)| multiply(weight, 1.0 / root));
    }
    last_norm(model).for_each(|parameter| multiply(parameter, 1.0 / wider));
    found
}

/// Gain and bias of the norm that alone decides what the head is given.
fn last_norm(model: &Transformer<f32>) -> impl Iterator<Item = &Shared<f32>> {
    let of_blocks = || model.blocks.last().and_then(|block| block.ff_norm.as_ref());
    let norm = model.transform.as_ref().map(|transform| &transform.norm).or(model.norm.as_ref());
    norm.or_else(of_blocks).into_iter().flat_map(Normalisation::parameters)
}

fn weights_and_biases(linear: &Linear<f32>) -> impl Iterator<Item = &Shared<f32>> {
    linear.parameters().flat_map(|(weight, bias)| std::iter::once(weight).chain(bias))
}

fn of_matrix(wider: f64, config: &Config) -> Factors {
    let begin = match config.init {
        InitScheme::Gpt2 | InitScheme::Truncated => 1.0 / wider.sqrt(),
        // These follow the width by themselves.
        InitScheme::Xavier | InitScheme::Small => 1.0,
    };
    let rate = match config.optimizer {
        OptimizerKind::AdamW => 1.0 / wider,
        // Its step is 0.2·√width times an orthogonal matrix, which is √width times too much.
        OptimizerKind::Muon => 1.0 / wider.sqrt(),
    };
    Factors { begin, rate, multiplier: 1.0 }
}

/// Turns the fresh values of a model into those that muP begins with.
pub(crate) fn begin(model: &Transformer<f32>, config: &Config) -> Result<()> {
    for (parameter, factors) in model.parameters.iter().zip(factors(model, config)) {
        let by = factors.begin * factors.multiplier;
        if by != 1.0 {
            let values: Vec<f32> =
                parameter.read(|x| x.iter().map(|x| (f64::from(*x) * by) as f32).collect())?;
            let value = parameter.value();
            value.set(&Tensor::from_vec(values, value.shape(), value.device())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::tests::{compositions, model, small};

    fn mup(architecture: Architecture, width: u64) -> Config {
        Config {
            parametrization: ParametrizationKind::Mup,
            base_width: 16,
            width,
            heads: width / 4,
            kv_heads: 0,
            ..small(architecture)
        }
    }

    #[test]
    fn at_the_base_width_nothing_changes() {
        for (name, config) in compositions() {
            let base_head_width = 16 / config.heads;
            let parametrization = ParametrizationKind::Mup;
            let config = Config { base_head_width, parametrization, base_width: 16, ..config };
            let found = factors(&model(&config, 9), &config);
            assert!(found.iter().all(|f| *f == STANDARD), "{name}: {found:?}");
        }
    }

    #[test]
    fn tensors_have_the_factors_of_their_kind() {
        let check = |config: &Config, expected: &[(&str, [f64; 3])]| {
            let model = model(config, 9);
            let found = factors(&model, config);
            for (name, expected) in expected {
                let at = model.parameters.iter().position(|p| p.name() == *name).expect(name);
                let Factors { begin, rate, multiplier } = found[at];
                let near = [begin, rate, multiplier].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
                assert!(near, "{name}: {:?}", found[at]);
            }
        };
        let (hidden, plain) = ([0.5, 0.25, 1.0], [1.0; 3]);
        let config = mup(Architecture::Llama, 64);
        check(
            &config,
            &[
                ("model.embed_tokens.weight", plain),
                ("model.layers.0.self_attn.q_proj.weight", hidden),
                ("model.layers.1.mlp.down_proj.weight", hidden),
                ("model.layers.0.input_layernorm.weight", plain),
                ("model.norm.weight", [1.0, 1.0, 0.25]),
            ],
        );
        // Heads as many as at the base width, so sixteen times as wide as 4 ÷ 4 = 1.
        let config = Config { heads: 4, base_head_width: 1, tied_head: false, ..mup(Architecture::Gpt, 64) };
        check(
            &config,
            &[
                ("transformer.wpe.weight", plain),
                ("lm_head.weight", plain),
                ("transformer.h.0.attn.c_attn.weight", [0.5, 0.25, 0.5]),
                ("transformer.h.0.attn.c_attn.bias", [1.0, 1.0, 0.5]),
                ("transformer.h.0.attn.c_proj.weight", [0.5, 0.25, 2.0]),
                ("transformer.h.0.attn.c_proj.bias", plain),
                ("transformer.ln_f.weight", [1.0, 1.0, 0.25]),
                ("transformer.ln_f.bias", [1.0, 1.0, 0.25]),
            ],
        );
        let recurrent = Config { mixers: Some("ar".into()), ..mup(Architecture::Llama, 64) };
        check(
            &recurrent,
            &[
                ("model.layers.1.recurrence.gate.weight", hidden),
                ("model.layers.1.recurrence.convolution.weight", plain),
                ("model.layers.1.recurrence.decay_gate.weight", plain),
            ],
        );
        check(
            &mup(Architecture::Bert, 64),
            &[
                ("cls.predictions.transform.dense.weight", hidden),
                ("cls.predictions.transform.LayerNorm.weight", [1.0, 1.0, 0.25]),
                ("cls.predictions.bias", plain),
            ],
        );
        let xavier = Config { init: InitScheme::Xavier, ..config.clone() };
        check(&xavier, &[("transformer.h.0.mlp.c_fc.weight", [1.0, 0.25, 1.0])]);
        let config = Config { optimizer: OptimizerKind::Muon, ..config };
        check(&config, &[("transformer.h.1.mlp.c_fc.weight", [0.5, 0.5, 1.0])]);
    }
}
