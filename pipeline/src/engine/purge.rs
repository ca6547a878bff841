//! Takes out of the cache what holds given documents: whole files, whose work the next run does again.
//!
//! A trace knows its rows by id, and so do rows that were kept; changes go with the trace of their key. A file that is torn
//! is a missing one, and may hold anything: it goes too. What global nodes settled into stays: it holds no text of a document, but
//! may hold its id and hashes of its words, and counts in which it is counted.

use super::error::RunError;
use super::frames::FrameReader;
use super::lock::Lock;
use super::{Workdir, seal};
use arrow::array::{Array, StringArray};
use schemas::column;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the cache whose files are known by one key.
const OF_A_KEY: [&str; 3] = ["trace", "changes", "rows"];

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Purged {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes every file of the cache of a working folder that holds one of the documents.
///
/// # Errors
/// A build is at work there, or the system refuses.
pub fn purge(workdir: &Path, ids: &BTreeSet<String>) -> Result<Purged, RunError> {
    let _lock = Lock::take(workdir)?;
    let workdir = Workdir(workdir.to_owned());
    let mut keys = BTreeSet::new();
    for folder in OF_A_KEY {
        for path in files(&workdir.0.join("cache").join(folder))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Changes have no ids; without a whole trace nobody reads them.
            let goes = match folder {
                "changes" => !seal::has_seal(&path)? || !workdir.named("trace", &name).is_file(),
                _ => !seal::is_whole(&path)? || holds(&path, ids)?,
            };
            if goes {
                keys.insert(name);
            }
        }
    }
    let mut purged = Purged::default();
    for path in keys.iter().flat_map(|key| OF_A_KEY.map(|folder| workdir.named(folder, key))) {
        let Ok(found) = fs::metadata(&path) else { continue };
        fs::remove_file(&path).map_err(RunError::io(&path))?;
        purged.files += 1;
        purged.bytes += found.len();
    }
    Ok(purged)
}

/// Whether a file of rows with ids has one of these.
fn holds(path: &Path, ids: &BTreeSet<String>) -> Result<bool, RunError> {
    for batch in FrameReader::open(path)? {
        let batch = batch?;
        let Some(column) = batch.column_by_name(column::ID) else { continue };
        let Some(texts) = column.as_any().downcast_ref::<StringArray>() else { continue };
        if texts.iter().flatten().any(|id| ids.contains(id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Files in the folders of a folder of the cache.
fn files(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let mut found = Vec::new();
    for inner in list(folder)? {
        for path in list(&inner)? {
            // Names of two letters at least: a key; others are of nobody.
            let is_key = path.file_name().is_some_and(|name| name.len() > 2 && path.extension().is_none());
            found.extend(is_key.then_some(path));
        }
    }
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(RunError::io(folder))?,
    };
    entries.map(|entry| Ok(entry.map_err(RunError::io(folder))?.path())).collect()
}
