//! Traces: what a node did to every row of a stream, so that it can be told, counted and done again without the work.
//!
//! A trace is two files of batches that go row by row with the batches that came in: the ledger part (small: verdicts and
//! signals) and the changes (values of changed columns, dropped rows). It is there when both are whole.

use super::error::RunError;
use super::frames::{Codec, FrameReader, FrameWriter};
use super::report::{Counts, Report};
use super::seal::{self, Hand};
use super::{Workdir, stream};
use crate::dag::{Hash, Node};
use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Float64Array, ListArray, RecordBatch, StringArray,
    StructArray, UInt8Array, UInt32Array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{filter, filter_record_batch, not, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use schemas::{DocId, Outcome, Spec, Verdict, column};
use std::path::Path;
use std::sync::Arc;

const KEPT: u8 = 0;
const EDITED: u8 = 1;
const DROPPED: u8 = 2;
const NO_REASON: u8 = u8::MAX;
/// Columns of a dropped row that are not kept with it: the ledger has the one, and pages and tokens are large and can be had again.
const UNTOLD: [&str; 3] = [column::ID, column::HTML, column::TOKENS];
/// Column of the changes with the rows that were dropped: a list of one row where a row was, of none where it stayed.
const GONE: &str = "d";
const LEDGER_COLUMNS: usize = 7;
/// Column of the changes with the text as it came in.
const TEXT_BEFORE: &str = "b:text";

/// One batch of a trace.
pub(super) struct Frame {
    pub(super) ledger: RecordBatch,
    pub(super) changes: RecordBatch,
    pub(super) counts: Counts,
}

impl Frame {
    /// Writes down what became of `batch`; with the texts before they were changed, where no other file has them.
    pub(super) fn encode(
        node: &Node,
        batch: &RecordBatch,
        outcome: &Outcome,
        texts_before: bool,
    ) -> Result<Self, RunError> {
        let rows = batch.num_rows();
        let mut counts = Counts::default();
        let blank = blank(node, batch);
        outcome.verdicts.iter().zip(blank.values()).for_each(|(v, blank)| counts.add(v, blank));
        let ids = batch.column_by_name(column::ID).cloned().expect("every row of a build has an id");
        let mut ledger = ledger_columns(node.spec, ids, &outcome.verdicts, blank);
        for (name, values) in &outcome.signals {
            ledger.push((Field::new(format!("s:{name}"), values.data_type().clone(), true), values.clone()));
        }
        let dropped: BooleanArray =
            outcome.verdicts.iter().map(|v| Some(matches!(v, Verdict::Dropped { .. }))).collect();
        let mut changes = Vec::new();
        for (name, values) in &outcome.columns {
            let hide = match batch.column_by_name(name) {
                Some(before) if before.data_type() == values.data_type() => same(before, values, &dropped),
                _ => dropped.clone(),
            };
            let shown = sparse(values, &hide).map_err(RunError::arrow(Path::new(name)))?;
            changes.push((Field::new(format!("n:{name}"), values.data_type().clone(), true), shown));
            changes.push((
                Field::new(format!("h:{name}"), DataType::Boolean, false),
                Arc::new(hide.clone()) as ArrayRef,
            ));
            let before = batch.column_by_name(name).filter(|_| texts_before && name == column::TEXT);
            if let Some(before) = before.filter(|before| *before.data_type() == DataType::Utf8) {
                let shown = sparse(before, &hide).map_err(RunError::arrow(Path::new(name)))?;
                changes.push((Field::new(TEXT_BEFORE, DataType::Utf8, true), shown));
            }
        }
        let told = with_added(batch, outcome).and_then(|batch| gone(&batch, &dropped));
        let gone: ArrayRef = Arc::new(told.map_err(RunError::arrow(Path::new(GONE)))?);
        changes.push((Field::new(GONE, gone.data_type().clone(), false), gone));
        Ok(Self { ledger: batch_of(ledger, rows), changes: batch_of(changes, rows), counts })
    }

    /// The outcome that was written down, for the batch that it was about.
    fn decode(&self, spec: &Spec, batch: &RecordBatch, path: &Path) -> Result<Outcome, RunError> {
        let wrong = |message: &str| RunError::Cache { path: path.to_owned(), message: message.to_owned() };
        if self.ledger.num_rows() != batch.num_rows() || self.changes.num_rows() != batch.num_rows() {
            return Err(wrong("the trace is of another batch"));
        }
        let verdicts = verdicts(&self.ledger, spec).ok_or_else(|| wrong("the trace has unknown reasons"))?;
        let schema = self.changes.schema();
        let mut columns = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let Some(name) = field.name().strip_prefix("n:") else { continue };
            let after = self.changes.column(at);
            let hidden: &BooleanArray =
                self.changes.column(at + 1).as_any().downcast_ref().ok_or_else(|| wrong("no flags"))?;
            let values = match batch.column_by_name(name) {
                Some(before) if before.data_type() == after.data_type() => {
                    arrow::compute::kernels::zip::zip(hidden, before, after).map_err(RunError::arrow(path))?
                }
                _ => after.clone(),
            };
            columns.push((name.to_owned(), values));
        }
        Ok(Outcome { verdicts, columns, signals: Vec::new() })
    }
}

/// The values with nulls in place of the hidden ones, of which no byte is kept.
fn sparse(values: &ArrayRef, hide: &BooleanArray) -> Result<ArrayRef, ArrowError> {
    match hide.true_count() {
        0 => Ok(values.clone()),
        hidden if hidden == values.len() => Ok(new_null_array(values.data_type(), values.len())),
        _ => {
            let shown = hide.values().iter().zip(0_u32..).map(|(hide, row)| (!hide).then_some(row));
            take(values, &shown.collect::<UInt32Array>(), None)
        }
    }
}

fn batch_of(columns: Vec<(Field, ArrayRef)>, rows: usize) -> RecordBatch {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .expect("all columns are as long as the batch")
}

/// Rows whose value need not be written: it did not change, or the row is gone.
fn same(before: &ArrayRef, after: &ArrayRef, dropped: &BooleanArray) -> BooleanArray {
    let texts = |array: &ArrayRef| array.as_any().downcast_ref::<StringArray>().cloned();
    match (texts(before), texts(after)) {
        (Some(before), Some(after)) => {
            let same = before.iter().zip(&after).map(|(b, a)| b == a);
            same.zip(dropped.values()).map(|(same, gone)| Some(same || gone)).collect()
        }
        _ => dropped.clone(),
    }
}

/// Rows that have no value in any column that the node reads.
pub(super) fn blank(node: &Node, batch: &RecordBatch) -> BooleanArray {
    // A node may read several columns of which each row has one: a page has `html` or `text`.
    let columns: Vec<&ArrayRef> = node.reads.iter().filter_map(|name| batch.column_by_name(name)).collect();
    let is_blank = |row: usize| !columns.is_empty() && columns.iter().all(|c| c.is_null(row));
    (0..batch.num_rows()).map(|row| Some(is_blank(row))).collect()
}

fn ledger_columns(
    spec: &Spec,
    ids: ArrayRef,
    verdicts: &[Verdict],
    blank: BooleanArray,
) -> Vec<(Field, ArrayRef)> {
    let mut actions = Vec::with_capacity(verdicts.len());
    let mut reasons = Vec::with_capacity(verdicts.len());
    let (mut values, mut limits, mut twins) = (Vec::new(), Vec::new(), Vec::new());
    for verdict in verdicts {
        let (action, reason, value, limit, twin) = match verdict {
            Verdict::Kept => (KEPT, NO_REASON, None, None, None),
            Verdict::Edited => (EDITED, NO_REASON, None, None, None),
            Verdict::Dropped { reason, value, limit, twin } => {
                let at = spec.reasons.iter().position(|r| r.name == *reason);
                let at = at
                    .unwrap_or_else(|| panic!("`{}` drops for `{reason}`, which its SPEC lists", spec.kind));
                (DROPPED, at as u8, Some(*value), Some(*limit), twin.map(|t| t.to_string()))
            }
        };
        actions.push(action);
        reasons.push(reason);
        values.push(value);
        limits.push(limit);
        twins.push(twin);
    }
    vec![
        (Field::new(column::ID, DataType::Utf8, false), ids),
        (Field::new("action", DataType::UInt8, false), Arc::new(UInt8Array::from(actions))),
        (Field::new("reason", DataType::UInt8, false), Arc::new(UInt8Array::from(reasons))),
        (Field::new("value", DataType::Float64, true), Arc::new(Float64Array::from(values))),
        (Field::new("limit", DataType::Float64, true), Arc::new(Float64Array::from(limits))),
        (Field::new("twin", DataType::Utf8, true), Arc::new(StringArray::from(twins))),
        (Field::new("blank", DataType::Boolean, false), Arc::new(blank)),
    ]
}

/// The verdicts of a ledger part; `None` when it is not one of this kind.
pub(super) fn verdicts(ledger: &RecordBatch, spec: &Spec) -> Option<Vec<Verdict>> {
    if ledger.num_columns() < LEDGER_COLUMNS {
        return None;
    }
    let actions = ledger.column(1).as_any().downcast_ref::<UInt8Array>()?;
    let reasons = ledger.column(2).as_any().downcast_ref::<UInt8Array>()?;
    let numbers = |at: usize| ledger.column(at).as_any().downcast_ref::<Float64Array>();
    let (values, limits) = (numbers(3)?, numbers(4)?);
    let twins = ledger.column(5).as_any().downcast_ref::<StringArray>()?;
    let verdict = |row: usize| match actions.value(row) {
        KEPT => Some(Verdict::Kept),
        EDITED => Some(Verdict::Edited),
        _ => Some(Verdict::Dropped {
            reason: spec.reasons.get(usize::from(reasons.value(row)))?.name,
            value: values.value(row),
            limit: limits.value(row),
            twin: if twins.is_null(row) { None } else { DocId::parse(twins.value(row)) },
        }),
    };
    (0..ledger.num_rows()).map(verdict).collect()
}

/// Which rows of a ledger part had no value in any column that the node reads; `None` when it is not one.
pub(super) fn blanks(ledger: &RecordBatch) -> Option<&BooleanArray> {
    ledger.column(LEDGER_COLUMNS - 1).as_any().downcast_ref()
}

/// The signals of a ledger part: name and values.
pub(super) fn signals(ledger: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let schema = ledger.schema();
    let named = schema.fields().iter().zip(ledger.columns());
    named.filter_map(|(f, c)| f.name().strip_prefix("s:").map(|name| (name.to_owned(), c.clone()))).collect()
}

/// Writes the trace of one stream; the columns are those of the first batch.
pub(super) struct TraceWriter {
    workdir: Workdir,
    key: Hash,
    hand: Hand,
    codec: Codec,
    files: Option<(FrameWriter, FrameWriter)>,
}

impl TraceWriter {
    pub(super) fn new(workdir: &Workdir, key: Hash, hand: Hand, codec: Codec) -> Self {
        Self { workdir: workdir.clone(), key, hand, codec, files: None }
    }

    /// Starts the files of the ledger part and of the changes.
    fn create(
        &self,
        ledger: &SchemaRef,
        changes: &SchemaRef,
    ) -> Result<(FrameWriter, FrameWriter), RunError> {
        let file = |path: &Path, schema| FrameWriter::create(path, self.hand, self.codec, schema);
        Ok((file(&self.workdir.trace(self.key), ledger)?, file(&self.workdir.changes(self.key), changes)?))
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<(), RunError> {
        if self.files.is_none() {
            self.files = Some(self.create(frame.ledger.schema_ref(), frame.changes.schema_ref())?);
        }
        let (ledger, changes) = self.files.as_mut().expect("the files were just started");
        ledger.write(&frame.ledger)?;
        changes.write(&frame.changes)
    }

    pub(super) fn finish(mut self, spec: &Spec) -> Result<(), RunError> {
        let (ledger, changes) = match self.files.take() {
            Some(files) => files,
            None => {
                let ids: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
                let nothing = BooleanArray::from(Vec::<bool>::new());
                let ledger = batch_of(ledger_columns(spec, ids, &[], nothing), 0);
                self.create(ledger.schema_ref(), &Arc::new(Schema::empty()))?
            }
        };
        changes.finish()?;
        ledger.finish()
    }
}

/// Reads a trace batch by batch.
pub(super) struct TraceReader {
    ledger: FrameReader,
    changes: FrameReader,
}

impl TraceReader {
    pub(super) fn open(workdir: &Workdir, key: Hash) -> Result<Self, RunError> {
        Ok(Self {
            ledger: FrameReader::open(&workdir.trace(key))?,
            changes: FrameReader::open(&workdir.changes(key))?,
        })
    }

    /// What the node did to `batch`, which is the next that came in.
    pub(super) fn next_for(&mut self, node: &Node, batch: &RecordBatch) -> Result<Outcome, RunError> {
        let path = self.ledger.path().to_owned();
        match self.next().transpose()? {
            Some(frame) => frame.decode(node.spec, batch, &path),
            None => Err(RunError::Cache { path, message: "the trace ends too early".into() }),
        }
    }
}

impl Iterator for TraceReader {
    type Item = Result<Frame, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = |ledger: Result<RecordBatch, RunError>, changes: Result<RecordBatch, RunError>| {
            Ok(Frame { ledger: ledger?, changes: changes?, counts: Counts::default() })
        };
        Some(read(self.ledger.next()?, self.changes.next()?))
    }
}

/// The text of one document behind one node that changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of the node.
    pub node: String,
    /// The text that it was given, where nothing before it has made one.
    pub before: Option<String>,
    /// The text that it made.
    pub after: String,
}

/// The texts of a document in the order in which the nodes of the last run made them, and those before a barrier.
///
/// # Errors
/// The report of the run is missing or broken. A trace that is not in the cache any more is passed over.
pub fn history(workdir: &Path, id: &str) -> Result<Vec<Step>, RunError> {
    let workdir = Workdir(workdir.to_owned());
    let report = Report::read(&workdir.report())?;
    let mut steps = Vec::new();
    for node in &report.nodes {
        for key in node.traces.iter().filter_map(|key| stream::parse_key(key)) {
            if let Some((before, after)) = texts_in(&workdir, &key, id)? {
                steps.push(Step { node: node.name.clone(), before, after });
                break;
            }
        }
    }
    Ok(steps)
}

/// The ledger part is small, so it is what is searched; the large files are opened in the one stream that has the document.
fn texts_in(
    workdir: &Workdir,
    key: &stream::Name,
    id: &str,
) -> Result<Option<(Option<String>, String)>, RunError> {
    let [ledger, changes, rows] = key.files(workdir);
    if !seal::has_seal(&ledger)? {
        return Ok(None);
    }
    let mut found = None;
    for (at, frame) in FrameReader::open(&ledger)?.enumerate() {
        if let Some(row) = row_of(frame?.column(0), id) {
            found = Some((at, row));
            break;
        }
    }
    let Some((at, row)) = found else { return Ok(None) };
    let text = |batch: &RecordBatch, name: &str, row: usize| {
        let texts = batch.column_by_name(name)?.as_any().downcast_ref::<StringArray>()?;
        (!texts.is_null(row)).then(|| texts.value(row).to_owned())
    };
    if seal::has_seal(&changes)?
        && let Some(frame) = FrameReader::open(&changes)?.nth(at).transpose()?
        && let Some(after) = text(&frame, "n:text", row)
    {
        return Ok(Some((text(&frame, TEXT_BEFORE, row), after)));
    }
    if !seal::has_seal(&rows)? {
        return Ok(None);
    }
    for batch in FrameReader::open(&rows)? {
        let batch = batch?;
        if let Some(row) = batch.column_by_name(column::ID).and_then(|ids| row_of(ids, id)) {
            return Ok(text(&batch, column::TEXT, row).map(|after| (None, after)));
        }
    }
    Ok(None)
}

fn row_of(ids: &ArrayRef, id: &str) -> Option<usize> {
    ids.as_any().downcast_ref::<StringArray>()?.iter().position(|i| i == Some(id))
}

/// Whether a dropped row keeps a column.
pub(super) fn is_told(column: &str) -> bool {
    !UNTOLD.contains(&column)
}

/// A batch with the columns that the outcome adds to it: what was found of a dropped row may be why it is out.
pub(super) fn with_added(batch: &RecordBatch, outcome: &Outcome) -> Result<RecordBatch, ArrowError> {
    let is_new = |name: &str| batch.column_by_name(name).is_none();
    let added = outcome.columns.iter().filter(|(name, _)| is_new(name));
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = added
        .map(|(name, values)| (Field::new(name, values.data_type().clone(), true), values.clone()))
        .unzip();
    let schema = column::with(batch.schema_ref(), fields);
    RecordBatch::try_new(schema, [batch.columns(), &columns].concat())
}

/// The dropped rows of a batch, as they came in, with what the node found of them.
fn gone(batch: &RecordBatch, dropped: &BooleanArray) -> Result<ListArray, ArrowError> {
    let fields = batch.schema_ref().fields();
    let told: Vec<usize> = (0..fields.len()).filter(|&at| is_told(fields[at].name())).collect();
    let rows = StructArray::from(filter_record_batch(&batch.project(&told)?, dropped)?);
    let counts = dropped.values().iter().map(usize::from);
    let item = Arc::new(Field::new_list_field(rows.data_type().clone(), false));
    ListArray::try_new(item, OffsetBuffer::from_lengths(counts), Arc::new(rows), None)
}

/// The dropped rows of a frame of changes; `None` where it has none.
pub(super) fn dropped(changes: &RecordBatch) -> Option<RecordBatch> {
    let rows = changes.column_by_name(GONE)?.as_list_opt::<i32>()?.values();
    Some(rows.as_struct_opt()?.into())
}

/// The values of columns that the node added, of the rows that it kept; `None` when the trace has no such column.
pub(super) fn added(changes: &RecordBatch, names: &[String]) -> Option<Result<Vec<ArrayRef>, ArrowError>> {
    let column = |name: &String| {
        let values = changes.column_by_name(&format!("n:{name}"))?;
        let hidden = changes.column_by_name(&format!("h:{name}"))?.as_any().downcast_ref::<BooleanArray>()?;
        Some(not(hidden).and_then(|kept| filter(values, &kept)))
    };
    names.iter().map(column).collect()
}
