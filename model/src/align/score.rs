//! What a model earns: its likeliest answer to each prompt, judged by the rules of `grpo`.

use super::grpo::greedy;
use super::rules::{Judge, Rules};
use super::{Rows, Task, check_lengths};
use crate::error::TrainError;
use crate::eval::perplexity::open_tokenizer;
use crate::folder;
use schemas::manifest;
use serde::Serialize;
use std::path::Path;

/// An answer to a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// Line of the file, counted from 1.
    pub line: u64,
    /// Text of the answer.
    pub text: String,
    /// Whether it ended by itself.
    pub ended: bool,
    /// What it earned.
    pub reward: f64,
}

/// Answers the held-out rows.
///
/// # Errors
/// A folder that is no model, a row that does not fit the model or the rules.
pub fn score(
    model: &Path,
    rows: &Rows<Task>,
    rules: &Rules,
    reward_model: Option<&Path>,
    tokens_max: u64,
) -> Result<Vec<Scored>, TrainError> {
    let folder = model;
    let model = folder::load(folder)?;
    if rows.held_out.is_empty() {
        return Err(TrainError::Config { message: format!("{}: no row is left to answer", rows.name) });
    }
    let judge = Judge::new(rules, reward_model)?;
    check_lengths(&model, &rows.name, rows.held_out.iter().map(|task| (task.line, task.prompt.len() + 2)))?;
    rows.held_out.iter().try_for_each(|task| judge.check(&rows.name, task))?;
    let longest = rows.held_out.iter().map(|task| task.prompt.len()).max().unwrap_or(0);
    judge.check_model(folder, (longest, tokens_max, model.shape.context))?;
    let (tokenizer, vocab) = open_tokenizer(&folder.join(manifest::TOKENIZER), model.shape.vocab as u64)?;
    let found = greedy(&model, &tokenizer, &judge, rows, tokens_max, vocab as usize)?;
    let scored = rows.held_out.iter().zip(found).map(|(task, (found, reward))| Scored {
        line: task.line,
        text: found.text,
        ended: found.ended,
        reward,
    });
    Ok(scored.collect())
}
