//! Where a dataset is made again: a folder beside it, of links to the files that stay, which takes its place at the end.
//!
//! Two renames do it: the old dataset aside, the whole one in its place. A kill between them leaves the old one aside,
//! where readers find it ([`aside_of`]) and the next run puts it back ([`recover`]). In the working folder of a build the
//! names are those of its commit, and its lock is held; elsewhere they are hidden names that nobody else uses.

use crate::engine::{Hold, Workdir};
use crate::inspect::{Dataset, InspectError};
use schemas::manifest::{self, Manifest};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The only one at work on a dataset.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    part: PathBuf,
    old: PathBuf,
    _locks: (Option<Hold>, File),
}

/// The working folder of a build whose dataset this is.
fn workdir(root: &Path) -> Option<PathBuf> {
    let parent = folder_of(root);
    (root.file_name()? == "dataset" && parent.join("lock").is_file()).then_some(parent)
}

fn folder_of(root: &Path) -> PathBuf {
    let whole = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    whole.parent().unwrap_or(&whole).to_owned()
}

/// The dataset while it is written, and the one before it while they change places.
fn names(root: &Path) -> (PathBuf, PathBuf) {
    if let Some(workdir) = workdir(root) {
        let workdir = Workdir(workdir);
        return (workdir.unfinished(), workdir.aside());
    }
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let beside = |what: &str| folder_of(root).join(format!(".{name}.gristmill-{what}"));
    (beside("part"), beside("old"))
}

/// Where the dataset lies that a kill between two renames has left without its name; `None` where there is no such.
pub(crate) fn aside_of(root: &Path) -> Option<PathBuf> {
    let old = names(root).1;
    (!root.exists() && old.join(manifest::FILE).is_file()).then_some(old)
}

/// Puts a dataset back that was left without its name.
///
/// # Errors
/// The system refuses.
pub fn recover(root: &Path) -> Result<(), InspectError> {
    match aside_of(root) {
        Some(old) => fs::rename(&old, root).map_err(InspectError::io(&old)),
        None => Ok(()),
    }
}

impl Place {
    /// Locks the dataset and removes what a killed run left beside it.
    pub(super) fn take(root: &Path) -> Result<Self, InspectError> {
        let hold = workdir(root).map(|folder| Hold::take(&folder)).transpose();
        let hold = hold.map_err(|error| InspectError::question(error.to_string(), "wait for it to end"))?;
        let path = root.join(manifest::FILE);
        let lock = File::open(&path).map_err(InspectError::io(&path))?;
        if lock.try_lock().is_err() {
            return Err(InspectError::question(
                format!("{} is in use by another `gristmill forget`", root.display()),
                "wait for it to end",
            ));
        }
        let (part, old) = names(root);
        let place = Self { root: root.to_owned(), part, old, _locks: (hold, lock) };
        // The dataset is under its name: what is aside was replaced, and may hold what was to be forgotten.
        remove(&place.part)?;
        remove(&place.old)?;
        Ok(place)
    }

    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Makes the folder with a link to every file of the dataset, or a copy where the file system has no links.
    pub(super) fn stage(&self, dataset: &Dataset) -> Result<(), InspectError> {
        for name in dataset.manifest.files.keys() {
            let (from, to) = (self.root.join(name), self.part.join(name));
            let folder = to.parent().expect("it lies in the folder");
            fs::create_dir_all(folder).map_err(InspectError::io(folder))?;
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).map_err(InspectError::io(&from))?;
            }
        }
        Ok(())
    }

    /// Writes the manifest last and puts the folder in the place of the dataset.
    pub(super) fn publish(self, manifest: &Manifest) -> Result<(), InspectError> {
        let path = self.part.join(manifest::FILE);
        let json = serde_json::to_vec_pretty(manifest).expect("a manifest has string keys");
        fs::write(&path, json).map_err(InspectError::io(&path))?;
        let sync = |path: &Path| File::open(path).and_then(|f| f.sync_all()).map_err(InspectError::io(path));
        sync(&path)?;
        let above = |name| Path::new(name).ancestors();
        let names: BTreeSet<&Path> = manifest.files.keys().flat_map(above).chain([Path::new("")]).collect();
        names.into_iter().try_for_each(|name| sync(&self.part.join(name)))?;
        fs::rename(&self.root, &self.old).map_err(InspectError::io(&self.root))?;
        fs::rename(&self.part, &self.root).map_err(InspectError::io(&self.part))?;
        sync(&folder_of(&self.root))?;
        remove(&self.old)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of a work that failed nothing stays, on a full disk least of all; what cannot be removed goes with the next.
        drop(remove(&self.part));
    }
}

fn remove(folder: &Path) -> Result<(), InspectError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(InspectError::io(folder)(error)),
        _ => Ok(()),
    }
}
