//! What a folder of trainings is for, written down before the first of them: another question is not put to it without a word.

use super::{SweepEvent, SweepObserver};
use crate::checkpoint::differences;
use crate::config::Config;
use crate::data::Dataset;
use crate::error::TrainError;
use crate::folder;
use crate::train::initial;
use schemas::Config as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// File of it.
const FILE: &str = "asked.json";

/// What is asked of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// What all trainings share: settings, defaults included, `dataset`, the blake3 of its manifest, and `model`, that of the one to go on from.
    shared: BTreeMap<String, String>,
    /// What is tried: the grid, or the sizes of a ladder.
    tried: BTreeMap<String, String>,
}

impl Asked {
    /// `named` are the settings that tell trainings apart by their names.
    ///
    /// # Errors
    /// The model to go on from cannot be read.
    pub(crate) fn new(
        (config, named): (&Config, &[&str]),
        dataset: &Dataset,
        tried: BTreeMap<String, String>,
    ) -> Result<Self, TrainError> {
        let mut shared = config.table();
        shared.retain(|key, _| !named.contains(&key.as_str()));
        shared.insert("dataset".to_owned(), dataset.manifest_hash.clone());
        shared.insert("model".to_owned(), initial::hash(config)?.unwrap_or_else(|| "none".to_owned()));
        Ok(Self { shared, tried })
    }

    /// Writes it into a folder, in place of what was asked before; tells where other things were tried, whose `report` is replaced.
    ///
    /// # Errors
    /// The trainings in the folder are of other settings or another dataset, or what was asked cannot be read.
    pub(crate) fn put(
        &self,
        out: &Path,
        report: &str,
        observer: &dyn SweepObserver,
    ) -> Result<(), TrainError> {
        let path = out.join(FILE);
        let before = match std::fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice::<Self>(&bytes).map_err(TrainError::file(&path))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(TrainError::io(&path)(error)),
        };
        if let Some(before) = &before {
            let common = |of: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
                let mut common = of.clone();
                common.retain(|key, _| other.contains_key(key));
                common
            };
            let then = common(&before.shared, &self.shared);
            let other = differences(&then, &common(&self.shared, &before.shared));
            if !other.is_empty() {
                let message = format!(
                    "its trainings are of other settings, or of another dataset:\n  {}\nname another folder with `--out`",
                    other.join("\n  ")
                );
                return Err(TrainError::misplaced(out, message));
            }
        }
        let tried = before.map(|before| differences(&before.tried, &self.tried)).unwrap_or_default();
        if !tried.is_empty() && out.join(report).is_file() {
            let message = format!(
                "{}: {report} and the files beside it are of an earlier work and will be replaced; its trainings stay ({})",
                out.display(),
                tried.join("; ")
            );
            observer.event(SweepEvent::Note { message: &message });
        }
        folder::replace(&path, &folder::json_bytes(self))
    }
}
