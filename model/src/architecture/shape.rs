//! Everything that decides the tensors of a model: settings, with the defaults of the architecture where they say nothing.

use super::names::Names;
use super::{bert, falcon, gpt, llama};
use crate::config::{Config, Objective};
use crate::layer::attention::{HeadLayout, Heads};
use crate::objective::Program;
use crate::parts::{Activation, Architecture, InitScheme, Mixer, NormKind, NormPlace, Positions};
use schemas::ConfigValue as _;
use schemas::manifest::Tokens;

/// Everything that decides the tensors of a model and what is computed with them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    /// Names of the tensors; where defaults come from.
    pub(crate) architecture: Architecture,
    pub(crate) layers: usize,
    /// Features of a token between blocks.
    pub(crate) width: usize,
    pub(crate) heads: Heads,
    /// Features inside a feed-forward part, or inside each expert.
    pub(crate) ff_width: usize,
    pub(crate) vocab: usize,
    /// Longest context: tokens of a training sequence.
    pub(crate) context: usize,
    /// Whether the head is the embedding.
    pub(crate) tied_head: bool,
    /// Base of rotary positions.
    pub(crate) rope_base: f64,
    /// Token that ends a document.
    pub(crate) eos: u32,
    pub(crate) positions: Positions,
    pub(crate) norm: NormKind,
    pub(crate) norm_place: NormPlace,
    /// ε of all norms.
    pub(crate) epsilon: f64,
    /// Whether a norm stands behind the embedding.
    pub(crate) embedding_norm: bool,
    /// Rows of a table of segments (BERT's token types), the first of which is added to every token; 0 for none.
    pub(crate) segments: usize,
    pub(crate) activation: Activation,
    /// Whether attention and feed-forward part read one norm and are added together.
    pub(crate) parallel: bool,
    /// Most tokens that a token sees, itself included.
    pub(crate) window: Option<usize>,
    /// A mixture of experts in place of each feed-forward part.
    pub(crate) experts: Option<ExpertShape>,
    /// One a layer.
    pub(crate) mixers: Vec<Mixer>,
    /// Whether the matrices of blocks have biases.
    pub(crate) biases: bool,
    /// Whether the head has a matrix, an activation and a norm before the vocabulary, and a bias behind it (BERT).
    pub(crate) head_transform: bool,
    pub(crate) init: InitScheme,
    /// What it is trained to do.
    pub(crate) program: Program,
}

/// Sizes of a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ExpertShape {
    /// Experts of a layer.
    pub(crate) count: usize,
    /// Experts that each token goes to.
    pub(crate) active: usize,
    /// Weight of the balance loss.
    pub(crate) balance: f64,
    /// Weight of the router's z-loss.
    pub(crate) router_z: f64,
}

/// What an architecture chooses where settings say nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preset {
    pub(crate) positions: Positions,
    pub(crate) norm: NormKind,
    pub(crate) norm_place: NormPlace,
    pub(crate) epsilon: f64,
    pub(crate) embedding_norm: bool,
    pub(crate) segments: usize,
    pub(crate) activation: Activation,
    pub(crate) parallel: bool,
    pub(crate) biases: bool,
    pub(crate) head_transform: bool,
    /// One key head for all queries.
    pub(crate) multi_query: bool,
    pub(crate) head_layout: HeadLayout,
}

impl Architecture {
    /// Its defaults.
    pub(crate) const fn preset(self) -> &'static Preset {
        match self {
            Self::Llama => &llama::PRESET,
            Self::Gpt => &gpt::PRESET,
            Self::Falcon => &falcon::PRESET,
            Self::Bert => &bert::PRESET,
        }
    }

    /// What a checkpoint calls its tensors.
    pub(crate) const fn names(self) -> &'static Names {
        match self {
            Self::Llama => &llama::NAMES,
            Self::Gpt => &gpt::NAMES,
            Self::Falcon => &falcon::NAMES,
            Self::Bert => &bert::NAMES,
        }
    }
}

/// Settings that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Keys that could be changed, the likeliest first.
    pub(crate) keys: &'static [&'static str],
    /// What does not fit, with the numbers.
    pub(crate) message: String,
    /// What would fit.
    pub(crate) help: &'static str,
}

impl Shape {
    /// The shape that settings describe, over the tokens of a dataset.
    ///
    /// # Errors
    /// Keys that do not fit together, with the numbers.
    pub(crate) fn of(config: &Config, tokens: &Tokens) -> Result<Self, Misfit> {
        let preset = config.architecture.preset();
        let positions = config.positions.unwrap_or(preset.positions);
        let heads = heads(config, preset, positions)?;
        let activation = config.activation.unwrap_or(preset.activation);
        let ff_width = match config.ff_width {
            0 if activation.is_gated() => (8 * config.width).div_ceil(3).next_multiple_of(32),
            0 => 4 * config.width,
            width => width,
        };
        let layers = size(config.layers);
        let norm_place = config.norm_place.unwrap_or(preset.norm_place);
        let parallel = config.parallel.unwrap_or(preset.parallel);
        fits_parts(parallel, norm_place)?;
        let mixers = mixers(config, layers)?;
        fits_objective(config.objective, config.window.map(size), &mixers)?;
        Ok(Self {
            architecture: config.architecture,
            layers,
            width: size(config.width),
            heads,
            ff_width: size(ff_width),
            vocab: size(tokens.vocab_size),
            context: size(tokens.sequence_length),
            tied_head: config.tied_head,
            rope_base: config.rope_base,
            eos: tokens.eos_id,
            positions,
            norm: config.norm.unwrap_or(preset.norm),
            norm_place,
            epsilon: preset.epsilon,
            // An embedding near 0 does nothing before it is normed.
            embedding_norm: config
                .embedding_norm
                .unwrap_or(preset.embedding_norm || config.init == InitScheme::Small),
            segments: preset.segments,
            activation,
            parallel,
            window: config.window.map(size),
            experts: experts(config)?,
            mixers,
            biases: config.biases.unwrap_or(preset.biases),
            head_transform: preset.head_transform,
            init: config.init,
            program: Program::causal(tokens.eos_id, u32::try_from(tokens.vocab_size).unwrap_or(u32::MAX)),
        })
    }

    /// Whether some layer is a recurrence.
    pub(crate) fn is_recurrent(&self) -> bool {
        self.mixers.contains(&Mixer::Recurrence)
    }
}

fn size(n: u64) -> usize {
    usize::try_from(n).expect("ranges keep sizes within an address space")
}

/// Whether the parts of a block can stand as they are to.
pub(super) fn fits_parts(parallel: bool, norm_place: NormPlace) -> Result<(), Misfit> {
    if parallel && norm_place == NormPlace::After {
        return Err(Misfit {
            keys: &["parallel", "norm_place"],
            message: "`parallel` = true with `norm_place` = \"after\": the parts share the norm before them"
                .to_owned(),
            help: "set `norm_place = \"before\"` or `parallel = false`",
        });
    }
    Ok(())
}

/// Whether the parts can see what the objective lets them see.
pub(super) fn fits_objective(
    objective: Objective,
    window: Option<usize>,
    mixers: &[Mixer],
) -> Result<(), Misfit> {
    let name = objective.show();
    if mixers.contains(&Mixer::Recurrence) && !objective.is_next_token() {
        return Err(Misfit {
            keys: &["mixers", "objective", "preset"],
            message: format!(
                "`objective` = {name} with a recurrence, which sees what stands before it and nothing else"
            ),
            help: "leave `mixers` unset, or take `objective = \"causal\"`",
        });
    }
    if window.is_some() && objective == Objective::Permutation {
        return Err(Misfit {
            keys: &["window", "objective", "preset"],
            message: format!(
                "`objective` = {name} with a `window`: its query tokens stand behind the text, far from what they see"
            ),
            help: "leave `window` unset",
        });
    }
    Ok(())
}

fn heads(config: &Config, preset: &Preset, positions: Positions) -> Result<Heads, Misfit> {
    let wrong = |message: String| Misfit {
        keys: &["kv_heads", "heads", "width"],
        message,
        help: "`heads` divides `width`, and `kv_heads` divides `heads`",
    };
    let keys = match config.kv_heads {
        0 if preset.multi_query => 1,
        0 => config.heads,
        keys => keys,
    };
    let (width, queries) = (config.width, config.heads);
    if !width.is_multiple_of(queries) {
        return Err(wrong(format!("`heads` = {queries} does not divide `width` = {width}")));
    }
    if !queries.is_multiple_of(keys) {
        return Err(wrong(format!("`kv_heads` = {keys} does not divide `heads` = {queries}")));
    }
    let head = width / queries;
    if positions == Positions::Rotary && !head.is_multiple_of(2) {
        return Err(Misfit {
            help: "`width` ÷ `heads` is even, or `positions` is another than `rotary`",
            ..wrong(format!("`width` ÷ `heads` = {head} is odd; rotary positions need pairs"))
        });
    }
    Ok(Heads { layout: preset.head_layout, ..Heads::new(size(queries), size(keys), size(head)) })
}

fn experts(config: &Config) -> Result<Option<ExpertShape>, Misfit> {
    let Some(count) = config.experts else { return Ok(None) };
    let active = config.experts_active;
    if active > count {
        return Err(Misfit {
            keys: &["experts_active", "experts"],
            message: format!("`experts_active` = {active} is more than `experts` = {count}"),
            help: "each token goes to `experts_active` of the `experts`",
        });
    }
    let (balance, router_z) = (config.experts_balance, config.experts_z);
    Ok(Some(ExpertShape { count: size(count), active: size(active), balance, router_z }))
}

fn mixers(config: &Config, layers: usize) -> Result<Vec<Mixer>, Misfit> {
    Mixer::pattern(config.mixers.as_deref().unwrap_or("a"), layers).map_err(|message| Misfit {
        keys: &["mixers"],
        message,
        help: "a pattern that is repeated over the layers, as `rra`: two recurrences, then attention",
    })
}
