//! Builds the batches of a source: one row per record read, with the word on whether it is a document.
//!
//! A source implements [`Feed`], which pushes rows one at a time; [`intakes`] cuts them into batches of at most
//! `BATCH_ROWS` rows, closed when their values reach `BATCH_BYTES`, so that memory follows the batch and not the file.
//!
//! ```text
//! let mut rows = PageBuilder::new(column::text_schema());
//! rows.push(&Page { id, text: Some("words"), ..Page::default() }, &[], Verdict::Kept);
//! rows.finish()?  →  Intake { batch: 1 row, verdicts: [Kept] }
//! ```

use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use schemas::source::{BATCH_BYTES, BATCH_ROWS};
use schemas::{DocId, Intake, Intakes, SourceError, Verdict, column};
use std::sync::Arc;

/// Bytes kept of a record that is no document.
pub const REJECT_BYTES_MAX: usize = 1 << 20;

/// What a batch may have more than the one before without growing: the eighth part.
const ROOM_SHARE: usize = 8;

/// The values of one row. Columns that the schema lacks are ignored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page<'a> {
    /// Address.
    pub url: Option<&'a str>,
    /// Where in the source it stands.
    pub source: &'a str,
    /// Identity that the source itself gives.
    pub record_id: Option<&'a str>,
    /// RFC 3339.
    pub fetched_at: Option<&'a str>,
    /// Media type as the server gave it.
    pub content_type: Option<&'a str>,
    /// Bytes before extraction.
    pub html: Option<&'a [u8]>,
    /// Text.
    pub text: Option<&'a str>,
}

enum Builder {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
}

/// Rows of one batch in the making.
pub struct PageBuilder {
    schema: SchemaRef,
    columns: Vec<Builder>,
    verdicts: Vec<Verdict>,
    bytes: usize,
}

impl PageBuilder {
    /// Starts with no row. Every column is Utf8 or Binary; those that no [`Page`] names take the `extra` values of
    /// [`PageBuilder::push`] in their order.
    ///
    /// # Panics
    /// When a column has another type.
    pub fn new(schema: SchemaRef) -> Self {
        let builder = |kind: &DataType| match kind {
            DataType::Utf8 => Builder::Text(StringBuilder::new()),
            DataType::Binary => Builder::Bytes(BinaryBuilder::new()),
            other => panic!("a page has no column of type {other}"),
        };
        let columns = schema.fields().iter().map(|f| builder(f.data_type())).collect();
        Self { schema, columns, verdicts: Vec::new(), bytes: 0 }
    }

    /// Adds a row.
    pub fn push(&mut self, id: DocId, page: &Page<'_>, extra: &[Option<&str>], verdict: Verdict) {
        let digits = id.digits();
        let id = std::str::from_utf8(&digits).expect("digits are ASCII");
        let mut extra = extra.iter();
        for (field, builder) in self.schema.fields().iter().zip(&mut self.columns) {
            match builder {
                Builder::Bytes(values) => {
                    self.bytes += page.html.map_or(0, <[u8]>::len);
                    values.append_option(page.html);
                }
                Builder::Text(values) => {
                    let value = match field.name().as_str() {
                        column::ID => Some(id),
                        column::URL => page.url,
                        column::SOURCE => Some(page.source),
                        column::RECORD_ID => page.record_id,
                        column::FETCHED_AT => page.fetched_at,
                        column::CONTENT_TYPE => page.content_type,
                        column::TEXT => page.text,
                        _ => extra.next().copied().flatten(),
                    };
                    self.bytes += value.map_or(0, str::len);
                    values.append_option(value);
                }
            }
        }
        self.verdicts.push(verdict);
    }

    /// Adds a record that is no document: its beginning becomes the text, broken UTF-8 made visible as U+FFFD.
    pub fn reject(&mut self, id: DocId, source: &str, bytes: &[u8], verdict: Verdict) {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(REJECT_BYTES_MAX)]);
        self.push(id, &Page { source, text: Some(&text), ..Page::default() }, &[], verdict);
    }

    /// Whether the batch has to be closed.
    pub fn is_full(&self) -> bool {
        self.verdicts.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }

    /// Gives the rows and starts anew, with room for as many of the same size: growing copies all that is there.
    ///
    /// # Errors
    /// `Arrow`, which the builders cannot cause.
    pub fn finish(&mut self) -> Result<Intake, SourceError> {
        let rows = self.verdicts.len();
        let room = |bytes: usize| bytes + bytes / ROOM_SHARE;
        let columns = self.columns.iter_mut().map(|builder| match builder {
            Builder::Text(values) => {
                let next = StringBuilder::with_capacity(rows, room(values.values_slice().len()));
                Arc::new(std::mem::replace(values, next).finish()) as ArrayRef
            }
            Builder::Bytes(values) => {
                let next = BinaryBuilder::with_capacity(rows, room(values.values_slice().len()));
                Arc::new(std::mem::replace(values, next).finish())
            }
        });
        let batch = RecordBatch::try_new(self.schema.clone(), columns.collect())?;
        self.bytes = 0;
        Ok(Intake { batch, verdicts: std::mem::take(&mut self.verdicts) })
    }
}

/// Gives the records of a split one by one.
pub trait Feed: Send {
    /// Pushes the next rows, at least one unless it is the end; `false` at the end.
    ///
    /// # Errors
    /// The system refuses to read on.
    fn feed(&mut self, rows: &mut PageBuilder) -> Result<bool, SourceError>;
}

/// Cuts what is fed into batches.
pub fn intakes<'a>(feed: impl Feed + 'a, schema: SchemaRef) -> Intakes<'a> {
    Box::new(Batches { feed, rows: PageBuilder::new(schema), ended: false })
}

struct Batches<F> {
    feed: F,
    rows: PageBuilder,
    ended: bool,
}

impl<F: Feed> Iterator for Batches<F> {
    type Item = Result<Intake, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended && !self.rows.is_full() {
            match self.feed.feed(&mut self.rows) {
                Ok(more) => self.ended = !more,
                Err(error) => {
                    self.ended = true;
                    self.rows = PageBuilder::new(self.rows.schema.clone());
                    return Some(Err(error));
                }
            }
        }
        (!self.rows.is_empty()).then(|| self.rows.finish())
    }
}

/// A dropped verdict without a twin.
pub const fn dropped(reason: &'static str, value: f64, limit: f64) -> Verdict {
    Verdict::Dropped { reason, value, limit, twin: None }
}

/// The names of the columns in order, to check that no other column takes one.
pub fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|f| f.name().as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lengths(Vec<usize>);
    impl Feed for Lengths {
        fn feed(&mut self, rows: &mut PageBuilder) -> Result<bool, SourceError> {
            let Some(length) = self.0.pop() else { return Ok(false) };
            let text = "x".repeat(length);
            let page = Page { text: Some(&text), ..Page::default() };
            rows.push(DocId::new("a", "b"), &page, &[], Verdict::Kept);
            Ok(true)
        }
    }

    fn check(lengths: Vec<usize>, expected: &[usize]) {
        let batches = intakes(Lengths(lengths), column::text_schema());
        let rows: Vec<usize> = batches.map(|b| b.unwrap().batch.num_rows()).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn batches_close_by_rows_and_by_bytes() {
        check(vec![], &[]);
        check(vec![1; BATCH_ROWS], &[BATCH_ROWS]);
        check(vec![1; BATCH_ROWS + 1], &[BATCH_ROWS, 1]);
        check(vec![BATCH_BYTES, BATCH_BYTES, 1], &[2, 1]);
    }

    #[test]
    fn values_go_to_the_columns_of_their_name() {
        let extra = arrow::datatypes::Field::new("licence", DataType::Utf8, true);
        let mut rows = PageBuilder::new(column::with(&column::page_schema(), [extra]));
        let page = Page { url: Some("u"), html: Some(b"<p>"), source: "s:0", ..Page::default() };
        rows.push(DocId::new("a", "b"), &page, &[Some("MIT")], Verdict::Kept);
        rows.reject(DocId::new("a", "c"), "s:1", b"\xff", dropped("bad", 0.0, 0.0));
        let intake = rows.finish().unwrap();
        assert_eq!(column::utf8(&intake.batch, column::URL).unwrap().value(0), "u");
        assert_eq!(column::binary(&intake.batch, column::HTML).unwrap().value(0), b"<p>");
        assert_eq!(column::utf8(&intake.batch, "licence").unwrap().value(0), "MIT");
        assert_eq!(column::utf8(&intake.batch, column::TEXT).unwrap().value(1), "\u{fffd}");
        assert_eq!(intake.verdicts.len(), 2);
        assert!(rows.is_empty());
    }
}
