//! The one place that chooses what computes a training: the cores of this machine, or a GPU that holds the tensors.
//!
//! Either way parameters and what the optimizer remembers have their home in main memory, where checkpoints take them from; a GPU works on
//! copies and gives them back when it is asked to.

use crate::architecture::{Source, Transformer};
use crate::batch::Batch;
use crate::config::Config;
#[cfg(feature = "cuda")]
use crate::cuda::Trainer;
use crate::data::{Dataset, Share};
use crate::error::TrainError;
use crate::eval::held_out::BATCH_TOKENS;
use crate::layer::dropout::Dropout;
use crate::memory::{self, Room};
use crate::optimizer::Optimizer;

/// What a program without a GPU's room says.
#[cfg(not(feature = "cuda"))]
const WITHOUT: &str = "the device `cuda` needs a program built with `--features cuda`";

/// How numbers of activations and products lie in the memory of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Products of bf16 on tensor cores, summed in f32; parameters, their gradients and the residual are f32.
    #[default]
    Bf16,
    /// f32 throughout, as on the CPU.
    F32,
}

/// Where a training computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// All cores.
    #[default]
    Cpu,
    /// The first GPU; this program has to be built with the feature `cuda`.
    Cuda(Precision),
}

/// What computes the steps of a training.
#[derive(Debug)]
pub(crate) enum Engine {
    Cores,
    #[cfg(feature = "cuda")]
    Gpu(Box<Trainer>),
}

impl Engine {
    /// Opens a place for a model and its optimizer.
    ///
    /// # Errors
    /// There is no GPU, this program was built without the feature `cuda`, or the model does not run there.
    pub(crate) fn open(
        place: Place,
        model: &Transformer<f32>,
        optimizer: &Optimizer,
    ) -> Result<Self, TrainError> {
        match place {
            Place::Cpu => Ok(Self::Cores),
            #[cfg(feature = "cuda")]
            Place::Cuda(precision) => {
                let opened = Trainer::open(model, optimizer, precision).map_err(refused)?;
                Ok(Self::Gpu(Box::new(opened)))
            }
            #[cfg(not(feature = "cuda"))]
            Place::Cuda(_) => {
                let _ = (model, optimizer);
                Err(refused(WITHOUT))
            }
        }
    }

    /// What it is called, where it is not the cores of this machine.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Cores => None,
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => Some(trainer.name()),
        }
    }

    /// The summed loss of a batch times `scale`; gradients are added to those of the parameters.
    pub(crate) fn gradients(
        &self,
        model: &Transformer<f32>,
        batch: &Batch,
        scale: f64,
        dropout: Dropout,
    ) -> Result<f64, TrainError> {
        Ok(match self {
            Self::Cores => model.gradients(batch, scale, dropout)?,
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => trainer.gradients(model, batch, scale, dropout)?,
        })
    }

    /// The loss of each token's target in nats, 0 where it has none; without weights and dropout.
    pub(crate) fn target_losses(
        &self,
        model: &Transformer<f32>,
        batch: &Batch,
    ) -> Result<Vec<f64>, TrainError> {
        Ok(match self {
            Self::Cores => model.target_losses(batch)?,
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => trainer.target_losses(model, batch)?,
        })
    }

    /// Finds a tensor that no backward has written a gradient for.
    ///
    /// # Errors
    /// `NoGradient` with its name.
    pub(crate) fn assert_every_gradient(&self, optimizer: &Optimizer, step: u64) -> Result<(), TrainError> {
        match self {
            Self::Cores => optimizer.assert_every_gradient(step),
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => match trainer.without_gradient() {
                Some(tensor) => Err(TrainError::NoGradient { step, tensor }),
                None => Ok(()),
            },
        }
    }

    /// The norm of the gradient of all tensors.
    pub(crate) fn gradient_norm(&self, optimizer: &Optimizer) -> Result<f64, TrainError> {
        Ok(match self {
            Self::Cores => optimizer.gradient_norm(),
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => trainer.gradient_norm(optimizer)?,
        })
    }

    /// Applies the gradients at a step counted from 0, and forgets them.
    pub(crate) fn step(
        &self,
        optimizer: &Optimizer,
        step: u64,
        rate: f64,
        norm: f64,
    ) -> Result<(), TrainError> {
        match self {
            Self::Cores => optimizer.step(step, rate, norm)?,
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => trainer.step(optimizer, step, rate, norm)?,
        }
        Ok(())
    }

    /// Waits until what was asked for is done.
    pub(crate) fn wait(&self) -> Result<(), TrainError> {
        match self {
            Self::Cores => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => Ok(trainer.wait()?),
        }
    }

    /// Brings parameters and what the optimizer remembers to main memory.
    pub(crate) fn fetch(&self, optimizer: &Optimizer) -> Result<(), TrainError> {
        match self {
            Self::Cores => {
                let _ = optimizer;
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Self::Gpu(trainer) => Ok(trainer.fetch(optimizer)?),
        }
    }
}

/// Refuses a training that does not fit: into main memory on the cores; on a GPU its tensors and moments into main memory, and all of it there.
///
/// # Errors
/// What is needed and what there is; there is no such place.
pub(crate) fn check(place: Place, dataset: &Dataset, config: &Config, room: Room) -> Result<(), TrainError> {
    let Place::Cuda(precision) = place else { return memory::check(dataset, config, room) };
    let limit = memory::limit(config).unwrap_or(u64::MAX);
    let model = Transformer::of(config, dataset, Source::blank(limit))?;
    // Values and two moments of each number, and a checkpoint in the making.
    let home = 24 * model.parameter_count() as u64;
    if home > limit {
        let (home, limit) = (home >> 20, limit >> 20);
        return Err(refused(format!(
            "tensors and moments of this model need {home} MiB of main memory, and {limit} may be used"
        )));
    }
    let sample = dataset.stream(dataset.begin(config.seed), Share::ALL)?.samples(1)?;
    // A row of the permutation objective holds what is predicted twice, which differs from row to row.
    let length = usize::try_from(dataset.tokens.sequence_length).unwrap_or(usize::MAX);
    let row = model.shape.program.batch(&sample).ids.len();
    let row = if row > length { row.max(2 * length) } else { row };
    let tokens =
        usize::try_from(config.batch_sequences).unwrap_or(usize::MAX).saturating_mul(row).max(BATCH_TOKENS);
    fits(&model, precision, tokens)
}

#[cfg(feature = "cuda")]
fn fits(model: &Transformer<f32>, precision: Precision, tokens: usize) -> Result<(), TrainError> {
    Trainer::check(model, precision, tokens).map_err(refused)
}

#[cfg(not(feature = "cuda"))]
fn fits(_: &Transformer<f32>, _: Precision, _: usize) -> Result<(), TrainError> {
    Err(refused(WITHOUT))
}

fn refused(message: impl std::fmt::Display) -> TrainError {
    TrainError::Config { message: message.to_string() }
}
