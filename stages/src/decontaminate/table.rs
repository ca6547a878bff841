//! Rows of a Parquet file as JSON objects: texts, numbers, truth values, lists and structs of them.

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int64Type, UInt64Type};
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
            let object: Result<Map<String, Value>, String> = columns
                .map(|(field, column)| {
                    let value = value(column, row);
                    let value = value.map_err(|e| format!("column `{}`: {e}", field.name()))?;
                    Ok((field.name().clone(), value))
                })
                .collect();
            rows.push(Value::Object(object?));
        }
    }
    Ok(rows)
}

/// The value of a row.
///
/// # Errors
/// The type has no JSON form.
fn value(column: &dyn Array, row: usize) -> Result<Value, String> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let list = |values: &dyn Array| {
        (0..values.len()).map(|at| value(values, at)).collect::<Result<_, _>>().map(Value::Array)
    };
    let cast = |to: &DataType| arrow::compute::cast(&column.slice(row, 1), to).map_err(|e| e.to_string());
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::List(_) => list(&column.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(row))?,
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            let field =
                |(field, column): (&FieldRef, &ArrayRef)| Ok((field.name().clone(), value(column, row)?));
            Value::Object(columns.map(field).collect::<Result<_, String>>()?)
        }
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        kind if kind.is_integer() => cast(&DataType::Int64)?.as_primitive::<Int64Type>().value(0).into(),
        kind if kind.is_floating() => cast(&DataType::Float64)?.as_primitive::<Float64Type>().value(0).into(),
        DataType::Dictionary(_, kind) => value(&cast(kind)?, 0)?,
        kind => return Err(format!("its type {kind} is no text, number, truth value, list or struct")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::scratch;
    use arrow::array::{Decimal128Array, Int32Array, ListArray, StringArray, StructArray, UInt64Array};
    use arrow::datatypes::Int32Type;
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    fn write(path: &Path, batch: &RecordBatch) {
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn no_value_is_lost_in_silence() {
        let path = scratch("decontaminate-types").join("set.parquet");
        let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        write(&path, &RecordBatch::try_from_iter([("n", large)]).unwrap());
        assert_eq!(rows(&path).unwrap(), [serde_json::json!({ "n": u64::MAX })]);
        let price: ArrayRef = Arc::new(Decimal128Array::from(vec![125]));
        let inner: ArrayRef = Arc::new(StructArray::try_from(vec![("price", price)]).unwrap());
        write(&path, &RecordBatch::try_from_iter([("item", inner)]).unwrap());
        let error = rows(&path).unwrap_err();
        assert!(error.starts_with("column `item`: its type Decimal128(38, 10) is no text"), "{error}");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

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
        write(&path, &batch);
        let found = rows(&path).unwrap();
        assert_eq!(found[0], serde_json::json!({"a": "A", "n": 3, "l": [1, null], "s": {"label": "A"}}));
        assert_eq!(found[1], serde_json::json!({"a": null, "n": 4, "l": [], "s": {"label": null}}));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
