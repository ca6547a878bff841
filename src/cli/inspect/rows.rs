//! `gristmill inspect PATH --row N[,N…]`: rows with their whole values.

use super::View;
use pipeline::inspect::layout::{Ink, Style, one_line, thousands};
use pipeline::inspect::{Grid, InspectError, Table};
use serde_json::{Value as Json, json};

pub(super) fn show(table: &Table, wanted: &[u64], style: &Style) -> Result<View, InspectError> {
    let mut rows = wanted.to_vec();
    rows.sort_unstable();
    rows.dedup();
    let grid = table.read(&rows)?;
    let mut text = String::new();
    for (row, cells) in rows.iter().zip(&grid.rows) {
        text += &style.rule(&format!("row {}", thousands(*row)));
        for (column, cell) in grid.columns.iter().zip(cells) {
            text += &value(style, &column.name, &column.kind, cell);
        }
        text.push('\n');
    }
    Ok(View { text, json: numbered(&grid, &rows) })
}

/// A short value beside its name; a long one below it, with its own lines.
fn value(style: &Style, name: &str, kind: &str, cell: &Json) -> String {
    let whole = match cell {
        Json::Null => "–".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let name = one_line(name);
    let head = style.paint(Ink::Cyan, &name);
    if !whole.contains('\n') && name.chars().count() + 2 + whole.chars().count() <= style.width {
        return format!("{head}  {}\n", one_line(&whole));
    }
    let size = format!("{kind}, {} chars", thousands(whole.chars().count() as u64));
    let lines: Vec<String> = whole.lines().map(one_line).collect();
    format!("{head}  {}\n{}\n", style.paint(Ink::Dim, &size), lines.join("\n"))
}

/// Rows as JSON, each with its number.
pub(super) fn numbered(grid: &Grid, rows: &[u64]) -> Json {
    let objects = grid.to_json();
    let pairs = rows.iter().zip(objects.as_array().into_iter().flatten());
    Json::Array(pairs.map(|(row, cells)| json!({ "row": row, "cells": cells })).collect())
}
