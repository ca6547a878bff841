//! `metrics.jsonl`: one line a step and one an evaluation, without a clock, so that a resumed training ends with the same bytes.
//!
//! At the end the lines are written as Parquet too: `metrics.parquet` of the steps, `evaluations.parquet` of the evaluations.

pub(crate) mod tables;

use crate::error::TrainError;
use crate::eval::held_out::HeldOut;
use crate::folder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// File of the lines.
pub(crate) const FILE: &str = "metrics.jsonl";
/// The same as Parquet, of the steps.
pub(crate) const STEPS: &str = "metrics.parquet";
/// The same as Parquet, of the evaluations.
pub(crate) const EVALUATIONS: &str = "evaluations.parquet";

/// Losses of a training by step, as they were written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Losses {
    /// Training loss of each step.
    pub training: Vec<(u64, f64)>,
    /// Held-out loss of each evaluation.
    pub held_out: Vec<(u64, f64)>,
}

/// What the folder of a training tells so far; nothing where there is none. A torn last line ends it.
pub fn losses(out: &Path) -> Losses {
    let text = std::fs::read_to_string(out.join(FILE)).unwrap_or_default();
    let mut found = Losses::default();
    for line in text.lines().map_while(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(step) = line["step"].as_u64() else { continue };
        found.training.extend(line["loss"].as_f64().map(|loss| (step, loss)));
        found.held_out.extend(line["validation_loss"].as_f64().map(|loss| (step, loss)));
    }
    found
}

/// A number as it is written to files: of twelve digits, which reading gives back to the last bit.
pub(crate) fn rounded(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

/// A number with its name.
pub(crate) type Measure = (&'static str, f64);

/// The open file.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file and cuts what came after `step`, which will be computed again, and the evaluation of that step where `measures_again`.
    pub(crate) fn open(out: &Path, step: u64, measures_again: bool) -> Result<Self, TrainError> {
        let path = out.join(FILE);
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::Io { path, error }),
        };
        let reached = |line: &&str| {
            let parsed: Option<Value> = serde_json::from_str(line).ok();
            parsed.is_some_and(|value| {
                let again = measures_again && value["step"] == step && is_evaluation(&value);
                value["step"].as_u64().is_some_and(|at| at <= step) && !again
            })
        };
        let kept: String = before.lines().take_while(reached).flat_map(|line| [line, "\n"]).collect();
        folder::replace(&path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(TrainError::io(&path))?;
        Ok(Self { path, file })
    }

    /// Waits until the disk has every line: a checkpoint is not to be there without the lines before it.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::io(&self.path))
    }

    fn line(&mut self, value: &Value) -> Result<(), TrainError> {
        self.file.write_all(format!("{value}\n").as_bytes()).map_err(TrainError::io(&self.path))
    }

    /// Every line.
    fn lines(&self) -> Result<Vec<Value>, TrainError> {
        let text = std::fs::read_to_string(&self.path).map_err(TrainError::io(&self.path))?;
        text.lines().map(|line| serde_json::from_str(line).map_err(TrainError::file(&self.path))).collect()
    }

    /// The training losses of the last steps in the file, `count` of them at most, the latest last.
    pub(crate) fn last_losses(&self, count: usize) -> Result<Vec<f64>, TrainError> {
        let losses: Vec<f64> = self.lines()?.iter().filter_map(|line| line["loss"].as_f64()).collect();
        Ok(losses[losses.len().saturating_sub(count)..].to_vec())
    }

    /// The training loss of the last step in the file.
    pub(crate) fn last_loss(&self) -> Result<f64, TrainError> {
        let last = self.last_losses(1)?.pop();
        last.ok_or_else(|| TrainError::file(&self.path)("holds no step"))
    }

    /// Writes what the file holds as tables beside it.
    pub(crate) fn tables(&self) -> Result<(), TrainError> {
        let lines = self.lines()?;
        tables::write(&self.path.with_file_name(STEPS), &tables::steps(&lines)?)?;
        tables::write(&self.path.with_file_name(EVALUATIONS), &tables::evaluations(&lines)?)
    }

    /// A step. `load` is the part of all choices that fell on each expert, by layer; empty without experts.
    pub(crate) fn step(
        &mut self,
        step: u64,
        [loss, rate, norm]: [f64; 3],
        load: &[Vec<f64>],
    ) -> Result<(), TrainError> {
        let (loss, rate, norm) = (rounded(loss), rounded(rate), rounded(norm));
        let mut line = json!({ "step": step, "loss": loss, "learning_rate": rate, "gradient_norm": norm });
        if !load.is_empty() {
            // 1 is even; the table of steps takes single numbers alone.
            let greatest = load.iter().map(|of| of.iter().fold(0.0_f64, |a, b| a.max(*b)) * of.len() as f64);
            line["expert_load_max"] = json!(rounded(greatest.fold(0.0, f64::max)));
            let load = load.iter().map(|of| of.iter().map(|part| rounded(*part)).collect());
            line["expert_load"] = json!(load.collect::<Vec<Vec<f64>>>());
        }
        self.line(&line)
    }

    /// An evaluation.
    pub(crate) fn held_out(&mut self, step: u64, found: &HeldOut) -> Result<(), TrainError> {
        let mut line = json!({ "step": step, "validation_loss": rounded(found.all.loss()) });
        if let Some(bits_per_byte) = found.all.bits_per_byte() {
            line["bits_per_byte"] = rounded(bits_per_byte).into();
        }
        if !found.sources.is_empty() {
            let told = found.sources.iter().map(|(source, found)| {
                let mut told = json!({ "loss": rounded(found.loss()) });
                if let Some(bits_per_byte) = found.bits_per_byte() {
                    told["bits_per_byte"] = rounded(bits_per_byte).into();
                }
                (source.clone(), told)
            });
            line["sources"] = told.collect::<serde_json::Map<_, _>>().into();
        }
        self.line(&line)
    }

    /// What an alignment measured at a step, in training or, with a prefix for the names, on rows kept apart.
    pub(crate) fn measures(&mut self, step: u64, prefix: &str, found: &[Measure]) -> Result<(), TrainError> {
        let mut line = serde_json::Map::from_iter([("step".to_owned(), json!(step))]);
        line.extend(found.iter().map(|(name, value)| (format!("{prefix}{name}"), json!(rounded(*value)))));
        self.line(&Value::Object(line))
    }

    /// The numbers whose names begin with `prefix` in the first or the last line that has any, by the rest of their names.
    pub(crate) fn found(&self, prefix: &str, last: bool) -> Result<BTreeMap<String, f64>, TrainError> {
        let of_line = |line: &Value| {
            let numbers = line
                .as_object()?
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.as_f64()?)));
            Some(numbers.collect::<BTreeMap<_, _>>()).filter(|numbers| !numbers.is_empty())
        };
        let lines = self.lines()?;
        let mut found = lines.iter().filter_map(of_line);
        Ok(if last { found.next_back() } else { found.next() }.unwrap_or_default())
    }
}

fn is_evaluation(line: &Value) -> bool {
    line.get("validation_loss").is_some()
}
