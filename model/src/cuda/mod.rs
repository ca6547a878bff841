//! Training on one NVIDIA GPU: the parameters, their gradients and the moments of AdamW live there, and every operation of both passes runs there.
//!
//! Kernels are our own and are compiled for the GPU when it is opened; matrix products are cuBLAS's. Nothing is summed in an order that
//! chance decides, so a training on one GPU gives the same bytes each time. A checkpoint holds f32 from main memory, whatever computed
//! it: a training may go on anywhere.

mod attention;
mod buffers;
mod compile;
mod gpu;
mod loss;
mod rows;
mod tape;
#[cfg(test)]
mod tests;
mod upload;
mod weights;

use crate::architecture::{Shape, Transformer};
use crate::batch::{Batch, NO_TARGET};
use crate::device::Precision;
use crate::layer::dropout::Dropout;
use crate::optimizer::Optimizer;
use crate::parts::NormKind;
use candle_core::Result;
use gpu::{Gpu, Sizes};
use std::sync::{Mutex, PoisonError};
use tape::{Pass, Tape};
use upload::Slot;
use weights::Weights;

/// Features of a token that the kernels take at most.
const WIDTH_MAX: usize = 8192;
/// What cuBLAS, kernels and lists of a batch take besides, about.
const OVERHEAD_BYTES: usize = gpu::WORKSPACE_BYTES + (256 << 20);
/// Features of a head that the plain kernels of attention take at most.
const HEAD_MAX: usize = 256;

/// A GPU that holds a model.
#[derive(Debug)]
pub(crate) struct Trainer {
    gpu: Gpu,
    weights: Weights,
    /// Which learner of the optimizer each tensor is.
    learners: Vec<usize>,
    work: Mutex<(Tape, Slot)>,
}

fn message(text: &str) -> candle_core::Error {
    candle_core::Error::Msg(text.to_owned())
}

/// What the driver or a library says.
fn error(found: impl std::fmt::Display) -> candle_core::Error {
    message(&format!("the GPU: {found}"))
}

/// Refuses a model with parts or sizes that the kernels do not have.
fn check(shape: &Shape) -> Result<()> {
    let missing = if shape.is_recurrent() {
        "recurrences (`mixers`)"
    } else if shape.experts.is_some() {
        "a mixture of experts (`experts`)"
    } else if shape.norm == NormKind::Batch {
        "batch norm (`norm`)"
    } else {
        let sizes = [
            ("width", shape.width, WIDTH_MAX),
            ("ff_width", shape.ff_width, usize::MAX),
            ("head width", shape.heads.width, HEAD_MAX),
        ];
        for (name, size, max) in sizes {
            if size % 8 > 0 || size > max {
                let most = if max < usize::MAX { format!(" of at most {max}") } else { String::new() };
                let told =
                    format!("the device `cuda` takes a {name} that is a multiple of 8{most}; it is {size}");
                return Err(message(&told));
            }
        }
        return Ok(());
    };
    Err(message(&format!("{missing} are not there on the device `cuda`; train this model on the CPU")))
}

impl Trainer {
    /// Refuses a model that does not run on the GPU or, with passes over so many tokens at once, does not fit its memory. The model may be blank.
    ///
    /// # Errors
    /// The same, and there is no GPU.
    pub(crate) fn check(model: &Transformer<f32>, precision: Precision, batch_tokens: usize) -> Result<()> {
        check(&model.shape)?;
        let needed =
            Weights::bytes(model, precision) + Tape::bytes(model, precision, batch_tokens)? + OVERHEAD_BYTES;
        let (free, name) = gpu::free()?;
        if needed <= free {
            return Ok(());
        }
        let (needed, free) = (needed >> 20, free >> 20);
        Err(message(&format!(
            "this training needs about {needed} MiB on the GPU, where {free} are free ({name}); lower `batch_sequences` (and raise `accumulate`) or the size \
             of the model"
        )))
    }

    /// Opens the GPU and copies a model there, with what an optimizer remembers.
    ///
    /// # Errors
    /// There is no GPU, or a part of the model does not run there.
    pub(crate) fn open(
        model: &Transformer<f32>,
        optimizer: &Optimizer,
        precision: Precision,
    ) -> Result<Self> {
        check(&model.shape)?;
        let sizes = Sizes { width: model.shape.width, head: model.shape.heads.width, precision };
        let gpu = Gpu::open(sizes)?;
        let weights = Weights::new(&gpu, model)?;
        optimizer.each_moment(|parameter, moments| weights.upload_moments(&gpu, parameter, moments))?;
        let learners = weights.parameters().map(|parameter| optimizer.learner(parameter)).collect();
        let tape = Tape::new(&gpu, &weights, model)?;
        Ok(Self { gpu, weights, learners, work: Mutex::new((tape, Slot::default())) })
    }

    /// What the GPU is called.
    pub(crate) fn name(&self) -> &str {
        self.gpu.name()
    }

    /// The summed loss of a batch times `scale`; gradients are added to those of the parameters on the GPU.
    pub(crate) fn gradients(
        &self,
        model: &Transformer<f32>,
        batch: &Batch,
        scale: f64,
        dropout: Dropout,
    ) -> Result<f64> {
        self.run(model, batch, Some(scale), dropout, |_, _| Ok(())).map(|(loss, ())| loss)
    }

    /// The loss of each token's target in nats, 0 where it has none; without weights and dropout.
    pub(crate) fn target_losses(&self, model: &Transformer<f32>, batch: &Batch) -> Result<Vec<f64>> {
        let (_, losses) =
            self.run(model, batch, None, Dropout::NONE, |tape, upload| tape.losses(&self.gpu, upload))?;
        let mut losses = losses.into_iter();
        let of = |target: &u32| {
            if *target == NO_TARGET { 0.0 } else { f64::from(losses.next().expect("a loss for each target")) }
        };
        Ok(batch.targets.iter().map(of).collect())
    }

    fn run<R>(
        &self,
        model: &Transformer<f32>,
        batch: &Batch,
        scale: Option<f64>,
        dropout: Dropout,
        after: impl FnOnce(&Tape, &upload::Upload) -> Result<R>,
    ) -> Result<(f64, R)> {
        self.gpu.bind()?;
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let (tape, place) = &mut *work;
        let upload = place.put(&self.gpu, model, batch)?;
        let pass = Pass { gpu: &self.gpu, weights: &self.weights, model, batch: &upload, dropout };
        let loss = tape.run(pass, scale)?;
        Ok((loss, after(tape, &upload)?))
    }

    fn strengths(&self, optimizer: &Optimizer, step: u64, rate: f64) -> impl Iterator<Item = [f32; 4]> {
        self.learners.iter().map(move |&learner| optimizer.strength(learner, step, rate))
    }

    /// The name of a tensor that no pass has written a gradient for, if there is one.
    pub(crate) fn without_gradient(&self) -> Option<String> {
        self.weights.without_gradient()
    }

    /// The norm of the gradient of all tensors.
    pub(crate) fn gradient_norm(&self, optimizer: &Optimizer) -> Result<f64> {
        self.gpu.bind()?;
        self.weights.gradient_norm(&self.gpu, self.strengths(optimizer, 0, 0.0))
    }

    /// Applies the gradients at a step counted from 0, and forgets them.
    pub(crate) fn step(&self, optimizer: &Optimizer, step: u64, rate: f64, norm: f64) -> Result<()> {
        self.gpu.bind()?;
        match optimizer.adamw_numbers(step, norm) {
            Some(numbers) => {
                self.weights.adamw(&self.gpu, numbers, self.strengths(optimizer, step, rate))?;
            }
            // Muon orthogonalises in main memory.
            None => {
                self.weights.download_gradients(&self.gpu)?;
                self.weights.download(&self.gpu)?;
                optimizer.step(step, rate, norm)?;
                self.weights.upload(&self.gpu)?;
            }
        }
        self.weights.clear(&self.gpu)
    }

    /// Waits until all work is done.
    pub(crate) fn wait(&self) -> Result<()> {
        self.gpu.read::<u8>(0, &mut [])
    }

    /// Copies values and moments back to where a checkpoint takes them from.
    pub(crate) fn fetch(&self, optimizer: &Optimizer) -> Result<()> {
        self.gpu.bind()?;
        self.weights.download(&self.gpu)?;
        if optimizer.adamw_numbers(0, 0.0).is_none() {
            return Ok(());
        }
        optimizer.each_moment_mut(|parameter, moments| {
            self.weights.download_moments(&self.gpu, parameter, moments)
        })
    }
}
