//! The lines of `metrics.jsonl` as Parquet, for pyarrow, DuckDB and the like.

use super::is_evaluation;
use crate::error::TrainError;
use crate::folder;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// One row a step: `step`, then every number of its line in the order of the names, null where a line has none.
pub(super) fn steps(lines: &[Value]) -> Result<RecordBatch, TrainError> {
    let steps: Vec<&Value> = lines.iter().filter(|line| !is_evaluation(line)).collect();
    let names: BTreeSet<&str> = steps
        .iter()
        .filter_map(|line| line.as_object())
        .flat_map(|line| line.iter().filter(|(_, value)| value.is_f64() || value.is_u64()))
        .map(|(name, _)| name.as_str())
        .filter(|name| *name != "step")
        .collect();
    let mut columns = vec![("step", numbers(&steps))];
    columns.extend(names.into_iter().map(|name| (name, floats(steps.iter().map(|line| &line[name])))));
    batch(columns)
}

/// One row an evaluation and source: `step`, `source` (null for all together), `loss`, `bits_per_byte`.
pub(super) fn evaluations(lines: &[Value]) -> Result<RecordBatch, TrainError> {
    let (mut steps, mut sources, mut losses, mut bits) = (vec![], vec![], vec![], vec![]);
    for line in lines.iter().filter(|line| is_evaluation(line)) {
        let mut row = |source: Option<&str>, loss, bits_per_byte| {
            steps.push(line);
            sources.push(source.map(str::to_owned));
            losses.push(loss);
            bits.push(bits_per_byte);
        };
        row(None, &line["validation_loss"], &line["bits_per_byte"]);
        for (source, found) in line["sources"].as_object().into_iter().flatten() {
            row(Some(source), &found["loss"], &found["bits_per_byte"]);
        }
    }
    batch(vec![
        ("step", numbers(&steps)),
        ("source", Arc::new(StringArray::from(sources))),
        ("loss", floats(losses.into_iter())),
        ("bits_per_byte", floats(bits.into_iter())),
    ])
}

fn numbers(lines: &[&Value]) -> ArrayRef {
    Arc::new(lines.iter().map(|line| line["step"].as_i64()).collect::<Int64Array>())
}

fn floats<'a>(values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    Arc::new(values.map(Value::as_f64).collect::<Float64Array>())
}

/// Columns that may have nulls, whether or not they do: one schema for every training.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, TrainError> {
    let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(nullable)
        .map_err(|error| TrainError::Config { message: error.to_string() })
}

/// Writes a table whole or not at all; the same rows give the same bytes.
pub(crate) fn write(path: &Path, rows: &RecordBatch) -> Result<(), TrainError> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).map_err(TrainError::file(path))?;
    writer.write(rows).map_err(TrainError::file(path))?;
    writer.close().map_err(TrainError::file(path))?;
    folder::replace(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Array;
    use serde_json::json;

    #[test]
    fn lines_become_rows() {
        let lines = [
            json!({ "step": 1, "loss": 5.5, "learning_rate": 0.1 }),
            json!({ "step": 2, "loss": 4.5, "learning_rate": 0.2, "balance": 1 }),
            json!({ "step": 2, "validation_loss": 4.0, "bits_per_byte": 2.0, "sources": { "a": { "loss": 3.0, "bits_per_byte": 1.5 } } }),
        ];
        let steps = steps(&lines).unwrap();
        let names: Vec<_> = steps.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["step", "balance", "learning_rate", "loss"]);
        assert_eq!((steps.num_rows(), steps.column(1).null_count()), (2, 1));
        let evaluations = evaluations(&lines).unwrap();
        assert_eq!((evaluations.num_rows(), evaluations.column(1).null_count()), (2, 1));
    }
}
