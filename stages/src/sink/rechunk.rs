//! Cuts rows into chunks by what is in them, so that files do not depend on how the rows came in batches.
//!
//! A chunk ends after `rows_max` rows or with the row that brings its values to `bytes_max` bytes. Where chunks end
//! follows from the rows before it alone.
//!
//! ```text
//! rows_max = 3     batches of 2, 2, 3 rows  →  chunks of 3, 3, 1 rows
//! ```

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use schemas::StageError;

/// Rows that wait for their chunk to be full.
pub(crate) struct Rechunk {
    schema: SchemaRef,
    rows_max: usize,
    bytes_max: usize,
    waiting: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    /// The one column whose values are counted; all where there is none.
    measured: Option<&'static str>,
}

/// A full chunk with the bytes of its values.
pub(crate) struct Chunk {
    pub(crate) batch: RecordBatch,
    pub(crate) bytes: usize,
}

impl Rechunk {
    pub(crate) const fn new(schema: SchemaRef, rows_max: usize, bytes_max: usize) -> Self {
        Self { schema, rows_max, bytes_max, waiting: Vec::new(), rows: 0, bytes: 0, measured: None }
    }

    /// Counts the values of one column alone.
    pub(crate) fn measuring(self, column: Option<&'static str>) -> Self {
        Self { measured: column, ..self }
    }

    /// Takes rows and hands every full chunk to `take`.
    pub(crate) fn push(
        &mut self,
        batch: &RecordBatch,
        mut take: impl FnMut(Chunk) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let sizes = row_bytes(batch, self.measured);
        let mut start = 0;
        for (at, size) in sizes.iter().enumerate() {
            self.rows += 1;
            self.bytes += size;
            if self.rows >= self.rows_max || self.bytes >= self.bytes_max {
                self.waiting.push(batch.slice(start, at + 1 - start));
                start = at + 1;
                take(self.chunk()?)?;
            }
        }
        if start < batch.num_rows() {
            self.waiting.push(batch.slice(start, batch.num_rows() - start));
        }
        Ok(())
    }

    /// The rows that are left, `None` when there are none.
    pub(crate) fn rest(&mut self) -> Result<Option<Chunk>, StageError> {
        if self.waiting.is_empty() { Ok(None) } else { self.chunk().map(Some) }
    }

    fn chunk(&mut self) -> Result<Chunk, StageError> {
        // One batch is handed on as it is: nothing is copied.
        let batch = match self.waiting.as_slice() {
            [batch] => batch.clone(),
            batches => concat_batches(&self.schema, batches)?,
        };
        let chunk = Chunk { batch, bytes: self.bytes };
        self.waiting.clear();
        (self.rows, self.bytes) = (0, 0);
        Ok(chunk)
    }
}

/// Bytes of the values of each row: their lengths, and eight for whatever has none.
fn row_bytes(batch: &RecordBatch, measured: Option<&str>) -> Vec<usize> {
    let mut sizes = vec![0; batch.num_rows()];
    let schema = batch.schema();
    let is_measured = |name: &str| measured.is_none_or(|measured| measured == name);
    let columns = schema.fields().iter().zip(batch.columns());
    for (_, column) in columns.filter(|(field, _)| is_measured(field.name())) {
        let length = value_bytes(column.as_ref());
        sizes.iter_mut().enumerate().for_each(|(row, size)| *size += length(row));
    }
    sizes
}

fn value_bytes(column: &dyn Array) -> Box<dyn Fn(usize) -> usize + '_> {
    match column.data_type() {
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            Box::new(|row| values.value_length(row) as usize)
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>();
            Box::new(|row| values.value_length(row) as usize)
        }
        DataType::List(item) => {
            let width = item.data_type().primitive_width();
            let values = column.as_list::<i32>();
            match width {
                Some(width) => Box::new(move |row| values.value_length(row) as usize * width),
                None => Box::new(|row| {
                    let inner = values.value(row);
                    let length = value_bytes(inner.as_ref());
                    (0..inner.len()).map(length).sum()
                }),
            }
        }
        DataType::Struct(_) => {
            let lengths: Vec<_> =
                column.as_struct().columns().iter().map(|c| value_bytes(c.as_ref())).collect();
            Box::new(move |row| lengths.iter().map(|length| length(row)).sum())
        }
        DataType::Map(..) => Box::new(|row| {
            let entries = column.as_map().value(row);
            let length = value_bytes(&entries);
            (0..entries.len()).map(length).sum()
        }),
        _ => Box::new(|_| 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    fn check(lengths: &[usize], cuts: &[usize], expected: &[usize]) {
        let texts: Vec<String> = lengths.iter().map(|n| "x".repeat(*n)).collect();
        let text: ArrayRef = Arc::new(StringArray::from(texts));
        let all = RecordBatch::try_from_iter([("text", text)]).unwrap();
        let mut chunks = Rechunk::new(all.schema(), 3, 10);
        let mut found = Vec::new();
        let mut start = 0;
        for end in cuts.iter().copied().chain([lengths.len()]) {
            let part = all.slice(start, end - start);
            chunks
                .push(&part, |c| {
                    found.push(c.batch.num_rows());
                    Ok(())
                })
                .unwrap();
            start = end;
        }
        found.extend(chunks.rest().unwrap().map(|c| c.batch.num_rows()));
        assert_eq!(found, expected, "{lengths:?} cut at {cuts:?}");
    }

    #[test]
    fn chunks_do_not_depend_on_batches() {
        for cuts in [&[][..], &[1], &[2, 3], &[1, 1, 2, 3, 4, 5, 6]] {
            check(&[1, 1, 1, 1, 1, 1, 1], cuts, &[3, 3, 1]);
            check(&[9, 1, 1, 20, 1, 1, 0], cuts, &[2, 2, 3]);
        }
        check(&[], &[], &[]);
    }
}
