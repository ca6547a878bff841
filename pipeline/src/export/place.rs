//! The folder of an export while it is written: beside the one that is asked for, renamed into it when it is whole.

use super::lock::Lock;
use crate::inspect::InspectError;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A folder that is there whole or not at all.
pub(super) struct Place {
    out: PathBuf,
    /// The folder while it is written, under a name that nobody else gives.
    part: PathBuf,
    /// Released after all else is dropped.
    _lock: Lock,
}

impl Place {
    /// Makes the folder, and removes what a killed export has left in its place.
    pub(super) fn take(out: &Path) -> Result<Self, InspectError> {
        if out.exists() {
            return Err(is_there(out));
        }
        let whole = std::path::absolute(out).map_err(InspectError::io(out))?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy();
        let beside = |what: &str| whole.with_file_name(format!(".{name}.gristmill-{what}"));
        let above = whole.parent().unwrap_or(&whole);
        fs::create_dir_all(above).map_err(InspectError::io(above))?;
        let Some(lock) = Lock::take(&beside("lock"))? else {
            let message = format!("another export to {} is at work", out.display());
            return Err(InspectError::question(message, "wait for it to end"));
        };
        let place = Self { out: whole.clone(), part: beside("part"), _lock: lock };
        match fs::remove_dir_all(&place.part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(InspectError::io(&place.part)(error));
            }
            _ => {}
        }
        fs::create_dir(&place.part).map_err(InspectError::io(&place.part))?;
        Ok(place)
    }

    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Where pieces wait.
    pub(super) fn scratch(&self) -> PathBuf {
        self.part.join("scratch")
    }

    /// Gives the folder its name.
    pub(super) fn publish(self) -> Result<(), InspectError> {
        let sync = |path: &Path| File::open(path).and_then(|f| f.sync_all()).map_err(InspectError::io(path));
        sync(&self.part)?;
        // Another export may have ended since this one began.
        if self.out.exists() {
            return Err(is_there(&self.out));
        }
        fs::rename(&self.part, &self.out).map_err(InspectError::io(&self.out))?;
        sync(self.out.parent().unwrap_or(&self.out))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of one that failed nothing stays; what cannot be removed, the next export removes.
        drop(fs::remove_dir_all(&self.part));
    }
}

fn is_there(out: &Path) -> InspectError {
    let message = format!("{} is there; an export writes over nothing", out.display());
    InspectError::question(message, "name another folder with `--out`, or remove it")
}
