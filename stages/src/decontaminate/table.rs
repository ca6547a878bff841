//! Rows of a Parquet file as JSON objects: texts, numbers, truth values, lists and structs of them.

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use std::fs::File;
use std::path::Path;

/// Reads all rows.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn rows(path: &Path) -> Result<Vec<Value>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut rows = Vec::new();
    for batch in reader.map_err(|e| e.to_string())? {
        let batch: RecordBatch = batch.map_err(|e| e.to_string())?;
        let fields = batch.schema();
        for row in 0..batch.num_rows() {
            let columns = fields.fields().iter().zip(batch.columns());
            let object: Map<String, Value> =
                columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect();
            rows.push(Value::Object(object));
        }
    }
    Ok(rows)
}

/// The value of a row; null of a type that has no JSON form.
fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    let list = |values: &dyn Array| Value::Array((0..values.len()).map(|at| value(values, at)).collect());
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::List(_) => list(&column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(row)),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            Value::Object(columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect())
        }
        kind if kind.is_integer() => {
            let number = arrow::compute::cast(&column.slice(row, 1), &DataType::Int64);
            number.map_or(Value::Null, |number| number.as_primitive::<Int64Type>().value(0).into())
        }
        kind if kind.is_floating() => {
            let number = arrow::compute::cast(&column.slice(row, 1), &DataType::Float64);
            number.map_or(Value::Null, |number| number.as_primitive::<Float64Type>().value(0).into())
        }
        DataType::Dictionary(_, kind) => {
            let plain = arrow::compute::cast(&column.slice(row, 1), kind);
            plain.map_or(Value::Null, |plain| value(&plain, 0))
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::scratch;
    use arrow::array::{ArrayRef, Int32Array, ListArray, StringArray, StructArray};
    use arrow::datatypes::Int32Type;
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    #[test]
    fn rows_are_objects() {
        let labels: ArrayRef = Arc::new(StringArray::from(vec![Some("A"), None]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![3, 4]));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), None]),
            Some(vec![]),
        ]));
        let pair: ArrayRef = Arc::new(StructArray::try_from(vec![("label", labels.clone())]).unwrap());
        let columns = [("a", labels), ("n", numbers), ("l", list), ("s", pair)];
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
                .unwrap();
        let path = scratch("decontaminate-table").join("set.parquet");
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let found = rows(&path).unwrap();
        assert_eq!(found[0], serde_json::json!({"a": "A", "n": 3, "l": [1, null], "s": {"label": "A"}}));
        assert_eq!(found[1], serde_json::json!({"a": null, "n": 4, "l": [], "s": {"label": null}}));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
