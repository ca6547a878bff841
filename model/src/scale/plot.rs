//! The plot of a scaling law: an SVG of our own lines.

use super::ScaleReport;
use std::fmt::Write as _;

/// Size of the picture and of its margins, in pixels.
const SIZE: (f64, f64) = (760.0, 460.0);
const MARGIN: (f64, f64) = (70.0, 60.0);
/// Least distance between the middles of two sizes that are written, in pixels.
const LABEL: f64 = 44.0;
/// Points of a curve.
const CURVE_POINTS: u32 = 60;
/// Colour of the trainings and of the law, dark enough on white.
const COLOUR: &str = "#1b6ca8";

/// From (parameters, loss) to pixels.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn of(report: &ScaleReport) -> Self {
        let prediction = &report.prediction;
        let sizes = || report.runs.iter().map(|run| run.point.parameters).chain([prediction.parameters]);
        let losses = || {
            let runs = report.runs.iter().map(|run| run.point.loss);
            runs.chain(prediction.interval).chain(report.check.iter().map(|check| check.point.loss))
        };
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = (least(&mut losses()), most(&mut losses()));
        let room = (high - low).max(1e-3) * 0.08;
        let x = (least(&mut sizes()).ln() - 0.2, most(&mut sizes()).ln() + 0.2);
        Self { x, y: (low - room, high + room) }
    }

    fn at(&self, parameters: f64, loss: f64) -> (f64, f64) {
        let x = (parameters.ln() - self.x.0) / (self.x.1 - self.x.0);
        let y = (loss - self.y.0) / (self.y.1 - self.y.0);
        (MARGIN.0 + x * (SIZE.0 - MARGIN.0 - 20.0), SIZE.1 - MARGIN.1 - y * (SIZE.1 - MARGIN.1 - 30.0))
    }
}

/// Draws the trainings, the law through them, and what it says of the larger model.
pub(super) fn svg(report: &ScaleReport) -> String {
    let frame = Frame::of(report);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        SIZE.0, SIZE.1
    );
    axes(&mut out, &frame, report);
    curve(&mut out, &frame, report);
    target(&mut out, &frame, report);
    out + "</svg>\n"
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes what is written");
}

fn axes(out: &mut String, frame: &Frame, report: &ScaleReport) {
    let (left, bottom) = (MARGIN.0, SIZE.1 - MARGIN.1);
    line(
        out,
        format_args!("<path d=\"M{left} 20V{bottom}H{:.0}\" fill=\"none\" stroke=\"#444\"/>", SIZE.0 - 20.0),
    );
    let mut sizes: Vec<f64> = report.runs.iter().map(|run| run.point.parameters).collect();
    sizes.push(report.prediction.parameters);
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.dedup();
    let mut last = f64::NEG_INFINITY;
    for size in sizes {
        let (x, _) = frame.at(size, frame.y.0);
        if x - last < LABEL {
            continue;
        }
        last = x;
        line(
            out,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                short(size)
            ),
        );
    }
    for part in 0..=5 {
        let loss = frame.y.0 + (frame.y.1 - frame.y.0) * f64::from(part) / 5.0;
        let (_, y) = frame.at(1.0, loss);
        line(
            out,
            format_args!("<text x=\"{:.0}\" y=\"{y:.1}\" text-anchor=\"end\">{loss:.2}</text>", left - 8.0),
        );
    }
    line(
        out,
        format_args!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">parameters without embedding and head</text>",
            SIZE.0 / 2.0,
            SIZE.1 - 16.0
        ),
    );
    let middle = SIZE.1 / 2.0;
    line(
        out,
        format_args!(
            "<text x=\"18\" y=\"{middle:.0}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle:.0})\">held-out loss, nats per token</text>"
        ),
    );
}

fn curve(out: &mut String, frame: &Frame, report: &ScaleReport) {
    let end = report.prediction.parameters.ln();
    let path: Vec<String> = (0..=CURVE_POINTS)
        .map(|at| {
            let parameters = (frame.x.0 + (end - frame.x.0) * f64::from(at) / f64::from(CURVE_POINTS)).exp();
            let (x, y) = frame.at(parameters, report.law.loss(parameters).min(frame.y.1));
            format!("{x:.1} {y:.1}")
        })
        .collect();
    line(out, format_args!("<path d=\"M{}\" fill=\"none\" stroke=\"{COLOUR}\"/>", path.join("L")));
    for run in &report.runs {
        let (x, y) = frame.at(run.point.parameters, run.point.loss);
        line(out, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{COLOUR}\"/>"));
    }
}

/// The prediction with its interval, and what the model reached where it was trained.
fn target(out: &mut String, frame: &Frame, report: &ScaleReport) {
    let prediction = &report.prediction;
    let (x, y) = frame.at(prediction.parameters, prediction.loss);
    let [(_, low), (_, high)] = prediction.interval.map(|loss| frame.at(prediction.parameters, loss));
    line(
        out,
        format_args!(
            "<path d=\"M{x:.1} {low:.1}V{high:.1}M{:.1} {low:.1}h10M{:.1} {high:.1}h10\" stroke=\"black\"/>",
            x - 5.0,
            x - 5.0
        ),
    );
    line(out, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"white\" stroke=\"black\"/>"));
    line(
        out,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">predicted {:.3}</text>",
            x - 10.0,
            y - 8.0,
            prediction.loss
        ),
    );
    if let Some(check) = &report.check {
        let (x, y) = frame.at(check.point.parameters, check.point.loss);
        line(
            out,
            format_args!(
                "<path d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\" stroke=\"#c00\" stroke-width=\"2\"/>",
                x - 5.0,
                y - 5.0
            ),
        );
        line(
            out,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#c00\">reached {:.3}</text>",
                x - 10.0,
                y + 16.0,
                check.point.loss
            ),
        );
    }
}

/// A number with three digits and a letter.
pub(super) fn short(number: f64) -> String {
    let (number, letter) = match number {
        n if n >= 1e9 => (n / 1e9, "G"),
        n if n >= 1e6 => (n / 1e6, "M"),
        n if n >= 1e3 => (n / 1e3, "k"),
        n => (n, ""),
    };
    let digits = if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$}{letter}")
}
