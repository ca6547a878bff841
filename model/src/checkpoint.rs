//! Checkpoints: everything that the rest of a training depends on, whole or not there.
//!
//! A checkpoint is a folder `checkpoints/step-000000120` of tensors, moments and `state.json`. It is written under another name and renamed when
//! the disk has every byte; `state.json` holds the hashes of the others and its own, so a damaged one is passed over for the one before.

use crate::data::Position;
use crate::error::TrainError;
use crate::folder::{self, Named};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Folder of the checkpoints in an output folder.
pub(crate) fn folder(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

const STATE: &str = "state.json";
const MOMENTS: &str = "optimizer.safetensors";
const PREFIX: &str = "step-";
const PART: &str = ".part";
/// Raised when the layout of checkpoints changes, or the order of the rows that their position stands in.
const VERSION: u32 = 3;

/// What a training is at a step, but for its tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Layout: [`VERSION`].
    pub(crate) version: u32,
    /// Steps done.
    pub(crate) step: u64,
    /// Steps in all; with a time budget as measured in the first steps.
    pub(crate) steps: u64,
    /// How far the training rows were read.
    pub(crate) position: Position,
    /// Settings, defaults included.
    pub(crate) settings: BTreeMap<String, String>,
    /// Name of the dataset.
    pub(crate) dataset_name: String,
    /// Hexadecimal blake3 of its manifest.
    pub(crate) dataset: String,
    /// Hexadecimal blake3 of the tokenizer.
    pub(crate) tokenizer: String,
    /// Hexadecimal blake3 of the tensors that the training went on from; `None` where they were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) initial: Option<String>,
    /// Hexadecimal blake3 of the other files.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Hexadecimal blake3 of this file with nothing in this place.
    #[serde(default)]
    pub(crate) own: String,
}

impl State {
    /// A training that has not begun.
    pub(crate) fn begin(
        settings: BTreeMap<String, String>,
        steps: u64,
        seed: u64,
        dataset: &crate::data::Dataset,
    ) -> Self {
        Self {
            version: VERSION,
            step: 0,
            steps,
            position: dataset.begin(seed),
            settings,
            dataset_name: dataset.name.clone(),
            dataset: dataset.manifest_hash.clone(),
            tokenizer: dataset.tokens.tokenizer.clone(),
            initial: None,
            files: BTreeMap::new(),
            own: String::new(),
        }
    }

    /// An alignment that has not begun, over rows with this name and place to read from.
    pub(crate) fn of_rows(
        settings: BTreeMap<String, String>,
        steps: u64,
        name: &str,
        position: Position,
        tokenizer: &str,
    ) -> Self {
        Self {
            version: VERSION,
            step: 0,
            steps,
            position,
            settings,
            dataset_name: name.to_owned(),
            dataset: blake3::Hash::from_bytes(position.dataset).to_hex().to_string(),
            tokenizer: tokenizer.to_owned(),
            initial: None,
            files: BTreeMap::new(),
            own: String::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let unsigned = Self { own: String::new(), ..self.clone() };
        let own = blake3::hash(&folder::json_bytes(&unsigned)).to_hex().to_string();
        folder::json_bytes(&Self { own, ..unsigned })
    }

    fn dataset_shown(&self) -> String {
        format!("`{}` ({})", self.dataset_name, self.dataset.get(..8).unwrap_or(&self.dataset))
    }

    /// In what another training differs. Keys that change no number of the training may.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = differences(&other.settings, &self.settings);
        if self.dataset != other.dataset {
            found.push(format!("the dataset was {}, is {}", other.dataset_shown(), self.dataset_shown()));
        }
        let short = |hash: &Option<String>| match hash {
            Some(hash) => hash.get(..8).unwrap_or(hash).to_owned(),
            None => "none".to_owned(),
        };
        for (what, then, now) in [
            ("tokenizer", &Some(other.tokenizer.clone()), &Some(self.tokenizer.clone())),
            ("model to go on from", &other.initial, &self.initial),
        ] {
            if then != now {
                found.push(format!("the {what} was {}, is {}", short(then), short(now)));
            }
        }
        found
    }
}

/// A checkpoint with its tensors.
pub(crate) struct Checkpoint {
    pub(crate) state: State,
    pub(crate) model: Named,
    /// State of the optimizer, under the names that it gives.
    pub(crate) moments: Named,
}

/// Each setting that was another one, but for those that change no number of a training.
pub(crate) fn differences(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let told =
        |map: &BTreeMap<String, String>, key: &str| map.get(key).map_or("absent".to_owned(), Clone::clone);
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let other = keys.into_iter().filter(|key| !is_free(key) && then.get(*key) != now.get(*key));
    other.map(|key| format!("`{key}` was {}, is {}", told(then, key), told(now, key))).collect()
}

/// Whether a setting changes no number of a training. `init_from` may lie elsewhere by now: its content is compared.
fn is_free(key: &str) -> bool {
    const FREE: &[&str] =
        &["checkpoint_every", "checkpoints_keep", "init_from", "memory_mib", "recompute", "spike_factor"];
    FREE.contains(&key)
}

/// The folder of checkpoints in an output folder.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    _held: Held,
}

/// Checkpoints, the newest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(TrainError::io(folder))? {
        let entry = entry.map_err(TrainError::io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && !name.ends_with(PART) {
            found.push(entry.path());
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// That one training alone works in a folder, until dropped or until the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Held {
    out: PathBuf,
    _folder: Option<fs::File>,
}

impl Held {
    /// Makes the folder and locks it itself, so that no file of a lock is left in it. Where the file system has no locks, nothing is held.
    ///
    /// # Errors
    /// Another training is at work there.
    pub(crate) fn take(out: &Path) -> Result<Self, TrainError> {
        fs::create_dir_all(out).map_err(TrainError::io(out))?;
        let folder = fs::File::open(out).map_err(TrainError::io(out))?;
        let folder = match folder.try_lock() {
            Ok(()) => Some(folder),
            Err(fs::TryLockError::WouldBlock) => {
                let message = "another training is at work in this folder; name another one";
                return Err(TrainError::misplaced(out, message));
            }
            Err(fs::TryLockError::Error(_)) => None,
        };
        Ok(Self { out: out.to_owned(), _folder: folder })
    }

    /// The folder.
    pub(crate) fn out(&self) -> &Path {
        &self.out
    }
}

impl Checkpoints {
    /// Makes their folder in one that is held, and removes what a killed training left half written.
    pub(crate) fn open(held: Held) -> Result<Self, TrainError> {
        let folder = folder(held.out());
        fs::create_dir_all(&folder).map_err(TrainError::io(&folder))?;
        for entry in fs::read_dir(&folder).map_err(TrainError::io(&folder))? {
            let path = entry.map_err(TrainError::io(&folder))?.path();
            if path.to_string_lossy().ends_with(PART) {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(TrainError::io(&path))?;
            }
        }
        Ok(Self { folder, _held: held })
    }

    /// The folder of a step.
    pub(crate) fn of_step(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{step:09}"))
    }

    /// The settings of the newest checkpoint in an output folder that can be read.
    pub(crate) fn settings(out: &Path) -> Option<BTreeMap<String, String>> {
        let read = |path: PathBuf| {
            let state: Value = serde_json::from_slice(&fs::read(path.join(STATE)).ok()?).ok()?;
            serde_json::from_value(state["settings"].clone()).ok()
        };
        list(&folder(out)).ok()?.into_iter().find_map(read)
    }

    /// Writes a checkpoint and removes all but the newest `keep` up to it.
    ///
    /// # Errors
    /// The system refuses, as on a full disk: what was written of it is removed, and the checkpoints before it stay.
    pub(crate) fn write(&self, checkpoint: Checkpoint, keep: u64) -> Result<PathBuf, TrainError> {
        let step = checkpoint.state.step;
        let path = self.of_step(step);
        let part = self.folder.join(format!("{PREFIX}{step:09}{PART}"));
        if let Err(error) = write_files(&part, checkpoint) {
            // What cannot be removed either is removed when the folder is opened next.
            drop(fs::remove_dir_all(&part));
            return Err(error);
        }
        if path.exists() {
            fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
        }
        fs::rename(&part, &path).map_err(TrainError::io(&path))?;
        // The rename itself must reach the disk before older checkpoints go.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(TrainError::io(&self.folder))?;
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        // Those of later steps were passed over: the training comes to them again, and they are not what is kept.
        for old in list(&self.folder)?.iter().filter(|other| **other <= path).skip(keep) {
            fs::remove_dir_all(old).map_err(TrainError::io(old))?;
        }
        Ok(path)
    }

    /// The newest checkpoint whose files are whole; `passed` is told of others, and if none is whole.
    ///
    /// # Errors
    /// `OtherRun` when it belongs to a training of other settings or another dataset, `OtherLayout` when another version of
    /// the program wrote it: to begin anew would throw its work away.
    pub(crate) fn newest(
        &self,
        expected: &State,
        mut passed: impl FnMut(&str),
    ) -> Result<Option<Checkpoint>, TrainError> {
        let all = list(&self.folder)?;
        for path in &all {
            match read(path) {
                Ok(checkpoint) => {
                    let differences = expected.differences(&checkpoint.state);
                    if differences.is_empty() {
                        return Ok(Some(checkpoint));
                    }
                    return Err(TrainError::OtherRun { path: path.clone(), differences });
                }
                Err(error @ TrainError::OtherLayout { .. }) => return Err(error),
                Err(error) => passed(&format!("checkpoint passed over: {error}")),
            }
        }
        if !all.is_empty() {
            passed("no checkpoint is whole; the training begins anew");
        }
        Ok(None)
    }
}

fn write_files(part: &Path, checkpoint: Checkpoint) -> Result<(), TrainError> {
    let Checkpoint { mut state, model, moments } = checkpoint;
    fs::create_dir_all(part).map_err(TrainError::io(part))?;
    state.files.clear();
    for (name, tensors) in [(folder::TENSORS, model), (MOMENTS, moments)] {
        let hash = folder::write_tensors(&part.join(name), &tensors)?;
        state.files.insert(name.to_owned(), hash);
    }
    folder::write(&part.join(STATE), &state.bytes())
}

fn read(path: &Path) -> Result<Checkpoint, TrainError> {
    let file = path.join(STATE);
    let bytes = fs::read(&file).map_err(TrainError::io(&file))?;
    let parsed: Value = serde_json::from_slice(&bytes).map_err(TrainError::file(&file))?;
    if parsed["version"] != VERSION {
        let found = parsed["version"].as_u64().ok_or_else(|| TrainError::file(&file)("it has no version"))?;
        return Err(TrainError::OtherLayout { path: path.to_owned(), found, known: VERSION });
    }
    let state: State = serde_json::from_value(parsed).map_err(TrainError::file(&file))?;
    if state.bytes() != bytes {
        return Err(TrainError::file(&file)("the file is damaged"));
    }
    let tensors = |name: &str| {
        let file = path.join(name);
        let bytes = fs::read(&file).map_err(TrainError::io(&file))?;
        if state.files.get(name).map(String::as_str) != Some(blake3::hash(&bytes).to_hex().as_str()) {
            return Err(TrainError::file(&file)("the file is damaged"));
        }
        folder::read_tensors(&file)
    };
    let (model, moments) = (tensors(folder::TENSORS)?, tensors(MOMENTS)?);
    Ok(Checkpoint { state, model, moments })
}
