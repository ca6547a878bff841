//! The dropped rows of a stage as JSON lines: each with the fields of kept rows, and why it is out.
//!
//! A row of JSON lines is its line to the byte, but a field `dropped` of its own is `own_dropped`, with what the stage added to it, such as its language. Of other rows the columns are written that kept rows have, but for pages; a line that is
//! no object has no fields: where it stands and what it is are told.

use super::{Failure, is_parquet};
use crate::cli::cells;
use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::{StageError, Verdict, column, ledger};
use serde_json::{Map, Value as Json};
use stages::sink::json::{put, put_name};
use stages::sink::jsonl::LinesFile;
use stages::sink::{beside, object, parquet::ParquetSink};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The field that tells why a row is out.
const DROPPED: &str = "dropped";
/// What is told of a line that is no object.
const OF_A_LINE: [&str; 4] = [column::RECORD_ID, column::URL, column::SOURCE, column::TEXT];

/// What is written of a row.
pub(super) struct Shape {
    /// Columns of the rows and the fields that they are written to.
    columns: Vec<(String, String)>,
    /// Fields of lines; empty for all.
    fields: Vec<String>,
    /// The sink of the kept rows where the fields are its columns, and not those of the lines that rows were read from.
    sink: Option<ParquetSink>,
    /// Whether rows were read from lines, and are written as these are.
    is_of_lines: bool,
    /// Columns that the stage adds.
    added: Vec<String>,
}

impl Shape {
    /// That of the kept rows of `kept`, which go to `out`, where the stage was given those of `before`.
    pub(super) fn of_kept(
        before: &SchemaRef,
        kept: &SchemaRef,
        fields: &[String],
        out: &Path,
        text_field: &str,
    ) -> Self {
        let sink = (is_parquet(out) && !fields.is_empty())
            .then(|| ParquetSink::single_file(out).with_text_field(text_field).with_columns(fields));
        let text_field = if is_parquet(out) { column::TEXT } else { text_field };
        let all = kept.fields().iter().map(|field| field.name().as_str());
        let told = |name: &&str| ![column::HTML, column::ROW].contains(name);
        let pair = |name: &str| {
            let field = if name == column::TEXT { text_field } else { name };
            (name.to_owned(), field.to_owned())
        };
        let of_field = |field: &String| {
            let name = if field == text_field { column::TEXT } else { field };
            (name.to_owned(), field.clone())
        };
        let columns = match fields {
            [] => all.filter(told).map(pair).collect(),
            fields => fields.iter().map(of_field).collect(),
        };
        let is_of_lines = sink.is_none() && kept.field_with_name(column::ROW).is_ok();
        let names = kept.fields().iter().map(|field| field.name());
        let added = names.filter(|name| before.field_with_name(name).is_err()).cloned().collect();
        Self { columns, fields: fields.to_vec(), sink, is_of_lines, added }
    }

    /// A row of the table of dropped rows as it came in, with the columns that can be asked for.
    fn of_table(&self, table: &RecordBatch) -> Result<RecordBatch, StageError> {
        let asked = self.columns.iter().map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = asked.chain(OF_A_LINE).chain([column::ROW]).collect();
        names.sort_unstable();
        names.dedup();
        let named = |name| Some((name, table.column_by_name(&ledger::told(name))?.clone()));
        let rows = RecordBatch::try_from_iter_with_nullable(
            names.into_iter().filter_map(named).map(|(name, values)| (name, values, true)),
        )?;
        self.told(&rows)
    }

    /// The batch with the column `metadata`, where it can be asked for.
    fn told(&self, batch: &RecordBatch) -> Result<RecordBatch, StageError> {
        self.sink.as_ref().map_or_else(|| Ok(batch.clone()), |sink| sink.told(batch))
    }

    /// Writes a row as an object that is not closed.
    fn write(&self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<(), StageError> {
        out.push(b'{');
        let line = cells::text(batch, column::ROW, row).filter(|_| self.is_of_lines);
        let pairs = line.and_then(|line| object::pairs(line).ok());
        let asked = |name: &str| self.fields.is_empty() || self.fields.iter().any(|field| field == name);
        let named = pairs.iter().flatten().filter(|(name, _)| asked(name));
        for (name, raw) in named.clone() {
            put_name(&ledger::own(name, &[DROPPED]), out);
            out.extend_from_slice(raw.get().as_bytes());
        }
        let mut cell = |name: &str, field: &str| match batch.column_by_name(name) {
            Some(values) if values.is_valid(row) => {
                put_name(&ledger::own(field, &[DROPPED]), out);
                put(values.as_ref(), row, out)
            }
            _ => Ok(()),
        };
        match (self.is_of_lines, pairs.is_some()) {
            (true, true) => {
                let is_new = |name: &&String| asked(name) && named.clone().all(|(known, _)| known != *name);
                self.added.iter().filter(is_new).try_for_each(|name| cell(name, name))
            }
            (true, false) => OF_A_LINE.iter().try_for_each(|name| cell(name, name)),
            (false, _) => self.columns.iter().try_for_each(|(name, field)| cell(name, field)),
        }
    }
}

/// Writes dropped rows, and under [`DROPPED`] why each is out.
pub(super) struct Dropped<'a> {
    out: LinesFile,
    path: &'a Path,
    shape: Shape,
    line: Vec<u8>,
}

impl<'a> Dropped<'a> {
    pub(super) fn create(path: &'a Path, shape: Shape) -> std::io::Result<Self> {
        let out = LinesFile::create(&beside(path), path).map_err(|error| {
            std::io::Error::new(error.kind(), format!("--dropped: {}: {error}", path.display()))
        })?;
        Ok(Self { out, path, shape, line: Vec::new() })
    }

    /// Writes the dropped rows of a batch.
    pub(super) fn take(
        &mut self,
        node: &str,
        batch: &RecordBatch,
        verdicts: &[Verdict],
    ) -> Result<(), (PathBuf, std::io::Error)> {
        let mut write = || {
            let batch = self.shape.told(batch).map_err(std::io::Error::other)?;
            for (row, verdict) in verdicts.iter().enumerate() {
                let Verdict::Dropped { reason, value, limit, twin } = verdict else { continue };
                let twin = twin.map(|twin| twin.to_string());
                let why = [node.into(), (*reason).into(), (*value).into(), (*limit).into(), twin.into()];
                self.write(&batch, row, why)?;
            }
            Ok(())
        };
        write().map_err(|error| (self.path.to_owned(), error))
    }

    /// Writes the rows of the tables of dropped rows.
    pub(super) fn take_all(&mut self, folder: &Path) -> Result<(), Failure> {
        let mut files: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        files.sort();
        for file in files {
            for table in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
                let table = table?;
                let batch = self.shape.of_table(&table)?;
                for row in 0..table.num_rows() {
                    self.write(&batch, row, ledger::WHY.map(|name| cell(&table, name, row)))?;
                }
            }
        }
        Ok(())
    }

    /// Writes a row with the values of [`ledger::WHY`].
    fn write(&mut self, batch: &RecordBatch, row: usize, why: [Json; 5]) -> std::io::Result<()> {
        self.line.clear();
        self.shape.write(batch, row, &mut self.line).map_err(std::io::Error::other)?;
        put_name(DROPPED, &mut self.line);
        let why = ledger::WHY.into_iter().zip(why).filter(|(_, value)| !value.is_null());
        let why: Map<String, Json> = why.map(|(name, value)| (name.to_owned(), value)).collect();
        serde_json::to_writer(&mut self.line, &why)?;
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line)
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> std::io::Result<()> {
        self.out.finish()?;
        fs::rename(beside(self.path), self.path)
    }
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> Json {
    let text = cells::text(batch, name, row).map(Json::from);
    text.or_else(|| cells::number(batch, name, row).map(Json::from)).unwrap_or_default()
}
