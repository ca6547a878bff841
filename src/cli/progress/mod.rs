//! Progress of long work: bars on a terminal, JSON lines on request, a line now and then in a log.

mod lines;
mod training;
mod trials;

pub(super) use trials::Trials;

use crate::cli::curve::Curve;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lines::Lines;
use model::eval::perplexity::Evaluation;
use model::{Losses, TrainEvent, TrainObserver};
use pipeline::inspect::layout::thousands;
use schemas::{Event, Observer};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use training::TrainBars;

/// How progress is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Progress {
    /// Bars on a terminal; else what a person should know of, and of long work a line every 15 seconds.
    #[default]
    Auto,
    /// One JSON object a line on standard error.
    Json,
    /// Nothing.
    None,
}

impl Progress {
    /// Makes the listener.
    pub(super) fn start(self) -> Listener {
        self.start_after(Losses::default())
    }

    /// Makes the listener of a training that has losses from before.
    pub(super) fn start_after(self, before: Losses) -> Listener {
        match self {
            Self::Json => Listener::Json(Pace::default()),
            Self::Auto if std::io::stderr().is_terminal() => {
                Listener::Bars(Box::new(Bars { before, ..Bars::default() }))
            }
            Self::Auto => Listener::Lines(Mutex::new(Lines::new(Instant::now()))),
            Self::None => Listener::Silent,
        }
    }
}

/// Listens to builds and trainings.
pub(super) enum Listener {
    Bars(Box<Bars>),
    Json(Pace),
    Lines(Mutex<Lines>),
    Silent,
}

#[derive(Default)]
pub(super) struct Bars {
    all: MultiProgress,
    /// Losses of the training from before.
    before: Losses,
    state: Mutex<State>,
}

/// Least time between two lines about one evaluation under way.
const PACE: Duration = Duration::from_secs(1);

/// How often it is told how far evaluations are: the first and the last time, and not before [`PACE`] in between.
#[derive(Default)]
pub(super) struct Pace(Mutex<BTreeMap<String, Instant>>);

impl Pace {
    /// Whether the event of a training, by its name, is to be told.
    fn is_due(&self, name: &str, event: &TrainEvent<'_>, now: Instant) -> bool {
        let TrainEvent::Evaluating { sequences, total, .. } = *event else { return true };
        let mut told = self.0.lock().expect("no thread panics while it looks at the time");
        let waited = told.get(name).is_none_or(|last| now.duration_since(*last) >= PACE);
        let is_due = sequences == 0 || sequences >= total || waited;
        if is_due {
            told.insert(name.to_owned(), now);
        }
        is_due
    }
}

#[derive(Default)]
struct State {
    phase: Option<ProgressBar>,
    rows: u64,
    dropped: u64,
    training: Option<TrainBars>,
}

impl Bars {
    fn phase(&self, name: &str, total: u64) {
        let mut state = self.state.lock().expect("no thread panics while it draws");
        if let Some(bar) = state.phase.take() {
            bar.finish_and_clear();
        }
        (state.rows, state.dropped) = (0, 0);
        let style = match total {
            0 => "{spinner} {prefix:24} {pos:>8}  {per_sec}  {msg}",
            _ => "{spinner} {prefix:24} {bar:28} {pos:>7}/{len}  eta {eta}  {msg}",
        };
        let style = ProgressStyle::with_template(style).expect("the template is well formed");
        let bar = self.all.add(ProgressBar::new(total)).with_style(style).with_prefix(name.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        state.phase = Some(bar);
    }

    /// Tells a line above the bars; one that cannot be drawn is no reason to stop the work.
    fn note(&self, message: &str) {
        drop(self.all.println(message));
    }

    fn with_bar(&self, work: impl FnOnce(&ProgressBar, &mut State)) {
        let mut state = self.state.lock().expect("no thread panics while it draws");
        if let Some(bar) = state.phase.clone() {
            work(&bar, &mut state);
        }
    }
}

impl Listener {
    /// Takes the bars away, so that what is printed next stands alone.
    pub(super) fn end(&self) {
        if let Self::Bars(bars) = self {
            let mut state = bars.state.lock().expect("no thread panics while it draws");
            if let Some(bar) = state.phase.take() {
                bar.finish_and_clear();
            }
            if let Some(training) = state.training.take() {
                training.end();
            }
        }
    }
}

impl Observer for Listener {
    fn event(&self, event: Event<'_>) {
        match (self, event) {
            (Self::Json(_), event) => eprintln!("{}", json(event)),
            (Self::Lines(lines), event) => tell(lines, |lines| lines.of_build(event, Instant::now())),
            (Self::Silent, _) => {}
            (Self::Bars(bars), Event::Note { message }) => bars.note(message),
            (Self::Bars(bars), Event::Phase { name, total }) => bars.phase(name, total),
            (Self::Bars(bars), Event::Advance { units }) => bars.with_bar(|bar, _| bar.inc(units)),
            (Self::Bars(bars), Event::Rows { rows, dropped, .. }) => bars.with_bar(|bar, state| {
                state.rows += rows;
                state.dropped += dropped;
                bar.set_message(format!(
                    "{} rows, {} dropped",
                    thousands(state.rows),
                    thousands(state.dropped)
                ));
            }),
        }
    }
}

/// Writes the line that is due, where one is.
fn tell<T>(lines: &Mutex<T>, due: impl FnOnce(&mut T) -> Option<String>) {
    if let Some(line) = due(&mut lines.lock().expect("no thread panics while it writes a line")) {
        eprintln!("{line}");
    }
}

fn json(event: Event<'_>) -> serde_json::Value {
    match event {
        Event::Phase { name, total } => serde_json::json!({ "event": "phase", "name": name, "total": total }),
        Event::Advance { units } => serde_json::json!({ "event": "advance", "units": units }),
        Event::Rows { node, rows, dropped } => {
            serde_json::json!({ "event": "rows", "node": node, "rows": rows, "dropped": dropped })
        }
        Event::Note { message } => serde_json::json!({ "event": "note", "message": message }),
    }
}

impl TrainObserver for Listener {
    fn event(&self, event: TrainEvent<'_>) {
        match self {
            Self::Silent => {}
            Self::Lines(lines) => tell(lines, |lines| lines.of_training(event, Instant::now())),
            Self::Json(pace) if pace.is_due("", &event, Instant::now()) => eprintln!("{}", train_json(event)),
            Self::Json(_) => {}
            Self::Bars(bars) => match event {
                TrainEvent::Note { message } => bars.note(message),
                event => {
                    let mut state = bars.state.lock().expect("no thread panics while it draws");
                    if let TrainEvent::Started { step, steps, .. } = event {
                        state.training =
                            Some(TrainBars::new(&bars.all, Curve::after(&bars.before, step), (step, steps)));
                    }
                    if let Some(training) = &mut state.training {
                        training.event(event);
                    }
                }
            },
        }
    }
}

fn train_json(event: TrainEvent<'_>) -> serde_json::Value {
    use serde_json::json;
    match event {
        TrainEvent::Started { parameters, step, steps, step_tokens } => {
            json!({ "event": "started", "parameters": parameters, "step": step, "steps": steps, "step_tokens": step_tokens })
        }
        TrainEvent::Budgeted { steps, step_seconds } => {
            json!({ "event": "budgeted", "steps": steps, "step_seconds": step_seconds })
        }
        TrainEvent::Step { step, steps, loss, learning_rate, gradient_norm, tokens_per_s, seconds_left } => {
            json!({
                "event": "step", "step": step, "steps": steps, "loss": loss, "learning_rate": learning_rate,
                "gradient_norm": gradient_norm, "tokens_per_s": tokens_per_s, "seconds_left": seconds_left,
            })
        }
        TrainEvent::Evaluating { step, sequences, total } => {
            json!({ "event": "evaluating", "step": step, "sequences": sequences, "total": total })
        }
        TrainEvent::Measured { step, found } => {
            let found: BTreeMap<_, _> = found.iter().copied().collect();
            json!({ "event": "measured", "step": step, "held_out": found })
        }
        TrainEvent::Evaluated { step, loss, bits_per_byte, sources } => {
            let source = |(name, found): &(String, Evaluation)| json!({ "source": name, "loss": found.loss(), "bits_per_byte": found.bits_per_byte() });
            let sources: Vec<_> = sources.iter().map(source).collect();
            json!({ "event": "evaluated", "step": step, "loss": loss, "bits_per_byte": bits_per_byte, "sources": sources })
        }
        TrainEvent::Checkpointing { step } => json!({ "event": "checkpointing", "step": step }),
        TrainEvent::Checkpointed { step, path } => {
            json!({ "event": "checkpointed", "step": step, "path": path })
        }
        TrainEvent::Note { message } => json!({ "event": "note", "message": message }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_is_told_once_a_second() {
        let (pace, begun) = (Pace::default(), Instant::now());
        let told = |name: &str, sequences, ms| {
            let event = TrainEvent::Evaluating { step: 1, sequences, total: 10_000 };
            pace.is_due(name, &event, begun + Duration::from_millis(ms))
        };
        // A batch of 16 every 5 ms: 626 events in 3.1 seconds.
        let count = (0..=625).filter(|&n| told("a", n * 16, n * 5)).count();
        assert_eq!(count, 1 + 3 + 1);
        assert!(told("b", 16, 3126) && !told("a", 16, 3127));
        let step = TrainEvent::Checkpointing { step: 1 };
        assert!((0..3).all(|_| pace.is_due("a", &step, begun)));
    }
}
