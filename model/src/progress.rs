//! What a training tells while it works. Nothing that it computes depends on who listens, except that a time budget is measured.

use crate::eval::perplexity::Evaluation;

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainEvent<'a> {
    /// The training begins or goes on.
    Started {
        /// Numbers that learn.
        parameters: u64,
        /// Step that comes first: 0, or that of the checkpoint.
        step: u64,
        /// Steps in all, as far as known.
        steps: u64,
        /// Tokens of a step, padding included.
        step_tokens: u64,
    },
    /// The time budget was turned into a count of steps.
    Budgeted {
        /// Steps in all.
        steps: u64,
        /// Seconds of a step as measured.
        step_seconds: f64,
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Mean loss per predicted token, in nats.
        loss: f64,
        /// Learning rate of the step.
        learning_rate: f64,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// Tokens a second over the last steps.
        tokens_per_s: f64,
        /// Predicted seconds to the end.
        seconds_left: f64,
    },
    /// Held-out loss is being measured.
    Evaluating {
        /// Steps done.
        step: u64,
        /// Held-out sequences measured.
        sequences: u64,
        /// Of so many.
        total: u64,
    },
    /// Held-out loss was measured.
    Evaluated {
        /// Steps done.
        step: u64,
        /// Mean loss per predicted token, in nats.
        loss: f64,
        /// Bits per byte of text; `None` where tokens are predicted from more than what stands before them.
        bits_per_byte: Option<f64>,
        /// The same by source of the documents, the largest first; empty where the dataset does not tell.
        sources: &'a [(String, Evaluation)],
    },
    /// A checkpoint is being written.
    Checkpointing {
        /// Steps done.
        step: u64,
    },
    /// An alignment measured rows kept apart.
    Measured {
        /// Steps done.
        step: u64,
        /// Numbers with their names.
        found: &'a [(&'static str, f64)],
    },
    /// A checkpoint is on the disk.
    Checkpointed {
        /// Steps done.
        step: u64,
        /// Its folder.
        path: &'a std::path::Path,
    },
    /// A line that a person should see.
    Note {
        /// What happened.
        message: &'a str,
    },
}

/// Listens to a training.
pub trait TrainObserver: Send + Sync {
    /// Takes an event.
    fn event(&self, event: TrainEvent<'_>);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl TrainObserver for Silent {
    fn event(&self, _event: TrainEvent<'_>) {}
}
