//! `gristmill inspect PATH --diff OTHER`: what differs between two tables or datasets.

use super::{View, rows_of};
use pipeline::inspect::layout::{Ink, Style, cut, one_line, thousands};
use pipeline::inspect::{
    Comparison, Differing, Grid, InspectError, NodeChange, Target, compare, compare_nodes,
};
use serde_json::{Value as Json, json};

/// Changes of a text shown; `--json` has all.
const CHANGES_MAX: usize = 3;

pub(super) fn show(left: &Target, right: &Target, style: &Style) -> Result<View, InspectError> {
    let nodes = match (left, right) {
        (Target::Dataset(left), Target::Dataset(right)) => compare_nodes(left, right),
        _ => Vec::new(),
    };
    let found = compare(&rows_of(left)?, &rows_of(right)?)?;
    let mut text = String::new();
    if !nodes.is_empty() {
        text += &format!("{}{}\n", style.rule("nodes"), style.grid(&nodes_grid(&nodes), None));
    }
    text += &lay(&found, style);
    Ok(View { text, json: json!({ "rows": found, "nodes": nodes }) })
}

fn nodes_grid(nodes: &[NodeChange]) -> Grid {
    let mut grid = Grid::new(&["node", "what", "left", "right"]);
    for change in nodes {
        let mut name = change.node.clone();
        for (what, [left, right]) in &change.differs {
            let shown = |value: &String| value.parse().map_or_else(|_| value.clone(), thousands);
            let side =
                |value: &Option<String>| value.as_ref().map_or(Json::Null, |value| shown(value).into());
            grid.rows.push(vec![
                std::mem::take(&mut name).into(),
                what.clone().into(),
                side(left),
                side(right),
            ]);
        }
    }
    grid
}

fn lay(found: &Comparison, style: &Style) -> String {
    let mut pairs =
        vec![("rows", format!("{} left, {} right", thousands(found.rows[0]), thousands(found.rows[1])))];
    for (names, word) in found.columns_only.iter().zip(["columns left", "columns right"]) {
        pairs.extend((!names.is_empty()).then(|| (word, format!("{} alone", names.join(", ")))));
    }
    for (name, left, right) in &found.columns_retyped {
        pairs.push(("column", format!("{name} is {left} left, {right} right")));
    }
    let by = found.key.as_deref().unwrap_or("number");
    pairs.push(("matched by", by.to_owned()));
    pairs.push(("same", thousands(found.same)));
    pairs.push(("changed", thousands(found.changed)));
    pairs.push(("left alone", thousands(found.rows_only[0])));
    pairs.push(("right alone", thousands(found.rows_only[1])));
    let mut text = format!("{}{}", style.rule("rows"), style.pairs(&pairs));
    if !found.changed_by_column.is_empty() {
        let mut columns: Vec<(&String, &u64)> = found.changed_by_column.iter().collect();
        columns.sort_by_key(|(name, rows)| (std::cmp::Reverse(**rows), *name));
        let mut grid = Grid::new(&["column", "rows that differ"]);
        grid.rows.extend(columns.into_iter().map(|(name, rows)| vec![json!(name), json!(rows)]));
        text += &format!("\n{}", style.grid(&grid, None));
    }
    for (keys, (sign, ink)) in found.examples_only.iter().zip([('-', Ink::Red), ('+', Ink::Green)]) {
        if !keys.is_empty() {
            text.push('\n');
        }
        for key in keys {
            text += &format!("{}\n", style.paint(ink, &format!("{sign} {}", one_line(key))));
        }
    }
    found.examples.iter().for_each(|row| text += &example(row, style));
    text
}

fn example(row: &Differing, style: &Style) -> String {
    let mut text = format!("\n{}", style.rule(&one_line(&row.key)));
    let mut side = |sign: char, ink: Ink, words: &str| {
        let line = cut(&one_line(words), style.width.saturating_sub(2));
        text += &format!("{}\n", style.paint(ink, &format!("{sign} {line}")));
    };
    for (name, [left, right]) in &row.cells {
        let shown = |cell: &Json| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
        side('-', Ink::Red, &format!("{name}: {}", shown(left)));
        side('+', Ink::Green, &format!("{name}: {}", shown(right)));
    }
    for change in row.changes.iter().take(CHANGES_MAX) {
        side('@', Ink::Dim, &format!("text, line {}", change.line));
        change.removed.iter().take(CHANGES_MAX).for_each(|line| side('-', Ink::Red, line));
        change.added.iter().take(CHANGES_MAX).for_each(|line| side('+', Ink::Green, line));
    }
    if row.changes.len() > CHANGES_MAX {
        let more = thousands((row.changes.len() - CHANGES_MAX) as u64);
        side('@', Ink::Dim, &format!("{more} more changes of the text"));
    }
    text
}
