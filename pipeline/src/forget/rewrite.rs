//! Writes a Parquet file again with other rows, in the manner in which it is written: row groups, compression,
//! dictionaries, statistics, Bloom filters, pages and key-values are those of the file.
//!
//! The level of zstd stands in no file: 1 where there are token ids, 3 elsewhere, as the sinks write by default.

use crate::inspect::{InspectError, table::Head, table::Part};
use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use schemas::token;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Rows decoded together.
const BATCH_ROWS: usize = 1024;
/// Key under which the writer itself puts the columns.
const ARROW_SCHEMA: &str = "ARROW:schema";
/// Of the Bloom filters, as the sinks make them: rows of a row group, and share of false answers.
const BLOOM_ROWS: u64 = 16 << 10;
const BLOOM_FALSE: f64 = 0.01;
/// Of the least and greatest values in the statistics.
const STATISTICS_BYTES: usize = 64;

/// Passes every batch through `change` and gives the file its new content. The path may be one of several names of the
/// old file: the others keep it.
pub(super) fn rewrite(
    part: &Part,
    change: &mut dyn FnMut(RecordBatch) -> Result<RecordBatch, InspectError>,
) -> Result<(), InspectError> {
    let Head::Parquet(head) = &part.head else { unreachable!("JSON lines are rewritten as lines") };
    let path = &part.path;
    let beside = beside(path);
    let damaged = || InspectError::parquet(path);
    let file = File::create(&beside).map_err(InspectError::io(&beside))?;
    let full = |error| InspectError::io(&beside)(std::io::Error::other(error));
    let properties = properties(head.metadata());
    let mut writer = ArrowWriter::try_new(file, head.schema().clone(), Some(properties)).map_err(full)?;
    let mut content = token::Content::default();
    for group in 0..head.metadata().num_row_groups() {
        for batch in read(path, head, group)? {
            let batch = change(batch.map_err(|error| damaged()(error.into()))?)?;
            content.add(&batch);
            if batch.num_rows() > 0 {
                writer.write(&batch).map_err(full)?;
            }
        }
        writer.flush().map_err(full)?;
    }
    let pairs = head.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let told: Vec<&str> =
        pairs.map(|pair| pair.key.as_str()).filter(|key| token::Content::tells(key)).collect();
    // A shard that tells nothing of its rows tells nothing afterwards.
    for (key, value) in content.pairs().into_iter().filter(|(key, _)| told.contains(key)) {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    writer.finish().map_err(full)?;
    fs::rename(&beside, path).map_err(InspectError::io(&beside))
}

/// Name of a file that will take the place of another.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

type Batches = parquet::arrow::arrow_reader::ParquetRecordBatchReader;

fn read(path: &Path, head: &ArrowReaderMetadata, group: usize) -> Result<Batches, InspectError> {
    let file = File::open(path).map_err(InspectError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, head.clone());
    let reader = builder.with_row_groups(vec![group]).with_batch_size(BATCH_ROWS).build();
    reader.map_err(InspectError::parquet(path))
}

fn properties(metadata: &ParquetMetaData) -> WriterProperties {
    let file = metadata.file_metadata();
    let pairs = file.key_value_metadata().map(|pairs| {
        pairs
            .iter()
            .filter(|pair| pair.key != ARROW_SCHEMA && !token::Content::tells(&pair.key))
            .cloned()
            .collect::<Vec<_>>()
    });
    let version = if file.version() == 2 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let mut builder = WriterProperties::builder()
        .set_writer_version(version)
        .set_key_value_metadata(pairs)
        .set_max_row_group_row_count(None)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES));
    if let Some(by) = file.created_by() {
        builder = builder.set_created_by(by.to_owned());
    }
    let columns = file.schema_descr().num_columns();
    let tokens = file.schema_descr().columns().iter().any(|c| c.path().parts()[0] == token::INPUT_IDS);
    for column in 0..columns {
        // A row group without values tells nothing of a dictionary.
        let chunks: Vec<_> = metadata.row_groups().iter().map(|group| group.column(column)).collect();
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.num_values() > 0).or(chunks.first()) {
            let page_bytes = page_bytes(metadata, column, chunk);
            builder = like(builder, chunk, tokens, page_bytes);
        }
    }
    builder.build()
}

/// Writes a column as it is written.
fn like(
    builder: WriterPropertiesBuilder,
    chunk: &ColumnChunkMetaData,
    tokens: bool,
    page_bytes: Option<usize>,
) -> WriterPropertiesBuilder {
    let path = chunk.column_path();
    let compression = match chunk.compression() {
        Compression::ZSTD(_) => {
            let level = if tokens { 1 } else { 3 };
            Compression::ZSTD(ZstdLevel::try_new(level).expect("zstd has these levels"))
        }
        other => other,
    };
    let statistics =
        if chunk.statistics().is_some() { EnabledStatistics::Page } else { EnabledStatistics::None };
    let dictionary = chunk.dictionary_page_offset().is_some();
    let mut builder = builder
        .set_column_compression(path.clone(), compression)
        .set_column_statistics_enabled(path.clone(), statistics)
        .set_column_dictionary_enabled(path.clone(), dictionary);
    let of_values = |encoding: &Encoding| {
        !matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY | Encoding::RLE)
    };
    if !dictionary && let Some(encoding) = chunk.encodings().find(of_values) {
        builder = builder.set_column_encoding(path.clone(), encoding);
    }
    if chunk.bloom_filter_offset().is_some() {
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE)
            .set_column_bloom_filter_max_ndv(path.clone(), BLOOM_ROWS);
    }
    match page_bytes {
        Some(bytes) => builder.set_column_data_page_size_limit(path.clone(), bytes),
        None => builder,
    }
}

/// Bytes of a page of token ids, which are as many values as the first page has rows; others have pages of the default size.
fn page_bytes(metadata: &ParquetMetaData, column: usize, chunk: &ColumnChunkMetaData) -> Option<usize> {
    if chunk.column_path().parts()[0] != token::INPUT_IDS {
        return None;
    }
    let group = metadata.row_group(0);
    let pages = metadata.offset_index()?.first()?.get(column)?.page_locations();
    let [first, second, ..] = pages.as_slice() else { return None };
    let rows = second.first_row_index - first.first_row_index;
    let values = group.column(column).num_values() / group.num_rows().max(1) * rows;
    usize::try_from(values * 4).ok()
}
