//! AdamW (arXiv 1711.05101) in place.
//!
//! ```text
//! m = β₁m + (1 − β₁)g;  v = β₂v + (1 − β₂)g²;  direction = m̂ ÷ (√v̂ + ε),  m̂ = m ÷ (1 − β₁ᵗ), v̂ = v ÷ (1 − β₂ᵗ)
//! ```

use super::Strength;
use crate::config::Config;
use crate::kernel::{Real, TASK_NUMBERS, simd};
use rayon::prelude::*;

/// Means of the gradient and of its square, for one tensor.
#[derive(Debug)]
pub(super) struct Moments {
    /// Mean of the gradient.
    pub(super) first: Vec<f32>,
    /// Mean of its square.
    pub(super) second: Vec<f32>,
}

/// The numbers of AdamW.
#[derive(Debug)]
pub(super) struct AdamW {
    betas: (f64, f64),
    epsilon: f64,
}

/// What one step multiplies by.
struct Factors {
    betas: (f32, f32),
    epsilon: f32,
    clip: f32,
    keep: f32,
    /// Rate ÷ (1 − β₁ᵗ).
    rate: f32,
    /// 1 ÷ √(1 − β₂ᵗ).
    root: f32,
}

impl AdamW {
    pub(super) const fn new(config: &Config) -> Self {
        Self { betas: (config.beta1, config.beta2), epsilon: config.epsilon }
    }

    /// 1 − β₁ᵗ and 1 − β₂ᵗ at a step counted from 0.
    pub(super) fn corrections(&self, step: u64) -> (f64, f64) {
        let t = (step + 1) as f64;
        (1.0 - self.betas.0.powf(t), 1.0 - self.betas.1.powf(t))
    }

    /// β₁, β₂ and ε.
    #[cfg(feature = "cuda")]
    pub(super) const fn numbers(&self) -> (f32, f32, f32) {
        (self.betas.0 as f32, self.betas.1 as f32, self.epsilon as f32)
    }

    /// One step, counted from 0.
    pub(super) fn step(
        &self,
        step: u64,
        (Strength { rate, keep, .. }, clip): (Strength, f32),
        values: &mut [f32],
        gradient: &[f32],
        Moments { first, second }: &mut Moments,
    ) {
        let (first_part, second_part) = self.corrections(step);
        let factors = Factors {
            betas: (self.betas.0 as f32, self.betas.1 as f32),
            epsilon: self.epsilon as f32,
            clip,
            keep,
            rate: (rate / first_part) as f32,
            root: (1.0 / second_part.sqrt()) as f32,
        };
        let tasks = values.par_chunks_mut(TASK_NUMBERS).zip(gradient.par_chunks(TASK_NUMBERS));
        let tasks = tasks.zip(first.par_chunks_mut(TASK_NUMBERS)).zip(second.par_chunks_mut(TASK_NUMBERS));
        tasks.for_each(|(((values, gradient), first), second)| {
            let length = values.len();
            let (gradient, first, second) =
                (&gradient[..length], &mut first[..length], &mut second[..length]);
            simd(|| factors.apply(values, gradient, first, second));
        });
    }
}

impl Factors {
    #[inline(always)]
    fn apply(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let Self { betas: (beta1, beta2), epsilon, clip, keep, rate, root } = *self;
        for i in 0..values.len() {
            let g = gradient[i] * clip;
            first[i] = beta1 * first[i] + (1.0 - beta1) * g;
            second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
            values[i] = keep * values[i] - rate * first[i] / (Real::sqrt(second[i]) * root + epsilon);
        }
    }
}
