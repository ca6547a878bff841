//! Progress in a log: notes at once, and of work that takes long a line every now and then.

use super::training::duration;
use model::TrainEvent;
use pipeline::inspect::layout::thousands;
use schemas::Event;
use std::time::{Duration, Instant};

/// Least time between two lines about how far the work is; what ends sooner is told by what it came to alone.
const EVERY: Duration = Duration::from_secs(15);

/// When the last line was told.
pub(super) struct Told(Instant);

impl Told {
    pub(super) const fn at(now: Instant) -> Self {
        Self(now)
    }

    /// Whether another line is due, which is then told.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.duration_since(self.0) >= EVERY;
        if is_due {
            self.0 = now;
        }
        is_due
    }
}

/// What has been told, and how far the work is.
pub(crate) struct Lines {
    told: Told,
    phase: String,
    units: u64,
    total: u64,
    rows: u64,
    dropped: u64,
}

impl Lines {
    /// Nothing is told before a while.
    pub(super) fn new(now: Instant) -> Self {
        Self { told: Told::at(now), phase: String::new(), units: 0, total: 0, rows: 0, dropped: 0 }
    }

    /// The line about an event of a build that is due now.
    pub(super) fn of_build(&mut self, event: Event<'_>, now: Instant) -> Option<String> {
        match event {
            Event::Note { message } => return Some(message.to_owned()),
            Event::Phase { name, total } => {
                name.clone_into(&mut self.phase);
                (self.units, self.total, self.rows, self.dropped) = (0, total, 0, 0);
                return None;
            }
            Event::Advance { units } => self.units += units,
            Event::Rows { rows, dropped, .. } => {
                self.rows += rows;
                self.dropped += dropped;
            }
        }
        self.told.is_due(now).then(|| {
            let of = if self.total == 0 { String::new() } else { format!(" of {}", thousands(self.total)) };
            let (units, rows, dropped) =
                (thousands(self.units), thousands(self.rows), thousands(self.dropped));
            format!("{}: {units}{of}, {rows} rows, {dropped} dropped", self.phase)
        })
    }

    /// The line about an event of a training that is due now.
    pub(super) fn of_training(&mut self, event: TrainEvent<'_>, now: Instant) -> Option<String> {
        match event {
            TrainEvent::Note { message } => Some(message.to_owned()),
            TrainEvent::Step { step, steps, loss, tokens_per_s, seconds_left, .. } => {
                self.told.is_due(now).then(|| {
                    let (rate, left) = (thousands(tokens_per_s as u64), duration(seconds_left));
                    let (step, steps) = (thousands(step), thousands(steps));
                    format!("step {step} of {steps}: loss {loss:.3}, {rate} tokens/s, {left} left")
                })
            }
            TrainEvent::Started { parameters, step, steps, step_tokens } if step < steps => {
                let (parameters, tokens) = (thousands(parameters), thousands(step_tokens));
                let from =
                    if step > 0 { format!("steps {} to ", thousands(step + 1)) } else { String::new() };
                let steps = if step > 0 { thousands(steps) } else { format!("{} steps", thousands(steps)) };
                Some(format!("{parameters} parameters learn in {from}{steps} of up to {tokens} tokens"))
            }
            TrainEvent::Budgeted { steps, .. } => {
                Some(format!("a step was timed: {} steps take the seconds that are given", thousands(steps)))
            }
            TrainEvent::Evaluating { step, sequences, total } => self.told.is_due(now).then(|| {
                let (done, all) = (thousands(sequences), thousands(total));
                format!("step {}: measured on {done} of {all} held-out sequences", thousands(step))
            }),
            TrainEvent::Evaluated { step, loss, bits_per_byte, .. } => {
                let bits = bits_per_byte.map(|bits| format!(", {bits:.3} bits per byte")).unwrap_or_default();
                Some(format!("step {}: held-out loss {loss:.3}{bits}", thousands(step)))
            }
            TrainEvent::Measured { step, found } => {
                let found: Vec<String> =
                    found.iter().map(|(name, number)| format!("{name} {number:.3}")).collect();
                Some(format!("step {}: held out: {}", thousands(step), found.join(", ")))
            }
            TrainEvent::Checkpointed { path, .. } => {
                self.told.is_due(now).then(|| format!("checkpoint {}", path.display()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_work_is_told_every_now_and_then() {
        let begun = Instant::now();
        let mut lines = Lines::new(begun);
        let step = |step| TrainEvent::Step {
            step,
            steps: 2000,
            loss: 3.25,
            learning_rate: 0.0,
            gradient_norm: 0.0,
            tokens_per_s: 4100.0,
            seconds_left: 60.0,
        };
        // A step a second.
        let mut told: Vec<String> =
            (1..=40).filter_map(|at| lines.of_training(step(at), begun + Duration::from_secs(at))).collect();
        assert_eq!(told.len(), 2);
        let last = told.pop().unwrap();
        assert!(last.starts_with("step 30 of 2,000: loss 3.250, 4,100 tokens/s, "), "{last}");
        let started = |step| TrainEvent::Started { parameters: 69_920, step, steps: 2000, step_tokens: 2048 };
        let told = [0, 500, 2000].map(|step| lines.of_training(started(step), begun).unwrap_or_default());
        let learn = ["2,000 steps", "steps 501 to 2,000"]
            .map(|steps| format!("69,920 parameters learn in {steps} of up to 2,048 tokens"));
        assert_eq!([&learn[0], &learn[1], ""], [&told[0], &told[1], told[2].as_str()]);
        let found = [("loss", 1.25), ("accuracy", 0.5)];
        assert_eq!(
            lines.of_training(TrainEvent::Measured { step: 0, found: &found }, begun).as_deref(),
            Some("step 0: held out: loss 1.250, accuracy 0.500")
        );
        let held_out =
            TrainEvent::Evaluated { step: 1000, loss: 3.25, bits_per_byte: Some(1.5), sources: &[] };
        assert_eq!(
            lines.of_training(held_out, begun).as_deref(),
            Some("step 1,000: held-out loss 3.250, 1.500 bits per byte")
        );
        assert_eq!(
            lines.of_training(TrainEvent::Note { message: "at once" }, begun).as_deref(),
            Some("at once")
        );
        let now = begun + Duration::from_mins(1);
        assert_eq!(lines.of_build(Event::Phase { name: "read", total: 3 }, now), None);
        let told = lines.of_build(Event::Advance { units: 2 }, now);
        assert_eq!(told.as_deref(), Some("read: 2 of 3, 0 rows, 0 dropped"));
    }
}
