//! A training on a terminal: a bar, the loss curve below it, and held-out bits per byte by source.

use crate::cli::curve::{Curve, MARGIN};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::TrainEvent;
use model::eval::perplexity::Evaluation;
use pipeline::inspect::layout::{one_line, thousands};
use std::time::{Duration, Instant};

/// Least time between two drawings of the curve.
const REDRAW: Duration = Duration::from_millis(250);
/// Lines of the curve, and most characters of one.
const CURVE: (usize, usize) = (5, 96);
/// Sources that are shown.
const SOURCES_SHOWN: usize = 6;
/// Characters of the name of a source.
const NAME: usize = 28;

/// What held-out figures are.
const BITS: &str = "bits per byte";
const LOSS: &str = "loss";

/// The bars of a training under way.
pub(super) struct TrainBars {
    all: MultiProgress,
    steps: ProgressBar,
    evaluation: Option<ProgressBar>,
    /// Text below the bars.
    below: ProgressBar,
    drawn: Option<Instant>,
    /// Loss and tokens/s of the last step, with the seconds that were left then, and when that was.
    last: Option<(f64, f64, f64, Instant)>,
    curve: Curve,
    held_out: Vec<Measured>,
}

/// Held-out bits per byte at a step, or losses where the objective has none: of all, then of each source.
struct Measured {
    step: u64,
    unit: &'static str,
    figures: Vec<(String, f64)>,
}

fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

impl TrainBars {
    /// Bars of a training that goes on from `step`, with the curve up to there.
    pub(super) fn new(all: &MultiProgress, curve: Curve, (step, steps): (u64, u64)) -> Self {
        let bar = all.add(ProgressBar::new(steps));
        bar.set_style(styled("{spinner} train    {bar:28} {pos:>7}/{len}  {msg}"));
        bar.set_position(step);
        bar.enable_steady_tick(Duration::from_millis(200));
        let below = all.add(ProgressBar::new_spinner()).with_style(styled("{msg}"));
        Self {
            all: all.clone(),
            steps: bar,
            evaluation: None,
            below,
            drawn: None,
            last: None,
            curve,
            held_out: Vec::new(),
        }
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: TrainEvent<'_>) {
        match event {
            TrainEvent::Budgeted { steps, .. } => self.steps.set_length(steps),
            TrainEvent::Step { step, loss, tokens_per_s, seconds_left, .. } => {
                self.curve.push(step, loss);
                self.steps.set_position(step);
                self.last = Some((loss, tokens_per_s, seconds_left, Instant::now()));
                self.tell();
                self.redraw(false);
            }
            TrainEvent::Evaluating { sequences, total, .. } => {
                self.evaluating(sequences, total);
                // No step ends while held-out rows are read, and time goes on.
                self.tell();
            }
            TrainEvent::Evaluated { step, loss, bits_per_byte, sources } => {
                if let Some(bar) = self.evaluation.take() {
                    bar.finish_and_clear();
                }
                self.curve.held_out(step, loss);
                let all = bits_per_byte.map_or((LOSS, loss), |bits| (BITS, bits));
                self.keep(step, all, sources);
                self.redraw(true);
            }
            _ => {}
        }
    }

    /// Tells the last step, and what is left by now.
    fn tell(&self) {
        let Some((loss, rate, left, since)) = self.last else { return };
        let (rate, left) = (thousands(rate as u64), duration(left - since.elapsed().as_secs_f64()));
        self.steps.set_message(format!("loss {loss:.3}  {rate} tokens/s  {left} left"));
    }

    fn evaluating(&mut self, sequences: u64, total: u64) {
        let bar = self.evaluation.get_or_insert_with(|| {
            let bar = self.all.insert_after(&self.steps, ProgressBar::new(total));
            bar.set_style(styled("{spinner} held out {bar:28} {pos:>7}/{len}  eta {eta}"));
            bar
        });
        bar.set_position(sequences);
    }

    fn keep(&mut self, step: u64, (unit, all): (&'static str, f64), sources: &[(String, Evaluation)]) {
        let figure = |found: &Evaluation| found.bits_per_byte().unwrap_or_else(|| found.loss());
        let figures = sources.iter().map(|(name, found)| (name.clone(), figure(found)));
        let figures = std::iter::once(("all".to_owned(), all)).chain(figures).collect();
        if self.held_out.len() == 2 {
            self.held_out.remove(0);
        }
        self.held_out.push(Measured { step, unit, figures });
    }

    fn redraw(&mut self, now: bool) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if !due && !now {
            return;
        }
        self.drawn = Some(Instant::now());
        let columns = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let width = columns.saturating_sub(MARGIN + 1).min(CURVE.1);
        let mut lines = Vec::new();
        if self.curve.is_drawable() {
            lines = self.curve.draw((width, CURVE.0), self.steps.length().unwrap_or(1));
        }
        lines.extend(table(&self.held_out));
        self.below.set_message(lines.join("\n"));
    }

    /// Takes the bars away.
    pub(super) fn end(self) {
        for bar in [self.evaluation, Some(self.below), Some(self.steps)].into_iter().flatten() {
            bar.finish_and_clear();
        }
    }
}

/// The last measurement by source, beside the one before it.
fn table(held_out: &[Measured]) -> Vec<String> {
    let Some((last, before)) = held_out.split_last() else { return Vec::new() };
    let before = before.last();
    let step = |measured: &Measured| format!("step {}", measured.step);
    let old = before.map(|before| format!("{:>14}", step(before))).unwrap_or_default();
    let mut lines = vec![format!("held-out {:13} {:>20}{old}", last.unit, step(last))];
    // A source alone is all there is.
    let shown = if last.figures.len() > 2 { 1 + SOURCES_SHOWN } else { 1 };
    for (at, (name, bits)) in last.figures.iter().take(shown).enumerate() {
        let name: String = one_line(name).chars().take(NAME).collect();
        let old = before.and_then(|before| before.figures.get(at));
        let old = old.map(|(_, bits)| format!("{bits:>14.4}")).unwrap_or_default();
        lines.push(format!("  {name:NAME$} {bits:>12.4}{old}"));
    }
    let more = last.figures.len().saturating_sub(shown);
    if more > 0 && shown > 1 {
        lines.push(format!("  … {more} more in training.json"));
    }
    lines
}

/// Seconds as a person says them.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_told_in_two_units() {
        let told = [0.4, 59.6, 61.0, 3661.0, f64::NAN].map(duration);
        assert_eq!(told, ["0s", "1m 00s", "1m 01s", "1h 01m", "?"]);
    }

    #[test]
    fn measurements_stand_side_by_side() {
        let measured = |step, bits: &[(&str, f64)]| Measured {
            step,
            unit: BITS,
            figures: bits.iter().map(|(name, bits)| ((*name).to_owned(), *bits)).collect(),
        };
        let two = [
            measured(100, &[("all", 2.0), ("a", 2.5), ("b", 1.5)]),
            measured(200, &[("all", 1.9), ("a", 2.4), ("b", 1.4)]),
        ];
        let lines = table(&two);
        assert_eq!(lines.len(), 4);
        assert!(lines[0].ends_with("step 200      step 100"), "{lines:#?}");
        assert!(lines[3].starts_with("  b ") && lines[3].ends_with("1.4000        1.5000"), "{lines:#?}");
        assert_eq!(table(&[measured(1, &[("all", 2.0), ("a", 2.0)])]).len(), 2);
    }
}
