//! The rows behind a node, kept for a barrier or a sink that reads them.
//!
//! Nothing lies in the cache twice: a column that a node adds stands in its trace, for every row that it kept, and so not in
//! the file of its rows. Who reads the rows gets both, batch by batch.

use super::error::RunError;
use super::frames::{Codec, FrameReader, FrameWriter};
use super::run::Run;
use super::seal::Hand;
use super::trace;
use crate::dag::{Dag, conform};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use schemas::Made;
use std::path::Path;
use std::sync::Arc;

/// The columns behind a node that its file of rows holds: those that a barrier or a sink takes and that came in.
pub(super) fn kept_columns(dag: &Dag, node: usize) -> Vec<usize> {
    let taken = |field: &Field| {
        let mut readers = dag.readers(node).filter(|&n| !matches!(dag.nodes[n].made, Made::Stage(_)));
        readers.any(|n| dag.nodes[n].input.field_with_name(field.name()).is_ok())
    };
    let fields = dag.nodes[node].output.fields().iter().enumerate();
    fields.filter(|(_, field)| taken(field) && !is_added(dag, node, field.name())).map(|(at, _)| at).collect()
}

/// Whether a node adds a column: then all of it is in the trace.
pub(super) fn is_added(dag: &Dag, node: usize, name: &str) -> bool {
    dag.nodes[node].input.field_with_name(name).is_err()
}

/// Writes rows on their way to a barrier or a sink.
pub(super) struct RowsWriter {
    file: FrameWriter,
    columns: Vec<usize>,
}

impl RowsWriter {
    pub(super) fn create(
        path: &Path,
        hand: Hand,
        codec: Codec,
        dag: &Dag,
        node: usize,
    ) -> Result<Self, RunError> {
        let columns = kept_columns(dag, node);
        let schema = dag.nodes[node].output.project(&columns).expect("the columns are of this schema");
        Ok(Self { file: FrameWriter::create(path, hand, codec, &Arc::new(schema))?, columns })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        self.file.write(&batch.project(&self.columns).expect("the batch has the columns of its node"))
    }

    pub(super) fn finish(self) -> Result<(), RunError> {
        self.file.finish()
    }
}

/// Reads the rows that come into a stream of a node, with the columns of the node.
pub(super) fn rows_of(run: &Run<'_>, reader: usize, stream: usize) -> Result<RowsReader, RunError> {
    let schema = run.dag.nodes[reader].input.clone();
    let (node, stream) = run.streams.of[reader][stream].from.expect("a source has no input");
    let rows = FrameReader::open(&run.rows(node, stream))?;
    let given = &run.dag.nodes[node].output;
    let is_added = |field: &&Arc<Field>| {
        given.field_with_name(field.name()).is_ok() && is_added(run.dag, node, field.name())
    };
    let added: Vec<String> = schema.fields().iter().filter(is_added).map(|f| f.name().clone()).collect();
    let changes = match added.is_empty() {
        true => None,
        false => Some(FrameReader::open(&run.workdir.changes(run.streams.of[node][stream].key))?),
    };
    Ok(RowsReader { rows, changes, added, schema })
}

/// Reads rows.
pub(super) struct RowsReader {
    rows: FrameReader,
    /// The trace's columns, where it has some of those that are read.
    changes: Option<FrameReader>,
    added: Vec<String>,
    schema: SchemaRef,
}

impl RowsReader {
    /// The batch with what was added to its rows, which is the next that the trace tells of.
    fn complete(&mut self, batch: RecordBatch) -> Result<RecordBatch, RunError> {
        let Some(changes) = &mut self.changes else { return Ok(batch) };
        let path = changes.path().to_owned();
        let wrong = || RunError::Cache { path: path.clone(), message: "the trace is of other rows".into() };
        for frame in changes {
            let added = trace::added(&frame?, &self.added).ok_or_else(wrong)?;
            let added = added.map_err(RunError::arrow(&path))?;
            // A batch of which no row was kept has no batch of rows.
            if added.iter().all(|values| values.is_empty()) {
                continue;
            }
            let mut fields = batch.schema().fields().to_vec();
            let named = self.added.iter().zip(&added);
            fields.extend(
                named.map(|(name, values)| Arc::new(Field::new(name, values.data_type().clone(), true))),
            );
            let columns = batch.columns().iter().cloned().chain(added).collect();
            return RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|_| wrong());
        }
        Err(wrong())
    }
}

impl Iterator for RowsReader {
    type Item = Result<RecordBatch, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next()?;
        let batch = batch.and_then(|batch| self.complete(batch));
        Some(batch.and_then(|batch| conform(batch, &self.schema).map_err(RunError::arrow(self.rows.path()))))
    }
}
