//! Trainings side by side: on a terminal how many have ended and a line for each that is under way, in a log a line for each that has ended and
//! every now and then for one under way.

use super::lines::Told;
use super::{Pace, Progress, tell, train_json};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::TrainEvent;
use model::sweep::{SweepEvent, SweepObserver};
use pipeline::inspect::layout::{one_line, thousands};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Characters of the name of a trial.
const NAME: usize = 40;

/// Listens to a sweep.
pub(crate) enum Trials {
    Bars(Box<Mutex<Bars>>),
    Json(Pace),
    Lines(Mutex<Count>),
    Silent,
}

/// How many trials of a rung have ended, and when the last line was told.
pub(crate) struct Count {
    ended: usize,
    of: usize,
    told: Told,
}

#[derive(Default)]
pub(crate) struct Bars {
    all: MultiProgress,
    ended: Option<ProgressBar>,
    running: BTreeMap<String, ProgressBar>,
}

impl Trials {
    /// Makes the listener.
    pub(crate) fn start(progress: Progress) -> Self {
        match progress {
            Progress::Json => Self::Json(Pace::default()),
            Progress::Auto if std::io::stderr().is_terminal() => Self::Bars(Box::default()),
            Progress::Auto => {
                Self::Lines(Mutex::new(Count { ended: 0, of: 0, told: Told::at(Instant::now()) }))
            }
            Progress::None => Self::Silent,
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(self) {
        if let Self::Bars(bars) = self {
            let bars = bars.into_inner().expect("no thread panics while it draws");
            bars.running.values().chain(&bars.ended).for_each(ProgressBar::finish_and_clear);
        }
    }
}

impl Bars {
    fn event(&mut self, event: SweepEvent<'_>) {
        match event {
            SweepEvent::Rung { trials, .. } => {
                if let Some(bar) = self.ended.take() {
                    bar.finish_and_clear();
                }
                let bar = self.all.insert(0, ProgressBar::new(trials as u64));
                bar.set_style(style("{spinner} trials {bar:28} {pos}/{len}  {elapsed}"));
                bar.enable_steady_tick(Duration::from_millis(200));
                self.ended = Some(bar);
            }
            SweepEvent::Trial { name, event: TrainEvent::Started { step, steps, .. } } => {
                let short: String = one_line(name).chars().take(NAME).collect();
                let bar = self.all.add(ProgressBar::new(steps)).with_prefix(short);
                bar.set_style(style("  {prefix:40} {bar:20} {pos:>7}/{len}  {msg}"));
                bar.set_position(step);
                self.running.insert(name.to_owned(), bar);
            }
            SweepEvent::Trial { name, event: TrainEvent::Note { message } } => {
                drop(self.all.println(format!("{name}: {message}")));
            }
            SweepEvent::Trial { name, event } => {
                let Some(bar) = self.running.get(name) else { return };
                match event {
                    TrainEvent::Step { step, loss, .. } => {
                        bar.set_position(step);
                        bar.set_message(format!("loss {loss:.3}"));
                    }
                    TrainEvent::Evaluating { sequences, total, .. } => {
                        bar.set_message(format!("held out {sequences}/{total}"));
                    }
                    _ => {}
                }
            }
            SweepEvent::Note { message } => drop(self.all.println(message)),
            SweepEvent::Ended { report } => {
                if let Some(bar) = self.running.remove(&report.name) {
                    bar.finish_and_clear();
                }
                if let Some(bar) = &self.ended {
                    bar.inc(1);
                }
                if let Some(reason) = report.reason() {
                    drop(self.all.println(format!("{}: {reason}", report.name)));
                }
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

impl SweepObserver for Trials {
    fn event(&self, event: SweepEvent<'_>) {
        match (self, event) {
            (Self::Bars(bars), event) => bars.lock().expect("no thread panics while it draws").event(event),
            (Self::Json(pace), SweepEvent::Trial { name, event })
                if !pace.is_due(name, &event, Instant::now()) => {}
            (Self::Json(_), event) => eprintln!("{}", json(event)),
            (Self::Lines(count), event) => tell(count, |count| count.line(event, Instant::now())),
            (Self::Silent, _) => {}
        }
    }
}

impl Count {
    /// The line about an event that a log keeps.
    fn line(&mut self, event: SweepEvent<'_>, now: Instant) -> Option<String> {
        match event {
            SweepEvent::Rung { trials, .. } => {
                (self.ended, self.of) = (0, trials);
                None
            }
            SweepEvent::Trial { name, event: TrainEvent::Step { step, steps, loss, .. } } => {
                self.told.is_due(now).then(|| {
                    let (step, steps) = (thousands(step), thousands(steps));
                    format!("{name}: step {step} of {steps}, loss {loss:.3}")
                })
            }
            SweepEvent::Note { message } => Some(message.to_owned()),
            SweepEvent::Trial { name, event: TrainEvent::Note { message } } => {
                Some(format!("{name}: {message}"))
            }
            SweepEvent::Trial { .. } => None,
            SweepEvent::Ended { report } => {
                self.ended += 1;
                let came_to = match (report.reason(), report.validation_loss) {
                    (Some(reason), _) => reason.to_owned(),
                    (None, Some(held)) => format!("held-out loss {held:.4}"),
                    (None, None) => "no held-out loss".to_owned(),
                };
                Some(format!("[{}/{}] {}: {came_to}", self.ended, self.of, report.name))
            }
        }
    }
}

fn json(event: SweepEvent<'_>) -> serde_json::Value {
    use serde_json::json;
    match event {
        SweepEvent::Rung { rung, trials, steps } => {
            json!({ "event": "rung", "rung": rung, "trials": trials, "steps": steps })
        }
        SweepEvent::Trial { name, event } => {
            let mut told = train_json(event);
            told["trial"] = name.into();
            told
        }
        SweepEvent::Note { message } => json!({ "event": "note", "message": message }),
        SweepEvent::Ended { report } => json!({ "event": "ended", "trial": report.name, "report": report }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_under_way_is_told_every_now_and_then() {
        let begun = Instant::now();
        let mut count = Count { ended: 0, of: 0, told: Told::at(begun) };
        assert_eq!(count.line(SweepEvent::Rung { rung: 0, trials: 2, steps: 40 }, begun), None);
        let step = |step| {
            let (loss, learning_rate, gradient_norm) = (3.25, 0.0, 0.0);
            let event = TrainEvent::Step {
                step,
                steps: 40,
                loss,
                learning_rate,
                gradient_norm,
                tokens_per_s: 1.0,
                seconds_left: 1.0,
            };
            SweepEvent::Trial { name: "seed=1", event }
        };
        let told = (1..=40).filter_map(|at| count.line(step(at), begun + Duration::from_secs(at)));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [15, 30].map(|at| format!("seed=1: step {at} of 40, loss 3.250"))
        );
        let note = SweepEvent::Note { message: "at once" };
        assert_eq!(count.line(note, begun).as_deref(), Some("at once"));
    }
}
