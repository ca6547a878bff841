//! The door of a sink: files of a dataset. Nothing is seen under its final name before the house commits.

use crate::StageError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::path::{Path, PathBuf};

/// Where rows go.
pub trait Sink: Send + Sync {
    /// Asked before any row moves.
    ///
    /// # Errors
    /// A column that is written by name is missing or has another type.
    fn check(&self, input: &SchemaRef) -> Result<(), StageError>;

    /// Rows that have to wait before it writes them, without what it can do without: the column of texts, the column `row` or fields
    /// of the objects in it. All other columns stay, for others read them too. `told` is the field of these objects that the texts were read
    /// from: a sink that writes them to that field can take them from there (of a field that comes twice the last).
    ///
    /// # Errors
    /// An object in the column `row` that is none.
    fn narrow(&self, batch: &RecordBatch, told: Option<&str>) -> Result<RecordBatch, StageError> {
        let _ = told;
        Ok(batch.clone())
    }

    /// Starts to write rows as numbered files in `folder`, which the sink makes; `metadata` goes into every file that can carry it.
    ///
    /// # Errors
    /// `Io`.
    fn open(
        &self,
        folder: &Path,
        schema: &SchemaRef,
        metadata: &[(String, String)],
    ) -> Result<Box<dyn Writer>, StageError>;
}

/// An open sink. Rows come in the order of the dataset.
pub trait Writer: Send {
    /// Takes a batch.
    ///
    /// # Errors
    /// `Io`; on a full disk nothing of the dataset becomes visible.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), StageError>;

    /// Ends the last file.
    ///
    /// # Errors
    /// As [`Writer::write`].
    fn finish(self: Box<Self>) -> Result<Vec<Written>, StageError>;
}

/// One file that a sink wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it lies.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
}
