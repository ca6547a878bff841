//! Evaluation rows: JSON lines, plain or gzipped, or Parquet, found in a folder by the stem of their name.

use crate::error::TrainError;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of a file of rows, unpacked.
const BYTES_MAX: u64 = 1 << 31;
/// Endings, in the order in which they are looked for.
const ENDINGS: [&str; 3] = ["jsonl.gz", "jsonl", "parquet"];

/// Rows and the file that they stand in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its rows, in order.
    pub(crate) rows: Vec<Value>,
}

impl Rows {
    /// Reads the first of `stems` that the folder has a file of.
    ///
    /// # Errors
    /// There is none, in words that name all; or what [`read`] says.
    pub(crate) fn find(folder: &Path, stems: &[&str]) -> Result<Self, TrainError> {
        for stem in stems {
            let path = ENDINGS
                .map(|ending| folder.join(format!("{stem}.{ending}")))
                .into_iter()
                .find(|p| p.is_file());
            if let Some(path) = path {
                return Ok(Self { rows: read(&path)?, path });
            }
        }
        let names = stems.iter().map(|stem| format!("`{stem}.jsonl`")).collect::<Vec<_>>().join(" or ");
        Err(TrainError::file(folder)(format!("holds no {names} (also as `.jsonl.gz` or `.parquet`)")))
    }

    /// Makes something of each row.
    ///
    /// # Errors
    /// A row is not what it should be: the file, the number of the row and what `make` says.
    pub(crate) fn map<M>(&self, make: impl Fn(&Value) -> Result<M, String>) -> Result<Vec<M>, TrainError> {
        let rows = self.rows.iter().enumerate();
        let made = rows.map(|(at, row)| {
            make(row).map_err(|error| TrainError::file(&self.path)(format!("row {}: {error}", at + 1)))
        });
        made.collect()
    }
}

/// Reads rows; the ending says how.
///
/// # Errors
/// The file cannot be read, is larger than [`BYTES_MAX`], has no row, or a line is not a JSON object.
pub(crate) fn read(path: &Path) -> Result<Vec<Value>, TrainError> {
    let name = path.to_string_lossy();
    let rows = if name.ends_with(".parquet") { parquet(path)? } else { lines(path, name.ends_with(".gz"))? };
    if rows.is_empty() {
        return Err(TrainError::file(path)("has no row"));
    }
    Ok(rows)
}

fn lines(path: &Path, gzipped: bool) -> Result<Vec<Value>, TrainError> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    reader.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(TrainError::io(path))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(TrainError::file(path)(format!("is larger than {BYTES_MAX} bytes")));
    }
    // At the newline byte alone: texts hold other ends of lines.
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let full = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let row = |(at, line): (usize, &[u8])| match serde_json::from_slice(line) {
        Ok(row @ Value::Object(_)) => Ok(row),
        Ok(_) => Err(TrainError::file(path)(format!("line {} is no JSON object", at + 1))),
        Err(error) => Err(TrainError::file(path)(format!("line {} is no JSON: {error}", at + 1))),
    };
    full.map(row).collect()
}

fn parquet(path: &Path) -> Result<Vec<Value>, TrainError> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut rows = Vec::new();
    for batch in reader.map_err(TrainError::file(path))? {
        let batch = batch.map_err(TrainError::file(path))?;
        for row in 0..batch.num_rows() {
            let fields = batch.schema_ref().fields().iter().zip(batch.columns());
            let cells = fields.map(|(field, column)| Ok((field.name().clone(), cell(column, row)?)));
            rows.push(Value::Object(cells.collect::<Result<_, String>>().map_err(TrainError::file(path))?));
        }
    }
    Ok(rows)
}

/// A cell as JSON: texts, numbers, truth, lists and structs.
fn cell(column: &ArrayRef, row: usize) -> Result<Value, String> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let wrong = |error: arrow::error::ArrowError| error.to_string();
    let of = |kind: &DataType| cast(&column.slice(row, 1), kind).map_err(wrong);
    Ok(match column.data_type() {
        DataType::Struct(fields) => {
            let cells = fields.iter().zip(column.as_struct().columns());
            let cells = cells.map(|(field, column)| Ok((field.name().clone(), cell(column, row)?)));
            Value::Object(cells.collect::<Result<Map<_, _>, String>>()?)
        }
        DataType::List(_) => list(&column.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(row))?,
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            Value::from(of(&DataType::Utf8)?.as_string::<i32>().value(0))
        }
        kind if kind.is_integer() => Value::from(of(&DataType::Int64)?.as_primitive::<Int64Type>().value(0)),
        kind if kind.is_floating() => {
            Value::from(of(&DataType::Float64)?.as_primitive::<Float64Type>().value(0))
        }
        kind => return Err(format!("a column has the type {kind}, which is none of evaluation rows")),
    })
}

fn list(values: &ArrayRef) -> Result<Value, String> {
    (0..values.len()).map(|at| cell(values, at)).collect::<Result<_, _>>().map(Value::Array)
}

/// The text of a field.
///
/// # Errors
/// It is missing or no text.
pub(crate) fn text<'a>(row: &'a Value, key: &str) -> Result<&'a str, String> {
    row[key].as_str().ok_or_else(|| format!("`{key}` is missing or no text"))
}

/// The texts of a field.
///
/// # Errors
/// It is missing, or no list of texts.
pub(crate) fn texts(row: &Value, key: &str) -> Result<Vec<String>, String> {
    let list = row[key].as_array().ok_or_else(|| format!("`{key}` is missing or no list"))?;
    let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| format!("`{key}` is no list of texts"))
}

/// The whole number of a field, which may be written as a text.
///
/// # Errors
/// It is missing, or no whole number from 0.
pub(crate) fn number(row: &Value, key: &str) -> Result<usize, String> {
    let told = row[key].as_u64().or_else(|| row[key].as_str().and_then(|text| text.trim().parse().ok()));
    let number = told.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("`{key}` is missing or no whole number"))
}
