//! Files of a model folder: tensors, configuration, tokenizer. A model that `transformers` has loads there as it is.

use crate::align::{adapter, reward};
use crate::architecture::{Shape, Source, Transformer, json};
use crate::error::TrainError;
use crate::export::{decode, foreign};
use crate::objective;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};
use schemas::manifest;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// File name of the tensors.
pub(crate) const TENSORS: &str = "model.safetensors";
/// File name of the list of files, where tensors lie in several.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// File name of the configuration.
pub(crate) const CONFIG: &str = "config.json";

/// Numbers of named tensors.
pub(crate) type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A tensor whose bytes are made when they are written.
struct Lazy<'a>(&'a (Vec<usize>, Vec<f32>));

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.0
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.1.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>().into()
    }

    fn data_len(&self) -> usize {
        size_of_val(&self.0.1[..])
    }
}

/// Tensors in the order of their names.
fn views(tensors: &Named) -> impl Iterator<Item = (&str, Lazy<'_>)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), Lazy(tensor)))
}

/// An entry that `transformers` asks for.
fn format() -> (String, String) {
    ("format".to_owned(), "pt".to_owned())
}

/// Serialises tensors; the same tensors give the same bytes.
pub(crate) fn tensor_bytes(tensors: &Named) -> Result<Vec<u8>, TrainError> {
    let about = std::iter::once(format()).collect();
    Ok(safetensors::serialize(views(tensors), Some(about)).map_err(candle_core::Error::wrap)?)
}

/// Writes the same bytes tensor by tensor, waits until the disk has them, and gives their blake3 in hexadecimal.
pub(crate) fn write_tensors(path: &Path, tensors: &Named) -> Result<String, TrainError> {
    let about = std::iter::once(format()).collect();
    safetensors::serialize_to_file(views(tensors), Some(about), path).map_err(TrainError::file(path))?;
    let written = || {
        let file = File::open(path)?;
        file.sync_all()?;
        blake3::Hasher::new().update_reader(file).map(|hasher| hasher.finalize().to_hex().to_string())
    };
    written().map_err(TrainError::io(path))
}

/// Reads tensors of `f32`, `bf16` or `f16`.
pub(crate) fn read_tensors(path: &Path) -> Result<Named, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(TrainError::file(path))?;
    let read = |(name, view): (String, TensorView<'_>)| {
        let numbers = decode(view.dtype(), view.data());
        let numbers =
            numbers.map_err(|error| TrainError::file(path)(format!("tensor `{name}` has {error}")))?;
        Ok((name, (view.shape().to_vec(), numbers)))
    };
    file.tensors().into_iter().map(read).collect()
}

/// The files of a folder's weights: one, or those that its index names, in order.
///
/// # Errors
/// None of both is there, or the index names a file that is not beside it.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let (single, index) = (folder.join(TENSORS), folder.join(INDEX));
    if single.is_file() || !index.is_file() {
        return Ok(vec![single]);
    }
    let bytes = std::fs::read(&index).map_err(TrainError::io(&index))?;
    let list: Value = serde_json::from_slice(&bytes).map_err(TrainError::file(&index))?;
    let map =
        list["weight_map"].as_object().ok_or_else(|| TrainError::file(&index)("has no `weight_map`"))?;
    let files: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    // A name alone: an index is not to lead out of its folder.
    match files.iter().find(|file| Path::new(file).components().count() != 1) {
        Some(file) => Err(TrainError::file(&index)(format!("names `{file}`, which is no file beside it"))),
        None => Ok(files.into_iter().map(|file| folder.join(file)).collect()),
    }
}

/// Reads the weights of a folder.
fn read_weights(folder: &Path) -> Result<Named, TrainError> {
    let mut named = Named::new();
    for file in weight_files(folder)? {
        named.extend(read_tensors(&file)?);
    }
    Ok(named)
}

/// Removes a file, where there is one.
///
/// # Errors
/// What the system refuses.
pub fn remove(path: &Path) -> Result<(), TrainError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TrainError::io(path)(error)),
        _ => Ok(()),
    }
}

/// Refuses a path where something is.
///
/// # Errors
/// It is a file, or a folder that is not empty.
pub(crate) fn assert_empty(folder: &Path) -> Result<(), TrainError> {
    if folder.is_file() {
        return Err(TrainError::misplaced(folder, "is a file; name another folder"));
    }
    let mut entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(TrainError::io(folder))?,
    };
    match entries.next() {
        Some(_) => Err(TrainError::misplaced(folder, "is there already and not empty; name another folder")),
        None => Ok(()),
    }
}

/// Writes a file and waits until the disk has it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = File::create(path).map_err(TrainError::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(TrainError::io(path))
}

/// The name that a file or folder has until it is whole.
pub(crate) fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Writes a file under another name and renames it, so that no one sees half of it.
///
/// # Errors
/// What the system refuses.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let part = part(path);
    write(&part, bytes)?;
    std::fs::rename(&part, path).map_err(TrainError::io(path))
}

/// JSON as a person reads it, with a line end.
pub(crate) fn json_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("maps with string keys are JSON");
    bytes.push(b'\n');
    bytes
}

/// The tensors of a model by name, running statistics included.
pub(crate) fn named(model: &Transformer<f32>) -> Result<Named, TrainError> {
    let entry = |p: &crate::parameter::Shared<f32>| {
        Ok((p.name().to_owned(), (p.value().dims().to_vec(), p.read(<[f32]>::to_vec)?)))
    };
    Ok(model.parameters.iter().chain(&model.buffers).map(entry).collect::<Result<_, candle_core::Error>>()?)
}

/// Writes the configuration.
pub(crate) fn save_config(model: &Transformer<f32>, folder: &Path) -> Result<(), TrainError> {
    replace(&folder.join(CONFIG), &json_bytes(&config_json(&model.shape)))
}

/// `config.json` of a shape.
pub(crate) fn config_json(shape: &Shape) -> Value {
    let mut config = json::config_json(shape);
    if let Some(told) = shape.program.told() {
        config[objective::TOLD] = told;
    }
    config
}

/// Writes tensors and configuration.
pub(crate) fn save(model: &Transformer<f32>, folder: &Path) -> Result<(), TrainError> {
    save_config(model, folder)?;
    replace(&folder.join(TENSORS), &tensor_bytes(&named(model)?)?)
}

/// Reads a model folder: one of ours, or one of `transformers` whose model this program computes; one of an adapter gives the base
/// model with the adapter merged.
///
/// # Errors
/// A file is missing, the configuration is of another kind of model or sets what is not supported, or tensors do not fit it.
pub(crate) fn load(folder: &Path) -> Result<Transformer<f32>, TrainError> {
    let shape = shape_of(folder)?;
    if adapter::is_adapter(folder) {
        let mut model = adapter::load(folder, shape)?;
        adapter::merge(&mut model)?;
        return Ok(model);
    }
    let tensors = foreign::rename(&shape, read_weights(folder)?);
    let mut left: BTreeSet<String> = tensors.keys().cloned().collect();
    let model = Transformer::new(shape, Source::read(tensors)).map_err(TrainError::file(folder))?;
    left.retain(|name| !model.parameters.iter().chain(&model.buffers).any(|p| p.name() == name));
    match left.pop_first() {
        None => Ok(model),
        Some(name) if name == reward::HEAD => Err(TrainError::file(folder)(
            "this is a reward model, which gives answers numbers and writes none; `gristmill align score` and `grpo` take it with \
             `--reward-model`",
        )),
        Some(name) => Err(TrainError::file(folder)(format!(
            "tensor `{name}` has no place in the model that {CONFIG} describes, so it would compute something else"
        ))),
    }
}

/// The tokens that a text begins behind and ends with: `bos_token` and `eos_token` of `tokenizer_config.json`; the end stands for a
/// beginning that is not told, and `eos` for an end. A model of another program may begin a text with another token than ends one.
///
/// # Errors
/// `tokenizer_config.json` is there and cannot be read.
pub(crate) fn begin_and_end(
    folder: &Path,
    tokenizer: &Tokenizer,
    eos: u32,
) -> Result<(u32, u32), TrainError> {
    let path = folder.join(manifest::TOKENIZER_CONFIG);
    let told: Value = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(TrainError::file(&path))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
        Err(error) => return Err(TrainError::io(&path)(error)),
    };
    let special = |key: &str| {
        // A token is a word, or an object with its `content`.
        let text = told[key].as_str().or_else(|| told[key]["content"].as_str());
        text.and_then(|text| tokenizer.token_to_id(text))
    };
    let end = special("eos_token").unwrap_or(eos);
    Ok((special("bos_token").unwrap_or(end), end))
}

/// Reads the shape of a model folder.
///
/// # Errors
/// `config.json` is missing or of another kind of model.
pub(crate) fn shape_of(folder: &Path) -> Result<Shape, TrainError> {
    let path = folder.join(CONFIG);
    let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
    let mut config: Value = serde_json::from_slice(&bytes).map_err(TrainError::file(&path))?;
    foreign::complete(&mut config).map_err(TrainError::file(&path))?;
    let mut shape = json::shape(&config).map_err(TrainError::file(&path))?;
    foreign::adjust(&config, &mut shape).map_err(TrainError::file(&path))?;
    Ok(shape)
}
