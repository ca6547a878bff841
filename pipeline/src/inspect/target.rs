//! What a path on the command line stands for.

use super::{Dataset, InspectError, Table};
use std::path::{Path, PathBuf};

/// Folders in folders that are looked into.
const DEPTH_MAX: usize = 8;

/// A file, a folder of files or a committed dataset.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one in a command")]
pub enum Target {
    /// Rows.
    Table(Table),
    /// A folder with a manifest.
    Dataset(Dataset),
}

impl Target {
    /// Opens a Parquet or JSON-lines file, a dataset, the working folder of a build, or a folder of files.
    ///
    /// # Errors
    /// There is nothing of the kind at `path`, or it is damaged.
    pub fn open(path: &Path) -> Result<Self, InspectError> {
        if !path.is_dir() {
            return Table::open(&[path.to_owned()]).map(Self::Table);
        }
        if let Some(dataset) = Dataset::find(path)? {
            return Ok(Self::Dataset(dataset));
        }
        let mut files = Vec::new();
        collect(path, 0, &mut files)?;
        files.sort();
        if files.is_empty() {
            let help = "give a Parquet or JSON-lines file, a dataset folder (with manifest.json), or the working \
                        folder of a finished build";
            return Err(InspectError::format(path, "holds no Parquet or JSON-lines file", help));
        }
        Table::open(&files).map(Self::Table)
    }
}

/// Whether the name is that of a file with rows.
pub(crate) fn has_rows(name: &str) -> bool {
    [".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst"].iter().any(|ending| name.ends_with(ending))
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), InspectError> {
    for entry in std::fs::read_dir(folder).map_err(InspectError::io(folder))? {
        let path = entry.map_err(InspectError::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() && depth < DEPTH_MAX {
            collect(&path, depth + 1, files)?;
        } else if has_rows(&name) {
            files.push(path);
        }
    }
    Ok(())
}
