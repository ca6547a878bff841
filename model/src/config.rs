//! The settings of a training: the keys of `[train]` in a recipe.
//!
//! The defaults make a LLaMA-shaped model of about three million parameters, which two CPU cores train in minutes.

use crate::architecture::{Misfit, Shape};
use crate::error::TrainError;
pub use crate::parts::{Activation, Architecture, InitScheme, NormKind, NormPlace, Positions};
use crate::presets::{self, Preset};
use schemas::manifest::Tokens;
use schemas::{FilePath, Key, KeyError, Settings, choice, config};

choice! {
    /// What turns gradients into steps.
    pub enum OptimizerKind {
        /// AdamW for every tensor.
        AdamW = "adamw",
        /// Muon for the matrices between features, AdamW for embeddings, head, gains and biases.
        Muon = "muon",
    }
}

choice! {
    /// Tensors that `weight_decay` and `l1` draw to 0.
    pub enum DecayOn {
        /// Matrices, embeddings and head included; neither gains nor biases.
        Matrices = "matrices",
        /// Matrices without embeddings and head.
        Hidden = "hidden",
        /// Every tensor.
        All = "all",
    }
}

choice! {
    /// The way of the learning rate after the warm-up.
    pub enum ScheduleKind {
        /// Half a cosine down to the least rate.
        Cosine = "cosine",
        /// A line down to the least rate.
        Linear = "linear",
        /// Constant, then down over the last `decay_fraction` of all steps.
        Wsd = "wsd",
        /// Constant to the end.
        Constant = "constant",
    }
}

choice! {
    /// The way down at the end of `wsd`.
    pub enum DecayShape {
        /// A line.
        Linear = "linear",
        /// Half a cosine.
        Cosine = "cosine",
        /// 1 − √progress: steep at first (arXiv 2405.18392).
        Sqrt = "sqrt",
    }
}

choice! {
    /// How first values and learning rates follow the width.
    pub enum ParametrizationKind {
        /// They do not.
        Standard = "standard",
        /// muP (arXiv 2203.03466): the best learning rate is that of `base_width`.
        Mup = "mup",
    }
}

choice! {
    /// What a model is trained to do.
    pub enum Objective {
        /// Predicts each next token (GPT-3, LLaMA, LaMDA).
        Causal = "causal",
        /// Predicts tokens that were hidden in a text (BERT).
        Masked = "masked",
        /// Predicts the last tokens of a random order from those before them, in two streams (XLNet).
        Permutation = "permutation",
        /// Predicts what follows a prefix that is seen as a whole (T5's prefix LM).
        Prefix = "prefix",
        /// Predicts hidden tokens under masks of four kinds: both sides, left, right, source and target (UniLM).
        Unified = "unified",
        /// Predicts hidden tokens of texts in many languages, and of pairs of translations (XLM).
        Translation = "translation",
    }
}

config! {
    /// Settings of a training.
    pub struct Config {
        /// A published model at a small size, whose settings hold where no others are given.
        preset: Preset = Preset::None;
        /// Shape of the model: the defaults of its parts, and the names of the tensors in its folder.
        architecture: Architecture = Architecture::Llama;
        /// Transformer blocks.
        layers: u64 = 4, in 1..=1000;
        /// Features of a token between blocks.
        width: u64 = 192, in 8..=65_536;
        /// Query heads; divides `width`.
        heads: u64 = 4, in 1..=1024;
        /// Key and value heads; divides `heads`; 0 means as many as `heads`, or one for `falcon`.
        kv_heads: u64 = 0, in 0..=1024;
        /// Features inside a feed-forward part, or inside each expert; 0 means 4 × width, or 8/3 × width, rounded up to a multiple of 32, where the activation is gated.
        ff_width: u64 = 0, in 0..=1_000_000;
        /// Whether the output head is the embedding matrix.
        tied_head: bool = true;
        /// How the model knows the order of tokens; unset means as the architecture, also for the keys up to `biases`.
        positions: Option<Positions> = None;
        /// Base of rotary positions.
        rope_base: f64 = 10_000.0, in 1.0..=1e9;
        /// Kind of norm. Batch norm takes its statistics over all tokens of a micro-batch while it trains, so that documents see each other there.
        norm: Option<NormKind> = None;
        /// Whether norms stand before the parts of a block or behind them.
        norm_place: Option<NormPlace> = None;
        /// Whether a norm stands behind the embedding.
        embedding_norm: Option<bool> = None;
        /// Function between the two matrices of a feed-forward part; the gated ones take a third matrix.
        activation: Option<Activation> = None;
        /// Whether attention and feed-forward part of a block read one norm and are added together (GPT-J, Falcon).
        parallel: Option<bool> = None;
        /// Whether the matrices of blocks have biases.
        biases: Option<bool> = None;
        /// Most tokens that a token attends to, itself included (a sliding window); unset means all of its document before it.
        window: Option<u64> = None, in Some(1)..=Some(1_000_000_000);
        /// What mixes the tokens of each layer, as a pattern that is repeated: `a` attention, `r` a gated linear recurrence, `rra` two recurrences before each attention; unset means attention everywhere.
        mixers: Option<String> = None;
        /// Experts in place of each feed-forward part; unset means one network for all tokens.
        experts: Option<u64> = None, in Some(1)..=Some(1024);
        /// Experts that each token goes to.
        experts_active: u64 = 2, in 1..=1024;
        /// Weight of the loss that spreads tokens over experts (arXiv 2101.03961).
        experts_balance: f64 = 0.01, in 0.0..=100.0;
        /// Weight of the loss that keeps the logits of routers small (arXiv 2202.08906).
        experts_z: f64 = 0.001, in 0.0..=100.0;
        /// How fresh matrices are drawn.
        init: InitScheme = InitScheme::Gpt2;
        /// What the model learns to predict, and from what.
        objective: Objective = Objective::Causal;
        /// Share of tokens that are hidden and predicted (`masked`, `unified`, `translation`; BERT, arXiv 1810.04805).
        mask_probability: f64 = 0.15, in 0.01..=0.9;
        /// Share of a piece that ends its random order and is predicted (`permutation`; 1/K with K = 6, XLNet, arXiv 1906.08237).
        predicted_share: f64 = 0.167, in 0.01..=0.9;
        /// Probability that a feature is dropped after the embedding and after each part of a block.
        dropout: f64 = 0.0, in 0.0..=0.9;
        /// Sequences of a micro-batch.
        batch_sequences: u64 = 8, in 1..=65_536;
        /// Micro-batches of a step; the gradient is that of one batch of all of them, but that the balance of experts, the statistics of batch norm and the draws of dropout are those of each micro-batch.
        accumulate: u64 = 1, in 1..=65_536;
        /// Activation checkpointing: the residual is kept every so many blocks and what lies between is computed again in the backward pass,
        /// to the same bits with less memory; 0 keeps everything.
        recompute: u64 = 0, in 0..=1000;
        /// Memory that the training may use, in MiB; 0 means all that the machine or its control group has. What needs more is refused.
        memory_mib: u64 = 0, in 0..=1_000_000_000;
        /// Optimizer steps; with `seconds_max` the most of them.
        steps: u64 = 500, in 1..=100_000_000;
        /// Time budget in seconds, 0 for none: the first steps are timed and `steps` is lowered to what fits, once.
        seconds_max: f64 = 0.0, in 0.0..=1e9;
        /// Learning rate after the warm-up.
        learning_rate: f64 = 0.003, in 0.0..=10.0;
        /// Learning rate of the last step, but for `constant`; unset means a tenth of `learning_rate`.
        learning_rate_min: Option<f64> = None, in Some(0.0)..=Some(10.0);
        /// Way of the learning rate after the warm-up.
        schedule: ScheduleKind = ScheduleKind::Cosine;
        /// Part of all steps in which the rate of `wsd` falls (arXiv 2405.18392: a fifth is as good as a cosine).
        decay_fraction: f64 = 0.2, in 0.0..=1.0;
        /// Way down of `wsd`.
        decay_shape: DecayShape = DecayShape::Linear;
        /// Steps in which the learning rate rises from 0; unset means 50, or a tenth of all steps where that is less.
        warmup_steps: Option<u64> = None, in Some(0)..=Some(10_000_000);
        /// How first values and learning rates follow the width.
        parametrization: ParametrizationKind = ParametrizationKind::Standard;
        /// Width at which `mup` and `standard` are the same: that of the model whose settings were tuned.
        base_width: u64 = 192, in 8..=65_536;
        /// Features of a head at `base_width`, from where on scores of attention fall with 1 ÷ d instead of 1 ÷ √d; 0 means as many as here.
        base_head_width: u64 = 0, in 0..=65_536;
        /// What turns gradients into steps; both share the learning rate and the weight decay (arXiv 2502.16982).
        optimizer: OptimizerKind = OptimizerKind::AdamW;
        /// Weight decay, apart from the gradient (AdamW, arXiv 1711.05101).
        weight_decay: f64 = 0.1, in 0.0..=10.0;
        /// L1 decay: each step draws numbers to 0 by the learning rate times this, and no further.
        l1: f64 = 0.0, in 0.0..=10.0;
        /// Tensors that both decays apply to.
        decay_on: DecayOn = DecayOn::Matrices;
        /// Decay of the momentum of `muon`.
        momentum: f64 = 0.95, in 0.0..=0.9999;
        /// Decay of the mean of gradients.
        beta1: f64 = 0.9, in 0.0..=0.9999;
        /// Decay of the mean of squared gradients.
        beta2: f64 = 0.95, in 0.0..=0.999_999;
        /// Added to the root of the mean of squared gradients.
        epsilon: f64 = 1e-8, in 1e-16..=1.0;
        /// Label smoothing: this part of the target's probability goes to all tokens alike (arXiv 1512.00567).
        label_smoothing: f64 = 0.0, in 0.0..=1.0;
        /// z-loss: weight of the squared logarithm of the softmax's sum, which keeps logits small (PaLM, arXiv 2204.02311: 1e-4).
        z_loss: f64 = 0.0, in 0.0..=10.0;
        /// The gradient of all parameters is scaled down to this norm; 0 turns it off.
        clip_norm: f64 = 1.0, in 0.0..=1e9;
        /// A model folder to go on from: its tensors in place of drawn ones, with the same shape and tokenizer.
        init_from: FilePath = FilePath::default();
        /// A step whose loss exceeds the median of the last 64 steps by this factor, by ten deviations and by one nat, or the least of
        /// them twice and by five nats (from the second step on), stops the training and names its documents; 0 turns it off.
        spike_factor: f64 = 1.5, in 0.0..=1e9;
        /// Seed of everything random: first values, order of sequences, dropout.
        seed: u64 = 0;
        /// Held-out loss every so many steps; 0 means at the end only.
        eval_every: u64 = 100, in 0..=100_000_000;
        /// Held-out sequences of such an evaluation; 0 means all. The last evaluation takes all.
        eval_sequences: u64 = 64, in 0..=100_000_000;
        /// A checkpoint every so many steps; 0 means at the end only.
        checkpoint_every: u64 = 100, in 0..=100_000_000;
        /// Checkpoints that stay, the newest ones.
        checkpoints_keep: u64 = 2, in 1..=1_000_000;
    }
}

/// Every mistake in the settings of a training, keys that do not fit together included.
pub fn check(settings: &Settings) -> Vec<KeyError> {
    let config = match presets::read(settings) {
        Ok(config) => config,
        Err(errors) => return errors,
    };
    // The shape of the vocabulary changes nothing about how the keys fit.
    let tokens = Tokens {
        folder: "tokens".into(),
        sequence_length: 1,
        vocab_size: 1,
        eos_id: 0,
        train: 1,
        validation: 0,
        tokenizer: String::new(),
    };
    let Err(Misfit { keys, message, help }) = Shape::of(&config, &tokens) else { return Vec::new() };
    let set = |key: &&&str| settings.pairs().iter().any(|(name, _)| name == *key);
    let key = keys.iter().find(set).copied().unwrap_or("architecture");
    vec![KeyError { key: key.to_owned(), message, help: Some(help.to_owned()) }]
}

impl Config {
    /// Every key with type, default, range and meaning.
    pub const KEYS: &'static [Key] = <Self as schemas::Config>::KEYS;

    /// Learning rate of the last step.
    pub(crate) fn least_rate(&self) -> f64 {
        self.learning_rate_min.unwrap_or(self.learning_rate / 10.0)
    }

    /// The shape of the model over the tokens of a dataset, but for what [`Shape::with`] adds for an objective.
    ///
    /// # Errors
    /// Keys that do not fit together, with the numbers.
    pub(crate) fn shape(&self, tokens: &Tokens) -> Result<Shape, TrainError> {
        Shape::of(self, tokens).map_err(|misfit| TrainError::Config { message: misfit.message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens {
            folder: "tokens".into(),
            sequence_length: 64,
            vocab_size: 300,
            eos_id: 0,
            train: 1,
            validation: 1,
            tokenizer: String::new(),
        }
    }

    fn check(change: impl FnOnce(&mut Config), expected: &str) {
        let mut config = Config::default();
        change(&mut config);
        let found = match config.shape(&tokens()) {
            Ok(shape) => format!("{} {}", shape.heads.keys, shape.ff_width),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn keys_that_do_not_fit_are_told_with_their_numbers() {
        check(|_| {}, "4 512");
        check(|c| c.architecture = Architecture::Gpt, "4 768");
        check(|c| c.kv_heads = 2, "2 512");
        check(|c| c.architecture = Architecture::Falcon, "1 768");
        check(|c| c.activation = Some(Activation::Relu2), "4 768");
        check(|c| c.heads = 5, "`heads` = 5 does not divide `width` = 192");
        check(|c| c.kv_heads = 3, "`kv_heads` = 3 does not divide `heads` = 4");
        let nine_of_eight = |c: &mut Config| (c.experts, c.experts_active) = (Some(8), 9);
        check(nine_of_eight, "`experts_active` = 9 is more than `experts` = 8");
        check(
            |c| c.mixers = Some("ab".into()),
            "`mixers` has the letter `b`; `a` is attention, `r` a recurrence",
        );
        let side_by_side = |c: &mut Config| (c.architecture, c.parallel) = (Architecture::Bert, Some(true));
        let message = "`parallel` = true with `norm_place` = \"after\": the parts share the norm before them";
        check(side_by_side, message);
        check(|c| c.heads = 64, "`width` ÷ `heads` = 3 is odd; rotary positions need pairs");
    }
}
