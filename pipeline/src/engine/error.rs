//! Why a run ends without a dataset.

use schemas::{SourceError, StageError};
use std::path::{Path, PathBuf};

/// A run cannot go on. What was done stays in the cache: the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A source cannot be read.
    #[error("{node}: {error}")]
    Source {
        /// Name of the node.
        node: String,
        /// Why.
        #[source]
        error: SourceError,
    },
    /// A stage or sink cannot work.
    #[error("{node}: {error}")]
    Stage {
        /// Name of the node.
        node: String,
        /// Why.
        #[source]
        error: StageError,
    },
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Another run works in the folder.
    #[error("{} is in use by {holder}", path.display())]
    Locked {
        /// The working folder.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The folder has things of another's in the places of a build.
    #[error("{} was made by no build, and a build would write over it; name another folder with `--workdir`", path.display())]
    Foreign {
        /// What is in the way.
        path: PathBuf,
    },
    /// A node did what the recipe does not let pass.
    #[error("nothing is committed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Surprise(
        /// What.
        Vec<super::Surprising>,
    ),
    /// Nothing is left for a dataset that would take the place of one with rows.
    #[error("no row is left behind `{node}`: nothing is committed, and {} stays as it is", dataset.display())]
    Empty {
        /// The node that let nothing through.
        node: String,
        /// The dataset that is there.
        dataset: PathBuf,
    },
    /// Rows were lost or made up.
    #[error("{node}: {rows_in} rows came in, but {kept} were kept and {dropped} dropped")]
    Conservation {
        /// Name of the node.
        node: String,
        /// Rows that its inputs gave.
        rows_in: u64,
        /// Rows kept.
        kept: u64,
        /// Rows dropped.
        dropped: u64,
    },
    /// A file of the cache is not what was written there.
    #[error("{}: {message}; remove the file and run again", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        message: String,
    },
    /// What the dataset before has forgotten cannot be taken out of this one.
    #[error("nothing is committed, for forgotten documents would come back: {0}")]
    Forgotten(
        /// Why.
        crate::inspect::InspectError,
    ),
    /// A file of JSON cannot be read or written.
    #[error("{}: {error}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
}

impl RunError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    pub(super) fn stage(node: &str) -> impl FnOnce(StageError) -> Self {
        let node = node.to_owned();
        move |error| Self::Stage { node, error }
    }

    pub(super) fn source(node: &str) -> impl FnOnce(SourceError) -> Self {
        let node = node.to_owned();
        move |error| Self::Source { node, error }
    }

    pub(super) fn arrow(path: &Path) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        let path = path.to_owned();
        move |error| match error {
            arrow::error::ArrowError::IoError(message, error) => {
                Self::Io { path, error: std::io::Error::new(error.kind(), message) }
            }
            other => Self::Cache { path, message: other.to_string() },
        }
    }
}
