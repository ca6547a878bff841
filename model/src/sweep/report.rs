//! What a sweep came to: every trial, the best first, as JSON and Parquet, and the best settings as TOML.

use super::{relative, shown};
use crate::config::Config;
use crate::error::TrainError;
use crate::folder;
use crate::metrics::tables;
use crate::train::TrainReport;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use schemas::{Config as _, Key, Value};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// File of the report.
pub(super) const FILE: &str = "sweep.json";

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialReport {
    /// Its settings in a word.
    pub name: String,
    /// Rung of successive halving; 0 in a grid.
    pub rung: u64,
    /// Its place in the grid, values as a recipe writes them.
    pub settings: BTreeMap<String, String>,
    /// The same, to read again.
    #[serde(skip)]
    pub(super) values: Vec<(String, Value)>,
    /// Folder of the training.
    pub folder: PathBuf,
    /// Steps that it was given; absent where it has no result.
    pub steps: Option<u64>,
    /// Numbers that learned.
    pub parameters: Option<u64>,
    /// Mean loss of the last step.
    pub loss: Option<f64>,
    /// Held-out loss.
    pub validation_loss: Option<f64>,
    /// Held-out bits per byte, by which trials are ranked; absent where the objective has none.
    pub bits_per_byte: Option<f64>,
    /// Why it has no result.
    pub error: Option<String>,
}

impl TrialReport {
    /// What came of a trial in a rung, with its settings and folder.
    pub(crate) fn new(
        (name, rung): (&str, u64),
        values: &[(String, Value)],
        folder: PathBuf,
        result: Result<(u64, TrainReport), TrainError>,
    ) -> Self {
        let (report, error) = match result {
            Ok(found) => (Some(found), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let trained = report.as_ref().map(|(_, report)| report);
        Self {
            name: name.to_owned(),
            rung,
            settings: values.iter().map(|(key, value)| (key.clone(), shown(value))).collect(),
            values: values.to_vec(),
            folder,
            steps: report.as_ref().map(|(steps, _)| *steps),
            parameters: trained.map(|report| report.parameters),
            loss: trained.map(|report| report.loss),
            validation_loss: trained.and_then(|report| report.validation_loss),
            bits_per_byte: trained.and_then(|report| report.bits_per_byte).filter(|bits| bits.is_finite()),
            error,
        }
    }

    /// Why it has no result, in a line; the whole of it stands in `error`.
    pub fn reason(&self) -> Option<&str> {
        self.error.as_deref().map(|error| error.lines().next().unwrap_or_default())
    }

    /// What trials are ranked by: held-out bits per byte, or held-out loss where the objective has none; `None` without a result.
    pub fn figure(&self) -> Option<f64> {
        self.bits_per_byte.or(self.validation_loss).filter(|figure| figure.is_finite())
    }

    /// The better first, those without a result last, by name where they are alike.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let bits = |report: &Self| report.figure().unwrap_or(f64::INFINITY);
        bits(self).total_cmp(&bits(other)).then_with(|| self.name.cmp(&other.name))
    }
}

/// What a sweep came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepReport {
    /// Every trial, the last rung first, in it the best first.
    pub trials: Vec<TrialReport>,
    /// `[train]` of the best trial; absent where none has a result.
    pub best: Option<String>,
}

impl SweepReport {
    /// `swept` are the keys of the grid, which stand in the best settings even where a default won.
    pub(super) fn new(trials: Vec<TrialReport>, best: Option<&Config>, swept: &[&str]) -> Self {
        Self { trials, best: best.map(|best| toml(best, swept)) }
    }

    /// Writes it below `out`.
    pub(super) fn write(&self, out: &Path) -> Result<(), TrainError> {
        std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
        let mut told = self.clone();
        told.trials.iter_mut().for_each(|trial| trial.folder = relative(&trial.folder, out));
        folder::replace(&out.join(FILE), &folder::json_bytes(&told))?;
        tables::write(&out.join("trials.parquet"), &told.table()?)?;
        let path = out.join("best.toml");
        match &self.best {
            Some(best) => folder::replace(&path, best.as_bytes()),
            // That of an earlier sweep in the folder is not the best of this one.
            None => folder::remove(&path),
        }
    }

    fn table(&self) -> Result<arrow::array::RecordBatch, TrainError> {
        let trials = || self.trials.iter();
        let floats = |of: fn(&TrialReport) -> Option<f64>| -> ArrayRef {
            Arc::new(trials().map(of).collect::<Float64Array>())
        };
        let numbers = |of: &dyn Fn(&TrialReport) -> Option<u64>| -> ArrayRef {
            Arc::new(trials().map(|trial| of(trial).map(u64::cast_signed)).collect::<Int64Array>())
        };
        let texts = |of: &dyn Fn(&TrialReport) -> Option<String>| -> ArrayRef {
            Arc::new(trials().map(of).collect::<StringArray>())
        };
        let mut columns = vec![
            ("trial", texts(&|trial| Some(trial.name.clone()))),
            ("rung", numbers(&|trial| Some(trial.rung))),
            ("given_steps", numbers(&|trial| trial.steps)),
        ];
        let keys: Vec<&String> =
            trials().next().into_iter().flat_map(|trial| trial.settings.keys()).collect();
        columns.extend(
            keys.iter()
                .map(|key| (key.as_str(), texts(&|trial: &TrialReport| trial.settings.get(*key).cloned()))),
        );
        columns.extend([
            ("parameters", numbers(&|trial| trial.parameters)),
            ("training_loss", floats(|trial| trial.loss)),
            ("validation_loss", floats(|trial| trial.validation_loss)),
            ("bits_per_byte", floats(|trial| trial.bits_per_byte)),
            ("folder", texts(&|trial| Some(trial.folder.display().to_string()))),
            ("error", texts(&|trial| trial.error.clone())),
        ]);
        tables::batch(columns)
    }
}

/// `[train]` with every key that is not at its default, and those of `always`. What a preset set stands as its own keys: settled settings need no preset.
pub(crate) fn toml(config: &Config, always: &[&str]) -> String {
    let mut config = config.clone();
    // The file may be read from another current folder than it is written in.
    if let Ok(from) = std::path::absolute(&config.init_from.0)
        && !config.init_from.is_empty()
    {
        config.init_from.0 = from;
    }
    let table = config.table();
    let set = |key: &&Key| {
        key.name != "preset" && (table[key.name] != (key.default)() || always.contains(&key.name))
    };
    let set = Config::KEYS.iter().filter(set);
    let lines: String = set.map(|key| format!("{} = {}\n", key.name, table[key.name])).collect();
    format!("[train]\n{lines}")
}
