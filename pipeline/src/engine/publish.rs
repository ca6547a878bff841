//! The committed dataset: whether it is of a build, and how another one takes its place.

use super::error::RunError;
use super::{Workdir, parent, tidy};
use crate::dag::Hash;
use crate::digest::digest;
use schemas::Manifest;
use schemas::manifest::{self, File as FileRow};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

/// The manifest of the committed dataset when it is of this build.
pub(super) fn current(workdir: &Workdir, build: Hash) -> Result<Option<Manifest>, RunError> {
    let path = workdir.dataset().join(manifest::FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RunError::io(&path)(error)),
    };
    // A manifest of another layout is not of this build, whatever it says.
    let manifest = serde_json::from_slice::<Manifest>(&bytes).ok();
    let written = fs::metadata(&path).and_then(|file| file.modified()).map_err(RunError::io(&path))?;
    let whole = |m: &Manifest| m.files.iter().all(|(name, file)| is_as_written(workdir, name, file, written));
    Ok(manifest.filter(|m| m.version == manifest::VERSION && m.build == build.to_string() && whole(m)))
}

/// Whether a file is the one in the manifest: by its length, and by its bytes where it is younger than the manifest, which
/// was written last. What changes without a trace in the file system is for `verify` to find.
fn is_as_written(workdir: &Workdir, name: &str, file: &FileRow, written: SystemTime) -> bool {
    let path = workdir.dataset().join(name);
    let Ok(found) = fs::metadata(&path) else { return false };
    // Not of the same tick either: clocks of file systems are coarse.
    let is_older = found.modified().is_ok_and(|time| time < written);
    let same = || {
        File::open(&path)
            .and_then(|mut file| digest(&mut file))
            .is_ok_and(|found| found.blake3 == file.blake3)
    };
    found.len() == file.bytes && (is_older || same())
}

/// Whether a dataset lies there that holds any row.
pub(super) fn holds_rows(dataset: &Path) -> bool {
    let manifest = fs::read(dataset.join(manifest::FILE)).ok();
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    manifest.is_some_and(|m| m.nodes.iter().any(|node| node.kind.starts_with("sink.") && node.rows_in > 0))
}

/// Writes the manifest last and puts the folder in the place of the dataset that was there.
pub(super) fn publish(workdir: &Workdir, folder: &Path, manifest: &Manifest) -> Result<(), RunError> {
    let path = folder.join(manifest::FILE);
    let json =
        serde_json::to_vec_pretty(manifest).map_err(|error| RunError::Json { path: path.clone(), error })?;
    fs::write(&path, json).map_err(RunError::io(&path))?;
    let sync = |path: &Path| File::open(path).and_then(|f| f.sync_all()).map_err(RunError::io(path));
    sync(&path)?;
    // The names of files are in their folders: these must reach the disk too.
    let above = |name| Path::new(name).ancestors().skip(1);
    let folders: BTreeSet<&Path> = manifest.files.keys().flat_map(above).chain([Path::new("")]).collect();
    folders.into_iter().try_for_each(|inner| sync(&folder.join(inner)))?;
    let (dataset, old) = (workdir.dataset(), workdir.aside());
    if dataset.exists() {
        fs::rename(&dataset, &old).map_err(RunError::io(&dataset))?;
    }
    fs::rename(folder, &dataset).map_err(RunError::io(&dataset))?;
    sync(parent(&dataset))?;
    tidy::remove(&old)
}
