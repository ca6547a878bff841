//! The model that a training begins with: of its settings, or one to go on from, `init_from`.

use crate::align::adapter;
use crate::architecture::{ExpertShape, Shape, Source, Tensors, Transformer};
use crate::config::Config;
use crate::data::Dataset;
use crate::error::TrainError;
use crate::folder;
use crate::objective::Program;
use crate::objective::cross_entropy::Terms;
use crate::parametrization;
use schemas::ConfigValue as _;
use schemas::manifest::TOKENIZER;
use std::path::Path;

impl Transformer<f32> {
    /// The model of a training by `config` on a dataset: of its shape and objective, begun as its parametrisation says where tensors are drawn,
    /// with the terms of its loss and what is computed again.
    ///
    /// # Errors
    /// Settings that do not fit together or to the dataset, and tensors that do not fit them.
    pub(crate) fn of(config: &Config, dataset: &Dataset, source: Source<f32>) -> Result<Self, TrainError> {
        let is_drawn = source.is_drawn();
        let mut model = Self::new(shape(config, dataset)?, source)?;
        if is_drawn {
            parametrization::begin(&model, config)?;
        }
        model.recompute = usize::try_from(config.recompute).unwrap_or(usize::MAX);
        model.terms = Terms { smoothing: config.label_smoothing, z: config.z_loss };
        Ok(model)
    }
}

/// The shape of that model.
pub(crate) fn shape(config: &Config, dataset: &Dataset) -> Result<Shape, TrainError> {
    Ok(config.shape(&dataset.tokens)?.with(Program::open(config, dataset)?))
}

/// Hexadecimal blake3 of the tensors that a training goes on from; `None` where it begins with drawn ones.
pub(crate) fn hash(config: &Config) -> Result<Option<String>, TrainError> {
    if config.init_from.is_empty() {
        return Ok(None);
    }
    let from = &config.init_from.0;
    if adapter::is_adapter(from) {
        return adapter::hash(from).map(Some);
    }
    let mut hasher = blake3::Hasher::new();
    for path in folder::weight_files(from)? {
        hasher.update(&std::fs::read(&path).map_err(TrainError::io(&path))?);
    }
    Ok(Some(hasher.finalize().to_hex().to_string()))
}

/// Refuses a beginning that cannot be, before anything is written: settings that fit no model, and a model to go on from that is not there, is
/// damaged, does not fit, or lies in `out`, which is for the new one.
pub(crate) fn check(dataset: &Dataset, out: &Path, config: &Config) -> Result<(), TrainError> {
    let shape = shape(config, dataset)?;
    let from = &config.init_from.0;
    if config.init_from.is_empty() {
        return Ok(());
    }
    let refused =
        |told: &str| Err(TrainError::Config { message: format!("`init_from`: {}: {told}", from.display()) });
    match (from.exists(), from.join(folder::CONFIG).is_file()) {
        (false, _) => return refused("there is no such folder"),
        (_, false) => return refused("holds no trained model"),
        _ => {}
    }
    if adapter::over(from, out)?.is_some() {
        return refused(
            "is the folder of the new training, or an adapter of the model there; write to another one",
        );
    }
    tensors(from, &shape, dataset).map(drop)
}

/// The tensors of the model in `folder`, which must have the shape that the settings say and the tokenizer of the dataset.
///
/// The context may be another where positions have no tensor.
/// # Errors
/// `OtherModel` with every difference; a file of the model is missing or damaged.
pub(crate) fn tensors(path: &Path, shape: &Shape, dataset: &Dataset) -> Result<Tensors<f32>, TrainError> {
    let model = folder::load(path)?;
    let mut differences = differences(&model.shape, shape);
    let tokenizer = path.join(TOKENIZER);
    let bytes = std::fs::read(&tokenizer).map_err(TrainError::io(&tokenizer))?;
    let (theirs, ours) = (blake3::hash(&bytes).to_hex().to_string(), &dataset.tokens.tokenizer);
    if theirs != *ours {
        let short = |hash: &str| hash.get(..8).unwrap_or(hash).to_owned();
        let message = format!(
            "its tokenizer is {}, that of the dataset {}: build the dataset with `tokenizer.json` of the model",
            short(&theirs),
            short(ours)
        );
        differences.push(message);
    }
    if differences.is_empty() {
        return folder::named(&model);
    }
    Err(TrainError::OtherModel { path: path.to_owned(), differences })
}

/// In what the shape of a model differs from the one that settings say, by their keys.
fn differences(model: &Shape, settings: &Shape) -> Vec<String> {
    let unset = || "unset".to_owned();
    let keys = |shape: &Shape| {
        [
            ("architecture", shape.architecture.show()),
            ("layers", shape.layers.to_string()),
            ("width", shape.width.to_string()),
            ("heads", shape.heads.queries.to_string()),
            ("kv_heads", shape.heads.keys.to_string()),
            ("ff_width", shape.ff_width.to_string()),
            ("tied_head", shape.tied_head.to_string()),
            ("positions", shape.positions.show()),
            ("norm", shape.norm.show()),
            ("activation", shape.activation.show()),
            ("parallel", shape.parallel.to_string()),
            ("biases", shape.biases.to_string()),
            ("rope_base", shape.rope_base.to_string()),
            ("norm_place", shape.norm_place.show()),
            ("embedding_norm", shape.embedding_norm.to_string()),
            ("window", shape.window.map_or_else(unset, |window| window.to_string())),
            ("mixers", shape.mixers.iter().map(|mixer| mixer.letter()).collect()),
            ("experts", shape.experts.map_or_else(unset, |experts| experts.count.to_string())),
            ("experts_active", shape.experts.map_or_else(unset, |experts| experts.active.to_string())),
            ("vocab_size of the tokenizer", shape.vocab.to_string()),
            ("end-of-document token", shape.eos.to_string()),
            ("epsilon of the norms", shape.epsilon.to_string()),
            ("token types", shape.segments.to_string()),
        ]
    };
    let pairs = keys(model).into_iter().zip(keys(settings)).filter(|(model, settings)| model.1 != settings.1);
    let mut found: Vec<String> =
        pairs.map(|((key, theirs), (_, ours))| format!("`{key}` is {theirs} there, {ours} here")).collect();
    // How tensors were drawn, what experts add to the loss and what the model learns to do change no tensor that is taken over.
    let weights = |experts: ExpertShape| match settings.experts {
        Some(ExpertShape { balance, router_z, .. }) => ExpertShape { balance, router_z, ..experts },
        None => experts,
    };
    let experts = model.experts.map(weights);
    let (context, init, program) = (settings.context, settings.init, settings.program.clone());
    let alike = Shape { context, init, experts, program, ..model.clone() };
    if found.is_empty() && alike != *settings {
        found.push("its heads are laid out in another way, which no key says".to_owned());
    }
    found
}
