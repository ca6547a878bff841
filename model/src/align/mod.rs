//! Alignment of a trained model: to answers (`sft`), to preferences (`dpo`, `reward`), to rewards that can be checked (`grpo`).
//!
//! All ways share one course: all parameters learn, or low-rank adapters over frozen ones; it resumes from
//! checkpoints like a training, and measures rows kept apart before the first and after the last step. Rows come as tokens: who calls
//! lays chats out, and says which token ends an answer.

pub(crate) mod adapter;
mod course;
pub mod dpo;
pub mod grpo;
mod packed;
pub mod reward;
mod rollout;
pub mod rules;
pub mod score;
pub mod sft;
#[cfg(test)]
mod tests;

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::folder;
use crate::progress::TrainObserver;
use crate::train::REPORT;
use schemas::{config, manifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

config! {
    /// Settings of every alignment.
    pub struct Common {
        /// Rank of low-rank adapters (LoRA, arXiv 2106.09685), which then learn alone; 0 lets all parameters learn.
        lora_rank: u64 = 0, in 0..=4096;
        /// The output of an adapter is multiplied by this ÷ `lora_rank`.
        lora_alpha: f64 = 16.0, in 0.0..=1e6;
        /// Parts that carry an adapter, by the last words of their names, as `q_proj`; none named means every linear part of the blocks.
        lora_targets: Vec<String> = Vec::new();
        /// Optimizer steps; 0 means as many as make `epochs`.
        steps: u64 = 0, in 0..=100_000_000;
        /// Passes over the rows, where `steps` is 0; unset means 1, and for `sft` on few rows as many as make 100 steps, 10 at most.
        epochs: Option<u64> = None, in Some(1)..=Some(1_000_000);
        /// Rows of a micro-batch: packed sequences (`sft`), pairs (`dpo`, `reward`) or prompts (`grpo`); unset means 8, and for `sft` on few
        /// rows as few as make 16 steps of a pass.
        batch_rows: Option<u64> = None, in Some(1)..=Some(65_536);
        /// Micro-batches of a step; the gradient is that of one batch of all of them.
        accumulate: u64 = 1, in 1..=65_536;
        /// Learning rate after the warm-up; unset means 0.0001, and for `sft` a third of the rate that the model was trained at, where its
        /// training.json tells.
        learning_rate: Option<f64> = None, in Some(0.0)..=Some(10.0);
        /// Learning rate at the end of the cosine.
        learning_rate_min: f64 = 0.0, in 0.0..=10.0;
        /// Steps in which the learning rate rises from 0; unset means 20, or a tenth of all steps where that is less.
        warmup_steps: Option<u64> = None, in Some(0)..=Some(10_000_000);
        /// Weight decay of matrices (AdamW, arXiv 1711.05101).
        weight_decay: f64 = 0.0, in 0.0..=10.0;
        /// Decay of the mean of gradients.
        beta1: f64 = 0.9, in 0.0..=0.9999;
        /// Decay of the mean of squared gradients.
        beta2: f64 = 0.99, in 0.0..=0.999_999;
        /// The gradient of all parameters is scaled down to this norm; 0 turns it off.
        clip_norm: f64 = 1.0, in 0.0..=1e9;
        /// Probability that a feature is dropped after the embedding and after each part of a block.
        dropout: f64 = 0.0, in 0.0..=0.9;
        /// Seed of everything random: first adapters, order of rows, dropout, samples.
        seed: u64 = 0;
        /// Rows kept apart are measured every so many steps; 0 means before the first and after the last only.
        eval_every: u64 = 0, in 0..=100_000_000;
        /// A checkpoint every so many steps; 0 means at the end only.
        checkpoint_every: u64 = 50, in 0..=100_000_000;
        /// Checkpoints that stay, the newest ones.
        checkpoints_keep: u64 = 1, in 1..=1_000_000;
    }
}

/// File of the rows that were left out, in the folder of a model.
pub const REFUSED: &str = "refused.jsonl";
/// Rows of a micro-batch where neither settings nor few rows say otherwise.
const BATCH_ROWS: u64 = 8;
/// Steps of a pass that a micro-batch of few rows leaves, and steps of all passes over them: fewer teach little.
const FEW_ROWS_STEPS: (u64, u64) = (16, 100);
/// Most passes over few rows: more of them are learned by heart.
const FEW_ROWS_EPOCHS_MAX: u64 = 10;
/// Learning rate where neither settings nor the model say otherwise, and the part of the model's own that fine-tuning takes.
const LEARNING_RATE: (f64, f64) = (0.0001, 1.0 / 3.0);

impl Common {
    /// Rows of a micro-batch.
    fn batch_rows(&self) -> u64 {
        self.batch_rows.unwrap_or(BATCH_ROWS)
    }

    /// Rows of a step.
    fn step_rows(&self) -> u64 {
        self.batch_rows() * self.accumulate
    }

    /// Steps in all over so many rows.
    fn steps_over(&self, rows: u64) -> u64 {
        match self.steps {
            0 => (rows * self.epochs.unwrap_or(1)).div_ceil(self.step_rows()),
            steps => steps,
        }
    }

    /// The settings of a course over so many rows, which decide on what was left unset.
    fn over_few(&self, rows: u64) -> Self {
        let (pass, all) = FEW_ROWS_STEPS;
        let few = || (rows / (pass * self.accumulate)).clamp(1, BATCH_ROWS);
        let batch_rows = self.batch_rows.unwrap_or_else(few);
        let pass_steps = rows.div_ceil(batch_rows * self.accumulate).max(1);
        let epochs = self.epochs.unwrap_or_else(|| all.div_ceil(pass_steps).clamp(1, FEW_ROWS_EPOCHS_MAX));
        Self { batch_rows: Some(batch_rows), epochs: Some(epochs), ..self.clone() }
    }

    /// Learning rate after the warm-up.
    fn learning_rate(&self) -> f64 {
        self.learning_rate.unwrap_or(LEARNING_RATE.0)
    }

    /// The same settings, with a rate for fine-tuning a model where none was set.
    fn rate_of(self, base: &Path) -> Self {
        let told = || {
            let told: Value = serde_json::from_slice(&std::fs::read(base.join(REPORT)).ok()?).ok()?;
            let rate: f64 = told["settings"]["learning_rate"].as_str()?.parse().ok()?;
            // An alignment was at such a rate already. Three digits are read more easily than all.
            let part = if told["method"].is_null() { LEARNING_RATE.1 } else { 1.0 };
            format!("{:.2e}", rate * part).parse().ok()
        };
        Self { learning_rate: self.learning_rate.or_else(told), ..self }
    }

    /// What stands for settings that were left unset.
    fn settled(&self) -> [(String, String); 3] {
        [
            ("batch_rows".to_owned(), self.batch_rows().to_string()),
            ("epochs".to_owned(), self.epochs.unwrap_or(1).to_string()),
            ("learning_rate".to_owned(), format!("{:?}", self.learning_rate())),
        ]
    }

    /// Dropout of a micro-batch, counted through all steps.
    fn dropout_of(&self, micro: u64) -> crate::layer::dropout::Dropout {
        let seed = schemas::hash::seed(self.seed, "micro-batch of an alignment", micro);
        crate::layer::dropout::Dropout { probability: self.dropout, seed }
    }
}

/// What an alignment works on and where it writes.
pub struct Job<'a> {
    /// Folder of the model to begin with.
    pub base: &'a Path,
    /// Folder of the aligned model.
    pub out: &'a Path,
    /// Settings.
    pub common: &'a Common,
    /// Whether adapters are merged into the model that is written.
    pub merge: bool,
    /// Whether what an alignment has left in `out` goes first.
    pub restart: bool,
    /// `tokenizer_config.json` of the aligned model, with the layout of its chats.
    pub tokenizer_config: Option<&'a [u8]>,
    /// Name of that layout, where it is known.
    pub template: Option<&'a str>,
    /// Rows that were left out, as JSON lines, which are kept beside the model; empty where there are none.
    pub refused: &'a str,
    /// Who listens.
    pub observer: &'a dyn TrainObserver,
}

/// Rows of an alignment.
#[derive(Debug, Clone)]
pub struct Rows<R> {
    /// Name of the file.
    pub name: String,
    /// blake3 of all that the rows were made of.
    pub hash: [u8; 32],
    /// Rows that are learned.
    pub train: Vec<R>,
    /// Rows kept apart.
    pub held_out: Vec<R>,
    /// The token that ends an answer.
    pub end: u32,
}

/// A prompt with a better and a worse answer, as tokens; answers end with the token that ends answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Line of the file, counted from 1.
    pub line: u64,
    /// What is given.
    pub prompt: Vec<u32>,
    /// The better answer.
    pub chosen: Vec<u32>,
    /// The worse answer.
    pub rejected: Vec<u32>,
}

/// A prompt whose answer can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Line of the file, counted from 1.
    pub line: u64,
    /// What is given, as tokens.
    pub prompt: Vec<u32>,
    /// The right answer; empty where none is known.
    pub answer: String,
}

/// What an alignment came to: `training.json`. Without a clock, so that its bytes are those of any other run of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlignReport {
    /// `sft`, `dpo`, `reward` or `grpo`.
    pub method: String,
    /// Numbers that learned.
    pub parameters: u64,
    /// Steps done.
    pub steps: u64,
    /// Loss of the last step.
    pub loss: f64,
    /// What rows kept apart measured before the first step; empty where there are none.
    pub before: BTreeMap<String, f64>,
    /// The same after the last.
    pub after: BTreeMap<String, f64>,
    /// Settings, defaults included, with the way, the layout of chats (`template`) and the hash of the base model.
    pub settings: BTreeMap<String, String>,
    /// Hexadecimal blake3 of the rows, or of their dataset's manifest.
    pub rows: String,
    /// Hexadecimal blake3 of the tokenizer.
    pub tokenizer: String,
}

/// What rows for a model have to keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most tokens of a prompt with its answer.
    pub tokens_max: usize,
    /// Ids are below this.
    pub vocab: usize,
    /// The token that ends a text.
    pub eos: u32,
}

/// Reads the limits of a model folder.
///
/// # Errors
/// It is none.
pub fn limits(folder: &Path) -> Result<Limits, TrainError> {
    let shape = folder::shape_of(folder)?;
    Ok(Limits { tokens_max: shape.context, vocab: shape.vocab, eos: shape.eos })
}

/// Refuses to write over the model that an alignment begins with, or over one that it lies over as an adapter.
///
/// # Errors
/// `out` is one of them.
pub fn assert_elsewhere(base: &Path, out: &Path) -> Result<(), TrainError> {
    match adapter::over(base, out)? {
        None => Ok(()),
        Some(folder) => Err(TrainError::misplaced(
            &folder,
            "is the model to begin with, which would be written over; name another folder with `--out`",
        )),
    }
}

/// Writes an adapter folder as a whole model.
///
/// # Errors
/// `adapter` is none, its base model is not there or another one, or `out` is not empty.
pub fn merge(adapter: &Path, out: &Path) -> Result<(), TrainError> {
    if !adapter::is_adapter(adapter) {
        return Err(TrainError::misplaced(adapter, "holds no adapter that is not merged yet"));
    }
    folder::assert_empty(out)?;
    let model = folder::load(adapter)?;
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    folder::save(&model, out)?;
    for name in [manifest::TOKENIZER, manifest::TOKENIZER_CONFIG] {
        let path = adapter.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => folder::replace(&out.join(name), &bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(TrainError::io(&path)(error)),
        }
    }
    Ok(())
}

/// Refuses rows that do not fit a model, by their lines.
fn check_lengths(
    model: &Transformer<f32>,
    name: &str,
    rows: impl Iterator<Item = (u64, usize)>,
) -> Result<(), TrainError> {
    let context = model.shape.context;
    match rows.into_iter().find(|(_, tokens)| *tokens > context) {
        Some((line, tokens)) => Err(TrainError::Config {
            message: format!(
                "{name}, line {line}: {tokens} tokens are more than the model's context of {context}"
            ),
        }),
        None => Ok(()),
    }
}

/// Refuses a file without rows to learn from.
fn check_some(name: &str, rows: usize) -> Result<(), TrainError> {
    let message = format!("{name}: no row is left to learn from");
    if rows == 0 { Err(TrainError::Config { message }) } else { Ok(()) }
}
