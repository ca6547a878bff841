//! Rows by the text in one column: the column is read alone, and then only the rows that matched.

use super::table::Part;
use super::{InspectError, cell};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A row with the columns that were asked for.
pub(crate) type Row = BTreeMap<String, Json>;

/// The text cells of a column, one a row; `None` for null, for another type and where the column is missing.
pub(crate) fn texts<'a>(batch: &'a RecordBatch, column: &str) -> Vec<Option<&'a str>> {
    use arrow::array::AsArray;
    let Some(cells) = batch.column_by_name(column) else { return vec![None; batch.num_rows()] };
    match cells.data_type() {
        DataType::Utf8 => cells.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => cells.as_string::<i64>().iter().collect(),
        DataType::Utf8View => cells.as_string_view().iter().collect(),
        _ => vec![None; cells.len()],
    }
}

/// Finds the rows whose text in `column` is wanted and reads of them `columns`, or all.
pub(crate) fn rows_where(
    part: &Part,
    column: &str,
    wanted: &dyn Fn(&str) -> bool,
    columns: Option<&[&str]>,
) -> Result<Vec<(u64, Row)>, InspectError> {
    let (mut found, mut first) = (Vec::new(), 0);
    for batch in part.read(None, Some(&[column]))? {
        let batch = batch?;
        let cells = texts(&batch, column).into_iter().zip(first..);
        found.extend(cells.filter(|(text, _)| text.is_some_and(wanted)).map(|(_, row)| row));
        first += batch.num_rows() as u64;
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::with_capacity(found.len());
    for batch in part.read(Some(&found), columns)? {
        let batch = batch?;
        rows.extend((0..batch.num_rows()).map(|row| object(&batch, row)));
    }
    Ok(found.into_iter().zip(rows).collect())
}

fn object(batch: &RecordBatch, row: usize) -> Row {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns());
    cells.map(|(f, column)| (f.name().clone(), cell::json(column, row))).collect()
}
