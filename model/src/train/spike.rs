//! Notices a loss that leaps: a robust rule over the losses of the last steps.
//!
//! ```text
//! spike:  loss > factor · median,  loss > median + 10 · 1.4826 · MAD,  loss > median + 1 nat
//! or      loss > 2 · least,        loss > least + 5 nats,             from the second step on
//! ```
//! All of a line must hold. The median absolute deviation (MAD) stands for the noise of the batches, times 1.4826 for the standard deviation of
//! a normal distribution (Rousseeuw and Croux 1993); the factor for what matters; the nat keeps a loss near zero from leaping at a hard batch.
//! The second line needs no measure of noise: it stops what blows up before there is one, or so slowly that the noise grows with it.
//! A factor above 2 takes the place of its 2.

use std::collections::VecDeque;

/// Losses that the median is taken over.
pub(crate) const WINDOW: usize = 64;
/// Fewer losses than this are no measure.
const WINDOW_MIN: usize = 16;
/// Deviations above the median that a loss must exceed.
const DEVIATIONS: f64 = 10.0;
/// From a median absolute deviation to a standard deviation, for a normal distribution.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// Nats above the median that a loss must exceed.
const NATS: f64 = 1.0;

/// A loss above the least of the window by this factor, and by so many nats, is no noise.
const BLOW_UP: (f64, f64) = (2.0, 5.0);

/// The losses of the last steps.
#[derive(Debug, Clone)]
pub(crate) struct Spikes {
    factor: f64,
    losses: VecDeque<f64>,
}

impl Spikes {
    /// A watch that is off where `factor` is 0; `losses` are those of the steps before, the latest last.
    pub(crate) fn new(factor: f64, losses: impl IntoIterator<Item = f64>) -> Self {
        let mut spikes = Self { factor, losses: VecDeque::new() };
        losses.into_iter().for_each(|loss| spikes.keep(loss));
        spikes
    }

    /// Takes the loss of a step into the window.
    pub(crate) fn keep(&mut self, loss: f64) {
        if self.losses.len() == WINDOW {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
    }

    /// The median of the window, where `loss` is a spike over it.
    pub(crate) fn over(&self, loss: f64) -> Option<f64> {
        if self.factor == 0.0 || self.losses.is_empty() {
            return None;
        }
        let least = self.losses.iter().copied().fold(f64::INFINITY, f64::min);
        let blown_up = (least * self.factor.max(BLOW_UP.0)).max(least + BLOW_UP.1);
        let middle = median(self.losses.iter().copied());
        if loss > blown_up {
            return Some(middle);
        }
        if self.losses.len() < WINDOW_MIN {
            return None;
        }
        let deviation = median(self.losses.iter().map(|loss| (loss - middle).abs())) * MAD_TO_DEVIATION;
        let limit = (middle * self.factor).max(middle + DEVIATIONS * deviation).max(middle + NATS);
        (loss > limit).then_some(middle)
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: impl Iterator<Item = f64>, factor: f64, loss: f64, expected: bool) {
        let spikes = Spikes::new(factor, before);
        assert_eq!(spikes.over(loss).is_some(), expected, "{loss} over {spikes:?}");
    }

    #[test]
    fn a_leap_is_told_from_noise() {
        let even = |n: usize| (0..n).map(|at| 3.0 + 0.05 * (at % 7) as f64);
        check(even(64), 1.5, 5.0, true);
        check(even(64), 1.5, 4.6, false);
        check(even(64), 0.0, 50.0, false);
        check(even(15), 1.5, 7.9, false);
        // Batches that differ much leap far before it is a spike; a loss near zero may double.
        let noisy = (0..64).map(|at| 3.0 + 1.5 * f64::from(at % 2));
        check(noisy, 1.5, 8.0, false);
        check((0..64).map(|at| 0.02 + 0.001 * f64::from(at % 3)), 1.5, 0.9, false);
        check((0..64).map(|at| 0.02 + 0.001 * f64::from(at % 3)), 1.5, 1.1, true);
    }

    #[test]
    fn a_blow_up_is_told_from_the_second_step_on() {
        check([].into_iter(), 1.5, 900.0, false);
        check([6.2].into_iter(), 1.5, 12.0, false);
        check([6.2].into_iter(), 1.5, 12.5, true);
        check([6.2].into_iter(), 0.0, 900.0, false);
        check([6.2].into_iter(), 4.0, 20.0, false);
        check([6.2].into_iter(), 4.0, 25.0, true);
        // From the head of a badly drawn model the loss falls; a loss near zero stands far from five nats.
        check([300.0, 40.0, 9.0].into_iter(), 1.5, 17.0, false);
        check([0.01, 0.02].into_iter(), 1.5, 4.9, false);
        // One that grows from step to step takes the noise with it.
        check((0..40).map(|at| 6.0 + 0.16 * f64::from(at)), 1.5, 12.4, true);
    }

    #[test]
    fn the_window_forgets() {
        let mut spikes = Spikes::new(1.5, std::iter::repeat_n(8.0, WINDOW));
        assert!(spikes.over(9.0).is_none());
        (0..WINDOW).for_each(|_| spikes.keep(3.0));
        assert_eq!(spikes.over(9.0), Some(3.0));
    }
}
