//! Writes Parquet shards: documents, or token sequences where the rows have `input_ids`.
//!
//! Both are zstd with data page version 1 and a fixed `created_by`, so that old readers open them and equal rows make
//! equal bytes, however they came in batches. Documents: row groups of at most 16 Ki rows or 64 MiB of values, a Bloom
//! filter on `id`. Token sequences: lists PLAIN without dictionary, `input_ids` without statistics, row groups of 1 Mi tokens,
//! pages of 32 Ki tokens with a page index: the layout that every client measured could read, at 1.1 bytes a token. The
//! footer of a token shard tells what the build knows of it, and its rows, tokens and the hash of its ids.
//!
//! Where the rows carry the object that they were read from (column `row`), its fields that no column holds stand in the column
//! `metadata`, as JSON: types that a later row contradicts cannot be promised to a file that is written row by row.
//!
//! ```text
//! part-00000.parquet  part-00001.parquet  …     each up to shard_rows rows, shard_tokens tokens or shard_bytes bytes
//! ```

mod metadata;

use super::rechunk::{Chunk, Rechunk};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use metadata::METADATA;
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
        /// A file of token sequences ends with the row group that brings it to this many tokens, padding included.
        shard_tokens: u64 = 134_217_728, in 1..=1_099_511_627_776;
        /// Fields of lines that `metadata` is without: those that text and page were read from.
        metadata_without: Vec<String> = vec![column::TEXT.to_owned(), column::HTML.to_owned()];
        /// Level of zstd; 0 takes 3 for documents and 1 for token sequences.
        compression_level: u64 = 0, in 0..=22;
    }
}

const BUILD: Build = |settings| Ok(Made::Sink(Box::new(ParquetSink::new(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "sink.parquet",
    version: 3,
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
/// Of `input_ids` alone: 512 sequences of 2,048.
const TOKEN_GROUP_BYTES: usize = 4 << 20;
/// Of `input_ids`: 16 sequences of 2,048.
const TOKEN_PAGE_BYTES: usize = 128 << 10;
const BLOOM_FILTER_FPP: f64 = 0.01;

/// The sink, for use without a recipe.
#[derive(Debug, Clone)]
pub struct ParquetSink {
    config: Config,
    single: Option<PathBuf>,
    /// Names of the columns that are written; empty writes all.
    columns: Vec<String>,
}

impl ParquetSink {
    /// Writes numbered files into the folder that [`Sink::open`] names.
    pub const fn new(config: Config) -> Self {
        Self { config, single: None, columns: Vec::new() }
    }

    /// Writes exactly one file, which appears under its name when it is complete.
    pub fn single_file(path: &Path) -> Self {
        let most = u64::MAX;
        let all = Config { shard_rows: most, shard_bytes: most, shard_tokens: most, ..Config::default() };
        Self { config: all, single: Some(path.to_owned()), columns: Vec::new() }
    }

    /// Writes these columns alone; none writes all.
    #[must_use]
    pub fn with_columns(mut self, names: &[String]) -> Self {
        self.columns = names.to_vec();
        self
    }

    /// The text was read from this field: `metadata` is without it.
    #[must_use]
    pub fn with_text_field(mut self, name: &str) -> Self {
        self.config.metadata_without.push(name.to_owned());
        self
    }

    /// The batch with the column `metadata` in the place of `row`, where it is written.
    ///
    /// # Errors
    /// An object in the column `row` that is none.
    pub fn told(&self, batch: &RecordBatch) -> Result<RecordBatch, StageError> {
        match self.writes(METADATA) {
            true => metadata::told(batch, &self.config.metadata_without),
            false => Ok(batch.clone()),
        }
    }

    fn writes(&self, column: &str) -> bool {
        self.columns.is_empty() || self.columns.iter().any(|name| name == column)
    }
}

impl Sink for ParquetSink {
    fn check(&self, input: &SchemaRef) -> Result<(), StageError> {
        if [column::ROW, METADATA].iter().all(|name| input.field_with_name(name).is_ok()) {
            let message = format!(
                "`{}` tells all fields in `{METADATA}`, and there is a column of that name; leave one out",
                column::ROW
            );
            return Err(StageError::Invalid(message));
        }
        let written = metadata::schema(input);
        match self.columns.iter().find(|name| written.field_with_name(name).is_err()) {
            Some(name) => Err(super::no_column(name, &written)),
            None => Ok(()),
        }
    }

    fn narrow(&self, batch: &RecordBatch, _told: Option<&str>) -> Result<RecordBatch, StageError> {
        let is_needed = |name: &str| match name {
            column::TEXT => self.writes(name),
            column::ROW => self.writes(METADATA),
            _ => true,
        };
        let fields = batch.schema_ref().fields();
        let kept = (0..fields.len()).filter(|at| is_needed(fields[*at].name()));
        Ok(batch.project(&kept.collect::<Vec<_>>())?)
    }

    fn open(
        &self,
        folder: &Path,
        schema: &SchemaRef,
        metadata: &[(String, String)],
    ) -> Result<Box<dyn Writer>, StageError> {
        let schema = metadata::schema(schema);
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let left_out: Vec<&str> = names.filter(|name| !self.writes(name)).collect();
        let schema = column::without(&schema, &left_out);
        let tokens = schema.field_with_name(token::INPUT_IDS).is_ok();
        let mut shards = Shards {
            properties: properties(&self.config, tokens, metadata)?,
            group_bytes: if tokens { TOKEN_GROUP_BYTES } else { DOCUMENT_GROUP_BYTES },
            chunks: None,
            schema: schema.clone(),
            folder: folder.to_owned(),
            config: self.config.clone(),
            single: self.single.clone(),
            tokens,
            open: None,
            written: Vec::new(),
        };
        let chunks = Rechunk::new(schema, CHUNK_ROWS.min(shards.rows_max()), CHUNK_BYTES);
        shards.chunks = Some(chunks.measuring(tokens.then_some(token::INPUT_IDS)));
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
            .set_column_dictionary_enabled(ColumnPath::from(METADATA), false)
            .set_column_statistics_enabled(ColumnPath::from(column::TEXT), EnabledStatistics::None);
        return Ok(builder.build());
    }
    let leaf = |name: &str| ColumnPath::new(vec![name.into(), "list".into(), "item".into()]);
    let ids = leaf(token::INPUT_IDS);
    let source = ColumnPath::from(token::SOURCE);
    // Ids of documents hardly come twice in a row group, and lengths and offsets are short as they are.
    let builder = builder
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(source, true)
        .set_column_encoding(ids.clone(), Encoding::PLAIN)
        .set_column_data_page_size_limit(ids, TOKEN_PAGE_BYTES);
    let lists = [token::INPUT_IDS, token::LOSS_MASK, token::DOC_LENS, token::DOC_IDS, token::DOC_OFFSETS];
    let builder = lists.into_iter().fold(builder, |builder, name| {
        builder.set_column_statistics_enabled(leaf(name), EnabledStatistics::None)
    });
    Ok(builder.build())
}

struct Shards {
    schema: SchemaRef,
    properties: WriterProperties,
    group_bytes: usize,
    chunks: Option<Rechunk>,
    folder: PathBuf,
    config: Config,
    single: Option<PathBuf>,
    /// Whether the rows are token sequences.
    tokens: bool,
    open: Option<Shard>,
    written: Vec<Written>,
}

struct Shard {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
    group_rows: usize,
    group_bytes: usize,
    content: token::Content,
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
            let content = token::Content::default();
            self.open = Some(Shard { path, writer, rows: 0, group_rows: 0, group_bytes: 0, content });
        }
        Ok(self.open.as_mut().expect("a shard was just opened"))
    }

    /// Writes a chunk in pieces that end where a file has its rows.
    fn write_chunk(&mut self, chunk: &Chunk) -> Result<(), StageError> {
        let (mut batch, mut bytes) = (chunk.batch.clone(), chunk.bytes);
        while batch.num_rows() > 0 {
            let (group_bytes_max, tokens) = (self.group_bytes, self.tokens);
            let Config { shard_rows: rows_max, shard_tokens: tokens_max, shard_bytes: bytes_max, .. } =
                self.config;
            let shard = self.open_shard()?;
            let room = usize::try_from(rows_max - shard.rows).unwrap_or(usize::MAX);
            let count = batch.num_rows().min(room);
            let part = batch.slice(0, count);
            shard.writer.write(&part).map_err(at(&shard.path))?;
            if tokens {
                shard.content.add(&part);
            }
            shard.rows += count as u64;
            shard.group_rows += count;
            shard.group_bytes += std::mem::take(&mut bytes);
            batch = batch.slice(count, batch.num_rows() - count);
            if shard.group_rows >= GROUP_ROWS || shard.group_bytes >= group_bytes_max {
                shard.writer.flush().map_err(at(&shard.path))?;
                (shard.group_rows, shard.group_bytes) = (0, 0);
            }
            let ended = shard.group_rows == 0 && shard.content.ids() >= tokens_max;
            if ended || shard.rows >= rows_max || shard.writer.bytes_written() as u64 >= bytes_max {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), StageError> {
        let Some(mut shard) = self.open.take() else { return Ok(()) };
        if self.tokens {
            for (key, value) in shard.content.pairs() {
                shard.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
            }
        }
        shard.writer.finish().map_err(at(&shard.path))?;
        shard.writer.inner().sync_all().map_err(StageError::io(&shard.path))?;
        self.written.push(Written { path: shard.path, rows: shard.rows });
        Ok(())
    }
}

impl Writer for Shards {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let batch = match self.schema.index_of(METADATA) {
            Ok(_) => &metadata::told(batch, &self.config.metadata_without)?,
            Err(_) => batch,
        };
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
mod tests;
