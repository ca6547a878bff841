//! A loss curve in the dots of braille characters: two dots wide and four high a character.

use super::progress::{Listener, Progress};
use model::{Losses, TrainEvent, TrainObserver, losses};
use std::path::Path;
use std::sync::Mutex;

/// Points that are kept; when they are full, two become one.
const POINTS_MAX: usize = 512;
/// Characters and lines of a curve that is shown at the end.
const CURVE_SHOWN: (usize, usize) = (72, 10);
/// Columns before the curve: the label and its line.
pub(super) const MARGIN: usize = 9;

/// The dots of a braille character, column by column from the top.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A listener that also remembers the losses, to draw them when the training has ended.
pub(super) struct Watched {
    listener: Listener,
    curve: Mutex<Curve>,
    /// Losses that the folder of the training has from before.
    before: Losses,
}

impl Watched {
    /// Starts the listener of a training in a folder, which may hold a part of it already.
    pub(super) fn start(progress: Progress, out: &Path) -> Self {
        let before = losses(out);
        Self { listener: progress.start_after(before.clone()), curve: Mutex::default(), before }
    }

    /// Tells a line that a person should see.
    pub(super) fn note(&self, message: &str) {
        TrainObserver::event(&self.listener, TrainEvent::Note { message });
    }

    /// Takes the bars away, and gives the curve where there is one.
    pub(super) fn end(self) -> Option<String> {
        self.listener.end();
        let curve = self.curve.into_inner().expect("no thread panics while it notes a loss");
        let last = curve.points.last()?.0;
        let mut lines = vec![format!("{:MARGIN$}loss by step: ⠒ training  ● held out", "")];
        let columns = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let width = CURVE_SHOWN.0.min(columns.saturating_sub(MARGIN)).max(2);
        lines.extend(curve.draw((width, CURVE_SHOWN.1), last));
        lines.push(format!("{:8}└{}", "", "─".repeat(width)));
        lines.push(format!("{:MARGIN$}1{last:>width$}", "", width = width - 1));
        curve.is_drawable().then(|| lines.join("\n"))
    }
}

impl TrainObserver for Watched {
    fn event(&self, event: TrainEvent<'_>) {
        let note = |take: &dyn Fn(&mut Curve)| {
            take(&mut self.curve.lock().expect("no thread panics while it notes a loss"));
        };
        match event {
            TrainEvent::Started { step, steps, .. } => {
                note(&|curve| *curve = Curve::after(&self.before, step));
                if step == steps {
                    self.note(&format!("all {steps} steps of this training are done"));
                } else if step > 0 {
                    self.note(&format!("going on after step {step} of {steps}"));
                }
            }
            TrainEvent::Step { step, loss, .. } => note(&|curve| curve.push(step, loss)),
            TrainEvent::Evaluated { step, loss, .. } => note(&|curve| curve.held_out(step, loss)),
            _ => {}
        }
        TrainObserver::event(&self.listener, event);
    }
}

/// Losses by step, in bounded memory.
#[derive(Debug, Default, Clone)]
pub(super) struct Curve {
    /// Means of as many steps as [`Curve::every`] says: the last step of each, and the loss.
    points: Vec<(u64, f64)>,
    every: u64,
    open: (u64, f64),
    held_out: Vec<(u64, f64)>,
}

impl Curve {
    /// The curve of a training up to a step from which it goes on.
    pub(super) fn after(before: &Losses, step: u64) -> Self {
        let mut curve = Self::default();
        before.training.iter().filter(|at| at.0 <= step).for_each(|&(at, loss)| curve.push(at, loss));
        before.held_out.iter().filter(|at| at.0 <= step).for_each(|&(at, loss)| curve.held_out(at, loss));
        curve
    }

    /// Takes the loss of a step.
    pub(super) fn push(&mut self, step: u64, loss: f64) {
        self.every = self.every.max(1);
        self.open = (self.open.0 + 1, self.open.1 + loss);
        if self.open.0 < self.every {
            return;
        }
        self.points.push((step, self.open.1 / self.open.0 as f64));
        self.open = (0, 0.0);
        if self.points.len() == POINTS_MAX {
            self.every *= 2;
            let pairs = self.points.chunks(2);
            self.points = pairs.map(|pair| (pair[1].0, (pair[0].1 + pair[1].1) / 2.0)).collect();
        }
    }

    /// Takes a held-out loss; of many the latest are kept.
    pub(super) fn held_out(&mut self, step: u64, loss: f64) {
        if self.held_out.len() == POINTS_MAX {
            self.held_out.remove(0);
        }
        self.held_out.push((step, loss));
    }

    /// Whether there is a line to draw.
    pub(super) const fn is_drawable(&self) -> bool {
        self.points.len() > 1
    }

    /// Draws training loss as dots and held-out losses as `●`, in `height` lines of `width` characters and a margin with labels; the right
    /// end is step `steps`.
    pub(super) fn draw(&self, (width, height): (usize, usize), steps: u64) -> Vec<String> {
        let (width, height) = (width.max(1), height.max(1));
        let losses =
            || self.points.iter().chain(&self.held_out).map(|point| point.1).filter(|l| l.is_finite());
        let (low, high) =
            (losses().fold(f64::INFINITY, f64::min), losses().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return Vec::new();
        }
        let span = (high - low).max(1e-9);
        let column = |step: u64, dots: usize| {
            ((step.saturating_sub(1) as f64 / steps.max(1) as f64 * dots as f64) as usize).min(dots - 1)
        };
        let row = |loss: f64, dots: usize| ((high - loss) / span * (dots - 1) as f64).round() as usize;
        let mut cells = vec![vec![0_u8; width]; height];
        for (x, (from, to)) in means(&self.points, |step| column(step, 2 * width)) {
            let (top, bottom) = (row(from.max(to), 4 * height), row(from.min(to), 4 * height));
            for y in top..=bottom {
                cells[y / 4][x / 2] |= DOTS[x % 2][y % 4];
            }
        }
        let mut drawn: Vec<Vec<char>> = cells
            .iter()
            .map(|line| line.iter().map(|&dots| char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')))
            .map(|line| line.map(|dots| if dots == '\u{2800}' { ' ' } else { dots }).collect())
            .collect();
        for &(step, loss) in self.held_out.iter().filter(|point| point.1.is_finite()) {
            drawn[row(loss, height)][column(step, width)] = '●';
        }
        let label = |y: usize| match y {
            0 => format!("{high:7.3} ┤"),
            _ if y + 1 == height => format!("{low:7.3} ┤"),
            _ => format!("{:7} │", ""),
        };
        let line = |(y, line): (usize, &Vec<char>)| label(y) + line.iter().collect::<String>().trim_end();
        drawn.iter().enumerate().map(line).collect()
    }
}

/// The mean of the points of each column, with the mean of the column before it so that the line has no holes.
fn means(points: &[(u64, f64)], column: impl Fn(u64) -> usize) -> Vec<(usize, (f64, f64))> {
    let mut sums: Vec<(usize, f64, u32)> = Vec::new();
    for &(step, loss) in points.iter().filter(|point| point.1.is_finite()) {
        match sums.last_mut() {
            Some((x, sum, count)) if *x == column(step) => (*sum, *count) = (*sum + loss, *count + 1),
            _ => sums.push((column(step), loss, 1)),
        }
    }
    let mut before = None;
    let mean = |(x, sum, count): (usize, f64, u32)| {
        let mean = sum / f64::from(count);
        (x, (before.replace(mean).unwrap_or(mean), mean))
    };
    sums.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_loss_falls() {
        let mut curve = Curve::default();
        (1..=2000).for_each(|step| curve.push(step, 8.0 - step as f64 / 400.0));
        curve.held_out(2000, 3.0);
        assert!(curve.points.len() < POINTS_MAX && curve.every == 4, "{}", curve.every);
        let lines = curve.draw((40, 4), 2000);
        assert!(lines[0].starts_with("  7.99") && lines[0].contains('⠉'), "{lines:#?}");
        assert!(lines[3].starts_with("  3.000 ┤") && lines[3].ends_with('●'), "{lines:#?}");
        let filled = |line: &String| line.chars().skip(MARGIN).filter(|c| *c != ' ').count();
        assert!(lines.iter().map(filled).sum::<usize>() >= 40, "{lines:#?}");
    }

    #[test]
    fn a_curve_goes_on_from_the_step_of_the_checkpoint() {
        let training = (1..=30).map(|step| (step, 9.0 - step as f64 / 10.0)).collect();
        let before = Losses { training, held_out: vec![(10, 8.0), (20, 7.0), (30, 6.0)] };
        let mut curve = Curve::after(&before, 20);
        curve.push(21, 1.0);
        assert_eq!((curve.points.len(), curve.points[0], curve.points[20]), (21, (1, 8.9), (21, 1.0)));
        assert_eq!(curve.held_out, [(10, 8.0), (20, 7.0)]);
        assert!(!Curve::after(&before, 0).is_drawable());
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut curve = Curve::default();
        assert!(curve.draw((10, 2), 5).is_empty());
        (1..4).for_each(|step| curve.push(step, if step == 2 { f64::NAN } else { 1.0 }));
        assert_eq!(curve.draw((10, 1), 4).len(), 1);
    }
}
