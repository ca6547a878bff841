//! The two plots as SVG: a few lines over axes of powers, side by side.

use model::widths::{Coordinate, RateLoss};
use std::fmt::Write;

/// Size of a panel, and what stands around its axes.
const PANEL: (f64, f64) = (300.0, 220.0);
const LEFT: f64 = 60.0;
const ABOVE: f64 = 36.0;
const BELOW: f64 = 40.0;
/// From light to dark.
const COLOURS: [&str; 7] = ["#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b", "#000000"];

/// A curve with its name.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Curves over one pair of axes.
struct Panel {
    title: String,
    x: &'static str,
    curves: Vec<Curve>,
}

/// How far activations moved by width, a curve a step: standard left, muP right, a row a part.
pub(super) fn coordinates(found: &[Coordinate]) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for one in found {
        if !parts.contains(&one.part) {
            parts.push(one.part);
        }
    }
    let steps = found.iter().map(|c| c.step).max().unwrap_or(0);
    let panel = |parametrization: &str, part: &str| {
        let curve = |step: u64| {
            let of =
                |c: &&Coordinate| c.parametrization == parametrization && c.part == part && c.step == step;
            let points = found.iter().filter(of).map(|c| (c.width as f64, c.change)).collect();
            Curve { name: format!("step {step}"), points }
        };
        let title = format!("{parametrization}: change of {part}");
        Panel { title, x: "width", curves: (1..=steps).map(curve).collect() }
    };
    draw(&parts.iter().map(|part| vec![panel("standard", part), panel("mup", part)]).collect::<Vec<_>>())
}

/// Loss by rate, a curve a width: standard left, muP right.
pub(super) fn rates(found: &[RateLoss]) -> String {
    let mut widths: Vec<u64> = found.iter().map(|one| one.width).collect();
    widths.sort_unstable();
    widths.dedup();
    let panel = |parametrization: &str| {
        let curve = |&width: &u64| {
            let of = |one: &&RateLoss| one.parametrization == parametrization && one.width == width;
            let points = found.iter().filter(of).filter_map(|one| Some((one.rate, one.loss?))).collect();
            Curve { name: format!("width {width}"), points }
        };
        let title = format!("{parametrization}: loss by learning rate");
        Panel { title, x: "learning rate", curves: widths.iter().map(curve).collect() }
    };
    draw(&[vec![panel("standard"), panel("mup")]])
}

/// Panels of a row share the axis upwards, so that they can be compared.
fn draw(rows: &[Vec<Panel>]) -> String {
    let (wide, high) = (PANEL.0 + LEFT + 90.0, PANEL.1 + ABOVE + BELOW);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (wide * columns as f64, high * rows.len() as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (row, panels) in rows.iter().enumerate() {
        let all: Vec<(f64, f64)> =
            panels.iter().flat_map(|p| &p.curves).flat_map(|c| c.points.iter().copied()).collect();
        let (x, y) = (bounds(all.iter().map(|p| p.0)), bounds(all.iter().map(|p| p.1)));
        for (column, panel) in panels.iter().enumerate() {
            let corner = (wide * column as f64 + LEFT, high * row as f64 + ABOVE);
            draw_panel(&mut svg, panel, corner, (x, y));
        }
    }
    svg + "</svg>\n"
}

type Bounds = (f64, f64);

/// The logarithms of the least and the greatest positive number, a little apart.
fn bounds(numbers: impl Iterator<Item = f64>) -> Bounds {
    let logs = numbers.filter(|n| *n > 0.0).map(f64::ln);
    let (low, high) =
        logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)));
    if low > high { (0.0, 1.0) } else { (low - 0.05, high + 0.05) }
}

fn draw_panel(svg: &mut String, panel: &Panel, (left, top): (f64, f64), (x, y): (Bounds, Bounds)) {
    let across = |n: f64| left + (n.ln() - x.0) / (x.1 - x.0) * PANEL.0;
    let up = |n: f64| top + PANEL.1 - (n.ln() - y.0) / (y.1 - y.0) * PANEL.1;
    let mut line = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).and_then(|()| svg.write_str("\n")).expect("a string takes text");
    };
    let (right, bottom) = (left + PANEL.0, top + PANEL.1);
    line(format_args!(
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/><text x=\"{left}\" y=\"{}\">{}</text>",
        top - 10.0,
        panel.title
    ));
    line(format_args!("<text x=\"{}\" y=\"{}\">{}</text>", right - 60.0, bottom + 32.0, panel.x));
    let mut ticks: Vec<f64> = panel.curves.iter().flat_map(|c| c.points.iter().map(|p| p.0)).collect();
    ticks.sort_unstable_by(f64::total_cmp);
    ticks.dedup();
    for tick in ticks {
        let at = across(tick);
        line(format_args!(
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
            bottom + 16.0
        ));
    }
    for tick in 0..5 {
        let value = (y.0 + (y.1 - y.0) * f64::from(tick) / 4.0).exp();
        let at = up(value);
        line(format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.3}</text>",
            left - 6.0,
            at + 4.0
        ));
    }
    for (index, curve) in panel.curves.iter().enumerate() {
        let colour = COLOURS[index.min(COLOURS.len() - 1)];
        let drawn: Vec<&(f64, f64)> = curve.points.iter().filter(|p| p.0 > 0.0 && p.1 > 0.0).collect();
        let points: Vec<String> =
            drawn.iter().map(|p| format!("{:.1},{:.1}", across(p.0), up(p.1))).collect();
        let points = points.join(" ");
        line(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        ));
        let at = top + 12.0 + 14.0 * index as f64;
        line(format_args!("<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{}</text>", right + 8.0, curve.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_line_is_flat_and_a_rising_one_rises() {
        let one = |parametrization, width, change| Coordinate {
            parametrization,
            width,
            step: 1,
            part: "logits",
            size: 1.0,
            change,
        };
        let svg = coordinates(&[
            one("standard", 64, 0.1),
            one("standard", 512, 0.8),
            one("mup", 64, 0.1),
            one("mup", 512, 0.1),
        ]);
        let heights: Vec<Vec<f64>> = svg
            .lines()
            .filter_map(|line| line.strip_prefix("<polyline points=\"")?.split('"').next())
            .map(|points| {
                points.split(' ').map(|p| p.split_once(',').unwrap().1.parse().unwrap()).collect::<Vec<f64>>()
            })
            .collect();
        assert_eq!(heights.len(), 2);
        assert!(heights[0][0] - heights[0][1] > 150.0 && heights[1][0] == heights[1][1], "{heights:?}");
        assert!(svg.ends_with("</svg>\n") && svg.contains(">512</text>"));
    }
}
