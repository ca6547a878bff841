//! Times generation on fresh models: what `cargo bench --bench generate` prints, and the folders that other programs are timed on.

use super::Sampling;
use super::rows::{Request, continue_rows};
use crate::architecture::{Source, Transformer};
use crate::config::Config;
use crate::error::TrainError;
use crate::folder;
use schemas::hash::{Rng, seed};
use schemas::manifest::Tokens;
use std::path::Path;
use std::time::{Duration, Instant};

/// A generation that was timed.
#[derive(Debug)]
pub struct Timed {
    /// Numbers of the model.
    pub parameters: usize,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// What the model takes to be likeliest behind it.
    pub ids: Vec<u32>,
    /// From the prompt to the last id, the packing of the matrices included.
    pub time: Duration,
}

/// Writes the folder of a fresh model over a context of `length` and a vocabulary of `vocab`, without a tokenizer.
///
/// # Errors
/// Settings that do not fit together, a folder that cannot be written.
pub fn save_fresh(config: &Config, length: u64, vocab: u64, out: &Path) -> Result<(), TrainError> {
    let tokens = Tokens {
        folder: "tokens".into(),
        sequence_length: length,
        vocab_size: vocab,
        eos_id: 0,
        train: 1,
        validation: 0,
        tokenizer: String::new(),
    };
    let model = Transformer::new(config.shape(&tokens)?, Source::drawn(config.seed))?;
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    folder::save(&model, out)
}

/// Times `tokens` greedy tokens behind a random prompt of `prompt`, as often as `rounds` says; nothing ends them. The fastest counts.
///
/// # Errors
/// A folder that is not of a model; more tokens than its context has room for.
pub fn time(model: &Path, prompt: u64, tokens: u64, rounds: usize) -> Result<Timed, TrainError> {
    let model = folder::load(model)?;
    let vocab = model.shape.vocab;
    if prompt + tokens > model.shape.context as u64 {
        let message =
            format!("{prompt} + {tokens} tokens are more than the context of {}", model.shape.context);
        return Err(TrainError::Config { message });
    }
    let rng = Rng::new(seed(0, "prompt", 0));
    let prompt: Vec<u32> = (0..prompt.max(1))
        .map(|at| u32::try_from(rng.at(at) % vocab as u64).expect("a vocabulary is counted by u32"))
        .collect();
    let sampling = Sampling { tokens_max: tokens, temperature: 0.0, ..Sampling::default() };
    let (mut best, mut ids) = (Duration::MAX, Vec::new());
    for _ in 0..rounds.max(1) {
        let prompts = [prompt.clone()];
        let begun = Instant::now();
        let request = Request { model: &model, vocab, prompts: &prompts, sampling: &sampling, stops: &[] };
        ids = continue_rows(&request)?.remove(0);
        best = best.min(begun.elapsed());
    }
    Ok(Timed { parameters: model.parameter_count(), prompt, ids, time: best })
}
