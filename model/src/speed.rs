//! Times a training step and its parts on random tokens: what `cargo bench --bench step` prints.

mod file;

pub use file::{FileTimes, file_times};

use crate::architecture::{Source, Transformer};
use crate::batch::{Batch, Row};
use crate::config::Config;
use crate::error::TrainError;
use crate::layer::dropout::Dropout;
use crate::optimizer::Optimizer;
use schemas::hash::{Rng, seed};
use schemas::manifest::Tokens;
use std::time::{Duration, Instant};

/// Median times of a step.
#[derive(Debug, Clone, Copy)]
pub struct StepTimes {
    /// Numbers that learn.
    pub parameters: usize,
    /// Tokens of a step.
    pub tokens: u64,
    /// From tokens to the loss, the gradient of the head included.
    pub forward: Duration,
    /// From the loss to the gradients of all other parameters.
    pub backward: Duration,
    /// Norm of the gradient and the optimizer's step.
    pub optimizer: Duration,
    /// The whole step.
    pub step: Duration,
    /// The fastest step: on a machine that others use too, the nearest to what it would take alone.
    pub best: Duration,
}

/// Times `steps` steps of a fresh model over rows of `length` tokens below `vocab`, each row two documents.
///
/// # Errors
/// Settings that do not fit together.
pub fn step_times(config: &Config, length: u32, vocab: u32, steps: usize) -> Result<StepTimes, TrainError> {
    let tokens = Tokens {
        folder: "tokens".into(),
        sequence_length: length.into(),
        vocab_size: vocab.into(),
        eos_id: 0,
        train: 1,
        validation: 0,
        tokenizer: String::new(),
    };
    let model: Transformer<f32> = Transformer::new(config.shape(&tokens)?, Source::drawn(config.seed))?;
    let optimizer = Optimizer::of(&model, config);
    let mut times = Vec::with_capacity(steps);
    for step in 0..steps as u64 {
        let batch = random_batch(config, length, vocab, step);
        let dropout = Dropout { probability: config.dropout, seed: seed(config.seed, "micro-batch", step) };
        let begun = Instant::now();
        let mut tape = model.tape();
        tape.forward(&model, &batch, 1.0 / batch.targets_count().max(1) as f64, dropout)?;
        let forward = begun.elapsed();
        tape.backward(&model, &batch, dropout)?;
        drop(tape);
        let backward = begun.elapsed();
        optimizer.step(step, 1e-3, optimizer.gradient_norm())?;
        let all = begun.elapsed();
        times.push([forward, backward - forward, all - backward, all]);
    }
    Ok(StepTimes {
        parameters: model.parameter_count(),
        tokens: config.batch_sequences * u64::from(length),
        forward: median(times.iter().map(|times| times[0])),
        backward: median(times.iter().map(|times| times[1])),
        optimizer: median(times.iter().map(|times| times[2])),
        step: median(times.iter().map(|times| times[3])),
        best: times.iter().map(|times| times[3]).min().unwrap_or_default(),
    })
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn random_batch(config: &Config, length: u32, vocab: u32, step: u64) -> Batch {
    let mut rng = Rng::new(seed(config.seed, "tokens", step));
    let mut below = |n: u32| u32::try_from(rng.below(n.into())).expect("below a u32");
    let row = |_| {
        let first = below(length);
        let ids = (0..length).map(|_| below(vocab)).collect();
        Row {
            ids,
            piece_lengths: vec![first, length - first],
            begins: vec![false, true],
            padding: 0,
            mask: vec![],
        }
    };
    Batch::new(&(0..config.batch_sequences).map(row).collect::<Vec<_>>(), 0)
}
