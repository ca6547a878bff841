//! Rows of one or more files as one table, row numbers running through the files in order of their names.
//!
//! Only footers are read to open Parquet; rows are read by number, and only the pages that hold them.

use super::jsonl::{self, Survey};
use super::{Column, Grid, InspectError, cell};
use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows decoded together.
const BATCH_ROWS: usize = 1024;

/// Batches of a file, in order.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, InspectError>> + Send>;

/// What stands at the head of a file.
#[derive(Debug, Clone)]
pub(crate) enum Head {
    Parquet(ArrowReaderMetadata),
    JsonLines(Survey),
}

/// One file of a table.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) head: Head,
}

impl Part {
    /// Reads the footer of a Parquet file, or every line of a JSON-lines file.
    pub(crate) fn open(path: &Path) -> Result<Self, InspectError> {
        let head = if is_parquet(path)? {
            let file = File::open(path).map_err(InspectError::io(path))?;
            let options = ArrowReaderOptions::new()
                .with_page_index_policy(PageIndexPolicy::Optional)
                .with_encoding_stats_as_mask(false);
            Head::Parquet(ArrowReaderMetadata::load(&file, options).map_err(InspectError::parquet(path))?)
        } else {
            Head::JsonLines(jsonl::survey(path)?)
        };
        Ok(Self { path: path.to_owned(), head })
    }

    pub(crate) fn rows(&self) -> u64 {
        match &self.head {
            Head::Parquet(m) => u64::try_from(m.metadata().file_metadata().num_rows()).unwrap_or(0),
            Head::JsonLines(survey) => survey.rows,
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        match &self.head {
            Head::Parquet(m) => m.schema(),
            Head::JsonLines(survey) => &survey.schema,
        }
    }

    /// Reads the wanted rows (sorted), or all; of Parquet only the named columns where names are given.
    pub(crate) fn read(
        &self,
        wanted: Option<&[u64]>,
        columns: Option<&[&str]>,
    ) -> Result<Batches, InspectError> {
        let metadata = match &self.head {
            Head::JsonLines(survey) => {
                return Ok(Box::new(jsonl::Batches::new(&self.path, survey, wanted.map(<[_]>::to_vec))?));
            }
            Head::Parquet(metadata) => metadata.clone(),
        };
        let file = File::open(&self.path).map_err(InspectError::io(&self.path))?;
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(BATCH_ROWS);
        if let Some(names) = columns {
            let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(rows) = wanted {
            builder = builder.with_row_selection(selection(rows, self.rows()));
        }
        let path = self.path.clone();
        let reader = builder.build().map_err(InspectError::parquet(&self.path))?;
        Ok(Box::new(
            reader.map(move |batch| batch.map_err(|error| InspectError::parquet(&path)(error.into()))),
        ))
    }
}

fn selection(rows: &[u64], total: u64) -> RowSelection {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &row in rows {
        let row = usize::try_from(row).expect("a row number fits the memory");
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    RowSelection::from_consecutive_ranges(ranges.into_iter(), usize::try_from(total).unwrap_or(usize::MAX))
}

/// Whether a file is Parquet, by its first bytes; a name that promises Parquet over other bytes is an error.
fn is_parquet(path: &Path) -> Result<bool, InspectError> {
    let mut magic = Vec::new();
    let file = File::open(path).map_err(InspectError::io(path))?;
    file.take(4).read_to_end(&mut magic).map_err(InspectError::io(path))?;
    let name = path.to_string_lossy();
    match magic.as_slice() {
        b"PAR1" => Ok(true),
        _ if name.ends_with(".parquet") => {
            let found = if magic.is_empty() { "is empty" } else { "does not start with `PAR1`" };
            let help = "if it is JSON lines, name it .jsonl; if it was cut short, build or copy it again";
            Err(InspectError::format(path, format!("not a Parquet file: it {found}"), help))
        }
        _ => Ok(false),
    }
}

/// Rows of one or more files.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) parts: Vec<Part>,
    schema: SchemaRef,
}

impl Table {
    /// Opens files as one table; its columns are the union of theirs, in the order of first sight.
    ///
    /// # Errors
    /// A file cannot be read, or a column has one type here and another there.
    pub fn open(files: &[PathBuf]) -> Result<Self, InspectError> {
        let parts: Vec<Part> = files.iter().map(|f| Part::open(f)).collect::<Result<_, _>>()?;
        let mut fields: Vec<FieldRef> = Vec::new();
        for part in &parts {
            for field in part.schema().fields() {
                match fields.iter().find(|f| f.name() == field.name()) {
                    None => fields.push(field.clone()),
                    Some(known) if known.data_type() == field.data_type() => {}
                    Some(known) => {
                        let (name, here) = (field.name(), field.data_type());
                        let there = known.data_type();
                        let message = format!("column `{name}` is {here}, but {there} in a file before it");
                        return Err(InspectError::format(
                            &part.path,
                            message,
                            "inspect the files one by one",
                        ));
                    }
                }
            }
        }
        Ok(Self { parts, schema: Arc::new(Schema::new(fields)) })
    }

    /// The columns.
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows in all files.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(Part::rows).sum()
    }

    /// Files, with the rows of each.
    pub fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.parts.iter().map(|p| (p.path.as_path(), p.rows()))
    }

    /// Lines of JSON-lines files that are no object and so no row.
    pub fn bad_lines(&self) -> u64 {
        let bad = self.parts.iter().map(|p| match &p.head {
            Head::JsonLines(survey) => survey.bad.len() as u64,
            Head::Parquet(_) => 0,
        });
        bad.sum()
    }

    /// Reads rows by number; `rows` is sorted and has no number twice.
    ///
    /// # Errors
    /// A file is damaged, or a row is not below [`Table::rows`].
    pub fn read(&self, rows: &[u64]) -> Result<Grid, InspectError> {
        if let Some(&last) = rows.last().filter(|last| **last >= self.rows()) {
            let help = format!("rows are counted from 0; the table has {}", self.rows());
            return Err(InspectError::question(format!("there is no row {last}"), help));
        }
        let mut grid = Grid { columns: self.columns(), rows: Vec::with_capacity(rows.len()) };
        let (mut first, mut rest) = (0, rows);
        for part in &self.parts {
            let end = first + part.rows();
            let (here, behind) = rest.split_at(rest.partition_point(|row| *row < end));
            rest = behind;
            if !here.is_empty() {
                let local: Vec<u64> = here.iter().map(|row| row - first).collect();
                for batch in part.read(Some(&local), None)? {
                    self.append(&batch?, &mut grid);
                }
            }
            first = end;
        }
        Ok(grid)
    }

    /// The first `n` rows.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn head(&self, n: u64) -> Result<Grid, InspectError> {
        self.read(&(0..n.min(self.rows())).collect::<Vec<_>>())
    }

    fn columns(&self) -> Vec<Column> {
        let column = |f: &FieldRef| Column { name: f.name().clone(), kind: f.data_type().to_string() };
        self.schema.fields().iter().map(column).collect()
    }

    fn append(&self, batch: &RecordBatch, grid: &mut Grid) {
        let columns: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|f| match batch.column_by_name(f.name()) {
                Some(column) => column.clone(),
                None => new_null_array(f.data_type(), batch.num_rows()),
            })
            .collect();
        let rows = (0..batch.num_rows()).map(|row| columns.iter().map(|c| cell::json(c, row)).collect());
        grid.rows.extend(rows);
    }
}
