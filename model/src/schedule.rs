//! The learning rate: a linear rise, then a half cosine down (arXiv 1608.03983).
//!
//! ```text
//! step < warm-up:  rate · (step + 1) ÷ warm-up
//! after:           min + (rate − min) · ½(1 + cos(π · progress)),  progress from 0 to 1 over the other steps
//! ```

/// A learning rate for each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Schedule {
    /// Rate after the warm-up.
    pub(crate) rate: f64,
    /// Rate at the end.
    pub(crate) rate_min: f64,
    /// Steps of the warm-up; a tenth of all steps at most.
    pub(crate) warmup: u64,
    /// All steps.
    pub(crate) steps: u64,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    pub(crate) fn at(&self, step: u64) -> f64 {
        let warmup = self.warmup.min(self.steps / 10);
        if step < warmup {
            return self.rate * (step + 1) as f64 / warmup as f64;
        }
        let rest = (self.steps - warmup).saturating_sub(1).max(1);
        let progress = ((step - warmup) as f64 / rest as f64).min(1.0);
        self.rate_min + (self.rate - self.rate_min) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_to_the_rate_and_falls_to_the_least() {
        let schedule = Schedule { rate: 1.0, rate_min: 0.1, warmup: 10, steps: 110 };
        let check = |step, expected: f64| {
            assert!((schedule.at(step) - expected).abs() < 1e-12, "step {step}: {}", schedule.at(step));
        };
        check(0, 0.1);
        check(9, 1.0);
        check(10, 1.0);
        check(109, 0.1);
        check(500, 0.1);
        let short = Schedule { warmup: 50, steps: 1, ..schedule };
        assert_eq!(short.at(0), 1.0);
    }
}
