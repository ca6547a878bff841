//! The tables of a dataset that are made from traces: ledger, dropped rows, signals; one Parquet file a node.

use super::Workdir;
use super::error::RunError;
use super::frames::FrameReader;
use super::report::Counts;
use super::trace::{blanks, dropped, is_told, signals, verdicts};
use crate::dag::{Dag, Hash, Node};
use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use schemas::{Made, Verdict, column, instant, ledger};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROW_GROUP_ROWS: usize = 64 << 10;
/// A row group ends when its encoded values reach this many bytes: they are held in memory until then.
const ROW_GROUP_BYTES: usize = 4 << 20;

/// What the tables of one node hold.
pub(super) struct Tables {
    pub(super) counts: Counts,
    /// Files with their rows.
    pub(super) files: Vec<(PathBuf, u64)>,
}

/// Columns that every dropped row tells, also where no source gives them.
const TOLD: [&str; 5] = [column::URL, column::SOURCE, column::RECORD_ID, column::TEXT, column::ROW];

/// The columns of the table of dropped rows: one set for all nodes, so that their files open as one table. A column of which two
/// nodes have another type each is text.
pub(super) fn dropped_schema(dag: &Dag) -> SchemaRef {
    let ledger = ledger::schema();
    let why = ledger.fields().iter().filter(|field| is_why(field.name()));
    let mut all: Vec<Field> = why.map(|field| field.as_ref().clone()).collect();
    all.extend(TOLD.map(|name| Field::new(name, DataType::Utf8, true)));
    let judges = dag.nodes.iter().filter(|node| !matches!(node.made, Made::Sink(_)));
    let fields = judges.flat_map(|node| {
        // What is made of several rows is in none of them.
        let added = (!matches!(node.made, Made::Regroup(_))).then(|| node.output.fields().iter());
        node.input.fields().iter().chain(added.into_iter().flatten())
    });
    for field in fields.filter(|field| is_told(field.name())) {
        let told = Field::new(ledger::told(field.name()), field.data_type().clone(), true);
        match all.iter_mut().find(|known| known.name() == told.name()) {
            Some(known) if known.data_type() != told.data_type() => known.set_data_type(DataType::Utf8),
            Some(_) => {}
            None => all.push(told),
        }
    }
    Arc::new(Schema::new(all))
}

/// Whether a column of the ledger stands in the table of dropped rows.
fn is_why(name: &str) -> bool {
    name == column::ID || ledger::WHY.contains(&name)
}

/// Writes the tables of a node below `folder`.
pub(super) fn write(
    workdir: &Workdir,
    folder: &Path,
    (at, node): (usize, &Node),
    keys: &[Hash],
    dropped_schema: &SchemaRef,
    metadata: &[(String, String)],
) -> Result<Tables, RunError> {
    let file = |table: &str| folder.join(table).join(format!("{at:02}-{}.parquet", node.name));
    let mut counts = Counts::default();
    let mut whole = Table::new(file("ledger"), metadata);
    let mut gone = Table::new(file("dropped"), metadata);
    let mut measured = Table::new(file("signals"), metadata);
    for &key in keys {
        let mut changes = Changes { path: workdir.changes(key), frames: None, next: 0 };
        let path = workdir.trace(key);
        for (at, part) in FrameReader::open(&path)?.enumerate() {
            let part = part?;
            let wrong =
                || RunError::Cache { path: path.clone(), message: "the trace has unknown reasons".into() };
            let verdicts = verdicts(&part, node.spec).ok_or_else(wrong)?;
            let blanks = blanks(&part).ok_or_else(wrong)?;
            verdicts.iter().zip(blanks.values()).for_each(|(v, blank)| counts.add(v, blank));
            let ledger = ledger_batch(&node.name, &part, &verdicts)?;
            whole.write(&ledger)?;
            let dropped: BooleanArray =
                verdicts.iter().map(|v| Some(matches!(v, Verdict::Dropped { .. }))).collect();
            if dropped.true_count() > 0 {
                let changes = changes.frame(at)?;
                gone.write(&dropped_batch(&ledger, &changes, &dropped, dropped_schema)?)?;
            }
            let signals = signals(&part);
            if !signals.is_empty() {
                measured.write(&signals_batch(&part, signals)?)?;
            }
        }
    }
    let files = [whole.finish()?, gone.finish()?, measured.finish()?].into_iter().flatten().collect();
    Ok(Tables { counts, files })
}

/// The changes of a trace, which are read only where a row was dropped: they may be as large as the corpus.
struct Changes {
    path: PathBuf,
    frames: Option<FrameReader>,
    next: usize,
}

impl Changes {
    /// A frame; not one before the last that was asked for.
    fn frame(&mut self, at: usize) -> Result<RecordBatch, RunError> {
        let frames = match &mut self.frames {
            Some(frames) => frames,
            None => self.frames.insert(FrameReader::open(&self.path)?),
        };
        let frame = frames.nth(at - self.next).transpose()?;
        self.next = at + 1;
        frame.ok_or_else(|| RunError::Cache {
            path: self.path.clone(),
            message: "the trace ends too early".into(),
        })
    }
}

fn ledger_batch(node: &str, part: &RecordBatch, verdicts: &[Verdict]) -> Result<RecordBatch, RunError> {
    let actions = verdicts.iter().map(|v| match v {
        Verdict::Kept => "kept",
        Verdict::Edited => "edited",
        Verdict::Dropped { .. } => "dropped",
    });
    let reasons = verdicts.iter().map(|v| match v {
        Verdict::Dropped { reason, .. } => Some(*reason),
        _ => None,
    });
    let columns: Vec<ArrayRef> = vec![
        part.column(0).clone(),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(node, verdicts.len()))),
        Arc::new(StringArray::from_iter_values(actions)),
        Arc::new(reasons.collect::<StringArray>()),
        part.column(3).clone(),
        part.column(4).clone(),
        part.column(5).clone(),
    ];
    RecordBatch::try_new(ledger::schema(), columns).map_err(RunError::arrow(Path::new("ledger")))
}

/// The rows of a ledger that were dropped, with what is told of each.
fn dropped_batch(
    ledger: &RecordBatch,
    changes: &RecordBatch,
    mask: &BooleanArray,
    schema: &SchemaRef,
) -> Result<RecordBatch, RunError> {
    let why = filter_record_batch(ledger, mask).map_err(RunError::arrow(Path::new("dropped")))?;
    let rows = dropped(changes);
    let of_rows = |name: &str| {
        let (schema, columns) = rows.as_ref().map(|rows| (rows.schema_ref(), rows.columns()))?;
        let at = schema.fields().iter().position(|field| ledger::told(field.name()) == name)?;
        Some(&columns[at])
    };
    let column = |field: &Arc<Field>| {
        let told = why.column_by_name(field.name()).filter(|_| is_why(field.name()));
        match told.or_else(|| of_rows(field.name())) {
            Some(values) if values.data_type() == field.data_type() => Ok(values.clone()),
            Some(values) => as_text(values),
            // Streams of one node may come from sources with and without a column: the table has it all the same.
            None => Ok(new_null_array(field.data_type(), why.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, ArrowError>>();
    let batch = columns.and_then(|columns| RecordBatch::try_new(schema.clone(), columns));
    batch.map_err(RunError::arrow(Path::new("dropped")))
}

/// Values of any type as a person reads them.
fn as_text(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let values = instant::of_utc(values);
    let shown = ArrayFormatter::try_new(values.as_ref(), &options)?;
    let text = |row: usize| values.is_valid(row).then(|| shown.value(row).to_string());
    Ok(Arc::new((0..values.len()).map(text).collect::<StringArray>()))
}

fn signals_batch(part: &RecordBatch, signals: Vec<(String, ArrayRef)>) -> Result<RecordBatch, RunError> {
    let mut fields = vec![Field::new(column::ID, DataType::Utf8, false)];
    let mut columns = vec![part.column(0).clone()];
    for (name, values) in signals {
        fields.push(Field::new(name, values.data_type().clone(), true));
        columns.push(values);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(RunError::arrow(Path::new("signals")))
}

/// A Parquet file that begins with its first batch; without one there is no file.
struct Table {
    path: PathBuf,
    metadata: Vec<(String, String)>,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
}

impl Table {
    fn new(path: PathBuf, metadata: &[(String, String)]) -> Self {
        Self { path, metadata: metadata.to_vec(), writer: None, rows: 0 }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(open(&self.path, &batch.schema(), &self.metadata)?),
        };
        self.rows += batch.num_rows() as u64;
        let written = writer.write(batch).and_then(|()| match writer.in_progress_size() {
            size if size >= ROW_GROUP_BYTES => writer.flush(),
            _ => Ok(()),
        });
        written.map_err(|e| parquet_error(&self.path, e))
    }

    fn finish(self) -> Result<Option<(PathBuf, u64)>, RunError> {
        let Some(writer) = self.writer else { return Ok(None) };
        writer.close().map_err(|e| parquet_error(&self.path, e))?;
        Ok(Some((self.path, self.rows)))
    }
}

fn open(
    path: &Path,
    schema: &SchemaRef,
    metadata: &[(String, String)],
) -> Result<ArrowWriter<File>, RunError> {
    let folder = super::parent(path);
    std::fs::create_dir_all(folder).map_err(RunError::io(folder))?;
    let file = File::create(path).map_err(RunError::io(path))?;
    let level = ZstdLevel::try_new(3).expect("3 is a level of zstd");
    let pairs = metadata.iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect();
    let mut properties = WriterProperties::builder()
        // A dictionary of ids and texts, of which each is another, costs memory and time and gives nothing.
        .set_dictionary_enabled(false)
        .set_compression(Compression::ZSTD(level))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(format!("gristmill {}", env!("CARGO_PKG_VERSION")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(pairs));
    for name in [ledger::STAGE, ledger::ACTION, ledger::REASON, ledger::LIMIT] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), true);
    }
    ArrowWriter::try_new(file, schema.clone(), Some(properties.build())).map_err(|e| parquet_error(path, e))
}

fn parquet_error(path: &Path, error: parquet::errors::ParquetError) -> RunError {
    RunError::io(path)(std::io::Error::other(error))
}
