//! Writes Parquet shards: documents, or token sequences where the rows have `input_ids`.
//!
//! Both are zstd with data page version 1 and a fixed `created_by`, so that old readers open them and equal rows make
//! equal bytes, however they came in batches. Documents: row groups of at most 16 Ki rows or 64 MiB of values, a Bloom
//! filter on `id`. Token sequences: `input_ids` PLAIN without dictionary or statistics, row groups of 4 MiB of values
//! (1 Mi tokens), pages of 32 Ki tokens: the layout that every client measured could read, at 1.1 bytes a token.
//!
//! ```text
//! part-00000.parquet  part-00001.parquet  …     each up to shard_rows rows or shard_bytes bytes
//! ```

use super::rechunk::{Chunk, Rechunk};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use schemas::{Build, Config as _, Made, Sink, Spec, StageError, Writer, Written, column, config, token};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

config! {
    /// Settings of `sink.parquet`.
    pub struct Config {
        /// Most rows in a file.
        shard_rows: u64 = 1_000_000, in 1..=1_000_000_000;
        /// A file ends with the row group that brings it to this many bytes.
        shard_bytes: u64 = 268_435_456, in 1..=1_099_511_627_776;
        /// Level of zstd; 0 takes 3 for documents and 1 for token sequences.
        compression_level: u64 = 0, in 0..=22;
    }
}

const BUILD: Build = |settings| Ok(Made::Sink(Box::new(ParquetSink::new(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "sink.parquet",
    version: 1,
    summary: "Writes Parquet shards of documents or token sequences.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

const CREATED_BY: &str = concat!("gristmill ", env!("CARGO_PKG_VERSION"));
/// Rows handed to the encoder at once.
const CHUNK_ROWS: usize = 256;
const CHUNK_BYTES: usize = 4 << 20;
const GROUP_ROWS: usize = 16 << 10;
const DOCUMENT_GROUP_BYTES: usize = 64 << 20;
const TOKEN_GROUP_BYTES: usize = 4 << 20;
const TOKEN_PAGE_BYTES: usize = 128 << 10;
const BLOOM_FILTER_FPP: f64 = 0.01;

/// The sink, for use without a recipe.
#[derive(Debug, Clone)]
pub struct ParquetSink {
    config: Config,
    single: Option<PathBuf>,
}

impl ParquetSink {
    /// Writes numbered files into the folder that [`Sink::open`] names.
    pub const fn new(config: Config) -> Self {
        Self { config, single: None }
    }

    /// Writes exactly one file, which appears under its name when it is complete.
    pub fn single_file(path: &Path) -> Self {
        let all = Config { shard_rows: u64::MAX, shard_bytes: u64::MAX, ..Config::default() };
        Self { config: all, single: Some(path.to_owned()) }
    }
}

impl Sink for ParquetSink {
    fn check(&self, _input: &SchemaRef) -> Result<(), StageError> {
        Ok(())
    }

    fn open(
        &self,
        folder: &Path,
        schema: &SchemaRef,
        metadata: &[(String, String)],
    ) -> Result<Box<dyn Writer>, StageError> {
        let schema = column::without(schema, &[column::ROW]);
        let tokens = schema.field_with_name(token::INPUT_IDS).is_ok();
        let mut shards = Shards {
            properties: properties(&self.config, tokens, metadata)?,
            group_bytes: if tokens { TOKEN_GROUP_BYTES } else { DOCUMENT_GROUP_BYTES },
            chunks: None,
            schema: schema.clone(),
            folder: folder.to_owned(),
            config: self.config.clone(),
            single: self.single.clone(),
            open: None,
            written: Vec::new(),
        };
        shards.chunks = Some(Rechunk::new(schema, CHUNK_ROWS.min(shards.rows_max()), CHUNK_BYTES));
        Ok(Box::new(shards))
    }
}

fn properties(
    config: &Config,
    tokens: bool,
    metadata: &[(String, String)],
) -> Result<WriterProperties, StageError> {
    let level = match (config.compression_level, tokens) {
        (0, true) => 1,
        (0, false) => 3,
        (level, _) => level,
    };
    let level = i32::try_from(level).ok().and_then(|l| ZstdLevel::try_new(l).ok());
    let level = level.ok_or_else(|| StageError::Invalid("zstd has no such level".into()))?;
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_key_value_metadata(Some(pairs))
        // Row groups are ended here, by rows and bytes of values.
        .set_max_row_group_row_count(None)
        .set_statistics_truncate_length(Some(64));
    if !tokens {
        let id = ColumnPath::from(column::ID);
        let builder = builder
            .set_column_bloom_filter_enabled(id.clone(), true)
            .set_column_bloom_filter_fpp(id.clone(), BLOOM_FILTER_FPP)
            .set_column_bloom_filter_max_ndv(id, GROUP_ROWS as u64)
            // A dictionary of texts that never come twice costs time and gives nothing.
            .set_column_dictionary_enabled(ColumnPath::from(column::TEXT), false)
            .set_column_statistics_enabled(ColumnPath::from(column::TEXT), EnabledStatistics::None);
        return Ok(builder.build());
    }
    let ids = ColumnPath::new(vec![token::INPUT_IDS.into(), "list".into(), "item".into()]);
    Ok(builder
        .set_column_encoding(ids.clone(), Encoding::PLAIN)
        .set_column_dictionary_enabled(ids.clone(), false)
        .set_column_statistics_enabled(ids.clone(), EnabledStatistics::None)
        .set_column_data_page_size_limit(ids, TOKEN_PAGE_BYTES)
        .build())
}

struct Shards {
    schema: SchemaRef,
    properties: WriterProperties,
    group_bytes: usize,
    chunks: Option<Rechunk>,
    folder: PathBuf,
    config: Config,
    single: Option<PathBuf>,
    open: Option<Shard>,
    written: Vec<Written>,
}

struct Shard {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
    group_rows: usize,
    group_bytes: usize,
}

impl Shards {
    fn rows_max(&self) -> usize {
        usize::try_from(self.config.shard_rows).unwrap_or(usize::MAX)
    }

    fn open_shard(&mut self) -> Result<&mut Shard, StageError> {
        if self.open.is_none() {
            let path = match &self.single {
                Some(path) => super::beside(path),
                None => super::numbered(&self.folder, self.written.len(), "parquet")?,
            };
            let file = File::create(&path).map_err(StageError::io(&path))?;
            let writer = ArrowWriter::try_new(file, self.schema.clone(), Some(self.properties.clone()))
                .map_err(at(&path))?;
            self.open = Some(Shard { path, writer, rows: 0, group_rows: 0, group_bytes: 0 });
        }
        Ok(self.open.as_mut().expect("a shard was just opened"))
    }

    /// Writes a chunk in pieces that end where a file has its rows.
    fn write_chunk(&mut self, chunk: &Chunk) -> Result<(), StageError> {
        let (mut batch, mut bytes) = (chunk.batch.clone(), chunk.bytes);
        while batch.num_rows() > 0 {
            let (rows_max, group_bytes_max) = (self.config.shard_rows, self.group_bytes);
            let shard = self.open_shard()?;
            let room = usize::try_from(rows_max - shard.rows).unwrap_or(usize::MAX);
            let count = batch.num_rows().min(room);
            shard.writer.write(&batch.slice(0, count)).map_err(at(&shard.path))?;
            shard.rows += count as u64;
            shard.group_rows += count;
            shard.group_bytes += std::mem::take(&mut bytes);
            batch = batch.slice(count, batch.num_rows() - count);
            if shard.group_rows >= GROUP_ROWS || shard.group_bytes >= group_bytes_max {
                shard.writer.flush().map_err(at(&shard.path))?;
                (shard.group_rows, shard.group_bytes) = (0, 0);
            }
            let full =
                shard.rows >= rows_max || shard.writer.bytes_written() as u64 >= self.config.shard_bytes;
            if full {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), StageError> {
        let Some(mut shard) = self.open.take() else { return Ok(()) };
        shard.writer.finish().map_err(at(&shard.path))?;
        shard.writer.inner().sync_all().map_err(StageError::io(&shard.path))?;
        self.written.push(Written { path: shard.path, rows: shard.rows });
        Ok(())
    }
}

impl Writer for Shards {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let columns = self.schema.fields().iter().map(|f| batch.schema_ref().index_of(f.name()));
        let batch =
            batch.project(&columns.collect::<Result<Vec<_>, _>>()?)?.with_schema(self.schema.clone())?;
        let mut chunks = self.chunks.take().expect("chunks are put back after every batch");
        let result = chunks.push(&batch, |chunk| self.write_chunk(&chunk));
        self.chunks = Some(chunks);
        result
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Written>, StageError> {
        let mut chunks = self.chunks.take().expect("chunks are put back after every batch");
        if let Some(chunk) = chunks.rest()? {
            self.write_chunk(&chunk)?;
        }
        // No row at all still makes one file, which tells the columns.
        if self.written.is_empty() {
            self.open_shard()?;
        }
        self.close()?;
        if let Some(path) = &self.single {
            super::commit(path)?;
            self.written[0].path.clone_from(path);
        }
        Ok(std::mem::take(&mut self.written))
    }
}

/// Names the file that could not be written; what the system said is kept as it is.
fn at(path: &Path) -> impl FnOnce(ParquetError) -> StageError {
    let path = path.to_owned();
    move |error| {
        let error = match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(other) => io::Error::other(other),
            },
            other => io::Error::other(other),
        };
        StageError::Io { path, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::scratch;
    use arrow::array::{ArrayRef, Int32Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::fs;
    use std::sync::Arc;

    fn documents(count: usize) -> RecordBatch {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("{n:032x}"))));
        let text: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..count).map(|n| "word ".repeat(n % 50))));
        let row: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|_| "{}")));
        RecordBatch::try_from_iter([(column::ID, ids), (column::TEXT, text), (column::ROW, row)]).unwrap()
    }

    fn write(sink: &ParquetSink, folder: &Path, batch: &RecordBatch, cuts: &[usize]) -> Vec<Written> {
        let metadata = [("manifest".to_owned(), "m".to_owned())];
        let mut writer = sink.open(folder, &batch.schema(), &metadata).unwrap();
        let mut start = 0;
        for end in cuts.iter().copied().chain([batch.num_rows()]) {
            writer.write(&batch.slice(start, end - start)).unwrap();
            start = end;
        }
        writer.finish().unwrap()
    }

    #[test]
    fn shards_have_their_rows_and_do_not_depend_on_batches() {
        let folder = scratch("parquet-sink");
        let batch = documents(1000);
        let sink = ParquetSink::new(Config { shard_rows: 300, ..Config::default() });
        let mut all = Vec::new();
        for cuts in [&[][..], &[1, 7, 300, 301, 999]] {
            let written = write(&sink, &folder, &batch, cuts);
            assert_eq!(written.iter().map(|w| w.rows).collect::<Vec<_>>(), [300, 300, 300, 100]);
            assert!(written[3].path.ends_with("part-00003.parquet"));
            all.push(written.iter().map(|w| fs::read(&w.path).unwrap()).collect::<Vec<_>>());
        }
        assert!(all[0] == all[1], "the bytes depend on how the rows came in");
        let read =
            ParquetRecordBatchReaderBuilder::try_new(File::open(folder.join("part-00001.parquet")).unwrap())
                .unwrap();
        assert_eq!(read.metadata().file_metadata().created_by(), Some(CREATED_BY));
        assert!(read.metadata().row_group(0).column(0).bloom_filter_offset().is_some());
        let read = read.build().unwrap().next().unwrap().unwrap();
        assert_eq!(read, batch.slice(300, 300).project(&[0, 1]).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn token_sequences_are_plain_without_statistics() {
        let folder = scratch("parquet-tokens");
        let item = Arc::new(arrow::datatypes::Field::new("item", arrow::datatypes::DataType::Int32, false));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..700).map(|n| Some((0..2048).map(move |t| Some(n * t)))),
        );
        let lists = ListArray::new(item, lists.offsets().clone(), lists.values().clone(), None);
        let pad: ArrayRef = Arc::new(Int32Array::from(vec![0; 700]));
        let batch =
            RecordBatch::try_from_iter([(token::INPUT_IDS, Arc::new(lists) as ArrayRef), (token::PAD, pad)])
                .unwrap();
        let path = folder.join("one.parquet");
        let written = write(&ParquetSink::single_file(&path), &folder, &batch, &[]);
        assert_eq!(written, [Written { path: path.clone(), rows: 700 }]);
        assert!(!super::super::beside(&path).exists());
        let read = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        assert_eq!(read.metadata().num_row_groups(), 2);
        let ids = read.metadata().row_group(0).column(0);
        assert!(ids.statistics().is_none() && ids.dictionary_page_offset().is_none());
        let rows: usize = read.build().unwrap().map(|b| b.unwrap().num_rows()).sum();
        assert_eq!(rows, 700);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_row_makes_one_file() {
        let folder = scratch("parquet-none");
        let written = write(&ParquetSink::new(Config::default()), &folder, &documents(0), &[]);
        assert_eq!((written.len(), written[0].rows), (1, 0));
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let folder = scratch("parquet-full");
        std::os::unix::fs::symlink("/dev/full", folder.join("part-00000.parquet")).unwrap();
        let batch = documents(1000);
        let mut writer = ParquetSink::new(Config::default()).open(&folder, &batch.schema(), &[]).unwrap();
        let error = writer.write(&batch).and_then(|()| writer.finish()).unwrap_err();
        assert!(
            matches!(&error, StageError::Io { path, .. } if path.ends_with("part-00000.parquet")),
            "{error}"
        );
        assert!(error.to_string().contains("No space left"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
