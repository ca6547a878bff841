//! What can go wrong inside a stage that is not the fault of one document.

use arrow::datatypes::DataType;
use std::path::{Path, PathBuf};

/// A stage cannot work on the batches that it is given.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The column is not produced upstream.
    #[error("column `{column}` is missing, found {}", found.join(", "))]
    ColumnMissing {
        /// Column that the stage reads.
        column: &'static str,
        /// Columns that the batch has.
        found: Vec<String>,
    },
    /// The column has another type.
    #[error("column `{column}` has type {found}, expected {expected}")]
    ColumnType {
        /// Column that the stage reads.
        column: &'static str,
        /// Type that the stage reads.
        expected: DataType,
        /// Type that the batch has.
        found: DataType,
    },
    /// Arrow refused an operation.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The work itself cannot be done with these rows or this file.
    #[error("{0}")]
    Invalid(String),
    /// The stage broke the contract of `Outcome`.
    #[error("a batch of {rows} rows got {verdicts} verdicts")]
    Conservation {
        /// Rows in the input batch.
        rows: usize,
        /// Verdicts in the outcome.
        verdicts: usize,
    },
}

impl StageError {
    /// Names the path that the system refused.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}
