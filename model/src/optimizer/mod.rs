//! How gradients become steps: AdamW for every tensor, or Muon for hidden matrices and AdamW for the others.
//!
//! ```text
//! g = gradient · min(1, clip_norm ÷ norm of all gradients)
//! w = w·(1 − η·λ) − η·f·direction(g);   then, where L1 is on, w = sign(w)·max(|w| − η·λ₁, 0)
//! ```
//! η is the rate of the schedule, f the factor of the tensor (1, or what muP gives it), λ and λ₁ apply to the tensors that
//! `decay_on` names. Both decays are decoupled from the direction (arXiv 1711.05101; for L1 it is the proximal step of FOBOS, Duchi and
//! Singer 2009, which makes true zeros) and from f, so that a factor changes how fast a tensor learns but not what it decays to.

mod adamw;
#[cfg(feature = "cuda")]
mod afar;
mod muon;

use crate::architecture::Transformer;
use crate::config::{Config, DecayOn, OptimizerKind};
use crate::error::TrainError;
use crate::folder::Named;
use crate::kernel::{Real, TASK_NUMBERS, dot, simd};
use crate::parameter::Shared;
use crate::parametrization::{Factors, factors};
use adamw::{AdamW, Moments};
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, bail};
use muon::{Matrices, Muon};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// What a tensor is to the model, which decides how it learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Embeddings and the head: a row for each token, position or language.
    Table,
    /// A matrix between features.
    Hidden,
    /// Gains, biases and other numbers of one feature.
    Vector,
}

impl Role {
    /// The role of a tensor outside of tables.
    pub(crate) fn of<T: Real>(parameter: &Shared<T>) -> Self {
        if parameter.value().rank() >= 2 { Self::Hidden } else { Self::Vector }
    }
}

/// What an optimizer remembers of one tensor.
#[derive(Debug)]
enum State {
    AdamW(Moments),
    /// The momentum of Muon, and how the tensor is made of matrices.
    Muon(Vec<f32>, Matrices),
}

/// One tensor with all that decides its step.
#[derive(Debug)]
struct Learner {
    parameter: Shared<f32>,
    /// Times the rate of the schedule.
    factor: f64,
    /// Times the gradient, for the norm that clipping looks at.
    unit: f64,
    decays: bool,
    state: Mutex<State>,
}

/// The optimizer with its state.
#[derive(Debug)]
pub(crate) struct Optimizer {
    learners: Vec<Learner>,
    adamw: AdamW,
    muon: Muon,
    weight_decay: f64,
    l1: f64,
    clip_norm: f64,
}

impl Optimizer {
    /// An optimizer without memory for the tensors of a model that are not frozen, each in its role.
    pub(crate) fn of(model: &Transformer<f32>, config: &Config) -> Self {
        let factors = factors(model, config);
        let tensors = model.parameters.iter().zip(factors);
        Self::with(tensors.map(|(parameter, factors)| (parameter, model.role(parameter), factors)), config)
    }

    /// The same for any tensors; matrices among them are hidden ones.
    #[cfg(test)]
    pub(crate) fn new(parameters: &[Shared<f32>], config: &Config) -> Self {
        Self::with(
            parameters
                .iter()
                .map(|parameter| (parameter, Role::of(parameter), crate::parametrization::STANDARD)),
            config,
        )
    }

    fn with<'a>(tensors: impl Iterator<Item = (&'a Shared<f32>, Role, Factors)>, config: &Config) -> Self {
        let learner = |(parameter, role, factors): (&Shared<f32>, Role, Factors)| {
            let zeros = || vec![0.0; parameter.value().elem_count()];
            let state = match (config.optimizer, role) {
                (OptimizerKind::Muon, Role::Hidden) => {
                    State::Muon(zeros(), Matrices::of(parameter.value().dims()))
                }
                _ => State::AdamW(Moments { first: zeros(), second: zeros() }),
            };
            let decays = match config.decay_on {
                DecayOn::Matrices => role != Role::Vector,
                DecayOn::Hidden => role == Role::Hidden,
                DecayOn::All => true,
            };
            let (factor, unit) = (factors.rate * factors.multiplier, factors.multiplier);
            Learner { parameter: parameter.clone(), factor, unit, decays, state: Mutex::new(state) }
        };
        Self {
            learners: tensors.filter(|(parameter, ..)| parameter.learns()).map(learner).collect(),
            adamw: AdamW::new(config),
            muon: Muon::new(config.momentum),
            weight_decay: config.weight_decay,
            l1: config.l1,
            clip_norm: config.clip_norm,
        }
    }

    /// The norm of the gradient of all tensors, summed part by part in a fixed order.
    pub(crate) fn gradient_norm(&self) -> f64 {
        let of = |l: &Learner| l.parameter.gradient(|g| l.unit * l.unit * g.map_or(0.0, squares));
        self.learners.iter().map(of).sum::<f64>().sqrt()
    }

    /// Finds a tensor that no backward has written a gradient for. One that is zero throughout is there: of a step
    /// without targets, or behind a matrix of zeros.
    ///
    /// # Errors
    /// `NoGradient` with its name.
    pub(crate) fn assert_every_gradient(&self, step: u64) -> std::result::Result<(), TrainError> {
        match self.learners.iter().find(|l| l.parameter.gradient(|g| g.is_none())) {
            Some(l) => Err(TrainError::NoGradient { step, tensor: l.parameter.name().to_owned() }),
            None => Ok(()),
        }
    }

    /// Applies the gradients at a step counted from 0, and forgets them.
    pub(crate) fn step(&self, step: u64, rate: f64, norm: f64) -> Result<()> {
        let clip = self.clip(norm);
        for learner in &self.learners {
            learner.parameter.value().inplace_op1(&Update { optimizer: self, learner, step, clip, rate })?;
            learner.parameter.clear();
        }
        Ok(())
    }

    /// What gradients of such a norm are multiplied by.
    fn clip(&self, norm: f64) -> f64 {
        if self.clip_norm > 0.0 && norm > self.clip_norm { self.clip_norm / norm } else { 1.0 }
    }

    fn strength_of(&self, learner: &Learner, rate: f64) -> Strength {
        let decayed = if learner.decays { rate } else { 0.0 };
        Strength {
            rate: rate * learner.factor,
            keep: (1.0 - decayed * self.weight_decay) as f32,
            shrink: (decayed * self.l1) as f32,
        }
    }

    /// How many numbers it remembers, and how many it works with at once.
    pub(crate) fn numbers(&self) -> (usize, usize) {
        let of = |learner: &Learner| match &*learner.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::AdamW(Moments { first, second }) => (first.len() + second.len(), 0),
            State::Muon(momentum, shape) => (momentum.len(), shape.work_numbers()),
        };
        let all = self.learners.iter().map(of);
        all.fold((0, 0), |(held, working), (more, work)| (held + more, working.max(work)))
    }

    /// What a checkpoint keeps: tensors named `first.…` and `second.…` of AdamW, `momentum.…` of Muon.
    pub(crate) fn state(&self) -> Named {
        let mut named = Named::new();
        for Learner { parameter, state, .. } in &self.learners {
            let mut keep = |kind: &str, values: &[f32]| {
                let shape = parameter.value().dims().to_vec();
                named.insert(format!("{kind}.{}", parameter.name()), (shape, values.to_vec()));
            };
            match &*state.lock().unwrap_or_else(PoisonError::into_inner) {
                State::AdamW(Moments { first, second }) => {
                    keep("first", first);
                    keep("second", second);
                }
                State::Muon(momentum, _) => keep("momentum", momentum),
            }
        }
        named
    }

    /// Takes the state of a checkpoint.
    ///
    /// # Errors
    /// A tensor of it is missing or has another size.
    pub(crate) fn restore(&mut self, mut read: Named) -> Result<()> {
        for Learner { parameter, state, .. } in &mut self.learners {
            let mut take = |kind: &str, into: &mut Vec<f32>| {
                let name = format!("{kind}.{}", parameter.name());
                match read.remove(&name) {
                    Some((_, values)) if values.len() == into.len() => {
                        *into = values;
                        Ok(())
                    }
                    _ => bail!("the checkpoint has no moments `{name}` of this size"),
                }
            };
            match state.get_mut().unwrap_or_else(PoisonError::into_inner) {
                State::AdamW(Moments { first, second }) => {
                    take("first", first)?;
                    take("second", second)?;
                }
                State::Muon(momentum, _) => take("momentum", momentum)?,
            }
        }
        Ok(())
    }
}

/// The sum of squares, part by part in a fixed order.
fn squares(numbers: &[f32]) -> f64 {
    let parts = numbers.par_chunks(TASK_NUMBERS).map(|part| f64::from(simd(|| dot(part, part))));
    parts.collect::<Vec<_>>().iter().sum()
}

/// How strongly a step moves a tensor.
#[derive(Debug, Clone, Copy)]
struct Strength {
    /// Times the direction.
    rate: f64,
    /// Times the values, before they move.
    keep: f32,
    /// What L1 takes off.
    shrink: f32,
}

/// One step of one tensor.
struct Update<'a> {
    optimizer: &'a Optimizer,
    learner: &'a Learner,
    step: u64,
    clip: f64,
    rate: f64,
}

impl Update<'_> {
    fn apply(&self, values: &mut [f32]) {
        let Self { optimizer, learner, step, clip, rate } = *self;
        let strength = optimizer.strength_of(learner, rate);
        let clip = clip as f32;
        let mut state = learner.state.lock().unwrap_or_else(PoisonError::into_inner);
        learner.parameter.gradient(|gradient| {
            let Some(gradient) = gradient else { return };
            match &mut *state {
                State::AdamW(moments) => {
                    optimizer.adamw.step(step, (strength, clip), values, gradient, moments);
                }
                State::Muon(momentum, shape) => {
                    optimizer.muon.step(*shape, (strength, clip), values, gradient, momentum);
                }
            }
            shrink(values, strength.shrink);
        });
    }
}

/// Moves every number towards 0 by `by`, and no further.
fn shrink(values: &mut [f32], by: f32) {
    if by == 0.0 {
        return;
    }
    values.par_chunks_mut(TASK_NUMBERS).for_each(|values| {
        simd(|| values.iter_mut().for_each(|w| *w = (w.abs() - by).max(0.0).copysign(*w)));
    });
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "optimizer step"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else { bail!("optimizers work on f32") };
        self.apply(values);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
