//! The learning rate: a linear rise, then one of four ways on.
//!
//! ```text
//! step < warm-up:  rate · (step + 1) ÷ warm-up
//! after:           min + (rate − min) · shape(progress),  progress from 0 to 1 over the steps in which the rate falls
//! shapes           cosine ½(1 + cos(π·p)) (arXiv 1608.03983);  linear 1 − p;  square root 1 − √p (arXiv 2405.18392)
//! ```
//! `cosine` and `linear` fall over all steps after the warm-up, `wsd` (warm-up, stable, decay; arXiv 2404.06395) only over the last
//! `decay_fraction` of all steps, in `decay_shape`; `constant` does not fall.

use crate::config::{Config, DecayShape, ScheduleKind};

/// A learning rate for each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Schedule {
    /// Rate after the warm-up.
    rate: f64,
    /// Rate at the end.
    rate_min: f64,
    /// Steps of the warm-up.
    warmup: u64,
    /// Steps of the fall, the last ones.
    fall: u64,
    /// All steps.
    steps: u64,
    shape: DecayShape,
}

/// Steps of the warm-up where the settings say nothing and the training is long enough.
const WARMUP_STEPS: u64 = 50;
/// Part of all steps that such a warm-up takes at most.
const WARMUP_PART: u64 = 10;

impl Schedule {
    /// The schedule of a training of so many steps. A warm-up that was set is as long as it says.
    pub(crate) fn new(config: &Config, steps: u64) -> Self {
        let unset = || WARMUP_STEPS.min(steps / WARMUP_PART);
        let warmup = config.warmup_steps.unwrap_or_else(unset).min(steps);
        let rest = steps - warmup;
        let (fall, shape) = match config.schedule {
            ScheduleKind::Cosine => (rest, DecayShape::Cosine),
            ScheduleKind::Linear => (rest, DecayShape::Linear),
            ScheduleKind::Wsd => {
                (((config.decay_fraction * steps as f64).round() as u64).min(rest), config.decay_shape)
            }
            ScheduleKind::Constant => (0, DecayShape::Linear),
        };
        let (rate, rate_min) = (config.learning_rate, config.least_rate());
        Self { rate, rate_min, warmup, fall, steps, shape }
    }

    /// The rate of a step, counted from 0.
    pub(crate) fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.rate * (step + 1) as f64 / self.warmup as f64;
        }
        let Some(fallen) = step.checked_sub(self.steps - self.fall).filter(|_| self.fall > 0) else {
            return self.rate;
        };
        // The last step has the least rate, the first of a fall over all steps the full one.
        let progress = (fallen as f64 / self.fall.saturating_sub(1).max(1) as f64).min(1.0);
        let left = match self.shape {
            DecayShape::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            DecayShape::Linear => 1.0 - progress,
            DecayShape::Sqrt => 1.0 - progress.sqrt(),
        };
        self.rate_min + (self.rate - self.rate_min) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config), steps: u64, expected: &[(u64, f64)]) {
        let mut config = Config {
            learning_rate: 1.0,
            learning_rate_min: Some(0.1),
            warmup_steps: Some(10),
            decay_fraction: 0.2,
            ..Config::default()
        };
        change(&mut config);
        let schedule = Schedule::new(&config, steps);
        for &(step, expected) in expected {
            let found = schedule.at(step);
            assert!((found - expected).abs() < 1e-12, "{:?}, step {step}: {found}", config.schedule);
        }
    }

    #[test]
    fn rises_to_the_rate_and_falls_to_the_least() {
        let ends = [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (109, 0.1), (500, 0.1)];
        check(|_| {}, 110, &ends);
        check(|c| c.schedule = ScheduleKind::Linear, 110, &ends);
        check(|c| c.schedule = ScheduleKind::Linear, 111, &[(60, 0.55)]);
        check(|_| {}, 111, &[(60, 0.55), (35, 0.1 + 0.9 * 0.5 * (1.0 + std::f64::consts::FRAC_1_SQRT_2))]);
        check(|c| c.schedule = ScheduleKind::Constant, 20, &[(0, 0.1), (9, 1.0), (19, 1.0)]);
        check(|c| c.schedule = ScheduleKind::Constant, 110, &[(0, 0.1), (9, 1.0), (10, 1.0), (109, 1.0)]);
    }

    #[test]
    fn a_warm_up_is_as_long_as_it_was_set_and_else_a_tenth_at_most() {
        let unset = |c: &mut Config| {
            c.warmup_steps = None;
            c.schedule = ScheduleKind::Constant;
        };
        check(unset, 1, &[(0, 1.0)]);
        check(unset, 100, &[(0, 0.1), (8, 0.9), (9, 1.0)]);
        check(unset, 5000, &[(0, 0.02), (48, 0.98), (49, 1.0)]);
        let half = |c: &mut Config| c.warmup_steps = Some(50);
        check(half, 100, &[(0, 0.02), (48, 0.98), (49, 1.0), (50, 1.0), (99, 0.1)]);
        // The rate is reached in the last step at the latest.
        check(half, 20, &[(0, 0.05), (19, 1.0)]);
    }

    #[test]
    fn stays_and_then_falls_in_its_shape() {
        let wsd = |shape: DecayShape| {
            move |c: &mut Config| {
                c.schedule = ScheduleKind::Wsd;
                c.decay_shape = shape;
            }
        };
        // The fall is of 21 steps: 84 to 104.
        let ends = [(9, 1.0), (50, 1.0), (84, 1.0), (104, 0.1)];
        for (shape, quarter) in [
            (DecayShape::Linear, 0.775),
            (DecayShape::Sqrt, 0.55),
            (DecayShape::Cosine, 0.868_198_051_533_946_4),
        ] {
            check(wsd(shape), 105, &ends);
            check(wsd(shape), 105, &[(89, quarter)]);
        }
        let all = |c: &mut Config| {
            c.schedule = ScheduleKind::Wsd;
            c.decay_fraction = 1.0;
        };
        check(all, 110, &[(9, 1.0), (10, 1.0), (109, 0.1)]);
        let none = |c: &mut Config| {
            c.schedule = ScheduleKind::Wsd;
            c.decay_fraction = 0.0;
        };
        check(none, 110, &[(109, 1.0)]);
    }
}
