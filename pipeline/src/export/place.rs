//! The folder of an export while it is written: beside the one that is asked for, renamed into it when it is whole.

use crate::inspect::InspectError;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

/// Held while an export is written; what has it is ours to remove.
pub(super) const LOCK: &str = ".gristmill-export";

/// A folder that is there whole or not at all.
pub(super) struct Place {
    out: PathBuf,
    part: PathBuf,
    /// `None` when it is done.
    lock: Option<File>,
}

impl Place {
    /// Makes the folder, and removes what a killed export has left in its place.
    pub(super) fn take(out: &Path) -> Result<Self, InspectError> {
        if out.exists() {
            let message = format!("{} is there; an export writes over nothing", out.display());
            return Err(InspectError::question(message, "name another folder with `--out`, or remove it"));
        }
        let whole = std::path::absolute(out).map_err(InspectError::io(out))?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy();
        let part = whole.with_file_name(format!(".{name}.gristmill-part"));
        let path = part.join(LOCK);
        if part.exists() && !path.exists() {
            let message = format!("{} is there and is no unfinished export", part.display());
            return Err(InspectError::question(message, "name another folder with `--out`, or remove it"));
        }
        fs::create_dir_all(&part).map_err(InspectError::io(&part))?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(InspectError::io(&path))?;
        if lock.try_lock().is_err() {
            let message = format!("another export to {} is at work", out.display());
            return Err(InspectError::question(message, "wait for it to end"));
        }
        for entry in fs::read_dir(&part).map_err(InspectError::io(&part))? {
            let old = entry.map_err(InspectError::io(&part))?.path();
            if old != path {
                let removed = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
                removed.map_err(InspectError::io(&old))?;
            }
        }
        Ok(Self { out: whole, part, lock: Some(lock) })
    }

    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Where pieces wait.
    pub(super) fn scratch(&self) -> PathBuf {
        self.part.join("scratch")
    }

    /// Gives the folder its name.
    pub(super) fn publish(mut self) -> Result<(), InspectError> {
        let sync = |path: &Path| File::open(path).and_then(|f| f.sync_all()).map_err(InspectError::io(path));
        fs::remove_file(self.part.join(LOCK)).map_err(InspectError::io(&self.part))?;
        sync(&self.part)?;
        fs::rename(&self.part, &self.out).map_err(InspectError::io(&self.out))?;
        self.lock = None;
        sync(self.out.parent().unwrap_or(&self.out))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of one that failed nothing stays; what cannot be removed, the next export removes.
        if self.lock.take().is_some() {
            drop(fs::remove_dir_all(&self.part));
        }
    }
}
