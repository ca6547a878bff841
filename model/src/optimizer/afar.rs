//! What a place outside main memory asks an optimizer for: the numbers of its steps, and what it remembers.

use super::{Learner, Optimizer, State};
use crate::parameter::Shared;
use candle_core::Result;
use std::sync::{Arc, PoisonError};

impl Optimizer {
    /// The number of the learner of a parameter.
    pub(crate) fn learner(&self, parameter: &Shared<f32>) -> usize {
        let found = self.learners.iter().position(|learner| Arc::ptr_eq(&learner.parameter, parameter));
        found.expect("every parameter of a training learns")
    }

    /// How strongly a step of AdamW, counted from 0, moves the tensor of a learner: the rate ÷ (1 − β₁ᵗ), what its values are multiplied by,
    /// what L1 takes off, and what its gradient is multiplied by for the norm.
    pub(crate) fn strength(&self, learner: usize, step: u64, rate: f64) -> [f32; 4] {
        let learner = &self.learners[learner];
        let strength = self.strength_of(learner, rate);
        let rate = strength.rate / self.adamw.corrections(step).0;
        [rate as f32, strength.keep, strength.shrink, learner.unit as f32]
    }

    /// β₁, β₂, ε, what gradients of such a norm are multiplied by, and 1 ÷ √(1 − β₂ᵗ); `None` where a tensor learns otherwise.
    pub(crate) fn adamw_numbers(&self, step: u64, norm: f64) -> Option<[f32; 5]> {
        let is_adamw = |learner: &Learner| {
            matches!(&*learner.state.lock().unwrap_or_else(PoisonError::into_inner), State::AdamW(_))
        };
        let (beta1, beta2, epsilon) = self.adamw.numbers();
        let root = 1.0 / self.adamw.corrections(step).1.sqrt();
        self.learners.iter().all(is_adamw).then_some([
            beta1,
            beta2,
            epsilon,
            self.clip(norm) as f32,
            root as f32,
        ])
    }

    /// Shows the moments of every tensor that AdamW moves.
    pub(crate) fn each_moment(
        &self,
        mut see: impl FnMut(&Shared<f32>, [&[f32]; 2]) -> Result<()>,
    ) -> Result<()> {
        self.each_moment_mut(|parameter, [first, second]| see(parameter, [first, second]))
    }

    /// The same, to be written.
    pub(crate) fn each_moment_mut(
        &self,
        mut see: impl FnMut(&Shared<f32>, [&mut [f32]; 2]) -> Result<()>,
    ) -> Result<()> {
        for Learner { parameter, state, .. } in &self.learners {
            if let State::AdamW(moments) = &mut *state.lock().unwrap_or_else(PoisonError::into_inner) {
                see(parameter, [&mut moments.first, &mut moments.second])?;
            }
        }
        Ok(())
    }
}
