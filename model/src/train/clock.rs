//! Times steps and evaluations; nothing that is written depends on it but the count of steps under a time budget.

use std::time::{Duration, Instant};

/// Steps whose time counts against a time budget, after as many that warm up caches.
pub(super) const TIMED_STEPS: u64 = 5;
/// Part of a time budget that steps may fill; evaluations and checkpoints need the rest.
const BUDGET_FOR_STEPS: f64 = 0.9;
/// Steps over which the speed is averaged.
const AVERAGED_STEPS: u64 = 20;
/// A pass without gradients costs about this part of a step over the same sequences.
const FORWARD_PART: f64 = 1.0 / 3.0;

/// The clock of a training.
pub(super) struct Clock {
    begun: Instant,
    /// Start and first step of what is averaged, with the time in it that was no step.
    since: (Instant, u64),
    paused: Duration,
    /// Seconds of a step, as averaged last.
    step_seconds: f64,
    /// Seconds of a held-out sequence, once measured.
    sequence_seconds: Option<f64>,
    /// Whether the count of steps still waits for the measurement.
    open: bool,
}

impl Clock {
    /// A clock that starts at `begun`, before step `step`; `open` where the count of steps depends on it.
    pub(super) fn new(begun: Instant, step: u64, open: bool) -> Self {
        Self {
            begun,
            since: (begun, step),
            paused: Duration::ZERO,
            step_seconds: f64::NAN,
            sequence_seconds: None,
            open,
        }
    }

    /// Whether the count of steps still waits for the measurement.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Before a step: the first ones, which warm up caches, are not averaged.
    pub(super) fn step_begins(&mut self, step: u64) {
        if self.open && step == TIMED_STEPS {
            (self.since, self.paused) = ((Instant::now(), step), Duration::ZERO);
        }
    }

    /// Once the first steps were timed: how many fit into a budget, with the seconds of one. Told once.
    pub(super) fn budget(&mut self, step: u64, seconds_max: f64) -> Option<(u64, f64)> {
        if !self.open || step < 2 * TIMED_STEPS {
            return None;
        }
        self.open = false;
        let step_seconds = self.worked() / TIMED_STEPS as f64;
        let left = seconds_max * BUDGET_FOR_STEPS - self.begun.elapsed().as_secs_f64();
        Some((step + (left.max(0.0) / step_seconds) as u64, step_seconds))
    }

    fn worked(&self) -> f64 {
        self.since.0.elapsed().saturating_sub(self.paused).as_secs_f64()
    }

    /// Seconds of a step over the last ones, `step` of which are done.
    pub(super) fn step_seconds(&mut self, step: u64) -> f64 {
        let steps = step - self.since.1;
        self.step_seconds = self.worked() / steps.max(1) as f64;
        if !self.open && steps >= AVERAGED_STEPS {
            (self.since, self.paused) = ((Instant::now(), step), Duration::ZERO);
        }
        self.step_seconds
    }

    /// Takes the time of what was no step: an evaluation of so many sequences, or a checkpoint (of none).
    pub(super) fn pause(&mut self, began: Instant, sequences: u64) {
        let took = began.elapsed();
        self.paused += took;
        if sequences > 0 {
            self.sequence_seconds = Some(took.as_secs_f64() / sequences as f64);
        }
    }

    /// Predicted seconds of `steps` steps of `step_sequences` each and evaluations of `held_out` sequences.
    pub(super) fn predicted(&self, steps: u64, step_sequences: u64, held_out: u64) -> f64 {
        let guessed = self.step_seconds / step_sequences as f64 * FORWARD_PART;
        self.step_seconds * steps as f64 + self.sequence_seconds.unwrap_or(guessed) * held_out as f64
    }
}
