//! What can go wrong in training, evaluation and generation.

use crate::train::Stop;
use schemas::KeyError;
use std::path::{Path, PathBuf};

/// Training, evaluation or generation stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        message: String,
    },
    /// Settings do not fit together.
    #[error("{message}")]
    Config {
        /// Which, with their values.
        message: String,
    },
    /// The folder holds a training of other settings or another dataset.
    #[error(
        "{}: this training began differently:\n  {}",
        path.display(), differences.join("\n  ")
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// Each key with both values.
        differences: Vec<String>,
    },
    /// The folder holds a training that another version of the program began.
    #[error(
        "{}: the checkpoint has layout {found}, this program writes {known} and reads the rows in another order, so that \
         some would come twice and others never; end the training with the version that began it, or begin anew in another folder \
         with `--out`",
        path.display()
    )]
    OtherLayout {
        /// The checkpoint.
        path: PathBuf,
        /// Its layout.
        found: u64,
        /// That of this program.
        known: u32,
    },
    /// The training does not fit into memory.
    #[error(
        "the training needs {} MiB and may use {limit_mib} MiB\n{fit}, or give more with `memory_mib`\nMiB: {estimate}",
        estimate.of(estimate.sequences).div_ceil(1 << 20)
    )]
    Memory {
        /// What is needed, part by part.
        estimate: crate::memory::Estimate,
        /// Mebibytes that the machine, its control group or `memory_mib` allow.
        limit_mib: u64,
        /// What would fit.
        fit: crate::memory::Fit,
    },
    /// A parameter would never learn: a layer's backward is broken.
    #[error(
        "step {step}: tensor `{tensor}` received no gradient, so it would never learn; its layer is at fault"
    )]
    NoGradient {
        /// The step that failed.
        step: u64,
        /// Name of the tensor.
        tensor: String,
    },
    /// The loss or the gradient is not a number any more, or the loss leapt.
    #[error("{0}")]
    Stopped(Box<Stop>),
    /// Somebody asked the training to stop.
    #[error(
        "stopped after step {step} of {steps}, which a checkpoint holds; the same command goes on from there"
    )]
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
    },
    /// The model to go on from is not the one that the settings describe.
    #[error(
        "{}: the model does not fit: {}; set the keys as they are there, or take another model", path.display(), differences.join(", ")
    )]
    OtherModel {
        /// Folder of the model.
        path: PathBuf,
        /// Each key with both values.
        differences: Vec<String>,
    },
    /// A model gives no probabilities.
    #[error("the model's logits are not numbers; its tensors are damaged")]
    NotANumber,
    /// An operation on tensors was refused.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The tokenizer refused.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
}

impl TrainError {
    /// Every mistake in settings, in one line.
    pub(crate) fn settings(errors: &[KeyError]) -> Self {
        let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Self::Config { message }
    }

    /// Names the path that the system refused.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    /// Names the file or folder that cannot stand where it was given: wrong use, as settings that do not fit together.
    pub(crate) fn misplaced(path: &Path, message: impl std::fmt::Display) -> Self {
        Self::Config { message: format!("{}: {message}", path.display()) }
    }

    /// Names the file that is not what it should be.
    pub(crate) fn file<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, message: error.to_string() }
    }
}
