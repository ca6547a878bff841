//! Single values of a batch, for what is shown or written row by row.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};

/// The text of a Utf8 column; `None` where it is null, of another type or not there.
pub(super) fn text<'a>(batch: &'a RecordBatch, name: &str, row: usize) -> Option<&'a str> {
    let column = of_type(batch, name, row, &DataType::Utf8)?;
    Some(column.as_string::<i32>().value(row))
}

/// The number of a Float64 column; `None` where it is null, of another type or not there.
pub(super) fn number(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = of_type(batch, name, row, &DataType::Float64)?;
    Some(column.as_primitive::<Float64Type>().value(row))
}

fn of_type<'a>(batch: &'a RecordBatch, name: &str, row: usize, expected: &DataType) -> Option<&'a dyn Array> {
    let column = batch.column_by_name(name)?.as_ref();
    (column.data_type() == expected && !column.is_null(row)).then_some(column)
}
