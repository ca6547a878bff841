//! `metrics.jsonl`: one line a step and one an evaluation, without a clock, so that a resumed training ends with the same bytes.

use crate::error::TrainError;
use crate::folder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

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
    /// Opens the file and cuts what came after `step`, which will be computed again.
    pub(crate) fn open(out: &Path, step: u64) -> Result<Self, TrainError> {
        let path = out.join("metrics.jsonl");
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::Io { path, error }),
        };
        let reached = |line: &&str| {
            let parsed: Option<Value> = serde_json::from_str(line).ok();
            parsed.and_then(|value| value["step"].as_u64()).is_some_and(|at| at <= step)
        };
        let kept: String = before.lines().take_while(reached).flat_map(|line| [line, "\n"]).collect();
        folder::replace(&path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(TrainError::io(&path))?;
        Ok(Self { path, file })
    }

    fn line(&mut self, value: &Value) -> Result<(), TrainError> {
        self.file.write_all(format!("{value}\n").as_bytes()).map_err(TrainError::io(&self.path))
    }

    /// The training loss of the last step in the file.
    pub(crate) fn last_loss(&self) -> Result<f64, TrainError> {
        let text = std::fs::read_to_string(&self.path).map_err(TrainError::io(&self.path))?;
        let losses =
            text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["loss"].as_f64());
        losses.into_iter().next().ok_or_else(|| TrainError::file(&self.path)("holds no step"))
    }

    /// A step.
    pub(crate) fn step(&mut self, step: u64, loss: f64, rate: f64, norm: f64) -> Result<(), TrainError> {
        let (loss, rate, norm) = (rounded(loss), rounded(rate), rounded(norm));
        self.line(&json!({ "step": step, "loss": loss, "learning_rate": rate, "gradient_norm": norm }))
    }

    /// An evaluation.
    pub(crate) fn held_out(&mut self, step: u64, loss: f64, bits_per_byte: f64) -> Result<(), TrainError> {
        let (loss, bits_per_byte) = (rounded(loss), rounded(bits_per_byte));
        self.line(&json!({ "step": step, "validation_loss": loss, "bits_per_byte": bits_per_byte }))
    }

    /// What an alignment measured at a step, in training or, with `held_out`, on rows kept apart.
    pub(crate) fn measures(
        &mut self,
        step: u64,
        held_out: bool,
        found: &[Measure],
    ) -> Result<(), TrainError> {
        let mut line = serde_json::Map::from_iter([("step".to_owned(), json!(step))]);
        for (name, value) in found {
            let name = if held_out { format!("held_out_{name}") } else { (*name).to_owned() };
            line.insert(name, json!(rounded(*value)));
        }
        self.line(&Value::Object(line))
    }

    /// The numbers that begin with `prefix` in the first or the last line that has any, by the rest of their names.
    pub(crate) fn found(&self, prefix: &str, last: bool) -> Result<BTreeMap<String, f64>, TrainError> {
        let text = std::fs::read_to_string(&self.path).map_err(TrainError::io(&self.path))?;
        let of_line = |line: &str| {
            let object: serde_json::Map<String, Value> = serde_json::from_str(line).ok()?;
            let numbers = object
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.as_f64()?)));
            Some(numbers.collect::<BTreeMap<_, _>>()).filter(|numbers| !numbers.is_empty())
        };
        let mut found = text.lines().filter_map(of_line);
        Ok(if last { found.next_back() } else { found.next() }.unwrap_or_default())
    }
}
