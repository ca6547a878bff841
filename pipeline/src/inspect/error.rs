//! What can keep a look from being taken: always the file, what is wrong with it, and the next step.

use parquet::errors::ParquetError;
use std::path::{Path, PathBuf};

/// Something cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is not what it is taken for.
    #[error("{}: {message}\n  help: {help}", path.display())]
    Format {
        /// File or folder.
        path: PathBuf,
        /// Expected and found.
        message: String,
        /// Next step.
        help: String,
    },
    /// The question itself is wrong.
    #[error("{message}\n  help: {help}")]
    Question {
        /// What is wrong with it.
        message: String,
        /// Next step.
        help: String,
    },
}

impl InspectError {
    /// Names the path that the system refused.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    pub(crate) fn format(path: &Path, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), message: message.into(), help: help.into() }
    }

    pub(crate) fn question(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Question { message: message.into(), help: help.into() }
    }

    /// Says of a file that starts like Parquet why it cannot be read on.
    pub(crate) fn parquet(path: &Path) -> impl FnOnce(ParquetError) -> Self {
        let path = path.to_owned();
        move |error| {
            Self::format(
                &path,
                format!("damaged Parquet file: {error}"),
                "if it belongs to a dataset, `gristmill verify DATASET` tells which files differ; build it again",
            )
        }
    }
}
