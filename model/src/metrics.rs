//! `metrics.jsonl`: one line a step and one an evaluation, without a clock, so that a resumed training ends with the same bytes.

use crate::error::TrainError;
use crate::folder;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A number as it is written to files: of twelve digits, which reading gives back to the last bit.
pub(crate) fn rounded(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

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

    /// A step. `load` holds the part of all choices that fell on each expert, by layer; nothing without experts.
    pub(crate) fn step(
        &mut self,
        step: u64,
        loss: f64,
        rate: f64,
        norm: f64,
        load: &[Vec<f64>],
    ) -> Result<(), TrainError> {
        let (loss, rate, norm) = (rounded(loss), rounded(rate), rounded(norm));
        let mut line = json!({ "step": step, "loss": loss, "learning_rate": rate, "gradient_norm": norm });
        if !load.is_empty() {
            line["expert_load"] = json!(load);
        }
        self.line(&line)
    }

    /// An evaluation.
    pub(crate) fn held_out(&mut self, step: u64, loss: f64, bits_per_byte: f64) -> Result<(), TrainError> {
        let (loss, bits_per_byte) = (rounded(loss), rounded(bits_per_byte));
        self.line(&json!({ "step": step, "validation_loss": loss, "bits_per_byte": bits_per_byte }))
    }
}
