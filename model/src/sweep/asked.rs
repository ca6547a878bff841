//! What a folder of trainings was asked for, kept in its report: another question is not put to it without a word.

use super::{SweepEvent, SweepObserver, shown};
use crate::checkpoint;
use crate::error::TrainError;
use schemas::Value;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What all trainings share: their settings, and `dataset`, the blake3 of its manifest in hexadecimal.
    pub shared: BTreeMap<String, String>,
    /// What is tried: the grid, or the sizes of a ladder.
    pub tried: BTreeMap<String, String>,
}

impl Asked {
    /// What is tried over settings and a dataset.
    pub(crate) fn new(base: &[(String, Value)], dataset: &str, tried: BTreeMap<String, String>) -> Self {
        let shared = base.iter().filter(|(key, _)| !checkpoint::is_free(key));
        let shared = shared.map(|(key, value)| (key.clone(), shown(value)));
        Self { shared: shared.chain([("dataset".to_owned(), dataset.to_owned())]).collect(), tried }
    }

    /// Holds it against the `asked` of the report in `out` that the one of this work takes the place of, and tells where other things were tried.
    ///
    /// # Errors
    /// The trainings in `out` are of other settings or another dataset.
    pub(crate) fn check(
        &self,
        out: &Path,
        report: &str,
        observer: &dyn SweepObserver,
    ) -> Result<(), TrainError> {
        let before = std::fs::read(out.join(report)).ok();
        let before = before.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
        let before = before.and_then(|told| serde_json::from_value::<Self>(told["asked"].clone()).ok());
        let Some(before) = before else { return Ok(()) };
        let other = differences(&before.shared, &self.shared);
        if !other.is_empty() {
            let message = format!(
                "its trainings are of other settings, or of another dataset:\n  {}\nname another folder with `--out`",
                other.join("\n  ")
            );
            return Err(TrainError::misplaced(out, message));
        }
        let other = differences(&before.tried, &self.tried);
        if !other.is_empty() {
            let message = format!(
                "{}: {report} and the files beside it are of an earlier work and will be replaced; its trainings stay ({})",
                out.display(),
                other.join("; ")
            );
            observer.event(SweepEvent::Note { message: &message });
        }
        Ok(())
    }
}

/// Each key whose value was another one.
fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let told = |map: &BTreeMap<String, String>, key: &str| match map.get(key) {
        Some(hash) if key == "dataset" => hash.get(..8).unwrap_or(hash).to_owned(),
        Some(value) => value.clone(),
        None => "not set".to_owned(),
    };
    let other = keys.into_iter().filter(|key| before.get(*key) != now.get(*key));
    other.map(|key| format!("`{key}` was {}, is {}", told(before, key), told(now, key))).collect()
}
