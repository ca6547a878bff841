//! Adapters of a whole model: which parts carry one, their files, and how they are merged.
//!
//! An adapter folder is a model folder whose tensors are `adapter_model.safetensors` over those of a base model; names and
//! `adapter_config.json` are those of PEFT. [`crate::folder::load`] reads it like any other model, merged.

use super::course::hash_of;
use crate::architecture::{Init, Shape, Source, Tensors, Transformer};
use crate::error::TrainError;
use crate::folder::{self, Named};
use crate::layer::linear::Orientation;
use crate::layer::lora::LowRank;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// File name of the adapter's settings.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
/// File name of the adapter's tensors.
pub(crate) const ADAPTER: &str = "adapter_model.safetensors";
/// What PEFT puts before the name of a tensor.
const PREFIX: &str = "base_model.model.";
/// Key in `config.json` of an adapter folder: the [`hash`] of its base model.
const BASE: &str = "base_model_blake3";
/// Adapters that may lie over each other.
const CHAIN_MAX: usize = 16;

/// Size and places of adapters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lora {
    /// Columns of A and rows of B.
    pub(crate) rank: u64,
    /// The adapter's output is multiplied by alpha ÷ rank.
    pub(crate) alpha: f64,
    /// Last words of the names of parts; none for every linear part of the blocks.
    pub(crate) targets: Vec<String>,
}

fn module(weight: &str) -> &str {
    weight.strip_suffix(".weight").unwrap_or(weight)
}

impl Lora {
    fn is_target(&self, module: &str) -> bool {
        let named = |target: &String| {
            module.strip_suffix(target.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.targets.is_empty() || self.targets.iter().any(named)
    }

    /// Freezes a model and gives its parts adapters from `source`.
    ///
    /// # Errors
    /// A target is the name of no part, or a tensor is missing or of another shape.
    pub(crate) fn attach(
        &self,
        model: &mut Transformer<f32>,
        mut source: Source<f32>,
    ) -> Result<(), TrainError> {
        let names = linear_modules(model);
        if let Some(unknown) = self.targets.iter().find(|target| {
            let alone = Self { targets: vec![(*target).clone()], ..self.clone() };
            !names.iter().any(|name| alone.is_target(name))
        }) {
            let mut last: Vec<&str> = names.iter().filter_map(|name| name.rsplit('.').next()).collect();
            last.sort_unstable();
            last.dedup();
            let message =
                format!("`lora_targets`: no part is called `{unknown}`; there are {}", last.join(", "));
            return Err(TrainError::Config { message });
        }
        model.parameters.iter().for_each(|parameter| parameter.freeze());
        let rank = usize::try_from(self.rank).unwrap_or(usize::MAX);
        for linear in model.blocks.iter_mut().flat_map(|block| block.linears_mut()) {
            linear.adapt(|weight, width_in, width_out| {
                let module = module(weight.name());
                if !self.is_target(module) {
                    return Ok(None);
                }
                // As loralib: uniform in ±1/√in has this deviation.
                let fresh = Init::Normal(1.0 / (3.0 * width_in as f64).sqrt());
                let down = source.take(&format!("{module}.lora_A.weight"), &[rank, width_in], fresh)?;
                let up = source.take(&format!("{module}.lora_B.weight"), &[width_out, rank], Init::Zeros)?;
                Ok(Some(LowRank { down, up, scale: (self.alpha / self.rank as f64) as f32 }))
            })?;
        }
        model.parameters.extend(source.finish().parameters);
        Ok(())
    }

    fn json(&self, model: &Transformer<f32>, base: &Path) -> Value {
        let mut targets: Vec<String> = self.targets.clone();
        if targets.is_empty() {
            let last = |name: &String| name.rsplit('.').next().unwrap_or(name).to_owned();
            targets = linear_modules(model).iter().map(last).collect();
        }
        targets.sort_unstable();
        targets.dedup();
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base.display().to_string(),
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "target_modules": targets,
            // GPT-2's matrices lie `[in, out]`.
            "fan_in_fan_out": model.blocks.iter().any(|block| block.qkv.orientation() == Orientation::InOut),
            "bias": "none",
            "inference_mode": true,
        })
    }
}

fn linear_modules(model: &Transformer<f32>) -> Vec<String> {
    let linears = model.blocks.iter().flat_map(|block| block.linears());
    linears
        .flat_map(|linear| linear.parameters())
        .map(|(weight, _)| module(weight.name()).to_owned())
        .collect()
}

/// Writes the adapters of a model beside its configuration.
pub(crate) fn save(
    model: &Transformer<f32>,
    lora: &Lora,
    base: &Path,
    folder: &Path,
) -> Result<(), TrainError> {
    let linears = model.blocks.iter().flat_map(|block| block.linears());
    let mut named = Named::new();
    for tensor in linears.flat_map(|linear| linear.adapters()).flat_map(|(_, a)| [&a.down, &a.up]) {
        let entry = (tensor.value().dims().to_vec(), tensor.read(<[f32]>::to_vec)?);
        named.insert(format!("{PREFIX}{}", tensor.name()), entry);
    }
    let mut config = folder::config_json(&model.shape);
    config[BASE] = hash(base)?.into();
    folder::replace(&folder.join(folder::CONFIG), &folder::json_bytes(&config))?;
    folder::replace(&folder.join(ADAPTER), &folder::tensor_bytes(&named)?)?;
    let base = std::fs::canonicalize(base).map_err(TrainError::io(base))?;
    folder::replace(&folder.join(ADAPTER_CONFIG), &folder::json_bytes(&lora.json(model, &base)))
}

/// Adds every adapter to its matrix and takes it away; all parameters learn again.
pub(crate) fn merge(model: &mut Transformer<f32>) -> Result<(), TrainError> {
    let mut gone: Vec<String> = Vec::new();
    for linear in model.blocks.iter_mut().flat_map(|block| block.linears_mut()) {
        let orientation = linear.orientation();
        linear.adapters().try_for_each(|(weight, adapter)| adapter.merge_into(weight, orientation))?;
        let names = linear.adapters().flat_map(|(_, a)| [a.down.name().to_owned(), a.up.name().to_owned()]);
        gone.extend(names);
        linear.adapt(|_, _, _| Ok(None))?;
    }
    model.parameters.retain(|parameter| !gone.iter().any(|name| name == parameter.name()));
    model.parameters.iter().for_each(|parameter| parameter.thaw());
    Ok(())
}

/// Whether a folder holds an adapter and no model of its own.
pub(crate) fn is_adapter(folder: &Path) -> bool {
    let holds = |name: &str| folder.join(name).is_file();
    holds(ADAPTER_CONFIG) && !holds(folder::TENSORS) && !holds(folder::INDEX)
}

fn read_json(path: &Path) -> Result<Value, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    serde_json::from_slice(&bytes).map_err(TrainError::file(path))
}

/// A model folder, and where it is an adapter, the folders that it lies over, down to that of a whole model.
///
/// # Errors
/// A base model is not where its adapter says, or more than [`CHAIN_MAX`] adapters lie over each other, as in a circle.
pub(crate) fn chain(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let mut found = vec![folder.to_owned()];
    while let Some(last) = found.last().filter(|last| is_adapter(last)) {
        let path = last.join(ADAPTER_CONFIG);
        if found.len() > CHAIN_MAX {
            let told = format!(
                "more than {CHAIN_MAX} adapters lie over each other; merge one with `gristmill align merge`"
            );
            return Err(TrainError::file(&path)(told));
        }
        let config = read_json(&path)?;
        let base = config["base_model_name_or_path"].as_str().map(PathBuf::from);
        let base =
            base.ok_or_else(|| TrainError::file(&path)("`base_model_name_or_path` is missing".to_owned()))?;
        if !is_adapter(&base) && !folder::weight_files(&base)?.iter().all(|file| file.is_file()) {
            return Err(TrainError::file(&path)(format!(
                "the base model {} is not there; write its folder into `base_model_name_or_path`",
                base.display()
            )));
        }
        found.push(base);
    }
    Ok(found)
}

/// The folder of a model, or one that it lies over as an adapter, that is `out`; `None` where it is none of them.
///
/// # Errors
/// Those of [`chain`].
pub(crate) fn over(folder: &Path, out: &Path) -> Result<Option<PathBuf>, TrainError> {
    let Ok(out) = out.canonicalize() else { return Ok(None) };
    let is_out = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| folder == out);
    Ok(chain(folder)?.into_iter().find(is_out))
}

/// Hexadecimal blake3 of what a model folder learned: of its file of weights, or where there are several files or adapters, of
/// the hashes of all of them.
///
/// # Errors
/// Those of [`chain`], or a file cannot be read.
pub(crate) fn hash(folder: &Path) -> Result<String, TrainError> {
    let mut hashes = Vec::new();
    for folder in chain(folder)? {
        if is_adapter(&folder) {
            let config = read_json(&folder.join(ADAPTER_CONFIG))?;
            let of_tensors = hash_of(&folder.join(ADAPTER))?;
            hashes.push(format!("{of_tensors} {} {}", config["r"], config["lora_alpha"]));
        } else {
            for file in folder::weight_files(&folder)? {
                hashes.push(hash_of(&file)?);
            }
        }
    }
    match &hashes[..] {
        [one] => Ok(one.clone()),
        several => Ok(blake3::hash(several.join("\n").as_bytes()).to_hex().to_string()),
    }
}

/// The first setting of PEFT that would make the adapter compute something else than B·A beside a matrix.
fn unsupported(config: &Value) -> Option<String> {
    // Whether it is off, for each: absent, null, false or empty.
    const OFF: [&str; 17] = [
        "alora_invocation_tokens",
        "alpha_pattern",
        "corda_config",
        "eva_config",
        "exclude_modules",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "lora_bias",
        "megatron_config",
        "modules_to_save",
        "rank_pattern",
        "target_parameters",
        "trainable_token_indices",
        "use_dora",
        "use_qalora",
        "use_rslora",
    ];
    let is_off = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let other = |key: &str, plain: &str| !config[key].is_null() && config[key] != plain;
    let named = OFF.iter().find(|key| !is_off(&config[**key])).copied();
    let named = named.or_else(|| other("peft_type", "LORA").then_some("peft_type"));
    let named = named.or_else(|| other("bias", "none").then_some("bias"))?;
    Some(format!("{named} = {}", config[named]))
}

/// The parts of `target_modules`; none for every linear part.
fn targets(config: &Value) -> Result<Vec<String>, String> {
    match &config["target_modules"] {
        Value::String(all) if all == "all-linear" => Ok(Vec::new()),
        Value::Array(names) if names.iter().all(Value::is_string) => {
            Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        other => {
            Err(format!("`target_modules` is {other}; list the names of parts, as [\"q_proj\", \"v_proj\"]"))
        }
    }
}

/// Reads an adapter folder over its base model, whose configuration is `shape` but for the token that ends a text.
///
/// # Errors
/// The base model is not where the adapter says, or is of another architecture or with other weights, or a tensor is missing or left over.
pub(crate) fn load(folder: &Path, shape: Shape) -> Result<Transformer<f32>, TrainError> {
    let path = folder.join(ADAPTER_CONFIG);
    let config = read_json(&path)?;
    let wrong = |message: String| TrainError::file(&path)(message);
    if let Some(told) = unsupported(&config) {
        return Err(wrong(format!(
            "sets `{told}`, which this program does not compute; merge the adapter with PEFT (`merge_and_unload`) and read the model"
        )));
    }
    let base = chain(folder)?.swap_remove(1);
    let rank = config["r"].as_u64().filter(|rank| *rank > 0).ok_or_else(|| wrong("`r` is no rank".into()))?;
    let alpha = config["lora_alpha"].as_f64().ok_or_else(|| wrong("`lora_alpha` is no number".into()))?;
    let targets = targets(&config).map_err(wrong)?;
    let base_hash = hash(&base)?;
    let mut model = folder::load(&base)?;
    let mut told = Shape { eos: model.shape.eos, ..shape.clone() };
    told.program.eos = model.shape.program.eos;
    if told != model.shape {
        return Err(wrong(format!(
            "the adapter was made for another architecture than that of {}: {}",
            base.display(),
            differences(&told, &model.shape)
        )));
    }
    // An adapter that PEFT wrote does not say.
    let told = read_json(&folder.join(folder::CONFIG))?;
    if told[BASE].as_str().is_some_and(|told| base_hash != told) {
        return Err(wrong(format!(
            "the adapter was made over other weights than those that {} holds; write the folder of its base model into \
             `base_model_name_or_path`",
            base.display()
        )));
    }
    let turned = model.blocks.iter().any(|block| block.qkv.orientation() == Orientation::InOut);
    // PEFT sets it itself where a GPT-2 does not.
    if config["fan_in_fan_out"] == true && !turned {
        return Err(wrong("sets `fan_in_fan_out`, but the matrices of the base model lie out × in".into()));
    }
    model.shape = shape;
    let path = folder.join(ADAPTER);
    let tensors = folder::read_tensors(&path)?;
    let tensors: Tensors<f32> = (tensors.into_iter())
        .map(|(name, tensor)| (name.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(name), tensor))
        .collect();
    let names: Vec<String> = tensors.keys().cloned().collect();
    let lora = Lora { rank, alpha, targets };
    lora.attach(&mut model, Source::read(tensors)).map_err(TrainError::file(&path))?;
    let taken = |name: &&String| model.parameters.iter().any(|p| p.name() == name.as_str());
    match names.iter().find(|name| !taken(name)) {
        Some(left) => {
            Err(TrainError::file(&path)(format!("no part of the base model takes tensor `{left}`")))
        }
        None => Ok(model),
    }
}

/// The keys of `config.json` in which two shapes differ, as `key: this in the adapter, that in the base`.
fn differences(one: &Shape, other: &Shape) -> String {
    let [one, other] = [one, other].map(folder::config_json);
    let keys: BTreeSet<&String> =
        [&one, &other].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    let shown = |value: &Value| if value.is_null() { "unset".to_owned() } else { value.to_string() };
    let told = keys
        .into_iter()
        .filter(|key| one[*key] != other[*key])
        .map(|key| format!("{key}: {} in the adapter, {} in the base", shown(&one[key]), shown(&other[key])));
    told.collect::<Vec<_>>().join("; ")
}
