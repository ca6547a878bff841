//! The end of a training: its last evaluation, the model folder, and `training.json`.

use super::Training;
use crate::TrainError;
use crate::eval::held_out::HeldOut;
use crate::eval::perplexity::Evaluation;
use crate::folder;
use crate::metrics::rounded;
use schemas::manifest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// File name of the report.
pub const REPORT: &str = "training.json";

/// What a training was and came to: `training.json`. Without a clock, so that its bytes are those of any other run of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Numbers that learned.
    pub parameters: u64,
    /// Steps done.
    pub steps: u64,
    /// Tokens read, padding included.
    pub tokens: u64,
    /// Mean loss of the last step, in nats per predicted token.
    pub loss: f64,
    /// Held-out loss; absent when the dataset has no held-out rows.
    pub validation_loss: Option<f64>,
    /// e^held-out loss; absent, as are bits per byte, where tokens are predicted from more than what stands before them.
    pub perplexity: Option<f64>,
    /// Held-out bits per byte.
    pub bits_per_byte: Option<f64>,
    /// The same for each source of the held-out documents, the largest first; empty where the dataset does not tell.
    #[serde(default)]
    pub sources: Vec<SourceReport>,
    /// Settings, defaults included.
    pub settings: BTreeMap<String, String>,
    /// Hexadecimal blake3 of the dataset's manifest.
    pub dataset: String,
    /// Hexadecimal blake3 of the tokenizer.
    pub tokenizer: String,
    /// Hexadecimal blake3 of the tensors that it went on from; absent where they were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
}

/// Held-out loss of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// File of the documents, or the host of a page; `other` for all behind the largest.
    pub source: String,
    /// Mean loss per predicted token, in nats.
    pub loss: f64,
    /// Bits per byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
    /// Predicted tokens.
    pub tokens: u64,
    /// Bytes of text that they stand for.
    pub bytes: u64,
}

fn by_source((source, found): &(String, Evaluation)) -> SourceReport {
    SourceReport {
        source: source.clone(),
        loss: rounded(found.loss()),
        bits_per_byte: found.bits_per_byte().map(rounded),
        tokens: found.tokens,
        bytes: found.bytes,
    }
}

/// The report of a training whose folder is whole.
pub(super) fn of_ended(out: &Path) -> Option<TrainReport> {
    let bytes = std::fs::read(out.join(REPORT)).ok().filter(|_| out.join(folder::TENSORS).is_file())?;
    serde_json::from_slice(&bytes).ok()
}

impl Training<'_> {
    /// Measures the trained model and writes its folder, the report last.
    pub(super) fn finish(mut self, report_path: &Path) -> Result<TrainReport, TrainError> {
        // A training killed after its last step has its loss in the log alone.
        let loss = if self.loss.is_nan() { self.metrics.last_loss()? } else { self.loss };
        let held_out = self.evaluate(0)?;
        self.metrics.tables()?;
        folder::save(&self.model, &self.out)?;
        let tokenizer = self.dataset.tokenizer();
        let bytes = std::fs::read(&tokenizer).map_err(TrainError::io(&tokenizer))?;
        folder::replace(&self.out.join(manifest::TOKENIZER), &bytes)?;
        // A dataset of another program may come without it.
        let told = tokenizer.with_file_name(manifest::TOKENIZER_CONFIG);
        if let Ok(bytes) = std::fs::read(&told) {
            folder::replace(&self.out.join(manifest::TOKENIZER_CONFIG), &bytes)?;
        }
        let all = held_out.as_ref().map(|found| found.all);
        let sources = |found: &HeldOut| found.sources.iter().map(by_source).collect();
        let report = TrainReport {
            parameters: self.model.parameter_count() as u64,
            steps: self.state.steps,
            tokens: self.state.steps * self.step_tokens(),
            loss: rounded(loss),
            validation_loss: all.map(|found| rounded(found.loss())),
            perplexity: all.and_then(|found| found.perplexity()).map(rounded),
            bits_per_byte: all.and_then(|found| found.bits_per_byte()).map(rounded),
            sources: held_out.as_ref().map(sources).unwrap_or_default(),
            settings: self.state.settings,
            dataset: self.state.dataset,
            tokenizer: self.state.tokenizer,
            initial: self.state.initial,
        };
        folder::replace(report_path, &folder::json_bytes(&report))?;
        Ok(report)
    }
}
