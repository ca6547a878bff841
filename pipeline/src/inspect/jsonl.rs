//! JSON lines as a table: plain, `.gz` or `.zst`; columns are the union of the keys, in the order of first sight.
//!
//! A key whose values are all whole numbers is Int64, all numbers Float64, all booleans Boolean; everything else is text,
//! nested values as JSON text. A line that is not an object is no row; how many there are is told.

use super::InspectError;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemas::hash::FastMap;
use serde_json::{Map, Value as Json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows in a batch.
const BATCH_ROWS: usize = 1024;
/// A batch is closed when its lines reach this many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Longest line that is read; a longer one counts as no row.
const LINE_BYTES_MAX: u64 = 64 << 20;

type Row = Map<String, Json>;

/// What a first pass over a file learns.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) schema: SchemaRef,
    pub(crate) rows: u64,
    /// Lines that are no object, by number from 0.
    pub(crate) bad: Vec<u64>,
}

/// Non-empty lines of a file, decompressed by the ending of its name.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, InspectError> {
        let file = File::open(path).map_err(InspectError::io(path))?;
        let reader: Box<dyn BufRead + Send> = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file))),
            Some("zst") => Box::new(BufReader::new(
                zstd::stream::read::Decoder::new(file).map_err(InspectError::io(path))?,
            )),
            _ => Box::new(BufReader::new(file)),
        };
        Ok(Self { path: path.to_owned(), reader, line: Vec::new() })
    }

    /// The next line that is not blank; empty when it was too long to be read.
    fn next(&mut self) -> Result<Option<&[u8]>, InspectError> {
        loop {
            self.line.clear();
            let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
            let read = read.map_err(InspectError::io(&self.path))?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == LINE_BYTES_MAX && self.line.last() != Some(&b'\n') {
                self.reader.skip_until(b'\n').map_err(InspectError::io(&self.path))?;
                self.line.clear();
                return Ok(Some(&[]));
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(&self.line));
            }
        }
    }
}

/// Counts rows and finds the columns.
pub(crate) fn survey(path: &Path) -> Result<Survey, InspectError> {
    let mut lines = Lines::open(path)?;
    let mut columns: Vec<(String, Option<DataType>)> = Vec::new();
    let mut places: FastMap<String, usize> = FastMap::default();
    let (mut rows, mut bad) = (0, Vec::new());
    while let Some(line) = lines.next()? {
        let Ok(row) = serde_json::from_slice::<Row>(line) else {
            bad.push(rows + bad.len() as u64);
            continue;
        };
        rows += 1;
        for (key, value) in row {
            let place = *places.entry(key).or_insert_with_key(|key| {
                columns.push((key.clone(), None));
                columns.len() - 1
            });
            let known = &mut columns[place].1;
            *known = join(known.take(), &value);
        }
    }
    if rows == 0 && !bad.is_empty() {
        let help = "give a Parquet file, a dataset folder or a file of JSON objects, one a line";
        return Err(InspectError::format(path, "no line is a JSON object", help));
    }
    let fields = columns.into_iter().map(|(name, t)| Field::new(name, t.unwrap_or(DataType::Utf8), true));
    Ok(Survey { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows, bad })
}

fn join(known: Option<DataType>, value: &Json) -> Option<DataType> {
    let found = match value {
        Json::Null => return known,
        Json::Bool(_) => DataType::Boolean,
        Json::Number(n) if n.is_i64() => DataType::Int64,
        Json::Number(_) => DataType::Float64,
        _ => DataType::Utf8,
    };
    Some(match known {
        None => found,
        Some(known) if known == found => known,
        Some(DataType::Int64 | DataType::Float64) if found.is_numeric() => DataType::Float64,
        Some(_) => DataType::Utf8,
    })
}

/// Batches of the wanted rows (sorted), or of all.
pub(crate) struct Batches {
    lines: Lines,
    survey: Survey,
    wanted: Option<Vec<u64>>,
    line: u64,
    row: u64,
}

impl Batches {
    pub(crate) fn new(path: &Path, survey: &Survey, wanted: Option<Vec<u64>>) -> Result<Self, InspectError> {
        Ok(Self { lines: Lines::open(path)?, survey: survey.clone(), wanted, line: 0, row: 0 })
    }

    fn fill(&mut self) -> Result<Vec<Row>, InspectError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            if self.wanted.as_ref().is_some_and(|w| w.last().is_none_or(|last| self.row > *last)) {
                break;
            }
            let Some(line) = self.lines.next()? else { break };
            self.line += 1;
            if self.survey.bad.binary_search(&(self.line - 1)).is_ok() {
                continue;
            }
            self.row += 1;
            if self.wanted.as_ref().is_none_or(|w| w.binary_search(&(self.row - 1)).is_ok()) {
                bytes += line.len();
                rows.push(serde_json::from_slice(line).unwrap_or_default());
            }
        }
        Ok(rows)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, InspectError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(rows) if rows.is_empty() => None,
            Ok(rows) => Some(Ok(batch(&self.survey.schema, &rows))),
            Err(error) => Some(Err(error)),
        }
    }
}

fn batch(schema: &SchemaRef, rows: &[Row]) -> RecordBatch {
    let columns = schema.fields().iter().map(|f| column(f, rows)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).expect("built by the schema")
}

fn column(field: &Field, rows: &[Row]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(field.name()).filter(|cell| !cell.is_null()));
    match field.data_type() {
        DataType::Boolean => {
            let mut built = BooleanBuilder::new();
            cells.for_each(|c| built.append_option(c.and_then(Json::as_bool)));
            Arc::new(built.finish())
        }
        DataType::Int64 => {
            let mut built = Int64Builder::new();
            cells.for_each(|c| built.append_option(c.and_then(Json::as_i64)));
            Arc::new(built.finish())
        }
        DataType::Float64 => {
            let mut built = Float64Builder::new();
            cells.for_each(|c| built.append_option(c.and_then(Json::as_f64)));
            Arc::new(built.finish())
        }
        _ => {
            let mut built = StringBuilder::new();
            cells.for_each(|c| match c {
                Some(Json::String(text)) => built.append_value(text),
                Some(other) => built.append_value(other.to_string()),
                None => built.append_null(),
            });
            Arc::new(built.finish())
        }
    }
}
