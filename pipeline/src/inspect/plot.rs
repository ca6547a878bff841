//! Histograms and curves as text for a terminal.

use super::layout::{Ink, Style, thousands};
use unicode_width::UnicodeWidthStr;

/// Cells of a bar that is never made shorter.
const BAR_CELLS_MIN: usize = 8;
/// Most cells of a bar: longer ones are no easier to compare.
const BAR_CELLS_MAX: usize = 60;
/// Eighths of a cell, from one to all.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar in a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What is counted.
    pub label: String,
    /// How many there are.
    pub count: u64,
}

impl Style {
    /// A line a bar: label, count, and a bar as long as the count is high. What is not empty is not drawn as nothing.
    pub fn histogram(&self, bars: &[Bar]) -> String {
        let label = bars.iter().map(|bar| bar.label.width()).max().unwrap_or(0);
        let count = bars.iter().map(|bar| thousands(bar.count).len()).max().unwrap_or(0);
        let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
        let room = self.width.saturating_sub(label + count + 4).clamp(BAR_CELLS_MIN, BAR_CELLS_MAX) as u64;
        let mut out = String::new();
        for bar in bars {
            let eighths = (u128::from(bar.count) * u128::from(8 * room)).div_ceil(u128::from(most));
            let drawn = self.paint(Ink::Cyan, &eighths_of_cells(eighths as usize));
            let space = " ".repeat(label - bar.label.width());
            out += format!("{space}{}  {:>count$}  {drawn}", bar.label, thousands(bar.count)).trim_end();
            out.push('\n');
        }
        out
    }

    /// The graph of a function over 0 to 1 with values from 0 to 1, `rows` lines high, in dots of braille; `mark` is a place on the axis.
    pub fn curve(&self, rows: usize, mark: Option<f64>, of: impl Fn(f64) -> f64) -> String {
        let cells = self.width.saturating_sub(AXIS_CELLS).clamp(2 * BAR_CELLS_MIN, BAR_CELLS_MAX);
        let (wide, high) = (2 * cells, 4 * rows);
        let mut dots = vec![0_u8; cells * rows];
        let mut dot = |x: usize, y: usize| {
            dots[(high - 1 - y) / 4 * cells + x / 2] |= BRAILLE[(high - 1 - y) % 4][x % 2]
        };
        let height = |x: usize| {
            let value = of(x as f64 / (wide - 1) as f64).clamp(0.0, 1.0);
            (value * (high - 1) as f64).round() as usize
        };
        for x in 0..wide {
            let (from, to) = (height(x.saturating_sub(1)), height(x));
            // A steep piece has a dot on each line, so that the graph has no gaps.
            (from.min(to) + 1..from.max(to)).for_each(|y| dot(x, y));
            dot(x, to);
        }
        let marked = mark.map(|at| (at * (cells - 1) as f64).round() as usize);
        let mut out = String::new();
        for row in 0..rows {
            let value = 1.0 - row as f64 / (rows - 1).max(1) as f64;
            out += &format!("{value:>5.2} │");
            for cell in 0..cells {
                let drawn = dots[row * cells + cell];
                let c = char::from_u32(0x2800 + u32::from(drawn)).expect("256 patterns of dots follow");
                match drawn {
                    0 if marked == Some(cell) => out += &self.paint(Ink::Yellow, "┊"),
                    0 => out.push(' '),
                    _ => out += &self.paint(Ink::Cyan, &c.to_string()),
                }
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out + &axis(cells)
    }
}

/// Cells before the first dot.
const AXIS_CELLS: usize = 7;

/// Cells under which the numbers of the quarters run into each other.
const QUARTERS_CELLS_MIN: usize = 24;

/// The line under a graph, with a number at each quarter, or at each half where it is short.
fn axis(cells: usize) -> String {
    let mut line = format!("{:AXIS_CELLS$}", "");
    let mut numbers = line.clone();
    line.replace_range(AXIS_CELLS - 1.., "└");
    line += &"─".repeat(cells);
    for quarter in (0..=4).step_by(if cells < QUARTERS_CELLS_MIN { 2 } else { 1 }) {
        let text = format!("{}", f64::from(quarter) / 4.0);
        let at = AXIS_CELLS + (cells - 1) * quarter as usize / 4;
        // Numbers stand under their place; the last one ends there.
        let start = if quarter == 4 { at + 1 - text.len() } else { at };
        numbers += &" ".repeat(start.saturating_sub(numbers.len()));
        numbers += &text;
    }
    format!("{line}\n{numbers}\n")
}

/// The bits of the dots of a cell of braille, by line and column.
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

fn eighths_of_cells(eighths: usize) -> String {
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_counts_are_high() {
        let bar = |label: &str, count| Bar { label: label.to_owned(), count };
        let style = Style { width: 23, colour: false };
        let text = style.histogram(&[bar("a", 0), bar("日本", 1), bar("c", 2_000), bar("d", 1_001)]);
        let expected = "
   a      0
日本      1  ▏
   c  2,000  ██████████
   d  1,001  █████▏
";
        assert_eq!(text, expected[1..]);
        assert_eq!(style.histogram(&[]), "");
    }

    #[test]
    fn a_curve_has_no_gaps_and_ends_at_its_values() {
        let style = Style { width: 24, colour: false };
        let text = style.curve(3, Some(0.25), |x| if x < 0.5 { 0.0 } else { 1.0 });
        let expected = "
 1.00 │    ┊   ⢸⠉⠉⠉⠉⠉⠉⠉⠉
 0.50 │    ┊   ⢸
 0.00 │⣀⣀⣀⣀⣀⣀⣀⣀⡸
      └─────────────────
       0       0.5     1
";
        assert_eq!(text, expected[1..]);
    }
}
