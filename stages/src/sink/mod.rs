//! Where the rows of a dataset are written.

pub mod json;
pub mod jsonl;
pub mod object;
pub mod parquet;
mod rechunk;

use arrow::datatypes::Schema;
use schemas::{StageError, column};
use std::path::{Path, PathBuf};

/// The path of file number `number` of a sink, in a folder that is made where it is not there.
fn numbered(folder: &Path, number: usize, ending: &str) -> Result<PathBuf, StageError> {
    std::fs::create_dir_all(folder).map_err(StageError::io(folder))?;
    Ok(folder.join(format!("part-{number:05}.{ending}")))
}

/// Where a single file is written until it is complete.
pub fn beside(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// That a column which is to be written is not there, with those that are.
fn no_column(name: &str, found: &Schema) -> StageError {
    let found = found.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != column::ROW);
    let found = found.collect::<Vec<_>>().join(", ");
    StageError::Invalid(format!("no column is called `{name}`; found {found}"))
}

/// Gives a complete file its name.
fn commit(path: &Path) -> Result<(), StageError> {
    std::fs::rename(beside(path), path).map_err(StageError::io(path))
}
