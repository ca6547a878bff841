//! AdamW (arXiv 1711.05101) in place, with moments that can be saved, and clipping by the norm of the whole gradient.
//!
//! ```text
//! m = β₁m + (1 − β₁)g;  v = β₂v + (1 − β₂)g²;  w −= η·(m̂ ÷ (√v̂ + ε) + λ·w),  m̂ = m ÷ (1 − β₁ᵗ), v̂ = v ÷ (1 − β₂ᵗ)
//! ```
//! λ applies to matrices, not to gains and biases.

use crate::config::Config;
use crate::error::TrainError;
use crate::kernel::{Real, TASK_NUMBERS, dot, simd};
use crate::parameter::Shared;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Means of the gradient and of its square, for one tensor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moments {
    /// Mean of the gradient.
    pub(crate) first: Vec<f32>,
    /// Mean of its square.
    pub(crate) second: Vec<f32>,
}

/// The optimizer with its state.
#[derive(Debug)]
pub(crate) struct AdamW {
    parameters: Vec<Shared<f32>>,
    /// In the order of the parameters.
    pub(crate) moments: Vec<Mutex<Moments>>,
    betas: (f64, f64),
    epsilon: f64,
    weight_decay: f64,
    clip_norm: f64,
}

impl AdamW {
    /// An optimizer without memory.
    pub(crate) fn new(parameters: &[Shared<f32>], config: &Config) -> Self {
        let zeros = |parameter: &Shared<f32>| {
            let zeros = vec![0.0; parameter.value().elem_count()];
            Mutex::new(Moments { first: zeros.clone(), second: zeros })
        };
        Self {
            parameters: parameters.to_vec(),
            moments: parameters.iter().map(zeros).collect(),
            betas: (config.beta1, config.beta2),
            epsilon: config.epsilon,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
        }
    }

    /// The norm of the gradient of all parameters, summed part by part in a fixed order.
    pub(crate) fn gradient_norm(&self) -> f64 {
        let squares = |gradient: &[f32]| -> f64 {
            let parts = gradient.par_chunks(TASK_NUMBERS).map(|part| f64::from(simd(|| dot(part, part))));
            parts.collect::<Vec<_>>().iter().sum()
        };
        let of = |p: &Shared<f32>| p.gradient(|gradient| gradient.map_or(0.0, squares));
        self.parameters.iter().map(of).sum::<f64>().sqrt()
    }

    /// Finds a parameter that learns and that no backward has written a gradient for. One that is zero throughout is there: of a
    /// step without targets, or behind a matrix of zeros.
    ///
    /// # Errors
    /// `NoGradient` with its name.
    pub(crate) fn assert_every_gradient(&self, step: u64) -> std::result::Result<(), TrainError> {
        match self.parameters.iter().find(|p| p.learns() && p.gradient(|g| g.is_none())) {
            Some(parameter) => Err(TrainError::NoGradient { step, tensor: parameter.name().to_owned() }),
            None => Ok(()),
        }
    }

    /// Applies the gradients at a step counted from 0, and forgets them.
    pub(crate) fn step(&self, step: u64, rate: f64, norm: f64) -> Result<()> {
        let clip = if self.clip_norm > 0.0 && norm > self.clip_norm { self.clip_norm / norm } else { 1.0 };
        let t = (step + 1) as f64;
        let corrections = (1.0 - self.betas.0.powf(t), 1.0 - self.betas.1.powf(t));
        for (parameter, moments) in self.parameters.iter().zip(&self.moments) {
            let decay = if parameter.decays() { rate * self.weight_decay } else { 0.0 };
            let update = Update { optimizer: self, parameter, moments, clip, rate, decay, corrections };
            if parameter.value().device().is_cpu() {
                parameter.value().inplace_op1(&update)?;
            } else {
                update.apply_afar()?;
            }
            parameter.clear();
        }
        Ok(())
    }
}

struct Update<'a> {
    optimizer: &'a AdamW,
    parameter: &'a Shared<f32>,
    moments: &'a Mutex<Moments>,
    clip: f64,
    rate: f64,
    decay: f64,
    corrections: (f64, f64),
}

impl Update<'_> {
    #[inline(always)]
    fn apply(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (beta1, beta2) = (self.optimizer.betas.0 as f32, self.optimizer.betas.1 as f32);
        let (clip, keep) = (self.clip as f32, (1.0 - self.decay) as f32);
        let rate = (self.rate / self.corrections.0) as f32;
        let root = (1.0 / self.corrections.1.sqrt()) as f32;
        let epsilon = self.optimizer.epsilon as f32;
        for i in 0..values.len() {
            let g = gradient[i] * clip;
            first[i] = beta1 * first[i] + (1.0 - beta1) * g;
            second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
            values[i] = keep * values[i] - rate * first[i] / (Real::sqrt(second[i]) * root + epsilon);
        }
    }
}

impl Update<'_> {
    /// Updates a tensor on a device by way of main memory.
    fn apply_afar(&self) -> Result<()> {
        let value = self.parameter.value();
        let mut values = value.flatten_all()?.to_vec1::<f32>()?;
        self.apply_all(&mut values);
        value.set(&Tensor::from_vec(values, value.shape(), value.device())?)
    }

    fn apply_all(&self, values: &mut [f32]) {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let Moments { first, second } = &mut *moments;
        self.parameter.gradient(|gradient| {
            let Some(gradient) = gradient else { return };
            let tasks = values.par_chunks_mut(TASK_NUMBERS).zip(gradient.par_chunks(TASK_NUMBERS));
            let tasks =
                tasks.zip(first.par_chunks_mut(TASK_NUMBERS)).zip(second.par_chunks_mut(TASK_NUMBERS));
            tasks.for_each(|(((values, gradient), first), second)| {
                let length = values.len();
                let (gradient, first, second) =
                    (&gradient[..length], &mut first[..length], &mut second[..length]);
                simd(|| self.apply(values, gradient, first, second));
            });
        });
    }
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else { bail!("AdamW works on f32") };
        self.apply_all(values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{numbers, parameter};

    #[test]
    fn a_tensor_on_a_device_is_updated_like_one_in_main_memory() {
        let config = Config::default();
        let updated = |afar: bool| {
            let parameter = parameter::<f32>("w", &[3, 7], 1);
            let optimizer = AdamW::new(std::slice::from_ref(&parameter), &config);
            for step in 0..3 {
                parameter.accumulate(|gradient, _| gradient.copy_from_slice(&numbers(21, step)));
                let moments = &optimizer.moments[0];
                let (parameter, corrections) = (&parameter, (0.5, 0.25));
                let update = Update {
                    optimizer: &optimizer,
                    parameter,
                    moments,
                    clip: 0.9,
                    rate: 0.1,
                    decay: 0.01,
                    corrections,
                };
                if afar {
                    update.apply_afar().unwrap()
                } else {
                    parameter.value().inplace_op1(&update).unwrap()
                }
                parameter.clear();
            }
            parameter.read(<[f32]>::to_vec).unwrap()
        };
        assert_eq!(updated(true), updated(false));
        assert_ne!(updated(true), numbers::<f32>(21, 1));
    }
}
