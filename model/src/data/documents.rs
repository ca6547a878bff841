//! What the documents of a dataset say of themselves: source and address, for the documents that token shards name.
//!
//! The documents are read once from front to back, four small columns of them; what is kept in memory is what was asked for.

use super::Dataset;
use crate::error::TrainError;
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::column::{ID, RECORD_ID, SOURCE, URL};
use std::fs::File;
use std::path::Path;

/// Endings of files that hold the pages of many sites: their documents count by host.
const ARCHIVES: [&str; 3] = [".warc", ".warc.gz", ".warc.zst"];
/// Rows decoded together.
const BATCH_ROWS: usize = 8192;

/// A document as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// Where it came from, if that was an address.
    pub(crate) url: Option<&'a str>,
    /// The id that its source gave it.
    pub(crate) record_id: Option<&'a str>,
    /// `file:place` of the source.
    pub(crate) source: Option<&'a str>,
}

impl<'a> Document<'a> {
    /// What a person knows it by: its address, or the id that its source gave it.
    pub(crate) fn known_as(&self) -> Option<&'a str> {
        self.url.or(self.record_id)
    }

    /// The source that the document counts to: the file it was read from, or of an archive the host of its address. A mix of
    /// sources goes by the same names.
    pub(crate) fn source(&self) -> Option<&'a str> {
        let source = self.source?;
        let file = match source.rsplit_once(':') {
            Some((file, place)) if place.bytes().all(|byte| byte.is_ascii_digit()) => file,
            _ => source,
        };
        if ARCHIVES.iter().any(|ending| file.ends_with(ending)) {
            return self.url.and_then(host).or(Some(file));
        }
        Some(file)
    }
}

fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

impl Dataset {
    /// Calls `take` with every document; with none where the dataset has no documents beside its tokens.
    ///
    /// # Errors
    /// A shard of documents is missing or damaged.
    pub(crate) fn documents(&self, mut take: impl FnMut(Document<'_>)) -> Result<(), TrainError> {
        for path in &self.documents {
            read(path, &mut take)?;
        }
        Ok(())
    }
}

fn read(path: &Path, take: &mut impl FnMut(Document<'_>)) -> Result<(), TrainError> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(TrainError::file(path))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [ID, URL, RECORD_ID, SOURCE]);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    for batch in reader.map_err(TrainError::file(path))? {
        let batch = batch.map_err(TrainError::file(path))?;
        let text = |name: &str| batch_text(&batch, name);
        let Some(ids) = text(ID) else {
            return Err(TrainError::file(path)("has no column `id` of text"));
        };
        let [urls, records, sources] = [URL, RECORD_ID, SOURCE].map(text);
        for row in 0..ids.len() {
            let [url, record_id, source] = [urls, records, sources].map(|column| value(column, row));
            take(Document { id: ids.value(row), url, record_id, source });
        }
    }
    Ok(())
}

fn value(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| !column.is_null(row)).map(|column| column.value(row))
}

fn batch_text<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, url: Option<&str>, expected: &str) {
        let document = Document { id: "a", url, record_id: None, source: Some(source) };
        assert_eq!(document.source(), Some(expected));
    }

    #[test]
    fn a_document_counts_to_its_file_or_to_its_host() {
        check("books.jsonl.gz:17", None, "books.jsonl.gz");
        check("input/a:b.html", Some("https://a.test/x"), "input/a:b.html");
        check("crawl.warc.gz:90210", Some("https://a.test:8080/x?y"), "a.test:8080");
        check("crawl.warc.gz:90210", None, "crawl.warc.gz");
    }
}
