//! Where a dataset is made again: a folder beside it, of links to the files that stay, which takes its place at the end.
//!
//! Two renames do it: the old dataset aside, the whole one in its place. A kill between them leaves the old one aside,
//! where readers find it ([`aside_of`]) and the next run puts it back ([`recover`]). In the working folder of a build the
//! names are those of its commit, and its lock is held; elsewhere they are hidden names that nobody else uses.

use crate::engine::RunError;
use crate::engine::{Hold, Workdir};
use crate::export::lock::Lock;
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
    /// Released after all else is dropped.
    _lock: Held,
}

/// In the working folder of a build its lock, elsewhere one beside the folder. Neither lies in what changes its place.
#[derive(Debug)]
enum Held {
    Build { _hold: Hold },
    Beside { _lock: Lock },
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
    (beside(root, "part"), beside(root, "old"))
}

fn beside(root: &Path, what: &str) -> PathBuf {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    folder_of(root).join(format!(".{name}.gristmill-{what}"))
}

/// Where the dataset lies that a kill between two renames has left without its name; `None` where there is no such.
pub(crate) fn aside_of(root: &Path) -> Option<PathBuf> {
    let old = names(root).1;
    (!root.exists() && old.join(manifest::FILE).is_file()).then_some(old)
}

/// Puts a dataset back that was left without its name; only for the one who holds its lock.
fn recover(root: &Path) -> Result<(), InspectError> {
    match aside_of(root) {
        Some(old) => fs::rename(&old, root).map_err(InspectError::io(&old)),
        None => Ok(()),
    }
}

impl Place {
    /// Locks the dataset, puts it back if a killed run left it without its name, and removes what else such a run left.
    pub(super) fn take(root: &Path) -> Result<Self, InspectError> {
        let lock = if let Some(folder) = workdir(root) {
            let hold = Hold::take(&folder);
            let wrong = |error: RunError| InspectError::question(error.to_string(), "wait for it to end");
            Held::Build { _hold: hold.map_err(wrong)? }
        } else if let Some(lock) = Lock::take(&beside(root, "lock"))? {
            Held::Beside { _lock: lock }
        } else {
            let message = format!("{} is in use by another `gristmill forget`", root.display());
            return Err(InspectError::question(message, "wait for it to end"));
        };
        recover(root)?;
        let (part, old) = names(root);
        let place = Self { root: root.to_owned(), part, old, _lock: lock };
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
    ///
    /// # Errors
    /// The system refuses. The dataset is as it was then, unless the message says that the one without the documents is in place.
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
        if let Err(error) = fs::rename(&self.part, &self.root) {
            // Where this fails too, readers find the old one aside, and the next run puts it back.
            drop(fs::rename(&self.old, &self.root));
            return Err(InspectError::io(&self.part)(error));
        }
        let done = sync(&folder_of(&self.root)).and_then(|()| remove(&self.old));
        done.map_err(|error| {
            let message = format!(
                "the documents are out of {}, but the old copy is not removed: {error}",
                self.root.display()
            );
            InspectError::format(&self.old, message, "remove it, or run the same `gristmill forget` again")
        })
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
