//! `gristmill inspect PATH --stats`: every column in numbers, histograms and frequent values.

use super::View;
use pipeline::inspect::layout::{Style, number, thousands};
use pipeline::inspect::plot::Bar;
use pipeline::inspect::{Class, ColumnStats, Grid, InspectError, Stats, Table, stats};
use serde_json::json;

pub(super) fn show(table: &Table, style: &Style) -> Result<View, InspectError> {
    let stats = stats(table)?;
    Ok(View { text: lay(&stats, style), json: serde_json::to_value(&stats).unwrap_or_default() })
}

fn lay(stats: &Stats, style: &Style) -> String {
    let mut text = format!("{} rows\n\n{}", thousands(stats.rows), style.grid(&stats.grid(), None));
    for column in &stats.columns {
        let bars = if column.histogram.is_empty() { lengths(column) } else { classes(&column.histogram) };
        // One class is said by the range already.
        if bars.len() > 1 {
            let title = format!("{}: {}", column.name, column.measure.unwrap_or("lengths"));
            text += &format!("\n{}{}", style.rule(&title), style.histogram(&bars));
        }
    }
    for column in stats.columns.iter().filter(|c| !c.top.is_empty()) {
        text += &format!("\n{}", style.rule(&format!("{}: frequent values", column.name)));
        let mut grid = Grid::new(&[if column.top_exact { "rows" } else { "rows, at least" }, "value"]);
        grid.rows.extend(column.top.iter().map(|(value, rows)| vec![json!(rows), json!(value)]));
        text += &style.grid(&grid, None);
    }
    text
}

/// Lengths by powers of two.
fn lengths(column: &ColumnStats) -> Vec<Bar> {
    let bar = |(from, rows): &(u64, u64)| {
        let label = if *from < 2 {
            from.to_string()
        } else {
            format!("{}–{}", thousands(*from), thousands(2 * from - 1))
        };
        Bar { label, count: *rows }
    };
    column.lengths.iter().map(bar).collect()
}

/// Classes of numbers. One that holds a single whole number is named by it.
pub(super) fn classes(classes: &[Class]) -> Vec<Bar> {
    let is_whole = |n: f64| n.fract() == 0.0;
    let whole = classes.iter().all(|class| is_whole(class.from) && is_whole(class.to));
    let label = |class: &Class| match whole {
        true if class.to - class.from == 1.0 => number(class.from),
        true => format!("{}–{}", number(class.from), number(class.to - 1.0)),
        false => format!("{} to {}", number(class.from), number(class.to)),
    };
    classes.iter().map(|class| Bar { label: label(class), count: class.rows }).collect()
}
